"""Outputs that appear only when complete: written under a temporary name beside their place, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lposs_geo.errors import OutputError

__all__ = ["check_outputs", "staged"]


def check_outputs(outputs: Sequence[Path], *, source: str, overwrite: bool, suffixes: Mapping[Path, str]) -> None:
    """Refuse outputs that can't or mustn't be written, before any work is done.

    Parameters
    ----------
    outputs : sequence of Path
    source : str
        The input, which is never overwritten.
    overwrite : bool
        Whether existing outputs may be replaced.
    suffixes : mapping of Path to str
        The endings that each output may have, separated by spaces.

    Raises
    ------
    OutputError
        With one line for the first output that is wrong.
    """
    for output in outputs:
        if output.suffix.lower() not in suffixes[output].split():
            raise OutputError(f"output '{output}' must end in {' or '.join(suffixes[output].split())}")
        if output.resolve() == Path(source).resolve():
            raise OutputError(f"output '{output}' is the input itself: give another name")
        if [other.resolve() for other in outputs].count(output.resolve()) > 1:
            raise OutputError(f"output '{output}' is named twice: give each output a name of its own")
        if output.is_dir():
            raise OutputError(f"output '{output}' is a folder: give a file name")
        if output.exists() and not overwrite:
            raise OutputError(f"output '{output}' exists: add --overwrite to replace it, or give another name")
        folder = output.parent
        if not folder.is_dir():
            raise OutputError(f"folder '{folder}' of output '{output.name}' doesn't exist: create it first")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"can't write into '{folder}': choose a folder that is yours")


@contextmanager
def staged(output: Path) -> Iterator[Path]:
    """Give a path to write to; on success everything written beside it moves to its place, on failure it vanishes.

    Sidecars (``<name>.aux.xml``) move with the file, and before it.

    Parameters
    ----------
    output : Path
        The final place.

    Yields
    ------
    Path
        A path of the same name in a hidden temporary folder on the same file system.

    Raises
    ------
    OutputError
        If the folder can't be written to.
    """
    try:
        folder = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.stem}-"))
    except OSError as error:
        raise OutputError(f"can't write into '{output.parent}': {error.strerror or error}") from error
    try:
        yield folder / output.name
        for written in sorted(folder.iterdir(), key=lambda path: path.name == output.name):
            written.replace(output.parent / written.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
