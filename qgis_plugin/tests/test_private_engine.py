"""The plugin's own engine: what is run, and real set-ups of a little stand-in for lposs-geo. Needs no QGIS.

LPOSS_GEO_FULL_SETUP=1 sets up the real engine too, with all that it needs from PyPI: minutes, and 10 GB of disk.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from lposs_geo_qgis.engine import child, environment, installation, private_engine, pythons
from lposs_geo_qgis.engine.installation import Source
from lposs_geo_qgis.engine.private_engine import SetupCancelled, SetupError
from tests.little_wheel import WithFolder, little_wheel
from tests.local_index import local_index, wheel_of_pip

PLUGIN = Path(__file__).resolve().parents[1]
REPOSITORY = PLUGIN.parent
FIRST = pythons.find(environment.clean(os.environ), sys.platform, sys.base_prefix).pythons[:1]


class Layout(WithFolder):
    def test_no_engine(self) -> None:
        self.assertEqual(private_engine.executable(self.folder), "")
        self.folder.mkdir()
        for text in ("", "../1", "7", "\xff"):
            (self.folder / "current").write_text(text, encoding="latin-1")
            self.assertEqual(private_engine.executable(self.folder), "")
        private_engine.remove(self.work / "gone")

    def test_one_window_at_once(self) -> None:
        self.folder.mkdir()
        with private_engine._alone(self.folder):
            for action in (
                lambda: private_engine.remove(self.folder),
                lambda: private_engine.set_up(self.folder, "", Source(), {}, print, print, lambda: False),
            ):
                with self.assertRaises(SetupError) as caught:
                    action()
                self.assertIn("Another window", str(caught.exception))
        private_engine.remove(self.folder)

    def test_links_are_not_followed(self) -> None:
        """Neither those in an environment, nor one in the place of an environment or of the folder itself."""
        theirs = self.work / "theirs"
        (theirs / "bin").mkdir(parents=True)
        (theirs / "bin" / "lposs-geo").touch()
        (theirs / "in-use.lock").touch()
        (self.folder / "1").mkdir(parents=True)
        (self.folder / "1" / "in-use.lock").touch()
        (self.folder / "1" / "lib").symlink_to(theirs)
        (self.folder / "2").symlink_to(theirs)
        (self.folder / "3.removed").symlink_to(theirs)
        (self.folder / "current").write_text("2")
        private_engine.remove(self.folder)
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["2", "3.removed", "setup.lock"])
        link = self.work / "link"
        link.symlink_to(theirs)
        (theirs / "current").write_text("1")
        for action in (
            lambda: private_engine.remove(link),
            lambda: private_engine.set_up(link, "", Source(), {}, print, print, lambda: False),
        ):
            with self.assertRaises(SetupError) as caught:
                action()
            self.assertIn("is a link", str(caught.exception))
        self.assertEqual(sorted(path.name for path in theirs.iterdir()), ["bin", "current", "in-use.lock"])
        self.assertTrue((theirs / "bin" / "lposs-geo").is_file())

    def test_what_is_in_use_is_left_whole(self) -> None:
        (self.folder / "1").mkdir(parents=True)
        (self.folder / "current").write_text("1")
        with mock.patch.object(os, "rename", side_effect=PermissionError):  # as Windows does
            private_engine._sweep(self.folder)
            with self.assertRaises(SetupError) as caught:
                private_engine.remove(self.folder)
        self.assertIn("is in use", str(caught.exception))
        self.assertEqual((self.folder / "current").read_text(), "1")
        self.assertTrue((self.folder / "1").is_dir())


class InUse(WithFolder):
    """An engine that is at work."""

    def setUp(self) -> None:
        super().setUp()
        for name in ("1", "2"):
            (self.folder / name / "bin").mkdir(parents=True)
            (self.folder / name / "in-use.lock").touch()
        (self.folder / "current").write_text("2")

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.is_dir())

    def refused(self) -> None:
        with self.assertRaises(SetupError) as caught:
            private_engine.remove(self.folder)
        self.assertIn("is in use", str(caught.exception))
        self.assertEqual((self.folder / "current").read_text(), "2")

    def test_it_is_not_removed(self) -> None:
        for program in ("lposs-geo", "python"):
            with self.subTest(program), private_engine.in_use(str(self.folder / "2" / "bin" / program)):
                self.refused()
                self.assertTrue((self.folder / "2" / "bin").is_dir())
        private_engine.remove(self.folder)
        self.assertEqual(self.names(), [])

    def test_one_from_before_a_set_up_stays_until_it_is_done(self) -> None:
        program = str(self.folder / "1" / "bin" / "lposs-geo")
        with private_engine.in_use(program), private_engine.in_use(program):
            private_engine._sweep(self.folder)
            self.assertEqual(self.names(), ["1", "2"])
            self.refused()
        private_engine._sweep(self.folder)
        self.assertEqual(self.names(), ["2"])

    def test_another_process_knows(self) -> None:
        code = "import sys; sys.path.insert(0, sys.argv[1]); from lposs_geo_qgis.engine import private_engine\n"
        code += "with private_engine.in_use(sys.argv[2]): print(flush=True); sys.stdin.read()"
        called = [sys.executable, "-c", code, str(PLUGIN), str(self.folder / "2" / "bin" / "lposs-geo")]
        with subprocess.Popen(called, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            other.stdout.readline()
            self.refused()
            other.kill()  # the system lets go of what a crash leaves
        private_engine.remove(self.folder)
        self.assertEqual(self.names(), [])

    def test_what_is_not_the_plugin_s_own_is_left_alone(self) -> None:
        others = self.work / "env" / "bin"
        others.mkdir(parents=True)
        for program in (str(others / "lposs-geo"), "/bin/sh", "/", "lposs-geo", ""):
            with self.subTest(program), private_engine.in_use(program):
                self.assertEqual([path.name for path in (self.work / "env").iterdir()], ["bin"])
        with self.assertRaises(ZeroDivisionError), private_engine.in_use("/bin/sh"):
            raise ZeroDivisionError

    @unittest.skipIf(os.name == "nt", "locks are others there")
    def test_without_locks_it_runs_all_the_same(self) -> None:
        with mock.patch("fcntl.flock", side_effect=OSError(errno.ENOLCK, "no locks")):
            with private_engine.in_use(str(self.folder / "2" / "bin" / "lposs-geo")):
                pass
            private_engine.remove(self.folder)
        self.assertEqual(self.names(), [])


@unittest.skipUnless(FIRST, "there is no Python to make an engine with")
class SetUp(WithFolder):
    def setUp(self) -> None:
        super().setUp()
        self.environ = environment.clean(os.environ)
        self.said: list[str] = []
        self.wheels = self.work / "wheels"

    def set_up(self, source: Source | None = None, cancelled: Callable[[], bool] = lambda: False) -> str:
        source = source or installation.choose_source(str(self.wheels))
        advance = lambda percent: None  # noqa: E731
        return private_engine.set_up(
            self.folder, FIRST[0].path, source, self.environ, self.said.append, advance, cancelled
        )

    def version(self) -> str:
        path = private_engine.executable(self.folder)
        return subprocess.run([path, "--version"], env=self.environ, capture_output=True, text=True).stdout.strip()

    def fails(self, source: Source | None = None) -> str:
        with self.assertRaises(SetupError) as caught:
            self.set_up(source)
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    def inside(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def test_whole_life(self) -> None:
        little_wheel(self.wheels)
        path = self.set_up()
        self.assertEqual(path, private_engine.executable(self.folder))
        self.assertEqual(self.version(), "lposs-geo, version 0.1.0")
        self.assertEqual(self.inside(), ["1", "current", "setup.lock", "setup.log"])
        self.assertFalse((self.folder / "1" / "tmp").exists())
        self.assertEqual((self.folder / "setup.log").read_text(encoding="utf-8").splitlines(), self.said)

        with self.subTest("an upgrade takes its place"):
            little_wheel(self.wheels, "0.1.1")
            self.set_up()
            self.assertEqual(self.version(), "lposs-geo, version 0.1.1")
            self.assertEqual(self.inside(), ["2", "current", "setup.lock", "setup.log"])

        with self.subTest("one that is at work stays until the set-up after the next"):
            with private_engine.in_use(private_engine.executable(self.folder)):
                self.set_up()
            self.assertEqual(self.inside(), ["2", "3", "current", "setup.lock", "setup.log"])
            self.set_up()
            self.assertEqual(self.inside(), ["4", "current", "setup.lock", "setup.log"])

        with self.subTest("a failing one leaves it"):
            shutil.rmtree(self.wheels)  # pip would take an older one
            little_wheel(self.wheels, "0.1.2", needs="lposs-geo-has-no-such-friend")
            told = self.fails()
            self.assertIn("No matching distribution found for lposs-geo-has-no-such-friend", told)
            self.assertIn(str(self.folder / "setup.log"), told)
            self.assertIn("No matching", (self.folder / "setup.log").read_text(encoding="utf-8"))
            self.assertEqual(self.version(), "lposs-geo, version 0.1.1")
            self.assertEqual(self.inside(), ["4", "current", "setup.lock", "setup.log"])

        with self.subTest("a cancelled one leaves it"):
            little_wheel(self.wheels, "0.1.2", pause=60)
            asked: list[float] = []

            def cancelled() -> bool:
                if not asked and any("--version" in line for line in self.said):
                    asked.append(time.monotonic())
                return bool(asked)

            self.said.clear()
            with self.assertRaises(SetupCancelled):
                self.set_up(cancelled=cancelled)
            self.assertLess(time.monotonic() - asked[0], 3)
            self.assertEqual(self.version(), "lposs-geo, version 0.1.1")
            self.assertEqual(self.inside(), ["4", "current", "setup.lock", "setup.log"])

        with self.subTest("removed"):
            private_engine.remove(self.folder)
            self.assertEqual(self.inside(), ["setup.lock"])
            self.assertEqual(private_engine.executable(self.folder), "")

    def test_old_one(self) -> None:
        little_wheel(self.wheels, "0.0.9")
        self.assertIn("pip download", self.fails())
        self.assertEqual(self.inside(), ["setup.lock", "setup.log"])
        for said, says in ("lposs-geo, version 0.0.9", "Choose a newer"), ("other, version 1.0", "isn't lposs-geo"):
            with self.assertRaises(SetupError) as caught:
                private_engine._check_version([said])
            self.assertIn(says, str(caught.exception))

    def test_wheels_of_a_folder_are_those_of_its_list(self) -> None:
        """Refused before anything is run."""
        ours, other = little_wheel(self.wheels), little_wheel(self.wheels, "99", name="numpy")
        digests = {wheel.name: hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in (ours, other)}
        sums = self.wheels / "SHA256SUMS"
        sums.write_text(f"{digests[ours.name]}  {ours.name}\n")
        self.assertIn("numpy-99-py3-none-any.whl' isn't listed", self.fails())
        other.unlink()
        sums.write_text(f"{digests[other.name]}  {ours.name}\n")
        for source in (None, Source(str(ours))):
            self.assertIn("isn't the file that the SHA256SUMS beside it lists", self.fails(source))
        self.assertEqual(self.inside(), ["setup.lock", "setup.log"])
        self.assertFalse([line for line in self.said if "venv" in line])

    @unittest.skipIf(os.name == "nt", "modes are others there")
    def test_in_a_hostile_place(self) -> None:
        """The user's settings for pip and Python, and an open umask; nothing changes what is installed, and where."""
        ours = little_wheel(self.wheels, needs="numpy")
        little_wheel(self.wheels, "1.0", name="numpy")
        sums = "".join(f"{hashlib.sha256(each.read_bytes()).hexdigest()} *./{each.name}\r\n" for each in self.files())
        (self.wheels / "sha256sums.txt").write_bytes(sums.encode())
        planted = self.planted()
        self.assertTrue(ours.is_file())
        self.addCleanup(os.umask, os.umask(0))
        self.folder.mkdir(mode=0o777)
        self.set_up()
        self.assertEqual(self.version(), "lposs-geo, version 0.1.0")
        self.assertEqual(self.installed("numpy"), "1.0")
        self.assertEqual(os.listdir(planted), [])
        self.assert_closed()

    def test_online_only_the_wheel_that_was_chosen_comes_from_its_folder(self) -> None:
        pip = wheel_of_pip(self.work / "pip")
        if pip is None:
            self.skipTest("there is no pip 24.1 or newer to update to")
        ours = little_wheel(self.wheels, needs="numpy")
        planted = self.planted()
        little_wheel(self.wheels, "99", name="numpy")
        known = little_wheel(self.work / "known", "1.0", name="numpy")
        settings = self.work / "home" / ".config" / "pip" / "pip.conf"
        del self.environ["PIP_CONFIG_FILE"]
        with local_index(self.work / "index", [pip, known]) as (port, asked):
            address = f"http://me:hunter2@127.0.0.1:{port}/"
            settings.write_text(f"{settings.read_text()}index-url = {address}\n")
            self.set_up(Source(str(ours)))
            self.assertEqual(self.version(), "lposs-geo, version 0.1.0")
            self.assertEqual(self.installed("numpy"), "1.0")
            self.assertEqual(os.listdir(planted), [])
            self.assertIn("Basic " + base64.b64encode(b"me:hunter2").decode(), asked)
            self.assertNotIn("hunter2", "\n".join(self.said))

    def files(self) -> list[Path]:
        return sorted(self.wheels.glob("*.whl"))

    def planted(self) -> Path:
        """Settings that would install elsewhere or other things; the folder where that would be seen."""
        planted, home = self.work / "planted", self.work / "home"
        planted.mkdir()
        others = self.work / "others"
        little_wheel(others, "99", name="numpy")
        little_wheel(others, "0.1.9")
        lines = f"[global]\nquiet = 3\npre = true\n[install]\ntarget = {planted}\nfind-links = {others.as_uri()}\n"
        settings = home / ".config" / "pip" / "pip.conf"
        settings.parent.mkdir(parents=True)
        settings.write_text(lines)
        for name in ("sitecustomize.py", "pip.py", "venv.py"):
            (others / name).write_text("raise SystemExit('a trap: ' + __file__)\n")
        hostile = {
            "HOME": str(home),
            "PIP_TARGET": str(planted),
            "PIP_PREFIX": str(planted),
            "PIP_ROOT": str(planted),
            "PIP_USER": "1",
            "PIP_FIND_LINKS": str(others),
            "PIP_PRE": "1",
            "PIP_QUIET": "3",
            "PIP_DRY_RUN": "1",
            "PIP_REQUIRE_VIRTUALENV": "1",
            "PIP_CONSTRAINT": str(others / "none.txt"),
            "PIP_LOG": str(planted / "log"),
            "PIP_CONFIG_FILE": str(settings),
            "PYTHONPATH": str(others),
            "PYTHONHOME": str(others),
            "VIRTUAL_ENV": str(planted),
        }
        self.environ = environment.clean({**self.environ, **hostile})
        return planted

    def installed(self, name: str) -> str:
        """Which version of a package is in the engine."""
        python = Path(private_engine.executable(self.folder)).with_name("python")
        code = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
        return subprocess.run([python, "-I", "-c", code, name], capture_output=True, text=True).stdout.strip()

    def assert_closed(self) -> None:
        """Nobody else may enter the folder, nor write anywhere in it."""
        self.assertEqual(stat.S_IMODE(self.folder.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE((self.folder / "1").stat().st_mode), 0o700)
        found = [path for path in self.folder.rglob("*") if not path.is_symlink()]
        self.assertGreater(len(found), 100)
        self.assertEqual([path for path in found if path.stat().st_mode & 0o022], [])

    def test_no_room(self) -> None:
        with mock.patch.object(shutil, "disk_usage", return_value=SimpleNamespace(free=3 * 10**9)):
            told = self.fails(Source())
        self.assertIn("there are 3.0 GB free", told)
        self.assertEqual(self.inside(), ["setup.lock", "setup.log"])

    @unittest.skipUnless(Path("/proc/version").exists(), "needs /proc")
    def test_nowhere_to_write(self) -> None:
        self.folder = Path("/proc/version/engines")
        self.assertIn("can't be set up in '/proc/version/engines'", self.fails(Source()))

    def test_no_python(self) -> None:
        little_wheel(self.wheels)
        source = installation.choose_source(str(self.wheels))
        with self.assertRaises(SetupError) as caught:
            private_engine.set_up(
                self.folder, "/no/python", source, self.environ, self.said.append, lambda percent: None, lambda: False
            )
        self.assertIn("can't be started", str(caught.exception))

    def test_what_a_crash_left_is_swept(self) -> None:
        """What it never made stays: folders of others, and links."""
        (self.folder / "4" / "bin").mkdir(parents=True)
        (self.folder / "4" / "in-use.lock").touch()
        (self.folder / "3.removed").mkdir()
        (self.folder / "mine").mkdir()
        (self.folder / "2024").mkdir()
        (self.folder / "2024" / "scene.tif").touch()
        (self.folder / "2025").symlink_to(self.folder / "2024")
        (self.folder / "setup.log").symlink_to(self.folder / "2024" / "scene.tif")
        (self.folder / "current.new").symlink_to(self.folder / "2024" / "scene.tif")
        little_wheel(self.wheels)
        self.set_up()
        self.assertEqual(self.inside(), ["2024", "2025", "2026", "current", "mine", "setup.lock", "setup.log"])
        self.assertEqual((self.folder / "2024" / "scene.tif").read_bytes(), b"")
        private_engine.remove(self.folder)
        self.assertEqual(self.inside(), ["2024", "2025", "mine", "setup.lock"])
        self.assertTrue((self.folder / "2024" / "scene.tif").is_file())

    @unittest.skipIf(os.name == "nt", "locks are others there")
    def test_without_locks_nothing_of_another_window_is_swept(self) -> None:
        (self.folder / "4" / "bin").mkdir(parents=True)
        little_wheel(self.wheels)
        with mock.patch("fcntl.flock", side_effect=OSError(errno.ENOLCK, "no locks")):
            self.set_up()
            self.assertEqual(self.inside(), ["4", "5", "current", "setup.lock", "setup.log"])
            shutil.rmtree(self.wheels)
            little_wheel(self.wheels, "0.0.9")
            self.fails()
        self.assertEqual(self.version(), "lposs-geo, version 0.1.0")
        self.assertEqual(self.inside(), ["4", "5", "current", "setup.lock", "setup.log"])

    def test_secrets_and_progress(self) -> None:
        """What pip prints is handed on without passwords; its progress isn't told as text."""
        lines = ["Downloading x (9 kB)", "Progress 1 of 4", "Looking in http://me:secret@proxy", "ERROR: no secret"]
        self.environ["HTTPS_PROXY"] = "http://me:secret@proxy"
        advances: list[float | None] = []

        def run(command, variables, handle, cancelled, folder, umask) -> int:
            self.assertEqual(variables["HTTPS_PROXY"], "http://me:secret@proxy")
            self.assertNotIn("secret", " ".join(command))
            for line in lines:
                handle(line, False)
            return 1

        with mock.patch.object(child, "run", run), self.assertRaises(SetupError) as caught:
            private_engine.set_up(
                self.folder,
                "/usr/bin/python3",
                Source(cpu_only=True),
                self.environ,
                self.said.append,
                advances.append,
                lambda: False,
            )
        everything = "\n".join([*self.said, str(caught.exception), (self.folder / "setup.log").read_text()])
        self.assertNotIn("secret", everything)
        self.assertIn("Looking in http://me:***@proxy", everything)
        self.assertNotIn("Progress", everything)
        self.assertIn(25.0, advances)

    def test_second_window_meanwhile(self) -> None:
        little_wheel(self.wheels, pause=1)
        begun = threading.Event()
        first = threading.Thread(target=lambda: self.set_up(cancelled=lambda: begun.set() or False))
        first.start()
        self.addCleanup(first.join)
        self.assertTrue(begun.wait(20))
        with self.assertRaises(SetupError) as caught:
            private_engine.set_up(
                self.folder, FIRST[0].path, Source(), self.environ, print, lambda percent: None, lambda: False
            )
        self.assertIn("Another window", str(caught.exception))
        first.join()
        self.assertEqual(self.version(), "lposs-geo, version 0.1.0")


@unittest.skipUnless(os.environ.get("LPOSS_GEO_FULL_SETUP") == "1", "downloads gigabytes: LPOSS_GEO_FULL_SETUP=1")
class FullSetUp(WithFolder):
    def test_real_engine(self) -> None:
        python = REPOSITORY / ".venv" / "bin" / "python"
        build = [str(python), "-m", "pip", "wheel", "-q", "--no-deps", f"--wheel-dir={self.work}", str(REPOSITORY)]
        subprocess.run(build, check=True)
        source = installation.choose_source(str(next(self.work.glob("*.whl"))))
        environ = environment.clean(os.environ)
        begun, advances = time.monotonic(), []
        path = private_engine.set_up(self.folder, FIRST[0].path, source, environ, print, advances.append, lambda: False)
        took = time.monotonic() - begun
        size = sum(file.lstat().st_size for file in self.folder.rglob("*")) / 1e9
        print(f"set up in {took:.0f} s, {size:.1f} GB, {len(advances)} advances")
        doctor = subprocess.run([path, "doctor"], env=environ, capture_output=True, text=True)
        print(doctor.stdout)
        self.assertEqual(doctor.returncode, 0, doctor.stdout + doctor.stderr)
        self.assertTrue(any(advances))


if __name__ == "__main__":
    unittest.main()
