"""From what a user names to what GDAL opens: a file, an URL, an archive's raster, a folder or a list as one mosaic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from rasterio.io import BufferedDatasetWriter, DatasetWriter, MemoryFile

from lposs_geo.errors import SceneError, escaped
from lposs_geo.files.odd_names import linked
from lposs_geo.files.odd_text import vrt_of_plain_names
from lposs_geo.hints import Notice
from lposs_geo.scene.archives import is_gzipped, members_of, raster_inside
from lposs_geo.scene.datasets import check_same, in_memory, name_of
from lposs_geo.scene.folders import is_raster, scenes_and_parts, subfolders_hold_rasters
from lposs_geo.scene.mosaic import mosaic_of
from lposs_geo.scene.names import SCHEMES, Dataset, RasterLike, SceneLike, listed, on_disk, shown
from lposs_geo.scene.opening import Raster
from lposs_geo.scene.references import check_files, check_nesting, leaves
from lposs_geo.scene.snapshots import is_in_memory

__all__ = ["resolve"]

_OPEN = (Dataset, DatasetWriter, BufferedDatasetWriter, MemoryFile)


def resolve(scene: SceneLike) -> Raster:
    """Find what GDAL is to open for what the user named.

    Parameters
    ----------
    scene : str, Path, DatasetReader, WarpedVRT or MemoryFile, or sequence of them
        A file, one of GDAL's own names, an URL (http, https, s3, gs, az), a zip or tar archive with one raster; a
        folder of rasters or a list of them, which become one mosaic. An open dataset of a file is opened again by its
        name; of what lies in memory a copy is held.

    Returns
    -------
    Raster

    Raises
    ------
    SceneError
        If there is nothing of that name, an archive holds several rasters, rasters don't fit together, or a dataset
        can't be opened again.
    """
    if isinstance(scene, (str, Path, *_OPEN)):
        raster = _raster(scene)
        check_files(raster.path, raster.opened)
        folder = on_disk(raster.opened)
        if folder is not None and folder.is_dir():
            return _of_folder(raster.path, raster.opened, folder)
        check_nesting(raster.path, raster.opened)
        return raster
    rasters = [_raster(part) for part in scene]
    for raster in rasters:
        check_files(raster.path, raster.opened)
    if not rasters:
        raise SceneError("no scene is named")
    if len(rasters) == 1:
        check_nesting(rasters[0].path, rasters[0].opened)
        return rasters[0]
    return mosaic_of(f"{rasters[0].path} and {len(rasters) - 1} more", rasters)


def _raster(scene: RasterLike) -> Raster:
    """A single raster by its names."""
    if isinstance(scene, MemoryFile):
        return in_memory(scene)
    if isinstance(scene, str | Path):
        return in_memory(str(scene)) if is_in_memory(str(scene)) else _named(scene)
    if not isinstance(scene, Dataset):
        raise SceneError(f"'{escaped(str(scene.name))}' is open for writing", hint="close it first")
    name = name_of(scene)
    raster = in_memory(scene) if not name or is_in_memory(name) else _named(name)
    check_same(raster, scene)
    return raster


def _named(name: str | Path) -> Raster:
    """A raster by the user's name for it; of a VRT's parts that lie in memory copies are made."""
    raster = Raster(*_single(name))
    return in_memory(raster.opened) if any(map(is_in_memory, leaves(raster.opened))) else raster


def _of_folder(path: str, opened: str, folder: Path) -> Raster:
    """The rasters of a folder as one."""
    scenes, parts = scenes_and_parts(folder)
    left_out = listed([escaped(file.name) for file in parts])
    notices = (Notice(f"left out of '{path}', as a VRT beside is made of them: {left_out}"),) if parts else ()
    if len(scenes) > 1:
        mosaic = mosaic_of(path, [Raster(*_of_file(str(file))) for file in scenes])
        return replace(mosaic, notices=notices + mosaic.notices)
    if scenes:
        path, opened = _of_file(str(scenes[0]))
    elif is_raster(opened):  # some formats are folders
        opened = linked(opened)
    else:
        hint = "a picture counts only with its world file"
        hint += ", and subfolders aren't searched" if subfolders_hold_rasters(folder) else ""
        raise SceneError(f"folder '{path}' holds no raster", hint=hint)
    check_nesting(path, opened)
    return Raster(path, opened, notices=notices)


def _single(name: str | Path) -> tuple[str, str]:
    """A single raster's name in messages, and what GDAL opens for it."""
    path = str(name)
    if not path:
        raise SceneError("no scene is named")
    scheme, colon, rest = path.partition(":/")
    if colon and scheme.casefold() in SCHEMES:
        return shown(f"{scheme}://{rest.lstrip('/')}"), SCHEMES[scheme.casefold()] + rest.lstrip("/")
    if path.casefold().startswith("file:/"):
        literal = path[len("file://") :] if path[5:7] == "//" else path[len("file:") :]
        meant = unquote(literal, errors="surrogateescape")
        return escaped(path), _single(meant if on_disk(meant) else literal)[1]
    file = on_disk(path)
    if file is not None and file.is_file():
        members = members_of(path)
        return _of_file(path) if members is None else (escaped(path), raster_inside(path, members))
    return escaped(shown(path)), path


def _of_file(path: str) -> tuple[str, str]:
    """The same for a file that is no archive."""
    vrt = vrt_of_plain_names(Path(path))
    if path.casefold().endswith(".gz") and is_gzipped(path):
        return escaped(path), f"/vsigzip/{linked(str(Path(path).resolve()))}"
    return escaped(path), vrt or linked(path)
