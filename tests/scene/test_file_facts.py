from __future__ import annotations

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import rasterio.vrt
import rasterio.warp
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.scene.description import describe
from lposs_geo.scene.reader import open_scene
from lposs_geo.testing.rasters import coded, write_palette_vrt


@pytest.mark.parametrize("colour", [(300, 0, 0, 255), (0, -5, 0, 255), (9, 9, 65535, 255), (9, 9, 9, 256)])
def test_a_colour_table_beyond_8_bits_is_refused(write_raster, tmp_path, colour):
    path = tmp_path / "palette.vrt"
    write_palette_vrt(path, write_raster(np.ones((1, 30, 40), "uint8")), np.array([(1, 2, 3, 255), colour]))
    with pytest.raises(
        SceneError, match=r"palette.vrt' has a colour table whose entry 1 is .*or map the indices as grey"
    ):
        describe(path)
    assert describe(path, bands="1").layers.palette is None  # as it advises


def test_a_large_colour_table(write_raster):
    index = np.arange(1200).reshape(1, 30, 40).astype("uint16")
    path = write_raster(index)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {i: (i % 256, i // 256, 7, 255) for i in range(1200)})
    with open_scene(describe(path)) as reader:
        image, valid = reader.read(Window(0, 0, 40, 30))
    assert valid.all()
    assert np.array_equal(np.rint(image * 255), np.stack([index[0] % 256, index[0] // 256, np.full((30, 40), 7)]))


def test_wavelengths_of_an_unknown_unit(write_raster):
    path = write_raster(coded(3))
    with rasterio.open(path, "r+") as dataset:
        for band, length in enumerate((450, 550, 650), 1):
            dataset.update_tags(band, wavelength=str(length), wavelength_units="Unknown")
    assert str(describe(path).bands_reason) == "by wavelength"


def test_holes_of_a_sparse_file_are_known_without_reading(write_raster):
    array = np.zeros((3, 300, 400), dtype="uint8")
    array[:, 130:140, 200:210] = 50
    options = {"nodata": 0, "sparse_ok": True, "tiled": True, "blockxsize": 64, "blockysize": 64}
    with open_scene(describe(write_raster(array, **options))) as reader:
        assert reader.may_hold_data(Window(0, 0, 400, 300))
        assert reader.may_hold_data(Window(192, 128, 1, 1))
        assert not reader.may_hold_data(Window(0, 0, 400, 128))
        assert not reader.may_hold_data(Window(0, 192, 400, 108))
        assert reader.may_hold_data(Window(380, 260, 20, 20), zoom=2)
        assert not reader.may_hold_data(Window(0, 0, 380, 260), zoom=2)
    with open_scene(describe(write_raster(array + 1, "full.tif", **(options | {"nodata": None})))) as reader:
        assert reader.may_hold_data(Window(0, 0, 10, 10))
