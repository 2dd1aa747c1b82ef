from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS

from lposs_geo.grid import Grid, overstates_areas, polygon_areas, polygon_perimeters, to_pyproj, utm_zone

DEGREES = CRS.from_epsg(4326)


def test_metres_stay_metres_and_feet_become_metres():
    transform = Affine(2, 0, 1000, 0, -3, 2000)
    assert Grid(10, 20, CRS.from_epsg(32632), transform).pixel_size == pytest.approx((3, 2))
    foot = 1200 / 3937
    feet = Grid(10, 20, CRS.from_epsg(2263), transform)
    assert feet.pixel_size == pytest.approx((3 * foot, 2 * foot))
    assert feet.pixel_areas() == pytest.approx(np.full(10, 6 * foot**2))


def test_the_resolution_is_that_of_a_square_as_large():
    assert Grid(10, 10, CRS.from_epsg(32632), Affine(2, 0, 0, 0, -0.5, 0)).gsd == pytest.approx(1)
    assert Grid(10, 10, None, Affine.identity()).gsd is None


def test_a_rotated_pixel_keeps_its_size():
    turned = Affine.rotation(30) @ Affine.scale(2, -2)
    grid = Grid(10, 10, CRS.from_epsg(32632), turned)
    assert grid.pixel_size == pytest.approx((2, 2))
    assert grid.pixel_areas() == pytest.approx(np.full(10, 4))


def test_without_a_crs_nothing_is_said_in_metres():
    grid = Grid(3, 4, None, Affine.identity())
    assert grid.pixel_size is None
    assert grid.pixel_areas().tolist() == [1, 1, 1]


@pytest.mark.parametrize("south_up", [False, True])
def test_degrees_are_measured_on_the_ellipsoid(south_up):
    step = 0.5 if south_up else -0.5
    grid = Grid(20, 10, DEGREES, Affine(0.5, 0, 5, 0, step, 60))
    areas = grid.pixel_areas()
    boxes = [shapely.box(5, 60 + step * row, 5.5, 60 + step * (row + 1)) for row in range(20)]
    assert areas == pytest.approx(polygon_areas(np.array(boxes), DEGREES), rel=1e-9)
    # geodesics, cut short enough to follow the parallels, agree
    geod = to_pyproj(DEGREES).get_geod()
    dense = [shapely.orient_polygons(shapely.segmentize(box, 0.001)) for box in boxes]
    assert areas == pytest.approx([geod.geometry_area_perimeter(box)[0] for box in dense], rel=1e-6)
    assert (np.diff(areas) < 0).all() == south_up


def test_a_turned_geographic_grid_has_the_area_of_its_polygons():
    turned = Affine.translation(10, 47) @ Affine.rotation(30) @ Affine.scale(1e-5, -1e-5)
    grid = Grid(100, 80, DEGREES, turned)
    outline = shapely.Polygon([turned @ corner for corner in ((0, 0), (80, 0), (80, 100), (0, 100))])
    assert grid.pixel_areas().sum() * 80 == pytest.approx(polygon_areas(np.array([outline]), DEGREES)[0], rel=1e-6)


def test_grads_are_not_degrees():
    degrees = Grid(10, 10, CRS.from_epsg(4275), Affine(0.001, 0, 0, 0, -0.001, 45))
    grads = Grid(10, 10, CRS.from_epsg(4807), Affine(0.001 / 0.9, 0, 0, 0, -0.001 / 0.9, 50))
    assert grads.pixel_areas() == pytest.approx(degrees.pixel_areas(), rel=1e-3)
    assert grads.pixel_size == pytest.approx(degrees.pixel_size, rel=1e-3)


@pytest.mark.parametrize("text", ['LOCAL_CS["grid",UNIT["metre",1]]', "EPSG:4978"])
def test_a_crs_that_is_neither_geographic_nor_projected_is_planar(text):
    grid = Grid(3, 4, CRS.from_user_input(text), Affine(2, 0, 0, 0, -2, 0))
    assert grid.pixel_areas().tolist() == [4, 4, 4]
    assert grid.pixel_size == (2, 2)


def test_mercator_overstates_areas_and_utm_does_not():
    assert overstates_areas(CRS.from_epsg(3857))
    assert overstates_areas(CRS.from_epsg(3395))
    assert not overstates_areas(CRS.from_epsg(32632))
    assert not overstates_areas(DEGREES)
    for text in ("EPSG:3857+5773", "+proj=merc +ellps=intl +towgs84=-87,-98,-121 +units=m"):  # heights; another datum
        assert overstates_areas(CRS.from_user_input(text))


