from __future__ import annotations

import json
import os
import re
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import rasterio.vrt
import rasterio.warp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio._env import get_gdal_config
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from rasterio.windows import Window

from lposs_geo.errors import ParameterError, SceneChangedError, SceneError
from lposs_geo.scene import pixels
from lposs_geo.scene.description import describe
from lposs_geo.scene.identity import check_unchanged, identity
from lposs_geo.scene.opening import REMOTE_OPTIONS
from lposs_geo.scene.reader import open_scene
from lposs_geo.scene.tiled_copy import copy_in_tiles, is_slow_in_tiles
from lposs_geo.testing.rasters import write_geotiff, write_vrt
from lposs_geo.testing.server import served
from lposs_geo.tiling import zoomed

TILED = {"tiled": True, "blockxsize": 128, "blockysize": 128}
RED, GREEN, BLUE, ALPHA = ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha


def _coded(bands: int, dtype: str = "uint16", rows: int = 30, cols: int = 40) -> np.ndarray:
    """A picture whose every value tells its band, row and col."""
    band, row, col = np.meshgrid(np.arange(1, bands + 1), np.arange(rows), np.arange(cols), indexing="ij")
    return (band * 60 + (row + col) % 30).astype(dtype)


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
    array = _coded(bands, options.pop("dtype"))
    assert describe(write_raster(array, **options)).bands == expected


def test_the_bundled_scene_is_blue_green_red_infrared(lakeside):
    scene = describe(lakeside)
    assert scene.bands == (3, 2, 1)
    assert "blue, green, red" in str(scene.bands_reason)
    assert scene.grid.crs.to_epsg() == 32632
    assert scene.grid.pixel_size == pytest.approx((0.6, 0.6))


def test_named_bands_win_and_are_read_in_that_order(write_raster):
    array = _coded(4, "uint8")
    scene = describe(write_raster(array), bands=(4, 1, 1))
    with open_scene(scene) as reader:
        image, valid = reader.read(Window(3, 5, 10, 8))
    assert valid.all()
    assert np.allclose(image * 255, array[[3, 0, 0], 5:13, 3:13], atol=1e-4)


def test_eight_bit_is_taken_as_it_is_and_others_are_stretched_once(write_raster):
    assert describe(write_raster(_coded(3, "uint8"), "a.tif")).radiometry.high == (255.0, 255.0, 255.0)
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


def test_an_island_too_small_for_a_reduced_read_is_found(write_raster):
    array = np.zeros((3, 2100, 2300), dtype="uint16")
    array[:, 1601, 1703] = 700
    scene = describe(write_raster(array, nodata=0, compress="deflate"))
    assert scene.radiometry.low == (700, 700, 700)


def test_alpha_makes_invalid(write_raster):
    array = _coded(4, "uint8")
    array[3] = 255
    array[3, :10] = 0
    scene = describe(write_raster(array, colorinterp=[RED, GREEN, BLUE, ALPHA]))
    with open_scene(scene) as reader:
        _, valid = reader.read(Window(0, 0, 40, 30))
        _, reduced = reader.overview(20)
    assert not valid[:10].any()
    assert valid[10:].all()
    assert reduced.shape == (15, 20)
    assert not reduced[:5].any()
    assert reduced[5:].all()


def test_alpha_makes_invalid_however_many_bands_there_are(write_raster):
    array = _coded(5, "uint8")
    array[4] = 255
    array[4, :10] = 0
    undefined = ColorInterp.undefined
    scene = describe(write_raster(array, colorinterp=[RED, GREEN, BLUE, undefined, ALPHA]))
    with open_scene(scene) as reader:
        _, valid = reader.read(Window(0, 0, 40, 30))
    assert not valid[:10].any()
    assert valid[10:].all()


def test_an_infrared_band_tagged_alpha_can_be_shown(write_raster):
    array = _coded(4, "uint8")
    array[3, :10] = 0
    scene = describe(write_raster(array, colorinterp=[RED, GREEN, BLUE, ALPHA]), bands=(4, 1, 2))
    with open_scene(scene) as reader:
        _, valid = reader.read(Window(0, 0, 40, 30))
    assert valid.all()


def test_nodata_in_one_chosen_band_is_no_brightness(write_raster):
    array = _coded(4, "int16")
    array[0, :10] = -9999
    path = write_raster(array, nodata=-9999)
    scene = describe(path, bands=(1, 2, 3))
    assert min(scene.radiometry.low) >= 60
    with open_scene(scene) as reader:
        _, valid = reader.read(Window(0, 0, 40, 30))
    assert not valid[:10].any()
    assert valid[10:].all()
    with open_scene(describe(path, bands=(2, 3, 4))) as reader:  # what is missing in another band is no matter
        assert reader.read(Window(0, 0, 40, 30))[1].all()


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", 0), ("uint8", 255), ("uint16", 0)])
def test_what_may_be_a_colour_is_no_data_only_in_all_bands(write_raster, dtype, nodata):
    array = _coded(3, dtype)
    array[0, :10] = nodata
    array[:, 10:20] = nodata
    with open_scene(describe(write_raster(array, nodata=nodata))) as reader:
        _, valid = reader.read(Window(0, 0, 40, 30))
    assert valid.all(axis=1).tolist() == [True] * 10 + [False] * 10 + [True] * 10


