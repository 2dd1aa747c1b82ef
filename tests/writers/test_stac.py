from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pystac
import pytest
import shapely
from affine import Affine
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.projection import ProjectionExtension
from rasterio.crs import CRS

from lposs_geo.grid import Grid, lonlat_transformer
from lposs_geo.legend.legend import LandClass, Legend
from lposs_geo.writers.stac import Asset, item

LEGEND = Legend(
    (
        LandClass(1, "forest", ("trees", "woodland"), (28, 98, 54), code=10),
        LandClass(2, "Größe & <Maß>", ("Größe & <Maß>",), (230, 159, 0)),
        LandClass(3, "水", ("水",), (62, 120, 192)),
        LandClass(4, "Nodata", ("Nodata",), (1, 2, 3)),
        LandClass(5, "grosse mass", ("grosse mass",), (4, 5, 6)),
    )
)
UTM = Grid(1100, 700, CRS.from_epsg(32632), Affine(0.6, 0, 439136.4, 0, -0.6, 5273706.6))
MADE = datetime(2025, 3, 4, 5, 6, 7, 890, tzinfo=UTC)
MARS = CRS.from_wkt(
    'GEOGCS["Mars 2000",DATUM["D_Mars_2000",SPHEROID["Mars_2000_IAU_IAG",3396190,169.8944472236118]],'
    'PRIMEM["Reference_Meridian",0],UNIT["Degree",0.0174532925199433]]'
)


def of_grid(grid: Grid, **options: Any) -> dict[str, Any]:
    """An item as a reader gets it."""
    return json.loads(json.dumps(item(Path("map.tif"), grid, LEGEND, created=MADE, **options)))


def north_up(epsg: int, west: float, north: float, size: float, width: int = 100, height: int = 100) -> Grid:
    return Grid(height, width, CRS.from_epsg(epsg), Affine(size, 0, west, 0, -size, north))


def test_it_is_an_item():
    described = of_grid(UTM, title="Lakeside")
    assert described.keys() == {
        *("type", "stac_version", "stac_extensions", "id", "geometry", "bbox", "properties", "links", "assets")
    }
    assert (described["type"], described["stac_version"], described["id"]) == ("Feature", "1.1.0", "map")
    assert described["links"] == []
    properties = described["properties"]
    assert properties["title"] == "Lakeside"
    assert properties["datetime"] == properties["created"] == "2025-03-04T05:06:07Z"
    assert properties["gsd"] == 0.6
    assert properties["processing:software"] == {"lposs-geo": version("lposs-geo")}
    used = {key.split(":")[0] for part in (properties, described["assets"]["labels"]) for key in part if ":" in key}
    declared = [uri.split("/")[-3:-1] for uri in described["stac_extensions"]]
    assert declared == [["projection", "v2.0.0"], ["classification", "v2.0.0"], ["processing", "v1.2.0"]]
    assert used == {"proj", "classification", "processing"}


def test_pystac_reads_it(tmp_path):
    path = tmp_path / "map.json"
    path.write_text(json.dumps(of_grid(UTM, assets={"vector": Asset(Path("polygons/map.gpkg"), {})})))
    described = pystac.read_file(path)
    assert isinstance(described, pystac.Item)
    assert described.datetime == MADE.replace(microsecond=0)
    projection = ProjectionExtension.ext(described)
    assert projection.code == "EPSG:32632"
    assert projection.shape == [1100, 700]
    assert Affine(*projection.transform) == UTM.transform
    assert projection.bbox == [439136.4, 5273706.6 - 660, 439136.4 + 420, 5273706.6]
    labels = described.assets["labels"]
    assert labels.media_type == pystac.MediaType.COG
    assert labels.roles == ["data"]
    classes = ClassificationExtension.ext(labels).classes
    assert [c.value for c in classes] == [0, 1, 2, 3, 4, 5, 255]
    assert [c.color_hint for c in classes[:3]] == ["000000", "1C6236", "E69F00"]
    assert [c.nodata for c in classes] == [None] * 6 + [True]
    assert Path(labels.get_absolute_href()) == tmp_path / "map.tif"
    assert Path(described.assets["vector"].get_absolute_href()) == tmp_path / "polygons" / "map.gpkg"


