from __future__ import annotations

import numpy as np
import pytest

from lposs_geo.graph.patch_kernel import Nodes, fade, keep_most_similar, symmetric_rows


def _search(number, slots, extents):
    """Nodes, and their neighbours and cosines, none of which is known yet."""
    count = int(number.max()) + 1
    nodes = Nodes(np.array(extents), number.astype(np.int32))
    return nodes, np.full((count, slots), -1, np.int32), np.zeros((count, slots), np.float32)


@pytest.mark.parametrize("slots", [1, 3, 6])
@pytest.mark.parametrize("seed", range(5))
def test_each_node_keeps_the_most_similar_within_its_reach(seed, slots):
    rng = np.random.default_rng(seed)
    rows, cols = 5, 6
    valid = rng.random((rows, cols)) < 0.8
    number = np.where(valid, np.cumsum(valid).reshape(rows, cols) - 1, -1)
    # few distinct cosines, so that equals are common, in [cols, rows, cols, rows]
    similarity = (rng.integers(-2, 4, (cols, rows, cols, rows)) / 4).astype(np.float32)
    extents = [2, 1]  # two rows in the same column, one in the next
    nodes, neighbours, cosines = _search(number, slots, extents)
    for first in (0, 3):  # offered in two parts
        part = np.ascontiguousarray(similarity[:, :, first : first + 3])
        keep_most_similar(part, (0, 0), (0, first), nodes, neighbours, cosines)
    for row, col in np.argwhere(valid):
        offered = []
        for other_row, other_col in np.argwhere(valid):
            step, other = abs(other_col - col), int(number[other_row, other_col])
            near = step < len(extents) and abs(other_row - row) <= extents[step]
            cosine = float(similarity[col, row, other_col, other_row])
            if near and cosine > 0 and (other_row, other_col) != (row, col):
                offered.append((-cosine, other))
        node = number[row, col]
        kept = zip(cosines[node].tolist(), neighbours[node].tolist(), strict=True)
        assert sorted((-cosine, other) for cosine, other in kept if cosine > 0) == sorted(offered)[:slots]


def test_nodes_may_begin_elsewhere_than_candidates():
    number = np.arange(12).reshape(3, 4)
    nodes, neighbours, cosines = _search(number, 2, [3, 3, 3, 3])
    keep_most_similar(np.full((1, 1, 2, 1), 0.5, np.float32), (2, 3), (0, 1), nodes, neighbours, cosines)
    assert sorted(neighbours[11].tolist()) == [1, 2]
    assert not cosines[:11].any()


def test_cosines_fade_with_the_distance():
    cosines = np.array([[0.5, 0.0], [0.8, 0.2]], np.float32)
    neighbours = np.array([[1, -1], [0, 1]], np.int32)
    fade(cosines, neighbours, np.array([[0, 0], [3, 4]]), 3.0, 0.1)
    expected = [[0.5**3 * np.exp(-0.5), 0], [0.8**3 * np.exp(-0.5), 0.2**3]]
    assert cosines == pytest.approx(np.array(expected), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_rows_are_those_of_the_normalised_sum(seed):
    rng = np.random.default_rng(seed)
    count, slots = 9, 3
    neighbours = np.array(
        [rng.permutation(np.delete(np.arange(count - 1), min(i, count - 2)))[:slots] for i in range(count)]
    )
    neighbours[neighbours == np.arange(count)[:, None]] = 0
    weights = (rng.random((count, slots)) * (rng.random((count, slots)) < 0.6)).astype(np.float32)
    weights[neighbours == np.arange(count)[:, None]] = 0
    starts, columns, values = symmetric_rows(neighbours.astype(np.int32), weights)
    matrix = np.zeros((count, count))
    for node in range(count):
        np.add.at(matrix[node], columns[starts[node] : starts[node + 1]], values[starts[node] : starts[node + 1]])
    links = np.zeros((count, count))
    np.add.at(links, (np.arange(count)[:, None], neighbours), weights)
    links += links.T
    degree = links.sum(1)
    scale = np.divide(1, np.sqrt(degree), out=np.zeros(count), where=degree > 0)
    assert matrix == pytest.approx(scale[:, None] * links * scale, abs=1e-6)
