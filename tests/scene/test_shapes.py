from __future__ import annotations

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS

from lposs_geo.grid import Grid
from lposs_geo.scene.shapes import Shapes, on_pixels, read_shapes, reproject

DEGREES, UTM = pyproj.CRS(4326), pyproj.CRS(32632)
LINE = shapely.LineString([(0, 0), (3, 4)])


def shapes(*parts):
    return Shapes(np.array(parts, dtype=object), np.arange(len(parts)))


def read(*texts):
    return read_shapes([None if text is None else shapely.to_wkb(shapely.from_wkt(text)) for text in texts])


def test_parts_keep_their_rows():
    texts = ["POINT Z(1 2 3)", None, "MULTIPOINT(1 1,2 2)", "LINESTRING(0 0,3 4)", "POINT EMPTY"]
    result, odd = read(*texts, "GEOMETRYCOLLECTION(POINT(5 5),POLYGON((0 0,1 0,1 1,0 0)))")
    assert result.rows.tolist() == [0, 2, 2, 3, 5, 5]
    assert [part.geom_type for part in result.parts] == ["Point"] * 3 + ["LineString", "Point", "Polygon"]
    assert not shapely.has_z(result.parts).any()
    assert odd.tolist() == []
    assert len(read_shapes([])[0].parts) == 0


def test_odd_shapes_are_named():
    result, odd = read("POINT(1 1)", "POINT(1 nan)", "LINESTRING(0 0,1e13 0)", "MULTIPOINT(1 1,2 inf)")
    assert (result.rows.tolist(), odd.tolist()) == ([0], [1, 2, 3])


def test_a_part_of_an_odd_shape_is_not_taken():
    circle = bytes.fromhex(
        "01080000000300000000000000000000000000000000000000000000000000f03f000000000000f03f0000000000000040"
    ) + bytes(8)
    collection = bytes.fromhex("010700000002000000") + shapely.to_wkb(shapely.Point(1, 1)) + circle
    result, odd = read_shapes([collection])
    assert (len(result.parts), odd.tolist()) == (0, [0])


def test_long_edges_bend_on_the_way():
    (moved,) = reproject(shapes(shapely.LineString([(6, 47), (12, 47)])), DEGREES, UTM).parts
    ends = shapely.get_coordinates(moved)
    assert ends[0, 1] - ends[:, 1].min() > 4000


def test_parts_without_a_position_are_left_out():
    far = [
        shapely.Point(9, 47),
        shapely.Point(-171, -47),
        shapely.Point(9, 95),
        shapely.LineString([(9, 47), (9, 120)]),
    ]
    result = reproject(shapes(*far), DEGREES, UTM)
    assert result.rows.tolist() == [0]
    # of what reaches too far, the rest remains
    world = reproject(shapes(shapely.box(-180, -90, 180, 90), far[0]), DEGREES, UTM)
    assert set(world.rows.tolist()) == {0, 1}


def test_outlines_that_cross_themselves_keep_their_parts():
    tie = shapely.Polygon([(8, 46), (10, 48), (10, 46), (8, 48)])
    moved = reproject(shapes(shapely.Point(9, 47), tie), DEGREES, UTM)
    assert moved.rows.tolist() == [0, 1]
    # both halves are there: GEOS would mend it by leaving one out
    west, low, east, high = moved.parts[1].bounds
    assert (east - west, high - low) == pytest.approx((156_000, 222_500), rel=0.02)
    assert moved.parts[1].geom_type == "Polygon"


def test_jumps_of_longitudes_are_undone():
    zone = pyproj.CRS(32660)
    turned = reproject(shapes(shapely.box(179, -18, 181, -17), LINE), DEGREES, zone)
    assert turned.rows.tolist() == [0]
    (back,) = reproject(turned, zone, DEGREES).parts
    assert back.bounds[2] - back.bounds[0] == pytest.approx(2, abs=1e-3)
    pole = reproject(shapes(shapely.Point(0, 0).buffer(1e6)), pyproj.CRS(3995), DEGREES)
    assert len(pole.parts) == 0


def test_the_same_crs_changes_nothing():
    some = shapes(LINE)
    assert reproject(some, UTM, UTM) is some
    assert len(reproject(shapes(), DEGREES, UTM).parts) == 0


def test_px_on_a_fine_grid():
    grid = Grid(10, 20, CRS.from_epsg(32632), Affine(2, 0, 100, 0, -2, 200))
    result = on_pixels(shapes(shapely.Point(103.0001, 197), shapely.Point(99, 197), shapely.box(0, 0, 110, 190)), grid)
    assert result.rows.tolist() == [0, 2]
    assert result.parts[0].coords[0] == (1.5, 1.5)
    assert result.parts[1].bounds == (-50, 5, 5, 100)


@pytest.mark.parametrize("east", [-360, 0, 360])
def test_whole_turns_away(east):
    grid = Grid(10, 20, CRS.from_epsg(4326), Affine(1, 0, 170, 0, -1, 5))
    result = on_pixels(shapes(shapely.Point(172.5 + east, 0)), grid)
    assert [part.coords[0] for part in result.parts] == [(2.5, 5)]
