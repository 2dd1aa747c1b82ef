"""Runs that don't go straight through: cancelled, killed, with another engine, in a batch, a model, a thread."""

from __future__ import annotations

import os
import shlex
import signal
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

from osgeo import gdal
from qgis.analysis import QgsNativeAlgorithms
from qgis.core import (
    QgsApplication,
    QgsProcessingAlgRunnerTask,
    QgsProcessingException,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProcessingModelOutput,
    QgsProcessingModelParameter,
    QgsProcessingParameterRasterLayer,
    QgsProcessingUtils,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QTimer

from lposs_geo_qgis.command import MapRequest, VectorizeRequest
from lposs_geo_qgis.engine import finding
from lposs_geo_qgis.execution import _how_to_go_on
from tests.qgis_session import (
    WORDS,
    Feedback,
    a_context,
    algorithm,
    chip,
    first_map,
    folder,
    load_results,
    loaded,
    run,
)

NONSENSE = (
    (b'"encode"', b"NaN", b"4"),
    (b'"vectorize"', b"1e999", b"4"),
    (b'"vectorize"', b'"3"', b"null"),
    (b'"vectorize"', b"9" * 5000, b"1"),
    (b'"vectorize"', b"7", b"-1"),
    (b"[1]", b"1", b"2"),
    (b'"vectorize"', b"9", b"2"),
)
"""Stage, done and total of progress that can't be."""


class Interrupting(Feedback):
    """Does something once, when the engine says or shows what is waited for."""

    def __init__(self, act, progress: float = 200, info: str = "nothing") -> None:
        super().__init__()
        self.acted: float | None = None
        self._act, self._progress, self._info = act, progress, info
        self.progressChanged.connect(lambda share: self._look(share >= self._progress))

    def pushInfo(self, info: str) -> None:
        super().pushInfo(info)
        self._look(info.startswith(self._info))

    def _look(self, is_time: bool) -> None:
        if is_time and self.acted is None:
            self.acted = time.monotonic()
            self._act(self)


def children() -> list[int]:
    """The processes of engines that this one has started."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"lposs-geo" in (place / "cmdline").read_bytes():
                found.append(int(place.name))
        except (OSError, ValueError):  # it has just ended
            continue
    return found


def engine_script(*lines: str):
    """Take a script for the engine."""
    script = folder() / "lposs-geo"
    script.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    script.chmod(0o755)
    return mock.patch.dict(os.environ, {finding.VARIABLE: str(script)})


class OneLine(unittest.TestCase):
    """What goes wrong arrives in one line."""

    def failure(self, name: str, parameters: dict, feedback: Feedback | None = None) -> str:
        feedback = feedback or Feedback()
        with self.assertRaises(QgsProcessingException) as caught:
            run(name, parameters, feedback)
        message = str(caught.exception)
        self.assertTrue(message)
        self.assertNotIn("\n", message)
        for text in (message, *(text for _, text in feedback.said)):
            self.assertNotIn("Traceback", text)
        return message


class GoingOn(unittest.TestCase):
    """It is only promised where it is so."""

    def test_with_a_file_of_ones_own(self) -> None:
        self.assertIn("run again", _how_to_go_on(MapRequest("a.tif", "/home/me/map.tif", resume=True)))

    def test_not_with_a_temporary_one_nor_anew_nor_for_polygons(self) -> None:
        temporary = QgsProcessingUtils.generateTempFilename("map.tif")
        for request in (
            MapRequest("a.tif", temporary, resume=True),
            MapRequest("a.tif", "/home/me/map.tif"),
            VectorizeRequest("a.tif", "/home/me/map.gpkg"),
        ):
            self.assertEqual(_how_to_go_on(request), "")


@unittest.skipUnless(Path("/proc").is_dir(), "processes are found by /proc")
class CutOff(OneLine):
    def test_cancelled_run_ends_at_once_keeps_finished_tiles_and_is_gone_on_with(self) -> None:
        place = folder()
        scene = chip(place / "scene.tif", (0, 0, 640, 640))
        output = place / "map.tif"
        parameters = {"INPUT": str(scene), "CLASSES": WORDS, "MAX_MEMORY": 0.5, "OUTPUT": str(output)}
        ran: list[int] = []

        def cancel(feedback: Feedback) -> None:
            ran.extend(children())
            feedback.cancel()

        feedback = Interrupting(cancel, progress=79)  # the first tile is drawn
        message = self.failure("map", parameters, feedback)
        self.assertLess(time.monotonic() - feedback.acted, 2.5)
        self.assertEqual(len(ran), 1)
        self.assertFalse(Path(f"/proc/{ran[0]}").exists())
        self.assertTrue(message.endswith("run again with the same output to go on."), message)
        self.assertLess(max(feedback.progress), 100)
        self.assertEqual(list(place.glob("map*")), [])  # nothing half written
        self.assertTrue((place / ".map.tif.lposs-geo").is_dir())

        _, feedback, _ = run("map", parameters)
        self.assertRegex("\n".join(feedback.of("info")), r"(?m)^[1-9] of \d tiles are finished already$")
        self.assertAlmostEqual(feedback.progress[-1], 100)
        self.assertTrue(QgsRasterLayer(str(output)).isValid())
        self.assertFalse((place / ".map.tif.lposs-geo").exists())

    def test_killed_engine_is_told_in_one_line_and_leaves_nothing_half_written(self) -> None:
        output = folder() / "map.tif"
        kill = Interrupting(lambda _: [os.kill(pid, signal.SIGKILL) for pid in children()], info="model ")
        message = self.failure("map", {"INPUT": str(first_map().scene), "CLASSES": WORDS, "OUTPUT": str(output)}, kill)
        self.assertIsNotNone(kill.acted)
        self.assertIn("was ended by signal 9", message)
        self.assertIn("run again with the same output", message)
        self.assertEqual(list(output.parent.glob("map*")), [])
        self.assertEqual(children(), [])


class OtherEngines(OneLine):
    def setUp(self) -> None:
        self.labels = folder() / "labels.tif"
        raster = gdal.GetDriverByName("GTiff").Create(str(self.labels), 8, 8, 1, gdal.GDT_Byte)
        raster.SetGeoTransform((500000, 1, 0, 5000000, 0, -1))
        raster.SetProjection("EPSG:32632")
        raster.GetRasterBand(1).Fill(1)
        raster.FlushCache()
        self.parameters = {"INPUT": str(self.labels), "OUTPUT": str(self.labels.with_name("polygons.gpkg"))}

    def test_one_that_is_not_there(self) -> None:
        with mock.patch.dict(os.environ, {finding.VARIABLE: "/nowhere/lposs-geo"}):
            self.assertIn("/nowhere/lposs-geo", self.failure("vectorize", self.parameters))

    def test_another_program(self) -> None:
        for program in ("/bin/true", "/bin/cat"):
            with mock.patch.dict(os.environ, {finding.VARIABLE: program}):
                self.assertIn(f"'{program}' isn't lposs-geo", self.failure("vectorize", self.parameters))

    def test_one_that_does_not_answer_can_be_cancelled(self) -> None:
        feedback = Feedback()
        threading.Timer(0.5, feedback.cancel).start()
        began = time.monotonic()
        with engine_script("exec sleep 25"):
            self.assertEqual(self.failure("vectorize", self.parameters, feedback), "Cancelled.")
        self.assertLess(time.monotonic() - began, 4)

    def test_a_file_that_cannot_be_run(self) -> None:
        with engine_script("") as _:
            script = Path(os.environ[finding.VARIABLE])
            script.write_bytes(b"\x7fELF no program")
            self.assertIn("can't be started", self.failure("vectorize", self.parameters))

    def test_an_older_one_is_refused(self) -> None:
        with engine_script("echo 'lposs-geo, version 0.0.9'"):
            message = self.failure("vectorize", self.parameters)
        self.assertIn("lposs-geo 0.0.9", message)
        self.assertIn("0.1 or newer", message)

    def test_a_newer_one_is_warned_of_and_run(self) -> None:
        real = os.environ[finding.VARIABLE]
        script = ('[ "$1" = --version ] && echo "lposs-geo, version 0.9.0" && exit', f'exec "{real}" "$@"')
        with engine_script(*script):
            results, feedback, _ = run("vectorize", self.parameters)
        self.assertEqual(len(feedback.of("warning")), 1)
        self.assertIn("0.9.0", feedback.of("warning")[0])
        self.assertTrue(QgsVectorLayer(results["OUTPUT"], "", "ogr").isValid())

    def test_one_that_ends_without_a_word_is_told_by_its_last_line(self) -> None:
        script = ('[ "$1" = --version ] && echo "lposs-geo, version 0.1.0" && exit', "echo oh dear >&2", "exit 3")
        with engine_script(*script):
            message = self.failure("vectorize", self.parameters)
        self.assertIn("status 3", message)
        self.assertIn("oh dear", message)

    def test_one_that_talks_nonsense(self) -> None:
        """Whatever its streams bring, the run ends in one line, and the window isn't flooded."""
        said = folder() / "said"
        lines = [
            b"\xff\xfe no UTF-8 \x00\x1b[2J",
            b"[" * 100_000,
            b"x" * 20_000_000,
            *(b'{"event": "progress", "stage": %s, "done": %s, "total": %s}' % each for each in NONSENSE),
            b'{"event": "result", "classes": [1, {"name": null, "share": "x"}], "unknown_share": []}',
            b'{"event": "info", "message": "half \\ud800, two\\nlines"}',
            b'{"event": "error", "message": "https://me:hunter2@host/x?token=hunter2 isn\'t there\\nat all"}',
            b"no end",
        ]
        said.write_bytes(b"\n".join(lines))
        version = '[ "$1" = --version ] && echo "lposs-geo, version 0.1.0" && exit'
        feedback = Feedback()
        with engine_script(version, f"cat {shlex.quote(str(said))}", f"cat {shlex.quote(str(said))} >&2", "exit 1"):
            run_through = algorithm("vectorize").run(self.parameters, a_context(feedback), feedback)
        self.assertEqual(feedback.of("error"), ["https://me:***@host/x?token=*** isn't there at all"])
        self.assertTrue(run_through[1])  # there was a result
        told = [text for _, text in feedback.said]
        self.assertLess(max(map(len, told)), 3000)
        self.assertFalse([text for text in told if "\n" in text or "hunter2" in text])
        self.assertTrue(all(0 <= share <= 100 for share in feedback.progress), feedback.progress)

    def test_it_runs_in_no_folder_of_others_and_is_shown_without_secrets(self) -> None:
        labels = self.labels.rename(self.labels.with_name("labels?token=hunter2.tif"))
        version = '[ "$1" = --version ] && echo "lposs-geo, version 0.1.0" && exit'
        feedback = Feedback()
        with engine_script(version, "pwd", "exit 1"), self.assertRaises(QgsProcessingException):
            where = os.path.dirname(os.environ[finding.VARIABLE])
            run("vectorize", {**self.parameters, "INPUT": str(labels)}, feedback)
        self.assertEqual(feedback.of("console"), [where])
        self.assertIn("token=***", feedback.of("command")[0])
        self.assertNotIn("hunter2", feedback.of("command")[0])

    @unittest.skipIf(os.name == "nt", "modes are others there")
    def test_what_is_temporary_lies_where_nobody_else_may_look(self) -> None:
        self.assertEqual(os.stat(QgsProcessingUtils.tempFolder()).st_mode & 0o077, 0)


class ErrorsOfTheEngine(OneLine):
    def test_bands_that_are_not_there(self) -> None:
        parameters = {"INPUT": str(first_map().scene), "CLASSES": WORDS, "BANDS": "9,9,9"}
        self.assertIn("no band 9", self.failure("map", {**parameters, "OUTPUT": str(folder() / "map.tif")}))

    def test_a_damaged_scene(self) -> None:
        scene = folder() / "damaged.tif"
        scene.write_bytes(first_map().scene.read_bytes()[:60000])
        output = scene.with_name("map.tif")
        message = self.failure("map", {"INPUT": str(scene), "CLASSES": WORDS, "OUTPUT": str(output)})
        self.assertIn("damaged.tif", message)
        self.assertIn("is damaged", message)
        self.assertFalse(output.exists())

    def test_it_reaches_those_who_run_without_exceptions(self) -> None:
        """As dialogs do."""
        feedback = Feedback()
        parameters = {"INPUT": str(first_map().scene), "CLASSES": WORDS, "BANDS": "9,9,9", "OUTPUT": "/nowhere/map.tif"}
        _, succeeded = algorithm("map").run(parameters, a_context(feedback), feedback)
        self.assertFalse(succeeded)
        errors = feedback.of("error")
        self.assertEqual(len(errors), 1, errors)
        self.assertNotIn("\n", errors[0])


def wait_for(happened, seconds: float) -> int:
    """Let QGIS's main thread work until something has happened; how often it came to its turn."""
    ticks: list[int] = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start(50)
    until = time.monotonic() + seconds
    while not happened() and time.monotonic() < until:
        QgsApplication.processEvents()
        time.sleep(0.01)
    timer.stop()
    return len(ticks)


class ManyAndInside(unittest.TestCase):
    def test_dialog_of_an_algorithm_loads_what_it_makes(self) -> None:
        from processing.gui.AlgorithmDialog import AlgorithmDialog

        output = str(folder() / "polygons.gpkg")
        dialog = AlgorithmDialog(algorithm("vectorize"))
        dialog.setParameters({"INPUT": first_map().results["OUTPUT"], "OUTPUT": output})
        before = set(QgsProject.instance().mapLayers())
        dialog.runAlgorithm()
        wait_for(lambda: set(QgsProject.instance().mapLayers()) - before, 60)
        (layer,) = (each for key, each in QgsProject.instance().mapLayers().items() if key not in before)
        self.assertEqual(layer.source().split("|")[0], output)
        self.assertTrue(layer.name().endswith(" polygons"))
        self.assertEqual(layer.renderer().type(), "categorizedSymbol")
        dialog.close()

    def test_batch_dialog_maps_two_scenes_into_two_layers(self) -> None:
        place = folder()
        scenes = [chip(place / "left.tif", (60, 250, 150, 150)), chip(place / "right.tif", (210, 250, 140, 150))]
        before = set(QgsProject.instance().mapLayers())
        from processing.gui.BatchAlgorithmDialog import BatchAlgorithmDialog

        dialog = BatchAlgorithmDialog(algorithm("map"))
        panel = dialog.mainWidget()
        panel.checkLoadLayersOnCompletion.setChecked(True)
        panel.addRow(1)
        for row, scene in enumerate(scenes):
            wanted = {"INPUT": str(scene), "CLASSES": "water,crop field", "REFINE": False}
            for name, value in wanted.items():
                panel.wrappers[row][panel.parameter_to_column[name]].setParameterValue(value, a_context(Feedback()))
            output = panel.tblParameters.cellWidget(row + 1, panel.parameter_to_column["OUTPUT"])
            output.setValue(str(place / f"map of {scene.name}"))
        dialog.runAlgorithm()
        wait_for(lambda: len(set(QgsProject.instance().mapLayers()) - before) == 2, 60)
        new = [layer for key, layer in QgsProject.instance().mapLayers().items() if key not in before]
        self.assertEqual(sorted(layer.name() for layer in new), ["left land cover", "right land cover"])
        self.assertEqual(
            sorted(path.name for path in place.glob("*.tif") if "map" in path.name),
            ["map of left.tif", "map of right.tif"],
        )
        for layer in new:
            self.assertIn("crop field", [entry.label for entry in layer.renderer().classes()])
        dialog.close()

    def test_model_hands_the_map_on_to_the_next_algorithm(self) -> None:
        registry = QgsApplication.processingRegistry()
        if registry.providerById("native") is None:
            registry.addProvider(QgsNativeAlgorithms(registry))
        model = QgsProcessingModelAlgorithm("polygons of a scene", "tests")
        model.addModelParameter(
            QgsProcessingParameterRasterLayer("scene", "Scene"), QgsProcessingModelParameter("scene")
        )
        source = QgsProcessingModelChildParameterSource
        mapping = {"INPUT": source.fromModelParameter("scene"), "CLASSES": source.fromStaticValue("water,crop field")}
        mapped = source.fromChildOutput("mapping", "OUTPUT")
        self._add(model, "mapping", "lposs_geo:map", mapping)
        self._add(model, "polygons", "lposs_geo:vectorize", {"INPUT": mapped}, "OUTPUT")
        counting = {"INPUT": mapped, "BAND": source.fromStaticValue(1)}
        self._add(model, "counting", "native:rasterlayeruniquevaluesreport", counting, "OUTPUT_TABLE")

        feedback = Feedback()
        context = a_context(feedback)
        parameters = {
            "scene": str(first_map().scene),
            "polygons:result": loaded(),
            "counting:result": "TEMPORARY_OUTPUT",
        }
        self.assertEqual(model.checkParameterValues(parameters, context), (True, ""))
        results, succeeded = model.run(parameters, context, feedback)
        self.assertTrue(succeeded, feedback.said)
        table = context.getMapLayer(results["counting:result"])
        self.assertEqual({int(row["value"]) for row in table.getFeatures()}, {1, 2})
        self.assertTrue(load_results("vectorize", parameters, context, feedback), feedback.said)
        layer = next(
            each
            for each in QgsProject.instance().mapLayers().values()
            if each.source().startswith(results["polygons:result"])
        )
        self.assertEqual({each["class_name"] for each in layer.getFeatures()}, {"water", "crop field"})
        self.assertIn("vectorize", layer.metadata().history()[-1])
        self.assertEqual(layer.name(), "result")  # as the model calls it

    def _add(self, model, name: str, algorithm_id: str, sources: dict, output: str | None = None) -> None:
        child = QgsProcessingModelChildAlgorithm(algorithm_id)
        child.setChildId(name)
        for parameter, value in sources.items():
            child.addParameterSources(parameter, [value])
        if output:
            result = QgsProcessingModelOutput("result")
            result.setChildId(name)
            result.setChildOutputName(output)
            child.setModelOutputs({"result": result})
        model.addChildAlgorithm(child)

    def test_main_thread_goes_on_while_a_background_task_maps(self) -> None:
        output = folder() / "map.tif"
        parameters = {"INPUT": str(first_map().scene), "CLASSES": "water,grass", "OUTPUT": loaded(str(output))}
        feedback = Feedback()
        context = a_context(feedback)
        task = QgsProcessingAlgRunnerTask(algorithm("map"), parameters, context, feedback)
        ended: list[tuple[bool, dict]] = []
        task.executed.connect(lambda succeeded, results: ended.append((succeeded, results)))
        begun = time.monotonic()
        QgsApplication.taskManager().addTask(task)
        ticks = wait_for(lambda: ended, 60)
        self.assertEqual(ended, [(True, {"OUTPUT": str(output)})], feedback.said)
        self.assertGreater(ticks, 10 * (time.monotonic() - begun) / 2)  # of 20 a second, however busy the machine is
        self.assertTrue(load_results("map", parameters, context, feedback), feedback.said)
        layer = next(each for each in QgsProject.instance().mapLayers().values() if each.source() == str(output))
        self.assertIn("grass", [entry.label for entry in layer.renderer().classes()])


if __name__ == "__main__":
    unittest.main()
