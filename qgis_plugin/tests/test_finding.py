"""Which engine is found, what is told of it, and whether it goes with this plugin."""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
import time
import unittest
from pathlib import Path

from lposs_geo_qgis.engine import environment, finding
from lposs_geo_qgis.engine.finding import VARIABLE, Engine, EngineError, check, find, version

REPOSITORY = Path(__file__).resolve().parents[2]
ENGINE = Path(os.environ.get("LPOSS_GEO_EXECUTABLE") or REPOSITORY / ".venv" / "bin" / "lposs-geo")
NOWHERE = "/nonexistent/lposs-geo"


def one_line(error: EngineError) -> str:
    """The message, which has to be one line."""
    said = str(error)
    assert len(said.splitlines()) == 1, said
    return said


class WithFolder(unittest.TestCase):
    """Tests with programs of their own, which only have to be there."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(os.path.realpath(folder.name))

    def program(self, name: str, text: str = "exit 0") -> str:
        """A program of some lines of shell."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    def refusal(self, path: str) -> str:
        """What is said of a setting that can't be used."""
        with self.assertRaises(EngineError) as caught:
            find({}, path, NOWHERE)
        return one_line(caught.exception)


class Order(WithFolder):
    def setUp(self):
        super().setUp()
        self.named, self.chosen = self.program("named"), self.program("chosen")
        self.private, self.on_path = self.program("private/lposs-geo"), self.program("path/lposs-geo")
        self.path = os.pathsep.join(["/nonexistent", str(self.folder / "path")])

    def test_the_variable_comes_first(self):
        found = find({VARIABLE: self.named, "PATH": self.path}, self.chosen, self.private)
        self.assertEqual(found, Engine((self.named,), f"named by the variable {VARIABLE}"))

    def test_the_setting_comes_second(self):
        found = find({VARIABLE: "", "PATH": self.path}, self.chosen, self.private)
        self.assertEqual(found, Engine((self.chosen,), "named by Raster > LPOSS-Geo > Engine"))

    def test_the_plugin_s_own_comes_third(self):
        self.assertEqual(find({"PATH": self.path}, "", self.private), Engine((self.private,), "set up by this plugin"))

    def test_the_path_comes_last(self):
        self.assertEqual(find({"PATH": self.path}, "", NOWHERE), Engine((self.on_path,), "found on the PATH"))

    def test_the_path_is_known_as_windows_spells_it(self):
        self.assertEqual(find({"Path": self.path}, "", "").prefix, (self.on_path,))

    def test_the_path_is_the_one_given(self):
        before = os.environ["PATH"]
        self.addCleanup(os.environ.__setitem__, "PATH", before)
        os.environ["PATH"] = self.path
        with self.assertRaises(EngineError):
            find({}, "", NOWHERE)

    def test_nothing_is_taken_from_the_current_folder(self):
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.folder / "path")
        for path in ("", ".", os.pathsep):
            with self.subTest(path), self.assertRaises(EngineError):
                find({"PATH": path}, "", NOWHERE)

    def test_without_any_it_is_said_where_to_set_one_up(self):
        with self.assertRaises(EngineError) as caught:
            find({"PATH": "/nonexistent"}, "", NOWHERE)
        self.assertIn("Raster > LPOSS-Geo > Engine", one_line(caught.exception))

    def test_one_that_is_named_and_not_there_is_not_replaced_by_another(self):
        for environ, setting, place in (
            ({VARIABLE: NOWHERE}, self.chosen, f"the variable {VARIABLE}"),
            ({}, NOWHERE, "Raster > LPOSS-Geo > Engine"),
        ):
            with self.subTest(place), self.assertRaises(EngineError) as caught:
                find({**environ, "PATH": self.path}, setting, self.private)
            said = one_line(caught.exception)
            self.assertIn(f"no file '{NOWHERE}'", said)
            self.assertIn(place, said)


