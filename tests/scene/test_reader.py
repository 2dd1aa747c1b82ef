from __future__ import annotations

import os

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.scene.all_bands import MOST_BANDS
from lposs_geo.scene.description import describe
from lposs_geo.scene.reader import open_scene
from lposs_geo.scene.tiled_copy import copy_in_tiles
from lposs_geo.testing.rasters import coded, write_geotiff, write_palette_vrt, write_part, write_with_points
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


def _bands_of(scene, window=None):
    """All bands of a window, and what is valid, which is what is shown of it."""
    with open_scene(scene) as reader:
        window = window or Window(0, 0, scene.grid.width, scene.grid.height)
        values, valid = reader.read_bands(window)
        assert values.shape == (len(scene.all_bands), window.height, window.width)
        assert values.dtype == np.float32
        assert not values[:, ~valid].any()
        assert np.array_equal(valid, reader.read(window)[1])
    return values, valid


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_all_bands_are_read_as_they_are_stored(write_raster, dtype, interleave):
    array = coded(5, dtype)[:, :, :30] % 251
    array[:, :10] = 0
    path = write_raster(array, nodata=0, interleave=interleave)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = [0.1] * 5, [7] * 5
    window = Window(5, 6, 20, 15)
    values, valid = _bands_of(describe(path, bands=(2, 4, 2)), window)
    assert np.array_equal(values, array[:, 6:21, 5:25])
    assert valid.any(axis=1).tolist() == [False] * 4 + [True] * 11


@pytest.mark.parametrize(
    ("nodata", "dtype"),
    [(-9999, "int16"), (65535, "uint16"), (np.nan, "float32"), (-9999.9, "float32"), (None, "float32")],
)
def test_a_value_that_only_a_band_beside_the_picture_lacks_is_no_number(write_raster, nodata, dtype):
    array = coded(4, dtype)
    array[3, 5:9] = 3e38 if nodata is None else nodata
    array[0, 20:] = -3e38 if nodata is None else nodata
    values, valid = _bands_of(describe(write_raster(array, nodata=nodata), bands=(1, 2, 3)))
    assert valid.all(axis=1).tolist() == [True] * 20 + [False] * 10
    missing = np.isnan(values)
    assert missing[3, 5:9].all()
    assert missing.sum() == 4 * 40


def test_no_data_that_may_be_a_colour_is_one_in_a_band_beside_the_picture(write_raster):
    array = coded(4)
    array[3, 5:9] = 0
    values, valid = _bands_of(describe(write_raster(array, nodata=0)))
    assert valid.all()
    assert np.array_equal(values, array)


def test_alpha_is_left_out_of_all_bands(write_raster):
    array = coded(5, "uint8") % 251
    array[3] = np.where(np.arange(40) < 25, 255, 0)
    colours = [ColorInterp[name] for name in ("red", "green", "blue", "alpha", "undefined")]
    values, valid = _bands_of(describe(write_raster(array, colorinterp=colours)))
    assert valid.all(axis=0).tolist() == [True] * 25 + [False] * 15
    assert np.array_equal(values[:, :, :25], array[[0, 1, 2, 4], :, :25])


def test_of_a_palette_its_colours_are_read(write_raster, tmp_path):
    indices = np.random.default_rng(0).integers(0, 6, (1, 30, 40)).astype("uint8")
    colours = np.random.default_rng(1).integers(1, 255, (6, 4))
    colours[:, 3] = [255, 255, 255, 0, 255, 255]  # 3 is transparent, and 4 is nodata
    write_palette_vrt(tmp_path / "palette.vrt", write_raster(indices), colours)
    values, valid = _bands_of(describe(tmp_path / "palette.vrt"))
    assert np.array_equal(valid, (indices[0] != 3) & (indices[0] != 4))
    assert np.array_equal(values[:, valid], colours[indices[0][valid], :3].T)


