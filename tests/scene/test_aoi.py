from __future__ import annotations

import logging
import zipfile

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.windows import Window

from lposs_geo.errors import ParameterError
from lposs_geo.grid import Grid
from lposs_geo.scene.aoi import Area, area_on, read_aoi

UTM = CRS.from_epsg(32632)
DEGREES = CRS.from_epsg(4326)
SCENE = Grid(80, 100, UTM, Affine(2, 0, 500_000, 0, -2, 5_200_000))
TRIANGLE = shapely.Polygon([(500_020.3, 5_199_990), (500_120, 5_199_970.7), (500_060.4, 5_199_880)])


def write(path, shapes, crs=UTM, **options):
    geopandas.GeoDataFrame({"n": range(len(shapes))}, geometry=shapes, crs=crs).to_file(path, **options)
    return path


def centres(grid):
    cols, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    return grid.transform @ (cols, rows)


def whole(grid):
    return Window(0, 0, grid.width, grid.height)


def test_a_box_is_whole_pixels():
    area = area_on(read_aoi("500010, 5199900,500110,5199980", UTM), SCENE)
    assert area.window == Window(5, 10, 50, 40)
    assert area.mask(area.window).all()
    assert area.mask(whole(SCENE)).sum() == 50 * 40


def test_a_box_over_the_edge_is_clipped():
    area = area_on(read_aoi("400000,5199980,500010,5300000", UTM), SCENE)
    assert area.window == Window(0, 0, 5, 10)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2,3", "four numbers"),
        ("1,2,3,4,5", "four numbers"),
        ("1,2,3,x", "four numbers"),
        ("1,2,nan,4", "four numbers"),
        ("1,2,inf,4", "four numbers"),
        ("3,2,1,4", "empty"),
        ("1,2,1,4", "empty"),
        ("1,5,2,4", "empty"),
        ("none.gpkg", "neither a file nor a box"),
        ("a,b", "neither a file nor a box"),
    ],
)
def test_text_that_is_no_area(text, said):
    with pytest.raises(ParameterError, match=said) as caught:
        read_aoi(text, UTM)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["1,2,3,4", "600000,5199980,700000,5300000"])
def test_an_area_elsewhere_is_refused_with_both_extents(text):
    with pytest.raises(ParameterError, match=r"500000,5199840,500200,5200000.* don't overlap") as caught:
        area_on(read_aoi(text, UTM), SCENE)
    assert text in str(caught.value)


def test_an_area_between_the_pixels_centres_is_refused():
    for text in ("500010.1,5199980.1,500010.9,5199990", "500010.1,5199980.1,500010.2,5199980.2"):
        with pytest.raises(ParameterError, match="narrower"):
            area_on(read_aoi(text, UTM), SCENE)


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "fgb"])
def test_files_in_another_crs(tmp_path, suffix):
    here = geopandas.GeoSeries([TRIANGLE], crs=UTM)
    path = write(tmp_path / f"area.{suffix}", here.to_crs(4326).to_list(), DEGREES)
    area = read_aoi(path, UTM)
    assert shapely.hausdorff_distance(area, TRIANGLE) < 0.01
    assert read_aoi(str(path), UTM).equals(area)
    expected = shapely.contains_xy(TRIANGLE, *centres(SCENE))
    assert (area_on(area, SCENE).mask(whole(SCENE)) == expected).all()


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    geopandas.GeoDataFrame(geometry=[TRIANGLE], crs=UTM).to_parquet(tmp_path / "area.parquet")
    assert read_aoi(tmp_path / "area.parquet", UTM).equals(TRIANGLE)
    with pytest.raises(ParameterError, match="no layers"):
        read_aoi(tmp_path / "area.parquet", UTM, layer="a")


