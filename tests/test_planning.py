"""Decisions before the work: of the scene alone, then with an encoder."""

from dataclasses import replace

import numpy as np
import pytest
from rasterio.windows import Window

from lposs_geo.errors import ParameterError
from lposs_geo.legend.building import from_words
from lposs_geo.memory import Budget
from lposs_geo.planning import ModelIdentity, Work, plan, survey
from lposs_geo.request import Request
from lposs_geo.testing.encoders import ColourEncoder, StandIn

MODEL = ModelIdentity("colours", "1")
WORK = Work(budget=Budget(), tile_size=64)


@pytest.fixture
def path(write_raster):
    return write_raster(np.random.default_rng(0).integers(1, 255, (3, 150, 201)).astype("uint8"))


def _plan(path, work=WORK, classes="red,green", model=MODEL, **options):
    return plan(survey(path, Request.of(options), from_words(classes)), ColourEncoder(), model, work)


LEGEND = from_words("red,green")


def test_all_of_the_scene_is_mapped_unless_a_part_is_asked_for(path):
    assert survey(path, Request(), LEGEND).window == Window(0, 0, 201, 150)
    assert survey(path, Request.of({"window": Window(10, 20, 30, 40)}), LEGEND).window == Window(10, 20, 30, 40)
    part = survey(path, Request.of({"aoi": "439142.4,5273550,439160.4,5273700.6"}), LEGEND)
    assert part.inside is not None
    assert (part.window.col_off, part.window.width, part.window.row_off) == (10, 30, 10)
    assert part.sources == ()


@pytest.mark.parametrize("window", [(-1, 0, 5, 5), (0, 0, 202, 5), (0, 150, 5, 1), (5, 5, 0, 5)])
def test_a_window_that_is_not_inside_is_refused(path, window):
    with pytest.raises(ParameterError, match="isn't inside"):
        survey(path, Request.of({"window": window}), LEGEND)


def test_a_resolution_becomes_a_zoom_within_reach(path, write_raster):
    assert survey(path, Request.of({"gsd": 0.3}), LEGEND).zoom == pytest.approx(2)
    assert _plan(path, gsd=1.2).task.zooms == pytest.approx([0.5])
    assert _plan(path).task.zooms == [1.0]
    with pytest.raises(ParameterError, match=r"too little to work at 100 m: choose gsd from 0\.0375 to 9\.6 m"):
        survey(path, Request.of({"gsd": 100}), LEGEND)
    nowhere = write_raster(np.full((3, 9, 9), 5, "uint8"), "nowhere.tif", crs=None)
    with pytest.raises(ParameterError, match="leave gsd out"):
        survey(nowhere, Request.of({"gsd": 1}), LEGEND)
    with pytest.raises(ParameterError, match="give simplify in pixels"):
        survey(nowhere, Request.of({"simplify": "2m"}), LEGEND)


def test_what_to_beware_of_is_a_notice(path):
    class Unsure(StandIn):
        def unfamiliar(self, words):
            return [word for word in words if word == "violin"]

    notices = plan(survey(path, Request(), from_words("red,violin")), Unsure(), MODEL, WORK).notices
    assert str(notices[-1]) == "colours was trained on nothing like 'violin': don't rely on where the map shows it"
    only = _plan(path, classes="red").notices
    assert "is the only class, so every pixel is given to it: part classes like" in str(only[-1])
    coarse = ColourEncoder()
    coarse.coarsest_gsd = 0.1
    notices = plan(survey(path, Request(), from_words("red,green")), coarse, MODEL, WORK).notices
    assert "has 0.6 m per pixel, and colours knows nothing coarser than 0.1 m" in str(notices[-1])


def test_tiles_cover_the_window_and_never_decide_the_map(path):
    planned = _plan(path)
    assert sum(tile.core.width * tile.core.height for tile in planned.task.plan) == 150 * 201
    other = _plan(path, replace(WORK, tile_size=100))
    assert other.recipe.numbers == planned.recipe.numbers
    with pytest.raises(ParameterError, match="tile_size must be a number of pixels"):
        Work(budget=Budget(), tile_size=0)


def test_a_recipe_is_the_same_only_for_the_same_map(path):
    recipe = _plan(path).recipe
    assert recipe.digest == _plan(path).recipe.digest
    others = [
        _plan(path, classes="red,blue"),
        _plan(path, model=ModelIdentity("colours", "2")),
        _plan(path, min_confidence=0.5),
        _plan(path, simplify="2px"),
        _plan(path, refine=False),
        _plan(path, window=(0, 0, 50, 50)),
    ]
    assert len({recipe.digest, *(planned.recipe.digest for planned in others)}) == 7
    # other words, and other polygons, need no other features
    assert {str(planned.recipe.features) for planned in (others[0], others[2], others[3])} == {str(recipe.features)}
    assert str(others[1].recipe.features) != str(recipe.features)


def test_negatives_are_embedded_once_and_rule_out_their_classes(path):
    legend = from_words("red,green,blue")
    negatives = (("blue",), ("Blue", "red"), ())
    classes = [replace(own, negatives=words) for own, words in zip(legend.classes, negatives, strict=True)]
    legend = replace(legend, classes=tuple(classes))
    planned = plan(survey(path, Request(), legend), ColourEncoder(), MODEL, WORK)
    assert planned.task.words.text.shape[0] == 5
    assert planned.task.words.rivals == ((0, 1), (1,))
