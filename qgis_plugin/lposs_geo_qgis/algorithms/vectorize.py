"""Vectorize labels: `lposs-geo vectorize`."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterVectorDestination,
)

from lposs_geo_qgis.algorithms.engine_algorithm import EngineAlgorithm, Task, add_parameter, raster_layer
from lposs_geo_qgis.algorithms.polygon_parameters import add_min_area, add_simplify, polygon_settings
from lposs_geo_qgis.command import VectorizeRequest
from lposs_geo_qgis.inputs import raster_file

__all__ = ["Vectorize"]


class Vectorize(EngineAlgorithm):
    """From a map to its polygons."""

    def name(self) -> str:
        return "vectorize"

    def displayName(self) -> str:
        return self.tr("Vectorize a land-cover map")

    def tags(self) -> list[str]:
        return self.tr("polygonize,polygons,vectorize,raster to vector,classification,LPOSS").split(",")

    def shortHelpString(self) -> str:
        return self.tr(
            "Turns a land-cover map into polygons without gaps and overlaps, with class, area and, if given, mean "
            "confidence. Borders between neighbours are simplified together; small polygons are merged, never "
            "dropped.\n\n"
            "Any raster of one band of 8-bit classes will do, not only LPOSS-Geo's: 255 and the file's own nodata are "
            "left out."
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        add_parameter(
            self,
            QgsProcessingParameterRasterLayer("INPUT", self.tr("Land-cover map")),
            self.tr("One band of 8-bit classes: a raster layer from a file, or a file."),
        )
        add_parameter(
            self,
            QgsProcessingParameterRasterLayer("CONFIDENCE", self.tr("Confidence"), optional=True),
            self.tr("The confidence that was written with the map: each polygon gets its mean."),
        )
        add_simplify(self)
        add_min_area(self)
        add_parameter(
            self,
            QgsProcessingParameterVectorDestination(
                "OUTPUT", self.tr("Polygons"), QgsProcessing.SourceType.TypeVectorPolygon
            ),
            self.tr("A GeoPackage, coloured like the map. An existing file is replaced."),
        )

    def check(self, parameters: dict[str, Any], context: QgsProcessingContext) -> None:
        raster_layer(self, parameters, "INPUT", context)
        if parameters.get("CONFIDENCE"):
            raster_layer(self, parameters, "CONFIDENCE", context)

    def task(self, parameters: dict[str, Any], context: QgsProcessingContext) -> Task:
        layer = raster_layer(self, parameters, "INPUT", context)
        sure = raster_layer(self, parameters, "CONFIDENCE", context) if parameters.get("CONFIDENCE") else None
        request = VectorizeRequest(
            labels=raster_file(layer),
            output="",
            confidence=raster_file(sure) if sure else "",
            overwrite=True,
            **polygon_settings(self, parameters, context),
        )
        name = self.tr("{} polygons").format(layer.name())
        return Task(request, {"OUTPUT": name}, layer.name())
