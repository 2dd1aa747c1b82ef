from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from lposs_geo.examples.examples import Examples
from lposs_geo.examples.runs import Line, Runs, joined
from lposs_geo.tiling import tiles

LINE = Line(40, 50)


def block(top, left, rows, cols):
    row = np.arange(top, top + rows)
    start = LINE.index(row, np.full(rows, left))
    return start, start + cols


def examples(*blocks, class_ids=None):
    """An example for each block, of the classes 1, 2, 3, 1, ..."""
    edges = [block(*each) for each in blocks]
    owner = np.repeat(np.arange(len(blocks)), [len(start) for start, _ in edges])
    runs = Runs(owner, *(np.concatenate(column) for column in zip(*edges, strict=True)))
    ids = np.arange(len(blocks)) % 3 + 1 if class_ids is None else class_ids
    return Examples(LINE, ("a", "b", "c"), np.array(ids, dtype=np.uint8), np.ones(len(blocks)), joined(runs))


THREE = examples((0, 0, 3, 5), (20, 10, 1, 1), (30, 40, 10, 10))


def test_counts():
    assert THREE.counts == {"a": 1, "b": 1, "c": 1}
    assert THREE.pixel_counts.tolist() == [15, 1, 100]
    assert examples((0, 0, 3, 5)).counts == {"a": 1}


def test_burned_px_bear_their_class():
    whole = THREE.burn(Window(0, 0, 50, 40))
    assert whole.dtype == np.uint8
    assert (whole[:3, :5] == 1).all() and whole[20, 10] == 2 and (whole[30:, 40:] == 3).all()
    assert (whole > 0).sum() == 116
    over = examples((0, 0, 3, 5), (1, 1, 3, 5), class_ids=[200, 200]).burn(Window(0, 0, 50, 40))
    assert set(np.unique(over)) == {0, 200}


@given(st.integers(1, 60), st.lists(st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 20)] * 2), min_size=1))
def test_tiles_are_burned_as_the_whole_is(side, blocks):
    some = examples(*blocks, class_ids=[2] * len(blocks))
    whole = some.burn(Window(0, 0, 50, 40))
    parts = np.full_like(whole, 255)
    for tile in tiles(40, 50, side, 3):
        rows, cols = tile.core.toslices()
        parts[rows, cols] = some.burn(tile.core)
    assert (parts == whole).all()
    # the squares that hold some are those that are named
    squares = {(window.row_off, window.col_off) for window in some.windows(side)}
    filled = {(row // side * side, col // side * side) for row, col in np.argwhere(whole).tolist()}
    assert squares == filled


def test_squares_come_row_by_row_and_end_at_the_scene():
    assert list(THREE.windows(32)) == [Window(0, 0, 32, 32), Window(32, 0, 18, 32), Window(32, 32, 18, 8)]


@pytest.mark.parametrize("limit", [1, 4, 64, 99, 1000])
def test_chosen_px_are_the_examples_own(limit):
    example, row, col = THREE.pixels(limit)
    assert np.bincount(example).tolist() == [min(15, limit), 1, min(100, limit)]
    assert len(set(zip(example, row, col, strict=True))) == len(example)
    whole = THREE.burn(Window(0, 0, 50, 40))
    assert (whole[row, col] == example + 1).all()
    for index in range(3):
        rows, cols = THREE.pixels_of(index, limit)
        assert (rows == row[example == index]).all() and (cols == col[example == index]).all()


def test_chosen_px_are_spread():
    """Not one row or column of a block, however long its rows are."""
    for rows, cols in ((32, 32), (8, 40), (40, 16), (30, 33)):
        row, col = examples((0, 0, rows, cols)).pixels_of(0, 64)
        quarters = np.bincount((row >= rows / 2) * 2 + (col >= cols / 2))
        assert quarters.min() >= 10
        assert len(np.unique(col)) >= min(cols, 16)


def test_some_of_them():
    some = THREE.restricted(np.array([True, False, True]))
    assert (len(some), some.counts, some.pixel_counts.tolist()) == (2, {"a": 1, "c": 1}, [15, 100])
    assert some.burn(Window(10, 20, 1, 1)).tolist() == [[0]]
    assert some.digest != THREE.digest
    assert THREE.restricted(np.ones(3, dtype=bool)).digest == THREE.digest
    assert THREE.restricted(np.zeros(3, dtype=bool)).counts == {}
