from __future__ import annotations

import hashlib
import json
import os
from types import SimpleNamespace

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.shutil
import rasterio.vrt
import shapely
import torch
from PIL import Image
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate

import lposs_geo
from lposs_geo.errors import (
    LpossGeoError,
    OutOfMemoryError,
    OutputError,
    ParameterError,
    SceneChangedError,
    SceneError,
)
from lposs_geo.mapping import Mapper, map_scene
from lposs_geo.polygons.vectorize import vectorize
from lposs_geo.testing.encoders import ColourEncoder
from lposs_geo.testing.rasters import write_chip, write_damaged, write_vrt
from lposs_geo.testing.server import served

WORDS = "water,forest,crop field"


def _labels(path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def _polygons(path) -> geopandas.GeoDataFrame:
    return geopandas.read_file(path, layer="landcover")


@pytest.fixture(scope="module")
def mapped(lakeside, tmp_path_factory):
    """A chip of the bundled scene, mapped once with everything."""
    folder = tmp_path_factory.mktemp("mapped")
    write_chip(folder / "chip.tif", lakeside)
    before = hashlib.sha256((folder / "chip.tif").read_bytes()).hexdigest()
    result = map_scene(
        folder / "chip.tif", WORDS, folder / "map.tif", vector=folder / "map.gpkg", quicklook=folder / "map.png"
    )
    assert hashlib.sha256((folder / "chip.tif").read_bytes()).hexdigest() == before
    return folder, result


def test_the_map_lies_on_the_scenes_grid(mapped):
    folder, _ = mapped
    with rasterio.open(folder / "chip.tif") as scene, rasterio.open(folder / "map.tif") as made:
        assert (made.crs, made.transform, made.shape) == (scene.crs, scene.transform, scene.shape)
        labels = made.read(1)
        assert made.tags()["LPOSS_GEO_MODEL"] == "mini"
        assert made.tags()["LPOSS_GEO_SOURCE"] == "chip.tif"
        assert json.loads(made.tags()["LPOSS_GEO_PARAMETERS"])["bands"] == [3, 2, 1]
    assert (labels[:40, :60] == 255).all()
    assert set(np.unique(np.delete(labels.ravel(), np.flatnonzero(labels.ravel() == 255)))) <= {1, 2, 3}
    assert (labels == 255).sum() == 40 * 60
    assert cog_validate(folder / "map.tif")[0]


def test_the_polygons_are_the_labelled_area(mapped):
    folder, result = mapped
    polygons = _polygons(folder / "map.gpkg")
    assert shapely.coverage_is_valid(polygons.geometry.values)
    labelled = 250 * 290 - 40 * 60
    assert polygons.area_m2.sum() == pytest.approx(labelled * 0.36, rel=1e-6)
    assert set(polygons.class_name) <= set(WORDS.split(","))
    assert sum(area.pixels for area in result.areas) == labelled
    assert sum(area.share for area in result.areas) == pytest.approx(1)


def test_the_shore_is_water_on_one_side_and_land_on_the_other(mapped):
    folder, _ = mapped
    labels = _labels(folder / "map.tif")
    assert (labels[60:150, :60] == 1).mean() > 0.9
    assert (labels[150:, 200:] != 1).mean() > 0.9


def test_the_result_says_what_was_done(mapped):
    folder, result = mapped
    assert result.labels == folder / "map.tif"
    assert (result.model, result.device) == ("mini", "cuda:0" if torch.cuda.is_available() else "cpu")
    assert result.legend.names == WORDS.split(",")
    stages = ["load", "encode", "propagate", "refine", "write", "vectorize", "quicklook"]
    assert list(result.seconds) == stages
    with Image.open(folder / "map.png") as picture:
        assert picture.width > 700
    assert {path.name for path in folder.iterdir()} == {
        "chip.tif",
        "map.gpkg",
        "map.png",
        "map.qml",
        "map.sld",
        "map.tif",
        "map.tif.aux.xml",
    }


@pytest.mark.parametrize("tile_size", [64, 150])
def test_labels_do_not_depend_on_the_tile_size(mapped, tmp_path, tile_size):
    folder, _ = mapped
    map_scene(folder / "chip.tif", WORDS, tmp_path / "tiled.tif", tile_size=tile_size)
    assert (_labels(tmp_path / "tiled.tif") == _labels(folder / "map.tif")).mean() >= 0.9999


def test_without_the_pixel_stage_borders_are_coarser(mapped, tmp_path):
    folder, _ = mapped
    map_scene(folder / "chip.tif", WORDS, tmp_path / "coarse.tif", refine=False)
    coarse, fine = _labels(tmp_path / "coarse.tif"), _labels(folder / "map.tif")
    assert 0.7 < (coarse == fine).mean() < 1


def test_tiles_without_data_stay_nodata(write_raster, tmp_path):
    array = np.zeros((3, 300, 260), dtype="uint8")
    array[:, 20:90, 30:100] = np.random.default_rng(0).integers(40, 90, (3, 70, 70))
    path = write_raster(array, nodata=0)
    map_scene(path, "water,forest", tmp_path / "map.tif", tile_size=100)
    labels = _labels(tmp_path / "map.tif")
    assert ((labels != 255) == array.any(axis=0)).all()


def test_three_by_two_pixels_and_one_class(write_raster, tmp_path):
    path = write_raster(np.array([[[9, 80, 90], [7, 60, 200]]] * 3, dtype="uint8"))
    map_scene(path, ["forest"], tmp_path / "map.tif", vector=tmp_path / "map.gpkg", quicklook=tmp_path / "map.png")
    assert (_labels(tmp_path / "map.tif") == 1).all()


def test_degrees_give_square_metres(write_raster, tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (3, 40, 50)).astype("uint8")
    path = write_raster(array, crs="EPSG:4326", transform=rasterio.Affine(1e-5, 0, 9, 0, -1e-5, 47))
    result = map_scene(path, "forest,water", tmp_path / "map.tif", vector=tmp_path / "map.gpkg")
    total = sum(area.area_m2 for area in result.areas)
    assert total == pytest.approx(50 * 0.7605 * 40 * 1.1117, rel=0.01)
    assert _polygons(tmp_path / "map.gpkg").area_m2.sum() == pytest.approx(total, rel=1e-3)


def test_a_scene_without_crs_is_mapped_and_said_so(write_raster, tmp_path, caplog):
    array = np.random.default_rng(0).integers(0, 255, (3, 40, 50)).astype("uint8")
    path = write_raster(array, crs=None, transform=rasterio.Affine.identity())
    with caplog.at_level("WARNING", "lposs_geo"):
        map_scene(path, "forest,water", tmp_path / "map.tif", vector=tmp_path / "map.gpkg")
    assert "no coordinate reference system" in caplog.text
    assert _labels(tmp_path / "map.tif").shape == (40, 50)


def test_a_resolution_in_metres_needs_a_crs(write_raster, tmp_path):
    path = write_raster(np.full((3, 40, 50), 9, dtype="uint8"), crs=None, transform=rasterio.Affine.identity())
    with pytest.raises(ParameterError, match="no coordinate reference system"):
        map_scene(path, WORDS, tmp_path / "map.tif", gsd=1)


def test_another_resolution_still_gives_the_scenes_grid(mapped, tmp_path):
    folder, _ = mapped
    map_scene(folder / "chip.tif", WORDS, tmp_path / "map.tif", gsd=1.2)
    with rasterio.open(tmp_path / "map.tif") as made, rasterio.open(folder / "map.tif") as usual:
        assert (made.transform, made.shape) == (usual.transform, usual.shape)
        parameters = [json.loads(file.tags()["LPOSS_GEO_PARAMETERS"]) for file in (made, usual)]
    assert parameters[0]["zooms"] == pytest.approx([0.5, 1.0])
    assert parameters[1]["zooms"] == [1.0, 2.0]
    coarse, usual_labels = _labels(tmp_path / "map.tif"), _labels(folder / "map.tif")
    assert ((coarse == 255) == (usual_labels == 255)).all()
    assert 0.8 < (coarse == usual_labels).mean() < 1


def test_words_that_the_model_cannot_know_are_said(mapped, tmp_path, caplog):
    folder, _ = mapped
    with caplog.at_level("WARNING", "lposs_geo"):
        result = map_scene(folder / "chip.tif", "water,violin,forest,crop field", tmp_path / "map.tif")
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "'violin'" in warning
    assert "'water'" not in warning
    assert result.areas[1].share < 0.02
    with rasterio.open(tmp_path / "map.tif") as made, rasterio.open(folder / "map.tif") as usual:
        assert made.tags()["LPOSS_GEO_UNFAMILIAR_WORDS"] == '["violin"]'
        assert usual.tags()["LPOSS_GEO_UNFAMILIAR_WORDS"] == "[]"


@pytest.mark.parametrize(("side", "warned"), [(10.0, True), (2.4, False)])
def test_scenes_coarser_than_the_model_knows_are_warned_of(write_raster, tmp_path, caplog, side, warned):
    array = np.random.default_rng(0).integers(0, 255, (3, 40, 50)).astype("uint8")
    path = write_raster(array, transform=rasterio.Affine(side, 0, 439136, 0, -side, 5273706))
    with caplog.at_level("WARNING", "lposs_geo"):
        map_scene(path, "forest,water", tmp_path / "map.tif")
    assert ("10 m per pixel, and mini knows nothing coarser than 5 m" in caplog.text) == warned


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_run_that_breaks_off_before_a_tile_is_finished_leaves_nothing(mapped, tmp_path, error):
    folder, _ = mapped
    with pytest.raises(error):
        map_scene(folder / "chip.tif", WORDS, tmp_path / "map.tif", progress=_raise_at("propagate", 1, error))
    assert list(tmp_path.iterdir()) == []


def _raise_at(stage: str, done: int, error):
    def report(now: str, now_done: int, total: int) -> None:
        if now == stage and now_done >= done:
            raise error

    return report


@pytest.mark.parametrize(
    ("stage", "done", "error"),
    [("refine", 1, KeyboardInterrupt), ("refine", 7, RuntimeError), ("vectorize", 0, OSError)],
)
def test_a_run_that_breaks_off_later_keeps_its_tiles_for_resume(mapped, tmp_path, stage, done, error):
    folder, _ = mapped
    options = {"tile_size": 100, "vector": tmp_path / "map.gpkg"}
    with pytest.raises(error) as caught:
        map_scene(folder / "chip.tif", WORDS, tmp_path / "map.tif", progress=_raise_at(stage, done, error), **options)
    kept = done if stage == "refine" else 9
    assert caught.value.__notes__ == [f"<resume=True> goes on: {kept} finished tiles will not be done again"]
    assert [path.name for path in tmp_path.iterdir()] == [".map.tif.lposs-geo"]
    with pytest.raises(OutputError, match="resume=True"):
        map_scene(folder / "chip.tif", WORDS, tmp_path / "map.tif", **options)
    for changed, name in (
        ({"classes": "water,land"}, "classes"),
        ({"classes": WORDS, "refine": False}, "numbers"),
        ({"classes": WORDS, "tile_size": 90}, "tiles"),
        ({"classes": WORDS, "gsd": 1}, "resolution"),
    ):
        with pytest.raises(OutputError, match=f"another.*{name}"):
            map_scene(folder / "chip.tif", dst=tmp_path / "map.tif", resume=True, **(options | changed))
    seen = []
    map_scene(
        folder / "chip.tif",
        WORDS,
        tmp_path / "map.tif",
        resume=True,
        progress=lambda now, done, total: seen.append(done) if now == "refine" else None,
        **options,
    )
    assert seen == list(range(kept + 1, 10))  # no tile twice
    map_scene(folder / "chip.tif", WORDS, tmp_path / "whole.tif", tile_size=100)
    assert (_labels(tmp_path / "map.tif") == _labels(tmp_path / "whole.tif")).all()
    assert not (tmp_path / ".map.tif.lposs-geo").exists()


@pytest.mark.parametrize(
    ("stage", "done", "use_cache"),
    [("encode", 1, True), ("refine", 2, True), ("refine", 4, False), ("vectorize", 1, True)],
)
def test_a_scene_that_changes_is_refused_and_leaves_nothing(
    write_raster, tmp_path, monkeypatch, stage, done, use_cache
):
    monkeypatch.setenv("LPOSS_GEO_CACHE", str(tmp_path / "cache"))
    scene = write_raster(np.random.default_rng(0).integers(1, 255, (3, 150, 160)).astype("uint8"))
    mapper = Mapper.of(ColourEncoder(), "colours", use_cache=use_cache)
    sound, found = scene.read_bytes(), scene.stat()
    options = {"tile_size": 80, "refine": False, "vector": tmp_path / "map.gpkg"}

    def replace(now: str, now_done: int, total: int) -> None:
        if now == stage and now_done >= done:
            with rasterio.open(scene, "r+") as dataset:
                dataset.write(255 - dataset.read())

    with pytest.raises(SceneChangedError, match=r"scene\.tif' was changed while") as caught:
        mapper.map(scene, "red,green", tmp_path / "map.tif", progress=replace, **options)
    assert not hasattr(caught.value, "__notes__")
    assert {path.name for path in tmp_path.iterdir()} - {"cache"} == {"scene.tif"}
    options["vector"] = None
    scene.write_bytes(sound)
    os.utime(scene, ns=(0, found.st_mtime_ns))
    mapper.map(scene, "red,green", tmp_path / "map.tif", **options)
    Mapper.of(ColourEncoder(), "colours").map(scene, "red,green", tmp_path / "whole.tif", **options)
    assert (_labels(tmp_path / "map.tif") == _labels(tmp_path / "whole.tif")).all()


@pytest.mark.parametrize("allocate", [lambda: torch.empty(1 << 58), lambda: np.empty(1 << 58)], ids=["torch", "numpy"])
def test_a_full_memory_is_one_line_that_says_what_to_do(mapped, tmp_path, allocate):
    folder, _ = mapped
    with pytest.raises(OutOfMemoryError, match="choose a smaller max_memory, fewer classes, or device=cpu") as caught:
        map_scene(folder / "chip.tif", WORDS, tmp_path / "map.tif", progress=lambda *_: allocate())
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def _with_room(patch, free: int) -> None:
    patch.setattr("lposs_geo.files.room.shutil.disk_usage", lambda _: SimpleNamespace(total=10**12, used=0, free=free))


def test_what_the_disk_has_no_room_for_is_refused_before_the_time_is_spent(mapped, tmp_path, monkeypatch):
    folder, _ = mapped
    options = {"vector": tmp_path / "map.gpkg", "tile_size": 150, "use_cache": False}
    stages = []
    with monkeypatch.context() as patch:
        _with_room(patch, 100_000)
        with pytest.raises(OutputError, match=r"the scene's features and scores and tiles will take \d MB at least"):
            map_scene(folder / "chip.tif", WORDS, tmp_path / "map.tif", progress=lambda *a: stages.append(a), **options)
    assert not stages
    assert not list(tmp_path.iterdir())

    with monkeypatch.context() as patch:

        def fill(stage, done, total):
            if stage == "refine" and done == total:
                _with_room(patch, 5_000)

        with pytest.raises(OutputError, match=r"polygons will take .*: choose a larger min_area, leave") as caught:
            map_scene(folder / "chip.tif", WORDS, tmp_path / "map.tif", progress=fill, **options)
    assert caught.value.__notes__ == ["<resume=True> goes on: 4 finished tiles will not be done again"]
    assert [path.name for path in tmp_path.iterdir()] == [".map.tif.lposs-geo"]
    map_scene(folder / "chip.tif", WORDS, tmp_path / "map.tif", resume=True, **options)
    assert np.array_equal(_labels(tmp_path / "map.tif"), _labels(folder / "map.tif"))


def test_a_large_area_with_hardly_a_valid_pixel_is_refused(tmp_path, mapped):
    folder, _ = mapped
    path = write_vrt(tmp_path / "sea.vrt", (10**6, 10**6), (folder / "chip.tif", (400_000, 30)))
    with pytest.raises(SceneError, match=r"hardly a pixel of .* of 1000000 rows and 1000000 cols: name the area"):
        map_scene(path, WORDS, tmp_path / "map.tif", window=Window(0, 0, 10**6, 10**6))
    with pytest.raises(SceneError, match=r"too large for one map: 10000001 rows .*name an area"):
        map_scene(
            write_vrt(tmp_path / "larger.vrt", (10**7 + 1, 10**7), (folder / "chip.tif", (400_000, 30))),
            WORDS,
            tmp_path / "map.tif",
        )


def test_new_words_on_the_same_scene_need_no_encoder(mapped, tmp_path, monkeypatch, caplog):
    folder, _ = mapped
    monkeypatch.setattr("lposs_geo.encoders.mini.MiniEncoder.patch_features", lambda *_: 1 / 0)
    with caplog.at_level("INFO", "lposs_geo"):
        map_scene(folder / "chip.tif", "lake,land", tmp_path / "map.tif")
    assert "features are kept from before" in caplog.text
    labels = _labels(tmp_path / "map.tif")
    assert (labels[60:150, :60] == 1).mean() > 0.9
    with pytest.raises(ZeroDivisionError):
        map_scene(folder / "chip.tif", "lake,land", tmp_path / "again.tif", use_cache=False)


def test_a_damaged_cache_changes_no_map(write_raster, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("LPOSS_GEO_CACHE", str(tmp_path / "cache"))
    scene = write_raster((255 * _fields()).astype("uint8"))
    mapper = Mapper.of(ColourEncoder(), "colours", use_cache=True)
    options = {"refine": False, "overwrite": True}
    mapper.map(scene, "red,green", tmp_path / "whole.tif", **options)
    (records,) = (tmp_path / "cache").rglob("records")
    index = [json.loads(line[9:]) for line in records.with_name("index.jsonl").read_text().splitlines()]
    filled = [record for record in index if 0 not in record["shape"]]
    assert {record["key"].split("/")[0] for record in filled} == {"widths", "0", "graph", "tile"}
    for record in (filled[0], filled[1], filled[-4], filled[-1]):
        content = bytearray(records.read_bytes())
        content[record["offset"]] ^= 4
        records.write_bytes(content)
        caplog.clear()
        mapper.map(scene, "red,green", tmp_path / "again.tif", **options)
        assert _labels(tmp_path / "again.tif").tobytes() == _labels(tmp_path / "whole.tif").tobytes()
        (line,) = [entry.getMessage() for entry in caplog.records if "is damaged" in entry.getMessage()]
        assert line == f"a part of '{records.parent}' is damaged: what is missing is made again"


def test_a_part_of_a_scene_is_mapped_as_the_whole_is(mapped, tmp_path):
    folder, _ = mapped
    window = Window(101, 53, 130, 171)
    map_scene(folder / "chip.tif", WORDS, tmp_path / "part.tif", window=window)
    with rasterio.open(tmp_path / "part.tif") as part, rasterio.open(folder / "map.tif") as whole:
        assert part.bounds == pytest.approx(rasterio.windows.bounds(window, whole.transform))
        assert (part.read(1) == whole.read(1, window=window)).mean() >= 0.9999
    with pytest.raises(ParameterError, match="isn't inside"):
        map_scene(folder / "chip.tif", WORDS, tmp_path / "outside.tif", window=Window(200, 0, 100, 100))


def test_tiles_that_fail_are_nodata_and_listed(lakeside, tmp_path, caplog):
    path = write_damaged(tmp_path / "scene.tif", lakeside)
    with caplog.at_level("WARNING", "lposs_geo"):
        result = map_scene(path, WORDS, tmp_path / "map.tif", tile_size=1000)
    (tile,) = result.failed
    assert tile.window == Window(0, 4000, 80, 100)
    assert "damaged" in tile.reason
    labels = _labels(tmp_path / "map.tif")
    assert (labels[4000:] == 255).all()
    assert (labels[:4000] != 255).all()
    with rasterio.open(tmp_path / "map.tif") as dataset:
        assert json.loads(dataset.tags()["LPOSS_GEO_FAILED_TILES"])[0]["rows_cols"] == [[4000, 4100], [0, 80]]
    assert "rows 4000 to 4099, columns 0 to 79 is nodata" in caplog.text


def test_a_scene_of_which_no_tile_can_be_read_is_refused(lakeside, tmp_path):
    path = write_damaged(tmp_path / "scene.tif", lakeside)
    with pytest.raises(SceneError, match="damaged"):
        map_scene(path, WORDS, tmp_path / "map.tif", window=Window(0, 4030, 80, 70))
    assert [file.name for file in tmp_path.iterdir()] == ["scene.tif"]


def test_existing_outputs_are_kept_unless_told_otherwise(mapped, tmp_path):
    folder, _ = mapped
    (tmp_path / "map.gpkg").write_text("mine")
    with pytest.raises(LpossGeoError, match="overwrite=True"):
        map_scene(folder / "chip.tif", WORDS, tmp_path / "map.tif", vector=tmp_path / "map.gpkg")
    assert not (tmp_path / "map.tif").exists()
    map_scene(folder / "chip.tif", WORDS, tmp_path / "map.tif", vector=tmp_path / "map.gpkg", overwrite=True)
    assert len(_polygons(tmp_path / "map.gpkg"))


def test_the_files_behind_a_vrt_are_inputs_too(mapped, tmp_path):
    folder, _ = mapped
    source = tmp_path / "source.tif"
    source.write_bytes((folder / "chip.tif").read_bytes())
    with rasterio.open(source) as dataset, rasterio.vrt.WarpedVRT(dataset) as warped:
        rasterio.shutil.copy(warped, tmp_path / "scene.vrt", driver="VRT")
    before = source.read_bytes()
    for name in (tmp_path / "scene.vrt", f"GTIFF_DIR:1:{source}"):
        with pytest.raises(LpossGeoError, match="the input itself or a part of it"):
            map_scene(name, WORDS, source, overwrite=True)
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    "numbers",
    [
        {"gsd": 0},
        {"gsd": float("inf")},
        {"gsd": 99},
        {"tile_size": 0},
        {"simplify": float("nan")},
        {"simplify": -1},
        {"simplify": "2 miles"},
        {"min_area": -1},
        {"min_confidence": 60},
        {"scale": (5, 5)},
    ],
)
def test_numbers_out_of_range_are_refused_at_once(mapped, tmp_path, numbers):
    folder, _ = mapped
    with pytest.raises(ParameterError, match=next(iter(numbers))):
        map_scene(folder / "chip.tif", WORDS, tmp_path / "map.tif", **numbers)


def test_two_outputs_of_one_name_are_refused(mapped, tmp_path):
    folder, _ = mapped
    with pytest.raises(LpossGeoError, match="two outputs"):
        map_scene(folder / "chip.tif", WORDS, tmp_path / "a.tif", confidence=tmp_path / "a.tif")


def test_mercator_is_warned_of(write_raster, tmp_path, caplog):
    array = np.random.default_rng(0).integers(1, 255, (3, 20, 20)).astype("uint8")
    with caplog.at_level("WARNING", "lposs_geo"):
        map_scene(write_raster(array, crs="EPSG:3857"), "forest,water", tmp_path / "map.tif", refine=False)
    assert "areas are far too large" in caplog.text


def test_vectorize_leaves_out_the_nodata_of_others(write_raster, tmp_path):
    path = write_raster(np.array([[[0, 3, 3], [7, 7, 3]]], dtype="uint8"), nodata=0)
    assert vectorize(path, tmp_path / "a.gpkg") == 2


def test_vectorize_gives_the_same_polygons_as_the_map(mapped, tmp_path):
    folder, _ = mapped
    count = vectorize(folder / "map.tif", tmp_path / "again.gpkg")
    again, first = _polygons(tmp_path / "again.gpkg"), _polygons(folder / "map.gpkg")
    assert count == len(again) == len(first)
    assert first.confidence.between(20, 100).all()
    assert again.equals(first.drop(columns="confidence"))  # the labels alone don't tell it
    with pytest.raises(LpossGeoError, match="no such file"):
        vectorize(tmp_path / "none.tif", tmp_path / "x.gpkg")


def test_of_a_scene_on_a_server_only_what_is_needed_is_fetched(lakeside, tmp_path):
    """60 times the bundled scene, of which a corner of one is mapped: the map is that of the local file."""
    with rasterio.open(lakeside) as dataset:
        array, profile = dataset.read([3, 2, 1]), dataset.profile
    array = np.tile((array >> 2).clip(0, 255).astype("uint8"), (1, 6, 10))
    profile |= {"count": 3, "dtype": "uint8", "height": array.shape[1], "width": array.shape[2], "photometric": "RGB"}
    with rasterio.open(tmp_path / "plain.tif", "w", **profile) as dataset:
        dataset.write(array)
    rasterio.shutil.copy(tmp_path / "plain.tif", tmp_path / "cog.tif", driver="COG", compress="deflate", blocksize=256)
    size = (tmp_path / "cog.tif").stat().st_size
    corner = profile["transform"]
    box = f"{corner.c + 1000},{corner.f - 1200},{corner.c + 1150},{corner.f - 1050}"
    mapper = Mapper.of(ColourEncoder(), "colours")
    with served(tmp_path) as (url, sent):
        there = mapper.map(f"{url}/cog.tif", "red,green,blue", tmp_path / "there.tif", aoi=box)
        assert sum(sent) < 0.2 * size
    here = mapper.map(tmp_path / "cog.tif", "red,green,blue", tmp_path / "here.tif", aoi=box)
    assert there.scene.name == "cog.tif"
    assert _labels(there.labels).shape == (250, 250)
    assert np.array_equal(_labels(there.labels), _labels(here.labels))


def test_the_package_offers_what_it_names():
    assert lposs_geo.map_scene is map_scene
    for name in lposs_geo.__all__:
        assert hasattr(lposs_geo, name)
    for name in ("graph", "propagation", "encoders"):
        assert getattr(lposs_geo, name).__name__ == f"lposs_geo.{name}"
    with pytest.raises(AttributeError, match="nonsense"):
        lposs_geo.nonsense  # noqa: B018


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_a_gpu_gives_the_same_map(mapped, tmp_path):
    folder, _ = mapped
    for device in ("cpu", "cuda"):
        map_scene(folder / "chip.tif", WORDS, tmp_path / f"{device}.tif", device=device)
    assert (_labels(tmp_path / "cpu.tif") == _labels(tmp_path / "cuda.tif")).mean() > 0.995


@pytest.fixture(scope="module")
def lakeside_map(lakeside, tmp_path_factory):
    """The whole bundled scene in one tile, and a function that gives its labels at another tile size or of an area."""
    folder = tmp_path_factory.mktemp("lakeside")

    def labels(tile_size: int, window: Window | None = None) -> np.ndarray:
        path = folder / "map.tif"
        map_scene(lakeside, WORDS + ",road,building", path, tile_size=tile_size, window=window, overwrite=True)
        return _labels(path)

    return labels(2000), labels


def _seam_index(labels: np.ndarray, tile_size: int) -> float:
    """How often labels change across the lines between tiles, over how often they do elsewhere."""
    rates = []
    for turned in (labels, labels.T):
        changes = (turned[1:] != turned[:-1]).mean(axis=1)
        on_line = np.arange(1, len(turned)) % tile_size == 0
        rates.append((changes[on_line].mean(), changes[~on_line].mean()))
    lines, elsewhere = np.mean(rates, axis=0)
    return float(lines / elsewhere)


@pytest.mark.parametrize("tile_size", [256, 512])
def test_a_real_scene_has_no_seams(lakeside_map, tile_size):
    untiled, labels = lakeside_map
    tiled = labels(tile_size)
    assert (tiled == untiled).mean() >= 0.9999
    # where the lines lie, the land changes as often as it does: what counts is that tiling adds nothing to it
    assert _seam_index(tiled, tile_size) / _seam_index(untiled, tile_size) == pytest.approx(1, abs=0.02)


def test_an_area_off_the_tiles_and_patches_has_no_seams_either(lakeside_map):
    untiled, labels = lakeside_map
    area = Window(111, 203, 487, 555)
    whole, tiled = labels(2000, area), labels(190, area)
    assert (tiled == whole).mean() >= 0.9999
    # the lattice is the scene's, and so is all that an area sees of its surroundings; here that's the whole scene
    assert (whole == untiled[area.toslices()]).mean() >= 0.9999


def _fields() -> np.ndarray:
    """Red and blue fields with a green stripe."""
    picture = np.random.default_rng(0).integers(1, 60, (3, 150, 201)).astype("uint8")
    picture[0, :, :97] += 150
    picture[1, :, 97:137] += 150
    picture[2, :, 137:] += 150
    return picture


def test_polygons_come_as_a_table(write_raster, tmp_path):
    mapper = Mapper.of(ColourEncoder(), "colours")
    result = mapper.map(write_raster(_fields()), "red,blue", tmp_path / "m.tif", vector=tmp_path / "m.parquet")
    table = result.polygons()
    assert set(table.class_name) == {"red", "blue"}
    assert table.crs.to_epsg() == 32632
    with pytest.raises(OutputError, match="made without polygons: name a file for vector"):
        mapper.map(write_raster(_fields()), "red,blue", tmp_path / "n.tif").polygons()


def test_a_mistaken_keyword_is_said_before_anything_is_read(tmp_path):
    with pytest.raises(TypeError, match="there is no option 'scores'"):
        map_scene("nowhere.tif", "red,blue", tmp_path / "m.tif", scores="s.tif")
