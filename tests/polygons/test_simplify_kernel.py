from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from lposs_geo.polygons.bundles import Arcs
from lposs_geo.polygons.simplify_kernel import Simplified, is_free, scratch_for, simplify


@settings(max_examples=300)
@given(
    corners=st.lists(st.tuples(st.integers(0, 199), st.integers(0, 30)), min_size=3, max_size=3, unique=True),
    others=st.lists(st.tuples(st.integers(0, 199), st.integers(0, 30)), max_size=30),
    near=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=2),
)
def test_a_triangle_is_free_if_no_other_mark_touches_it(corners, others, near):
    a, v, b = np.array(corners)
    # some are within it, or right beside
    others = [*others, *(tuple(np.rint(a + one * (v - a) + one * two * (b - v)).astype(int)) for one, two in near)]
    marks = np.zeros((31, 4), np.uint64)
    for x, y in [*corners, *others]:
        marks[y, x // 64] |= np.uint64(1 << int(x % 64))
    hit = shapely.intersects(shapely.convex_hull(shapely.multipoints(corners)), shapely.points(others or [(-9, -9)]))
    own = [tuple(map(int, point)) in corners for point in others or [(-9, -9)]]
    assert is_free(marks, *(point.astype(np.int32) for point in (a, v, b))) == (not (hit & ~np.array(own)).any())


def _marks(points, others=()):
    marks = np.zeros((64, 1), np.uint64)
    for col, row in [*points, *others]:
        marks[row, 0] |= np.uint64(1 << col)
    return marks


def _simplified(line, limit, *, others=(), fewest=2, sides=(0, 1), closed=False):
    """One arc, simplified; `others` are corners of other borders."""
    ends = [[-1, -1]] if closed else [[0, 1]]
    arcs = Arcs(
        np.array(line, np.int32), np.array([0, len(line)]), np.array([sides], np.int32), np.array(ends, np.int64)
    )
    marks = _marks(line, others)
    before = marks.copy()
    out = Simplified(np.zeros((len(line), 2), np.int32), np.zeros(2, np.int64))
    scratch = scratch_for(len(line))
    simplify(0, 1, limit, arcs, np.array([fewest], np.uint8), marks, scratch, out)
    assert np.array_equal(marks, before)
    assert not scratch.gone.any()
    return [tuple(point) for point in out.points[: out.starts[1]].tolist()]


def _visvalingam(line, limit):
    """The method as it is described, on an open line with nothing around it."""
    line = list(line)
    while len(line) > 2:
        areas = [
            abs((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]))
            for a, b, c in zip(line, line[1:], line[2:], strict=False)
        ]
        if min(areas) > limit:
            break
        del line[1 + areas.index(min(areas))]
    return line


@pytest.mark.parametrize("limit", [0, 1, 2, 6, 20, 10**6])
@pytest.mark.parametrize("seed", range(5))
def test_the_corner_with_the_smallest_triangle_goes_first(seed, limit):
    rng = np.random.default_rng(seed)
    steps = rng.integers(1, 4, 12)  # a staircase that only rises: it can't meet itself
    across = np.cumsum(np.where(np.arange(12) % 2, steps, 0))
    down = np.cumsum(np.where(np.arange(12) % 2, 0, steps))
    line = list(zip(across.tolist(), down.tolist(), strict=True))
    assert _simplified(line, limit) == _visvalingam(line, limit)


STAIRS = [(0, 0), (0, 2), (2, 2), (2, 4), (4, 4)]


def test_a_corner_of_another_border_is_not_jumped_over():
    assert _simplified(STAIRS, 10**6) == [(0, 0), (4, 4)]
    left = _simplified(STAIRS, 10**6, others=[(1, 1)])
    assert len(left) == 3
    moved = shapely.union(shapely.Polygon([*STAIRS, *left[::-1]]).buffer(0), shapely.LineString(left))
    assert not moved.intersects(shapely.Point(1, 1))


def test_an_arc_keeps_its_fewest_points():
    assert len(_simplified(STAIRS, 10**6, fewest=3)) == 3


def test_borders_towards_nodata_stay():
    assert _simplified(STAIRS, 10**6, sides=(0, -1)) == STAIRS


def test_a_closed_arc_ends_where_it_begins():
    line = [(2, 0), (4, 0), (4, 2), (6, 2), (6, 6), (2, 6), (2, 0)]
    left = _simplified(line, 10**6, fewest=4, closed=True)
    assert len(left) == 4
    assert left[0] == left[-1]
    assert set(left) <= set(line)
