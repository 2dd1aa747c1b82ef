"""A map's tags, written and read back: by anybody, changed by anybody."""

import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from lposs_geo.errors import SceneError
from lposs_geo.examples.learned import Learned, from_text
from lposs_geo.examples.lesson import Lesson
from lposs_geo.examples.read import read_examples
from lposs_geo.grid import Grid
from lposs_geo.legend.building import from_words
from lposs_geo.provenance import (
    EXAMPLES_TAG,
    FAILED_TAG,
    LEARNED_TAG,
    REQUEST_TAG,
    Recipe,
    as_properties,
    for_people,
    settings_of,
)
from lposs_geo.request import Request

RECIPE = Recipe(
    features={
        "version": "0.1.0",
        "scene": {"name": "scene.tif", "shape": [9, 9]},
        "model": {"name": "mini", "fingerprint": "abc"},
    },
    run={"classes": [[["red"]], [[]]], "window": [0, 0, 9, 9]},
    numbers={"alpha": 0.95},
    legend=from_words("red"),
    request=Request.of({"gsd": 0.5, "bands": [3, 2, 1], "scale": (0, 3000), "aoi": "there/area.gpkg"}),
    unfamiliar=("violin",),
)


@pytest.fixture
def write_map(write_raster):
    def write(**changes):
        path = write_raster(np.ones((1, 9, 9), "uint8"), "map.tif")
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(**RECIPE.tags() | changes)
        return path

    return write


def test_settings_come_back_from_the_tags_of_a_map(write_map):
    settings = settings_of(write_map())
    assert (settings.model, settings.others) == ("mini", ())
    assert settings.options == Request.from_tags(RECIPE.request.to_tags())
    assert settings.options["aoi"] == "area.gpkg"
    assert settings.options["scale"] == (0, 3000)
    assert Request.of(settings.options).gsd == 0.5


def test_options_of_another_release_are_named_and_not_taken_over(write_map):
    options = json.dumps(RECIPE.request.to_tags() | {"speed": 3})
    settings = settings_of(write_map(LPOSS_GEO_OPTIONS=options))
    assert settings.others == ("speed",)
    assert "speed" not in settings.options


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"LPOSS_GEO_OPTIONS": "{"}, "are damaged"),
        ({"LPOSS_GEO_OPTIONS": "[]"}, "are damaged"),
        ({"LPOSS_GEO_OPTIONS": '{"gsd": -1}'}, r"are damaged \(gsd must be"),
        ({"LPOSS_GEO_OPTIONS": '{"gsd": ' + "9" * 5000 + "}"}, "are damaged"),
        ({"LPOSS_GEO_MODEL": "m" * 3000}, "are damaged"),
        ({"LPOSS_GEO_VERSION": ""}, "is no map of lposs-geo"),
    ],
)
def test_damaged_tags_are_refused(write_map, changes, reason):
    with pytest.raises(SceneError, match=reason):
        settings_of(write_map(**changes))


def test_what_is_missing_is_among_the_tags():
    assert FAILED_TAG not in RECIPE.tags()
    failed = [{"rows_cols": [[0, 5], [0, 5]], "reason": "damaged"}]
    assert as_properties(RECIPE.tags(failed))["lposs_geo:failed_tiles"] == failed


def test_people_and_programs_read_the_tags_by_their_names():
    people = for_people(RECIPE.tags())
    assert people["Model"] == "mini"
    assert people["Source"] == "scene.tif"
    assert "Request" not in people
    properties = as_properties(RECIPE.tags())
    assert properties["lposs_geo:unfamiliar_words"] == ["violin"]
    assert properties["lposs_geo:options"]["gsd"] == 0.5
    assert properties["lposs_geo:request"] == RECIPE.tags()[REQUEST_TAG] == RECIPE.digest


@pytest.fixture
def lesson(tmp_path):
    """Two examples of the legend's only class, and weights that they might have taught."""
    points = [{"type": "Point", "coordinates": [col + 0.5, -2.5]} for col in (2, 5)]
    rows = [{"type": "Feature", "properties": {"class": "red"}, "geometry": point} for point in points]
    path = tmp_path / "examples.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": rows}))
    examples, legend = read_examples(path, RECIPE.legend, Grid(9, 9, CRS.from_epsg(4326), Affine.scale(1, -1)))
    learned = Learned(
        legend, "mini", "abc", (("vlm", 2),), {"weights": np.ones((1, 2), np.float32)}, counts=examples.counts
    )
    return Lesson(examples, learned, np.ones(2, np.uint8), np.ones(2, np.uint8))


def test_what_examples_have_taught_is_among_the_tags(lesson):
    recipe = replace(RECIPE, request=Request.of({"examples": "there/examples.geojson"}))
    tags = recipe.tags((), lesson)
    examples = {"file": "examples.geojson", "digest": lesson.examples.digest, "counts": {"red": 2}}
    assert json.loads(tags[EXAMPLES_TAG]) == as_properties(tags)["lposs_geo:examples"] == examples
    assert from_text(tags[LEARNED_TAG]).tensors.keys() == {"weights"}
    assert "Examples" in for_people(tags)
    assert "Learned" not in for_people(tags)
    assert "lposs_geo:learned" not in as_properties(tags)


def test_what_was_learnt_before_is_carried_on_without_examples(lesson):
    tags = RECIPE.tags(learned=lesson.learned)
    assert from_text(tags[LEARNED_TAG]).counts == {"red": 2}
    assert EXAMPLES_TAG not in tags
    assert not {EXAMPLES_TAG, LEARNED_TAG} & RECIPE.tags().keys()


def test_reading_the_tags_of_a_map_loads_no_torch(write_map):
    import subprocess
    import sys

    code = f"import sys; from lposs_geo.provenance import settings_of; settings_of({str(write_map())!r}); "
    code += "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
