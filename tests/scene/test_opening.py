from __future__ import annotations

import gzip
import os
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.polygons import vectorize as vectorizing
from lposs_geo.scene.description import describe
from lposs_geo.scene.folders import scenes_in
from lposs_geo.scene.identity import identity
from lposs_geo.scene.names import stem
from lposs_geo.scene.opening import Raster, open_raster, remote_options
from lposs_geo.scene.reader import open_scene
from lposs_geo.scene.references import is_remote
from lposs_geo.scene.resolving import resolve
from lposs_geo.scene.tiled_copy import copy_in_tiles, is_slow_in_tiles
from lposs_geo.testing.rasters import UTM, write_geotiff
from lposs_geo.testing.server import served

RED, GREEN, BLUE, ALPHA = ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha


@pytest.mark.parametrize(
    ("named", "opened"),
    [
        ("https://example.org/a.tif", "/vsicurl/https://example.org/a.tif"),
        ("http://example.org/a.tif?key=1&b=2", "/vsicurl/http://example.org/a.tif?key=1&b=2"),
        (Path("https://example.org/a.tif"), "/vsicurl/https://example.org/a.tif"),  # a Path drops a slash
        ("https://me:secret@example.org/a.tif", "/vsicurl/https://me:secret@example.org/a.tif"),
        ("ftp://example.org/a.tif", "/vsicurl/ftp://example.org/a.tif"),
        ("s3://bucket/folder/a.tif", "/vsis3/bucket/folder/a.tif"),
        ("gs://bucket/a.tif", "/vsigs/bucket/a.tif"),
        ("az://container/a.tif", "/vsiaz/container/a.tif"),
        ("/vsis3/bucket/a.tif", "/vsis3/bucket/a.tif"),
    ],
)
def test_what_is_elsewhere_is_named_as_gdal_does(named, opened):
    source = resolve(named)
    assert source.opened == opened
    assert is_remote(source.opened)
    assert Path(source.path).name == "a.tif"
    assert not {"key", "secret"} & set(re.split(r"\W", source.path))  # messages don't tell them


@pytest.mark.parametrize("named", ["a.tif", "C:/a.tif", "NETCDF:a.nc:red", "/vsizip/a.zip/b.tif", "file:///a/b.tif"])
def test_other_names_are_left_as_they_are(named):
    source = resolve(named)
    assert (source.path, source.opened) == (named, named.removeprefix("file://"))
    assert not is_remote(source.opened)


def _picture(rows: int = 40, cols: int = 50, bands: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, (bands, rows, cols)).astype("uint8")


def _read(path, **options) -> tuple[np.ndarray, np.ndarray]:
    with open_scene(describe(path, **options)) as reader:
        grid = reader.scene.grid
        image, valid = reader.read(Window(0, 0, grid.width, grid.height))
    return np.rint(image * 255).astype("uint8"), valid


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tgz"])
def test_an_archive_with_one_raster_is_that_raster(write_raster, tmp_path, suffix):
    array = _picture()
    path, archive = write_raster(array), tmp_path / f"archive.{suffix}"
    (tmp_path / "readme.txt").write_text("not a raster")
    names = {path: "data/scene.tif", tmp_path / "readme.txt": "readme.txt"}
    if suffix == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for file, name in names.items():
                packed.write(file, name)
    else:
        with tarfile.open(archive, "w" if suffix == "tar" else "w:gz") as packed:
            for file, name in names.items():
                packed.add(file, name)
    assert np.array_equal(_read(archive)[0], array)
    assert describe(archive).name == archive.name
    assert str(archive) in describe(archive).files


