"""Where pixels lie on the ground, and how large things are there: always in metres, whatever the CRS counts in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyproj
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj.exceptions import ProjError
from rasterio.crs import CRS

__all__ = ["Grid", "polygon_areas", "to_pyproj"]


@dataclass(frozen=True)
class Grid:
    """The pixels of a raster and where they lie.

    Attributes
    ----------
    height, width : int
        Px.
    crs : CRS or None
    transform : Affine
        Pixel (col, row) to ground.
    """

    height: int
    width: int
    crs: CRS | None
    transform: Affine

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """Size (height, width) in metres of the pixel in the middle; None without a CRS."""
        if self.crs is None:
            return None
        col, row = self.width / 2, self.height / 2
        (x, y), (x_below, y_below), (x_right, y_right) = (
            self.transform @ corner for corner in ((col, row), (col, row + 1), (col + 1, row))
        )
        if self.crs.is_geographic:
            geod = _geod(self.crs)
            return float(geod.inv(x, y, x_below, y_below)[2]), float(geod.inv(x, y, x_right, y_right)[2])
        metres = _metres_per_unit(self.crs)
        return float(np.hypot(x_below - x, y_below - y)) * metres, float(np.hypot(x_right - x, y_right - y)) * metres

    def pixel_areas(self) -> NDArray[np.float64]:
        """Area of one pixel in each row, (height,): square metres, or square map units without a CRS.

        On a geographic grid it is the exact area on the ellipsoid between two parallels (Snyder 1987, Map Projections:
        A Working Manual, eq. 3-12 and 3-18).
        """
        planar = abs(self.transform.determinant)
        if self.crs is None:
            return np.full(self.height, planar)
        if not self.crs.is_geographic:
            return np.full(self.height, planar * _metres_per_unit(self.crs) ** 2)
        geod = _geod(self.crs)
        edges = self.transform.f + self.transform.e * np.arange(self.height + 1)
        sine = np.sin(np.deg2rad(edges.clip(-90, 90)))
        eccentricity = np.sqrt(geod.es)
        zones = sine / (1 - geod.es * sine**2)
        zones += np.arctanh(eccentricity * sine) / eccentricity if eccentricity else sine
        areas: NDArray[np.float64] = np.abs(np.diff(zones)) * geod.b**2 / 2 * np.deg2rad(abs(self.transform.a))
        return areas


def polygon_areas(polygons: NDArray[np.object_], crs: CRS | None) -> NDArray[np.float64]:
    """Areas of polygons: geodesic for a geographic CRS, else planar; square metres, or square units without a CRS."""
    if crs is None:
        return np.asarray(shapely.area(polygons))
    if not crs.is_geographic:
        return np.asarray(shapely.area(polygons) * _metres_per_unit(crs) ** 2)
    geod = _geod(crs)
    # The sign tells the ring's direction; holes run against it and are subtracted.
    return np.array([abs(geod.geometry_area_perimeter(shapely.orient_polygons(polygon))[0]) for polygon in polygons])


def to_pyproj(crs: CRS) -> pyproj.CRS:
    """The same CRS for pyproj and geopandas, with its authority code where it has one."""
    try:
        return pyproj.CRS.from_user_input(crs)
    except ProjError:
        return pyproj.CRS.from_wkt(crs.to_wkt())


def _geod(crs: CRS) -> pyproj.Geod:
    geod = to_pyproj(crs).get_geod()
    assert geod is not None  # every geographic CRS has an ellipsoid
    return geod


def _metres_per_unit(crs: CRS) -> float:
    return float(crs.linear_units_factor[1])
