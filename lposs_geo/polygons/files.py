"""Polygons as a file for a GIS, written batch by batch: a map of millions of them needs no more memory than one of few.

GeoPackage, FlatGeobuf and GeoJSON take the batches as an Arrow stream through GDAL; GeoParquet is Arrow's own to write.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from os import SEEK_END
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS

from lposs_geo.files.vectors import GEOPACKAGE_GEOMETRY, check_vector, write_stream
from lposs_geo.files.writing import failed_write
from lposs_geo.grid import to_pyproj
from lposs_geo.legend.legend import Legend
from lposs_geo.polygons.coverage import PolygonBatch
from lposs_geo.writers import styles

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["LAYER", "write_polygons"]

LAYER = "landcover"
"""Name of the layer in a file."""

ROW_GROUP = 1 << 15
"""Most polygons of a GeoParquet row group, the least that a reader of a small extent reads."""

_LAYER_STYLES = """
CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    f_table_catalog TEXT(256),
    f_table_schema TEXT(256),
    f_table_name TEXT(256),
    f_geometry_column TEXT(256),
    styleName TEXT(30),
    styleQML TEXT,
    styleSLD TEXT,
    useAsDefault BOOLEAN,
    description TEXT,
    owner TEXT(30),
    ui TEXT(30),
    update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now'))
)"""
"""The table as QGIS makes it, which is where QGIS looks for a layer's style."""


def write_polygons(batches: Iterable[PolygonBatch], path: Path, legend: Legend, crs: CRS | None) -> int:
    """Write polygons to a GeoPackage, GeoParquet, FlatGeobuf or GeoJSON file, as `path` ends.

    The columns are class_id, class_name, class_code (null where the legend has none), area_m2, perimeter_m, confidence
    (percent; null where unknown, no column where the first batch has none) and the geometry. A GeoPackage also holds
    the style that QGIS opens it with.

    Parameters
    ----------
    batches : iterable of PolygonBatch
        Taken one at a time and let go when written.
    path : Path
        Needs not appear atomically, see `staging.staged_in`; must not exist.
    legend : Legend
        Names, codes and colours of the class ids.
    crs : CRS or None
        Of the polygons; GeoJSON is transformed to WGS84.

    Returns
    -------
    int
        The number of polygons written.

    Raises
    ------
    OutputError
        If the format can't hold the polygons (`check_vector`), or the file can't be written. An error that `batches`
        itself raises comes through as it is.
    """
    check_vector(path, crs)
    suffix = path.suffix.lower()
    rest = iter(batches)
    head = list(islice(rest, 1))
    schema = _schema(confidence=not head or head[0].confidence is not None, parquet=suffix == ".parquet")
    flow = _Flow()
    rows = flow.rows(_handed_on(head, rest), schema, legend)
    with _failures_named(path, flow):
        if suffix == ".parquet":
            _write_parquet(rows, path, schema, crs)
        else:
            write_stream(rows, path, schema, layer=LAYER, kind="Polygon", crs=crs)
        if suffix == ".gpkg":
            _add_style(path, legend)
        _check_complete(path, flow.written)
    return flow.written


def _handed_on(head: list[PolygonBatch], rest: Iterator[PolygonBatch]) -> Iterator[PolygonBatch]:
    """One after the other; `itertools.chain` would keep the first ones till the end."""
    while head:
        yield head.pop(0)
    yield from rest


@dataclass
class _Flow:
    """Polygons on their way to a file.

    Attributes
    ----------
    written : int
        Polygons handed to the writer so far.
    failure : BaseException or None
        The error that their batches raised: GDAL and Arrow, in between, only hand on that something went wrong.
    """

    written: int = 0
    failure: BaseException | None = None

    def rows(self, batches: Iterable[PolygonBatch], schema: pa.Schema, legend: Legend) -> Iterator[pa.RecordBatch]:
        try:
            for batch in batches:
                rows = _record_batch(batch, schema, legend)
                del batch  # neither is kept while the next one is made
                yield rows
                self.written += rows.num_rows
                del rows
        except GeneratorExit:
            raise
        except BaseException as error:
            self.failure = error
            raise


@contextmanager
def _failures_named(path: Path, flow: _Flow) -> Iterator[None]:
    """Turn what GDAL, Arrow, SQLite and the system say of a failed write into one line."""
    try:
        yield
    except BaseException as error:
        if flow.failure is not None:
            raise flow.failure from None
        if isinstance(error, MemoryError) or not isinstance(error, Exception):
            raise
        raise failed_write(path, error) from error


