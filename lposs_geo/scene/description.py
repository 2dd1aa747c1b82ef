"""Describing a scene: how a raster is to be read, decided once for the whole of it.

Bands, radiometry and what is valid never depend on the window that a pixel is read in.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from rasterio.windows import Window

from lposs_geo.grid import Grid
from lposs_geo.hints import Notice
from lposs_geo.scene.all_bands import Band, all_bands
from lposs_geo.scene.first_look import first_look
from lposs_geo.scene.layers import Layers
from lposs_geo.scene.names import SceneLike
from lposs_geo.scene.opening import Raster, Warp, files_of, open_raster
from lposs_geo.scene.pixels import Handle
from lposs_geo.scene.placing import check_georeference, check_parts, locate, locate_warped, warp_for
from lposs_geo.scene.radiometry import Radiometry
from lposs_geo.scene.resolving import resolve
from lposs_geo.scene.sampling import Wanted
from lposs_geo.scene.stamps import Stamp, stamps_of
from lposs_geo.scene.undeclared import with_blurred_edge

__all__ = ["Scene", "describe"]

MOST_PAGES = 6
"""Of a TIFF that are named in a notice."""


@dataclass(frozen=True)
class Scene:
    """One raster, or a mosaic of several, and how it is to be read.

    Attributes
    ----------
    raster : Raster
        What it is read from.
    files : tuple of str
        All files that it is read from: those a VRT refers to, sidecars.
    stamps : tuple of Stamp
        How those on this machine were when it was described.
    grid : Grid
        Its pixels and where they lie.
    layers : Layers
    bands_reason : Notice
        Why these bands.
    all_bands : tuple of Band
        Those that hold data, shown or not.
    dtype : str
        Of the stored values.
    radiometry : Radiometry
    checksum : int
        Of a sample of its valid values: tells a file that was changed where its size and time can't be asked for.
    warp : Warp or None
        How it is put on a north-up grid, where it is.
    notices : tuple of Notice
        Doubts about how it is read.
    lost : tuple of (int, int, str)
        Of a copy: rows, from the first to before the last, that couldn't be copied, and why.
    original : Scene or None
        Of a copy, which holds only what is shown.
    """

    raster: Raster
    files: tuple[str, ...]
    stamps: tuple[Stamp, ...]
    grid: Grid
    layers: Layers
    bands_reason: Notice
    all_bands: tuple[Band, ...]
    dtype: str
    radiometry: Radiometry
    checksum: int
    warp: Warp | None = None
    notices: tuple[Notice, ...] = ()
    lost: tuple[tuple[int, int, str], ...] = ()
    original: Scene | None = None

    @property
    def path(self) -> str:
        """Its name in messages."""
        return self.raster.path

    @property
    def name(self) -> str:
        """The last part of `path`."""
        return Path(self.path).name or self.path

    @property
    def bands(self) -> tuple[int, int, int]:
        """Bands, from 1, taken as red, green and blue."""
        return self.layers.bands


def describe(
    scene: SceneLike,
    *,
    bands: str | Sequence[int | str] | None = None,
    scale: tuple[float, float] | None = None,
    collar: bool = True,
    warp: bool = False,
    part: Callable[[Grid], Window] | None = None,
) -> Scene:
    """Look at a raster and decide how it is to be read.

    Parameters
    ----------
    scene : str, Path, DatasetReader, WarpedVRT or MemoryFile, or sequence of them
        Anything that GDAL opens, an URL, a zip with one raster; an open rasterio dataset, or a MemoryFile, of which a
        copy is held; a folder or a list of rasters is one mosaic.
    bands : str or sequence of int or str, optional
        A preset (rgb, nrg, s2, naip, landsat, planet), or the bands to take as red, green and blue, by number or name;
        one is seen as grey. By default colour interpretation, names, wavelengths or the customary order tell.
    scale : (float, float), optional
        Physical values that become black and white in all bands. By default 8-bit data is taken as it is, and
        everything else is stretched between percentiles of each band.
    collar : bool
        Take a frame of one value round the picture, and what lies far outside of all other values, for nodata where
        none is declared.
    warp : bool
        Put a scene that is located only by ground control points or RPCs on a north-up grid.
    part : callable, optional
        Gives the part of the scene's grid that is wanted. It is asked for only where no valid pixel is found on the
        reduced scene and the whole is too large to be searched for one.

    Raises
    ------
    SceneError
        If there is no such file, it is no raster or damaged, a band isn't there, it has no valid pixel, or it can't be
        located.
    ParameterError
        If `scale` isn't two finite numbers, the lower one first.
    """
    raster = resolve(scene)
    with open_raster(raster) as dataset:
        files = files_of(raster, dataset)
        stamps = stamps_of(files)
        pages = _notice_of_pages(dataset, raster)
        check_parts(dataset, raster, files)
        check_georeference(dataset, raster, warp)
        handle = Handle(raster, dataset)
        look = first_look(handle, bands, scale, collar, partial(_wanted, handle, part))
        bands_with_data = all_bands(dataset, look.layers)
        position = _position(handle, look.layers)
    return Scene(
        raster=raster,
        files=tuple(sorted(files)),
        stamps=stamps,
        grid=position.grid,
        layers=position.layers,
        bands_reason=look.reason,
        all_bands=bands_with_data,
        dtype=str(look.sample.dtype),
        radiometry=look.radiometry,
        checksum=zlib.crc32(np.ascontiguousarray(look.sample).data),
        warp=position.warp,
        notices=(*raster.notices, *pages, *look.notices, *position.notices),
    )


class _Position(NamedTuple):
    """The grid of a scene, its layers on it, and how it is put there."""

    grid: Grid
    layers: Layers
    warp: Warp | None
    notices: tuple[Notice, ...]


def _position(handle: Handle, layers: Layers) -> _Position:
    warp = warp_for(handle.dataset, layers)
    if warp is None:
        grid, notices = locate(handle.dataset, handle.raster)
        return _Position(grid, layers, None, notices)
    layers, grid, notices = locate_warped(handle.raster, warp, layers)
    if layers.blur:
        with open_raster(handle.raster, warp) as warped:
            layers = with_blurred_edge(Handle(handle.raster, warped, warp), layers)
    return _Position(grid, layers, warp, notices)


def _wanted(handle: Handle, part: Callable[[Grid], Window] | None, layers: Layers) -> Wanted:
    """The part of the stored pixels that is wanted; of what is to be warped it isn't known yet."""
    dataset = handle.dataset
    if part is None or warp_for(dataset, layers) is not None:
        return lambda: None
    return lambda: part(locate(dataset, handle.raster)[0])


