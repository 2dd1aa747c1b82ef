"""Polygons from files as other programs and people make them.

Rings that aren't closed are, as GDAL does on drawing; rings without an area count for nothing; surfaces are taken apart
into their patches. Geometries are read here from their binary form (WKB), since GEOS refuses all of these.
"""

from __future__ import annotations

import json
import stat
import struct
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from lposs_geo import network
from lposs_geo.errors import LpossGeoError, ParameterError, escaped
from lposs_geo.files.odd_names import linked
from lposs_geo.legend.words import quoted, said

__all__ = ["FARTHEST", "is_file", "polygons_of", "read_outlines"]

FARTHEST = 1e12
"""Coordinates beyond that are wrong in any unit."""

DEEPEST = 32
"""Collections within collections."""

MOST_NAMED = 10
"""Layers or members of an archive that a message names."""

_KINDS = {
    1: "Point", 2: "LineString", 3: "Polygon", 4: "MultiPoint", 5: "MultiLineString", 6: "MultiPolygon",
    7: "GeometryCollection", 8: "CircularString", 9: "CompoundCurve", 10: "CurvePolygon", 11: "MultiCurve",
    12: "MultiSurface", 15: "PolyhedralSurface", 16: "TIN", 17: "Triangle",
}  # fmt: skip
_RINGS = {3, 17}
_PARTS = {4, 5, 6, 7, 9, 10, 11, 12, 15, 16}
_FILES_INSIDE = (".shp", ".gpkg", ".geojson", ".fgb", ".kml", ".gml", ".json", ".tab", ".mif", ".csv")


def is_file(text: str | Path) -> bool:
    """True if it names a file (or a folder that a driver reads as one) of this machine."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # no name that a file may have
        return False


def read_outlines(path: str, layer: str | None) -> tuple[list[shapely.Polygon], pyproj.CRS | None]:
    """Read the polygons of a file that GDAL reads, or of a GeoParquet file.

    Parameters
    ----------
    path : str
        A file, a folder that GDAL reads as one, a zip archive with one, or one of GDAL's own names.
    layer : str or None
        Needed where there are several.

    Returns
    -------
    polygons : list of shapely.Polygon
        With closed rings in two dimensions, but not always valid.
    crs : pyproj.CRS or None

    Raises
    ------
    ParameterError
        If it can't be read, or holds other shapes too.
    """
    path, named = linked(path), escaped(path)
    # GDAL's own names have a colon (an URL) or begin with /vsi
    if is_file(path):
        _check_kind(Path(path))
    elif ":" not in path and not path.startswith("/vsi"):
        raise ParameterError(f"the area of interest '{named}' is neither a file nor a box (xmin,ymin,xmax,ymax)")
    elif network.is_forbidden() and network.is_of_net(path):
        raise ParameterError(network.refusal(path.partition("?")[0]), hint=network.HINT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what an outline doesn't need, such as odd field types
            if path.lower().endswith((".parquet", ".geoparquet")):
                if layer is not None:
                    raise ParameterError(
                        f"'{named}' has no layers, so no {quoted(layer)}", hint="leave <aoi_layer> out"
                    )
                shapes, crs = _read_parquet(path)
            else:
                shapes, crs = _read_by_gdal(path, layer, named)
            polygons = [polygon for shape in shapes if shape is not None for polygon in polygons_of(shape)]
            return polygons, None if crs is None else pyproj.CRS.from_user_input(crs)
    except (LpossGeoError, MemoryError):
        raise
    except _OtherShapeError as error:
        raise ParameterError(f"'{named}' {error}", hint=error.hint) from error
    except Exception as error:  # GDAL, Arrow and PROJ have errors of many families, and what they read is anything
        raise ParameterError(f"'{named}' can't be read as an area of interest: {said(error)}") from error


class _OtherShapeError(ValueError):
    """A shape in a file that can't be a part of an area; the message says what it is, the hint what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def polygons_of(shape: bytes) -> Iterator[shapely.Polygon]:
    """The polygons that a geometry in WKB consists of.

    Raises
    ------
    ValueError
        If it holds something else, a coordinate that is no number, or is no WKB.
    """
    yield from _Reader(bytes(shape)).geometry(0)


class _Reader:
    """Reads WKB (ISO's, and the extended one with flags) from its beginning on."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0

    def geometry(self, depth: int) -> Iterator[shapely.Polygon]:
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
            polygon = _polygon(rings)
            if polygon is not None:
                yield polygon
        elif kind in _PARTS:
            parts = self.count(order, 5)
            if parts and kind == 10:
                raise _OtherShapeError("holds a CurvePolygon within a collection", "save it with straight lines")
            for _ in range(parts):
                yield from self.geometry(depth + 1)
        elif kind in _KINDS:
            points = self.points(order, dimensions, None if kind > 1 else 1)
            if len(points) and not (kind == 1 and np.isnan(points).all()):  # else empty
                raise _OtherShapeError(f"holds a {_KINDS[kind]}, and an area of interest is made of polygons only")
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


def _polygon(rings: list[NDArray[np.float64]]) -> shapely.Polygon | None:
    """A polygon of a shell and holes; None if it has no area."""
    for ring in rings:
        if not np.isfinite(ring).all():
            raise _OtherShapeError("holds a polygon with a coordinate that is no number", "mend it first")
        if (np.abs(ring) > FARTHEST).any():
            raise _OtherShapeError(f"holds a polygon with a coordinate beyond {FARTHEST:g}", "mend it first")
    if not rings or not _has_corners(rings[0]):
        return None
    return shapely.Polygon(_closed(rings[0]), [_closed(ring) for ring in rings[1:] if _has_corners(ring)])


def _has_corners(ring: NDArray[np.float64]) -> bool:
    return len(np.unique(ring, axis=0)) > 2


def _closed(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    return ring if (ring[0] == ring[-1]).all() else np.vstack([ring, ring[:1]])


def _check_kind(path: Path) -> None:
    """Refuse pipes and devices, which may be read for ever, also as one of a file's companions."""
    beside = list(path.iterdir()) if path.is_dir() else [path, *path.parent.glob(f"{_escaped(path.stem)}.*")]
    for file in beside:
        try:
            kind = file.stat().st_mode
        except OSError:  # a link to nothing; or gone by now
            continue
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise ParameterError(f"the area of interest '{file}' is a device or a pipe", hint="name a file")


