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
from rasterio.windows import Window

from lposs_geo import network
from lposs_geo.errors import LegendError, LpossGeoError, ParameterError
from lposs_geo.examples import read, read_examples
from lposs_geo.examples.suggest import Suggestion
from lposs_geo.examples.suggestion_file import write_suggestions
from lposs_geo.grid import Grid
from lposs_geo.legend import from_words

UTM = CRS.from_epsg(32632)
DEGREES = CRS.from_epsg(4326)
GRID = Grid(80, 100, UTM, Affine(2, 0, 500_000, 0, -2, 5_200_000))
LEGEND = from_words("forest,water,road")


def at(row, col):
    """The middle of a px."""
    return shapely.Point(500_001 + 2 * col, 5_199_999 - 2 * row)


def area(top, left, bottom, right):
    """The px from a row and col to before others."""
    return shapely.box(500_000 + 2 * left, 5_200_000 - 2 * bottom, 500_000 + 2 * right, 5_200_000 - 2 * top)


def write(path, shapes, classes, crs=UTM, name="class", **columns):
    options = columns.pop("options", {})
    frame = geopandas.GeoDataFrame({name: classes, **columns}, geometry=list(shapes), crs=crs)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path, **options)
    return path


def burned(examples, grid=GRID):
    return examples.burn(Window(0, 0, grid.width, grid.height))


def refused(path, grid=GRID, **options):
    with pytest.raises(LpossGeoError) as caught:
        read_examples(path, LEGEND, grid, **options)
    text = str(caught.value)
    assert text.isprintable() and len(text) < 700
    assert "area of interest" not in text and "aoi" not in text
    return text


SHAPES = (at(3, 4), area(10, 10, 20, 30), shapely.LineString([at(40, 5), at(40, 9)]), shapely.MultiPoint([at(50, 1)]))
CLASSES = ("forest", "Water", "ROAD", "1")


def expected():
    pixels = np.zeros((80, 100), dtype=np.uint8)
    pixels[3, 4], pixels[10:20, 10:30], pixels[40, 5:10], pixels[50, 1] = 1, 2, 3, 1
    return pixels


@pytest.mark.parametrize("crs", [32632, 4326, 3857, 32633, 3035])
@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "fgb", "parquet"])
def test_files_in_any_crs(tmp_path, suffix, crs):
    shapes = geopandas.GeoSeries(SHAPES, crs=UTM).to_crs(crs)
    path = write(tmp_path / f"examples.{suffix}", shapes, CLASSES, crs)
    examples, legend = read_examples(path, LEGEND, GRID)
    assert legend is LEGEND
    assert (burned(examples) == expected()).all()
    assert examples.counts == {"forest": 2, "water": 1, "road": 1}
    assert examples.notices == ()
    assert read_examples(str(path), LEGEND, GRID)[0].digest == examples.digest


def test_shapefiles_also_in_archives(tmp_path):
    path = write(tmp_path / "points.shp", [at(3, 4), at(5, 6)], ["forest", "water"], name="CLASS")
    digest = read_examples(path, LEGEND, GRID)[0].digest
    with zipfile.ZipFile(tmp_path / "points.zip", "w") as archive:
        for file in tmp_path.glob("points.[sdpc]*"):
            archive.write(file, f"of mine/{file.name}")
    assert read_examples(tmp_path / "points.zip", LEGEND, GRID)[0].digest == digest


def test_a_table_of_text(tmp_path):
    path = tmp_path / "examples.csv"
    rows = ["WKT,Class,Weight,use"]
    rows += [f'"{shape.wkt}",{name},,' for shape, name in zip(SHAPES, CLASSES, strict=True)]
    path.write_text("\n".join(rows))
    examples, _ = read_examples(path, LEGEND, GRID)
    assert (burned(examples) == expected()).all()
    assert [str(notice) for notice in examples.notices] == [
        f"{path} has no CRS: its coordinates are taken to be the scene's"
    ]
    plain = Grid(80, 100, None, GRID.transform)
    examples, _ = read_examples(path, LEGEND, plain)
    assert (burned(examples) == expected()).all()
    assert not examples.notices