TAR_FORMATS = {"gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


@pytest.mark.parametrize("suffix", ["zip", "tar", "tgz"])
@pytest.mark.parametrize(
    "name",
    ["./folder/scene.tif", "./scene.tif", "a/b/c/scene.tif", "Bäume/über.tif", "x" * 120 + "/scene.tif", "a\\b.tif"],
)
@pytest.mark.parametrize("kind", ["gnu", "pax"])
def test_names_in_archives(write_raster, tmp_path, suffix, name, kind):
    array = _picture()
    path, archive = write_raster(array), tmp_path / f"archive.{suffix}"
    if suffix == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            packed.write(path, name)
            packed.write(path, f"__MACOSX/{name}")
    else:
        with tarfile.open(archive, "w:gz" if suffix == "tgz" else "w", format=TAR_FORMATS[kind]) as packed:
            packed.add(path, name)
            packed.add(path, "./._scene.tif")
    scene = describe(archive)
    assert np.array_equal(_read(archive)[0], array)
    assert str(archive) in scene.files


def test_a_tar_of_names_that_are_no_utf_8(write_raster, tmp_path):
    array = _picture()
    path, archive = write_raster(array), tmp_path / "archive.tar.gz"
    with tarfile.open(archive, "w:gz", format=tarfile.GNU_FORMAT, encoding="latin-1") as packed:
        packed.add(path, "./Bäume/über.tif")
        packed.add(path, "readme.txt")
    assert np.array_equal(_read(archive)[0], array)
    with tarfile.open(archive, "w:gz", format=tarfile.GNU_FORMAT, encoding="latin-1") as packed:
        packed.add(path, "ä.tif")
        packed.add(path, "ö.tif")
    with pytest.raises(SceneError, match=r"holds 2 rasters: name one of them instead: /vsisubfile/\d+_\d+,/vsigzip/"):
        describe(archive)


@pytest.mark.parametrize("name", ["scene.tif.gz", "SCENE.TIF.GZ", "scene.gz"])
def test_a_gzipped_raster(write_raster, tmp_path, name):
    array = _picture(300, 400)
    packed = tmp_path / name
    packed.write_bytes(gzip.compress(write_raster(array, "plain.tif").read_bytes()))
    scene = describe(packed)
    assert (scene.name, stem(packed).casefold()) == (name, "scene")
    assert str(packed) in scene.files
    assert np.array_equal(_read(packed)[0], array)
    assert {path.name for path in tmp_path.iterdir()} == {name, "plain.tif"}
    packed.write_bytes(packed.read_bytes()[:200_000])
    with pytest.raises(SceneError, match=f"'{packed}' (is damaged|can't be opened)"):
        _read(packed)


def test_archives_with_several_rasters_or_none_are_refused(write_raster, tmp_path):
    for name, inside in (("two.zip", ["b.tif", "a.tif"]), ("none.zip", ["notes.txt"])):
        with zipfile.ZipFile(tmp_path / name, "w") as packed:
            for file in inside:
                packed.write(write_raster(_picture()), file)
    inside = f"/vsizip/{tmp_path}/two.zip"
    said = f"archive '{tmp_path}/two.zip' holds 2 rasters: name one of them instead: {inside}/a.tif, {inside}/b.tif"
    with pytest.raises(SceneError, match=f"^{re.escape(said)}$"):
        describe(tmp_path / "two.zip")
    assert describe(f"{inside}/a.tif").grid.width == 50
    with pytest.raises(SceneError, match=re.escape(f"archive '{tmp_path}/none.zip' holds no raster")):
        describe(tmp_path / "none.zip")


def test_a_container_with_several_rasters_names_them(write_raster, tmp_path):
    path = tmp_path / "two.gpkg"
    for table in ("FIRST", "SECOND"):
        rasterio.shutil.copy(write_raster(_picture()), path, driver="GPKG", APPEND_SUBDATASET="YES", RASTER_TABLE=table)
    said = (
        f"'{path}' holds no raster of its own: name one of its subdatasets instead: GPKG:{path}:FIRST, "
        f"GPKG:{path}:SECOND"
    )
    with pytest.raises(SceneError, match=f"^{re.escape(said)}$"):
        describe(path)
    assert describe(f"GPKG:{path}:SECOND").grid.width == 50


def test_the_scenes_in_a_folder_are_its_rasters(write_raster, tmp_path):
    for name in ("b.tif", "a.TIF", "map.tif"):
        write_raster(_picture(), name)
    with rasterio.open(tmp_path / "map.tif", "r+") as made:
        made.update_tags(LPOSS_GEO_VERSION="1")
    for name in (
        "a.TIF.aux.xml",
        "b.tif.ovr",
        "notes.txt",
        "style.qml",
        "map.json",
        ".hidden.tif",
        "map.png",
        "p.gpkg",
    ):
        (tmp_path / name).write_text("something else")
    write_raster(_picture(), "located.png", driver="PNG")
    (tmp_path / "located.pgw").write_text("1\n0\n0\n-1\n0\n0\n")
    (tmp_path / "inner.tif").mkdir()
    (tmp_path / "damaged.tif").write_bytes(b"II*\0")
    assert [file.name for file in scenes_in(tmp_path)] == ["a.TIF", "b.tif", "damaged.tif", "located.png"]


def test_folders_that_are_no_scene(tmp_path):
    said = f"folder '{tmp_path}' holds no raster: a picture counts only with its world file"
    with pytest.raises(SceneError, match=f"^{re.escape(said)}$"):
        describe(tmp_path)
    with pytest.raises(SceneError, match=r"folder .*none' can't be listed: No such file"):
        scenes_in(tmp_path / "none")
    with pytest.raises(SceneError, match="no scene is named"):
        describe([])
    with pytest.raises(SceneError, match=r"^no such file: 'none.tif'$"):
        describe(["none.tif", tmp_path])


def _write_part(folder: Path, name: str, array: np.ndarray, row: float, col: float, **options) -> Path:
    """A part of a mosaic that begins at a row and a col of it."""

    folder.mkdir(exist_ok=True)
    return write_geotiff(
        folder / name, array, transform=options.pop("transform", UTM @ Affine.translation(col, row)), **options
    )


PARTS = {"a.tif": (0, 0, 40, 50), "b.tif": (0, 50, 40, 30), "c.tif": (40, 20, 25, 60)}
"""Row, col, rows, cols: three that leave a gap below the first."""


@pytest.mark.parametrize("kind", ["plain", "nodata", "mask", "alpha", "palette", "float"])
def test_a_folder_is_one_mosaic_that_reads_as_the_whole_would(tmp_path, kind):
    whole = _picture(65, 80, 1 if kind == "palette" else 3)
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
        path = _write_part(tmp_path / "parts", name, whole[:, *area], row, col, **options)
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
    first, second = _write_part(tmp_path, "1.tif", low, 0, 0), _write_part(tmp_path, "2.tif", high, 0, 20)
    image, valid = _read([first, second])
    assert valid.all(axis=0).tolist() == [True] * 30 + [False] * 20
    assert (image[:, :, :20] == 50).all()
    assert (image[:, :10, 20:30] == 50).all()
    assert (image[:, 10:, 20:] == 90).all()
    assert (_read([second, first])[0][:, :, :30] == 50).all()
    assert describe([first, second]).name == "1.tif and 1 more"
    assert identity(describe([first, second])) != identity(describe([second, first]))
    assert describe([first]).path == str(first)
    kept = _read([first, second], collar=False)
    assert kept[1].all()


def test_a_changed_source_is_another_mosaic(tmp_path):
    parts = [_write_part(tmp_path, f"{i}.tif", _picture(seed=i), 0, 50 * i) for i in range(2)]
    before = identity(describe(tmp_path))
    assert identity(describe(tmp_path)) == before
    os.utime(parts[1], (1, 1))
    assert identity(describe(tmp_path)) != before


def test_mosaics_in_degrees_keep_their_axes(tmp_path):
    options = {"crs": "EPSG:4326"}
    for name, west in (("a.tif", 9.0), ("b.tif", 9.05)):
        place = Affine(0.001, 0, west, 0, -0.001, 47)
        _write_part(tmp_path, name, _picture(), 0, 0, transform=place, **options)
    grid = describe(tmp_path).grid
    assert (grid.height, grid.width) == (40, 100)
    assert grid.transform.almost_equals(Affine(0.001, 0, 9, 0, -0.001, 47))
    assert grid.pixel_size == pytest.approx((111.17, 76.05), rel=1e-3)


def test_parts_between_pixels_are_snapped_and_said_so(tmp_path):
    _write_part(tmp_path, "a.tif", _picture(), 0, 0)
    _write_part(tmp_path, "b.tif", _picture(), 0.4, 50)
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
    array = _picture(bands=options.pop("bands", 3)).astype(options.pop("dtype", "uint8"))
    first = _write_part(tmp_path, "a.tif", _picture(), 0, 0, photometric="RGB")
    other = _write_part(tmp_path, "b.tif", array, 0, 50, **options)
    expected = f"'{other}' doesn't fit '{first}' in one mosaic: it has {said}"
    with pytest.raises(SceneError, match=f"^{re.escape(expected)}$"):
        describe(tmp_path)


def test_the_bands_of_one_scene_are_no_mosaic(tmp_path):
    for name in ("B03.tif", "B02.tif"):
        _write_part(tmp_path, name, _picture(bands=1), 0, 0)
    said = (
        f"'{tmp_path}/B02.tif' and '{tmp_path}/B03.tif' have one band each of the same ground: if '{tmp_path}' holds "
        "the bands of one scene, stack them into one file first, e.g. with rio stack"
    )
    with pytest.raises(SceneError, match=f"^{re.escape(said)}$"):
        describe(tmp_path)


def test_a_scene_without_a_place_is_in_no_mosaic(tmp_path):
    _write_part(tmp_path, "a.tif", _picture(), 0, 0)
    lost = _write_part(tmp_path, "b.tif", _picture(), 0, 0, transform=Affine.identity(), crs=None)
    with pytest.raises(SceneError, match=re.escape(f"'{lost}' has no georeference, so where it lies in '{tmp_path}'")):
        describe(tmp_path)


def test_a_mosaic_of_strips_is_slow_in_tiles(tmp_path):
    for row in range(2):
        _write_part(tmp_path, f"{row}.tif", _picture(20, 2100), 20 * row, 0, blockysize=1)
    scene = describe(tmp_path)
    assert is_slow_in_tiles(scene, cache=200_000)
    assert not is_slow_in_tiles(scene, cache=10**6)


def test_of_a_large_scene_elsewhere_only_what_is_needed_is_fetched(write_raster, tmp_path):
    small = np.random.default_rng(0).integers(1, 255, (3, 600, 600)).astype("uint8")
    path = write_raster(small.repeat(10, 1).repeat(10, 2), "plain.tif")
    rasterio.shutil.copy(path, tmp_path / "cog.tif", driver="COG", compress="jpeg", blocksize=256)
    size = (tmp_path / "cog.tif").stat().st_size
    assert size > 5e6
    with served(tmp_path) as (url, sent):
        scene = describe(f"{url}/cog.tif?key=secret")
        assert scene.name == "cog.tif"
        assert "secret" not in str(identity(scene))
        with open_scene(scene) as reader:
            image, valid = reader.read(Window(3000, 2000, 300, 300))
        assert sum(sent) < 0.15 * size
    assert valid.all()
    with rasterio.open(tmp_path / "cog.tif") as local:
        assert np.array_equal(np.rint(image * 255), local.read(window=Window(3000, 2000, 300, 300)))


def test_a_mosaic_may_lie_elsewhere(tmp_path):
    whole = _picture(40, 100)
    for name, col in (("a.tif", 0), ("b.tif", 50)):
        _write_part(tmp_path, name, whole[:, :, col : col + 50], 0, col)
    with served(tmp_path) as (url, _):
        image, valid = _read([f"{url}/a.tif", f"{url}/b.tif"])
    assert valid.all()
    assert np.array_equal(image, whole)


def test_what_is_not_there_is_said_in_one_line(tmp_path):
    with served(tmp_path) as (url, _), pytest.raises(SceneError) as caught:
        describe(f"{url}/none.tif")
    assert str(caught.value) == f"'{url}/none.tif' can't be opened as a raster: HTTP response code: 404"


@pytest.mark.parametrize("named", ["x" * 5000, "s3://bucket/" + "x" * 5000, "a\0b"])
def test_names_that_no_file_can_have(named, monkeypatch):
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    monkeypatch.setenv("AWS_S3_ENDPOINT", "127.0.0.1:9")
    monkeypatch.setenv("AWS_HTTPS", "NO")
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    with pytest.raises(SceneError, match=r"no such file|can't be opened"):
        describe(named)


def test_a_server_without_ranges(write_raster, tmp_path):
    write_raster(_picture(1000, 1000))
    with served(tmp_path, knows_ranges=False) as (url, _), pytest.raises(SceneError) as caught:
        describe(f"{url}/scene.tif")
    said = "can't be opened as a raster: its server sends no parts of files: download it first"
    assert str(caught.value) == f"'{url}/scene.tif' {said}"


STEMS = {
    "a.tif": "a",
    "folder/a.b.tif": "a.b",
    "a.tif?key=ab/c.d&s=secret": "a",
    "https://h/x/b.tif": "b",
    "https://h/x/b.tif?key=secret": "b",
    "https://h/x/b%20c.tif%3Fkey=secret": "b c",
    "https://me:secret@h": "h",
    "s3://bucket/folder/": "folder",
    "/vsicurl/http://me:secret@h/a.tif": "a",
    "/vsicurl?max_retry=3&url=http%3A%2F%2Fh%2Fa.tif%3Fkey=secret": "a",
    "vrt://x/a.tif?bands=3,2,1": "a",
    "2020.05/": "2020.05",
    "../none/": "none",
    "/vsizip/x.zip/a.tif": "a",
    "/vsizip/x.zip": "x",
    "x.tar.gz": "x",
    "a.tif.gz": "a",
    "GTIFF_DIR:1:a.tif": "a",
    "GTIFF_DIR:1:/x/a.tif": "a",
    "NETCDF:a.nc:red": "a_red",
    'HDF5:"x/a b.h5"://group/red': "a b_group_red",
    "GPKG:https://me:secret@h/a.gpkg:FIRST": "a_FIRST",
    "PG:host=h dbname=d password=secret": "PG",
    "C:\\x\\a.tif": "a",
    "a:b*|c.tif": "a_b__c",
    "<VRTDataset/>": "scene",
    "": "scene",
    "none/..": "scene",
    "x" * 5000: "x" * 200,
}


@pytest.mark.parametrize("source", STEMS)
def test_outputs_are_named_plainly(source):
    assert stem(source) == STEMS[source]
    assert stem([source]) == STEMS[source]


def test_outputs_of_folders_and_lists_are_named_plainly(tmp_path, monkeypatch):
    (tmp_path / "2020.05" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "2020.05")
    assert stem(".") == stem("inner/..") == stem(tmp_path / "2020.05") == "2020.05"
    assert stem("..") == tmp_path.name
    assert stem(["a.tif", "b.tif"]) == "mosaic"


@pytest.mark.parametrize("kind", ["undeclared", "zero", "mask"])
def test_colours_of_two_scenes_never_mix(tmp_path, kind):
    low, high = np.full((3, 30, 30), 200, "uint8"), np.full((3, 30, 30), 90, "uint8")
    high[2] = 0
    high[:, :, :10] = 0
    options = {} if kind == "undeclared" else {"nodata": 0}
    parts = [
        _write_part(tmp_path, "1.tif", low, 0, 0, **options),
        _write_part(tmp_path, "2.tif", high, 0, 10, **options),
    ]
    if kind == "mask":  # it counts more than nodata does
        with rasterio.open(parts[1], "r+") as dataset:
            dataset.write_mask(high[0] > 0)
    image, valid = _read(parts)
    assert valid.all()
    assert (image[:, :, :20] == 200).all()
    assert (image[:, :, 20:] == np.array([90, 90, 0])[:, None, None]).all()


def test_a_nodata_that_is_no_colour_counts_in_every_band(tmp_path):
    low, high = np.full((3, 30, 30), 200, "uint16"), np.full((3, 30, 30), 90, "uint16")
    high[1, :, :5], high[2, :, 5:10] = 65535, 65535
    parts = [_write_part(tmp_path, f"{i}.tif", a, 0, 10 * i, nodata=65535) for i, a in enumerate((low, high))]
    with rasterio.open(resolve(parts).opened) as dataset:
        row = dataset.read()[:, 0]
    assert (row[:, :20] == 200).all()
    assert (row[:, 20:] == 90).all()


def test_a_mask_counts_more_than_nodata_in_a_mosaic(tmp_path):
    for name, col in (("a.tif", 0), ("b.tif", 50)):
        array = _picture()
        array[:, :5] = 7
        path = _write_part(tmp_path, name, array, 0, col, nodata=7)
        if name == "a.tif":
            with rasterio.open(path, "r+") as dataset:
                dataset.write_mask(np.tile(np.arange(50) < 20, (40, 1)))
    valid = _read(tmp_path)[1]
    assert valid[:, :20].all()
    assert not valid[:, 20:50].any()
    assert not valid[:5, 50:].any()
    assert valid[5:, 50:].mean() > 0.99


def test_mosaics_of_complex_numbers_are_refused(tmp_path):
    for i in range(2):
        _write_part(tmp_path, f"{i}.tif", _picture(bands=1), 0, 50 * i, dtype="complex_int16")
    said = f"'{tmp_path}/0.tif' holds complex numbers, not brightness: map a detected image instead"
    with pytest.raises(SceneError, match=f"^{re.escape(said)}$"):
        describe(tmp_path)


def test_damaged_archives_are_said_to_be_so(write_raster, tmp_path):
    path = write_raster(_picture(3, 400, 400))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.write(path, "a.tif")
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(b"PK\x01\x02", b"XXXX"))
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as bundle:
        bundle.add(path, "a.tif")
    (tmp_path / "a.tgz").write_bytes((tmp_path / "a.tgz").read_bytes()[:100_000])
    for name in ("a.zip", "a.tgz"):
        said = f"archive '{tmp_path}/{name}' can't be read: "
        with pytest.raises(SceneError, match=f"^{re.escape(said)}.+: get another copy of it$"):
            describe(tmp_path / name)