def test_classes_are_named_as_the_extension_wants():
    classes = of_grid(UTM)["assets"]["labels"]["classification:classes"]
    names = [entry["name"] for entry in classes]
    assert names == ["unknown", "forest", "grosse-mass", "class-3", "nodata-4", "grosse-mass-5", "nodata"]
    assert all(re.fullmatch("[0-9A-Za-z_-]+", name) for name in names)
    assert [entry["title"] for entry in classes[:3]] == ["unknown", "forest", "Größe & <Maß>"]
    assert classes[1]["description"] == "code 10 of its nomenclature; asked for as trees, woodland"
    assert "description" not in classes[2]
    assert all(re.fullmatch("[0-9A-F]{6}", entry["color_hint"]) for entry in classes[:-1])


def test_the_asset_is_one_band_of_bytes():
    labels = of_grid(UTM)["assets"]["labels"]
    assert (labels["data_type"], labels["nodata"], len(labels["bands"])) == ("uint8", 255, 1)


def test_more_files_and_properties():
    made = item(
        Path("out of/map #1.tif"),
        UTM,
        LEGEND,
        created=MADE,
        acquired=datetime(2020, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))),
        properties={"license": "CC-BY-4.0", "gsd": 2},
        assets={
            "confidence": Asset(Path("map_confidence.tif"), {"title": "Confidence in percent", "unit": "%"}),
            "vector": Asset(Path("map.parquet"), {"roles": ["data"]}),
            "quicklook": Asset(Path("map.png"), {"roles": ["overview"]}),
            "report": Asset(Path("../map.html"), {"roles": ["metadata"]}),
            "notes": Asset(Path("a.xyz"), {"roles": ["data"]}),
        },
    )
    assert made["id"] == "map-1"
    assert made["properties"]["datetime"] == "2020-01-02T01:00:00Z"
    assert made["properties"]["created"] == "2025-03-04T05:06:07Z"
    assert (made["properties"]["license"], made["properties"]["gsd"]) == ("CC-BY-4.0", 2)
    assets = made["assets"]
    assert {key: asset["href"] for key, asset in assets.items()} == {
        "labels": "./out%20of/map%20%231.tif",
        "confidence": "./map_confidence.tif",
        "vector": "./map.parquet",
        "quicklook": "./map.png",
        "report": "../map.html",
        "notes": "./a.xyz",
    }
    assert assets["confidence"]["type"] == assets["labels"]["type"] == pystac.MediaType.COG
    assert assets["confidence"]["unit"] == "%"
    assert [assets[key]["type"] for key in ("vector", "quicklook", "report")] == [
        "application/vnd.apache.parquet",
        "image/png",
        "text/html",
    ]
    assert [assets[key]["roles"] for key in ("vector", "quicklook", "report")] == [["data"], ["overview"], ["metadata"]]
    assert "type" not in assets["notes"]


def test_a_footprint_is_where_the_map_is():
    described = of_grid(UTM)
    footprint = shapely.from_geojson(json.dumps(described["geometry"]))
    to_utm = pyproj.Transformer.from_crs("OGC:CRS84", "EPSG:32632", always_xy=True)
    back = shapely.transform(footprint, lambda p: np.column_stack(to_utm.transform(*p.T)))
    west, north = 439136.4, 5273706.6
    assert shapely.hausdorff_distance(back, shapely.box(west, north - 660, west + 420, north)) < 0.05
    assert footprint.exterior.is_ccw
    assert footprint.bounds == pytest.approx(described["bbox"], abs=1e-6)
    assert len(footprint.exterior.coords) == 5


def test_a_long_side_is_a_curve():
    # 60 degrees of longitude along a parallel of a conic projection
    described = of_grid(north_up(3034, 2_000_000, 5_000_000, 40_000))
    footprint = shapely.from_geojson(json.dumps(described["geometry"]))
    assert 8 < len(footprint.exterior.coords) < 300
    assert footprint.is_valid
    assert footprint.bounds == pytest.approx(described["bbox"], abs=0.02)


