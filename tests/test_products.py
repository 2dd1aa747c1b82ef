"""All files of a map, made by one real run on a chip of the bundled scene."""

from __future__ import annotations

import json
from dataclasses import replace

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rio_cogeo.cogeo import cog_validate

from lposs_geo.errors import OutputError
from lposs_geo.files.outputs import may_be_output
from lposs_geo.legend.building import from_words
from lposs_geo.legend.legend import Legend
from lposs_geo.mapping import map_scene
from lposs_geo.products import PRODUCTS
from lposs_geo.progress import STAGES
from lposs_geo.testing.rasters import write_chip, write_geotiff
from lposs_geo.writers import rasters

WORDS = "water,forest,crop field"


def _read(path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read()


@pytest.fixture(scope="module")
def folder(lakeside, tmp_path_factory):
    folder = tmp_path_factory.mktemp("products")
    write_chip(folder / "chip.tif", lakeside)
    _map(folder, folder / "map.tif", vector="map.parquet", probabilities="probabilities.tif", confidence="sure.tif",
         report="map.html", quicklook="map.png", stac="item.json")  # fmt: skip
    return folder


def _map(folder, dst, **options):
    outputs = ("vector", "quicklook", "confidence", "probabilities", "report", "stac")
    named = {name: dst.parent / value if name in outputs else value for name, value in options.items()}
    return map_scene(folder / "chip.tif", WORDS, dst, **named)


def test_all_files_are_there_and_nothing_else(folder):
    assert {path.name for path in folder.iterdir()} == {
        *("chip.tif", "map.tif", "map.tif.aux.xml", "map.qml", "map.sld", "sure.tif", "sure.qml"),
        *("probabilities.tif", "map.parquet", "map.png", "map.html", "item.json"),
    }


def test_confidence_and_probabilities_belong_to_the_labels(folder):
    labels, confidence, shares = (_read(folder / f"{name}.tif") for name in ("map", "sure", "probabilities"))
    missing = labels[0] == 255
    assert missing.any()
    for layers in (confidence, shares):
        assert (layers[:, missing] == 255).all()
        assert layers[:, ~missing].max() <= 100
    assert shares.shape[0] == 3
    assert (
        np.take_along_axis(shares, (labels.clip(1, 3) - 1).astype(int), 0)[:, ~missing] == confidence[:, ~missing]
    ).all()
    for name in ("sure.tif", "probabilities.tif"):
        assert cog_validate(folder / name)[0]
        with rasterio.open(folder / name) as dataset, rasterio.open(folder / "map.tif") as of_labels:
            assert (dataset.crs, dataset.transform) == (of_labels.crs, of_labels.transform)


def test_polygons_carry_the_mean_confidence(folder):
    polygons = geopandas.read_parquet(folder / "map.parquet")
    confidence, labels = _read(folder / "sure.tif")[0], _read(folder / "map.tif")[0]
    assert list(polygons.columns) == [
        *("class_id", "class_name", "class_code", "area_m2", "perimeter_m", "confidence", "geometry"),
    ]
    # all polygons of a class together have the mean of its pixels, up to what simplified borders change of the areas
    for number in np.unique(polygons.class_id):
        own = polygons[polygons.class_id == number]
        assert np.average(own.confidence, weights=own.area_m2) == pytest.approx(
            confidence[labels == number].mean(), abs=1
        )


def test_the_report_tells_the_areas(folder):
    page = (folder / "map.html").read_text()
    for said in ("crop field", "ETRS89 / UTM" if "ETRS89" in page else "WGS 84 / UTM zone 32N", "mini", "chip.tif"):
        assert said in page


def test_the_item_points_to_the_files_beside_it(folder):
    item = json.loads((folder / "item.json").read_text())
    assert {asset["href"] for asset in item["assets"].values()} == {
        *("./map.tif", "./map.parquet", "./map.png", "./map.html", "./sure.tif", "./probabilities.tif"),
    }
    for asset in item["assets"].values():
        assert (folder / asset["href"]).exists()
    assert item["properties"]["proj:code"] == "EPSG:32632"
    assert item["properties"]["lposs_geo:model"] == "mini"
    assert item["properties"]["lposs_geo:options"]["simplify"] == "1px"
    assert [entry["name"] for entry in item["assets"]["labels"]["classification:classes"]][1:4] == [
        *("water", "forest", "crop-field"),
    ]


def test_what_is_not_confident_enough_is_unknown(folder, tmp_path):
    result = _map(folder, tmp_path / "map.tif", min_confidence=0.8, vector="map.gpkg")
    labels, before, confidence = (
        _read(path)[0] for path in (tmp_path / "map.tif", folder / "map.tif", folder / "sure.tif")
    )
    unsure = (before != 255) & (confidence < 80)
    assert unsure.any()
    assert (labels[unsure] == 0).all()
    assert np.array_equal(labels[~unsure], before[~unsure])
    assert sum(area.share for area in result.areas) < 1
    assert "unknown" in set(geopandas.read_file(tmp_path / "map.gpkg", layer="landcover").class_name)


def test_an_area_of_interest_is_cut_out_and_masked(folder, tmp_path):
    with rasterio.open(folder / "chip.tif") as dataset:
        middle = dataset.xy(120, 150)
    circle = geopandas.GeoDataFrame(geometry=[shapely.Point(middle).buffer(40)], crs="EPSG:32632")
    circle.to_crs("EPSG:4326").to_file(tmp_path / "lake.geojson")
    _map(folder, tmp_path / "map.tif", aoi=tmp_path / "lake.geojson", vector="map.gpkg")
    with rasterio.open(tmp_path / "map.tif") as part, rasterio.open(folder / "map.tif") as whole:
        labels, bounds = part.read(1), part.bounds
        same = whole.read(1, window=whole.window(*bounds).round())
    inside = labels != 255
    assert inside.mean() == pytest.approx(np.pi / 4, abs=0.02)
    assert (labels[inside] == same[inside]).mean() >= 0.9999
    assert not inside[0, 0]
    area = geopandas.read_file(tmp_path / "map.gpkg", layer="landcover").area_m2.sum()
    assert area == pytest.approx(inside.sum() * 0.36, rel=1e-6)


def test_a_box_is_an_area_too_and_another_one_is_another_run(folder, tmp_path):
    with rasterio.open(folder / "chip.tif") as dataset:
        (left, top), (right, bottom) = dataset.xy(50, 70, offset="ul"), dataset.xy(90, 170, offset="ul")
    _map(folder, tmp_path / "map.tif", aoi=f"{left},{bottom},{right},{top}")
    labels = _read(tmp_path / "map.tif")[0]
    assert labels.shape == (40, 100)
    assert (labels != 255).all()


def test_small_polygons_are_merged_and_the_labels_are_not(folder, tmp_path):
    few = _map(folder, tmp_path / "few.tif", min_area=500, simplify=0, vector="few.gpkg")
    polygons = geopandas.read_file(tmp_path / "few.gpkg", layer="landcover")
    assert polygons.area_m2.min() >= 500
    assert np.array_equal(_read(few.labels), _read(folder / "map.tif"))


def test_negatives_take_pixels_from_their_class(folder, tmp_path):
    legend = from_words("lake,forest,crop field")
    lake = legend.classes[0]
    refuted = Legend((replace(lake, negatives=("water", "swimming pool")), *legend.classes[1:]))
    map_scene(folder / "chip.tif", legend, tmp_path / "plain.tif")
    map_scene(folder / "chip.tif", refuted, tmp_path / "refuted.tif")
    plain, labels = _read(tmp_path / "plain.tif")[0], _read(tmp_path / "refuted.tif")[0]
    changed = labels != plain
    assert changed.mean() > 0.01
    assert (plain[changed] == 1).all()


def test_formats_that_cannot_hold_the_scene_are_refused_before_any_work(tmp_path):
    array = np.random.default_rng(0).integers(1, 255, (3, 20, 20)).astype("uint8")
    path = write_geotiff(tmp_path / "a.tif", array, crs=None)
    with pytest.raises(OutputError, match=r"without a CRS"):
        map_scene(path, WORDS, tmp_path / "map.tif", vector=tmp_path / "map.geojson", progress=pytest.fail)


def test_the_map_of_a_plain_picture_lies_where_a_gis_shows_the_picture(folder, tmp_path):
    """Rows downwards from 0: no georeference on the whole, and y = -row for a part of it and for polygons."""
    array = _read(folder / "chip.tif")[[2, 1, 0], :60, 60:160]
    path = write_geotiff(tmp_path / "photo.tif", array, crs=None, transform=rasterio.Affine.identity())
    for name, aoi, bounds in (("whole", None, [0, -60, 100, 0]), ("part", "10,5,90,45", [10, -45, 90, -5])):
        map_scene(path, WORDS, tmp_path / f"{name}.tif", vector=tmp_path / f"{name}.gpkg", aoi=aoi, refine=False)
        assert geopandas.read_file(tmp_path / f"{name}.gpkg", layer="landcover").total_bounds.tolist() == bounds
    with rasterio.open(tmp_path / "whole.tif") as dataset:
        assert dataset.transform.is_identity
    with rasterio.open(tmp_path / "part.tif") as dataset:
        assert list(dataset.bounds) == [10, -45, 90, -5]


def test_what_nobody_asked_for_is_not_made(folder, tmp_path, monkeypatch):
    made = []
    real = rasters.percent_writer

    def percent_writer(path, grid, names, tags, **options):
        made.append((path.name, options))
        return real(path, grid, names, tags, **options)

    monkeypatch.setattr(rasters, "percent_writer", percent_writer)
    _map(folder, tmp_path / "labels.tif", quicklook="labels.png")
    assert made == []
    _map(folder, tmp_path / "drawn.tif", vector="drawn.fgb")
    assert made == [("confidence.tif.part", {"lasts": False})]
    assert {path.suffix for path in tmp_path.iterdir()} == {".tif", ".xml", ".qml", ".sld", ".png", ".fgb"}
    assert geopandas.read_file(tmp_path / "drawn.fgb").confidence.notna().all()


def test_every_kind_of_file_is_told_from_the_others():
    assert [product.name for product in PRODUCTS if product.open is None and product.write is None] == ["labels"]
    assert all(product.summary.endswith(".") and product.stage in STAGES for product in PRODUCTS)
    names = {product.name for product in PRODUCTS}
    assert all(product.needs <= names for product in PRODUCTS)


def test_a_kill_between_two_renames_can_be_made_good_whatever_the_ending():
    # a list of moves with a name that may be no output is refused whole
    for product in PRODUCTS:
        assert all(may_be_output(f"a{ending}") for ending in product.endings.split()), product.name
