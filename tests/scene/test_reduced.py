from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import rasterio.vrt
import rasterio.warp

from lposs_geo.scene.description import describe


def _spoil(path: Path, col: int, row: int) -> None:
    """Make one block of a compressed file unreadable."""
    with rasterio.open(path) as dataset:
        start = int(dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=1))
    data = bytearray(path.read_bytes())
    data[start : start + 300] = b"\xff" * 300
    path.write_bytes(data)


def test_a_damaged_block_hardly_moves_the_stretch(write_raster):
    array = np.random.default_rng(0).integers(500, 3000, (3, 1200, 1200)).astype("uint16")
    array[:, :600] //= 2
    array[:, :200] = 0
    options = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    path = write_raster(array, **options)
    whole = describe(path)
    _spoil(path, 9, 15)
    scene = describe(path)
    assert scene.radiometry.low == pytest.approx(whole.radiometry.low, rel=0.05)
    assert scene.radiometry.high == pytest.approx(whole.radiometry.high, rel=0.05)
    assert scene.layers.frame_value == 0
    assert str(scene.notices[0]) == f"'{path}' is damaged near row 900, column 300: what can't be read becomes nodata"
    assert "17% of" in str(scene.notices[1])
