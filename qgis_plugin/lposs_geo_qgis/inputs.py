"""From layers to what the engine opens: files, in their own CRS."""

from __future__ import annotations

import os

from qgis.core import QgsMapLayer, QgsProviderRegistry, QgsRasterLayer

__all__ = ["InputError", "crs_warning", "has_own_crs", "raster_file", "whole_path"]


class InputError(Exception):
    """A layer that the engine can't read; the message says what to do."""


def raster_file(layer: QgsRasterLayer) -> str:
    """What GDAL opens for a raster layer.

    Raises
    ------
    InputError
        If the layer isn't one of a file.
    """
    kind = layer.providerType()
    if kind != "gdal":
        raise InputError(
            f"The layer '{layer.name()}' comes from {_origin(kind)}, and LPOSS-Geo maps raster files: save it as a "
            "GeoTIFF first (right click on the layer, Export > Save As)."
        )
    source = layer.source()
    parts = QgsProviderRegistry.instance().decodeUri("gdal", source)
    if parts.get("vsiPrefix", "").startswith("/vsimem") or source.startswith(("/vsimem/", "MEM:")):
        raise InputError(
            f"The layer '{layer.name()}' is only in QGIS's memory: save it as a GeoTIFF first (right click on the "
            "layer, Export > Save As)."
        )
    # "|option:" stands for what only QGIS knows of; the names of layers in a file are part of GDAL's own
    return whole_path(source.split("|option:")[0])


def whole_path(name: str) -> str:
    """A file's name for a program that runs in another folder; other names of GDAL's stay as they are."""
    return os.path.abspath(name) if os.path.exists(name) else name


def _origin(kind: str) -> str:
    services = {"wms": "a web service (WMS, WMTS or XYZ tiles)", "wcs": "a web service (WCS)"}
    return services.get(kind, f"'{kind}', not from a file")


def crs_warning(layer: QgsRasterLayer) -> str | None:
    """What to tell if the layer's CRS was set in QGIS: the engine only knows the file's."""
    if has_own_crs(layer):
        return None
    own = layer.dataProvider().crs()
    says = own.authid() or own.description() if own.isValid() else "none"
    return (
        f"The layer '{layer.name()}' was given the CRS {layer.crs().authid()} in QGIS. The map's layers get it, too; "
        f"its files get that of the scene's file: {says}."
    )


def has_own_crs(layer: QgsMapLayer) -> bool:
    """Whether a layer has the CRS of its file, not another one that was set in QGIS."""
    return not layer.crs().isValid() or layer.crs() == layer.dataProvider().crs()
