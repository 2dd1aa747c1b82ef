"""The connected patches of a label raster, of which only a strip is ever in memory; what is kept are runs of pixels.

Pixels connect by their sides. Regions are numbered in the order of their first pixels, row by row, and nothing about
them depends on how the raster was cut into strips.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lposs_geo.grid import Grid
from lposs_geo.polygons.bundles import Members, Pieces, RegionFacts, Runs
from lposs_geo.polygons.growing_array import GrowingArray

if TYPE_CHECKING:
    from lposs_geo.polygons.region_kernel import Strip

__all__ = ["STRIP_PIXELS", "CountDone", "ReadRows", "Regions", "find_regions", "merge_small", "strips"]

STRIP_PIXELS = 1 << 22
"""Pixels of a strip: some 20 MB with their labels, confidence and what is made of them on the way."""

SHORT_IDS = 1 << 31
"""Rasters of fewer pixels have ids of 32 bits."""

ReadRows = Callable[[int, int], NDArray[np.uint8]]
"""Called with (first row, last row), exclusive: gives their pixels, (rows, cols) uint8."""

CountDone = Callable[[int], None]
"""Called with the number of rows, or of other steps, that are done."""


@dataclass(frozen=True)
class Regions:
    """The connected patches of a label raster, as runs: pixels of a region side by side in a row.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the raster.
    row_starts : (rows + 1,) int64
        Index of each row's first run.
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

    @property
    def runs(self) -> Runs:
        """Runs of pixels, as compiled loops take them."""
        return Runs(self.row_starts, self.run_end, self.run_region)

    @property
    def facts(self) -> RegionFacts:
        """Facts by region, as compiled loops take them."""
        return RegionFacts(self.label, self.area, self.confidence_sum, self.confidence_count)


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
    progress: CountDone | None = None,
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
    progress : callable, optional
        Called with the number of rows that are done.

    Raises
    ------
    OSError
        If the disk is full.
    """
    from lposs_geo.polygons.region_kernel import fold, label_rows, resolve

    shape = grid.height, grid.width
    ids = np.dtype(np.int32 if grid.height * grid.width < SHORT_IDS else np.int64)
    known = confidence is not None
    row_starts = GrowingArray(folder / "row_starts.regions", np.int64).mapped(grid.height + 1)

    def array(name: str, dtype: DTypeLike) -> GrowingArray:
        return GrowingArray(folder / f"{name}.regions", dtype)

    run_end, run_region, parent = array("run_end", np.int32), array("run_region", ids), array("parent", ids)
    by_id = array("label", np.uint8), array("area", np.float64), array("sum", np.int64), array("count", np.int64)

    def facts(length: int) -> RegionFacts:
        label, area, total, number = by_id
        confident = length if known else 0
        return RegionFacts(label.mapped(length), area.mapped(length), total.mapped(confident), number.mapped(confident))

    number = used = 0
    for first, last in strips(shape, strip_pixels):
        strip = _strip(read, confidence, grid, first, last)
        more = last - first + int(np.count_nonzero(strip.labels[:, 1:] != strip.labels[:, :-1]))
        number += more
        runs = Runs(row_starts, run_end.mapped(number), run_region.mapped(number))
        longest = used + more  # each run may begin a region
        used = label_rows(strip, used, runs, parent.mapped(longest), facts(longest))
        if progress is not None:
            progress(last)
    runs = Runs(row_starts, run_end.mapped(number), run_region.mapped(number))
    region, of_regions = parent.mapped(used), facts(used)
    of_regions = of_regions.of_first(fold(region, of_regions))
    resolve(runs.region, region, runs.region)
    return Regions(shape, *runs, **of_regions._asdict())


def _strip(read: ReadRows, confidence: ReadRows | None, grid: Grid, first: int, last: int) -> Strip:
    """Read some rows."""
    from lposs_geo.polygons.region_kernel import Strip

    percent = np.zeros((last - first, 0), np.uint8)
    labels = np.array(read(first, last), np.uint8, order="C")
    if confidence is not None:
        percent = np.array(confidence(first, last), np.uint8, order="C")
    return Strip(labels, grid.pixel_areas(first, last), percent, first)


def merge_small(
    regions: Regions,
    min_area: float,
    folder: Path,
    *,
    progress: CountDone | None = None,
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
        Square metres, or square map units without a CRS. A region that falls short of it by rounding alone isn't small.
    folder : Path
        Another one than that of `regions`, or the same.
    progress : callable, optional
        Called with the number of rows that are done.

    Raises
    ------
    OSError
        If the disk is full.
    """
    from lposs_geo.polygons.merge_kernel import fold_merged, merge
    from lposs_geo.polygons.region_kernel import resolve

    limit = min_area * (1 - 1e-9)
    ids = regions.run_region.dtype

    def array(name: str, dtype: DTypeLike, length: int = len(regions)) -> NDArray[Any]:
        return GrowingArray(folder / f"{name}.merging", dtype).mapped(length)

    pieces = _small_pieces(regions, limit, array, progress)
    members = Members(array("parent", ids), array("following", ids), array("last", ids))
    members.parent[:] = members.last[:] = np.arange(len(regions), dtype=ids)
    members.following[:] = -1
    known = len(regions.confidence_sum)
    facts = RegionFacts(
        array("label", np.uint8),
        array("area", np.float64),
        array("sum", np.int64, known),
        array("count", np.int64, known),
    )
    facts.label[:], facts.area[:] = regions.label, regions.area
    facts.confidence_sum[:], facts.confidence_count[:] = regions.confidence_sum, regions.confidence_count
    merge(pieces, limit, members, facts, array("tally", np.int64))
    facts = facts.of_first(fold_merged(members.parent, facts))
    run_region = array("run_region", ids, len(regions.run_region))
    resolve(regions.run_region, members.parent, run_region)
    return replace(regions, run_region=run_region, **facts._asdict())


def _small_pieces(
    regions: Regions, limit: float, array: Callable[..., NDArray[Any]], progress: CountDone | None
) -> Pieces:
    """Pieces of the borders of regions smaller than `limit`."""
    from lposs_geo.polygons.merge_kernel import list_pieces

    ids = regions.run_region.dtype
    starts, ends = array("starts", np.int64, len(regions) + 1), array("ends", np.int64)
    numbers = Pieces(starts[1:], np.empty(0, ids), np.empty(0, np.int32))
    for first, last in strips(regions.shape):
        list_pieces(first, last, regions.runs, regions.area, limit, numbers)
    np.cumsum(starts, out=starts)
    ends[:] = starts[:-1]
    listed = int(starts[-1])
    neighbours, lengths = array("neighbours", ids, listed), array("lengths", np.int32, listed)
    for first, last in strips(regions.shape):
        if listed:
            list_pieces(first, last, regions.runs, regions.area, limit, Pieces(ends, neighbours, lengths))
        if progress is not None:
            progress(last)
    return Pieces(starts, neighbours, lengths)
