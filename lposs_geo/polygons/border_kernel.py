"""The inner loops of `borders`, compiled: finding corners, following arcs, simplifying them, joining them to rings.

A corner of the lattice has four sides, numbered clockwise as seen on the raster: 0 right, 1 down, 2 left, 3 up. Cell k
of a corner lies between sides k and k + 1: 0 below right, 1 below left, 2 above left, 3 above right. So whoever leaves
a corner along side k has cell k - 1 on the left and cell k on the right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lposs_geo.jit import jit
from lposs_geo.polygons.region_kernel import pop, push

__all__ = [
    "count_corners",
    "count_rings",
    "draw_rings",
    "fewest_points",
    "find_corners",
    "follow_closed",
    "follow_open",
    "is_free",
    "join",
    "list_rings",
    "simplify",
]

RIGHT, DOWN, LEFT, UP = 1, 2, 4, 8
"""The sides of a corner that are border, as bits."""

NODE, DONE = 16, 32
"""More bits of a corner: that arcs end there; that an arc was followed through it."""


@jit
def _sides(above_left: int, above_right: int, below_left: int, below_right: int) -> int:
    """Which sides of a corner are border, as bits, by the regions around it."""
    bits = 0
    if above_right != below_right:
        bits |= RIGHT
    if below_left != below_right:
        bits |= DOWN
    if above_left != below_left:
        bits |= LEFT
    if above_left != above_right:
        bits |= UP
    return bits


@jit
def _is_node(bits: int) -> bool:
    """Whether arcs end at a corner with these sides: it has three or four of them."""
    return bits in (7, 11, 13, 14, 15)


@jit
def _is_corner(bits: int) -> bool:
    """Whether the border does anything but go straight on."""
    return bits not in (0, RIGHT | LEFT, UP | DOWN)


@jit
def _run(run: int, stop: int, cols: int, run_end: NDArray[np.int32], run_region: NDArray[Any]) -> tuple[int, int]:
    """Where a run ends, and its region; beyond a row's runs and outside of the raster all is nodata."""
    if run < stop:
        return int(run_end[run]), int(run_region[run])
    return cols, -1


@jit
def count_corners(
    first_line: int,
    last_line: int,
    cols: int,
    row_starts: NDArray[np.int64],
    run_end: NDArray[np.int32],
    run_region: NDArray[Any],
) -> tuple[int, int, int]:
    """Count what `find_corners` finds: corners, nodes, corners with a region of their own below right."""
    corners, nodes, tips = 0, 0, 0
    rows = len(row_starts) - 1
    for line in range(first_line, last_line):
        above = row_starts[max(line - 1, 0)]
        below = above_stop = row_starts[line]
        below_stop = row_starts[min(line + 1, rows)]
        x, above_left, below_left = np.int64(0), np.int64(-1), np.int64(-1)
        while True:
            above_end, above_right = _run(above, above_stop, cols, run_end, run_region)
            below_end, below_right = _run(below, below_stop, cols, run_end, run_region)
            bits = _sides(above_left, above_right, below_left, below_right)
            if _is_corner(bits):
                corners += 1
                if _is_node(bits):
                    nodes += 1
                elif bits == RIGHT | DOWN:
                    tips += 1
            if x == cols:
                break
            x = min(above_end, below_end)
            above_left, below_left = above_right, below_right
            above += 1 if above_end == x else 0
            below += 1 if below_end == x else 0
    return corners, nodes, tips


