"""The lines of a journal's index: what each record is, and the checksums that tell whether it is sound."""

from __future__ import annotations

import json
import math
import re
import zlib
from dataclasses import dataclass

import numpy as np

__all__ = ["FORMAT", "LONGEST_LINE", "Record", "aligned", "parse", "to_line"]

ALIGNMENT = 64
"""Bytes: where records begin."""

FORMAT = zlib.crc32(b"lposs-geo journal 2")
"""What the first line's checksum goes on from: a journal of another format holds nothing."""

LONGEST_LINE = 4096
"""Bytes."""

_DTYPES = re.compile(r"\|b1|[|<>](?:[iu](?:1|2|4|8)|f(?:2|4|8|16)|c(?:8|16|32)|S[1-9][0-9]{0,5})")
"""The types that are written, as numpy spells them."""

_MOST_AXES = 32

_MOST_CRC = 2**32 - 1


@dataclass(frozen=True)
class Record:
    """An array in a journal: where its bytes begin, what they are, and their CRC-32."""

    offset: int
    dtype: str
    shape: tuple[int, ...]
    checksum: int

    @property
    def step(self) -> int:
        """Bytes of one step along the first axis."""
        return np.dtype(self.dtype).itemsize * math.prod(self.shape[1:])

    @property
    def nbytes(self) -> int:
        return self.step * math.prod(self.shape[:1])

    def end_after(self, end: int) -> int:
        """Where the data end with this record, if they ended at `end` before it."""
        return self.offset + self.nbytes if self.nbytes else end


def aligned(offset: int) -> int:
    """The first offset from there on at which a record may begin."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def to_line(key: str, record: Record, before: int) -> tuple[bytes, int]:
    """A line of the index, and its checksum; `before` is that of the line before it."""
    fields = {"key": key, "offset": record.offset, "dtype": record.dtype, "shape": record.shape}
    text = json.dumps(fields | {"crc32": record.checksum}).encode()
    chain = zlib.crc32(text, before)
    return b"%08x %s\n" % (chain, text), chain


def parse(line: bytes, before: int) -> tuple[str, Record, int] | None:
    """Key, record and checksum of a line, or None if it isn't just as one would be written there."""
    chain = zlib.crc32(line[9:-1], before)
    if len(line) >= LONGEST_LINE or line[:9] != b"%08x " % chain or line[-1:] != b"\n":
        return None
    try:
        match json.loads(line[9:]):
            case {"key": str(key), "offset": int(offset), "dtype": str(dtype), "shape": list(shape), "crc32": int(crc)}:
                record = Record(offset, dtype, tuple(shape), crc)
            case _:
                return None
    except (ValueError, RecursionError):
        return None
    are_numbers = all(type(number) is int and number >= 0 for number in (offset, crc, *shape))
    if not (are_numbers and crc <= _MOST_CRC and len(shape) <= _MOST_AXES and _DTYPES.fullmatch(dtype)):
        return None
    try:
        np.empty(0, dtype).reshape(shape if 0 in shape else 0)  # a type or a shape that numpy here hasn't
    except (TypeError, ValueError, OverflowError):
        return None
    return (key, record, chain) if to_line(key, record, before)[0] == line else None
