"""Overlapping crops averaged patch by patch, and written into the store as soon as no later crop covers a patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lposs_geo.stages.crops import Batch, Crop
from lposs_geo.stages.looks import Look
from lposs_geo.store.journal import Journal

__all__ = ["LookStore"]


class LookStore:
    """Puts the features of crops together, column by column of a row, and writes what is complete.

    A segment's sums cover its columns and the rows of the current row of crops. As soon as the crops have passed it,
    the patches that no later crop covers are averaged and written, and only the rows that the next row of crops
    overlaps stay in memory.
    """

    def __init__(self, look: Look, journal: Journal) -> None:
        self._look = look
        self._journal = journal
        self._segments: dict[int, _Segment] = {}
        self._passed: set[int] = set()
        self._whole_from = 0  # lattice row
        self._row = -1

    def spoil(self, row: int) -> None:
        """Let no row of crops count as done that this one, of which a part couldn't be read, reaches into."""
        self._whole_from = self._look.row_edges[row] + self._look.lattice.crop_shape[0]

    def add(self, batch: Batch, vlm: NDArray[np.float32], vm: NDArray[np.float32]) -> None:
        """Add the features (B, rows, cols, D) of crops, from left to right."""
        self._begin(batch.row)
        (height, width_of_crop), step = self._look.lattice.crop_shape, self._look.segment
        widths = (vlm.shape[-1], vm.shape[-1] if self._look.is_last else 0)
        self._pass(batch, [number for number in self._segments if (number + 1) * step <= batch.crops[0].col])
        for crop, *arrays in zip(batch.crops, vlm, vm, strict=True):
            for number in range(crop.col // step, (crop.col + width_of_crop - 1) // step + 1):
                left = number * step
                width = min(step, self._look.lattice.cols - left)
                segment = self._segments.get(number) or _Segment.empty(0, width, widths)
                self._segments[number] = segment = segment.of_height(height)
                first, last = max(left, crop.col), min(left + width, crop.col + width_of_crop)
                segment.add(slice(first - left, last - left), slice(first - crop.col, last - crop.col), arrays, crop)

    def finish_row(self, batch: Batch) -> None:
        """Write what is left to be completed by the row of crops that ends with this batch."""
        self._begin(batch.row)
        self._pass(batch, list(self._segments))
        self._passed.clear()
        if batch.kept and self._is_whole(batch.row):
            self._journal.append(self._look.done_key(batch.row), np.zeros(0))

    def _is_whole(self, row: int) -> bool:
        return self._look.row_edges[row] >= self._whole_from

    def _begin(self, row: int) -> None:
        """Go on to a row of crops; where others are left out before it, nothing of the earlier ones is of use."""
        if row > self._row + 1:
            self._segments.clear()
        self._row = row

    def _pass(self, batch: Batch, numbers: Sequence[int]) -> None:
        """Write the finished rows of segments, and keep the rest."""
        finished = self._look.row_edges[batch.row + 1] - self._look.row_edges[batch.row]
        for number in numbers:
            if number in self._passed:
                continue
            self._passed.add(number)
            segment = self._segments.pop(number).of_height(self._look.lattice.crop_shape[0])
            valid = segment.valid[:finished]
            # a row that was whole once, and of which a part is damaged now, waits for a run that can read all of it
            is_worse = not self._is_whole(batch.row) and self._look.done_key(batch.row) in self._journal
            if batch.kept and valid.any() and not is_worse:
                for name, sums in (("vlm", segment.vlm), ("vm", segment.vm)):
                    if sums.shape[-1]:
                        key = self._look.chunk_key(name, batch.row, number)
                        self._journal.append(key, segment.means(sums[:finished]))
                self._journal.append(self._look.chunk_key("valid", batch.row, number), valid)
            rest = segment.below(finished)
            if rest.counts.any():
                self._segments[number] = rest


@dataclass(frozen=True)
class _Segment:
    """Sums over the crops that cover a patch, and how many they are: all (rows, width, ...)."""

    vlm: NDArray[np.float32]
    vm: NDArray[np.float32]
    counts: NDArray[np.float32]
    valid: NDArray[np.bool_]

    @classmethod
    def empty(cls, rows: int, width: int, feature_widths: tuple[int, int]) -> _Segment:
        vlm, vm = (np.zeros((rows, width, depth), np.float32) for depth in feature_widths)
        return cls(vlm, vm, np.zeros((rows, width), np.float32), np.zeros((rows, width), bool))

    def add(self, cols: slice, crop_cols: slice, arrays: Sequence[NDArray[np.float32]], crop: Crop) -> None:
        for sums, array in zip((self.vlm, self.vm), arrays, strict=True):
            if sums.shape[-1]:
                sums[:, cols] += array[:, crop_cols]
        self.counts[:, cols] += 1
        self.valid[:, cols] |= crop.valid_patches[:, crop_cols]

    def means(self, sums: NDArray[np.float32]) -> NDArray[np.float16]:
        rows = len(sums)
        mean = sums / np.maximum(self.counts[:rows], 1.0)[:, :, None]
        mean[~self.valid[:rows]] = 0.0
        return mean.astype(np.float16)

    def below(self, row: int) -> _Segment:
        """A copy of what lies below a row: the rest goes."""
        vlm, vm, counts = (array[row:].copy() for array in (self.vlm, self.vm, self.counts))
        return _Segment(vlm, vm, counts, self.valid[row:].copy())

    def of_height(self, rows: int) -> _Segment:
        """The segment itself, or with empty rows below up to this height."""
        if len(self.counts) == rows:
            return self
        taller = _Segment.empty(rows, self.counts.shape[1], (self.vlm.shape[-1], self.vm.shape[-1]))
        top = slice(len(self.counts))
        taller.vlm[top], taller.vm[top] = self.vlm, self.vm
        taller.counts[top], taller.valid[top] = self.counts, self.valid
        return taller
