"""Finding the corners of borders, compiled.

A corner of the lattice has four sides, numbered clockwise as seen on the raster: 0 right, 1 down, 2 left, 3 up. Cell k
of a corner lies between sides k and k + 1: 0 below right, 1 below left, 2 above left, 3 above right. So whoever leaves
a corner along side k has cell k - 1 on the left and cell k on the right.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lposs_geo.jit import jit
from lposs_geo.polygons.bundles import Lattice, Runs

__all__ = ["DONE", "DOWN", "LEFT", "NODE", "RIGHT", "UP", "CornerCounts", "count_corners", "find_corners"]

RIGHT, DOWN, LEFT, UP = 1, 2, 4, 8
"""The sides of a corner that are border, as bits."""

NODE, DONE = 16, 32
"""More bits of a corner: that arcs end there; that an arc was followed through it."""


class CornerCounts(NamedTuple):
    """Numbers of corners, of the nodes among them, and of tips: corners with a region of their own below right."""

    corners: int
    nodes: int
    tips: int


@jit
def _sides(above_left: int, above_right: int, below_left: int, below_right: int) -> int:
    """The sides of a corner that are border, as bits, by the regions around it."""
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
    """True if arcs end at a corner with these sides: it has three or four of them."""
    return bits in (7, 11, 13, 14, 15)


@jit
def _is_corner(bits: int) -> bool:
    """True if the border does anything but go straight on."""
    return bits not in (0, RIGHT | LEFT, UP | DOWN)


@jit
def _run(run: int, stop: int, cols: int, end: NDArray[np.int32], region: NDArray[Any]) -> tuple[int, int]:
    """End and region of a run; beyond a row's runs and outside of the raster all is nodata."""
    if run < stop:
        return int(end[run]), int(region[run])
    return cols, -1


@jit
def count_corners(first_line: int, last_line: int, cols: int, runs: Runs) -> CornerCounts:
    """Count what `find_corners` finds on some rows of the lattice of a raster with so many columns."""
    corners, nodes, tips = 0, 0, 0
    row_starts, end, region = runs
    rows = len(row_starts) - 1
    for line in range(first_line, last_line):
        above = row_starts[max(line - 1, 0)]
        below = above_stop = row_starts[line]
        below_stop = row_starts[min(line + 1, rows)]
        x, above_left, below_left = np.int64(0), np.int64(-1), np.int64(-1)
        while True:
            above_end, above_right = _run(above, above_stop, cols, end, region)
            below_end, below_right = _run(below, below_stop, cols, end, region)
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
    return CornerCounts(corners, nodes, tips)


@jit
def find_corners(
    first_line: int,
    last_line: int,
    cols: int,
    runs: Runs,
    before: CornerCounts,
    lattice: Lattice,
    open_corner: NDArray[np.int64],
) -> CornerCounts:
    """Find the corners on some rows of the lattice, and link each to the next one above it on the same border.

    Corners are only where a run ends above or below. Along a row of the lattice, corners that are linked follow each
    other, so that these links needn't be stored.

    Parameters
    ----------
    first_line, last_line : int
        Rows of the lattice.
    cols : int
        Of the raster.
    runs : Runs
    before : CornerCounts
        Numbers of what lies above.
    lattice : Lattice
        Receives the corners, nodes and tips.
    open_corner : (cols + 1,) int64
        By column, the last corner that goes down; in place.

    Returns
    -------
    CornerCounts
        `before` and what was added.
    """
    corners, nodes, tips = before
    row_starts, end, region = runs
    position, bits, link = lattice.corners
    node_corner, node_link, node_cells = lattice.nodes
    tip_cells, marks = lattice.tips, lattice.marks
    rows = len(row_starts) - 1
    for line in range(first_line, last_line):
        above = row_starts[max(line - 1, 0)]
        below = above_stop = row_starts[line]
        below_stop = row_starts[min(line + 1, rows)]
        x, above_left, below_left = np.int64(0), np.int64(-1), np.int64(-1)
        while True:
            above_end, above_right = _run(above, above_stop, cols, end, region)
            below_end, below_right = _run(below, below_stop, cols, end, region)
            sides = _sides(above_left, above_right, below_left, below_right)
            if _is_corner(sides):
                position[corners, 0] = x
                position[corners, 1] = line
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
                    tip_cells[tips, 0] = above_right
                    tip_cells[tips, 1] = below_right
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
    return CornerCounts(corners, nodes, tips)