def test_a_zipped_shapefile(tmp_path):
    write(tmp_path / "area.shp", [TRIANGLE])
    with zipfile.ZipFile(tmp_path / "area.zip", "w") as archive:
        for file in tmp_path.glob("area.[sdp]*"):
            archive.write(file, file.name)
    assert read_aoi(tmp_path / "area.zip", UTM).equals(TRIANGLE)


def test_all_polygons_are_the_area(tmp_path):
    boxes = [shapely.box(0, 0, 2, 2), shapely.box(1, 1, 3, 3), shapely.MultiPolygon([shapely.box(5, 5, 6, 6)]), None]
    area = read_aoi(write(tmp_path / "area.gpkg", boxes), UTM)
    assert area.area == pytest.approx(8)
    assert area.is_valid


def test_a_bow_tie_is_mended_and_heights_are_left_out(tmp_path):
    tie = shapely.Polygon([(0, 0, 7), (2, 2, 7), (2, 0, 7), (0, 2, 7)])
    area = read_aoi(write(tmp_path / "area.gpkg", [tie]), UTM)
    assert area.is_valid
    assert area.area == pytest.approx(2)
    assert not area.has_z


@pytest.mark.parametrize("shape", [shapely.Point(0, 0), shapely.LineString([(0, 0), (1, 1)])])
def test_points_and_lines_are_no_area(tmp_path, shape):
    for shapes in ([shape], [shapely.box(0, 0, 1, 1), shape]):
        with pytest.raises(ParameterError, match="polygons only"):
            read_aoi(write(tmp_path / "area.gpkg", shapes), UTM)


def test_files_without_polygons(tmp_path):
    with pytest.raises(ParameterError, match="no polygon"):
        read_aoi(write(tmp_path / "flat.gpkg", [shapely.Polygon([(0, 0), (1, 1), (2, 2)])]), UTM)
    with pytest.raises(ParameterError, match="no polygon"):
        read_aoi(write(tmp_path / "none.gpkg", [], geometry_type="Polygon"), UTM)
    (tmp_path / "text.gpkg").write_text("no database")
    with pytest.raises(ParameterError, match=r"text\.gpkg' can't be read") as caught:
        read_aoi(tmp_path / "text.gpkg", UTM)
    assert "\n" not in str(caught.value)


def test_layers(tmp_path):
    path = write(tmp_path / "area.gpkg", [TRIANGLE], layer="lake")
    assert read_aoi(path, UTM, layer="lake").equals(read_aoi(path, UTM))
    write(path, [shapely.box(0, 0, 1, 1)], layer="park")
    assert read_aoi(path, UTM, layer="park").area == 1
    with pytest.raises(ParameterError, match="2 layers: name one by aoi_layer: 'lake', 'park'"):
        read_aoi(path, UTM)
    with pytest.raises(ParameterError, match="no layer 'wood': it has 'lake', 'park'"):
        read_aoi(path, UTM, layer="wood")
    with pytest.raises(ParameterError, match="no layer 'wood'"):
        read_aoi("1,2,3,4", UTM, layer="wood")


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_a_missing_crs(tmp_path, caplog):
    path = write(tmp_path / "area.gpkg", [TRIANGLE], None)
    with caplog.at_level(logging.WARNING, "lposs_geo"):
        assert read_aoi(path, UTM).equals(TRIANGLE)
    assert "no CRS" in caplog.text
    caplog.clear()
    assert read_aoi(path, None).equals(TRIANGLE)
    assert not caplog.text
    with pytest.raises(ParameterError, match="the scene has none"):
        read_aoi(write(tmp_path / "known.gpkg", [TRIANGLE]), None)


def test_a_box_on_a_scene_without_crs():
    area = area_on(read_aoi("2,3,7,5", None), Grid(10, 10, None, Affine.identity()))
    assert area.window == Window(2, 3, 5, 2)


