"""Maps made with examples: whole runs on small scenes."""

from __future__ import annotations

import json
from dataclasses import replace

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

from lposs_geo import models
from lposs_geo.errors import ModelError, ParameterError
from lposs_geo.mapping import Mapper
from lposs_geo.memory import Budget
from lposs_geo.testing.encoders import ColourEncoder

CLASSES = "red,green,blue"
RED, GREEN, BLUE, DULL = (230, 30, 30), (30, 230, 30), (30, 30, 230), (140, 110, 60)  # the words call dull red


class SmallPatches(ColourEncoder):
    """So that a small scene has many."""

    crop_size, stride, patch_size, n_neighbors = 32, 32, 4, 20


MAPPER = Mapper.of(SmallPatches(), "small", fingerprint="1")


def _scene(write_raster, name="scene.tif", seed=0, **options):
    """Four fields, one of each colour, and a strip without data at the bottom."""
    rng = np.random.default_rng(seed)
    colours = np.array([[RED, GREEN], [BLUE, DULL]], np.float32)
    image = np.repeat(np.repeat(colours, 60, axis=0), 80, axis=1).transpose(2, 0, 1)
    image = (image + rng.normal(0, 6, image.shape)).clip(1, 255).astype(np.uint8)
    image[:, 110:] = 0
    return write_raster(image, name, nodata=0, crs="EPSG:32632", photometric="RGB", **options)


@pytest.fixture
def scene(write_raster):
    return _scene(write_raster)


@pytest.fixture
def write_examples(tmp_path, scene):
    """Examples by (class, col, row), as GeoJSON in the scene's CRS."""

    def write(*examples, name="examples.geojson"):
        with rasterio.open(scene) as dataset:
            ground = [dataset.transform @ (col + 0.5, row + 0.5) for _, col, row in examples]
        features = [
            {"type": "Feature", "properties": {"class": word}, "geometry": {"type": "Point", "coordinates": point}}
            for (word, _, _), point in zip(examples, ground, strict=True)
        ]
        crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
        path = tmp_path / name
        path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}))
        return path

    return write


DULL_IS_GREEN = (
    *(("green", 100, 80), ("green", 140, 95), ("green", 90, 100), ("green", 150, 70)),
    *(("green", 120, 20), ("green", 100, 40), ("red", 30, 30), ("red", 60, 15), ("blue", 40, 90), ("blue", 20, 80)),
)
"""From the dull field, and from the others."""


def _labels(path):
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def test_examples_mend_what_the_words_get_wrong(scene, write_examples, tmp_path):
    MAPPER.map(scene, CLASSES, tmp_path / "words.tif")
    result = MAPPER.map(scene, CLASSES, tmp_path / "map.tif", examples=write_examples(*DULL_IS_GREEN))
    before, after = _labels(tmp_path / "words.tif"), _labels(tmp_path / "map.tif")
    assert (before[62:108, 82:] == 1).mean() > 0.95
    assert (after[62:108, 82:] == 2).mean() > 0.95
    assert (after[:58, :78] == 1).mean() > 0.99
    assert (after[62:108, :78] == 3).mean() > 0.99
    assert (after[110:] == 255).all()
    lesson = result.lesson
    assert lesson.examples.counts == {"red": 2, "green": 6, "blue": 2}
    # from the top of the scene down: red, green, red, green, then dull and blue in turn
    assert lesson.by_words.tolist() == [1, 2, 1, 2, 1, 3, 1, 3, 1, 1]
    assert lesson.left_out.tolist() == [1, 2, 1, 2, 2, 3, 2, 3, 2, 2]


def test_what_is_drawn_is_what_it_is_said_to_be(scene, write_examples, tmp_path):
    examples = write_examples(*DULL_IS_GREEN, ("blue", 20, 20))  # one pixel amid red
    MAPPER.map(scene, CLASSES, tmp_path / "map.tif", examples=examples, probabilities=tmp_path / "p.tif")
    assert _labels(tmp_path / "map.tif")[20, 20] == 3
    with rasterio.open(tmp_path / "p.tif") as dataset:
        assert dataset.read()[:, 20, 20].tolist() == [0, 0, 100]


