"""What a scene may be named by, and what GDAL opens for it: files, archives, URLs, folders, lists.

Several rasters become one mosaic: a VRT written here, so that they are read as if they were one file.
"""

from __future__ import annotations

import math
import os
import re
import tarfile
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT

from lposs_geo.errors import SceneError, one_line

__all__ = ["Box", "Source", "Warp", "files_of", "is_remote", "on_disk", "open_source", "resolve", "scenes_in"]

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

REMOTE_OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no requests for sidecars that a web server seldom has
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

MAP_TAG = "LPOSS_GEO_VERSION"
"""In the tags of every map that this program wrote."""

SNAP = 0.02
"""Px by which the pixels of a mosaic's sources may lie beside each other without a notice."""

MOST_NAMED = 12
"""Of a container's contents, in a message."""

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
        called = self.opened.rpartition("/")[2]
        return said.replace(called, self.path.rpartition("/")[2]) if "?" in called else said


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
    """

    source_crs: str
    crs: str
    resampling: str
    nodata: float | None
    in_all_bands: bool
    height: float | None


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
        if not parts:
            raise SceneError("no scene is named")
        if len(parts) == 1:
            return Source(*parts[0])
        return _mosaic(f"{parts[0][0]} and {len(parts) - 1} more", parts)
    path, opened = _single(source)
    place = on_disk(opened)
    if place is not None and place.is_dir():
        found = scenes_in(place)
        if len(found) > 1:
            return _mosaic(path, [(str(file), str(file)) for file in found])
        if found:
            return Source(str(found[0]), str(found[0]))
        if not _is_raster(opened):  # some formats are folders
            raise SceneError(f"folder '{path}' holds no raster (a picture counts only with its world file)")
    return Source(path, opened)


def scenes_in(folder: str | Path) -> list[Path]:
    """The rasters directly in a folder, by name; sidecars, maps of this program and plain pictures are none.

    Raises
    ------
    SceneError
        If it is no folder, or can't be listed.
    """
    try:
        files = sorted(file for file in Path(folder).iterdir() if file.is_file() and not file.name.startswith("."))
    except OSError as error:
        raise SceneError(f"folder '{folder}' can't be listed: {error.strerror or error}") from error
    return [file for file in files if _is_scene(file)]


def is_remote(opened: str) -> bool:
    """Whether reading goes over the net."""
    return any(f"/{system}" in opened for system in REMOTE)


def on_disk(name: str) -> Path | None:
    """The file or folder of that name on this machine, if there is one."""
    try:
        return Path(name) if Path(name).exists() else None
    except OSError:  # an URL or a VRT's text may be longer than a file's name can be
        return None


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
    with ExitStack() as stack:
        if is_remote(opened):
            options = {name: value for name, value in REMOTE_OPTIONS.items() if name not in os.environ}
            stack.enter_context(rasterio.Env(**options))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                dataset = stack.enter_context(rasterio.open(opened))
        except RasterioError as error:
            reason = source.reason(error)
            if "Range downloading not supported" in reason:
                reason = "its server sends no parts of files: download it first"
            raise SceneError(f"'{path}' can't be opened as a raster: {reason}") from error
        if dataset.count == 0:
            inside = _listed(list(dataset.subdatasets))
            raise SceneError(f"'{path}' holds no raster of its own; name one of its subdatasets instead: {inside}")
        yield dataset if warp is None else stack.enter_context(_warped(dataset, warp, source))


def files_of(source: Source, dataset: rasterio.DatasetReader) -> set[str]:
    """All files that a source is read from, sidecars and archives among them; a VRT's own sources and theirs."""
    found = set(source.files) or {source.opened}
    for name in set(dataset.files) - found:
        found.add(name)
        if name.lower().endswith(".vrt"):
            inner = Source(name, name)
            with open_source(inner) as inside:
                found |= files_of(inner, inside)
    return found | {archive for name in found if (archive := _archive_of(name))}


def _archive_of(name: str) -> str | None:
    """The archive on this machine that a file of one of GDAL's own names lies in."""
    if not name.startswith("/vsi"):
        return None
    inner = Path(name.split("/", 2)[2])
    return next((str(place) for place in inner.parents if on_disk(str(place)) and place.is_file()), None)