class Named(WithFolder):
    def test_the_folder_of_an_environment_stands_for_the_program_in_it(self):
        path = self.program("env/bin/lposs-geo")
        self.assertEqual(find({}, str(self.folder / "env"), "").prefix, (path,))

    def test_a_folder_without_it_is_refused(self):
        self.assertIn(f"no file '{self.folder}/bin/lposs-geo'", self.refusal(str(self.folder)))

    def test_a_python_is_told_what_to_run(self):
        for name in ("python", "python3", "python3.11", "Python.EXE", "pythonw.exe", "python3.13t", "pypy3.11"):
            with self.subTest(name):
                path = self.program(name)
                self.assertEqual(find({}, path, "").prefix, (path, "-P", "-m", "lposs_geo"))

    def test_a_program_that_is_named_like_a_python_is_none(self):
        for name in ("python3-config", "pythonic", "my-python"):
            with self.subTest(name):
                path = self.program(name)
                self.assertEqual(find({}, path, "").prefix, (path,))

    def test_a_batch_file_is_refused(self):
        for name in ("lposs-geo.bat", "lposs-geo.CMD"):
            with self.subTest(name):
                self.assertIn("is a batch file", self.refusal(self.program(name)))

    def test_a_file_that_may_not_be_run_is_refused(self):
        path = Path(self.program("lposs-geo"))
        path.chmod(0o644)
        self.assertIn("isn't a program that may be run", self.refusal(str(path)))

    def test_a_path_from_home_is_understood(self):
        path = self.program("lposs-geo")
        before = os.environ.get("HOME", "")
        self.addCleanup(os.environ.__setitem__, "HOME", before)
        os.environ["HOME"] = str(self.folder)
        self.assertEqual(find({}, "~/lposs-geo", "").prefix, (path,))

    def test_the_home_of_nobody_is_refused(self):
        self.assertIn("There is no file", self.refusal("~nobody-of-that-name/lposs-geo"))

    def test_a_path_from_here_holds_in_other_folders_too(self):
        path = self.program("env/bin/lposs-geo")
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.folder)
        for relative in ("env", "env/bin/lposs-geo", "./env/../env"):
            with self.subTest(relative):
                self.assertEqual(find({}, relative, "").prefix, (path,))

    def test_a_name_that_no_file_can_have_is_refused(self):
        self.assertIn("There is no file", self.refusal("a\0b").replace("\0", ""))


@unittest.skipUnless(ENGINE.is_file(), f"there is no engine at {ENGINE}")
class TheRealEngine(WithFolder):
    def setUp(self):
        super().setUp()
        text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
        self.expected = re.search(r'^version = "(.+)"$', text, re.MULTILINE)[1]
        self.environ = environment.clean(os.environ)

    def test_it_tells_the_version_of_the_project(self):
        self.assertEqual(version(find({VARIABLE: str(ENGINE)}, "", ""), self.environ), self.expected)

    def test_its_folder_does_as_well(self):
        self.assertEqual(version(find({}, str(ENGINE.parents[1]), ""), self.environ), self.expected)

    def test_its_python_does_as_well(self):
        self.assertEqual(version(find({}, str(ENGINE.with_name("python")), ""), self.environ), self.expected)

    def test_its_python_takes_nothing_from_the_folder_it_runs_in(self):
        (self.folder / "lposs_geo.py").write_text("print('lposs-geo, version 6.6.6')\n")
        (self.folder / "click.py").write_text("raise SystemExit('a trap')\n")
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.folder)
        self.assertEqual(version(find({}, str(ENGINE.with_name("python")), ""), self.environ), self.expected)

    def test_it_goes_with_this_plugin(self):
        self.assertIsNone(check(self.expected))


