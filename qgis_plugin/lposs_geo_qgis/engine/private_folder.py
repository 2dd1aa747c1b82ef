"""Folders and files that nobody but the user may write or read, whatever the umask; links to others are refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

__all__ = ["NOBODY_ELSE", "FolderError", "is_real_folder", "new_file", "own_file", "own_folder"]

NOBODY_ELSE = 0o077
"""The umask for programs that write into such a folder."""

_WINDOWS = os.name == "nt"  # where the user's own folders are closed to others, and have no modes


class FolderError(Exception):
    """Others may write there, or it isn't what it should be; the message is one line that says what to do."""


def own_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for the user alone; one that is there is closed to others.

    Raises
    ------
    FolderError
        If it is a link, no folder, or of somebody else, or others may write into it all the same.
    OSError
        If it can't be made.
    """
    for missing in reversed([each for each in (folder, *folder.parents) if not os.path.lexists(each)]):
        missing.mkdir(mode=0o700, exist_ok=True)
    if not is_real_folder(folder):
        raise FolderError(f"'{folder}' is a link or a file, not a folder of yours: move it away, then try again.")
    if _WINDOWS:
        return
    found = os.lstat(folder)
    if found.st_uid != os.geteuid():
        raise FolderError(f"'{folder}' belongs to somebody else: have it removed, then try again.")
    if stat.S_IMODE(found.st_mode) & NOBODY_ELSE:
        os.chmod(folder, 0o700)
        if os.lstat(folder).st_mode & 0o022:  # a disk without modes
            raise FolderError(f"Others may write into '{folder}', and it can't be closed to them: see to its disk.")


def is_real_folder(path: Path) -> bool:
    """Whether it is a folder itself, not a link to one."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode) and not _is_junction(path)
    except OSError:
        return False


def _is_junction(path: Path) -> bool:
    """Whether it is a link of the kind that only Windows has."""
    return bool(getattr(os.lstat(path), "st_reparse_tag", 0) == getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1))


def new_file(path: Path) -> IO[str]:
    """A text file in the place of what had that name; what a link led to stays as it is."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    return open(descriptor, "w", encoding="utf-8", buffering=1)


def own_file(path: Path, mode: str) -> IO[str]:
    """Open a text file for locking, and make it if `mode` is "a"; OSError if it is a link."""
    return open(path, mode, encoding="utf-8", opener=_without_links)


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o600)
