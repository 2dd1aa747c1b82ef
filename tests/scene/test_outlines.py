from __future__ import annotations

import json
import os
import struct
import zipfile

import geopandas
import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from pyarrow import parquet
from rasterio.crs import CRS

from lposs_geo.errors import ParameterError
from lposs_geo.grid import Grid
from lposs_geo.scene.aoi import area_on, read_aoi
from lposs_geo.scene.outlines import polygons_of, read_outlines

UTM = CRS.from_epsg(32632)
DEGREES = CRS.from_epsg(4326)
SQUARE = shapely.box(0, 0, 2, 2)
MARS = (
    'GEOGCS["Mars 2000",DATUM["D_Mars_2000",SPHEROID["Mars_2000",3396190,169.894447]],PRIMEM["Reference",0],'
    'UNIT["Degree",0.0174532925199433]]'
)


def geojson(path, coordinates, kind="Polygon"):
    path.write_text(json.dumps({"type": kind, "coordinates": coordinates}))
    return path


def table(path, *shapes):
    path.write_text("\n".join(["WKT", *(f'"{shape}"' for shape in shapes)]))
    return path


def refused(path, crs=DEGREES, **options):
    with pytest.raises(ParameterError) as caught:
        area = read_aoi(path, crs, **options)
        area_on(area, Grid(10, 10, crs, Affine(0.2, 0, 0, 0, -0.2, 2)))
    said = str(caught.value)
    assert said.isprintable() and len(said) < 700
    return said


OPEN = [[0, 0], [2, 0], [2, 2], [0, 2]]


def test_rings_that_are_not_closed_are(tmp_path):
    hole = [[0.5, 0.5], [1, 0.5], [1, 1]]
    path = geojson(tmp_path / "open.geojson", [OPEN, hole])
    assert read_aoi(path, DEGREES).equals(shapely.Polygon(OPEN, [hole]))
    ring = " ".join(f"{x},{y}" for x, y in OPEN)
    kml = tmp_path / "open.kml"
    kml.write_text(
        '<kml xmlns="http://www.opengis.net/kml/2.2"><Placemark><Polygon><outerBoundaryIs><LinearRing>'
        f"<coordinates>{ring}</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark></kml>"
    )
    assert read_aoi(kml, DEGREES).equals(SQUARE)
    assert read_aoi(table(tmp_path / "open.csv", "POLYGON Z((0 0 1,2 0 1,2 2 1,0 2 3))"), None).equals(SQUARE)


def _unclosed(points):
    return struct.pack("<BIII", 1, 3, 1, len(points)) + np.array(points, "<f8").tobytes()


def test_rings_of_geoparquet_are_closed_too(tmp_path):
    path = tmp_path / "area.parquet"
    geopandas.GeoDataFrame(geometry=[SQUARE, None], crs=UTM).to_parquet(path)
    before = parquet.read_table(path)
    shapes = [_unclosed(OPEN), None]
    parquet.write_table(before.set_column(0, before.schema.field(0), [shapes]), path)
    assert read_aoi(path, UTM).equals(SQUARE)


def test_rings_without_an_area_count_for_nothing(tmp_path):
    two = [[0, 0], [1, 1]]
    assert "holds no polygon" in refused(geojson(tmp_path / "two.geojson", [two]))
    assert "holds no polygon" in refused(geojson(tmp_path / "back.geojson", [[*two, [0, 0]]]))
    assert "holds no polygon" in refused(
        table(tmp_path / "empty.csv", "POLYGON EMPTY", "LINESTRING EMPTY", "TIN EMPTY")
    )
    path = geojson(tmp_path / "both.geojson", [[two], [OPEN, two, []]], "MultiPolygon")
    assert read_aoi(path, DEGREES).equals(SQUARE)