def test_bands_of_several_types_are_read_together(write_raster, tmp_path):
    path = write_raster(coded(4, "uint16"))
    kinds = ("UInt16", "Float32", "Byte", "Float64")
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{band}"><SimpleSource><SourceFilename>{path}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band, kind in enumerate(kinds, 1)
    )
    (tmp_path / "mixed.vrt").write_text(f'<VRTDataset rasterXSize="40" rasterYSize="30">{bands}</VRTDataset>')
    assert np.array_equal(_bands_of(describe(tmp_path / "mixed.vrt"))[0], coded(4))


def test_of_hundreds_of_bands_those_are_read_that_are_named(write_raster):
    array = coded(200, "float32", 12, 14)
    scene = describe(write_raster(array))
    values, _ = _bands_of(scene)
    assert len(values) == MOST_BANDS
    assert np.array_equal(values, array[[band.number - 1 for band in scene.all_bands]])


def test_all_bands_of_a_mosaic(tmp_path):
    array = coded(4, cols=80)
    array[:, :, 40:50] = 0
    parts = [write_part(tmp_path, f"{col}.tif", array[:, :, col : col + 40], 0, col, nodata=0) for col in (0, 40)]
    values, valid = _bands_of(describe(parts))
    assert np.array_equal(values, array)
    assert np.array_equal(valid, array[0] > 0)


def test_all_bands_of_a_scene_that_is_warped(write_raster):
    array = np.full((4, 20, 30), 9, "uint16") * np.array([1, 2, 3, 40], "uint16")[:, None, None]
    values, valid = _bands_of(describe(write_with_points(write_raster, array), warp=True))
    assert valid.any()
    assert np.array_equal(values[:, valid], np.repeat([[9], [18], [27], [360]], valid.sum(), axis=1))


def test_all_bands_of_a_sparse_file(write_raster):
    array = np.zeros((4, 128, 128), "uint16")
    array[:, :64, :64] = coded(4, rows=64, cols=64)
    path = write_raster(array, nodata=0, sparse_ok=True, tiled=True, blockxsize=64, blockysize=64)
    values, valid = _bands_of(describe(path))
    assert np.array_equal(values, array)
    assert valid.sum() == 64 * 64


def test_a_copy_has_all_bands_of_the_original_but_what_was_lost(write_raster, tmp_path):
    array = np.random.default_rng(0).integers(1, 250, (5, 1100, 60)).astype("uint16")
    path = write_raster(array, blockysize=16, interleave="pixel", compress="deflate")
    scene = describe(path)
    with rasterio.open(path) as dataset:
        start, size = (int(dataset.get_tag_item(f"BLOCK_{w}_0_40", "TIFF", bidx=1)) for w in ("OFFSET", "SIZE"))
    data = path.read_bytes()
    path.write_bytes(data[:start] + b"\xff" * size + data[start + size :])
    os.utime(path, ns=(0, scene.stamps[0].changed))  # nothing tells of the damage
    copy = copy_in_tiles(scene, tmp_path / "copy.tif")
    assert copy.all_bands == scene.all_bands
    for top, stop in ((0, 640), (656, 1100)):
        window = Window(7, top, 20, stop - top)
        assert np.array_equal(_bands_of(copy, window)[0], array[:, top:stop, 7:27])
    for each in (scene, copy):
        with open_scene(each) as reader, pytest.raises(SceneError, match=r"scene\.tif' is damaged near row"):
            reader.read_bands(Window(0, 640, 60, 5))


def test_damage_of_a_band_that_is_not_shown_is_said(write_raster):
    array = np.random.default_rng(0).integers(1, 250, (4, 400, 201)).astype("uint16")
    path = write_raster(array, interleave="band", blockysize=1, compress="deflate")
    scene = describe(path, bands=(1, 2, 3))
    with rasterio.open(path) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_0_200", "TIFF", bidx=4))
    path.write_bytes(path.read_bytes()[:offset])
    with open_scene(scene) as reader:
        assert np.array_equal(reader.read_bands(Window(0, 0, 201, 200))[0], array[:, :200])
        for _ in range(2):
            with pytest.raises(SceneError, match=r"scene\.tif' is damaged near row 190"):
                reader.read_bands(Window(0, 190, 201, 20))
