from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from lposs_geo.grid import Grid
from lposs_geo.polygons import regions as module
from lposs_geo.polygons.borders import Borders, Rings, draw_rings, find_borders, find_rings, simplify_borders
from lposs_geo.polygons.regions import Regions, find_regions

VALUES = [1, 2, 3, 0, 255]


def noise(rows: int, cols: int, seed: int, values: list[int]) -> np.ndarray:
    """Hypothesis likes arrays that are nearly empty: these are full."""
    return np.random.default_rng(seed).choice(np.array(values, dtype="uint8"), (rows, cols))


def blobs(rows: int, cols: int, seed: int, values: list[int]) -> np.ndarray:
    """Patches with winding borders."""
    fields = np.random.default_rng(seed).standard_normal((len(values), rows, cols))
    return np.array(values, dtype="uint8")[ndimage.gaussian_filter(fields, (0, 1, 1)).argmax(axis=0)]


label_rasters = st.one_of(
    arrays.arrays("uint8", arrays.array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.sampled_from(VALUES)),
    *(
        st.builds(make, st.integers(1, most), st.integers(1, most), st.integers(0, 2**32), st.sampled_from(values))
        for make, most, values in ((noise, 14, [VALUES, [1, 2]]), (blobs, 40, [VALUES, [1, 2, 3], [1, 2]]))
    ),
)


def borders_of(labels: np.ndarray, folder: Path) -> tuple[Regions, Borders]:
    grid = Grid(*labels.shape, None, Affine.identity())
    regions = find_regions(lambda first, last: labels[first:last], grid, folder)
    return regions, find_borders(regions, folder)


def ids_of(regions: Regions) -> np.ndarray:
    """The region of each pixel, -1 for nodata."""
    rows = np.split(np.arange(len(regions.run_end)), regions.row_starts[1:-1])
    lengths = [np.diff(regions.run_end[row], prepend=0) for row in rows]
    return np.repeat(regions.run_region, np.concatenate(lengths)).reshape(regions.shape)


def polygons_of(regions: Regions, borders: Borders, folder: Path) -> np.ndarray:
    rings = find_rings(borders, len(regions), folder)
    return polygons_in(draw_rings(borders, rings, 0, len(regions)))


