"""What a scene may be named by, and what GDAL opens for it: files, archives, URLs, folders, lists.

Several rasters become one mosaic: a VRT written here, so that they are read as if they were one file.
"""

from __future__ import annotations

import html
import importlib
import itertools
import math
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote
from xml.sax.saxutils import escape

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT

from lposs_geo import network
from lposs_geo.errors import SceneError, escaped, one_line
from lposs_geo.files.odd_names import is_plain, linked, plain, unlinked
from lposs_geo.files.odd_text import as_vrt, descriptions_of, vrt_of_plain_names
from lposs_geo.grid import without_georeference_warnings
from lposs_geo.limits import advice_on_files, open_files

# what WarpedVRT raises, for which rasterio has no public name
CPLE_BaseError = getattr(importlib.import_module("rasterio._err"), "CPLE_BaseError", RasterioError)

__all__ = [
    "Box",
    "Source",
    "Warp",
    "check_file",
    "files_of",
    "is_remote",
    "on_disk",
    "open_source",
    "remote_options",
    "resolve",
    "scenes_in",
    "stem",
]

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
"""How GDAL names what is not on this machine. Credentials are found as GDAL documents it: AWS_PROFILE and so on."""

REMOTE = tuple(sorted({vsi.split("/")[1] for vsi in SCHEMES.values()} | {"vsihdfs", "vsiwebhdfs"}))

REMOTE_NAME = re.compile(rf"(?<![\w.~-])/({'|'.join(REMOTE)})(_streaming)?[/?]")
"""In what GDAL opens; a folder of such a name doesn't begin with a slash of its own."""

REMOTE_OPTIONS = {
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",  # a COG's whole header in one request
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_HTTP_CONNECTTIMEOUT": "30",
    "GDAL_HTTP_LOW_SPEED_TIME": "60",  # without a byte
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "VSI_CACHE": "TRUE",
}
"""What makes reading over the net need few requests and never hang; the environment's own settings win."""

PROBES = "TRUE"
"""Of GDAL_DISABLE_READDIR_ON_OPEN: headers and masks beside a file are asked for one by one, no folder is listed."""

ALONE = (".tif", ".tiff", ".jp2", ".j2k", ".ntf", ".nitf", ".vrt")
"""Endings of rasters that need no header beside them."""

MAP_TAG = "LPOSS_GEO_VERSION"
"""In the tags of every map that this program wrote."""

MOST_SEARCHED = 10_000
"""Of a folder's inner files, to say that there are rasters among them."""

ENOUGH_FILES = 1024
"""Open files that a process may have, from which on GDAL's own number of a mosaic's open parts is no trouble."""

OTHER_FILES = 32
"""Files that a run has open beside the parts of a mosaic."""

WIDEST = 20_000
"""Px of a mosaic in degrees, above which a gap of half the globe is refused."""

MOST_NESTED = 32
"""VRTs made of VRTs."""

VRT_HEAD = 1024
"""Bytes at the beginning of a file that tell whether it is a VRT."""

SERVER_HEAD = 4096
"""Bytes of a file that tell whether it describes a server."""

COMPLEX = "holds complex numbers, not brightness: map a detected image instead"

SNAP = 0.02
"""Px by which the pixels of a mosaic's sources may lie beside each other without a notice."""

MOST_NAMED = 12
"""Of a container's contents, in a message."""

NAMELESS = "scene"
"""What is made of a source is named so where the source has no name of its own."""

LONGEST_NAME = 200
"""Bytes; file systems know 255, with an ending."""

Box = tuple[int, int, int, int]
"""First column and row, width and height, px."""


@dataclass(frozen=True)
class Source:
    """What a scene is read from.

    Attributes
    ----------
    path : str
        What the user called it; what messages call it.
    opened : str
        What GDAL opens: a file, one of GDAL's own names, or the text of a VRT.
    files : tuple of str
        A mosaic's sources; empty for a single raster.
    boxes : tuple of Box
        Where they lie in the mosaic.
    block : (int, int) or None
        Rows and cols of the widest block of them.
    masked : bool
        Whether a mosaic's sources say themselves what is valid of them. A mosaic always has a mask, for the gaps.
    notices : tuple of str
        What the user should know of it.
    """

    path: str
    opened: str
    files: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    block: tuple[int, int] | None = None
    masked: bool = True
    notices: tuple[str, ...] = ()

    def reason(self, error: Exception) -> str:
        """What GDAL says of an error, with the user's name for the source instead of GDAL's."""
        said = one_line(error.__cause__ or error).rstrip(".").replace(one_line(self.opened), self.path)
        said = re.sub(r"<VRTDataset.*(</VRTDataset>|$)", lambda _: self.path, said)
        for name in (self.opened, *self.files):
            query = "" if name.startswith("<") else "".join(name.partition("?")[1:])
            said = said.replace(query, "") if len(query) > 1 else said
        return _without_secrets(escaped(unlinked(said)))


@dataclass(frozen=True)
class Warp:
    """How a scene that is located only by points or a sensor's model is put on a north-up grid.

    Attributes
    ----------
    source_crs : str
        Of the points, as WKT.
    crs : str
        Of the grid, as WKT.
    resampling : str
        A name of `rasterio.enums.Resampling`.
    nodata : float or None
        Stored value that is no data; None where the file has a mask, alpha, or nothing.
    in_all_bands : bool
        Whether a pixel is invalid only where all bands hold it.
    height : float or None
        Metres above the ellipsoid at which a sensor's model is used.
    mistagged : tuple of int
        Bands that are tagged alpha and mask nothing.
    """

    source_crs: str
    crs: str
    resampling: str
    nodata: float | None
    in_all_bands: bool
    height: float | None
    mistagged: tuple[int, ...] = ()