def test_two_runs_and_any_order_of_the_examples_give_the_same_bytes(scene, write_examples, tmp_path):
    for number, examples in enumerate((DULL_IS_GREEN, DULL_IS_GREEN, DULL_IS_GREEN[::-1])):
        path = write_examples(*examples)  # the same name: a map's tags hold it
        MAPPER.map(scene, CLASSES, tmp_path / f"{number}.tif", examples=path, vector=tmp_path / f"{number}.geojson")
    for ending in ("tif", "geojson"):
        first, *others = ((tmp_path / f"{number}.{ending}").read_bytes() for number in range(3))
        assert others == [first, first]


@pytest.mark.parametrize("tile_size", [64, 77])
def test_tiles_and_blocks_change_no_label(scene, write_examples, tmp_path, tile_size, monkeypatch):
    examples = write_examples(*DULL_IS_GREEN)
    MAPPER.map(scene, CLASSES, tmp_path / "whole.tif", examples=examples)
    monkeypatch.setattr("lposs_geo.stages.propagate.BLOCK_MARGIN", 60)
    monkeypatch.setattr(Budget, "graph", property(lambda self: 1_000_000))  # several blocks
    MAPPER.map(scene, CLASSES, tmp_path / "parts.tif", examples=examples, tile_size=tile_size)
    whole, parts = _labels(tmp_path / "whole.tif"), _labels(tmp_path / "parts.tif")
    assert (whole == parts).mean() > 0.999


