"""Names of scenes: files, URLs and GDAL's own, and what is made of them for people to read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qs, unquote

import rasterio
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT

from lposs_geo.files.odd_names import plain

__all__ = [
    "PICTURE_SUFFIXES",
    "RASTER_SUFFIXES",
    "SCHEMES",
    "Dataset",
    "RasterLike",
    "SceneLike",
    "is_made_up",
    "listed",
    "names_remote",
    "on_disk",
    "shown",
    "stem",
    "without_secrets",
    "world_files",
]

Dataset: TypeAlias = rasterio.DatasetReader | WarpedVRT

RasterLike: TypeAlias = str | Path | Dataset | MemoryFile
"""A single raster as a user may give it."""

SceneLike: TypeAlias = RasterLike | Sequence[RasterLike]
"""A scene as a user may give it; several rasters are one mosaic."""

RASTER_SUFFIXES = {
    ".tif", ".tiff", ".vrt", ".jp2", ".j2k", ".img", ".ntf", ".nitf", ".bil", ".bip", ".bsq", ".asc", ".grd", ".ers",
    ".ecw", ".sid", ".mbtiles", ".gpkg", ".nc", ".hdf", ".h5", ".he5", ".hgt", ".dem", ".pix", ".kea", ".rst", ".sdat",
    ".flt",
}  # fmt: skip
"""Endings of rasters in a folder or an archive."""

PICTURE_SUFFIXES = {".png": ".pgw", ".jpg": ".jgw", ".jpeg": ".jgw", ".gif": ".gfw", ".bmp": ".bpw", ".webp": ".wpw"}
"""Endings of pictures, and of the world files that make scenes of them: in a folder others are no scenes."""

SCHEMES = {
    "http": "/vsicurl/http://", "https": "/vsicurl/https://", "ftp": "/vsicurl/ftp://", "s3": "/vsis3/",
    "gs": "/vsigs/", "az": "/vsiaz/", "abfs": "/vsiadls/", "oss": "/vsioss/", "swift": "/vsiswift/",
}  # fmt: skip
"""GDAL's names for what is not on this machine. Credentials are found as GDAL documents it: AWS_PROFILE and so on."""

REMOTE = tuple(sorted({vsi.split("/")[1] for vsi in SCHEMES.values()} | {"vsihdfs", "vsiwebhdfs"}))

REMOTE_NAME = re.compile(rf"(?<![\w.~-])/({'|'.join(REMOTE)})(_streaming)?[/?]")
"""In what GDAL opens; a folder of such a name doesn't begin with a slash of its own."""

SERVER_HEAD = 4096
"""Bytes of a file that tell whether it describes a server."""

MOST_NAMED = 12
"""Of a container's contents, in a message."""

NAMELESS = "scene"
"""Name of what is made of a raster that has no name of its own."""

_MADE_UP = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

LONGEST_NAME = 200
"""Bytes; file systems know 255, with an ending."""


def is_made_up(stem: str) -> bool:
    """True for a name that rasterio gives to a file in memory that has none."""
    return _MADE_UP.fullmatch(stem) is not None


def on_disk(name: str) -> Path | None:
    """The file or folder of that name on this machine, if there is one."""
    try:
        return Path(name) if Path(name).exists() else None
    except (OSError, ValueError):  # an URL or a VRT's text may be longer than a file's name can be
        return None


