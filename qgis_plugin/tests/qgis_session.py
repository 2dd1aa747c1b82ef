"""A real QGIS without a screen, in a profile of its own, with the plugin's provider; and helpers to run things in it.

A test module that imports this is skipped where there is no QGIS.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    from qgis.core import QgsApplication
except ImportError:
    raise unittest.SkipTest("QGIS isn't installed") from None

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsMapLayer,
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputLayerDefinition,
    QgsProject,
)

REPOSITORY = Path(__file__).resolve().parents[2]
WORDS = "water,forest,crop field"
"""Classes that are all found in `LAKESIDE`, and the first and the last in the usual chip of it."""

CHIP = (60, 250, 290, 250)
"""Its window: column, row, width, height."""

HOME = Path(tempfile.mkdtemp(prefix="lposs-geo-qgis-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

LAKESIDE = HOME / "examples" / "lakeside.tif"
"""A copy of the bundled scene: QGIS writes beside what it opens."""

shutil.copytree(REPOSITORY / "examples", LAKESIDE.parent)


def engine() -> str:
    """The real engine, made by `make test`."""
    return os.environ.get("LPOSS_GEO_EXECUTABLE") or str(REPOSITORY / ".venv" / "bin" / "lposs-geo")


def _start() -> QgsApplication:
    for name, value in {"QT_QPA_PLATFORM": "offscreen", "XDG_RUNTIME_DIR": str(HOME)}.items():
        os.environ.setdefault(name, value)
    os.environ["XDG_DATA_HOME"] = str(HOME / "data")  # where the plugin's own engine would be
    os.environ["LPOSS_GEO_CACHE"] = str(HOME / "cache")
    os.environ["LPOSS_GEO_EXECUTABLE"] = engine()
    prefix = os.environ.get("QGIS_PREFIX_PATH", "/usr")
    sys.path.append(os.path.join(prefix, "share", "qgis", "python", "plugins"))  # where `processing` is
    QgsApplication.setPrefixPath(prefix, True)
    application = QgsApplication([], True, str(HOME / "profile"))
    application.initQgis()
    return application


_application = _start()

from osgeo import gdal, osr  # noqa: E402, as QGIS has them
from processing.core.Processing import Processing  # noqa: E402, needs the application
from processing.gui.Postprocessing import handleAlgorithmResults  # noqa: E402

import lposs_geo_qgis  # noqa: E402

gdal.UseExceptions()
osr.UseExceptions()
Processing.initialize()
plugin = lposs_geo_qgis.classFactory(None)
plugin.initProcessing()


class Feedback(QgsProcessingFeedback):
    """Keeps what an algorithm says."""

    def __init__(self) -> None:
        super().__init__(False)
        self.said: list[tuple[str, str]] = []
        self.progress: list[float] = []
        self.progressChanged.connect(self.progress.append)

    def pushInfo(self, info: str) -> None:
        self.said.append(("info", info))

    def pushWarning(self, warning: str) -> None:
        self.said.append(("warning", warning))

    def pushCommandInfo(self, info: str) -> None:
        self.said.append(("command", info))

    def pushConsoleInfo(self, info: str) -> None:
        self.said.append(("console", info))

    def setProgressText(self, text: str) -> None:
        self.said.append(("stage", text))

    def reportError(self, error: str, fatalError: bool = False) -> None:
        self.said.append(("error", error))

    def of(self, kind: str) -> list[str]:
        """What was said of a kind."""
        return [text for said, text in self.said if said == kind]


def algorithm(name: str) -> QgsProcessingAlgorithm:
    """One of the plugin's algorithms, fresh."""
    return QgsApplication.processingRegistry().createAlgorithmById(f"lposs_geo:{name}")


def a_context(feedback: Feedback) -> QgsProcessingContext:
    """What an algorithm runs in: the project."""
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    context.setFeedback(feedback)
    return context


def run(
    name: str, parameters: dict[str, Any], feedback: Feedback | None = None
) -> tuple[dict[str, Any], Feedback, QgsProcessingContext]:
    """Run an algorithm as Processing does; raises what it raises."""
    feedback = feedback or Feedback()
    context = a_context(feedback)
    chosen = algorithm(name)
    fit, message = chosen.checkParameterValues(parameters, context)
    if not fit:
        raise ValueError(message)
    results, succeeded = chosen.run(parameters, context, feedback, {}, False)
    assert succeeded, feedback.said
    return results, feedback, context


def folder() -> Path:
    """A new folder, whose name isn't made for command lines."""
    return Path(tempfile.mkdtemp(prefix="Zürich, à l'été & $HOME ", dir=HOME))


def chip(path: Path, window: Sequence[int] = CHIP) -> Path:
    """Write a part of the scene."""
    path.parent.mkdir(parents=True, exist_ok=True)
    gdal.Translate(str(path), str(LAKESIDE), srcWin=list(window))
    return path


def pixels(path: str | Path):
    """The values of a raster of one band."""
    dataset = gdal.Open(str(path))
    return dataset.ReadAsArray()


def command_line(*arguments: str | Path) -> subprocess.CompletedProcess:
    """Run the engine as one does in a terminal."""
    kept = {name: value for name, value in os.environ.items() if name in ("HOME", "LPOSS_GEO_CACHE", "PATH")}
    called = [engine(), *map(str, arguments)]
    return subprocess.run(called, env=kept, check=True, capture_output=True, encoding="utf-8")


def loaded(path: str | None = None) -> QgsProcessingOutputLayerDefinition:
    """An output that becomes a layer of the project, as the dialog asks for it; a temporary file without a path."""
    return QgsProcessingOutputLayerDefinition(path or QgsProcessing.TEMPORARY_OUTPUT, QgsProject.instance())


def load_results(name: str, parameters: dict[str, Any], context: QgsProcessingContext, feedback: Feedback) -> bool:
    """Load what an algorithm has made, by what the dialog uses for it."""
    return handleAlgorithmResults(algorithm(name), context, feedback, parameters=parameters)


@dataclass(frozen=True)
class Mapped:
    """A finished run of the algorithm "map".

    Attributes
    ----------
    scene : Path
    results : dict
        As the algorithm returned them.
    feedback : Feedback
    progress : list of float
        Until the algorithm was done, before its layers were loaded.
    layers : dict of str to QgsMapLayer
        In the project, by output.
    """

    scene: Path
    results: dict[str, Any]
    feedback: Feedback
    progress: list[float]
    layers: dict[str, QgsMapLayer]


@functools.cache
def first_map() -> Mapped:
    """A map of the usual chip with all outputs in temporary files, loaded into a project of another CRS."""
    project = QgsProject.instance()
    project.setCrs(QgsCoordinateReferenceSystem("EPSG:3035"))
    scene = chip(folder() / "Seeufer (côté sud).tif")
    outputs = {name: loaded() for name in ("OUTPUT", "CONFIDENCE", "VECTOR")}
    parameters = {"INPUT": str(scene), "CLASSES": WORDS, "REPORT": QgsProcessing.TEMPORARY_OUTPUT, **outputs}
    results, feedback, context = run("map", parameters)
    progress = list(feedback.progress)
    assert load_results("map", parameters, context, feedback), feedback.said
    files = {layer.source().split("|")[0]: layer for layer in project.mapLayers().values()}
    return Mapped(scene, results, feedback, progress, {name: files[results[name]] for name in outputs})
