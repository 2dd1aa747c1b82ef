"""Points, lines and polygons of a file, brought onto a scene's pixels, in the parts that they consist of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyproj
import shapely
from affine import Affine
from numpy.typing import NDArray

from lposs_geo.grid import Grid, on_ground
from lposs_geo.scene.reprojection import cut_edges, strayed, surroundings, transformation, turn_of, unwrapped
from lposs_geo.scene.wkb import FARTHEST, Part, parts_of, polygon_of

__all__ = ["Shapes", "on_pixels", "read_shapes", "reproject"]

PIXEL_GRID = 256
"""Parts of a px that coordinates are rounded to: to move them by whole px is exact."""


@dataclass(frozen=True, eq=False)
class Shapes:
    """Parts of the shapes in some rows.

    Attributes
    ----------
    parts : (n,) array of shapely geometries
        Points, lines and polygons with finite coordinates; none is empty.
    rows : (n,) int64
        The row that each is a part of, ascending.
    """

    parts: NDArray[np.object_]
    rows: NDArray[np.int64]

    def __getitem__(self, index: NDArray[np.bool_] | NDArray[np.int64]) -> Shapes:
        return Shapes(self.parts[index], self.rows[index])


def read_shapes(cells: Sequence[bytes | None]) -> tuple[Shapes, NDArray[np.int64]]:
    """Read shapes in WKB.

    Parameters
    ----------
    cells : sequence of bytes or None

    Returns
    -------
    shapes : Shapes
        Those of rows that hold some.
    odd : (m,) int64
        Rows whose shapes can't be used: other kinds among them, coordinates that are no numbers, or no WKB.
    """
    parts: NDArray[np.object_] = np.full(len(cells), None, dtype=object)
    plain = [row for row, cell in enumerate(cells) if cell is not None and _is_simple(cell)]
    with np.errstate(invalid="ignore"):  # coordinates that are no numbers
        parts[plain] = shapely.force_2d(shapely.from_wkb([cells[row] for row in plain], on_invalid="ignore"))
    flat = shapely.get_type_id(parts) == 3
    flat[flat] = shapely.area(parts[flat]) == 0  # rings without an area, which count for nothing
    sound = ~shapely.is_missing(parts) & ~flat & np.isfinite(shapely.bounds(parts)).all(axis=1)
    sound &= _are_near(parts)
    rows, pieces, odd = [np.flatnonzero(sound)], [parts[sound]], list[int]()
    for row in np.flatnonzero(~sound).tolist():
        cell = cells[row]
        if cell is None:
            continue
        try:
            taken = [shape for part in parts_of(cell) if (shape := _shape_of(part)) is not None]
        except (ValueError, shapely.errors.ShapelyError):
            odd.append(row)
            continue
        rows.append(np.full(len(taken), row, dtype=np.int64))
        pieces.append(np.array(taken, dtype=object))
    order = np.argsort(np.concatenate(rows), kind="stable")
    return Shapes(np.concatenate(pieces)[order], np.concatenate(rows)[order]), np.array(odd, dtype=np.int64)


def _is_simple(cell: bytes) -> bool:
    """True for a point, a line or a polygon: GEOS reads it without going into depth."""
    if len(cell) < 5 or cell[0] > 1:
        return False
    return (int.from_bytes(cell[1:5], "little" if cell[0] else "big") & 0x0FFFFFFF) % 1000 in (1, 2, 3)


def _are_near(parts: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Shapes all of whose coordinates are numbers within bounds; bounds of a shape pass over those that are none."""
    points, row = shapely.get_coordinates(parts, return_index=True)
    near = np.ones(len(parts), dtype=bool)
    near[row[~(np.abs(points) <= FARTHEST).all(axis=1)]] = False
    return near


def _shape_of(part: Part) -> shapely.Geometry | None:
    """A part as a geometry; None if it has no extent that counts."""
    if part.kind == "Polygon":
        return polygon_of(part)
    (points,) = part.rings
    if part.kind == "CircularString" or not (np.abs(points) <= FARTHEST).all():
        raise ValueError("no straight line, or a coordinate that is no number")
    if part.kind == "Point":
        return shapely.Point(points[0])
    return shapely.LineString(points) if len(points) > 1 else shapely.Point(points[0])


