"""Files that tell of examples, made from finished tiles of a small scene."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate

from lposs_geo.content import Content
from lposs_geo.errors import OutputError, ParameterError, SceneError
from lposs_geo.examples.examples import Examples
from lposs_geo.examples.learned import Learned, read_learned
from lposs_geo.examples.lesson import Lesson
from lposs_geo.examples.runs import Line, Runs
from lposs_geo.examples.suggest import Suggestion
from lposs_geo.files import room
from lposs_geo.finished import are_as_written
from lposs_geo.legend.building import from_words
from lposs_geo.needs import check_room_for_products
from lposs_geo.products import Outputs, Written, write_products
from lposs_geo.progress import Progress
from lposs_geo.provenance import LEARNED_TAG
from lposs_geo.request import Polygons
from lposs_geo.scene.description import describe
from lposs_geo.writers.rasters import read_label_legend

LEGEND = from_words("forest,grass,water")
ROWS, COLS = 90, 120
PART = Window(10, 20, 100, 60)
"""Of the scene, that is mapped."""


def _labels() -> np.ndarray:
    """Of the part."""
    labels = np.full((60, 100), 1, np.uint8)
    labels[:, 50:], labels[40:, :30], labels[:5, 90:] = 2, 3, 255
    return labels


@pytest.fixture
def content(write_raster) -> Content:
    """A map of the part, in tiles of 32 px."""
    pixels = np.random.default_rng(0).integers(1, 255, (3, ROWS, COLS)).astype(np.uint8)
    scene = describe(write_raster(pixels))
    labels = _labels()

    def tiles():
        for row in range(0, 60, 32):
            for col in range(0, 100, 32):
                own = labels[row : row + 32, col : col + 32]
                confidence = np.where(own == 255, 255, np.where(own == 3, 30, 80)).astype(np.uint8)
                yield Window(10 + col, 20 + row, own.shape[1], own.shape[0]), np.stack([own, confidence])

    return Content(scene, scene, PART, LEGEND, tiles, {"LPOSS_GEO_MODEL": "mini"}, {}, [])


@pytest.fixture
def lesson() -> Lesson:
    """Five points: three on forest, one of them outside the map, one on grass and one on water."""
    line = Line(ROWS, COLS)
    rows, cols = np.array([3, 25, 26, 30, 75]), np.array([3, 15, 20, 80, 15])
    start = line.index(rows, cols)
    examples = Examples(
        line, tuple(LEGEND.names), np.array([1, 1, 1, 2, 3], np.uint8), np.ones(5), Runs(np.arange(5), start, start + 1)
    )
    learned = Learned(LEGEND, "mini", "0123", (("vlm", 2),), {"weights": np.ones((3, 2), np.float32)})
    return Lesson(examples, learned, np.array([1, 1, 2, 2, 1], np.uint8), np.array([1, 1, 3, 2, 3], np.uint8))


def _write(content: Content, folder: Path, **options) -> Written:
    outputs = Outputs.of(folder / "map.tif", {name: folder / value for name, value in options.items()})
    (folder / ".map.tif.lposs-geo").mkdir()
    check_room_for_products(outputs, content, Polygons(), folder / ".map.tif.lposs-geo")
    written = write_products(outputs, content, Polygons(), Progress(None), folder / ".map.tif.lposs-geo")
    assert are_as_written(outputs.paths)
    return written


@pytest.fixture
def earlier(content, tmp_path) -> Path:
    """The same map, of more forest."""
    (tmp_path / "before").mkdir()

    def tiles():
        for window, layers in content.tiles():
            yield window, np.stack([np.where(layers[0] == 255, 255, 1).astype(np.uint8), layers[1]])

    _write(dataclasses.replace(content, tiles=tiles), tmp_path / "before")
    return tmp_path / "before" / "map.tif"


@pytest.fixture
def full(content, lesson, earlier) -> Content:
    def suggest(count):
        return [Suggestion((20.0 + number, 30.0), 1, 2, (0.5, 0.4)) for number in range(count)]

    return dataclasses.replace(content, lesson=lesson, earlier=earlier, suggest=suggest)


def test_a_map_without_examples_tells_nothing_of_them(content, tmp_path):
    written = _write(content, tmp_path, report="map.html")
    assert (written.agreement, written.changes) == (None, None)
    assert len(written.areas) == 3
    assert "Examples" not in (tmp_path / "map.html").read_text()


@pytest.mark.parametrize(
    ("product", "ending", "missing"),
    [
        ("changes", ".tif", "there is no earlier map to compare with"),
        ("save", ".lposs", "nothing is learnt"),
        ("suggest", ".gpkg", "no points can be suggested"),
    ],
)
def test_what_a_map_has_nothing_for_is_refused_early(content, tmp_path, product, ending, missing):
    outputs = Outputs.of(tmp_path / "map.tif", {product: tmp_path / f"x{ending}"})
    with pytest.raises(ParameterError, match=missing) as caught:
        outputs.check(content.scene, overwrite=False)
    assert f"leave <{product}> out" in caught.value.hint
    outputs.check(content.scene, overwrite=False, given={"lesson", "earlier", "suggest"})
    with pytest.raises(ParameterError, match=missing):
        write_products(outputs, content, Polygons(), Progress(None), tmp_path)


def test_suggestions_that_a_format_cannot_hold_are_refused_early(write_raster, tmp_path):
    scene = describe(write_raster(np.ones((3, 20, 20), np.uint8), crs=None))
    outputs = Outputs.of(tmp_path / "map.tif", {"suggest": tmp_path / "next.geojson"})
    with pytest.raises(OutputError, match="without a CRS"):
        outputs.check(scene, overwrite=False, given={"suggest"})


def test_changes_are_told_and_written(full, tmp_path):
    changes = _write(full, tmp_path, changes="changes.tif").changes
    mapped = 60 * 100 - 50
    assert [(pair.before, pair.after, round(pair.share * mapped)) for pair in changes.pairs] == [
        *(("forest", "grass", 50 * 60 - 50), ("forest", "water", 20 * 30)),
    ]
    assert round(changes.share * mapped) == 3550
    labels = _labels()
    with rasterio.open(tmp_path / "changes.tif") as dataset, rasterio.open(tmp_path / "map.tif") as of_labels:
        values, colours = dataset.read(1), dataset.colormap(1)
        assert (dataset.crs, dataset.transform, dataset.nodata) == (of_labels.crs, of_labels.transform, 255)
        assert dataset.tags()["LPOSS_GEO_MODEL"] == "mini"
    assert np.array_equal(values, np.where(labels == 1, 0, labels))
    assert all(colours[each.id][:3] == each.colour for each in LEGEND.classes)
    assert cog_validate(tmp_path / "changes.tif")[0]
    assert [(each.id, each.name) for each in read_label_legend(tmp_path / "changes.tif").classes] == [
        *((0, "unchanged"), (1, "forest"), (2, "grass"), (3, "water")),
    ]
    style = (tmp_path / "changes.qml").read_text()
    assert 'value="0"' in style and 'label="unchanged"' in style


def test_what_became_unknown_is_told_from_what_has_not_changed(full, tmp_path):
    changes = _write(dataclasses.replace(full, min_confidence=0.5), tmp_path, changes="changes.tif").changes
    assert [pair.after for pair in changes.pairs] == ["grass", "unknown"]
    with rasterio.open(tmp_path / "changes.tif") as dataset:
        assert np.array_equal(dataset.read(1) == 254, _labels() == 3)
    assert read_label_legend(tmp_path / "changes.tif").classes[-1].name == "unknown"


def test_examples_are_counted_where_the_map_has_data(full, tmp_path):
    agreement = _write(full, tmp_path).agreement
    assert (agreement.examples, agreement.before, agreement.after) == (4, 2, 4)
    assert (agreement.judged, agreement.left_out) == (4, 3)
    (tmp_path / "words").mkdir()
    agreement = _write(dataclasses.replace(full, earlier=None), tmp_path / "words").agreement
    assert (agreement.before, agreement.has_earlier) == (2, False)


def test_an_earlier_map_on_another_grid_leaves_nothing_behind(full, tmp_path, write_raster):
    other = write_raster(np.ones((1, 60, 99), np.uint8), "other.tif")
    before = set(tmp_path.iterdir())
    with pytest.raises(SceneError, match="isn't on the grid"):
        _write(dataclasses.replace(full, earlier=other), tmp_path, changes="changes.tif")
    assert {path.name for path in set(tmp_path.iterdir()) - before} <= {".map.tif.lposs-geo"}


@pytest.mark.parametrize("ending", ["gpkg", "parquet", "fgb", "geojson"])
def test_suggestions_are_written_and_may_be_filled_in(full, tmp_path, ending):
    geopandas = pytest.importorskip("geopandas")
    _write(full, tmp_path, suggest=f"next.{ending}")
    path = tmp_path / f"next.{ending}"
    points = geopandas.read_parquet(path) if ending == "parquet" else geopandas.read_file(path)
    assert len(points) == 10
    assert (points["first"] == "forest").all() and (points["second"] == "grass").all()
    if ending == "gpkg":  # what a user fills in doesn't make the map an unfinished one
        import sqlite3

        files = {"labels": tmp_path / "map.tif", "suggest": path}
        database = sqlite3.connect(path)
        for name in ("ST_IsEmpty", "ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY"):
            database.create_function(name, 1, lambda _: 0)
        database.execute("UPDATE suggestions SET class = 'water'")
        database.commit()
        assert are_as_written(files)
        database.execute("DELETE FROM suggestions WHERE rank = 3")
        database.commit()
        database.close()
        assert not are_as_written(files)


def test_what_was_learnt_is_saved(full, lesson, tmp_path):
    _write(full, tmp_path, save="heath.lposs")
    kept = read_learned(tmp_path / "heath.lposs")
    assert (kept.legend, kept.model) == (LEGEND, "mini")
    assert np.array_equal(kept.tensors["weights"], lesson.learned.tensors["weights"])


def test_all_of_them_are_in_the_item_and_the_same_again(full, tmp_path):
    files = {"changes": "c.tif", "suggest": "next.gpkg", "save": "heath.lposs", "report": "m.html", "stac": "m.json"}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        _write(full, tmp_path / name, **files)
    item = json.loads((tmp_path / "one" / "m.json").read_text())
    assert {asset["href"] for asset in item["assets"].values()} == {
        *("./map.tif", "./c.tif", "./next.gpkg", "./heath.lposs", "./m.html"),
    }
    for name in ("map.tif", "c.tif", "c.tif.aux.xml", "c.qml", "next.gpkg", "heath.lposs"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert {path.name for path in (tmp_path / "one").iterdir() if not path.name.startswith(".")} == {
        *("map.tif", "map.tif.aux.xml", "map.qml", "map.sld", "c.tif", "c.tif.aux.xml", "c.qml", "next.gpkg"),
        *("heath.lposs", "m.html", "m.json"),
    }


def test_the_report_tells_what_examples_did(full, tmp_path):
    _write(full, tmp_path, report="map.html")
    page = (tmp_path / "map.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert "2 of 4 examples agreed before, 4 after, 3 of 4 left out; 59.7 % of the area changed" in page
    assert page.count("<figure>") >= 3


def test_changes_need_room_too(full, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: usage._replace(free=1))
    outputs = Outputs.of(tmp_path / "map.tif", {"changes": tmp_path / "changes.tif"})
    with pytest.raises(OutputError, match="labels and changes will take"):
        check_room_for_products(outputs, full, Polygons(), tmp_path)


def test_only_the_labels_bear_what_was_learnt(full, tmp_path):
    content = dataclasses.replace(full, tags={**full.tags, LEARNED_TAG: "letters"})
    _write(content, tmp_path, changes="c.tif", confidence="s.tif")
    for name, bears in (("map.tif", True), ("c.tif", False), ("s.tif", False)):
        with rasterio.open(tmp_path / name) as dataset:
            assert (LEARNED_TAG in dataset.tags()) == bears
            assert dataset.tags()["LPOSS_GEO_MODEL"] == "mini"