def test_long_edges_bend(tmp_path):
    # along the 47th parallel, which rises away from the meridian in the middle of the zone
    path = write(tmp_path / "area.gpkg", [shapely.box(6, 46, 12, 47)], DEGREES)
    area = read_aoi(path, UTM)
    corner = geopandas.GeoSeries([shapely.Point(6, 47)], crs=4326).to_crs(UTM)[0]
    middle = geopandas.GeoSeries([shapely.Point(9, 47)], crs=4326).to_crs(UTM)[0]
    assert corner.y - middle.y > 4000
    assert area.bounds[3] == pytest.approx(corner.y)
    assert not area.contains(shapely.Point(middle.x, middle.y + 1))
    assert area.contains(shapely.Point(middle.x, middle.y - 1))


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_what_the_scenes_crs_does_not_reach(tmp_path):
    path = write(tmp_path / "area.geojson", [TRIANGLE], None)  # metres, taken for degrees
    with pytest.raises(ParameterError, match=r"area\.geojson' lies where"):
        read_aoi(path, UTM)
    mercator = CRS.from_epsg(3857)
    path = write(tmp_path / "half.gpkg", [shapely.box(-1e7, -1e6, 1.5e7, 1e6)], mercator)
    with pytest.raises(ParameterError, match=r"half\.gpkg' reaches farther"):
        read_aoi(path, UTM)


def test_the_far_side_of_the_earth_does_not_fold_onto_this_one(tmp_path):
    path = write(tmp_path / "world.gpkg", [shapely.box(-180, -90, 180, 90)], DEGREES)
    for zone in (1, 31, 32, 60):
        area = read_aoi(path, CRS.from_epsg(32600 + zone))
        assert (shapely.box(-400_000, -2_000_000, 1_400_000, 6_500_000) - area).area < 1
        assert area.is_valid


@pytest.mark.parametrize(
    ("box", "crs", "bounds"),
    [
        ((-180, -85, 180, 85), 3857, (-20037508, -19971869, 20037508, 19971869)),
        ((-180, 60, 180, 90), 3995, (-3333134, -3333134, 3333134, 3333134)),
        ((-180, -85, 180, 85), 4258, (-180, -85, 180, 85)),
    ],
)
def test_large_areas(tmp_path, box, crs, bounds):
    area = read_aoi(write(tmp_path / "area.gpkg", [shapely.box(*box)], DEGREES), CRS.from_epsg(crs))
    assert area.bounds == pytest.approx(bounds, abs=1)
    assert area.is_valid


EAST = Grid(100, 200, DEGREES, Affine(0.1, 0, 170, 0, -0.1, 5))
WEST = Grid(100, 200, DEGREES, Affine(0.1, 0, -190, 0, -0.1, 5))


@pytest.mark.parametrize("scene", [EAST, WEST])
@pytest.mark.parametrize("start", [-185, 175])
def test_areas_a_whole_turn_away(scene, start):
    area = area_on(read_aoi(f"{start},0,{start + 8},4", DEGREES), scene)
    assert area.window == Window(50, 10, 80, 40)


def test_both_sides_of_the_antimeridian():
    parts = shapely.MultiPolygon([shapely.box(175, 0, 180, 4), shapely.box(-180, 0, -177, 4)])
    area = area_on(parts, EAST)
    assert area.window == Window(50, 10, 80, 40)
    assert area.mask(area.window).all()
    # a scene of the whole Earth has them at both its ends
    world = Grid(180, 360, DEGREES, Affine(1, 0, -180, 0, -1, 90))
    for geometry in (parts, shapely.box(175, 0, 183, 4)):
        assert area_on(geometry, world).mask(whole(world)).sum() == 8 * 4


def test_across_the_antimeridian_from_a_projection(tmp_path):
    zone = CRS.from_epsg(32660)
    fiji = geopandas.GeoSeries([shapely.box(179, -18, 181, -17)], crs=4326).segmentize(0.01).to_crs(zone)[0]
    hole = fiji.centroid.buffer(10_000)
    area = read_aoi(write(tmp_path / "area.gpkg", [fiji - hole], zone), DEGREES)
    assert np.array(area.bounds) % 360 == pytest.approx((179, 342, 181, 343), abs=0.001)
    assert len(area.geoms[0].interiors) == 1
    scene = Grid(100, 200, DEGREES, Affine(0.05, 0, -185, 0, -0.05, -16))
    assert area_on(area, scene).window == Window(80, 20, 40, 20)


