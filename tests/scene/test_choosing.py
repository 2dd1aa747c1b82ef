from __future__ import annotations

import re

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import rasterio.vrt
import rasterio.warp
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.scene.description import describe
from lposs_geo.scene.identity import identity
from lposs_geo.scene.reader import open_scene
from lposs_geo.scene.tiled_copy import copy_in_tiles
from lposs_geo.testing.rasters import coded, write_palette_vrt

RED, GREEN, BLUE, ALPHA = ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha


@pytest.mark.parametrize(
    ("bands", "options", "expected"),
    [
        (3, {"dtype": "uint8"}, (1, 2, 3)),
        (4, {"dtype": "uint16"}, (3, 2, 1)),
        (8, {"dtype": "float32"}, (3, 2, 1)),
        (4, {"dtype": "uint8", "photometric": "RGB"}, (1, 2, 3)),
        (3, {"dtype": "uint16", "colorinterp": [BLUE, GREEN, RED]}, (3, 2, 1)),
        (4, {"dtype": "uint16", "colorinterp": [ALPHA, RED, GREEN, BLUE]}, (2, 3, 4)),
        (5, {"dtype": "uint16", "descriptions": ["NIR", "Green", "red edge", "Blue", "Red"]}, (5, 2, 4)),
        (4, {"dtype": "uint16", "descriptions": ["B8 (nir red)", "B2 (blue)", "B3_green;560nm", "B4, Red"]}, (4, 3, 2)),
    ],
)
def test_bands_are_chosen_sensibly(write_raster, bands, options, expected):
    array = coded(bands, options.pop("dtype"))
    assert describe(write_raster(array, **options)).bands == expected


def test_the_bundled_scene_is_blue_green_red_infrared(lakeside):
    scene = describe(lakeside)
    assert scene.bands == (3, 2, 1)
    assert "blue, green, red" in str(scene.bands_reason)
    assert scene.grid.crs.to_epsg() == 32632
    assert scene.grid.pixel_size == pytest.approx((0.6, 0.6))


def test_named_bands_win_and_are_read_in_that_order(write_raster):
    array = coded(4, "uint8")
    scene = describe(write_raster(array), bands=(4, 1, 1))
    with open_scene(scene) as reader:
        image, valid = reader.read(Window(3, 5, 10, 8))
    assert valid.all()
    assert np.allclose(image * 255, array[[3, 0, 0], 5:13, 3:13], atol=1e-4)


def test_an_infrared_band_tagged_alpha_can_be_shown(write_raster):
    array = coded(4, "uint8")
    array[3, :10] = 0
    scene = describe(write_raster(array, colorinterp=[RED, GREEN, BLUE, ALPHA]), bands=(4, 1, 2))
    with open_scene(scene) as reader:
        _, valid = reader.read(Window(0, 0, 40, 30))
    assert valid.all()


def test_a_guess_among_many_bands_is_noted(write_raster):
    scene = describe(write_raster(coded(8)))
    assert scene.bands == (3, 2, 1)
    assert "8 bands are red, green and blue, and 3, 2, 1 is a guess" in str(scene.notices[0])


@pytest.mark.parametrize(
    ("array", "options", "bands", "said"),
    [
        (coded(3), {}, (1, 2, 4), "no band 4: its bands are 1 to 3"),
        (coded(3), {}, (0, 1, 2), "no band 0"),
        (coded(3), {}, (1, 2), "name three"),
        (coded(3) * 0, {"nodata": 0}, None, "no valid pixel"),
        (np.full((3, 4, 5), np.nan, dtype="float32"), {}, None, "no valid pixel"),
        (coded(3).astype("complex64"), {}, None, "complex"),
        (coded(3).astype("complex64"), {}, (1, 2, 3), "complex"),
        (coded(3), {"transform": rasterio.Affine(2, 4, 9, 1, 2, 9)}, None, "gives its pixels no size"),
    ],
)
def test_rasters_that_cannot_be_used(write_raster, array, options, bands, said):
    with pytest.raises(SceneError, match=said) as caught:
        describe(write_raster(array, **options), bands=bands)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bands", [None, "1", (1,), (1, 1, 1)])
def test_one_band_is_mapped_as_grey(write_raster, bands):
    scene = describe(write_raster(coded(1)), bands=bands)
    assert scene.bands == (1, 1, 1)
    assert ["seen as grey" in notice for notice in map(str, scene.notices)] == ([] if bands == (1, 1, 1) else [True])