def _single(source: str | Path) -> tuple[str, str]:
    """What the user called a single source, and what GDAL opens for it."""
    path = str(source)
    scheme, colon, rest = path.partition(":/")
    if colon and scheme.casefold() in SCHEMES:
        # messages and the map's tags tell neither a key in the query nor a password
        shown = re.sub(r"^[^/@]*@", "", rest.lstrip("/").partition("?")[0])
        return f"{scheme}://{shown}", SCHEMES[scheme.casefold()] + rest.lstrip("/")
    if path.casefold().startswith("file://"):
        return path, path[len("file://") :]
    place = on_disk(path)
    if place is not None and place.is_file():
        if zipfile.is_zipfile(path) and path.casefold().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                return path, _inside(path, "vsizip", archive.namelist())
        if re.search(r"\.(tar|tgz|tar\.gz)$", path.casefold()) and tarfile.is_tarfile(path):
            with tarfile.open(path) as bundle:
                return path, _inside(path, "vsitar", bundle.getnames())
    return path, path


def _inside(path: str, system: str, names: Sequence[str]) -> str:
    """The one raster in an archive."""
    suffixes = RASTER_SUFFIXES | set(PICTURE_SUFFIXES)
    rasters = sorted(name for name in names if Path(name).suffix.casefold() in suffixes)
    prefix = f"/{system}/{Path(path).resolve()}/"
    if not rasters:
        raise SceneError(f"archive '{path}' holds no raster")
    if len(rasters) > 1:
        inside = _listed([prefix + name for name in rasters])
        raise SceneError(f"archive '{path}' holds {len(rasters)} rasters; name one of them instead: {inside}")
    return prefix + rasters[0]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return (", ".join(names[:MOST_NAMED]) or "none") + more


def _is_scene(file: Path) -> bool:
    suffix = file.suffix.casefold()
    if suffix in PICTURE_SUFFIXES:
        worlds = (PICTURE_SUFFIXES[suffix], ".wld", suffix + "w")
        return any(file.with_suffix(world).exists() for world in worlds) or Path(f"{file}.aux.xml").exists()
    if suffix not in RASTER_SUFFIXES:
        return False
    if suffix not in (".tif", ".tiff"):
        return suffix != ".gpkg" or _is_raster(file)  # else a map's polygons, for instance
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(file) as dataset:
                return MAP_TAG not in dataset.tags()
    except RasterioError:  # a damaged scene is said to be one when it is opened
        return True


def _is_raster(path: str | Path) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path):
                return True
    except RasterioError:
        return False


@contextmanager
def _warped(dataset: rasterio.DatasetReader, warp: Warp, source: Source) -> Iterator[WarpedVRT]:
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
    aside = max(
        max(abs(col - place[0]), abs(row - place[1])) for place, col, row in zip(places, cols, rows, strict=True)
    )
    notice = f"the rasters of '{path}' don't lie on one pixel grid: they are moved by up to {aside:.2f} px"
    masked = any(part.has_mask or part.has_alpha or any(n is not None for n in part.nodata) for part in parts)
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
    with open_source(source) as dataset:
        flags = {flag for band in dataset.mask_flag_enums for flag in band}
        try:
            palette = dataset.colormap(1)
        except ValueError:
            palette = None
        return _Part(
            path=path,
            opened=str(Path(opened).resolve()) if on_disk(opened) else dataset.name,
            files=tuple(files_of(source, dataset)),
            height=dataset.height,
            width=dataset.width,
            transform=dataset.transform,
            crs=dataset.crs,
            dtypes=dataset.dtypes,
            nodata=tuple(None if n is None else float(n) for n in dataset.nodatavals),
            colours=dataset.colorinterp,
            palette=palette,
            descriptions=dataset.descriptions,
            scales=dataset.scales,
            offsets=dataset.offsets,
            block=dataset.block_shapes[0],
            has_mask=MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags,
        )


