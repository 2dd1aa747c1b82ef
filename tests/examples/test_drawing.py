from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from lposs_geo.errors import ParameterError
from lposs_geo.examples import drawing
from lposs_geo.examples.drawing import draw
from lposs_geo.examples.runs import Line

LINE = Line(30, 40)
COORDINATES = st.integers(-10 * 256, 50 * 256).map(lambda part: part / 256)
CORNERS = st.lists(st.tuples(COORDINATES, COORDINATES), min_size=3, max_size=7, unique=True)


def mask(*shapes, line=LINE):
    """How often each px is drawn."""
    counts = np.zeros((line.height, line.width), dtype=int)
    runs = draw(np.array(shapes, dtype=object), line)
    for start, stop in zip(runs.start.tolist(), runs.stop.tolist(), strict=True):
        counts[start // line.step, start % line.step : stop - start + start % line.step] += 1
    return counts


def drawn(*shapes):
    return [tuple(map(int, each)) for each in np.argwhere(mask(*shapes))]


def test_a_point_draws_its_px():
    assert drawn(shapely.Point(3.99, 7.0)) == [(7, 3)]
    assert drawn(shapely.Point(0, 0)) == [(0, 0)]
    assert drawn(shapely.Point(40, 3), shapely.Point(3, 30), shapely.Point(-0.01, 3)) == []


def test_a_line_draws_a_px_for_each_step():
    assert drawn(shapely.LineString([(1.5, 2.5), (4.5, 2.5)])) == [(2, 1), (2, 2), (2, 3), (2, 4)]
    assert drawn(shapely.LineString([(2.5, 1.2), (2.5, 3.1)])) == [(1, 2), (2, 2), (3, 2)]
    assert drawn(shapely.LineString([(0.5, 0.5), (3.5, 3.5)])) == [(k, k) for k in range(4)]
    assert drawn(shapely.LineString([(5.2, 5.2), (5.2, 5.2)])) == [(5, 5)]


@given(CORNERS)
def test_a_line_has_no_gap_and_stays_at_the_line(corners):
    line = shapely.LineString(corners)
    pixels = mask(line)
    assert (pixels == mask(line.reverse())).all()
    for row, col in np.argwhere(pixels):
        assert shapely.distance(line, shapely.box(col, row, col + 1, row + 1)) == 0
    inside = shapely.intersection(line, shapely.box(1, 1, 39, 29))
    for part in shapely.get_parts(inside):
        for point in shapely.get_coordinates(shapely.segmentize(part, 0.3)):
            col, row = np.floor(point).astype(int)
            assert pixels[row - 1 : row + 2, col - 1 : col + 2].any()


@given(CORNERS)
def test_a_polygon_draws_the_px_whose_centres_are_inside(corners):
    polygon = shapely.Polygon(corners)
    valid = shapely.make_valid(polygon)
    cols, rows = np.meshgrid(np.arange(40) + 0.5, np.arange(30) + 0.5)
    sure = shapely.distance(shapely.LinearRing(corners), shapely.points(cols, rows)) > 1e-9
    inside = shapely.contains_xy(valid, cols, rows)
    pixels = mask(polygon) > 0
    if inside[sure].any():
        assert (pixels == inside)[sure].all()
    assert pixels.sum() <= max(1, (inside | ~sure).sum())


@given(CORNERS, st.integers(0, 20), st.integers(0, 20))
def test_a_part_of_the_scene_is_drawn_as_in_the_whole(corners, top, left):
    part = Line(8, 9)
    for shape in (shapely.Polygon(corners), shapely.LineString(corners), shapely.Point(corners[0])):
        moved = shapely.transform(shape, lambda points: points - [left, top])
        assert (mask(moved, line=part) == mask(shape)[top : top + 8, left : left + 9]).all()


@given(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=4, max_size=12, unique=True))
def test_polygons_side_by_side_share_no_px(corners):
    triangles = shapely.get_parts(shapely.delaunay_triangles(shapely.MultiPoint(corners)))
    centres = [each for each in triangles if mask(each).any()]
    cols, rows = np.meshgrid(np.arange(40) + 0.5, np.arange(30) + 0.5)
    large = [each for each in centres if shapely.contains_xy(each, cols, rows).any()]
    assert mask(*large).max(initial=0) <= 1


def test_a_polygon_between_the_centres_draws_the_px_below_it():
    assert drawn(shapely.box(3.6, 4.6, 3.9, 4.9)) == [(4, 3)]
    assert drawn(shapely.Polygon([(1, 1), (2, 2), (3, 3)])) in ([(1, 1)], [(2, 2)])
    assert drawn(shapely.box(50, 4.6, 50.1, 4.9)) == []


def test_holes_and_bow_ties():
    ring = shapely.box(2, 2, 12, 12) - shapely.box(5, 5, 8, 8)
    assert mask(ring).sum() == 100 - 9
    tie = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    assert mask(tie).sum() == pytest.approx(50, abs=10)


def test_each_shape_has_its_own_px():
    shapes = np.array([shapely.box(0, 0, 2, 1), shapely.Point(50, 50), shapely.Point(1.5, 0.5)], dtype=object)
    runs = draw(shapes, LINE)
    assert (runs.owner.tolist(), runs.start.tolist(), runs.stop.tolist()) == ([0, 2], [0, 1], [2, 2])
    assert len(draw(np.array([], dtype=object), LINE)) == 0


def test_a_polygon_of_the_whole_of_a_large_scene_takes_no_mask():
    line = Line(100_000, 1_000_000)
    runs = draw(np.array([shapely.box(-1e7, -1e7, 1e7, 1e7)], dtype=object), line)
    assert len(runs) == 100_000
    assert (runs.stop - runs.start == 1_000_000).all()


def test_more_than_memory_bears_is_refused(monkeypatch):
    monkeypatch.setattr(drawing, "MOST_STEPS", 50)
    with pytest.raises(ParameterError, match="cross 60 rows of pixels, more than 50: give fewer or smaller"):
        draw(np.array([shapely.box(0, 0, 40, 30)], dtype=object), LINE)
