"""Stored values of a scene, and which of them are valid: by masks, nodata, alpha, palette and what is no number.

Knows files and their bands, not what a scene is made of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.limits import advice_on_files, is_short_of_files
from lposs_geo.scene.file_facts import masked_bands, may_be_colour
from lposs_geo.scene.frames import CORE, REACH, alike, is_hole, spread
from lposs_geo.scene.layers import Layers
from lposs_geo.scene.opening import Raster, Warp, open_raster, remote_options
from lposs_geo.scene.references import is_remote

__all__ = ["Handle", "shrunk"]

LARGEST = 1e38
"""No float beyond it is a measurement: programs write the least or the greatest float32 for no data, more or less."""

MOST_IN_LINE = 1 << 20
"""Px of a row that are read at once where overviews are left out."""

_TURNS = count()
"""Tells each opening of a mosaic from the ones before."""

_SPOILT = set[str]()
"""Mosaics of which a read has failed in this process."""

T = TypeVar("T")


class Handle:
    """An open dataset, which is read until a read fails.

    A mosaic's part that GDAL couldn't open once it takes for empty from then on, without a word: so each later read
    opens the raster anew.

    Attributes
    ----------
    raster : Raster
    dataset : rasterio.DatasetReader
        The raster, opened.
    warp : Warp or None
        How it is put on a north-up grid, where it is.
    """

    def __init__(self, raster: Raster, dataset: rasterio.DatasetReader, warp: Warp | None = None) -> None:
        self.raster, self.dataset, self.warp = raster, dataset, warp
        self._is_spoilt = raster.opened in _SPOILT
        self._options = remote_options(raster.opened)
        if dataset.driver != "VRT":  # whose parts are opened only when they are read
            self._options.pop("GDAL_DISABLE_READDIR_ON_OPEN", None)

    def over_net(self) -> AbstractContextManager[object]:
        """The options for reading over the net, which hold only in the thread that sets them."""
        return rasterio.Env(**self._options) if self._options else nullcontext()

    def load(self, layers: Layers, window: Window, shape: tuple[int, int]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read stored values (3, rows, cols) and what is valid (rows, cols), by nearest neighbour where reduced."""
        return self._reading(lambda dataset: _load(dataset, self.raster, layers, window, shape))

    def load_bands(
        self, layers: Layers, bands: Sequence[int], window: Window
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read stored values of any bands (bands, rows, cols) in full, and what is valid of the layers (rows, cols).

        Through a palette they are its three colours. A value that a band itself has none for is no number, and what
        isn't valid is 0.
        """
        return self._reading(lambda dataset: _load_bands(dataset, self.raster, layers, bands, window))

    def _reading(self, read: Callable[[rasterio.DatasetReader], T]) -> T:
        """Read from the dataset, or after a failure from one opened anew."""
        if self._is_spoilt:
            with open_raster(self._afresh(), self.warp) as dataset:
                return read(dataset)
        try:
            with self.over_net():
                return read(self.dataset)
        except SceneError:
            self._is_spoilt = True
            if self.dataset.driver == "VRT":
                _SPOILT.add(self.raster.opened)
            raise

    def _afresh(self) -> Raster:
        """The raster so that GDAL doesn't find again what it remembers of parts that it couldn't open.

        It does so by their names and options, for as long as any mosaic is open; one that begins with @ has no effect.
        """
        vrt = self.raster.opened
        if not vrt.startswith("<"):
            with open_raster(self.raster) as dataset:
                if dataset.driver != "VRT":
                    return self.raster
                vrt = dataset.tags(ns="xml:VRT")["xml:VRT"]
            folder = escape(Path(self.raster.opened).parent.as_posix())
            vrt = re.sub(r'relativeToVRT="1"([^>]*)>', lambda tag: f'relativeToVRT="0"{tag[1]}>{folder}/', vrt)
        end, option = "</SourceFilename>", f'<OOI key="@TURN">{next(_TURNS)}</OOI>'
        if "<OpenOptions>" in vrt:
            vrt = vrt.replace("<OpenOptions>", f"<OpenOptions>{option}")
        else:
            longer = f"{end}<OpenOptions>{option}</OpenOptions>"
            vrt = vrt.replace(end, longer).replace(escape(end), escape(longer))  # a part may be a VRT's text itself
        return replace(self.raster, opened=vrt)

    def load_reduced(
        self, layers: Layers, longest_side: int, window: Window | None = None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read a window, or the whole, so that its longer side is at most `longest_side` px."""
        window = window or Window(0, 0, self.dataset.width, self.dataset.height)
        shrink = min(1.0, longest_side / max(window.height, window.width))
        return self.load(layers, window, (shrunk(window.height, shrink), shrunk(window.width, shrink)))


def _load(
    dataset: rasterio.DatasetReader, raster: Raster, layers: Layers, window: Window, shape: tuple[int, int]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read stored values (3, rows, cols) and what is valid (rows, cols), by nearest neighbour where reduced."""
    if layers.frame_value is not None and layers.blur and _is_whole(window, shape):
        # whether a pixel is the frame's blurred edge depends on what is around it, whatever the window
        wider, inner = _widened(window, REACH, dataset.shape)
        values, valid = _load_masked(dataset, raster, layers, wider, (wider.height, wider.width))
        return values[:, *inner], valid[inner]
    return _load_masked(dataset, raster, layers, window, shape)


def _widened(window: Window, margin: int, limits: tuple[int, int]) -> tuple[Window, tuple[slice, slice]]:
    """A window and as many px around it as there are; and where the window lies in that."""
    top, left = max(0, int(window.row_off) - margin), max(0, int(window.col_off) - margin)
    bottom = min(limits[0], int(window.row_off + window.height) + margin)
    right = min(limits[1], int(window.col_off + window.width) + margin)
    row, col = int(window.row_off) - top, int(window.col_off) - left
    inner = slice(row, row + int(window.height)), slice(col, col + int(window.width))
    return Window(left, top, right - left, bottom - top), inner


def _load_masked(
    dataset: rasterio.DatasetReader, raster: Raster, layers: Layers, window: Window, shape: tuple[int, int]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    bands = sorted(set(layers.bands))
    read = _read if layers.overviews else _read_pixels
    with _explained(raster, window):
        stored = read(dataset, bands, window, shape)
        valid = _valid(dataset, layers, window, shape, read)
    if np.issubdtype(stored.dtype, np.floating):
        most = min(LARGEST, float(np.finfo(stored.dtype).max))
        valid &= (np.abs(stored) < most).all(axis=0)  # what is no number isn't less either
    if layers.palette is not None:
        values, opaque = _through_palette(stored[0], layers.palette)
        valid &= opaque
    else:
        values = stored[[bands.index(band) for band in layers.bands]]
    if layers.hole_value is not None:
        valid &= ~is_hole(values, layers.hole_value)
    if layers.frame_value is not None:
        valid &= ~_framed(layers, values, valid, dataset.shape, window)
    return values, valid


@contextmanager
def _explained(raster: Raster, window: Window) -> Iterator[None]:
    """Say what can't be read, and where, as a SceneError."""
    try:
        yield
    except RasterioError as error:
        where = f"near row {window.row_off}, column {window.col_off} ({raster.reason(error)})"
        what, advice = ("is damaged", "get another copy of it")
        if is_remote(raster.opened):
            what, advice = ("can't be read", "try again")
        if is_short_of_files(error):
            what, advice = ("can't be read", advice_on_files(error))
        raise SceneError(f"'{raster.path}' {what} {where}", hint=advice) from error


def _load_bands(
    dataset: rasterio.DatasetReader, raster: Raster, layers: Layers, bands: Sequence[int], window: Window
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read any bands in full, see `Handle.load_bands`."""
    shape = int(window.height), int(window.width)
    chosen, valid = _load(dataset, raster, layers, window, shape)
    if layers.palette is not None:
        values = chosen.astype(np.float32)
    else:
        values = np.empty((len(bands), *shape), np.float32)
        others = [band for band in bands if band not in layers.bands]
        with _explained(raster, window), np.errstate(over="ignore"):  # no measurement is so large
            for band, plane in zip(others, _read(dataset, others, window, shape) if others else (), strict=True):
                values[bands.index(band)] = plane
                values[bands.index(band), _lacks_value(dataset, layers, band, plane)] = np.nan
            for band, plane in zip(layers.bands, chosen, strict=True):
                if band in bands:
                    values[bands.index(band)] = plane
        values[~(np.abs(values) < LARGEST)] = np.nan
    values[:, ~valid] = 0.0
    return values, valid


def _lacks_value(dataset: rasterio.DatasetReader, layers: Layers, band: int, plane: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels (rows, cols) that hold no data in one band that isn't shown."""
    missing = np.zeros(plane.shape, dtype=bool)
    nodata = dataset.nodatavals[band - 1]
    if nodata is not None and not may_be_colour(dataset, [band]):
        missing |= plane == (np.float32(nodata) if dataset.dtypes[band - 1] == "float32" else nodata)
    if layers.hole_value is not None and layers.hole_value < 0:  # others are holes only in all bands
        missing |= is_hole(plane[None], layers.hole_value)
    return missing


def _framed(
    layers: Layers, values: NDArray[Any], valid: NDArray[np.bool_], scene: tuple[int, int], window: Window
) -> NDArray[np.bool_]:
    """Pixels of a window, reduced or not, that belong to the frame."""
    value, shape = layers.frame_value or 0.0, valid.shape
    frame = alike(values, value, CORE if layers.blur else 0.0)
    if layers.blur:
        frame |= ~valid
    if layers.frame is not None:
        corner, size = (int(window.row_off), int(window.col_off)), (int(window.height), int(window.width))
        frame &= layers.frame.at(scene, corner, size, shape)
    if not layers.blur or not frame.any():
        return frame
    return spread(frame, alike(values, value, layers.blur), REACH if _is_whole(window, shape) else 1)


def _is_whole(window: Window, shape: tuple[int, ...]) -> bool:
    """True if a window is read as it is, neither reduced nor enlarged."""
    return shape == (window.height, window.width)


def _read_pixels(
    dataset: rasterio.DatasetReader,
    bands: Sequence[int],
    window: Window,
    shape: tuple[int, int],
    *,
    masks: bool = False,
) -> NDArray[Any]:
    """The same as `_read` without overviews: the rows that are seen are read in full."""
    if _is_whole(window, shape) or shape[0] > window.height or shape[1] > window.width:
        return _read(dataset, bands, window, shape, masks=masks)
    rows, cols = (
        np.floor((np.arange(count) + 0.5) * (length / count)).astype(int)
        for count, length in zip(shape, (window.height, window.width), strict=True)
    )
    values: NDArray[Any] | None = None
    for number, row in enumerate(rows):
        end = 0
        for some in np.array_split(cols, math.ceil(window.width / MOST_IN_LINE)):
            across = int(some[-1] - some[0]) + 1
            line = Window(int(window.col_off + some[0]), int(window.row_off + row), across, 1)
            stored = _read(dataset, bands, line, (1, across), masks=masks)[:, 0, some - some[0]]
            values = np.empty((len(bands), *shape), stored.dtype) if values is None else values
            values[:, number, end : end + len(some)] = stored
            end += len(some)
    assert values is not None
    return values


def _read(
    dataset: rasterio.DatasetReader,
    bands: Sequence[int],
    window: Window,
    shape: tuple[int, int],
    *,
    masks: bool = False,
) -> NDArray[Any]:
    read = dataset.read_masks if masks else dataset.read
    # GDAL reads bands of several types one by one
    groups = [list(bands)] if masks or len({dataset.dtypes[band - 1] for band in bands}) == 1 else [[b] for b in bands]
    planes = [
        read(group, window=window, out_shape=(len(group), *shape), resampling=Resampling.nearest) for group in groups
    ]
    return np.asarray(planes[0]) if len(planes) == 1 else np.concatenate(planes)


def _valid(
    dataset: rasterio.DatasetReader,
    layers: Layers,
    window: Window,
    shape: tuple[int, int],
    read: Callable[..., NDArray[Any]],
) -> NDArray[np.bool_]:
    """Pixels that are valid by masks, nodata and alpha of the chosen bands."""
    valid = np.ones(shape, dtype=bool)
    if layers.alphas:
        valid &= (read(dataset, layers.alphas, window, shape) > 0).all(axis=0)
    masked = masked_bands(dataset, layers)
    if masked:
        masks = read(dataset, masked, window, shape, masks=True) > 0
        valid &= masks.any(axis=0) if may_be_colour(dataset, masked) else masks.all(axis=0)
    return valid


def _through_palette(indices: NDArray[Any], palette: bytes) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Colours (3, rows, cols) of indices, and which of them are in the table and not transparent."""
    table = np.frombuffer(palette, dtype=np.uint8).reshape(-1, 4)
    inside = (indices >= 0) & (indices < len(table))
    colours = table[np.where(inside, indices, 0)]
    return np.moveaxis(colours[..., :3], -1, 0), inside & (colours[..., 3] > 0)


def shrunk(size: float, shrink: float) -> int:
    """Px of a side of `size` px that is multiplied by `shrink`; at least one."""
    return max(1, round(size * shrink))
