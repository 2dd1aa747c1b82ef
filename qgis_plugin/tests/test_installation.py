"""What pip is asked to do and what it answers, as strings. Needs no QGIS."""

from __future__ import annotations

import os
import unittest

from lposs_geo_qgis import installation
from lposs_geo_qgis.installation import REQUIREMENT, Source, SourceError
from tests.little_wheel import WithFolder, little_wheel


class Sources(WithFolder):
    def test_pypi(self) -> None:
        self.assertEqual(REQUIREMENT, "lposs-geo>=0.1,<0.2")
        self.assertEqual(installation.choose_source(" "), Source(REQUIREMENT))
        self.assertEqual(installation.choose_source("", True), Source(REQUIREMENT, cpu_only=True))

    def test_wheel(self) -> None:
        wheel = little_wheel(self.work)
        url = wheel.as_uri()
        self.assertIn("lposs%20geo%20%C3%A9", url)
        self.assertEqual(installation.choose_source(str(wheel)), Source(f"lposs-geo @ {url}"))
        little_wheel(self.work, name="other")
        self.assertEqual(installation.choose_source(str(wheel)), Source(f"lposs-geo @ {url}", str(self.work)))

    def test_folder(self) -> None:
        little_wheel(self.work)
        wanted = Source(REQUIREMENT, str(self.work), False)
        self.assertEqual(installation.choose_source(str(self.work), True), wanted)

    def test_refused(self) -> None:
        other = little_wheel(self.work, name="other")
        for path, says in (
            (self.work, "no wheel of lposs-geo"),
            (self.work / "gone", "There is no '"),
            (other, "isn't a wheel of lposs-geo"),
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
        return [step.command for step in installation.steps("/usr/bin/python3", "/e/1", source, windows)]

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
        _, install, _ = self.commands(Source(wheels="/a wheelhouse", online=False, cpu_only=True))
        self.assertEqual(install[-4:], ("--progress-bar=off", "--no-index", "--find-links=/a wheelhouse", REQUIREMENT))

    def test_wheel_beside_others(self) -> None:
        install = self.commands(Source("lposs-geo @ file:///w/x.whl", "/w"))[2]
        self.assertEqual(install[-2:], ("--find-links=/w", "lposs-geo @ file:///w/x.whl"))

    @unittest.skipIf(os.name == "nt", "the separators are those of this system")
    def test_windows(self) -> None:
        commands = self.commands(Source(), windows=True)
        self.assertEqual(commands[1][0], "/e/1/Scripts/python.exe")
        self.assertEqual(commands[-1][0], "/e/1/Scripts/lposs-geo.exe")


class Variables(unittest.TestCase):
    def test_what_installs_elsewhere_goes(self) -> None:
        given = {
            "PIP_INDEX_URL": "https://mirror.example.org/simple",
            "PIP_TARGET": "/t",
            "PIP_PREFIX": "/p",
            "PIP_USER": "1",
            "Pip_Quiet": "2",
            "HTTPS_PROXY": "http://proxy:1",
            "Temp": "/elsewhere",
        }
        self.assertEqual(
            installation.pip_environment(given, "/tmp/x"),
            {
                "PIP_INDEX_URL": "https://mirror.example.org/simple",
                "PIP_USER": "0",
                "HTTPS_PROXY": "http://proxy:1",
                "TMPDIR": "/tmp/x",
                "TEMP": "/tmp/x",
                "TMP": "/tmp/x",
            },
        )


class Scrubbing(unittest.TestCase):
    def test_addresses(self) -> None:
        for text, wanted in (
            ("at http://me:secret@proxy:8080/ now", "at http://me:***@proxy:8080/ now"),
            ("https://token@host/simple", "https://***@host/simple"),
            ("('http://a:b@c', 'socks5://d:e@f')", "('http://a:***@c', 'socks5://d:***@f')"),
            ("Looking in https://pypi.org/simple", "Looking in https://pypi.org/simple"),
            ("someone@example.org", "someone@example.org"),
        ):
            self.assertEqual(installation.scrub(text, {}), wanted)

    def test_passwords_of_variables_anywhere(self) -> None:
        environ = {"HTTPS_PROXY": "http://me:p%40ss%2Fword@proxy:1", "X": "a@b://", "Y": "http://u:abc@h"}
        said = "tried p@ss/word and p%40ss%2Fword, the abc"
        self.assertEqual(installation.scrub(said, environ), "tried *** and ***, the abc")


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
            ([missing], Source(wheels="/w", online=False), "pip download"),
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