def test_an_archive_of_a_scene_with_its_preview(write_raster, tmp_path):
    path = write_raster(_picture())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.write(path, "./data/scene.tif")
        for name in ("__MACOSX/data/._scene.tif", "data/.scene.tif", "preview.jpg"):
            packed.writestr(name, b"something else")
    assert resolve(tmp_path / "a.zip").opened.endswith("scene.tif")
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as packed:
        packed.writestr("preview.jgw", b"1\n0\n0\n-1\n0\n0\n")
    with pytest.raises(SceneError, match="holds 2 rasters"):
        resolve(tmp_path / "a.zip")


def test_what_is_remote(tmp_path):
    for name in (
        "/vsizip//vsicurl/http://h/a.zip/b.tif",
        "/vsitar/{/vsis3/b/a.tar}/b.tif",
        'NETCDF:"/vsigs/b/a.nc":red',
        "vrt:///vsicurl/http://h/a.tif?bands=1",
        "/vsicurl?url=http%3A%2F%2Fh%2Fa.tif",
        "/vsicurl_streaming/http://h/a.tif",
    ):
        assert is_remote(name)
    for name in ("/data/vsis3_cache/a.tif", "/data/vsis3/a.tif", "vsicurl/a.tif", str(tmp_path / "none.vrt")):
        assert not is_remote(name)


