"""A scene at a glance: reduced to some 1000 px a side, where it is damaged part by part."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.hints import Notice
from lposs_geo.scene.layers import Layers
from lposs_geo.scene.opening import Raster
from lposs_geo.scene.pixels import Handle, shrunk
from lposs_geo.scene.references import is_remote

__all__ = ["SAMPLE_SIZE", "Glance", "glance_at"]

SAMPLE_SIZE = 1024
"""Longer side, px, of the decimated read that the percentiles are taken from."""

SAMPLE_PARTS, LEAST_PART = 8, 256
"""Into how many parts a side a damaged scene is cut for the reduced read, and how many px one has at least."""


@dataclass(frozen=True)
class Glance:
    """A scene reduced: stored values (3, rows, cols), which are valid, and which couldn't be read.

    `notices` says where; `damage` is the first error of all.
    """

    values: NDArray[Any]
    valid: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    notices: tuple[Notice, ...] = ()
    damage: SceneError | None = None


def glance_at(handle: Handle, layers: Layers) -> Glance:
    """Look at the whole scene; where that fails, at one part after the other.

    Raises SceneError if nothing can be read.
    """
    try:
        whole, there = handle.load_reduced(layers, SAMPLE_SIZE)
        return Glance(whole, there, np.zeros_like(there))
    except SceneError as error:
        damage = error
    height, width = handle.dataset.shape
    if max(height, width) <= SAMPLE_SIZE:  # so small that a part of it isn't worth a map
        raise damage
    shrink = min(1.0, SAMPLE_SIZE / max(height, width))
    # where the parts begin in the scene, and in the reduced one
    rows, cols = _starts(height), _starts(width)
    small_rows, small_cols = (
        [0, *accumulate(shrunk(stop - first, shrink) for first, stop in pairwise(starts))] for starts in (rows, cols)
    )
    valid = np.zeros((small_rows[-1], small_cols[-1]), dtype=bool)
    lost, notices = ~valid, list[Notice]()
    values: NDArray[Any] | None = None
    for (top, bottom), (first, stop) in zip(pairwise(rows), pairwise(small_rows), strict=True):
        for (left, right), (begin, end) in zip(pairwise(cols), pairwise(small_cols), strict=True):
            try:
                window = Window(left, top, right - left, bottom - top)
                part, part_valid = handle.load(layers, window, (stop - first, end - begin))
            except SceneError:
                notices.append(_lost_near(handle.raster, top, left))
                continue
            values = np.zeros((3, *valid.shape), part.dtype) if values is None else values
            values[:, first:stop, begin:end] = part
            valid[first:stop, begin:end] = part_valid
            lost[first:stop, begin:end] = False
    if values is None:
        raise damage
    return Glance(values, valid, lost, tuple(notices[:1]), damage)


def _starts(size: int) -> list[int]:
    """Starts of the parts of a side of `size` px, and the end of the last one."""
    count = min(SAMPLE_PARTS, max(1, size // LEAST_PART))
    return [size * part // count for part in range(count + 1)]


def _lost_near(raster: Raster, row: int, col: int) -> Notice:
    what = "can't be read" if is_remote(raster.opened) else "is damaged"
    return Notice(f"'{raster.path}' {what} near row {row}, column {col}: what can't be read becomes nodata")
