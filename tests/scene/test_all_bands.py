from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from lposs_geo.scene.all_bands import MOST_BANDS, Band
from lposs_geo.scene.description import describe
from lposs_geo.testing.rasters import coded, write_palette_vrt, write_part, write_with_points

RED, GREEN, BLUE, UNDEFINED, ALPHA = (
    ColorInterp.red,
    ColorInterp.green,
    ColorInterp.blue,
    ColorInterp.undefined,
    ColorInterp.alpha,
)


def test_bands_are_named_as_the_file_names_them(write_raster):
    path = write_raster(coded(4), descriptions=("Blue", "", "  red\nband ", "NIR"))
    assert describe(path).all_bands == ((1, "Blue"), (2, ""), (3, "red band"), (4, "NIR"))
    assert [str(band) for band in describe(path).all_bands] == [
        "band 1 (Blue)", "band 2", "band 3 (red band)", "band 4 (NIR)"
    ]  # fmt: skip
    assert describe(path, bands=(1, 1, 1)).all_bands == describe(path).all_bands


def test_colours_name_bands_that_have_no_other_name(write_raster):
    path = write_raster(coded(4, "uint8"), colorinterp=[RED, GREEN, BLUE, UNDEFINED])
    assert describe(path).all_bands == (Band(1, "red"), Band(2, "green"), Band(3, "blue"), Band(4, ""))


def test_wavelengths_name_bands_that_have_nothing_else(write_raster):
    path = write_raster(coded(5))
    with rasterio.open(path, "r+") as dataset:
        for band, micrometres in ((1, 0.49), (3, 0.665), (5, 0.8424)):
            dataset.update_tags(band, wavelength=micrometres)
    assert [band.name for band in describe(path).all_bands] == ["490 nm", "", "665 nm", "", "842 nm"]


@pytest.mark.parametrize("colours", [[RED, GREEN, BLUE, ALPHA], None])
def test_alpha_is_no_band_whether_it_is_said_or_seen(write_raster, colours):
    array = coded(4, "uint8")
    array[3] = np.where(np.arange(40) < 25, 255, 0)
    path = write_raster(array, colorinterp=colours or [RED, GREEN, BLUE, UNDEFINED])
    assert [band.number for band in describe(path).all_bands] == [1, 2, 3]


def test_infrared_tagged_alpha_is_a_band_without_a_name(write_raster):
    array = np.random.default_rng(0).integers(1, 255, (4, 30, 40)).astype("uint8")
    scene = describe(write_raster(array, colorinterp=[RED, GREEN, BLUE, ALPHA]))
    assert scene.all_bands[3] == (4, "")


def test_a_palette_shows_three_colours_of_one_band(write_raster, tmp_path):
    indices = np.random.default_rng(0).integers(0, 4, (1, 30, 40)).astype("uint8")
    colours = np.random.default_rng(1).integers(0, 255, (5, 4))
    colours[:, 3] = 255
    write_palette_vrt(tmp_path / "palette.vrt", write_raster(indices), colours)
    assert describe(tmp_path / "palette.vrt").all_bands == ((1, "red"), (1, "green"), (1, "blue"))
    assert describe(tmp_path / "palette.vrt", bands="1").all_bands == ((1, ""),)


def test_of_many_bands_some_are_chosen_evenly(write_raster):
    numbers = [band.number for band in describe(write_raster(coded(100, "float32", 8, 9))).all_bands]
    assert len(set(numbers)) == MOST_BANDS
    assert (numbers[0], numbers[-1]) == (1, 100)
    assert set(np.diff(numbers)) <= {3, 4}
    assert len(describe(write_raster(coded(MOST_BANDS, "float32", 8, 9), "b.tif")).all_bands) == MOST_BANDS


def test_complex_numbers_are_no_band(write_raster, tmp_path):
    path = write_raster(coded(4, "uint8"))
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{band}"><SimpleSource><SourceFilename>{path}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band, kind in ((1, "Byte"), (2, "Byte"), (3, "CFloat32"), (4, "Byte"))
    )
    (tmp_path / "mixed.vrt").write_text(f'<VRTDataset rasterXSize="40" rasterYSize="30">{bands}</VRTDataset>')
    scene = describe(tmp_path / "mixed.vrt", bands=(1, 2, 4))
    assert [band.number for band in scene.all_bands] == [1, 2, 4]


def test_a_mosaic_has_the_bands_that_its_parts_share(tmp_path):
    parts = [
        write_part(tmp_path, f"{i}.tif", coded(5), 0, 40 * i, descriptions=("b", "g", "r", "re", "nir")) for i in (0, 1)
    ]
    assert describe(parts).all_bands == ((1, "b"), (2, "g"), (3, "r"), (4, "re"), (5, "nir"))


def test_a_warped_scene_has_the_bands_of_the_file(write_raster):
    path = write_with_points(write_raster, coded(4, "uint8", 20, 30))
    scene = describe(path, warp=True)
    assert scene.layers.alphas == (5,)
    with rasterio.open(path) as dataset:
        assert [band.number for band in scene.all_bands] == list(dataset.indexes)
