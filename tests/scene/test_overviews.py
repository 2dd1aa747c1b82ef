from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.windows import Window

from lposs_geo.scene.description import describe
from lposs_geo.scene.layers import Layers
from lposs_geo.scene.opening import open_raster
from lposs_geo.scene.overviews import show_pixels
from lposs_geo.scene.pixels import Handle
from lposs_geo.scene.reader import open_scene
from lposs_geo.scene.resolving import resolve
from lposs_geo.testing.rasters import write_geotiff

TILED = {"tiled": True, "blockxsize": 128, "blockysize": 128}


def _picture(lakeside: Path, dtype: str = "uint8") -> np.ndarray:
    """The bundled scene twice beside itself, (3, 900, 1800)."""
    with rasterio.open(lakeside) as dataset:
        array = np.tile(dataset.read([3, 2, 1]), (1, 1, 2))
    return array if dtype == "uint16" else (array / 8).clip(1, 255).astype(dtype)


def _with_overviews_of(path: Path, array: np.ndarray, other: np.ndarray, levels=(2, 4, 8), **options) -> Path:
    """A file with the overviews of another one."""
    write_geotiff(path, other, **TILED, **options)
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as dataset:
        dataset.build_overviews(list(levels), Resampling.average)
    overviews = Path(f"{path}.ovr")
    kept = overviews.read_bytes()
    overviews.unlink()
    write_geotiff(path, array, **TILED, **options)
    overviews.write_bytes(kept)
    return path


def _are_honest(path: Path) -> bool:
    source = resolve(path)
    with open_raster(source) as dataset:
        return show_pixels(Handle(source, dataset), Layers((1, 2, 3)))


HONEST = {
    "plain": "nearest average bilinear cubic cubic_spline lanczos mode gauss rms",
    "nodata": "nearest average cubic_spline lanczos mode",
    "jpeg": "nearest average cubic lanczos",
    "noise": "nearest lanczos mode rms",
    "specks": "nearest average lanczos",
}


@pytest.mark.parametrize("kind", HONEST)
def test_overviews_are_trusted_however_they_were_made(lakeside, tmp_path, kind):
    array, options = _picture(lakeside), {}
    if kind == "nodata":
        row, col = np.mgrid[:900, :1800]
        array[:, (row + col < 700) | (np.hypot(row - 450, col - 1200) < 150)] = 0
        options = {"nodata": 0}
    elif kind == "jpeg":
        options = {"compress": "jpeg", "photometric": "ycbcr", "interleave": "pixel"}
    elif kind == "noise":
        array = np.random.default_rng(0).integers(0, 255, array.shape).astype("uint8")
    elif kind == "specks":
        array[:] = 60
        array[:, ::37, ::41] = 250
    for resampling in HONEST[kind].split():
        path = write_geotiff(tmp_path / f"{resampling}.tif", array, **TILED, **options)
        with rasterio.open(path, "r+") as dataset:
            dataset.build_overviews([2, 4, 8, 16], Resampling[resampling])
        assert _are_honest(path), resampling


@pytest.mark.parametrize("kind", ["empty", "one level", "older", "darker", "turned", "a part", "white", "nodata"])
def test_overviews_that_lie_are_found(lakeside, tmp_path, kind):
    array, options, levels = _picture(lakeside), {}, (2, 4, 8)
    other = np.zeros_like(array)
    if kind == "one level":
        levels = (8,)
    elif kind == "older":
        array = _picture(lakeside, "uint16")
        other = array // 8
    elif kind == "darker":
        other = (array / 1.3).astype("uint8")
    elif kind == "turned":
        other = array[:, ::-1].copy()
    elif kind == "a part":
        other = array.copy()
        other[:, 300:700, 400:900] = 0
    elif kind == "white":
        other[:] = 255
    elif kind == "nodata":
        options = {"nodata": 0}
    path = _with_overviews_of(tmp_path / "scene.tif", array, other, levels, **options)
    assert not _are_honest(path)
    with rasterio.open(path) as dataset:
        rasterio.shutil.copy(dataset, tmp_path / "scene.vrt", driver="VRT")
    assert not _are_honest(tmp_path / "scene.vrt")


@pytest.mark.parametrize("kind", ["empty", "older"])
def test_a_scene_with_overviews_that_lie_is_seen_as_without_them(lakeside, tmp_path, kind):
    array = _picture(lakeside, "uint16")
    plain = describe(write_geotiff(tmp_path / "plain.tif", array, **TILED))
    other = array // 8 if kind == "older" else np.zeros_like(array)
    path = _with_overviews_of(tmp_path / "scene.tif", array, other)
    scene = describe(path)
    said = f"the overviews of '{path}' don't show its pixels, and are left out: rebuild them with gdaladdo"
    assert tuple(map(str, scene.notices)) == (said,)
    assert scene.radiometry == plain.radiometry
    with open_scene(scene) as reader, open_scene(plain) as expected:
        for window in (None, Window(33, 41, 1000, 777)):
            for one, other in zip(reader.overview(300, window), expected.overview(300, window), strict=True):
                assert np.array_equal(one, other)


def test_a_mask_of_overviews_that_lie(lakeside, tmp_path):
    array = _picture(lakeside)
    array = np.concatenate([array, np.full_like(array[:1], 255)])
    array[3, :, :600] = 0
    path = _with_overviews_of(tmp_path / "scene.tif", array, np.zeros_like(array), photometric="rgb", alpha="yes")
    scene = describe(path)
    assert len(scene.notices) == 1
    with open_scene(scene) as reader:
        assert np.array_equal(reader.overview(180)[1], array[3, 5::10, 5::10] > 0)