@pytest.mark.parametrize(
    ("grid", "bbox", "parts"),
    [
        (north_up(4326, 175, 10, 0.1), [175, 0, -175, 10], 2),
        (north_up(4326, 185, 10, 0.1), [-175, 0, -165, 10], 1),
        (north_up(4326, 170, 10, 0.1), [170, 0, 180, 10], 1),
        (north_up(4326, -180, 10, 0.1), [-180, 0, -170, 10], 1),
        (north_up(4326, -180, 90, 1, 360, 180), [-180, -90, 180, 90], 1),
        (north_up(4326, 0, 90, 1, 360, 180), [-180, -90, 180, 90], 1),
        (north_up(4326, -180.5, 90.5, 1, 361, 181), [-180, -90, 180, 90], 1),
        (north_up(3857, -20037508.34, 20037508.34, 400750.1668), [-180, -85.0511288, 180, 85.0511288], 1),
        (north_up(32660, 750_000, 1_200_000, 1000), [179.2801509, 9.9358225, -179.7994432, 10.846987], 2),
        (north_up(3413, -500_000, 500_000, 10_000), [-180, 83.479, 180, 90], 1),
        (north_up(3031, -500_000, 500_000, 10_000), [-180, -90, 180, -83.499], 1),
    ],
    ids=["across", "beyond", "to", "from", "world", "pacific", "overlap", "web", "utm", "north pole", "south pole"],
)
def test_a_footprint_ends_at_the_antimeridian(grid, bbox, parts):
    described = of_grid(grid)
    footprint = shapely.from_geojson(json.dumps(described["geometry"]))
    assert described["bbox"] == pytest.approx(bbox, abs=1e-3)
    assert len(shapely.get_parts(footprint)) == parts
    west, south, east, north = footprint.bounds
    assert -180 <= west < east <= 180
    assert -90 <= south < north <= 90
    assert footprint.is_valid
    assert all(part.exterior.is_ccw for part in shapely.get_parts(footprint))
    point = grid.transform @ (grid.width * 0.4, grid.height * 0.3)
    to_lonlat = pyproj.Transformer.from_crs(grid.crs.to_wkt(), "OGC:CRS84", always_xy=True)
    lon, lat = to_lonlat.transform(*point)
    assert footprint.contains(shapely.Point((lon + 180) % 360 - 180, lat))


@pytest.mark.parametrize(
    ("crs", "transform", "rows", "cols"),
    [
        ("EPSG:32632", Affine(0.6, 0, 300000, 0, -0.6, 5273646), 50_000, 20),
        ("EPSG:32632", Affine(0.05, 0, 300000, 0, -0.05, 5273646), 20, 200_000),
        ("EPSG:32632", Affine.translation(3e5, 5273646) @ Affine.rotation(37) @ Affine.scale(0.6, -0.6), 50_000, 20),
        ("EPSG:32632", Affine(0.002, 0, 300000, 0, -0.002, 5273646), 1, 1),  # a drone's
        ("EPSG:4326", Affine(2e-8, 0, 9, 0, -2e-8, 47), 20, 20),
        ("EPSG:3035", Affine(30, 0, 1.5e6, 0, -30, 5.2e6), 100, 200_000),  # a swath across Europe
        ("EPSG:32660", Affine(10, 0, 780000, 0, -10, 1200000), 10, 10_000),  # across the antimeridian
        ("EPSG:3031", Affine(10, 0, -800, 0, -10, 800), 160, 160),  # over the pole
        ("EPSG:3031", Affine(10, 0, -800, 0, 10, -800), 160, 160),  # with rows upwards
        ("EPSG:3031", Affine(0.01, 0, -0.1, 0, -0.01, 0.1), 20, 20),
        ("EPSG:3031", Affine(10, 0, -80_000, 0, -10, 100), 20, 16_000),
        ("EPSG:3413", Affine(100, 0, 0, 0, -100, 0), 1000, 1000),  # the pole on a corner
        ("EPSG:3413", Affine(100, 0, -31_000, 0, -100, 100_000), 1000, 1000),  # and on a side
    ],
)
def test_a_footprint_holds_its_own_pixels_and_no_others(crs, transform, rows, cols):
    grid = Grid(rows, cols, CRS.from_user_input(crs), transform)
    described = of_grid(grid)
    footprint = shapely.from_geojson(json.dumps(described["geometry"]))
    assert footprint.is_valid
    to_lonlat = lonlat_transformer(grid.crs)
    points = np.random.default_rng(0).random((4000, 2)) * 3 - 1
    is_own = ((points > 0) & (points < 1)).all(axis=1)
    col, row = (points * (cols, rows)).T
    lon, lat = to_lonlat.transform(*(transform @ (col, row)))
    lon = (lon + 180) % 360 - 180
    assert shapely.contains_xy(footprint, lon[is_own], lat[is_own]).mean() > 0.998
    assert shapely.contains_xy(footprint, lon[~is_own], lat[~is_own]).mean() < 0.002
    west, south, east, north = described["bbox"]
    in_bbox = (
        (south <= lat)
        & (lat <= north)
        & ((west <= lon) & (lon <= east) if west <= east else (lon >= west) | (lon <= east))
    )
    assert in_bbox[is_own].mean() > 0.998
    assert shapely.count_coordinates(footprint) < 5000


