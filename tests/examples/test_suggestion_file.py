from __future__ import annotations

import json
import warnings
from pathlib import Path

import geopandas
import pyogrio
import pyproj
import pytest
from affine import Affine
from rasterio.crs import CRS

from lposs_geo.errors import OutputError
from lposs_geo.examples.suggest import Suggestion
from lposs_geo.examples.suggestion_file import LAYER, write_suggestions
from lposs_geo.files.outputs import POLYGON_ENDINGS
from lposs_geo.grid import Grid, to_pyproj
from lposs_geo.legend.building import from_words

LEGEND = from_words("forest,Größe,water")
GRID = Grid(100, 200, CRS.from_epsg(32632), Affine(0.5, 0, 439136.4, 0, -0.5, 5273706.6))
PICTURE = Grid(100, 200, None, Affine.identity())
SUGGESTIONS = (
    Suggestion((8.0, 24.0), 3, 1, (0.5, 0.375)),
    Suggestion((104.0, 8.0), 2, 3, (0.25, 0.25)),
    Suggestion((199.5, 99.5), 1, 2, (1.0, 0.0)),
)
COLUMNS = ["class", "first", "second", "margin", "rank", "geometry"]


def read(path: Path) -> geopandas.GeoDataFrame:
    """The points by rank, since FlatGeobuf changes the order for its index."""
    frame = geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path, layer=LAYER)
    return frame.sort_values("rank").reset_index(drop=True)


@pytest.mark.parametrize("grid", [GRID, PICTURE], ids=["utm", "picture"])
@pytest.mark.parametrize("suffix", POLYGON_ENDINGS)
def test_what_is_written_is_what_is_read(tmp_path, suffix, grid):
    path = tmp_path / f"next{suffix}"
    if suffix == ".geojson" and grid is PICTURE:
        with pytest.raises(OutputError, match=r"take \.gpkg, \.parquet or \.fgb$"):
            write_suggestions(path, SUGGESTIONS, LEGEND, grid)
        assert not path.exists()
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_suggestions(path, SUGGESTIONS, LEGEND, grid)
    frame = read(path)
    assert list(frame.columns) == COLUMNS
    assert frame["class"].tolist() == ["", "", ""]
    assert frame["first"].tolist() == ["water", "Größe", "forest"]
    assert frame["second"].tolist() == ["forest", "water", "Größe"]
    assert frame["margin"].tolist() == [12.5, 0, 100]
    assert frame["rank"].tolist() == [1, 2, 3]
    if grid is PICTURE:
        assert frame.crs is None
        expected = [(8, -24), (104, -8), (199.5, -99.5)]
    else:
        expected = [(439140.4, 5273694.6), (439188.4, 5273702.6), (439236.15, 5273656.85)]
        assert frame.crs == ("EPSG:4326" if suffix == ".geojson" else to_pyproj(grid.crs))
        back = pyproj.Transformer.from_crs(frame.crs, to_pyproj(grid.crs), always_xy=True)
        frame = frame.set_geometry(geopandas.points_from_xy(*back.transform(frame.geometry.x, frame.geometry.y)))
    assert [(point.x, point.y) for point in frame.geometry] == [pytest.approx(point, abs=1e-3) for point in expected]


@pytest.mark.parametrize("suffix", POLYGON_ENDINGS)
def test_the_same_points_are_the_same_bytes(tmp_path, suffix):
    for name in "ab":
        write_suggestions(tmp_path / f"{name}{suffix.upper()}", SUGGESTIONS, LEGEND, GRID)
    assert (tmp_path / f"a{suffix.upper()}").read_bytes() == (tmp_path / f"b{suffix.upper()}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("suffix", POLYGON_ENDINGS)
def test_no_points_are_a_valid_layer(tmp_path, suffix):
    path = tmp_path / f"next{suffix}"
    write_suggestions(path, (), LEGEND, GRID)
    if suffix == ".geojson":  # which has no columns without features
        assert json.loads(path.read_text())["features"] == []
        return
    frame = read(path)
    assert len(frame) == 0
    assert list(frame.columns) == COLUMNS
    assert frame.crs == "EPSG:32632"


def test_columns_have_their_types(tmp_path):
    write_suggestions(tmp_path / "next.gpkg", SUGGESTIONS, LEGEND, GRID)
    info = pyogrio.read_info(tmp_path / "next.gpkg")
    assert info["layer_name"] == "suggestions"
    assert info["geometry_type"] == "Point"
    assert list(info["dtypes"]) == ["object", "object", "object", "float64", "int32"]


def test_files_that_cannot_be(tmp_path):
    with pytest.raises(OutputError, match="must end in"):
        write_suggestions(tmp_path / "next.kml", SUGGESTIONS, LEGEND, GRID)
    for suffix in POLYGON_ENDINGS:
        with pytest.raises(OutputError, match=rf"can't write 'next\{suffix}'") as caught:
            write_suggestions(tmp_path / "none" / f"next{suffix}", SUGGESTIONS, LEGEND, GRID)
        assert len(str(caught.value).splitlines()) == 1
