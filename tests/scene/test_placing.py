from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image, TiffImagePlugin
from PIL.TiffTags import DOUBLE, SHORT
from rasterio.control import GroundControlPoint

from lposs_geo.errors import SceneError
from lposs_geo.scene.description import describe

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
