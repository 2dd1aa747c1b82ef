"""The formats that can be written here: what a build of GDAL leaves out is noticed before the work, not at its end."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from os import environ
from pathlib import Path

import rasterio

from lposs_geo.errors import OutputError, one_line

__all__ = ["RASTERS", "VECTORS", "check_raster_drivers", "check_vector_driver", "missing_rasters", "missing_vector"]

RASTERS = ("GTiff", "COG")
"""Drivers that write a map."""

VECTORS = {".gpkg": "GPKG", ".fgb": "FlatGeobuf", ".geojson": "GeoJSON", ".parquet": "Parquet"}
"""Formats of polygons, by the ending."""


def missing_rasters() -> list[str]:
    """Those of `RASTERS` that GDAL doesn't have."""
    with rasterio.Env() as env:
        known = env.drivers()
    return [driver for driver in RASTERS if driver not in known]


def missing_vector(ending: str) -> str | None:
    """The reason that polygons of that ending can't be written; None where they can."""
    try:
        if VECTORS[ending] == "Parquet":
            importlib.import_module("pyarrow.parquet")
            import pyarrow

            return None if pyarrow.Codec.is_available("zstd") else "this pyarrow has no zstd"
        import pyogrio

        known = pyogrio.list_drivers(write=True)
    except (ImportError, OSError) as error:
        return one_line(error)
    return None if VECTORS[ending] in known else f"this GDAL has no driver {VECTORS[ending]} that writes{_skipped()}"


def check_raster_drivers(path: Path) -> None:
    """Refuse a map that GDAL couldn't write.

    Raises
    ------
    OutputError
        If a driver is missing.
    """
    missing = missing_rasters()
    if missing:
        raise OutputError(f"output '{path}' can't be written: this GDAL has no driver {_listed(missing)}{_skipped()}")


def check_vector_driver(path: Path) -> None:
    """Refuse polygons that couldn't be written.

    Parameters
    ----------
    path : Path
        Its ending is one of `VECTORS`.

    Raises
    ------
    OutputError
        If it is refused.
    """
    why = missing_vector(path.suffix.lower())
    if why is not None:
        others = [ending for ending in VECTORS if missing_vector(ending) is None]
        instead = f"take {_listed(others)}, or reinstall lposs-geo" if others else "reinstall lposs-geo"
        raise OutputError(f"output '{path}' can't be written: {why}", hint=instead)


def _listed(words: Iterable[str]) -> str:
    return " or ".join(words)


def _skipped() -> str:
    return f" (GDAL_SKIP={environ['GDAL_SKIP']} in the environment)" if environ.get("GDAL_SKIP") else ""
