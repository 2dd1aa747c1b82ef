"""The plugin in `qgis_process`, QGIS without a window: from a profile in which it lies as the zip is unpacked."""

from __future__ import annotations

import os
import shutil
import subprocess
import unittest
from pathlib import Path

import numpy as np
from osgeo import gdal
from qgis.core import QgsRasterLayer

import lposs_geo_qgis
from tests.qgis_session import HOME, LAKESIDE, command_line, engine, folder, pixels

WORDS = "water,forest,crop field,road,building"
PROGRAM = shutil.which("qgis_process.bin", path="/usr/bin") or shutil.which("qgis_process", path="/usr/bin")


@unittest.skipUnless(PROGRAM, "qgis_process isn't installed")
class QgisProcess(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.home = folder()
        plugins = cls.home / ".local" / "share" / "QGIS" / "QGIS3" / "profiles" / "default" / "python" / "plugins"
        shutil.copytree(
            Path(lposs_geo_qgis.__file__).parent,
            plugins / "lposs_geo_qgis",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        enabled = cls.call("plugins", "enable", "lposs_geo_qgis")
        assert enabled.returncode == 0, enabled.stdout + enabled.stderr

    @classmethod
    def call(cls, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        """Run `qgis_process` in an environment that has nothing of this one."""
        environ = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(cls.home),
            "LANG": "C.UTF-8",
            "QT_QPA_PLATFORM": "offscreen",
            "XDG_RUNTIME_DIR": str(cls.home),
            "LPOSS_GEO_EXECUTABLE": engine(),
            "LPOSS_GEO_CACHE": os.environ["LPOSS_GEO_CACHE"],
            **variables,
        }
        called = [PROGRAM, *arguments]
        return subprocess.run(called, env=environ, capture_output=True, encoding="utf-8", check=False)

    def test_the_three_algorithms_are_listed(self) -> None:
        done = self.call("list")
        for name in ("map", "reword", "vectorize"):
            self.assertIn(f"lposs_geo:{name}\t", done.stdout)

    def test_help_tells_the_parameters_and_what_they_mean(self) -> None:
        done = self.call("help", "lposs_geo:map")
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in ("INPUT", "CLASSES", "LEGEND", "EXTENT", "AOI", "BANDS", "MIN_CONFIDENCE", "OUTPUT", "VECTOR"):
            self.assertRegex(done.stdout, rf"(?m)^{name}:")
        self.assertIn("Makes a land-cover map of any georeferenced picture", done.stdout)

    def test_map_is_that_of_the_command_line(self) -> None:
        place = folder()
        output = place / "in QGIS.tif"
        called = (f"INPUT={LAKESIDE}", f"CLASSES={WORDS}", f"OUTPUT={output}", f"VECTOR={place / 'in QGIS.gpkg'}")
        done = self.call("run", "lposs_geo:map", "--", *called)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(str(output), done.stdout)
        self.assertNotIn("Traceback", done.stdout + done.stderr)
        command_line("map", "--classes", WORDS, "-o", place / "map.tif", LAKESIDE)
        labels = pixels(output)
        np.testing.assert_array_equal(labels, pixels(place / "map.tif"))
        self.assertGreater(len(np.unique(labels)), 2)
        made, scene = gdal.Open(str(output)), gdal.Open(str(LAKESIDE))
        self.assertEqual(made.GetGeoTransform(), scene.GetGeoTransform())
        self.assertTrue(made.GetSpatialRef().IsSame(scene.GetSpatialRef()))
        layer = QgsRasterLayer(str(output))
        self.assertIn("crop field", [entry.label for entry in layer.renderer().classes()])
        self.assertTrue((place / "in QGIS.gpkg").is_file())

    def test_missing_engine_is_told_and_fails(self) -> None:
        called = ("run", "lposs_geo:map", "--", f"INPUT={LAKESIDE}", "CLASSES=water", f"OUTPUT={HOME / 'none.tif'}")
        done = self.call(*called, LPOSS_GEO_EXECUTABLE="")
        self.assertNotEqual(done.returncode, 0)
        said = done.stdout + done.stderr
        self.assertIn("LPOSS-Geo's engine isn't set up yet", said)
        self.assertIn("Raster > LPOSS-Geo > Engine", said)
        self.assertNotIn("Traceback", said)

    def test_error_of_the_engine_is_told_and_fails(self) -> None:
        called = (f"INPUT={LAKESIDE}", "CLASSES=water", "BANDS=9,9,9", f"OUTPUT={HOME / 'none.tif'}")
        done = self.call("run", "lposs_geo:map", "--", *called)
        self.assertNotEqual(done.returncode, 0)
        said = done.stdout + done.stderr
        self.assertIn("has no band 9: its bands are 1 to 4", said)
        self.assertNotIn("Traceback", said)


if __name__ == "__main__":
    unittest.main()
