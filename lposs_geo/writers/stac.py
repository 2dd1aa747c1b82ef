"""A map as a STAC Item, by which catalogues, browsers and libraries find it, read it and know its classes.

STAC 1.1 with its extensions projection 2, classification 2 and processing 1.2: https://stacspec.org.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from shapely.affinity import translate

from lposs_geo.grid import Grid, lonlat_transformer, on_ground, to_pyproj
from lposs_geo.legend.legend import NODATA, UNKNOWN_CLASS, LandClass, Legend
from lposs_geo.release import __version__

__all__ = ["Asset", "item"]

_EXTENSIONS = [
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
]

_COG = "image/tiff; application=geotiff; profile=cloud-optimized"

_MEDIA_TYPES = {
    ".tif": _COG,
    ".tiff": _COG,
    ".gpkg": "application/geopackage+sqlite3",
    ".parquet": "application/vnd.apache.parquet",
    ".fgb": "application/vnd.flatgeobuf",
    ".geojson": "application/geo+json",
    ".json": "application/json",
    ".html": "text/html",
    ".csv": "text/csv",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".qml": "application/xml",
    ".sld": "application/vnd.ogc.sld+xml",
}

_EDGE_PIECES, _MOST_PIECES = 64, 2048
"""Pieces of each side of a footprint: in longitude and latitude a straight side is a curve. A strip may need more."""

_DECIMALS, _MOST_DECIMALS = 7, 12
"""Of longitudes and latitudes: a centimetre, or what a small map needs."""

_STRAIGHT = 2e-4
"""Distance of a side from its curve at most, as a share of half the width: most footprints have four corners then."""

_INSIDE = 1e-9
"""By which an outline is drawn in, as a share, where it runs through a pole: there longitudes mean nothing."""

_POLE, _HALF_ROUND = 90 - 1e-9, 175
"""A latitude, and a step in longitude, degrees, by which that is known."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Asset:
    """A file that goes with a map.

    Attributes
    ----------
    path : Path
        Seen from the item's folder.
    fields : mapping of str to anything that JSON holds
        More on it in the item: title, roles and others.
    """

    path: Path
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class _Footprint:
    """The outline of a map in longitude and latitude.

    Attributes
    ----------
    geometry : Polygon or MultiPolygon
        Counter-clockwise; its parts end at the antimeridian.
    bbox : list of float
        West, south, east, north; west is the larger one across the antimeridian (RFC 7946, section 5.2).
    """

    geometry: shapely.Geometry
    bbox: list[float]


def item(
    labels: Path,
    grid: Grid,
    legend: Legend,
    *,
    created: datetime,
    acquired: datetime | None = None,
    title: str | None = None,
    properties: Mapping[str, Any] = _NOTHING,
    assets: Mapping[str, Asset] = _NOTHING,
) -> dict[str, Any]:
    """Describe a map.

    Parameters
    ----------
    labels : Path
        The label raster, seen from the folder that the item will lie in. Its name is the item's id.
    grid : Grid
        Of the labels.
    legend : Legend
    created : datetime
        Time at which the map was made; local where it names no zone.
    acquired : datetime, optional
        Time at which the scene was taken, by which a search finds the item; `created` where it isn't known.
    title : str, optional
    properties : mapping of str to anything that JSON holds
        More properties of the item; they replace ours of the same name.
    assets : mapping of str to Asset
        More files, by key.

    Returns
    -------
    dict
        The item, ready for JSON. Its geometry is the grid's outline in longitude and latitude, counter-clockwise and
        cut at the antimeridian; None, and no bbox, where the CRS is unknown, of another celestial body, or doesn't
        reach its own grid's edges.
    """
    footprint = _footprint(grid)
    ours = {
        "datetime": _timestamp(acquired or created),
        "created": _timestamp(created),
        **({} if title is None else {"title": title}),
        **({} if grid.gsd is None else {"gsd": float(f"{grid.gsd:.6g}")}),
        **_projection(grid),
        "processing:software": {"lposs-geo": __version__},
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": list(_EXTENSIONS),
        "id": _slug(labels.stem, keep=".") or "map",
        "geometry": None if footprint is None else json.loads(shapely.to_geojson(footprint.geometry)),
        **({} if footprint is None else {"bbox": footprint.bbox}),
        "properties": ours | dict(properties),
        "links": [],
        "assets": {
            "labels": _asset(_labels_asset(labels, legend)),
            **{key: _asset(asset) for key, asset in assets.items()},
        },
    }


