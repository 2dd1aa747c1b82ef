"""Map land cover: `lposs-geo map`."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterEnum,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

from lposs_geo_qgis.algorithms.area import add_area
from lposs_geo_qgis.algorithms.engine_algorithm import EngineAlgorithm, Task, add_parameter, choice
from lposs_geo_qgis.algorithms.map_parameters import (
    add_classes,
    add_outputs,
    add_scene,
    check_inputs,
    map_task,
)
from lposs_geo_qgis.algorithms.polygon_parameters import add_min_area, add_simplify, polygon_settings

__all__ = ["DEVICES", "MODELS", "MapLandCover"]

MODELS = ("mini", "paper")
"""The engine's own."""

DEVICES = ("auto", "cpu", "cuda")

_REAL = QgsProcessingParameterNumber.Type.Double


class MapLandCover(EngineAlgorithm):
    """From a scene and words to a map."""

    def name(self) -> str:
        return "map"

    def displayName(self) -> str:
        return self.tr("Map land cover")

    def tags(self) -> list[str]:
        words = "land use,classification,segmentation,open vocabulary,deep learning,AI,satellite,aerial,LPOSS"
        return self.tr(words).split(",")

    def shortHelpString(self) -> str:
        return self.tr(
            "Makes a land-cover map of any georeferenced picture from the classes that you name in plain words: no "
            "training areas are drawn. The method is LPOSS+.\n\n"
            "A map of a few megapixels takes seconds to minutes without a graphics card. A run that was cancelled goes "
            "on where it stopped when it is started again with the same output file.\n\n"
            "Look at the confidence before you rely on a map: words are easily misunderstood, and the bundled model "
            "knows pictures of 0.3 to 3 m per pixel best. Legends, formats and limits: lposs-geo's documentation."
        )

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:
        add_scene(self)
        add_classes(self)
        add_area(self)
        self._add_reading()
        self._add_model()
        add_parameter(
            self,
            QgsProcessingParameterNumber(
                "MIN_CONFIDENCE",
                self.tr("Minimum confidence (0 to 1; 0.6 is 60 %)"),
                _REAL,
                0.0,
                minValue=0.0,
                maxValue=1.0,
            ),
            self.tr("Pixels that the map is less sure of become unknown (0). 0 keeps all."),
        )
        add_simplify(self, advanced=True)
        add_min_area(self, advanced=True)
        self._add_running()
        add_outputs(self)

    def check(self, parameters: dict[str, Any], context: QgsProcessingContext) -> None:
        check_inputs(self, parameters, context)
        for name, options in (("MODEL", MODELS), ("DEVICE", DEVICES)):
            choice(self, parameters, name, context, options)

    def task(self, parameters: dict[str, Any], context: QgsProcessingContext) -> Task:
        return map_task(
            self,
            parameters,
            context,
            bands=self.parameterAsString(parameters, "BANDS", context).strip(),
            scale=self.parameterAsString(parameters, "SCALE", context).strip(),
            collar=self.parameterAsBoolean(parameters, "COLLAR", context),
            warp=self.parameterAsBoolean(parameters, "WARP", context),
            model=choice(self, parameters, "MODEL", context, MODELS),
            gsd=self.parameterAsDouble(parameters, "GSD", context),
            refine=self.parameterAsBoolean(parameters, "REFINE", context),
            min_confidence=self.parameterAsDouble(parameters, "MIN_CONFIDENCE", context),
            device=choice(self, parameters, "DEVICE", context, DEVICES),
            max_memory=f"{self.parameterAsDouble(parameters, 'MAX_MEMORY', context):g}GB",
            resume=self.parameterAsBoolean(parameters, "RESUME", context),
            **polygon_settings(self, parameters, context),
        )

    def _add_reading(self) -> None:
        """How the scene is read."""
        add_parameter(
            self,
            QgsProcessingParameterString("BANDS", self.tr("Bands for red, green, blue"), "", optional=True),
            self.tr(
                "Numbers (4,3,2), names (B4,B3,B2), one for grey, or rgb, nrg, s2, naip, landsat, planet. Empty: what "
                "the scene tells; which bands were taken is said in the log."
            ),
        )
        add_parameter(
            self,
            QgsProcessingParameterString("SCALE", self.tr("Values for black and white"), "", optional=True),
            self.tr(
                "Two numbers, like 0,3000: what is shown as black and as white. Empty: 8-bit pictures as they are, "
                "others from the 2nd to the 98th percentile."
            ),
            advanced=True,
        )
        add_parameter(
            self,
            QgsProcessingParameterBoolean("COLLAR", self.tr("A frame, and holes, hold no data"), True),
            self.tr("Take a black or white frame round the picture, and holes, for nodata where none is declared."),
            advanced=True,
        )
        add_parameter(
            self,
            QgsProcessingParameterBoolean("WARP", self.tr("Warp a scene with control points"), False),
            self.tr("Map a scene that only has ground control points or RPCs on a north-up grid."),
            advanced=True,
        )

    def _add_model(self) -> None:
        """What looks at it."""
        add_parameter(
            self,
            QgsProcessingParameterEnum("MODEL", self.tr("Model"), MODELS, optional=True, usesStaticStrings=True),
            self.tr(
                "Empty: the best one that is installed. mini comes with the engine; paper is larger and slower, and "
                "has to be fetched once on a command line: lposs-geo models pull paper."
            ),
            advanced=True,
        )
        add_parameter(
            self,
            QgsProcessingParameterNumber(
                "GSD", self.tr("Resolution to work at, metres per pixel"), _REAL, None, optional=True, minValue=0.0
            ),
            self.tr("The map keeps the scene's own pixels. Empty: what suits the model."),
            advanced=True,
        )
        add_parameter(
            self,
            QgsProcessingParameterBoolean("REFINE", self.tr("Sharpen borders over pixels (LPOSS+)"), True),
            self.tr("Without it the map is made faster, and its borders are coarse."),
            advanced=True,
        )

    def _add_running(self) -> None:
        """How it is run."""
        add_parameter(
            self,
            QgsProcessingParameterEnum(
                "DEVICE", self.tr("Compute on"), DEVICES, defaultValue="auto", usesStaticStrings=True
            ),
            self.tr(
                "auto takes an NVIDIA graphics card if there is one and the engine's PyTorch is built for it. That of "
                "PyPI is so on Linux, but not on Windows."
            ),
            advanced=True,
        )
        add_parameter(
            self,
            QgsProcessingParameterNumber("MAX_MEMORY", self.tr("Memory for the work, GB"), _REAL, 4.0, minValue=0.5),
            self.tr("Beside the model's own, which is about 1.5 GB. Scenes of any size are mapped within it."),
            advanced=True,
        )
        add_parameter(
            self,
            QgsProcessingParameterBoolean("RESUME", self.tr("Go on with a run that was cut off"), True),
            self.tr(
                "Finished parts of a cancelled run on the same output file are kept, and used if scene, classes and "
                "settings are the same. A map that is complete isn't made again."
            ),
            advanced=True,
        )
