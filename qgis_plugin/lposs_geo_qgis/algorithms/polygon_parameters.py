"""How polygons are drawn: parameters that mapping and vectorizing share."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingAlgorithm, QgsProcessingContext, QgsProcessingParameterNumber

from lposs_geo_qgis.algorithms.engine_algorithm import add_parameter

__all__ = ["add_min_area", "add_simplify", "polygon_settings"]

_REAL = QgsProcessingParameterNumber.Type.Double


def add_simplify(algorithm: QgsProcessingAlgorithm, advanced: bool = False) -> None:
    """SIMPLIFY."""
    add_parameter(
        algorithm,
        QgsProcessingParameterNumber(
            "SIMPLIFY", algorithm.tr("Simplify polygons, pixels"), _REAL, 1.0, minValue=0.0, maxValue=1000.0
        ),
        algorithm.tr(
            "How far a border may move, in pixels; 0 keeps the edge of every pixel. Neighbours are simplified together."
        ),
        advanced,
    )


def add_min_area(algorithm: QgsProcessingAlgorithm, advanced: bool = False) -> None:
    """MIN_AREA."""
    add_parameter(
        algorithm,
        QgsProcessingParameterNumber("MIN_AREA", algorithm.tr("Minimum polygon area, m²"), _REAL, 0.0, minValue=0.0),
        algorithm.tr("Smaller polygons are merged into the neighbour with the longest common border."),
        advanced,
    )


def polygon_settings(
    algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], context: QgsProcessingContext
) -> dict[str, Any]:
    """Both, as fields of a request."""
    return {
        "simplify": f"{algorithm.parameterAsDouble(parameters, 'SIMPLIFY', context):g}px",
        "min_area": algorithm.parameterAsDouble(parameters, "MIN_AREA", context),
    }
