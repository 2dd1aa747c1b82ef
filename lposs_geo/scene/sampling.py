"""A sample of a scene's valid pixels: from all over it, or from where there are any."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.hints import Notice
from lposs_geo.scene.file_facts import is_written
from lposs_geo.scene.layers import Layers
from lposs_geo.scene.pixels import Handle
from lposs_geo.scene.reduced import SAMPLE_SIZE, glance_at
from lposs_geo.scene.undeclared import undeclared_nodata, with_blurred_edge
from lposs_geo.tiling import tiles

__all__ = ["Wanted", "sample_layers", "valid_values"]

MOST_WALKED = 1 << 12
"""Windows of `SAMPLE_SIZE` px that are all searched for valid pixels, where a reduced read shows none; some 4 Gpx."""

SEARCHED, MOST_ASKED = 64, 1 << 14
"""Of more windows so many are read, and so many asked whether anything was ever written there."""

Wanted = Callable[[], Window | None]
"""The part of a scene, px, that is wanted; None where that can't be said before it is warped."""


def sample_layers(
    handle: Handle, layers: Layers, collar: bool, part: Wanted = lambda: None
) -> tuple[Layers, NDArray[Any], tuple[Notice, ...]]:
    """Look at valid pixels all over, and for a frame round them.

    Parameters
    ----------
    handle : Handle
    layers : Layers
    collar : bool
        Whether a frame is nodata where the file declares none.
    part : callable, optional
        Gives the part that is wanted: where a reduced read shows nothing valid, and the whole is too large to be
        searched, only that is.

    Returns
    -------
    layers : Layers
        With the value of the frame, where there is one.
    sample : (3, n) array
        Stored values.
    notices : tuple of Notice

    Raises
    ------
    SceneError
        If there is no valid pixel.
    """
    try:
        glance = glance_at(handle, layers)
    except SceneError as error:
        return layers, _sample_anywhere(handle, layers, error, part), (Notice(error.problem, error.hint),)
    valid, notices = glance.valid, glance.notices
    if collar:
        layers, missing, more = undeclared_nodata(handle, layers, glance)
        valid, notices = valid & ~missing, notices + more
    if collar and layers.frame_value is None:
        layers = with_blurred_edge(handle, layers, (glance.values, glance.valid))
    sample = glance.values[:, valid]
    return layers, sample if sample.size else _sample_anywhere(handle, layers, glance.damage, part), notices


def valid_values(handle: Handle, layers: Layers) -> NDArray[Any]:
    """Stored values (3, n) of valid pixels all over."""
    glance = glance_at(handle, layers)
    return glance.values[:, glance.valid]


def _sample_anywhere(handle: Handle, layers: Layers, damage: SceneError | None, part: Wanted) -> NDArray[Any]:
    """Stored values (3, n) of the first valid pixels; islands in a sea of nodata may slip through a reduced read.

    Of a scene too large to be searched whole, the wanted part is searched, or windows drawn by lot.
    """
    dataset, raster = handle.dataset, handle.raster
    searched, where = tiles(dataset.height, dataset.width, SAMPLE_SIZE, 0), ""
    if len(searched) > MOST_WALKED and (wanted := part()) is not None:
        searched, where = tiles(dataset.height, dataset.width, SAMPLE_SIZE, 0, wanted), " in the area to map"
    is_walked = len(searched) <= MOST_WALKED
    looked = 0
    for number in range(len(searched)) if is_walked else _drawn(len(searched)):
        rows, cols = searched[number].core.toslices()
        if not is_written(dataset, layers, (rows.start, cols.start), (rows.stop, cols.stop)):
            continue
        looked += 1
        try:
            window = searched[number].core
            values, valid = handle.load(layers, window, (window.height, window.width))
        except SceneError as error:
            damage = damage or error
        else:
            if valid.any():
                return values[:, valid]
        if looked == SEARCHED and not is_walked:
            break
    if damage is not None:
        raise damage
    value = layers.frame_value
    frame = "" if value is None else "black, " if value == 0 else f"{value:.0f}, "
    why = f"all is nodata, {frame}transparent or not a number"
    if is_walked:
        raise SceneError(f"'{raster.path}' has no valid pixel{where}: {why}")
    raise SceneError(
        f"'{raster.path}' of {dataset.height} rows and {dataset.width} cols is too large to be searched for valid "
        f"pixels, and where it was looked at {why}",
        hint="name an area that holds some by <aoi>",
    )


def _drawn(count: int) -> Iterator[int]:
    """Numbers below `count` drawn by lot, always the same."""
    yield from np.random.default_rng(0).integers(count, size=MOST_ASKED).tolist()
