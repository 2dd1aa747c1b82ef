"""Opening a raster: options for servers, sidecars, warping, and all files that it is read from."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import rasterio
import rasterio.shutil
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT

from lposs_geo import network
from lposs_geo.errors import SceneError, escaped, one_line
from lposs_geo.files.odd_names import is_plain, unlinked
from lposs_geo.files.odd_text import as_vrt
from lposs_geo.hints import Notice
from lposs_geo.limits import advice_on_files, open_files
from lposs_geo.scene.names import listed, names_remote, on_disk, shown, without_secrets
from lposs_geo.scene.references import is_remote, leaves, sources_of
from lposs_geo.scene.snapshots import Snapshot

# what WarpedVRT raises, for which rasterio has no public name
CPLE_BaseError = getattr(importlib.import_module("rasterio._err"), "CPLE_BaseError", RasterioError)

__all__ = ["Box", "Raster", "Warp", "files_of", "open_raster", "remote_options"]

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
"""Options with which reading over the net needs few requests and never hangs; the environment's own settings win."""

PROBES = "TRUE"
"""Of GDAL_DISABLE_READDIR_ON_OPEN: headers and masks beside a file are asked for one by one, no folder is listed."""

ALONE = (".tif", ".tiff", ".jp2", ".j2k", ".ntf", ".nitf", ".vrt")
"""Endings of rasters that need no header beside them."""

ENOUGH_FILES = 1024
"""Open files that a process may have, from which on GDAL's own number of a mosaic's open parts is no trouble."""

OTHER_FILES = 32
"""Files that a run has open beside the parts of a mosaic."""

Box = tuple[int, int, int, int]
"""First column and row, width and height, px."""


@dataclass(frozen=True)
class Raster:
    """A raster by its names: all that it takes to open it, in any thread.

    Attributes
    ----------
    path : str
        Its name in messages: the user's.
    opened : str
        Its name for GDAL: a file, one of GDAL's own names, or the text of a VRT.
    files : tuple of str
        A mosaic's parts; empty for a single raster.
    boxes : tuple of Box
        Where they lie in the mosaic.
    block : (int, int) or None
        Rows and cols of the widest block of them.
    masked : bool
        True if a mosaic's parts say themselves what is valid of them. A mosaic always has a mask, for the gaps.
    notices : tuple of Notice
        Doubts about it.
    memory : tuple of Snapshot
        Copies of what of it lies in memory, for as long as the raster is used.
    """

    path: str
    opened: str
    files: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    block: tuple[int, int] | None = None
    masked: bool = True
    notices: tuple[Notice, ...] = ()
    memory: tuple[Snapshot, ...] = field(default=(), compare=False, repr=False)

    def reason(self, error: Exception) -> str:
        """GDAL's words for an error, with the user's name for the raster instead of GDAL's."""
        text = one_line(error.__cause__ or error).rstrip(".").replace(one_line(self.opened), self.path)
        text = re.sub(r"<VRTDataset.*(</VRTDataset>|$)", lambda _: self.path, text)
        for name in (self.opened, *self.files):
            query = "" if name.startswith("<") else "".join(name.partition("?")[1:])
            text = text.replace(query, "") if len(query) > 1 else text
        return without_secrets(escaped(unlinked(text)))


@dataclass(frozen=True)
class Warp:
    """The way to a north-up grid of a scene that is located only by points or a sensor's model.

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
        True if a pixel is invalid only where all bands hold it.
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


@contextmanager
def open_raster(raster: Raster, warp: Warp | None = None) -> Iterator[rasterio.DatasetReader]:
    """Open what `resolve` found, on its own grid or warped to a north-up one.

    Raises
    ------
    SceneError
        If it is no raster, or only holds others.
    """
    opened, path = raster.opened, raster.path
    # GDAL's own names have a colon (a subdataset), begin with /vsi, or are a VRT's text
    if not (":" in opened or opened.startswith(("/vsi", "<")) or on_disk(opened)):
        raise SceneError(f"no such file: '{path}'")
    if not is_plain(opened):
        raise SceneError(
            f"'{path}' isn't UTF-8, as GDAL's own names for parts of files must be", hint="rename the file"
        )
    if network.is_forbidden() and (is_remote(opened) or any(map(network.is_of_net, _unfound(opened)))):
        raise SceneError(network.refusal(path), hint=network.HINT)
    with ExitStack() as stack:
        options = remote_options(opened)
        # a packed archive gets no index beside it: the folder is the user's
        stack.enter_context(rasterio.Env(CPL_VSIL_GZIP_WRITE_PROPERTIES="NO", **_few_files(), **options))
        try:
            dataset = stack.enter_context(_opened(opened, stack, options))
        except (RasterioError, UnicodeError) as error:
            reason = raster.reason(error)
            if "Range downloading not supported" in reason:
                raise SceneError(
                    f"'{path}' can't be opened as a raster: its server sends no parts of files",
                    hint="download it first",
                ) from error
            raise SceneError(f"'{path}' can't be opened as a raster: {reason}", hint=advice_on_files(error)) from error
        _check_sidecar(dataset, raster)
        if dataset.count == 0:
            inside = listed([shown(name) for name in dataset.subdatasets])
            raise SceneError(
                f"'{path}' holds no raster of its own", hint=f"name one of its subdatasets instead: {inside}"
            )
        yield dataset if warp is None else stack.enter_context(_warped(dataset, warp, raster))


def _unfound(opened: str) -> list[str]:
    """Names that a raster leads to and that are no files of this machine."""
    return [name for name in leaves(opened) if not on_disk(name)]


def _check_sidecar(dataset: rasterio.DatasetReader, raster: Raster) -> None:
    """Refuse a raster of which GDAL can't read all that is said: of some it looks only when it is asked for it."""
    try:
        for _ in (dataset.tags(), dataset.crs, dataset.gcps, dataset.nodatavals):
            pass
        with suppress(ValueError):  # a newer GDAL knows more colours than rasterio does
            dataset.colorinterp  # noqa: B018
    except (RasterioError, CPLE_BaseError) as error:
        raise SceneError(
            f"'{raster.path}' has metadata that can't be read ({raster.reason(error)})",
            hint="correct the .aux.xml beside it, if there is one, or its coordinate reference system, e.g. with rio "
            "edit-info --crs",
        ) from error


