"""Arrays too large for memory, in a journal on the disk."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lposs_geo.store.journal import Journal

__all__ = ["ChunkedArray"]


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
    fill : float
    """

    journal: Journal
    name: str
    rows: Sequence[int]
    cols: Sequence[int]
    dtype: DTypeLike
    trailing: tuple[int, ...] = ()
    fill: float = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.rows[-1], self.cols[-1], *self.trailing)

    def key(self, row: int, col: int) -> str:
        """The key of a chunk, by its row and column among the chunks."""
        return f"{self.name}/{row}/{col}"

    def __getitem__(self, window: tuple[slice, slice]) -> NDArray[Any]:
        """A window, as an array of its own in memory.

        Raises
        ------
        OutputError
            If a chunk can't be read, or has another form: then the journal is empty from now on.
        """
        (top, bottom, _), (left, right, _) = (
            part.indices(edges[-1]) for part, edges in zip(window, (self.rows, self.cols), strict=True)
        )
        out = np.full((bottom - top, right - left, *self.trailing), self.fill, self.dtype)
        for row, first_row, last_row in _overlaps(self.rows, top, bottom):
            for col, first_col, last_col in _overlaps(self.cols, left, right):
                key = self.key(row, col)
                if key in self.journal:
                    above, before = self.rows[row], self.cols[col]
                    form = self.rows[row + 1] - above, self.cols[col + 1] - before, *self.trailing
                    self.journal.expect(key, form, self.dtype)
                    part = self.journal.read(key, slice(first_row - above, last_row - above))
                    out[first_row - top : last_row - top, first_col - left : last_col - left] = part[
                        :, first_col - before : last_col - before
                    ]
        return out


def _overlaps(edges: Sequence[int], first: int, last: int) -> Iterator[tuple[int, int, int]]:
    """The chunks that share [first, last), each with the part that it shares."""
    for index in range(max(0, bisect_right(edges, first) - 1), len(edges) - 1):
        if edges[index] >= last:
            return
        yield index, max(first, edges[index]), min(last, edges[index + 1])
