"""Opening a scene: any raster becomes a masked RGB array in 0..1, the same way for every window.

Bands, radiometry and what is valid are decided once for the whole scene, so that a pixel never depends on the window it
is read in.
"""

from __future__ import annotations

import logging
import math
import re
import warnings
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate, count, pairwise
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.rpc import RPC
from rasterio.windows import Window

from lposs_geo.bands import BandFacts, Choice, by_contrast, choose, is_opacity
from lposs_geo.errors import OutputError, SceneError, one_line
from lposs_geo.ground import Grid, utm_zone
from lposs_geo.outputs import room_left
from lposs_geo.radiometry import Radiometry, as_stored, contrasts, eight_bit, frame_values, frames, stretched
from lposs_geo.sources import Source, Warp, files_of, is_remote, on_disk, open_source, remote_options, resolve
from lposs_geo.tiling import resample

__all__ = [
    "Layers",
    "Scene",
    "SceneReader",
    "copy_in_tiles",
    "describe",
    "identity",
    "is_slow_in_tiles",
    "open_scene",
]

log = logging.getLogger(__name__)

# Set once: to suppress a warning where it comes up isn't safe in threads.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module=r"lposs_geo\.")

SAMPLE_SIZE = 1024
"""Longer side, px, of the decimated read that the percentiles are taken from."""

LEAST_SHARE = 0.2
"""Of one valid pixel in a resampled one that is valid itself; less comes only from the kernel's negative lobes."""

COPY_BLOCK = 512
"""Px of the tiles of a copy."""

LARGEST = 1e38
"""No float beyond it is a measurement: programs write the least or the greatest float32 for no data, more or less."""

SAMPLE_PARTS, LEAST_PART = 8, 256
"""Into how many parts a side a damaged scene is cut for the reduced read, and how many px one has at least."""


@dataclass(frozen=True)
class Layers:
    """Which stored values make the picture, and which of them count.

    Attributes
    ----------
    bands : tuple of int
        Bands, from 1, taken as red, green and blue.
    alphas : tuple of int
        Bands that are 0 where a pixel is invalid.
    palette : bytes or None
        Where the one band holds indices: red, green, blue and alpha of each, from 0 on.
    frame_value : float or None
        A pixel that holds it in all bands is invalid, though the file doesn't say so.
    """

    bands: tuple[int, int, int]
    alphas: tuple[int, ...] = ()
    palette: bytes | None = None
    frame_value: float | None = None


@dataclass(frozen=True)
class Scene:
    """One raster, or a mosaic of several, and how it is to be read.

    Attributes
    ----------
    source : Source
        What it is read from.
    files : tuple of str
        All files that it is read from: those a VRT refers to, sidecars.
    grid : Grid
        Its pixels and where they lie.
    layers : Layers
    bands_reason : str
        Why these bands.
    dtype : str
        Of the stored values.
    radiometry : Radiometry
    checksum : int
        Of a sample of its valid values: tells a file that was changed where its size and time can't be asked for.
    warp : Warp or None
        How it is put on a north-up grid, where it is.
    notices : tuple of str
        What the user should know about how it is read, a line each.
    lost : tuple of (int, int, str)
        Of a copy: rows, from the first to before the last, that couldn't be copied, and why.
    """

    source: Source
    files: tuple[str, ...]
    grid: Grid
    layers: Layers
    bands_reason: str
    dtype: str
    radiometry: Radiometry
    checksum: int
    warp: Warp | None = None
    notices: tuple[str, ...] = ()
    lost: tuple[tuple[int, int, str], ...] = ()

    @property
    def path(self) -> str:
        """What the user called it."""
        return self.source.path

    @property
    def name(self) -> str:
        """The last part of `path`."""
        return Path(self.path).name or self.path

    @property
    def bands(self) -> tuple[int, int, int]:
        """Bands, from 1, taken as red, green and blue."""
        return self.layers.bands


_TURNS = count()
"""Tells each opening of a mosaic from the ones before."""

_SPOILT = set[str]()
"""Mosaics of which a read has failed in this process."""


