"""Scenes as they are read, and what files say of their bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.scene.band_facts import BandFacts
from lposs_geo.scene.description import describe
from lposs_geo.scene.names import SceneLike
from lposs_geo.scene.reader import open_scene

__all__ = ["band_facts", "picture_of"]


def band_facts(
    count: int = 0,
    *,
    dtype: str = "uint16",
    colours: Sequence[str] = (),
    names: Sequence[str] = (),
    lengths: Sequence[float | None] = (),
    alphas: Sequence[int] = (),
) -> BandFacts:
    """A file, scene.tif, that says nothing of its bands but this."""
    count = count or max(len(colours), len(names), len(lengths))
    return BandFacts(
        "scene.tif",
        (dtype,) * count,
        tuple(colours) or ("undefined",) * count,
        tuple(names) or ("",) * count,
        tuple(lengths) or (None,) * count,
        tuple(alphas),
    )


def picture_of(scene: SceneLike, **options: Any) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The whole of a scene of 8 bits, (3, rows, cols), and which of it is valid, (rows, cols)."""
    with open_scene(describe(scene, **options)) as reader:
        grid = reader.scene.grid
        image, valid = reader.read(Window(0, 0, grid.width, grid.height))
    return np.rint(image * 255).astype(np.uint8), valid
