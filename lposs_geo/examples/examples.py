"""Examples on a scene's pixels."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.examples.runs import Line, Numbers, Runs, joined
from lposs_geo.hints import Notice

__all__ = ["Examples"]

_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, eq=False)
class Examples:
    """What a user says is a class: px of a scene, each of one class.

    Their order doesn't depend on the order in the file: by first px, from the top of the scene down.

    Attributes
    ----------
    line : Line
        All px of the scene.
    names : tuple of str
        Of the legend's classes.
    class_ids : (n,) uint8
        For each example, 1 to the number of classes.
    weights : (n,) float64
        Above 0.
    runs : Runs
        The px of each example; each has one, and none is drawn as two classes.
    notices : tuple of Notice
        What the user should know of the file.
    """

    line: Line
    names: tuple[str, ...]
    class_ids: NDArray[np.uint8]
    weights: NDArray[np.float64]
    runs: Runs
    notices: tuple[Notice, ...] = ()

    def __len__(self) -> int:
        return len(self.class_ids)

    @property
    def counts(self) -> dict[str, int]:
        """Number of examples by the name of the class, of the classes that have some."""
        counts = np.bincount(self.class_ids, minlength=len(self.names) + 1)[1:]
        return {name: int(count) for name, count in zip(self.names, counts, strict=True) if count}

    @cached_property
    def pixel_counts(self) -> Numbers:
        """Number of px of each example, (n,) int64."""
        counts = np.zeros(len(self), dtype=np.int64)
        np.add.at(counts, self.runs.owner, self.runs.stop - self.runs.start)
        return counts

    @cached_property
    def digest(self) -> str:
        """A hash that tells them from others: of their px, classes and weights."""
        state = hashlib.sha256(f"{self.line.height} {self.line.width} {len(self)} {len(self.runs)}".encode())
        for numbers in (self.class_ids, self.weights, self.runs.owner, self.runs.start, self.runs.stop):
            state.update(np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<")).tobytes())
        return state.hexdigest()

    @cached_property
    def _drawn(self) -> Runs:
        """Runs by position, owned by class ids; no px is in two."""
        runs = joined(self.runs.owned(self.class_ids.astype(np.int64)))
        return runs[np.argsort(runs.start)]

    def burn(self, window: Window) -> NDArray[np.uint8]:
        """Class ids of the px of a window of the scene, (rows, cols) uint8; 0 where no example is."""
        rows, cols = window.toslices()
        step = self.line.step
        near = self._drawn[slice(*np.searchsorted(self._drawn.start, [rows.start * step, rows.stop * step]))]
        row = self.line.rows(near.start) - rows.start
        first, last = (
            np.clip(self.line.cols(edge) - cols.start, 0, cols.stop - cols.start) for edge in (near.start, near.stop)
        )
        burned = np.zeros((rows.stop - rows.start, cols.stop - cols.start + 1), dtype=np.uint8)
        # what goes up at the first px of a run goes down behind its last; differences of bytes wrap round
        np.add.at(burned, (row, first), near.owner.astype(np.uint8))
        np.subtract.at(burned, (row, last), near.owner.astype(np.uint8))
        return np.cumsum(burned, axis=1, dtype=np.uint8)[:, :-1]

    def windows(self, side: int) -> Iterator[Window]:
        """The squares, `side` px wide from the scene's first px on, that hold any example; row by row."""
        row = self.line.rows(self.runs.start) // side
        first, last = self.line.cols(self.runs.start) // side, self.line.cols(self.runs.stop - 1) // side
        across = -(-self.line.width // side)
        squares = joined(Runs(np.zeros_like(row), row * across + first, row * across + last + 1))
        for start, stop in zip(squares.start.tolist(), squares.stop.tolist(), strict=True):
            for square in range(start, stop):
                top, left = square // across * side, square % across * side
                yield Window(left, top, min(side, self.line.width - left), min(side, self.line.height - top))

    def pixels(self, limit: int) -> tuple[Numbers, Numbers, Numbers]:
        """Evenly chosen px of all examples, at most `limit` of each, always the same.

        Returns
        -------
        example, row, col : (m,) int64
            Example by example, its px from the top down.
        """
        counts = self.pixel_counts
        chosen = np.minimum(counts, limit)
        example = np.repeat(np.arange(len(self)), chosen)
        number = np.arange(len(example)) - np.repeat(np.cumsum(chosen) - chosen, chosen)
        # one in each of `limit` equal parts, at golden steps, which never fall into line with the rows
        low, high = (counts[example] * (number + more) // chosen[example] for more in (0, 1))
        index = low + ((number + 1) * _GOLDEN % 1 * (high - low)).astype(np.int64)
        lengths = self.runs.stop - self.runs.start
        before = np.cumsum(lengths) - lengths
        position = index + (np.cumsum(counts) - counts)[example]
        run = np.searchsorted(before, position, side="right") - 1
        pixel = self.runs.start[run] + position - before[run]
        return example, self.line.rows(pixel), self.line.cols(pixel)

    def pixels_of(self, index: int, limit: int) -> tuple[Numbers, Numbers]:
        """Evenly chosen px of one example, likewise: row, col, each (m,) int64."""
        first, last = np.searchsorted(self.runs.owner, [index, index + 1])
        runs = self.runs[first:last]
        only = slice(index, index + 1)
        alone = replace(
            self,
            class_ids=self.class_ids[only],
            weights=self.weights[only],
            runs=Runs(np.zeros_like(runs.owner), runs.start, runs.stop),
        )
        return alone.pixels(limit)[1:]

    def restricted(self, keep: NDArray[np.bool_]) -> Examples:
        """Some of the examples, by a mask (n,); the px that contradicted others stay out."""
        number = np.cumsum(keep) - 1
        runs = self.runs[keep[self.runs.owner]].owned(number)
        return replace(self, class_ids=self.class_ids[keep], weights=self.weights[keep], runs=runs)
