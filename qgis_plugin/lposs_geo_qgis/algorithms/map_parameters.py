"""The parameters that making a map and re-wording it share: classes, area, outputs."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingFeedback,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
    QgsRasterLayer,
    QgsVectorLayer,
)

from lposs_geo_qgis.algorithms.engine_algorithm import Task, add_parameter, raster_layer
from lposs_geo_qgis.command import MapRequest
from lposs_geo_qgis.inputs import InputError, box, crs_warning, has_own_crs, raster_file

__all__ = [
    "DEFAULT_CLASSES",
    "LEGENDS",
    "add_area",
    "add_classes",
    "add_outputs",
    "add_scene",
    "check_inputs",
    "map_task",
]

LEGENDS = ("worldcover", "corine1", "loveda", "openearthmap", "dynamicworld")
"""The engine's own."""

DEFAULT_CLASSES = "forest,water,grass,crop field,road,building,bare soil"

_AREA_FORMATS = ["gpkg", "geojson", "fgb", "shp", "parquet"]
"""Files of areas that are handed on as they are."""


def add_scene(algorithm: QgsProcessingAlgorithm) -> None:
    """INPUT."""
    tr = algorithm.tr
    add_parameter(
        algorithm,
        QgsProcessingParameterRasterLayer("INPUT", tr("Scene")),
        tr(
            "Aerial or satellite picture: a raster layer from a file, or a file. Any bands, bit depth, size and "
            "coordinate reference system. The map gets the pixels and the coordinate reference system of this file, "
            "whatever the project's are."
        ),
    )


def add_classes(algorithm: QgsProcessingAlgorithm) -> None:
    """CLASSES, LEGEND and LEGEND_FILE."""
    tr = algorithm.tr
    add_parameter(
        algorithm,
        QgsProcessingParameterString("CLASSES", tr("Classes, in words"), DEFAULT_CLASSES, optional=True),
        tr(
            "What to look for: any words, with commas between. Synonyms of a class are joined by |, and a name may "
            "stand before them: water=river|lake|pond."
        ),
    )
    add_parameter(
        algorithm,
        QgsProcessingParameterEnum("LEGEND", tr("… or a known legend"), LEGENDS, optional=True, usesStaticStrings=True),
        tr(
            "A nomenclature with its own names, colours and codes, in place of the words: ESA WorldCover, CORINE "
            "level 1, LoveDA, OpenEarthMap or Dynamic World."
        ),
    )
    add_parameter(
        algorithm,
        QgsProcessingParameterFile("LEGEND_FILE", tr("… or a legend file"), extension="toml", optional=True),
        tr("A legend of your own (.toml) with names, words, colours and codes, in place of the words."),
    )


def add_area(algorithm: QgsProcessingAlgorithm) -> None:
    """EXTENT and AOI."""
    tr = algorithm.tr
    add_parameter(
        algorithm,
        QgsProcessingParameterExtent("EXTENT", tr("Extent to map"), optional=True),
        tr("Only this part of the scene. In another coordinate reference system: the box around it in the scene's."),
    )
    add_parameter(
        algorithm,
        QgsProcessingParameterFeatureSource(
            "AOI", tr("… or area of interest"), [QgsProcessing.SourceType.TypeVectorPolygon], optional=True
        ),
        tr(
            "Only what lies inside these polygons; in any coordinate reference system. If only the selected ones are "
            "to count, tick so beside the layer."
        ),
    )


def add_outputs(algorithm: QgsProcessingAlgorithm) -> None:
    """OUTPUT, VECTOR, CONFIDENCE and REPORT."""
    tr = algorithm.tr
    add_parameter(
        algorithm,
        QgsProcessingParameterRasterDestination("OUTPUT", tr("Land cover")),
        tr("The map: a GeoTIFF on the scene's pixels, with names and colours. An existing file is replaced."),
    )
    add_parameter(
        algorithm,
        QgsProcessingParameterVectorDestination(
            "VECTOR",
            tr("Polygons"),
            QgsProcessing.SourceType.TypeVectorPolygon,
            optional=True,
            createByDefault=False,
        ),
        tr(
            "The map as polygons, without gaps and overlaps, with class, area and confidence: a GeoPackage. "
            "The first ones take some ten seconds more."
        ),
    )
    add_parameter(
        algorithm,
        QgsProcessingParameterRasterDestination("CONFIDENCE", tr("Confidence"), optional=True, createByDefault=False),
        tr("How sure the map is at each pixel, percent: a GeoTIFF."),
    )
    add_parameter(
        algorithm,
        QgsProcessingParameterFileDestination(
            "REPORT", tr("Report"), tr("Web page (*.html)"), optional=True, createByDefault=False
        ),
        tr("One page to send: the map, the areas, the confidence, and how it was made."),
    )