def reproject(shapes: Shapes, source: pyproj.CRS, target: pyproj.CRS) -> Shapes:
    """Bring shapes to another CRS, without the parts that have no position there."""
    if source.equals(target, ignore_axis_order=True) or not len(shapes.parts):
        return shapes
    around = surroundings(source, target)
    if around is not None:
        shapes = _within(shapes, around)
    dense = _cut(shapes.parts, source)
    points, part = shapely.get_coordinates(dense, return_index=True)
    moved = transformation(source, target)(points)
    sound = np.ones(len(dense), dtype=bool)
    sound[part[strayed(points, moved, source, target)]] = False
    shapes = Shapes(shapely.set_coordinates(dense[sound], moved[sound[part]]), shapes.rows[sound])
    turn = turn_of(target)
    return _unwrapped(shapes, turn) if turn else shapes


def _cut(parts: NDArray[np.object_], crs: pyproj.CRS) -> NDArray[np.object_]:
    """Shapes with their long edges in pieces, polygons that cross themselves with all of their parts."""
    crossing = ~shapely.is_valid(parts) & (shapely.get_type_id(parts) == 3)
    cut = parts.copy()
    cut[~crossing] = cut_edges(parts[~crossing], crs)
    for index in np.flatnonzero(crossing).tolist():
        shell, *holes = cut_edges(shapely.get_rings(parts[index]), crs)
        cut[index] = shapely.Polygon(shell, holes)
    return cut


def _within(shapes: Shapes, around: shapely.Geometry) -> Shapes:
    """What of the shapes lies within a part of the Earth."""
    shapely.prepare(around)
    envelopes = shapely.envelope(shapes.parts)
    across = np.flatnonzero(~shapely.covers(around, envelopes))
    return _with_parts(shapes, across, shapely.intersection(shapely.make_valid(shapes.parts[across]), around))


def _with_parts(shapes: Shapes, which: NDArray[np.int64], others: NDArray[np.object_]) -> Shapes:
    """Shapes with others, which may have parts themselves or be empty, for some of them."""
    if not len(which):
        return shapes
    parts, index = shapes.parts.copy(), np.arange(len(shapes.parts))
    parts[which] = others
    while (shapely.get_type_id(parts) > 3).any():
        parts, inner = shapely.get_parts(parts, return_index=True)
        index = index[inner]
    left = ~shapely.is_empty(parts)
    return Shapes(parts[left], shapes.rows[index[left]])


def _unwrapped(shapes: Shapes, turn: float) -> Shapes:
    """Shapes without jumps from one end of the longitudes to the other; those around a pole are left out."""
    points, part = shapely.get_coordinates(shapes.parts, return_index=True)
    across = (np.abs(np.diff(points[:, 0])) > turn / 2) & (part[1:] == part[:-1])
    parts = shapes.parts.copy()
    for index in np.unique(part[1:][across]).tolist():
        parts[index] = _without_jumps(parts[index], turn)
    return Shapes(parts, shapes.rows)[~shapely.is_missing(parts)]


def _without_jumps(shape: shapely.Geometry, turn: float) -> shapely.Geometry | None:
    if isinstance(shape, shapely.Polygon):
        return unwrapped(shape, turn)
    line = shapely.get_coordinates(shape)
    line[:, 0] = np.unwrap(line[:, 0], period=turn)
    return shapely.LineString(line)


def on_pixels(shapes: Shapes, grid: Grid) -> Shapes:
    """Shapes in the scene's CRS that may lie on it, in px (col, row), on a grid of 1/256 px.

    Where the CRS counts in angles, they may be whole turns east or west of the scene. On a plain picture, they may be
    as a GIS shows it, its rows downwards from 0, or count them upwards from there.
    """
    turn = turn_of(grid.crs)
    moved = []
    points = shapely.get_coordinates(shapes.parts)
    is_picture = grid.crs is None and grid.transform.is_identity
    is_downwards = is_picture and 2 * int((points[:, 1] < 0).sum()) > len(points)
    transform = Affine.scale(1, -1) if is_downwards else grid.transform
    for turns in (0, -1, 1) if turn else (0,):
        pixels = on_ground(points, ~transform @ Affine.translation(turns * turn, 0.0))
        parts = shapely.set_coordinates(shapes.parts.copy(), np.round(pixels * PIXEL_GRID) / PIXEL_GRID)
        left, top, right, bottom = shapely.bounds(parts).T
        near = (left < grid.width) & (right >= 0) & (top < grid.height) & (bottom >= 0)
        moved.append(Shapes(parts, shapes.rows)[near])
    parts, rows = (np.concatenate([getattr(each, name) for each in moved]) for name in ("parts", "rows"))
    order = np.argsort(rows, kind="stable")
    return Shapes(parts[order], rows[order])
