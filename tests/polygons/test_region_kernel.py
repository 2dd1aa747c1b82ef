from __future__ import annotations

import numpy as np
import pytest

from lposs_geo.polygons.bundles import RegionFacts, Runs
from lposs_geo.polygons.region_kernel import Strip, fold, label_rows, resolve, root_of


def _empty(labels, *, confident):
    most, rows = labels.size, len(labels)
    runs = Runs(np.zeros(rows + 1, np.int64), np.zeros(most, np.int32), np.zeros(most, np.int32))
    known = most if confident else 0
    facts = RegionFacts(np.zeros(most, np.uint8), np.zeros(most), np.zeros(known, np.int64), np.zeros(known, np.int64))
    return runs, np.zeros(most, np.int32), facts


def _flooded(labels):
    """Connected pixels, numbered by their first, pixel by pixel; -1 for nodata."""
    ids, number = np.full(labels.shape, -1), 0
    for start in np.ndindex(labels.shape):
        if labels[start] == 255 or ids[start] >= 0:
            continue
        waiting = [start]
        while waiting:
            row, col = waiting.pop()
            inside = 0 <= row < labels.shape[0] and 0 <= col < labels.shape[1]
            if inside and ids[row, col] < 0 and labels[row, col] == labels[start]:
                ids[row, col] = number
                waiting += [(row + 1, col), (row - 1, col), (row, col + 1), (row, col - 1)]
        number += 1
    return ids


@pytest.mark.parametrize("seed", range(20))
def test_connected_pixels_are_one_region(seed):
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.array([1, 2, 255], np.uint8), (rng.integers(1, 9), rng.integers(1, 9)))
    confidence = rng.choice(np.array([10, 60, 255], np.uint8), labels.shape)
    areas = rng.random(len(labels))
    runs, parent, facts = _empty(labels, confident=True)
    used = 0
    for first in range(0, len(labels), 3):  # in strips
        part = slice(first, first + 3)
        used = label_rows(Strip(labels[part], areas[part], confidence[part], first), used, runs, parent, facts)
    parent, facts = parent[:used], facts.of_first(used)
    facts = facts.of_first(fold(parent, facts))
    resolve(runs.region, parent, runs.region)
    ids = _flooded(labels)
    number = ids.max() + 1
    actual = np.full(labels.shape, -2)
    for row in range(len(labels)):
        first = 0
        for run in range(runs.row_starts[row], runs.row_starts[row + 1]):
            actual[row, first : runs.end[run]] = runs.region[run]
            first = runs.end[run]
    assert np.array_equal(actual, ids)
    assert facts.label.tolist() == [labels[ids == region][0] for region in range(number)]
    shares = np.repeat(areas[:, None], labels.shape[1], axis=1)
    assert facts.area == pytest.approx([shares[ids == region].sum() for region in range(number)])
    known = [confidence[(ids == region) & (confidence != 255)].astype(int) for region in range(number)]
    assert facts.confidence_sum.tolist() == [values.sum() for values in known]
    assert facts.confidence_count.tolist() == [len(values) for values in known]


def test_without_confidence_none_is_counted():
    labels = np.array([[1, 1], [2, 1]], np.uint8)
    runs, parent, facts = _empty(labels, confident=False)
    used = label_rows(Strip(labels, np.ones(2), np.zeros((2, 0), np.uint8), 0), 0, runs, parent, facts)
    assert fold(parent[:used], facts.of_first(used)) == 2
    assert len(facts.confidence_sum) == 0


def test_a_root_is_the_lowest_id_and_the_way_to_it_becomes_shorter():
    parent = np.array([0, 0, 1, 2, 3])
    assert root_of(parent, 4) == 0
    assert parent.tolist() == [0, 0, 0, 2, 2]
