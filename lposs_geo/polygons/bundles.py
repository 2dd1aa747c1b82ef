"""Arrays that go together, by name: the compiled loops of this wing take them and fill them in place.

numba knows a tuple by its class: so arrays in a row can't be mixed up, and compiled code is still cached.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Arcs", "Corners", "Lattice", "Members", "Nodes", "Pieces", "RegionFacts", "RingList", "Runs"]


class Runs(NamedTuple):
    """A label raster as runs: pixels of a region side by side in a row.

    Attributes
    ----------
    row_starts : (rows + 1,) int64
        Index of each row's first run.
    end : (runs,) int32
        Column after the last pixel of each; a row's first run begins in column 0, the next where that ends.
    region : (runs,) int32 or int64
        The region of each, -1 for nodata. Neighbours may be of the same one.
    """

    row_starts: NDArray[np.int64]
    end: NDArray[np.int32]
    region: NDArray[Any]


class RegionFacts(NamedTuple):
    """Class, size and confidence of regions, or of the preliminary ids that become regions.

    Attributes
    ----------
    label : (N,) uint8
    area : (N,) float64
        Square metres, or square map units without a CRS.
    confidence_sum, confidence_count : (N,) int64
        Over pixels whose confidence is known; empty where the raster has none.
    """

    label: NDArray[np.uint8]
    area: NDArray[np.float64]
    confidence_sum: NDArray[np.int64]
    confidence_count: NDArray[np.int64]

    def of_first(self, number: int) -> RegionFacts:
        """Those of the first regions only."""
        label, area, confidence_sum, confidence_count = self
        return RegionFacts(label[:number], area[:number], confidence_sum[:number], confidence_count[:number])


class Pieces(NamedTuple):
    """The pieces of small regions' borders, each with one other region beyond it.

    Attributes
    ----------
    starts : (N + 1,) int64
        Index of the first piece of each region; the pieces of a large one aren't listed.
    neighbours : (pieces,) int32 or int64
        The region beyond each.
    lengths : (pieces,) int32
        Pixel sides of each.
    """

    starts: NDArray[np.int64]
    neighbours: NDArray[Any]
    lengths: NDArray[np.int32]


class Members(NamedTuple):
    """Regions that were merged, as linked lists that begin at the region with the lowest id, the root.

    Attributes
    ----------
    parent : (N,) int32 or int64
        The way from each region to its root.
    following : (N,) int32 or int64
        The next member after each, -1 after the last.
    last : (N,) int32 or int64
        A root's last member.
    """

    parent: NDArray[Any]
    following: NDArray[Any]
    last: NDArray[Any]


class Corners(NamedTuple):
    """Corners of the border on the lattice, row by row.

    Attributes
    ----------
    position : (corners, 2) int32
        (col, row) on the lattice.
    sides : (corners,) uint8
        Sides that are border, as bits, with marks, see `corner_kernel`.
    link : (corners,) int64
        For a node its number, else the corner above or below on the same border.
    """

    position: NDArray[np.int32]
    sides: NDArray[np.uint8]
    link: NDArray[np.int64]


class Nodes(NamedTuple):
    """Corners at which three or four sides are border.

    Attributes
    ----------
    corner : (nodes,) int64
    link : (nodes, 2) int64
        The corners below and above on the same border.
    cells : (nodes, 4) int32 or int64
        Regions around it: below right, below left, above left, above right.
    """

    corner: NDArray[np.int64]
    link: NDArray[np.int64]
    cells: NDArray[Any]


class Lattice(NamedTuple):
    """The border as a graph of corners.

    Attributes
    ----------
    corners : Corners
    nodes : Nodes
    tips : (tips, 2) int32 or int64
        Of corners whose border goes right and down: the regions above (which is all around) and below right.
    marks : (rows + 1, words) uint64
        A bit for each point of the lattice: 1 where a corner is.
    """

    corners: Corners
    nodes: Nodes
    tips: NDArray[Any]
    marks: NDArray[np.uint64]


class Arcs(NamedTuple):
    """Lines of the border from node to node, and closed ones without nodes.

    Attributes
    ----------
    points : (points, 2) int32
        (col, row) on the lattice, arc after arc: both ends and the corners between. A closed arc's first point is its
        last, too.
    starts : (arcs + 1,) int64
        Index of the first point of each.
    sides : (arcs, 2) int32 or int64
        Regions on the left and on the right, as seen on the raster; -1 is nodata.
    ends : (arcs, 2) int64
        Nodes at the beginning and the end, -1 for closed arcs.
    """

    points: NDArray[np.int32]
    starts: NDArray[np.int64]
    sides: NDArray[Any]
    ends: NDArray[np.int64]


class RingList(NamedTuple):
    """Rings in the order of their regions; of each region the shell first, then its holes.

    Attributes
    ----------
    dart : (rings,) int64
        A dart of each.
    points : (rings,) int64
        Number of points of each, the first one counted twice.
    """

    dart: NDArray[np.int64]
    points: NDArray[np.int64]
