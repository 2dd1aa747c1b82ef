"""`lposs-geo correct`, and all that the command line does with examples and what they have taught."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.windows import Window

from lposs_geo import cli, correct_map, map_scene
from lposs_geo.errors import LpossGeoError, OutputError, ParameterError
from lposs_geo.examples.learned import Learned, read_learned, write_learned
from lposs_geo.legend.building import from_words
from lposs_geo.mapping import Mapper
from lposs_geo.testing.encoders import ColourEncoder
from lposs_geo.testing.rasters import UTM, write_geotiff


class KeenEncoder(ColourEncoder):
    """One that sees small things, and tells colours that are near each other apart."""

    patch_size, n_neighbors, gamma = 8, 20, 24.0


MAPPER = Mapper.of(KeenEncoder(), "mini", fingerprint="of colours")
"""It stands in for a model of that name."""

SHADES = {"red": (190, 60, 60), "green": (60, 190, 60), "mauve": (150, 60, 130)}

POINTS = [("red", 10, 12), ("red", 20, 70), ("green", 80, 70), ("blue", 80, 12), ("blue", 65, 25), ("blue", 70, 40)]
"""Examples: class, col, row."""

MAUVE = np.s_[8:40, 56:90]
"""The middle of a part of the scene: by words it is red, by the examples blue."""


def write_scene(path: Path, **options: object) -> Path:
    """96 x 96 px: the left is red, the right green and, in its upper half, mauve."""
    array = np.empty((3, 96, 96), np.uint8)
    for shade, part in (("red", np.s_[:, :48]), ("green", np.s_[:, 48:]), ("mauve", np.s_[:48, 48:])):
        array[:, *part] = np.array(SHADES[shade], np.uint8)[:, None, None]
    noise = np.random.default_rng(0).integers(0, 12, array.shape)
    return write_geotiff(path, (array + noise).astype(np.uint8), **options)


def write_points(path: str | Path, points: list[tuple[object, float, float]] = POINTS, field: str = "class") -> Path:
    """Points by class, col and row of the scene."""
    shapes = [shapely.Point(*(UTM @ (col + 0.5, row + 0.5))) for _, col, row in points]
    frame = geopandas.GeoDataFrame({field: [name for name, *_ in points]}, geometry=shapes, crs="EPSG:32632")
    frame.to_file(path)
    return Path(path)


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run the command line in an empty folder with the stand-in: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LPOSS_GEO_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments], MAPPER)
        out, err = capsys.readouterr()
        return int(ended.value.code), out, err

    return run


@pytest.fixture
def first(run):
    """A map of the scene in the working folder, by words; beside it examples."""
    write_scene(Path("scene.tif"))
    write_points("examples.gpkg")
    code, _, err = run("map", "scene.tif", "--classes", "red,green,blue", "-o", "first.tif", "--no-refine", "-q")
    assert (code, err) == (0, "")
    return Path("first.tif")


def labels(path: str | Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def tags(path: str | Path) -> dict[str, str]:
    with rasterio.open(path) as dataset:
        return dataset.tags()


def test_a_map_is_corrected_with_its_own_settings(run, first):
    before = first.read_bytes()
    code, out, err = run("correct", first, "examples.gpkg", "--changes", "changes.tif", "--suggest", "next.gpkg")
    assert code == 0, err
    assert out.splitlines()[:3] == ["first_corrected.tif", "changes.tif", "next.gpkg"]
    assert "examples agreed before" in out
    assert first.read_bytes() == before
    assert (labels(first)[MAUVE] == 1).all()
    corrected = labels("first_corrected.tif")
    assert (corrected[MAUVE] == 3).mean() > 0.9
    assert (corrected[:, :40] == 1).mean() > 0.9
    made = tags("first_corrected.tif")
    assert json.loads(made["LPOSS_GEO_OPTIONS"])["refine"] is False
    assert json.loads(made["LPOSS_GEO_EXAMPLES"])["counts"] == {"red": 2, "green": 1, "blue": 3}


def test_a_correction_is_the_same_as_a_map_with_the_examples(run, first):
    code, _, err = run("correct", first, "examples.gpkg", "-o", "m.tif", "-q")
    assert (code, err) == (0, "")
    words = ["--classes", "red,green,blue", "--no-refine", "--examples", "examples.gpkg"]
    code, _, err = run("map", "scene.tif", *words, "-o", "n.tif", "-q")
    assert (code, err) == (0, "")
    assert Path("m.tif").read_bytes() == Path("n.tif").read_bytes()


def test_what_a_correction_tells_programs(run, first):
    code, out, _ = run("correct", first, "examples.gpkg", "-o", "m.tif", "--save", "m.lposs", "--json")
    assert code == 0
    result = json.loads(out)
    assert (result["command"], result["labels"], result["save"]) == ("correct", "m.tif", "m.lposs")
    assert result["agreement"]["examples"] == len(POINTS)
    assert 0 < result["changed_share"] < 0.5


def test_a_corrected_map_is_corrected_further(run, first):
    assert run("correct", first, "examples.gpkg", "-o", "second.tif", "-q")[0] == 0
    write_points("more.gpkg", [("green", 90, 90)])
    code, _, err = run("correct", "second.tif", "more.gpkg", "-o", "third.tif", "-q")
    assert code == 0, err
    assert (labels("third.tif")[MAUVE] == 3).mean() > 0.9  # as it was learnt before
    assert json.loads(tags("third.tif")["LPOSS_GEO_EXAMPLES"])["file"] == "more.gpkg"


def test_a_map_of_a_window_is_corrected_on_its_own_pixels(run, first):
    MAPPER.map("scene.tif", "red,green,blue", "part.tif", window=Window(30, 5, 60, 70), refine=False)
    code, _, err = run("correct", "part.tif", "examples.gpkg", "-q")
    assert code == 0, err
    with rasterio.open("part.tif") as before, rasterio.open("part_corrected.tif") as after:
        assert (before.transform, before.shape) == (after.transform, after.shape)


def test_the_file_that_a_map_was_cut_to_is_named_again(run, first):
    Path("areas").mkdir()
    area = shapely.box(*(UTM @ (20, 80)), *(UTM @ (90, 10)))
    geopandas.GeoDataFrame(geometry=[area], crs="EPSG:32632").to_file("areas/area.gpkg")
    words = ["--classes", "red,green,blue", "--no-refine", "--aoi", "areas/area.gpkg"]
    assert run("map", "scene.tif", *words, "-o", "cut.tif", "-q")[0] == 0
    code, _, err = run("correct", "cut.tif", "examples.gpkg")
    assert (code, err) == (2, "Error: the map 'cut.tif' was cut to 'area.gpkg': name that file by --aoi\n")
    code, _, err = run("correct", "cut.tif", "examples.gpkg", "--aoi", "areas/area.gpkg", "-q")
    assert code == 0, err
    assert labels("cut_corrected.tif").shape == labels("cut.tif").shape
    write_points("far.gpkg", [("red", 3, 3)])
    code, _, err = run("correct", "cut.tif", "far.gpkg", "-o", "m.tif", "--aoi", "areas/area.gpkg", "-q")
    assert (code, "can be used: 1 of 1 examples lie outside the area that is mapped" in err) == (2, True)


def test_the_scene_is_beside_the_map_or_here_or_named(run, first, tmp_path, monkeypatch):
    Path("scenes").mkdir()
    Path("scene.tif").rename("scenes/scene.tif")
    code, out, err = run("correct", first, "examples.gpkg", "-o", "m.tif")
    said = "Error: the scene of 'first.tif', 'scene.tif', is neither beside it nor here: name it by --scene\n"
    assert (code, out, err) == (1, "", said)
    code, _, err = run("correct", first, "examples.gpkg", "-o", "m.tif", "--scene", "scenes/scene.tif", "-q")
    assert (code, err) == (0, "")
    Path("examples.gpkg").rename("scenes/examples.gpkg")
    monkeypatch.chdir(tmp_path / "scenes")
    code, _, err = run("correct", tmp_path / first, "examples.gpkg", "-o", "n.tif", "-q")
    assert (code, err) == (0, "")


def test_another_scene_is_no_scene_of_the_map(run, first):
    other = write_scene(Path("other.tif"), transform=UTM @ UTM.translation(7, 0))
    code, _, err = run("correct", first, "examples.gpkg", "-o", "m.tif", "--scene", other, "-q")
    assert code == 1
    assert err.startswith("Error: 'first.tif' isn't on the pixels that 'other.tif' gives now")
    assert not Path("m.tif").exists()


def test_a_mosaic_is_found_as_a_folder_and_named_part_by_part(run, first):
    Path("parts").mkdir()
    with rasterio.open("scene.tif") as scene:
        for name, window in (("a.tif", Window(0, 0, 50, 96)), ("b.tif", Window(50, 0, 46, 96))):
            part = {"width": window.width, "transform": scene.window_transform(window)}
            with rasterio.open(Path("parts") / name, "w", **(scene.profile | part)) as target:
                target.write(scene.read(window=window))
    words = ["--classes", "red,green,blue", "--no-refine", "-q"]
    assert run("map", "parts", *words, "-o", "m.tif")[0] == 0
    assert run("correct", "m.tif", "examples.gpkg", "-q")[0] == 0
    assert run("map", "parts/a.tif", "parts/b.tif", *words, "-o", "n.tif")[0] == 0
    code, _, err = run("correct", "n.tif", "examples.gpkg")
    assert (code, "'a.tif and 1 more', is neither beside it nor here" in err) == (1, True)
    code, _, err = run("correct", "n.tif", "examples.gpkg", "--scene", "parts/a.tif", "--scene", "parts/b.tif", "-q")
    assert (code, err) == (0, "")
    assert np.array_equal(labels("m_corrected.tif"), labels("n_corrected.tif"))


def test_what_was_learnt_is_kept_as_a_legend(run, first):
    code, _, err = run("correct", first, "examples.gpkg", "-o", "m.tif", "--save", "heath.lposs", "-q")
    assert (code, err) == (0, "")
    write_scene(Path("next.tif"))
    code, _, err = run("map", "next.tif", "--legend", "heath.lposs", "--no-refine", "-q")
    assert (code, err) == (0, "")
    assert (labels("next_landcover.tif") == labels("m.tif")).mean() > 0.99
    assert "LPOSS_GEO_EXAMPLES" not in tags("next_landcover.tif")
    code, _, err = run("map", "next.tif", "--like", "next_landcover.tif", "-o", "like.tif", "-q")
    assert (code, err) == (0, "")
    assert np.array_equal(labels("like.tif"), labels("next_landcover.tif"))
    code, out, _ = run("legends", "show", "heath.lposs")
    assert code == 0
    assert out.startswith("# learnt with the model mini by lposs-geo ")
    assert "# from 6 examples: red 2, green 1, blue 3\n" in out
    Path("heath.toml").write_text(out)
    assert run("legends", "show", "heath.toml")[1] == out.split("\n", 2)[2]


def test_what_was_learnt_with_another_model_is_refused(run, first, capsys):
    assert run("correct", first, "examples.gpkg", "-o", "m.tif", "--save", "heath.lposs", "-q")[0] == 0
    others = {
        Mapper.of(KeenEncoder(), "mini", fingerprint="newer"): "with other weights of the model 'mini'",
        Mapper.of(KeenEncoder(), "other", fingerprint="else"): "--model mini takes the former",
    }
    for mapper, said in others.items():
        for arguments in (["map", "scene.tif", "--legend", "heath.lposs"], ["correct", "m.tif", "examples.gpkg"]):
            with pytest.raises(SystemExit) as ended:
                cli.main([*arguments, "-o", "n.tif", "-q"], mapper)
            err = capsys.readouterr().err
            assert (ended.value.code, len(err.splitlines()), said in err) == (1, 1, True), err
            assert not Path("n.tif").exists()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("best", "unknown model 'best'"),
        ("open_clip:a/b@/tmp/x.pt + timm:c@/tmp/y.pt", "the legend 'l.lposs' was made with weights in a file"),
        ("open_clip:a/b + timm:c", "are not installed"),
    ],
)
def test_the_model_of_a_legend_is_one_that_is_here(run, first, model, said, capsys):
    layout, weights = (("vlm", 2),), {"w": np.ones((2, 2), np.float32)}
    write_learned(Path("l.lposs"), Learned(from_words("red,green"), model, "x", layout, weights))
    with pytest.raises(SystemExit) as ended:
        cli.main(["map", "scene.tif", "--legend", "l.lposs", "-o", "m.tif"])
    err = capsys.readouterr().err
    assert (ended.value.code in (1, 2), len(err.splitlines()), said in err) == (True, 1, True), err
    with pytest.raises(LpossGeoError):
        map_scene("scene.tif", read_learned("l.lposs"), "m.tif")


def test_like_a_map_with_its_classes(run, first):
    code, _, err = run("map", "scene.tif", "--like", first, "-o", "like.tif", "-q")
    assert (code, err) == (0, "")
    assert Path("like.tif").read_bytes() == first.read_bytes()
    assert run("correct", first, "examples.gpkg", "-o", "second.tif", "-q")[0] == 0
    code, _, err = run("map", "scene.tif", "--like", "second.tif", "--classes", "red,green", "-o", "words.tif", "-q")
    assert (code, err) == (0, "")
    assert set(np.unique(labels("words.tif"))) <= {1, 2}
    Path("examples.gpkg").unlink()  # what is taken over isn't the file
    code, _, err = run("map", "scene.tif", "--like", "second.tif", "-o", "third.tif", "-q")
    assert (code, err) == (0, "")
    assert "examples" not in json.loads(tags("third.tif")["LPOSS_GEO_OPTIONS"])


@pytest.mark.parametrize("forged", ["/etc/passwd", "http://127.0.0.1:9/e.gpkg", "examples.gpkg"])
def test_examples_that_tags_name_are_never_read(run, first, forged):
    with rasterio.open(first, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        options = json.loads(dataset.tags()["LPOSS_GEO_OPTIONS"])
        dataset.update_tags(LPOSS_GEO_OPTIONS=json.dumps(options | {"examples": forged, "add_classes": True}))
    Path("examples.gpkg").unlink()
    code, _, err = run("map", "scene.tif", "--like", first, "-o", "m.tif", "-q")
    assert (code, err) == (0, "")
    assert "LPOSS_GEO_EXAMPLES" not in tags("m.tif")


def test_something_learnt_that_somebody_damaged_is_one_line(run, first):
    with rasterio.open(first, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        dataset.update_tags(LPOSS_GEO_LEARNED="eNqVvHlAT8")
    for arguments in (["map", "scene.tif", "--like", first], ["correct", first, "examples.gpkg"]):
        code, out, err = run(*arguments, "-o", "m.tif")
        assert (code, out, len(err.splitlines())) == (1, "", 1)
        assert err.startswith("Error: what the tags of 'first.tif' have learnt is damaged")
    code, _, err = run("map", "scene.tif", "--like", first, "--classes", "red,green", "-o", "m.tif", "-q")
    assert (code, err) == (0, "")


def test_each_scene_of_a_batch_takes_the_examples_on_it(run, first):
    write_scene(Path("far.tif"), transform=UTM @ UTM.translation(5000, 0))
    options = ["--classes", "red,green,blue", "--no-refine", "--examples", "examples.gpkg", "-o", "{name}_m.tif", "-q"]
    code, out, err = run("map", "--batch", "far.tif", "scene.tif", *options)
    assert code == 1
    assert out.splitlines()[0] == "scene_m.tif"
    lines = err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Error: 0 of 6 examples in 'examples.gpkg' can be used: 6 outside the scene")
    assert lines[1] == "Error: 1 of 2 scenes failed: far.tif"
    assert (labels("scene_m.tif")[MAUVE] == 3).mean() > 0.9


@pytest.mark.parametrize("target", ["examples.gpkg", "first.tif", "scene.tif"])
@pytest.mark.parametrize("option", ["-o", "--suggest", "--changes"])
def test_what_is_read_is_never_written_over(run, first, target, option):
    before = Path(target).read_bytes()
    code, out, err = run("correct", first, "examples.gpkg", "--overwrite", option, target)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("Error: ")
    assert Path(target).read_bytes() == before


def test_examples_of_a_map_are_never_written_over(run, first):
    before = Path("examples.gpkg").read_bytes()
    words = ["--classes", "red,green,blue", "--examples", "examples.gpkg", "--overwrite"]
    for option in ("--vector", "--suggest"):
        code, _, err = run("map", "scene.tif", *words, "-o", "m.tif", option, "examples.gpkg")
        assert (code, err) == (1, "Error: output 'examples.gpkg' is the file of examples itself: give another name\n")
    with pytest.raises(OutputError, match="is the input itself"):
        options = {"examples": "examples.gpkg", "vector": "examples.gpkg", "overwrite": True}
        MAPPER.map("scene.tif", "red,green,blue", "m.tif", **options)
    assert Path("examples.gpkg").read_bytes() == before


def _collection(path: str) -> None:
    point, line = (UTM @ (10.5, 12.5)), [UTM @ (60.5, 20.5), UTM @ (90.5, 20.5)]
    shapes = [shapely.GeometryCollection([shapely.Point(*point)]), shapely.LineString(line)]
    geopandas.GeoDataFrame({"class": ["red", "blue"]}, geometry=shapes, crs="EPSG:32632").to_file(path)


BAD = {
    "no such field": (lambda: write_points("e.gpkg", field="kind"), [], 2, "class"),
    "unknown classes": (
        lambda: write_points("e.gpkg", [("heath", 5, 5), ("heath", 9, 5), ("red", 7, 7)]),
        [],
        2,
        "name 'heath' (2), which the legend doesn't have: --add-classes adds what is new",
    ),
    "an id of no class": (lambda: write_points("e.gpkg", [(9, 5, 5)]), [], 2, "its ids are 1 to 3"),
    "no rows": (lambda: write_points("e.gpkg", []), [], 2, "e.gpkg"),
    "an empty file": (lambda: Path("e.gpkg").write_bytes(b""), [], 2, "can't be read as examples"),
    "no file": (lambda: None, [], 2, "the examples 'e.gpkg' are no file"),
    "a folder": (lambda: Path("e.gpkg").mkdir(), [], 2, "e.gpkg"),
    "all unlabelled": (lambda: write_points("e.gpkg", [("", 5, 5), ("", 9, 9)]), [], 2, "e.gpkg"),
    "nothing on the scene": (lambda: write_points("e.gpkg", [("red", 500, 5)]), [], 2, "1 outside the scene"),
    "contradicting ones": (
        lambda: write_points("e.gpkg", [("red", 5, 5), ("green", 5, 5)]),
        [],
        2,
        "2 contradicting others",
    ),
    "no such layer": (lambda: write_points("e.gpkg"), ["--examples-layer", "x"], 2, "e.gpkg"),
    "a class of a name that none may have": (
        lambda: write_points("e.gpkg", [("nodata", 5, 5)]),
        ["--add-classes"],
        1,
        "may be called 'nodata'",
    ),
    "a file of the wrong ending": (lambda: write_points("e.gpkg"), ["--save", "m.toml"], 1, "must end in .lposs"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_learnt_from_is_one_line(run, first, case):
    make, options, expected, said = BAD[case]
    make()
    there = set(Path().iterdir())
    code, out, err = run("correct", first, "e.gpkg", "-q", *options)
    assert (code, out, len(err.splitlines())) == (expected, "", 1), err
    assert said in err
    assert "unexpected" not in err
    assert set(Path().iterdir()) <= there | {Path("cache")}


def test_what_is_left_out_is_told_and_the_rest_is_used(run, first):
    _collection("e.gpkg")
    code, _, err = run("correct", first, "e.gpkg", "-o", "m.tif")
    assert code == 0, err
    write_points("e.geojson", [*POINTS, ("red", 900, 5), ("blue", 30, 30), ("red", 30, 30)])
    code, _, err = run("correct", first, "e.geojson", "-o", "n.tif")
    assert code == 0, err
    (line,) = [line for line in err.splitlines() if "examples in 'e.geojson' are used" in line]
    assert line.startswith("Warning: 6 of 9 examples")
    write_points("one.gpkg", [("blue", 80, 12), ("blue", 70, 20)])
    code, _, err = run("correct", first, "one.gpkg", "-o", "o.tif")
    assert code == 0, err
    assert "Warning: all examples are of one class, 'blue': give some of what it is mistaken for too" in err


def test_very_many_examples(run, first):
    generator = np.random.default_rng(0)
    cols, rows = generator.uniform(0, 96, (2, 100_000))
    names = np.where(cols < 48, "red", np.where(rows < 48, "blue", "green"))
    x, y = UTM @ (cols, rows)
    frame = geopandas.GeoDataFrame({"class": names}, geometry=geopandas.points_from_xy(x, y), crs="EPSG:32632")
    frame.to_file("many.gpkg")
    code, _, err = run("correct", first, "many.gpkg", "-q")
    assert code == 0, err
    assert (labels("first_corrected.tif")[MAUVE] == 3).mean() > 0.9


def test_a_new_class_is_added_by_its_word(run):
    write_scene(Path("scene.tif"))
    write_points("examples.gpkg")
    assert run("map", "scene.tif", "--classes", "red,green", "-o", "two.tif", "--no-refine", "-q")[0] == 0
    code, _, err = run("correct", "two.tif", "examples.gpkg", "--add-classes", "--save", "three.lposs", "-q")
    assert (code, err) == (0, "")
    assert (labels("two_corrected.tif")[MAUVE] == 3).mean() > 0.9
    assert read_learned("three.lposs").legend.names == ["red", "green", "blue"]


def test_a_finished_correction_is_said_to_be_and_resumed(run, first):
    assert run("correct", first, "examples.gpkg", "-q")[0] == 0
    code, out, err = run("correct", first, "examples.gpkg", "--resume")
    assert (code, out) == (0, "")
    assert "is finished already" in err
    write_points("examples.gpkg", [*POINTS, ("green", 90, 60)])
    code, _, err = run("correct", first, "examples.gpkg", "--resume", "-q")
    assert (code, "exists: --overwrite replaces it" in err) == (1, True)


def test_from_python(first, run):
    result = MAPPER.correct(first, "examples.gpkg", "m.tif", changes="c.tif", min_confidence=0.2)
    assert result.legend.names == ["red", "green", "blue"]
    assert json.loads(tags("m.tif")["LPOSS_GEO_OPTIONS"])["min_confidence"] == 0.2
    assert set(np.unique(labels("c.tif"))) <= {0, 1, 2, 3, 255}
    with pytest.raises(OutputError, match=r"output 'first\.tif' is the map that is corrected"):
        MAPPER.correct(first, "examples.gpkg", first, overwrite=True)
    with pytest.raises(TypeError, match="there is no option 'speed'"):
        MAPPER.correct(first, "examples.gpkg", "n.tif", speed=1)
    with pytest.raises(ParameterError, match="examples can't be 5"):
        correct_map(first, 5, "n.tif")
    with pytest.raises(LpossGeoError, match="is no map of lposs-geo"):
        correct_map("scene.tif", "examples.gpkg", "n.tif")
