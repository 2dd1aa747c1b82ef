from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

from lposs_geo.scene.description import describe
from lposs_geo.scene.reader import open_scene
from lposs_geo.testing.rasters import coded, write_geotiff
from lposs_geo.tiling import zoomed


@pytest.mark.parametrize("zoom", [2.0, 1.5, 0.5, 0.3])
def test_a_window_at_any_zoom_is_a_part_of_the_whole(write_raster, zoom):
    array = np.random.default_rng(0).integers(1, 255, (3, 60, 80)).astype("uint8")
    array[:, 20:30, 50:] = 0
    rows, cols = int(60 * zoom), int(80 * zoom)
    with open_scene(describe(write_raster(array, nodata=0))) as reader:
        image, valid = reader.read(Window(0, 0, cols, rows), zoom)
        window = Window(cols // 3, rows // 4, cols // 2, rows // 3)
        part, part_valid = reader.read(window, zoom)
    assert image.shape == (3, rows, cols)
    assert image.dtype == np.float32
    assert 0 <= image.min() <= image.max() <= 1
    assert np.allclose(part, image[:, *window.toslices()], atol=1e-5)
    assert np.array_equal(part_valid, valid[window.toslices()])
    assert valid.mean() == pytest.approx(array.any(axis=0).mean(), abs=0.03)
    assert (image[:, ~valid] == 0).all()


@settings(max_examples=40)
@given(
    zoom=st.sampled_from([1.5, 3.7, 0.1, 0.7]),
    corner=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)),
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
)
def test_what_is_valid_does_not_depend_on_the_window(tmp_path_factory, zoom, corner, size):
    path = tmp_path_factory.mktemp("zoomed") / "scene.tif"
    array = np.random.default_rng(0).integers(0, 3, (1, 41, 53)).astype("uint8").repeat(3, 0)
    write_geotiff(path, array, nodata=0)
    height, width = zoomed(41, zoom), zoomed(53, zoom)
    row, col = int(corner[0] * height), int(corner[1] * width)
    window = Window(col, row, min(size[1], width - col), min(size[0], height - row))
    with open_scene(describe(path)) as reader:
        _, whole = reader.read(Window(0, 0, width, height), zoom)
        _, part = reader.read(window, zoom)
    assert np.array_equal(part, whole[window.toslices()])


def test_missing_pixels_do_not_darken_their_neighbours_when_enlarged(write_raster):
    array = np.full((3, 40, 40), 200, dtype="uint8")
    array[:, :, 20:] = 0
    with open_scene(describe(write_raster(array, nodata=0))) as reader:
        image, valid = reader.read(Window(0, 0, 80, 80), 2.0)
    assert valid[:, :40].all()
    assert not valid[:, 40:].any()
    assert np.allclose(image[:, valid], 200 / 255, atol=1e-5)


@pytest.mark.parametrize("zoom", [0.7, 0.3, 1 / 16])
def test_an_island_of_one_pixel_is_still_there_when_reduced(write_raster, zoom):
    array = np.zeros((3, 64, 80), dtype="uint8")
    array[:, 37, 41] = 90
    with open_scene(describe(write_raster(array, nodata=0))) as reader:
        image, valid = reader.read(Window(0, 0, int(80 * zoom), int(64 * zoom)), zoom)
    assert np.argwhere(valid) == pytest.approx(np.array([[37.5, 41.5]]) * zoom - 0.5, abs=0.5 + zoom / 2)
    assert np.allclose(image[:, valid], 90 / 255, atol=1e-5)


def test_a_part_of_the_scene_can_be_looked_over(write_raster):
    array = coded(3, "uint8")
    with open_scene(describe(write_raster(array))) as reader:
        image, valid = reader.overview(100, Window(10, 5, 8, 12))
        assert np.allclose(image * 255, array[:, 5:17, 10:18], atol=0.01)
        assert valid.shape == (12, 8)
