"""Joining arcs to the rings of polygons, compiled.

A dart is an arc in one direction: 2 * arc along its points, 2 * arc + 1 against them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lposs_geo.jit import jit
from lposs_geo.polygons.bundles import Arcs, RingList

__all__ = ["count_rings", "draw_rings", "join", "list_rings"]


@jit
def join(leaving: NDArray[np.int64], node_cells: NDArray[Any], following: NDArray[np.int64]) -> None:
    """Say which dart follows each in the ring of the region on its left.

    A ring stays with its own cell at a corner. But where the same region has the opposite cell, too, and other regions
    the two between, it goes over to that one: so a ring that would touch itself becomes two that touch each other.

    Parameters
    ----------
    leaving : (nodes, 4) int64
        By side, the dart that leaves the node there, -1 where there is none.
    node_cells : (nodes, 4)
        Of `Nodes`.
    following : (darts,) int64
        In place; right already for arcs without nodes.
    """
    for node in range(len(leaving)):
        darts = leaving[node]
        crossing = darts.min() >= 0
        for came in range(4):
            if darts[came] < 0:
                continue
            if crossing and node_cells[node, came] == node_cells[node, (came + 2) & 3]:
                onto = (came + 3) & 3
            else:
                onto = (came + 1) & 3
                while darts[onto] < 0:
                    onto = (onto + 1) & 3
            following[darts[came] ^ 1] = darts[onto]


@jit
def count_rings(
    sides: NDArray[Any], following: NDArray[np.int64], done: NDArray[np.uint8], rings: NDArray[np.int64]
) -> int:
    """Count the rings of each region.

    Parameters
    ----------
    sides : (arcs, 2)
        Of `Arcs`.
    following : (darts,) int64
        See `join`.
    done : (darts,) uint8
        Scratch, zero; afterwards one for each dart of a ring.
    rings : (regions,) int64
        Receives the numbers; zero at first.

    Returns
    -------
    int
        The number of all rings.
    """
    total = 0
    for begin in range(len(following)):
        region = sides[begin >> 1, begin & 1]
        if region < 0 or done[begin]:
            continue
        rings[region] += 1
        total += 1
        dart = np.int64(begin)
        while not done[dart]:
            done[dart] = 1
            dart = following[dart]
    return total


@jit
def list_rings(
    arcs: Arcs,
    following: NDArray[np.int64],
    done: NDArray[np.uint8],
    shell: NDArray[np.int64],
    hole: NDArray[np.int64],
    out: RingList,
) -> None:
    """List the rings of each region, the shell first.

    A ring has its region on the left as seen on the raster, whose rows go down: a shell's signed area is negative.

    Parameters
    ----------
    arcs : Arcs
    following : (darts,) int64
        See `join`.
    done : (darts,) uint8
        As `count_rings` left it.
    shell, hole : (regions,) int64
        Index in the list of each region's shell and of its next hole; `hole` in place.
    out : RingList
        Receives the rings.
    """
    points, starts, sides = arcs.points, arcs.starts, arcs.sides
    ring_dart, ring_points = out
    for begin in range(len(following)):
        if done[begin] != 1:
            continue
        region = sides[begin >> 1, begin & 1]
        dart = np.int64(begin)
        number, area = np.int64(1), np.int64(0)
        origin_x, origin_y = np.int64(points[starts[begin >> 1], 0]), np.int64(points[starts[begin >> 1], 1])
        while done[dart] == 1:
            done[dart] = 2
            arc = dart >> 1
            part = np.int64(0)
            for i in range(starts[arc], starts[arc + 1] - 1):
                x, y = points[i, 0] - origin_x, points[i, 1] - origin_y
                part += x * (points[i + 1, 1] - origin_y) - (points[i + 1, 0] - origin_x) * y
            area += -part if dart & 1 else part
            number += starts[arc + 1] - starts[arc] - 1
            dart = following[dart]
        if area < 0:
            index = shell[region]
        else:
            index = hole[region]
            hole[region] += 1
        ring_dart[index] = begin
        ring_points[index] = number


@jit
def draw_rings(
    arcs: Arcs,
    following: NDArray[np.int64],
    ring_dart: NDArray[np.int64],
    ring_starts: NDArray[np.int64],
    backward: bool,
    out: NDArray[np.float64],
) -> None:
    """Write the points of rings, one after the other, each closed.

    Parameters
    ----------
    arcs : Arcs
    following : (darts,) int64
        See `join`.
    ring_dart : (rings,) int64
    ring_starts : (rings + 1,) int64
        Index in `out` of each ring's first point.
    backward : bool
        The other way round: the region on the right.
    out : (points, 2) float64
        Receives (col, row).
    """
    points, starts = arcs.points, arcs.starts
    for ring in range(len(ring_dart)):
        index = ring_starts[ring + 1] - 1 if backward else ring_starts[ring]
        step = -1 if backward else 1
        first = index
        dart = ring_dart[ring]
        while True:
            begin, end = starts[dart >> 1], starts[(dart >> 1) + 1]
            for i in range(end - begin - 1):
                source = end - 1 - i if dart & 1 else begin + i
                out[index, 0] = points[source, 0]
                out[index, 1] = points[source, 1]
                index += step
            dart = following[dart]
            if dart == ring_dart[ring]:
                break
        out[index] = out[first]
