from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.examples import agreement
from lposs_geo.examples.agreement import agreement_of, labels_at
from lposs_geo.examples.examples import Examples
from lposs_geo.examples.learned import Learned
from lposs_geo.examples.lesson import Lesson
from lposs_geo.examples.runs import Line, Runs, joined
from lposs_geo.legend.building import from_words

LEGEND = from_words("forest,grass,water")


def examples_of(blocks, class_ids):
    """An example for each block (top, left, rows, cols)."""
    line = Line(60, 80)
    edges = [line.index(np.arange(top, top + rows), np.full(rows, left)) for top, left, rows, _ in blocks]
    owner = np.repeat(np.arange(len(blocks)), [len(start) for start in edges])
    start = np.concatenate(edges)
    width = np.array([block[3] for block in blocks])[owner]
    ids = np.array(class_ids, dtype=np.uint8)
    return Examples(line, tuple(LEGEND.names), ids, np.ones(len(blocks)), joined(Runs(owner, start, start + width)))


def lesson_of(examples, by_words, left_out):
    learned = Learned(LEGEND, "mini", "0", (("vlm", 2),), {"weights": np.zeros((3, 2), np.float32)})
    return Lesson(examples, learned, np.array(by_words, np.uint8), np.array(left_out, np.uint8))


FIVE = examples_of(
    [(0, 0, 1, 1), (10, 10, 4, 4), (20, 20, 1, 1), (40, 40, 1, 1), (50, 70, 3, 3)], class_ids=[1, 1, 2, 3, 3]
)


@pytest.fixture
def maps(write_raster):
    before, after = np.full((2, 60, 80), 1, np.uint8)
    after[10:14, 10:14] = [[1, 1, 1, 2]] * 4  # most of the second one
    after[20, 20], after[40, 40], after[49:54] = 2, 0, 255
    return write_raster(after[None], "after.tif"), write_raster(before[None], "before.tif")


def test_examples_are_counted_by_class_where_there_is_data(maps):
    lesson = lesson_of(FIVE, by_words=[2, 1, 2, 2, 3], left_out=[1, 2, 0, 3, 3])
    counted = agreement_of(lesson, maps[0], Window(0, 0, 80, 60), maps[1])
    assert [each.name for each in counted.classes] == ["forest", "grass", "water"]
    forest, grass, water = counted.classes
    assert (forest.examples, forest.before, forest.after, forest.judged, forest.left_out) == (2, 2, 2, 2, 1)
    assert (grass.examples, grass.before, grass.after, grass.judged, grass.left_out) == (1, 0, 1, 0, 0)
    assert (water.examples, water.before, water.after, water.judged, water.left_out) == (1, 0, 0, 1, 1)
    totals = counted.examples, counted.before, counted.after, counted.judged, counted.left_out
    assert totals == (4, 2, 3, 3, 2)
    assert counted.has_earlier


def test_without_an_earlier_map_the_words_are_what_was_before(maps):
    lesson = lesson_of(FIVE, by_words=[2, 1, 2, 3, 3], left_out=[0] * 5)
    counted = agreement_of(lesson, maps[0], Window(0, 0, 80, 60))
    assert (counted.before, counted.judged, counted.has_earlier) == (3, 0, False)


def test_a_map_of_a_part_of_the_scene(write_raster):
    values = np.arange(24, dtype=np.uint8).reshape(1, 4, 6)
    part = write_raster(values, "part.tif")
    found = labels_at(
        part, examples_of([(8, 17, 1, 1), (10, 19, 1, 1), (12, 19, 1, 1)], [1, 1, 1]), Window(18, 9, 6, 4)
    )
    assert found.tolist() == [255, values[0, 1, 1], values[0, 3, 1]]


def test_of_a_large_example_the_label_of_most_px_counts(write_raster):
    values = np.full((1, 60, 80), 3, np.uint8)
    values[:, :, :30], values[0, 0, 0] = 2, 1
    found = labels_at(write_raster(values), examples_of([(0, 0, 60, 80)], [1]), Window(0, 0, 80, 60))
    assert found.tolist() == [3]


def test_parts_give_what_the_whole_gives(write_raster, monkeypatch):
    rng = np.random.default_rng(0)
    path = write_raster(rng.integers(0, 6, (1, 60, 80)).astype(np.uint8))
    corners = np.column_stack([rng.integers(0, 55, 300), rng.integers(0, 75, 300), rng.integers(1, 5, (300, 2))])
    examples = examples_of(corners[np.lexsort(corners.T[1::-1])].tolist(), rng.integers(1, 4, 300))
    whole = labels_at(path, examples, Window(0, 0, 80, 60))
    monkeypatch.setattr(agreement, "AT_ONCE", 7)
    monkeypatch.setattr(agreement, "SQUARE", 16)
    assert np.array_equal(labels_at(path, examples, Window(0, 0, 80, 60)), whole)


def test_a_hundred_thousand_points_take_little_memory(write_raster):
    side = 1024
    path = write_raster(np.random.default_rng(0).integers(1, 4, (1, side, side)).astype(np.uint8), tiled=True)
    line = Line(side, side)
    pixel = np.sort(np.random.default_rng(1).choice(side * side, 100_000, replace=False))
    start = line.index(pixel // side, pixel % side)
    runs = Runs(np.arange(len(start)), start, start + 1)
    examples = Examples(line, tuple(LEGEND.names), np.ones(len(start), np.uint8), np.ones(len(start)), runs)
    tracemalloc.start()
    try:
        found = labels_at(path, examples, Window(0, 0, side, side))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert set(np.unique(found)) == {1, 2, 3}
    assert peak < 50e6


@pytest.mark.parametrize("content", [b"", b"no raster"])
def test_a_map_that_cannot_be_read_is_one_line(tmp_path, content):
    (tmp_path / "map.tif").write_bytes(content)
    with pytest.raises(SceneError, match=r"map\.tif' can't be read") as caught:
        labels_at(tmp_path / "map.tif", FIVE, Window(0, 0, 80, 60))
    assert "\n" not in str(caught.value)
