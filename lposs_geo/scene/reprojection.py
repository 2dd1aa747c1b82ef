"""Shapes brought from one CRS to another, with care for all that goes wrong on the way.

Long edges bend, so they are cut into pieces first. Far from where a projection is meant for, points come out nowhere or
folded onto others: what doesn't come back whence it came has no position there. Where a CRS counts in angles,
longitudes jump from one end to the other: shapes are put together again.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from pyproj.exceptions import ProjError
from rasterio.crs import CRS

from lposs_geo.errors import ParameterError
from lposs_geo.grid import axis_unit, to_pyproj
from lposs_geo.legend.words import quoted

__all__ = ["check_way", "cut_edges", "jumps", "strayed", "surroundings", "transformation", "turn_of", "unwrapped"]

LONGEST_EDGE = 1000.0
"""Metres: longer edges are cut into pieces before they are brought to another CRS, where they bend."""

MEAN_RADIUS = 6_371_000.0
"""Of the Earth, metres."""

AROUND = 20.0
"""Degrees around a CRS's area of use where it is taken to be sound."""

FARTHEST_OFF = 1.0
"""Metres that a point may be off after the way to another CRS and back."""

MOST_PIECES = 2_000_000
"""Pieces that edges are cut into; longer lines and outlines are cut into longer ones."""

Points = NDArray[np.float64]


def check_way(source: pyproj.CRS, target: pyproj.CRS, name: str) -> None:
    """Refuse two CRSs that nothing leads between; ParameterError, with the name of the file in the first."""
    try:
        pyproj.Transformer.from_crs(source, target, always_xy=True)
    except ProjError as error:  # of another planet, a mere name
        raise ParameterError(
            f"'{name}' is in {quoted(source.name)}, and nothing leads from there to the scene's {quoted(target.name)}",
            hint="give it in the scene's CRS",
        ) from error


def surroundings(source: pyproj.CRS, target: pyproj.CRS) -> shapely.Geometry | None:
    """The target's area of use and what lies around it, in the source's degrees; None if any position will do.

    Beyond it, the far side of the Earth may fold onto this one.
    """
    authority = target.to_authority()  # what comes by way of WKT has lost its area of use
    use = pyproj.CRS.from_authority(*authority).area_of_use if authority else target.area_of_use
    if use is None or not source.is_geographic or target.is_geographic:
        return None
    degree, turn = math.radians(1) / axis_unit(source), turn_of(source)
    east = use.east + 360 * (use.east < use.west)
    bounds = np.array([use.west - AROUND, use.south - AROUND, east + AROUND, use.north + AROUND]) * degree
    around = [shapely.box(*(bounds + turns * np.array([turn, 0, turn, 0]))) for turns in (-1, 0, 1)]
    return shapely.union_all(around)


def cut_edges(shapes: NDArray[np.object_], crs: pyproj.CRS) -> NDArray[np.object_]:
    """Shapes in a CRS with their long edges in pieces that stay straight in any other one."""
    unit = axis_unit(crs)
    longest = LONGEST_EDGE / (MEAN_RADIUS * unit if crs.is_geographic else unit)
    cut: NDArray[np.object_] = shapely.segmentize(shapes, max(longest, shapely.length(shapes).sum() / MOST_PIECES))
    return cut


def transformation(source: pyproj.CRS, target: pyproj.CRS) -> Callable[[Points], Points]:
    """A function that brings points (n, 2) from one CRS to another; those that don't exist there become infinite."""
    transformer = pyproj.Transformer.from_crs(source, target, always_xy=True)
    return lambda points: np.column_stack(transformer.transform(points[:, 0], points[:, 1]))


def strayed(points: Points, moved: Points, source: pyproj.CRS, target: pyproj.CRS) -> NDArray[np.bool_]:
    """Points (n, 2), brought from the source to the target, that don't come back whence they came; (n,) bool."""
    back = transformation(target, source)(moved)
    off = np.linalg.norm(_in_metres(back, source) - _in_metres(points, source), axis=1)
    return np.asarray(~(off < FARTHEST_OFF), dtype=bool)


def _in_metres(points: Points, crs: pyproj.CRS) -> Points:
    """Points (n, 2) of a CRS where distances are metres: in the plane, or on a globe, where no longitude jumps."""
    scaled = points * axis_unit(crs)
    if not crs.is_geographic:
        return scaled
    lon, lat = np.where(np.isfinite(scaled), scaled, np.nan).T
    return MEAN_RADIUS * np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def turn_of(crs: CRS | pyproj.CRS | None) -> float:
    """A whole turn in the CRS's unit; 0 if it doesn't count in angles."""
    known = to_pyproj(crs) if isinstance(crs, CRS) else crs
    return round(math.tau / axis_unit(known), 9) if known is not None and known.is_geographic else 0.0


def jumps(ring: Points, turn: float) -> bool:
    """True if a ring or line (n, 2) goes from one end of the longitudes to the other at once."""
    return bool((np.abs(np.diff(ring[:, 0])) > turn / 2).any())


def unwrapped(polygon: shapely.Polygon, turn: float) -> shapely.Polygon | None:
    """A polygon without the jumps from one end of the longitudes to the other; None if it lies around a pole."""
    rings = [shapely.get_coordinates(ring) for ring in (polygon.exterior, *polygon.interiors)]
    if not any(jumps(ring, turn) for ring in rings):
        return polygon
    for ring in rings:
        ring[:, 0] = np.unwrap(ring[:, 0], period=turn)
        if abs(ring[-1, 0] - ring[0, 0]) > turn / 2:
            return None
        ring[:, 0] += turn * round((rings[0][:, 0].mean() - ring[:, 0].mean()) / turn)
    return shapely.Polygon(rings[0], rings[1:])