def check_inputs(algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], context: QgsProcessingContext) -> None:
    """Raise InputError if scene, classes or area can't be used."""
    raster_layer(algorithm, parameters, "INPUT", context)
    words = algorithm.parameterAsString(parameters, "CLASSES", context).strip()
    preset = algorithm.parameterAsEnumString(parameters, "LEGEND", context)
    file = algorithm.parameterAsFile(parameters, "LEGEND_FILE", context)
    if preset and file:
        raise InputError(algorithm.tr("Choose a known legend or a legend file, not both."))
    if not (words or preset or file):
        raise InputError(algorithm.tr("Name the classes, or choose a legend."))
    if parameters.get("AOI") and parameters.get("EXTENT"):
        raise InputError(algorithm.tr("Choose an extent or an area of interest, not both."))
    areas = _area_layer(algorithm, parameters, context) if parameters.get("AOI") else None
    if areas is not None and areas.isModified():
        raise InputError(
            algorithm.tr("The layer '{}' has changes that aren't saved: save them first.").format(areas.name())
        )


def map_task(
    algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], context: QgsProcessingContext, **settings: Any
) -> Task:
    """A run of `lposs-geo map`; `settings` are those of the request that only one algorithm has."""
    layer = raster_layer(algorithm, parameters, "INPUT", context)
    preset = algorithm.parameterAsEnumString(parameters, "LEGEND", context)
    legend = preset or algorithm.parameterAsFile(parameters, "LEGEND_FILE", context)
    classes = "" if legend else algorithm.parameterAsString(parameters, "CLASSES", context).strip()
    aoi, aoi_layer = _area(algorithm, parameters, context, layer)
    request = MapRequest(
        scene=raster_file(layer),
        output="",
        classes=classes,
        legend=legend,
        overwrite=True,  # as all of Processing does: where the file lies was the user's choice
        aoi=aoi,
        aoi_layer=aoi_layer,
        **settings,
    )
    warning = crs_warning(layer)
    title = algorithm.tr("{} land cover").format(layer.name())
    names = {
        "VECTOR": algorithm.tr("{} land cover polygons").format(layer.name()),
        "OUTPUT": title,
        "CONFIDENCE": algorithm.tr("{} confidence").format(layer.name()),
    }
    return Task(request, names, title, [warning] if warning else [])


def _area(
    algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], context: QgsProcessingContext, scene: QgsRasterLayer
) -> tuple[str, str]:
    """What the map is cut to, a box or a file, and the layer in the file."""
    if parameters.get("AOI"):
        path, layer = _area_file(algorithm, parameters, context)
        if not path:
            raise InputError(algorithm.invalidSourceError(parameters, "AOI"))
        return path, layer
    if parameters.get("EXTENT"):
        extent = algorithm.parameterAsExtent(parameters, "EXTENT", context, scene.crs())
        if not extent.isNull():
            return box(extent), ""
    return "", ""


def _area_file(
    algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], context: QgsProcessingContext
) -> tuple[str, str]:
    """A file of the polygons, as they are or written for this, and the layer in it."""
    shown = _area_layer(algorithm, parameters, context)
    as_it_is = shown is None or has_own_crs(shown)
    path, layer = algorithm.parameterAsCompatibleSourceLayerPathAndLayerName(
        parameters,
        "AOI",
        context,
        _AREA_FORMATS if as_it_is else [],
        "gpkg",
        context.feedback() or QgsProcessingFeedback(),  # QGIS 3.22 crashes without one
    )
    return path, layer if as_it_is else ""


def _area_layer(
    algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], context: QgsProcessingContext
) -> QgsVectorLayer | None:
    """The layer of AOI, which may stand inside a definition of what is taken of it."""
    area = parameters["AOI"]
    source = area.source if isinstance(area, QgsProcessingFeatureSourceDefinition) else area
    return algorithm.parameterAsVectorLayer({"AOI": source}, "AOI", context)
