"""Shapes drawn onto a scene's pixels, all at once and without a mask.

A point draws its px, a line the px that it steps through, a polygon the px whose centres are inside, or the one below
it if there is none. Each px depends on the shape alone: a part of the scene is drawn as it is in the whole, and of two
polygons side by side none draws a px of the other.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from lposs_geo.errors import ParameterError
from lposs_geo.examples.runs import Line, Numbers, Runs, joined

__all__ = ["draw"]

MOST_STEPS = 8_000_000
"""Px of lines, or rows that edges of polygons cross, that are drawn: beyond, they need too much memory."""

Points = NDArray[np.float64]


def draw(shapes: NDArray[np.object_], line: Line) -> Runs:
    """Draw shapes.

    Parameters
    ----------
    shapes : (n,) array of shapely geometries
        Points, lines and polygons in px (col, row) of the scene, finite; the polygons need not be valid.
    line : Line
        Of the scene.

    Returns
    -------
    Runs
        Their owner is the number of the shape; joined.

    Raises
    ------
    ParameterError
        If they are too large and too many.
    """
    kinds = shapely.get_type_id(shapes)
    points, lines, polygons = (np.flatnonzero(kinds == kind) for kind in (0, 1, 3))
    runs = [
        _at(points, shapely.get_coordinates(shapes[points]), line),
        _lines(shapes, lines, line),
        _polygons(shapes, polygons, line),
    ]
    return joined(Runs.of(runs))


def _at(owner: Numbers, points: Points, line: Line) -> Runs:
    """The px under points (n, 2), one each, of those on the scene."""
    inside = ((points >= 0) & (points < [line.width, line.height])).all(axis=1)
    col, row = np.floor(points[inside]).astype(np.int64).T
    index = line.index(row, col)
    return Runs(owner[inside], index, index + 1)


def _lines(shapes: NDArray[np.object_], which: Numbers, line: Line) -> Runs:
    corners, owner = shapely.get_coordinates(shapes[which], return_index=True)
    same = owner[1:] == owner[:-1]
    start, end, owner = corners[:-1][same], corners[1:][same], which[owner[1:][same]]
    # each px is stepped to along the longer side, from left to right or downwards, whichever way the line was drawn
    steep = np.abs(end - start)[:, 1] > np.abs(end - start)[:, 0]
    runs = []
    for axis, size in ((0, line.width), (1, line.height)):
        of = np.flatnonzero(steep == bool(axis))
        a, b = start[of], end[of]
        turned = (a[:, axis] > b[:, axis])[:, None]
        a, b = np.where(turned, b, a), np.where(turned, a, b)
        first = np.clip(np.floor(a[:, axis]), 0, size).astype(np.int64)
        last = np.clip(np.floor(b[:, axis]), -1, size - 1).astype(np.int64)
        index, step = _counted(first, np.maximum(last - first + 1, 0))
        along = np.clip(step + 0.5, a[index, axis], b[index, axis])
        length = b[index, axis] - a[index, axis]
        share = np.divide(along - a[index, axis], length, out=np.zeros(len(index)), where=length > 0)
        across = a[index, 1 - axis] + share * (b[index, 1 - axis] - a[index, 1 - axis])
        position = np.column_stack([across, step + 0.5] if axis else [step + 0.5, across])
        runs.append(joined(_at(owner[of][index], position, line)))
    return Runs.of(runs)


def _polygons(shapes: NDArray[np.object_], which: Numbers, line: Line) -> Runs:
    rings, polygon = shapely.get_rings(shapes[which], return_index=True)
    corners, ring = shapely.get_coordinates(rings, return_index=True)
    same = ring[1:] == ring[:-1]
    runs = _between_edges(corners[:-1][same], corners[1:][same], which[polygon[ring[1:][same]]], line)
    drawn = np.zeros(len(shapes), dtype=bool)
    drawn[runs.owner] = True
    missed = which[~drawn[which]]
    return Runs.of([runs, _at(*_inner_points(shapes, missed), line)])


def _inner_points(shapes: NDArray[np.object_], which: Numbers) -> tuple[Numbers, Points]:
    """A point inside each of some polygons that has one."""
    inner = shapely.point_on_surface(shapes[which])
    has = ~shapely.is_empty(inner)
    return which[has], shapely.get_coordinates(inner[has])


def _between_edges(start: Points, end: Points, owner: Numbers, line: Line) -> Runs:
    """Runs of the px whose centres are inside the outlines that edges (n, 2) form."""
    # from its upper end to the lower one: both polygons at an edge then cut a row at the same point
    turned = (start[:, 1] > end[:, 1])[:, None]
    upper, lower = np.where(turned, end, start), np.where(turned, start, end)
    # rows whose centre line the edge crosses
    first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, line.height).astype(np.int64)
    last = np.clip(np.ceil(lower[:, 1] - 0.5), 0, line.height).astype(np.int64)
    edge, row = _counted(first, last - first)
    share = (row + 0.5 - upper[edge, 1]) / (lower[edge, 1] - upper[edge, 1])
    col = upper[edge, 0] + share * (lower[edge, 0] - upper[edge, 0])
    owner = owner[edge]
    order = np.lexsort([col, owner * line.height + row])
    # in each row, the outline is entered and left in turn
    enter, leave = order[::2], order[1::2]
    from_col, to_col = (np.clip(np.ceil(col[side] - 0.5), 0, line.width).astype(np.int64) for side in (enter, leave))
    filled = from_col < to_col
    row, owner = row[enter][filled], owner[enter][filled]
    return Runs(owner, line.index(row, from_col[filled]), line.index(row, to_col[filled]))


def _counted(first: Numbers, count: Numbers) -> tuple[Numbers, Numbers]:
    """For each of so many whole numbers from each `first` on: which one it belongs to, and the number."""
    if count.sum() > MOST_STEPS:
        raise ParameterError(
            f"lines and outlines of the examples cross {int(count.sum()):,} rows of pixels, more than {MOST_STEPS:,}",
            hint="give fewer or smaller ones",
        )
    index = np.repeat(np.arange(len(count)), count)
    return index, first[index] + np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
