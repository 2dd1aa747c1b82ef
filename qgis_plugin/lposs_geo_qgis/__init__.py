"""LPOSS-Geo in QGIS: Processing algorithms around the command `lposs-geo`, which runs as a process of its own.

Nothing but `qgis.*` and the standard library is ever imported here, so that neither torch nor another GDAL gets into
QGIS. Runs on the Python of QGIS 3.22 and later, 3.9 at the least.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lposs_geo_qgis.plugin import Plugin


def classFactory(iface: Any) -> Plugin:  # QGIS asks for this name
    """Make the plugin; `iface` is None where QGIS runs without a window."""
    if sys.version_info < (3, 9):  # noqa: UP036, some builds of QGIS 3.22 have an older one
        raise RuntimeError("LPOSS-Geo needs a QGIS with Python 3.9 or newer: update QGIS")
    from lposs_geo_qgis.plugin import Plugin

    return Plugin(iface)
