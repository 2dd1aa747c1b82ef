from __future__ import annotations

import os

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from lposs_geo.errors import OutputError, SceneChangedError, SceneError
from lposs_geo.scene.description import describe
from lposs_geo.scene.reader import open_scene
from lposs_geo.scene.tiled_copy import copy_in_tiles, is_slow_in_tiles
from lposs_geo.testing.rasters import write_vrt

RED, GREEN, BLUE, ALPHA = ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha


def test_only_large_scenes_in_strips_are_slow_in_tiles(write_raster):
    array = np.zeros((3, 40, 2100), dtype="uint8") + 7
    strips = describe(write_raster(array, blockysize=1))
    assert is_slow_in_tiles(strips, cache=200_000)
    assert not is_slow_in_tiles(strips, cache=10**6)
    tiled = describe(write_raster(array, "tiled.tif", tiled=True, blockxsize=64, blockysize=64))
    assert not is_slow_in_tiles(tiled, cache=200_000)
    assert is_slow_in_tiles(strips, 200_000, Window(0, 5, 10, 32))
    assert not is_slow_in_tiles(strips, 200_000, Window(0, 5, 10, 31))  # whose strips fit


def test_a_giant_scene_is_not_copied(write_raster, tmp_path):
    source = write_raster(np.full((3, 40, 3000), 7, "uint8"), blockysize=1)
    side, part = 2**31 - 1, Window(2**30, 2**30, 3000, 40)
    path = write_vrt(tmp_path / "giant.vrt", (side, side), (source, (2**30, 2**30)))
    path.write_text(path.read_text().replace('dataType="Byte"', 'dataType="Byte" blockXSize="4000" blockYSize="1"'))
    assert not is_slow_in_tiles(describe(path, part=lambda _: part), 200_000, part)


def test_a_copy_of_a_part_reads_there_as_the_original_does(write_raster, tmp_path):
    array = np.random.default_rng(0).integers(1, 250, (3, 1400, 1300)).astype("uint16")
    array[:, 700:720, 800:900] = 0
    scene, part = describe(write_raster(array, nodata=0, blockysize=1)), Window(620, 600, 300, 700)
    copy = copy_in_tiles(scene, tmp_path / "copy.tif", part)
    assert copy.grid == scene.grid
    with open_scene(scene) as original, open_scene(copy) as copied:
        for zoom in (1.0, 2.0):
            window = Window(*(int(zoom * side) for side in part.flatten()))
            for one, other in zip(original.read(window, zoom), copied.read(window, zoom), strict=True):
                assert np.array_equal(one, other)
        assert not copied.read(Window(0, 0, 1300, 500))[1].any()


@pytest.mark.parametrize(
    ("dtype", "options"),
    [("uint8", {"nodata": 0}), ("uint16", {}), ("float32", {}), ("uint16", {"colorinterp": [RED, GREEN, BLUE, ALPHA]})],
)
def test_a_copy_in_tiles_reads_as_the_original_does(write_raster, tmp_path, dtype, options):
    array = np.random.default_rng(0).integers(1, 250, (4, 700, 130)).astype(dtype)
    array[:, 600:650, 20:60] = 0
    if dtype == "float32":
        array[1, 5:9, 5:9] = np.nan
    scene = describe(write_raster(array if "colorinterp" in options else array[:3], **options))
    copy = copy_in_tiles(scene, tmp_path / "copy.tif")
    with rasterio.open(copy.path) as dataset:
        assert dataset.block_shapes[0] == (512, 512)
    with open_scene(scene) as original, open_scene(copy) as copied:
        for zoom in (1.0, 2.0):
            window = Window(0, 0, int(130 * zoom), int(700 * zoom))
            for one, other in zip(original.read(window, zoom), copied.read(window, zoom), strict=True):
                assert np.array_equal(one, other)


def test_each_row_is_read_once_for_a_copy(write_raster, tmp_path, monkeypatch):
    scene = describe(write_raster(np.full((3, 1300, 30), 9, "uint8"), blockysize=1))
    rows = []
    monkeypatch.setattr("lposs_geo.scene.pixels._load", _noting_rows(rows))
    copy_in_tiles(scene, tmp_path / "copy.tif")
    assert sorted(rows) == list(range(1300))


def test_a_scene_that_is_changed_while_it_is_copied_is_refused(write_raster, tmp_path):
    scene = describe(write_raster(np.full((3, 1300, 30), 9, "uint8"), blockysize=1))
    write_raster(np.full((3, 1300, 30), 200, "uint8"), blockysize=1)
    with pytest.raises(SceneChangedError, match=r"scene\.tif' was changed"):
        copy_in_tiles(scene, tmp_path / "copy.tif")


def _noting_rows(rows: list[int]):
    from lposs_geo.scene.pixels import _load

    def load(dataset, source, layers, window, shape):
        rows.extend(range(window.row_off, window.row_off + window.height))
        return _load(dataset, source, layers, window, shape)

    return load


def test_a_copy_that_cannot_be_written_is_said_so(write_raster, tmp_path):
    scene = describe(write_raster(np.full((3, 30, 30), 9, "uint8")))
    with pytest.raises(OutputError, match="can't write a copy of"):
        copy_in_tiles(scene, tmp_path / "none" / "copy.tif")


@pytest.mark.parametrize("height", [16, 1])
def test_a_damaged_strip_is_lost_in_the_copy_alone(write_raster, tmp_path, height):
    array = np.random.default_rng(0).integers(1, 250, (3, 1100, 60)).astype("uint8")
    path = write_raster(array, blockysize=height, interleave="pixel", compress="deflate")
    scene = describe(path)
    with rasterio.open(path) as dataset:
        start, size = (
            int(dataset.get_tag_item(f"BLOCK_{w}_0_{640 // height}", "TIFF", bidx=1)) for w in ("OFFSET", "SIZE")
        )
    data = path.read_bytes()
    path.write_bytes(data[:start] + b"\xff" * size + data[start + size :])
    os.utime(path, ns=(0, scene.stamps[0].changed))  # nothing tells of the damage
    copy = copy_in_tiles(scene, tmp_path / "copy.tif")
    assert [lost[:2] for lost in copy.lost] == [(640, 640 + height)]
    with open_scene(copy) as reader:
        for top, rows in ((0, 640), (640 + height, 400)):
            image, valid = reader.read(Window(0, top, 60, rows))
            assert valid.all()
            assert np.allclose(image * 255, array[:, top : top + rows], atol=1e-3)
        with pytest.raises(SceneError, match=r"scene.tif' is damaged near row 640"):
            reader.read(Window(0, 600, 60, 41))
