"""A map as another one goes on from it: made by anybody, changed by anybody."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from lposs_geo.earlier import check_grid, classes_of, find_scene, model_of, read_earlier, with_settings
from lposs_geo.errors import LegendError, ModelError, ParameterError, SceneError
from lposs_geo.examples.learned import Learned, to_text
from lposs_geo.grid import Grid
from lposs_geo.legend.building import from_words
from lposs_geo.mapping import Mapper
from lposs_geo.provenance import Settings
from lposs_geo.scene.description import describe
from lposs_geo.testing.encoders import ColourEncoder
from lposs_geo.testing.rasters import noise, write_geotiff

LEGEND = from_words("red,green=green")
LEARNED = Learned(LEGEND, "mini", "abc", (("vlm", 2),), {"w": np.ones((2, 2), np.float32)}, counts={"red": 3})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a scene and its map."""
    folder = tmp_path_factory.mktemp("made")
    write_geotiff(folder / "scene.tif", noise(40, 50))
    mapper = Mapper.of(ColourEncoder(), "mini", fingerprint="abc")
    mapper.map(folder / "scene.tif", LEGEND, folder / "map.tif", gsd=0.6, refine=False, confidence=folder / "sure.tif")
    return folder


@pytest.fixture
def retagged(made, tmp_path):
    """A copy of the map, of which somebody changed the tags; None takes one away."""

    def retagged(**tags):
        with rasterio.open(made / "map.tif") as dataset:
            changed = {name: text for name, text in (dataset.tags() | tags).items() if text is not None}
            with rasterio.open(tmp_path / "map.tif", "w", **dataset.profile) as copy:
                copy.write(dataset.read())
                copy.update_tags(**changed)
        return tmp_path / "map.tif"

    return retagged


def test_all_that_a_map_tells_of_itself(made):
    earlier = read_earlier(made / "map.tif")
    assert (earlier.settings.model, earlier.fingerprint, earlier.source) == ("mini", "abc", "scene.tif")
    assert earlier.settings.options["gsd"] == 0.6
    assert earlier.classes == LEGEND
    assert find_scene(earlier) == made / "scene.tif"
    check_grid(earlier, describe(made / "scene.tif").grid, "scene.tif")


def test_what_was_learnt_comes_with_its_legend(retagged):
    learned = classes_of(retagged(LPOSS_GEO_LEARNED=to_text(LEARNED)))
    assert isinstance(learned, Learned)
    assert (learned.legend, learned.counts) == (LEGEND, {"red": 3})


def _tag(**changes):
    """A legend of one class, changed; of none without changes."""
    one = {"id": 1, "name": "a", "prompts": ["a"], "colour": "#ffffff"} | changes
    return {"LPOSS_GEO_LEGEND": json.dumps({"classes": [one] if changes else []})}


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"LPOSS_GEO_LEARNED": "no letters of ours"}, "what the tags of '.*map.tif' have learnt is damaged"),
        ({"LPOSS_GEO_LEARNED": to_text(LEARNED)[:-8]}, "what the tags of '.*map.tif' have learnt is damaged"),
        ({"LPOSS_GEO_LEARNED": to_text(replace(LEARNED, legend=from_words("a,b")))}, "they tell of two legends"),
        ({"LPOSS_GEO_LEGEND": "{"}, "carries a damaged legend"),
        ({"LPOSS_GEO_LEGEND": None}, "is no map of classes: its tags tell none"),
        (_tag(), "can't be mapped again: they aren't as a map has them"),
        (_tag(id=7), "can't be mapped again: they aren't as a map has them"),
        (_tag(prompts=[]), "can't be mapped again: they aren't as a map has them"),
        (_tag(name="nodata"), "can't be mapped again: no class of .* may be called 'nodata'"),
    ],
)
def test_classes_that_somebody_damaged_are_refused(retagged, tags, reason):
    with pytest.raises((SceneError, LegendError), match=reason) as caught:
        classes_of(retagged(**tags))
    assert len(str(caught.value).splitlines()) == 1


