"""What the plugin asks of the QGIS it runs in: settings, folders, proxy; and from these, the engine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from qgis.core import QgsApplication, QgsNetworkAccessManager, QgsSettings
from qgis.PyQt.QtCore import QStandardPaths, QUrl
from qgis.PyQt.QtNetwork import QNetworkProxy

from lposs_geo_qgis.engine import environment, finding, private_engine

__all__ = [
    "engine_environment",
    "engine_setting",
    "engines_folder",
    "find_engine",
    "proxy_variables",
    "set_engine_setting",
]

_SETTING = "lposs_geo/engine"


def engine_setting() -> str:
    """The executable, Python or environment that the user has chosen; empty for what is found by itself."""
    return str(QgsSettings().value(_SETTING, "") or "")


def set_engine_setting(path: str) -> None:
    """Keep the user's choice."""
    QgsSettings().setValue(_SETTING, path.strip())


def engines_folder() -> Path:
    """Where the plugin's own engines are: of the user, not of a profile, and outside QGIS."""
    data = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)
    return Path(data) / "lposs-geo" / "qgis-engine"


def engine_environment() -> dict[str, str]:
    """The environment for the engine: nothing of QGIS's own Python, PROJ and GDAL, but its proxy."""
    bundled = []
    if os.name == "nt" or sys.platform == "darwin":  # elsewhere QGIS lies with all other programs
        bundled = [QgsApplication.prefixPath(), os.environ.get("OSGEO4W_ROOT", ""), sys.prefix]
    return environment.clean(os.environ, bundled) | proxy_variables()


def proxy_variables() -> dict[str, str]:
    """The proxy of QGIS's settings, as variables that pip and GDAL know; none if QGIS uses the system's."""
    manager = QgsNetworkAccessManager.instance()
    proxy = manager.fallbackProxy()
    schemes = {QNetworkProxy.ProxyType.HttpProxy: "http", QNetworkProxy.ProxyType.Socks5Proxy: "socks5"}
    if proxy.type() not in schemes or not proxy.hostName():
        return {}
    url = QUrl()
    url.setScheme(schemes[proxy.type()])
    url.setHost(proxy.hostName())
    url.setPort(proxy.port() or -1)
    url.setUserName(proxy.user())
    url.setPassword(proxy.password())
    full = bytes(url.toEncoded()).decode()
    spared = ",".join(host for host in (QUrl(text).host() or text for text in manager.noProxyList()) if host)
    variables = {"HTTP_PROXY": full, "HTTPS_PROXY": full} | ({"NO_PROXY": spared} if spared else {})
    # programs differ in which spelling they read, and the other one may be set already
    return variables | {name.lower(): value for name, value in variables.items()}


def find_engine() -> finding.Engine:
    """The engine that would be run now.

    Raises
    ------
    EngineError
        If there is none; the message says what to do.
    """
    private = private_engine.executable(engines_folder())
    return finding.find(environment.clean(os.environ), engine_setting(), private)
