from __future__ import annotations

import numpy as np
import pytest

from lposs_geo.graph import pixel_kernel as kernel
from lposs_geo.graph.pixel_kernel import Weights, colour_weights, neighbour_sums

RADIUS = 1
OFFSETS = np.array([(0, 1), (1, -1), (1, 0), (1, 1)])


def _around(lab):
    return np.pad(lab, ((0, 0), (0, RADIUS), (RADIUS, RADIUS)), constant_values=np.nan).astype(np.float32)


def test_weights_are_those_of_the_colour_distance():
    rng = np.random.default_rng(0)
    lab = 0.2 * rng.random((3, 4, 5))
    lab[:, 2, 2] = np.nan  # not valid
    planes = np.full((4, len(OFFSETS), 5), -1, np.float32)
    colour_weights(_around(lab), OFFSETS, 0.05, 0.2, planes)
    for row, k, col in np.ndindex(planes.shape):
        other_row, other_col = row + OFFSETS[k, 0], col + OFFSETS[k, 1]
        expected = 0.0
        if other_row < 4 and 0 <= other_col < 5:
            distance = np.linalg.norm(lab[:, row, col] - lab[:, other_row, other_col])
            expected = np.exp(-distance / 0.05) if distance < 0.2 else 0.0
        assert planes[row, k, col] == pytest.approx(expected, rel=1e-5)


def _definition(planes, scale, x):
    """``D W D x``, pixel by pixel."""
    rows, cols = x.shape[1:]
    out = np.zeros(x.shape)
    for row in range(rows):
        for col in range(cols):
            for k, (down, right) in enumerate(OFFSETS):
                other = row + down, col + right
                if other[0] < rows and 0 <= other[1] < cols:
                    weight = float(planes[RADIUS + row, k, col])
                    out[:, row, col] += weight * scale[other] * x[:, *other]
                    out[:, *other] += weight * scale[row, col] * x[:, row, col]
    return out * scale


@pytest.mark.parametrize("classes", [0, 1, 3, 7])
def test_sums_are_those_over_all_neighbours(classes, monkeypatch):
    rng = np.random.default_rng(classes)
    rows, cols = 5, 7
    planes = rng.random((RADIUS + rows, len(OFFSETS), cols), np.float32)
    scale, x = rng.random((rows, cols), np.float32), rng.standard_normal((classes, rows, cols)).astype(np.float32)
    out = np.full(x.shape, np.nan, np.float32)
    neighbour_sums(Weights(planes, OFFSETS, scale), x, out)
    assert out == pytest.approx(_definition(planes, scale, x), abs=1e-5)


def test_tiles_meet_without_a_seam():
    rng = np.random.default_rng(1)
    rows, cols = kernel.ROWS + 3, kernel.STRIDE + 5
    planes = rng.random((RADIUS + rows, len(OFFSETS), cols), np.float32)
    scale, x = rng.random((rows, cols), np.float32), rng.random((1, rows, cols), np.float32)
    out = np.empty_like(x)
    neighbour_sums(Weights(planes, OFFSETS, scale), x, out)
    assert np.allclose(out, _definition(planes, scale, x), atol=1e-5)
