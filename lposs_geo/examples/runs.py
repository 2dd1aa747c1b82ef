"""Sets of pixels as runs: px side by side in one row of the scene, whatever the number of rows.

All px of a scene stand in one line, row after row with a gap between, so that runs are intervals of whole numbers and
never join two rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Line", "Runs", "joined", "more_than_once", "without"]

Numbers = NDArray[np.int64]

_MOST = 2**62
"""Of whole numbers, with room to spare."""


@dataclass(frozen=True)
class Line:
    """All px of a scene in one line.

    Attributes
    ----------
    height, width : int
        The scene, px.
    """

    height: int
    width: int

    @property
    def step(self) -> int:
        """From a px to the one below it."""
        return self.width + 1

    def index(self, row: Numbers, col: Numbers) -> Numbers:
        return row * self.step + col

    def rows(self, index: Numbers) -> Numbers:
        return index // self.step

    def cols(self, index: Numbers) -> Numbers:
        return index % self.step


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of px, each of an owner: an example, a part of one, or a class.

    Attributes
    ----------
    owner : (n,) int64
    start, stop : (n,) int64
        Of the first px, and behind the last.
    """

    owner: Numbers
    start: Numbers
    stop: Numbers

    def __len__(self) -> int:
        return len(self.owner)

    def __getitem__(self, index: NDArray[np.bool_] | Numbers | slice) -> Runs:
        return Runs(self.owner[index], self.start[index], self.stop[index])

    @classmethod
    def of(cls, parts: list[Runs]) -> Runs:
        """All runs of several sets."""
        none = np.zeros(0, dtype=np.int64)
        columns = ([none, *(getattr(part, name) for part in parts)] for name in ("owner", "start", "stop"))
        return cls(*map(np.concatenate, columns))

    def owned(self, owners: Numbers) -> Runs:
        """The same with another owner for each run, by the number of its present one."""
        return Runs(owners[self.owner], self.start, self.stop)


def joined(runs: Runs) -> Runs:
    """The px of each owner once, in as few runs as there can be, sorted by owner and start."""
    count = len(runs)
    if not count:
        return runs
    # one line for all owners, one behind the other
    low = int(runs.start.min())
    span = int(runs.stop.max()) - low + 1
    if (int(runs.owner.max()) + 1) * span >= _MOST:
        return _joined_by_rank(runs)
    first = runs.owner * span + (runs.start - low)
    last = first + (runs.stop - runs.start)
    if (first[1:] < first[:-1]).any():
        order = np.argsort(first, kind="stable")
        first, last = first[order], last[order]
    reach = np.maximum.accumulate(last)
    heads = np.flatnonzero(np.concatenate([[True], first[1:] > reach[:-1]]))
    ends = np.concatenate([heads[1:], [count]]) - 1
    owner, start = np.divmod(first[heads], span)
    return Runs(owner, start + low, start + low + reach[ends] - first[heads])


def _joined_by_rank(runs: Runs) -> Runs:
    """The same where numbers would get too large for that: edges by their ranks."""
    edges, rank = np.unique(np.concatenate([runs.start, runs.stop]), return_inverse=True)
    ranked = joined(Runs(runs.owner, rank[: len(runs)], rank[len(runs) :]))
    return Runs(ranked.owner, edges[ranked.start], edges[ranked.stop])


def more_than_once(runs: Runs) -> tuple[Numbers, Numbers]:
    """The px that more than one owner has, as starts and stops, ascending; runs as `joined` gives them."""
    edges = np.concatenate([runs.start, runs.stop])
    order = np.argsort(edges, kind="stable")
    edges, depth = edges[order], np.cumsum(np.where(order < len(runs), 1, -1))
    # where several edges coincide, the last of them tells
    shared = np.flatnonzero((depth[:-1] > 1) & (edges[1:] > edges[:-1]))
    return edges[shared], edges[shared + 1]


def without(runs: Runs, starts: Numbers, stops: Numbers) -> Runs:
    """Runs without the px of some intervals, ascending and apart from each other; in the same order."""
    if not len(starts) or not len(runs):
        return runs
    # what lies between the intervals
    low = np.concatenate([[np.iinfo(np.int64).min], stops])
    high = np.concatenate([starts, [np.iinfo(np.int64).max]])
    first = np.searchsorted(high, runs.start, side="right")
    pieces = np.maximum(np.searchsorted(low, runs.stop, side="left") - first, 0)
    index = np.repeat(np.arange(len(runs)), pieces)
    gap = first[index] + np.arange(len(index)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    start, stop = np.maximum(runs.start[index], low[gap]), np.minimum(runs.stop[index], high[gap])
    left = start < stop
    return Runs(runs.owner[index][left], start[left], stop[left])
