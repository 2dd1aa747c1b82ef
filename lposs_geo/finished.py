"""A record of the files of a finished map, by which it is seen later whether one was emptied, damaged or changed.

The record is in the sidecar of the labels, which appears with them, last of all. It tells
nothing of the time, so that the same map is the same files.
"""

from __future__ import annotations

import json
import re
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import rasterio
from rasterio.errors import RasterioError

from lposs_geo.examples import suggestion_file
from lposs_geo.files.outputs import sidecar
from lposs_geo.files.writing import writing
from lposs_geo.polygons.files import LAYER

__all__ = ["are_as_written", "put_on_record"]

_DOMAIN, _FILES = "LPOSS_GEO", "FILES"
"""Domain and key of the record in GDAL's metadata."""

_TIME = re.compile(rb'<time .*?</time>|"(?:created|datetime)": "[^"]*"')
"""The time in a report or a STAC item at which it was made."""


def put_on_record(labels: Path, written: Mapping[str, Path]) -> None:
    """Write the record of all files into the sidecar of the labels.

    Parameters
    ----------
    labels : Path
    written : mapping of str to Path
        All files of the map by kind, the labels among them.

    Raises
    ------
    OutputError
        If it can't be written, or one of the files can't be read.
    """
    path = sidecar(labels)
    with writing(path):
        files = {kind: _checksum(file) for kind, file in written.items()}
        tree = ElementTree.parse(path)
        metadata = ElementTree.SubElement(tree.getroot(), "Metadata", domain=_DOMAIN)
        ElementTree.SubElement(metadata, "MDI", key=_FILES).text = json.dumps(files)
        ElementTree.indent(tree)
        tree.write(path, encoding="utf-8")


def are_as_written(files: Mapping[str, Path]) -> bool:
    """True if all files of a map, by kind, are there as they were put on record."""
    try:
        with rasterio.open(files["labels"]) as dataset:
            record = json.loads(dataset.tags(ns=_DOMAIN).get(_FILES, "{}"))
        return all(file.is_file() and _checksum(file) == record[kind] for kind, file in files.items())
    except (RasterioError, sqlite3.Error, OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _checksum(file: Path) -> int:
    """CRC-32 of the content of a file."""
    checksum = 0
    for part in _parts(file):
        checksum = zlib.crc32(part, checksum)
    return checksum


def _parts(file: Path) -> Iterator[bytes]:
    suffix = file.suffix.lower()
    if suffix == ".gpkg":
        yield from _shapes(file)
    elif suffix in (".html", ".htm", ".json"):
        yield _TIME.sub(b"", file.read_bytes())
    else:
        with file.open("rb") as opened:
            while part := opened.read(1 << 20):
                yield part


def _shapes(geopackage: Path) -> Iterator[bytes]:
    """Classes and outlines in a GeoPackage: programs change the file itself by looking at it, and it holds the time.

    Of suggestions only the points count: to fill in their classes is what they are made for.
    """
    with closing(sqlite3.connect(f"{geopackage.absolute().as_uri()}?mode=ro", uri=True)) as database:
        ((state,),) = database.execute("PRAGMA quick_check(1)").fetchall()
        yield str(state).encode()
        layers = {name for (name,) in database.execute("SELECT table_name FROM gpkg_contents")}
        if suggestion_file.LAYER in layers:
            for rank, geometry in database.execute(f"SELECT rank, geom FROM {suggestion_file.LAYER} ORDER BY fid"):
                yield b"%d %b" % (rank, geometry)
            return
        for class_id, geometry in database.execute(f"SELECT class_id, geom FROM {LAYER} ORDER BY fid"):
            yield b"%d %b" % (class_id, geometry)