@pytest.mark.parametrize(
    ("dtype", "offset", "factor"), [("uint32", 4e9, 1), ("float64", 1e15, 1), ("float64", 0, 1e30)]
)
def test_values_that_a_float32_cannot_tell_apart(write_raster, dtype, offset, factor):
    plain = _coded(3, "float64")
    with open_scene(describe(write_raster((offset + plain * factor).astype(dtype), "a.tif"))) as reader:
        found, _ = reader.read(Window(0, 0, 40, 30))
    with open_scene(describe(write_raster(plain, "b.tif"))) as reader:
        expected, _ = reader.read(Window(0, 0, 40, 30))
    assert np.allclose(found, expected, atol=0.02)


def test_the_files_of_a_scene_are_all_those_it_is_read_from(write_raster, tmp_path):
    path = write_raster(_coded(3, "uint8"))
    for name, source in (("inner.vrt", path), ("outer.vrt", tmp_path / "inner.vrt")):
        with rasterio.open(source) as dataset, rasterio.vrt.WarpedVRT(dataset) as warped:
            rasterio.shutil.copy(warped, tmp_path / name, driver="VRT")
    assert str(path) in describe(path).files
    assert {Path(file).name for file in describe(tmp_path / "outer.vrt").files} == {
        "outer.vrt",
        "inner.vrt",
        "scene.tif",
    }
    assert str(path) in describe(f"GTIFF_DIR:1:{path}").files


def test_a_guess_among_many_bands_is_noted(write_raster):
    scene = describe(write_raster(_coded(8)))
    assert scene.bands == (3, 2, 1)
    assert "8 bands are red, green and blue, and 3, 2, 1 is a guess" in str(scene.notices[0])


@pytest.mark.parametrize("bands", [4, 8])
def test_a_guess_is_turned_round_by_the_contrast_of_red(write_raster, bands):
    array = _coded(bands)
    array[0] = 100 + 3 * (array[0] - 60)  # red soil
    scene = describe(write_raster(array))
    assert scene.bands == (1, 2, 3)
    assert scene.radiometry.high[0] > 150
    assert "1, 2, 3 is a guess, since band 1 has more contrast than band 3" in str(scene.notices[0])


def test_a_flat_band_is_no_division_by_zero(write_raster):
    scene = describe(write_raster(np.full((3, 5, 6), 7, dtype="uint16")))
    with open_scene(scene) as reader:
        assert np.isfinite(reader.read(Window(0, 0, 6, 5))[0]).all()


@pytest.mark.parametrize(
    ("array", "options", "bands", "said"),
    [
        (_coded(3), {}, (1, 2, 4), "no band 4: its bands are 1 to 3"),
        (_coded(3), {}, (0, 1, 2), "no band 0"),
        (_coded(3), {}, (1, 2), "name three"),
        (_coded(3) * 0, {"nodata": 0}, None, "no valid pixel"),
        (np.full((3, 4, 5), np.nan, dtype="float32"), {}, None, "no valid pixel"),
        (_coded(3).astype("complex64"), {}, None, "complex"),
        (_coded(3).astype("complex64"), {}, (1, 2, 3), "complex"),
        (_coded(3), {"transform": rasterio.Affine(2, 4, 9, 1, 2, 9)}, None, "gives its pixels no size"),
    ],
)
def test_rasters_that_cannot_be_used(write_raster, array, options, bands, said):
    with pytest.raises(SceneError, match=said) as caught:
        describe(write_raster(array, **options), bands=bands)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bands", [None, "1", (1,), (1, 1, 1)])
def test_one_band_is_mapped_as_grey(write_raster, bands):
    scene = describe(write_raster(_coded(1)), bands=bands)
    assert scene.bands == (1, 1, 1)
    assert ["seen as grey" in notice for notice in map(str, scene.notices)] == ([] if bands == (1, 1, 1) else [True])


def test_infrared_tagged_alpha_masks_nothing(write_raster):
    array = _coded(4, "uint8")
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
    _write_palette_vrt(path, write_raster(index), known)
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
    _write_palette_vrt(path, tmp_path / "scene.tif", known[[1, 0, 2]])
    assert identity(describe(path))["palette"] != identity(scene)["palette"]
    assert describe(path, bands="1").layers.palette is None


def _write_palette_vrt(path: Path, source: Path, colours: np.ndarray) -> None:
    entries = "".join('<Entry c1="{}" c2="{}" c3="{}" c4="{}"/>'.format(*colour) for colour in colours)
    path.write_text(
        '<VRTDataset rasterXSize="40" rasterYSize="30"><SRS>EPSG:32632</SRS><GeoTransform>0,1,0,9,0,-1</GeoTransform>'
        '<VRTRasterBand dataType="Byte" band="1"><NoDataValue>4</NoDataValue><ColorInterp>Palette</ColorInterp>'
        f"<ColorTable>{entries}</ColorTable><SimpleSource><SourceFilename>{source}</SourceFilename></SimpleSource>"
        "</VRTRasterBand></VRTDataset>"
    )