def test_infrared_tagged_alpha_masks_nothing(write_raster):
    array = coded(4, "uint8")
    array[3] = np.random.default_rng(0).integers(0, 200, (30, 40))
    scene = describe(write_raster(array, colorinterp=[RED, GREEN, BLUE, ALPHA]))
    assert tuple(map(str, scene.notices)) == (
        f"band 4 of '{scene.path}' is tagged alpha, but varies as infrared does: it masks nothing",
    )
    with open_scene(scene) as reader:
        assert reader.read(Window(0, 0, 40, 30))[1].all()


def test_indices_are_seen_through_the_colour_table(write_raster, tmp_path):
    index = np.random.default_rng(0).integers(0, 6, (1, 30, 40)).astype("uint8")
    known = np.array([(9, 8, 7, 255), (255, 0, 0, 255), (0, 200, 0, 255), (1, 2, 3, 0), (0, 0, 90, 255)])
    path = tmp_path / "palette.vrt"  # a GeoTIFF's table has no alpha
    write_palette_vrt(path, write_raster(index), known)
    scene = describe(path)
    assert (str(scene.bands_reason), scene.dtype, scene.notices) == ("through the colour table", "uint8", ())
    with open_scene(scene) as reader:
        image, valid = reader.read(Window(0, 0, 40, 30))
        _, enlarged_valid = reader.read(Window(0, 0, 80, 60), 2.0)
    # 3 is transparent, 4 is nodata, 5 isn't in the table
    assert np.array_equal(valid, index[0] < 3)
    assert np.array_equal(np.rint(image * 255)[:, valid], known[index[0][valid], :3].T)
    assert np.array_equal(enlarged_valid, valid.repeat(2, 0).repeat(2, 1))
    with open_scene(copy_in_tiles(scene, tmp_path / "copy.tif")) as reader:
        copied, copied_valid = reader.read(Window(0, 0, 40, 30))
    assert np.array_equal(copied, image)
    assert np.array_equal(copied_valid, valid)
    write_palette_vrt(path, tmp_path / "scene.tif", known[[1, 0, 2]])
    assert identity(describe(path))["palette"] != identity(scene)["palette"]
    assert describe(path, bands="1").layers.palette is None


def test_an_empty_colour_table_is_none(write_raster, tmp_path):
    path = tmp_path / "palette.vrt"
    index = np.random.default_rng(0).integers(0, 6, (1, 30, 40)).astype("uint8")
    write_palette_vrt(path, write_raster(index), np.empty((0, 4), int))
    scene = describe(path)
    assert scene.layers.palette is None
    assert any("has no colour table" in notice for notice in map(str, scene.notices))


def test_an_alpha_band_that_is_not_tagged_is_one(write_raster):
    array = coded(2, "uint8")
    array[1] = 255
    array[1, :10] = 0
    scene = describe(write_raster(array))
    assert scene.bands == (1, 1, 1)
    assert scene.layers.alphas == (2,)
    said = f"band 2 of '{scene.path}' holds nothing but 0 and 255: it is taken for alpha"
    assert said in map(str, scene.notices)
    with open_scene(scene) as reader:
        assert np.array_equal(reader.read(Window(0, 0, 40, 30))[1], array[1] > 0)
    colour = np.concatenate([coded(3, "uint8"), array[1:]])
    scene = describe(write_raster(colour, photometric="rgb", alpha="unspecified"))
    assert (scene.bands, scene.layers.alphas) == ((1, 2, 3), (4,))
    infrared = np.concatenate([coded(3, "uint8"), np.random.default_rng(0).integers(0, 256, (1, 30, 40), "uint8")])
    assert describe(write_raster(infrared, photometric="rgb", alpha="unspecified")).layers.alphas == ()


def test_indices_without_a_colour_table_are_grey(write_raster, tmp_path):
    write_palette_vrt(tmp_path / "palette.vrt", write_raster(coded(1, "uint8")), np.zeros((0, 4)))
    text = re.sub("<ColorTable>.*</ColorTable>", "", (tmp_path / "palette.vrt").read_text())
    (tmp_path / "palette.vrt").write_text(text)
    scene = describe(tmp_path / "palette.vrt")
    assert scene.layers.palette is None
    assert any("has no colour table" in notice for notice in map(str, scene.notices))
