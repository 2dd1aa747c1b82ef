from __future__ import annotations

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from lposs_geo.scene.resolving import resolve
from lposs_geo.testing.rasters import noise, write_part
from lposs_geo.testing.scenes import picture_of


@pytest.mark.parametrize("kind", ["undeclared", "zero", "mask"])
def test_colours_of_two_scenes_never_mix(tmp_path, kind):
    low, high = np.full((3, 30, 30), 200, "uint8"), np.full((3, 30, 30), 90, "uint8")
    high[2] = 0
    high[:, :, :10] = 0
    options = {} if kind == "undeclared" else {"nodata": 0}
    parts = [
        write_part(tmp_path, "1.tif", low, 0, 0, **options),
        write_part(tmp_path, "2.tif", high, 0, 10, **options),
    ]
    if kind == "mask":  # it counts more than nodata does
        with rasterio.open(parts[1], "r+") as dataset:
            dataset.write_mask(high[0] > 0)
    image, valid = picture_of(parts)
    assert valid.all()
    assert (image[:, :, :20] == 200).all()
    assert (image[:, :, 20:] == np.array([90, 90, 0])[:, None, None]).all()


def test_a_nodata_that_is_no_colour_counts_in_every_band(tmp_path):
    low, high = np.full((3, 30, 30), 200, "uint16"), np.full((3, 30, 30), 90, "uint16")
    high[1, :, :5], high[2, :, 5:10] = 65535, 65535
    parts = [write_part(tmp_path, f"{i}.tif", a, 0, 10 * i, nodata=65535) for i, a in enumerate((low, high))]
    with rasterio.open(resolve(parts).opened) as dataset:
        row = dataset.read()[:, 0]
    assert (row[:, :20] == 200).all()
    assert (row[:, 20:] == 90).all()


def test_a_mask_counts_more_than_nodata_in_a_mosaic(tmp_path):
    for name, col in (("a.tif", 0), ("b.tif", 50)):
        array = noise()
        array[:, :5] = 7
        path = write_part(tmp_path, name, array, 0, col, nodata=7)
        if name == "a.tif":
            with rasterio.open(path, "r+") as dataset:
                dataset.write_mask(np.tile(np.arange(50) < 20, (40, 1)))
    valid = picture_of(tmp_path)[1]
    assert valid[:, :20].all()
    assert not valid[:, 20:50].any()
    assert not valid[:5, 50:].any()
    assert valid[5:, 50:].mean() > 0.99
