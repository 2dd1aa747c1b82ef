"""What a map is cut to: an extent, or the polygons of a layer."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingFeedback,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsRasterLayer,
    QgsVectorLayer,
)

from lposs_geo_qgis.algorithms.engine_algorithm import add_parameter
from lposs_geo_qgis.inputs import InputError, has_own_crs, whole_path

__all__ = ["add_area", "area", "check_area"]

_FORMATS = ["gpkg", "geojson", "fgb", "shp", "parquet"]
"""Files of polygons that are handed on as they are."""


def add_area(algorithm: QgsProcessingAlgorithm) -> None:
    """EXTENT and AOI."""
    tr = algorithm.tr
    add_parameter(
        algorithm,
        QgsProcessingParameterExtent("EXTENT", tr("Extent to map"), optional=True),
        tr(
            "Only this rectangle. If it is drawn in another coordinate reference system, the rectangle around it in "
            "the scene's is taken."
        ),
    )
    add_parameter(
        algorithm,
        QgsProcessingParameterFeatureSource(
            "AOI", tr("… or area of interest"), [QgsProcessing.SourceType.TypeVectorPolygon], optional=True
        ),
        tr(
            "Only what lies inside these polygons; in any coordinate reference system. To use the selected "
            "ones alone, tick 'Selected features only'."
        ),
    )


def check_area(
    algorithm: QgsProcessingAlgorithm,
    parameters: dict[str, Any],
    context: QgsProcessingContext,
    scene: QgsRasterLayer,
) -> None:
    """Raise InputError if the area can't be used."""
    if parameters.get("EXTENT"):
        if parameters.get("AOI"):
            raise InputError(algorithm.tr("Choose an extent or an area of interest, not both."))
        _box(algorithm, parameters, context, scene)
    if parameters.get("AOI"):
        if not has_own_crs(scene):  # the engine lays the polygons on the CRS of the file
            raise InputError(
                algorithm.tr(
                    "The CRS of '{}' was set in QGIS, and isn't that of its file: save the scene with it before you "
                    "cut a map to polygons (right click on the layer, Export > Save As)."
                ).format(scene.name())
            )
        polygons = _layer(algorithm, parameters, context)
        if polygons is not None and polygons.isModified():
            raise InputError(
                algorithm.tr("The layer '{}' has changes that aren't saved: save them first.").format(polygons.name())
            )


def area(
    algorithm: QgsProcessingAlgorithm,
    parameters: dict[str, Any],
    context: QgsProcessingContext,
    scene: QgsRasterLayer,
) -> tuple[str, str]:
    """The area as the engine takes it, a box or a file, and the layer in the file; empty for all of the scene."""
    if parameters.get("AOI"):
        return _file(algorithm, parameters, context)
    if parameters.get("EXTENT"):
        return _box(algorithm, parameters, context, scene), ""
    return "", ""


def _box(
    algorithm: QgsProcessingAlgorithm,
    parameters: dict[str, Any],
    context: QgsProcessingContext,
    scene: QgsRasterLayer,
) -> str:
    """EXTENT in the CRS that the scene has in QGIS: there its numbers are those of the file."""
    extent = algorithm.parameterAsExtent(parameters, "EXTENT", context, scene.crs())
    if extent.isEmpty():
        raise InputError(algorithm.tr("The extent to map is empty: draw one, or leave it out to map all of the scene."))
    corners = extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()
    return ",".join(f"{place:.15g}" for place in corners)


def _file(
    algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], context: QgsProcessingContext
) -> tuple[str, str]:
    """A file of the polygons, as they are or written for this, and the layer in it."""
    shown = _layer(algorithm, parameters, context)
    as_it_is = shown is None or has_own_crs(shown)
    path, layer = algorithm.parameterAsCompatibleSourceLayerPathAndLayerName(
        parameters,
        "AOI",
        context,
        _FORMATS if as_it_is else [],
        "gpkg",
        context.feedback() or QgsProcessingFeedback(),  # QGIS 3.22 crashes without one
    )
    if not path:
        raise InputError(algorithm.invalidSourceError(parameters, "AOI"))
    return whole_path(path), layer if as_it_is else ""


def _layer(
    algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], context: QgsProcessingContext
) -> QgsVectorLayer | None:
    """The layer of AOI, which may stand inside a definition of what is taken of it."""
    given = parameters["AOI"]
    source = given.source if isinstance(given, QgsProcessingFeatureSourceDefinition) else given
    return algorithm.parameterAsVectorLayer({"AOI": source}, "AOI", context)
