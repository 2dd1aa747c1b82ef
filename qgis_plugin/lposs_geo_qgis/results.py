"""Finished maps as layers: named, coloured, in a group of their scene, with the command in their history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
)

__all__ = ["Result", "Run", "load"]

_waiting: list[QgsProcessingLayerPostProcessorInterface] = []
"""QGIS doesn't own post-processors: without a reference Python drops them before they are called."""


@dataclass(frozen=True)
class Result:
    """A file that becomes a layer if the user wants it to.

    Attributes
    ----------
    path : str
        As QGIS names the output.
    name : str
        Of the layer, unless the user or a model has given one.
    usual_name : str
        What QGIS calls it where nobody has.
    output : (str, str)
        The algorithm's id and the output's name, for which the user may have set a style.
    """

    path: str
    name: str
    usual_name: str
    output: tuple[str, str]


@dataclass(frozen=True)
class Run:
    """What the results of one run have in common.

    Attributes
    ----------
    group : str
        Of the layers.
    command : str
        For their history.
    crs : QgsCoordinateReferenceSystem or None
        For the layers, where it isn't that of the files.
    placed : list of int
        The places, from the top, of those that were moved to the group already; filled while they are loaded.
    """

    group: str
    command: str
    crs: QgsCoordinateReferenceSystem | None
    placed: list[int] = field(default_factory=list)


def load(results: Sequence[Result], run: Run, context: QgsProcessingContext) -> None:
    """Tell QGIS how to load results: the first one lies on top."""
    for place, result in enumerate(results):
        if not context.willLoadLayerOnCompletion(result.path):
            continue
        details = context.layerToLoadOnCompletionDetails(result.path)
        if details.name in ("", result.usual_name):
            details.name = result.name
        groups_itself = hasattr(details, "groupName")  # since QGIS 3.32
        if groups_itself:
            details.groupName = run.group
            details.layerSortKey = len(results) - place
        finish = _Finish(result, run, None if groups_itself else place)
        _waiting.append(finish)
        details.setPostProcessor(finish)


class _Finish(QgsProcessingLayerPostProcessorInterface):
    """What is done to a layer once it is loaded.

    Parameters
    ----------
    result : Result
    run : Run
    place : int or None
        Among the results of the run, from the top, if QGIS doesn't group them itself.
    """

    def __init__(self, result: Result, run: Run, place: int | None) -> None:
        super().__init__()
        self._result, self._run, self._place = result, run, place

    def postProcessLayer(
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """QGIS calls this in its main thread."""
        if not _has_users_style(*self._result.output):
            layer.loadDefaultStyle()  # Processing leaves it out
        if self._run.crs is not None:
            layer.setCrs(self._run.crs)
        metadata = layer.metadata()
        metadata.addHistoryItem(f"{datetime.now():%Y-%m-%d %H:%M}  {self._run.command}")
        layer.setMetadata(metadata)
        if self._place is not None:
            _move(layer, self._run.group, sum(place < self._place for place in self._run.placed), context)
            self._run.placed.append(self._place)
        if self in _waiting:  # an error here would get as far as QGIS's own code
            _waiting.remove(self)


def _has_users_style(algorithm: str, output: str) -> bool:
    """Whether the user has set a style for all results of an output (Edit rendering styles for outputs)."""
    from processing.gui.RenderingStyles import RenderingStyles  # QGIS's own plugin, which is what calls us

    return bool(RenderingStyles.getStyle(algorithm, output))


def _move(layer: QgsMapLayer, name: str, place: int, context: QgsProcessingContext) -> None:
    root = context.project().layerTreeRoot()
    node = root.findLayer(layer.id())
    if node is None:
        return
    group = root.findGroup(name) or root.insertGroup(0, name)
    if node in group.children()[: place + 1]:  # QGIS has put it there, beside the layer that it added before
        place += 1
    # before the other node goes: a layer without any would leave the project
    group.insertChildNode(place, node.clone())
    node.parent().removeChildNode(node)
