"""Simplifying borders, compiled: which corners go, one arc after the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lposs_geo.jit import jit
from lposs_geo.polygons.bundles import Arcs
from lposs_geo.polygons.heap_kernel import pop, push

__all__ = ["Scratch", "Simplified", "is_free", "scratch_for", "simplify"]


class Scratch(NamedTuple):
    """Memory for the longest arc: its points as a ring that is linked both ways, and a heap of their triangles.

    Attributes
    ----------
    before, after : (n,) int64
        Neighbours of each point that is left.
    areas : (n,) int64
        Twice the area of its triangle with them.
    keys, items : (n,) int64
        The heap: areas, and their points.
    gone : (n,) bool
        True for points that went; False for all between two arcs.
    """

    before: NDArray[np.int64]
    after: NDArray[np.int64]
    areas: NDArray[np.int64]
    keys: NDArray[np.int64]
    items: NDArray[np.int64]
    gone: NDArray[np.bool_]


def scratch_for(points: int) -> Scratch:
    """Memory for arcs of so many points at most: when a point goes, its two neighbours are put on the heap again."""
    longest = 3 * points
    before, after, areas, keys, items = np.empty((5, longest), np.int64)
    return Scratch(before, after, areas, keys, items, np.zeros(longest, np.bool_))


class Simplified(NamedTuple):
    """Points of simplified arcs.

    Attributes
    ----------
    points : (points, 2) int32
        (col, row) on the lattice, arc after arc.
    starts : (arcs + 1,) int64
        Index of the first point of each.
    """

    points: NDArray[np.int32]
    starts: NDArray[np.int64]


@jit
def _twice_area(a: NDArray[np.int32], b: NDArray[np.int32], c: NDArray[np.int32]) -> int:
    """Twice the area of a triangle."""
    x, y = np.int64(a[0]), np.int64(a[1])
    return int(abs((b[0] - x) * (c[1] - y) - (c[0] - x) * (b[1] - y)))


@jit
def _count_marks(marks: NDArray[np.uint64], y: int, first: int, last: int) -> int:
    """Number of marks on a row of the lattice from column `first` to `last`; no more than four are counted."""
    number = 0
    row = marks[y]
    x = first
    while x <= last and number < 4:
        word = row[x >> 6] >> np.uint64(x & 63)
        if word == 0:
            x = (x | 63) + 1
            continue
        if word & np.uint64(1):
            number += 1
        x += 1
    return number


@jit
def is_free(marks: NDArray[np.uint64], a: NDArray[np.int32], v: NDArray[np.int32], b: NDArray[np.int32]) -> bool:
    """True if no mark but those of a, v and b is in their triangle or on its outline."""
    ax, ay = np.int64(a[0]), np.int64(a[1])
    vx, vy = np.int64(v[0]), np.int64(v[1])
    bx, by = np.int64(b[0]), np.int64(b[1])
    for y in range(min(ay, vy, by), max(ay, vy, by) + 1):
        left, right = np.int64(1) << 60, -(np.int64(1) << 60)
        for side in range(3):
            if side == 0:
                px, py, qx, qy = ax, ay, vx, vy
            elif side == 1:
                px, py, qx, qy = vx, vy, bx, by
            else:
                px, py, qx, qy = bx, by, ax, ay
            if qy < py:
                px, py, qx, qy = qx, qy, px, py
            if y < py or y > qy:
                continue
            if py == qy:
                left, right = min(left, px, qx), max(right, px, qx)
            else:
                run, rise = (y - py) * (qx - px), qy - py
                left, right = min(left, px - (-run) // rise), max(right, px + run // rise)
        own = (1 if ay == y else 0) + (1 if vy == y else 0) + (1 if by == y else 0)
        if _count_marks(marks, y, left, right) > own:
            return False
    return True


@jit
def simplify(
    first_arc: int,
    last_arc: int,
    limit: int,
    arcs: Arcs,
    fewest: NDArray[np.uint8],
    marks: NDArray[np.uint64],
    scratch: Scratch,
    out: Simplified,
) -> None:
    """Simplify some arcs by Visvalingam and Whyatt's method; see `borders.simplify_borders`.

    While an arc is simplified, its own corners that are gone are taken off the marks, and afterwards put back: other
    arcs must not depend on how far this one came.

    Parameters
    ----------
    first_arc, last_arc : int
    limit : int
        Twice the largest area of a triangle that goes.
    arcs : Arcs
        Unsimplified.
    fewest : (arcs,) uint8
        See `arc_kernel.fewest_points`.
    marks : (rows + 1, words) uint64
        Of `Lattice`.
    scratch : Scratch
    out : Simplified
        Receives the arcs; ``out.starts[first_arc]`` is known.
    """
    points, starts, sides, ends = arcs
    before, after, areas, keys, items, gone = scratch
    new_points, new_starts = out
    for arc in range(first_arc, last_arc):
        own = points[starts[arc] : starts[arc + 1]]
        number = len(own)
        end = new_starts[arc]
        if sides[arc, 0] < 0 or sides[arc, 1] < 0 or number <= fewest[arc]:
            new_points[end : end + number] = own
            new_starts[arc + 1] = end + number
            continue
        closed = ends[arc, 0] < 0
        least = np.int64(fewest[arc])
        if closed:  # the point that is repeated doesn't count
            number -= 1
            least -= 1
        for i in range(number):
            before[i], after[i] = i - 1, i + 1
        before[0], after[number - 1] = number - 1, 0
        size = 0
        first, last = (0, number) if closed else (1, number - 1)
        for i in range(first, last):
            areas[i] = _twice_area(own[before[i]], own[i], own[after[i]])
            if areas[i] <= limit:
                size = push(keys, items, size, areas[i], i)
        left = number
        while size > 0 and left > least:
            area, i = keys[0], items[0]
            size = pop(keys, items, size)
            if gone[i] or areas[i] != area:
                continue  # the triangle has changed since
            a, b = before[i], after[i]
            # The smallest of all triangles on the lattice holds no other point of it.
            if area > 1 and not is_free(marks, own[a], own[i], own[b]):
                continue
            gone[i] = True
            x = np.int64(own[i, 0])
            marks[own[i, 1], x >> 6] &= ~(np.uint64(1) << np.uint64(x & 63))
            after[a], before[b] = b, a
            left -= 1
            for j in (a, b):
                if first <= j < last:
                    areas[j] = _twice_area(own[before[j]], own[j], own[after[j]])
                    if areas[j] <= limit:
                        size = push(keys, items, size, areas[j], j)
        begin = end
        for i in range(number):
            if gone[i]:
                gone[i] = False
                x = np.int64(own[i, 0])
                marks[own[i, 1], x >> 6] |= np.uint64(1) << np.uint64(x & 63)
            else:
                new_points[end] = own[i]
                end += 1
        if closed:
            new_points[end] = new_points[begin]
            end += 1
        new_starts[arc + 1] = end
