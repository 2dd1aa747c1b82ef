from __future__ import annotations

import numpy as np
import pytest
import rasterio

from lposs_geo.batch import map_batch
from lposs_geo.errors import OutOfMemoryError, OutputError, SceneError
from lposs_geo.mapping import Mapper
from lposs_geo.planning import ModelIdentity
from lposs_geo.testing.encoders import ColourEncoder
from lposs_geo.testing.rasters import write_geotiff


@pytest.fixture
def scenes(write_raster, tmp_path):
    """Two scenes that can be mapped, and between them one that can't."""
    array = np.random.default_rng(0).integers(1, 255, (3, 20, 30)).astype("uint8")
    (tmp_path / "b.tif").write_text("no raster")
    return [write_raster(array, "a.tif"), tmp_path / "b.tif", write_raster(array[:, ::-1], "c.tif")]


def test_one_that_fails_does_not_stop_the_rest(scenes, tmp_path):
    options = {"vector": tmp_path / "{name}.gpkg", "refine": False}
    outcomes = list(map_batch(scenes, "forest,water", tmp_path / "{name}_map.tif", **options))
    assert [outcome.name for outcome in outcomes] == ["a.tif", "b.tif", "c.tif"]
    assert isinstance(outcomes[1].error, SceneError)
    assert outcomes[1].result is None
    for name, outcome in (("a", outcomes[0]), ("c", outcomes[2])):
        assert outcome.error is None
        assert outcome.result.labels == tmp_path / f"{name}_map.tif"
        assert outcome.result.vector == tmp_path / f"{name}.gpkg"
        with rasterio.open(outcome.result.labels) as dataset:
            assert dataset.shape == (20, 30)


def _become(outcomes) -> list[str]:
    return ["error" if o.error else "map" if o.result else "finished" for o in outcomes]


def test_those_that_are_finished_in_the_same_way_are_left_out_on_resume(scenes, tmp_path):
    dst, options = tmp_path / "{name}_map.tif", {"refine": False, "resume": True}
    first = map_batch(scenes, "forest,water", dst, refine=False)
    assert next(first).result is not None
    first.close()
    assert _become(map_batch(scenes, "forest,water", dst, **options)) == ["finished", "error", "map"]
    assert _become(map_batch(scenes[:1], "forest,water", dst, refine=False)) == ["error"]  # it exists
    others = {"min_confidence": 0.9}, {"vector": tmp_path / "{name}.gpkg"}, {"refine": True}
    for other in others:
        (outcome,) = map_batch(scenes[:1], "forest,water", dst, **(options | other))
        assert isinstance(outcome.error, OutputError)
        assert "exists: overwrite=True replaces it" in str(outcome.error)
    assert _become(map_batch(scenes[:1], "road,water", dst, overwrite=True, **options)) == ["map"]
    assert _become(map_batch([scenes[0], scenes[2]], "road,water", dst, overwrite=True, **options)) == [
        "finished",
        "map",
    ]


@pytest.mark.parametrize(
    ("dst", "options", "said"),
    [
        ("m.tif", {}, "'m.tif' is one file for 3 scenes: put {name} into it"),
        ("{name}.tif", {"report": "r.html"}, "'r.html' is one file for 3 scenes: put {name} into it"),
    ],
)
def test_one_file_cannot_be_the_output_of_many(scenes, dst, options, said):
    with pytest.raises(OutputError) as caught:
        map_batch(scenes, "forest,water", dst, **options)
    assert str(caught.value) == f"output {said}"


def test_scenes_of_one_name_are_refused(scenes, tmp_path):
    with pytest.raises(OutputError, match="would have the same outputs: map them in two runs"):
        map_batch([scenes[0], tmp_path / "other" / "A.tif"], "forest,water", "{name}_map.tif")


def test_no_scene_at_all_is_an_error():
    with pytest.raises(SceneError, match="no scene to map"):
        map_batch([], "forest,water", "{name}_map.tif")


def test_a_full_memory_ends_it(scenes, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OutOfMemoryError("full")

    monkeypatch.setattr(Mapper, "map", full)
    with pytest.raises(OutOfMemoryError):
        list(map_batch(scenes, "forest,water", tmp_path / "{name}_map.tif"))


def test_a_defect_that_one_scene_brings_to_light_does_not_stop_the_rest(scenes, tmp_path, monkeypatch):
    real = Mapper.map

    def map_or_fail(mapper, source, *arguments, **options):
        if source.endswith("a.tif"):
            raise RecursionError("of a library\nand more")
        return real(mapper, source, *arguments, **options)

    monkeypatch.setattr(Mapper, "map", map_or_fail)
    outcomes = list(map_batch(scenes, "forest,water", tmp_path / "{name}_map.tif", refine=False))
    assert _become(outcomes) == ["error", "error", "map"]
    assert str(outcomes[0].error).startswith("unexpected RecursionError: of a library (a defect")
    assert isinstance(outcomes[0].error.__cause__, RecursionError)


def test_a_batch_loads_its_model_once(tmp_path):
    loaded = []

    def load():
        loaded.append(ColourEncoder())
        return loaded[-1]

    picture = np.random.default_rng(0).integers(1, 255, (3, 70, 80)).astype("uint8")
    scenes = [write_geotiff(tmp_path / f"{number}.tif", np.roll(picture, number)) for number in range(20)]
    mapper = Mapper(ModelIdentity("colours", ""), load, use_cache=False)
    outcomes = list(map_batch(scenes, "red,green", tmp_path / "{name}_map.tif", mapper=mapper, refine=False))
    assert _become(outcomes) == ["map"] * 20
    assert len(loaded) == 1
