"""The area of interest: a box or a file of polygons, brought to the scene's CRS and onto its pixels.

A pixel is inside if its centre is. Whether it is never depends on the window that is asked about: the outline is kept
on a grid of 1/256 px, where moving it by whole px is exact.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyproj
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj.exceptions import ProjError
from rasterio.crs import CRS
from rasterio.features import geometry_mask
from rasterio.windows import Window
from shapely.errors import ShapelyError

from lposs_geo.errors import ParameterError
from lposs_geo.grid import Grid, on_ground, to_pyproj
from lposs_geo.hints import Notice
from lposs_geo.legend.words import said
from lposs_geo.scene.outlines import read_outlines
from lposs_geo.scene.reprojection import check_way, cut_edges, strayed, surroundings, transformation, turn_of, unwrapped
from lposs_geo.scene.vectors import is_file
from lposs_geo.scene.wkb import FARTHEST
from lposs_geo.tiling import tiles

__all__ = ["Area", "area_on", "is_box", "is_file", "read_aoi"]

OUTLINE_GRID = 1 / 256
"""Px that corners of an outline are rounded to."""

SIDE = 1024
"""Px of the squares that are looked at one by one for a pixel inside."""

log = logging.getLogger("lposs_geo")


@dataclass(frozen=True)
class Area:
    """An area of interest on a scene's pixels.

    Attributes
    ----------
    outline : shapely.MultiPolygon
        In px (col, row) of the scene, clipped to it.
    window : Window
        The smallest one that has all pixels inside.
    """

    outline: shapely.MultiPolygon
    window: Window

    @property
    def digest(self) -> str:
        """A hash that tells it from other areas on the same grid."""
        return hashlib.sha256(shapely.to_wkb(shapely.normalize(self.outline))).hexdigest()

    def mask(self, window: Window) -> NDArray[np.bool_]:
        """Pixels of a window of the scene that are inside, (rows, cols) bool."""
        shape = int(window.height), int(window.width)
        box = shapely.box(window.col_off, window.row_off, window.col_off + window.width, window.row_off + window.height)
        parts = shapely.get_parts(self.outline)
        near = parts[shapely.intersects(shapely.envelope(parts), box)]
        if not near.size:
            return np.zeros(shape, dtype=bool)
        corner = Affine.translation(window.col_off, window.row_off)
        return np.asarray(geometry_mask(near, shape, corner, invert=True), dtype=bool)


def area_on(geometry: shapely.Geometry, grid: Grid) -> Area:
    """Lay an area onto a scene's pixels.

    Parameters
    ----------
    geometry : shapely.Geometry
        Polygons in the scene's CRS. Where that counts in degrees, they may be whole turns east or west of the scene.
    grid : Grid
        The scene's.

    Raises
    ------
    ParameterError
        If no pixel of the scene is inside.
    """
    with _refusals_named("the area of interest can't be laid onto the scene"):
        outline = _on_pixels(geometry, grid)
    if outline.is_empty:
        corners = np.array([[0, 0], [grid.width, 0], [grid.width, grid.height], [0, grid.height]], dtype=np.float64)
        extent = shapely.MultiPoint(on_ground(corners, grid.transform)).bounds
        raise ParameterError(
            f"the area of interest ({_extent(geometry.bounds)}) and the scene ({_extent(extent)}) don't overlap",
            hint="give an area on the scene, in its CRS",
        )
    left, top, right, bottom = outline.bounds
    # from the first to the last column and row whose centres lie within these bounds
    col, row = math.ceil(left - 0.5), math.ceil(top - 0.5)
    area = Area(outline, Window(col, row, math.floor(right + 0.5) - col, math.floor(bottom + 0.5) - row))
    if not _has_pixels(area):
        raise ParameterError("the area of interest holds no pixel's centre: it is narrower than the scene's pixels")
    return area


def _on_pixels(geometry: shapely.Geometry, grid: Grid) -> shapely.MultiPolygon:
    """A geometry in px, clipped to the scene."""
    scene = shapely.box(0, 0, grid.width, grid.height)
    turn = turn_of(grid.crs)
    clipped = []
    for turns in (-1, 0, 1) if turn else (0,):
        to_pixels = ~grid.transform @ Affine.translation(turns * turn, 0.0)
        pixels = shapely.transform(geometry, lambda points, to=to_pixels: on_ground(points, to))
        clipped.append(shapely.intersection(_polygons(shapely.make_valid(pixels)), scene, grid_size=OUTLINE_GRID))
    return _polygons(shapely.union_all(clipped, grid_size=OUTLINE_GRID))


def is_box(text: str | Path) -> bool:
    """True if it is meant to be a box, rightly written or not, and no file."""
    return isinstance(text, str) and not is_file(text) and any(map(_is_number, text.split(",")))


def read_aoi(text: str | Path, crs: CRS | None, *, layer: str | None = None) -> shapely.Geometry:
    """Read an area of interest.

    Parameters
    ----------
    text : str or Path
        A box as "xmin,ymin,xmax,ymax" in the scene's CRS, or a file of polygons that GDAL reads, or a GeoParquet file.
        All its polygons together are the area.
    crs : CRS or None
        The scene's. A file with another one is brought to it; one without is taken to be in it, with a warning.
    layer : str, optional
        Which layer of the file; needed where there are several.

    Returns
    -------
    shapely.Geometry
        Valid polygons in the scene's CRS.

    Raises
    ------
    ParameterError
        If it is neither a box nor such a file, or holds no polygons or other shapes too, or can't be brought to the
        scene's CRS.
    """
    if isinstance(text, str) and is_box(text):
        if layer is not None:
            raise ParameterError(
                f"the area of interest '{text}' is a box and has no layer '{layer}'", hint="leave <aoi_layer> out"
            )
        return _box(text)
    outlines, own_crs = read_outlines(str(text), layer)
    with _refusals_named(f"'{text}' can't be used as an area of interest"):
        area = _polygons(shapely.union_all(shapely.make_valid(np.array(outlines, dtype=object))))
    if area.is_empty:
        raise ParameterError(f"'{text}' holds no polygon", hint="give a file with the outline of the area")
    if own_crs is None:
        if crs is not None:
            log.warning("%s", Notice(f"{text} has no CRS: its coordinates are taken to be the scene's"))
        return area
    if crs is None:
        raise ParameterError(
            f"'{text}' has a CRS and the scene has none",
            hint="give the area as xmin,ymin,xmax,ymax, or the scene its CRS",
        )
    with _refusals_named(f"'{text}' can't be brought to the scene's CRS"):
        return _reproject(area, own_crs, to_pyproj(crs), str(text))


@contextmanager
def _refusals_named(what: str) -> Iterator[None]:
    """Turn what GEOS and PROJ refuse into one line."""
    try:
        yield
    except (ShapelyError, ProjError) as error:
        raise ParameterError(f"{what}: {said(error)}") from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _box(text: str) -> shapely.Polygon:
    values = [float(part) if _is_number(part) else math.nan for part in text.split(",")]
    if len(values) != 4 or not all(abs(value) <= FARTHEST for value in values):
        raise ParameterError(f"the area of interest '{text}' must be four numbers, xmin,ymin,xmax,ymax, or a file")
    left, low, right, high = values
    if left >= right or low >= high:
        raise ParameterError(
            f"the area of interest '{text}' is empty", hint="write xmin,ymin,xmax,ymax, the smaller one first"
        )
    return shapely.box(left, low, right, high)


def _polygons(geometry: shapely.Geometry) -> shapely.MultiPolygon:
    """The polygons of a geometry; making valid and clipping may leave lines and points beside them."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return shapely.MultiPolygon([part for part in parts if part.geom_type == "Polygon" and not part.is_empty])


