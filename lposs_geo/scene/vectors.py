"""Files of shapes as other programs and people make them: shapes in WKB, attributes by name, and the CRS.

All that GDAL reads, GeoParquet, and zip archives with either in a folder. What can't be read is refused in one line
that says what the file was meant for.
"""

from __future__ import annotations

import json
import stat
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyproj
from numpy.typing import NDArray

from lposs_geo import network
from lposs_geo.errors import LpossGeoError, ParameterError, escaped
from lposs_geo.files.odd_names import linked
from lposs_geo.legend.words import quoted, said
from lposs_geo.scene.wkb import ShapeError

__all__ = ["Purpose", "Vectors", "is_file", "listed", "read_vectors", "refusals_worded"]

MOST_NAMED = 10
"""Layers, fields or members of an archive that a message names."""

_FILES_INSIDE = (".shp", ".gpkg", ".geojson", ".fgb", ".kml", ".gml", ".json", ".tab", ".mif", ".csv")


@dataclass(frozen=True)
class Purpose:
    """The use of a file, in the words of messages.

    Attributes
    ----------
    name : str
        Goes before a file's name: "the area of interest".
    kind : str
        What it can't be read as: "an area of interest".
    missing : str
        What is wrong with a name of no file.
    layer : str
        Keyword that names a layer.
    remedy : str
        What to do about a file without shapes.
    """

    name: str
    kind: str
    missing: str
    layer: str
    remedy: str


@dataclass(frozen=True)
class Vectors:
    """The rows of a layer.

    Attributes
    ----------
    shapes : sequence of bytes or None
        In WKB.
    crs : pyproj.CRS or None
    fields : tuple of str
        Names of all attributes.
    columns : dict of str to list
        Values of the attributes that were asked for and are there, by the name that was asked for; None where empty.
    """

    shapes: Sequence[bytes | None]
    crs: pyproj.CRS | None
    fields: tuple[str, ...] = ()
    columns: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Wanted:
    """The attributes, in small letters, and the most rows that are read."""

    columns: tuple[str, ...]
    most: int | None

    def among(self, fields: Sequence[str]) -> dict[str, str]:
        """The names that a file has for those asked for: in the same letters, or else the first one in other ones."""
        folded = [name.casefold() for name in fields]
        return {name: name if name in fields else fields[folded.index(name)] for name in self.columns if name in folded}


def is_file(text: str | Path) -> bool:
    """True if it names a file (or a folder that a driver reads as one) of this machine."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # no name that a file may have
        return False


def listed(names: Sequence[str]) -> str:
    """Names in quotes, the first of them."""
    return ", ".join([*map(quoted, names[:MOST_NAMED]), *(["and others"] if len(names) > MOST_NAMED else [])])


def read_vectors(
    path: str, layer: str | None, purpose: Purpose, *, columns: tuple[str, ...] = (), most: int | None = None
) -> Vectors:
    """Read a layer of shapes.

    Parameters
    ----------
    path : str
        A file, a folder that GDAL reads as one, a zip archive with one, or one of GDAL's own names.
    layer : str or None
        Needed where there are several.
    purpose : Purpose
    columns : tuple of str
        Attributes to read, if they are there, in small letters; the file may have them in any.
    most : int, optional
        Rows to read; those behind them are left.

    Raises
    ------
    ParameterError
        If it can't be read.
    """
    opened, named, wanted = linked(path), escaped(path), _Wanted(columns, most)
    # GDAL's own names have a colon (an URL) or begin with /vsi
    if is_file(opened):
        _check_kind(Path(opened), purpose)
    elif ":" not in opened and not opened.startswith("/vsi"):
        raise ParameterError(f"{purpose.name} '{named}' {purpose.missing}")
    elif network.is_forbidden() and network.is_of_net(opened):
        raise ParameterError(network.refusal(opened.partition("?")[0]), hint=network.HINT)
    with refusals_worded(path, purpose), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what isn't needed, such as odd field types
        if opened.lower().endswith((".parquet", ".geoparquet")):
            if layer is not None:
                raise ParameterError(
                    f"'{named}' has no layers, so no {quoted(layer)}", hint=f"leave <{purpose.layer}> out"
                )
            return _read_parquet(opened, wanted)
        source, layers = _opened(opened, named)
        return _read_by_gdal(source, _choose_layer(named, layers, layer, purpose), wanted)


@contextmanager
def refusals_worded(path: str, purpose: Purpose) -> Iterator[None]:
    """Turn what goes wrong while a file is read into one line."""
    named = escaped(path)
    try:
        yield
    except (LpossGeoError, MemoryError):
        raise
    except ShapeError as error:
        raise ParameterError(f"'{named}' {error}", hint=error.hint) from error
    except Exception as error:  # GDAL, Arrow and PROJ have errors of many families, and what they read is anything
        raise ParameterError(f"'{named}' can't be read as {purpose.kind}: {said(error)}") from error


def _check_kind(path: Path, purpose: Purpose) -> None:
    """Refuse pipes and devices, which may be read for ever, also as one of a file's companions."""
    beside = list(path.iterdir()) if path.is_dir() else [path, *path.parent.glob(f"{_escaped(path.stem)}.*")]
    for file in beside:
        try:
            kind = file.stat().st_mode
        except OSError:  # a link to nothing; or gone by now
            continue
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise ParameterError(f"{purpose.name} '{file}' is a device or a pipe", hint="name a file")


