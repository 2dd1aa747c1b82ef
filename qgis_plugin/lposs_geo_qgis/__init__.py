"""LPOSS-Geo in QGIS: Processing algorithms around the command `lposs-geo`, which runs as a process of its own.

Nothing but `qgis.*` and the standard library is ever imported here, so that neither torch nor another GDAL gets into
QGIS. Runs on the Python of QGIS 3.22 and later, 3.9 at the least.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lposs_geo_qgis.plugin import Plugin


def classFactory(iface: Any) -> Plugin:  # QGIS asks for this name
    """Make the plugin; `iface` is None where QGIS runs without a window."""
    from lposs_geo_qgis.plugin import Plugin

    return Plugin(iface)
