"""Files that outlive a power cut: contents are on the disk before the names that lead to them.

A file system may write a new name long before the content, so that after a power cut a file that was finished and
renamed has no bytes. Whoever relies on a name syncs the content first, then the folder that holds the name.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

__all__ = ["replace_with", "sync_file", "sync_folder"]

_NOT_OFFERED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}
"""What file systems say, over the net mostly, that can't sync a folder."""


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk.

    Raises
    ------
    OSError
        If the disk failed to take it.
    """
    _sync(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can do so.

    Raises
    ------
    OSError
        If the disk failed to take them.
    """
    if os.name == "nt":  # which has no handle of a folder to sync, and writes names in order
        return
    try:
        _sync(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise


def replace_with(path: Path, content: bytes) -> None:
    """Put a small file in the place of another: whenever the power goes, one of both is there, whole.

    Raises
    ------
    OSError
        If it can't be written; then the earlier one is as it was.
    """
    aside = path.with_name(f"{path.name}.new")
    try:
        # a link that lies there isn't followed
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