def test_a_vrt_of_what_is_elsewhere_is_remote(tmp_path):
    _write_part(tmp_path / "web", "a.tif", _picture(), 0, 0)
    with served(tmp_path / "web") as (url, _):
        rasterio.shutil.copy(f"/vsicurl/{url}/a.tif", tmp_path / "a.vrt", driver="VRT")
        rasterio.shutil.copy(tmp_path / "a.vrt", tmp_path / "outer.vrt", driver="VRT")
        for name in ("a.vrt", "outer.vrt"):
            assert is_remote(str(tmp_path / name))
            assert _read(tmp_path / name)[1].all()
    rasterio.shutil.copy(tmp_path / "web" / "a.tif", tmp_path / "local.vrt", driver="VRT")
    assert not is_remote(str(tmp_path / "local.vrt"))


def test_a_mask_beside_a_local_part_is_seen_though_another_part_is_elsewhere(tmp_path):
    local = _write_part(tmp_path, "a.tif", _picture(), 0, 0)
    with rasterio.open(local, "r+") as dataset:
        dataset.write_mask(np.tile(np.arange(50) < 20, (40, 1)))
    _write_part(tmp_path / "web", "b.tif", _picture(), 0, 50)
    with served(tmp_path / "web") as (url, _):
        valid = _read([local, f"{url}/b.tif"])[1]
    assert valid.all(axis=0).tolist() == [True] * 20 + [False] * 30 + [True] * 50