def test_a_turned_grid():
    grid = Grid(100, 200, CRS.from_epsg(32632), Affine(3, 4, 439136.4, 4, -3, 5273706.6))
    described = of_grid(grid)
    assert described["properties"]["proj:bbox"] == pytest.approx(
        [439136.4, 5273706.6 - 300, 439136.4 + 1000, 5273706.6 + 800]
    )
    assert shapely.from_geojson(json.dumps(described["geometry"])).exterior.is_ccw


@pytest.mark.parametrize(
    "crs", [None, MARS, CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')], ids=["none", "mars", "site"]
)
def test_where_there_is_no_longitude_the_geometry_is_null(crs):
    described = of_grid(Grid(30, 40, crs, Affine(0.5, 0, 10, 0, -0.5, 20)))
    assert described["geometry"] is None
    assert "bbox" not in described
    properties = described["properties"]
    assert properties["proj:code"] is None
    assert properties["proj:shape"] == [30, 40]
    assert properties["proj:transform"] == [0.5, 0, 10, 0, -0.5, 20]
    assert properties["proj:bbox"] == [10, 5, 30, 20]
    assert ("proj:wkt2" in properties) == ("proj:projjson" in properties) == (crs is not None)
    if crs is not None:
        assert pyproj.CRS(properties["proj:wkt2"]).name == pyproj.CRS(crs.to_wkt()).name
    assert pystac.Item.from_dict(described).geometry is None


def test_a_grid_beyond_its_projection_has_no_footprint():
    # the corners of a geostationary view look past the Earth
    view = CRS.from_proj4("+proj=geos +h=35785831 +lon_0=0 +ellps=GRS80 +units=m")
    described = of_grid(Grid(10, 10, view, Affine(1.1e6, 0, -5.5e6, 0, -1.1e6, 5.5e6)))
    assert described["geometry"] is None


def test_a_crs_without_a_code_is_written_out():
    own = pyproj.CRS("+proj=laea +lat_0=47.6 +lon_0=8.2 +ellps=GRS80 +units=m")
    described = of_grid(Grid(30, 40, CRS.from_wkt(own.to_wkt()), Affine(10, 0, 0, 0, -10, 0)))
    properties = described["properties"]
    assert properties["proj:code"] is None
    assert pyproj.CRS.from_json_dict(properties["proj:projjson"]) == pyproj.CRS(properties["proj:wkt2"])
    assert pyproj.CRS(properties["proj:wkt2"]).to_cf()["grid_mapping_name"] == "lambert_azimuthal_equal_area"
    assert described["geometry"]["type"] == "Polygon"
