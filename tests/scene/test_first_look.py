from __future__ import annotations

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import rasterio.vrt
import rasterio.warp
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from lposs_geo.errors import ParameterError
from lposs_geo.scene.description import describe
from lposs_geo.scene.identity import identity
from lposs_geo.scene.reader import open_scene
from lposs_geo.scene.tiled_copy import copy_in_tiles
from lposs_geo.testing.rasters import coded

RED, GREEN, BLUE, ALPHA = ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha


def test_eight_bit_is_taken_as_it_is_and_others_are_stretched_once(write_raster):
    assert describe(write_raster(coded(3, "uint8"), "a.tif")).radiometry.high == (255.0, 255.0, 255.0)
    array = np.random.default_rng(0).integers(200, 900, (3, 50, 60)).astype("uint16")
    scene = describe(write_raster(array, "b.tif"))
    low, high = (np.percentile(array, q, axis=(1, 2)) for q in (2, 98))
    assert np.allclose(scene.radiometry.low, low)
    assert np.allclose(scene.radiometry.high, high)
    with open_scene(scene) as reader:
        whole, _ = reader.read(Window(0, 0, 60, 50))
        part, _ = reader.read(Window(7, 9, 20, 30))
    assert (part == whole[:, 9:39, 7:27]).all()
    assert whole.min() == 0
    assert whole.max() == 1


def test_percentiles_leave_out_what_is_not_valid(write_raster):
    array = np.full((3, 40, 40), 500, dtype="float32")
    array += np.arange(40)[None, None]
    array[:, :20] = -9999
    array[:, 20, 0] = np.nan
    array[:, 20, 1] = np.inf
    scene = describe(write_raster(array, nodata=-9999))
    assert min(scene.radiometry.low) >= 500
    with open_scene(scene) as reader:
        image, valid = reader.read(Window(0, 0, 40, 40))
    assert not valid[:20].any()
    assert not valid[20, :2].any()
    assert valid[21:].all()
    assert np.isfinite(image).all()


@pytest.mark.parametrize(
    ("dtype", "offset", "factor"), [("uint32", 4e9, 1), ("float64", 1e15, 1), ("float64", 0, 1e30)]
)
def test_values_that_a_float32_cannot_tell_apart(write_raster, dtype, offset, factor):
    plain = coded(3, "float64")
    with open_scene(describe(write_raster((offset + plain * factor).astype(dtype), "a.tif"))) as reader:
        found, _ = reader.read(Window(0, 0, 40, 30))
    with open_scene(describe(write_raster(plain, "b.tif"))) as reader:
        expected, _ = reader.read(Window(0, 0, 40, 30))
    assert np.allclose(found, expected, atol=0.02)


@pytest.mark.parametrize("bands", [4, 8])
def test_a_guess_is_turned_round_by_the_contrast_of_red(write_raster, bands):
    array = coded(bands)
    array[0] = 100 + 3 * (array[0] - 60)  # red soil
    scene = describe(write_raster(array))
    assert scene.bands == (1, 2, 3)
    assert scene.radiometry.high[0] > 150
    assert "1, 2, 3 is a guess, since band 1 has more contrast than band 3" in str(scene.notices[0])


def test_a_flat_band_is_no_division_by_zero(write_raster):
    scene = describe(write_raster(np.full((3, 5, 6), 7, dtype="uint16")))
    with open_scene(scene) as reader:
        assert np.isfinite(reader.read(Window(0, 0, 6, 5))[0]).all()


def test_scale_is_in_physical_values_and_the_same_for_all_bands(write_raster):
    array = coded(3, "int16")
    path = write_raster(array)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.01, 0.01, 0.1), (0.0, -1.0, 0.0)
    scene = describe(path, scale=(0.5, 2.5))
    assert scene.radiometry.physical[0] == pytest.approx((0.5,) * 3)
    with open_scene(scene) as reader:
        image, _ = reader.read(Window(0, 0, 40, 30))
    physical = array * np.array([0.01, 0.01, 0.1])[:, None, None] - np.array([0, 1, 0])[:, None, None]
    assert np.allclose(image, ((physical - 0.5) / 2).clip(0, 1), atol=1e-5)
    assert identity(scene) != identity(describe(path, scale=(0.5, 2.4)))
    bytes_scaled = describe(write_raster(coded(3, "uint8"), "bytes.tif"), scale=(60, 120))
    assert bytes_scaled.radiometry.low == (60, 60, 60)
    with pytest.raises(ParameterError, match="the lower one first"):
        describe(path, scale=(2, 1))


@pytest.mark.parametrize(("bits", "white"), [(1, 1), (4, 15), (8, 255)])
def test_white_is_what_the_bits_can_hold(write_raster, bits, white):
    array = np.random.default_rng(0).integers(0, white, (3, 30, 40), endpoint=True).astype("uint8")
    assert describe(write_raster(array, nbits=bits)).radiometry.high == (white,) * 3


@pytest.mark.parametrize("options", [{"dtype": "uint8"}, {"dtype": "uint16"}, {"dtype": "uint8", "nbits": 4}])
def test_where_white_is_0_the_picture_is_turned_round(write_raster, tmp_path, options):
    array = np.random.default_rng(0).integers(0, 16, (1, 30, 40)).astype(options["dtype"])
    plain = describe(write_raster(array, "plain.tif", **options))
    scene = describe(write_raster(array, photometric="miniswhite", **options))
    with open_scene(plain) as expected, open_scene(scene) as reader:
        image, _ = reader.read(Window(0, 0, 40, 30))
        assert np.allclose(image, 1 - expected.read(Window(0, 0, 40, 30))[0], atol=1e-6)
    with open_scene(copy_in_tiles(scene, tmp_path / "copy.tif")) as reader:
        assert np.array_equal(reader.read(Window(0, 0, 40, 30))[0], image)


def test_eight_bits_with_a_falling_scale_and_scales_that_are_none(write_raster):
    path = write_raster(coded(3, "uint8"))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (-1, -1, -1), (255, 255, 255)
    assert describe(path).radiometry.physical == ((0, 0, 0), (255, 255, 255))
    path = write_raster(coded(3, "uint16"))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = (float("nan"),) * 3
    assert describe(path).radiometry.scales == (1, 1, 1)


@pytest.mark.parametrize("bands", [None, "nrg"])
def test_contrast_is_compared_in_physical_values(write_raster, bands):
    path = write_raster(coded(4))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = (0.01, 0.01, 0.001, 0.01)
    assert describe(path, bands=bands).bands == ((1, 2, 3) if bands is None else (4, 1, 2))


def test_a_scene_of_one_value_is_said_to_be(write_raster):
    (notice,) = map(
        str, describe(write_raster(np.full((3, 30, 40), 900, "uint16"), colorinterp=[RED, GREEN, BLUE])).notices
    )
    assert notice.endswith("holds one value everywhere: there is nothing to see on it")
    assert describe(write_raster(coded(3, "uint8"), "other.tif")).notices == ()