def test_a_header_beside_what_is_elsewhere_is_found(tmp_path):
    _write_part(tmp_path, "a.bsq", _picture(), 0, 0, driver="ENVI")
    with served(tmp_path) as (url, _), open_raster(resolve(f"{url}/a.bsq")) as dataset:
        assert dataset.shape == (40, 50)


@pytest.mark.parametrize(
    ("names", "probes"), [(["b.tif", "c.tif?key=1"], False), (["b.tif", "c.bsq"], True), (["b.tif", ""], True)]
)
def test_headers_and_masks_are_looked_for_where_parts_may_have_them(names, probes):
    opened = [f"/vsis3/x/{name}" if name else "/data/a.tif" for name in names]
    vrt = "".join(f"<SourceFilename>{name}</SourceFilename>" for name in opened)
    options = remote_options(f"<VRTDataset>{vrt}</VRTDataset>")
    assert options["GDAL_DISABLE_READDIR_ON_OPEN"] == ("TRUE" if probes else "EMPTY_DIR")
    assert remote_options("/data/a.tif") == {}


def test_no_message_tells_a_key_or_a_password(tmp_path):
    for i in range(2):
        _write_part(tmp_path, f"{i}.tif", _picture(), 0, 50 * i)
    key = "?key=sesame&t=2020-01-01T00:00:00Z&sig=a'b:sesame"
    with served(tmp_path) as (url, _):
        scene = describe([f"{url}/{i}.tif{key}" for i in range(2)])
        (tmp_path / "1.tif").unlink()
        assert "sesame" not in scene.raster.path
        secret = url.replace("//", "//me:sesame@")
        for named in ([f"{url}/0.tif{key}", f"{url}/2.tif{key}"], f"/vsicurl/{secret}/3.tif", f"{secret}/3.tif{key}"):
            with pytest.raises(SceneError) as caught:
                describe(named)
            assert ".tif" in str(caught.value)
            assert "sesame" not in str(caught.value)
            assert "T00" not in str(caught.value)
    error = RuntimeError(f"/vsicurl/http://me:sesame@h/c.tif{key}: not there, '/vsicurl/http://h/d.tif?key=sesame'.")
    said = Raster("c.tif", "<VRTDataset/>", (f"/vsicurl/http://me:sesame@h/c.tif{key}",)).reason(error)
    assert said == "/vsicurl/http://h/c.tif: not there, '/vsicurl/http://h/d.tif'"
    assert resolve("/vsicurl?url=http%3A%2F%2Fh%2Fa.tif%3Fkey=sesame").path == "/vsicurl/http://h/a.tif"


