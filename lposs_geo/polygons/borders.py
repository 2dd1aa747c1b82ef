"""The borders between regions: found, simplified once for both sides, and joined to the rings of polygons.

Corners of pixels form a lattice, on which the border is a planar graph. Its nodes are where three or four sides meet;
between them are arcs, each with one region on either side, and there are closed arcs without nodes, around islands. All
coordinates are (col, row) of the lattice, whole numbers, and stay so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lposs_geo.polygons.regions import DiskArray, Regions, Told, strips

__all__ = ["Borders", "Rings", "draw_rings", "find_borders", "find_rings", "simplify_borders"]

ARCS = 1 << 16
"""Arcs simplified, or nodes followed, at a time: between them Python may be interrupted."""


@dataclass(frozen=True)
class Borders:
    """The borders between regions, and towards nodata, as arcs.

    A dart is an arc in one direction: 2 * arc along its points, 2 * arc + 1 against them.

    Attributes
    ----------
    points : (n, 2) int32
        (col, row) of the lattice: of each arc both ends and the corners between; a closed arc's first point is its
        last, too.
    starts : (arcs + 1,) int64
        Where each arc begins in `points`.
    sides : (arcs, 2) int32 or int64
        Regions on the left and on the right, as seen on the raster; -1 is nodata.
    ends : (arcs, 2) int64
        Nodes at the beginning and the end, -1 for closed arcs.
    fewest : (arcs,) uint8
        Points that each must keep, so that no two become the same.
    following : (2 * arcs,) int64
        The dart after each in the ring of the region on its left.
    marks : (rows + 1, words) uint64
        A bit for each place of the lattice: whether the unsimplified borders have a corner there.
    """

    points: NDArray[np.int32]
    starts: NDArray[np.int64]
    sides: NDArray[Any]
    ends: NDArray[np.int64]
    fewest: NDArray[np.uint8]
    following: NDArray[np.int64]
    marks: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.fewest)


@dataclass(frozen=True)
class Rings:
    """The rings of regions; of each region the shell first, then its holes.

    Attributes
    ----------
    starts : (regions + 1,) int64
        Where each region's rings begin.
    darts : (rings,) int64
        A dart of each.
    points : (rings,) int64
        Number of points of each, the first one counted twice.
    """

    starts: NDArray[np.int64]
    darts: NDArray[np.int64]
    points: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1


def find_borders(regions: Regions, folder: Path, *, report: Told | None = None) -> Borders:
    """Find the borders of regions: exactly the sides of their pixels, without points inside straight lines.

    Parameters
    ----------
    regions : Regions
    folder : Path
        For what is too large for memory; the result lives there.
    report : callable, optional
        Told how many rows are done.

    Raises
    ------
    OSError
        If the disk is full.
    """
    from lposs_geo.polygons import border_kernel as kernel

    rows, cols = regions.shape
    runs = cols, regions.row_starts, regions.run_end, regions.run_region
    ids = regions.run_region.dtype
    lines = [(first, last + (last == rows)) for first, last in strips(regions.shape)]  # a row more than of pixels
    counts = [kernel.count_corners(first, last, *runs) for first, last in lines]
    corners, nodes, tips = np.array(counts).sum(axis=0).tolist()
    corner_arrays = [
        _array(folder, "place", np.int32, corners, 2),
        _array(folder, "bits", np.uint8, corners),
        _array(folder, "link", np.int64, corners),
        _array(folder, "node_corner", np.int64, nodes),
        _array(folder, "node_link", np.int64, nodes, 2),
        _array(folder, "node_cells", ids, nodes, 4),
        _array(folder, "tip_sides", ids, tips, 2),
    ]
    marks = _array(folder, "marks", np.uint64, rows + 1, (cols + 64) // 64)
    open_corner = np.zeros(cols + 1, np.int64)
    found = 0, 0, 0
    for first, last in lines:
        found = kernel.find_corners(first, last, *runs, *found, *corner_arrays, open_corner, marks)
        if report is not None:
            report(min(last, rows))
    return _follow(corner_arrays, marks, folder)


def _follow(corner_arrays: list[NDArray[Any]], marks: NDArray[np.uint64], folder: Path) -> Borders:
    """Follow the borders from corner to corner."""
    from lposs_geo.polygons import border_kernel as kernel

    place, bits, link, node_corner, node_link, node_cells, tip_sides = corner_arrays
    corners, nodes, tips = len(place), len(node_corner), len(tip_sides)
    meeting = 4 * nodes - int((bits[node_corner] & 15 != 15).sum())  # a node has three sides or four
    most = meeting // 2 + tips
    points = _array(folder, "points", np.int32, corners - nodes + meeting + tips, 2)
    starts = _array(folder, "starts", np.int64, most + 1)
    sides = _array(folder, "sides", node_cells.dtype, most, 2)
    ends = _array(folder, "ends", np.int64, most, 2)
    leaving = _array(folder, "leaving", np.int64, nodes, 4)
    leaving[:] = -1
    arcs = number = seen = 0
    for first in range(0, nodes, ARCS):
        span = first, min(first + ARCS, nodes)
        graph = place, bits, link, node_corner, node_link, node_cells, leaving
        arcs, number = kernel.follow_open(*span, arcs, number, *graph, points, starts, sides, ends)
    for first in range(0, corners, ARCS):
        span = first, min(first + ARCS, corners)
        closed = place, bits, link, node_link, tip_sides
        seen, arcs, number = kernel.follow_closed(*span, seen, arcs, number, *closed, points, starts, sides, ends)
    starts, sides, ends = starts[: arcs + 1], sides[:arcs], ends[:arcs]
    following = _array(folder, "following", np.int64, 2 * arcs)
    following[:] = np.arange(2 * arcs)
    kernel.join(leaving, node_cells, following)
    fewest = _array(folder, "fewest", np.uint8, arcs)
    kernel.fewest_points(starts, sides, ends, leaving, fewest)
    return Borders(points[:number], starts, sides, ends, fewest, following, marks)


def simplify_borders(borders: Borders, tolerance: float, folder: Path) -> Borders:
    """Simplify borders between regions by Visvalingam and Whyatt's method, each arc once for both its sides.

    Of an arc's corners the one that spans the smallest triangle with its two neighbours goes first, until all span more
    than the tolerance's square. Nodes, and borders towards nodata, stay where they are.

    A corner only goes if no corner of the *unsimplified* borders is in its triangle, apart from those of its own arc
    that went before. So no other border, however far it is simplified, is ever crossed, touched or jumped over: what is
    left is the same map with other outlines, and it doesn't depend on the order of the arcs.

    Parameters
    ----------
    borders : Borders
        Unsimplified.
    tolerance : float
        Px; below 0.71, the square root of half a pixel, nothing goes.
    folder : Path
        Another one than that of `borders`, or the same.

    Raises
    ------
    OSError
        If the disk is full.
    """
    from lposs_geo.polygons import border_kernel as kernel

    # Beyond this every triangle goes.
    limit = min(math.floor(2 * tolerance**2 * (1 + 1e-12)), 1 << 62)
    if limit < 1 or not len(borders):
        return borders
    points = _array(folder, "simple_points", np.int32, len(borders.points), 2)
    starts = _array(folder, "simple_starts", np.int64, len(borders) + 1)
    for first in range(0, len(borders), ARCS):
        last = min(first + ARCS, len(borders))
        longest = 3 * int(np.diff(borders.starts[first : last + 1]).max())
        kernel.simplify(
            first,
            last,
            limit,
            borders.points,
            borders.starts,
            borders.sides,
            borders.ends,
            borders.fewest,
            borders.marks,
            np.empty((5, longest), np.int64),
            np.zeros(longest, np.bool_),
            points,
            starts,
        )
    return replace(borders, points=points[: int(starts[-1])], starts=starts)


def find_rings(borders: Borders, regions: int, folder: Path) -> Rings:
    """Join arcs to the rings around each of so many regions; rings may touch each other, but none touches itself.

    Raises
    ------
    OSError
        If the disk is full.
    """
    from lposs_geo.polygons import border_kernel as kernel

    starts = _array(folder, "ring_starts", np.int64, regions + 1)
    done = _array(folder, "ring_done", np.uint8, 2 * len(borders))
    total = kernel.count_rings(borders.sides, borders.following, done, starts[1:])
    np.cumsum(starts, out=starts)
    darts, points = _array(folder, "ring_darts", np.int64, total), _array(folder, "ring_points", np.int64, total)
    hole = starts[:-1] + 1
    kernel.list_rings(
        borders.points, borders.starts, borders.sides, borders.following, done, starts[:-1], hole, darts, points
    )
    return Rings(starts, darts, points)


def draw_rings(
    borders: Borders, rings: Rings, first: int, last: int, *, backward: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Write the rings of some regions as ragged arrays, the form from which shapely makes polygons at once.

    Parameters
    ----------
    borders : Borders
    rings : Rings
    first, last : int
        Regions, `last` exclusive.
    backward : bool
        Whether regions are on the right of their rings as seen on the raster, instead of the left.

    Returns
    -------
    points : (n, 2) float64
        (col, row); each ring is closed.
    ring_starts : (rings + 1,) int64
        Where each ring begins in `points`, and the last one ends.
    polygon_starts : (last - first + 1,) int64
        Where each region's rings begin.
    """
    from lposs_geo.polygons import border_kernel as kernel

    polygon_starts = rings.starts[first : last + 1]
    own = slice(int(polygon_starts[0]), int(polygon_starts[-1]))
    ring_starts = np.zeros(own.stop - own.start + 1, np.int64)
    np.cumsum(rings.points[own], out=ring_starts[1:])
    points = np.empty((int(ring_starts[-1]), 2))
    kernel.draw_rings(
        borders.points, borders.starts, borders.following, rings.darts[own], ring_starts, backward, points
    )
    return points, ring_starts, polygon_starts - polygon_starts[0]


def _array(folder: Path, name: str, dtype: DTypeLike, *shape: int) -> NDArray[Any]:
    """An array of zeros on the disk."""
    return DiskArray(folder / f"{name}.borders", dtype, *shape[1:]).mapped(shape[0])