@pytest.mark.parametrize("colour", [(300, 0, 0, 255), (0, -5, 0, 255), (9, 9, 65535, 255), (9, 9, 9, 256)])
def test_a_colour_table_beyond_8_bits_is_refused(write_raster, tmp_path, colour):
    path = tmp_path / "palette.vrt"
    _write_palette_vrt(path, write_raster(np.ones((1, 30, 40), "uint8")), np.array([(1, 2, 3, 255), colour]))
    with pytest.raises(
        SceneError, match=r"palette.vrt' has a colour table whose entry 1 is .*or map the indices as grey"
    ):
        describe(path)
    assert describe(path, bands="1").layers.palette is None  # as it advises


def test_an_empty_colour_table_is_none(write_raster, tmp_path):
    path = tmp_path / "palette.vrt"
    index = np.random.default_rng(0).integers(0, 6, (1, 30, 40)).astype("uint8")
    _write_palette_vrt(path, write_raster(index), np.empty((0, 4), int))
    scene = describe(path)
    assert scene.layers.palette is None
    assert any("has no colour table" in notice for notice in map(str, scene.notices))


def test_a_large_colour_table(write_raster):
    index = np.arange(1200).reshape(1, 30, 40).astype("uint16")
    path = write_raster(index)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {i: (i % 256, i // 256, 7, 255) for i in range(1200)})
    with open_scene(describe(path)) as reader:
        image, valid = reader.read(Window(0, 0, 40, 30))
    assert valid.all()
    assert np.array_equal(np.rint(image * 255), np.stack([index[0] % 256, index[0] // 256, np.full((30, 40), 7)]))


def test_scale_is_in_physical_values_and_the_same_for_all_bands(write_raster):
    array = _coded(3, "int16")
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
    bytes_scaled = describe(write_raster(_coded(3, "uint8"), "bytes.tif"), scale=(60, 120))
    assert bytes_scaled.radiometry.low == (60, 60, 60)
    with pytest.raises(ParameterError, match="the lower one first"):
        describe(path, scale=(2, 1))


@pytest.mark.parametrize(("bits", "white"), [(1, 1), (4, 15), (8, 255)])
def test_white_is_what_the_bits_can_hold(write_raster, bits, white):
    array = np.random.default_rng(0).integers(0, white, (3, 30, 40), endpoint=True).astype("uint8")
    assert describe(write_raster(array, nbits=bits)).radiometry.high == (white,) * 3


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
    located = _with_points(write_raster, array, name="located.tif")
    with open_scene(describe(located, warp=True)) as reader:
        valid = reader.read(Window(0, 0, 80, 90))[1]
    assert np.array_equal(valid, (array[0] != value)[::-1])


def test_an_alpha_band_that_is_not_tagged_is_one(write_raster):
    array = _coded(2, "uint8")
    array[1] = 255
    array[1, :10] = 0
    scene = describe(write_raster(array))
    assert scene.bands == (1, 1, 1)
    assert scene.layers.alphas == (2,)
    said = f"band 2 of '{scene.path}' holds nothing but 0 and 255: it is taken for alpha"
    assert said in map(str, scene.notices)
    with open_scene(scene) as reader:
        assert np.array_equal(reader.read(Window(0, 0, 40, 30))[1], array[1] > 0)
    colour = np.concatenate([_coded(3, "uint8"), array[1:]])
    scene = describe(write_raster(colour, photometric="rgb", alpha="unspecified"))
    assert (scene.bands, scene.layers.alphas) == ((1, 2, 3), (4,))
    infrared = np.concatenate([_coded(3, "uint8"), np.random.default_rng(0).integers(0, 256, (1, 30, 40), "uint8")])
    assert describe(write_raster(infrared, photometric="rgb", alpha="unspecified")).layers.alphas == ()


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


def test_no_float_beyond_reason_is_a_measurement(write_raster):
    array = _coded(3, "float32")
    array[:, :10, 5:] = -3.4e38
    array[:, 20:, 5:] = 1e39 if array.dtype.itemsize > 4 else 2e38
    with open_scene(describe(write_raster(array))) as reader:
        assert np.array_equal(reader.read(Window(0, 0, 40, 30))[1], np.abs(array[0]) < 1e30)


def test_a_scene_that_is_all_black(write_raster):
    path = write_raster(np.zeros((3, 30, 40), "uint8"))
    with pytest.raises(SceneError, match="has no valid pixel: all is nodata, black, transparent or not a number"):
        describe(path)
    assert describe(path, collar=False).bands == (1, 2, 3)


def test_the_least_number_is_no_data_though_not_declared(write_raster):
    array = _coded(3, "float32")
    array[1, :10] = np.finfo("float32").min
    with open_scene(describe(write_raster(array))) as reader:
        _, valid = reader.read(Window(0, 0, 40, 30))
    assert valid.all(axis=1).tolist() == [False] * 10 + [True] * 20


def test_bands_of_several_types(write_raster, tmp_path):
    path = write_raster(_coded(3, "uint16"))
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{band}"><SimpleSource><SourceFilename>{path}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band, kind in ((1, "UInt16"), (2, "Float32"), (3, "Byte"))
    )
    (tmp_path / "mixed.vrt").write_text(f'<VRTDataset rasterXSize="40" rasterYSize="30">{bands}</VRTDataset>')
    scene = describe(tmp_path / "mixed.vrt")
    assert scene.dtype == "float32"
    with open_scene(scene) as reader, open_scene(describe(path)) as plain:
        assert np.allclose(reader.read(Window(3, 4, 20, 10))[0], plain.read(Window(3, 4, 20, 10))[0], atol=1e-6)


def test_a_scene_without_a_place_says_so(write_raster):
    nowhere = rasterio.Affine.identity()
    scene = describe(write_raster(_coded(3, "uint8"), crs=None, transform=nowhere))
    said = "has no coordinate reference system: neither will the map; areas are in its own units"
    assert tuple(map(str, scene.notices)) == (f"'{scene.path}' {said}",)
    scene = describe(write_raster(_coded(3, "uint8"), transform=nowhere))
    assert scene.grid.crs is None
    assert "doesn't say where in it the pixels lie" in str(scene.notices[0])


def test_files_that_are_no_rasters(tmp_path, write_raster):
    with pytest.raises(SceneError, match=r"no such file: .*none.tif"):
        describe(tmp_path / "none.tif")
    text = tmp_path / "notes.tif"
    text.write_text("not a raster")
    with pytest.raises(SceneError, match="can't be opened as a raster"):
        describe(text)
    with pytest.raises(SceneError, match="can't be opened as a raster"):
        describe(tmp_path)  # a folder that holds it


def test_a_damaged_file_is_said_to_be_damaged(write_raster):
    path = write_raster(np.random.default_rng(0).integers(0, 255, (3, 400, 400)).astype("uint8"), compress="deflate")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data)
    with pytest.raises(SceneError, match=r"scene.tif.*(damaged|opened)"):
        scene = describe(path)
        with open_scene(scene) as reader:
            reader.read(Window(0, 0, 400, 400))


def _spoil(path: Path, col: int, row: int) -> None:
    """Make one block of a compressed file unreadable."""
    with rasterio.open(path) as dataset:
        start = int(dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=1))
    data = bytearray(path.read_bytes())
    data[start : start + 300] = b"\xff" * 300
    path.write_bytes(data)


def test_a_damaged_block_hardly_moves_the_stretch(write_raster):
    array = np.random.default_rng(0).integers(500, 3000, (3, 1200, 1200)).astype("uint16")
    array[:, :600] //= 2
    array[:, :200] = 0
    options = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    path = write_raster(array, **options)
    whole = describe(path)
    _spoil(path, 9, 15)
    scene = describe(path)
    assert scene.radiometry.low == pytest.approx(whole.radiometry.low, rel=0.05)
    assert scene.radiometry.high == pytest.approx(whole.radiometry.high, rel=0.05)
    assert scene.layers.frame_value == 0
    assert str(scene.notices[0]) == f"'{path}' is damaged near row 900, column 300: what can't be read becomes nodata"
    assert "17% of" in str(scene.notices[1])


def _mosaic_of(folder: Path, write_raster, **options) -> tuple[Path, list[Path]]:
    """A VRT of two files side by side."""
    step = rasterio.Affine.translation(64, 0)
    place = rasterio.Affine(1, 0, 4e5, 0, -1, 5e6)
    paths = [
        write_raster(_coded(3, "uint8", 64, 64), "a.tif", transform=place, **options),
        write_raster(_coded(3, "uint8", 64, 64), "b.tif", transform=place @ step, **options),
    ]
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}">'
        + "".join(
            f'<SimpleSource><SourceFilename relativeToVRT="1">{path.name}</SourceFilename><SourceBand>{band}'
            '</SourceBand><SourceProperties RasterXSize="64" RasterYSize="64" DataType="Byte" BlockXSize="64" '
            'BlockYSize="64"/><SrcRect xOff="0" yOff="0" xSize="64" ySize="64"/>'
            f'<DstRect xOff="{64 * number}" yOff="0" xSize="64" ySize="64"/></SimpleSource>'
            for number, path in enumerate(paths)
        )
        + "</VRTRasterBand>"
        for band in (1, 2, 3)
    )
    (folder / "mosaic.vrt").write_text(
        '<VRTDataset rasterXSize="128" rasterYSize="64"><SRS>EPSG:32632</SRS><GeoTransform>4e5,1,0,5e6,0,-1'
        f"</GeoTransform>{bands}</VRTDataset>"
    )
    return folder / "mosaic.vrt", paths