@pytest.mark.parametrize(
    "text",
    [
        "TIN Z(((0 0 0,2 0 1,2 2 0,0 0 0)),((0 0 0,2 2 0,0 2 5,0 0 0)),((0 0 0,2 0 0,2 0 5,0 0 0)))",
        "POLYHEDRALSURFACE Z(((0 0 0,2 0 1,2 2 0,0 2 0,0 0 0)))",
        "GEOMETRYCOLLECTION(TRIANGLE((0 0,2 0,2 2,0 0)),POLYGON((0 0,2 2,0 2,0 0)),LINESTRING EMPTY)",
        "GEOMETRYCOLLECTION(MULTIPOLYGON ZM(((0 0 1 1,2 0 1 1,2 2 1 1,0 2 1 1,0 0 1 1))))",
    ],
)
def test_surfaces_and_collections_are_taken_apart(tmp_path, text):
    assert read_aoi(table(tmp_path / "area.csv", text), None).equals(SQUARE)


def test_curves_become_lines(tmp_path):
    circle = "CIRCULARSTRING(0 1,1 2,2 1,1 0,0 1)"
    for text in (f"CURVEPOLYGON({circle})", f"MULTISURFACE(CURVEPOLYGON({circle}))"):
        area = read_aoi(table(tmp_path / "area.csv", text), None)
        assert area.area == pytest.approx(np.pi, rel=0.01)
    assert "CurvePolygon" in refused(table(tmp_path / "area.csv", f"GEOMETRYCOLLECTION(CURVEPOLYGON({circle}))"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("POLYGON((0 0,2 0,nan 2,0 0))", "no number"),
        ("POLYGON((0 0,1e300 0,2 2,0 0))", "beyond 1e+12"),
        ("GEOMETRYCOLLECTION(POLYGON((0 0,2 0,2 2,0 0)),LINESTRING(0 0,1 1))", "LineString"),
        ("MULTIPOINT((0 0))", "Point"),
    ],
)
def test_shapes_that_make_no_area(tmp_path, text, said):
    assert said in refused(table(tmp_path / "area.csv", text))


def test_binary_geometry_of_any_kind():
    rng = np.random.default_rng(0)
    shape = shapely.MultiPolygon(
        [shapely.Point(5 * k, 0).buffer(1) - shapely.Point(5 * k, 0).buffer(0.5) for k in range(3)]
    )
    for order in (0, 1):
        for flavour in ("iso", "extended"):
            raised = shapely.force_3d(shapely.set_srid(shape, 4326), 7.0)
            wkb = shapely.to_wkb(raised, byte_order=order, flavor=flavour, include_srid=flavour == "extended")
            assert shapely.MultiPolygon(list(polygons_of(wkb))).equals(shape)
    for number in (np.nan, np.inf):
        with pytest.raises(ValueError, match="no number"):
            list(polygons_of(_unclosed([*OPEN, [number, 0]])))
    wkb = shapely.to_wkb(shape)
    for end in rng.integers(0, len(wkb), 100):
        with pytest.raises(ValueError, match="cut off"):
            list(polygons_of(wkb[:end]))


def test_nesting_ends():
    nested = _unclosed(OPEN)
    for _ in range(20_000):
        nested = struct.pack("<BII", 1, 7, 1) + nested
    with pytest.raises(ValueError, match="nested too deep"):
        list(polygons_of(nested))


def test_another_planets_area_is_refused(tmp_path):
    path = geojson(tmp_path / "earth.geojson", [OPEN])
    said = refused(path, CRS.from_wkt(MARS))
    assert "is in 'WGS 84', and nothing leads from there to the scene's 'Mars 2000'" in said