class Version(WithFolder):
    def failure(self, *prefix: str) -> str:
        """What is said of a program that tells no version."""
        with self.assertRaises(EngineError) as caught:
            version(Engine(prefix, "named by a test"), environment.clean(os.environ))
        return one_line(caught.exception)

    def test_it_is_found_behind_other_lines(self):
        path = self.program("lposs-geo", "echo 'Warning: x' >&2; echo 'lposs-geo, version 0.1.0rc2'")
        self.assertEqual(version(Engine((path,), ""), {}), "0.1.0rc2")

    def test_a_program_that_says_nothing_is_another_one(self):
        self.assertIn("'/bin/true' isn't lposs-geo", self.failure("/bin/true"))

    def test_what_another_program_says_is_told(self):
        path = self.program("gdalinfo", "echo 'GDAL 3.6.2, released 2023/01/02'")
        said = self.failure(path)
        self.assertIn("isn't lposs-geo", said)
        self.assertIn("GDAL 3.6.2", said)

    def test_a_python_without_it_says_what_it_lacks(self):
        self.assertIn("No module named lposs_geo", self.failure(sys.executable, "-I", "-S", "-m", "lposs_geo"))

    def test_a_program_that_is_not_there_can_not_be_started(self):
        said = self.failure(NOWHERE)
        self.assertIn(f"The engine '{NOWHERE}' can't be started", said)
        self.assertIn("Raster > LPOSS-Geo > Engine", said)

    def test_a_text_can_not_be_started(self):
        path = self.folder / "notes.txt"
        path.write_text("lposs-geo, version 0.1.0\n")
        self.assertIn("can't be started", self.failure(str(path)))

    def test_one_that_hangs_is_given_up(self):
        before = finding.PATIENCE
        self.addCleanup(setattr, finding, "PATIENCE", before)
        finding.PATIENCE = 0.5
        began = time.monotonic()
        self.assertIn("didn't tell its version", self.failure(self.program("lposs-geo", "sleep 60")))
        self.assertLess(time.monotonic() - began, 20)

    def test_one_that_hangs_can_be_cancelled(self):
        path = self.program("lposs-geo", "sleep 60")
        began = time.monotonic()
        with self.assertRaises(EngineError) as caught:
            version(Engine((path,), ""), {}, lambda: time.monotonic() - began > 0.3)
        self.assertIn("Cancelled", one_line(caught.exception))
        self.assertLess(time.monotonic() - began, 5)

    def test_one_that_never_stops_talking_is_another_one(self):
        path = self.program("lposs-geo", "while :; do echo y; done")
        said = self.failure(path)
        self.assertIn("isn't lposs-geo", said)
        self.assertIn("It says: y", said)

    def test_it_is_no_word_for_a_shell(self):
        path = self.program("a b;touch $HOME'", "echo 'lposs-geo, version 0.1.0'")
        self.assertNotEqual(shlex.quote(path), path)
        self.assertEqual(version(Engine((path,), ""), {}), "0.1.0")


class Check(unittest.TestCase):
    def test_this_release_is_as_it_should_be(self):
        release = ".".join(map(str, finding.RELEASE))
        for found in (
            release,
            f"{release}.0",
            f"{release}.99",
            f"{release}.1rc1",
            f"{release}.dev3",
            f"{release}+cu124",
        ):
            with self.subTest(found):
                self.assertIsNone(check(found))

    def test_a_newer_one_is_remarked(self):
        major, minor = finding.RELEASE
        for found in (f"{major}.{minor + 1}.0", f"{major}.{minor + 10}", f"{major + 1}.0", f"{major + 1}"):
            with self.subTest(found):
                self.assertIn(found, check(found))
                self.assertIn("update the plugin", check(found))

    def test_an_older_one_is_refused(self):
        for found in ("0.0.9", "0.0", "0"):
            with self.subTest(found), self.assertRaises(EngineError) as caught:
                check(found)
            self.assertIn(f"lposs-geo {found}", one_line(caught.exception))
            self.assertIn("set it up again", one_line(caught.exception))

    def test_what_is_no_version_is_refused(self):
        for found in ("", "unknown", "..."):
            with self.subTest(found), self.assertRaises(EngineError):
                check(found)