def test_what_is_not_used_is_counted(tmp_path):
    shapes = [
        at(0, 0), at(200, 0), None, shapely.Point(), at(5, 5), at(6, 6), at(7, 7), at(8, 8),
        at(9, 9), at(9, 9), at(10, 10), at(10, 10), at(11, 11),
    ]  # fmt: skip
    classes = ["forest", "forest", "forest", "water", None, "", "water", "no such class"]
    classes += ["road", "road", "road", "water", "forest"]
    uses = [None, "", "training", "Training ", "TRAINING", None, "training", "reference", *[None] * 4, "validation"]
    path = write(tmp_path / "examples.gpkg", shapes, classes, use=uses)
    examples, _ = read_examples(path, LEGEND, GRID)
    assert [str(notice) for notice in examples.notices] == [
        f"3 of 13 examples in '{path}' are used: 2 of another use than training, 2 without a class yet, "
        "2 without a shape, 1 outside the scene, 1 repeating others, 2 contradicting others (rows 11, 12)",
        "pixels that examples draw as two classes, which count for none of them: 1",
    ]
    assert examples.counts == {"forest": 1, "water": 1, "road": 1}


def test_none_usable_is_refused_with_the_reasons(tmp_path):
    path = write(tmp_path / "examples.gpkg", [at(200, 0), at(0, 200), at(3, 3)], ["forest", "road", None])
    assert refused(path) == (
        f"0 of 3 examples in '{path}' can be used: 1 without a class yet, 2 outside the scene: "
        "draw some on the scene, each of one class"
    )
    path = write(tmp_path / "blank.gpkg", [at(3, 3)] * 2, [None, None])
    assert "0 of 2 examples" in refused(path)


def test_examples_of_one_class_are_told(tmp_path):
    path = write(tmp_path / "examples.gpkg", [at(3, 3), at(4, 4)], ["road", "road"])
    assert "all examples are of one class, 'road'" in str(read_examples(path, LEGEND, GRID)[0].notices[0])


def test_codes_and_ids_in_any_type(tmp_path):
    for suffix in ("gpkg", "geojson", "parquet", "shp"):
        path = write(tmp_path / f"numbers.{suffix}", [at(3, 3), at(4, 4), at(5, 5)], np.array([1, 2, np.nan]))
        examples, _ = read_examples(path, LEGEND, GRID)
        assert examples.class_ids.tolist() == [1, 2]
        assert "1 without a class yet" in str(examples.notices[0])
    assert "'7' (1), which is no id" in refused(write(tmp_path / "seven.gpkg", [at(3, 3)], [7]), add_classes=True)


def test_new_classes_only_on_demand(tmp_path):
    path = write(tmp_path / "examples.gpkg", [at(3, 3), at(4, 4)], ["forest", "heath"])
    assert "'heath' (1), which the legend doesn't have: add_classes=True adds" in refused(path)
    examples, legend = read_examples(path, LEGEND, GRID, add_classes=True)
    assert legend.names == ["forest", "water", "road", "heath"]
    assert examples.counts == {"forest": 1, "heath": 1}
    path = write(tmp_path / "odd.gpkg", [at(3, 3)], ["nodata"])
    assert "may be called 'nodata'" in refused(path, add_classes=True)
    with pytest.raises(LegendError):
        read_examples(path, LEGEND, GRID, add_classes=True)