@pytest.mark.parametrize("kind", ["vrt", "list"])
def test_a_missing_part_is_no_black_however_often_it_is_read(write_raster, tmp_path, kind):
    mosaic, paths = _mosaic_of(tmp_path, write_raster)
    scene = describe(mosaic if kind == "vrt" else paths)
    content = paths[1].read_bytes()
    with open_scene(scene) as other, open_scene(scene) as reader:
        before = reader.read(Window(0, 0, 60, 60))[0]
        paths[1].unlink()
        for _ in range(4):
            for one in (reader, other):
                with pytest.raises(SceneError, match="is damaged near row 0, column 70"):
                    one.read(Window(70, 0, 20, 20))
        assert np.array_equal(reader.read(Window(0, 0, 60, 60))[0], before)
        if kind == "vrt":
            with pytest.raises(SceneError, match=r"mosaic.vrt' refers to '.*b.tif', which isn't there"):
                describe(mosaic)
        paths[1].write_bytes(content)
        image, valid = reader.read(Window(64, 0, 60, 60))
    assert valid.all()
    assert np.array_equal(image, before)


def _with_points(write_raster, array: np.ndarray, points=((0, 0), (0, 30), (20, 0), (20, 30)), **options) -> Path:
    """A scene south up, located by ground control points in degrees only: 0.001 a pixel, from 9 E, 47 N."""
    path = write_raster(array, transform=rasterio.Affine.identity(), crs=None, **options)
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = [GroundControlPoint(r, c, 9 + c / 1e3, 47 + r / 1e3) for r, c in points], "EPSG:4326"
    return path


