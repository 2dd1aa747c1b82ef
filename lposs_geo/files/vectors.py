"""Files of shapes: which formats may hold them, and how GDAL writes each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rasterio.crs import CRS

from lposs_geo.errors import OutputError
from lposs_geo.files.drivers import VECTORS, check_vector_driver
from lposs_geo.files.outputs import POLYGON_ENDINGS
from lposs_geo.grid import lonlat_transformer, to_pyproj

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["GEOPACKAGE_GEOMETRY", "check_vector", "write_stream"]

GEOPACKAGE_GEOMETRY = "geom"
"""GDAL's name of the geometry column in a GeoPackage; a style names it too."""

_GDAL_OPTIONS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    # Later versions change nothing for a layer of shapes, and make GDAL 3.6 and older warn.
    ".gpkg": ({"VERSION": "1.2"}, {"GEOMETRY_NAME": GEOPACKAGE_GEOMETRY}),
    ".fgb": ({}, {"SPATIAL_INDEX": "YES"}),
    # RFC 7946 leaves it at 7 decimals, a centimetre: a fifth of a drone's pixel. 9 are a tenth of a millimetre.
    ".geojson": ({}, {"RFC7946": "YES", "COORDINATE_PRECISION": "9"}),
}
"""Of the file, and of the layer, by the ending."""


def check_vector(path: Path, crs: CRS | None) -> None:
    """Refuse a file of shapes that can't be, before any work is done.

    Parameters
    ----------
    path : Path
        The file to be; its ending decides the format.
    crs : CRS or None
        Of the shapes.

    Raises
    ------
    OutputError
        If the ending is none of `POLYGON_ENDINGS`, or the format can't be written here, or not with that CRS.
    """
    suffix = path.suffix.lower()
    if suffix == ".shp":
        raise OutputError(
            f"output '{path}': a Shapefile cuts field names to ten letters, ends at 2 GB and knows neither missing "
            "numbers nor colours",
            hint=f"take {_listed(POLYGON_ENDINGS)}",
        )
    if suffix not in POLYGON_ENDINGS:
        raise OutputError(f"output '{path}' must end in {_listed(POLYGON_ENDINGS)}")
    check_vector_driver(path)
    if suffix == ".geojson":
        others = _listed([other for other in POLYGON_ENDINGS if other != suffix])
        if crs is None:
            raise OutputError(
                f"output '{path}': GeoJSON holds longitudes and latitudes, which a scene without a CRS hasn't",
                hint=f"take {others}",
            )
        if lonlat_transformer(crs) is None:
            raise OutputError(
                f"output '{path}': GeoJSON holds longitudes and latitudes on WGS84, into which "
                f"'{to_pyproj(crs).name}' can't be transformed",
                hint=f"take {others}",
            )


def write_stream(
    rows: Iterable[pa.RecordBatch], path: Path, schema: pa.Schema, *, layer: str, kind: str, crs: CRS | None
) -> None:
    """Write shapes by GDAL as a stream of Arrow, batch by batch.

    Parameters
    ----------
    rows : iterable of RecordBatch
        Of `schema`, whose geometry column holds WKB and is marked as ``ogc.wkb``.
    path : Path
        Its ending is one of GDAL's, not ``.parquet``; must not exist.
    schema : Schema
    layer : str
        Name of the layer in the file.
    kind : str
        Of the shapes, like "Polygon".
    crs : CRS or None
        Of the shapes; GeoJSON is transformed to WGS84.
    """
    import pyarrow as pa
    from pyogrio.raw import write_arrow

    ending = path.suffix.lower()
    file_options, layer_options = _GDAL_OPTIONS[ending]
    write_arrow(
        pa.RecordBatchReader.from_batches(schema, rows),
        path,
        layer=layer,
        driver=VECTORS[ending],
        geometry_type=kind,
        crs=None if crs is None else to_pyproj(crs).to_wkt(),
        dataset_options=file_options,
        layer_options=layer_options,
    )


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
