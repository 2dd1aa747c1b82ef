from __future__ import annotations

import numpy as np
import pytest

from lposs_geo.polygons.bundles import Members, Pieces, RegionFacts
from lposs_geo.polygons.merge_kernel import fold_merged, list_pieces, merge


def _facts(label, area):
    none = np.zeros(0, np.int64)
    return RegionFacts(np.array(label, np.uint8), np.array(area, float), none, none)


def _pieces(ids, area, limit, runs_of):
    runs, area = runs_of(ids), np.array(area, float)
    starts = np.zeros(len(area) + 1, np.int64)
    list_pieces(0, len(ids), runs, area, limit, Pieces(starts[1:], np.empty(0, np.int32), np.empty(0, np.int32)))
    np.cumsum(starts, out=starts)
    pieces = Pieces(starts, np.zeros(starts[-1], np.int32), np.zeros(starts[-1], np.int32))
    ends = starts[:-1].copy()
    list_pieces(0, len(ids), runs, area, limit, Pieces(ends, pieces.neighbours, pieces.lengths))
    assert np.array_equal(ends, starts[1:])
    return pieces


def _merged(ids, label, area, limit, runs_of):
    pieces, facts = _pieces(ids, area, limit, runs_of), _facts(label, area)
    own = np.arange(len(label), dtype=np.int32)
    members = Members(own, np.full(len(own), -1, np.int32), own.copy())
    merge(pieces, limit, members, facts, np.zeros(len(own), np.int64))
    number = fold_merged(members.parent, facts)
    return members.parent.tolist(), facts.label[:number].tolist(), facts.area[:number].tolist()


@pytest.mark.parametrize("seed", range(10))
def test_pieces_add_up_to_the_common_borders_of_small_regions(seed, runs_of):
    rng = np.random.default_rng(seed)
    ids = rng.integers(-1, 4, (6, 7))
    area = rng.random(4)
    pieces = _pieces(ids, area, 0.5, runs_of)
    shared = np.zeros((4, 4), int)
    for here, there in ((ids[1:], ids[:-1]), (ids[:, 1:], ids[:, :-1])):
        for one, other in zip(here.ravel(), there.ravel(), strict=True):
            if one >= 0 and other >= 0 and one != other:
                shared[one, other] += 1
                shared[other, one] += 1
    shared[area >= 0.5] = 0  # the pieces of large regions aren't listed
    actual = np.zeros((4, 4), int)
    for region in range(4):
        own = slice(pieces.starts[region], pieces.starts[region + 1])
        np.add.at(actual[region], pieces.neighbours[own], pieces.lengths[own])
    assert np.array_equal(actual, shared)


def test_a_small_region_joins_the_neighbour_with_the_longest_common_border(runs_of):
    ids = np.array([[0, 0, 0], [0, 1, 2], [2, 2, 2]])  # region 1 shares two sides with each: the larger one wins
    assert _merged(ids, [5, 6, 7], [4, 1, 4.5], 2, runs_of) == ([0, 1, 1], [5, 7], [4, 5.5])
    assert _merged(ids, [5, 6, 7], [4, 1, 4], 2, runs_of) == ([0, 0, 1], [5, 7], [5, 4])
    ids[2, 1] = 0  # now the other one has the longer border
    assert _merged(ids, [5, 6, 7], [4, 1, 9], 2, runs_of) == ([0, 0, 1], [5, 7], [5, 9])


def test_neighbours_that_become_of_one_class_become_one_region(runs_of):
    ids = np.array([[0, 0, 1, 2, 2]])
    assert _merged(ids, [5, 6, 5], [2, 1, 2], 2, runs_of) == ([0, 0, 0], [5], [5])


def test_an_island_amid_nodata_stays(runs_of):
    ids = np.array([[0, -1, 1]])
    assert _merged(ids, [5, 6], [1, 1], 9, runs_of) == ([0, 1], [5, 6], [1, 1])


def test_merging_goes_on_until_all_is_large_enough(runs_of):
    ids = np.array([[0, 1, 2, 3]])
    assert _merged(ids, [1, 2, 3, 4], [1, 1.5, 2, 3], 4, runs_of) == ([0, 0, 0, 0], [4], [7.5])
