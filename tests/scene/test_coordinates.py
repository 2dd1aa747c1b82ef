from __future__ import annotations

import math
import re

import pytest
from affine import Affine
from rasterio.crs import CRS

from lposs_geo.errors import SceneError
from lposs_geo.grid import Grid
from lposs_geo.scene.coordinates import check_coordinates

UTM = Affine(0.6, 0, 439136.4, 0, -0.6, 5273706.6)
DISK = "+proj=geos +h=35785831 +lon_0=0 +sweep=x +datum=WGS84"


def _notices(crs: str | None, transform: Affine, height: int = 160, width: int = 160) -> tuple[str, ...]:
    grid = Grid(height, width, crs and CRS.from_user_input(crs), transform)
    return tuple(map(str, check_coordinates(grid, "scene.tif")))


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (UTM, "latitudes 5273611 to 5273707"),  # metres
        (Affine(10, 0, -800, 0, -10, 800), "latitudes -800 to 800"),  # metres round a point of one's own
        (Affine(5e-6, 0, 8.2, 0, -5e-6, 95), "latitudes 94.9992 to 95"),
        (Affine(5e-6, 0, 8.2, 0, -5e-6, -95), "latitudes -95.0008 to -95"),
        (Affine(5e-6, 0, 47, 0, 5e-6, 120), "latitudes 120 to 120.0008"),  # the wrong way round, rows upwards
        (Affine(0.01, 0, 1000, 0, -0.01, 10), "longitudes 1000 to 1001.6"),
        (Affine(0.01, 0, 0, 0, -0.01, 90.9), "latitudes 89.3 to 90.9"),
    ],
)
@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4979"])
def test_degrees_that_there_are_not_are_refused(transform, said, crs):
    with pytest.raises(
        SceneError, match=r"'scene.tif' can't lie where it says: longitudes .* in the degrees of 'WGS 84'"
    ):
        _notices(crs, transform)
    with pytest.raises(SceneError, match=f"{said}.*: correct it, e.g. with rio edit-info --crs") as caught:
        _notices(crs, transform)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("transform", "shape"),
    [
        (Affine(1, 0, -180, 0, -1, 90), (180, 360)),
        (Affine(1, 0, 0, 0, -1, 90), (180, 360)),
        (Affine(0.25, 0, -0.125, 0, -0.25, 90.125), (721, 1440)),  # by the middles of pixels
        (Affine(1, 0, -180.5, 0, -1, 90.5), (181, 361)),
        (Affine(1 / 120, 0, -180.0001, 0, -1 / 120, 90.0001), (21600, 43200)),
        (Affine(0.01, 0, 179.5, 0, -0.01, 10), (160, 160)),
        (Affine(0.01, 0, 400, 0, -0.01, 10), (160, 160)),
        (Affine(0.01, 0, 10, 0, 0.01, -60), (160, 160)),
        (Affine.translation(10, 47) @ Affine.rotation(30) @ Affine.scale(1e-5, -1e-5), (160, 160)),
    ],
)
def test_grids_of_the_globe_are_taken_as_they_are(transform, shape):
    assert _notices("EPSG:4326", transform, *shape) == ()
    assert all(math.isfinite(side) for side in Grid(*shape, CRS.from_epsg(4326), transform).pixel_size)


def test_what_lies_beyond_a_pole_is_said_to_have_no_area():
    corner = Affine(0.01, 0, 0, 0, -0.01, 90.5)
    assert "reaches beyond the pole, to latitude 90.5" in _notices("EPSG:4326", corner)[0]
    areas = Grid(160, 160, CRS.from_epsg(4326), corner).pixel_areas()
    assert (areas[:50] == 0).all()
    assert (areas[50:] > 0).all()
    world = Affine(360 / 1024, 0, -180, 0, -360 / 1024, 180)
    assert "to latitude 180" in _notices("EPSG:4326", world, 1024, 1024)[0]


def test_grads_are_counted_as_degrees():
    assert _notices("EPSG:4807", Affine(0.001, 0, 5, 0, -0.001, 99)) == ()
    with pytest.raises(SceneError, match=r"latitudes 90\.\d+ to 90\.9,"):
        _notices("EPSG:4807", Affine(0.001, 0, 5, 0, -0.001, 101))