def test_ground_control_points_need_a_warp(write_raster):
    path = _with_points(write_raster, _coded(3, "uint8"))
    said = f"'{path}' is located only by ground control points: warp=True maps it on a north-up grid"
    with pytest.raises(SceneError, match=f"^{re.escape(said)}$"):
        describe(path)


@pytest.mark.parametrize("kind", ["plain", "nodata", "frame", "alpha", "mask", "palette"])
def test_a_scene_located_by_points_is_warped_north_up(write_raster, tmp_path, kind):
    smooth = np.hypot(*np.mgrid[-15:15, -20:20])[None] * np.array([4, 5, 6])[:, None, None] + 60
    array, hole = smooth.astype("uint8"), np.zeros((30, 40), bool)
    hole[:8, :12] = True
    options: dict = {}
    if kind == "frame":
        array[:, hole] = 0
    elif kind == "nodata":
        array, options = array.astype("int16"), {"nodata": -9999}
        array[0, hole] = -9999  # in one band only
    elif kind == "alpha":
        array = np.concatenate([array, np.where(hole, 0, 255).astype("uint8")[None]])
        options = {"colorinterp": [RED, GREEN, BLUE, ALPHA]}
    elif kind == "palette":
        array = array[:1] // 32
    path = _with_points(write_raster, array, **options)
    with rasterio.open(path, "r+") as dataset:
        if kind == "mask":
            dataset.write_mask(~hole)
        elif kind == "palette":
            dataset.write_colormap(1, {i: (30 * i, 255 - 30 * i, 5, 255) for i in range(8)})
    scene = describe(path, warp=True)
    assert scene.grid.crs.to_epsg() == 4326
    assert scene.grid.transform.almost_equals(rasterio.Affine(0.001, 0, 9, 0, -0.001, 47.03), 1e-6)
    with open_scene(scene) as reader:
        image, valid = reader.read(Window(0, 0, 40, 30))
        part, part_valid = reader.read(Window(5, 6, 20, 13))
    expected = np.ones((30, 40), bool) if kind in ("plain", "palette") else ~hole
    assert np.array_equal(valid, expected[::-1])
    assert np.array_equal(part, image[:, 6:19, 5:25])
    assert np.array_equal(part_valid, valid[6:19, 5:25])
    if kind == "palette":
        index = array[0, ::-1].astype(int)
        assert np.array_equal(np.rint(image * 255), np.stack([30 * index, 255 - 30 * index, np.full((30, 40), 5)]))
    else:
        found = image[:, valid] * (np.subtract(*scene.radiometry.physical[::-1]))[:, None]
        found += np.array(scene.radiometry.low)[:, None]
        stretched = found.clip(*(np.array(side)[:, None] for side in (scene.radiometry.low, scene.radiometry.high)))
        wanted = array[:3, ::-1][:, valid].clip(
            *(np.array(side)[:, None] for side in (scene.radiometry.low, scene.radiometry.high))
        )
        assert np.abs(stretched - wanted).max() <= 1.01
    assert json.dumps(identity(scene))
    assert not is_slow_in_tiles(scene, 10)
    with open_scene(copy_in_tiles(scene, tmp_path / "copy.tif")) as reader:
        copied, copied_valid = reader.read(Window(0, 0, 40, 30))
    assert np.array_equal(copied, image)
    assert np.array_equal(copied_valid, valid)


def test_a_colour_of_a_frame_is_no_index(write_raster):
    index = np.ones((1, 30, 40), "uint8")
    index[0, :10] = 0
    index[0, 20:] = 7
    path = _with_points(write_raster, index)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (9, 200, 9, 255), 1: (230, 20, 20, 255), 7: (0, 0, 0, 255)})
    scene = describe(path, warp=True)
    with open_scene(scene) as reader:
        _, valid = reader.read(Window(0, 0, 40, 30))
    assert np.array_equal(valid, (index[0] != 7)[::-1])


