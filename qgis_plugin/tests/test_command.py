"""Arguments for the engine: as strings, and as its own command line takes them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import unittest
from dataclasses import MISSING, fields
from pathlib import Path

from lposs_geo_qgis.command import MapRequest, VectorizeRequest, as_arguments, for_people

REPOSITORY = Path(__file__).resolve().parents[2]
ENGINE = os.environ.get("LPOSS_GEO_EXECUTABLE") or str(REPOSITORY / ".venv" / "bin" / "lposs-geo")

# All that can be asked for, each different from what it is by default.
FULL_MAP = MapRequest(
    scene="scene.tif",
    output="map.tif",
    classes="water,forest=wood|trees",
    legend="basic",
    like="earlier.tif",
    vector="map.gpkg",
    confidence="sure.tif",
    report="map.html",
    bands="4,3,2",
    scale="0,3000",
    model="mini",
    aoi="1.5,2,3,4",
    aoi_layer="Gemeinde Süd",
    gsd=0.6,
    min_confidence=0.25,
    simplify="2.5m",
    min_area=100.0,
    device="cpu",
    max_memory="2GB",
    refine=False,
    collar=False,
    warp=True,
    resume=True,
    overwrite=True,
)
FULL_VECTORIZE = VectorizeRequest("map.tif", "map.gpkg", "sure.tif", "0", 50.0, True)

NASTY = (
    "--output=/etc/passwd",
    "-o",
    "--",
    "; rm -rf /",
    "$(touch x)",
    "`id`",
    "a|b",
    "a & b > c",
    'it\'s "quoted"',
    "back\\slash\\",
    "%PATH% ^ !x!",
    "two\nlines",
    "  blanks  ",
    "água, 森林, Ödland",
    "*?[a-z]",
    "~",
)


def map_request(**chosen: object) -> MapRequest:
    return MapRequest("scene.tif", "map.tif", **chosen)


def options(request: MapRequest | VectorizeRequest) -> list[str]:
    """The arguments between the command and "--"."""
    arguments = as_arguments(request)
    return arguments[1 : arguments.index("--")]


def ask(*arguments: str) -> subprocess.CompletedProcess:
    """Run the engine where no file is."""
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            [ENGINE, *arguments],
            cwd=folder,
            env={**os.environ, "LPOSS_GEO_CACHE": folder},
            capture_output=True,
            encoding="utf-8",
        )


class AsStrings(unittest.TestCase):
    def test_a_plain_map_names_only_what_is_asked_for(self):
        self.assertEqual(
            as_arguments(map_request(classes="water,forest")),
            ["map", "--json", "--output=map.tif", "--classes=water,forest", "--", "scene.tif"],
        )

    def test_a_full_map_names_each_field(self):
        self.assertEqual(
            as_arguments(FULL_MAP),
            [
                "map",
                "--json",
                "--output=map.tif",
                "--classes=water,forest=wood|trees",
                "--legend=basic",
                "--like=earlier.tif",
                "--vector=map.gpkg",
                "--confidence=sure.tif",
                "--report=map.html",
                "--bands=4,3,2",
                "--scale=0,3000",
                "--model=mini",
                "--aoi=1.5,2,3,4",
                "--aoi-layer=Gemeinde Süd",
                "--gsd=0.6",
                "--min-confidence=0.25",
                "--simplify=2.5m",
                "--min-area=100",
                "--device=cpu",
                "--max-memory=2GB",
                "--no-refine",
                "--no-collar",
                "--warp",
                "--resume",
                "--overwrite",
                "--",
                "scene.tif",
            ],
        )

    def test_the_full_requests_leave_no_field_as_it_is(self):
        for request in (FULL_MAP, FULL_VECTORIZE):
            for field in fields(request):
                self.assertNotEqual(getattr(request, field.name), field.default, field.name)

    def test_a_legend_stands_instead_of_classes(self):
        self.assertEqual(
            options(map_request(legend="my legend.csv")), ["--json", "--output=map.tif", "--legend=my legend.csv"]
        )

    def test_plain_polygons_name_only_the_files(self):
        self.assertEqual(
            as_arguments(VectorizeRequest("map.tif", "map.gpkg")), ["vectorize", "--json", "--", "map.tif", "map.gpkg"]
        )

    def test_full_polygons_name_each_field(self):
        self.assertEqual(
            as_arguments(FULL_VECTORIZE),
            [
                "vectorize",
                "--json",
                "--confidence=sure.tif",
                "--simplify=0",
                "--min-area=50",
                "--overwrite",
                "--",
                "map.tif",
                "map.gpkg",
            ],
        )

    def test_numbers_keep_their_value(self):
        for number in (0.1, 1e-7, 1 / 3, 12345678.9, 1e20, 3):
            with self.subTest(number):
                said = options(map_request(gsd=number))[-1]
                self.assertAlmostEqual(float(said.removeprefix("--gsd=")), number, delta=number * 1e-14)

    def test_a_word_stays_in_its_argument_whatever_it_says(self):
        for word in NASTY:
            for name in ("classes", "legend", "aoi_layer", "output"):
                with self.subTest(word, name=name):
                    request = MapRequest(**{"scene": "scene.tif", "output": "map.tif", name: word})
                    plain = MapRequest(**{"scene": "scene.tif", "output": "map.tif", name: "plain"})
                    option = "--" + name.replace("_", "-")
                    expected = [
                        f"{option}={word}" if said == f"{option}=plain" else said for said in as_arguments(plain)
                    ]
                    self.assertEqual(as_arguments(request), expected)

    def test_a_file_is_no_option_whatever_its_name(self):
        for name in ("-x.tif", "--overwrite", "--", "-"):
            with self.subTest(name):
                self.assertEqual(as_arguments(MapRequest(name, "map.tif"))[-2:], ["--", name])
                self.assertEqual(as_arguments(VectorizeRequest(name, name))[-3:], ["--", name, name])

    def test_all_arguments_are_strings(self):
        for request in (FULL_MAP, FULL_VECTORIZE):
            self.assertEqual({type(argument) for argument in as_arguments(request)}, {str})

    def test_polygons_are_a_stage_only_where_they_are_wanted(self):
        self.assertEqual(map_request().stages, ("encode", "propagate", "refine"))
        self.assertEqual(map_request(vector="map.gpkg").stages, ("encode", "propagate", "refine", "vectorize"))


class ForPeople(unittest.TestCase):
    def test_plain_words_stand_as_they_are(self):
        for windows in (True, False):
            self.assertEqual(for_people(["lposs-geo", "map", "--json"], windows), "lposs-geo map --json")

    def test_a_shell_reads_back_each_nasty_word(self):
        shown = for_people(["printf", "%s\\0", *NASTY], windows=False)
        read = subprocess.run(["/bin/sh", "-c", shown], stdout=subprocess.PIPE, encoding="utf-8").stdout
        self.assertEqual(read.split("\0")[:-1], list(NASTY))

    def test_windows_has_double_quotes(self):
        shown = for_people([r"C:\Program Files\lposs-geo.exe", "--classes=crop field", 'a "b"'], windows=True)
        self.assertEqual(shown, r'"C:\Program Files\lposs-geo.exe" "--classes=crop field" "a \"b\""')


@unittest.skipUnless(Path(ENGINE).is_file(), f"there is no engine at {ENGINE}")
class AsTheEngineTakesThem(unittest.TestCase):
    def said(self, run: subprocess.CompletedProcess) -> dict:
        """The error of an engine that failed: the last line on stderr, after what it warned of."""
        self.assertEqual(run.stdout, "")
        *before, last = map(json.loads, run.stderr.splitlines())
        self.assertEqual({event["event"] for event in before} - {"info", "warning"}, set())
        return last

    def assert_no_such_file(self, name: str, *arguments: str) -> None:
        run = ask(*arguments)
        said = self.said(run)
        self.assertEqual((said["event"], said["message"]), ("error", f"no such file: '{name}'"))
        self.assertEqual(run.returncode, 1)

    def test_each_option_is_in_its_help(self):
        for request in (FULL_MAP, FULL_VECTORIZE):
            known = set(re.findall(r"--[a-z-]+", ask(request.command, "--help").stdout))
            named = {argument.split("=")[0] for argument in options(request)}
            self.assertEqual(named - known, set(), request.command)

    def test_what_is_left_out_is_so_by_default_in_the_engine_too(self):
        question = (
            "import json; from lposs_geo.cli import cli; "
            "contexts = [cli.commands[name].make_context(name, ['a.tif', 'b.tif']) for name in ('map', 'vectorize')]; "
            "print(json.dumps({context.info_name: {option.opts[0]: str(context.params[option.name]) "
            "for option in context.command.params if option.name in context.params} for context in contexts}))"
        )
        answer = subprocess.run([Path(ENGINE).with_name("python"), "-P", "-c", question], stdout=subprocess.PIPE)
        engine = json.loads(answer.stdout)
        for request in (MapRequest, VectorizeRequest):
            for field in fields(request):
                if field.default is not MISSING:
                    ours = {"4GB": str(4 * 10**9), "": "None"}.get(field.default, str(field.default))
                    theirs = engine[request.command]["--" + field.name.replace("_", "-")]
                    self.assertIn(theirs, (ours, "None") if field.default == 0.0 else (ours,), field.name)

    def test_a_full_map_gets_as_far_as_its_scene(self):
        chosen = {field.name: getattr(FULL_MAP, field.name) for field in fields(FULL_MAP)} | {"legend": "", "like": ""}
        self.assert_no_such_file("scene.tif", *as_arguments(MapRequest(**chosen)))

    def test_a_map_with_a_legend_gets_as_far_as_its_scene(self):
        name = re.findall(r"^\S+", ask("legends", "list").stdout, re.MULTILINE)[0]
        self.assert_no_such_file("scene.tif", *as_arguments(map_request(legend=name)))

    def test_a_map_like_another_gets_as_far_as_that(self):
        run = ask(*as_arguments(map_request(classes="water,forest", like="earlier.tif")))
        self.assertIn("earlier.tif", self.said(run)["message"])
        self.assertEqual(run.returncode, 1)

    def test_full_polygons_get_as_far_as_their_map(self):
        run = ask(*as_arguments(FULL_VECTORIZE))
        self.assertIn("map.tif", self.said(run)["message"])
        self.assertEqual(run.returncode, 1)

    def test_files_that_look_like_options_are_files(self):
        for name in ("-x.tif", "--help"):
            with self.subTest(name):
                self.assert_no_such_file(name, *as_arguments(MapRequest(name, "map.tif", "water,forest")))

    def test_nasty_words_are_words(self):
        words = ",".join(word for word in NASTY if not set("|,;=\n") & set(word) and word.strip("~- "))
        self.assert_no_such_file("scene.tif", *as_arguments(map_request(classes=words)))

    def test_neither_classes_nor_legend_is_a_matter_of_usage(self):
        run = ask(*as_arguments(map_request()))
        self.assertIn("--classes", self.said(run)["message"])
        self.assertEqual(run.returncode, 2)
