"""The environment that the engine runs in: the user's, without what QGIS has set for its own Python, PROJ and GDAL."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

__all__ = ["clean"]

_NAMES = ("LD_LIBRARY_PATH", "LD_PRELOAD", "VIRTUAL_ENV", "GISBASE", "PROJ", "PYVENV", "SAGA", "OTB_APPLICATION_PATH")
_PREFIXES = ("PYTHON", "__PYVENV", "PROJ_", "GDAL_", "OGR_", "QT_", "QGIS", "OSGEO", "O4W_", "GRASS", "DYLD_", "CONDA_")

_KEPT = ("GDAL_HTTP_",)  # how the user reaches scenes on servers: nothing that QGIS sets


def clean(environ: Mapping[str, str], qgis_folders: Iterable[str] = ()) -> dict[str, str]:
    """An environment for the engine.

    Parameters
    ----------
    environ : mapping
        QGIS's own.
    qgis_folders : iterable of str
        Where QGIS has libraries for itself alone, as on Windows and macOS: these folders leave PATH, since Windows
        looks for libraries there.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if name.upper().startswith(_KEPT) or not (name.upper() in _NAMES or name.upper().startswith(_PREFIXES))
    }
    folders = [_comparable(folder) for folder in qgis_folders if folder]
    if folders:
        for name in [name for name in kept if name.upper() == "PATH"]:  # Windows spells it "Path"
            entries = kept[name].split(os.pathsep)
            kept[name] = os.pathsep.join(entry for entry in entries if not _is_within(entry, folders))
    # UTF-8 whatever the code page, and no line kept back
    return kept | {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}


def _comparable(folder: str) -> str:
    return os.path.normcase(os.path.normpath(folder))


def _is_within(entry: str, folders: list[str]) -> bool:
    place = _comparable(entry) + os.sep
    return any(place.startswith(folder + os.sep) for folder in folders)