def _reproject(area: shapely.MultiPolygon, source: pyproj.CRS, target: pyproj.CRS, name: str) -> shapely.MultiPolygon:
    if source.equals(target, ignore_axis_order=True):
        return area
    check_way(source, target, name)
    around = surroundings(source, target)
    area = area if around is None else _polygons(shapely.intersection(area, around))
    if area.is_empty:
        raise ParameterError(f"'{name}' lies where the scene's CRS isn't meant for, or its own CRS is wrong")
    (dense,) = cut_edges(np.array([area], dtype=object), source)
    moved = shapely.transform(dense, transformation(source, target))
    if strayed(shapely.get_coordinates(dense), shapely.get_coordinates(moved), source, target).any():
        raise ParameterError(
            f"'{name}' reaches farther than the scene's CRS does, or its own CRS is wrong",
            hint="cut it to the scene's surroundings",
        )
    turn = turn_of(target)
    if turn:
        parts = [unwrapped(part, turn) for part in shapely.get_parts(moved)]
        if None in parts:
            raise ParameterError(f"'{name}' lies around a pole, where longitudes have no outline", hint="cut it in two")
        moved = shapely.MultiPolygon(parts)
    return _polygons(shapely.union_all(shapely.make_valid(shapely.get_parts(moved))))


def _has_pixels(area: Area) -> bool:
    left, top, width, height = area.window.flatten()
    parts = tiles(top + height, left + width, SIDE, 0, area.window)
    return any(area.mask(part.core).any() for part in parts)


def _extent(bounds: tuple[float, ...]) -> str:
    return ",".join(f"{value:.10g}" for value in bounds)
