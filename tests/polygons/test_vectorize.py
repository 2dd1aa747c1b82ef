from __future__ import annotations

import os
import subprocess
import sys

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine

from lposs_geo.errors import OutputError, ParameterError, SceneError
from lposs_geo.polygons.vectorize import vectorize
from lposs_geo.request import parse_tolerance
from lposs_geo.testing.rasters import write_vrt


@pytest.fixture
def labels(write_raster):
    """Two classes on a slope, a speck, and a corner without data."""
    array = (np.tri(60, 80, dtype="uint8") + 1)[None]
    array[0, 10, 60] = 3
    array[0, :5, :5] = 255
    return write_raster(array, "labels.tif", nodata=255)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(1.5, (1.5, False)), ("2", (2, False)), ("3px", (3, False)), ("2.5m", (2.5, True)), (" 1e1 m ", (10, True))],
)
def test_tolerances(text, expected):
    assert parse_tolerance(text) == expected


@pytest.mark.parametrize("text", ["", "px", "-1", "nan", "inf", "2 miles", "1-2", "1px2"])
def test_what_is_no_tolerance(text):
    with pytest.raises(ParameterError, match=r"simplify must be a tolerance of 0 or more, like 1px or 2\.5m"):
        parse_tolerance(text)


def test_metres_are_as_many_pixels_as_they_are_on_the_ground(labels, tmp_path):
    vectorize(labels, tmp_path / "a.fgb", simplify="1.8m")
    vectorize(labels, tmp_path / "b.fgb", simplify="3px")  # of 0.6 m
    assert geopandas.read_file(tmp_path / "a.fgb").equals(geopandas.read_file(tmp_path / "b.fgb"))


def test_metres_need_a_crs(write_raster, tmp_path):
    path = write_raster(np.ones((1, 5, 6), "uint8"), "plain.tif", crs=None)
    with pytest.raises(ParameterError, match="no coordinate reference system: give simplify in pixels") as caught:
        vectorize(path, tmp_path / "a.gpkg", simplify="2m")
    assert caught.value.hint == "give <simplify> in pixels, like 1px"


def test_confidence_is_one_band_of_bytes(labels, write_raster, tmp_path):
    with rasterio.open(labels) as dataset:
        shares = np.ones((1, *dataset.shape), "float32")
    with pytest.raises(SceneError, match="is no confidence, which is one band of 8-bit percent") as caught:
        vectorize(labels, tmp_path / "a.gpkg", confidence=write_raster(shares, "shares.tif"))
    assert caught.value.hint == "give the raster that <confidence> wrote with the map"


def test_small_patches_are_merged(labels, tmp_path):
    assert vectorize(labels, tmp_path / "a.gpkg") == 3
    assert vectorize(labels, tmp_path / "b.gpkg", min_area=1) == 2
    polygons = geopandas.read_file(tmp_path / "b.gpkg", layer="landcover")
    assert polygons.area_m2.sum() == pytest.approx((60 * 80 - 25) * 0.36, rel=1e-6)


def test_progress_is_told_to_the_end(labels, tmp_path):
    steps = []
    vectorize(labels, tmp_path / "a.gpkg", progress=lambda *step: steps.append(step))
    assert {stage for stage, _, _ in steps} == {"vectorize"}
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)
    assert steps[-1][1] == steps[-1][2]


def test_the_mean_confidence_of_each_polygon(labels, write_raster, tmp_path):
    with rasterio.open(labels) as dataset:
        array = dataset.read()
    percent = np.choose(array.clip(0, 4), [0, 80, 60, 30, 255]).astype("uint8")
    percent[:, 50:, :10] = 255
    vectorize(labels, tmp_path / "a.gpkg", confidence=write_raster(percent, "sure.tif", nodata=255))
    confidence = geopandas.read_file(tmp_path / "a.gpkg", layer="landcover").set_index("class_id").confidence
    assert confidence.to_dict() == {1: 80, 2: 60, 3: 30}
    with pytest.raises(SceneError, match="isn't on the pixels of"):
        vectorize(labels, tmp_path / "b.gpkg", confidence=write_raster(percent[:, 1:], "less.tif"))


def _masked(write_raster, tmp_path, kind):
    """Ones, and twos on the right; the upper half masked."""
    array = np.ones((1, 60, 60), "uint8")
    array[0, :, 30:] = 2
    mask = np.full((60, 60), 255, "uint8")
    mask[:30] = 0
    if kind == "alpha":
        alpha = np.where(mask, 7, 0).astype("uint8")[None]  # a little is enough
        return write_raster(np.concatenate([array, alpha]), "a.tif", photometric="minisblack", alpha="yes")
    if kind == "nodata":
        array[0, :30] = 9
        return write_raster(array, "a.tif", nodata=9)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=kind == "internal"):
        path = write_raster(array, "a.tif")
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(mask)
    assert (tmp_path / "a.tif.msk").exists() == (kind == "a file beside it")
    return path


@pytest.mark.parametrize("kind", ["internal", "a file beside it", "alpha", "nodata"])
def test_what_is_masked_is_nodata(write_raster, tmp_path, kind):
    path = _masked(write_raster, tmp_path, kind)
    assert vectorize(path, tmp_path / "a.gpkg", confidence=path) == 2
    polygons = geopandas.read_file(tmp_path / "a.gpkg", layer="landcover")
    assert polygons.area_m2.sum() == pytest.approx(30 * 60 * 0.36, rel=1e-6)
    assert set(polygons.class_id) == set(polygons.confidence) == {1, 2}


