"""Checks of a georeference before it is relied on: a raster may not be able to lie where it says."""

from __future__ import annotations

import math

import numpy as np
import pyproj
from numpy.typing import NDArray

from lposs_geo.errors import SceneError
from lposs_geo.grid import Grid, axis_unit, lonlat_transformer, on_ground, rounded, to_pyproj
from lposs_geo.hints import Notice

__all__ = ["check_coordinates", "check_transform"]

SMALLEST, LARGEST = 1e-4, 1e6
"""Metres that the side of a pixel may have without a word."""

FARTHEST_LONGITUDE, FARTHEST_LATITUDE = 720.0, 270.0
"""Degrees: grids of the globe may begin anywhere, and some are squares of 360 degrees, half of them empty."""

FINE_DEGREES, COARSE_DEGREES = 0.01, 0.3
"""Sides of pixels, usual in degrees and rare in metres; of the coarser ones only where the CRS isn't used."""

FAR = 30.0
"""Degrees beyond the area that a CRS is made for."""

FIRST = "correct it first, e.g. with rio edit-info --transform"

CORRECT = "correct it, e.g. with rio edit-info --crs or --transform"


def check_transform(grid: Grid, path: str) -> None:
    """Refuse a geotransform that isn't finite, or gives its pixels no size.

    Parameters
    ----------
    grid : Grid
    path : str
        What messages call the raster.

    Raises
    ------
    SceneError
        If it is refused.
    """
    transform = grid.transform
    numbers = tuple(float(number) for number in tuple(transform)[:6])
    if not all(map(math.isfinite, numbers)):
        raise SceneError(f"'{path}' has a geotransform that isn't finite, {numbers}", hint=FIRST)
    if not (math.isfinite(transform.determinant) and transform.determinant):
        raise SceneError(f"'{path}' has a geotransform that gives its pixels no size, {numbers}", hint=FIRST)


def check_coordinates(grid: Grid, path: str) -> tuple[Notice, ...]:
    """Refuse a grid that can't lie where it says, as metres that are declared to be degrees.

    Parameters
    ----------
    grid : Grid
    path : str
        What messages call the raster.

    Returns
    -------
    tuple of Notice
        Doubts: what is likely wrong, though it may be as it says.

    Raises
    ------
    SceneError
        If the geotransform is no numbers, or most of the grid lies beyond a pole.
    """
    check_transform(grid, path)
    if grid.crs is None:
        return ()
    crs = to_pyproj(grid.crs)
    notices = _check_degrees(grid, crs, path) if crs.is_geographic else _doubts_of_plane(grid, crs, path)
    size = grid.pixel_size
    if size is None or not all(math.isfinite(side) and side > 0 for side in size):
        raise SceneError(
            f"'{path}' has a coordinate reference system, '{crs.name}', in which pixels have no size", hint=CORRECT
        )
    if min(size) < SMALLEST or max(size) > LARGEST:
        high, wide = (_shown(side) for side in size)
        notices = _doubt(
            f"'{path}' has pixels of {high} x {wide} m by its coordinate reference system, '{crs.name}', so this or "
            "the geotransform is likely wrong, and so are all areas"
        )
    return notices


def _check_degrees(grid: Grid, crs: pyproj.CRS, path: str) -> tuple[Notice, ...]:
    """Refuse longitudes and latitudes that there aren't."""
    degrees = math.degrees(axis_unit(crs))
    corners = _corners(grid) * degrees
    middle = corners.mean(axis=0)
    (west, south), (east, north) = corners.min(axis=0), corners.max(axis=0)
    if abs(middle[1]) >= 90 or max(-south, north) > FARTHEST_LATITUDE or max(-west, east) > FARTHEST_LONGITUDE:
        raise SceneError(
            f"'{path}' can't lie where it says: longitudes {west:.7g} to {east:.7g} and latitudes {south:.7g} to "
            f"{north:.7g}, in the degrees of '{crs.name}'",
            hint=CORRECT,
        )
    pixel = np.abs(
        on_ground(np.array([[1.0, 0], [0, 1]]), grid.transform) - on_ground(np.zeros((1, 2)), grid.transform)
    )
    if max(-south, north) > 90 + pixel[:, 1].max() * degrees:
        beyond = f"'{path}' reaches beyond the pole, to latitude {max(-south, north):.7g}: what lies there has no area"
        return (Notice(beyond),)
    return ()


def _doubts_of_plane(grid: Grid, crs: pyproj.CRS, path: str) -> tuple[Notice, ...]:
    """Doubts about coordinates in a plane."""
    if not (crs.is_projected or crs.is_engineering or crs.is_derived):
        kind = crs.type_name.removesuffix(" CRS").casefold()
        return (
            Notice(
                f"'{path}' has a coordinate reference system that isn't one of a map, '{crs.name}' ({kind}): areas are "
                "as if its axes lay in a plane"
            ),
        )
    to_lonlat = lonlat_transformer(grid.crs) if grid.crs is not None else None
    if to_lonlat is None:
        return ()
    corners = _corners(grid)
    middle = corners.mean(axis=0)
    inner = (
        corners[None] * np.linspace(0, 1, 5)[:, None, None] + middle * np.linspace(1, 0, 5)[:, None, None]
    ).reshape(-1, 2)
    lon, lat = to_lonlat.transform(*inner.T)
    known = np.isfinite(lon) & np.isfinite(lat)
    if not known.any():
        return _doubt(
            f"'{path}' lies where '{crs.name}' has no place on the Earth, so its coordinate reference system or its "
            "geotransform is likely wrong"
        )
    beyond = _beyond(crs, float(lon[known][0]), float(lat[known][0]))
    size = grid.pixel_size
    finest = max(size) if size is not None else math.inf
    is_small = finest < FINE_DEGREES or (finest <= COARSE_DEGREES and beyond > 0)
    if is_small and (np.abs(corners) <= (360.0, 90.0)).all():
        return _doubt(
            f"'{path}' has coordinates that look like degrees, ({middle[0]:.6g}, {middle[1]:.6g}), but are declared as "
            f"those of '{crs.name}', so areas are likely wrong"
        )
    if beyond > FAR:
        where = f"longitude {float(lon[known][0]):.4g}, latitude {float(lat[known][0]):.4g}"
        return _doubt(
            f"'{path}' lies near {where}, far from where '{crs.name}' is used, so its coordinate reference system is "
            "likely wrong"
        )
    return ()


def _doubt(text: str) -> tuple[Notice, ...]:
    return (Notice(text, CORRECT),)


def _corners(grid: Grid) -> NDArray[np.float64]:
    """The four corners of a grid on the ground, (4, 2)."""
    high, wide = float(grid.height), float(grid.width)
    return on_ground(np.array([[0, 0], [wide, 0], [wide, high], [0, high]]), grid.transform)


def _beyond(crs: pyproj.CRS, lon: float, lat: float) -> float:
    """Degrees by which a point lies outside the area that a CRS is made for; 0 where that isn't known."""
    level = crs.sub_crs_list[0] if crs.is_compound else crs
    authority = level.to_authority(min_confidence=100)
    area = None if authority is None else pyproj.CRS.from_authority(*authority).area_of_use
    if area is None:
        return 0.0
    wide = (area.east - area.west) % 360 or 360.0
    past = (lon - area.west) % 360  # east of its western side
    aside = 0.0 if past <= wide else min(past - wide, 360 - past)
    return max(aside, area.south - lat, lat - area.north, 0.0)


def _shown(metres: float) -> str:
    return rounded(metres) if metres >= SMALLEST else f"{metres:.2g}"
