from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from PIL import Image
from rasterio.windows import Window

from lposs_geo import cli, map_scene, provenance
from lposs_geo.cli.answers import Progress, to_json
from lposs_geo.request import SETTINGS
from lposs_geo.testing.rasters import write_damaged, write_geotiff


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run the command line in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LPOSS_GEO_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code), out, err

    return run


def test_neither_the_package_nor_its_help_imports_torch():
    code = (
        "import sys, lposs_geo, lposs_geo.cli, lposs_geo.legend.legend\n"
        "import lposs_geo.writers.rasters, lposs_geo.polygons.coverage\n"
        "try: lposs_geo.cli.main(['map', '--help'])\n"
        "except SystemExit as ended: assert ended.code == 0\n"
        "assert not {'torch', 'timm', 'open_clip', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_map_writes_the_map_and_says_so_on_stdout(run, chip, tmp_path):
    code, out, err = run("map", chip, "--classes", "water,forest=trees|woodland,field", "-v")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0] == "chip_landcover.tif"
    assert lines[2].split()[0] == "forest"
    assert "ha" in lines[2]
    for said in ("bands 3,2,1", "model mini on", "encoding 13 crops: done after", "seconds: load"):
        assert said in err
    with rasterio.open(tmp_path / "chip_landcover.tif") as dataset:
        assert set(np.unique(dataset.read(1))) <= {1, 2, 3, 255}


def test_how_a_list_was_read_is_said(run, chip):
    code, out, err = run("map", chip, "--classes", '["water","zamīn\u200cforest"]', "--no-refine")
    assert code == 0, err
    assert "Warning: the list of classes was read as 2: 'water', 'zamīn\u200cforest'\n" in err
    assert [line.split()[0] for line in out.splitlines() if line.startswith("  ")] == ["water", "zamīn\u200cforest"]
    code, out, err = run("map", chip, "--classes", "water forest", "--no-refine", "--overwrite")
    assert code == 0, err
    assert "Warning: 'water forest' is the only class, so every pixel is given to it: part classes like" in err


def test_map_for_programs(run, chip):
    code, out, err = run("map", chip, "--classes", "water,forest", "-o", "m.tif", "--vector", "m.gpkg", "--json")
    assert code == 0
    (line,) = out.splitlines()
    result = json.loads(line)
    assert (result["labels"], result["vector"], result["model"]) == ("m.tif", "m.gpkg", "mini")
    assert [entry["name"] for entry in result["classes"]] == ["water", "forest"]
    events = [json.loads(line) for line in err.splitlines()]
    assert {event["event"] for event in events} == {"info", "progress"}
    assert json.loads(to_json(Progress(stage="encode", done=13, total=13))) in events


def test_quiet_says_nothing_but_the_result(run, chip):
    level = logging.getLogger("lposs_geo").level
    code, out, err = run("map", chip, "--classes", "water,forest", "-o", "m.tif", "-q")
    assert (code, err) == (0, "")
    assert out.startswith("m.tif")
    assert logging.getLogger("lposs_geo").level == level  # who calls it in this process hears what comes later


def test_outputs_without_a_name_lie_beside_the_map_and_take_no_scene(run, chip, tmp_path):
    code, out, err = run(
        "map", "--classes", "water,forest", "--confidence", "--stac", "--probabilities", chip, "-o", "m.tif"
    )
    assert code == 0, err
    assert out.splitlines()[:4] == ["m.tif", "m_confidence.tif", "m_probabilities.tif", "m.json"]
    code, out, err = run("map", chip, "--classes", "water,forest", "--confidence=sure.tif", "-o", "n.tif")
    assert code == 0, err
    assert out.splitlines()[:2] == ["n.tif", "sure.tif"]


def test_a_batch_goes_on_after_a_failure_and_says_so(run, chip, tmp_path):
    (tmp_path / "broken.tif").write_text("no raster")
    arguments = ["map", "--batch", chip, "broken.tif", "--classes", "water,forest", "-o", "{name}_map.tif", "-q"]
    code, out, err = run(*arguments)
    assert code == 1
    assert out.startswith("chip_map.tif\n")
    first, last = err.splitlines()
    assert first.startswith("Error: 'broken.tif' can't be opened as a raster")
    assert last == "Error: 1 of 2 scenes failed: broken.tif"
    code, out, err = run(*arguments, "--resume", "--json")
    assert (code, out) == (1, "")
    events = [json.loads(line) for line in err.splitlines()]
    assert [event["event"] for event in events] == ["finished", "failed", "error"]
    assert [event.get("scene") for event in events] == ["chip.tif", "broken.tif", None]


def test_a_map_that_is_finished_is_said_to_be(run, chip):
    arguments = ["map", chip, "--classes", "water,forest", "-o", "m.tif", "--resume"]
    assert run(*arguments)[0] == 0
    code, out, err = run(*arguments)
    assert (code, out) == (0, "")
    assert err.splitlines()[-1] == "'m.tif' is finished already, with the same scene, words and numbers"
    code, _, err = run(*arguments, "--vector", "m.gpkg")
    assert (code, "'m.tif' exists: --overwrite replaces it" in err) == (1, True)