def polygons_in(ragged: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    points, ring_starts, polygon_starts = ragged
    return shapely.from_ragged_array(shapely.GeometryType.POLYGON, points, (ring_starts, polygon_starts))


def arcs_of(borders: Borders) -> list[list[tuple[int, int]]]:
    starts = borders.starts.tolist()
    return [list(map(tuple, borders.points[start:end].tolist())) for start, end in pairwise(starts)]


def raster(*rows: str) -> np.ndarray:
    """Labels drawn with digits; a dot is nodata."""
    return np.array([[255 if cell == "." else int(cell) for cell in row] for row in rows], dtype="uint8")


def straight_or_same(borders: Borders) -> bool:
    """Whether two arcs between the same nodes are the same line."""
    seen = set()
    for arc in arcs_of(borders):
        key = min(tuple(arc), tuple(arc[::-1]))
        if key in seen:
            return True
        seen.add(key)
    return False


@settings(max_examples=100)
@given(labels=label_rasters)
def test_arcs_are_the_sides_between_pixels(labels, tmp_path_factory):
    folder = tmp_path_factory.mktemp("borders")
    regions, borders = borders_of(labels, folder)
    ids = np.pad(ids_of(regions), 1, constant_values=-1)
    sides = set()
    for arc, (left, right) in zip(arcs_of(borders), borders.sides.tolist(), strict=True):
        for (x, y), (to_x, to_y) in pairwise(arc):
            assert (x == to_x) != (y == to_y)
            step_x, step_y = np.sign(to_x - x), np.sign(to_y - y)
            while (x, y) != (to_x, to_y):
                on = (x + step_x, y + step_y)
                sides.add(frozenset([(x, y), on]))
                # the cells beside a step: those around its corner on the way's own side
                centre = (x + on[0]) / 2, (y + on[1]) / 2
                cells = [
                    ids[1 + math.floor(centre[1] + turn * -step_x / 2), 1 + math.floor(centre[0] + turn * step_y / 2)]
                    for turn in (1, -1)
                ]
                assert cells == [left, right]
                x, y = on
    down, along = ids[1:] != ids[:-1], ids[:, 1:] != ids[:, :-1]
    assert len(sides) == down.sum() + along.sum()
    # no point within a straight line, and corners are marked
    for arc in arcs_of(borders):
        steps = np.sign(np.diff(arc, axis=0))
        assert (steps[1:] != steps[:-1]).any(axis=1).all()
    marked = {
        (64 * word + bit, y)
        for y, row in enumerate(borders.marks.tolist())
        for word, value in enumerate(row)
        for bit in range(64)
        if value >> bit & 1
    }
    assert marked == {point for arc in arcs_of(borders) for point in arc}


@settings(max_examples=100)
@given(labels=label_rasters, tolerance=st.sampled_from([0.0, 0.75, 1.0, 2.0, 5.0, 1e12]))
def test_any_tolerance_leaves_the_same_map(labels, tolerance, tmp_path_factory):
    folder = tmp_path_factory.mktemp("borders")
    regions, borders = borders_of(labels, folder)
    marks = borders.marks.copy()
    simple = simplify_borders(borders, tolerance, folder)
    assert np.array_equal(borders.marks, marks)
    assert not straight_or_same(simple)
    polygons = polygons_of(regions, simple, folder)
    assert shapely.is_valid(polygons).all()
    assert shapely.coverage_is_valid(polygons)
    assert (shapely.area(polygons) > 0).all()
    assert shapely.area(polygons).sum() == (labels != 255).sum()
    # who touches whom, and how many holes each has, is as before
    exact = polygons_of(regions, borders, folder)
    assert np.array_equal(shapely.get_num_interior_rings(exact), shapely.get_num_interior_rings(polygons))
    beside, still = (shapely.relate_pattern(each[:, None], each, "F***1****") for each in (exact, polygons))
    assert np.array_equal(beside, still)
    # ends stay, points are some of the old ones in the same order, and towards nodata all are kept
    for old, new, sides in zip(arcs_of(borders), arcs_of(simple), borders.sides.tolist(), strict=True):
        rest = iter(old if old[0] == new[0] else old[old.index(new[0]) : -1] + old[: old.index(new[0]) + 1])
        assert all(point in rest for point in new)
        if old[0] != old[-1] or -1 in sides:
            assert (old[0], old[-1]) == (new[0], new[-1])
        if -1 in sides:
            assert old == new


@settings(max_examples=100)
@given(labels=label_rasters)
def test_shells_come_first_and_run_against_the_clock(labels, tmp_path_factory):
    folder = tmp_path_factory.mktemp("borders")
    regions, borders = borders_of(labels, folder)
    rings = find_rings(borders, len(regions), folder)
    for backward in (False, True):
        points, ring_starts, polygon_starts = draw_rings(borders, rings, 0, len(regions), backward=backward)
        lines = shapely.linearrings(points, indices=np.repeat(np.arange(len(rings.darts)), np.diff(ring_starts)))
        assert shapely.is_closed(lines).all()
        assert shapely.is_simple(lines).all()
        shell = np.isin(np.arange(len(lines)), polygon_starts[:-1])
        # rows go down, so that what runs against the clock as seen on the raster is clockwise to shapely
        assert np.array_equal(shapely.is_ccw(lines), shell == backward)


def test_some_regions_are_drawn_as_all_are(tmp_path):
    labels = np.random.default_rng(0).integers(1, 3, (20, 20)).astype("uint8")
    regions, borders = borders_of(labels, tmp_path)
    rings = find_rings(borders, len(regions), tmp_path)
    whole = polygons_of(regions, borders, tmp_path)
    assert isinstance(rings, Rings)
    assert len(rings) == len(regions)
    parts = [draw_rings(borders, rings, first, min(first + 7, len(rings))) for first in range(0, len(rings), 7)]
    assert shapely.equals_identical(np.concatenate([polygons_in(part) for part in parts]), whole).all()


def test_a_lonely_region_is_one_closed_arc(tmp_path):
    _, borders = borders_of(raster("11", "11"), tmp_path)
    assert arcs_of(borders) == [[(0, 0), (2, 0), (2, 2), (0, 2), (0, 0)]]
    assert borders.sides.tolist() == [[-1, 0]]
    assert borders.ends.tolist() == [[-1, -1]]


def test_nothing_but_nodata_has_no_borders(tmp_path):
    regions, borders = borders_of(raster("..", ".."), tmp_path)
    assert len(borders) == 0
    assert len(simplify_borders(borders, 1, tmp_path)) == 0
    assert len(find_rings(borders, len(regions), tmp_path)) == 0


def test_the_same_region_on_both_sides_of_a_corner_has_a_hole_there(tmp_path):
    labels = raster("1111", "1211", "1121", "1111")  # two islands that touch
    polygons = polygons_of(*borders_of(labels, tmp_path), tmp_path)
    assert shapely.get_num_interior_rings(polygons).tolist() == [2, 0, 0]
    labels = raster("1112", "1212", "1122", "2222")  # an arm that comes back to itself: the hole touches the shell
    regions, borders = borders_of(labels, tmp_path)
    polygons = polygons_of(regions, borders, tmp_path)
    assert shapely.is_valid(polygons).all()
    labels = raster("111", "121", "112")
    polygons = polygons_of(*borders_of(labels, tmp_path), tmp_path)
    assert shapely.get_num_interior_rings(polygons).tolist() == [1, 0, 0]
    assert shapely.is_valid(polygons).all()


def test_an_island_keeps_a_triangle(tmp_path):
    regions, borders = borders_of(raster("1111", "1211", "1221", "1111"), tmp_path)
    simple = simplify_borders(borders, 100, tmp_path)
    island = polygons_of(regions, simple, tmp_path)[1]
    assert shapely.get_num_coordinates(island) == 4
    assert island.area > 0


def test_a_loop_at_a_node_keeps_a_triangle(tmp_path):
    # two islands that meet at a corner: each is a loop from that node to itself
    regions, borders = borders_of(raster("111111", "122111", "122111", "111331", "111331", "111111"), tmp_path)
    loops = borders.ends[:, 0] == borders.ends[:, 1]
    assert (loops & (borders.ends[:, 0] >= 0)).sum() == 2
    polygons = polygons_of(regions, simplify_borders(borders, 100, tmp_path), tmp_path)
    assert shapely.get_num_coordinates(polygons[1:]).tolist() == [4, 4]
    assert (shapely.area(polygons) > 0).all()


def test_of_two_ways_between_nodes_one_becomes_straight(tmp_path):
    # a lens between 1 and 2: both its sides lead from node to node
    regions, borders = borders_of(
        raster("11111111", "11133111", "13333331", "23333332", "22233222", "22222222"), tmp_path
    )
    simple = simplify_borders(borders, 100, tmp_path)
    inner = (simple.sides >= 0).all(axis=1)
    lens = inner & (simple.sides == regions.label.tolist().index(3)).any(axis=1)
    assert sorted(np.diff(simple.starts)[lens].tolist()) == [2, 3]


def test_where_one_way_is_straight_from_the_beginning_no_other_becomes_so(tmp_path):
    # the region of one row has a straight side below, and a bulge above
    regions, borders = borders_of(raster("11111", "11311", "13331", "22222"), tmp_path)
    region = regions.label.tolist().index(3)
    simple = simplify_borders(borders, 100, tmp_path)
    own = (simple.sides == region).any(axis=1)
    assert sorted(np.diff(simple.starts)[own].tolist()) == [2, 3]
    assert shapely.is_valid(polygons_of(regions, simple, tmp_path)).all()


def test_a_straight_outline_leaves_the_inner_way_its_corner(tmp_path):
    regions, borders = borders_of(raster("1331", "1131", "1111"), tmp_path)
    polygons = polygons_of(regions, simplify_borders(borders, 100, tmp_path), tmp_path)
    assert (shapely.area(polygons) > 0).all()
    assert shapely.area(polygons).sum() == 12


def test_a_corner_in_the_way_is_not_jumped_over(tmp_path):
    labels = np.ones((12, 12), dtype="uint8")
    labels[6:] = 2
    labels[1:6, 4:7] = 2  # a tower of 2 ...
    labels[2, 5] = 3  # ... with an island in its top, which must stay within
    regions, borders = borders_of(labels, tmp_path)
    simple = simplify_borders(borders, 100, tmp_path)
    polygons = polygons_of(regions, simple, tmp_path)
    assert shapely.coverage_is_valid(polygons)
    assert shapely.get_num_interior_rings(polygons)[regions.label == 2] == 1
    assert len(simple.points) < len(borders.points)


def test_a_bar_below_two_patches_keeps_its_area(tmp_path):
    # straight from end to end, its lower side would lie on the corner between the two patches
    regions, borders = borders_of(raster("444444", "441244", "443344", "444444", "444444"), tmp_path)
    polygons = polygons_of(regions, simplify_borders(borders, 1, tmp_path), tmp_path)
    assert (shapely.area(polygons) > 0).all()
    assert shapely.coverage_is_valid(polygons)


@pytest.mark.parametrize("tolerance", [1.0, 3.0])
def test_long_ids_change_nothing(tmp_path, monkeypatch, tolerance):
    labels = np.random.default_rng(0).integers(1, 4, (20, 20)).astype("uint8")
    expected = simplify_borders(borders_of(labels, tmp_path)[1], tolerance, tmp_path)
    monkeypatch.setattr(module, "SHORT_IDS", 0)
    (tmp_path / "long").mkdir()
    regions, borders = borders_of(labels, tmp_path / "long")
    assert borders.sides.dtype == np.int64
    simple = simplify_borders(borders, tolerance, tmp_path / "long")
    assert np.array_equal(simple.points, expected.points)
    assert shapely.coverage_is_valid(polygons_of(regions, simple, tmp_path / "long"))
