"""Following borders from corner to corner, compiled: lines from node to node, and closed ones.

`corner_kernel` says how the sides and cells of a corner are numbered. A dart is an arc in one direction: 2 * arc along
its points, 2 * arc + 1 against them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lposs_geo.jit import jit
from lposs_geo.polygons.bundles import Arcs, Lattice
from lposs_geo.polygons.corner_kernel import DONE, DOWN, LEFT, NODE, RIGHT

__all__ = ["ArcCounts", "fewest_points", "follow_closed", "follow_open"]


class ArcCounts(NamedTuple):
    """Numbers of arcs and of their points so far, and of the tips that were looked at for closed arcs."""

    arcs: int
    points: int
    tips: int


@jit
def _next_corner(corner: int, side: int, bits: int, link: NDArray[np.int64], node_link: NDArray[np.int64]) -> int:
    """The corner that the border on a side of a corner leads to."""
    if side == 0:
        return corner + 1
    if side == 2:
        return corner - 1
    if bits & NODE:
        return int(node_link[link[corner], 0 if side == 1 else 1])
    return int(link[corner])


@jit
def _onward(bits: int, came: int) -> int:
    """The other side of a corner that has two, coming along side `came`."""
    rest = (bits & 15) & ~(1 << came)
    if rest == RIGHT:
        return 0
    if rest == DOWN:
        return 1
    return 2 if rest == LEFT else 3


@jit
def follow_open(
    first_node: int, last_node: int, before: ArcCounts, lattice: Lattice, leaving: NDArray[np.int64], out: Arcs
) -> ArcCounts:
    """Follow the arcs that leave some nodes and haven't been followed from their other end.

    Parameters
    ----------
    first_node, last_node : int
    before : ArcCounts
    lattice : Lattice
        Corners that are passed are marked as done.
    leaving : (nodes, 4) int64
        By side, the dart that leaves the node there, -1 where unknown; in place.
    out : Arcs
        Receives the arcs.

    Returns
    -------
    ArcCounts
        `before` and what was added.
    """
    arcs, points, tips = before
    position, bits, link = lattice.corners
    node_corner, node_link, node_cells = lattice.nodes
    arc_points, starts, sides, ends = out
    for node in range(first_node, last_node):
        for side in range(4):
            begin = node_corner[node]
            if not (bits[begin] >> side) & 1 or leaving[node, side] >= 0:
                continue
            leaving[node, side] = 2 * arcs
            sides[arcs, 0] = node_cells[node, (side + 3) & 3]
            sides[arcs, 1] = node_cells[node, side]
            arc_points[points, 0], arc_points[points, 1] = position[begin, 0], position[begin, 1]
            points += 1
            corner = np.int64(begin)
            onto = side
            while True:
                corner = _next_corner(corner, onto, bits[corner], link, node_link)
                came = (onto + 2) & 3
                arc_points[points, 0], arc_points[points, 1] = position[corner, 0], position[corner, 1]
                points += 1
                if bits[corner] & NODE:
                    break
                bits[corner] |= DONE
                onto = _onward(bits[corner], came)
            other = link[corner]
            leaving[other, came] = 2 * arcs + 1
            ends[arcs, 0] = node
            ends[arcs, 1] = other
            arcs += 1
            starts[arcs] = points
    return ArcCounts(arcs, points, tips)


@jit
def follow_closed(first_corner: int, last_corner: int, before: ArcCounts, lattice: Lattice, out: Arcs) -> ArcCounts:
    """Follow arcs without nodes, once all others are followed; their first point is their last, too, and ends are -1.

    The first corner of such an arc, row by row, is its leftmost uppermost one, and goes right and down. Parameters are
    those of `follow_open`, but for corners in the place of nodes.
    """
    arcs, points, tips = before
    position, bits, link = lattice.corners
    node_link, tip_cells = lattice.nodes.link, lattice.tips
    arc_points, starts, sides, ends = out
    for begin in range(first_corner, last_corner):
        if bits[begin] & 31 != RIGHT | DOWN:
            continue
        tips += 1
        if bits[begin] & DONE:
            continue
        sides[arcs, 0] = tip_cells[tips - 1, 0]
        sides[arcs, 1] = tip_cells[tips - 1, 1]
        arc_points[points, 0], arc_points[points, 1] = position[begin, 0], position[begin, 1]
        points += 1
        corner = np.int64(begin)
        onto = 0
        while True:
            corner = _next_corner(corner, onto, bits[corner], link, node_link)
            arc_points[points, 0], arc_points[points, 1] = position[corner, 0], position[corner, 1]
            points += 1
            bits[corner] |= DONE
            if corner == begin:
                break
            onto = _onward(bits[corner], (onto + 2) & 3)
        ends[arcs, 0] = ends[arcs, 1] = -1
        arcs += 1
        starts[arcs] = points
    return ArcCounts(arcs, points, tips)


@jit
def fewest_points(arcs: Arcs, leaving: NDArray[np.int64], fewest: NDArray[np.uint8]) -> None:
    """Say how many points each arc must keep, so that none collapses onto itself or another.

    A closed arc and a loop (from a node to itself) keep a triangle, which is four points with the first one repeated.
    Of several arcs between two nodes, one may become straight: the first that isn't along nodata (such arcs never
    change), and none if one is straight from the beginning.

    Parameters
    ----------
    arcs : Arcs
    leaving : (nodes, 4) int64
        By side, the dart that leaves the node there, -1 where there is none.
    fewest : (arcs,) uint8
        Receives the numbers.
    """
    starts, sides, ends = arcs.starts, arcs.sides, arcs.ends
    for arc in range(len(fewest)):
        first, last = ends[arc, 0], ends[arc, 1]
        if first == last:
            fewest[arc] = 4
            continue
        fewest[arc] = 2
        for side in range(4):
            if leaving[first, side] < 0:
                continue
            other = leaving[first, side] >> 1
            same = (ends[other, 0] == first and ends[other, 1] == last) or (
                ends[other, 0] == last and ends[other, 1] == first
            )
            if other == arc or not same:
                continue
            straight = starts[other + 1] - starts[other] == 2
            changes = sides[other, 0] >= 0 and sides[other, 1] >= 0
            if straight or (changes and other < arc):
                fewest[arc] = 3
