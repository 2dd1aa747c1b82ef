from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import rasterio.vrt
import rasterio.warp
from affine import Affine
from PIL import Image, TiffImagePlugin
from PIL.TiffTags import DOUBLE, SHORT
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.scene.description import describe
from lposs_geo.scene.identity import identity
from lposs_geo.scene.reader import open_scene
from lposs_geo.scene.tiled_copy import copy_in_tiles, is_slow_in_tiles
from lposs_geo.testing.rasters import coded, write_with_points

UTM = Affine(0.6, 0, 439136.4, 0, -0.6, 5273706.6)
NOWHERE: dict[str, Any] = {"crs": None, "transform": Affine.identity()}
SQUARE = [(row, col, 439000.0 + 0.6 * col, 5273000 - 0.6 * row) for row in (0, 64) for col in (0, 64)]
NAN, INFINITE = float("nan"), float("inf")

UNKNOWN = {
    "a code that isn't there": "EPSG:999999",
    "cut off": 'PROJCS["x",GEOGCS["W',
    "an ellipsoid without size": 'GEOGCS["z",DATUM["z",SPHEROID["z",0,0]],PRIMEM["G",0],UNIT["degree",0.017]]',
    "nested too deep": "PROJCS[" * 3000,
    "a file": "/etc/hostname",
    "an URL": "http://127.0.0.1:9/crs.wkt",
}


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 255, (3, 64, 64)).astype("uint8")


def _refusal(path: Path, **options: Any) -> str:
    with pytest.raises(SceneError) as caught:
        describe(path, **options)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def _beside(path: Path, text: str) -> Path:
    Path(f"{path}.aux.xml").write_text(f"<PAMDataset>{text}</PAMDataset>", encoding="utf-8")
    return path


def _vrt(path: Path, source: Path, text: str) -> Path:
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource><SourceFilename>{source}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band in (1, 2, 3)
    )
    path.write_text(f'<VRTDataset rasterXSize="64" rasterYSize="64">{text}{bands}</VRTDataset>', encoding="utf-8")
    return path


@pytest.mark.parametrize("crs", UNKNOWN.values(), ids=UNKNOWN)
def test_a_crs_beside_the_file_that_is_not_known(write_raster, picture, crs):
    said = _refusal(_beside(write_raster(picture), f"<SRS>{escape(crs)}</SRS>"))
    assert "has metadata that can't be read" in said
    assert "correct the .aux.xml beside it" in said


@pytest.mark.parametrize("crs", UNKNOWN.values(), ids=UNKNOWN)
def test_a_crs_in_a_mosaic_that_is_not_known_is_none(write_raster, picture, tmp_path, crs):
    place = f"<SRS>{escape(crs)}</SRS><GeoTransform>439000, 0.6, 0, 5273000, 0, -0.6</GeoTransform>"
    scene = describe(_vrt(tmp_path / "a.vrt", write_raster(picture), place))
    assert scene.grid.crs is None
    assert "no coordinate reference system" in str(scene.notices[-1])


@pytest.mark.parametrize(
    "numbers", ["nan,0.6,0,5,0,-0.6", "0,nan,0,5,0,-0.6", "inf,0.6,0,5,0,-0.6", "0,0.6,0,5,0,-inf"]
)
def test_a_geotransform_that_is_not_finite(write_raster, picture, tmp_path, numbers):
    place = f"<GeoTransform>{numbers}</GeoTransform>"
    path = _beside(write_raster(picture, **NOWHERE), place)
    vrt = _vrt(tmp_path / "a.vrt", write_raster(picture, "b.tif", **NOWHERE), f"<SRS>EPSG:32632</SRS>{place}")
    for each in (path, vrt):
        assert "has a geotransform that isn't finite" in _refusal(each)
    world = write_raster(picture, "w.tif", crs=None, transform=None)
    world.with_suffix(".tfw").write_text("0.6\n0\n0\n-0.6\ninf\n5")
    assert "isn't finite" in _refusal(world)


@pytest.mark.parametrize("warp", [False, True])
@pytest.mark.parametrize(
    ("points", "said"),
    [
        (SQUARE[:1], "only by one tie point"),
        (SQUARE[:2], "has 2 ground control points, which lie on one line"),
        ([SQUARE[0]] * 4, "has 4 ground control points, which lie on one line or at one place"),
        ([(at, at, 439000.0 + at, 5273000.0 - at) for at in range(0, 60, 6)], "which lie on one line"),
        ([(row, col, 439000.0, 5273000.0) for row, col, *_ in SQUARE], "at one place"),
        ([*SQUARE[:3], (64, 64, NAN, 5273000)], "ground control point 4 of"),
        ([(0, NAN, 439000, 5273000), *SQUARE[1:]], "ground control point 1 of"),
        ([*SQUARE, (9, 9, 9, INFINITE)], "ground control point 5 of"),
    ],
)
def test_points_that_locate_nothing_are_refused_before_a_warp_is_advised(write_raster, picture, points, said, warp):
    path = write_raster(picture, **NOWHERE)
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = [GroundControlPoint(*point) for point in points], "EPSG:32632"
    assert said in _refusal(path, warp=warp)


