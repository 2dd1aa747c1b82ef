"""Pythons to make an engine with: where they are looked for, what they answer, which one is best. Needs no QGIS."""

from __future__ import annotations

import importlib.util
import os
import stat
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from lposs_geo_qgis.engine import environment, pythons

GOOD = {
    "executables": [None, "/nowhere/python3.12"],
    "version": [3, 12, 1],
    "final": True,
    "implementation": "CPython",
    "machine": "x86_64",
    "platform": "linux",
    "prefix": "/usr",
    "wide": True,
    "free_threaded": False,
    "lacks": [],
}


def _script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


class WithFolder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def file(self, name: str) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return str(path)


class Candidates(WithFolder):
    def test_all_of_path_and_qgis_last(self) -> None:
        own = self.file("qgis/bin/python3")
        first, second = self.file("a/python3.12"), self.file("b/python3.12")
        plain = self.file("b/python3")
        self.file("b/python2.7")
        path = f"{self.folder}/a:{self.folder}/b:relative:"
        found = pythons.candidates({"PATH": path}, "linux", str(self.folder / "qgis"))
        self.assertEqual(found, [first, second, plain, own])

    def test_same_program_once(self) -> None:
        real = self.file("a/python3.12")
        os.symlink(real, self.folder / "a/python3")
        found = pythons.candidates({"PATH": f"{self.folder}/a"}, "linux", "/nowhere")
        self.assertEqual(found, [real])

    def test_program_that_looks_at_its_name_is_asked_under_each(self) -> None:
        manager = self.file("manager")
        for name in ("python3", "python3.13"):
            os.symlink(manager, self.folder / name)
        found = pythons.candidates({"PATH": str(self.folder)}, "linux", "/nowhere")
        self.assertEqual([Path(path).name for path in found], ["python3.13", "python3"])

    def test_windows(self) -> None:
        user = self.file("local/Programs/Python/Python312/python.exe")
        everyone = self.file("programs/Python313/python.exe")
        own = self.file("qgis/python.exe")
        on_path = self.file("path/python.exe")
        listed = self.file("listed/python.exe")
        environ = {
            "Path": f'"{self.folder}/path";{self.folder}/gone',
            "LocalAppData": f"{self.folder}/local",
            "PROGRAMFILES": f"{self.folder}/programs",
        }
        with mock.patch.object(pythons, "launcher_paths", return_value=[listed, str(self.folder / "no.exe")]):
            found = pythons.candidates(environ, "win32", str(self.folder / "qgis"), "lines")
        self.assertEqual(found, [on_path, listed, user, everyone, own])

    @unittest.skipUnless(Path("/usr/bin/python3").exists(), "there is no /usr/bin/python3")
    def test_apple_s_stub_is_never_run(self) -> None:
        """Whoever runs it is asked to install tools, and waits."""
        mine = self.file("a/python3")
        (self.folder / "b").mkdir()
        os.symlink("/usr/bin/python3", self.folder / "b/python3")
        path = f"/usr/bin:/usr/bin/:{self.folder}/b:{self.folder}/a"
        found = pythons.candidates({"PATH": path}, "darwin", "/usr")
        self.assertIn(mine, found)
        self.assertEqual([path for path in found if path.startswith(("/usr/bin", f"{self.folder}/b"))], [])
        self.assertTrue(any(path.startswith("/usr/bin/") for path in pythons.candidates({"PATH": path}, "linux", "/")))

    def test_nothing_set(self) -> None:
        self.assertEqual(pythons.candidates({}, "win32", "/nowhere"), [])

    def test_launcher_lines(self) -> None:
        said = "\n".join(
            [
                r" -V:3.13 *        C:\Users\Zoë\AppData\Local\Programs\Python\Python313\python.exe",
                r" -3.11-64        C:\Program Files\Python311\python.exe *",
                r" -V:3.12[-64]     \\server\share\Python312\python.exe",
                "No installed Pythons found!",
                "",
            ]
        )
        self.assertEqual(
            pythons.launcher_paths(said),
            [
                r"C:\Users\Zoë\AppData\Local\Programs\Python\Python313\python.exe",
                r"C:\Program Files\Python311\python.exe",
                r"\\server\share\Python312\python.exe",
            ],
        )


