"""Scenes as they are read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.scene.description import describe
from lposs_geo.scene.names import SceneLike
from lposs_geo.scene.reader import open_scene

__all__ = ["picture_of"]


def picture_of(scene: SceneLike, **options: Any) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The whole of a scene of 8 bits, (3, rows, cols), and which of it is valid, (rows, cols)."""
    with open_scene(describe(scene, **options)) as reader:
        grid = reader.scene.grid
        image, valid = reader.read(Window(0, 0, grid.width, grid.height))
    return np.rint(image * 255).astype(np.uint8), valid
