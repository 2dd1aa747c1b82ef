from __future__ import annotations

import numpy as np
import pytest

from lposs_geo.polygons.corner_kernel import DOWN, LEFT, NODE, RIGHT, UP, CornerCounts, count_corners


def _definition(ids: np.ndarray) -> dict[tuple[int, int], int]:
    """Sides that are border at each corner (col, row) where the border doesn't go straight on."""
    padded = np.pad(ids, 1, constant_values=-1)
    corners = {}
    for row in range(ids.shape[0] + 1):
        for col in range(ids.shape[1] + 1):
            (above_left, above_right), (below_left, below_right) = padded[row : row + 2, col : col + 2]
            bits = RIGHT * (above_right != below_right) + DOWN * (below_left != below_right)
            bits += LEFT * (above_left != below_left) + UP * (above_left != above_right)
            if bits not in (0, RIGHT | LEFT, UP | DOWN):
                corners[col, row] = int(bits)
    return corners


@pytest.mark.parametrize("seed", range(20))
def test_corners_are_where_the_border_bends_or_parts(seed, lattice_of, runs_of):
    rng = np.random.default_rng(seed)
    ids = rng.integers(-1, 3, (rng.integers(1, 7), rng.choice([1, 5, 70])))
    expected = _definition(ids)
    lattice, counts = lattice_of(ids)
    position, sides, _ = (array[: counts.corners] for array in lattice.corners)
    by_row = sorted(expected, key=lambda corner: corner[::-1])
    assert list(map(tuple, position.tolist())) == by_row
    assert [int(bits) & 15 for bits in sides] == [expected[corner] for corner in by_row]
    nodes = [corner for corner in by_row if expected[corner].bit_count() > 2]
    assert [by_row[corner] for corner in lattice.nodes.corner[: counts.nodes]] == nodes
    assert [by_row[i] for i in np.flatnonzero(sides & NODE)] == nodes
    assert counts == (len(by_row), len(nodes), sum(bits == RIGHT | DOWN for bits in expected.values()))
    assert count_corners(0, len(ids) + 1, ids.shape[1], runs_of(ids)) == counts
    marked = [
        (col, row)
        for row, words in enumerate(lattice.marks.tolist())
        for col in range(ids.shape[1] + 1)
        if words[col // 64] >> col % 64 & 1
    ]
    assert marked == by_row


def test_a_node_knows_the_regions_around_it_and_the_corners_below_and_above(lattice_of):
    lattice, counts = lattice_of(np.array([[0, 1], [2, 3]]))
    position = lattice.corners.position.tolist()
    node = [position[corner] for corner in lattice.nodes.corner[: counts.nodes]].index([1, 1])
    assert lattice.nodes.cells[node].tolist() == [3, 2, 0, 1]
    assert [position[corner] for corner in lattice.nodes.link[node]] == [[1, 2], [1, 0]]


def test_a_corner_is_linked_to_the_next_one_on_its_border(lattice_of):
    lattice, counts = lattice_of(np.array([[0, 0], [0, 0]]))
    assert lattice.corners.position[: counts.corners].tolist() == [[0, 0], [2, 0], [0, 2], [2, 2]]
    assert lattice.corners.link[: counts.corners].tolist() == [2, 3, 0, 1]
    assert lattice.tips[: counts.tips].tolist() == [[-1, 0]]


def test_rows_can_be_counted_in_parts(runs_of):
    ids = np.random.default_rng(3).integers(-1, 3, (9, 6))
    parts = [count_corners(first, min(first + 4, 10), 6, runs_of(ids)) for first in range(0, 10, 4)]
    assert CornerCounts(*np.sum(parts, axis=0).tolist()) == count_corners(0, 10, 6, runs_of(ids))
