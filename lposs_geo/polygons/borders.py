"""The borders between regions: drawn, simplified once for both sides, and joined to the rings of polygons.

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

from lposs_geo.polygons.bundles import Arcs, Corners, Lattice, Nodes, RingList
from lposs_geo.polygons.growing_array import GrowingArray
from lposs_geo.polygons.regions import CountDone, Regions, strips

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
        Index in `points` of each arc's first.
    sides : (arcs, 2) int32 or int64
        Regions on the left and on the right, as seen on the raster; -1 is nodata.
    ends : (arcs, 2) int64
        Nodes at the beginning and the end, -1 for closed arcs.
    fewest : (arcs,) uint8
        Points that each must keep, so that no two become the same.
    following : (2 * arcs,) int64
        The dart after each in the ring of the region on its left.
    marks : (rows + 1, words) uint64
        A bit for each point of the lattice: 1 where the unsimplified borders have a corner.
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

    @property
    def arcs(self) -> Arcs:
        """Points, sides and ends, as compiled loops take them."""
        return Arcs(self.points, self.starts, self.sides, self.ends)


@dataclass(frozen=True)
class Rings:
    """The rings of regions; of each region the shell first, then its holes.

    Attributes
    ----------
    starts : (regions + 1,) int64
        Index of each region's shell.
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


def find_borders(regions: Regions, folder: Path, *, progress: CountDone | None = None) -> Borders:
    """Find the borders of regions: exactly the sides of their pixels, without points inside straight lines.

    Parameters
    ----------
    regions : Regions
    folder : Path
        For what is too large for memory; the result lives there.
    progress : callable, optional
        Called with the number of rows that are done.

    Raises
    ------
    OSError
        If the disk is full.
    """
    from lposs_geo.polygons.corner_kernel import CornerCounts, count_corners, find_corners

    rows, cols = regions.shape
    ids = regions.run_region.dtype
    lines = [(first, last + (last == rows)) for first, last in strips(regions.shape)]  # a row more than of pixels
    counts = [count_corners(first, last, cols, regions.runs) for first, last in lines]
    corners, nodes, tips = np.array(counts).sum(axis=0).tolist()
    lattice = Lattice(
        Corners(
            _array(folder, "position", np.int32, corners, 2),
            _array(folder, "bits", np.uint8, corners),
            _array(folder, "link", np.int64, corners),
        ),
        Nodes(
            _array(folder, "node_corner", np.int64, nodes),
            _array(folder, "node_link", np.int64, nodes, 2),
            _array(folder, "node_cells", ids, nodes, 4),
        ),
        _array(folder, "tips", ids, tips, 2),
        _array(folder, "marks", np.uint64, rows + 1, (cols + 64) // 64),
    )
    open_corner = np.zeros(cols + 1, np.int64)
    number = CornerCounts(0, 0, 0)
    for first, last in lines:
        number = find_corners(first, last, cols, regions.runs, number, lattice, open_corner)
        if progress is not None:
            progress(min(last, rows))
    return _follow(lattice, folder)


def _follow(lattice: Lattice, folder: Path) -> Borders:
    """Follow the borders from corner to corner."""
    from lposs_geo.polygons.arc_kernel import ArcCounts, fewest_points, follow_closed, follow_open
    from lposs_geo.polygons.ring_kernel import join

    bits, cells = lattice.corners.sides, lattice.nodes.cells
    corners, nodes, tips = len(bits), len(cells), len(lattice.tips)
    meeting = 4 * nodes - int((bits[lattice.nodes.corner] & 15 != 15).sum())  # a node has three sides or four
    most = meeting // 2 + tips
    arcs = Arcs(
        _array(folder, "points", np.int32, corners - nodes + meeting + tips, 2),
        _array(folder, "starts", np.int64, most + 1),
        _array(folder, "sides", cells.dtype, most, 2),
        _array(folder, "ends", np.int64, most, 2),
    )
    leaving = _array(folder, "leaving", np.int64, nodes, 4)
    leaving[:] = -1
    number = ArcCounts(0, 0, 0)
    for first in range(0, nodes, ARCS):
        number = follow_open(first, min(first + ARCS, nodes), number, lattice, leaving, arcs)
    for first in range(0, corners, ARCS):
        number = follow_closed(first, min(first + ARCS, corners), number, lattice, arcs)
    length = number.arcs
    arcs = Arcs(arcs.points[: number.points], arcs.starts[: length + 1], arcs.sides[:length], arcs.ends[:length])
    following = _array(folder, "following", np.int64, 2 * length)
    following[:] = np.arange(2 * length)
    join(leaving, cells, following)
    fewest = _array(folder, "fewest", np.uint8, length)
    fewest_points(arcs, leaving, fewest)
    return Borders(*arcs, fewest, following, lattice.marks)


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
    from lposs_geo.polygons.simplify_kernel import Simplified, scratch_for, simplify

    # Beyond this every triangle goes.
    limit = min(math.floor(2 * tolerance**2 * (1 + 1e-12)), 1 << 62)
    if limit < 1 or not len(borders):
        return borders
    points = _array(folder, "simple_points", np.int32, len(borders.points), 2)
    starts = _array(folder, "simple_starts", np.int64, len(borders) + 1)
    for first in range(0, len(borders), ARCS):
        last = min(first + ARCS, len(borders))
        scratch = scratch_for(int(np.diff(borders.starts[first : last + 1]).max()))
        out = Simplified(points, starts)
        simplify(first, last, limit, borders.arcs, borders.fewest, borders.marks, scratch, out)
    return replace(borders, points=points[: int(starts[-1])], starts=starts)


def find_rings(borders: Borders, regions: int, folder: Path) -> Rings:
    """Join arcs to the rings around each of so many regions; rings may touch each other, but none touches itself.

    Raises
    ------
    OSError
        If the disk is full.
    """
    from lposs_geo.polygons.ring_kernel import count_rings, list_rings

    starts = _array(folder, "ring_starts", np.int64, regions + 1)
    done = _array(folder, "ring_done", np.uint8, 2 * len(borders))
    total = count_rings(borders.sides, borders.following, done, starts[1:])
    np.cumsum(starts, out=starts)
    darts, points = _array(folder, "ring_darts", np.int64, total), _array(folder, "ring_points", np.int64, total)
    hole = starts[:-1] + 1
    list_rings(borders.arcs, borders.following, done, starts[:-1], hole, RingList(darts, points))
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
        Regions are on the right of their rings as seen on the raster, instead of the left.

    Returns
    -------
    points : (n, 2) float64
        (col, row); each ring is closed.
    ring_starts : (rings + 1,) int64
        Index in `points` of each ring's first, and of the end.
    polygon_starts : (last - first + 1,) int64
        Index of each region's first ring.
    """
    from lposs_geo.polygons import ring_kernel

    polygon_starts = rings.starts[first : last + 1]
    own = slice(int(polygon_starts[0]), int(polygon_starts[-1]))
    ring_starts = np.zeros(own.stop - own.start + 1, np.int64)
    np.cumsum(rings.points[own], out=ring_starts[1:])
    points = np.empty((int(ring_starts[-1]), 2))
    ring_kernel.draw_rings(borders.arcs, borders.following, rings.darts[own], ring_starts, backward, points)
    return points, ring_starts, polygon_starts - polygon_starts[0]


def _array(folder: Path, name: str, dtype: DTypeLike, *shape: int) -> NDArray[Any]:
    """An array of zeros on the disk."""
    return GrowingArray(folder / f"{name}.borders", dtype, *shape[1:]).mapped(shape[0])
