from __future__ import annotations

import numpy as np
import pytest
import shapely
from scipy import ndimage

from lposs_geo.polygons.bundles import RingList
from lposs_geo.polygons.ring_kernel import count_rings, draw_rings, list_rings


def _rings(ids, arcs_of):
    """Points of each ring, by region, in the order of the list."""
    arcs, _, following = arcs_of(ids)
    regions = int(ids.max()) + 1
    done, numbers = np.zeros(len(following), np.uint8), np.zeros(regions, np.int64)
    total = count_rings(arcs.sides, following, done, numbers)
    assert total == numbers.sum()
    first = np.cumsum(numbers) - numbers
    rings = RingList(np.zeros(total, np.int64), np.zeros(total, np.int64))
    list_rings(arcs, following, done, first, first + 1, rings)
    starts = np.concatenate([[0], np.cumsum(rings.points)])
    drawn = []
    for backward in (False, True):
        out = np.zeros((starts[-1], 2))
        draw_rings(arcs, following, rings.dart, starts, backward, out)
        drawn.append(np.split(out, starts[1:-1]))
    for ring, turned in zip(*drawn, strict=True):
        assert np.array_equal(ring[0], ring[-1])
        assert np.array_equal(turned, ring[::-1])
    return np.split(np.array(drawn[0], object), np.cumsum(numbers)[:-1]) if total else []


def _signed_area(ring):
    x, y = np.asarray(ring, float).T
    return float(x[:-1] @ y[1:] - x[1:] @ y[:-1]) / 2


def test_a_region_around_another_has_a_shell_and_a_hole(arcs_of):
    ids = np.zeros((3, 3), int)
    ids[1, 1] = 1
    outer, inner = _rings(ids, arcs_of)
    # the region is on the left as seen on the raster, whose rows go down: shells have a negative area there
    assert [_signed_area(ring) for ring in outer] == [-9, 1]
    assert [_signed_area(ring) for ring in inner] == [-1]


def test_a_ring_that_would_touch_itself_becomes_two(arcs_of):
    around = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 2]])  # 0 lies on both sides of the corner between 1 and 2
    rings = _rings(around, arcs_of)[0]
    assert [_signed_area(ring) for ring in rings] == [-8, 1]


@pytest.mark.parametrize("seed", range(20))
def test_rings_enclose_the_pixels_of_their_region(seed, arcs_of):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 2, (rng.integers(1, 9), rng.integers(1, 9)))
    ids = np.full(values.shape, -1)
    for value in (0, 1):
        parts, _ = ndimage.label(values == value)
        ids[parts > 0] = parts[parts > 0] + ids.max()
    ids[0, 0] = ids[0, 0] if (ids == ids[0, 0]).sum() > 1 else -1  # some nodata, where no region falls apart
    _, ids = np.unique(ids, return_inverse=True)
    ids = ids.reshape(values.shape)
    for region, (shell, *holes) in enumerate(_rings(ids, arcs_of)):
        polygon = shapely.Polygon(np.array(shell, float), [np.array(hole, float) for hole in holes])
        assert polygon.is_valid
        pixels = [shapely.box(col, row, col + 1, row + 1) for row, col in np.argwhere(ids == region).tolist()]
        assert polygon.equals(shapely.union_all(pixels))