def test_infrared_tagged_alpha_masks_nothing_when_warped(write_raster):
    array = np.concatenate([_coded(3, "uint8"), np.random.default_rng(0).integers(5, 200, (1, 30, 40)).astype("uint8")])
    array[3, :10] = 0
    path = _with_points(write_raster, array, colorinterp=[RED, GREEN, BLUE, ALPHA])
    for bands in (None, (4, 1, 2)):
        scene = describe(path, bands=bands, warp=True)
        with open_scene(scene) as reader:
            assert reader.read(Window(0, 0, 40, 30))[1].all()


def test_rpcs_that_are_incomplete(write_raster, tmp_path):
    source = write_raster(_coded(3, "uint8"), crs=None, transform=rasterio.Affine.identity())
    path = tmp_path / "rpc.vrt"
    with rasterio.open(source) as dataset:
        rasterio.shutil.copy(dataset, path, driver="VRT")
    tags = '<Metadata domain="RPC"><MDI key="LINE_OFF">3</MDI></Metadata>'
    path.write_text(re.sub("(<VRTDataset[^>]*>)", rf"\1{tags}", path.read_text()))
    assert describe(path).grid.crs is None
    with pytest.raises(SceneError, match="has RPCs that are incomplete or no numbers, so it can't be warped"):
        describe(path, warp=True)


def test_indices_without_a_colour_table_are_grey(write_raster, tmp_path):
    _write_palette_vrt(tmp_path / "palette.vrt", write_raster(_coded(1, "uint8")), np.zeros((0, 4)))
    text = re.sub("<ColorTable>.*</ColorTable>", "", (tmp_path / "palette.vrt").read_text())
    (tmp_path / "palette.vrt").write_text(text)
    scene = describe(tmp_path / "palette.vrt")
    assert scene.layers.palette is None
    assert any("has no colour table" in notice for notice in map(str, scene.notices))


def test_eight_bits_with_a_falling_scale_and_scales_that_are_none(write_raster):
    path = write_raster(_coded(3, "uint8"))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (-1, -1, -1), (255, 255, 255)
    assert describe(path).radiometry.physical == ((0, 0, 0), (255, 255, 255))
    path = write_raster(_coded(3, "uint16"))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = (float("nan"),) * 3
    assert describe(path).radiometry.scales == (1, 1, 1)


@pytest.mark.parametrize("bands", [None, "nrg"])
def test_contrast_is_compared_in_physical_values(write_raster, bands):
    path = write_raster(_coded(4))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = (0.01, 0.01, 0.001, 0.01)
    assert describe(path, bands=bands).bands == ((1, 2, 3) if bands is None else (4, 1, 2))


def test_wavelengths_of_an_unknown_unit(write_raster):
    path = write_raster(_coded(3))
    with rasterio.open(path, "r+") as dataset:
        for band, length in enumerate((450, 550, 650), 1):
            dataset.update_tags(band, wavelength=str(length), wavelength_units="Unknown")
    assert str(describe(path).bands_reason) == "by wavelength"


@pytest.mark.parametrize("points", [((0, 0), (0, 30)), ((0, 0), (10, 10), (20, 20), (29, 29))])
def test_points_that_place_nothing(write_raster, points):
    path = _with_points(write_raster, _coded(3, "uint8"), points)
    for warp in (False, True):
        with pytest.raises(SceneError, match=r"ground control points, which lie on one line or at one place") as caught:
            describe(path, warp=warp)
        assert "\n" not in str(caught.value)


def test_rpcs_are_warped_to_the_zone_of_utm(write_raster):
    path = write_raster(_coded(3, "uint8", 60, 80), transform=rasterio.Affine.identity(), crs=None)
    line, sample, one = [0.0] * 20, [0.0] * 20, [1.0] + [0.0] * 19
    line[2], sample[1] = -1.0, 1.0  # lines run south, samples east
    rpcs = RPC(
        height_off=420, height_scale=100, lat_off=47, lat_scale=0.003, line_off=30, line_scale=30, line_num_coeff=line,
        line_den_coeff=one, long_off=9, long_scale=0.004, samp_off=40, samp_scale=40, samp_num_coeff=sample,
        samp_den_coeff=one, err_bias=None, err_rand=None,
    )  # fmt: skip
    with rasterio.open(path, "r+") as dataset:
        dataset.rpcs = rpcs
    with pytest.raises(SceneError, match="is located only by RPCs: warp=True maps it on a north-up grid"):
        describe(path)
    scene = describe(path, warp=True)
    assert scene.grid.crs.to_epsg() == 32632
    assert scene.grid.gsd == pytest.approx(9.2, rel=0.1)
    assert "is placed by RPCs at one height, 420 m" in str(scene.notices[0])
    middle = scene.grid.transform @ (scene.grid.width / 2, scene.grid.height / 2)
    (x,), (y,) = rasterio.warp.transform("EPSG:4326", "EPSG:32632", [9], [47])
    assert middle == pytest.approx((x, y), abs=10)
    with open_scene(scene) as reader:
        assert reader.read(Window(0, 0, scene.grid.width, scene.grid.height))[1].mean() > 0.9


