from __future__ import annotations

import numpy as np

from lposs_geo.examples.runs import Runs
from lposs_geo.examples.settling import settle


def settled(*rows, weights=None):
    """Rows of (class id, first px, px behind the last)."""
    classes, start, stop = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    weights = np.ones(len(rows)) if weights is None else np.array(weights, dtype=float)
    return settle(Runs(np.arange(len(rows)), start, stop), classes, weights)


def pixels(result):
    runs = result.runs
    return list(zip(runs.owner.tolist(), runs.start.tolist(), runs.stop.tolist(), strict=True))


def test_the_same_drawn_twice_is_one_of_the_larger_weight():
    result = settled((1, 5, 6), (1, 5, 6), (2, 8, 9), weights=[1, 3, 2])
    assert (result.repeated, len(result.contradicting), result.pixels) == (1, 0, 0)
    assert (result.kept.tolist(), result.weights.tolist()) == ([0, 2], [3, 2])
    assert pixels(result) == [(0, 5, 6), (1, 8, 9)]


def test_px_of_two_classes_count_for_neither():
    result = settled((1, 0, 10), (2, 6, 20), (2, 30, 31))
    assert pixels(result) == [(0, 0, 6), (1, 10, 20), (2, 30, 31)]
    assert (result.pixels, len(result.contradicting)) == (4, 0)


def test_examples_without_px_left_contradict():
    # a point of another class in a polygon, and two points of two classes on one px
    result = settled((1, 0, 10), (2, 6, 7), (1, 20, 21), (3, 20, 21))
    assert pixels(result) == [(0, 0, 6), (0, 7, 10)]
    assert sorted(result.contradicting.tolist()) == [1, 2, 3]
    assert result.pixels == 2


def test_a_contradicting_example_counts_though_it_repeats():
    result = settled((1, 6, 7), (2, 6, 7), (2, 6, 7))
    assert (len(result.kept), result.repeated, len(result.contradicting)) == (0, 1, 2)


def test_none():
    empty = np.zeros(0, dtype=np.int64)
    result = settle(Runs(empty, empty, empty), np.array([1, 2]), np.ones(2))
    assert (len(result.kept), result.repeated, len(result.contradicting), result.pixels) == (0, 0, 0, 0)
