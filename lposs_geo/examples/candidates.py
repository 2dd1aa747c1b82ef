"""Patches that a scores' margin leaves in doubt: a bounded number of them, from everywhere in a scene of any size.

Margins are counted in whole steps, so that sums and ranks are exact: what is chosen depends neither on how many rows
are read at once nor on the machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

__all__ = ["Candidates", "Inside", "LatticeArray", "Leaders", "Patches", "candidates_of", "leaders"]

MOST_CELLS = 2048
"""Of the coarse grid, each of which has one candidate."""

STEPS = (1 << 20) - 1
"""In which margins are counted, from 0 to 1."""

VALUES_AT_ONCE = 1 << 22
"""Scores in memory, unless a single row has more."""

PATCHES_AT_ONCE = 1 << 18
"""Likewise."""

PIXELS_AT_ONCE = 1 << 24
"""Of which it is asked at once whether they are inside, likewise."""

_POSITION_BITS = 43
"""Of a key; the margin is in front of them."""

_NONE = np.iinfo(np.int64).max

Inside = Callable[[Window], NDArray[np.bool_]]
"""The pixels of a window of the scene at which a point may lie, (rows, cols)."""


class LatticeArray(Protocol):
    """An array over the lattice, in memory or on the disk: (rows, cols, ...)."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, window: tuple[slice, slice], /) -> NDArray[Any]:
        """A window of it, in memory."""
        ...