def test_the_whole_earth_has_its_known_area():
    grid = Grid(180, 360, DEGREES, Affine(1, 0, -180, 0, -1, 90))
    assert grid.pixel_areas().sum() * 360 == pytest.approx(510_065_621_724_000, rel=1e-9)


def test_holes_are_no_area():
    with_hole = shapely.Polygon(shapely.box(0, 0, 1, 1).exterior, [shapely.box(0.25, 0.25, 0.75, 0.75).exterior])
    for polygons in (np.array([with_hole]), np.array([shapely.reverse(with_hole)])):
        whole, inner = polygon_areas(np.array([shapely.box(0, 0, 1, 1), shapely.box(0.25, 0.25, 0.75, 0.75)]), DEGREES)
        assert polygon_areas(polygons, DEGREES)[0] == pytest.approx(whole - inner, rel=1e-6)


def test_crs_keep_their_code_for_pyproj():
    assert to_pyproj(CRS.from_epsg(32632)).to_epsg() == 32632
    custom = CRS.from_proj4("+proj=laea +lat_0=45 +lon_0=7 +units=m +ellps=GRS80")
    assert to_pyproj(custom).is_projected


def test_perimeters_are_in_metres_and_count_holes():
    box, hole = shapely.box(0, 0, 30, 10), shapely.box(1, 1, 3, 2)
    polygons = np.array([box, shapely.Polygon(box.exterior, [hole.exterior])])
    assert polygon_perimeters(polygons, None).tolist() == [80, 86]
    assert polygon_perimeters(polygons, CRS.from_epsg(32632)).tolist() == [80, 86]
    assert polygon_perimeters(polygons, CRS.from_epsg(2263)) == pytest.approx(np.array([80, 86]) * 1200 / 3937)
    assert polygon_perimeters(np.empty(0, object), DEGREES).tolist() == []


def test_perimeters_in_degrees_follow_the_parallels():
    box, hole = shapely.box(5, 40, 25, 60), shapely.box(7, 41, 7.5, 42)
    polygons = np.array([box, shapely.box(-180, -30, 180, 0), shapely.Polygon(box.exterior, [hole.exterior])])
    geod = to_pyproj(DEGREES).get_geod()
    expected = [geod.geometry_length(shapely.segmentize(each, 0.01).boundary) for each in polygons]
    assert polygon_perimeters(polygons, DEGREES) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("west", [179.95, -180.05])
def test_the_antimeridian_is_a_meridian_like_others(west):
    grid = Grid(100, 100, DEGREES, Affine(0.001, 0, west, 0, -0.001, 60))
    elsewhere = Grid(100, 100, DEGREES, Affine(0.001, 0, 9, 0, -0.001, 60))
    assert grid.pixel_size == pytest.approx(elsewhere.pixel_size)
    assert grid.pixel_areas() == pytest.approx(elsewhere.pixel_areas())


def test_other_planets_are_measured_on_their_own_ellipsoid():
    mars = CRS.from_wkt(
        'GEOGCS["GCS_MARS",DATUM["D_MARS",SPHEROID["MARS_localRadius",3396190,0]],PRIMEM["Reference_Meridian",0],'
        'UNIT["Degree",0.0174532925199433]]'
    )
    grid = Grid(10, 10, mars, Affine(0.001, 0, 100, 0, -0.001, 0.005))
    assert grid.pixel_size == pytest.approx((59.2747, 59.2747), rel=1e-5)
    assert grid.pixel_areas() == pytest.approx(np.full(10, 59.2747**2), rel=1e-5)


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ((9, 47), 32632),
        ((-179.9, 9), 32601),
        ((180, 9), 32601),
        ((179.9, -9), 32760),
        ((0, 89), 32661),
        ((0, -85), 32761),
    ],
)
def test_the_zone_of_utm(place, code):
    assert utm_zone(*place).to_epsg() == code


def test_that_a_raster_lies_nowhere_is_no_warning_of_rasterios(tmp_path):
    code = (
        "import sys, warnings, numpy, rasterio; from lposs_geo.grid import Grid\n"
        "with rasterio.open(sys.argv[1], 'w', driver='GTiff', width=9, height=9, count=1, dtype='uint8') as new:\n"
        "    new.write(numpy.ones((1, 9, 9), 'uint8'))\n"
        "with rasterio.open(sys.argv[1]) as dataset: dataset.transform\n"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "a.tif"], capture_output=True, text=True, check=True)
    assert run.stderr == ""
