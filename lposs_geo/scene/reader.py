"""Reading a described scene: any window of it is a masked RGB array in 0..1, at any zoom."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.scene.description import Scene
from lposs_geo.scene.file_facts import block_of, is_written
from lposs_geo.scene.opening import Raster, open_raster
from lposs_geo.scene.pixels import Handle
from lposs_geo.tiling import resample

__all__ = ["SceneReader", "open_scene"]

LEAST_SHARE = 0.2
"""Of one valid pixel in a resampled one that is valid itself; less comes only from the kernel's negative lobes."""


@dataclass
class SceneReader:
    """An open scene.

    Attributes
    ----------
    scene : Scene
    dataset : rasterio.DatasetReader
    """

    scene: Scene
    dataset: rasterio.DatasetReader
    _handle: Handle = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._handle = Handle(self.scene.raster, self.dataset, self.scene.warp)

    def read(self, window: Window, zoom: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a window inside the scene.

        Parameters
        ----------
        window : Window
            In px of the scene seen at `zoom`.
        zoom : float
            Above 1 the scene is enlarged, below 1 reduced.

        Returns
        -------
        image : (3, rows, cols) float32
            RGB in 0..1; 0 where nothing is valid.
        valid : (rows, cols) bool
            False for nodata, transparent and non-finite pixels.

        Raises
        ------
        SceneError
            If the file is damaged there.
        """
        if zoom != 1.0:
            return self._read_zoomed(window, zoom)
        self._check_lost(window)
        shape = int(window.height), int(window.width)
        return self._stretch(*self._handle.load(self.scene.layers, window, shape))

    def read_bands(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a window inside the scene in all bands that hold data, as they are stored: no scale or offset is used.

        Parameters
        ----------
        window : Window
            Px of the scene.

        Returns
        -------
        values : (bands, rows, cols) float32
            Of `Scene.all_bands`; 0 where a pixel isn't valid, and no number where it is, but that band has no value.
        valid : (rows, cols) bool
            The same as of `read`.

        Raises
        ------
        SceneError
            If the file is damaged there.
        """
        self._check_lost(window)
        if self.scene.original is not None:
            with open_scene(self.scene.original) as reader:
                return reader.read_bands(window)
        return self._handle.load_bands(self.scene.layers, [band.number for band in self.scene.all_bands], window)

    @property
    def block_shape(self) -> tuple[int, int]:
        """Rows and cols of the file that are decoded at once."""
        return block_of(self.dataset, self.scene.raster, self.scene.layers)

    def _check_lost(self, window: Window) -> None:
        for first, stop, reason in self.scene.lost:
            if first < window.row_off + window.height and window.row_off < stop:
                raise SceneError(reason)

    def _read_zoomed(self, window: Window, zoom: float) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        grid, reach = self.scene.grid, math.ceil(2 * max(1.0, 1.0 / zoom)) + 1  # cubic convolution sees two px around
        shape = int(window.height), int(window.width)
        rows = _span(window.row_off, window.height, zoom, grid.height)
        cols = _span(window.col_off, window.width, zoom, grid.width)
        top, left = max(0, int(rows[0]) - reach), max(0, int(cols[0]) - reach)
        bottom, right = min(grid.height, math.ceil(rows[1]) + reach), min(grid.width, math.ceil(cols[1]) + reach)
        image, valid = self.read(Window(left, top, right - left, bottom - top))
        box = rows[0] - top, cols[0] - left, rows[1] - top, cols[1] - left
        seen = resample(image, box, shape)
        if not valid.all():  # what is missing is black and mustn't run into its neighbours: only valid shares count
            least = LEAST_SHARE * min(1.0, zoom**2)
            seen /= resample(valid[None].astype(np.float32), box, shape).clip(least)
        image = seen.clip(0.0, 1.0)
        valid = _resample_valid(valid, (top, left), (window.row_off, window.col_off), shape, zoom)
        image[:, ~valid] = 0.0
        return image, valid

    def may_hold_data(self, window: Window, zoom: float = 1.0) -> bool:
        """True if a window, in px of the scene seen at `zoom`, may hold valid pixels, without reading it.

        False only for the holes of a sparse GeoTIFF, whose blocks were never written, and the gaps of a mosaic.
        """
        first_row, last_row = _span(window.row_off, window.height, zoom, self.scene.grid.height)
        first_col, last_col = _span(window.col_off, window.width, zoom, self.scene.grid.width)
        start, stop = (first_row, first_col), (last_row, last_col)
        if not _is_covered(self.scene.raster, start, stop):
            return False
        with self._handle.over_net():
            return is_written(self.dataset, self.scene.layers, start, stop)

    def overview(
        self, longest_side: int, window: Window | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read the whole scene or a window of it, reduced so that the longer side is at most `longest_side` px."""
        return self._stretch(*self._handle.load_reduced(self.scene.layers, longest_side, window))

    def _stretch(self, values: NDArray[Any], valid: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        image = self.scene.radiometry.apply(values)
        image[:, ~valid] = 0.0
        return image, valid


@contextmanager
def open_scene(scene: Scene) -> Iterator[SceneReader]:
    """Open a described scene for reading; one reader serves one thread at a time."""
    with open_raster(scene.raster, scene.warp) as dataset:
        yield SceneReader(scene, dataset)


def _is_covered(raster: Raster, start: tuple[float, float], stop: tuple[float, float]) -> bool:
    """True if any of a mosaic's sources reaches between two corners (row, col)."""
    return not raster.boxes or any(
        row < stop[0] and start[0] < row + height and col < stop[1] and start[1] < col + width
        for col, row, width, height in raster.boxes
    )


def _span(offset: float, length: float, zoom: float, limit: int) -> tuple[float, float]:
    """Beginning and end, in px of the scene, of a span of px at `zoom`."""
    return offset / zoom, min((offset + length) / zoom, float(limit))


def _resample_valid(
    valid: NDArray[np.bool_], corner: Sequence[int], start: Sequence[float], shape: Sequence[int], zoom: float
) -> NDArray[np.bool_]:
    """The validity of `shape` px at `zoom` from `start` on: the nearest px's, or where it gets smaller that of any.

    `corner` is the first row and col of `valid` in the scene. Places are counted from the scene's own corner, so that
    they are rounded the same way for every window.
    """
    if zoom > 1:
        rows, cols = (
            np.floor((offset + np.arange(count) + 0.5) / zoom + 1e-6).astype(int) - first
            for offset, count, first in zip(start, shape, corner, strict=True)
        )
        return np.asarray(valid[np.ix_(rows.clip(0, valid.shape[0] - 1), cols.clip(0, valid.shape[1] - 1))])
    edges = [
        np.floor((offset + np.arange(count + 1)) / zoom + 1e-6).astype(int) - first
        for offset, count, first in zip(start, shape, corner, strict=True)
    ]
    covered = valid[: max(edges[0][-1], 1), : max(edges[1][-1], 1)]
    by_row = np.maximum.reduceat(covered, edges[0][:-1], axis=0)
    return np.asarray(np.maximum.reduceat(by_row, edges[1][:-1], axis=1))