def test_several_scenes_are_one_mosaic(run, chip, tmp_path):
    with rasterio.open(chip) as dataset:
        for name, window in (("a.tif", Window(0, 0, 150, 250)), ("b.tif", Window(150, 0, 140, 250))):
            part = {"width": window.width, "transform": dataset.window_transform(window)}
            with rasterio.open(tmp_path / name, "w", **(dataset.profile | part)) as target:
                target.write(dataset.read(window=window))
    assert run("map", chip, "--classes", "water,forest", "-o", "whole.tif", "-q")[0] == 0
    code, out, err = run("map", "a.tif", "b.tif", "--classes", "water,forest", "-q")
    assert (code, err) == (0, "")
    assert out.startswith("mosaic_landcover.tif")
    with rasterio.open(tmp_path / "whole.tif") as whole, rasterio.open(tmp_path / "mosaic_landcover.tif") as mosaic:
        assert (whole.read(1) == mosaic.read(1)).mean() >= 0.9999
        assert whole.transform == mosaic.transform


def test_a_scene_without_georeference_is_said_once_and_by_us(run, write_raster, tmp_path):
    array = np.random.default_rng(0).integers(1, 255, (3, 20, 20)).astype("uint8")
    write_raster(array, "photo.tif", crs=None, transform=rasterio.Affine.identity())
    options = ["--classes", "forest,water", "--no-refine", "--report", "m.html", "--vector", "m.fgb"]
    command = [sys.executable, "-m", "lposs_geo", "map", "photo.tif", "-o", "m.tif", *options]
    done = subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines()]
    said = [event["message"] for event in events if event["event"] == "warning"]
    assert len([message for message in said if "no coordinate reference system" in message]) == 1


def test_the_area_of_interest_is_never_overwritten(run, chip, tmp_path):
    area = geopandas.GeoDataFrame(geometry=[shapely.box(439140, 5273560, 439200, 5273600)], crs="EPSG:32632")
    area.to_file(tmp_path / "area.gpkg")
    before = (tmp_path / "area.gpkg").read_bytes()
    options = ["--classes", "water,forest", "--aoi", "area.gpkg", "--vector", "area.gpkg", "--overwrite"]
    code, _, err = run("map", chip, "-o", "m.tif", *options)
    assert code == 1
    assert "'area.gpkg' is the input itself or a part of it" in err
    assert (tmp_path / "area.gpkg").read_bytes() == before


