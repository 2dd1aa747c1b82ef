"""The files that are written: their names, what belongs beside them, and whether they may be written at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lposs_geo.errors import OutputError, escaped
from lposs_geo.files.odd_names import is_plain

__all__ = [
    "GEOPACKAGE_BESIDE",
    "PLACEHOLDER",
    "POLYGON_ENDINGS",
    "RASTER_BESIDE",
    "SIDECAR",
    "Output",
    "check_outputs",
    "for_scene",
    "may_be_output",
    "sidecar",
]

SIDECAR = "*.aux.xml"
"""Written by GDAL beside a raster, for what the file itself can't hold."""

RASTER_BESIDE = (SIDECAR, "*.ovr", "*.msk")
"""What tells of a raster, and of no other one that takes its place: statistics and names, overviews, a mask."""

GEOPACKAGE_BESIDE = ("*-wal", "*-shm", "*-journal")
"""What SQLite hasn't yet put into a file, and would put into the one that takes its place."""

PLACEHOLDER = "{name}"
"""Stands for a scene's name without its ending in the outputs of a batch."""

LONGEST_NAME = 240
"""Bytes of a file name that leave room for a sidecar's ending; file systems allow 255."""

POLYGON_ENDINGS = (".gpkg", ".parquet", ".fgb", ".geojson")
"""That polygons may have, the usual one first."""

_ENDINGS = (".tif", ".tiff", *POLYGON_ENDINGS, ".png", ".html", ".htm", ".json", ".lposs")
"""That the outputs of any command have."""

_STYLES = (".qml", ".sld")
"""Endings of styles beside a raster."""


def for_scene(output: str | Path, name: str) -> Path:
    """The output of one scene of a batch."""
    return Path(str(output).replace(PLACEHOLDER, name))


def may_be_output(name: str, *, is_beside: bool = False) -> bool:
    """True if a file of that name may be an output, or at least lie beside one; else it isn't ours to move."""
    beside = (*(ending[1:] for ending in (*RASTER_BESIDE, *GEOPACKAGE_BESIDE)), *_STYLES)
    return name.lower().endswith(beside if is_beside else (*_ENDINGS, *beside))


def sidecar(output: Path) -> Path:
    """The file in which GDAL keeps what the output itself can't hold."""
    return _beside(output, SIDECAR)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending[1:]) if ending.startswith("*") else path.with_suffix(ending)


@dataclass(frozen=True)
class Output:
    """A file to write.

    Attributes
    ----------
    path : Path
    endings : str
        The endings that its name may have, separated by spaces.
    beside : tuple of str
        What belongs beside it: endings that take the place of its own (``.qml``), or follow it (``*.aux.xml``).
    """

    path: Path
    endings: str
    beside: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """All files that belong to it, itself last."""
        return [*(_beside(self.path, ending) for ending in self.beside), self.path]


def check_outputs(outputs: Sequence[Output], *, sources: Sequence[str | Path], overwrite: bool) -> None:
    """Refuse outputs that can't or mustn't be written, before any work is done.

    Parameters
    ----------
    outputs : sequence of Output
    sources : sequence of str or Path
        The files that are read, which are never overwritten.
    overwrite : bool
        Whether existing outputs may be replaced.

    Raises
    ------
    OutputError
        With one line for the first output that is wrong.
    """
    for output in outputs:
        path, endings = output.path, output.endings.split()
        if path.suffix.lower() not in endings:
            raise OutputError(f"output '{path}' must end in {' or '.join(endings)}")
        if not is_plain(str(path)):
            raise OutputError(f"output '{escaped(str(path))}' has a name that isn't UTF-8", hint="give another one")
        if not path.name.isprintable():
            raise OutputError(
                f"the name of output {path.name!r} holds a line break or the like", hint="give another one"
            )
        if len(os.fsencode(path.name)) > LONGEST_NAME:
            raise OutputError(f"the name of output '{path.name[:40]}...' is too long", hint="give a shorter one")
    files = [file.resolve() for output in outputs for file in output.files]
    for output in outputs:
        if any(files.count(file.resolve()) > 1 for file in output.files):
            raise OutputError(f"output '{output.path}' is named twice", hint="two outputs need two names")
        for file in reversed(output.files):
            if any(_is_same(file, Path(source)) for source in sources):
                raise OutputError(f"output '{file}' is the input itself or a part of it", hint="give another name")
            if file.is_dir():
                raise OutputError(f"output '{file}' is a folder", hint="give a file name")
            if os.path.lexists(file) and not overwrite:
                raise OutputError(f"output '{file}' exists", hint="<overwrite=True> replaces it; or give another name")
        folder = output.path.parent
        if not folder.is_dir():
            raise OutputError(f"folder '{folder}' of output '{output.path.name}' doesn't exist", hint="create it first")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"can't write into '{folder}'", hint="choose a folder that is yours")


def _is_same(path: Path, source: Path) -> bool:
    try:
        return path.samefile(source)
    except OSError:  # one of them doesn't exist, or isn't a file of this machine
        return path.resolve() == source.resolve()