def test_a_warp_changes_nothing_that_has_a_grid(write_raster):
    path = write_raster(_coded(3, "uint8"))
    assert describe(path, warp=True) == describe(path)


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


def test_the_options_for_the_net_hold_in_a_readers_thread(write_raster, tmp_path, monkeypatch):
    write_raster(_coded(3, "uint8"))
    seen = []

    def read(*given, load=pixels._load):
        seen.append(get_gdal_config("GDAL_HTTP_MAX_RETRY"))
        return load(*given)

    with served(tmp_path) as (url, _), open_scene(describe(f"{url}/scene.tif")) as reader:
        monkeypatch.setattr(pixels, "_load", read)
        thread = threading.Thread(target=reader.read, args=(Window(0, 0, 9, 9),))
        thread.start()
        thread.join()
    assert seen == [int(REMOTE_OPTIONS["GDAL_HTTP_MAX_RETRY"])]


def test_a_renewed_signature_is_no_other_scene(write_raster, tmp_path):
    write_raster(_coded(3, "uint8"))
    with served(tmp_path) as (url, _):
        one, other = (identity(describe(f"{url}/scene.tif?key={key}")) for key in ("abc", "xyz"))
    assert one == other


def test_how_a_path_is_written_is_no_other_scene(write_raster, tmp_path, monkeypatch):
    path = write_raster(_coded(3, "uint8"))
    monkeypatch.chdir(tmp_path)
    assert identity(describe("GTIFF_DIR:1:scene.tif")) == identity(describe(f"GTIFF_DIR:1:{path}"))
    assert identity(describe(".")) == identity(describe(tmp_path)) == identity(describe(path))


def test_a_changed_file_is_another_scene(write_raster, monkeypatch):
    path = write_raster(_coded(3, "uint8"))
    before = identity(describe(path))
    assert identity(describe(path)) == before
    assert identity(describe(path, bands=(3, 2, 1))) != before
    monkeypatch.chdir(path.parent)
    assert identity(describe(path.name)) == before
    write_raster(_coded(3, "uint8", rows=29))
    assert identity(describe(path)) != before


def _check_says(scene, said):
    with pytest.raises(SceneChangedError) as caught:
        check_unchanged(scene)
    assert str(caught.value) == f"{said} while it was being mapped: map it again"


def test_a_file_that_was_changed_after_the_scene_was_described_is_named(write_raster, tmp_path, monkeypatch):
    path = write_raster(_coded(3, "uint8"))
    scene = describe(path)
    check_unchanged(scene)
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(0, scene.stamps[0].changed))
    check_unchanged(scene)
    os.utime(path, ns=(0, scene.stamps[0].changed + 1000))
    _check_says(scene, f"'{path}' was changed")
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(0, scene.stamps[0].changed))
    _check_says(scene, f"'{path}' was changed")
    scene = describe(path)
    monkeypatch.chdir(tmp_path)
    by_name = describe("scene.tif")
    monkeypatch.chdir("/")
    check_unchanged(by_name)
    path.rename(tmp_path / "elsewhere.tif")
    _check_says(scene, f"'{path}' was moved or removed")
    path.mkdir()
    _check_says(scene, f"'{path}' was changed")


