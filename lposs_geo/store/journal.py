"""Arrays on disk that survive a kill: a file that only grows, and an index of what is complete in it.

A record is written whole before the index names it. Its line in the index holds a checksum of the record, and one of
the line itself together with all lines before it: no bit can change, and no line be lost or moved, without notice. The
first line that doesn't fit, or whose record lies beyond the data, is the end of what is sound. It and all that came
after is as if it had never been, and both files are cut there.

A record itself is checked when it is first read: to open a journal takes no longer where it holds much. One that is
damaged is as if it weren't there, and its reader gets a `DamagedError`: it makes again what is missing.

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

from lposs_geo.errors import DamagedError, OutputError
from lposs_geo.files.durable import sync_folder
from lposs_geo.files.writing import failed_write, writing
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
    damaged : set of str
        Keys of records that were damaged, and weren't appended again.
    """

    folder: Path
    damaged: set[str] = field(default_factory=set, init=False)
    _data: FileIO
    _index: FileIO
    _turn: Lock = field(default_factory=Lock)
    _records: dict[str, Record] = field(default_factory=dict)
    _ends: tuple[int, int] = (0, 0)  # of what is sound in both files
    _chain: int = FORMAT  # the checksum of the last line
    _before: tuple[dict[str, Record], tuple[int, int]] = ({}, (0, 0))  # when it was opened
    _checked: set[str] = field(default_factory=set)  # keys of the records that are known to be sound
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
                    raise failed_write(self.folder, error, f"into '{self.folder}'") from error
                raise
            self._records[key] = record
            self._checked.add(key)
            self.damaged.discard(key)
            self._ends, self._chain = (record.end_after(data_end), index_end + len(line)), chain

    def read(self, key: str, rows: slice = slice(None)) -> NDArray[Any]:
        """The array under a key, or some rows of it, in memory and read-only.

        Raises
        ------
        DamagedError
            If it isn't what was written, see `check`.
        OutputError
            If the disk fails, or another program cut the file.
        """
        record = self._records[key]
        if key not in self._checked:
            with self._turn, self._reading():
                is_sound = self._is_sound(record)
            if not is_sound:
                self.check()  # where one is, others may be
                raise DamagedError(f"a part of '{self.folder}' is damaged", hint="run it again")
            self._checked.add(key)
        if not record.shape:
            return self._load(record.offset, record.dtype, ())
        first, stop, _ = rows.indices(record.shape[0])
        shape = (max(0, stop - first), *record.shape[1:])
        return self._load(record.offset + first * record.step, record.dtype, shape)

    def checksum(self, key: str) -> int:
        """The CRC-32 of what was written under a key, without reading it."""
        return self._records[key].checksum

    def check(self) -> None:
        """Look at all records, and go on as if those weren't there that are damaged: their keys are in `damaged`.

        Raises
        ------
        OutputError
            If the disk fails, or another program changed the files.
        """
        with self._turn, self._reading():
            self._check_ends()
            before, ends = self._before
            self._find_records(check=True)
            sound = {key: record for key, record in before.items() if self._records.get(key) == record}
            self._before = sound, min(ends, self._ends)

    def leave_out(self, key: str) -> None:
        """Go on as if what lies under a key were damaged."""
        with self._turn:
            if self._records.pop(key, None) is not None:
                self.damaged.add(key)

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
                f"'{self.folder}' is damaged and was emptied ('{key}' is {record.dtype} {record.shape} "
                f"and not {np.dtype(dtype).str} {tuple(shape)})",
                hint="run it again",
            )

    def sync(self) -> None:
        """Wait until all records, and the names of both files, are on the disk.

        Raises
        ------
        OutputError
            If the disk failed to take them.
        """
        with writing(self.folder, f"into '{self.folder}'"):
            for file in (self._data, self._index):
                os.fsync(file.fileno())
            sync_folder(self.folder)

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
        with self._turn, self._reading():
            self._data.seek(offset)
            while rest:
                count = self._data.readinto(rest)
                if not count:
                    raise self._changed()
                rest = rest[count:]
        array.flags.writeable = False
        return array.reshape(shape)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"can't read from '{self.folder}': {error.strerror}") from error

    def _check_ends(self) -> None:
        # behind what another program cut we would leave a hole, and what was there would read as zeros
        if self._ends != (os.fstat(self._data.fileno()).st_size, os.fstat(self._index.fileno()).st_size):
            raise self._changed()

    def _changed(self) -> OutputError:
        return OutputError(f"another program changed '{self.folder}' while it was in use", hint="run it again")

    def _find_records(self, *, check: bool) -> None:
        """Take over the records up to the first line that doesn't fit, and cut the rest off.

        With `check` those that are damaged are left out, and cut off if nothing that is sound follows them.
        """
        size = self._data.seek(0, os.SEEK_END)
        records: dict[str, Record] = {}
        damaged, tail = set[str](), list[str]()  # the tail begins with a damaged record
        ends = tail_ends = (0, 0)
        chain = tail_chain = FORMAT
        self._index.seek(0)
        lines = BufferedReader(self._index)
        while (line := lines.readline(LONGEST_LINE)) and (parsed := parse(line, chain)) is not None:
            key, record, line_chain = parsed
            end = record.end_after(ends[0])
            if record.offset != aligned(ends[0]) or end > size:
                break
            is_sound = not check or self._is_sound(record)
            if not is_sound and not tail:
                tail_ends, tail_chain = ends, chain
            if tail or not is_sound:
                tail = [] if is_sound and record.nbytes else [*tail, key]
            (damaged.discard if is_sound else damaged.add)(key)
            records[key] = record
            ends, chain = (end, ends[1] + len(line)), line_chain
        lines.detach()  # or the file would be closed with it
        if tail:
            ends, chain = tail_ends, tail_chain
        for key in {*damaged, *tail}:
            del records[key]
        self._records, self._ends, self._chain = records, ends, chain
        self._checked, self.damaged = set(records) if check else set(), damaged
        self._index.truncate(ends[1])
        self._data.truncate(ends[0])

    def _is_sound(self, record: Record) -> bool:
        checksum, left = 0, record.nbytes
        self._data.seek(record.offset)
        while left and (piece := self._data.read(min(left, _PIECE))):
            checksum, left = zlib.crc32(piece, checksum), left - len(piece)
        return not left and checksum == record.checksum


@contextmanager
def open_journal(folder: Path, *, check: bool = False) -> Iterator[Journal]:
    """Open the journal in a folder, new or with the records of before.

    Parameters
    ----------
    folder : Path
    check : bool
        Look at all records now, see `Journal.check`; by default each is looked at when it is first read.

    Raises
    ------
    OutputError
        If the folder can't be written to, or it or a file in it is a link.
    """
    with ExitStack() as files:
        with writing(folder, f"into '{folder}'"):
            folder.mkdir(parents=True, exist_ok=True)
            if folder.is_symlink():
                raise OutputError(f"'{folder}' is a link", hint="remove it")
            data, index = (files.enter_context(_open(folder / name)) for name in ("records", "index.jsonl"))
            journal = Journal(folder, data, index)
            journal._find_records(check=check)
            journal._before = dict(journal._records), journal._ends
        yield journal


def _open(path: Path) -> FileIO:
    """A file to read and to write, new if it isn't there; OutputError where it is none, or leads elsewhere."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise OutputError(f"'{path}' is no file", hint="remove it")
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    # what a buffer keeps back, a kill takes along
    return FileIO(path, "r+", opener=lambda name, _: os.open(name, flags, 0o666))


def _write_all(file: FileIO, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
