"""Positions of pixels on the ground, and sizes there: always in metres, whatever the CRS counts in.

Areas on a geographic CRS are those on its ellipsoid. They are measured in the plane of the cylindrical equal-area
projection, where meridians and parallels, and so the sides of pixels, are straight.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import pyproj
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj.exceptions import ProjError
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

__all__ = [
    "Grid",
    "axis_unit",
    "lonlat_transformer",
    "on_ground",
    "overstates_areas",
    "polygon_areas",
    "polygon_perimeters",
    "rounded",
    "to_pyproj",
    "utm_zone",
]


# That a raster has no georeference is said by us, once, when it is described as a scene. Set once: to silence a warning
# where it comes up isn't safe in threads.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module=r"(lposs_geo|rasterio)\b")


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
        crs = to_pyproj(self.crs)
        col, row = self.width / 2, self.height / 2
        corners = on_ground(np.array([[col, row], [col, row + 1], [col + 1, row]]), self.transform) * axis_unit(crs)
        (x, y), (x_below, y_below), (x_right, y_right) = corners.tolist()
        geod = crs.get_geod()
        if crs.is_geographic and geod is not None:
            below = geod.inv(x, y, x_below, y_below, radians=True)[2]
            return float(below), float(geod.inv(x, y, x_right, y_right, radians=True)[2])
        return math.hypot(x_below - x, y_below - y), math.hypot(x_right - x, y_right - y)

    @property
    def gsd(self) -> float | None:
        """Ground resolution: the side in metres of a square as large as the middle pixel; None without a CRS."""
        size = self.pixel_size
        return None if size is None else math.sqrt(size[0] * size[1])

    def part(self, window: Window) -> Grid:
        """The grid of a part of the pixels; a part of a plain picture lies where a GIS shows it, its rows downwards."""
        col, row = window.col_off, window.row_off
        is_picture = self.crs is None and self.transform.is_identity
        if is_picture and (col or row):
            corner = Affine(1, 0, col, 0, -1, -row)
        else:
            corner = self.transform @ Affine.translation(col, row)
        return Grid(int(window.height), int(window.width), self.crs, corner)

    def pixel_areas(self, first: int = 0, last: int | None = None) -> NDArray[np.float64]:
        """Area of one pixel in each row, all or from `first` to before `last`: square metres, or square map units
        without a CRS.

        On a turned geographic grid, where it changes along a row too, that of the row's middle pixel.
        """
        rows = np.arange(first, self.height if last is None else last)
        middle = np.column_stack([np.full(len(rows), (self.width - 1) / 2), rows])
        corners = [on_ground(middle + step, self.transform) for step in ((0, 0), (1, 0), (1, 1), (0, 1))]
        if self.crs is not None:
            corners = [_measurable(corner, self.crs) for corner in corners]
        # half the cross product of a quadrangle's diagonals
        down, up = corners[2] - corners[0], corners[3] - corners[1]
        areas: NDArray[np.float64] = np.abs(down[:, 0] * up[:, 1] - down[:, 1] * up[:, 0]) / 2
        return areas


def on_ground(pixels: NDArray[np.float64], transform: Affine) -> NDArray[np.float64]:
    """Ground coordinates (n, 2) of points on the pixel grid, (n, 2) as (col, row)."""
    col, row = pixels[:, 0], pixels[:, 1]
    t = transform
    return np.column_stack([t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f])


def polygon_areas(polygons: NDArray[np.object_], crs: CRS | None) -> NDArray[np.float64]:
    """Areas of polygons: square metres (on the ellipsoid for a geographic CRS), or square map units without a CRS."""
    if crs is None:
        return np.asarray(shapely.area(polygons))
    known = to_pyproj(crs)
    if not known.is_geographic:
        return np.asarray(shapely.area(polygons) * axis_unit(known) ** 2)
    return np.asarray(shapely.area(shapely.transform(polygons, lambda points: _measurable(points, crs))))


def overstates_areas(crs: CRS) -> bool:
    """True if planar areas are far too large away from the equator: Mercator's projection, the web's among them."""
    known = to_pyproj(crs)
    while known.is_compound or known.is_bound:  # with heights, or with a way to another datum
        inner = known.sub_crs_list[0] if known.is_compound else known.source_crs
        if inner is None:
            break
        known = inner
    operation = known.coordinate_operation
    name = operation.method_name if operation is not None else ""
    return "Mercator" in name and "Transverse" not in name and "Oblique" not in name


def to_pyproj(crs: CRS) -> pyproj.CRS:
    """The same CRS for pyproj and geopandas, with its authority code where it has one."""
    try:
        return pyproj.CRS.from_user_input(crs)
    except ProjError:
        return pyproj.CRS.from_wkt(crs.to_wkt())


def lonlat_transformer(crs: CRS) -> pyproj.Transformer | None:
    """A transformer to longitude and latitude on WGS84; None for another celestial body, or a mere name."""
    try:
        return pyproj.Transformer.from_crs(to_pyproj(crs), "OGC:CRS84", always_xy=True)
    except ProjError:
        return None


def utm_zone(lon: float, lat: float) -> CRS:
    """The zone of UTM on WGS 84 that a point in degrees lies in; near the poles, the polar stereographic grid."""
    north = lat >= 0
    if abs(lat) > 84:
        return CRS.from_epsg(32661 if north else 32761)
    zone = int((lon + 180) % 360 // 6) + 1
    return CRS.from_epsg((32600 if north else 32700) + zone)


def axis_unit(crs: pyproj.CRS) -> float:
    """One unit of the CRS's axes in metres, or in radians."""
    return float(crs.axis_info[0].unit_conversion_factor) if crs.axis_info else 1.0


