"""No data that a file doesn't declare: a frame round the picture, its blurred edge, and holes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.hints import Notice
from lposs_geo.scene.file_facts import bits_of, holds_heights, is_lossy, is_turned, may_be_colour, tells_nodata
from lposs_geo.scene.frames import (
    BLUR,
    CORE,
    SPECKS,
    Region,
    alike,
    along_edge,
    dilated,
    frame_in,
    frame_values,
    has_specks,
    hole_in,
    is_hole,
    stands_out,
    with_edge,
)
from lposs_geo.scene.layers import Layers
from lposs_geo.scene.pixels import Handle
from lposs_geo.scene.reduced import SAMPLE_SIZE, Glance

__all__ = ["undeclared_nodata", "with_blurred_edge"]

EDGE_WINDOWS, EDGE_SIDE = 24, 64
"""Windows in which the edge of a frame is looked at in full, and px of their sides."""


def undeclared_nodata(
    handle: Handle, layers: Layers, glance: Glance
) -> tuple[Layers, NDArray[np.bool_], tuple[Notice, ...]]:
    """Find what is no data though the file doesn't say so.

    Parameters
    ----------
    handle : Handle
    layers : Layers
    glance : Glance
        The scene reduced.

    Returns
    -------
    layers : Layers
        Those that leave it out.
    missing : (rows, cols) bool
        Where it is on the reduced scene.
    notices : tuple of Notice
    """
    path, ending, keep = handle.raster.path, "without declared nodata, taken as nodata", "<collar=False> keeps it"
    missing, notices = np.zeros_like(glance.valid), tuple[Notice, ...]()
    hole = None
    if layers.palette is None and glance.values.dtype != np.uint8:
        hole, _ = hole_in(glance.values[:, glance.valid], holds_heights(handle.dataset, layers, glance.values.dtype))
    if hole is not None:
        layers, missing = replace(layers, hole_value=hole), is_hole(glance.values, hole) & glance.valid
    value, frame, blur = None, np.zeros_like(missing), 0.0
    if not tells_nodata(handle.dataset, handle.raster, layers):
        value, frame, blur = _frame(handle, layers, glance)
    if hole is not None and hole != value:
        notices = (Notice(f"{_percent(missing.mean())} of '{path}' holds {hole:.10g} {ending}", keep),)
    if value is None:
        return layers, missing, notices
    region = None if value == hole else Region.of(with_edge(frame))
    layers = replace(layers, frame_value=value, frame=region, blur=blur)
    if region is not None:
        missing = missing | (with_edge(frame) & alike(glance.values, value, blur))
    what = _named_frame(value, glance.values.dtype, _is_turned(handle, layers))
    notice = Notice(f"{frame.mean():.0%} of '{path}' is {what} {ending}", keep)
    return layers, missing | frame, (*notices, notice)


def _is_turned(handle: Handle, layers: Layers) -> bool:
    """True if 0 is white; a colour table tells that itself."""
    return layers.palette is None and is_turned(handle.dataset)


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else f"{share:.2%}"


def _named_frame(value: float, dtype: np.dtype[Any], is_turned: bool) -> str:
    if value == 0 or (value == 255 and dtype == np.uint8):
        return "a black frame" if (value == 0) != is_turned else "a white frame"
    return f"a frame of {value:.0f}"


def _frame(handle: Handle, layers: Layers, glance: Glance) -> tuple[float | None, NDArray[np.bool_], float]:
    """The value of a frame round the picture that all bands hold, where it is, and how far it is blurred; or None."""
    nothing = np.zeros_like(glance.valid)
    best: tuple[float | None, NDArray[np.bool_], float] = None, nothing, 0.0
    # what couldn't be read isn't known to be invalid: a frame doesn't begin there
    valid = glance.valid | glance.lost
    for value in _frame_values(handle.dataset, layers, glance.values.dtype):
        if best[0] in (0, 255) and value in (1, 254):  # which are near these
            continue
        blur = 0.0
        frame = frame_in(alike(glance.values, value) & ~glance.lost, valid)
        if layers.palette is None and glance.values.dtype == np.uint8:
            blur = BLUR if is_lossy(handle.dataset) or _has_specks(handle, layers, frame, value) else 0.0
        tolerance = CORE if blur else 0.0
        if blur:
            frame = frame_in(alike(glance.values, value, tolerance) & ~glance.lost, valid)
        if frame.mean() <= best[1].mean():
            continue
        others = _others_hold(handle, layers, value, tolerance, frame.shape)
        frame = frame_in(alike(glance.values, value, tolerance) & ~glance.lost & others, valid)
        may_be_seen = glance.values.dtype == np.uint8 and value != 0
        if may_be_seen and not stands_out(glance.values, frame, valid, value):
            continue
        best = max(best, (value, frame, blur), key=lambda some: some[1].mean())
    return best


def _has_specks(handle: Handle, layers: Layers, frame: NDArray[np.bool_], value: float) -> bool:
    """True if the edge of a frame, seen on the reduced scene, looks as lossy compression leaves it."""
    edge = np.argwhere(frame & dilated(~frame))
    if not len(edge):
        return False
    height, width = handle.dataset.shape
    specks = borders = 0
    for row, col in edge[np.random.default_rng(0).integers(0, len(edge), EDGE_WINDOWS)]:
        corner = row * height // frame.shape[0] - EDGE_SIDE // 2, col * width // frame.shape[1] - EDGE_SIDE // 2
        top, left = (max(0, min(at, size - EDGE_SIDE)) for at, size in zip(corner, (height, width), strict=True))
        size = min(EDGE_SIDE, height), min(EDGE_SIDE, width)
        try:
            values, _ = handle.load(layers, Window(left, top, size[1], size[0]), size)
        except SceneError:
            continue
        more = has_specks(values, value)
        specks, borders = specks + more[0], borders + more[1]
    return specks > SPECKS * borders


def with_blurred_edge(
    handle: Handle, layers: Layers, seen: tuple[NDArray[Any], NDArray[np.bool_]] | None = None
) -> Layers:
    """Layers that know of the blurred edge of a declared frame.

    Parameters
    ----------
    handle : Handle
    layers : Layers
    seen : (3, rows, cols) array and (rows, cols) bool, optional
        Stored values of the scene reduced, and which are valid, where that is known.

    Returns
    -------
    Layers
        The same where the scene has no frame of declared nodata, or a sharp one.
    """
    dataset = handle.dataset
    declared = {dataset.nodatavals[band - 1] for band in layers.bands}
    value = declared.pop()
    if layers.palette is not None or declared or value is None or not may_be_colour(dataset, layers.bands):
        return layers
    if any(dataset.dtypes[band - 1] != "uint8" for band in layers.bands):
        return layers
    try:
        values, valid = seen or handle.load_reduced(layers, SAMPLE_SIZE)
    except SceneError:  # damage that is said when the picture is read
        return layers
    frame = along_edge(~valid)
    if not frame.any() or not (is_lossy(dataset) or layers.blur or _has_specks(handle, layers, frame, float(value))):
        return layers
    frame = along_edge(~valid | alike(values, float(value), CORE))
    return replace(layers, frame_value=float(value), frame=Region.of(with_edge(frame)), blur=BLUR)


def _frame_values(dataset: rasterio.DatasetReader, layers: Layers, dtype: np.dtype[Any]) -> list[float]:
    """Values that a frame may have in this scene; 0 isn't one where it may be a common value of the picture."""
    bits = bits_of(dataset, layers.bands[0])
    if layers.palette is not None:
        return [0.0] if len(layers.palette) > 4 * 2 and bits != 1 else []
    if bits == 1:  # half of a drawing
        return []
    values = frame_values(dtype)
    return values[1:] if holds_heights(dataset, layers, dtype) else values


def _others_hold(
    handle: Handle, layers: Layers, value: float, tolerance: float, shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Pixels where the bands that aren't mapped hold a value too, alpha left out; three at a time: they may be many."""
    others = [band for band in handle.dataset.indexes if band not in (*layers.bands, *layers.alphas)]
    everywhere = np.ones(shape, dtype=bool)
    for first in range(0, len(others), 3):
        three = (others[first : first + 3] * 3)[:3]
        try:
            seen = Layers((three[0], three[1], three[2]), overviews=layers.overviews)
            values, _ = handle.load_reduced(seen, SAMPLE_SIZE)
        except SceneError:  # damaged: the mapped bands decide
            return everywhere
        everywhere &= alike(values, value, tolerance)
    return everywhere