def _labels_asset(labels: Path, legend: Legend) -> Asset:
    fields = {
        "title": legend.title or "Land cover",
        "roles": ["data"],
        "data_type": "uint8",
        "nodata": NODATA,
        "bands": [{"name": "landcover"}],
        "classification:classes": _classes(legend),
    }
    return Asset(labels, fields)


def _asset(asset: Asset) -> dict[str, Any]:
    path = asset.path
    # a relative reference that can't be taken for a scheme, with what has a meaning in URLs escaped
    href = path.as_uri() if path.is_absolute() else quote(path.as_posix())
    media_type = _MEDIA_TYPES.get(path.suffix.lower())
    return {
        "href": href if path.is_absolute() or href.startswith("../") else f"./{href}",
        **({} if media_type is None else {"type": media_type}),
        **asset.fields,
    }


def _classes(legend: Legend) -> list[dict[str, Any]]:
    """The meaning of each label, as the extension "classification" has it."""
    taken = {"nodata"}
    classes = []
    for land_class in (UNKNOWN_CLASS, *legend.classes):
        name = _slug(land_class.name.casefold()) or f"class-{land_class.id}"
        while name in taken:
            name = f"{name}-{land_class.id}"
        taken.add(name)
        entry: dict[str, Any] = {"value": land_class.id, "name": name, "title": land_class.name}
        description = _description(land_class)
        if description:
            entry["description"] = description
        classes.append(entry | {"color_hint": land_class.hex_colour.removeprefix("#").upper()})
    return [*classes, {"value": NODATA, "name": "nodata", "title": "no data", "nodata": True}]


def _description(land_class: LandClass) -> str:
    parts = []
    if land_class.code is not None:
        parts.append(f"code {land_class.code} of its nomenclature")
    if land_class.prompts and land_class.prompts != (land_class.name,):
        parts.append(f"asked for as {', '.join(land_class.prompts)}")
    return "; ".join(parts)


