"""What `map` and `correct` tell of examples."""

from __future__ import annotations

import json

import geopandas
import pytest
import rasterio
import shapely

from lposs_geo import cli

WORDS = "water,forest,crop field"


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run the command line in an empty folder: stdout."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert ended.value.code == 0, err
        return out

    return run


@pytest.fixture
def examples(chip, tmp_path):
    """Four points that contradict the words."""
    with rasterio.open(chip) as dataset:
        points = [shapely.Point(dataset.xy(row, col)) for row, col in ((30, 150), (40, 160), (100, 170), (120, 180))]
    names = ["water", "water", "forest", "forest"]
    geopandas.GeoDataFrame({"class": names}, geometry=points, crs="EPSG:32632").to_file(tmp_path / "seen.gpkg")
    return tmp_path / "seen.gpkg"


def test_what_examples_did_is_told_in_a_sentence_and_as_json(run, chip, examples):
    out = run("map", chip, "--classes", WORDS, "--no-refine", "--examples", examples, "-o", "m.tif")
    assert " of 4 examples agreed without them, " in out
    run("map", chip, "--classes", WORDS, "--no-refine", "-o", "words.tif")
    correct = ("correct", "words.tif", examples, "--scene", chip)
    out = run(*correct, "-o", "c.tif", "--changes", "changes.tif")
    (sentence,) = (line.strip() for line in out.splitlines() if "agreed" in line)
    assert "of the area changed: " in sentence
    facts = json.loads(run(*correct, "-o", "d.tif", "--changes", "e.tif", "--json"))
    assert facts["effect"] == sentence
    assert facts["changes"] == "e.tif"
    assert facts["agreement"]["examples"] == 4 and facts["agreement"]["has_earlier"]
    assert [each["name"] for each in facts["agreement"]["classes"]] == ["water", "forest"]
    assert sum(change["share"] for change in facts["changed"]) == pytest.approx(facts["changed_share"])
    with rasterio.open("c.tif") as later, rasterio.open("words.tif") as earlier, rasterio.open("e.tif") as dataset:
        changed = (later.read(1) != earlier.read(1)).sum()
        assert ((dataset.read(1) != 0) & (dataset.read(1) != 255)).sum() == changed > 0


def test_without_examples_there_is_no_word_of_them(run, chip):
    facts = json.loads(run("map", chip, "--classes", WORDS, "--no-refine", "-o", "n.tif", "--json"))
    assert [facts[name] for name in ("effect", "agreement", "changed", "changed_share")] == [None] * 4
