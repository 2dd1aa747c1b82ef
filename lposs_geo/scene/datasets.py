"""Open rasterio datasets and MemoryFiles as rasters that every thread can open for itself."""

from __future__ import annotations

from xml.sax.saxutils import escape

import rasterio
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile, ZipMemoryFile
from rasterio.vrt import WarpedVRT

from lposs_geo.errors import SceneError, escaped, one_line
from lposs_geo.files.odd_text import as_vrt
from lposs_geo.scene.names import Dataset, shown, without_secrets
from lposs_geo.scene.opening import CPLE_BaseError, Raster, open_raster
from lposs_geo.scene.references import leaves
from lposs_geo.scene.snapshots import Snapshot, is_in_memory

__all__ = ["check_same", "in_memory", "name_of"]

READ_BY_PYTHON = ("/vsiriopener", "/vsipythonfilelike")
"""Names of what Python objects read, which threads can't share."""

WRITE_IT = "write it to a file or a MemoryFile, and give that"


def name_of(dataset: Dataset) -> str:
    """The name by which a dataset can be opened again; empty for one that only its own text describes.

    Raises
    ------
    SceneError
        If it is closed, or no other thread can open it.
    """
    path = without_secrets(escaped(str(dataset.name)))
    if dataset.closed:
        raise SceneError(f"the dataset '{path}' is closed", hint="give it while it is open, or its name")
    if isinstance(dataset, WarpedVRT):
        return ""
    name = str(dataset.name)
    if dataset.driver == "MEM" or name.startswith(READ_BY_PYTHON):
        raise SceneError(f"the dataset '{path}' can't be opened again by other threads", hint=WRITE_IT)
    if dataset.driver == "VRT" and is_in_memory(name):
        return ""
    # what rasterio calls zip://a.zip!b.tif has another name for GDAL
    return str(dataset.files[0]) if "://" in name and "!" in name and dataset.files else name


def in_memory(source: Dataset | MemoryFile | str) -> Raster:
    """Copy a raster that lies in memory, or a VRT there that may be made of others.

    Parameters
    ----------
    source : dataset, MemoryFile or str
        The last one is GDAL's name.

    Raises
    ------
    SceneError
        If it can't be read.
    """
    if isinstance(source, str | MemoryFile):
        name = source if isinstance(source, str) else _name_of_file(source)
        try:
            with rasterio.open(name) as dataset:
                return in_memory(dataset)
        except RasterioError as error:
            reason = one_line(error.__cause__ or error).replace(name, "it")
            raise SceneError(f"a raster in memory can't be opened: {reason}") from error
    if source.driver != "VRT":
        snapshot = Snapshot(str(source.name))
        return Raster(snapshot.path, snapshot.opened, memory=(snapshot,))
    return _of_vrt(source)


def _name_of_file(file: MemoryFile) -> str:
    if isinstance(file, ZipMemoryFile):
        raise SceneError("a ZipMemoryFile is an archive", hint="open the raster in it, and give that")
    if file.closed:
        raise SceneError("the MemoryFile is closed", hint="give it while it is open")
    if not len(file):
        raise SceneError("the MemoryFile is empty", hint="close what writes to it first")
    return str(file.name)


def _of_vrt(dataset: Dataset) -> Raster:
    """A raster by the text of a VRT, in which copies stand for what lies in memory."""
    try:
        text = as_vrt(dataset)
    except (RasterioError, CPLE_BaseError) as error:
        reason = one_line(error.__cause__ or error).rstrip(".")
        raise SceneError(f"'{dataset.name}' can't be opened by other threads: {reason}", hint=WRITE_IT) from error
    snapshots = []
    for name in leaves(text):
        if is_in_memory(name):
            snapshots.append(Snapshot(name))
            text = text.replace(escape(name), snapshots[-1].opened)
    path = escaped(shown(str(dataset.name).removeprefix("WarpedVRT(").removesuffix(")")))
    if is_in_memory(path) and snapshots:
        path = snapshots[0].path
    if any(map(is_in_memory, leaves(text))):  # by way of a VRT on the disk
        raise SceneError(f"'{path}' is made of a VRT that is made of what lies in memory", hint=WRITE_IT)
    return Raster(path, text, memory=tuple(snapshots))


def check_same(raster: Raster, dataset: Dataset) -> None:
    """Refuse a dataset that is another one when it is opened by its name alone, as with an overview level.

    Raises
    ------
    SceneError
        If it is refused.
    """
    with open_raster(raster) as opened:
        if _facts(opened) != _facts(dataset):
            raise SceneError(f"'{raster.path}' is another raster when it is opened by its name alone", hint=WRITE_IT)


def _facts(dataset: Dataset) -> tuple[object, ...]:
    nodata = tuple(map(repr, dataset.nodatavals))  # nan is like nan
    return dataset.shape, dataset.dtypes, dataset.crs, dataset.transform, nodata, tuple(dataset.colorinterp)