def _notice_of_pages(dataset: rasterio.DatasetReader, raster: Raster) -> tuple[Notice, ...]:
    """A notice where a TIFF holds more pictures than the first, which is the one that is mapped."""
    tags = dataset.tags(ns="SUBDATASETS") if dataset.driver == "GTiff" else {}
    pages = []
    for key, description in tags.items():
        page = re.fullmatch(r"GTIFF_DIR:(\d+):.*", tags.get(key.replace("_DESC", "_NAME"), ""), re.DOTALL)
        size = re.search(r"\((\d+)P x (\d+)L", description)
        if key.endswith("_DESC") and page and size and page[1] != "1":
            pages.append((int(size[2]), int(size[1]), int(page[1])))
    if not pages:
        return ()
    others = [
        f"page {page} ({rows} rows x {cols} cols)" for rows, cols, page in sorted(pages, key=lambda page: page[2])
    ]
    more = f" and {len(others) - MOST_PAGES} more" if len(others) > MOST_PAGES else ""
    own = f"the first ({dataset.height} rows x {dataset.width} cols) is mapped"
    notice = f"'{raster.path}' has several pages, and {own}, not {', '.join(others[:MOST_PAGES])}{more}"
    return (Notice(notice, f"name another one like 'GTIFF_DIR:{max(pages)[2]}:{raster.path}'"),)