def test_another_programs_map_keeps_its_values_and_names(write_raster, tmp_path):
    array = np.zeros((1, 40, 40), "uint8")
    array[0, :, 20:] = 1
    array[0, :, 30:] = 12
    path = write_raster(array, "labels.tif")
    sidecar = tmp_path / "labels.tif.aux.xml"
    names = "<CategoryNames><Category>lake</Category><Category>unknown</Category></CategoryNames>"
    sidecar.write_text(f'<PAMDataset><PAMRasterBand band="1">{names}</PAMRasterBand></PAMDataset>')
    vectorize(path, tmp_path / "a.gpkg")
    polygons = geopandas.read_file(tmp_path / "a.gpkg", layer="landcover")
    assert dict(zip(polygons.class_id, polygons.class_name, strict=True)) == {0: "lake", 1: "unknown", 12: "class 12"}
    style = geopandas.read_file(tmp_path / "a.gpkg", layer="layer_styles").styleQML[0]
    assert style.count('value="0"') == 1 and 'label="lake"' in style
    sidecar.unlink()
    vectorize(path, tmp_path / "b.gpkg")
    assert set(geopandas.read_file(tmp_path / "b.gpkg", layer="landcover").class_name) == {
        "unknown", "class 1", "class 12"
    }  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files there")
def test_labels_are_files(labels, tmp_path):
    os.mkfifo(tmp_path / "pipe.tif")
    for path in (tmp_path / "pipe.tif", "/dev/zero"):
        with pytest.raises(SceneError, match=r"is a (device|pipe) and no file"):
            vectorize(path, tmp_path / "a.gpkg")
        with pytest.raises(SceneError, match=r"is a (device|pipe) and no file"):
            vectorize(labels, tmp_path / "a.gpkg", confidence=path)


def test_a_place_that_is_none_is_one_line(write_raster, tmp_path):
    path = write_raster(np.ones((1, 5, 6), "uint8"), "labels.tif", transform=Affine(1, 0, np.nan, 0, -1, 0))
    with pytest.raises(SceneError, match="geotransform that isn't finite"):
        vectorize(path, tmp_path / "a.gpkg")


def test_damaged_labels_are_one_line_and_leave_nothing(write_raster, tmp_path):
    array = np.random.default_rng(0).integers(1, 4, (1, 400, 400)).astype("uint8")
    path = write_raster(array, "labels.tif", compress="deflate")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SceneError, match=r"labels\.tif"):
        vectorize(path, tmp_path / "a.gpkg")
    assert [file.name for file in tmp_path.iterdir()] == ["labels.tif"]


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on file sizes there")
def test_a_full_disk_is_one_line_and_leaves_nothing(write_raster, tmp_path):
    array = np.random.default_rng(0).integers(1, 4, (1, 300, 300)).astype("uint8")
    path = write_raster(array, "labels.tif", tiled=True, blockxsize=64, blockysize=64)
    code = (
        "import resource, signal, sys\n"
        "from lposs_geo.polygons.vectorize import vectorize\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))\n"
        "try: vectorize('labels.tif', 'a.gpkg')\n"
        "except Exception as error: sys.exit(f'{type(error).__name__}: {error}')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr.strip() == "OutputError: can't write what 'a.gpkg' is made from: File too large"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_outputs_are_checked_before_any_work(labels, tmp_path):
    with pytest.raises(OutputError, match="is the input itself"):
        vectorize(labels, labels.with_suffix(".gpkg"), confidence=_touched(labels.with_suffix(".gpkg")), overwrite=True)
    with pytest.raises(OutputError, match="a Shapefile cuts field names"):
        vectorize(labels, tmp_path / "a.shp")


def _touched(path):
    path.touch()
    return path


def test_torch_is_not_needed(labels, tmp_path):
    code = "import sys, lposs_geo; lposs_geo.vectorize('labels.tif', 'a.gpkg'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path).returncode == 0


def test_labels_that_cannot_lie_where_they_say_are_no_polygons(write_raster, tmp_path, caplog):
    labels = np.ones((1, 20, 20), "uint8")
    with pytest.raises(SceneError, match="can't lie where it says: longitudes"):
        vectorize(write_raster(labels, crs="EPSG:4326"), tmp_path / "a.gpkg")
    assert not list(tmp_path.glob("a.gpkg*"))
    fine = write_raster(labels, "fine.tif", transform=rasterio.Affine(5e-6, 0, 8.2, 0, -5e-6, 47.6))
    assert vectorize(fine, tmp_path / "b.gpkg") == 1
    assert "is likely wrong, and so are all areas" in caplog.text


def test_labels_too_large_for_polygons_are_refused_at_once(write_raster, tmp_path):
    labels = write_raster(np.ones((1, 20, 20), "uint8"), "labels.tif")
    path = write_vrt(tmp_path / "giant.vrt", (2**31 - 1, 2**31 - 1), (labels, (0, 0)))
    with pytest.raises(SceneError, match=r"giant.vrt' is too large for one map: .*: cut it into parts first"):
        vectorize(path, tmp_path / "map.gpkg")
