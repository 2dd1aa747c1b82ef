"""The scenes in a folder: its rasters, without sidecars, previews, maps, and the parts of others."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError

from lposs_geo.errors import SceneError, escaped
from lposs_geo.files.odd_names import linked
from lposs_geo.files.odd_text import vrt_of_plain_names
from lposs_geo.scene.names import PICTURE_SUFFIXES, RASTER_SUFFIXES, on_disk, world_files
from lposs_geo.scene.references import sources_of

__all__ = ["MAP_TAG", "is_raster", "scenes_and_parts", "scenes_in", "subfolders_hold_rasters"]

MAP_TAG = "LPOSS_GEO_VERSION"
"""In the tags of every map that this program wrote."""

MOST_SEARCHED = 10_000
"""Of a folder's inner files, to say that there are rasters among them."""


def scenes_in(folder: str | Path) -> list[Path]:
    """The rasters directly in a folder, by name.

    Sidecars, maps of this program, plain pictures, and the parts of a VRT in the folder are none.

    Raises
    ------
    SceneError
        If it is no folder, or can't be listed.
    """
    return scenes_and_parts(folder)[0]


def scenes_and_parts(folder: str | Path) -> tuple[list[Path], list[Path]]:
    """The rasters in a folder, and those left out because a VRT there is made of them."""
    try:
        files = sorted(file for file in Path(folder).iterdir() if file.is_file() and not file.name.startswith("."))
    except OSError as error:
        raise SceneError(f"folder '{escaped(str(folder))}' can't be listed: {error.strerror or error}") from error
    scenes = [file for file in files if _is_scene(file)]
    used: set[Path] = set()
    for file in scenes:
        if file.suffix.casefold() == ".vrt":
            names = sources_of(vrt_of_plain_names(file) or str(file))
            used |= {Path(name).resolve() for name in names if on_disk(name)} - {file.resolve()}
    parts = [file for file in scenes if file.resolve() in used]
    if len(parts) == len(scenes):  # VRTs of each other
        return scenes, []
    return [file for file in scenes if file not in parts], parts


def subfolders_hold_rasters(folder: Path) -> bool:
    """True if there are rasters in the folders of a folder."""
    inner = itertools.islice(folder.glob("*/**/*"), MOST_SEARCHED)
    return any(file.suffix.casefold() in RASTER_SUFFIXES for file in inner)


def _is_scene(file: Path) -> bool:
    suffix = file.suffix.casefold()
    if suffix in PICTURE_SUFFIXES:
        return any(file.with_suffix(world).exists() for world in world_files(suffix)) or _is_placed_beside(file)
    if suffix not in RASTER_SUFFIXES:
        return False
    if suffix not in (".tif", ".tiff"):
        return suffix != ".gpkg" or is_raster(file)  # else a map's polygons, for instance
    try:
        with rasterio.open(linked(str(file))) as dataset:
            return MAP_TAG not in dataset.tags()
    except (RasterioError, SceneError, UnicodeError):  # a damaged scene is said to be one when it is opened
        return True


def _is_placed_beside(file: Path) -> bool:
    """True if GDAL's own sidecar says where a picture lies; it may hold statistics only."""
    try:
        sidecar = Path(f"{file}.aux.xml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return re.search(r"<(GeoTransform|SRS|GCPList)\b", sidecar) is not None


def is_raster(path: str | Path) -> bool:
    """True for a file or a folder that GDAL opens as a raster."""
    try:
        with rasterio.open(linked(str(path))):
            return True
    except (RasterioError, SceneError, UnicodeError):
        return False
