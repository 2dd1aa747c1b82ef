"""Whether the files of a map are still what a run finished: neither emptied, damaged nor changed since.

What was written is on record in the sidecar of the labels, which appears with them, last of all. The record tells
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

from lposs_geo.files.outputs import sidecar
from lposs_geo.files.writing import writing
from lposs_geo.polygons.files import LAYER

__all__ = ["are_as_written", "put_on_record"]

_DOMAIN, _FILES = "LPOSS_GEO", "FILES"
"""Where in GDAL's metadata the record is."""

_TIME = re.compile(rb'<time .*?</time>|"(?:created|datetime)": "[^"]*"')
"""What tells in a report or a STAC item when it was made."""


def put_on_record(labels: Path, written: Mapping[str, Path]) -> None:
    """Write into the sidecar of the labels what was written.

    Parameters
    ----------
    labels : Path
    written : mapping of str to Path
        All files of the map by kind, the labels among them.

    Raises
    ------
    OutputError
        If it can't be written, or what was written can't be read.
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
    """Whether all files of a map, by kind, are there as they were put on record."""
    try:
        with rasterio.open(files["labels"]) as dataset:
            record = json.loads(dataset.tags(ns=_DOMAIN).get(_FILES, "{}"))
        return all(file.is_file() and _checksum(file) == record[kind] for kind, file in files.items())
    except (RasterioError, sqlite3.Error, OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _checksum(file: Path) -> int:
    """CRC-32 of what a file tells."""
    found = 0
    for part in _parts(file):
        found = zlib.crc32(part, found)
    return found


def _parts(file: Path) -> Iterator[bytes]:
    suffix = file.suffix.lower()
    if suffix == ".gpkg":
        yield from _polygons(file)
    elif suffix in (".html", ".htm", ".json"):
        yield _TIME.sub(b"", file.read_bytes())
    else:
        with file.open("rb") as opened:
            while part := opened.read(1 << 20):
                yield part


def _polygons(geopackage: Path) -> Iterator[bytes]:
    """Classes and outlines in a GeoPackage: programs change the file itself by looking at it, and it holds the time."""
    with closing(sqlite3.connect(f"{geopackage.absolute().as_uri()}?mode=ro", uri=True)) as database:
        ((state,),) = database.execute("PRAGMA quick_check(1)").fetchall()
        yield str(state).encode()
        for class_id, geometry in database.execute(f"SELECT class_id, geom FROM {LAYER} ORDER BY fid"):
            yield b"%d %b" % (class_id, geometry)