def test_around_a_pole(tmp_path):
    path = write(tmp_path / "area.gpkg", [shapely.Point(0, 0).buffer(1e6)], CRS.from_epsg(3995))
    with pytest.raises(ParameterError, match="around a pole"):
        read_aoi(path, DEGREES)


GRIDS = st.builds(
    lambda angle, step, up: Grid(
        60,
        90,
        UTM,
        Affine.translation(500_000, 5_200_000) @ Affine.rotation(angle) @ Affine.scale(step, step if up else -step),
    ),
    st.sampled_from([0, 0, 30, 90, 211]),
    st.sampled_from([0.6, 1, 10]),
    st.booleans(),
)
# corners between the centres, on them and on the pixels' corners
PLACES = st.floats(-20, 110).map(lambda place: round(place, 9))  # 1e-38 is beyond what GEOS, the judge, can bear
CORNERS = st.one_of(PLACES, st.integers(-40, 220).map(lambda half: half / 2))
OUTLINES = st.lists(st.tuples(CORNERS, CORNERS), min_size=3, max_size=7, unique=True)


def lay(corners, grid) -> Area | None:
    pixels = shapely.make_valid(shapely.Polygon(corners))
    try:
        return area_on(shapely.transform(pixels, lambda p: np.column_stack(grid.transform @ (p[:, 0], p[:, 1]))), grid)
    except ParameterError:
        return None


@given(OUTLINES, GRIDS, st.integers(0, 89), st.integers(0, 59), st.integers(1, 90), st.integers(1, 60))
def test_a_windows_mask_is_a_part_of_the_wholes(corners, grid, col, row, width, height):
    area = lay(corners, grid)
    if area is None:
        return
    everything = area.mask(whole(grid))
    width, height = min(width, grid.width - col), min(height, grid.height - row)
    part = area.mask(Window(col, row, width, height))
    assert (part == everything[row : row + height, col : col + width]).all()
    # and nothing is inside but in the area's own window
    own = area.window
    assert everything.sum() == area.mask(own).sum() > 0
    assert 0 <= own.col_off < own.col_off + own.width <= grid.width
    assert 0 <= own.row_off < own.row_off + own.height <= grid.height


@given(OUTLINES, GRIDS)
def test_a_pixel_is_inside_if_its_centre_is(corners, grid):
    area = lay(corners, grid)
    cols, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    outline = shapely.make_valid(shapely.Polygon(corners))
    border = shapely.LinearRing(corners)
    sure = shapely.distance(border, shapely.points(cols, rows)) > 0.02  # what rounding can't move across
    mask = np.zeros(cols.shape, dtype=bool) if area is None else area.mask(whole(grid))
    assert (mask == shapely.contains_xy(outline, cols, rows))[sure].all()


def test_areas_are_told_from_each_other():
    areas = [area_on(read_aoi(text, UTM), SCENE) for text in ("500010,5199900,500110,5199980",) * 2]
    assert areas[0].digest == areas[1].digest
    assert areas[0].digest != area_on(read_aoi("500010,5199900,500110,5199982", UTM), SCENE).digest


def test_an_area_as_large_as_the_largest_raster_is_not_drawn_whole():
    side = 2**31 - 1
    grid = Grid(side, side, None, Affine.identity())
    for shape, window in (
        (shapely.box(-5, -5, side + 5, side + 5), whole(grid)),
        (shapely.box(side - 30, 7, side + 5, 9), Window(side - 30, 7, 30, 2)),
    ):
        assert area_on(shape, grid).window == window