def resolve(source: str | Path | Sequence[str | Path]) -> Source:
    """Find what GDAL is to open for what the user named.

    Parameters
    ----------
    source : str, Path, or sequence of them
        A file, one of GDAL's own names, an URL (http, https, s3, gs, az), a zip or tar archive with one raster; a
        folder of rasters or a list of them, which become one mosaic.

    Returns
    -------
    Source

    Raises
    ------
    SceneError
        If there is nothing of that name, an archive holds several rasters, or rasters don't fit together.
    """
    if not isinstance(source, str | Path):
        parts = [_single(part) for part in source]
        for part in parts:
            _check_files(*part)
        if not parts:
            raise SceneError("no scene is named")
        if len(parts) == 1:
            _check_nesting(*parts[0])
            return Source(*parts[0])
        return _mosaic(f"{parts[0][0]} and {len(parts) - 1} more", parts)
    path, opened = _single(source)
    _check_files(path, opened)
    place = on_disk(opened)
    if place is not None and place.is_dir():
        found, shown_by_others = _scenes_in(place)
        left_out = _listed([escaped(file.name) for file in shown_by_others])
        notice = f"left out of '{path}', as a VRT beside is made of them: {left_out}"
        notices = (notice,) if shown_by_others else ()
        if len(found) > 1:
            mosaic = _mosaic(path, [_of_file(str(file)) for file in found])
            return replace(mosaic, notices=notices + mosaic.notices)
        if found:
            _check_nesting(*_of_file(str(found[0])))
            return Source(*_of_file(str(found[0])), notices=notices)
        if not _is_raster(opened):  # some formats are folders
            why = "a picture counts only with its world file" + _but_inside(place)
            raise SceneError(f"folder '{path}' holds no raster ({why})")
        opened = linked(opened)
    _check_nesting(path, opened)
    return Source(path, opened)


def check_file(name: str, path: str | None = None) -> None:
    """Refuse a pipe or a device in the place of a file: who opens one waits for ever.

    Parameters
    ----------
    name : str
        Of a file, or anything else that GDAL opens.
    path : str, optional
        What the user called the source that refers to it.

    Raises
    ------
    SceneError
        If it is refused.
    """
    place = on_disk(name)
    if place is None or place.is_file() or place.is_dir():
        return
    what = "a pipe" if place.is_fifo() else "a socket" if place.is_socket() else "a device"
    whose = "" if path is None else f", which '{path}' refers to,"
    raise SceneError(
        f"'{escaped(unlinked(name))}'{whose} is {what} and no file: save what comes from it in a file first"
    )


def _check_files(path: str, opened: str) -> None:
    for name in _leaves(opened):
        check_file(name, None if name == opened else path)


def scenes_in(folder: str | Path) -> list[Path]:
    """The rasters directly in a folder, by name.

    Sidecars, maps of this program, plain pictures, and what a VRT in the folder is made of are none.

    Raises
    ------
    SceneError
        If it is no folder, or can't be listed.
    """
    return _scenes_in(folder)[0]


def _scenes_in(folder: str | Path) -> tuple[list[Path], list[Path]]:
    """The rasters in a folder, and those left out because a VRT there is made of them."""
    try:
        files = sorted(file for file in Path(folder).iterdir() if file.is_file() and not file.name.startswith("."))
    except OSError as error:
        raise SceneError(f"folder '{escaped(str(folder))}' can't be listed: {error.strerror or error}") from error
    found = [file for file in files if _is_scene(file)]
    used: set[Path] = set()
    for file in found:
        if file.suffix.casefold() == ".vrt":
            names = _sources_of(vrt_of_plain_names(file) or str(file))
            used |= {Path(name).resolve() for name in names if on_disk(name)} - {file.resolve()}
    inside = [file for file in found if file.resolve() in used]
    if len(inside) == len(found):  # VRTs of each other
        return found, []
    return [file for file in found if file not in inside], inside


def _but_inside(folder: Path) -> str:
    """What to say of a folder without rasters whose subfolders have some."""
    inner = itertools.islice(folder.glob("*/**/*"), MOST_SEARCHED)
    return "; subfolders aren't searched" if any(file.suffix.casefold() in RASTER_SUFFIXES for file in inner) else ""


def is_remote(opened: str) -> bool:
    """Whether reading goes over the net, be it for a part of a mosaic or of a VRT on this machine."""
    return any(_names_remote(name) for name in _leaves(opened))


def _names_remote(name: str) -> bool:
    return bool(REMOTE_NAME.search(name) or re.search(r"^[^/<]*:\W*https?://", name)) or _describes_server(name)


def _describes_server(name: str) -> bool:
    """Whether a text, or a small file of XML on this machine, tells GDAL of a server of tiles or pictures."""
    if not name.startswith("<"):
        place = on_disk(name)
        if place is None or not place.is_file() or place.suffix.casefold() in RASTER_SUFFIXES:
            return False
        try:
            with place.open("rb") as file:
                name = file.read(SERVER_HEAD).decode(errors="replace").lstrip("\ufeff \r\n\t")
        except OSError:
            return False
    return (
        name.startswith("<")
        and re.search(r"<(GDAL_W(MS|MTS)|W[CM]S_GDAL|WM_?T_?MS_Capabilities|Capabilities)\b", name) is not None
    )