class _Handle:
    """An open dataset, which is read until a read fails.

    A mosaic's part that GDAL couldn't open once it takes for empty from then on, without a word: so each later read
    opens the source anew.
    """

    def __init__(self, source: Source, dataset: rasterio.DatasetReader, warp: Warp | None = None) -> None:
        self.source, self.dataset, self.warp = source, dataset, warp
        self._is_spoilt = source.opened in _SPOILT
        self._options = remote_options(source.opened)
        if dataset.driver != "VRT":  # whose parts are opened only when they are read
            self._options.pop("GDAL_DISABLE_READDIR_ON_OPEN", None)

    def over_net(self) -> AbstractContextManager[object]:
        """The options for reading over the net, which hold only in the thread that sets them."""
        return rasterio.Env(**self._options) if self._options else nullcontext()

    def load(self, layers: Layers, window: Window, shape: tuple[int, int]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read stored values (3, rows, cols) and what is valid (rows, cols), by nearest neighbour where reduced."""
        if self._is_spoilt:
            with open_source(self._afresh(), self.warp) as dataset:
                return _load(dataset, self.source, layers, window, shape)
        try:
            with self.over_net():
                return _load(self.dataset, self.source, layers, window, shape)
        except SceneError:
            self._is_spoilt = True
            if self.dataset.driver == "VRT":
                _SPOILT.add(self.source.opened)
            raise

    def _afresh(self) -> Source:
        """The source so that GDAL doesn't find again what it remembers of parts that it couldn't open.

        It does so by their names and options, for as long as any mosaic is open; one that begins with @ has no effect.
        """
        vrt = self.source.opened
        if not vrt.startswith("<"):
            with open_source(self.source) as dataset:
                if dataset.driver != "VRT":
                    return self.source
                vrt = dataset.tags(ns="xml:VRT")["xml:VRT"]
            folder = escape(Path(self.source.opened).parent.as_posix())
            vrt = re.sub(r'relativeToVRT="1"([^>]*)>', lambda tag: f'relativeToVRT="0"{tag[1]}>{folder}/', vrt)
        end, option = "</SourceFilename>", f'<OOI key="@TURN">{next(_TURNS)}</OOI>'
        if "<OpenOptions>" in vrt:
            vrt = vrt.replace("<OpenOptions>", f"<OpenOptions>{option}")
        else:
            longer = f"{end}<OpenOptions>{option}</OpenOptions>"
            vrt = vrt.replace(end, longer).replace(escape(end), escape(longer))  # a part may be a VRT's text itself
        return replace(self.source, opened=vrt)

    def load_reduced(
        self, layers: Layers, longest_side: int, window: Window | None = None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read a window, or the whole, so that its longer side is at most `longest_side` px."""
        window = window or Window(0, 0, self.dataset.width, self.dataset.height)
        shrink = min(1.0, longest_side / max(window.height, window.width))
        return self.load(layers, window, (_shrunk(window.height, shrink), _shrunk(window.width, shrink)))


@dataclass
class SceneReader:
    """An open scene.

    Attributes
    ----------
    scene : Scene
    dataset : rasterio.DatasetReader
    """

    scene: Scene
    dataset: rasterio.DatasetReader
    _handle: _Handle = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._handle = _Handle(self.scene.source, self.dataset, self.scene.warp)

    def read(self, window: Window, zoom: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a window inside the scene.

        Parameters
        ----------
        window : Window
            In px of the scene seen at `zoom`.
        zoom : float
            Above 1 the scene is enlarged, below 1 reduced.

        Returns
        -------
        image : (3, rows, cols) float32
            RGB in 0..1; 0 where nothing is valid.
        valid : (rows, cols) bool
            False for nodata, transparent and non-finite pixels.

        Raises
        ------
        SceneError
            If the file is damaged there.
        """
        if zoom != 1.0:
            return self._read_zoomed(window, zoom)
        for first, stop, reason in self.scene.lost:
            if first < window.row_off + window.height and window.row_off < stop:
                raise SceneError(reason)
        shape = int(window.height), int(window.width)
        return self._stretch(*self._handle.load(self.scene.layers, window, shape))

    def _read_zoomed(self, window: Window, zoom: float) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        grid, reach = self.scene.grid, math.ceil(2 * max(1.0, 1.0 / zoom)) + 1  # cubic convolution sees two px around
        shape = int(window.height), int(window.width)
        rows = _span(window.row_off, window.height, zoom, grid.height)
        cols = _span(window.col_off, window.width, zoom, grid.width)
        top, left = max(0, int(rows[0]) - reach), max(0, int(cols[0]) - reach)
        bottom, right = min(grid.height, math.ceil(rows[1]) + reach), min(grid.width, math.ceil(cols[1]) + reach)
        image, valid = self.read(Window(left, top, right - left, bottom - top))
        box = rows[0] - top, cols[0] - left, rows[1] - top, cols[1] - left
        seen = resample(image, box, shape)
        if not valid.all():  # what is missing is black and mustn't run into its neighbours: only valid shares count
            least = LEAST_SHARE * min(1.0, zoom**2)
            seen /= resample(valid[None].astype(np.float32), box, shape).clip(least)
        image = seen.clip(0.0, 1.0)
        valid = _resample_valid(valid, (top, left), (window.row_off, window.col_off), shape, zoom)
        image[:, ~valid] = 0.0
        return image, valid

    def may_hold_data(self, window: Window, zoom: float = 1.0) -> bool:
        """Whether a window, in px of the scene seen at `zoom`, may hold valid pixels, without reading it.

        False only for the holes of a sparse GeoTIFF, whose blocks were never written, and the gaps of a mosaic.
        """
        first_row, last_row = _span(window.row_off, window.height, zoom, self.scene.grid.height)
        first_col, last_col = _span(window.col_off, window.width, zoom, self.scene.grid.width)
        start, stop = (first_row, first_col), (last_row, last_col)
        if not _is_covered(self.scene.source, start, stop):
            return False
        with self._handle.over_net():
            return _is_written(self.dataset, self.scene.layers, start, stop)

    def overview(
        self, longest_side: int, window: Window | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read the whole scene or a window of it, reduced so that the longer side is at most `longest_side` px."""
        return self._stretch(*self._handle.load_reduced(self.scene.layers, longest_side, window))

    def _stretch(self, values: NDArray[Any], valid: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        image = self.scene.radiometry.apply(values)
        image[:, ~valid] = 0.0
        return image, valid


def describe(
    path: str | Path | Sequence[str | Path],
    *,
    bands: str | Sequence[int | str] | None = None,
    scale: tuple[float, float] | None = None,
    collar: bool = True,
    warp: bool = False,
) -> Scene:
    """Look at a raster and decide how it is to be read.

    Parameters
    ----------
    path : str, Path, or sequence of them
        Anything that GDAL opens, an URL, a zip with one raster; a folder or a list of rasters is one mosaic.
    bands : str or sequence of int or str, optional
        A preset (rgb, nrg, s2, naip, landsat, planet), or the bands to take as red, green and blue, by number or name;
        a single one is seen as grey. By default they are found by colour interpretation, by description, by wavelength,
        or by the customary order.
    scale : (float, float), optional
        Physical values that become black and white in all bands. By default 8-bit data is taken as it is, and
        everything else is stretched between percentiles of each band.
    collar : bool
        Whether a frame of one value around the picture, black mostly, is nodata where the file declares none.
    warp : bool
        Put a scene that is located only by ground control points or RPCs on a north-up grid.

    Raises
    ------
    SceneError
        If there is no such file, it is no raster or damaged, a band isn't there, it has no valid pixel, or it can't be
        located.
    ParameterError
        If `scale` isn't two finite numbers, the lower one first.
    """
    source = resolve(path)
    with open_source(source) as dataset:
        files = files_of(source, dataset)
        _check_parts(dataset, source, files)
        _check_georeference(dataset, source, warp)
        handle = _Handle(source, dataset)
        layers, choice, alpha_notices = _choose_layers(handle, bands)
        layers, sample, sample_notices = _sample_layers(handle, layers, collar)
        if choice.is_guess:
            choice, layers, sample = _by_contrast(handle, choice, layers, sample)
        radiometry = _fix_radiometry(dataset, layers, sample, scale)
        how = _warp_for(dataset, layers)
        if how is None:
            grid, place_notices = _place(dataset, source)
    if how is not None:
        layers, grid, place_notices = _place_warped(source, how, layers)
    return Scene(
        source=source,
        files=tuple(sorted(files)),
        grid=grid,
        layers=layers,
        bands_reason=choice.reason,
        dtype=str(sample.dtype),
        radiometry=radiometry,
        checksum=zlib.crc32(np.ascontiguousarray(sample).data),
        warp=how,
        notices=(*source.notices, *choice.notices, *alpha_notices, *sample_notices, *place_notices),
    )


def identity(scene: Scene) -> dict[str, object]:
    """What tells a scene from every other one, and from itself once it was changed, ready for JSON."""
    grid, layers, opened = scene.grid, scene.layers, scene.source.opened
    place, files = on_disk(opened), [file for name in scene.files if (file := on_disk(name)) and file.is_file()]
    return {
        # an URL may hold a key, and a VRT's text is long
        "source": zlib.crc32(_lasting(opened).encode()) if place is None else str(place.resolve()),
        "files": {str(file.resolve()): [file.stat().st_size, file.stat().st_mtime_ns] for file in files},
        "shape": [grid.height, grid.width],
        "crs": grid.crs.to_wkt() if grid.crs else None,
        "transform": list(grid.transform)[:6],
        "bands": scene.bands,
        "alphas": layers.alphas,
        "palette": None if layers.palette is None else zlib.crc32(layers.palette),
        "frame_value": layers.frame_value,
        "warp": None if scene.warp is None else asdict(scene.warp),
        "dtype": scene.dtype,
        "low": scene.radiometry.low,
        "high": scene.radiometry.high,
        "checksum": scene.checksum,
    }


def _lasting(opened: str) -> str:
    """What GDAL opens without what changes from run to run: an URL's signature, the folder that a path begins in."""
    if is_remote(opened):
        return re.sub(r"\?[^<>\s]*|//[^/@<>\s]*@", "", opened)
    if opened.startswith("<"):
        return opened
    pieces = [piece.strip('"') for piece in opened.split(":")]
    return ":".join(str(Path(piece).resolve()) if piece and on_disk(piece) else piece for piece in pieces)


@contextmanager
def open_scene(scene: Scene) -> Iterator[SceneReader]:
    """Open a described scene for reading; one reader serves one thread at a time."""
    with open_source(scene.source, scene.warp) as dataset:
        yield SceneReader(scene, dataset)


def is_slow_in_tiles(scene: Scene, cache: int) -> bool:
    """Whether reading tile by tile would decode the same strips many times.

    Parameters
    ----------
    scene : Scene
    cache : int
        Bytes of decoded blocks that are kept; a scene that fits is decoded once anyway.
    """
    with open_source(scene.source, scene.warp) as dataset:
        _, width = _block(dataset, scene)
        itemsize = sum(np.dtype(dtype).itemsize for dtype in dataset.dtypes)
        return bool(width > 4 * COPY_BLOCK and dataset.height * dataset.width * itemsize > cache)


def copy_in_tiles(scene: Scene, path: Path) -> Scene:
    """Copy a scene's three bands and what is valid of them once, from top to bottom, into a tiled file.

    Parameters
    ----------
    scene : Scene
    path : Path
        GeoTIFF to write.

    Returns
    -------
    Scene
        The copy; it reads as the original does, pixel by pixel, and where the original is damaged it can't be read
        either.

    Raises
    ------
    SceneError
        If nothing can be read.
    OutputError
        If the copy can't be written.
    """
    grid = scene.grid
    profile = {
        "driver": "GTiff", "count": 3, "height": grid.height, "width": grid.width, "crs": grid.crs,
        "transform": grid.transform, "dtype": scene.dtype, "photometric": "minisblack", "tiled": True,
        "blockxsize": COPY_BLOCK, "blockysize": COPY_BLOCK, "compress": "lzw", "bigtiff": "if_safer",
        "interleave": "pixel",
    }  # fmt: skip
    with open_source(scene.source, scene.warp) as dataset, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        # as many rows as one row of the copy's blocks has, or a strip of the original if that is higher
        strip = _block(dataset, scene)[0]
        rows = COPY_BLOCK * max(1, strip // COPY_BLOCK)
        handle, lost = _Handle(scene.source, dataset, scene.warp), list[tuple[int, int, str]]()
        try:
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as copy:
                for top in range(0, grid.height, rows):
                    window = Window(0, top, grid.width, min(rows, grid.height - top))
                    for part, values, valid in _in_strips(handle, scene.layers, window, strip, lost):
                        copy.write(values, window=part)
                        copy.write_mask(valid, window=part)
        except (RasterioError, OSError) as error:
            if isinstance(error, SceneError):
                raise
            reason = one_line(error.__cause__ or error)
            raise OutputError(f"can't copy '{scene.path}' into tiles: {reason}{room_left(path.parent)}") from error
    if sum(stop - first for first, stop, _ in lost) == grid.height:
        raise SceneError(lost[0][2])
    return replace(scene, source=Source(str(path), str(path)), layers=Layers((1, 2, 3)), warp=None, lost=tuple(lost))


def _in_strips(
    handle: _Handle, layers: Layers, window: Window, height: int, lost: list[tuple[int, int, str]]
) -> Iterator[tuple[Window, NDArray[Any], NDArray[np.bool_]]]:
    """A window at once, or where it is damaged strip by strip: what can't be read is added to `lost`."""
    try:
        whole = handle.load(layers, window, (window.height, window.width))
    except SceneError as error:
        log.warning("%s", error)
    else:
        yield window, *whole
        return
    bottom = window.row_off + window.height
    for top in range(window.row_off, bottom, height):
        strip = Window(window.col_off, top, window.width, min(height, bottom - top))
        try:
            part = handle.load(layers, strip, (strip.height, strip.width))
        except SceneError as error:
            lost.append((top, top + strip.height, str(error)))
        else:
            yield strip, *part


def _check_parts(dataset: rasterio.DatasetReader, source: Source, files: Collection[str]) -> None:
    """Refuse a VRT of which a part is missing: GDAL would see nothing there."""
    if dataset.driver != "VRT":
        return
    for name in sorted(files):
        is_plain = not (name.startswith("/vsi") or ":" in name or "<" in name)
        if is_plain and on_disk(name) is None:
            raise SceneError(f"'{source.path}' refers to '{name}', which isn't there")


def _check_georeference(dataset: rasterio.DatasetReader, source: Source, warp: bool) -> None:
    """Refuse what has no grid on the ground, or one that can't be used."""
    if not (math.isfinite(dataset.transform.determinant) and dataset.transform.determinant):
        raise SceneError(
            f"'{source.path}' has a geotransform that gives its pixels no size, {tuple(dataset.transform)[:6]}: "
            "correct it first, e.g. with rio edit-info --transform"
        )
    by = _located_by(dataset)
    if warp and not by and dataset.transform.is_identity and dataset.tags(ns="RPC"):
        raise SceneError(f"'{source.path}' has RPCs that are incomplete or no numbers, so it can't be warped")
    if by and not warp:
        raise SceneError(f"'{source.path}' is located only by {by}: add --warp to map it on a north-up grid")
    if by == "ground control points" and not dataset.gcps[1]:
        raise SceneError(f"'{source.path}' has ground control points without a coordinate reference system")


def _located_by(dataset: rasterio.DatasetReader) -> str:
    """What locates a scene that has no geotransform; empty if it has one, or nothing does."""
    if not dataset.transform.is_identity:
        return ""
    return "ground control points" if dataset.gcps[0] else "RPCs" if _rpcs(dataset) is not None else ""


def _rpcs(dataset: rasterio.DatasetReader) -> RPC | None:
    """A sensor's model; none where it is incomplete."""
    try:
        return dataset.rpcs
    except (KeyError, ValueError):
        return None


def _place(dataset: rasterio.DatasetReader, source: Source) -> tuple[Grid, tuple[str, ...]]:
    """The grid a scene lies on, and what is to be known about it."""
    crs, path = dataset.crs or None, source.path
    notices: tuple[str, ...] = ()
    if crs is None:
        notices = (f"'{path}' has no coordinate reference system: neither will the map; areas are in its own units",)
    elif dataset.transform.is_identity:
        crs = None
        notices = (
            f"'{path}' has a coordinate reference system but doesn't say where in it the pixels lie: it is mapped as a "
            "picture without georeference",
        )
    return Grid(dataset.height, dataset.width, crs, dataset.transform), notices


def _warp_for(dataset: rasterio.DatasetReader, layers: Layers) -> Warp | None:
    """How a scene without a grid is put on one; None for the others."""
    by = _located_by(dataset)
    if not by:
        return None
    rpcs = None if by == "ground control points" else _rpcs(dataset)
    if rpcs is None:
        source_crs = crs = dataset.gcps[1]
    else:
        source_crs, crs = CRS.from_epsg(4326), utm_zone(rpcs.long_off, rpcs.lat_off)
    has_frame = layers.frame_value is not None and layers.palette is None  # else it is a colour's, not an index
    return Warp(
        source_crs=source_crs.to_wkt(),
        crs=crs.to_wkt(),
        resampling="nearest" if layers.palette is not None else "bilinear",
        nodata=layers.frame_value if has_frame else dataset.nodatavals[layers.bands[0] - 1],
        in_all_bands=has_frame or _may_be_colour(dataset, layers.bands),
        height=None if rpcs is None else float(rpcs.height_off),
        mistagged=tuple(
            band for band, colour in enumerate(_colours(dataset), 1) if colour == "alpha" and band not in layers.alphas
        ),
    )


def _place_warped(source: Source, how: Warp, layers: Layers) -> tuple[Layers, Grid, tuple[str, ...]]:
    """Layers and grid of a scene as it is warped; nodata or a new alpha band says where it is."""
    with open_source(source, how) as warped:
        alphas = tuple(band for band, colour in enumerate(_colours(warped), 1) if colour == "alpha")
        grid = Grid(warped.height, warped.width, warped.crs, warped.transform)
    notices: tuple[str, ...] = ()
    if how.height is not None:
        notices = (
            f"'{source.path}' is placed by RPCs at one height, {how.height:g} m: where the ground is higher or lower, "
            "the map is off",
        )
    frame_value = None if layers.palette is None else layers.frame_value  # else it has become nodata
    return replace(layers, alphas=alphas, frame_value=frame_value), grid, notices


def _choose_layers(handle: _Handle, asked: str | Sequence[int | str] | None) -> tuple[Layers, Choice, tuple[str, ...]]:
    """The bands to read, why these, and what is to be known about alpha bands and palettes."""
    dataset, source = handle.dataset, handle.source
    colours = _colours(dataset)
    tagged = [band for band, colour in enumerate(colours, 1) if colour == "alpha"]
    alphas = [band for band in tagged if _is_opacity(handle, band)]
    facts = BandFacts(
        source.path,
        dataset.dtypes,
        colours,
        tuple(text or "" for text in dataset.descriptions),
        tuple(_wavelength(dataset, band) for band in dataset.indexes),
        tuple(alphas),
    )
    asked = asked.strip().casefold() if isinstance(asked, str) else asked
    strange: tuple[str, ...] = ()
    if asked in (None, "rgb") and [colours[band - 1] for band in facts.usable] == ["palette"]:
        bands = (facts.usable[0],) * 3
        palette = _palette(dataset, bands[0])
        if palette is not None:
            return Layers(bands, tuple(alphas), palette), Choice(bands, "through the colour table"), ()
        strange = (f"'{source.path}' is said to hold indices, but has no colour table",)
    choice = choose(facts, asked)
    if any(dataset.dtypes[band - 1].startswith("complex") for band in choice.bands):
        raise SceneError(f"'{source.path}' holds complex numbers, not brightness: map a detected image instead")
    # A band that is asked for as a colour is no mask, whatever its tag says.
    layers = Layers(choice.bands, tuple(band for band in alphas if band not in choice.bands))
    mistaken = tuple(
        f"band {band} of '{source.path}' is tagged alpha, but varies as infrared does: it masks nothing"
        for band in tagged
        if band not in alphas
    )
    return layers, choice, strange + mistaken


def _colours(dataset: rasterio.DatasetReader) -> tuple[str, ...]:
    try:
        return tuple(colour.name for colour in dataset.colorinterp)
    except ValueError:  # a newer GDAL knows more colours than rasterio does
        return ("undefined",) * int(dataset.count)


def _is_opacity(handle: _Handle, band: int) -> bool:
    """Whether a band tagged alpha is one; infrared is often tagged so."""
    try:
        values, _ = handle.load_reduced(Layers((band, band, band)), SAMPLE_SIZE)
    except SceneError:  # damage that is said when the picture is read
        return True
    return is_opacity(values[0])


def _wavelength(dataset: rasterio.DatasetReader, band: int) -> float | None:
    """The centre of a band in nm, as GDAL 3.10 and ENVI write it."""
    micrometres = dataset.tags(band, ns="IMAGERY").get("CENTRAL_WAVELENGTH_UM")
    tags = {name.casefold(): value for name, value in dataset.tags(band).items()}
    try:
        if micrometres is not None:
            return 1000 * float(micrometres)
        length = float(tags.get("wavelength", "nan"))
    except ValueError:
        return None
    if not length > 0:
        return None
    is_micro = tags.get("wavelength_units", "").casefold().startswith(("mi", "um", "µ", "μ"))
    return 1000 * length if is_micro or length <= 100 else length


def _palette(dataset: rasterio.DatasetReader, band: int) -> bytes | None:
    """A colour table as bytes: red, green, blue and alpha of each index from 0 on; None where there is none."""
    try:
        entries = dataset.colormap(band)
    except ValueError:
        return None
    table = np.zeros((max(entries) + 1, 4), dtype=np.uint8)
    table[list(entries)] = list(entries.values())
    if not table[:, 3].any():  # some programs leave alpha out
        table[:, 3] = 255
    return table.tobytes()


@dataclass(frozen=True)
class _Sight:
    """A scene reduced: stored values (3, rows, cols), which are valid, and which couldn't be read.

    `notices` says where; `damage` is the first error of all.
    """

    values: NDArray[Any]
    valid: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    notices: tuple[str, ...] = ()
    damage: SceneError | None = None


def _see(handle: _Handle, layers: Layers) -> _Sight:
    """Look at the whole scene; where that fails, at one part after the other.

    Raises SceneError if nothing can be read.
    """
    try:
        whole, there = handle.load_reduced(layers, SAMPLE_SIZE)
        return _Sight(whole, there, np.zeros_like(there))
    except SceneError as error:
        damage = error
    height, width = handle.dataset.shape
    if max(height, width) <= SAMPLE_SIZE:  # so small that a part of it isn't worth a map
        raise damage
    shrink = min(1.0, SAMPLE_SIZE / max(height, width))
    # from each place in the scene to the next, and from each in the reduced one
    rows, cols = _places(height), _places(width)
    small_rows, small_cols = (
        [0, *accumulate(_shrunk(stop - first, shrink) for first, stop in pairwise(places))] for places in (rows, cols)
    )
    valid = np.zeros((small_rows[-1], small_cols[-1]), dtype=bool)
    lost, notices = ~valid, list[str]()
    values: NDArray[Any] | None = None
    for (top, bottom), (first, stop) in zip(pairwise(rows), pairwise(small_rows), strict=True):
        for (left, right), (begin, end) in zip(pairwise(cols), pairwise(small_cols), strict=True):
            try:
                window = Window(left, top, right - left, bottom - top)
                part, part_valid = handle.load(layers, window, (stop - first, end - begin))
            except SceneError:
                notices.append(_lost_near(handle.source, top, left))
                continue
            values = np.zeros((3, *valid.shape), part.dtype) if values is None else values
            values[:, first:stop, begin:end] = part
            valid[first:stop, begin:end] = part_valid
            lost[first:stop, begin:end] = False
    if values is None:
        raise damage
    return _Sight(values, valid, lost, tuple(notices[:1]), damage)


def _places(size: int) -> list[int]:
    """Where the parts of a side of `size` px begin, and where the last one ends."""
    count = min(SAMPLE_PARTS, max(1, size // LEAST_PART))
    return [size * part // count for part in range(count + 1)]


def _shrunk(size: float, shrink: float) -> int:
    return max(1, round(size * shrink))


def _lost_near(source: Source, row: int, col: int) -> str:
    what = "can't be read" if is_remote(source.opened) else "is damaged"
    return f"'{source.path}' {what} near row {row}, column {col}: what can't be read becomes nodata"


def _sample_layers(handle: _Handle, layers: Layers, collar: bool) -> tuple[Layers, NDArray[Any], tuple[str, ...]]:
    """Look for a frame: the layers without it, stored values (3, n) of valid pixels all over, and notices.

    Raises SceneError if there is no valid pixel.
    """
    try:
        sight = _see(handle, layers)
    except SceneError as error:
        return layers, _sample_anywhere(handle, layers, error), (f"{error}",)
    valid, notices = sight.valid, sight.notices
    if collar and not _tells_nodata(handle.dataset, handle.source, layers):
        value, share = _frame(handle, layers, sight)
        if value is not None:
            layers = replace(layers, frame_value=value)
            valid = valid & (sight.values != value).any(axis=0)
            what = "a black frame" if value == 0 else f"a frame of {value:.0f}"
            said = f"{share:.0%} of '{handle.source.path}' is {what} without declared nodata: taken as nodata"
            notices += (f"{said} (--no-collar keeps it)",)
    sample = sight.values[:, valid]
    return layers, sample if sample.size else _sample_anywhere(handle, layers, sight.damage), notices


def _frame(handle: _Handle, layers: Layers, sight: _Sight) -> tuple[float | None, float]:
    """The value of a frame round the picture that all bands of the file hold, and its share; None if there is none."""
    best: tuple[float | None, float] = None, 0.0
    for value in _frame_values(handle.dataset, layers, sight.values.dtype):
        held = (sight.values == value).all(axis=0) & ~sight.lost
        # what couldn't be read isn't known to be invalid: a frame doesn't begin there
        if frames(held, sight.valid | sight.lost) > best[1]:
            share = frames(held & _others_hold(handle, layers, value, held.shape), sight.valid | sight.lost)
            best = max(best, (value, share), key=lambda found: found[1])
    return best


def _frame_values(dataset: rasterio.DatasetReader, layers: Layers, dtype: np.dtype[Any]) -> list[float]:
    """What a frame may be filled with in this scene; 0 isn't where it may be a common value of the picture."""
    bits = dataset.tags(layers.bands[0], ns="IMAGE_STRUCTURE").get("NBITS")
    if layers.palette is not None:
        return [0.0] if len(layers.palette) > 4 * 2 and bits != "1" else []
    values = frame_values(dtype)
    # a sea's height, and half of a drawing
    is_heights = dataset.count - len(layers.alphas) == 1 and not np.issubdtype(dtype, np.unsignedinteger)
    return values[1:] if is_heights or bits == "1" else values


def _others_hold(handle: _Handle, layers: Layers, value: float, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where the bands that aren't mapped hold a value too, alpha left out; three at a time, since they may be many."""
    others = [band for band in handle.dataset.indexes if band not in (*layers.bands, *layers.alphas)]
    held = np.ones(shape, dtype=bool)
    for first in range(0, len(others), 3):
        three = (others[first : first + 3] * 3)[:3]
        try:
            values, _ = handle.load_reduced(Layers((three[0], three[1], three[2])), SAMPLE_SIZE)
        except SceneError:  # damaged: the mapped bands decide
            return held
        held &= (values == value).all(axis=0)
    return held


def _by_contrast(
    handle: _Handle, choice: Choice, layers: Layers, sample: NDArray[Any]
) -> tuple[Choice, Layers, NDArray[Any]]:
    """A guess of bands, turned round where their contrasts say so, with its layers and values."""
    guessed = replace(layers, bands=choice.guessed)
    seen = sample if guessed == layers else _valid_values(handle, guessed)
    if not seen.size:
        return choice, layers, sample
    red, _, blue = contrasts(seen[:, ::16], _physical(handle.dataset, guessed)[0])
    turned = by_contrast(choice, handle.source.path, red, blue)
    if turned.bands == layers.bands:
        return turned, layers, sample
    layers = replace(layers, bands=turned.bands)
    return turned, layers, seen[::-1] if turned.bands == choice.guessed[::-1] else _valid_values(handle, layers)


def _valid_values(handle: _Handle, layers: Layers) -> NDArray[Any]:
    """Stored values (3, n) of valid pixels all over."""
    sight = _see(handle, layers)
    return sight.values[:, sight.valid]


def _sample_anywhere(handle: _Handle, layers: Layers, damage: SceneError | None) -> NDArray[Any]:
    """Stored values (3, n) of the first valid pixels; islands in a sea of nodata may slip through a reduced read."""
    dataset, source = handle.dataset, handle.source
    for row in range(0, dataset.height, SAMPLE_SIZE):
        for col in range(0, dataset.width, SAMPLE_SIZE):
            shape = min(SAMPLE_SIZE, dataset.height - row), min(SAMPLE_SIZE, dataset.width - col)
            if not _is_written(dataset, layers, (row, col), (row + shape[0], col + shape[1])):
                continue
            try:
                values, valid = handle.load(layers, Window(col, row, shape[1], shape[0]), shape)
            except SceneError as error:
                damage = damage or error
                continue
            if valid.any():
                return values[:, valid]
    value = layers.frame_value
    frame = "" if value is None else "black, " if value == 0 else f"{value:.0f}, "
    raise damage or SceneError(f"'{source.path}' has no valid pixel: all is nodata, {frame}transparent or not a number")


def _physical(
    dataset: rasterio.DatasetReader, layers: Layers
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """What the stored values of red, green and blue are multiplied by, and what is added; no numbers are none."""
    if layers.palette is not None:
        return (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    scales = [float(dataset.scales[band - 1]) for band in layers.bands]
    offsets = [float(dataset.offsets[band - 1]) for band in layers.bands]
    red, green, blue = (scale if math.isfinite(scale) and scale else 1.0 for scale in scales)
    more_red, more_green, more_blue = (offset if math.isfinite(offset) else 0.0 for offset in offsets)
    return (red, green, blue), (more_red, more_green, more_blue)


def _fix_radiometry(
    dataset: rasterio.DatasetReader, layers: Layers, sample: NDArray[Any], scale: tuple[float, float] | None
) -> Radiometry:
    scales, offsets = _physical(dataset, layers)
    if scale is not None:
        return as_stored(scale, scales, offsets)
    if sample.dtype != np.uint8:
        return stretched(sample, scales, offsets)
    bits = 8
    if layers.palette is None:
        bits = int(dataset.tags(layers.bands[0], ns="IMAGE_STRUCTURE").get("NBITS", 8))
    return eight_bit(2.0**bits - 1, scales, offsets)


def _load(
    dataset: rasterio.DatasetReader, source: Source, layers: Layers, window: Window, shape: tuple[int, int]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read stored values (3, rows, cols) and what is valid (rows, cols), by nearest neighbour where reduced."""
    bands = sorted(set(layers.bands))
    try:
        stored = _read(dataset, bands, window, shape)
        valid = _valid(dataset, layers, window, shape)
    except RasterioError as error:
        where = f"near row {window.row_off}, column {window.col_off}: {source.reason(error)}"
        what, advice = ("is damaged", "get another copy of it")
        if is_remote(source.opened):
            what, advice = ("can't be read", "try again")
        raise SceneError(f"'{source.path}' {what} {where}; {advice}") from error
    if np.issubdtype(stored.dtype, np.floating):
        most = min(LARGEST, float(np.finfo(stored.dtype).max))
        valid &= (np.abs(stored) < most).all(axis=0)  # what is no number isn't less either
    if layers.palette is not None:
        values, opaque = _through_palette(stored[0], layers.palette)
        valid &= opaque
    else:
        values = stored[[bands.index(band) for band in layers.bands]]
    if layers.frame_value is not None:
        valid &= (values != layers.frame_value).any(axis=0)
    return values, valid


def _read(
    dataset: rasterio.DatasetReader,
    bands: Sequence[int],
    window: Window,
    shape: tuple[int, int],
    *,
    masks: bool = False,
) -> NDArray[Any]:
    read = dataset.read_masks if masks else dataset.read
    # GDAL reads bands of several types one by one
    groups = [list(bands)] if masks or len({dataset.dtypes[band - 1] for band in bands}) == 1 else [[b] for b in bands]
    planes = [
        read(group, window=window, out_shape=(len(group), *shape), resampling=Resampling.nearest) for group in groups
    ]
    return np.asarray(planes[0]) if len(planes) == 1 else np.concatenate(planes)


def _valid(
    dataset: rasterio.DatasetReader, layers: Layers, window: Window, shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """What masks, nodata and alpha say of the chosen bands."""
    valid = np.ones(shape, dtype=bool)
    if layers.alphas:
        valid &= (_read(dataset, layers.alphas, window, shape) > 0).all(axis=0)
    masked = _masked_bands(dataset, layers)
    if masked:
        masks = _read(dataset, masked, window, shape, masks=True) > 0
        valid &= masks.any(axis=0) if _may_be_colour(dataset, masked) else masks.all(axis=0)
    return valid


def _masked_bands(dataset: rasterio.DatasetReader, layers: Layers) -> list[int]:
    """The chosen bands that have nodata or a mask of their own."""
    no_mask = {MaskFlags.alpha, MaskFlags.all_valid}
    return [band for band in sorted(set(layers.bands)) if not no_mask & set(dataset.mask_flag_enums[band - 1])]


def _may_be_colour(dataset: rasterio.DatasetReader, bands: Sequence[int]) -> bool:
    """Whether what stands for no data may be a dark or a saturated pixel of one band: where it is 0, or of 8 bits.

    Any other value means nothing but no data.
    """
    return all(dataset.nodatavals[band - 1] == 0 or dataset.dtypes[band - 1] == "uint8" for band in bands)


def _tells_nodata(dataset: rasterio.DatasetReader, source: Source, layers: Layers) -> bool:
    """Whether a scene says itself what is valid; a mosaic's mask says only where its sources lie."""
    if source.boxes:
        return source.masked
    return bool(layers.alphas or _masked_bands(dataset, layers))


def _through_palette(indices: NDArray[Any], palette: bytes) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Colours (3, rows, cols) of indices, and which of them are in the table and not transparent."""
    table = np.frombuffer(palette, dtype=np.uint8).reshape(-1, 4)
    inside = (indices >= 0) & (indices < len(table))
    colours = table[np.where(inside, indices, 0)]
    return np.moveaxis(colours[..., :3], -1, 0), inside & (colours[..., 3] > 0)


def _block(dataset: rasterio.DatasetReader, scene: Scene) -> tuple[int, int]:
    """Rows and cols of what is decoded at once; of a mosaic its sources'."""
    rows, cols = scene.source.block or dataset.block_shapes[scene.bands[0] - 1]
    return rows, cols


def _is_written(
    dataset: rasterio.DatasetReader, layers: Layers, start: tuple[float, float], stop: tuple[float, float]
) -> bool:
    """Whether the file holds a block of any of the bands between two corners (row, col)."""
    has_nodata = layers.frame_value == 0 or any(nodata is not None for nodata in dataset.nodatavals)
    if dataset.driver != "GTiff" or not has_nodata:
        return True  # without a nodata value, what was never written is black
    height, width = dataset.block_shapes[layers.bands[0] - 1]
    return any(
        dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=band) is not None
        for band in sorted(set(layers.bands))
        for row in range(int(start[0]) // height, math.ceil(stop[0] / height))
        for col in range(int(start[1]) // width, math.ceil(stop[1] / width))
    )


def _is_covered(source: Source, start: tuple[float, float], stop: tuple[float, float]) -> bool:
    """Whether any of a mosaic's sources reaches between two corners (row, col)."""
    return not source.boxes or any(
        row < stop[0] and start[0] < row + height and col < stop[1] and start[1] < col + width
        for col, row, width, height in source.boxes
    )


def _span(offset: float, length: float, zoom: float, limit: int) -> tuple[float, float]:
    """Where a span of px at `zoom` begins and ends in px of the scene."""
    return offset / zoom, min((offset + length) / zoom, float(limit))


def _resample_valid(
    valid: NDArray[np.bool_], corner: Sequence[int], start: Sequence[float], shape: Sequence[int], zoom: float
) -> NDArray[np.bool_]:
    """The validity of `shape` px at `zoom` from `start` on: the nearest px's, or where it gets smaller that of any.

    `corner` is the first row and col of `valid` in the scene. Places are counted from the scene's own corner, so that
    they are rounded the same way for every window.
    """
    if zoom > 1:
        rows, cols = (
            np.floor((offset + np.arange(count) + 0.5) / zoom + 1e-6).astype(int) - first
            for offset, count, first in zip(start, shape, corner, strict=True)
        )
        return np.asarray(valid[np.ix_(rows.clip(0, valid.shape[0] - 1), cols.clip(0, valid.shape[1] - 1))])
    edges = [
        np.floor((offset + np.arange(count + 1)) / zoom + 1e-6).astype(int) - first
        for offset, count, first in zip(start, shape, corner, strict=True)
    ]
    covered = valid[: max(edges[0][-1], 1), : max(edges[1][-1], 1)]
    by_row = np.maximum.reduceat(covered, edges[0][:-1], axis=0)
    return np.asarray(np.maximum.reduceat(by_row, edges[1][:-1], axis=1))
