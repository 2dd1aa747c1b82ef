from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from lposs_geo.polygons.arc_kernel import fewest_points


def _lines(arcs):
    return [list(map(tuple, arcs.points[start:end].tolist())) for start, end in pairwise(arcs.starts.tolist())]


def test_two_regions_side_by_side_have_three_arcs(arcs_of):
    arcs, leaving, _ = arcs_of(np.array([[0, 1]]))
    lines = _lines(arcs)
    assert sorted(lines) == sorted(
        [[(1, 0), (2, 0), (2, 1), (1, 1)], [(1, 0), (1, 1)], [(1, 0), (0, 0), (0, 1), (1, 1)]]
    )
    assert arcs.sides[lines.index([(1, 0), (1, 1)])].tolist() == [1, 0]
    assert arcs.ends.tolist() == [[0, 1]] * 3
    # a dart leaves the first node on each side that is border, and its opposite the second one
    first, second = leaving.tolist()
    assert (first[3], second[1]) == (-1, -1)
    assert sorted(first[:3]) == [0, 2, 4]
    assert sorted(dart ^ 1 for dart in (second[0], *second[2:])) == [0, 2, 4]


def test_an_arc_without_nodes_is_closed(arcs_of):
    ids = np.zeros((3, 3), int)
    ids[1, 1] = 1
    arcs, _, following = arcs_of(ids)
    assert _lines(arcs) == [
        [(0, 0), (3, 0), (3, 3), (0, 3), (0, 0)],
        [(1, 1), (2, 1), (2, 2), (1, 2), (1, 1)],
    ]
    assert arcs.sides.tolist() == [[-1, 0], [0, 1]]
    assert arcs.ends.tolist() == [[-1, -1]] * 2
    assert following.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(20))
def test_every_side_between_two_regions_is_on_one_arc(seed, arcs_of):
    rng = np.random.default_rng(seed)
    ids = rng.integers(-1, 3, (rng.integers(1, 8), rng.integers(1, 8)))
    arcs, leaving, _ = arcs_of(ids)
    drawn = []
    for line in _lines(arcs):
        for (col, row), (to_col, to_row) in pairwise(line):
            assert (col == to_col) != (row == to_row)
            between = range(min(row, to_row), max(row, to_row)), range(min(col, to_col), max(col, to_col))
            drawn += [("down", step, col) for step in between[0]] + [("along", row, step) for step in between[1]]
    padded = np.pad(ids, 1, constant_values=-1)
    down, along = padded[1:-1, 1:] != padded[1:-1, :-1], padded[1:, 1:-1] != padded[:-1, 1:-1]
    expected = [("down", row, col) for row, col in np.argwhere(down).tolist()]
    expected += [("along", row, col) for row, col in np.argwhere(along).tolist()]
    assert sorted(drawn) == sorted(expected)
    # each end of an open arc is a dart that leaves a node, and no dart leaves two
    darts = sorted(dart for dart in leaving.ravel().tolist() if dart >= 0)
    opened = np.flatnonzero(arcs.ends[:, 0] >= 0).tolist()
    assert darts == sorted(dart for arc in opened for dart in (2 * arc, 2 * arc + 1))


def _fewest(ids, arcs_of):
    arcs, leaving, _ = arcs_of(ids)
    fewest = np.zeros(len(arcs.ends), np.uint8)
    fewest_points(arcs, leaving, fewest)
    return arcs, fewest.tolist()


def test_closed_arcs_and_loops_keep_a_triangle(arcs_of):
    island = np.zeros((4, 4), int)
    island[1, 1], island[2, 2] = 1, 2  # they touch: two loops from the node between them to itself
    arcs, fewest = _fewest(island, arcs_of)
    assert sorted(fewest) == [4, 4, 4]
    assert sorted((arcs.ends[:, 0] < 0).tolist()) == [False, False, True]


def test_of_several_ways_between_two_nodes_one_may_become_straight(arcs_of):
    # region 2 lies between 0 and 1, each of its two inner sides from the same node to the same
    ids = np.array([[0, 0, 0, 0, 0], [0, 2, 2, 2, 0], [1, 1, 2, 1, 1], [1, 1, 1, 1, 1]])
    arcs, fewest = _fewest(ids, arcs_of)
    ways = [i for i, sides in enumerate(arcs.sides.tolist()) if sorted(sides) in ([0, 2], [1, 2])]
    assert sorted(fewest[i] for i in ways) == [2, 3]
    assert fewest[min(ways)] == 2
