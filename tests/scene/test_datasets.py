from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.enums import Resampling
from rasterio.io import MemoryFile, ZipMemoryFile
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.mapping import Mapper
from lposs_geo.scene.description import Scene, describe
from lposs_geo.scene.identity import check_unchanged, identity
from lposs_geo.scene.names import stem
from lposs_geo.scene.reader import open_scene
from lposs_geo.testing.encoders import ColourEncoder
from lposs_geo.testing.rasters import UTM


@pytest.fixture
def picture(write_raster: Callable[..., Path]) -> Path:
    values = np.random.default_rng(0).integers(1, 250, (3, 40, 50), dtype=np.uint8)
    return write_raster(values, "picture.tif")


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _read(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    with open_scene(scene) as reader:
        return reader.read(Window(0, 0, scene.grid.width, scene.grid.height))


def _alike(scene: Scene, other: Scene) -> bool:
    same = all(np.array_equal(*pair) for pair in zip(_read(scene), _read(other), strict=True))
    return same and scene.grid == other.grid and scene.radiometry == other.radiometry


def _zipped(picture: Path) -> Path:
    archive = picture.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(picture, "in/picture.tif")
    return archive


KINDS: dict[str, Callable[[Path, ExitStack], Any]] = {
    "a dataset": lambda path, stack: stack.enter_context(rasterio.open(path)),
    "a dataset by an URL of rasterio's": lambda path, stack: stack.enter_context(
        rasterio.open(f"zip://{_zipped(path)}!in/picture.tif")
    ),
    "a file in memory": lambda path, stack: stack.enter_context(MemoryFile(path.read_bytes())),
    "a dataset in memory": lambda path, stack: stack.enter_context(
        stack.enter_context(MemoryFile(path.read_bytes())).open()
    ),
    "GDAL's name of a file in memory": lambda path, stack: stack.enter_context(MemoryFile(path.read_bytes())).name,
    "a dataset of an open file": lambda path, stack: stack.enter_context(
        rasterio.open(stack.enter_context(path.open("rb")))
    ),
    "a dataset in an archive in memory": lambda path, stack: stack.enter_context(
        stack.enter_context(ZipMemoryFile(_zipped(path).read_bytes())).open("in/picture.tif")
    ),
    "a list of one": lambda path, stack: [stack.enter_context(MemoryFile(path.read_bytes()))],
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_open_or_in_memory_reads_as_its_file_does(picture, opened, kind):
    assert _alike(describe(KINDS[kind](picture, opened)), describe(picture))


def test_a_dataset_of_a_file_is_the_file(picture):
    with rasterio.open(picture) as dataset:
        scene = describe(dataset)
    assert (scene.path, scene.files) == (str(picture), (str(picture),))
    assert identity(scene) == identity(describe(picture))
    assert [stamp.file for stamp in scene.stamps] == [picture]


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_warped_dataset_reads_as_a_warped_file_would(picture, opened, tmp_path, in_memory):
    source = opened.enter_context(
        opened.enter_context(MemoryFile(picture.read_bytes())).open() if in_memory else rasterio.open(picture)
    )
    warped = opened.enter_context(WarpedVRT(source, crs="EPSG:25833", resampling=Resampling.bilinear, add_alpha=True))
    rasterio.shutil.copy(warped, tmp_path / "warped.tif", driver="GTiff")
    scene = describe(warped)
    assert _alike(scene, describe(tmp_path / "warped.tif"))
    assert not _read(scene)[1].all()
    assert ([stamp.file for stamp in scene.stamps] == [picture]) != in_memory
    assert len(scene.raster.memory) == in_memory
    opened.close()
    assert _read(scene)[1].any()


def test_a_vrt_in_memory_may_be_made_of_what_is_in_memory(picture, opened):
    inside = opened.enter_context(MemoryFile(picture.read_bytes()))
    vrt = opened.enter_context(MemoryFile(ext=".vrt"))
    rasterio.shutil.copy(inside.name, vrt.name, driver="VRT")
    scene = describe(vrt)
    opened.close()
    assert _alike(scene, describe(picture))


def test_a_vrt_on_the_disk_may_be_made_of_what_is_in_memory(picture, opened, tmp_path):
    scenes = []
    for values in (picture.read_bytes(), picture.read_bytes()[:-1] + b"x"):
        with MemoryFile(values, filename="part.tif", dirname="parts") as inside:
            rasterio.shutil.copy(inside.name, tmp_path / "a.vrt", driver="VRT")
            scenes.append(describe(tmp_path / "a.vrt"))
            rasterio.shutil.copy(tmp_path / "a.vrt", tmp_path / "outer.vrt", driver="VRT")
            outer = (tmp_path / "outer.vrt").read_text().replace(inside.name, str(tmp_path / "a.vrt"))
            (tmp_path / "outer.vrt").write_text(outer)
            with pytest.raises(SceneError, match="is made of a VRT that is made of what lies in memory: write it"):
                describe([tmp_path / "outer.vrt"])
    assert _alike(scenes[0], describe(picture))
    assert identity(scenes[0])["memory"] != identity(scenes[1])["memory"]


def test_rasters_in_memory_and_files_are_one_mosaic(write_raster):
    values = np.random.default_rng(0).integers(1, 250, (3, 40, 90), dtype=np.uint8)
    left = write_raster(values[:, :, :50], "left.tif")
    right = write_raster(values[:, :, 50:], "right.tif", transform=UTM @ UTM.translation(50, 0))
    with MemoryFile(left.read_bytes()) as one, rasterio.open(right) as other:
        scene = describe([one, other])
    assert _alike(scene, describe([left, right]))
    assert scene.grid.width == 90
    assert [stamp.file for stamp in scene.stamps] == [right]
    with MemoryFile(left.read_bytes()) as one:
        assert identity(describe([one, right])) == identity(scene)


def test_a_file_in_memory_is_known_by_its_content(picture):
    raw = picture.read_bytes()
    with MemoryFile(raw) as one, MemoryFile(raw) as same:
        assert one.name != same.name
        scene, again = describe(one), describe(same)
    assert identity(scene) == identity(again)
    assert scene.path == again.path
    assert stem(scene.path) == scene.path.removesuffix(".tif")


def test_one_pixel_that_no_sample_sees_makes_another_scene():
    values = np.full((3, 3000, 3000), 100, np.uint8)
    values[:, ::2] = 200
    scenes = []
    for last in (100, 101):
        values[:, 0, 1] = last
        with MemoryFile(filename="scene.tif") as file:
            with file.open(
                driver="GTiff", width=3000, height=3000, count=3, dtype="uint8", transform=UTM, crs="EPSG:32632"
            ) as dataset:
                dataset.write(values)
            scenes.append(describe(file))
    one, other = scenes
    assert one.checksum == other.checksum
    assert one.path == other.path == "scene.tif"
    assert identity(one) != identity(other)


def test_what_becomes_of_a_file_in_memory_is_no_matter(picture, write_raster):
    with MemoryFile(ext=".tif") as file:
        file.write(picture.read_bytes())
        scene = describe(file)
        with rasterio.open(file.name, "r+") as dataset:
            dataset.write(np.full((3, 40, 50), 9, np.uint8))
        check_unchanged(scene)
        assert _alike(scene, describe(picture))
        assert describe(file).checksum != scene.checksum
    assert _alike(scene, describe(picture))


def test_threads_read_by_themselves(picture):
    with MemoryFile(picture.read_bytes()) as file:
        scene = describe(file)
    whole = _read(scene)[0]
    rows = [Window(0, row, 50, 1) for row in range(40)] * 5

    def row_of(window: Window) -> np.ndarray:
        with open_scene(scene) as reader:
            return reader.read(window)[0]

    with ThreadPoolExecutor(8) as pool:
        for window, image in zip(rows, pool.map(row_of, rows), strict=True):
            assert np.array_equal(image, whole[:, window.row_off : window.row_off + 1])


def test_a_mask_beside_a_file_in_memory_counts(picture):
    with MemoryFile(picture.read_bytes()) as frozen, MemoryFile() as file:
        with frozen.open() as source, file.open(**source.profile) as dataset:
            dataset.write(source.read())
        valid = np.ones((40, 50), bool)
        valid[10:20] = False
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(file.name, "r+") as dataset:
            dataset.write_mask(valid)
        with file.open() as dataset:
            assert len(dataset.files) == 2
            scene = describe(dataset)
    assert np.array_equal(_read(scene)[1], valid)


def test_open_for_writing(tmp_path):
    profile = {"driver": "GTiff", "width": 9, "height": 9, "count": 1, "dtype": "uint8", "transform": UTM}
    tiff = rasterio.open(tmp_path / "new.tif", "w", **profile)
    png = rasterio.open(tmp_path / "new.png", "w", **profile | {"driver": "PNG"})
    with tiff, png:
        with pytest.raises(SceneError, match=r"new\.tif' is open for writing: close it first"):
            describe(tiff)
        with pytest.raises(SceneError, match=r"new\.png' is open for writing"):
            describe([png])


def test_what_no_other_thread_can_open(picture, opened):
    reader = opened.enter_context(rasterio.open(picture, opener=open))
    with pytest.raises(SceneError, match="can't be opened again by other threads: write it to a file or a MemoryFile"):
        describe(reader)
    source = opened.enter_context(rasterio.open(picture))
    once = opened.enter_context(WarpedVRT(source, crs="EPSG:25833"))
    with pytest.raises(SceneError, match=r"can't be opened by other threads: .*: write it to a file or a MemoryFile"):
        describe(opened.enter_context(WarpedVRT(once, crs="EPSG:32632")))


def test_what_is_closed_or_empty(picture):
    with rasterio.open(picture) as dataset, MemoryFile(picture.read_bytes()) as file:
        pass
    with pytest.raises(SceneError, match=r"picture\.tif' is closed: give it while it is open, or its name"):
        describe(dataset)
    with pytest.raises(SceneError, match="the MemoryFile is closed"):
        describe(file)
    with MemoryFile() as empty, pytest.raises(SceneError, match="the MemoryFile is empty"):
        describe(empty)
    with MemoryFile(b"no raster") as other, pytest.raises(SceneError, match="a raster in memory can't be opened: "):
        describe(other)
    archive = _zipped(picture).read_bytes()
    with ZipMemoryFile(archive) as packed, pytest.raises(SceneError, match="open the raster in it, and give that"):
        describe(packed)


def test_a_dataset_that_its_name_does_not_open_again(write_raster):
    path = write_raster(np.zeros((3, 512, 512), np.uint8), colorinterp=None)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2], Resampling.nearest)
    with rasterio.open(path, overview_level=0) as dataset:
        assert dataset.width == 256
        with pytest.raises(SceneError, match="is another raster when it is opened by its name alone"):
            describe(dataset)