@pytest.mark.parametrize("named", ["", [""], ["", "a.tif"]])
def test_an_empty_name_is_no_folder(named):
    with pytest.raises(SceneError, match=r"^no scene is named$"):
        resolve(named)


def test_what_a_vrt_is_made_of_is_not_counted_beside_it(tmp_path):
    for i in range(2):
        _write_part(tmp_path, f"{i}.tif", _picture(), 0, 50 * i)
    notice = f"left out of '{tmp_path}', as a VRT beside is made of them: 0.tif, 1.tif"
    (tmp_path / "all.vrt").write_text(resolve(tmp_path).opened)
    assert [file.name for file in scenes_in(tmp_path)] == ["all.vrt"]
    scene = describe(tmp_path)
    assert tuple(map(str, scene.notices)) == (notice,)
    assert scene.grid.width == 100


def test_folders_of_pictures_and_folders_of_folders(tmp_path):

    write_geotiff(tmp_path / "a.png", _picture(), driver="PNG", crs=None, transform=Affine.identity())
    (tmp_path / "a.png.aux.xml").write_text("<PAMDataset><Metadata/></PAMDataset>")
    assert scenes_in(tmp_path) == []
    (tmp_path / "a.png.aux.xml").write_text("<PAMDataset><GeoTransform>0,1,0,0,0,-1</GeoTransform></PAMDataset>")
    assert scenes_in(tmp_path) == [tmp_path / "a.png"]
    (tmp_path / "outer" / "x" / "y").mkdir(parents=True)
    write_geotiff(tmp_path / "outer" / "x" / "y" / "a.tif", _picture())
    with pytest.raises(SceneError, match=r"holds no raster: .*, and subfolders aren't searched$"):
        resolve(tmp_path / "outer")