def _check_fits(part: _Part, first: _Part, path: str) -> None:
    """Refuse a source that can't be put beside the first one, with what differs."""
    if part.transform.is_identity:
        raise SceneError(f"'{part.path}' has no georeference, so where it lies in '{path}' isn't known")
    steps, wanted = ((t.a, t.b, t.d, t.e) for t in (part.transform, first.transform))
    # over a whole source the pixels may run apart by less than a hundredth
    tolerance = 0.01 * max(map(abs, wanted)) / max(part.width, part.height)
    resolution = f"pixels of {_size(part)} instead of {_size(first)} in the units of its coordinate system"
    for differs, how in (
        (part.crs != first.crs, f"{_name(part.crs)} instead of {_name(first.crs)}: warp it first, e.g. with gdalwarp"),
        (len(part.dtypes) != len(first.dtypes), f"{len(part.dtypes)} bands instead of {len(first.dtypes)}"),
        (part.dtypes != first.dtypes, f"{part.dtypes[0]} values instead of {first.dtypes[0]}"),
        (max(abs(a - b) for a, b in zip(steps, wanted, strict=True)) > tolerance, resolution),
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


def _size(part: _Part) -> str:
    t = part.transform
    return f"{math.hypot(t.a, t.d):g} x {math.hypot(t.b, t.e):g}"


def _name(crs: CRS | None) -> str:
    if crs is None:
        return "no CRS"
    return str(crs.to_string() if crs.to_epsg() else crs.to_dict().get("proj", "a CRS of its own"))


def _colours(part: _Part) -> str:
    return ", ".join(colour.name for colour in part.colours)


_GDAL_TYPES = {"uint8": "Byte", "complex64": "CFloat32", "complex128": "CFloat64"}


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
    for band, dtype in enumerate(first.dtypes, 1):
        lines.append(f'<VRTRasterBand dataType="{_gdal_type(dtype)}" band="{band}">')
        lines += _band_facts(first, band)
        for part, box in zip(parts, boxes, strict=True):
            lines.append(_placed(part, box, str(band), dtype, _left_out(part, band)))
        lines.append("</VRTRasterBand>")
    if all(nodata is None for nodata in first.nodata):
        # the gaps between sources, and what their own masks leave out
        lines.append('<MaskBand><VRTRasterBand dataType="Byte">')
        for part, box in zip(parts, boxes, strict=True):
            if part.has_mask:
                lines.append(_placed(part, box, "mask,1", "uint8", "<NODATA>0</NODATA>"))
            else:
                everywhere = "<ScaleOffset>255</ScaleOffset><ScaleRatio>0</ScaleRatio>"
                lines.append(_placed(part, box, "1", part.dtypes[0], everywhere))
        lines.append("</VRTRasterBand></MaskBand>")
    return "\n".join([*lines, "</VRTDataset>"])


def _band_facts(part: _Part, band: int) -> list[str]:
    """What is said of a band, in the order that GDAL writes it."""
    facts = []
    description, nodata = part.descriptions[band - 1], part.nodata[band - 1]
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
    nodata = part.nodata[band - 1]
    if nodata is not None:
        return f"<NODATA>{nodata!r}</NODATA>"
    if part.has_mask or part.has_alpha:
        return "<UseMaskBand>true</UseMaskBand>"
    return "" if part.palette is not None else "<NODATA>0</NODATA>"  # a black frame that isn't declared


def _placed(part: _Part, box: Box, band: str, dtype: str, left_out: str) -> str:
    col, row, width, height = box
    down, across = part.block
    kind = "ComplexSource" if left_out else "SimpleSource"
    return (
        f'<{kind}><SourceFilename relativeToVRT="0">{escape(part.opened)}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand>"
        f'<SourceProperties RasterXSize="{width}" RasterYSize="{height}" DataType="{_gdal_type(dtype)}" '
        f'BlockXSize="{across}" BlockYSize="{down}"/><SrcRect xOff="0" yOff="0" xSize="{width}" ySize="{height}"/>'
        f'<DstRect xOff="{col}" yOff="{row}" xSize="{width}" ySize="{height}"/>{left_out}</{kind}>'
    )


def _gdal_type(dtype: str) -> str:
    return _GDAL_TYPES.get(dtype, np.dtype(dtype).name.capitalize().replace("Uint", "UInt"))
