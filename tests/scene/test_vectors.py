from __future__ import annotations

import geopandas
import numpy as np
import pyproj
import pytest
import shapely

from lposs_geo.errors import ParameterError
from lposs_geo.scene.vectors import Purpose, read_vectors

TREES = Purpose("the trees", "trees", "are nowhere", "trees_layer", "plant some")
POINTS = [shapely.Point(1, 2), None, shapely.Point(3, 4)]
TABLE = {"Height": [2.5, np.nan, 4], "kind": ["oak", None, "lime"], "age": [3, 4, 5]}


def write(path, table=TABLE, shapes=POINTS):
    frame = geopandas.GeoDataFrame(table, geometry=shapes, crs=32632)
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path)
    return str(path)


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "parquet"])
def test_columns_in_any_letters(tmp_path, suffix):
    path = write(tmp_path / f"a.{suffix}")
    vectors = read_vectors(path, None, TREES, columns=("height", "kind", "age", "none"))
    assert vectors.columns == {"height": [2.5, None, 4], "kind": ["oak", None, "lime"], "age": [3, 4, 5]}
    assert set(vectors.fields) == set(TABLE)
    assert vectors.crs == pyproj.CRS(32632)
    assert [None if shape is None else shapely.from_wkb(shape) for shape in vectors.shapes] == POINTS


def test_no_columns_are_read_unasked(tmp_path):
    assert read_vectors(write(tmp_path / "a.gpkg"), None, TREES).columns == {}


def test_of_two_columns_the_one_in_the_same_letters(tmp_path):
    path = write(tmp_path / "a.parquet", {"Kind": ["a"] * 3, "kind": ["b"] * 3, "KIND": ["c"] * 3})
    assert read_vectors(path, None, TREES, columns=("kind",)).columns == {"kind": ["b"] * 3}


@pytest.mark.parametrize("suffix", ["gpkg", "parquet"])
def test_as_many_rows_as_asked_for(tmp_path, suffix):
    vectors = read_vectors(write(tmp_path / f"a.{suffix}"), None, TREES, columns=("age",), most=2)
    assert (len(vectors.shapes), vectors.columns) == (2, {"age": [3, 4]})


def test_other_encodings_of_geoparquet_and_parts_in_a_folder(tmp_path):
    frame = geopandas.GeoDataFrame(TABLE, geometry=POINTS, crs=32632)
    frame.to_parquet(tmp_path / "arrow.parquet", geometry_encoding="geoarrow")
    (tmp_path / "parts.parquet").mkdir()
    frame.to_parquet(tmp_path / "parts.parquet" / "1.parquet")
    for name in ("arrow.parquet", "parts.parquet"):
        vectors = read_vectors(str(tmp_path / name), None, TREES, columns=("height", "kind"))
        assert vectors.columns == {"height": [2.5, None, 4], "kind": ["oak", None, "lime"]}
        assert len(vectors.shapes) == 3


def test_messages_say_what_the_file_was_meant_for(tmp_path):
    with pytest.raises(ParameterError, match=r"^the trees 'none\.gpkg' are nowhere$"):
        read_vectors("none.gpkg", None, TREES)
    (tmp_path / "a.gpkg").write_text("no database")
    with pytest.raises(ParameterError, match=r"a\.gpkg' can't be read as trees: "):
        read_vectors(str(tmp_path / "a.gpkg"), None, TREES)
    (tmp_path / "a.csv").write_text("id\n1\n")
    with pytest.raises(ParameterError, match="holds no layer with shapes: plant some"):
        read_vectors(str(tmp_path / "a.csv"), None, TREES)
    with pytest.raises(ParameterError, match="has no layers, so no 'x': leave trees_layer out"):
        read_vectors(write(tmp_path / "a.parquet"), "x", TREES)