def _escaped(stem: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in stem)


def _opened(path: str, named: str) -> tuple[str, list[str]]:
    """The name that GDAL opens a file by, and the layers with shapes in it."""
    import pyogrio

    layers = list[str]()
    try:
        layers = _layers(path)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError):
        if not zipfile.is_zipfile(path):
            raise
    if not layers and zipfile.is_zipfile(path):
        path = _inside(path, named)
        layers = _layers(path)
    return path, layers


def _read_by_gdal(path: str, layer: str, wanted: _Wanted) -> Vectors:
    import pyogrio
    from pyogrio.raw import read

    fields = tuple(pyogrio.read_info(path, layer=layer)["fields"]) if wanted.columns else ()
    names = wanted.among(fields)
    facts, _, shapes, values = read(path, layer=layer, columns=list(names.values()), max_features=wanted.most)
    by_name = dict(zip(facts["fields"], values, strict=True))
    columns = {name: _cells(by_name[own]) for name, own in names.items()}
    return Vectors(list(shapes), _crs(facts["crs"]), fields, columns)


def _cells(values: NDArray[Any]) -> list[Any]:
    """The values of a column, None where it is empty: whole numbers with gaps come as fractions, NaN in the gaps."""
    cells: list[Any] = values.tolist()
    return [None if cell != cell else cell for cell in cells] if values.dtype.kind == "f" else cells


def _crs(crs: Any) -> pyproj.CRS | None:
    return None if crs is None else pyproj.CRS.from_user_input(crs)


def _layers(path: str) -> list[str]:
    """Those with shapes."""
    import pyogrio

    return [name for name, kind in pyogrio.list_layers(path) if kind is not None]


def _choose_layer(named: str, layers: list[str], layer: str | None, purpose: Purpose) -> str:
    if not layers:
        raise ParameterError(f"'{named}' holds no layer with shapes", hint=purpose.remedy)
    if layer is not None and layer not in layers:
        raise ParameterError(f"'{named}' has no layer {quoted(layer)}", hint=f"it has {listed(layers)}")
    if layer is None and len(layers) > 1:
        raise ParameterError(
            f"'{named}' has {len(layers)} layers", hint=f"name one by <{purpose.layer}>: {listed(layers)}"
        )
    return layers[0] if layer is None else layer


def _inside(path: str, named: str) -> str:
    """GDAL's name of the file of shapes in a folder of a zip archive."""
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
                f"'{named}' holds {len(files)} files of shapes", hint=f"unpack it, and name one of {listed(files)}"
            )
    raise ParameterError(f"'{named}' holds no file of shapes that is known", hint="unpack it, and name the file")


def _is_hidden(name: str) -> bool:
    """True if it is a folder, or what systems add unasked."""
    return name.endswith("/") or any(
        part == "__MACOSX" or (part.startswith(".") and part.strip(".")) for part in name.split("/")
    )


def _read_parquet(path: str, wanted: _Wanted) -> Vectors:
    """Read GeoParquet, https://geoparquet.org; other encodings than WKB, parts in a folder and URLs by geopandas."""
    from pyarrow import parquet

    if not Path(path).is_file():
        return _read_by_geopandas(path, wanted)
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
            return _read_by_geopandas(path, wanted)
        fields = tuple(field for field in file.schema_arrow.names if field != name)
        names = wanted.among(fields)
        table = file.read(columns=[name, *names.values()]).slice(0, wanted.most)
    cells = table[name].to_pylist()
    if not all(cell is None or isinstance(cell, bytes) for cell in cells):
        raise ValueError(f"its column {quoted(name)} holds no geometry")
    columns = {name: table[own].to_pylist() for name, own in names.items()}
    return Vectors(cells, _crs(column.get("crs", "OGC:CRS84")), fields, columns)


def _read_by_geopandas(path: str, wanted: _Wanted) -> Vectors:
    import geopandas

    frame = geopandas.read_parquet(path).iloc[: wanted.most]
    fields = tuple(str(name) for name in frame.columns if name != frame.geometry.name)
    filled = frame.notna()
    columns = {
        name: frame[own].astype(object).where(filled[own], None).tolist() for name, own in wanted.among(fields).items()
    }
    return Vectors(list(frame.geometry.to_wkb()), _crs(frame.geometry.crs), fields, columns)