@jit
def find_corners(
    first_line: int,
    last_line: int,
    cols: int,
    row_starts: NDArray[np.int64],
    run_end: NDArray[np.int32],
    run_region: NDArray[Any],
    corners: int,
    nodes: int,
    tips: int,
    place: NDArray[np.int32],
    bits: NDArray[np.uint8],
    link: NDArray[np.int64],
    node_corner: NDArray[np.int64],
    node_link: NDArray[np.int64],
    node_cells: NDArray[Any],
    tip_sides: NDArray[Any],
    open_corner: NDArray[np.int64],
    marks: NDArray[np.uint64],
) -> tuple[int, int, int]:
    """Find the corners on some rows of the lattice, and link each to the next one above it on the same border.

    Corners are only where a run ends above or below. Along a row of the lattice, corners that are linked follow each
    other, so that these links needn't be stored.

    Parameters
    ----------
    first_line, last_line : int
        Rows of the lattice.
    cols : int
        Of the raster.
    row_starts, run_end, run_region
        Of `regions.Regions`.
    corners, nodes, tips : int
        How many were found above.
    place : (corners, 2) int32
        (col, row) on the lattice.
    bits : (corners,) uint8
        Sides that are border, and `NODE`.
    link : (corners,) int64
        For a node its number, else the corner above or below.
    node_corner : (nodes,) int64
    node_link : (nodes, 2) int64
        The corners below and above.
    node_cells : (nodes, 4)
        Regions.
    tip_sides : (tips, 2)
        Regions above (which is all around) and below right of corners that go right and down.
    open_corner : (cols + 1,) int64
        By column, the last corner that goes down.
    marks : (rows + 1 of the lattice, words) uint64
        A bit for each place of the lattice: whether a corner is there.

    Returns
    -------
    corners, nodes, tips : int
    """
    rows = len(row_starts) - 1
    for line in range(first_line, last_line):
        above = row_starts[max(line - 1, 0)]
        below = above_stop = row_starts[line]
        below_stop = row_starts[min(line + 1, rows)]
        x, above_left, below_left = np.int64(0), np.int64(-1), np.int64(-1)
        while True:
            above_end, above_right = _run(above, above_stop, cols, run_end, run_region)
            below_end, below_right = _run(below, below_stop, cols, run_end, run_region)
            sides = _sides(above_left, above_right, below_left, below_right)
            if _is_corner(sides):
                place[corners, 0] = x
                place[corners, 1] = line
                marks[line, x >> 6] |= np.uint64(1) << np.uint64(x & 63)
                node = _is_node(sides)
                bits[corners] = sides | NODE if node else sides
                if node:
                    link[corners] = nodes
                    node_corner[nodes] = corners
                    node_cells[nodes, 0] = below_right
                    node_cells[nodes, 1] = below_left
                    node_cells[nodes, 2] = above_left
                    node_cells[nodes, 3] = above_right
                    nodes += 1
                elif sides == RIGHT | DOWN:
                    tip_sides[tips, 0] = above_right
                    tip_sides[tips, 1] = below_right
                    tips += 1
                if sides & UP:
                    upper = open_corner[x]
                    if bits[upper] & NODE:
                        node_link[link[upper], 0] = corners
                    else:
                        link[upper] = corners
                    if node:
                        node_link[nodes - 1, 1] = upper
                    else:
                        link[corners] = upper
                if sides & DOWN:
                    open_corner[x] = corners
                corners += 1
            if x == cols:
                break
            x = min(above_end, below_end)
            above_left, below_left = above_right, below_right
            above += 1 if above_end == x else 0
            below += 1 if below_end == x else 0
    return corners, nodes, tips


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
    first_node: int,
    last_node: int,
    arcs: int,
    points: int,
    place: NDArray[np.int32],
    bits: NDArray[np.uint8],
    link: NDArray[np.int64],
    node_corner: NDArray[np.int64],
    node_link: NDArray[np.int64],
    node_cells: NDArray[Any],
    leaving: NDArray[np.int64],
    arc_points: NDArray[np.int32],
    starts: NDArray[np.int64],
    sides: NDArray[Any],
    ends: NDArray[np.int64],
) -> tuple[int, int]:
    """Follow the arcs that leave some nodes and haven't been followed from their other end.

    Parameters
    ----------
    first_node, last_node : int
    arcs, points : int
        How many there are so far.
    place, bits, link, node_corner, node_link, node_cells
        As for `find_corners`.
    leaving : (nodes, 4) int64
        By side, the dart that leaves the node there, -1 where unknown; in place.
    arc_points : (points, 2) int32
        Receives the arcs' corners (col, row), nodes at both ends included.
    starts : (arcs + 1,) int64
        Receives where each begins.
    sides : (arcs, 2)
        Receives the regions left and right.
    ends : (arcs, 2) int64
        Receives the nodes.

    Returns
    -------
    arcs, points : int
    """
    for node in range(first_node, last_node):
        for side in range(4):
            begin = node_corner[node]
            if not (bits[begin] >> side) & 1 or leaving[node, side] >= 0:
                continue
            leaving[node, side] = 2 * arcs
            sides[arcs, 0] = node_cells[node, (side + 3) & 3]
            sides[arcs, 1] = node_cells[node, side]
            arc_points[points, 0], arc_points[points, 1] = place[begin, 0], place[begin, 1]
            points += 1
            corner = np.int64(begin)
            out = side
            while True:
                corner = _next_corner(corner, out, bits[corner], link, node_link)
                came = (out + 2) & 3
                arc_points[points, 0], arc_points[points, 1] = place[corner, 0], place[corner, 1]
                points += 1
                if bits[corner] & NODE:
                    break
                bits[corner] |= DONE
                out = _onward(bits[corner], came)
            other = link[corner]
            leaving[other, came] = 2 * arcs + 1
            ends[arcs, 0] = node
            ends[arcs, 1] = other
            arcs += 1
            starts[arcs] = points
    return arcs, points


