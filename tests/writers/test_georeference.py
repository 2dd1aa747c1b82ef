from __future__ import annotations

import itertools
from pathlib import Path

import geopandas
import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from lposs_geo.files.outputs import sidecar
from lposs_geo.grid import Grid
from lposs_geo.legend.building import from_words
from lposs_geo.polygons.vectorize import vectorize
from lposs_geo.writers.georeference import keep_georeference, notices_of_crs, same_crs, seen_alone
from lposs_geo.writers.rasters import label_writer, percent_writer

UTM = Affine(0.6, 0, 439136.4, 0, -0.6, 5273706.6)
LEGEND = from_words("forest,water")
MERCATOR = "+proj=merc +lon_0=11 +datum=WGS84"

NOT_IN_KEYS = {
    "three axes": pyproj.CRS("EPSG:32632").to_3d().to_wkt("WKT2_2019"),
    "rotated pole": "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18 +R=6371229",
    "a method that GeoTIFF doesn't know": "+proj=eqearth +lon_0=11 +datum=WGS84",
    "derived from a projection": pyproj.CRS.from_json_dict(
        {
            "type": "DerivedProjectedCRS",
            "name": "site",
            "base_crs": pyproj.CRS("EPSG:32632").to_json_dict(),
            "conversion": {
                "name": "turned",
                "method": {"name": "Affine parametric transformation", "id": {"authority": "EPSG", "code": 9624}},
                "parameters": [
                    {"name": name, "value": value, "unit": unit, "id": {"authority": "EPSG", "code": code}}
                    for name, value, unit, code in (
                        ("A0", 500, "metre", 8623),
                        ("A1", 1, "unity", 8624),
                        ("A2", 0, "unity", 8625),
                        ("B0", 0, "metre", 8639),
                        ("B1", 0, "unity", 8640),
                        ("B2", 1, "unity", 8641),
                    )
                ],
            },
            "coordinate_system": pyproj.CRS("EPSG:32632").coordinate_system.to_json_dict(),
        }
    ).to_wkt("WKT2_2019"),
}
IN_KEYS = {
    "a code": "EPSG:32632",
    "northing before easting": "EPSG:3068",
    "with heights": "EPSG:2056+5728",
    "bound": "+proj=tmerc +lon_0=15 +x_0=5500000 +ellps=bessel +towgs84=598.1,73.7,418.2,0.202,0.045,-2.455,6.7",
    "own sphere": "+proj=laea +lat_0=52 +lon_0=10 +R=6371000 +units=m",
    "another planet": "+proj=stere +lat_0=90 +R=3396190",
    "longitudes first": "OGC:CRS84",
    "local": 'LOCAL_CS["site",UNIT["metre",1]]',
    "engineering": 'ENGCRS["site",EDATUM["peg"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]',
}


def _write(folder: Path, grid: Grid) -> list[Path]:
    """Labels, confidence and scores of a grid."""
    paths = [folder / name for name in ("map.tif", "confidence.tif", "scores.tif")]
    whole = Window(0, 0, grid.width, grid.height)
    with label_writer(paths[0], grid, LEGEND, {}) as writer:
        writer.write(np.ones((grid.height, grid.width), np.uint8), whole)
    for path, names in zip(paths[1:], (["confidence"], LEGEND.names), strict=True):
        with percent_writer(path, grid, names, {}) as write:
            write(np.full((len(names), grid.height, grid.width), 90, np.uint8), whole)
    return paths


def _lies(path: Path) -> tuple[CRS | None, Affine]:
    with rasterio.open(path) as dataset:
        return dataset.crs, dataset.transform


@pytest.mark.parametrize("text", [*NOT_IN_KEYS.values(), *IN_KEYS.values()], ids=[*NOT_IN_KEYS, *IN_KEYS])
def test_every_raster_has_the_crs_of_the_scene(tmp_path, text):
    crs = CRS.from_user_input(text)
    paths = _write(tmp_path, Grid(20, 30, crs, UTM))
    for path in paths:
        written_crs, transform = _lies(path)
        assert same_crs(written_crs, crs)
        assert transform == UTM
    with rasterio.open(paths[0]) as dataset:  # and what else the sidecar tells
        assert "<Category>forest</Category>" in sidecar(paths[0]).read_text()
        assert dataset.files == [str(paths[0]), str(sidecar(paths[0]))]
    assert not list(tmp_path.glob("*.plain*"))