def test_weights(tmp_path):
    shapes, classes = [at(3, 3), at(4, 4), at(4, 4)], ["forest", "water", "water"]
    examples, _ = read_examples(write(tmp_path / "a.gpkg", shapes, classes, WEIGHT=[2.5, None, 3]), LEGEND, GRID)
    assert examples.weights.tolist() == [2.5, 3]
    examples, _ = read_examples(
        write(
            tmp_path / "a.csv", shapes, classes, weight=["2", "", " "], options={"driver": "CSV", "GEOMETRY": "AS_WKT"}
        ),
        LEGEND,
        GRID,
    )
    assert examples.weights.tolist() == [2, 1]
    for weight in (0, -1, "nan", "heavy", "inf", "2,5", True):
        path = write(tmp_path / "b.gpkg", shapes, classes, weight=[weight] * 3)
        text = refused(path)
        assert "in row 1 of the examples" in text and "must be a number above 0" in text
    for weight, fault in ((1.1e6, "too large"), (9e-7, "too small"), (1e308, "too large"), (5e-324, "too small")):
        path = write(tmp_path / "d.gpkg", shapes, classes, weight=[1.0, weight, 1.0])
        with pytest.raises(ParameterError, match=fault) as caught:
            read_examples(path, LEGEND, GRID)
        assert "in row 2 of the examples" in str(caught.value)
    # of what isn't used, it doesn't matter
    path = write(tmp_path / "c.gpkg", shapes, ["forest", None, "water"], weight=[1, -1, 0], use=["", "", "other"])
    assert read_examples(path, LEGEND, GRID)[0].weights.tolist() == [1]


def test_a_file_without_the_field_lists_those_there_are(tmp_path):
    path = write(tmp_path / "examples.gpkg", [at(3, 3)], ["forest"], name="kind", note=["x"])
    assert refused(path) == (
        f"the examples '{path}' have no field 'class' with the names of classes: its fields are 'kind', 'note'"
    )
    path = tmp_path / "bare.geojson"
    path.write_text(json.dumps({"type": "Point", "coordinates": [9, 47]}))
    assert "it has no fields at all" in refused(path)
    path = write(tmp_path / "examples.parquet", [at(3, 3)], ["forest"], name="kind")
    assert "its fields are 'kind'" in refused(path)


def test_empty_files_and_none(tmp_path):
    assert "have no rows" in refused(write(tmp_path / "none.gpkg", [], [], options={"geometry_type": "Point"}))
    assert "have no rows" in refused(write(tmp_path / "none.parquet", [], []))
    (tmp_path / "empty.gpkg").write_bytes(b"")
    assert "empty.gpkg' can't be read as examples" in refused(tmp_path / "empty.gpkg")
    (tmp_path / "text.gpkg").write_text("no database")
    assert "can't be read as examples" in refused(tmp_path / "text.gpkg")
    assert "the examples 'none.gpkg' are no file" in refused("none.gpkg")
    (tmp_path / "table.csv").write_text("id,class\n1,forest\n")
    assert "holds no layer with shapes: give a file with points" in refused(tmp_path / "table.csv")


def test_layers(tmp_path):
    path = write(tmp_path / "all.gpkg", [at(3, 3)], ["forest"], options={"layer": "mine"})
    assert len(read_examples(path, LEGEND, GRID)[0]) == 1
    write(path, [at(3, 3)], ["water"], options={"layer": "yours"})
    assert "2 layers: name one by examples_layer: 'mine', 'yours'" in refused(path)
    assert read_examples(path, LEGEND, GRID, layer="yours")[0].counts == {"water": 1}
    assert "no layer 'theirs'" in refused(path, layer="theirs")
    path = write(tmp_path / "all.parquet", [at(3, 3)], ["forest"])
    assert "leave examples_layer out" in refused(path, layer="mine")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files there")
def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.geojson")
    for path in (tmp_path / "pipe.geojson", "/dev/zero"):
        assert refused(path) == f"the examples '{path}' is a device or a pipe: name a file"


def test_nothing_is_read_from_the_net_where_that_is_forbidden(monkeypatch):
    monkeypatch.setenv(network.SWITCH, "1")
    assert "lies on the net" in refused("https://localhost/examples.geojson")


def table(path, *shapes):
    path.write_text("\n".join(["WKT,class", *(f'"{shape}",forest' for shape in shapes)]))
    return path


PIXELS = Grid(20, 20, None, Affine.identity())