class Judge(unittest.TestCase):
    def test_good(self) -> None:
        python = pythons.judge("/shims/python3", GOOD)
        self.assertEqual(python, pythons.Python("/shims/python3", (3, 12, 1)))
        self.assertEqual(python.name, "Python 3.12.1")

    def test_the_program_behind_a_shim(self) -> None:
        facts = {**GOOD, "executables": [None, sys.executable]}
        self.assertEqual(pythons.judge("/shims/python3", facts).path, sys.executable)

    def test_refusals(self) -> None:
        for change, says in (
            ({"version": [3, 10, 4]}, "3.11 or newer"),
            ({"version": [3, 9, 1], "lacks": ["ensurepip"]}, "3.11 or newer"),
            ({"implementation": "PyPy"}, "python.org"),
            ({"free_threaded": True}, "python.org"),
            ({"final": False}, "not yet released"),
            ({"wide": False}, "64 bits"),
            ({"platform": "darwin"}, "/opt/homebrew"),
            ({"platform": "win32", "prefix": r"C:\Program Files\WindowsApps\Python.3.12"}, "Microsoft Store"),
            ({"lacks": ["ensurepip"]}, "install the package python3-venv (or python3.12-venv)"),
            ({"lacks": ["ssl"]}, "without ssl"),
        ):
            with self.subTest(change), self.assertRaises(pythons.PythonError) as caught:
                pythons.judge("/usr/bin/python3", {**GOOD, **change})
            self.assertIn(says, str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))

    def test_apple_chip_is_fine(self) -> None:
        pythons.judge("/opt/homebrew/bin/python3", {**GOOD, "platform": "darwin", "machine": "arm64"})


class Advice(unittest.TestCase):
    def test_of_each_platform(self) -> None:
        for platform in ("win32", "darwin"):
            self.assertIn("install Python 3.13 from python.org (tick nothing special)", pythons.advice(platform, []))
        self.assertIn("your system's packages", pythons.advice("linux", ["'x' is Python 3.9.2, and needs more"]))

    def test_an_intel_program_on_a_mac(self) -> None:
        """Another one from python.org would run as an Intel program as well."""
        with self.assertRaises(pythons.PythonError) as caught:
            pythons.judge("/usr/local/bin/python3", {**GOOD, "platform": "darwin"})
        told = pythons.advice("darwin", ["'x' is Python 3.9.2, and needs more", str(caught.exception)])
        self.assertEqual(told, str(caught.exception))
        self.assertIn("/opt/homebrew/bin or the QGIS for Apple chips", told)

    def test_only_ensurepip_lacks(self) -> None:
        with self.assertRaises(pythons.PythonError) as caught:
            pythons.judge("/usr/bin/python3", {**GOOD, "lacks": ["ensurepip"]})
        told = pythons.advice("linux", ["something else", str(caught.exception)])
        self.assertIn("install the package python3-venv", told)


@unittest.skipIf(os.name == "nt", "shell scripts stand for Pythons")
class Probing(WithFolder):
    def setUp(self) -> None:
        super().setUp()
        self.environ = environment.clean(os.environ)

    def refused(self, path: Path | str) -> str:
        with self.assertRaises(pythons.PythonError) as caught:
            pythons.probe(str(path), self.environ)
        return str(caught.exception)

    def test_this_one(self) -> None:
        if sys.version_info[:2] < pythons.OLDEST:
            self.assertIn("3.11 or newer", self.refused(sys.executable))
        elif importlib.util.find_spec("ensurepip") is None:  # Debian's, without python3-venv
            self.assertIn("python3-venv", self.refused(sys.executable))
        else:
            found = pythons.probe(sys.executable, self.environ)
            self.assertEqual(found.version, sys.version_info[:3])
            self.assertTrue(Path(found.path).is_file())

    def test_no_python(self) -> None:
        self.assertIn("can't be started", self.refused(self.folder / "gone"))
        self.assertIn("isn't a Python", self.refused(_script(self.folder / "p", "echo '[1]'; echo hello")))

    def test_one_that_hangs(self) -> None:
        script = _script(self.folder / "python3", "sleep 60")
        with mock.patch.object(pythons, "_PATIENCE", 0.3):
            begun = time.monotonic()
            self.assertIn("isn't a Python", self.refused(script))
        self.assertLess(time.monotonic() - begun, 3)

    def test_find_best_first(self) -> None:
        for version in ("3.11.9", "3.14.0", "3.13.2", "3.12.1", "3.15.0"):
            inner = version.rpartition(".")[0]
            real = self.file(f"real/python{inner}")
            answer = str({**GOOD, "executables": [real], "version": [int(n) for n in version.split(".")]})
            answer = answer.replace("'", '"').replace("True", "true").replace("False", "false")
            _script(self.folder / f"{inner}/python3", f"echo '{answer}'")
        environ = {**self.environ, "PATH": ":".join(map(str, sorted(self.folder.glob("3.*")))) + ":/bin"}
        with mock.patch.object(pythons, "_NAMES", ("python3",)):
            found = pythons.find(environ, "linux", "/nowhere")
        ours = [python.version[:2] for python in found.pythons if str(self.folder) in python.path]
        self.assertEqual(ours, [(3, 12), (3, 13), (3, 11), (3, 14), (3, 15)])
        self.assertEqual(found.advice, "")

    def test_find_none(self) -> None:
        found = pythons.find({**self.environ, "PATH": str(self.folder)}, "linux", "/nowhere")
        self.assertEqual(found.pythons, ())
        self.assertIn("There is no Python 3.11", found.advice)


if __name__ == "__main__":
    unittest.main()
