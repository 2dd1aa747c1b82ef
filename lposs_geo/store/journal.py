"""Arrays on disk that survive a kill: a file that only grows, and an index of what is complete in it.

A record is written whole before the index names it. Its line in the index holds a checksum of the record, and one of
the line itself together with all lines before it: no bit can change, and no line be lost or moved, without notice. The
first line that doesn't fit, or whose record doesn't, is the end of what is sound. It and all that came after is as if
it had never been, and both files are cut there.

Nothing is synced on the way. After a power cut the disk may hold lines without their records, but those fail their
checksum: what was written in the last half-minute or so, before the system wrote it out by itself, is made once more,
and nothing else is lost. Who calls a journal done, and lets go of what it would be made from again, calls
`Journal.sync` first.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from io import BufferedReader, FileIO
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lposs_geo.errors import OutputError
from lposs_geo.files.durable import sync_folder
from lposs_geo.files.outputs import room_left
from lposs_geo.store.records import FORMAT, LONGEST_LINE, Record, aligned, parse, to_line

__all__ = ["Journal", "open_journal"]

_PIECE = 1 << 20
"""Bytes that are read at once to be checked."""


@dataclass
class Journal:
    """Arrays by key, open for appending, by several threads if need be.

    It goes by its open files, whatever happens to their names meanwhile.

    Attributes
    ----------
    folder : Path
        Where its two files lie.
    """

    folder: Path
    _data: FileIO
    _index: FileIO
    _turn: Lock = field(default_factory=Lock)
    _records: dict[str, Record] = field(default_factory=dict)
    _ends: tuple[int, int] = (0, 0)  # of what is sound in both files
    _chain: int = FORMAT  # the checksum of the last line
    _before: tuple[dict[str, Record], tuple[int, int]] = ({}, (0, 0))  # when it was opened
    _is_closed: bool = False

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
            If the disk is full or fails, or another program changed the files; all earlier records stay as they are.
        """
        contiguous = np.asarray(array, order="C")  # ascontiguousarray would give a lone number an axis
        content = contiguous.reshape(-1).view(np.uint8).data
        checksum = zlib.crc32(content)
        with self._turn:
            data_end, index_end = self._ends
            record = Record(aligned(data_end), contiguous.dtype.str, contiguous.shape, checksum)
            known = self._records.get(key)
            if known is not None and replace(known, offset=record.offset) == record:
                return
            if self._is_closed:
                raise OutputError(f"'{self.folder}' was given up: nothing more is written into it")
            line, chain = to_line(key, record, self._chain)
            if parse(line, self._chain) != (key, record, chain):
                raise ValueError(f"a journal holds no array of {contiguous.dtype} {contiguous.shape} as {key!r}")
            self._check_ends()
            try:
                self._data.seek(record.offset)
                _write_all(self._data, content)
                self._index.seek(index_end)
                _write_all(self._index, line)
            except BaseException as error:
                # what comes later must not stand behind half a record
                self._data.truncate(data_end)
                self._index.truncate(index_end)
                if isinstance(error, OSError):
                    raise OutputError(
                        f"can't write into '{self.folder}': {error.strerror}{room_left(self.folder)}"
                    ) from error
                raise
            self._records[key] = record
            self._ends, self._chain = (record.end_after(data_end), index_end + len(line)), chain

    def read(self, key: str, rows: slice = slice(None)) -> NDArray[Any]:
        """The array under a key, or some rows of it, in memory and read-only.

        Raises
        ------
        OutputError
            If the disk fails, or another program cut the file.
        """
        record = self._records[key]
        if not record.shape:
            return self._load(record.offset, record.dtype, ())
        first, stop, _ = rows.indices(record.shape[0])
        shape = (max(0, stop - first), *record.shape[1:])
        return self._load(record.offset + first * record.step, record.dtype, shape)

    def expect(self, key: str, shape: Sequence[int], dtype: DTypeLike) -> None:
        """Make sure that an array has the form that its reader relies on; if not, `drop` all.

        Raises
        ------
        OutputError
            If it has another form.
        """
        record = self._records[key]
        if record.shape != tuple(shape) or np.dtype(record.dtype) != np.dtype(dtype):
            self.drop()
            raise OutputError(
                f"'{self.folder}' is damaged and was emptied: run it again ('{key}' is {record.dtype} {record.shape} "
                f"and not {np.dtype(dtype).str} {tuple(shape)})"
            )

    def sync(self) -> None:
        """Wait until all records, and the names of both files, are on the disk.

        Raises
        ------
        OutputError
            If the disk failed to take them.
        """
        try:
            for file in (self._data, self._index):
                os.fsync(file.fileno())
            sync_folder(self.folder)
        except OSError as error:
            raise OutputError(f"can't write into '{self.folder}': {error.strerror}") from error

    def undo(self) -> None:
        """Drop all that was appended since the journal was opened, and take nothing more."""
        self._cut(*self._before)

    def drop(self) -> None:
        """Drop all records, and take no more."""
        self._cut({}, (0, 0))

    def _cut(self, records: dict[str, Record], ends: tuple[int, int]) -> None:
        with self._turn:
            self._is_closed = True
            self._records, self._ends = dict(records), ends
            with suppress(OSError):  # then its lines or its records are gone anyway
                self._index.truncate(ends[1])
                self._data.truncate(ends[0])

    def _load(self, offset: int, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        array = np.empty(math.prod(shape), dtype)
        rest = array.view(np.uint8).data if array.size else memoryview(b"")
        try:
            with self._turn:
                self._data.seek(offset)
                while rest:
                    count = self._data.readinto(rest)
                    if not count:
                        raise self._changed()
                    rest = rest[count:]
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"can't read from '{self.folder}': {error.strerror}") from error
        array.flags.writeable = False
        return array.reshape(shape)

    def _check_ends(self) -> None:
        # behind what another program cut we would leave a hole, and what was there would read as zeros
        if self._ends != (os.fstat(self._data.fileno()).st_size, os.fstat(self._index.fileno()).st_size):
            raise self._changed()

    def _changed(self) -> OutputError:
        return OutputError(f"another program changed '{self.folder}' while it was in use: run it again")

    def _find_records(self) -> None:
        """Take over the records up to the first that isn't sound, and cut the rest off."""
        size = self._data.seek(0, os.SEEK_END)
        lines = BufferedReader(self._index)
        while (line := lines.readline(LONGEST_LINE)) and (parsed := parse(line, self._chain)) is not None:
            key, record, chain = parsed
            data_end, index_end = self._ends
            end = record.end_after(data_end)
            # what was written after a record that is lost may rely on it
            if record.offset != aligned(data_end) or end > size or self._checksum(record) != record.checksum:
                break
            self._records[key] = record
            self._ends, self._chain = (end, index_end + len(line)), chain
        lines.detach()  # or the file would be closed with it
        self._index.truncate(self._ends[1])
        self._data.truncate(self._ends[0])
        self._before = dict(self._records), self._ends

    def _checksum(self, record: Record) -> int:
        found, left = 0, record.nbytes
        self._data.seek(record.offset)
        while left and (piece := self._data.read(min(left, _PIECE))):
            found, left = zlib.crc32(piece, found), left - len(piece)
        return found


@contextmanager
def open_journal(folder: Path) -> Iterator[Journal]:
    """Open the journal in a folder, new or with the records of before, up to the first that isn't sound.

    Raises
    ------
    OutputError
        If the folder can't be written to, or it or a file in it is a link.
    """
    with ExitStack() as files:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if folder.is_symlink():
                raise OutputError(f"'{folder}' is a link: remove it")
            data, index = (files.enter_context(_open(folder / name)) for name in ("records", "index.jsonl"))
            journal = Journal(folder, data, index)
            journal._find_records()
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"can't write into '{folder}': {error.strerror}") from error
        yield journal


def _open(path: Path) -> FileIO:
    """A file to read and to write, new if it isn't there; OutputError where it is none, or leads elsewhere."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise OutputError(f"'{path}' is no file: remove it")
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    # what a buffer keeps back, a kill takes along
    return FileIO(path, "r+", opener=lambda name, _: os.open(name, flags, 0o666))


def _write_all(file: FileIO, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