@pytest.mark.parametrize("text", NOT_IN_KEYS.values(), ids=NOT_IN_KEYS)
def test_what_a_geotiff_cannot_hold_is_said(tmp_path, text):
    crs = CRS.from_user_input(text)
    assert seen_alone(crs) is None
    assert "keep the two together, since without it a raster has none" in str(notices_of_crs(crs)[0])
    [path, *_] = _write(tmp_path, Grid(20, 30, crs, UTM))
    sidecar(path).unlink()
    assert _lies(path)[0] is None  # as the notice says


@pytest.mark.parametrize("text", IN_KEYS.values(), ids=IN_KEYS)
def test_nothing_is_said_of_what_a_geotiff_holds(text):
    assert notices_of_crs(CRS.from_user_input(text)) == ()


def test_nothing_is_said_without_a_crs():
    assert notices_of_crs(None) == ()


def _read(path: Path) -> geopandas.GeoDataFrame:
    return geopandas.read_file(path, layer="landcover")


def test_polygons_of_a_map_keep_what_its_sidecar_holds(tmp_path):
    for name, text in NOT_IN_KEYS.items():
        folder = tmp_path / name
        folder.mkdir()
        crs = pyproj.CRS.from_user_input(text)
        transform = Affine(1e-5, 0, -7, 0, -1e-5, -2) if crs.is_geographic else UTM
        [path, *_] = _write(folder, Grid(20, 30, CRS.from_user_input(text), transform))
        for suffix, read in (
            (".gpkg", _read),
            (".fgb", _read),
            (".parquet", geopandas.read_parquet),
        ):
            vectorize(path, folder / f"map{suffix}")
            assert read(folder / f"map{suffix}").crs.equals(crs, ignore_axis_order=True)


def test_a_crs_that_was_lost_on_the_way_goes_into_the_sidecar(tmp_path):
    path = tmp_path / "a.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 20, "width": 30, "transform": UTM}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.update_tags(1, ns="OURS", kept="yes")
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(1, STATISTICS_MEAN="3")
    for text in (MERCATOR, "EPSG:4326", "EPSG:3068", *NOT_IN_KEYS.values()):
        crs = CRS.from_user_input(text)
        keep_georeference(path, Grid(20, 30, crs, UTM))
        assert same_crs(_lies(path)[0], crs)
        assert _lies(path)[1] == UTM
    with pytest.raises(OSError, match="don't read back"):
        keep_georeference(path, Grid(20, 30, crs, UTM @ Affine.translation(1, 0)))
    with rasterio.open(path) as dataset:
        assert dataset.tags(1)["STATISTICS_MEAN"] == "3"


def test_the_same_crs_is_told_from_others():
    utm, degrees = CRS.from_epsg(32632), CRS.from_epsg(4326)
    assert same_crs(None, None)
    assert not same_crs(utm, None)
    assert not same_crs(utm, degrees)
    assert same_crs(degrees, CRS.from_user_input("OGC:CRS84"))
    assert not same_crs(utm, CRS.from_user_input(NOT_IN_KEYS["three axes"]))
    metres, feet = (CRS.from_user_input(f'LOCAL_CS["site",UNIT["unit",{size}]]') for size in (1, 0.3048))
    assert not same_crs(metres, feet)


@pytest.mark.parametrize("crs", [None, CRS.from_epsg(32632), CRS.from_epsg(4326)], ids=["none", "metres", "degrees"])
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_a_raster_lies_on_the_grid_it_was_given(tmp_path, crs, signs):
    """Sensor geometry has rows that go up by one: no reason to turn them round."""
    whole = Window(0, 0, 30, 20)
    for size, turned, window in itertools.product((1, 0.5), (0, 30), (whole, Window(3, 5, 20, 10))):
        scale = Affine.rotation(turned) @ Affine.scale(size * signs[0], size * signs[1])
        transform = Affine.translation(40, 38) @ scale
        grid = Grid(20, 30, crs, transform).part(window)
        with percent_writer(tmp_path / "a.tif", grid, ["confidence"], {}) as write:
            write(np.ones((1, grid.height, grid.width), np.uint8), Window(0, 0, grid.width, grid.height))
        written_crs, written = _lies(tmp_path / "a.tif")
        assert written_crs == crs
        assert written.almost_equals(transform @ Affine.translation(window.col_off, window.row_off), 1e-9)