def _unfound(opened: str) -> list[str]:
    """The names that a source leads to and that are no files of this machine."""
    return [name for name in _leaves(opened) if not on_disk(name)]


def _leaves(opened: str, seen: set[str] | None = None) -> Iterator[str]:
    """The names that a source leads to, each once: its own, or those that a VRT is made of, and those of these."""
    seen = set() if seen is None else seen
    if opened in seen:
        return
    seen.add(opened)
    inner = _sources_of(opened) if opened.startswith("<") or opened.casefold().endswith(".vrt") else []
    if not inner:
        yield opened
    for name in inner:
        yield from _leaves(name, seen)


def _check_nesting(path: str, opened: str) -> None:
    """Refuse VRTs that refer to themselves, or to each other without end: GDAL may take hours to notice."""
    sound = set[str]()

    def follow(name: str, above: tuple[str, ...]) -> None:
        place = on_disk(name)
        known = name if place is None else str(place.resolve())
        if known in above:
            by_way = "" if len(above) == 1 else f" by way of '{_shown(above[-1])}'"
            raise SceneError(f"'{path}' refers to itself{by_way}: a VRT is made of other rasters")
        if len(above) > MOST_NESTED:
            raise SceneError(f"'{path}' is made of VRTs that are made of VRTs, more than {MOST_NESTED} deep: make one")
        if known not in sound:
            for inner in _sources_of(name):
                follow(inner, (*above, known))
            sound.add(known)

    follow(opened, ())


def _vrt_text(opened: str) -> tuple[str, Path]:
    """The text of a VRT, itself or a file on this machine, and the folder that it lies in; empty for others."""
    if opened.startswith("<"):
        return opened, Path()
    place = on_disk(opened.removeprefix("vrt://").partition("?")[0] if opened.startswith("vrt://") else opened)
    try:
        if place is None or not place.is_file():
            return "", Path()
        if place.suffix.casefold() != ".vrt":  # which GDAL doesn't ask for
            with place.open("rb") as file:
                if b"<VRTDataset" not in file.read(VRT_HEAD):
                    return "", Path()
        return place.read_text(encoding="utf-8", errors="surrogateescape"), place.parent
    except OSError:
        return "", Path()


def _sources_of(opened: str) -> list[str]:
    """The names that a VRT, as text or a file on this machine, is made of; of another raster none."""
    vrt, folder = _vrt_text(opened)
    names = []
    for relative, name in re.findall(r"<Source(?:Filename|Dataset)([^>]*)>([^<]+)</Source", vrt):
        plain = html.unescape(name).strip()
        is_relative = re.search(r"""relativeToVRT\s*=\s*["']1""", relative) and not plain.startswith("<")
        names.append(str(folder / plain) if is_relative else plain)
    return names


def on_disk(name: str) -> Path | None:
    """The file or folder of that name on this machine, if there is one."""
    try:
        return Path(name) if Path(name).exists() else None
    except (OSError, ValueError):  # an URL or a VRT's text may be longer than a file's name can be
        return None


def stem(source: str | Path | Sequence[str | Path]) -> str:
    """A plain name for what is made of a source: no path, no query, no password, and only characters of file names."""
    if not isinstance(source, str | Path):
        names = list(source)
        return stem(names[0]) if len(names) == 1 else "mosaic" if names else NAMELESS
    name = str(source)
    if name.lstrip().startswith("<"):  # a VRT's text
        return NAMELESS
    place = on_disk(name) if name else None
    if place is not None and place.is_dir():
        return _file_name(place.resolve().name)
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


@contextmanager
def open_source(source: Source, warp: Warp | None = None) -> Iterator[rasterio.DatasetReader]:
    """Open what `resolve` found, on its own grid or warped to a north-up one.

    Raises
    ------
    SceneError
        If it is no raster, or only holds others.
    """
    opened, path = source.opened, source.path
    # GDAL's own names have a colon (a subdataset), begin with /vsi, or are a VRT's text
    if not (":" in opened or opened.startswith(("/vsi", "<")) or on_disk(opened)):
        raise SceneError(f"no such file: '{path}'")
    if not is_plain(opened):
        raise SceneError(f"'{path}' isn't UTF-8, as GDAL's own names for parts of files must be: rename the file")
    if network.is_forbidden() and (is_remote(opened) or any(map(network.is_of_net, _unfound(opened)))):
        raise SceneError(network.refusal(path))
    with ExitStack() as stack:
        options = remote_options(opened)
        # a packed archive gets no index beside it: the folder is the user's
        stack.enter_context(rasterio.Env(CPL_VSIL_GZIP_WRITE_PROPERTIES="NO", **_few_files(), **options))
        try:
            dataset = stack.enter_context(_opened(opened, stack, options))
        except (RasterioError, UnicodeError) as error:
            reason = source.reason(error)
            if "Range downloading not supported" in reason:
                reason = "its server sends no parts of files: download it first"
            raise SceneError(f"'{path}' can't be opened as a raster: {reason}{advice_on_files(error)}") from error
        _check_sidecar(dataset, source)
        if dataset.count == 0:
            inside = _listed([_shown(name) for name in dataset.subdatasets])
            raise SceneError(f"'{path}' holds no raster of its own; name one of its subdatasets instead: {inside}")
        yield dataset if warp is None else stack.enter_context(_warped(dataset, warp, source))


