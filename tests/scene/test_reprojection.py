from __future__ import annotations

import numpy as np
import pyproj
import pytest
import shapely
from rasterio.crs import CRS

from lposs_geo.errors import ParameterError
from lposs_geo.scene.reprojection import (
    check_way,
    cut_edges,
    jumps,
    strayed,
    surroundings,
    transformation,
    turn_of,
    unwrapped,
)

DEGREES, UTM = pyproj.CRS(4326), pyproj.CRS(32632)


def test_a_whole_turn():
    assert turn_of(DEGREES) == turn_of(CRS.from_epsg(4326)) == 360
    assert turn_of(pyproj.CRS(4807)) == 400  # grads
    assert turn_of(UTM) == turn_of(None) == 0


def test_where_a_crs_is_sound():
    around = surroundings(DEGREES, UTM)
    assert around.covers(shapely.Point(9, 47)) and around.covers(shapely.Point(369, 47))
    assert not around.intersects(shapely.Point(-171, 47))
    assert surroundings(UTM, DEGREES) is None
    assert surroundings(DEGREES, pyproj.CRS(4258)) is None


def test_edges_are_cut_to_a_thousand_metres():
    (cut,) = cut_edges(np.array([shapely.LineString([(0, 0), (10_500, 0)])], dtype=object), UTM)
    assert len(cut.coords) == 12
    (cut,) = cut_edges(np.array([shapely.LineString([(0, 0), (1, 0)])], dtype=object), DEGREES)
    assert len(cut.coords) == 113


def test_points_that_do_not_come_back():
    points = np.array([[9, 47], [9, 95], [-171, -47], [120, 10.0]])
    moved = transformation(DEGREES, UTM)(points)
    assert strayed(points, moved, DEGREES, UTM).tolist()[:2] == [False, True]
    moved[0] += 2
    assert strayed(points, moved, DEGREES, UTM)[0]


def test_jumps():
    assert jumps(np.array([[179, 0], [-179, 0.0]]), 360)
    assert not jumps(np.array([[1, 0], [100, 0.0]]), 360)
    split = shapely.Polygon([(179, 0), (-179, 0), (-179, 2), (179, 2)])
    assert unwrapped(split, 360).equals(shapely.box(179, 0, 181, 2))
    box = shapely.box(0, 0, 1, 1)
    assert unwrapped(box, 360) is box
    assert unwrapped(shapely.Polygon([(-120, 80), (0, 80), (120, 80), (-120, 80)]).segmentize(10), 360) is not None
    assert unwrapped(shapely.Polygon([(-170, 80), (-60, 80), (60, 80), (170, 80), (-170, 80)]), 360) is None


def test_another_planet():
    mars = pyproj.CRS(
        'GEOGCS["Mars 2000",DATUM["D_Mars_2000",SPHEROID["Mars_2000",3396190,169.894447]],PRIMEM["Reference",0],'
        'UNIT["Degree",0.0174532925199433]]'
    )
    with pytest.raises(
        ParameterError, match=r"'a\.gpkg' is in 'WGS 84', and nothing leads from there to the scene's 'Mars"
    ):
        check_way(DEGREES, mars, "a.gpkg")
    check_way(DEGREES, UTM, "a.gpkg")