@pytest.mark.parametrize("warp", [False, True])
@pytest.mark.parametrize("crs", ["", "EPSG:999999"])
def test_points_in_a_crs_that_is_not_known(write_raster, picture, tmp_path, crs, warp):
    points = "".join(
        f'<GCP Id="{number}" Pixel="{col}" Line="{row}" X="{x}" Y="{y}"/>'
        for number, (row, col, x, y) in enumerate(SQUARE)
    )
    place = f'<GCPList Projection="{crs}">{points}</GCPList>'
    vrt = _vrt(tmp_path / "a.vrt", write_raster(picture, **NOWHERE), place)
    assert "without a coordinate reference system that is known" in _refusal(vrt, warp=warp)
    assert "coordinate reference system" in _refusal(
        _beside(write_raster(picture, "b.tif", **NOWHERE), place), warp=warp
    )


def test_points_far_out_of_the_world_are_no_grid(write_raster, picture):
    path = write_raster(picture, **NOWHERE)
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = [GroundControlPoint(row, col, x, y) for row, col, x, y in SQUARE], "EPSG:4326"
    assert "can't lie where it says" in _refusal(path, warp=True)


@pytest.mark.parametrize("warp", [False, True])
def test_a_tie_point_without_the_size_of_pixels(tmp_path, picture, warp):
    """As some programs write a GeoTIFF: where its corner lies, and nothing more."""
    keys = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32632)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, kind, values in ((33922, DOUBLE, (0.0, 0.0, 0.0, 439196.4, 5273646.6, 0.0)), (34735, SHORT, keys)):
        tags.tagtype[tag] = kind
        tags[tag] = values
    path = tmp_path / "a.tif"
    Image.fromarray(np.moveaxis(picture, 0, -1)).save(path, tiffinfo=tags)
    said = _refusal(path, warp=warp)
    assert "only by one tie point" in said
    assert "give it a geotransform, e.g. with rio edit-info --transform" in said


RED, GREEN, BLUE, ALPHA = ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha


def test_a_scene_without_a_place_says_so(write_raster):
    nowhere = rasterio.Affine.identity()
    scene = describe(write_raster(coded(3, "uint8"), crs=None, transform=nowhere))
    said = "has no coordinate reference system: neither will the map; areas are in its own units"
    assert tuple(map(str, scene.notices)) == (f"'{scene.path}' {said}",)
    scene = describe(write_raster(coded(3, "uint8"), transform=nowhere))
    assert scene.grid.crs is None
    assert "doesn't say where in it the pixels lie" in str(scene.notices[0])


def test_ground_control_points_need_a_warp(write_raster):
    path = write_with_points(write_raster, coded(3, "uint8"))
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
    path = write_with_points(write_raster, array, **options)
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
    path = write_with_points(write_raster, index)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (9, 200, 9, 255), 1: (230, 20, 20, 255), 7: (0, 0, 0, 255)})
    scene = describe(path, warp=True)
    with open_scene(scene) as reader:
        _, valid = reader.read(Window(0, 0, 40, 30))
    assert np.array_equal(valid, (index[0] != 7)[::-1])


def test_infrared_tagged_alpha_masks_nothing_when_warped(write_raster):
    array = np.concatenate([coded(3, "uint8"), np.random.default_rng(0).integers(5, 200, (1, 30, 40)).astype("uint8")])
    array[3, :10] = 0
    path = write_with_points(write_raster, array, colorinterp=[RED, GREEN, BLUE, ALPHA])
    for bands in (None, (4, 1, 2)):
        scene = describe(path, bands=bands, warp=True)
        with open_scene(scene) as reader:
            assert reader.read(Window(0, 0, 40, 30))[1].all()


def test_rpcs_that_are_incomplete(write_raster, tmp_path):
    source = write_raster(coded(3, "uint8"), crs=None, transform=rasterio.Affine.identity())
    path = tmp_path / "rpc.vrt"
    with rasterio.open(source) as dataset:
        rasterio.shutil.copy(dataset, path, driver="VRT")
    tags = '<Metadata domain="RPC"><MDI key="LINE_OFF">3</MDI></Metadata>'
    path.write_text(re.sub("(<VRTDataset[^>]*>)", rf"\1{tags}", path.read_text()))
    assert describe(path).grid.crs is None
    with pytest.raises(SceneError, match="has RPCs that are incomplete or no numbers, so it can't be warped"):
        describe(path, warp=True)


@pytest.mark.parametrize("points", [((0, 0), (0, 30)), ((0, 0), (10, 10), (20, 20), (29, 29))])
def test_points_that_place_nothing(write_raster, points):
    path = write_with_points(write_raster, coded(3, "uint8"), points)
    for warp in (False, True):
        with pytest.raises(SceneError, match=r"ground control points, which lie on one line or at one place") as caught:
            describe(path, warp=warp)
        assert "\n" not in str(caught.value)


def test_rpcs_are_warped_to_the_zone_of_utm(write_raster):
    path = write_raster(coded(3, "uint8", 60, 80), transform=rasterio.Affine.identity(), crs=None)
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
    path = write_raster(coded(3, "uint8"))
    assert describe(path, warp=True) == describe(path)
