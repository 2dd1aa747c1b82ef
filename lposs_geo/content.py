"""The content of a map's files: finished tiles, and all that a reader should know of them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.examples.lesson import Lesson
from lposs_geo.examples.suggest import Suggestion
from lposs_geo.grid import Grid, lonlat_transformer, on_ground, rounded, to_pyproj
from lposs_geo.hints import Notice
from lposs_geo.legend.legend import NODATA, UNKNOWN, Legend
from lposs_geo.scene.description import Scene
from lposs_geo.scene.reader import open_scene

__all__ = ["Content", "Tiles", "facts_of", "is_north_up", "picture_of", "reduced"]

NORTH = math.radians(10)
"""Up to so far from the top of the picture an arrow that points up is still right."""

Tiles = Iterator[tuple[Window, NDArray[np.uint8]]]
"""Finished tiles, (layers, rows, cols), by their windows in px of the scene; see `label.finished_tile`."""

log = logging.getLogger("lposs_geo")


@dataclass(frozen=True)
class Content:
    """The content of a map's files.

    Attributes
    ----------
    scene : Scene
    source : Scene
        The same, as it is quick to read: perhaps a copy.
    window : Window
        The part of it that was mapped, px.
    legend : Legend
    tiles : callable
        Gives all finished tiles that hold data, from the first on.
    tags : mapping of str to str
        How the map was made.
    facts : mapping of str to str
        The same for people: model, device, resolution.
    notices : sequence of Notice
        What a reader should beware of.
    min_confidence : float
        Pixels less confident than that, 0..1, become unknown.
    lesson : Lesson, optional
        What examples have taught.
    earlier : Path, optional
        The map that this one corrects, on the same grid.
    suggest : callable, optional
        Gives so many points where an example would help most.
    """

    scene: Scene
    source: Scene
    window: Window
    legend: Legend
    tiles: Callable[[], Tiles]
    tags: Mapping[str, str]
    facts: Mapping[str, str]
    notices: Sequence[Notice]
    min_confidence: float = 0.0
    lesson: Lesson | None = None
    earlier: Path | None = None
    suggest: Callable[[int], Sequence[Suggestion]] | None = None

    @property
    def grid(self) -> Grid:
        return self.scene.grid.part(self.window)

    def within(self, window: Window) -> Window:
        """A window of the scene in px of the map."""
        col, row = window.col_off - self.window.col_off, window.row_off - self.window.row_off
        return Window(col, row, window.width, window.height)

    def labels_of(self, layers: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A tile's labels as they are written, (rows, cols)."""
        if not self.min_confidence > 0:
            return np.asarray(layers[0])
        # compared in percent, as it is stored
        unsure = (layers[1] < round(100 * self.min_confidence, 6)) & (layers[0] != NODATA)
        return np.where(unsure, UNKNOWN, layers[0]).astype(np.uint8)


def picture_of(content: Content, longest_side: int) -> NDArray[np.float32]:
    """The scene as pictures show it, (3, rows, cols) RGB in 0..1; grey where it is damaged."""
    window = content.window
    with open_scene(content.source) as reader:
        try:
            return reader.overview(longest_side, window)[0]
        except SceneError as error:
            log.warning("%s", Notice(f"pictures of the map don't show the scene: {error.problem}", error.hint))
    shrink = min(1.0, longest_side / max(window.height, window.width))
    return np.full((3, max(1, round(window.height * shrink)), max(1, round(window.width * shrink))), 0.5, np.float32)


def reduced(path: object, shape: tuple[int, ...], *, average: bool = False) -> NDArray[np.uint8]:
    """A raster of the map at the size (rows, cols) of its picture: the nearest px of its overviews, or averages."""
    with rasterio.open(path) as dataset:
        resampling = Resampling.average if average else Resampling.nearest
        return np.asarray(dataset.read(1, out_shape=shape, resampling=resampling))


def is_north_up(grid: Grid) -> bool:
    """True if north is at the top of the picture, give or take ten degrees."""
    to_lonlat = None if grid.crs is None else lonlat_transformer(grid.crs)
    if to_lonlat is None:
        return False
    col, row = grid.width / 2, grid.height / 2
    (lon, below), (lon_above, above) = (
        to_lonlat.transform(*on_ground(np.array([[col, at]]), grid.transform)[0]) for at in (row, row - 1)
    )
    return bool(above > below) and bool(
        abs(lon_above - lon) * math.cos(math.radians(below)) < math.tan(NORTH) * (above - below)
    )


def facts_of(content: Content) -> dict[str, str]:
    """The first lines of a report: size, extent, resolution, CRS, and how the map was made."""
    grid = content.grid
    facts = {"Size": f"{grid.width:,} x {grid.height:,} pixels"}
    if grid.pixel_size is not None and grid.gsd is not None:
        high, wide = grid.pixel_size
        sides = wide * grid.width, high * grid.height
        unit, metres = ("km", 1000) if max(sides) >= 1000 else ("m", 1)
        facts["Extent"] = f"{' x '.join(rounded(side / metres) for side in sides)} {unit}"
        facts["Resolution"] = f"{rounded(grid.gsd)} m per pixel"
    facts["Coordinate reference system"] = to_pyproj(grid.crs).name if grid.crs else "none"
    return facts | dict(content.facts)
