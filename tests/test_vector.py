from __future__ import annotations

import geopandas
import numpy as np
import pytest
import rasterio.features
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rasterio.crs import CRS

from lposs_geo.errors import OutputError
from lposs_geo.legend import from_words
from lposs_geo.vector import label_polygons, write_polygons

UTM = CRS.from_epsg(32632)
GROUND = Affine(0.6, 0, 439136.4, 0, -0.6, 5273706.6)
LEGEND = from_words("forest,water,road")

label_rasters = arrays.arrays(
    "uint8", arrays.array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.sampled_from([1, 2, 3, 0, 255])
)


@settings(max_examples=100, deadline=None)
@given(labels=label_rasters)
def test_polygons_are_the_raster(labels):
    polygons = label_polygons(labels, Affine.identity(), None, LEGEND, simplify=0)
    geometry = polygons.geometry.values
    assert shapely.is_valid(geometry).all()
    assert shapely.coverage_is_valid(geometry)
    for value in np.unique(labels[labels != 255]):
        assert polygons.area_m2[polygons.class_id == value].sum() == (labels == value).sum()
    burnt = np.full_like(labels, 255)
    if len(polygons):
        rasterio.features.rasterize(zip(geometry, polygons.class_id, strict=True), out=burnt)
    assert (burnt == labels).all()


@settings(max_examples=100, deadline=None)
@given(labels=label_rasters, simplify=st.sampled_from([0.5, 1.0, 3.0]))
def test_simplified_polygons_are_still_a_partition(labels, simplify):
    polygons = label_polygons(labels, GROUND, UTM, LEGEND, simplify=simplify)
    assert shapely.coverage_is_valid(polygons.geometry.values)
    assert polygons.area_m2.sum() == pytest.approx((labels != 255).sum() * 0.36, rel=1e-6)
    assert not shapely.is_empty(polygons.geometry.values).any()


def test_stairs_become_straight():
    labels = np.tri(60, dtype="uint8") + 1
    polygons = label_polygons(labels, GROUND, UTM, LEGEND)
    assert max(shapely.get_num_coordinates(polygons.geometry.values)) < 12


def test_columns_and_crs():
    labels = np.array([[1, 1, 2], [1, 0, 2]], dtype="uint8")
    polygons = label_polygons(labels, GROUND, UTM, LEGEND, simplify=0)
    assert list(polygons.columns) == ["class_id", "class_name", "area_m2", "geometry"]
    assert dict(zip(polygons.class_name, polygons.area_m2.round(6), strict=True)) == {
        "forest": 1.08,
        "water": 0.72,
        "unknown": 0.36,
    }
    assert polygons.crs.to_epsg() == 32632
    assert polygons.total_bounds == pytest.approx([439136.4, 5273705.4, 439138.2, 5273706.6])


def test_areas_in_degrees_are_geodesic():
    labels = np.ones((10, 10), dtype="uint8")
    polygons = label_polygons(labels, Affine(0.01, 0, 10, 0, -0.01, 48), CRS.from_epsg(4326), LEGEND)
    assert polygons.area_m2[0] == pytest.approx(7.47e3 * 11.12e3, rel=0.01)


def test_a_geopackage_reads_back(tmp_path):
    labels = np.random.default_rng(0).integers(1, 4, (30, 30)).astype("uint8")
    polygons = label_polygons(labels, GROUND, UTM, LEGEND)
    write_polygons(polygons, tmp_path / "a.gpkg")
    again = geopandas.read_file(tmp_path / "a.gpkg", layer="landcover")
    assert len(again) == len(polygons)
    assert again.crs.to_epsg() == 32632
    assert shapely.coverage_is_valid(again.geometry.values)
    assert set(again.class_name) == {"forest", "water", "road"}


def test_nothing_but_nodata_is_an_empty_layer(tmp_path):
    polygons = label_polygons(np.full((4, 4), 255, dtype="uint8"), GROUND, UTM, LEGEND)
    assert len(polygons) == 0
    write_polygons(polygons, tmp_path / "a.gpkg")
    assert len(geopandas.read_file(tmp_path / "a.gpkg")) == 0


def test_a_place_that_cannot_be_written_to(tmp_path):
    polygons = label_polygons(np.ones((2, 2), dtype="uint8"), GROUND, UTM, LEGEND)
    with pytest.raises(OutputError, match=r"can't write 'a\.gpkg'"):
        write_polygons(polygons, tmp_path / "none" / "a.gpkg")
