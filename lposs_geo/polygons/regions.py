"""The connected patches of a label raster, of which only a strip is ever in memory; what is kept are runs of pixels.

Pixels connect by their sides. Regions are numbered in the order of their first pixels, row by row, and nothing about
them depends on how the raster was cut into strips.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lposs_geo.grid import Grid

__all__ = ["STRIP_PIXELS", "DiskArray", "ReadRows", "Regions", "find_regions", "merge_small", "strips"]

STRIP_PIXELS = 1 << 22
"""Pixels of a strip: some 20 MB with their labels, confidence and what is made of them on the way."""

SHORT_IDS = 1 << 31
"""Rasters of fewer pixels have ids of 32 bits."""

ReadRows = Callable[[int, int], NDArray[np.uint8]]
"""Called with (first row, last row), exclusive: gives their pixels, (rows, cols) uint8."""

Told = Callable[[int], None]
"""Called with the number of rows, or of what else there is, that are done."""


class DiskArray:
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
        self.held = 0  # bytes
        path.write_bytes(b"")

    def mapped(self, length: int) -> NDArray[Any]:
        """The array, grown to (at least) `length` entries; new ones are zero. Arrays given earlier stay as they are.

        Raises
        ------
        OSError
            If the disk is full.
        """
        shape = (length, *self.shape)
        needed = int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize
        if not needed:
            return np.zeros(shape, self.dtype)
        if needed > self.held:
            with self.path.open("r+b") as file:
                _allocate(file.fileno(), self.held, needed - self.held)
            self.held = needed
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


@dataclass(frozen=True)
class Regions:
    """The connected patches of a label raster, as runs: pixels of a region side by side in a row.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the raster.
    row_starts : (rows + 1,) int64
        Where each row's runs begin.
    run_end : (runs,) int32
        Column after the last pixel of each; a row's first run begins in column 0, the next where that ends.
    run_region : (runs,) int32 or int64
        The region of each, -1 for nodata. Neighbours may be of the same one.
    label : (N,) uint8
        Of each region.
    area : (N,) float64
        Square metres, or square map units without a CRS.
    confidence_sum, confidence_count : (N,) int64
        Over pixels whose confidence is known; empty where the raster has none.
    """

    shape: tuple[int, int]
    row_starts: NDArray[np.int64]
    run_end: NDArray[np.int32]
    run_region: NDArray[Any]
    label: NDArray[np.uint8]
    area: NDArray[np.float64]
    confidence_sum: NDArray[np.int64]
    confidence_count: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)


def strips(shape: tuple[int, int], strip_pixels: int = STRIP_PIXELS) -> Iterator[tuple[int, int]]:
    """Cut a raster into strips (first row, last row) of about so many pixels, at least a row each."""
    rows, cols = shape
    step = max(1, strip_pixels // max(cols, 1))
    if step > 512:
        step -= step % 512  # whole blocks of the file
    for first in range(0, rows, step):
        yield first, min(first + step, rows)


def find_regions(
    read: ReadRows,
    grid: Grid,
    folder: Path,
    *,
    confidence: ReadRows | None = None,
    strip_pixels: int = STRIP_PIXELS,
    report: Told | None = None,
) -> Regions:
    """Find the connected patches of a label raster.

    Parameters
    ----------
    read : callable
        Gives the labels of some rows; 255 is nodata, which is no region.
    grid : Grid
    folder : Path
        For what is too large for memory; the result lives there.
    confidence : callable, optional
        Gives the confidence of some rows, percent, 255 where unknown.
    strip_pixels : int
    report : callable, optional
        Told how many rows are done.

    Raises
    ------
    OSError
        If the disk is full.
    """
    from lposs_geo.polygons.region_kernel import fold, label_rows, resolve

    shape = grid.height, grid.width
    ids = np.dtype(np.int32 if grid.height * grid.width < SHORT_IDS else np.int64)
    known = 0 if confidence is None else 1
    row_starts = DiskArray(folder / "row_starts.regions", np.int64).mapped(grid.height + 1)
    layouts: list[tuple[str, DTypeLike]] = [
        ("run_end", np.int32),
        ("run_region", ids),
    ]  # of runs, and then of preliminary ids
    layouts += [("parent", ids), ("label", np.uint8), ("area", np.float64), ("sum", np.int64), ("count", np.int64)]
    stores = [DiskArray(folder / f"{name}.regions", dtype) for name, dtype in layouts]

    def arrays(runs: int, used: int) -> list[NDArray[Any]]:
        lengths = [runs] * 2 + [used] * 3 + [known * used] * 2
        return [store.mapped(length) for store, length in zip(stores, lengths, strict=True)]

    runs = used = 0
    for first, last in strips(shape, strip_pixels):
        labels = np.array(read(first, last), np.uint8, order="C")
        sure = np.zeros((last - first, 0), np.uint8)
        if confidence is not None:
            sure = np.array(confidence(first, last), np.uint8, order="C")
        more = last - first + int(np.count_nonzero(labels[:, 1:] != labels[:, :-1]))
        runs += more
        held = arrays(runs, used + more)  # each run may begin a region
        used = label_rows(labels, grid.pixel_areas(first, last), sure, first, used, row_starts, *held)
        if report is not None:
            report(last)
    run_end, run_region, parent, *rest = arrays(runs, used)
    found = fold(parent, *rest)
    resolve(run_region, parent, run_region)
    return Regions(shape, row_starts, run_end, run_region, *(array[:found] for array in rest))


def merge_small(
    regions: Regions,
    min_area: float,
    folder: Path,
    *,
    report: Told | None = None,
) -> Regions:
    """Merge small regions into their neighbours.

    The smallest region (of equal ones, the one that begins first) joins the neighbour with which it shares the most
    pixel sides (of those, the largest, then the one that begins first) and takes its class; neighbours that now are of
    one class become one region, too. This repeats until what is smaller than `min_area` has no neighbour. Nodata is
    none: an island amid nodata stays, and nothing is ever dropped. The confidence of what was merged is the mean over
    all its pixels, also those that had another class.

    Parameters
    ----------
    regions : Regions
    min_area : float
        Square metres, or square map units without a CRS. What falls short of it by rounding alone isn't small.
    folder : Path
        Another one than that of `regions`, or the same.
    report : callable, optional
        Told how many rows are done.

    Raises
    ------
    OSError
        If the disk is full.
    """
    from lposs_geo.polygons.region_kernel import fold_merged, list_borders, merge, resolve

    limit = min_area * (1 - 1e-9)
    number, ids = len(regions), regions.run_region.dtype

    def array(name: str, dtype: DTypeLike, length: int = number) -> NDArray[Any]:
        return DiskArray(folder / f"{name}.merging", dtype).mapped(length)

    runs = regions.row_starts, regions.run_end, regions.run_region
    starts, ends = array("starts", np.int64, number + 1), array("ends", np.int64)
    none = np.empty(0, ids), np.empty(0, np.int32)
    for first, last in strips(regions.shape):
        list_borders(first, last, *runs, regions.area, limit, starts[1:], *none)
    np.cumsum(starts, out=starts)
    ends[:] = starts[:-1]
    listed = int(starts[-1])
    neighbours, lengths = array("neighbours", ids, listed), array("lengths", np.int32, listed)
    for first, last in strips(regions.shape):
        if listed:
            list_borders(first, last, *runs, regions.area, limit, ends, neighbours, lengths)
        if report is not None:
            report(last)
    parent, last_member, following = array("parent", ids), array("last", ids), array("following", ids)
    parent[:] = last_member[:] = np.arange(number, dtype=ids)
    following[:] = -1
    ends[:] = 0
    label, area = array("label", np.uint8), array("area", np.float64)
    label[:], area[:] = regions.label, regions.area
    known = len(regions.confidence_sum)
    total, count = array("sum", np.int64, known), array("count", np.int64, known)
    total[:], count[:] = regions.confidence_sum, regions.confidence_count
    merge(starts, neighbours, lengths, limit, parent, label, area, following, last_member, ends)
    left = fold_merged(parent, label, area, total, count)
    run_region = array("run_region", ids, len(regions.run_region))
    resolve(regions.run_region, parent, run_region)
    return replace(
        regions,
        run_region=run_region,
        label=label[:left],
        area=area[:left],
        confidence_sum=total[:left],
        confidence_count=count[:left],
    )