def _schema(*, confidence: bool, parquet: bool) -> pa.Schema:
    import pyarrow as pa

    fields = [
        pa.field("class_id", pa.int32()),
        pa.field("class_name", pa.string()),
        pa.field("class_code", pa.int32()),
        pa.field("area_m2", pa.float64()),
        pa.field("perimeter_m", pa.float64()),
    ]
    if confidence:
        fields.append(pa.field("confidence", pa.float32()))
    # GDAL knows the geometry by its extension's name; GeoParquet tells it in the file's metadata.
    metadata = None if parquet else {"ARROW:extension:name": "ogc.wkb"}
    fields.append(pa.field("geometry", pa.binary(), metadata=metadata))
    if parquet:
        fields.append(pa.field("bbox", pa.struct([(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")])))
    return pa.schema(fields)


def _record_batch(batch: PolygonBatch, schema: pa.Schema, legend: Legend) -> pa.RecordBatch:
    import pyarrow as pa

    known = {land_class.id: land_class for land_class in legend.with_unknown}
    ids, index = np.unique(batch.class_id, return_inverse=True)
    names = [known[key].name if key in known else f"class {key}" for key in ids.tolist()]
    codes = [known[key].code if key in known else None for key in ids.tolist()]
    polygons = shapely.orient_polygons(batch.geometry)  # the right-hand rule, which GeoParquet declares
    columns: dict[str, Any] = {
        "class_id": pa.array(batch.class_id, pa.int32()),
        "class_name": pa.array(names, pa.string()).take(pa.array(index)),
        "class_code": pa.array(codes, pa.int32()).take(pa.array(index)),
        "area_m2": pa.array(batch.area_m2),
        "perimeter_m": pa.array(batch.perimeter_m),
        "geometry": pa.array(list(shapely.to_wkb(polygons)), pa.binary()),
    }
    if "confidence" in schema.names:
        confidence = np.full(len(batch.class_id), np.nan) if batch.confidence is None else batch.confidence
        columns["confidence"] = pa.array(confidence.astype(np.float32), from_pandas=True)  # NaN becomes null
    if "bbox" in schema.names:
        columns["bbox"] = _boxes(shapely.bounds(polygons), schema.field("bbox"))
    return pa.record_batch([columns[name] for name in schema.names], schema=schema)


def _boxes(bounds: NDArray[np.float64], field: pa.Field) -> pa.StructArray:
    import pyarrow as pa

    return pa.StructArray.from_arrays([pa.array(side) for side in bounds.reshape(-1, 4).T], fields=list(field.type))


def _write_parquet(rows: Iterator[pa.RecordBatch], path: Path, schema: pa.Schema, crs: CRS | None) -> None:
    """Write GeoParquet 1.1, https://geoparquet.org/releases/v1.1.0/."""
    from pyarrow import parquet

    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    plain = [name for name in schema.names if name not in ("geometry", "bbox")]
    with parquet.ParquetWriter(path, schema, compression="zstd", use_dictionary=plain, store_schema=False) as writer:
        for table in _row_groups(rows):
            sides = [column.to_numpy() for column in table["bbox"].combine_chunks().flatten()]
            low = np.minimum(low, [side.min() for side in sides[:2]])
            high = np.maximum(high, [side.max() for side in sides[2:]])
            writer.write_table(table, row_group_size=ROW_GROUP)
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": ["Polygon"],
            "crs": None if crs is None else to_pyproj(crs).to_json_dict(),
            "orientation": "counterclockwise",
            "edges": "planar",
            "covering": {"bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}},
        }
        if np.isfinite(low).all():
            column["bbox"] = [*low.tolist(), *high.tolist()]
        geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
        writer.add_key_value_metadata({"geo": json.dumps(geo)})


def _row_groups(rows: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches put together, or cut, to tables of `ROW_GROUP` rows, in order; none is empty."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    room = ROW_GROUP
    for batch in rows:
        start = 0
        while start < batch.num_rows:
            waiting.append(batch.slice(start, room))
            start += waiting[-1].num_rows
            room -= waiting[-1].num_rows
            if not room:
                yield pa.Table.from_batches(waiting)
                waiting, room = [], ROW_GROUP
    if waiting:
        yield pa.Table.from_batches(waiting)


def _add_style(path: Path, legend: Legend) -> None:
    """Embed the layer's style where QGIS looks for it."""
    style = {
        "f_table_catalog": "",
        "f_table_schema": "",
        "f_table_name": LAYER,
        "f_geometry_column": GEOPACKAGE_GEOMETRY,
        "styleName": LAYER,
        "styleQML": styles.polygons_qml(legend),
        "styleSLD": styles.polygons_sld(legend),
        "useAsDefault": 1,
        "description": "Names and colours of the classes",
        "owner": "",
    }
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(_LAYER_STYLES)
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles', '', 0)"
        )
        marks = ", ".join(f":{name}" for name in style)
        database.execute(f"INSERT INTO layer_styles ({', '.join(style)}) VALUES ({marks})", style)


def _check_complete(path: Path, written: int) -> None:
    """Read the file back: GDAL may notice a full disk only when it closes a file, and then says nothing."""
    match path.suffix.lower():
        case ".gpkg":
            index = f"rtree_{LAYER}_{GEOPACKAGE_GEOMETRY}_rowid"  # made last, after the layer was committed
            complete = all(_rows(path, table) == written for table in (LAYER, index))
        case ".fgb":
            complete = _features(path) == written
        case ".geojson":
            with path.open("rb") as file:
                file.seek(-4, SEEK_END)
                complete = file.read().split() == [b"]", b"}"]
        case _:  # Arrow raises what happens to a Parquet file
            complete = True
    if not complete:
        raise OSError("what was written doesn't read back")


def _rows(path: Path, table: str) -> int | None:
    """Rows of a GeoPackage's table; None where it is missing."""
    with closing(sqlite3.connect(path)) as database:
        if database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table]).fetchone() is None:
            return None
        return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _features(path: Path) -> int:
    """Features of a file that can be read, each of which is."""
    import pyarrow as pa
    from pyogrio.raw import open_arrow

    with open_arrow(path, columns=[], use_pyarrow=False) as (_, stream):
        return sum(batch.num_rows for batch in pa.RecordBatchReader.from_stream(stream))
