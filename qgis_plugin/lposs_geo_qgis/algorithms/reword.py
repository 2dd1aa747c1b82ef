"""Re-word: the same scene, new classes, `lposs-geo map --like`."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingParameterRasterLayer

from lposs_geo_qgis.algorithms.area import add_area
from lposs_geo_qgis.algorithms.engine_algorithm import EngineAlgorithm, Task, add_parameter, raster_layer
from lposs_geo_qgis.algorithms.map_parameters import (
    add_classes,
    add_outputs,
    add_scene,
    check_inputs,
    map_task,
)
from lposs_geo_qgis.inputs import raster_file

__all__ = ["Reword"]


class Reword(EngineAlgorithm):
    """From a scene, its map and new words to another map."""

    def name(self) -> str:
        return "reword"

    def displayName(self) -> str:
        return self.tr("Re-word a land-cover map")

    def tags(self) -> list[str]:
        return self.tr("land use,classification,classes,open vocabulary,LPOSS").split(",")

    def shortHelpString(self) -> str:
        return self.tr(
            "Makes another map of the same scene, with other classes and all settings of an earlier map: bands, "
            "stretch, model, resolution, minimum confidence, polygons. An area of interest is chosen again.\n\n"
            "What the model saw in a scene is kept for a while: if it was mapped lately, this takes seconds."
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        add_scene(self)
        add_parameter(
            self,
            QgsProcessingParameterRasterLayer("MAP", self.tr("Earlier map")),
            self.tr("A land-cover map of this scene, made by LPOSS-Geo: its settings are taken. It isn't changed."),
        )
        add_classes(self)
        add_area(self)
        add_outputs(self)

    def check(self, parameters: dict[str, Any], context: QgsProcessingContext) -> None:
        check_inputs(self, parameters, context)
        raster_layer(self, parameters, "MAP", context)

    def task(self, parameters: dict[str, Any], context: QgsProcessingContext) -> Task:
        earlier = raster_file(raster_layer(self, parameters, "MAP", context))
        return map_task(self, parameters, context, like=earlier, resume=True)
