from __future__ import annotations

import os
import re

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.scene.description import describe
from lposs_geo.scene.identity import identity
from lposs_geo.scene.reader import open_scene
from lposs_geo.scene.resolving import resolve
from lposs_geo.scene.tiled_copy import copy_in_tiles, is_slow_in_tiles
from lposs_geo.testing.rasters import UTM, noise, write_geotiff, write_part
from lposs_geo.testing.scenes import picture_of
from lposs_geo.testing.server import served

RED, GREEN, BLUE, ALPHA = ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha


PARTS = {"a.tif": (0, 0, 40, 50), "b.tif": (0, 50, 40, 30), "c.tif": (40, 20, 25, 60)}
"""Row, col, rows, cols: three that leave a gap below the first."""


@pytest.mark.parametrize("kind", ["plain", "nodata", "mask", "alpha", "palette", "float"])
def test_a_folder_is_one_mosaic_that_reads_as_the_whole_would(tmp_path, kind):
    whole = noise(65, 80, 1 if kind == "palette" else 3)
    hole = np.zeros((65, 80), bool)
    hole[10:20, 40:60] = True  # across two sources
    covered = np.zeros((65, 80), bool)
    options: dict = {}
    if kind in ("nodata", "float"):
        whole = whole.astype("float32") if kind == "float" else whole
        whole[:, hole] = -9999 if kind == "float" else 255
        options = {"nodata": -9999 if kind == "float" else 255}
    elif kind == "alpha":
        whole = np.concatenate([whole, np.where(hole, 0, 255).astype("uint8")[None]])
        options = {"colorinterp": [RED, GREEN, BLUE, ALPHA]}
    for name, (row, col, rows, cols) in PARTS.items():
        area = np.s_[row : row + rows, col : col + cols]
        covered[area] = True
        path = write_part(tmp_path / "parts", name, whole[:, *area], row, col, **options)
        with rasterio.open(path, "r+") as dataset:
            if kind == "mask":
                dataset.write_mask(~hole[area])
            elif kind == "palette":
                dataset.write_colormap(1, {i: (i, 255 - i, i // 2, 255) for i in range(256)})
    scene = describe(tmp_path / "parts")
    assert (scene.grid.height, scene.grid.width) == (65, 80)
    assert scene.grid.transform.almost_equals(UTM)
    assert scene.grid.crs.to_epsg() == 32632
    assert scene.name == "parts"
    parts = {str(tmp_path / "parts" / name) for name in PARTS}
    assert {file for file in scene.files if not file.endswith(".msk")} == parts
    with open_scene(scene) as reader:
        image, valid = reader.read(Window(0, 0, 80, 65))
        part, part_valid = reader.read(Window(33, 17, 40, 30))
        reduced, reduced_valid = reader.overview(40)
        assert reader.may_hold_data(Window(15, 41, 6, 2))
        assert not reader.may_hold_data(Window(0, 41, 20, 24))
    expected = covered if kind in ("plain", "palette") else covered & ~hole
    assert np.array_equal(valid, expected)
    assert np.array_equal(part, image[:, 17:47, 33:73])
    assert np.array_equal(part_valid, valid[17:47, 33:73])
    assert reduced.shape[1:] == reduced_valid.shape
    assert reduced_valid.mean() == pytest.approx(expected.mean(), abs=0.05)
    if kind == "float":
        low, high = (np.array(side)[:, None] for side in (scene.radiometry.low, scene.radiometry.high))
        assert np.allclose(image[:, valid], ((whole[:, expected] - low) / (high - low)).clip(0, 1), atol=1e-5)
    elif kind == "palette":
        index = whole[0][expected]
        assert np.array_equal(np.rint(image[:, valid] * 255), np.stack([index, 255 - index, index // 2]))
    else:
        assert np.array_equal(np.rint(image[:, valid] * 255), whole[:3, expected])
    copy = copy_in_tiles(scene, tmp_path / "copy.tif")
    with open_scene(copy) as reader:
        copied, copied_valid = reader.read(Window(0, 0, 80, 65))
    assert np.array_equal(copied, image)
    assert np.array_equal(copied_valid, valid)


def test_in_a_mosaic_the_later_scene_lies_above_without_its_missing_pixels(tmp_path):
    low, high = np.full((3, 30, 30), 50, "uint8"), np.full((3, 30, 30), 90, "uint8")
    high[:, :10] = 0  # a black frame that isn't declared
    first, second = write_part(tmp_path, "1.tif", low, 0, 0), write_part(tmp_path, "2.tif", high, 0, 20)
    image, valid = picture_of([first, second])
    assert valid.all(axis=0).tolist() == [True] * 30 + [False] * 20
    assert (image[:, :, :20] == 50).all()
    assert (image[:, :10, 20:30] == 50).all()
    assert (image[:, 10:, 20:] == 90).all()
    assert (picture_of([second, first])[0][:, :, :30] == 50).all()
    assert describe([first, second]).name == "1.tif and 1 more"
    assert identity(describe([first, second])) != identity(describe([second, first]))
    assert describe([first]).path == str(first)
    kept = picture_of([first, second], collar=False)
    assert kept[1].all()


def test_a_changed_source_is_another_mosaic(tmp_path):
    parts = [write_part(tmp_path, f"{i}.tif", noise(seed=i), 0, 50 * i) for i in range(2)]
    before = identity(describe(tmp_path))
    assert identity(describe(tmp_path)) == before
    os.utime(parts[1], (1, 1))
    assert identity(describe(tmp_path)) != before


def test_mosaics_in_degrees_keep_their_axes(tmp_path):
    options = {"crs": "EPSG:4326"}
    for name, west in (("a.tif", 9.0), ("b.tif", 9.05)):
        place = Affine(0.001, 0, west, 0, -0.001, 47)
        write_part(tmp_path, name, noise(), 0, 0, transform=place, **options)
    grid = describe(tmp_path).grid
    assert (grid.height, grid.width) == (40, 100)
    assert grid.transform.almost_equals(Affine(0.001, 0, 9, 0, -0.001, 47))
    assert grid.pixel_size == pytest.approx((111.17, 76.05), rel=1e-3)


def test_parts_between_pixels_are_snapped_and_said_so(tmp_path):
    write_part(tmp_path, "a.tif", noise(), 0, 0)
    write_part(tmp_path, "b.tif", noise(), 0.4, 50)
    scene = describe(tmp_path)
    assert (scene.grid.height, scene.grid.width) == (40, 100)
    assert tuple(map(str, scene.notices)) == (
        f"the rasters of '{tmp_path}' don't lie on one pixel grid: they are moved by up to 0.40 px",
    )


FITS = {
    "another CRS": ({"crs": "EPSG:32633"}, "EPSG:32633 instead of EPSG:32632: warp it first, e.g. with gdalwarp"),
    "no CRS": ({"crs": None}, "no CRS instead of EPSG:32632: warp it first, e.g. with gdalwarp"),
    "more bands": ({"bands": 4}, "4 bands instead of 3"),
    "another type": ({"dtype": "uint16"}, "uint16 values instead of uint8"),
    "a coarser grid": (
        {"transform": Affine(1.2, 0, 439166.4, 0, -1.2, 5273706.6)},
        "pixels of 1.2 x 1.2 instead of 0.6 x 0.6 in the units of its coordinate system",
    ),
    "nodata": ({"nodata": 7}, "nodata 7.0 instead of None"),
    "another order": ({"colorinterp": [BLUE, GREEN, RED]}, "bands blue, green, red instead of red, green, blue"),
}  # fmt: skip


@pytest.mark.parametrize("differs", FITS)
def test_scenes_that_do_not_fit_together_are_refused(tmp_path, differs):
    options, said = FITS[differs]
    options = options if "colorinterp" in options else {"photometric": "RGB"} | options
    array = noise(bands=options.pop("bands", 3)).astype(options.pop("dtype", "uint8"))
    first = write_part(tmp_path, "a.tif", noise(), 0, 0, photometric="RGB")
    other = write_part(tmp_path, "b.tif", array, 0, 50, **options)
    expected = f"'{other}' doesn't fit '{first}' in one mosaic: it has {said}"
    with pytest.raises(SceneError, match=f"^{re.escape(expected)}$"):
        describe(tmp_path)


def test_the_bands_of_one_scene_are_no_mosaic(tmp_path):
    for name in ("B03.tif", "B02.tif"):
        write_part(tmp_path, name, noise(bands=1), 0, 0)
    said = (
        f"'{tmp_path}/B02.tif' and '{tmp_path}/B03.tif' have one band each of the same ground: if '{tmp_path}' holds "
        "the bands of one scene, stack them into one file first, e.g. with rio stack"
    )
    with pytest.raises(SceneError, match=f"^{re.escape(said)}$"):
        describe(tmp_path)


def test_a_scene_without_a_place_is_in_no_mosaic(tmp_path):
    write_part(tmp_path, "a.tif", noise(), 0, 0)
    lost = write_part(tmp_path, "b.tif", noise(), 0, 0, transform=Affine.identity(), crs=None)
    with pytest.raises(SceneError, match=re.escape(f"'{lost}' has no georeference, so where it lies in '{tmp_path}'")):
        describe(tmp_path)


def test_a_mosaic_of_strips_is_slow_in_tiles(tmp_path):
    for row in range(2):
        write_part(tmp_path, f"{row}.tif", noise(20, 2100), 20 * row, 0, blockysize=1)
    scene = describe(tmp_path)
    assert is_slow_in_tiles(scene, cache=200_000)
    assert not is_slow_in_tiles(scene, cache=10**6)


def test_a_mosaic_may_lie_elsewhere(tmp_path):
    whole = noise(40, 100)
    for name, col in (("a.tif", 0), ("b.tif", 50)):
        write_part(tmp_path, name, whole[:, :, col : col + 50], 0, col)
    with served(tmp_path) as (url, _):
        image, valid = picture_of([f"{url}/a.tif", f"{url}/b.tif"])
    assert valid.all()
    assert np.array_equal(image, whole)


def test_mosaics_of_complex_numbers_are_refused(tmp_path):
    for i in range(2):
        write_part(tmp_path, f"{i}.tif", noise(bands=1), 0, 50 * i, dtype="complex_int16")
    said = f"'{tmp_path}/0.tif' holds complex numbers, not brightness: map a detected image instead"
    with pytest.raises(SceneError, match=f"^{re.escape(said)}$"):
        describe(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Affine.rotation(20), "a grid turned by -20 degrees instead of 0: warp it first"),
        (Affine.scale(1, -1), "rows in the opposite order: warp it first"),
        (Affine.scale(1.0000007), "pixels of 0.60000042 x 0.60000042 instead of 0.6 x 0.6 in the units"),
    ],
)
def test_other_pixels_are_told_by_what_differs(tmp_path, change, said):
    wide = {"a.tif": UTM, "b.tif": UTM @ Affine.translation(20_000, 0) @ change}
    for name, transform in wide.items():
        write_part(tmp_path, name, np.ones((1, 2, 20_000), "uint8"), 0, 0, transform=transform)
    with pytest.raises(SceneError, match=re.escape(f"in one mosaic: it has {said}")):
        resolve(tmp_path)


def test_no_mosaic_goes_round_the_globe(tmp_path):
    for name, west in (("a.tif", 179.5), ("b.tif", -180)):
        place = Affine(0.01, 0, west, 0, -0.01, 52)
        write_part(tmp_path, name, noise(), 0, 0, transform=place, crs="EPSG:4326")
    said = f"the rasters of '{tmp_path}' lie on both sides of the antimeridian: map them one by one, see batch"
    with pytest.raises(SceneError, match=f"^{re.escape(said)}$"):
        resolve(tmp_path)


@pytest.mark.parametrize(
    ("dtype", "options"),
    [("uint8", {"photometric": "miniswhite"}), ("uint16", {"photometric": "miniswhite"}), ("uint8", {"nbits": 4})],
)
def test_a_mosaic_is_as_dark_as_its_rasters(tmp_path, dtype, options):
    array = (noise(bands=1) % 15 + 1).astype(dtype)
    whole = write_geotiff(tmp_path / "whole.tif", array, **options)
    write_part(tmp_path / "parts", "a.tif", array[:, :, :20], 0, 0, **options)
    write_part(tmp_path / "parts", "b.tif", array[:, :, 20:], 0, 20, **options)
    assert np.array_equal(picture_of(tmp_path / "parts")[0], picture_of(whole)[0])
    assert describe(tmp_path / "parts").radiometry == describe(whole).radiometry
    assert describe(whole).radiometry != describe(write_geotiff(whole, array)).radiometry


def test_rasters_whose_0_is_white_fit_no_others(tmp_path):
    write_part(tmp_path / "parts", "a.tif", noise(bands=1), 0, 0)
    write_part(tmp_path / "parts", "b.tif", noise(bands=1), 0, 50, photometric="miniswhite")
    with pytest.raises(SceneError, match="in one mosaic: it has 0 for white instead of the greatest value"):
        describe(tmp_path / "parts")
