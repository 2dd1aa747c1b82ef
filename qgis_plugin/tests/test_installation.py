"""What pip is asked to do and what it answers, as strings. Needs no QGIS."""

from __future__ import annotations

import os
import unittest

from lposs_geo_qgis.engine import installation
from lposs_geo_qgis.engine.installation import REQUIREMENT, Source, SourceError
from tests.little_wheel import WithFolder, little_wheel


class Sources(WithFolder):
    def test_pypi(self) -> None:
        self.assertEqual(REQUIREMENT, "lposs-geo>=0.1,<0.2")
        self.assertEqual(installation.choose_source(" "), Source())
        self.assertEqual(installation.choose_source("", True), Source(cpu_only=True))
        self.assertTrue(Source().online)
        self.assertEqual(Source().files, [])

    def test_wheel(self) -> None:
        """Whatever lies beside it."""
        wheel = little_wheel(self.work)
        little_wheel(self.work, name="other")
        source = installation.choose_source(str(wheel))
        self.assertEqual(source, Source(wheel=str(wheel)))
        self.assertTrue(source.online)
        self.assertEqual(source.files, [wheel])

    def test_folder(self) -> None:
        ours, other = little_wheel(self.work), little_wheel(self.work, name="other")
        (self.work / "folder.whl").mkdir()
        (self.work / "gone.whl").symlink_to(self.work / "gone")
        source = installation.choose_source(str(self.work), True)
        self.assertEqual(source, Source(folder=str(self.work)))
        self.assertFalse(source.online)
        self.assertEqual(source.files, [ours, other])
        self.assertLess(installation.room(source, "linux"), 10**9)

    def test_refused(self) -> None:
        other = little_wheel(self.work, name="other")
        for path, says in (
            (self.work, "no wheel of lposs-geo"),
            (self.work / "gone", "There is no '"),
            (other, "isn't a wheel of lposs-geo"),
            (little_wheel(self.work / "old", "0.0.9"), "needs 0.1 or newer"),
        ):
            with self.subTest(path), self.assertRaises(SourceError) as caught:
                installation.choose_source(str(path))
            self.assertIn(says, str(caught.exception))

    def test_room(self) -> None:
        gb = 10**9
        self.assertEqual(installation.room(Source(), "linux"), 10 * gb)
        self.assertEqual(installation.room(Source(cpu_only=True), "linux"), 2.5 * gb)
        self.assertEqual(installation.room(Source(), "win32"), 2.5 * gb)
        little_wheel(self.work)
        self.assertLess(installation.room(installation.choose_source(str(self.work)), "linux"), gb)


class Steps(unittest.TestCase):
    def commands(self, source: Source, windows: bool = False) -> list[tuple[str, ...]]:
        return [
            step.command for step in installation.steps("/usr/bin/python3", "/e/1", source, "/e/1/tmp/w é", windows)
        ]

    def test_from_pypi(self) -> None:
        make, update, install, say = self.commands(Source())
        self.assertEqual(make, ("/usr/bin/python3", "-I", "-m", "venv", "/e/1"))
        pip = ("/e/1/bin/python", "-P", "-m", "pip", "install", "--no-input", "--disable-pip-version-check")
        pip = (*pip, "--no-cache-dir")
        self.assertEqual(update, (*pip, "--progress-bar=off", "--upgrade", "pip>=24.1"))
        self.assertEqual(install, (*pip, "--progress-bar=raw", "lposs-geo>=0.1,<0.2"))
        self.assertEqual(say, ("/e/1/bin/lposs-geo", "--version"))

    def test_processor_only(self) -> None:
        install = self.commands(Source(cpu_only=True))[2]
        self.assertIn("--extra-index-url=https://download.pytorch.org/whl/cpu", install)

    def test_air_gapped(self) -> None:
        """Only from the copies, without any of the user's settings."""
        _, install, _ = self.commands(Source(folder="/a wheelhouse", cpu_only=True))
        wanted = ("--isolated", "--no-index", "--find-links=/e/1/tmp/w é", "--only-binary=:all:", REQUIREMENT)
        self.assertEqual(install[-6:], ("--progress-bar=off", *wanted))

    def test_one_wheel(self) -> None:
        """Its copy alone; all else from the index."""
        install = self.commands(Source("/w/lposs_geo-0.1.0-py3-none-any.whl"))[2]
        url = "file:///e/1/tmp/w%20%C3%A9/lposs_geo-0.1.0-py3-none-any.whl"
        self.assertEqual(install[-2:], ("--progress-bar=raw", f"lposs-geo @ {url}"))
        self.assertNotIn("--find-links", " ".join(install))

    @unittest.skipIf(os.name == "nt", "the separators are those of this system")
    def test_windows(self) -> None:
        commands = self.commands(Source(), windows=True)
        self.assertEqual(commands[1][0], "/e/1/Scripts/python.exe")
        self.assertEqual(commands[-1][0], "/e/1/Scripts/lposs-geo.exe")


class Progress(unittest.TestCase):
    def test_lines(self) -> None:
        for line, wanted in (
            ("Progress 50 of 200", 25.0),
            ("  Progress 7 of 7 ", 100.0),
            ("Progress 7 of 0", 100.0),
            ("Progress is made", None),
            ("Downloading torch-2.15.0.whl (900 MB)", None),
        ):
            self.assertEqual(installation.progress(line), wanted)


class Explaining(unittest.TestCase):
    def test_hints(self) -> None:
        missing = "ERROR: No matching distribution found for torch>=2.6"
        for said, source, says in (
            (["ERROR: Could not install: [Errno 28] No space left on device"], Source(), "Make room"),
            (["ERROR: OSError: Missing dependencies for SOCKS support."], Source(), "an HTTP proxy in Settings"),
            (["WARNING: ProxyError", "ERROR: Missing dependencies for SOCKS support."], Source(), "folder with all"),
            (["WARNING: Retrying after ProxyError('Cannot connect to proxy.')", missing], Source(), "Check the proxy"),
            (["WARNING: Retrying: NewConnectionError: getaddrinfo failed", missing], Source(), "Check the network"),
            (["WARNING: SSLError(SSLCertVerificationError", missing], Source(), "PIP_CERT"),
            ([missing], Source(), "this Python and system: choose another Python"),
            (["ERROR: No matching distribution found for lposs-geo<0.2,>=0.1"], Source(), "wheel as a file"),
            ([missing], Source(folder="/w"), "pip download"),
            (["ERROR: x.whl is not a supported wheel on this platform."], Source(), "another system or Python"),
            (["ERROR: Access is denied", "[notice] x"], Source(), "virus scanner"),
            (["Something", "odd"], Source(), "odd. Try another Python, or press Set up engine again."),
            ([], Source(), "it said nothing"),
        ):
            with self.subTest(said):
                told = installation.explain(said, source)
                self.assertIn(says, told)
                self.assertNotIn("ERROR:", told)
                self.assertNotIn("\n", told)
        self.assertTrue(installation.explain([missing, "end"], Source()).startswith("No matching distribution"))
