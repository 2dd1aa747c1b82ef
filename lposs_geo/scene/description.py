"""Describing a scene: how a raster is to be read, decided once for the whole of it.

Bands, radiometry and what is valid never depend on the window that a pixel is read in.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.grid import Grid
from lposs_geo.scene.choosing import choose_layers
from lposs_geo.scene.first_look import fix_radiometry, turn_by_contrast
from lposs_geo.scene.layers import Layers
from lposs_geo.scene.opening import Raster, Warp, files_of, open_raster
from lposs_geo.scene.pixels import Handle
from lposs_geo.scene.placing import check_georeference, check_parts, locate, locate_warped, warp_for
from lposs_geo.scene.radiometry import Radiometry
from lposs_geo.scene.resolving import resolve
from lposs_geo.scene.sampling import Wanted, sample_layers
from lposs_geo.scene.stamps import Stamp, stamps_of
from lposs_geo.scene.undeclared import with_blurred_edge

__all__ = ["Scene", "describe"]


@dataclass(frozen=True)
class Scene:
    """One raster, or a mosaic of several, and how it is to be read.

    Attributes
    ----------
    source : Raster
        What it is read from.
    files : tuple of str
        All files that it is read from: those a VRT refers to, sidecars.
    stamps : tuple of Stamp
        How those on this machine were when it was described.
    grid : Grid
        Its pixels and where they lie.
    layers : Layers
    bands_reason : str
        Why these bands.
    dtype : str
        Of the stored values.
    radiometry : Radiometry
    checksum : int
        Of a sample of its valid values: tells a file that was changed where its size and time can't be asked for.
    warp : Warp or None
        How it is put on a north-up grid, where it is.
    notices : tuple of str
        What the user should know about how it is read, a line each.
    lost : tuple of (int, int, str)
        Of a copy: rows, from the first to before the last, that couldn't be copied, and why.
    """

    source: Raster
    files: tuple[str, ...]
    stamps: tuple[Stamp, ...]
    grid: Grid
    layers: Layers
    bands_reason: str
    dtype: str
    radiometry: Radiometry
    checksum: int
    warp: Warp | None = None
    notices: tuple[str, ...] = ()
    lost: tuple[tuple[int, int, str], ...] = ()

    @property
    def path(self) -> str:
        """What the user called it."""
        return self.source.path

    @property
    def name(self) -> str:
        """The last part of `path`."""
        return Path(self.path).name or self.path

    @property
    def bands(self) -> tuple[int, int, int]:
        """Bands, from 1, taken as red, green and blue."""
        return self.layers.bands


def describe(
    path: str | Path | Sequence[str | Path],
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
    path : str, Path, or sequence of them
        Anything that GDAL opens, an URL, a zip with one raster; a folder or a list of rasters is one mosaic.
    bands : str or sequence of int or str, optional
        A preset (rgb, nrg, s2, naip, landsat, planet), or the bands to take as red, green and blue, by number or name;
        a single one is seen as grey. By default they are found by colour interpretation, by description, by wavelength,
        or by the customary order.
    scale : (float, float), optional
        Physical values that become black and white in all bands. By default 8-bit data is taken as it is, and
        everything else is stretched between percentiles of each band.
    collar : bool
        Whether a frame of one value around the picture, black mostly, is nodata where the file declares none, and what
        lies far outside of all other values.
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
    source = resolve(path)
    with open_raster(source) as dataset:
        files = files_of(source, dataset)
        stamps = stamps_of(files)
        pages = _other_pages(dataset, source)
        check_parts(dataset, source, files)
        check_georeference(dataset, source, warp)
        handle = Handle(source, dataset)
        layers, choice, alpha_notices = choose_layers(handle, bands)
        layers, sample, sample_notices = sample_layers(handle, layers, collar, _wanted(handle, layers, part))
        if choice.is_guess:
            choice, layers, sample = turn_by_contrast(handle, choice, layers, sample)
        radiometry = fix_radiometry(dataset, layers, sample, scale)
        how = warp_for(dataset, layers)
        if how is None:
            grid, place_notices = locate(dataset, source)
    if how is not None:
        layers, grid, place_notices = locate_warped(source, how, layers)
        if layers.blur:
            with open_raster(source, how) as warped:
                layers = with_blurred_edge(Handle(source, warped, how), layers)
    return Scene(
        source=source,
        files=tuple(sorted(files)),
        stamps=stamps,
        grid=grid,
        layers=layers,
        bands_reason=choice.reason,
        dtype=str(sample.dtype),
        radiometry=radiometry,
        checksum=zlib.crc32(np.ascontiguousarray(sample).data),
        warp=how,
        notices=(
            *source.notices,
            *pages,
            *choice.notices,
            *alpha_notices,
            *sample_notices,
            *_blank(source, sample),
            *place_notices,
        ),
    )


def _wanted(handle: Handle, layers: Layers, part: Callable[[Grid], Window] | None) -> Wanted:
    """The part of the stored pixels that is wanted; of what is to be warped it isn't known yet."""
    dataset = handle.dataset
    if part is None or warp_for(dataset, layers) is not None:
        return lambda: None
    return lambda: part(locate(dataset, handle.source)[0])


def _other_pages(dataset: rasterio.DatasetReader, source: Raster) -> tuple[str, ...]:
    """A notice where a TIFF holds more pictures than the first, which is the one that is mapped."""
    tags = dataset.tags(ns="SUBDATASETS") if dataset.driver == "GTiff" else {}
    found = []
    for key, description in tags.items():
        page = re.fullmatch(r"GTIFF_DIR:(\d+):.*", tags.get(key.replace("_DESC", "_NAME"), ""), re.DOTALL)
        size = re.search(r"\((\d+)P x (\d+)L", description)
        if key.endswith("_DESC") and page and size and page[1] != "1":
            found.append((int(size[2]), int(size[1]), int(page[1])))
    if not found:
        return ()
    others = [f"page {page} ({rows} rows x {cols} cols)" for rows, cols, page in sorted(found, key=lambda it: it[2])]
    more = f" and {len(others) - MOST_PAGES} more" if len(others) > MOST_PAGES else ""
    own = f"the first ({dataset.height} rows x {dataset.width} cols) is mapped"
    return (
        f"'{source.path}' has several pages, and {own}, not {', '.join(others[:MOST_PAGES])}{more}: name another one "
        f"like 'GTIFF_DIR:{max(found)[2]}:{source.path}'",
    )


def _blank(source: Raster, sample: NDArray[Any]) -> tuple[str, ...]:
    """A notice where all valid pixels sampled are alike."""
    if sample.shape[1] > 1 and (sample == sample[:, :1]).all():
        return (f"'{source.path}' holds one value everywhere: there is nothing to see on it",)
    return ()


MOST_PAGES = 6
"""Of a TIFF that are named in a notice."""
