import json
import math

import numpy as np
import pytest
from rasterio.windows import Window

from lposs_geo.errors import ParameterError
from lposs_geo.products import BESIDE_LABELS
from lposs_geo.request import (
    OF_EXAMPLES,
    SETTINGS,
    CorrectOptions,
    Learning,
    MapOptions,
    Polygons,
    Reading,
    Request,
    Where,
    parse_tolerance,
)

ASKED = {
    "bands": ["B4", 3, 2],
    "scale": (0.0, 3000.0),
    "collar": False,
    "warp": True,
    "gsd": 0.5,
    "aoi": "folder/area.gpkg",
    "aoi_layer": "lake",
    "examples": "folder/examples.gpkg",
    "examples_layer": "points",
    "add_classes": True,
    "refine": False,
    "min_confidence": 0.25,
    "simplify": "2.5m",
    "min_area": 100.0,
}


def test_every_keyword_decides_the_map_or_is_a_file_or_changes_no_label():
    work = {"tile_size", "resume", "overwrite"}
    assert set(MapOptions.__annotations__) == {*SETTINGS, *BESIDE_LABELS, *work}
    assert set(Request.of(ASKED).to_tags()) == set(SETTINGS)
    assert MapOptions.__annotations__.keys() - CorrectOptions.__annotations__.keys() == {"examples"}


def test_a_request_comes_back_from_its_tags_but_for_folders():
    request = Request.of(ASKED | {"vector": "map.gpkg", "overwrite": True})
    settings = json.loads(json.dumps(request.to_tags()))
    files = {"aoi": "area.gpkg", "examples": "examples.gpkg"}
    assert {name: settings[name] for name in files} == files
    assert Request.of(Request.from_tags(settings)) == Request.of(ASKED | files)
    assert request.where == Where(aoi="folder/area.gpkg", aoi_layer="lake")
    assert request.reading == Reading(bands=("B4", 3, 2), scale=(0.0, 3000.0), collar=False, warp=True)


def test_a_map_without_examples_tells_nothing_of_them():
    settings = Request().to_tags()
    assert set(settings) == set(SETTINGS) - set(OF_EXAMPLES)
    assert Request.of(Request.from_tags(settings)) == Request()


def test_examples_are_a_part_of_what_is_asked_for():
    request = Request.of(ASKED)
    assert request.learning == Learning(examples="folder/examples.gpkg", examples_layer="points", add_classes=True)
    assert set(OF_EXAMPLES) == {"examples", "examples_layer", "add_classes"}
    assert Request.of({}).learning == Learning()


@pytest.mark.parametrize("asked", [{"add_classes": True}, {"examples_layer": "points", "examples": None}])
def test_what_is_said_of_examples_needs_some(asked):
    with pytest.raises(ParameterError, match="is given without examples: name their file by examples"):
        Request.of(asked)


def test_a_window_is_whole_pixels_of_any_kind():
    assert Request.of({"window": Window(3, 4, 50, 60)}).where.window == (3, 4, 50, 60)
    assert Request.of({"window": (np.int64(3), 4.0, 50, 60)}).to_tags()["window"] == (3, 4, 50, 60)
    with pytest.raises(ParameterError, match="whole pixels"):
        Request.of({"window": Window(0.5, 0, 5, 5)})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("gsd", value) for value in (0, -1, math.inf, math.nan, True, "5", 10**400)),
        *(("min_confidence", value) for value in (-0.1, 1.1, None, "high")),
        *(("min_area", value) for value in (-1, None, math.nan, "1 ha")),
        *(("simplify", value) for value in ("soon", -1, "1ft", ["1px"], True)),
        *(("collar", value) for value in (1, None, "yes")),
        *(("bands", value) for value in (5, [True, 2, 3], [[1], 2, 3], "a\0b", "1," * 5000, [])),
        *(("scale", value) for value in ((1,), ("0", "9"), (9, 0), (0, math.inf), {"0": 1, "1": 2}.values() and "01")),
        *(("window", value) for value in ("0,0,1,1", (1, 2, 3), (0, 0, 1, "x"))),
        ("aoi", "a\nb"),
        ("aoi_layer", 5),
        *(("examples", value) for value in ("", 5, ["a.gpkg"], "a\nb")),
        *(("add_classes", value) for value in (1, None, "yes")),
    ],
)
def test_what_is_of_a_wrong_kind_or_out_of_range_is_refused_by_its_name(name, value):
    with pytest.raises(ParameterError, match=name) as caught:
        Request.of({name: value})
    assert len(str(caught.value)) < 200


def test_text_that_nothing_can_write_comes_from_no_tag():
    with pytest.raises(ParameterError, match="aoi_layer"):
        Request.from_tags({"aoi_layer": "\ud800"})


def test_an_area_and_a_window_are_one_too_many():
    with pytest.raises(ParameterError) as caught:
        Request.of({"aoi": "a.gpkg", "window": (0, 0, 5, 5)})
    assert caught.value.hint == "name <aoi> or <window>"


def test_a_keyword_that_there_is_not_is_named():
    with pytest.raises(TypeError, match="there is no option 'vectr'"):
        Request.of({"vectr": "m.gpkg"})


@pytest.mark.parametrize(
    ("text", "expected"), [("1px", (1.0, False)), (" 2.5 m", (2.5, True)), (0, (0.0, False)), ("1e1", (10.0, False))]
)
def test_a_tolerance_counts_pixels_or_metres(text, expected):
    assert parse_tolerance(text) == expected
    assert Polygons(simplify=text).simplify == text