def test_files_named_as_urls(write_raster, tmp_path):
    path = write_raster(_picture(), "a b.tif")
    assert resolve(f"file://{tmp_path}/a%20b.tif").opened == str(path)
    assert describe(Path(f"file://{tmp_path}/a%20b.tif")).grid.width == 50
    write_raster(_picture(), "c%20d.tif")
    assert resolve(f"file://{tmp_path}/c%20d.tif").opened == f"{tmp_path}/c%20d.tif"


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
        _write_part(tmp_path, name, np.ones((1, 2, 20_000), "uint8"), 0, 0, transform=transform)
    with pytest.raises(SceneError, match=re.escape(f"in one mosaic: it has {said}")):
        resolve(tmp_path)


def test_no_mosaic_goes_round_the_globe(tmp_path):
    for name, west in (("a.tif", 179.5), ("b.tif", -180)):
        place = Affine(0.01, 0, west, 0, -0.01, 52)
        _write_part(tmp_path, name, _picture(), 0, 0, transform=place, crs="EPSG:4326")
    said = f"the rasters of '{tmp_path}' lie on both sides of the antimeridian: map them one by one, see batch"
    with pytest.raises(SceneError, match=f"^{re.escape(said)}$"):
        resolve(tmp_path)


@pytest.mark.parametrize("head", [403, 405, 501, 0])
def test_a_server_that_answers_no_question_for_headers_alone(write_raster, tmp_path, head):
    array = _picture()
    write_raster(array)
    with served(tmp_path, head=head) as (url, _):
        for name in (f"{url}/scene.tif?X-Goog-Signature=secret&b=c%20d", [f"{url}/scene.tif"]):
            scene = describe(name)
            assert (scene.name, "secret" in str(identity(scene))) == ("scene.tif", False)
            assert np.array_equal(_read(name)[0], array)
        with pytest.raises(SceneError, match=r"none.tif' can't be opened as a raster"):
            describe(f"{url}/none.tif?key=secret")