def test_all_files_behind_a_scene_are_looked_after(write_raster, tmp_path):
    parts = [write_raster(_coded(3, "uint8"), name) for name in ("a.tif", "b.tif")]
    rasterio.shutil.copy(parts[0], tmp_path / "c.vrt", driver="VRT")
    (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset></PAMDataset>")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(parts[0], "a.tif")
    for source, file in (
        (parts[0], "a.tif.aux.xml"),
        (parts, "b.tif"),
        (tmp_path / "c.vrt", "a.tif"),
        (tmp_path / "c.vrt", "c.vrt"),
        (f"GTIFF_DIR:1:{parts[1]}", "b.tif"),
        (tmp_path / "z.zip", "z.zip"),
    ):
        scene = describe(source)
        check_unchanged(scene)
        os.utime(tmp_path / file, ns=(7, 7))
        whose = "" if source == tmp_path / file else f", a file of '{scene.path}',"
        _check_says(scene, f"'{tmp_path / file}'{whose} was changed")
        os.utime(tmp_path / file)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_that_leads_to_another_file_is_a_change(write_raster, tmp_path):
    first, second = write_raster(_coded(3, "uint8"), "1.tif"), write_raster(_coded(3, "uint8", rows=29), "2.tif")
    latest = tmp_path / "latest.tif"
    latest.symlink_to(first)
    scene = describe(latest)
    assert identity(scene) | {"source": 0} == identity(describe(first)) | {"source": 0}
    check_unchanged(scene)
    latest.unlink()
    latest.symlink_to(second)
    _check_says(scene, f"'{latest}' was changed")


def test_a_part_of_the_scene_can_be_looked_over(write_raster):
    array = _coded(3, "uint8")
    with open_scene(describe(write_raster(array))) as reader:
        image, valid = reader.overview(100, Window(10, 5, 8, 12))
        assert np.allclose(image * 255, array[:, 5:17, 10:18], atol=0.01)
        assert valid.shape == (12, 8)


def test_a_scene_of_one_value_is_said_to_be(write_raster):
    (notice,) = map(
        str, describe(write_raster(np.full((3, 30, 40), 900, "uint16"), colorinterp=[RED, GREEN, BLUE])).notices
    )
    assert notice.endswith("holds one value everywhere: there is nothing to see on it")
    assert describe(write_raster(_coded(3, "uint8"), "other.tif")).notices == ()


GIANT = 2**31 - 1


@pytest.mark.parametrize("shape", [(GIANT, GIANT), (1, GIANT), (GIANT, 1), (1_500_000, 1_500_000)])
def test_a_scene_too_large_to_be_searched_for_valid_pixels_asks_for_an_area(tmp_path, shape):
    path = write_vrt(tmp_path / "giant.vrt", shape, facts="<NoDataValue>0</NoDataValue>")
    with pytest.raises(
        SceneError, match=r"too large to be searched for valid pixels.* name an area that holds some by aoi"
    ):
        describe(path)


def test_of_a_giant_scene_only_the_wanted_part_is_searched(write_raster, tmp_path):
    source = write_raster(_coded(3, "uint8"), "source.tif")
    path = write_vrt(tmp_path / "giant.vrt", (GIANT, GIANT), (source, (2**30 + 5, 2**29)))  # in a black frame
    there, beside = Window(2**29 - 9, 2**30, 60, 50), Window(7, 9, 60, 50)
    scene = describe(path, part=lambda grid: there)
    with open_scene(scene) as reader:
        _, valid = reader.read(there)
    assert valid.sum() == 30 * 40
    with pytest.raises(SceneError, match="has no valid pixel in the area to map: all is nodata, black, transparent"):
        describe(path, part=lambda grid: beside)


def test_islands_that_slip_through_a_reduced_read_are_still_found(write_raster, tmp_path):
    source = write_raster(_coded(3, "uint8", 2, 2), "source.tif")
    path = write_vrt(
        tmp_path / "sea.vrt", (5000, 30_000), (source, (4100, 29_001)), facts="<NoDataValue>0</NoDataValue>"
    )
    assert describe(path).bands == (1, 2, 3)


@pytest.mark.parametrize(
    ("names", "by_way"),
    [(["a.vrt"], ""), (["a.vrt", "b.vrt"], " by way of"), (["a.vrt", "b.tif", "c.vrt"], " by way of")],
)
def test_vrts_that_refer_to_themselves_are_refused(write_raster, tmp_path, names, by_way):
    write_raster(_coded(3, "uint8"), "plain.tif")
    for name, following in zip(names, [*names[1:], names[0]], strict=True):
        text = write_vrt(tmp_path / "x.vrt", (30, 40), (tmp_path / "plain.tif", (0, 0))).read_text()
        (tmp_path / name).write_text(text.replace("plain.tif", following))
    for scene in (tmp_path / "a.vrt", [tmp_path / "a.vrt", tmp_path / "plain.tif"]):
        with pytest.raises(SceneError, match=rf"'{re.escape(str(tmp_path / 'a.vrt'))}' refers to itself{by_way}"):
            describe(scene)


def test_vrts_may_be_nested_but_not_without_end(write_raster, tmp_path):
    name = write_raster(_coded(3, "uint8"), "plain.tif")
    for depth in range(40):
        name = write_vrt(tmp_path / f"{depth}.vrt", (30, 40), (name, (0, 0)), (name, (0, 0)))
    with pytest.raises(SceneError, match="made of VRTs that are made of VRTs, more than 32 deep"):
        describe(name)
    assert str(tmp_path / "plain.tif") in describe(tmp_path / "3.vrt").files


def test_a_tiff_of_several_pages_says_which_is_mapped(tmp_path):
    rng = np.random.default_rng(0)
    small, large, third = (
        Image.fromarray(rng.integers(1, 255, (side, side + 4, 3), dtype="uint8")) for side in (20, 160, 30)
    )
    path = tmp_path / "pages.tif"
    small.save(path, save_all=True, append_images=[large, third])
    (notice,) = [notice for notice in map(str, describe(path).notices) if "several pages" in notice]
    assert notice == (
        f"'{path}' has several pages, and the first (20 rows x 24 cols) is mapped, not page 2 (160 rows x 164 cols), "
        f"page 3 (30 rows x 34 cols): name another one like 'GTIFF_DIR:2:{path}'"
    )
    assert not any("several pages" in notice for notice in map(str, describe(f"GTIFF_DIR:2:{path}").notices))
    large.save(tmp_path / "one.tif")
    assert not any("several pages" in notice for notice in map(str, describe(tmp_path / "one.tif").notices))


def test_overviews_and_masks_are_no_pages(write_raster):
    path = write_raster(np.random.default_rng(0).integers(1, 255, (3, 400, 400)).astype("uint8"), tiled=True)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.full((400, 400), 255, np.uint8))
        dataset.build_overviews([2, 4], rasterio.enums.Resampling.average)
    assert not any("several pages" in notice for notice in map(str, describe(path).notices))
