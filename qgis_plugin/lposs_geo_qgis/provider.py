"""LPOSS-Geo in the Processing toolbox."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from lposs_geo_qgis.algorithms.map_land_cover import MapLandCover
from lposs_geo_qgis.algorithms.reword import Reword
from lposs_geo_qgis.algorithms.vectorize import Vectorize

__all__ = ["Provider", "icon"]


def icon() -> QIcon:
    """The plugin's icon."""
    return QIcon(str(Path(__file__).with_name("icon.svg")))


class Provider(QgsProcessingProvider):
    """The algorithms, and which files they write."""

    def id(self) -> str:
        return "lposs_geo"

    def name(self) -> str:
        return "LPOSS-Geo"

    def longName(self) -> str:
        return "LPOSS-Geo: land-cover maps from words"

    def icon(self) -> QIcon:
        return icon()

    def loadAlgorithms(self) -> None:
        for algorithm in (MapLandCover(), Reword(), Vectorize()):
            self.addAlgorithm(algorithm)

    def supportedOutputRasterLayerExtensions(self) -> list[str]:
        return ["tif"]

    def supportedOutputVectorLayerExtensions(self) -> list[str]:
        return ["gpkg"]  # the only format that brings its colours along

    def supportsNonFileBasedOutput(self) -> bool:
        return False  # the engine is another process: it can't write into QGIS's memory
