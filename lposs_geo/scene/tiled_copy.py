"""A copy of a scene in tiles: what is stored in strips would be decoded again for each tile that is read."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.files.writing import writing
from lposs_geo.hints import Notice
from lposs_geo.scene.description import Scene
from lposs_geo.scene.file_facts import block_of
from lposs_geo.scene.identity import check_unchanged
from lposs_geo.scene.layers import Layers
from lposs_geo.scene.opening import Raster, open_raster
from lposs_geo.scene.pixels import Handle

__all__ = ["copy_in_tiles", "is_slow_in_tiles"]

log = logging.getLogger(__name__)

COPY_BLOCK = 512
"""Px of the tiles of a copy."""


INDEX_ENTRY = 16
"""Bytes that GDAL holds for each block of a file."""


def is_slow_in_tiles(scene: Scene, cache: int, part: Window | None = None) -> bool:
    """True if reading tile by tile would decode the same strips many times, and a copy would mend that.

    Parameters
    ----------
    scene : Scene
    cache : int
        Bytes of decoded blocks that are kept: strips that fit are decoded once anyway. A scene so large that the index
        of its copy doesn't fit isn't copied, however small the part.
    part : Window, optional
        What is read of it, px; by default all.
    """
    with open_raster(scene.raster, scene.warp) as dataset:
        _, width = block_of(dataset, scene.raster, scene.layers)
        itemsize = sum(np.dtype(dtype).itemsize for dtype in dataset.dtypes)
        rows = dataset.height if part is None else int(part.height)
        index = INDEX_ENTRY * dataset.height * dataset.width // COPY_BLOCK**2
        return bool(width > 4 * COPY_BLOCK and rows * dataset.width * itemsize > cache and index <= cache)


def copy_in_tiles(scene: Scene, path: Path, part: Window | None = None) -> Scene:
    """Copy a scene's three bands and what is valid of them once, from top to bottom, into a tiled file.

    Parameters
    ----------
    scene : Scene
    path : Path
        GeoTIFF to write.
    part : Window, optional
        What is to be read of it, px; by default all.

    Returns
    -------
    Scene
        The copy, on the same grid; there it reads as the original does, pixel by pixel, and where the original is
        damaged it can't be read either.

    Raises
    ------
    SceneError
        If nothing can be read.
    SceneChangedError
        If a file of the original was changed since it was described.
    OutputError
        If the copy can't be written.
    """
    grid = scene.grid
    profile = {
        "driver": "GTiff", "count": 3, "height": grid.height, "width": grid.width, "dtype": scene.dtype,
        "photometric": "minisblack", "tiled": True, "blockxsize": COPY_BLOCK, "blockysize": COPY_BLOCK,
        "compress": "lzw", "bigtiff": "if_safer", "interleave": "pixel",
        "sparse_ok": True,
    }  # fmt: skip  # where it lies the scene knows
    (top, bottom), (left, right) = (part or Window(0, 0, grid.width, grid.height)).toranges()
    left, right = left - left % COPY_BLOCK, min(grid.width, right + -right % COPY_BLOCK)
    with open_raster(scene.raster, scene.warp) as dataset:
        # as many rows as one row of the copy's blocks has, or a strip of the original if that is higher
        strip = block_of(dataset, scene.raster, scene.layers)[0]
        rows = COPY_BLOCK * max(1, strip // COPY_BLOCK)
        handle, lost = Handle(scene.raster, dataset, scene.warp), list[tuple[int, int, str]]()
        with (
            writing(path, f"a copy of '{scene.path}' in tiles"),
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(path, "w", **profile) as copy,
        ):
            for first in range(top - top % rows, bottom, rows):
                window = Window(left, first, right - left, min(rows, grid.height - first))
                for piece, values, valid in _in_strips(handle, scene.layers, window, strip, lost):
                    copy.write(values, window=piece)
                    copy.write_mask(valid, window=piece)
    check_unchanged(scene)
    if sum(stop - first for first, stop, _ in lost) >= bottom - top:
        raise SceneError(lost[0][2])
    raster, layers = Raster(str(path), str(path)), Layers((1, 2, 3))
    return replace(scene, raster=raster, layers=layers, warp=None, lost=tuple(lost), original=scene)


def _in_strips(
    handle: Handle, layers: Layers, window: Window, height: int, lost: list[tuple[int, int, str]]
) -> Iterator[tuple[Window, NDArray[Any], NDArray[np.bool_]]]:
    """A window at once, or where it is damaged strip by strip: what can't be read is added to `lost`."""
    try:
        whole = handle.load(layers, window, (window.height, window.width))
    except SceneError as error:
        log.warning("%s", Notice(error.problem, error.hint))
    else:
        yield window, *whole
        return
    bottom = window.row_off + window.height
    for top in range(window.row_off, bottom, height):
        strip = Window(window.col_off, top, window.width, min(height, bottom - top))
        try:
            loaded = handle.load(layers, strip, (strip.height, strip.width))
        except SceneError as error:
            lost.append((top, top + strip.height, str(error)))
        else:
            yield strip, *loaded
