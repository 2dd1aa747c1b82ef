"""Keeping to this machine: nothing is read from the net, whatever a scene, an area or a file within them names.

Names that say so are refused; what they lead to (a VRT's sources, a tile service's addresses) is refused by the
libraries that would ask for it. They read their settings from the environment, each time and in every thread.
"""

from __future__ import annotations

import os
import re

__all__ = ["HINT", "SWITCH", "forbid", "is_forbidden", "is_of_net", "refusal"]

SWITCH = "LPOSS_GEO_LOCAL_ONLY"
"""Of the environment: keeps a process to this machine."""

HINT = f"download it first, or leave <local_only=True> and {SWITCH} out"
"""What to do about a refusal."""

_NOBODY = "socks5h://localhost/dev/null"
"""A proxy that is no socket of this machine: whoever goes through it reaches nobody, and asks nobody for a name."""

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy")

_SETTINGS = {
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{none}",  # of files that GDAL reads over the net
    "GDAL_HTTP_PROXY": _NOBODY,
    "GDAL_HTTPS_PROXY": _NOBODY,
    "PROJ_NETWORK": "OFF",
    "HF_HUB_OFFLINE": "1",
} | {name: _NOBODY for proxy in _PROXIES for name in (proxy, proxy.upper())}

_WINNING = ("no_proxy", "NO_PROXY", "CPL_VSIL_CURL_ALLOWED_FILENAME")
"""Settings that would make exceptions."""

_SYSTEMS = "curl|s3|gs|az|adls|oss|swift|hdfs|webhdfs"

_SCHEMES = (
    "https?|ftps?|sftp|ssh|s3a?|gs|gcs|azure|az|abfss?|adl|oss|swift|hdfs|webhdfs|postgres|postgresql|mysql|mongodb|"
    r"mongodb\+srv"
)

_SERVICES = (
    "AmigoCloud|Carto|CSW|DAAS|EEDA|EEDAI|ES|GeoRaster|HANA|HTTP|MongoDBv3|MSSQL|MySQL|NGW|OAPIF|OAPIF_COLLECTION|OCI|"
    "ODBC|OGCAPI|PG|PLMosaic|PLScenes|PostgreSQL|WCS|WFS|WFS3|WMS|WMTS"
)
"""What GDAL's own names for services and databases begin with."""

_OF_NET = re.compile(
    rf"/vsi({_SYSTEMS})(_streaming)?[/?]|^\s*({_SERVICES}):|(?<![A-Za-z0-9])({_SCHEMES}):/",
    re.IGNORECASE,
)


def is_forbidden() -> bool:
    """Whether this process is to keep to this machine."""
    return os.environ.get(SWITCH, "").strip().casefold() not in ("", "0", "no", "off", "false")


def forbid() -> None:
    """Keep this process, and those that it starts, to this machine; there is no way back."""
    os.environ.update({SWITCH: "1"} | _SETTINGS)
    for name in _WINNING:
        os.environ.pop(name, None)


def is_of_net(name: str) -> bool:
    """Whether a name that GDAL is to open says that it lies on the net: an URL, a service, a database."""
    return _OF_NET.search(name) is not None


def refusal(shown: object) -> str:
    """The problem with what lies on the net, by the name that messages call it; `HINT` goes with it."""
    return f"'{shown}' lies on the net, or leads there, and this run keeps to this machine"