def _slug(text: str, keep: str = "") -> str:
    """The letters of a text that any file system and any URL takes, words joined by hyphens; may be empty."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return re.sub(f"[^A-Za-z0-9_{re.escape(keep)}]+", "-", plain).strip("-")


def _timestamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _projection(grid: Grid) -> dict[str, Any]:
    """CRS and pixels, as the extension "projection" has them."""
    corners = on_ground(_outline(grid, 1), grid.transform)
    fields: dict[str, Any] = {
        "proj:code": None,
        "proj:bbox": [*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()],
        "proj:shape": [grid.height, grid.width],
        "proj:transform": [float(number) for number in grid.transform[:6]],
    }
    if grid.crs is not None:
        crs = to_pyproj(grid.crs)
        authority = crs.to_authority(min_confidence=100)
        if authority is not None:
            return fields | {"proj:code": ":".join(authority)}
        fields |= {"proj:wkt2": crs.to_wkt(), "proj:projjson": crs.to_json_dict()}
    return fields


def _outline(grid: Grid, pieces: int) -> NDArray[np.float64]:
    """The closed outline (4 * pieces + 1, 2) of a grid as (col, row), each side in as many pieces."""
    forth = np.arange(pieces) / pieces
    sides = [(0 * forth, forth), (forth, 0 * forth + 1), (0 * forth + 1, 1 - forth), (1 - forth, 0 * forth)]
    ring = np.concatenate([np.column_stack(side) for side in sides])
    return np.vstack([ring, ring[:1]]) * (grid.width, grid.height)


def _footprint(grid: Grid) -> _Footprint | None:
    """The grid's outline in longitude and latitude; None where it has none."""
    if grid.crs is None:
        return None
    to_lonlat = lonlat_transformer(grid.crs)
    if to_lonlat is None:
        return None
    outline = _lonlat_outline(grid, to_lonlat, _EDGE_PIECES)
    if outline is None:
        return None
    pieces = _EDGE_PIECES
    while pieces < _MOST_PIECES:  # until twice as many make no difference
        finer = _lonlat_outline(grid, to_lonlat, 2 * pieces)
        if finer is None:
            break
        corners = shapely.get_coordinates(finer)[: 8 * pieces + 1]
        bends = corners[1::2] - (corners[:-1:2] + corners[2::2]) / 2
        if np.hypot(*bends.T).max() <= _STRAIGHT * _half_width(finer):
            break
        outline, pieces = finer, 2 * pieces
    half = _half_width(outline)
    decimals = min(max(_DECIMALS, 4 - math.floor(math.log10(half))), _MOST_DECIMALS) if half else _MOST_DECIMALS
    west, south, east, north = outline.bounds
    simple = shapely.simplify(outline, _STRAIGHT * half)
    simple = shapely.make_valid(simple, method="structure", keep_collapsed=False)
    parts: list[shapely.Polygon] = []
    for turn in range(math.floor((west + 180) / 360), math.ceil((east + 180) / 360)):
        within = shapely.intersection(simple, shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90))
        moved = [translate(piece, -360 * turn) for piece in shapely.get_parts(within) if shapely.area(piece) > 0]
        parts += [shapely.transform(piece, lambda points: points.round(decimals)) for piece in moved]
    # cuts elsewhere, of a world that begins at Greenwich for one, are mended
    geometry = shapely.orient_polygons(shapely.union_all(parts))
    if geometry.is_empty:
        return None
    west, south, east, north = (round(side, decimals) for side in (west, south, east, north))
    bbox = [-180.0, max(south, -90.0), 180.0, min(north, 90.0)]
    if east - west < 360:
        bbox[0] = round(west - 360 * math.floor((west + 180) / 360), decimals)
        bbox[2] = round(east - 360 * math.ceil((east - 180) / 360), decimals)
    return _Footprint(geometry, bbox)


def _lonlat_outline(grid: Grid, to_lonlat: pyproj.Transformer, pieces: int) -> shapely.Polygon | None:
    """The grid's outline, each side in as many pieces, as longitudes and latitudes; None where it has none.

    Longitudes go on beyond the antimeridian; a pole inside is a side of its own, since all longitudes meet there.
    """
    pixels = _outline(grid, pieces)
    middle = np.array([grid.width / 2, grid.height / 2])
    for drawn_in in (0.0, _INSIDE):
        ground = on_ground(middle + (pixels - middle) * (1 - drawn_in), grid.transform)
        lon, lat = to_lonlat.transform(*ground.T)
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
            return None
        lon = np.unwrap(lon, period=360)
        is_smooth = np.abs(lat).max() < _POLE and np.abs(np.diff(lon)).max() < _HALF_ROUND
        if is_smooth or grid.crs is None or grid.crs.is_geographic:
            break
    if abs(lon[-1] - lon[0]) > 180:  # once around
        pole = math.copysign(90, lat.mean())
        lon, lat = np.append(lon, [lon[-1], lon[0]]), np.append(lat, [pole, pole])
    return shapely.Polygon(np.column_stack([lon, lat]))


def _half_width(outline: shapely.Polygon) -> float:
    """About half the width of an outline where it is narrow, degrees."""
    return float(outline.area / outline.length) if outline.length else 0.0
