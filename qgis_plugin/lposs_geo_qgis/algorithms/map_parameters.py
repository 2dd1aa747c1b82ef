"""What making a map and re-wording it share: the parameters for scene, classes and outputs, and the request."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
)

from lposs_geo_qgis.algorithms.area import area, check_area
from lposs_geo_qgis.algorithms.engine_algorithm import Task, add_parameter, choice, raster_layer
from lposs_geo_qgis.command import MapRequest
from lposs_geo_qgis.inputs import InputError, crs_warning, raster_file, whole_path

__all__ = [
    "DEFAULT_CLASSES",
    "LEGENDS",
    "add_classes",
    "add_outputs",
    "add_scene",
    "check_inputs",
    "map_task",
]

LEGENDS = ("worldcover", "corine1", "loveda", "openearthmap", "dynamicworld")
"""The engine's own."""

DEFAULT_CLASSES = "forest,water,grass,crop field,road,building,bare soil"


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
            "What to look for: any words, with commas, semicolons or line breaks between, or a JSON list. Synonyms of "
            "a class are joined by |, and a name may stand before them: water=river|lake|pond."
        ),
    )
    add_parameter(
        algorithm,
        QgsProcessingParameterEnum("LEGEND", tr("… or a known legend"), LEGENDS, optional=True, usesStaticStrings=True),
        tr(
            "A legend with its own names, colours and codes, in place of the words: ESA WorldCover, CORINE "
            "level 1, LoveDA, OpenEarthMap or Dynamic World."
        ),
    )
    add_parameter(
        algorithm,
        QgsProcessingParameterFile("LEGEND_FILE", tr("… or a legend file"), extension="toml", optional=True),
        tr("A legend of your own (.toml) with names, words, colours and codes, in place of the words."),
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
    scene = raster_layer(algorithm, parameters, "INPUT", context)
    words, legend = _classes(algorithm, parameters, context)
    if not (words or legend):
        raise InputError(algorithm.tr("Name the classes, or choose a legend."))
    check_area(algorithm, parameters, context, scene)


def map_task(
    algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], context: QgsProcessingContext, **settings: Any
) -> Task:
    """A run of `lposs-geo map`; `settings` are those of the request that only one algorithm has."""
    scene = raster_layer(algorithm, parameters, "INPUT", context)
    words, legend = _classes(algorithm, parameters, context)
    aoi, aoi_layer = area(algorithm, parameters, context, scene)
    request = MapRequest(
        scene=raster_file(scene),
        output="",
        classes="" if legend else words,
        legend=legend,
        overwrite=True,  # as all of Processing does: where the file lies was the user's choice
        aoi=aoi,
        aoi_layer=aoi_layer,
        **settings,
    )
    title = algorithm.tr("{} land cover").format(scene.name())
    names = {
        "VECTOR": algorithm.tr("{} land cover polygons").format(scene.name()),
        "OUTPUT": title,
        "CONFIDENCE": algorithm.tr("{} confidence").format(scene.name()),
    }
    warning = crs_warning(scene)
    return Task(request, names, title, scene.crs() if warning else None, [warning] if warning else [])


def _classes(
    algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], context: QgsProcessingContext
) -> tuple[str, str]:
    """Words, and a legend in place of them, by name or file; InputError if there are two."""
    words = algorithm.parameterAsString(parameters, "CLASSES", context).strip()
    preset = choice(algorithm, parameters, "LEGEND", context, LEGENDS)
    file = algorithm.parameterAsFile(parameters, "LEGEND_FILE", context)
    if preset and file:
        raise InputError(algorithm.tr("Choose a known legend or a legend file, not both."))
    return words, preset or whole_path(file)
