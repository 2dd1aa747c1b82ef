"""Suggestions as a file of points for a GIS: the user fills in their classes, and they are examples."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from lposs_geo.examples.suggest import Suggestion
from lposs_geo.files.vectors import check_vector, write_stream
from lposs_geo.files.writing import writing
from lposs_geo.grid import Grid, on_ground, to_pyproj
from lposs_geo.legend.legend import Legend

__all__ = ["LAYER", "write_suggestions"]

LAYER = "suggestions"
"""Name of the layer in a file."""

_NO_TIME = "1970-01-01T00:00:00.000Z"
"""In a GeoPackage, which must hold one: the same points are the same bytes."""


def write_suggestions(path: Path, suggestions: Sequence[Suggestion], legend: Legend, grid: Grid) -> None:
    """Write suggestions to a GeoPackage, GeoParquet, FlatGeobuf or GeoJSON file, as `path` ends.

    The columns are class (empty, for the user to fill in), first and second (names of the two most likely classes),
    margin (between them, percent points) and rank (from 1). The same suggestions give the same bytes.

    Parameters
    ----------
    path : Path
        Needs not appear atomically, see `staging.staged_in`; must not exist.
    suggestions : sequence of Suggestion
        The most useful first; may be empty.
    legend : Legend
    grid : Grid
        The scene's. GeoJSON is transformed to WGS84; a plain picture has its rows downwards, as a GIS shows it.

    Raises
    ------
    OutputError
        If the format can't hold the points (`check_vector`), or the file can't be written.
    """
    check_vector(path, grid.crs)
    suffix = path.suffix.lower()
    points = _points(suggestions, grid)
    names = {land_class.id: land_class.name for land_class in legend.classes}
    columns: dict[str, list[Any]] = {
        "class": [""] * len(suggestions),
        "first": [names[suggestion.first] for suggestion in suggestions],
        "second": [names[suggestion.second] for suggestion in suggestions],
        "margin": [round(100 * suggestion.margin, 2) for suggestion in suggestions],
        "rank": list(range(1, len(suggestions) + 1)),
    }
    with writing(path):
        if suffix == ".parquet":
            _write_parquet(path, columns, points, grid)
        else:
            _write_by_gdal(path, columns, points, grid)
        if suffix == ".gpkg":
            with closing(sqlite3.connect(path)) as database, database:
                database.execute("UPDATE gpkg_contents SET last_change = ?", [_NO_TIME])


def _points(suggestions: Sequence[Suggestion], grid: Grid) -> NDArray[np.object_]:
    is_picture = grid.crs is None and grid.transform.is_identity
    pixels = np.array([suggestion.px for suggestion in suggestions], np.float64).reshape(-1, 2)
    return np.asarray(shapely.points(on_ground(pixels, Affine.scale(1, -1) if is_picture else grid.transform)))


def _write_by_gdal(path: Path, columns: dict[str, list[Any]], points: NDArray[np.object_], grid: Grid) -> None:
    import pyarrow as pa

    kinds = {"margin": pa.float64(), "rank": pa.int32()}
    fields = [pa.field(name, kinds.get(name, pa.string())) for name in columns]
    fields.append(pa.field("geometry", pa.binary(), metadata={"ARROW:extension:name": "ogc.wkb"}))
    schema = pa.schema(fields)
    shapes = list(shapely.to_wkb(points))
    arrays = [pa.array(column, field.type) for column, field in zip((*columns.values(), shapes), fields, strict=True)]
    rows = [pa.record_batch(arrays, schema=schema)]
    write_stream(rows, path, schema, layer=LAYER, kind="Point", crs=grid.crs)


def _write_parquet(path: Path, columns: dict[str, list[Any]], points: NDArray[np.object_], grid: Grid) -> None:
    import geopandas

    crs = None if grid.crs is None else to_pyproj(grid.crs)
    frame = geopandas.GeoDataFrame(columns, geometry=points, crs=crs)
    text = dict.fromkeys(("class", "first", "second"), "str")  # also where there are no rows
    frame = frame.astype({**text, "margin": "float64", "rank": "int32"})
    frame.to_parquet(path, index=False, compression="zstd", schema_version="1.1.0")