def _escaped(stem: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in stem)


def _read_by_gdal(path: str, layer: str | None, named: str) -> tuple[list[bytes | None], str | None]:
    import pyogrio
    from pyogrio.raw import read

    opened, layers = path, list[str]()
    try:
        layers = _layers(path)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError):
        if not zipfile.is_zipfile(path):
            raise
    if not layers and zipfile.is_zipfile(path):
        opened = _inside(path, named)
        layers = _layers(opened)
    facts, _, shapes, _ = read(opened, layer=_choose_layer(named, layers, layer), columns=[])
    return list(shapes), facts["crs"]


def _layers(path: str) -> list[str]:
    """Those with shapes."""
    import pyogrio

    return [name for name, kind in pyogrio.list_layers(path) if kind is not None]


def _choose_layer(named: str, layers: list[str], layer: str | None) -> str:
    if not layers:
        raise ParameterError(f"'{named}' holds no layer with shapes", hint="give a file with the outline of the area")
    if layer is not None and layer not in layers:
        raise ParameterError(f"'{named}' has no layer {quoted(layer)}", hint=f"it has {_listed(layers)}")
    if layer is None and len(layers) > 1:
        raise ParameterError(f"'{named}' has {len(layers)} layers", hint=f"name one by <aoi_layer>: {_listed(layers)}")
    return layers[0] if layer is None else layer


def _listed(names: list[str]) -> str:
    return ", ".join([*map(quoted, names[:MOST_NAMED]), *(["and others"] if len(names) > MOST_NAMED else [])])


def _inside(path: str, named: str) -> str:
    """GDAL's name of the file of polygons in a folder of a zip archive."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not _is_hidden(name)]
    archive_name = f"/vsizip/{{{Path(path).resolve()}}}"
    bases = sorted({name[: name.lower().index(".gdb/") + 4] for name in names if ".gdb/" in name.lower()})
    for suffixes in (_FILES_INSIDE[:6], _FILES_INSIDE[6:]):
        files = bases or [name for name in names if name.lower().endswith(suffixes)]
        folders = {name.rpartition("/")[0] for name in files}
        if len(files) == 1:
            return f"{archive_name}/{files[0]}"
        if files and len(folders) == 1 and all(name.lower().endswith(".shp") for name in files):
            return f"{archive_name}/{folders.pop()}"  # its shapefiles are layers
        if files:
            raise ParameterError(
                f"'{named}' holds {len(files)} files of shapes", hint=f"unpack it, and name one of {_listed(files)}"
            )
    raise ParameterError(f"'{named}' holds no file of shapes that is known", hint="unpack it, and name the file")


def _is_hidden(name: str) -> bool:
    """True if it is a folder, or what systems add unasked."""
    return name.endswith("/") or any(
        part == "__MACOSX" or (part.startswith(".") and part.strip(".")) for part in name.split("/")
    )


def _read_parquet(path: str) -> tuple[list[bytes | None], Any]:
    """Read GeoParquet, https://geoparquet.org; other encodings than WKB, parts in a folder and URLs by geopandas."""
    from pyarrow import parquet

    if not Path(path).is_file():
        return _read_by_geopandas(path)
    with parquet.ParquetFile(path) as file:
        text = (file.schema_arrow.metadata or {}).get(b"geo")
        if text is None:
            raise ValueError("its metadata name no geometry: it is no GeoParquet")
        geo = json.loads(text)
        name = geo.get("primary_column") if isinstance(geo, dict) else None
        column = geo["columns"].get(name) if isinstance(name, str) and isinstance(geo.get("columns"), dict) else None
        if not isinstance(column, dict) or not isinstance(name, str) or name not in file.schema_arrow.names:
            raise ValueError("its metadata don't say which column is the geometry")
        if column.get("encoding") != "WKB":
            return _read_by_geopandas(path)
        cells = file.read(columns=[name])[name].to_pylist()
    if not all(cell is None or isinstance(cell, bytes) for cell in cells):
        raise ValueError(f"its column {quoted(name)} holds no geometry")
    return cells, column.get("crs", "OGC:CRS84")


def _read_by_geopandas(path: str) -> tuple[list[bytes | None], Any]:
    import geopandas

    geometry = geopandas.read_parquet(path).geometry
    return list(geometry.to_wkb()), geometry.crs