@jit
def follow_closed(
    first_corner: int,
    last_corner: int,
    tips: int,
    arcs: int,
    points: int,
    place: NDArray[np.int32],
    bits: NDArray[np.uint8],
    link: NDArray[np.int64],
    node_link: NDArray[np.int64],
    tip_sides: NDArray[Any],
    arc_points: NDArray[np.int32],
    starts: NDArray[np.int64],
    sides: NDArray[Any],
    ends: NDArray[np.int64],
) -> tuple[int, int, int]:
    """Follow arcs without nodes, once all others are followed; their first point is their last, too, and ends are -1.

    The first corner of such an arc, row by row, is its leftmost uppermost one, and goes right and down. Parameters are
    those of `follow_open`; gives the numbers of tips seen, arcs and points.
    """
    for begin in range(first_corner, last_corner):
        if bits[begin] & 31 != RIGHT | DOWN:
            continue
        tips += 1
        if bits[begin] & DONE:
            continue
        sides[arcs, 0] = tip_sides[tips - 1, 0]
        sides[arcs, 1] = tip_sides[tips - 1, 1]
        arc_points[points, 0], arc_points[points, 1] = place[begin, 0], place[begin, 1]
        points += 1
        corner = np.int64(begin)
        out = 0
        while True:
            corner = _next_corner(corner, out, bits[corner], link, node_link)
            arc_points[points, 0], arc_points[points, 1] = place[corner, 0], place[corner, 1]
            points += 1
            bits[corner] |= DONE
            if corner == begin:
                break
            out = _onward(bits[corner], (out + 2) & 3)
        ends[arcs, 0] = ends[arcs, 1] = -1
        arcs += 1
        starts[arcs] = points
    return tips, arcs, points


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
                out = (came + 3) & 3
            else:
                out = (came + 1) & 3
                while darts[out] < 0:
                    out = (out + 1) & 3
            following[darts[came] ^ 1] = darts[out]


@jit
def fewest_points(
    starts: NDArray[np.int64],
    sides: NDArray[Any],
    ends: NDArray[np.int64],
    leaving: NDArray[np.int64],
    fewest: NDArray[np.uint8],
) -> None:
    """Say how many points each arc must keep, so that none collapses onto itself or another.

    A closed arc and a loop (from a node to itself) keep a triangle, which is four points with the first one repeated.
    Of several arcs between two nodes, one may become straight: the first that isn't along nodata (such arcs never
    change), and none if one is straight from the beginning.

    Parameters
    ----------
    starts, sides, ends, leaving
        As for `follow_open`.
    fewest : (arcs,) uint8
        Receives the numbers.
    """
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


@jit
def _twice_area(a: NDArray[np.int32], b: NDArray[np.int32], c: NDArray[np.int32]) -> int:
    """Twice the area of a triangle."""
    x, y = np.int64(a[0]), np.int64(a[1])
    return int(abs((b[0] - x) * (c[1] - y) - (c[0] - x) * (b[1] - y)))


@jit
def _count_marks(marks: NDArray[np.uint64], y: int, first: int, last: int) -> int:
    """Number of marks on a row of the lattice from column `first` to `last`, counted to four at least if there are."""
    found = 0
    row = marks[y]
    x = first
    while x <= last and found < 4:
        word = row[x >> 6] >> np.uint64(x & 63)
        if word == 0:
            x = (x | 63) + 1
            continue
        if word & np.uint64(1):
            found += 1
        x += 1
    return found


