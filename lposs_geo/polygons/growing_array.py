"""Arrays that are too large for memory: files that the system may put out of memory at any time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["GrowingArray"]


class GrowingArray:
    """An array that grows at its end, in a file mapped into memory: the system may put it out of memory at any time.

    Parameters
    ----------
    path : Path
        Of the file, which is made anew.
    dtype : dtype
    shape : tuple of int
        Of one entry.
    """

    def __init__(self, path: Path, dtype: DTypeLike, *shape: int) -> None:
        self.path = path
        self.dtype = np.dtype(dtype)
        self.shape = shape
        self.size = 0  # bytes
        path.write_bytes(b"")

    def mapped(self, length: int) -> NDArray[Any]:
        """The array with (at least) `length` entries; new ones are zero. Arrays given earlier stay as they are.

        Raises
        ------
        OSError
            If the disk is full.
        """
        shape = (length, *self.shape)
        needed = int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize
        if not needed:
            return np.zeros(shape, self.dtype)
        if needed > self.size:
            with self.path.open("r+b") as file:
                _allocate(file.fileno(), self.size, needed - self.size)
            self.size = needed
        return np.asarray(np.memmap(self.path, self.dtype, "r+", shape=shape))


def _allocate(file: int, start: int, size: int) -> None:
    """Lengthen a file by zeros that have their room on the disk: writing to a hole of a full one would be a crash."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, start, size)
        return
    os.lseek(file, start, os.SEEK_SET)
    zeros = bytes(min(size, 1 << 20))
    while size:
        size -= os.write(file, zeros[:size])