def _measurable(points: NDArray[np.float64], crs: CRS) -> NDArray[np.float64]:
    """Points (n, 2) of a CRS in a plane where areas are square metres.

    For a geographic CRS: Snyder 1987, Map Projections: A Working Manual, eq. 3-12 and 10-15, on the equator.
    """
    known = to_pyproj(crs)
    scaled = points * axis_unit(known)
    geod = known.get_geod()
    if not known.is_geographic or geod is None:
        return scaled
    sine = np.sin(scaled[:, 1].clip(-np.pi / 2, np.pi / 2))
    eccentricity = math.sqrt(geod.es)
    authalic = sine / (1 - geod.es * sine**2)
    authalic += np.arctanh(eccentricity * sine) / eccentricity if eccentricity else sine
    return np.column_stack([geod.a * scaled[:, 0], geod.a * (1 - geod.es) / 2 * authalic])


def polygon_perimeters(polygons: NDArray[np.object_], crs: CRS | None) -> NDArray[np.float64]:
    """Lengths of polygons' outlines, those of holes included: metres (on the ellipsoid for a geographic CRS), or map
    units without a CRS.
    """
    if crs is None:
        return np.asarray(shapely.length(polygons))
    known = to_pyproj(crs)
    geod = known.get_geod()
    if not known.is_geographic or geod is None:
        return np.asarray(shapely.length(polygons)) * axis_unit(known)
    # Sides are straight in longitude and latitude, as for areas: long ones are cut into pieces that geodesics follow.
    pieces = shapely.segmentize(polygons, math.radians(0.5) / axis_unit(known))
    rings, polygon = shapely.get_rings(pieces, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    x, y = (points * axis_unit(known)).T
    lengths = geod.inv(x[:-1], y[:-1], x[1:], y[1:], radians=True)[2]
    lengths[ring[1:] != ring[:-1]] = 0.0  # from one ring to the next
    perimeters: NDArray[np.float64] = np.bincount(polygon[ring[1:]], lengths, minlength=len(polygons)).astype(
        np.float64
    )
    return perimeters


def rounded(number: float) -> str:
    """A number with three digits that count, for people: without an exponent."""
    return f"{float(f'{number:.3g}'):,.10g}"
