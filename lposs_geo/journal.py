"""Arrays on disk that survive a kill: a file that only grows, and an index of what is complete in it.

A record is written whole before the index names it, and carries a checksum. Whatever was being written when the power
went is not in the index, or fails its checksum; it and all that came after it is as if it had never been.
"""

from __future__ import annotations

import json
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lposs_geo.errors import OutputError
from lposs_geo.outputs import room_left

__all__ = ["ChunkedArray", "Journal", "open_journal"]

_ALIGNMENT = 64
"""Bytes: where records begin, so that every dtype can be mapped in place."""


@dataclass(frozen=True)
class _Record:
    offset: int
    dtype: str
    shape: tuple[int, ...]
    checksum: int

    @property
    def nbytes(self) -> int:
        return int(np.dtype(self.dtype).itemsize * np.prod(self.shape, dtype=np.int64))

    def to_line(self, key: str) -> bytes:
        fields = {"key": key, "offset": self.offset, "dtype": self.dtype, "shape": self.shape, "crc32": self.checksum}
        return json.dumps(fields).encode() + b"\n"


@dataclass(frozen=True)
class Journal:
    """Arrays by key, open for appending, by several threads if need be.

    Attributes
    ----------
    folder : Path
        Where its two files lie.
    """

    folder: Path
    _data: FileIO
    _index: FileIO
    _records: dict[str, _Record] = field(default_factory=dict)
    _turn: Lock = field(default_factory=Lock)

    def __contains__(self, key: str) -> bool:
        return key in self._records

    def __len__(self) -> int:
        return len(self._records)

    def count(self, kind: str) -> int:
        """How many records' keys begin with ``kind/``."""
        return sum(key.startswith(f"{kind}/") for key in list(self._records))  # a copy: a thread may append

    def append(self, key: str, array: NDArray[Any]) -> None:
        """Write an array under a key, unless just this array is there already.

        Raises
        ------
        OutputError
            If the disk is full or fails; all earlier records stay as they are.
        """
        contiguous = np.asarray(array, order="C")  # ascontiguousarray would give a lone number an axis
        content = contiguous.reshape(-1).view(np.uint8).data
        with self._turn:
            begin = self._data.seek(0, 2), self._index.seek(0, 2)
            offset = -(-begin[0] // _ALIGNMENT) * _ALIGNMENT
            record = _Record(offset, contiguous.dtype.str, contiguous.shape, zlib.crc32(content))
            known = self._records.get(key)
            if known is not None and replace(known, offset=offset) == record:
                return
            try:
                self._data.seek(offset)
                _write_all(self._data, content)
                _write_all(self._index, record.to_line(key))
            except OSError as error:
                # what comes later must not stand behind half a record
                self._data.truncate(begin[0])
                self._index.truncate(begin[1])
                raise OutputError(
                    f"can't write into '{self.folder}': {error.strerror}{room_left(self.folder)}"
                ) from error
            self._records[key] = record

    def read(self, key: str) -> NDArray[Any]:
        """The array under a key, mapped from the disk and read-only; its memory goes when it does."""
        return self._map(self._records[key])

    def _map(self, record: _Record) -> NDArray[Any]:
        if not record.nbytes:
            return np.zeros(record.shape, record.dtype)
        return np.memmap(
            self.folder / "records", dtype=record.dtype, mode="r", offset=record.offset, shape=record.shape
        )

    def _is_sound(self, record: _Record) -> bool:
        if not record.nbytes:
            return True
        end = self._data.seek(0, 2)
        return record.offset + record.nbytes <= end and zlib.crc32(self._map(record).data) == record.checksum


@contextmanager
def open_journal(folder: Path) -> Iterator[Journal]:
    """Open the journal in a folder, new or with the records of before, up to the first that isn't sound.

    Raises
    ------
    OutputError
        If the folder can't be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        data, index = (_open(folder / name) for name in ("records", "index.jsonl"))
    except OSError as error:
        raise OutputError(f"can't write into '{folder}': {error.strerror}") from error
    with data, index:
        journal = Journal(folder, data, index)
        sound = 0
        for line in index.readall().splitlines(keepends=True):
            parsed = _parse(line)
            # what was written after a record that is lost may rely on it
            if parsed is None or not line.endswith(b"\n") or not journal._is_sound(parsed[1]):
                break
            journal._records[parsed[0]] = parsed[1]
            sound += len(line)
        index.truncate(sound)
        yield journal


def _open(path: Path) -> FileIO:
    path.touch()
    return path.open("r+b", buffering=0)  # what a buffer keeps back, a kill takes along


def _write_all(file: FileIO, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _parse(line: bytes) -> tuple[str, _Record] | None:
    try:
        fields = json.loads(line)
        return fields["key"], _Record(fields["offset"], fields["dtype"], tuple(fields["shape"]), fields["crc32"])
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class ChunkedArray:
    """A large array in a journal, cut along its first two axes; a chunk that isn't there is all `fill`.

    Attributes
    ----------
    journal : Journal
    name : str
        Chunks have the keys ``name/row/col``, counted in chunks.
    rows, cols : sequence of int
        Where the chunks begin along each axis, and where the last one ends.
    dtype : dtype
    trailing : tuple of int
        The axes behind the first two.
    fill : int
    """

    journal: Journal
    name: str
    rows: Sequence[int]
    cols: Sequence[int]
    dtype: DTypeLike
    trailing: tuple[int, ...] = ()
    fill: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.rows[-1], self.cols[-1], *self.trailing)

    def key(self, row: int, col: int) -> str:
        """The key of a chunk, by its place among the chunks."""
        return f"{self.name}/{row}/{col}"

    def __getitem__(self, window: tuple[slice, slice]) -> NDArray[Any]:
        """A window, as an array of its own in memory."""
        (top, bottom, _), (left, right, _) = (
            part.indices(edges[-1]) for part, edges in zip(window, (self.rows, self.cols), strict=True)
        )
        out = np.full((bottom - top, right - left, *self.trailing), self.fill, self.dtype)
        for row, first_row, last_row in _overlaps(self.rows, top, bottom):
            for col, first_col, last_col in _overlaps(self.cols, left, right):
                key = self.key(row, col)
                if key in self.journal:
                    above, before = self.rows[row], self.cols[col]
                    out[first_row - top : last_row - top, first_col - left : last_col - left] = self.journal.read(key)[
                        first_row - above : last_row - above, first_col - before : last_col - before
                    ]
        return out


def _overlaps(edges: Sequence[int], first: int, last: int) -> Iterator[tuple[int, int, int]]:
    """The chunks that share [first, last), each with the part that it shares."""
    for place in range(max(0, bisect_right(edges, first) - 1), len(edges) - 1):
        if edges[place] >= last:
            return
        yield place, max(first, edges[place]), min(last, edges[place + 1])