def stem(scene: SceneLike) -> str:
    """A plain name for what is made of a raster: no path, no query, no password, and only characters of file names."""
    if isinstance(scene, Sequence) and not isinstance(scene, str):
        return stem(scene[0]) if len(scene) == 1 else "mosaic" if scene else NAMELESS
    name = str(scene) if isinstance(scene, str | Path) else str(scene.name)
    if is_made_up(Path(name).stem):
        return NAMELESS
    if name.lstrip().startswith("<"):  # a VRT's text
        return NAMELESS
    file = on_disk(name) if name else None
    if file is not None and file.is_dir():
        return _file_name(file.resolve().name)
    if re.match(r"/vsicurl(_streaming)?\?", name):
        name = parse_qs(name.partition("?")[2]).get("url", [""])[0]
    if re.match(r"/vsicurl|[A-Za-z][\w+.-]+:/", name):
        name = unquote(name)
    name = re.sub(r"//[^/]*@", "//", name.partition("?")[0])
    driver, colon, rest = name.partition(":")
    inner: list[str] = []
    if colon and re.fullmatch(r"[A-Z][A-Z0-9_]+", driver) and not rest.startswith("/" * 2):
        if "=" in rest:  # a database or a service, maybe with its password
            return _file_name(driver)
        name, inner = _subdataset(rest)
    folder = name.endswith(("/", "\\"))
    last = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    if not folder:
        last = re.sub(r"(?<=.)\.(gz|tgz|tar)$", "", re.sub(r"(?<=.)\.gz$", "", last, flags=re.I), flags=re.I)
        last = Path(last).stem if last else ""
    return _file_name("_".join([last, *inner]))


def _subdataset(name: str) -> tuple[str, list[str]]:
    """The file in one of GDAL's own names for a part of a file, and what names the part."""
    quoted = re.search(r'"(.*?)"', name)
    if quoted:
        after = name[quoted.end() :].split(":")
        return quoted.group(1), [re.sub(r"\W+", "_", piece).strip("_") for piece in after if piece]
    pieces = name.replace("://", "//").split(":")
    suffixes = RASTER_SUFFIXES | {".xml", ".zip"}
    likely = [i for i, piece in enumerate(pieces) if Path(piece).suffix.casefold() in suffixes]
    at = (likely or [i for i, piece in enumerate(pieces) if "." in piece or "/" in piece] or [len(pieces) - 1])[0]
    return pieces[at], [re.sub(r"\W+", "_", piece).strip("_") for piece in pieces[at + 1 :] if piece]


def _file_name(name: str) -> str:
    name = re.sub(r'[\x00-\x1f\x7f<>:"/\\|?*]', "_", plain(name)).strip().rstrip(".")
    return name.encode()[:LONGEST_NAME].decode(errors="ignore") or NAMELESS


def names_remote(name: str) -> bool:
    """True for the name of what lies elsewhere, or of what describes a server."""
    return bool(REMOTE_NAME.search(name) or re.search(r"^[^/<]*:\W*https?://", name)) or _describes_server(name)


def _describes_server(name: str) -> bool:
    """True for a text, or a small file of XML on this machine, that describes a server of tiles or pictures to GDAL."""
    if not name.startswith("<"):
        path = on_disk(name)
        if path is None or not path.is_file() or path.suffix.casefold() in RASTER_SUFFIXES:
            return False
        try:
            with path.open("rb") as file:
                name = file.read(SERVER_HEAD).decode(errors="replace").lstrip("\ufeff \r\n\t")
        except OSError:
            return False
    return (
        name.startswith("<")
        and re.search(r"<(GDAL_W(MS|MTS)|W[CM]S_GDAL|WM_?T_?MS_Capabilities|Capabilities)\b", name) is not None
    )


def without_secrets(text: str) -> str:
    """A message or a name without what an URL's query or login may tell."""
    text = re.sub(r"\?[^\s'\"<>]*?(?=[:.,;)]*(?:[\s'\"<>]|$))", "", text)
    return re.sub(r"//[^/\s]*@", "//", text)


def shown(name: str) -> str:
    """A name for messages and the map's tags, without a key in the query or a password."""
    if on_disk(name):
        return name
    if re.match(r"/vsicurl(_streaming)?\?", name):
        system, _, query = name.partition("?")
        return f"{system}/{shown(parse_qs(query).get('url', [''])[0])}"
    return re.sub(r"//[^/]*@", "//", name.partition("?")[0])


def world_files(suffix: str) -> tuple[str, ...]:
    """Endings of the world files of a kind of picture."""
    return PICTURE_SUFFIXES[suffix], ".wld", suffix + "w"


def listed(names: Sequence[str]) -> str:
    """Names in a message: the first of them, and how many there are more."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return (", ".join(names[:MOST_NAMED]) or "none") + more
