from __future__ import annotations

import numpy as np
import pytest
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.scene.description import describe
from lposs_geo.scene.reader import open_scene
from lposs_geo.testing.rasters import coded, write_vrt


def test_an_island_too_small_for_a_reduced_read_is_found(write_raster):
    array = np.zeros((3, 2100, 2300), dtype="uint16")
    array[:, 1601, 1703] = 700
    scene = describe(write_raster(array, nodata=0, compress="deflate"))
    assert scene.radiometry.low == (700, 700, 700)


GIANT = 2**31 - 1


@pytest.mark.parametrize("shape", [(GIANT, GIANT), (1, GIANT), (GIANT, 1), (1_500_000, 1_500_000)])
def test_a_scene_too_large_to_be_searched_for_valid_pixels_asks_for_an_area(tmp_path, shape):
    path = write_vrt(tmp_path / "giant.vrt", shape, facts="<NoDataValue>0</NoDataValue>")
    with pytest.raises(
        SceneError, match=r"too large to be searched for valid pixels.* name an area that holds some by aoi"
    ):
        describe(path)


def test_of_a_giant_scene_only_the_wanted_part_is_searched(write_raster, tmp_path):
    source = write_raster(coded(3, "uint8"), "source.tif")
    path = write_vrt(tmp_path / "giant.vrt", (GIANT, GIANT), (source, (2**30 + 5, 2**29)))  # in a black frame
    there, beside = Window(2**29 - 9, 2**30, 60, 50), Window(7, 9, 60, 50)
    scene = describe(path, part=lambda grid: there)
    with open_scene(scene) as reader:
        _, valid = reader.read(there)
    assert valid.sum() == 30 * 40
    with pytest.raises(SceneError, match="has no valid pixel in the area to map: all is nodata, black, transparent"):
        describe(path, part=lambda grid: beside)


def test_islands_that_slip_through_a_reduced_read_are_still_found(write_raster, tmp_path):
    source = write_raster(coded(3, "uint8", 2, 2), "source.tif")
    path = write_vrt(
        tmp_path / "sea.vrt", (5000, 30_000), (source, (4100, 29_001)), facts="<NoDataValue>0</NoDataValue>"
    )
    assert describe(path).bands == (1, 2, 3)