def test_collections_are_taken_apart(tmp_path):
    square = "MULTIPOLYGON Z(((8 8 1,9 8 1,9 9 1,8 9 1,8 8 1)))"
    text = f"GEOMETRYCOLLECTION(POINT(0.5 0.5),LINESTRING(2.5 3.5,4.5 3.5),{square})"
    examples, _ = read_examples(table(tmp_path / "a.csv", text), LEGEND, PIXELS)
    assert len(examples) == 1
    assert [tuple(map(int, each)) for each in np.argwhere(burned(examples, PIXELS))] == [
        (0, 0), (3, 2), (3, 3), (3, 4), (8, 8),
    ]  # fmt: skip


def test_shapes_that_can_not_be_used_are_counted(tmp_path):
    circle = "CIRCULARSTRING(0 1,1 2,2 1,1 0,0 1)"
    path = table(
        tmp_path / "a.csv",
        "POINT(1 1)", f"GEOMETRYCOLLECTION(CURVEPOLYGON({circle}))", f"GEOMETRYCOLLECTION({circle})",
        "LINESTRING(0 0,nan 5)", "POINT(1e300 3)", "POLYGON((0 0,5 0,nan 5,0 0))", "POLYGON EMPTY",
        "POLYGON((4 4,6 4,6 6,4 6))", "POINT(nan nan)",
    )  # fmt: skip
    examples, _ = read_examples(path, LEGEND, PIXELS)
    text = str(examples.notices[0])
    assert "2 of 9 examples" in text and "2 without a shape" in text
    assert "5 of a shape that can't be used (rows 2, 3, 4, 5, 6)" in text
    assert burned(examples, PIXELS).sum() == 1 + 4


def test_broken_binary_shapes_are_counted(tmp_path):
    path = write(tmp_path / "a.parquet", [at(3, 3)] * 4, ["forest"] * 4)
    whole = parquet.read_table(path)
    point = shapely.to_wkb(at(3, 3))
    nested = point
    for _ in range(20_000):
        nested = struct.pack("<BII", 1, 7, 1) + nested
    shapes = [point, point[:9], nested, b""]
    parquet.write_table(whole.set_column(whole.schema.get_field_index("geometry"), "geometry", [shapes]), path)
    examples, _ = read_examples(path, LEGEND, GRID)
    assert "3 of a shape that can't be used (rows 2, 3, 4)" in str(examples.notices[0])


def test_what_has_no_position_in_the_scenes_crs_lies_outside(tmp_path):
    shapes = [shapely.Point(9, 46.9), shapely.Point(-171, -46), shapely.Point(9, 95), shapely.Point(500_000, 5_000_000)]
    shapes += [shapely.LineString([(9, 46.9), (9, 1e6)]), shapely.box(-180, -90, 180, 90)]
    path = write(tmp_path / "a.gpkg", shapes, ["water"] + ["forest"] * 4 + ["water"], 4326)
    grid = Grid(2000, 2000, UTM, Affine(20, 0, 480_000, 0, -20, 5_220_000))
    examples, _ = read_examples(path, LEGEND, grid)
    assert "4 outside the scene" in str(examples.notices[0])
    assert examples.counts == {"water": 2}
    assert examples.pixel_counts.max() == 4_000_000


def test_a_crs_without_a_way_to_the_scenes(tmp_path):
    path = write(tmp_path / "a.gpkg", [at(3, 3)], ["forest"])
    mars = CRS.from_wkt(
        'GEOGCS["Mars 2000",DATUM["D_Mars_2000",SPHEROID["Mars_2000",3396190,169.894447]],PRIMEM["Reference",0],'
        'UNIT["Degree",0.0174532925199433]]'
    )
    assert "nothing leads from there to the scene's 'Mars 2000'" in refused(path, Grid(9, 9, mars, Affine.identity()))
    assert "has a CRS and the scene has none" in refused(path, PIXELS)


