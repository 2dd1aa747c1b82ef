from __future__ import annotations

from pathlib import Path

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
from lposs_geo.testing.rasters import coded, write_with_points

TILED = {"tiled": True, "blockxsize": 128, "blockysize": 128}


RED, GREEN, BLUE, ALPHA = ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha


def _framed(rows: int = 100, cols: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """A turned picture in a black frame, with a black and a dark pond in it; and where the frame is."""
    row, col = np.mgrid[:rows, :cols]
    frame = np.abs(row - rows / 2 + (col - cols / 2) / 5) > rows / 3
    array = np.random.default_rng(0).integers(1, 200, (3, rows, cols)).astype("uint16")
    array[:, frame] = 0
    array[:, 48:52, 55:60] = 0
    array[:, 40:44, 55:60] = 3
    return array, frame


@pytest.mark.parametrize("options", [{}, {"sparse_ok": True, "tiled": True, "blockxsize": 16, "blockysize": 16}])
def test_a_black_frame_is_no_data(write_raster, tmp_path, options):
    array, frame = _framed()
    path = write_raster(array, **options)
    scene = describe(path)
    said = f"{frame.mean():.0%} of '{path}' is a black frame without declared nodata, taken as nodata"
    assert tuple(map(str, scene.notices)) == (f"{said}: collar=False keeps it",)
    assert min(scene.radiometry.low) > 1
    with open_scene(scene) as reader:
        image, valid = reader.read(Window(0, 0, 120, 100))
        part, part_valid = reader.read(Window(50, 30, 20, 30))  # where the window has no frame
    assert np.array_equal(valid, ~frame)  # a pond doesn't hang together with the frame
    assert np.array_equal(part, image[:, 30:60, 50:70])
    assert np.array_equal(part_valid, valid[30:60, 50:70])
    with open_scene(copy_in_tiles(scene, tmp_path / "copy.tif")) as reader:
        assert np.array_equal(reader.read(Window(0, 0, 120, 100))[1], valid)
    kept = describe(path, collar=False)
    assert kept.notices == ()
    assert identity(kept) != identity(scene)
    with open_scene(kept) as reader:
        assert reader.read(Window(0, 0, 120, 100))[1].all()


@pytest.mark.parametrize("options", [{"nodata": 7}, {"colorinterp": [RED, GREEN, BLUE, ALPHA]}])
def test_where_nodata_is_declared_black_is_black(write_raster, options):
    array, _ = _framed()
    if "colorinterp" in options:
        array = np.concatenate([array, np.full((1, 100, 120), 65535, "uint16")])
    scene = describe(write_raster(array, **options))
    assert scene.notices == ()
    with open_scene(scene) as reader:
        assert reader.read(Window(0, 0, 120, 100))[1].mean() > 0.95


def test_a_lake_without_a_frame_is_black(write_raster):
    array = np.random.default_rng(0).integers(1, 200, (3, 100, 120)).astype("uint8")
    array[:, 20:60, 30:90] = 0
    scene = describe(write_raster(array))
    assert scene.notices == ()
    with open_scene(scene) as reader:
        assert reader.read(Window(0, 0, 120, 100))[1].all()


@pytest.mark.parametrize(("dtype", "value"), [("float32", -9999), ("int16", -32768), ("uint16", 65535), ("int16", 0)])
def test_a_frame_of_another_value(write_raster, dtype, value):
    array = np.random.default_rng(0).integers(1, 200, (3, 60, 80)).astype(dtype)
    array[:, :15] = value
    path = write_raster(array)
    scene = describe(path)
    called = "a black frame" if value == 0 else f"a frame of {value}"
    assert tuple(map(str, scene.notices)) == (
        f"25% of '{path}' is {called} without declared nodata, taken as nodata: collar=False keeps it",
    )
    assert scene.layers.frame_value == value
    with open_scene(scene) as reader:
        assert np.array_equal(reader.read(Window(0, 0, 80, 60))[1], (array != value).any(axis=0))
    assert describe(path, collar=False).layers.frame_value is None


@pytest.mark.parametrize("value", [1, 254, 255])
def test_a_scene_of_one_or_two_values_is_all_picture(write_raster, value):
    alone = np.full((1, 60, 80), value, "uint8")
    beside = alone.copy()
    beside[:, :, :30] = value + 1 if value == 1 else value - 1
    for array in (alone, beside):
        scene = describe(write_raster(array))
        assert scene.layers.frame_value is None
        assert not any("frame" in said for said in map(str, scene.notices))


def test_what_looks_like_a_frame_and_is_none(write_raster):
    array = np.random.default_rng(0).integers(1, 200, (4, 60, 80)).astype("uint16")
    array[:3, :15] = 0
    names = ["red", "green", "blue", "nir"]
    assert describe(write_raster(array, descriptions=names)).layers.frame_value is None  # infrared isn't black there
    array[3, :15] = 0
    assert describe(write_raster(array, descriptions=names)).layers.frame_value == 0
    for dtype in ("int16", "float32"):  # a sea's height
        assert describe(write_raster(array[:1].astype(dtype))).layers.frame_value is None
    assert describe(write_raster((array[:1] > 0).astype("uint8"), nbits=1)).layers.frame_value is None


LOSSY = {
    "jpeg": {"compress": "jpeg", "photometric": "ycbcr", "interleave": "pixel", **TILED},
    "webp": {"compress": "webp", "interleave": "pixel", **TILED},
    "jpeg once": TILED,
}


def _turned(lakeside: Path, value: int) -> tuple[np.ndarray, np.ndarray]:
    """A turned picture in a frame, (3, 400, 400), with a pond of the frame's value; and where the frame is."""
    with rasterio.open(lakeside) as dataset:
        array = dataset.read([3, 2, 1], window=Window(200, 200, 400, 400)) / 5.0
    array = array.clip(40, 200).astype("uint8")
    row, col = np.mgrid[-200:200, -200:200]
    frame = (np.abs(row + col / 5) > 150) | (np.abs(col - row / 5) > 150)
    array[:, frame] = value
    array[:, 180:200, 180:200] = value
    return array, frame


@pytest.mark.parametrize("kind", LOSSY)
@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("nodata", [False, True])
def test_lossy_compression_leaves_no_ring_round_a_frame(write_raster, lakeside, tmp_path, kind, value, nodata):
    array, frame = _turned(lakeside, value)
    options = {"nodata": value} if nodata else {}
    if kind == "jpeg once":
        with rasterio.open(write_raster(array, "once.tif", **LOSSY["jpeg"])) as dataset:
            array = dataset.read()
    scene = describe(write_raster(array, **LOSSY[kind], **options))
    with open_scene(scene) as reader:
        _, valid = reader.read(Window(0, 0, 400, 400))
        for window in (Window(37, 41, 64, 50), Window(0, 0, 128, 128), Window(250, 170, 1, 90), Window(399, 399, 1, 1)):
            assert np.array_equal(reader.read(window)[1], valid[window.toslices()])
        _, small = reader.overview(100)
    assert valid[frame].mean() < 0.003
    assert valid[~frame].mean() > (0.98 if not nodata else 0.97)
    assert valid[184:196, 184:196].all() != nodata  # the pond doesn't hang together with the frame
    assert np.abs(small - valid[2::4, 2::4].astype(int)).mean() < 0.02
    with open_scene(copy_in_tiles(scene, tmp_path / "copy.tif")) as reader:
        assert np.array_equal(reader.read(Window(0, 0, 400, 400))[1], valid)
    called = "a black frame" if value == 0 else "a white frame"
    assert [called in notice for notice in map(str, scene.notices)] == ([] if nodata else [True])
    kept = describe(scene.path, collar=False)
    assert kept.layers.frame is None
    assert identity(kept)["frame"] != identity(scene)["frame"]


def test_land_as_dark_as_a_sharp_frame_stays(write_raster):
    array = np.random.default_rng(0).integers(3, 25, (3, 200, 200)).astype("uint8")
    array[:, :50] = 0
    scene = describe(write_raster(array))
    assert scene.layers.blur == 0
    with open_scene(scene) as reader:
        assert np.array_equal(reader.read(Window(0, 0, 200, 200))[1], array.any(axis=0))


def test_a_frame_is_found_on_the_reduced_scene_and_its_pixels_on_the_scene(write_raster):
    row, col = np.mgrid[:2300, :2100]
    frame = row + col / 4 < 400
    array = np.random.default_rng(0).integers(1, 255, (1, 2300, 2100)).astype("uint8").repeat(3, 0)
    array[:, frame] = 0
    array[:, 1000:1100, 1000:1100] = 0
    scene = describe(write_raster(array, **TILED, sparse_ok=True))
    with open_scene(scene) as reader:
        assert np.array_equal(reader.read(Window(0, 0, 2100, 2300))[1], ~frame)
        assert np.array_equal(reader.read(Window(900, 90, 500, 300))[1], ~frame[90:390, 900:1400])
        assert not reader.may_hold_data(Window(0, 0, 100, 100))


def test_a_hole_of_a_sparse_file_that_is_no_frame_is_black(write_raster):
    array = np.random.default_rng(0).integers(1, 255, (3, 640, 640)).astype("uint8")
    array[:, :256] = 0
    array[:, 384:512, 256:384] = 0
    scene = describe(write_raster(array, **TILED, sparse_ok=True))
    with open_scene(scene) as reader:
        assert not reader.may_hold_data(Window(0, 0, 128, 128))
        assert reader.may_hold_data(Window(256, 384, 128, 128))
        assert reader.read(Window(256, 384, 128, 128))[1].all()


@pytest.mark.parametrize(
    ("dtype", "value"), [("int16", -9999), ("uint16", 65535), ("float32", -32768), ("int16", -999)]
)
def test_holes_that_are_not_declared_are_no_data(write_raster, dtype, value):
    array = np.random.default_rng(0).integers(300, 1500, (3, 90, 80)).astype(dtype)
    plain = describe(write_raster(array, "plain.tif"))
    array[:, 30:45, 20:60] = value
    path = write_raster(array)
    scene = describe(path)
    assert tuple(map(str, scene.notices)) == (
        f"8% of '{path}' holds {value} without declared nodata, taken as nodata: collar=False keeps it",
    )
    assert scene.radiometry.low == pytest.approx(plain.radiometry.low, abs=5)
    assert scene.radiometry.high == pytest.approx(plain.radiometry.high, abs=5)
    with open_scene(scene) as reader:
        assert np.array_equal(reader.read(Window(0, 0, 80, 90))[1], array[0] != value)
    kept = describe(path, collar=False)
    assert kept.notices == ()
    assert identity(kept) != identity(scene)
    located = write_with_points(write_raster, array, name="located.tif")
    with open_scene(describe(located, warp=True)) as reader:
        valid = reader.read(Window(0, 0, 80, 90))[1]
    assert np.array_equal(valid, (array[0] != value)[::-1])


def test_a_scene_that_is_all_black(write_raster):
    path = write_raster(np.zeros((3, 30, 40), "uint8"))
    with pytest.raises(SceneError, match="has no valid pixel: all is nodata, black, transparent or not a number"):
        describe(path)
    assert describe(path, collar=False).bands == (1, 2, 3)


def test_the_least_number_is_no_data_though_not_declared(write_raster):
    array = coded(3, "float32")
    array[1, :10] = np.finfo("float32").min
    with open_scene(describe(write_raster(array))) as reader:
        _, valid = reader.read(Window(0, 0, 40, 30))
    assert valid.all(axis=1).tolist() == [False] * 10 + [True] * 20
