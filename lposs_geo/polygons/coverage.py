"""Labels as polygons: one valid coverage, without gaps or overlaps, whose shared borders are simplified together."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from lposs_geo.grid import Grid, on_ground, polygon_areas, polygon_perimeters
from lposs_geo.polygons.borders import Borders, Rings, draw_rings, find_borders, find_rings, simplify_borders
from lposs_geo.polygons.regions import STRIP_PIXELS, ReadRows, Regions, find_regions, merge_small

__all__ = ["SIMPLIFY_PX", "PolygonBatch", "polygon_batches"]

SIMPLIFY_PX = 1.0
"""Default tolerance, px: what straightens the stairs of the pixel grid and little more."""

BATCH_POINTS = 1 << 20
"""Points from which on a batch of polygons is full: with all that is made of them some 100 MB."""

BATCH_POLYGONS = 1 << 15
"""Most polygons of a batch."""


@dataclass(frozen=True)
class PolygonBatch:
    """Some of a map's polygons, each one connected patch of a class.

    Attributes
    ----------
    geometry : (n,) object
        shapely polygons in ground coordinates.
    class_id : (n,) int64
    area_m2, perimeter_m : (n,) float64
        On the ellipsoid where the CRS is geographic; map units where there is none.
    confidence : (n,) float64 or None
        Mean over the patch's pixels, percent, NaN where none is known; None where the map has no confidence.
    """

    geometry: NDArray[np.object_]
    class_id: NDArray[np.int64]
    area_m2: NDArray[np.float64]
    perimeter_m: NDArray[np.float64]
    confidence: NDArray[np.float64] | None


def polygon_batches(
    read: ReadRows,
    grid: Grid,
    folder: Path,
    *,
    simplify: float = SIMPLIFY_PX,
    min_area: float = 0.0,
    confidence: ReadRows | None = None,
    strip_pixels: int = STRIP_PIXELS,
    batch_points: int = BATCH_POINTS,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[PolygonBatch]:
    """Turn labels into polygons, one for each connected patch of a class (pixels connect by their sides).

    All polygons together are a valid coverage, in the order of their first pixels, row by row; how the work is cut into
    strips and batches changes neither. In memory are a strip of the raster, a batch of polygons, and as much of the
    borders as the system likes to keep.

    Parameters
    ----------
    read : callable
        Called with (first row, last row), exclusive: gives their labels, (rows, cols) uint8. Nodata (255) becomes no
        polygon. Each row is read once.
    grid : Grid
    folder : Path
        Scratch, empty; the caller removes it after the last batch. About 100 bytes for each corner of a border.
    simplify : float
        Tolerance in px of the Visvalingam-Whyatt simplification that all polygons share: corners that span no more than
        its square in area go. 0 keeps every pixel's edge. Borders towards nodata stay in any case.
    min_area : float
        Smaller patches are merged into their neighbours, see `regions.merge_small`; square metres, or square map units
        without a CRS. Measured on the pixels, before anything is simplified.
    confidence : callable, optional
        Like `read`: percent, 255 where unknown.
    strip_pixels, batch_points : int
        Pixels of a strip; points from which on a batch is full.
    progress : callable, optional
        Called with (done, total).

    Raises
    ------
    OSError
        If the disk is full.
    """
    passes = 3 + (min_area > 0)  # a pass over the raster each, and one over the polygons
    part = functools.partial(_part, progress, passes=passes, height=grid.height)
    regions = find_regions(read, grid, folder, confidence=confidence, strip_pixels=strip_pixels, progress=part(0))
    if min_area > 0:
        regions = merge_small(regions, min_area, folder, progress=part(1))
    borders = find_borders(regions, folder, progress=part(passes - 2))
    borders = simplify_borders(borders, simplify, folder)
    rings = find_rings(borders, len(regions), folder)
    drawn = part(passes - 1)
    first = 0
    while first < len(regions):
        last = _batch_end(rings, first, batch_points)
        yield _batch(regions, borders, rings, grid, first, last, confidence is not None)
        first = last
        if drawn is not None:
            drawn(grid.height * last // len(regions))


def _part(
    progress: Callable[[int, int], None] | None, done: int, *, passes: int, height: int
) -> Callable[[int], None] | None:
    """Progress in rows, after some passes over the raster, as a part of all passes."""
    return None if progress is None else lambda rows: progress(done * height + rows, passes * height)


def _batch_end(rings: Rings, first: int, batch_points: int) -> int:
    """The end of the batch that begins with a region: enough points, but at least one region."""
    last = min(first + BATCH_POLYGONS, len(rings))
    starts = rings.starts[first : last + 1]
    points = np.cumsum(rings.points[starts[0] : starts[-1]])
    full = np.searchsorted(points[starts[1:] - starts[0] - 1], batch_points)  # each region has a ring
    return min(first + int(full) + 1, last)


def _batch(
    regions: Regions, borders: Borders, rings: Rings, grid: Grid, first: int, last: int, confident: bool
) -> PolygonBatch:
    """The polygons of some regions."""
    # Seen on the raster, shells run against the clock; on the ground they are turned over where rows go up.
    turned = grid.transform.determinant > 0
    points, ring_starts, polygon_starts = draw_rings(borders, rings, first, last, backward=turned)
    ragged = shapely.GeometryType.POLYGON, on_ground(points, grid.transform), (ring_starts, polygon_starts)
    geometry = shapely.from_ragged_array(*ragged)
    confidence = None
    if confident:
        known = regions.confidence_count[first:last]
        confidence = np.full(last - first, np.nan)
        np.divide(regions.confidence_sum[first:last], known, out=confidence, where=known > 0)
    return PolygonBatch(
        geometry=geometry,
        class_id=regions.label[first:last].astype(np.int64),
        area_m2=polygon_areas(geometry, grid.crs),
        perimeter_m=polygon_perimeters(geometry, grid.crs),
        confidence=confidence,
    )