def test_at_the_antimeridian(tmp_path):
    zone = pyproj.CRS(32660)
    grid = Grid(40, 80, DEGREES, Affine(0.05, 0, 178, 0, -0.05, -16))
    shapes = geopandas.GeoSeries([shapely.box(179, -18, 181, -17), shapely.LineString([(179, -16.5), (181, -16.5)])])
    shapes = shapes.set_crs(4326).segmentize(0.01).to_crs(zone)
    examples, _ = read_examples(write(tmp_path / "a.gpkg", shapes, ["water", "road"], zone), LEGEND, grid)
    pixels = burned(examples, grid)
    rows, cols = np.nonzero(pixels == 2)
    assert (rows.min(), rows.max(), cols.min(), cols.max(), len(rows)) == (20, 39, 20, 59, 20 * 40)
    assert 39 <= (pixels == 3).sum() <= 45
    # and points a whole turn away
    path = write(tmp_path / "b.gpkg", [shapely.Point(-179.01, -17), shapely.Point(179.01, -17)], ["road"] * 2, 4326)
    assert read_examples(path, LEGEND, grid)[0].pixels(1)[2].tolist() == [20, 59]


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
@pytest.mark.parametrize("grid", [GRID, Grid(80, 100, None, Affine.identity())])
def test_suggestions_with_classes_filled_in(tmp_path, grid):
    path = tmp_path / "next.gpkg"
    points = [Suggestion(px, 1, 2, (0.5, 0.4)) for px in ((4.5, 3.5), (60.5, 79.5), (9.5, 9.5))]
    write_suggestions(path, points, LEGEND, grid)
    frame = geopandas.read_file(path)
    frame["class"] = ["road", "forest", ""]
    frame.to_file(tmp_path / "filled.gpkg")
    examples, _ = read_examples(tmp_path / "filled.gpkg", LEGEND, grid)
    pixels = np.zeros((80, 100), dtype=np.uint8)
    pixels[3, 4], pixels[79, 60] = 3, 1
    assert (burned(examples, grid) == pixels).all()
    assert "2 of 3 examples" in str(examples.notices[0]) and "1 without a class yet" in str(examples.notices[0])


def test_the_order_of_rows_does_not_matter(tmp_path):
    rng = np.random.default_rng(0)
    shapes = [at(*rng.integers(0, 12, 2)) for _ in range(120)]
    shapes += [area(top, left, top + 4, left + 7) for top, left in rng.integers(0, 70, (30, 2))]
    classes = rng.choice(["forest", "water", "road", "heath", "bog"], 150)
    weights = rng.choice([1.0, 2, 3], 150)
    results = []
    for order in (np.arange(150), rng.permutation(150), rng.permutation(150)):
        path = tmp_path / "a.gpkg"
        write(path, np.array(shapes, dtype=object)[order], classes[order], weight=weights[order])
        results.append(read_examples(path, LEGEND, GRID, add_classes=True))
    first, legend = results[0]
    for examples, other in results[1:]:
        assert (examples.digest, other) == (first.digest, legend)
        assert (examples.weights == first.weights).all()
        assert (burned(examples) == burned(first)).all()


def test_many_points(tmp_path):
    rng = np.random.default_rng(1)
    grid = Grid(20_000, 20_000, UTM, Affine(2, 0, 500_000, 0, -2, 5_200_000))
    points = shapely.points(500_000 + 40_000 * rng.random(100_000), 5_200_000 - 40_000 * rng.random(100_000))
    path = write(tmp_path / "a.fgb", points, rng.choice(["forest", "water", "road"], 100_000))
    examples, _ = read_examples(path, LEGEND, grid)
    assert len(examples) > 99_900
    assert examples.pixel_counts.max() == 1


def test_more_rows_than_memory_bears_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(read, "MOST_ROWS", 2)
    for suffix in ("gpkg", "parquet"):
        path = write(tmp_path / f"a.{suffix}", [at(3, 3)] * 4, ["forest"] * 4)
        assert "have more than 2 rows: give fewer" in refused(path)
    with pytest.raises(ParameterError):
        read_examples(path, LEGEND, GRID)
