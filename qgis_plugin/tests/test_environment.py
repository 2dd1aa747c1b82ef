"""The environment of the engine: what goes, what stays, and that the engine runs in it, whatever QGIS has set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from lposs_geo_qgis.engine import child, environment

REPOSITORY = Path(__file__).resolve().parents[2]
ENGINE = os.environ.get("LPOSS_GEO_EXECUTABLE") or str(REPOSITORY / ".venv" / "bin" / "lposs-geo")
LAKESIDE = REPOSITORY / "examples" / "lakeside.tif"

DROPPED = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONNOUSERSITE",
    "PYTHONEXECUTABLE",
    "__PYVENV_LAUNCHER__",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "DYLD_LIBRARY_PATH",
    "DYLD_INSERT_LIBRARIES",
    "DYLD_FRAMEWORK_PATH",
    "PROJ_LIB",
    "PROJ_DATA",
    "GDAL_DATA",
    "GDAL_DRIVER_PATH",
    "GDAL_FILENAME_IS_UTF8",
    "OGR_SKIP",
    "QT_PLUGIN_PATH",
    "QT_QPA_PLATFORM",
    "QGIS_PREFIX_PATH",
    "QGISPYTHON",
    "OSGEO4W_ROOT",
    "O4W_QT_PREFIX",
    "GISBASE",
    "GRASS_PYTHON",
)
KEPT = (
    "HOME",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "XDG_CACHE_HOME",
    "LANG",
    "SYSTEMROOT",
    "ComSpec",
    "TEMP",
    "TMPDIR",
    "AWS_ACCESS_KEY_ID",
    "AWS_NO_SIGN_REQUEST",
    "AZURE_STORAGE_ACCOUNT",
    "GS_NO_SIGN_REQUEST",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS",
    "GDAL_HTTP_PROXY",
    "GDAL_HTTP_BEARER",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "PIP_INDEX_URL",
    "HF_ENDPOINT",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "LPOSS_GEO_CACHE",
    "LPOSS_GEO_EXECUTABLE",
)


def on_path(entries: list[str], qgis_folders: list[str], name: str = "PATH") -> list[str]:
    """What is left of a PATH."""
    return environment.clean({name: os.pathsep.join(entries)}, qgis_folders)[name].split(os.pathsep)


class Names(unittest.TestCase):
    def test_what_qgis_sets_for_itself_goes(self):
        cleaned = environment.clean(dict.fromkeys(DROPPED, "/nonexistent"))
        self.assertEqual([name for name in DROPPED if name in cleaned], [])

    def test_what_is_the_users_stays_as_it_is(self):
        users = {name: f"value of {name}" for name in KEPT}
        cleaned = environment.clean(users)
        self.assertEqual({name: cleaned.get(name) for name in KEPT}, users)

    def test_names_are_known_in_any_case(self):
        self.assertNotIn("PythonHome", environment.clean({"PythonHome": "x"}))
        self.assertNotIn("Gdal_Data", environment.clean({"Gdal_Data": "x"}))

    def test_a_name_that_only_looks_alike_stays(self):
        names = ("MY_PYTHONPATH", "PROJECT", "OLDPWD", "QTILE", "LD_LIBRARY_PATH_64", "PROJDIR", "SAGAS")
        cleaned = environment.clean(dict.fromkeys(names, "x"))
        self.assertEqual([name for name in names if name not in cleaned], [])

    def test_lines_come_at_once_and_in_utf8(self):
        cleaned = environment.clean({"PYTHONUTF8": "0", "PYTHONUNBUFFERED": ""})
        self.assertEqual(cleaned, {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"})

    def test_the_environment_given_stays_as_it_was(self):
        given = {"PYTHONHOME": "x", "PATH": "/opt/QGIS/bin"}
        environment.clean(given, ["/opt/QGIS"])
        self.assertEqual(given, {"PYTHONHOME": "x", "PATH": "/opt/QGIS/bin"})


class FoldersOnThePath(unittest.TestCase):
    def test_folders_of_qgis_go(self):
        entries = ["/opt/QGIS", "/opt/QGIS/bin", "/opt/QGIS/apps/gdal/bin/", "/opt/x/../QGIS/bin", "/usr/bin"]
        self.assertEqual(on_path(entries, ["/opt/QGIS"]), ["/usr/bin"])

    def test_a_folder_whose_name_only_begins_alike_stays(self):
        self.assertEqual(
            on_path(["/opt/QGIS-other/bin", "/opt/QGIS-other"], ["/opt/QGIS"]),
            ["/opt/QGIS-other/bin", "/opt/QGIS-other"],
        )

    def test_a_folder_above_qgis_stays(self):
        self.assertEqual(on_path(["/opt", "/opt/bin"], ["/opt/QGIS"]), ["/opt", "/opt/bin"])

    def test_the_order_stays(self):
        self.assertEqual(on_path(["/c", "/QGIS", "/a", "/b"], ["/QGIS/"]), ["/c", "/a", "/b"])

    def test_all_stays_where_qgis_has_no_folder_of_its_own(self):
        for folders in ([], [""], ["/"]):
            with self.subTest(folders):
                self.assertEqual(on_path(["/usr/bin", "", "/bin"], folders), ["/usr/bin", "", "/bin"])

    def test_path_is_known_as_windows_spells_it(self):
        self.assertEqual(on_path(["/opt/QGIS/bin", "/usr/bin"], ["/opt/QGIS"], "Path"), ["/usr/bin"])

    def test_no_path_is_made_up(self):
        self.assertNotIn("PATH", environment.clean({}, ["/opt/QGIS"]))


@unittest.skipUnless(Path(ENGINE).is_file(), f"there is no engine at {ENGINE}")
class TheEngine(unittest.TestCase):
    """Run in an environment that would break it, as it was and cleaned."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        traps = Path(folder.name) / "traps"
        (traps / "encodings").mkdir(parents=True)
        for name in ("click.py", "numpy.py", "json.py", "sitecustomize.py", "encodings/__init__.py"):
            (traps / name).write_text("raise SystemExit('a trap: ' + __file__)\n")
        self.hostile = {
            **os.environ,
            "LPOSS_GEO_CACHE": folder.name,
            "PYTHONHOME": "/nonexistent",
            "PYTHONPATH": str(traps),
            "PYTHONSTARTUP": str(traps / "click.py"),
            "PROJ_LIB": "/nonexistent",
            "PROJ_DATA": "/nonexistent",
            "GDAL_DATA": "/nonexistent",
            "GDAL_DRIVER_PATH": str(traps),
            "GDAL_SKIP": "GTiff",
            "LD_LIBRARY_PATH": str(traps),
            "VIRTUAL_ENV": "/nonexistent",
        }

    def run_in_qgis(self, *arguments: str) -> tuple[int, list[str], list[str]]:
        """Run the engine from a process with the hostile environment; its status, stdout and stderr."""
        # what QGIS does, in another Python that has read none of the variables: -I
        program = (
            "import json, os, sys; sys.path.insert(0, sys.argv[1])\n"
            "from lposs_geo_qgis.engine import child, environment\n"
            "said = {False: [], True: []}; hear = lambda line, is_error: said[is_error].append(line)\n"
            "status = child.run(sys.argv[2:], environment.clean(os.environ), hear, lambda: False)\n"
            "print(json.dumps([status, said[False], said[True]]))"
        )
        plugin = str(Path(child.__file__).parents[2])
        command = [sys.executable, "-I", "-c", program, plugin, ENGINE, *arguments]
        done = subprocess.run(command, env=self.hostile, stdout=subprocess.PIPE, encoding="utf-8", check=True)
        return tuple(json.loads(done.stdout))

    def test_the_environment_is_one_that_breaks_it(self):
        done = subprocess.run([ENGINE, "--version"], env=self.hostile, capture_output=True)
        self.assertNotEqual(done.returncode, 0)

    def test_it_tells_its_version(self):
        status, out, err = self.run_in_qgis("--version")
        self.assertEqual((status, err), (0, []))
        self.assertRegex(out[0], r"^lposs-geo, version \d")

    def test_it_reads_a_scene_and_its_crs(self):
        status, out, err = self.run_in_qgis("info", str(LAKESIDE), "--json")
        self.assertEqual((status, err), (0, []))
        facts = json.loads(out[0])
        self.assertEqual((facts["crs"], facts["pixel_size_m"]), ("EPSG:32632", [0.6, 0.6]))