def test_odd_metadata_of_geoparquet_are_one_line(tmp_path):
    path = tmp_path / "area.parquet"
    frame = geopandas.GeoDataFrame({"n": [1]}, geometry=[SQUARE], crs=UTM)
    frame.to_parquet(path)
    whole = parquet.read_table(path)
    good = json.loads(whole.schema.metadata[b"geo"])
    odd = [5, [], None, {}, {"primary_column": ["a"]}, good | {"primary_column": "none"}, good | {"columns": []}]
    odd += [good | {"primary_column": "n", "columns": {"n": {"encoding": "WKB"}}}]
    odd += [good | {"columns": {"geometry": column}} for column in (5, {"encoding": "WKB", "crs": 5.5})]
    odd += [good | {"columns": {"geometry": {"encoding": "WKB", "crs": "\x1b[31m no CRS"}}}]
    odd += [good | {"columns": {"geometry": {"encoding": encoding}}} for encoding in ("WKT", None, "polygon")]
    for text in [*map(json.dumps, odd), "no json", "[" * 100_000, "\ud800".encode("utf-8", "surrogatepass")]:
        parquet.write_table(whole.replace_schema_metadata({"geo": text}), path)
        assert f"'{path}' can't be read as an area of interest" in refused(path)
    parquet.write_table(whole.replace_schema_metadata({}), path)
    assert "no GeoParquet" in refused(path)
    frame.to_parquet(path, geometry_encoding="geoarrow")
    assert read_aoi(path, UTM).equals(SQUARE)


def _archive(path, folder, *members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, file in members:
            archive.write(folder / file, name)
    return path


def test_archives_with_folders(tmp_path):
    frame = geopandas.GeoDataFrame(geometry=[SQUARE], crs=UTM)
    for name in ("a.shp", "b.shp", "c.gpkg"):
        frame.to_file(tmp_path / name)
    parts = [file.name for file in tmp_path.glob("[ab].*")]
    one = [(f"area/{name}", name) for name in parts if name[0] == "a"]
    mac = [("__MACOSX/area/._a.shp", "a.shp"), ("area/.DS_Store", "a.shp")]
    path = _archive(tmp_path / "one in [a] folder.zip", tmp_path, *one, *mac)
    assert read_aoi(path, UTM).equals(SQUARE)
    path = _archive(tmp_path / "dot.zip", tmp_path, *[(f"./x/y/{name}", name) for name in parts if name[0] == "a"])
    assert read_aoi(path, UTM).equals(SQUARE)
    path = _archive(tmp_path / "two.zip", tmp_path, *[(f"area/{name}", name) for name in parts])
    assert "two.zip' has 2 layers: name one by aoi_layer: " in refused(path, UTM)
    assert read_aoi(path, UTM, layer="b").equals(SQUARE)
    path = _archive(tmp_path / "mixed.zip", tmp_path, *one, ("other/c.gpkg", "c.gpkg"))
    assert "2 files of shapes: unpack it" in refused(path, UTM)
    path = _archive(tmp_path / "none.zip", tmp_path, ("area/readme.txt", "a.prj"))
    assert "no file of shapes" in refused(path, UTM)
    (tmp_path / "cut.zip").write_bytes(path.read_bytes()[:-9])
    assert "can't be read" in refused(tmp_path / "cut.zip", UTM)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files there")
def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.geojson")
    geopandas.GeoDataFrame(geometry=[SQUARE], crs=UTM).to_file(tmp_path / "area.shp")
    (tmp_path / "area.shx").unlink()
    os.mkfifo(tmp_path / "area.shx")
    for path in (tmp_path / "pipe.geojson", "/dev/zero", tmp_path / "area.shp", tmp_path):
        assert "is a device or a pipe" in refused(path)


def test_names_of_layers_are_shown_on_one_line(tmp_path):
    path = tmp_path / "area.gpkg"
    for number in range(12):
        frame = geopandas.GeoDataFrame(geometry=[SQUARE], crs=UTM)
        frame.to_file(path, layer=f"a\n\x1b{number}\u202e", mode="a" if number else "w")
    assert "12 layers" in refused(path)
    assert "and others" in refused(path, layer="\n")


def test_attributes_do_not_matter(tmp_path):
    geopandas.GeoDataFrame({"n": ["ä"]}, geometry=[SQUARE], crs=UTM).to_file(tmp_path / "area.shp")
    (tmp_path / "area.cpg").write_text("no encoding \xff")
    raw = bytearray((tmp_path / "area.dbf").read_bytes())
    raw[-90:] = b"\xff" * 90
    (tmp_path / "area.dbf").write_bytes(raw)
    polygons, crs = read_outlines(str(tmp_path / "area.shp"), None)
    assert polygons[0].equals(SQUARE)
    assert crs == pyproj.CRS(32632)
