"""lposs-geo: words in, a finished land-cover map out.

    >>> import lposs_geo
    >>> lposs_geo.map_scene("scene.tif", "forest,water,road", "map.tif")  # doctest: +SKIP

Importing this package loads neither torch nor GDAL; what is named below brings them in when first used, and so do the
modules ``lposs_geo.graph.patches``, ``lposs_geo.propagation``, ``lposs_geo.encoders`` and the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lposs_geo import network

if TYPE_CHECKING:
    from lposs_geo.batch import map_batch
    from lposs_geo.legend.legend import Legend, from_words, read_legend
    from lposs_geo.mapping import MapResult, map_scene
    from lposs_geo.polygons.vectorize import vectorize

__all__ = ["Legend", "MapResult", "from_words", "map_batch", "map_scene", "read_legend", "vectorize"]

_HOMES = {
    "Legend": "lposs_geo.legend.legend",
    "from_words": "lposs_geo.legend.legend",
    "read_legend": "lposs_geo.legend.legend",
    "map_batch": "lposs_geo.batch",
    "MapResult": "lposs_geo.mapping",
    "map_scene": "lposs_geo.mapping",
    "vectorize": "lposs_geo.polygons.vectorize",
}


_MODULES = (
    *("aoi", "batch", "encoders", "graph", "legend", "lposs", "models", "propagation", "raster", "report", "scene"),
    *("stac", "styles", "vector", "vectorizing"),
)

if network.is_forbidden():  # before GDAL is loaded
    network.forbid()


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _MODULES:
        return import_module(f"lposs_geo.{name}")
    raise AttributeError(f"module 'lposs_geo' has no attribute '{name}'")