def _check_sidecar(dataset: rasterio.DatasetReader, source: Source) -> None:
    """Refuse a raster of which GDAL can't read all that is said: of some it looks only when it is asked for it."""
    try:
        for _ in (dataset.tags(), dataset.crs, dataset.gcps, dataset.nodatavals):
            pass
        with suppress(ValueError):  # a newer GDAL knows more colours than rasterio does
            dataset.colorinterp  # noqa: B018
    except (RasterioError, CPLE_BaseError) as error:
        raise SceneError(
            f"'{source.path}' has metadata that can't be read: {source.reason(error)}; correct the .aux.xml beside it, "
            "if there is one, or its coordinate reference system, e.g. with rio edit-info --crs"
        ) from error


def _few_files() -> dict[str, str]:
    """How many of a mosaic's parts GDAL may keep open, where the system allows this process few files."""
    most = open_files()
    if most is None or most >= ENOUGH_FILES or "GDAL_MAX_DATASET_POOL_SIZE" in os.environ:
        return {}
    return {"GDAL_MAX_DATASET_POOL_SIZE": str(max(2, (most - OTHER_FILES) // 2))}


def _opened(opened: str, stack: ExitStack, options: dict[str, str]) -> rasterio.DatasetReader:
    with without_georeference_warnings():
        try:
            return rasterio.open(opened)
        except UnicodeDecodeError:  # in the name of its CRS, for instance
            return rasterio.open(as_vrt(opened))
        except RasterioError as error:
            if _is_head_refused(opened, error):  # a signed URL may be for GET alone
                return rasterio.open(_by_get(opened))
            hides = options.get("GDAL_DISABLE_READDIR_ON_OPEN", PROBES) != PROBES
            if not (hides and "not recognized" in str(error.__cause__ or error)):
                raise
            # its header may lie beside it
            stack.enter_context(rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN=PROBES))
            return rasterio.open(opened)


def _by_get(opened: str) -> str:
    """The same file of a server, by another question; the fragment is never sent, and GDAL forgets what it was told."""
    return f"/vsicurl?use_head=no&url={quote(opened.removeprefix('/vsicurl/') + '#', safe='')}"


def _is_head_refused(opened: str, error: RasterioError) -> bool:
    """Whether a server has answered GDAL's first question, for the header alone, with anything but yes or no."""
    said = str(error.__cause__ or error)
    code = re.search(r"HTTP response code: (\d+)", said)
    no_answer = re.search("does not exist|Empty reply|reset by peer", said)
    refused = no_answer is not None if code is None else code[1] not in ("404", "410")
    return opened.startswith("/vsicurl/") and refused


def remote_options(opened: str) -> dict[str, str]:
    """GDAL's options for what is read over the net; none for what isn't."""
    names = list(_leaves(opened))
    if not any(_names_remote(name) for name in names):
        return {}
    # no requests for sidecars that a web server seldom has
    options = REMOTE_OPTIONS | {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
    if (names != [opened] or on_disk(opened)) and not all(
        _names_remote(name) and name.partition("?")[0].casefold().endswith(ALONE) for name in names
    ):
        options["GDAL_DISABLE_READDIR_ON_OPEN"] = PROBES  # else headers and masks of other sources would be hidden
    return {name: value for name, value in options.items() if name not in os.environ}


def files_of(source: Source, dataset: rasterio.DatasetReader) -> set[str]:
    """All files that a source is read from, sidecars and archives among them; a VRT's own sources and theirs."""
    found = set(source.files) or {source.opened}
    if source.opened.startswith("<") and not source.files:  # of which GDAL lists no files
        found |= set(_leaves(source.opened))
    _add_files(source.opened, dataset, found)
    return found | {archive for name in found if (archive := _archive_of(name))}


def _add_files(opened: str, dataset: rasterio.DatasetReader, found: set[str]) -> None:
    try:
        names = set(dataset.files)
    except UnicodeDecodeError:
        names = set(_sources_of(opened))
    for name in names - found:
        if name in found or name.startswith("<"):  # a part of a mosaic within the mosaic's own text
            continue
        found.add(name)
        if name.lower().endswith(".vrt"):
            with open_source(Source(name, name)) as inside:
                _add_files(name, inside, found)


def _archive_of(name: str) -> str | None:
    """The archive on this machine that a file of one of GDAL's own names lies in."""
    if not re.match("/vsi[^/?]*/", name):  # an URL may be a part of a query
        return None
    if name.startswith("/vsisubfile/"):
        whole = name.partition(",")[2]
        return _archive_of(whole) or (whole if on_disk(whole) else None)
    inner = Path(name.split("/", 2)[2])
    places = (inner, *inner.parents)
    return next((str(place) for place in places if on_disk(str(place)) and place.is_file()), None)


def _without_secrets(text: str) -> str:
    """A message or a name without what an URL's query or login may tell."""
    text = re.sub(r"\?[^\s'\"<>]*?(?=[:.,;)]*(?:[\s'\"<>]|$))", "", text)
    return re.sub(r"//[^/\s]*@", "//", text)


def _shown(name: str) -> str:
    """What messages and the map's tags call a source: its name without a key in the query or a password."""
    if on_disk(name):
        return name
    if re.match(r"/vsicurl(_streaming)?\?", name):
        system, _, query = name.partition("?")
        return f"{system}/{_shown(parse_qs(query).get('url', [''])[0])}"
    return re.sub(r"//[^/]*@", "//", name.partition("?")[0])


def _single(source: str | Path) -> tuple[str, str]:
    """What the user called a single source, and what GDAL opens for it."""
    path = str(source)
    if not path:
        raise SceneError("no scene is named")
    scheme, colon, rest = path.partition(":/")
    if colon and scheme.casefold() in SCHEMES:
        return _shown(f"{scheme}://{rest.lstrip('/')}"), SCHEMES[scheme.casefold()] + rest.lstrip("/")
    if path.casefold().startswith("file:/"):
        literal = path[len("file://") :] if path[5:7] == "//" else path[len("file:") :]
        meant = unquote(literal, errors="surrogateescape")
        return escaped(path), _single(meant if on_disk(meant) else literal)[1]
    place = on_disk(path)
    if place is not None and place.is_file():
        members = _packed(path)
        return _of_file(path) if members is None else (escaped(path), _inside(path, members))
    return escaped(_shown(path)), path


def _of_file(path: str) -> tuple[str, str]:
    """What a file that is no archive is called, and what GDAL opens for it."""
    vrt = vrt_of_plain_names(Path(path))
    if path.casefold().endswith(".gz") and _is_gzipped(path):
        return escaped(path), f"/vsigzip/{linked(str(Path(path).resolve()))}"
    return escaped(path), vrt or linked(path)


def _packed(path: str) -> dict[str, str] | None:
    """What an archive holds, by its name there: what GDAL opens; None for other files."""
    place = linked(str(Path(path).resolve()))
    try:
        if path.casefold().endswith(".zip") and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                # made on Windows, its folders may end in backslashes
                names = [name.removeprefix("./").replace("\\", "/") for name in archive.namelist()]
                return {name: f"/vsizip/{place}/{name}" for name in names}
        if re.search(r"\.(tar|tgz|tar\.gz)$", path.casefold()) and tarfile.is_tarfile(path):
            with tarfile.open(path) as bundle:
                return {re.sub(r"^(\./+)+", "", member.name): _in_tar(member, place) for member in bundle}
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        reason = one_line(getattr(error, "strerror", None) or error) or type(error).__name__
        raise SceneError(f"archive '{escaped(path)}' can't be read: {reason}; get another copy of it") from error
    return None


def _in_tar(member: tarfile.TarInfo, place: str) -> str:
    """What GDAL opens for what a tar archive holds."""
    name = member.name.removeprefix("./").replace("\\", "/")
    if name.isascii() and not name.startswith(("./", "/")) and "path" not in member.pax_headers:
        return f"/vsitar/{place}/{name}"
    # GDAL doesn't know the headers that other names have, but a part of a file; what lies beside isn't seen then
    whole = f"/vsigzip/{place}" if _is_gzipped(place) else place
    return f"/vsisubfile/{member.offset_data}_{member.size},{whole}"


def _is_gzipped(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            return file.read(2) == b"\x1f\x8b"
    except OSError:
        return False


def _inside(path: str, members: Mapping[str, str]) -> str:
    """The one raster in an archive."""
    suffixes = RASTER_SUFFIXES | set(PICTURE_SUFFIXES)
    rasters = sorted(
        name for name in members if Path(name).suffix.casefold() in suffixes and not _is_hidden(name.split("/"))
    )
    known = {name.casefold() for name in members}
    placed = [name for name in rasters if _is_placed_in(name.casefold(), known)]
    rasters = placed or rasters  # beside a scene its preview is none
    if not rasters:
        raise SceneError(f"archive '{escaped(path)}' holds no raster")
    if len(rasters) > 1:
        inside = _listed([escaped(unlinked(members[name])) for name in rasters])
        raise SceneError(f"archive '{escaped(path)}' holds {len(rasters)} rasters; name one of them instead: {inside}")
    return members[rasters[0]]


def _is_hidden(parts: Sequence[str]) -> bool:
    """Whether a name is none of the user's, but of a system's bookkeeping."""
    return "__MACOSX" in parts or any(part.startswith(".") and part.strip(".") for part in parts)


def _is_placed_in(name: str, names: set[str]) -> bool:
    """Whether a raster in an archive is no picture, or has a world file."""
    suffix = Path(name).suffix
    return suffix not in PICTURE_SUFFIXES or any(name.removesuffix(suffix) + end in names for end in _worlds(suffix))


def _worlds(suffix: str) -> tuple[str, ...]:
    """Endings of the world files of a kind of picture."""
    return PICTURE_SUFFIXES[suffix], ".wld", suffix + "w"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return (", ".join(names[:MOST_NAMED]) or "none") + more


def _is_scene(file: Path) -> bool:
    suffix = file.suffix.casefold()
    if suffix in PICTURE_SUFFIXES:
        return any(file.with_suffix(world).exists() for world in _worlds(suffix)) or _is_placed_beside(file)
    if suffix not in RASTER_SUFFIXES:
        return False
    if suffix not in (".tif", ".tiff"):
        return suffix != ".gpkg" or _is_raster(file)  # else a map's polygons, for instance
    try:
        with without_georeference_warnings(), rasterio.open(linked(str(file))) as dataset:
            return MAP_TAG not in dataset.tags()
    except (RasterioError, SceneError, UnicodeError):  # a damaged scene is said to be one when it is opened
        return True


def _is_placed_beside(file: Path) -> bool:
    """Whether GDAL's own sidecar says where a picture lies; it may hold statistics only."""
    try:
        said = Path(f"{file}.aux.xml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return re.search(r"<(GeoTransform|SRS|GCPList)\b", said) is not None


def _is_raster(path: str | Path) -> bool:
    try:
        with without_georeference_warnings(), rasterio.open(linked(str(path))):
            return True
    except (RasterioError, SceneError, UnicodeError):
        return False


@contextmanager
def _warped(dataset: rasterio.DatasetReader, warp: Warp, source: Source) -> Iterator[WarpedVRT]:
    if warp.mistagged:  # GDAL would take them for the mask
        with _without_tags(dataset, warp.mistagged) as plain, _warped(plain, replace(warp, mistagged=()), source) as it:
            yield it
        return
    options: dict[str, Any] = {"UNIFIED_SRC_NODATA": "YES" if warp.in_all_bands else "NO"}
    options |= {"METHOD": "GCP_POLYNOMIAL"} if warp.height is None else {"METHOD": "RPC", "RPC_HEIGHT": warp.height}
    if warp.nodata is not None:
        options |= {"src_nodata": warp.nodata, "nodata": warp.nodata}
    elif ColorInterp.alpha not in dataset.colorinterp:
        options["add_alpha"] = True
    try:
        warped = WarpedVRT(
            dataset, src_crs=warp.source_crs, crs=warp.crs, resampling=Resampling[warp.resampling], **options
        )
    except (RasterioError, CPLE_BaseError) as error:
        reason = source.reason(error)
        raise SceneError(f"'{source.path}' can't be warped to a north-up grid: {reason}") from error
    with warped:
        yield warped


@contextmanager
def _without_tags(dataset: rasterio.DatasetReader, bands: Sequence[int]) -> Iterator[rasterio.DatasetReader]:
    """The same dataset, with nothing said of what some of its bands show."""
    with MemoryFile(ext=".vrt") as file:
        rasterio.shutil.copy(dataset, file.name, driver="VRT")
        with rasterio.open(file.name, "r+") as copy:
            copy.colorinterp = [
                ColorInterp.undefined if band in bands else colour for band, colour in enumerate(copy.colorinterp, 1)
            ]
        with rasterio.open(file.name) as copy:
            yield copy


@dataclass(frozen=True)
class _Part:
    """One source of a mosaic and what must be the same for all."""

    path: str
    opened: str
    files: tuple[str, ...]
    height: int
    width: int
    transform: Affine
    crs: CRS | None
    dtypes: tuple[str, ...]
    nodata: tuple[float | None, ...]
    colours: tuple[ColorInterp, ...]
    palette: dict[int, tuple[int, int, int, int]] | None
    descriptions: tuple[str | None, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    block: tuple[int, int]
    has_mask: bool

    @property
    def has_alpha(self) -> bool:
        return ColorInterp.alpha in self.colours

    @property
    def has_nodata(self) -> bool:
        return any(nodata is not None for nodata in self.nodata)


def _mosaic(path: str, named: Sequence[tuple[str, str]]) -> Source:
    """One raster of several that lie on the same grid; where they overlap, the later one is seen."""
    parts = [_part(*name) for name in named]
    first = parts[0]
    for part in parts:
        _check_fits(part, first, path)
    places = [~first.transform @ (part.transform.c, part.transform.f) for part in parts]
    cols, rows = ([round(value) for value in values] for values in zip(*places, strict=True))
    left, top = min(cols), min(rows)
    boxes = tuple(
        (col - left, row - top, part.width, part.height) for part, col, row in zip(parts, cols, rows, strict=True)
    )
    _check_not_bands(parts, boxes, path)
    _check_not_around_the_globe(first, boxes, path)
    aside = max(
        max(abs(col - place[0]), abs(row - place[1])) for place, col, row in zip(places, cols, rows, strict=True)
    )
    notice = f"the rasters of '{path}' don't lie on one pixel grid: they are moved by up to {aside:.2f} px"
    masked = any(part.has_mask or part.has_alpha or part.has_nodata for part in parts)
    return Source(
        path=path,
        opened=_vrt(parts, boxes, first.transform @ Affine.translation(left, top)),
        files=tuple(sorted({file for part in parts for file in part.files})),
        boxes=boxes,
        block=max((part.block for part in parts), key=lambda block: block[1]),
        masked=masked,
        notices=(notice,) if aside > SNAP else (),
    )


def _part(path: str, opened: str) -> _Part:
    source = Source(path, opened)
    _check_nesting(path, opened)
    with open_source(source) as dataset:
        if any(dtype.startswith("complex") for dtype in dataset.dtypes):
            raise SceneError(f"'{path}' {COMPLEX}")
        flags = {flag for band in dataset.mask_flag_enums for flag in band}
        try:
            palette = dataset.colormap(1)
        except ValueError:
            palette = None
        return _Part(
            path=path,
            opened=_lasting_name(opened, dataset),
            files=tuple(files_of(source, dataset)),
            height=dataset.height,
            width=dataset.width,
            transform=dataset.transform,
            crs=dataset.crs,
            dtypes=dataset.dtypes,
            nodata=tuple(None if n is None else float(n) for n in dataset.nodatavals),
            colours=dataset.colorinterp,
            palette=palette,
            descriptions=descriptions_of(dataset),
            scales=dataset.scales,
            offsets=dataset.offsets,
            block=dataset.block_shapes[0],
            has_mask=MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags,
        )


def _lasting_name(opened: str, dataset: rasterio.DatasetReader) -> str:
    """What opens a part wherever the mosaic that names it is opened."""
    if on_disk(opened):
        return linked(str(Path(opened).resolve()))
    return opened if opened.startswith("<") else str(dataset.name)


def _check_fits(part: _Part, first: _Part, path: str) -> None:
    """Refuse a source that can't be put beside the first one, with what differs."""
    if part.transform.is_identity:
        raise SceneError(f"'{part.path}' has no georeference, so where it lies in '{path}' isn't known")
    steps, wanted = ((t.a, t.b, t.d, t.e) for t in (part.transform, first.transform))
    # over a whole source the pixels may run apart by less than a hundredth
    tolerance = 0.01 * max(map(abs, wanted)) / max(part.width, part.height)
    for differs, how in (
        (part.crs != first.crs, f"{_name(part.crs)} instead of {_name(first.crs)}: warp it first, e.g. with gdalwarp"),
        (len(part.dtypes) != len(first.dtypes), f"{len(part.dtypes)} bands instead of {len(first.dtypes)}"),
        (part.dtypes != first.dtypes, f"{part.dtypes[0]} values instead of {first.dtypes[0]}"),
        (max(abs(a - b) for a, b in zip(steps, wanted, strict=True)) > tolerance, _other_pixels(part, first)),
        (str(part.nodata) != str(first.nodata), f"nodata {part.nodata[0]} instead of {first.nodata[0]}"),  # nan too
        (part.colours != first.colours, f"bands {_colours(part)} instead of {_colours(first)}"),
        (part.palette != first.palette, "another colour table"),
        ((part.scales, part.offsets) != (first.scales, first.offsets), "another scale or offset of its values"),
    ):
        if differs:
            raise SceneError(f"'{part.path}' doesn't fit '{first.path}' in one mosaic: it has {how}")


def _check_not_bands(parts: Sequence[_Part], boxes: Sequence[Box], path: str) -> None:
    """Refuse the bands of one scene in a file each, which no mosaic can show."""
    seen: dict[Box, _Part] = {}
    for part, box in zip(parts, boxes, strict=True):
        other = seen.setdefault(box, part)
        if other is not part and len(part.dtypes) == 1:
            raise SceneError(
                f"'{other.path}' and '{part.path}' have one band each of the same ground: if '{path}' holds the bands "
                "of one scene, stack them into one file first, e.g. with rio stack"
            )


def _check_not_around_the_globe(first: _Part, boxes: Sequence[Box], path: str) -> None:
    """Refuse sources on both sides of the antimeridian, between which a mosaic in degrees has half a globe of gap."""
    if first.crs is None or not first.crs.is_geographic or max(col + across for col, _, across, _ in boxes) <= WIDEST:
        return
    end, gap = 0, 0
    for col, _, across, _ in sorted(boxes):
        end, gap = max(end, col + across), max(gap, col - end)
    if gap * math.hypot(first.transform.a, first.transform.d) * first.crs.units_factor[1] > math.pi:
        raise SceneError(
            f"the rasters of '{path}' lie on both sides of the antimeridian: map them one by one (--batch)"
        )


def _other_pixels(part: _Part, first: _Part) -> str:
    """How the pixels of a source differ from the first one's."""
    here, there = part.transform, first.transform
    unit = "in the units of its coordinate system"
    for digits in (6, 12):
        sizes = [f"{math.hypot(t.a, t.d):.{digits}g} x {math.hypot(t.b, t.e):.{digits}g}" for t in (here, there)]
        if sizes[0] != sizes[1] and (digits == 6 or math.isclose(_angle(here), _angle(there), abs_tol=1e-3)):
            return f"pixels of {sizes[0]} instead of {sizes[1]} {unit}"
    if here.determinant * there.determinant < 0:
        return "rows in the opposite order: warp it first, e.g. with gdalwarp"
    return (
        f"a grid turned by {_angle(here):.4g} degrees instead of {_angle(there):.4g}: warp it first, e.g. with gdalwarp"
    )


def _angle(transform: Affine) -> float:
    """Degrees by which rows are turned."""
    return math.degrees(math.atan2(transform.d, transform.a))


def _name(crs: CRS | None) -> str:
    if crs is None:
        return "no CRS"
    return str(crs.to_string() if crs.to_epsg() else crs.to_dict().get("proj", "a CRS of its own"))


def _colours(part: _Part) -> str:
    return ", ".join(colour.name for colour in part.colours)


_GDAL_TYPES = {"uint8": "Byte"}


def _vrt(parts: Sequence[_Part], boxes: Sequence[Box], transform: Affine) -> str:
    """The text of a VRT: each source in its box, its nodata and what is masked of it left out."""
    first = parts[0]
    width = max(col + across for col, _, across, _ in boxes)
    height = max(row + down for _, row, _, down in boxes)
    numbers = ", ".join(f"{value!r}" for value in map(float, transform.to_gdal()))
    lines = [f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">']
    if first.crs is not None:
        lines.append(f"<SRS>{escape(first.crs.to_wkt())}</SRS>")
    lines.append(f"<GeoTransform>{numbers}</GeoTransform>")
    # as for a single file, a mask is all that counts where there is one
    by_mask = any(part.has_mask for part in parts) or not first.has_nodata
    opened = [_with_own_mask(part) or part.opened for part in parts]
    for band, dtype in enumerate(first.dtypes, 1):
        lines.append(f'<VRTRasterBand dataType="{_gdal_type(dtype)}" band="{band}">')
        lines += _band_facts(first, band, None if by_mask else first.nodata[band - 1])
        for part, name, box in zip(parts, opened, boxes, strict=True):
            lines.append(_placed(part, box, str(band), dtype, _left_out(part, band), name))
        lines.append("</VRTRasterBand>")
    if by_mask:
        # the gaps between sources, and what their own masks leave out
        lines.append('<MaskBand><VRTRasterBand dataType="Byte">')
        for part, name, box in zip(parts, opened, boxes, strict=True):
            if part.has_mask or part.has_nodata:
                lines.append(_placed(part, box, "mask,1", "uint8", "<NODATA>0</NODATA>", name))
            else:
                lines.append(_placed(part, box, "1", part.dtypes[0], _EVERYWHERE))
        lines.append("</VRTRasterBand></MaskBand>")
    return "\n".join([*lines, "</VRTDataset>"])


_EVERYWHERE = "<ScaleOffset>255</ScaleOffset><ScaleRatio>0</ScaleRatio>"
"""Of a mask: 255, whatever the values are."""


def _band_facts(part: _Part, band: int, nodata: float | None) -> list[str]:
    """What is said of a band, in the order that GDAL writes it."""
    facts = []
    description = part.descriptions[band - 1]
    if description:
        facts.append(f"<Description>{escape(description)}</Description>")
    if nodata is not None:
        facts.append(f"<NoDataValue>{nodata!r}</NoDataValue>")
    facts.append(f"<Offset>{part.offsets[band - 1]!r}</Offset><Scale>{part.scales[band - 1]!r}</Scale>")
    facts.append(f"<ColorInterp>{part.colours[band - 1].name.capitalize()}</ColorInterp>")
    if band == 1 and part.palette is not None:
        entries = "".join(
            f'<Entry c1="{r}" c2="{g}" c3="{b}" c4="{a}"/>' for _, (r, g, b, a) in sorted(part.palette.items())
        )
        facts.append(f"<ColorTable>{entries}</ColorTable>")
    return facts


def _left_out(part: _Part, band: int) -> str:
    """What of a source mustn't hide the one below it."""
    if _is_masked_by_values(part) or part.has_mask or (part.has_alpha and not part.has_nodata):
        return "<UseMaskBand>true</UseMaskBand>"
    nodata = part.nodata[band - 1]
    if nodata is not None:
        return f"<NODATA>{nodata!r}</NODATA>"
    return "" if part.palette is not None else "<NODATA>0</NODATA>"  # a black frame that isn't declared


def _is_masked_by_values(part: _Part) -> bool:
    """Whether all bands together say what is left out of a source: else the bands of two would mix."""
    return len(part.dtypes) > 1 and not part.has_mask and (part.has_nodata or not part.has_alpha)


def _with_own_mask(part: _Part) -> str | None:
    """The text of a VRT of one source whose mask tells which pixels are no data, or black where none is declared."""
    if not _is_masked_by_values(part):
        return None
    box = (0, 0, part.width, part.height)
    lines = [f'<VRTDataset rasterXSize="{part.width}" rasterYSize="{part.height}">']
    for band, dtype in enumerate(part.dtypes, 1):
        lines.append(f'<VRTRasterBand dataType="{_gdal_type(dtype)}" band="{band}">')
        lines.append(_placed(part, box, str(band), dtype, "") + "</VRTRasterBand>")
    lines.append('<MaskBand><VRTRasterBand dataType="Byte">')
    telling = [band for band, nodata in enumerate(part.nodata, 1) if nodata is not None or not part.has_nodata]
    telling = [band for band in telling if part.colours[band - 1] != ColorInterp.alpha] or telling
    # 0 and 8-bit values may be colour in one band, as for a single file
    any_band = all(part.nodata[band - 1] == 0 or part.dtypes[band - 1] == "uint8" for band in telling)
    for band in telling:
        dtype = part.dtypes[band - 1]
        if not part.has_nodata:
            lines.append(_placed(part, box, str(band), dtype, "<NODATA>0</NODATA>" + _EVERYWHERE))
        elif any_band:  # drawn one above the other without their zeros, or without all else
            lines.append(_placed(part, box, f"mask,{band}", "uint8", "<NODATA>0</NODATA>"))
        else:
            keep = "<NODATA>255</NODATA>" if band != telling[0] else ""
            lines.append(_placed(part, box, f"mask,{band}", "uint8", keep))
    return "".join([*lines, "</VRTRasterBand></MaskBand></VRTDataset>"])


def _placed(part: _Part, box: Box, band: str, dtype: str, left_out: str, opened: str | None = None) -> str:
    col, row, width, height = box
    down, across = part.block
    kind = "ComplexSource" if left_out else "SimpleSource"
    return (
        f'<{kind}><SourceFilename relativeToVRT="0">{escape(opened or part.opened)}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand>"
        f'<SourceProperties RasterXSize="{width}" RasterYSize="{height}" DataType="{_gdal_type(dtype)}" '
        f'BlockXSize="{across}" BlockYSize="{down}"/><SrcRect xOff="0" yOff="0" xSize="{width}" ySize="{height}"/>'
        f'<DstRect xOff="{col}" yOff="{row}" xSize="{width}" ySize="{height}"/>{left_out}</{kind}>'
    )


def _gdal_type(dtype: str) -> str:
    return _GDAL_TYPES.get(dtype, np.dtype(dtype).name.capitalize().replace("Uint", "UInt"))
