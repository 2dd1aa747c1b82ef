"""Failed writes: one error, of one line, whichever library the write failed in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lposs_geo.errors import LpossGeoError, OutputError, one_line

__all__ = ["failed_write", "failure_reason", "write_text", "writing"]

LITTLE_ROOM = 100e6
"""Bytes left on a disk from which on a failed write is no matter of room."""


@contextmanager
def writing(path: Path, what: str | None = None) -> Iterator[None]:
    """Turn any failure of a write inside the block into `OutputError`.

    GDAL, Arrow, SQLite and the system each have errors of their own, in several families, not all of them public: so
    every exception counts, apart from our own errors and lack of memory. Keep the block to what writes.

    Parameters
    ----------
    path : Path
        The file that is written, or the folder that is written into.
    what : str, optional
        What can't be written, in the words of the message; the file's name in quotes if left out.

    Raises
    ------
    OutputError
        "can't write 'x.tif': No space left on device (only 3 MB are left on the disk)".
    """
    try:
        yield
    except (LpossGeoError, MemoryError):
        raise
    except Exception as error:
        raise failed_write(path, error, what) from error


def failed_write(path: Path, error: BaseException, what: str | None = None) -> OutputError:
    """The error to raise after a failed write; parameters are those of `writing`."""
    what = what or f"'{path.name}'"
    return OutputError(f"can't write {what}: {failure_reason(error)}{_little_room(path)}")


def failure_reason(error: BaseException) -> str:
    """The reason that an error gives, on one line: the system's own words where it comes from there."""
    # rasterio's errors say that something failed, and their causes, which are GDAL's, why
    reason = getattr(error, "strerror", None) or error.__cause__ or error
    return one_line(reason) or type(error).__name__


def write_text(path: Path, text: str) -> None:
    """Write a text file.

    Raises
    ------
    OutputError
        If it can't be written.
    """
    with writing(path):
        path.write_text(text, encoding="utf-8", newline="\n")


def _little_room(path: Path) -> str:
    """The room on the disk of a file or folder, as the end of a line; nothing where there is enough."""
    folder = path if path.is_dir() else path.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:  # the folder is gone, or is no folder
        return ""
    return f" (only {free / 1e6:.0f} MB are left on the disk)" if free < LITTLE_ROOM else ""