def test_legends_can_be_seen_and_changed(run, chip, tmp_path):
    code, out, _ = run("legends", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [
        *("worldcover", "corine1", "loveda", "openearthmap", "dynamicworld")
    ]
    code, out, _ = run("legends", "show", "corine1")
    assert (code, 'name = "Artificial surfaces"' in out) == (0, True)
    (tmp_path / "mine.toml").write_text(out)
    code, out, err = run("map", chip, "--legend", "mine.toml", "-o", "m.tif", "--no-refine")
    assert code == 0, err
    assert "Water bodies" in out
    assert run("legends", "show", "corine9")[0] == 1
    assert "show" in run("legends")[1]


def test_a_legend_file(run, chip, tmp_path):
    (tmp_path / "l.toml").write_text('[[classes]]\nname = "Wald"\nprompts = ["forest"]\n[[classes]]\nname = "water"\n')
    code, out, _ = run("map", chip, "--legend", "l.toml", "-o", "m.tif", "--no-refine")
    assert code == 0
    assert "Wald" in out


def test_a_pair_of_checkpoints_of_ones_own(run, chip, checkpoints):
    vlm = f"open_clip:ViT-S-32-alt@{checkpoints / 'clip.safetensors'}"
    vm = f"timm:vit_tiny_patch16_224@{checkpoints / 'vit.pth'}"
    code, out, err = run("map", chip, "--classes", "water,forest", "-o", "m.tif", "--vlm", vlm, "--vm", vm)
    assert code == 0, err
    assert out.startswith("m.tif")
    assert f"model {vlm} + {vm} on" in err
    assert "WARNING" not in err  # whatever the libraries log by the way
    assert len(err.splitlines()) == 5


BAD = {
    "no such file": (["none.tif"], 1, "no such file: 'none.tif'"),
    "not a raster": (["notes.tif"], 1, "'notes.tif' can't be opened as a raster"),
    "unknown band": (["CHIP", "--bands", "1,2,9"], 1, "no band 9: its bands are 1 to 4"),
    "bands that are none": (["CHIP", "--bands", "ultraviolet,a,b"], 1, "has no band 'ultraviolet'"),
    "no classes": (["CHIP", "--classes", ""], 2, "no class is named"),
    "an empty class": (["CHIP", "--classes", "forest,,road"], 2, "class 2 of 3"),
    "a repeated class": (["CHIP", "--classes", "forest,Forest"], 2, "'forest' is named twice"),
    "too many classes": (["CHIP", "--classes", ",".join(f"c{k}" for k in range(201))], 2, "201 classes are more"),
    "classes twice": (["CHIP", "--legend", "l.toml"], 2, "--classes, or a legend with --legend"),
    "an output that exists": (["CHIP", "-o", "notes.tif"], 1, "'notes.tif' exists: --overwrite replaces it"),
    "output equal to input": (["CHIP", "-o", "CHIP", "--overwrite"], 1, "is the input itself"),
    "no such folder": (["CHIP", "-o", "none/m.tif"], 1, "folder 'none' of output 'm.tif' doesn't exist"),
    "a wrong suffix": (["CHIP", "-o", "m.png"], 1, "'m.png' must end in .tif or .tiff"),
    "a shapefile": (["CHIP", "--vector", "m.shp"], 1, "'m.shp': a Shapefile cuts field names .*: take .gpkg"),
    "unknown model": (["CHIP", "--model", "best"], 1, "unknown model 'best'"),
    "a model not pulled": (["CHIP", "--model", "paper"], 1, "not installed: run 'lposs-geo models pull paper'"),
    "half a pair": (["CHIP", "--vlm", "open_clip:ViT-B-16"], 2, "--vlm and --vm go together"),
    "a device that isn't there": (["CHIP", "--device", "cuda:77"], 1, "device 'cuda:77' isn't there"),
    "a device that is none": (["CHIP", "--device", "warp"], 1, "unknown device 'warp'"),
    "a resolution out of reach": (["CHIP", "--gsd", "100"], 2, "choose --gsd from 0.0375 to 9.6 m"),
    "no resolution": (["CHIP", "--gsd", "0"], 2, "0.0 is not in the range x>0"),
    "a memory that is none": (["CHIP", "--max-memory", "much"], 2, "'much' is no amount of memory"),
    "too little memory": (
        ["CHIP", "--max-memory", "5MB"],
        2,
        "--max-memory 500MB is the least",
    ),
    "a tolerance that is no number": (
        ["CHIP", "--simplify", "nan"],
        2,
        "simplify must be a tolerance of 0 or more, like 1px",
    ),
    "a legend that is none": (["CHIP", "--legend", "corine9"], 1, "file 'corine9'.* the presets are worldcover, "),
    "a class called as no class is": (["CHIP", "--classes", "Unknown=forest,b"], 2, "may be called 'Unknown'"),
    "a box that is none": (["CHIP", "--aoi", "1,2,3"], 2, "1,2,3"),
    "an area elsewhere": (["CHIP", "--aoi", "0,0,1,1"], 2, "don't overlap"),
    "a range that is none": (["CHIP", "--scale", "3"], 2, "'3' must be two numbers"),
    "a confidence in percent": (["CHIP", "--min-confidence", "60"], 2, "60.* is not in the range"),
    "one output for a batch": (["CHIP", "--batch", "-o", "m.tif"], 1, "one file for 1 scenes: put {name} into it"),
    "an unknown option": (["CHIP", "--speed", "9"], 2, "No such option.*--speed"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(run, chip, write_raster, tmp_path, case):
    arguments, expected, said = BAD[case]
    write_raster(np.full((1, 9, 9), 7, dtype="uint8"), "grey.tif")
    (tmp_path / "notes.tif").write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    arguments = [str(chip) if argument == "CHIP" else argument for argument in arguments]
    if "--classes" not in arguments and case != "a legend that is none":
        arguments += ["--classes", "forest,water"]
    code, out, err = run("map", *arguments)
    assert code == expected
    assert out == ""
    assert len([line for line in err.splitlines() if line.startswith("Error: ")]) == 1
    assert re.search(said, err.splitlines()[-1]), err
    assert "Traceback" not in err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_interrupt_is_one_line_and_leaves_no_output(run, chip, monkeypatch, tmp_path):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lposs_geo.polygons.vectorize.write_polygons", interrupt)
    code, _, err = run("map", chip, "--classes", "water,forest", "-o", "m.tif", "--vector", "m.gpkg", "-q")
    said = "Error: interrupted; no output was written; --resume goes on: 1 finished tiles will not be done again"
    assert (code, err.strip()) == (130, said)
    assert [path for path in tmp_path.iterdir() if path.suffix in (".tif", ".gpkg")] == [chip]


def test_a_defect_of_ours_is_one_line_too(run, chip, monkeypatch):
    monkeypatch.setattr("lposs_geo.polygons.vectorize.write_polygons", lambda *_: 1 / 0)
    code, _, err = run("map", chip, "--classes", "water,forest", "-o", "m.tif", "--vector", "m.gpkg", "-q")
    assert code == 1
    assert err.startswith("Error: unexpected ZeroDivisionError")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
def test_a_kill_is_one_line_and_keeps_finished_tiles(run, chip, tmp_path, name):
    code = (
        "import os, signal, lposs_geo.polygons.vectorize, lposs_geo.cli\n"
        f"lposs_geo.polygons.vectorize.write_polygons = lambda *_: os.kill(os.getpid(), signal.{name})\n"
        "lposs_geo.cli.main('map chip.tif --classes water,forest -o m.tif --vector m.gpkg -q'.split())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    said = "Error: terminated; no output was written; --resume goes on: 1 finished tiles will not be done again\n"
    assert (done.returncode, done.stderr) == (143, said)
    assert {path.name for path in tmp_path.iterdir()} - {"cache"} == {"chip.tif", ".m.tif.lposs-geo"}
    arguments = ["map", chip, "--classes", "water,forest", "-o", "m.tif", "--vector", "m.gpkg"]
    assert "--resume goes on with it, --overwrite starts anew" in run(*arguments)[2]
    code, _, err = run(*arguments, "--resume")
    assert code == 0, err
    assert "1 of 1 tiles are finished already" in err
    assert {path.name for path in tmp_path.iterdir()} - {"cache"} == {
        "chip.tif",
        "m.gpkg",
        "m.qml",
        "m.sld",
        "m.tif",
        "m.tif.aux.xml",
    }


@pytest.mark.parametrize("stage", ["encode", "refine", "vectorize"])
def test_when_nobody_listens_any_more_a_run_ends_and_leaves_no_output(chip, tmp_path, stage):
    arguments = [
        "map",
        "chip.tif",
        "--classes",
        "water,forest",
        "-o",
        "m.tif",
        "--vector",
        "m.gpkg",
        "--tile-size",
        "64",
    ]
    command = [sys.executable, "-P", "-m", "lposs_geo", *arguments, "--json", "--no-cache"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        for line in child.stderr:
            if json.loads(line).get("stage") == stage:
                break
        child.stderr.close()  # as when the parent is killed
        assert (child.wait(), child.stdout.read()) == (143, "")
    assert {path.name for path in tmp_path.iterdir()} == {"chip.tif", ".m.tif.lposs-geo"}


def test_killed_again_and_again_a_run_ends_with_the_same_map(run, chip, tmp_path):
    arguments = [
        "map",
        chip,
        "--classes",
        "water,forest,field",
        "--tile-size",
        "64",
        "--json",
        "--no-cache",
        "--resume",
    ]
    command = [sys.executable, "-m", "lposs_geo", *map(str, arguments), "-o", "killed.tif"]
    tiles = []
    for stage, enough in (("encode", 5), ("refine", 3), ("refine", 11)):
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as child:
            for line in child.stderr:
                event = json.loads(line)
                if event.get("stage") == "refine":
                    tiles.append(event["done"])
                if event.get("stage") == stage and event["done"] >= enough:
                    child.kill()  # as kill -9 does
                    break
    code, _, err = run(*arguments, "-o", "killed.tif")
    assert code == 0
    events = [json.loads(line) for line in err.splitlines()]
    tiles += [event["done"] for event in events if event.get("stage") == "refine"]
    assert len(tiles) == len(set(tiles))  # no tile twice
    assert tiles[-1] == 20
    assert run(*arguments, "-o", "whole.tif")[0] == 0
    with rasterio.open(tmp_path / "killed.tif") as killed, rasterio.open(tmp_path / "whole.tif") as whole:
        assert np.array_equal(killed.read(1), whole.read(1))


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on file sizes there")
def test_a_full_disk_is_one_line_and_keeps_finished_tiles(run, chip, tmp_path):
    code = (
        "import resource, signal, lposs_geo.cli\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))\n"
        "lposs_geo.cli.main('map chip.tif --classes water,forest -o m.tif --tile-size 100 -q --resume'.split())"
    )
    assert run("map", chip, "--classes", "water,forest", "-o", "first.tif")[0] == 0  # its features are kept
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: can't write into '.m.tif.lposs-geo/journal'")
    assert "finished tiles will not be done again" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert run("map", chip, "--classes", "water,forest", "-o", "m.tif", "--tile-size", "100", "--resume")[0] == 0
    with rasterio.open(tmp_path / "first.tif") as first, rasterio.open(tmp_path / "m.tif") as resumed:
        assert (first.read(1) == resumed.read(1)).mean() >= 0.9999


def test_tiles_that_fail_make_the_exit_code_1(run, lakeside, tmp_path):
    write_damaged(tmp_path / "bad.tif", lakeside)
    code, out, err = run("map", "bad.tif", "--classes", "water,forest", "--tile-size", "1000", "-o", "m.tif", "-q")
    assert code == 1
    assert out.startswith("m.tif")
    assert re.match(r"Error: 1 tiles of 'bad.tif' failed and are nodata in 'm.tif', the first since .*damaged", err)


def test_the_cache_can_be_seen_and_emptied(run, chip):
    assert run("cache", "list")[1].startswith("       0.0 MB of 20,000 MB")
    assert run("map", chip, "--classes", "water,forest", "-o", "m.tif")[0] == 0
    first, last = run("cache", "list")[1].splitlines()
    assert first.endswith("mini     chip.tif")
    assert " MB of " in last
    (line,) = run("cache", "list", "--json")[1].splitlines()
    assert json.loads(line)["scene"] == "chip.tif"
    _, _, err = run("map", chip, "--classes", "lake,wood", "-o", "n.tif")
    assert "features are kept from before" in err
    assert run("cache", "clear")[1].endswith("MB of 1 scenes removed\n")
    assert run("cache", "list", "--json")[1] == ""
    assert "clear" in run("cache")[1]


def test_the_cache_is_shown_whatever_its_facts_hold(run, tmp_path):
    names = ["line\nbreak", "\x1b[31mred", "\ud800.tif", "\u5c71.tif", None]
    for number, name in enumerate(names):
        (tmp_path / "cache" / "features" / f"{number:024x}").mkdir(parents=True)
        facts = {"scene": {"name": name}, "model": {"name": "mini"}}
        (tmp_path / "cache" / "features" / f"{number:024x}" / "facts.json").write_text(json.dumps(facts))
    code, out, err = run("cache", "list")
    assert (code, err) == (0, "")
    shown = {line[42:] for line in out.splitlines()[:-1]}
    cut_off = "? (left by a run that was cut off)"
    assert shown == {"line\\nbreak", "\\x1b[31mred", "\\ud800.tif", "\u5c71.tif", cut_off}
    lines = run("cache", "list", "--json")[1].splitlines()
    assert {json.loads(line)["scene"] for line in lines} == set(names)
    assert run("cache", "clear")[1] == "0.0 MB of 5 scenes removed\n"


LIKE = ["--bands", "3,2,1", "--scale", "0,900", "--gsd", "0.9", "--no-refine", "--min-confidence", "0.9"]


@pytest.fixture
def first(run, chip):
    """A map to take settings from."""
    code, _, err = run("map", chip, "--classes", "water,forest", "-o", "first.tif", *LIKE)
    assert code == 0, err
    return Path("first.tif")


def _pixels(path: str | Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def test_like_an_earlier_map_with_other_words(run, chip, first):
    words = ["--classes", "lake,trees,field"]
    for name, options in (("spelt.tif", LIKE), ("like.tif", ["--like", first]), ("plain.tif", [])):
        code, _, err = run("map", chip, *words, "-o", name, *options)
        assert code == 0, err
    assert np.array_equal(_pixels("like.tif"), _pixels("spelt.tif"))
    assert not np.array_equal(_pixels("like.tif"), _pixels("plain.tif"))
    # the same in all that decides the map
    assert "is finished already" in run("map", chip, *words, "-o", "like.tif", *LIKE, "--resume")[2]


def test_what_is_named_wins_over_the_map_that_it_is_like(run, chip, first):
    code, _, err = run("map", chip, "--classes", "water,forest", "-o", "m.tif", "--like", first, "--min-confidence", 0)
    assert code == 0, err
    code, _, err = run("map", chip, "--classes", "water,forest", "-o", "n.tif", *LIKE[:-2])
    assert code == 0, err
    assert np.array_equal(_pixels("m.tif"), _pixels("n.tif"))
    assert (_pixels(first) == 0).any()
    assert not (_pixels("m.tif") == 0).any()


def test_like_a_map_made_from_python(run, chip):
    box = "439140,5273560,439200,5273600"
    options = {"bands": [3, "2", 1], "scale": (0.0, 900.0), "aoi": box, "simplify": 0.5, "refine": False}
    map_scene(chip, "water,forest", "first.tif", **options)
    code, _, err = run("map", chip, "--classes", "water,forest", "-o", "m.tif", "--like", "first.tif")
    assert code == 0, err
    assert np.array_equal(_pixels("m.tif"), _pixels("first.tif"))
    map_scene(chip, "water,forest", "part.tif", window=Window(100, 100, 30, 20), refine=False)
    said = "Error: the map 'part.tif' was made of a window in pixels: name its box by --aoi"
    code, _, err = run("map", chip, "--classes", "water,forest", "-o", "n.tif", "--like", "part.tif")
    assert (code, err.startswith(said)) == (2, True)
    code, _, err = run("map", chip, "--classes", "water,forest", "-o", "n.tif", "--like", "part.tif", "--aoi", box)
    assert code == 0, err


def test_a_file_that_the_map_was_cut_to_is_named_again(run, chip, tmp_path):
    areas = [shapely.box(439140, 5273560, 439200, 5273600), shapely.box(439150, 5273570, 439180, 5273590)]
    (tmp_path / "there").mkdir()
    for layer, area in zip(("one", "two"), areas, strict=True):
        frame = geopandas.GeoDataFrame(geometry=[area], crs="EPSG:32632")
        frame.to_file(tmp_path / "there" / "areas.gpkg", layer=layer)
    frame.to_file(tmp_path / "other.gpkg")
    cut = ["--aoi", "there/areas.gpkg", "--aoi-layer", "two", "--no-refine"]
    arguments = ["map", chip, "--classes", "water,forest", "-o"]
    assert run(*arguments, "first.tif", *cut)[0] == 0
    code, _, err = run(*arguments, "m.tif", "--like", "first.tif")
    said = "Error: the map 'first.tif' was cut to 'areas.gpkg': name that file by --aoi"
    assert (code, err.startswith(said), len(err.splitlines())) == (2, True, 1)
    for name in ("there/areas.gpkg", "other.gpkg"):  # the layer is taken over with its file only
        code, _, err = run(*arguments, "m.tif", "--like", "first.tif", "--aoi", name, "--overwrite")
        assert code == 0, err
        assert np.array_equal(_pixels("m.tif"), _pixels("first.tif"))


def test_like_a_map_of_a_pair_of_ones_own(run, chip, checkpoints):
    vlm = f"open_clip:ViT-S-32-alt@{checkpoints / 'clip.safetensors'}"
    vm = f"timm:vit_tiny_patch16_224@{checkpoints / 'vit.pth'}"
    arguments = ["map", chip, "--classes", "water,forest", "--no-refine", "-o"]
    assert run(*arguments, "first.tif", "--vlm", vlm, "--vm", vm)[0] == 0
    # whoever made the map doesn't choose which file is opened here
    code, _, err = run(*arguments, "m.tif", "--like", "first.tif")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "'first.tif' was made with weights in a file of somebody's own" in err
    assert "with --vlm and --vm" in err
    code, _, err = run(*arguments, "m.tif", "--like", "first.tif", "--vlm", vlm, "--vm", vm)
    assert code == 0, err
    assert f"model {vlm} + {vm} on" in err
    code, _, err = run(*arguments, "n.tif", "--like", "first.tif", "--model", "mini")
    assert code == 0, err
    assert "model mini on" in err


def test_the_map_that_another_is_like_is_never_overwritten(run, chip, first, tmp_path):
    before = first.read_bytes()
    Path("link.tif").symlink_to(first)
    arguments = ["map", chip, "--classes", "lake,wood", "--overwrite", "--like", first]
    for outputs in (
        ["-o", first],
        ["-o", "link.tif"],
        ["-o", "m.tif", "--confidence=first.tif"],
        ["-o", tmp_path / "first.tif", "--resume"],
        ["-o", "{name}.tif", "--batch", Path("scenes", "first.tif")],
    ):
        code, _, err = run(*arguments, *outputs)
        assert (code, "is the earlier map itself: give another name" in err) == (1, True), err
    assert first.read_bytes() == before


def test_a_batch_like_an_earlier_map(run, chip, first):
    code, _, err = run("map", "--batch", chip, "--classes", "water,forest", "-o", "{name}_b.tif", "--like", first)
    assert code == 0, err
    assert np.array_equal(_pixels("chip_b.tif"), _pixels(first))


def _retagged(source: Path, **tags: str) -> None:
    with rasterio.open(source) as dataset, rasterio.open("like.tif", "w", **dataset.profile) as copy:
        copy.update_tags(**(dataset.tags() | tags))


NO_SETTINGS = {
    "absent": (lambda _: None, "no such file: 'like.tif'"),
    "no raster": (lambda _: Path("like.tif").write_text("a map"), "'like.tif' can't be opened as a raster"),
    "not ours": (lambda chip: Path("like.tif").write_bytes(chip.read_bytes()), "'like.tif' is no map of lposs-geo"),
    "damaged tags": (
        lambda _: _retagged(Path("first.tif"), LPOSS_GEO_OPTIONS='{"bands": '),
        "the settings in the tags of 'like.tif' are damaged",
    ),
    "a list of options": (lambda _: _retagged(Path("first.tif"), LPOSS_GEO_OPTIONS="[1]"), "are damaged"),
    "an unknown option": (
        lambda _: _retagged(Path("first.tif"), LPOSS_GEO_OPTIONS='{"speed": 9}'),
        "made by another release with options that this one lacks: speed",
    ),
    "an unknown model": (lambda _: _retagged(Path("first.tif"), LPOSS_GEO_MODEL="best"), "unknown model 'best'"),
}


_ASKED: dict[str, object] = {
    "bands": None,
    "scale": None,
    "collar": True,
    "warp": False,
    "gsd": None,
    "aoi": None,
    "aoi_layer": None,
    "window": None,
    "examples": None,
    "examples_layer": None,
    "add_classes": False,
    "refine": True,
    "min_confidence": 0.0,
    "simplify": "1px",
    "min_area": 0.0,
}


def _refused_like(run, chip, tags: dict[str, str]) -> str:
    """What is said of a map with these tags, of which nothing is taken over and for which nothing is written."""
    write_geotiff(Path("like.tif"), np.ones((1, 4, 4), np.uint8), nodata=255)
    with rasterio.open("like.tif", "r+") as dataset:
        dataset.update_tags(**{"LPOSS_GEO_VERSION": "0.1.0", "LPOSS_GEO_MODEL": "mini"} | tags)
    there = {path: path.read_bytes() for path in Path().iterdir()}
    # without --overwrite the output that is there would be refused before the rest is looked at
    code, out, err = run("map", chip, "--classes", "a,b", "-o", "m.tif", "--like", "like.tif", "--overwrite", "-q")
    assert (code in (1, 2), out, len(err.splitlines()), len(err) < 400) == (True, "", 1, True), err
    assert err[:-1].isprintable()
    assert "unexpected" not in err
    assert {path: path.read_bytes() for path in Path().iterdir()} == there
    return err


_FORGED = {
    "a file to overwrite": (
        {"confidence": "precious.tif", "stac": "package.json", "overwrite": True},
        "never taken over",
    ),
    "a report": ({"report": "precious.tif"}, "never taken over: report"),
    "a vector": ({"vector": "precious.gpkg", "quicklook": "precious.tif"}, "never taken over"),
    "a tile of 1 px": ({"tile_size": 1}, "never taken over: tile_size"),
    "memory": ({"max_memory": "x", "device": "cuda:9", "use_cache": False, "resume": True}, "never taken over"),
    "another scene": ({"scenes": ["/etc/passwd"], "speed": 1}, "by another release"),
    "escapes": ({"\u001b[2J\ud800\n" + "x" * 9000: 1}, "by another release with options that this one lacks: \\x1b"),
    "many names": ({f"n{i}": 1 for i in range(500)}, "and 495 more"),
    "gsd a word": ({"gsd": "abc"}, "damaged (gsd "),
    "gsd a flag": ({"gsd": True}, "damaged (gsd "),
    "gsd below 0": ({"gsd": -1}, "damaged (gsd must be"),
    "gsd nought": ({"gsd": 0}, "damaged (gsd must be"),
    "gsd endless": ({"gsd": float("inf")}, "damaged (gsd "),
    "gsd no number": ({"gsd": float("nan")}, "damaged (gsd "),
    "gsd of 400 digits": ({"gsd": 10**400}, "damaged (gsd "),
    "no area": ({"min_area": None}, "damaged (min_area "),
    "an area below 0": ({"min_area": -2.5}, "damaged (min_area must be"),
    "too sure": ({"min_confidence": 1.5}, "damaged (min_confidence must"),
    "bands a number": ({"bands": 5}, "damaged (bands "),
    "bands flags": ({"bands": [True, 2, 3]}, "damaged (bands "),
    "nested bands": ({"bands": [[[1]], 2, 3]}, "damaged (bands "),
    "bands without end": ({"bands": "1," * 5000}, "damaged (bands "),
    "one end of a scale": ({"scale": [1]}, "damaged (scale "),
    "a scale of words": ({"scale": ["0", "900"]}, "damaged (scale "),
    "a scale of an object": ({"scale": {"0": 1, "1": 2}}, "damaged (scale "),
    "a scale turned round": ({"scale": [900, 0]}, "scale must be two numbers"),
    "a flag that is a number": ({"refine": 1}, "damaged (refine "),
    "a flag that is a word": ({"warp": "false"}, "damaged (warp "),
    "simplify a word": ({"simplify": "soon"}, "damaged (simplify must be"),
    "simplify a list": ({"simplify": ["1px"]}, "damaged (simplify "),
    "an area elsewhere": ({"aoi": "/etc/areas.gpkg"}, "was cut to '/etc/areas.gpkg': name that file"),
    "an area on the net": ({"aoi": "http://127.0.0.1:9/a.geojson"}, "name that file by --aoi"),
    "half a box": ({"aoi": "1,2,/vsicurl/http://127.0.0.1:9/a"}, "must be four numbers"),
    "an area of signs": ({"aoi": "a\u0000b"}, "damaged (aoi "),
    "half a letter": ({"aoi_layer": "\ud800"}, "damaged (aoi_layer "),
    "a window of words": ({"window": "0,0,1,1"}, "damaged (window "),
}


@pytest.mark.parametrize("case", _FORGED)
def test_a_map_that_somebody_changed_decides_nothing_but_its_settings(run, chip, case):
    forged, said = _FORGED[case]
    Path("precious.tif").write_text("precious")
    Path("m.tif").write_text("mine")
    assert said in _refused_like(run, chip, {"LPOSS_GEO_OPTIONS": json.dumps(_ASKED | forged)})


_TAGS = {
    "cut off": '{"bands": ',
    "nested deep": "[" * 50_000,
    "endless": "{" + " " * 200_000 + "}",
    "digits": '{"gsd": ' + "9" * 9000 + "}",
    "a text": '"bands"',
    "nothing": "",
}


@pytest.mark.parametrize("case", _TAGS)
def test_a_tag_that_holds_no_settings(run, chip, case):
    assert "the settings in the tags of 'like.tif' are damaged" in _refused_like(
        run, chip, {"LPOSS_GEO_OPTIONS": _TAGS[case]}
    )


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_no_map(run, chip, make):
    make("like.tif")
    code, _, err = run("map", chip, "--classes", "a,b", "-o", "m.tif", "--like", "like.tif")
    assert (code, err) == (1, "Error: 'like.tif' is no file, so no map of lposs-geo\n")


_FORGED_MODELS = {
    "a file": ("open_clip:ViT-B-16@/tmp/x.pth + timm:vit_tiny_patch16_224@/tmp/x.pth", "somebody's own"),
    "a file of home": ("timm:vit_tiny_patch16_224@~nobody/x", "somebody's own"),
    "a way out of the cache": ("open_clip:ViT-B-16/../../../../x + timm:vit_tiny_patch16_224", "names no model"),
    "a way up": ("open_clip:ViT-B-16/a + timm:..", "names no model"),
    "a hub": ("open_clip:hf-hub:who/what + timm:hf-hub:who/what", "names no model"),
    "not pulled": ("open_clip:ViT-B-16/openai + timm:vit_tiny_patch16_224", "are not installed"),
    "a list": ('["mini"]', "unknown model"),
    "much": ("m" * 10_000, "are damaged"),
}


@pytest.mark.parametrize("case", _FORGED_MODELS)
def test_a_map_that_somebody_changed_chooses_among_the_models_that_are_here(run, chip, case):
    model, said = _FORGED_MODELS[case]
    assert said in _refused_like(run, chip, {"LPOSS_GEO_OPTIONS": json.dumps(_ASKED), "LPOSS_GEO_MODEL": model})


def test_the_settings_of_a_map_are_all_that_is_ever_taken_over(first):
    settings = provenance.settings_of(first)
    of_examples = {"examples", "examples_layer", "add_classes"}  # which only maps with examples tell
    assert (settings.options.keys(), settings.others) == (_ASKED.keys() - of_examples, ())
    assert set(SETTINGS) == _ASKED.keys()


@pytest.mark.parametrize("case", NO_SETTINGS)
def test_what_has_no_settings_to_take_over(run, chip, first, case):
    make, said = NO_SETTINGS[case]
    make(chip)
    code, out, err = run("map", chip, "--classes", "water,forest", "-o", "m.tif", "--like", "like.tif")
    assert code in (1, 2)
    assert (out, len(err.splitlines())) == ("", 1)
    assert said in err
    assert not Path("m.tif").exists()


def test_bench(run):
    code, out, err = run("bench", "--side", "120", "--classes", "water,forest", "--json", "-q")
    assert code == 0, err
    report = json.loads(out)
    assert report["scene"] == "invented_120.tif"
    assert list(report["seconds"]) == ["load", "encode", "propagate", "refine", "write", "vectorize"]
    assert (report["rows"], report["num_classes"], report["model"]) == (120, 2, "mini")
    assert report["peak"] >= report["footprint"] > 1e8
    assert 0 < report["encoder_share"] < 1
    assert report["encoder"]["flops"] > 1e9


def test_errors_for_programs_are_json_too(run):
    code, out, err = run("map", "none.tif", "--classes", "water", "--json")
    assert (code, out) == (1, "")
    problem = "no such file: 'none.tif'"
    line = {"event": "error", "schema_version": 1, "message": problem, "problem": problem}
    assert json.loads(err) == line | {"hint": "", "notes": [], "scene": None}


def test_without_a_command_there_is_help(run):
    code, out, err = run()
    assert (code, err) == (0, "")
    assert out.startswith("Usage: lposs-geo")
    assert len(out.splitlines()) > 10
    assert "pull" in run("models")[1]


def test_vectorize(run, chip):
    assert run("map", chip, "--classes", "water,forest", "-o", "m.tif", "-q")[0] == 0
    code, out, _ = run("vectorize", "m.tif", "m.gpkg", "--simplify", "0")
    assert code == 0
    assert out.startswith("m.gpkg: ")
    code, _, err = run("vectorize", "m.tif", "m.gpkg")
    assert (code, "--overwrite" in err) == (1, True)
    code, _, err = run("vectorize", chip, "x.gpkg")
    assert (code, "no label raster" in err) == (1, True)


def test_vectorize_for_programs(run, write_raster):
    write_raster(np.tri(60, 80, dtype="uint8")[None] + 1, "labels.tif")
    code, out, err = run("vectorize", "labels.tif", "m.gpkg", "--min-area", "1", "--json")
    assert code == 0, err
    (line,) = out.splitlines()
    assert json.loads(line) == {
        "event": "result",
        "schema_version": 1,
        "command": "vectorize",
        "vector": "m.gpkg",
        "polygons": 2,
    }
    events = [json.loads(line) for line in err.splitlines()]
    assert {(event["event"], event["stage"]) for event in events} == {("progress", "vectorize")}
    assert events[-1]["done"] == events[-1]["total"]
    code, out, err = run("vectorize", "labels.tif", "m.gpkg", "--json")
    assert (code, out) == (1, "")
    assert json.loads(err)["event"] == "error"
    assert run("vectorize", "labels.tif", "n.gpkg", "-q")[1:] == ("n.gpkg: 2 polygons\n", "")


def test_info(run, lakeside):
    code, out, _ = run("info", lakeside)
    assert code == 0
    for said in ("900 rows x 900 cols, uint16", "EPSG:32632", "0.6 x 0.6 m", "bands 3,2,1"):
        assert said in out
    code, out, _ = run("info", lakeside, "--quicklook", "look.png")
    assert (code, out.splitlines()[-1]) == (0, "quicklook  look.png")
    with Image.open("look.png") as picture:
        assert picture.width > 700
    assert "exists: --overwrite replaces it" in run("info", lakeside, "--quicklook", "look.png")[2]
    facts = json.loads(run("info", lakeside, "--json", "--bands", "4,3,2")[1])
    assert facts["bands"] == [4, 3, 2]
    assert facts["pixel_size_m"] == [0.6, 0.6]


def test_places_that_cannot_be_end_in_one_line_and_small_pixels_are_shown(run, write_raster):
    array = np.random.default_rng(0).integers(1, 255, (3, 20, 20)).astype("uint8")
    metres = write_raster(array, "metres.tif", crs="EPSG:4326")
    for options in ((), ("--json",), ("--quicklook", "look.png")):
        code, out, err = run("info", metres, *options)
        assert (code, out, len(err.splitlines())) == (1, "", 1)
        assert "can't lie where it says" in err
    fine = write_raster(array, "fine.tif", transform=rasterio.Affine(5e-6, 0, 8.2, 0, -5e-6, 47.6))
    code, out, _ = run("info", fine, "--json")
    facts = json.loads(out, parse_constant=pytest.fail)
    assert facts["pixel_size_m"] == [5e-6, 5e-6]
    assert "is likely wrong" in facts["notices"][0]["problem"]


def test_areas_of_a_drone_are_no_zeros(run, write_raster):
    array = np.random.default_rng(0).integers(1, 255, (3, 40, 40)).astype("uint8")
    path = write_raster(array, transform=rasterio.Affine(0.002, 0, 439196.4, 0, -0.002, 5273646.6))
    code, out, _ = run("map", path, "--classes", "forest", "-o", "m.tif", "--no-refine", "-q", "--report", "m.html")
    assert code == 0
    assert re.search(r"forest +0\.006400 m2  100\.0%", out)
    assert "0.08 x 0.08 m" in Path("m.html").read_text()


def test_models(run):
    code, out, _ = run("models", "list")
    assert code == 0
    assert out.splitlines()[0].startswith("mini     installed, default")
    assert "not installed" in out.splitlines()[1]
    names = [json.loads(line)["name"] for line in run("models", "list", "--json")[1].splitlines()]
    assert names == ["mini", "paper"]
    code, out, _ = run("models", "show", "mini")
    assert "trunk.safetensors" in out
    assert run("models", "show", "best")[0] == 1


def test_doctor(run):
    code, out, _ = run("doctor")
    assert code == 0
    for said in ("torch ", "GDAL", "model mini", "device", "cache"):
        assert said in out
    assert "BAD" not in out
    assert all(len(line) < 200 for line in out.splitlines())


def test_the_installed_command_is_this_one():
    done = subprocess.run([Path(sys.executable).with_name("lposs-geo"), "--version"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "0.1.0" in done.stdout


def test_the_package_itself_is_the_command_too():
    command = [sys.executable, "-P", "-m", "lposs_geo", "--version"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()[0]) == (0, "lposs-geo,")