@dataclass(frozen=True)
class Patches:
    """The patches of a mapped scene.

    Attributes
    ----------
    scores : (rows, cols, C) float32
        Propagated, class k + 1 at k.
    features : (rows, cols, E) float16
        Of the VM.
    valid : (rows, cols) bool
        Patches that hold a valid pixel.
    patch_size : float
        Side of a patch, px of the scene.
    window : Window
        The pixels that were mapped.
    power : float
        `Encoder.confidence_power`, to which scores are raised: their shares are then the map's probabilities.
    """

    scores: LatticeArray
    features: LatticeArray
    valid: LatticeArray
    patch_size: float
    window: Window
    power: float = 1.0

    @property
    def extent(self) -> tuple[slice, slice]:
        """The rows and cols of patches that the window shares a pixel with."""
        rows, cols = (
            slice(int(part.start // self.patch_size), min(length, math.ceil(part.stop / self.patch_size)))
            for part, length in zip(self.window.toslices(), self.valid.shape, strict=True)
        )
        return rows, cols

    def centres(self, rows: NDArray[np.int64], *, axis: int) -> NDArray[np.float64]:
        """Middles of the parts of patches that lie in the window, px of the scene, along an axis (0 for rows)."""
        part = self.window.toslices()[axis]
        edges = [(rows + step) * self.patch_size for step in (0, 1)]
        return np.asarray(sum(np.clip(edge, part.start, part.stop) for edge in edges) / 2, np.float64)

    def patches_at(self, pixels: NDArray[np.float64]) -> NDArray[np.int64]:
        """Rows and cols (n, 2) of the patches that hold points (col, row), each once, by position."""
        found = np.floor(np.asarray(pixels, np.float64).reshape(-1, 2)[:, ::-1] / self.patch_size)
        rows, cols = self.extent
        is_within = (found >= (rows.start, cols.start)) & (found < (rows.stop, cols.stop))
        return np.unique(found[is_within.all(axis=1)].astype(np.int64), axis=0)


@dataclass(frozen=True)
class Leaders:
    """The two largest of all classes' scores, arrays of one shape; of equal ones the first class leads.

    Attributes
    ----------
    first, second : int64
        Indices of the classes.
    first_share, second_share : float64
        Of the sum of all scores; where that is zero all are alike.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    first_share: NDArray[np.float64]
    second_share: NDArray[np.float64]


def leaders(scores: NDArray[Any], power: float = 1.0) -> Leaders:
    """Find the two largest of scores (..., C), C > 1; those below zero, and no numbers, count as zero.

    Shares are those of the scores raised to `power`.
    """
    shape, count = scores.shape[:-1], scores.shape[-1]
    first, second = np.zeros(shape, np.int64), np.full(shape, 1, np.int64)
    top, below = _plain(scores[..., 0]), np.full(shape, -1.0)
    for index in range(1, count):
        score = _plain(scores[..., index])
        leads, follows = score > top, score > below
        second = np.where(leads, first, np.where(follows, index, second))
        below = np.where(leads, top, np.where(follows, score, below))
        first, top = np.where(leads, index, first), np.where(leads, score, top)
    # of the largest, or a high power would leave the range of floats
    is_blank = top == 0
    largest = np.where(is_blank, 1.0, top)
    total = sum((_plain(scores[..., index]) / largest) ** power for index in range(count))
    shares = ((part / largest) ** power / np.where(is_blank, 1.0, total) for part in (top, below))
    return Leaders(first, second, *(np.where(is_blank, 1 / count, share) for share in shares))


def _plain(scores: NDArray[Any]) -> NDArray[np.float64]:
    values = scores.astype(np.float64)
    return np.where(np.isfinite(values) & (values > 0), values, 0.0)


@dataclass(frozen=True)
class Candidates:
    """Patches to choose from, by position.

    Attributes
    ----------
    rows, cols : (n,) int64
        Of the lattice.
    doubt : (n,) float64
        The share of all patches that have a larger margin around them, which is one on any scale of the scores, times
        what the own margin lacks to 1, so that no patch counts that is sure.
    mass : (n,) int64
        Patches that stand behind it, those of its cell; zero for the others of a cell.
    mass_doubt : (n,) float64
        Likewise, by their mean margin.
    total : int
        Patches of the scene that could be.
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    doubt: NDArray[np.float64]
    mass: NDArray[np.int64]
    mass_doubt: NDArray[np.float64]
    total: int


def candidates_of(
    patches: Patches,
    count: int,
    *,
    taken: NDArray[np.int64],
    inside: Inside | None,
    reach: int,
    rows_at_once: int | None = None,
) -> Candidates:
    """Find the patch of the lowest margin in each cell of a coarse grid, and the lowest of all.

    Parameters
    ----------
    patches : Patches
    count : int
        Of the lowest of all, so that few cells aren't few candidates.
    taken : (k, 2) int64
        Rows and cols of patches that are none.
    inside : callable, optional
        The pixels at which a point may lie; all if left out.
    reach : int
        Margins are averaged this many patches around each.
    rows_at_once : int, optional
        Rows of patches in memory; as many as `VALUES_AT_ONCE` allows if left out.
    """
    rows, cols = patches.extent
    width = cols.stop - cols.start
    side, across = _cells(rows.stop - rows.start, width)
    cell_count = across * -(-max(rows.stop - rows.start, 0) // side)
    best = np.full(cell_count, _NONE)
    mass, margins = np.zeros(cell_count, np.int64), np.zeros(cell_count, np.int64)
    lowest = np.empty(0, np.int64)
    histogram = np.zeros(STEPS + 1, np.int64)
    for row, margin, may_be in _strips(patches, inside, reach, rows_at_once):
        at = taken[(taken[:, 0] >= row) & (taken[:, 0] < row + len(margin))]
        may_be[at[:, 0] - row, at[:, 1] - cols.start] = False
        down, right = np.nonzero(may_be)
        down += row - rows.start
        steps = margin[may_be]
        keys = (steps << _POSITION_BITS) | (down * width + right)
        cells = down // side * across + right // side
        np.minimum.at(best, cells, keys)
        mass += np.bincount(cells, minlength=cell_count)
        np.add.at(margins, cells, steps)
        np.add.at(histogram, steps, 1)
        lowest = np.sort(np.concatenate([lowest, keys]))[:count]
    of_cell = best != _NONE
    keys = np.unique(np.concatenate([best[of_cell], lowest]))
    doubt = _ranks(histogram) * (1 - np.arange(STEPS + 1) / STEPS)
    index = np.searchsorted(keys, best[of_cell])
    behind, mass_doubt = np.zeros(len(keys), np.int64), np.zeros(len(keys))
    behind[index] = mass[of_cell]
    mass_doubt[index] = doubt[margins[of_cell] // mass[of_cell]]
    position = keys & ((1 << _POSITION_BITS) - 1)
    order = np.argsort(position)
    down, right = np.divmod(position[order], max(width, 1))
    return Candidates(
        rows=down + rows.start,
        cols=right + cols.start,
        doubt=doubt[keys >> _POSITION_BITS][order],
        mass=behind[order],
        mass_doubt=mass_doubt[order],
        total=int(histogram.sum()),
    )


def _cells(height: int, width: int) -> tuple[int, int]:
    """Side of the smallest cells of which `MOST_CELLS` are enough, in patches, and how many lie in a row."""
    side = 1
    while -(-height // side) * -(-width // side) > MOST_CELLS:
        side += 1
    return side, -(-max(width, 0) // side)


def _ranks(histogram: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many of all patches lie beyond each margin, as a share; those at it count half."""
    beyond = histogram.sum() - np.cumsum(histogram)
    return np.asarray((beyond + histogram / 2) / max(1, histogram.sum()), np.float64)


def _strips(
    patches: Patches, inside: Inside | None, reach: int, rows_at_once: int | None
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.bool_]]]:
    """The first row of each strip, the mean margins around its patches in `STEPS`, and which may be candidates."""
    rows, cols = patches.extent
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return
    most = min(PATCHES_AT_ONCE, VALUES_AT_ONCE // patches.scores.shape[2])
    step = rows_at_once or max(1, most // (cols.stop - cols.start))
    for row in range(rows.start, rows.stop, step):
        stop = min(row + step, rows.stop)
        padded = slice(max(rows.start, row - reach), min(rows.stop, stop + reach))
        own = slice(row - padded.start, stop - padded.start)
        valid = np.asarray(patches.valid[padded, cols], dtype=bool)
        lead = leaders(patches.scores[padded, cols], patches.power)
        margin = np.rint((lead.first_share - lead.second_share) * STEPS).astype(np.int64) * valid
        around = _box_sums(valid.astype(np.int64), reach)
        mean = _box_sums(margin, reach) // np.maximum(around, 1)
        may_be = valid[own].copy()
        if inside is not None:
            may_be &= _at_centres(patches, inside, slice(row, stop), cols)
        yield row, mean[own], may_be


def _box_sums(values: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    """Sums over squares of 2 * reach + 1 around each, as far as there are values."""
    for axis in (0, 1):
        margins = [(0, 0), (0, 0)]
        margins[axis] = (reach + 1, reach)
        sums = np.cumsum(np.pad(values, margins), axis=axis)
        length = values.shape[axis]
        values = np.take(sums, range(2 * reach + 1, 2 * reach + 1 + length), axis) - np.take(sums, range(length), axis)
    return values


def _at_centres(patches: Patches, inside: Inside, rows: slice, cols: slice) -> NDArray[np.bool_]:
    """Whether a point may lie at the middle of each patch."""
    row, col = (
        np.floor(patches.centres(np.arange(part.start, part.stop), axis=axis)).astype(np.int64)
        for axis, part in enumerate((rows, cols))
    )
    width = int(col[-1] - col[0]) + 1
    step = max(1, int(PIXELS_AT_ONCE / (width * patches.patch_size)))
    parts = []
    for start in range(0, len(row), step):
        part = row[start : start + step]
        mask = inside(Window(int(col[0]), int(part[0]), width, int(part[-1] - part[0]) + 1))
        parts.append(np.asarray(mask, dtype=bool)[np.ix_(part - part[0], col - col[0])])
    return np.concatenate(parts)
