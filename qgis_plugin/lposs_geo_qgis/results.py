"""Finished maps as layers: named, coloured, in a group of their scene, with the command in their history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from qgis.core import QgsMapLayer, QgsProcessingContext, QgsProcessingFeedback, QgsProcessingLayerPostProcessorInterface

__all__ = ["Result", "load"]

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
        Of the layer.
    """

    path: str
    name: str


def load(results: Sequence[Result], group: str, command: str, context: QgsProcessingContext) -> None:
    """Tell QGIS how to load results: the first one lies on top."""
    placed: list[int] = []
    for place, result in enumerate(results):
        if not context.willLoadLayerOnCompletion(result.path):
            continue
        details = context.layerToLoadOnCompletionDetails(result.path)
        details.name = result.name
        groups_itself = hasattr(details, "groupName")  # since QGIS 3.32
        if groups_itself:
            details.groupName = group
            details.layerSortKey = len(results) - place
        finish = _Finish(command, "" if groups_itself else group, place, placed)
        _waiting.append(finish)
        details.setPostProcessor(finish)


class _Finish(QgsProcessingLayerPostProcessorInterface):
    """What is done to a layer once it is loaded.

    Parameters
    ----------
    command : str
        For the layer's history.
    group : str
        Group to move the layer to, if QGIS doesn't.
    place : int
        Among the results of one run, from the top.
    placed : list of int
        The places of those that are in the group already; shared by the results of a run.
    """

    def __init__(self, command: str, group: str, place: int, placed: list[int]) -> None:
        super().__init__()
        self._command, self._group, self._place, self._placed = command, group, place, placed

    def postProcessLayer(
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """QGIS calls this in its main thread."""
        layer.loadDefaultStyle()  # Processing leaves it out
        metadata = layer.metadata()
        metadata.addHistoryItem(f"{datetime.now():%Y-%m-%d %H:%M}  {self._command}")
        layer.setMetadata(metadata)
        if self._group:
            _move(layer, self._group, sum(place < self._place for place in self._placed), context)
            self._placed.append(self._place)
        if self in _waiting:  # an error here would get as far as QGIS's own code
            _waiting.remove(self)


def _move(layer: QgsMapLayer, name: str, place: int, context: QgsProcessingContext) -> None:
    root = context.project().layerTreeRoot()
    node = root.findLayer(layer.id())
    if node is None:
        return
    group = root.findGroup(name) or root.insertGroup(0, name)
    siblings = group.children()
    if node in siblings[: place + 1]:  # QGIS has put it there, beside the layer that it added before
        place += 1
    group.insertChildNode(
        place, node.clone()
    )  # before the other node goes: a layer without any would leave the project
    node.parent().removeChildNode(node)