@pytest.mark.parametrize(
    ("crs", "transform", "said"),
    [
        ("EPSG:32632", Affine(5.4e-6, 0, 8.19, 0, -5.4e-6, 47.61), "has pixels of 5.4e-06 x 5.4e-06 m"),
        ("EPSG:32632+5773", Affine(5.4e-6, 0, 8.19, 0, -5.4e-6, 47.61), "has pixels of 5.4e-06 x 5.4e-06 m"),
        ("EPSG:32632", Affine(2.7e-4, 0, 8.19, 0, -2.7e-4, 47.61), r"look like degrees, \(8.2116, 47.5884\)"),
        ("EPSG:3857", Affine(2.7e-4, 0, 8.19, 0, -2.7e-4, 47.61), "look like degrees"),
        ("EPSG:32632", Affine(0.25, 0, -20, 0, -0.25, 60), "look like degrees"),
        ("EPSG:32632", Affine(2e6, 0, 4e5, 0, -2e6, 5e6), "has pixels of 2,000,000 x 2,000,000 m"),
        ("EPSG:32632", Affine(0.6, 0, 5273646.6, 0, -0.6, 439196.4), "near longitude 48.42, latitude 3.06.*, far from"),
        ("EPSG:32632", Affine(10, 0, 4e9, 0, -10, 5e9), "has no place on the Earth"),
        (DISK, Affine(3000, 0, -5568748, 0, -3000, 5568748), "has no place on the Earth"),  # its dark corner
        ("EPSG:4326", Affine(1e-10, 0, 8, 0, -1e-10, 47), "has pixels of 1.1e-05 x 7.6e-06 m"),
        ("EPSG:4978", UTM, r"isn't one of a map, 'WGS 84' \(geocentric\)"),
        ("EPSG:5773", UTM, r"isn't one of a map, 'EGM96 height' \(vertical\)"),
    ],
)
def test_what_is_likely_wrong_is_said(crs, transform, said):
    [notice] = _notices(crs, transform)
    assert notice.startswith("'scene.tif' ")
    assert re.search(said, notice), notice


@pytest.mark.parametrize(
    ("crs", "transform", "shape"),
    [
        (None, Affine(0.6, 0, 1e9, 0, -0.6, 1e12), (160, 160)),
        ("EPSG:32632", UTM, (160, 160)),
        ("EPSG:32632", Affine(0.002, 0, 439196.4, 0, -0.002, 5273646.6), (160, 160)),  # a drone's
        ("EPSG:32632", UTM @ Affine.translation(-1e6, 0), (160, 160)),  # in the zone beside
        ("EPSG:32632", Affine(10, 0, 439196.4, 0, -10, -2e6), (160, 160)),  # south of the equator
        ("EPSG:3857", Affine(156543, 0, -20037508, 0, -156543, 20037508), (256, 256)),
        ("EPSG:3857", Affine(0.02, 0, 8.19, 0, -0.02, 47.61), (160, 160)),  # off Africa
        ("EPSG:3031", Affine(1000, 0, -3e6, 0, -1000, 3e6), (6000, 6000)),
        ("EPSG:32661", Affine(10, 0, 2e6, 0, -10, 2e6), (160, 160)),
        ("+proj=sinu +R=6371007.181", Affine(463.3, 0, -20015109, 0, -463.3, 1111950), (2400, 2400)),
        (DISK, Affine(3000, 0, -5568748, 0, -3000, 5568748), (3712, 3712)),
        ("+proj=stere +lat_0=90 +R=3396190", Affine(10, 0, -800, 0, -10, 800), (160, 160)),
        ('LOCAL_CS["site",UNIT["metre",1]]', Affine(0.002, 0, 5, 0, -0.002, 7), (160, 160)),
    ],
)
def test_nothing_is_said_of_what_may_well_be(crs, transform, shape):
    assert _notices(crs, transform, *shape) == ()


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("position", range(6))
@pytest.mark.parametrize("crs", [None, "EPSG:32632", "EPSG:4326"])
def test_a_geotransform_that_is_not_finite_is_refused(number, position, crs):
    numbers = [0.6, 0.0, 8.0, 0.0, -0.6, 47.0]
    numbers[position] = number
    with pytest.raises(SceneError, match=r"has a geotransform that isn't finite"):
        _notices(crs, Affine(*numbers))


@pytest.mark.parametrize("numbers", [(0, 0, 8, 0, 0, 47), (1, 1, 0, 1, 1, 0), (1e-320, 0, 0, 0, -1e-320, 0)])
def test_pixels_without_size_are_refused(numbers):
    with pytest.raises(SceneError, match="gives its pixels no size"):
        _notices("EPSG:32632", Affine(*numbers))
    with pytest.raises(SceneError, match="'site', in which pixels have no size"):
        _notices('LOCAL_CS["site",UNIT["nothing",0]]', UTM)