def test_mosaics_and_vrts_of_a_server_that_answers_no_question_for_headers_alone(tmp_path):
    whole = _picture(40, 100)
    for name, col in (("a.tif", 0), ("b.tif", 50)):
        _write_part(tmp_path, name, whole[:, :, col : col + 50], 0, col)
    with served(tmp_path, head=403) as (url, _):
        image, valid = _read([f"{url}/a.tif?key=1", f"{url}/b.tif?key=2"])
    assert valid.all()
    assert np.array_equal(image, whole)


TILES = """<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1:9/${z}/${x}/${y}.png</ServerUrl></Service>
<DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>100</UpperLeftY><LowerRightX>100</LowerRightX>
<LowerRightY>0</LowerRightY><TileLevel>0</TileLevel><TileCountX>1</TileCountX><TileCountY>1</TileCountY></DataWindow>
<Projection>EPSG:3857</Projection><BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY><BandsCount>3</BandsCount>
</GDAL_WMS>"""

VRT_OF_TILES = """<VRTDataset rasterXSize="256" rasterYSize="256"><SRS>EPSG:3857</SRS>
<GeoTransform>0,1,0,100,0,-1</GeoTransform><VRTRasterBand dataType="Byte" band="1"><SimpleSource>
<SourceFilename relativeToVRT="1">tiles.xml</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"""


@pytest.mark.parametrize("name", ["tiles.xml", "tiles", "tiles.vrt", TILES])
def test_a_tile_server_that_is_away_is_no_damage(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    for file, text in (("tiles.xml", TILES), ("tiles", TILES), ("tiles.vrt", VRT_OF_TILES)):
        (tmp_path / file).write_text(text)
    assert is_remote(name)
    with pytest.raises(SceneError, match=r"can't be read near row 0.*: try again$"):
        describe(name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names there")
def test_pipes_and_devices_are_no_scenes(write_raster, tmp_path):
    pipe = tmp_path / "pipe.tif"
    os.mkfifo(pipe)
    good = write_raster(_picture())
    for named in (pipe, f"file://{pipe}", [good, pipe]):
        with pytest.raises(SceneError, match=r"pipe.tif' is a pipe and no file: save what comes from it"):
            describe(named)
    with pytest.raises(SceneError, match=r"^'/dev/zero' is a device and no file"):
        describe("/dev/zero")
    (tmp_path / "a.vrt").write_text(VRT_OF_TILES.replace("tiles.xml", "pipe.tif"))
    with pytest.raises(SceneError, match=r"pipe.tif', which '.*a.vrt' refers to, is a pipe"):
        describe(tmp_path / "a.vrt")
    with pytest.raises(SceneError, match="is a pipe"):
        vectorizing.vectorize(pipe, tmp_path / "m.gpkg")
    with pytest.raises(SceneError, match="is a pipe"):
        vectorizing.vectorize(good, tmp_path / "m.gpkg", confidence=pipe)
    assert scenes_in(tmp_path) == [tmp_path / "a.vrt", good]