def _few_files() -> dict[str, str]:
    """The option for the parts of a mosaic that GDAL may keep open, where the system allows this process few files."""
    most = open_files()
    if most is None or most >= ENOUGH_FILES or "GDAL_MAX_DATASET_POOL_SIZE" in os.environ:
        return {}
    return {"GDAL_MAX_DATASET_POOL_SIZE": str(max(2, (most - OTHER_FILES) // 2))}


def _opened(opened: str, stack: ExitStack, options: dict[str, str]) -> rasterio.DatasetReader:
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
    """True if a server has answered GDAL's first question, for the header alone, with anything but yes or no."""
    reason = str(error.__cause__ or error)
    code = re.search(r"HTTP response code: (\d+)", reason)
    no_answer = re.search("does not exist|Empty reply|reset by peer", reason)
    refused = no_answer is not None if code is None else code[1] not in ("404", "410")
    return opened.startswith("/vsicurl/") and refused


def remote_options(opened: str) -> dict[str, str]:
    """GDAL's options for what is read over the net; none for what isn't."""
    names = list(leaves(opened))
    if not any(names_remote(name) for name in names):
        return {}
    # no requests for sidecars that a web server seldom has
    options = REMOTE_OPTIONS | {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
    if (names != [opened] or on_disk(opened)) and not all(
        names_remote(name) and name.partition("?")[0].casefold().endswith(ALONE) for name in names
    ):
        options["GDAL_DISABLE_READDIR_ON_OPEN"] = PROBES  # else headers and masks of other sources would be hidden
    return {name: value for name, value in options.items() if name not in os.environ}


def files_of(raster: Raster, dataset: rasterio.DatasetReader) -> set[str]:
    """All files that a raster is read from, sidecars and archives among them; a VRT's own sources and theirs."""
    files = set(raster.files) or {raster.opened}
    if raster.opened.startswith("<") and not raster.files:  # of which GDAL lists no files
        files |= set(leaves(raster.opened))
    _add_files(raster.opened, dataset, files)
    return files | {archive for name in files if (archive := _archive_of(name))}


def _add_files(opened: str, dataset: rasterio.DatasetReader, files: set[str]) -> None:
    try:
        names = set(dataset.files)
    except UnicodeDecodeError:
        names = set(sources_of(opened))
    for name in names - files:
        if name in files or name.startswith("<"):  # a part of a mosaic within the mosaic's own text
            continue
        files.add(name)
        if name.lower().endswith(".vrt"):
            with open_raster(Raster(name, name)) as inside:
                _add_files(name, inside, files)


def _archive_of(name: str) -> str | None:
    """The archive on this machine that a file of one of GDAL's own names lies in."""
    if not re.match("/vsi[^/?]*/", name):  # an URL may be a part of a query
        return None
    if name.startswith("/vsisubfile/"):
        whole = name.partition(",")[2]
        return _archive_of(whole) or (whole if on_disk(whole) else None)
    inner = Path(name.split("/", 2)[2])
    return next((str(path) for path in (inner, *inner.parents) if on_disk(str(path)) and path.is_file()), None)


@contextmanager
def _warped(dataset: rasterio.DatasetReader, warp: Warp, raster: Raster) -> Iterator[WarpedVRT]:
    if warp.mistagged:  # GDAL would take them for the mask
        with _without_tags(dataset, warp.mistagged) as plain, _warped(plain, replace(warp, mistagged=()), raster) as it:
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
        reason = raster.reason(error)
        raise SceneError(f"'{raster.path}' can't be warped to a north-up grid: {reason}") from error
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
