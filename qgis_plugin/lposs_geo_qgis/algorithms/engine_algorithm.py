"""What the algorithms have in common: each asks for something, the engine does it, the results become layers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterFileDestination,
    QgsRasterLayer,
)
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtGui import QIcon

from lposs_geo_qgis import execution, host, results
from lposs_geo_qgis.command import MapRequest, VectorizeRequest
from lposs_geo_qgis.engine.finding import EngineError
from lposs_geo_qgis.inputs import InputError, raster_file

__all__ = ["EngineAlgorithm", "Task", "add_parameter", "choice", "raster_layer"]


@dataclass(frozen=True)
class Task:
    """One run, but for the files it writes.

    Attributes
    ----------
    request : MapRequest or VectorizeRequest
        Without the outputs.
    layers : mapping of str to str
        What the outputs that are layers will be called; the uppermost first.
    group : str
        For the layers.
    crs : QgsCoordinateReferenceSystem, optional
        For the layers, where it isn't that of the files.
    warnings : sequence of str
        To be told before the run.
    """

    request: MapRequest | VectorizeRequest
    layers: Mapping[str, str]
    group: str
    crs: QgsCoordinateReferenceSystem | None = None
    warnings: Sequence[str] = ()


class EngineAlgorithm(QgsProcessingAlgorithm):
    """An algorithm that the engine does.

    Children name themselves as QGIS asks for, and define two methods: `check` looks at the inputs alone, and `task`
    makes the request.
    """

    def __init__(self) -> None:
        super().__init__()
        self._task: Task | None = None

    def check(self, parameters: dict[str, Any], context: QgsProcessingContext) -> None:
        """Raise InputError if the inputs can't be used."""
        raise NotImplementedError

    def task(self, parameters: dict[str, Any], context: QgsProcessingContext) -> Task:
        """What is to be done. Called once a run, in QGIS's main thread where there is one."""
        raise NotImplementedError

    def createInstance(self) -> EngineAlgorithm:
        return type(self)()

    def icon(self) -> QIcon:
        return self.provider().icon() if self.provider() else super().icon()

    def canExecute(self) -> tuple[bool, str]:
        try:
            host.find_engine()
        except EngineError as error:
            return False, str(error)
        return True, ""

    def checkParameterValues(self, parameters: dict[str, Any], context: QgsProcessingContext) -> tuple[bool, str]:
        fit, message = super().checkParameterValues(parameters, context)
        if not fit:
            return False, message
        try:
            self.check(parameters, context)
        except InputError as error:
            return False, str(error)
        return True, ""

    def prepareAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> bool:
        try:
            self.check(parameters, context)  # not everyone who runs an algorithm asks before
            self._task = self.task(parameters, context)
        except InputError as error:
            raise QgsProcessingException(str(error)) from error
        return True

    def processAlgorithm(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        task = self._task
        assert task is not None, "QGIS prepares before it processes"
        for warning in task.warnings:
            feedback.pushWarning(warning)
        outputs = self._outputs(parameters, context)
        # the request calls them by the same names; QGIS itself goes on calling the files as it does
        files: dict[str, Any] = {name.lower(): os.path.abspath(file) for name, file in outputs.items()}
        command = execution.run(replace(task.request, **files), feedback)
        loaded = [
            results.Result(outputs[name], title, self.parameterDefinition(name).description(), (self.id(), name))
            for name, title in task.layers.items()
            if name in outputs
        ]
        results.load(loaded, results.Run(task.group, command, task.crs), context)
        return outputs

    def _outputs(self, parameters: dict[str, Any], context: QgsProcessingContext) -> dict[str, str]:
        """The files that are wanted.

        Not to be asked for before the run: QGIS notes then which of them to load, and forgets it if a thread runs it.
        """
        files = {}
        for definition in self.destinationParameterDefinitions():
            is_layer = not isinstance(definition, QgsProcessingParameterFileDestination)
            evaluate = self.parameterAsOutputLayer if is_layer else self.parameterAsFileOutput
            files[definition.name()] = evaluate(parameters, definition.name(), context)
        return {name: file for name, file in files.items() if file}

    def tr(self, text: str) -> str:
        """Translate a text."""
        return QCoreApplication.translate("LPOSS-Geo", text)


def add_parameter(
    algorithm: QgsProcessingAlgorithm,
    definition: QgsProcessingParameterDefinition,
    help_text: str,
    advanced: bool = False,
) -> None:
    """Add a parameter with its help."""
    definition.setHelp(help_text)
    if advanced:
        definition.setFlags(definition.flags() | QgsProcessingParameterDefinition.Flag.FlagAdvanced)
    algorithm.addParameter(definition)


def raster_layer(
    algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], name: str, context: QgsProcessingContext
) -> QgsRasterLayer:
    """The layer of a raster parameter; InputError if the engine can't read it."""
    layer = algorithm.parameterAsRasterLayer(parameters, name, context)
    if layer is None or not layer.isValid():
        raise InputError(algorithm.invalidRasterError(parameters, name))
    raster_file(layer)
    return layer


def choice(
    algorithm: QgsProcessingAlgorithm,
    parameters: dict[str, Any],
    name: str,
    context: QgsProcessingContext,
    options: Sequence[str],
) -> str:
    """The value of a parameter with options, empty if it has none; InputError if an expression gives another one."""
    chosen = algorithm.parameterAsString(parameters, name, context)
    if chosen and chosen not in options:
        label = algorithm.parameterDefinition(name).description().lstrip("… ")
        raise InputError(
            algorithm.tr("'{}' can't be chosen for '{}': take one of {}.").format(chosen, label, ", ".join(options))
        )
    return chosen
