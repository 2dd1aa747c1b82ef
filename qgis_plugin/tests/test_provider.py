"""The provider: what QGIS lists, how its parameters explain themselves, and what it brings into QGIS's Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unittest
from pathlib import Path
from unittest import mock

from qgis.core import QgsApplication, QgsProcessingParameterDefinition

import lposs_geo_qgis
from lposs_geo_qgis import host
from lposs_geo_qgis.algorithms.map_land_cover import DEVICES, MODELS
from lposs_geo_qgis.algorithms.map_parameters import LEGENDS
from lposs_geo_qgis.engine import child, finding
from lposs_geo_qgis.events import LABELS
from tests.qgis_session import LAKESIDE, Feedback, a_context, algorithm, command_line, folder

NAMES = ("map", "reword", "vectorize")

FRESH_QGIS = """
import sys
from pathlib import Path
from PyQt5 import QtCore, QtGui, QtNetwork, QtWidgets
import qgis.core, qgis.gui
from qgis.PyQt import QtCore, QtGui, QtNetwork, QtWidgets
from qgis.core import QgsApplication

QgsApplication.setPrefixPath(sys.argv[2], True)
application = QgsApplication([], True, sys.argv[3])
application.initQgis()
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
import lposs_geo_qgis
plugin = lposs_geo_qgis.classFactory(None)
plugin.initProcessing()
provider = QgsApplication.processingRegistry().providerById("lposs_geo")
names = sorted(algorithm.name() for algorithm in provider.algorithms())
print(*names, sep="\\n")
print("---")
print(*sorted(set(sys.modules) - before), sep="\\n", flush=True)
plugin.unload()
print("---")
print(QgsApplication.processingRegistry().providerById("lposs_geo"), flush=True)
import os
os._exit(0)
"""


ALGORITHMS = {name: algorithm(name) for name in NAMES}  # which own what they are asked for


def parameters(name: str) -> list[QgsProcessingParameterDefinition]:
    return ALGORITHMS[name].parameterDefinitions()


def without_engine():
    """An environment in which nothing is found, and where each program that is started is an error."""
    empty = folder()
    variables = {name: value for name, value in os.environ.items() if name != finding.VARIABLE}
    variables |= {"PATH": str(empty), "XDG_DATA_HOME": str(empty)}
    return mock.patch.dict(os.environ, variables, clear=True)


class Algorithms(unittest.TestCase):
    def test_provider_has_the_three_algorithms(self) -> None:
        provider = QgsApplication.processingRegistry().providerById("lposs_geo")
        self.assertEqual(tuple(sorted(each.name() for each in provider.algorithms())), NAMES)
        self.assertFalse(provider.icon().isNull())
        self.assertEqual(provider.name(), "LPOSS-Geo")

    def test_each_algorithm_explains_itself(self) -> None:
        for name in NAMES:
            with self.subTest(name):
                chosen = algorithm(name)
                self.assertGreater(len(chosen.shortHelpString()), 100)
                self.assertTrue(chosen.displayName())
                self.assertTrue(all(chosen.tags()))
                self.assertFalse(chosen.icon().isNull())
                self.assertEqual(chosen.canExecute(), (True, ""))

    def test_each_parameter_has_a_description_and_a_help(self) -> None:
        for name in NAMES:
            for parameter in parameters(name):
                with self.subTest(f"{name} {parameter.name()}"):
                    self.assertGreater(len(parameter.help()), 20)
                    self.assertTrue(parameter.description())
                    self.assertNotEqual(parameter.description(), parameter.name())

    def test_only_what_is_read_has_to_be_named(self) -> None:
        optional = QgsProcessingParameterDefinition.FlagOptional
        needed = {
            name: [
                parameter.name()
                for parameter in parameters(name)
                if not (
                    parameter.isDestination() or parameter.flags() & optional or parameter.defaultValue() is not None
                )
            ]
            for name in NAMES
        }
        self.assertEqual(needed, {"map": ["INPUT"], "reword": ["INPUT", "MAP"], "vectorize": ["INPUT"]})

    def test_defaults_alone_are_accepted(self) -> None:
        given = {"INPUT": str(LAKESIDE), "OUTPUT": "map.tif"}
        self.assertEqual(algorithm("map").checkParameterValues(given, a_context(Feedback())), (True, ""))

    def test_only_the_map_itself_is_made_unasked(self) -> None:
        for name in NAMES:
            made = [
                each.name() for each in ALGORITHMS[name].destinationParameterDefinitions() if each.createByDefault()
            ]
            self.assertEqual(made, ["OUTPUT"])

    def test_files_get_the_formats_that_the_engine_writes(self) -> None:
        for name in NAMES:
            for parameter in ALGORITHMS[name].destinationParameterDefinitions():
                with self.subTest(f"{name} {parameter.name()}"):
                    is_vector = parameter.name() == "VECTOR" or name == "vectorize"
                    wanted = "html" if parameter.name() == "REPORT" else "gpkg" if is_vector else "tif"
                    self.assertEqual(parameter.defaultFileExtension(), wanted)


class Messages(unittest.TestCase):
    def test_they_call_parameters_by_their_descriptions(self) -> None:
        algorithms = [algorithm(name) for name in NAMES]
        shown = {each.description() for one in algorithms for each in one.parameterDefinitions()}
        self.assertLessEqual(set(LABELS.values()), shown)


class ChoicesOfTheEngine(unittest.TestCase):
    def test_legends_are_those_of_the_engine(self) -> None:
        self.assertEqual(sorted(LEGENDS), sorted(self._listed("legends")))

    def test_models_are_those_of_the_engine(self) -> None:
        self.assertEqual(sorted(MODELS), sorted(self._listed("models")))

    def test_devices_are_those_of_the_engine(self) -> None:
        self.assertIn(
            ["--device", "|".join(DEVICES)],
            [line.split()[:2] for line in command_line("map", "--help").stdout.splitlines()],
        )

    def test_bands_that_are_named_in_the_help_are_known_to_the_engine(self) -> None:
        told = ALGORITHMS["map"].parameterDefinition("BANDS").help()
        named = told.split(", or ")[1].split(". ")[0]
        self.assertIn(named, " ".join(command_line("map", "--help").stdout.split()))

    def _listed(self, what: str) -> list[str]:
        said = command_line(what, "list", "--json").stdout
        return [line["name"] for line in map(json.loads, said.splitlines()) if "name" in line]


class WhatComesIntoQgis(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        plugins = str(Path(lposs_geo_qgis.__file__).parents[1])
        called = [sys.executable, "-c", FRESH_QGIS, plugins, QgsApplication.prefixPath(), str(folder())]
        variables = {name: value for name, value in os.environ.items() if name != finding.VARIABLE}
        done = subprocess.run(called, env=variables, check=True, stdout=subprocess.PIPE, encoding="utf-8")
        cls.names, cls.modules, cls.left = (part.split() for part in done.stdout.split("---\n"))

    def test_algorithms_are_there_in_a_fresh_qgis(self) -> None:
        self.assertEqual(tuple(self.names), NAMES)

    def test_nothing_but_the_standard_library_and_qgis_is_imported(self) -> None:
        standard = set(sys.stdlib_module_names) if sys.version_info >= (3, 10) else set()
        ours = [name for name in self.modules if name.split(".")[0] == "lposs_geo_qgis"]
        self.assertGreater(len(ours), 10)
        others = {name.split(".")[0] for name in self.modules} - standard - {"lposs_geo_qgis", "qgis", "PyQt5", "PyQt6"}
        self.assertEqual(others, set())

    def test_the_dialog_is_only_imported_when_it_is_opened(self) -> None:
        self.assertNotIn("lposs_geo_qgis.engine_dialog", self.modules)
        self.assertFalse([name for name in self.modules if name.startswith("processing")])

    def test_unload_leaves_no_provider(self) -> None:
        self.assertEqual(self.left, ["None"])


class WithoutAnEngine(unittest.TestCase):
    def test_no_algorithm_can_be_executed_and_the_message_says_what_to_do(self) -> None:
        with without_engine(), mock.patch.object(subprocess, "Popen", side_effect=AssertionError("a program was run")):
            for name in NAMES:
                fit, message = algorithm(name).canExecute()
                self.assertFalse(fit)
                self.assertIn("Raster > LPOSS-Geo > Engine", message)
                self.assertNotIn("\n", message)

    def test_with_an_engine_no_program_is_run_to_say_that_it_can(self) -> None:
        with mock.patch.object(subprocess, "Popen", side_effect=AssertionError("a program was run")):
            self.assertEqual(algorithm("map").canExecute(), (True, ""))

    def test_a_variable_that_names_nothing_is_told(self) -> None:
        with mock.patch.dict(os.environ, {finding.VARIABLE: "/nowhere/lposs-geo"}):
            fit, message = algorithm("map").canExecute()
        self.assertFalse(fit)
        self.assertIn("/nowhere/lposs-geo", message)
        self.assertIn(finding.VARIABLE, message)

    def test_an_engine_on_the_path_is_found(self) -> None:
        named = os.environ[finding.VARIABLE]
        with without_engine(), mock.patch.dict(os.environ, {"PATH": str(Path(named).parent)}):
            self.assertEqual(host.find_engine().prefix, (named,))

    def test_programs_are_only_run_by_way_of_the_module_for_it(self) -> None:
        """So that the tests above watch the right place."""
        self.assertIs(child.subprocess.Popen, subprocess.Popen)


if __name__ == "__main__":
    unittest.main()