def test_outputs_of_what_is_open_are_named_plainly(picture):
    with rasterio.open(picture) as dataset, MemoryFile(b"1") as file, MemoryFile(b"1", filename="lake.tif") as lake:
        assert [stem(scene) for scene in (dataset, file, lake, [lake], [lake, file])] == [
            "picture", "scene", "lake", "lake", "mosaic",
        ]  # fmt: skip


def _squares(colours: tuple[int, int]) -> bytes:
    values = np.full((3, 64, 128), 30, np.uint8)
    values[colours[0], :, :64] = 230
    values[colours[1], :, 64:] = 230
    with MemoryFile() as file:
        with file.open(
            driver="GTiff", width=128, height=64, count=3, dtype="uint8", transform=UTM, crs="EPSG:32632"
        ) as dataset:
            dataset.write(values)
        return file.read()


def test_maps_of_what_is_in_memory(tmp_path, monkeypatch):
    """The cache keeps their features, and serves those of no other scene by the same name."""
    monkeypatch.setenv("LPOSS_GEO_CACHE", str(tmp_path / "cache"))
    mapper = Mapper.of(ColourEncoder(), "colours", use_cache=True)
    labels = {}
    for colours in ((0, 1), (1, 2)):
        raw = _squares(colours)
        (tmp_path / "scene.tif").write_bytes(raw)
        with MemoryFile(raw, filename="scene.tif") as file, file.open() as dataset:
            for name, src in {"file": tmp_path / "scene.tif", "memory": file, "again": dataset}.items():
                map_ = mapper.map(src, "red,green,blue", tmp_path / f"{name}.tif", overwrite=True)
                with rasterio.open(map_.labels) as written:
                    labels[name] = written.read(1)
                    assert written.tags()["LPOSS_GEO_SOURCE"] == "scene.tif"
        assert labels["file"][:, :64].max() == labels["file"][:, :64].min() == colours[0] + 1
        assert np.array_equal(labels["file"], labels["memory"])
        assert np.array_equal(labels["file"], labels["again"])
    stores = [path for path in (tmp_path / "cache" / "features").iterdir() if path.is_dir()]
    assert len(stores) == 4  # two files, two rasters in memory