@jit
def is_free(marks: NDArray[np.uint64], a: NDArray[np.int32], v: NDArray[np.int32], b: NDArray[np.int32]) -> bool:
    """Whether no mark but those of a, v and b is in their triangle or on its outline."""
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
    points: NDArray[np.int32],
    starts: NDArray[np.int64],
    sides: NDArray[Any],
    ends: NDArray[np.int64],
    fewest: NDArray[np.uint8],
    marks: NDArray[np.uint64],
    scratch: NDArray[np.int64],
    gone: NDArray[np.bool_],
    new_points: NDArray[np.int32],
    new_starts: NDArray[np.int64],
) -> None:
    """Simplify some arcs by Visvalingam and Whyatt's method; see `borders.simplify_borders`.

    While an arc is simplified, its own corners that are gone are taken off the marks, and afterwards put back: other
    arcs must not depend on how far this one came.

    Parameters
    ----------
    first_arc, last_arc : int
    limit : int
        Twice the largest area of a triangle that goes.
    points, starts, sides, ends, fewest, marks
        As for `find_corners`, `follow_open` and `fewest_points`.
    scratch : (5, longest) int64
        `longest` is three times the points of the longest arc.
    gone : (longest,) bool
        Scratch, False.
    new_points, new_starts
        Receive the simplified arcs; ``new_starts[first_arc]`` is known.
    """
    before, after, areas, keys, items = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    for arc in range(first_arc, last_arc):
        own = points[starts[arc] : starts[arc + 1]]
        number = len(own)
        out = new_starts[arc]
        if sides[arc, 0] < 0 or sides[arc, 1] < 0 or number <= fewest[arc]:
            new_points[out : out + number] = own
            new_starts[arc + 1] = out + number
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
            # The smallest of all triangles on the lattice holds no other place of it.
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
        begin = out
        for i in range(number):
            if gone[i]:
                gone[i] = False
                x = np.int64(own[i, 0])
                marks[own[i, 1], x >> 6] |= np.uint64(1) << np.uint64(x & 63)
            else:
                new_points[out] = own[i]
                out += 1
        if closed:
            new_points[out] = new_points[begin]
            out += 1
        new_starts[arc + 1] = out


@jit
def count_rings(
    sides: NDArray[Any], following: NDArray[np.int64], done: NDArray[np.uint8], rings: NDArray[np.int64]
) -> int:
    """Count the rings of each region.

    Parameters
    ----------
    sides : (arcs, 2)
    following : (darts,) int64
    done : (darts,) uint8
        Scratch, zero; afterwards one for what belongs to a ring.
    rings : (regions,) int64
        Receives the numbers; zero at first.

    Returns
    -------
    int
        How many there are in all.
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
    points: NDArray[np.int32],
    starts: NDArray[np.int64],
    sides: NDArray[Any],
    following: NDArray[np.int64],
    done: NDArray[np.uint8],
    shell: NDArray[np.int64],
    hole: NDArray[np.int64],
    ring_dart: NDArray[np.int64],
    ring_points: NDArray[np.int64],
) -> None:
    """List the rings of each region, the shell first.

    A ring has its region on the left as seen on the raster, whose rows go down: a shell's signed area is negative.

    Parameters
    ----------
    points, starts, sides, following
        Of `borders.Borders`.
    done : (darts,) uint8
        As `count_rings` left it.
    shell, hole : (regions,) int64
        Where each region's shell and its next hole are listed; `hole` in place.
    ring_dart, ring_points : (rings,) int64
        Receive a dart of each ring, and how many points it has, the first one counted twice.
    """
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
            spot = shell[region]
        else:
            spot = hole[region]
            hole[region] += 1
        ring_dart[spot] = begin
        ring_points[spot] = number


@jit
def draw_rings(
    points: NDArray[np.int32],
    starts: NDArray[np.int64],
    following: NDArray[np.int64],
    ring_dart: NDArray[np.int64],
    ring_starts: NDArray[np.int64],
    backward: bool,
    out: NDArray[np.float64],
) -> None:
    """Write the points of rings, one after the other, each closed.

    Parameters
    ----------
    points, starts, following
        Of `borders.Borders`.
    ring_dart : (rings,) int64
    ring_starts : (rings + 1,) int64
        Where each begins in `out`.
    backward : bool
        The other way round: the region on the right.
    out : (points, 2) float64
        Receives (col, row).
    """
    for ring in range(len(ring_dart)):
        spot = ring_starts[ring + 1] - 1 if backward else ring_starts[ring]
        step = -1 if backward else 1
        first = spot
        dart = ring_dart[ring]
        while True:
            begin, end = starts[dart >> 1], starts[(dart >> 1) + 1]
            for i in range(end - begin - 1):
                source = end - 1 - i if dart & 1 else begin + i
                out[spot, 0] = points[source, 0]
                out[spot, 1] = points[source, 1]
                spot += step
            dart = following[dart]
            if dart == ring_dart[ring]:
                break
        out[spot] = out[first]
