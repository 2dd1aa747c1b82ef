"""Geometries in their binary form (WKB), as other programs and people make them.

Rings that aren't closed are, as GDAL does on drawing; rings without an area count for nothing; collections and surfaces
are taken apart. GEOS refuses all of these, so they are read here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

__all__ = ["FARTHEST", "Part", "ShapeError", "parts_of", "polygon_of"]

FARTHEST = 1e12
"""Coordinates beyond that are wrong in any unit."""

DEEPEST = 32
"""Collections within collections."""

_KINDS = {
    1: "Point", 2: "LineString", 3: "Polygon", 4: "MultiPoint", 5: "MultiLineString", 6: "MultiPolygon",
    7: "GeometryCollection", 8: "CircularString", 9: "CompoundCurve", 10: "CurvePolygon", 11: "MultiCurve",
    12: "MultiSurface", 15: "PolyhedralSurface", 16: "TIN", 17: "Triangle",
}  # fmt: skip
_RINGS = {3, 17}
_PARTS = {4, 5, 6, 7, 9, 10, 11, 12, 15, 16}


class ShapeError(ValueError):
    """A shape that can't be used; the message says what a file with it does, the hint what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Part(NamedTuple):
    """A part of a geometry that has no parts itself.

    Attributes
    ----------
    kind : str
        Point, LineString, Polygon, or CircularString, which has only its corners here.
    rings : list of (n, 2) arrays
        Coordinates: a polygon's rings, as they are in the file, or the points of what is none.
    """

    kind: str
    rings: list[NDArray[np.float64]]


def parts_of(shape: bytes) -> Iterator[Part]:
    """The parts of a geometry in WKB that aren't empty.

    Raises
    ------
    ShapeError
        If it holds a surface with curves within a collection.
    ValueError
        If it is no WKB.
    """
    yield from _Reader(bytes(shape)).geometry(0)


def polygon_of(part: Part) -> shapely.Polygon | None:
    """A polygon of a shell and holes, its rings closed; None if it has no area.

    Raises
    ------
    ShapeError
        If a coordinate is no number, or beyond all bounds.
    """
    for ring in part.rings:
        if not np.isfinite(ring).all():
            raise ShapeError("holds a polygon with a coordinate that is no number", "mend it first")
        if (np.abs(ring) > FARTHEST).any():
            raise ShapeError(f"holds a polygon with a coordinate beyond {FARTHEST:g}", "mend it first")
    shell, *holes = part.rings or [np.empty((0, 2))]
    if not _has_corners(shell):
        return None
    return shapely.Polygon(_closed(shell), [_closed(ring) for ring in holes if _has_corners(ring)])


class _Reader:
    """Reads WKB (ISO's, and the extended one with flags) from its beginning on."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0

    def geometry(self, depth: int) -> Iterator[Part]:
        if depth > DEEPEST:
            raise ValueError("collections are nested too deep")
        order = "<" if self.number("<B") else ">"
        code = self.number(f"{order}I")
        dimensions = 2 + bool(code & 0x80000000) + bool(code & 0x40000000)
        if code & 0x20000000:
            self.number(f"{order}I")  # a CRS of PostGIS
        thousands, kind = divmod(code & 0x0FFFFFFF, 1000)
        dimensions += (0, 1, 1, 2)[thousands] if thousands < 4 else 0
        if kind in _RINGS:
            rings = [self.points(order, dimensions) for _ in range(self.count(order, 4))]
            if rings:
                yield Part("Polygon", rings)
        elif kind in _PARTS:
            parts = self.count(order, 5)
            if parts and kind == 10:
                raise ShapeError("holds a CurvePolygon within a collection", "save it with straight lines")
            for _ in range(parts):
                yield from self.geometry(depth + 1)
        elif kind in _KINDS:
            points = self.points(order, dimensions, None if kind > 1 else 1)
            if len(points) and not (kind == 1 and np.isnan(points).all()):  # else empty
                yield Part(_KINDS[kind], [points])
        else:
            raise ValueError(f"there is no kind {code} of geometry")

    def number(self, layout: str) -> int:
        size = struct.calcsize(layout)
        if self.at + size > len(self.raw):
            raise ValueError("a geometry is cut off")
        (number,) = struct.unpack_from(layout, self.raw, self.at)
        self.at += size
        return int(number)

    def count(self, order: str, least: int) -> int:
        """Number of things, of at least so many bytes each, that follow."""
        count = self.number(f"{order}I")
        if count * least > len(self.raw) - self.at:
            raise ValueError("a geometry is cut off")
        return count

    def points(self, order: str, dimensions: int, count: int | None = None) -> NDArray[np.float64]:
        """Points (n, 2), without what is more than x and y."""
        count = self.count(order, 8 * dimensions) if count is None else count
        size = 8 * dimensions * count
        if self.at + size > len(self.raw):
            raise ValueError("a geometry is cut off")
        points = np.frombuffer(self.raw, f"{order}f8", dimensions * count, self.at).reshape(-1, dimensions)
        self.at += size
        return points[:, :2].astype(np.float64)


def _has_corners(ring: NDArray[np.float64]) -> bool:
    return len(np.unique(ring, axis=0)) > 2


def _closed(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    return ring if (ring[0] == ring[-1]).all() else np.vstack([ring, ring[:1]])