def test_a_run_that_was_cut_off_goes_on_with_the_head_that_it_had(scene, write_examples, tmp_path):
    examples = write_examples(*DULL_IS_GREEN)
    MAPPER.map(scene, CLASSES, tmp_path / "whole.tif", examples=examples, tile_size=64)
    cut = tmp_path / "cut.tif"

    def stop(stage, done, total):
        if (stage, done) == ("refine", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        MAPPER.map(scene, CLASSES, cut, examples=examples, tile_size=64, progress=stop)
    result = MAPPER.map(scene, CLASSES, cut, examples=examples, tile_size=64, resume=True)
    assert cut.read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert result.lesson.left_out.tolist() == [1, 2, 1, 2, 2, 3, 2, 3, 2, 2]


def test_other_examples_are_another_run(scene, write_examples, tmp_path):
    def stop(stage, done, total):
        if (stage, done) == ("refine", 1):
            raise KeyboardInterrupt

    out = tmp_path / "map.tif"
    with pytest.raises(KeyboardInterrupt):
        MAPPER.map(scene, CLASSES, out, examples=write_examples(*DULL_IS_GREEN), tile_size=64, progress=stop)
    with pytest.raises(Exception, match="set of examples"):
        MAPPER.map(scene, CLASSES, out, examples=write_examples(*DULL_IS_GREEN[:3]), tile_size=64, resume=True)


def test_a_new_name_adds_a_class_by_its_word(scene, write_examples, tmp_path):
    examples = write_examples(*DULL_IS_GREEN[4:], *(("blue-green", col, row) for _, col, row in DULL_IS_GREEN[:4]))
    with pytest.raises(ParameterError, match="blue-green"):
        MAPPER.map(scene, CLASSES, tmp_path / "map.tif", examples=examples)

    class Knows(SmallPatches):
        words = SmallPatches.words | {"blue-green": (0.1, 0.7, 0.7)}

    mapper = Mapper.of(Knows(), "small", fingerprint="1")
    result = mapper.map(scene, CLASSES, tmp_path / "map.tif", examples=examples, add_classes=True)
    assert result.legend.names == ["red", "green", "blue", "blue-green"]
    assert (_labels(tmp_path / "map.tif")[62:108, 82:] == 4).mean() > 0.95


def test_what_was_learnt_is_used_on_the_next_sheet(scene, write_examples, write_raster, tmp_path):
    learned = MAPPER.map(scene, CLASSES, tmp_path / "map.tif", examples=write_examples(*DULL_IS_GREEN)).lesson.learned
    sheet = _scene(write_raster, "next.tif", seed=7)
    MAPPER.map(sheet, learned, tmp_path / "next_map.tif")
    after = _labels(tmp_path / "next_map.tif")
    assert (after[62:108, 82:] == 2).mean() > 0.95
    assert (after[:58, :78] == 1).mean() > 0.99
    with pytest.raises(ModelError, match="other weights"):
        Mapper.of(SmallPatches(), "small", fingerprint="2").map(sheet, learned, tmp_path / "other.tif")
    with pytest.raises(ModelError, match="other bands"):
        MAPPER.map(sheet, replace(learned, digest="others"), tmp_path / "other.tif")
    assert not (tmp_path / "other.tif").exists()


def test_examples_go_on_from_what_was_learnt_before(scene, write_examples, tmp_path):
    learned = MAPPER.map(scene, CLASSES, tmp_path / "map.tif", examples=write_examples(*DULL_IS_GREEN)).lesson.learned
    more = write_examples(("blue", 30, 20), ("blue", 60, 40), name="more.geojson")
    result = MAPPER.map(scene, learned, tmp_path / "again.tif", examples=more)
    after = _labels(tmp_path / "again.tif")
    assert (after[62:108, 82:] == 2).mean() > 0.9  # is still known
    assert result.lesson.by_words.tolist() == [1, 1]


def test_examples_without_data_are_counted_and_none_at_all_is_refused(scene, write_examples, tmp_path, caplog):
    on_nothing = ("red", 30, 115), ("red", 40, 116)
    MAPPER.map(scene, CLASSES, tmp_path / "map.tif", examples=write_examples(*DULL_IS_GREEN, *on_nothing))
    assert "2 of 12 examples lie where the scene has no data" in caplog.text
    with pytest.raises(ParameterError, match="none of the examples"):
        MAPPER.map(scene, CLASSES, tmp_path / "none.tif", examples=write_examples(*on_nothing))
    window = rasterio.windows.Window(0, 0, 80, 60)
    with pytest.raises(ParameterError, match="outside the area that is mapped"):
        MAPPER.map(scene, CLASSES, tmp_path / "none.tif", examples=write_examples(("red", 100, 80)), window=window)
    assert not (tmp_path / "none.tif").exists()


def test_a_map_without_examples_tells_no_lesson(scene, tmp_path):
    assert MAPPER.map(scene, CLASSES, tmp_path / "map.tif").lesson is None


def test_a_pair_whose_seeds_are_cosines_learns_too(checkpoints, chip, tmp_path):
    pair = models.pair(
        f"open_clip:ViT-S-32-alt@{checkpoints / 'clip.safetensors'}",
        f"timm:vit_tiny_patch16_224@{checkpoints / 'vit.pth'}",
    )
    mapper = Mapper.load(pair, use_cache=False)
    with rasterio.open(chip) as dataset:
        points = [("forest", 60, 60), ("forest", 200, 80), ("water", 120, 200), ("water", 230, 230)]
        rows = [
            f'{word},"POINT ({" ".join(map(str, dataset.transform @ (c + 0.5, r + 0.5)))})"' for word, c, r in points
        ]
        examples = tmp_path / "e.csv"
        examples.write_text("class,WKT\n" + "\n".join(rows) + "\n")
    result = mapper.map(chip, "water,forest", tmp_path / "map.tif", examples=examples, confidence=tmp_path / "c.tif")
    labels = _labels(tmp_path / "map.tif")
    assert [labels[row, col] for _, col, row in points] == [2, 2, 1, 1]
    assert [name for name, _ in result.lesson.learned.layout][:2] == ["vlm0", "vm"]
    confidence = _labels(tmp_path / "c.tif")
    assert (confidence[labels != 255] >= 50).all()  # of two classes, the likelier one
    mapper.map(chip, result.lesson.learned, tmp_path / "learned.tif")
    assert (_labels(tmp_path / "learned.tif") == labels).mean() > 0.9


def test_points_are_suggested_where_there_is_a_choice(scene, write_examples, tmp_path):
    suggested = tmp_path / "next.geojson"
    result = MAPPER.map(scene, CLASSES, tmp_path / "map.tif", suggest=suggested)
    points = geopandas.read_file(suggested)
    assert list(points["class"].fillna("")) == [""] * len(points)
    assert 1 <= len(points) <= 10
    assert set(points["first"]) | set(points["second"]) <= set(result.legend.names)
    # filled in, the file is one of examples
    points["class"] = points["first"]
    points.to_file(suggested)
    again = MAPPER.map(scene, CLASSES, tmp_path / "again.tif", examples=suggested)
    assert sum(again.lesson.examples.counts.values()) == len(points)
    with pytest.raises(ParameterError, match="one class only"):
        MAPPER.map(scene, "red", tmp_path / "one.tif", suggest=tmp_path / "one.geojson")
    assert not (tmp_path / "one.tif").exists()


@pytest.mark.parametrize("change", ["another kind", "too few", "twice", "bands of none"])
@pytest.mark.parametrize("with_examples", [False, True])
def test_what_was_learnt_of_other_features_is_refused(scene, write_examples, tmp_path, change, with_examples):
    examples = write_examples(*DULL_IS_GREEN)
    learned = MAPPER.map(scene, CLASSES, tmp_path / "map.tif", examples=examples).lesson.learned
    (first, *others), tensors, two = learned.layout, learned.tensors, np.ones((2, 3), np.float32)
    changed = {
        "another kind": {"layout": (*learned.layout, ("x", 2)), "tensors": tensors | {"x": two}},
        "too few": {"layout": (("vlm0", 2), *others), "tensors": tensors | {"vlm0": two}},
        "twice": {"layout": (first, first, *others)},
        "bands of none": {"digest": ""},
    }[change]
    given = {"examples": examples} if with_examples else {}
    with pytest.raises(ModelError, match="the legend was learnt on"):
        MAPPER.map(scene, replace(learned, **changed), tmp_path / "again.tif", **given)
    assert not (tmp_path / "again.tif").exists()


def test_the_words_are_asked_of_all_examples_however_many(scene, write_examples, tmp_path, monkeypatch):
    examples = write_examples(*DULL_IS_GREEN)
    few = MAPPER.map(scene, CLASSES, tmp_path / "few.tif", examples=examples).lesson
    monkeypatch.setattr("lposs_geo.stages.teach.MOST_ROWS", 4)
    lesson = MAPPER.map(scene, CLASSES, tmp_path / "many.tif", examples=examples).lesson
    assert np.count_nonzero(lesson.left_out) < 10
    assert lesson.by_words.tolist() == few.by_words.tolist()


def test_no_point_is_suggested_on_an_example(scene, tmp_path):
    with rasterio.open(scene) as dataset:
        left, bottom, right, top = dataset.bounds
        transform = dataset.transform
    middle = (left + right) / 2
    frame = geopandas.GeoDataFrame(
        {"class": ["red"]}, geometry=[shapely.box(left, bottom, middle, top)], crs="EPSG:32632"
    )
    frame.to_file(tmp_path / "half.gpkg")
    suggested = tmp_path / "next.geojson"
    MAPPER.map(scene, CLASSES, tmp_path / "map.tif", examples=tmp_path / "half.gpkg", suggest=suggested)
    points = geopandas.read_file(suggested).to_crs("EPSG:32632").geometry
    assert len(points) > 3
    assert (points.x > middle - abs(transform.a)).all()