def test_the_confidence_of_a_map_is_no_map(made):
    with pytest.raises(SceneError, match="is no map of classes"):
        read_earlier(made / "sure.tif")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../made/scene.tif", "/etc/passwd", "gone.tif", "x" * 300, "http://a/b"]
)
def test_a_scene_is_looked_for_by_a_plain_name_only(retagged, name):
    earlier = read_earlier(retagged(LPOSS_GEO_SOURCE=name))
    with pytest.raises(SceneError, match="is neither beside it nor here: name it by scene"):
        find_scene(earlier)


def test_a_map_is_no_scene_of_its_own(made):
    earlier = read_earlier(made / "map.tif")
    with pytest.raises(SceneError, match="is the map that is corrected, and no scene"):
        find_scene(earlier, made / ".." / made.name / "map.tif")
    assert find_scene(earlier, ["a.tif", "b.tif"]) == ["a.tif", "b.tif"]


def test_a_scene_is_looked_for_in_the_working_folder_too(retagged, made, monkeypatch):
    earlier = read_earlier(retagged())
    monkeypatch.chdir(made)
    assert find_scene(earlier) == Path("scene.tif")


@pytest.mark.parametrize(
    "grid",
    [
        Grid(40, 50, None, Affine(0.6, 0.0, 439137, 0.0, -0.6, 5273706.6)),
        Grid(40, 50, None, Affine(0.7, 0.0, 439136.4, 0.0, -0.6, 5273706.6)),
        Grid(41, 50, None, Affine(0.6, 0.0, 439136.4, 0.0, -0.6, 5273706.6)),
    ],
)
def test_other_pixels_are_refused(made, grid):
    with pytest.raises(SceneError, match=r"isn't on the pixels that 'scene\.tif' gives now"):
        check_grid(read_earlier(made / "map.tif"), grid, "scene.tif")


def test_a_window_is_taken_over_to_the_same_scene_only():
    settings = Settings("mini", {"window": (1, 2, 3, 4), "aoi": None, "refine": False})
    with pytest.raises(ParameterError, match="was made of a window in pixels"):
        with_settings(settings, "m.tif", {}, frozenset())
    taken = with_settings(settings, "m.tif", {}, frozenset(), same_scene=True)
    assert taken == {"window": (1, 2, 3, 4), "aoi": None, "refine": False}
    taken = with_settings(settings, "m.tif", {"aoi": "1,2,3,4"}, frozenset({"aoi"}), same_scene=True)
    assert taken["aoi"] == "1,2,3,4"
    assert "window" not in taken


def test_examples_are_one_maps_own():
    settings = Settings("mini", {"examples": "e.gpkg", "examples_layer": "l", "add_classes": True, "collar": False})
    assert with_settings(settings, "m.tif", {"examples": None}, frozenset()) == {"examples": None, "collar": False}


def test_a_model_is_chosen_by_name_only():
    assert model_of("mini", "the map 'm.tif'").name == "mini"
    with pytest.raises(ParameterError, match=r"the map 'm\.tif' was made with weights in a file"):
        model_of("open_clip:ViT-B-16/a@x.pt + timm:b@y.pt", "the map 'm.tif'")
    with pytest.raises(ModelError, match="unknown model 'best'"):
        model_of("best", "the map 'm.tif'")


@pytest.mark.parametrize("window", [Window(10, 5, 20, 25), None])
@pytest.mark.parametrize("is_picture", [True, False])
def test_a_map_is_on_the_pixels_that_it_was_made_of(write_raster, tmp_path, window, is_picture):
    options = {"crs": None, "transform": Affine.identity()} if is_picture else {}
    scene = write_raster(noise(40, 50), **options)
    mapper = Mapper.of(ColourEncoder(), "mini")
    mapper.map(scene, "red,green", tmp_path / "map.tif", refine=False, window=window)
    grid = describe(scene).grid
    check_grid(read_earlier(tmp_path / "map.tif"), grid.part(window or Window(0, 0, 50, 40)), "scene.tif")
