from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from rasterio.windows import Window

from lposs_geo.examples.candidates import Patches


def make_patches(rows: int = 24, cols: int = 30, *, classes: int = 4, seed: int = 0, **change: object) -> Patches:
    """A scene of random patches of 10 px, 5 of which aren't valid."""
    random = np.random.default_rng(seed)
    valid = np.ones((rows, cols), bool)
    valid.flat[random.choice(rows * cols, min(5, rows * cols), replace=False)] = False
    arrays = {
        "scores": random.random((rows, cols, classes), np.float32),
        "features": random.normal(size=(rows, cols, 6)).astype(np.float16),
        "valid": valid,
        "patch_size": 10,
        "window": Window(0, 0, cols * 10, rows * 10),
    }
    return Patches(**(arrays | change))


@pytest.fixture(scope="session", name="make_patches")
def _make_patches() -> Callable[..., Patches]:
    return make_patches
