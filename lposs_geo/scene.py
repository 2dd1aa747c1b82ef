"""Opening a scene: any raster becomes a masked RGB array in 0..1, the same way for every window.

Bands, radiometry and what is valid are decided once for the whole scene, so that a pixel never depends on the window it
is read in.
"""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from lposs_geo.bands import BandFacts, Choice, by_contrast, choose, is_opacity
from lposs_geo.errors import OutputError, SceneError, one_line
from lposs_geo.ground import Grid, utm_zone
from lposs_geo.outputs import room_left
from lposs_geo.radiometry import Radiometry, as_stored, black_frame, contrasts, stretched
from lposs_geo.sources import Source, Warp, files_of, is_remote, on_disk, open_source, resolve
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

SAMPLE_SIZE = 1024
"""Longer side, px, of the decimated read that the percentiles are taken from."""

LEAST_SHARE = 0.2
"""Of one valid pixel in a resampled one that is valid itself; less comes only from the kernel's negative lobes."""

COPY_BLOCK = 512
"""Px of the tiles of a copy."""


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
    black_is_nodata : bool
        Whether a pixel that is 0 in all bands is invalid, though the file doesn't say so.
    """

    bands: tuple[int, int, int]
    alphas: tuple[int, ...] = ()
    palette: bytes | None = None
    black_is_nodata: bool = False


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


@dataclass(frozen=True)
class SceneReader:
    """An open scene.

    Attributes
    ----------
    scene : Scene
    dataset : rasterio.DatasetReader
    """

    scene: Scene
    dataset: rasterio.DatasetReader

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
        shape = int(window.height), int(window.width)
        return self._stretch(*_load(self.dataset, self.scene.source, self.scene.layers, window, shape))

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
        valid = _resample_valid(valid, [rows[0] - top, cols[0] - left], shape, zoom)
        image[:, ~valid] = 0.0
        return image, valid

    def may_hold_data(self, window: Window, zoom: float = 1.0) -> bool:
        """Whether a window, in px of the scene seen at `zoom`, may hold valid pixels, without reading it.

        False only for the holes of a sparse GeoTIFF, whose blocks were never written, and the gaps of a mosaic.
        """
        first_row, last_row = _span(window.row_off, window.height, zoom, self.scene.grid.height)
        first_col, last_col = _span(window.col_off, window.width, zoom, self.scene.grid.width)
        start, stop = (first_row, first_col), (last_row, last_col)
        return _is_covered(self.scene.source, start, stop) and _is_written(self.dataset, self.scene.layers, start, stop)

    def overview(
        self, longest_side: int, window: Window | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read the whole scene or a window of it, reduced so that the longer side is at most `longest_side` px."""
        return self._stretch(*_load_reduced(self.dataset, self.scene.source, self.scene.layers, longest_side, window))

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
        Whether a black frame around the picture is nodata where the file declares none.
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
        _check_georeference(dataset, source, warp)
        layers, choice, alpha_notices = _choose_layers(dataset, source, bands)
        layers, sample, frame_notices = _sample_layers(dataset, source, layers, collar)
        if choice.is_guess:
            red, _, blue = contrasts(sample[:, ::16])
            choice = by_contrast(choice, source.path, red, blue)
            if choice.bands != layers.bands:
                layers, sample = replace(layers, bands=choice.bands), sample[::-1]
        radiometry = _fix_radiometry(dataset, layers, sample, scale)
        files = tuple(sorted(files_of(source, dataset)))
        how = _warp_for(dataset, source, layers)
        if how is None:
            grid, place_notices = _place(dataset, source)
    if how is not None:
        layers, grid, place_notices = _place_warped(source, how, layers)
    return Scene(
        source=source,
        files=files,
        grid=grid,
        layers=layers,
        bands_reason=choice.reason,
        dtype=str(sample.dtype),
        radiometry=radiometry,
        checksum=zlib.crc32(np.ascontiguousarray(sample).data),
        warp=how,
        notices=(*source.notices, *choice.notices, *alpha_notices, *frame_notices, *place_notices),
    )


def identity(scene: Scene) -> dict[str, object]:
    """What tells a scene from every other one, and from itself once it was changed, ready for JSON."""
    grid, layers, opened = scene.grid, scene.layers, scene.source.opened
    place, files = on_disk(opened), [file for name in scene.files if (file := on_disk(name)) and file.is_file()]
    return {
        "name": scene.name,
        # an URL may hold a key, and a VRT's text is long
        "source": zlib.crc32(opened.encode()) if place is None else str(place.resolve()),
        "files": {str(file.resolve()): [file.stat().st_size, file.stat().st_mtime_ns] for file in files},
        "shape": [grid.height, grid.width],
        "crs": grid.crs.to_wkt() if grid.crs else None,
        "transform": list(grid.transform)[:6],
        "bands": scene.bands,
        "alphas": layers.alphas,
        "palette": None if layers.palette is None else zlib.crc32(layers.palette),
        "black_is_nodata": layers.black_is_nodata,
        "warp": None if scene.warp is None else asdict(scene.warp),
        "dtype": scene.dtype,
        "low": scene.radiometry.low,
        "high": scene.radiometry.high,
        "checksum": scene.checksum,
    }


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
        The copy; it reads as the original does, pixel by pixel.

    Raises
    ------
    SceneError
        If the scene is damaged.
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
        rows = COPY_BLOCK * max(1, _block(dataset, scene)[0] // COPY_BLOCK)
        try:
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as copy:
                for top in range(0, grid.height, rows):
                    window = Window(0, top, grid.width, min(rows, grid.height - top))
                    shape = window.height, window.width
                    values, valid = _load(dataset, scene.source, scene.layers, window, shape)
                    copy.write(values, window=window)
                    copy.write_mask(valid, window=window)
        except (RasterioError, OSError) as error:
            if isinstance(error, SceneError):
                raise
            reason = one_line(error.__cause__ or error)
            raise OutputError(f"can't copy '{scene.path}' into tiles: {reason}{room_left(path.parent)}") from error
    return replace(scene, source=Source(str(path), str(path)), layers=Layers((1, 2, 3)), warp=None)


def _check_georeference(dataset: rasterio.DatasetReader, source: Source, warp: bool) -> None:
    """Refuse what has no grid on the ground, or one that can't be used."""
    if not (math.isfinite(dataset.transform.determinant) and dataset.transform.determinant):
        raise SceneError(
            f"'{source.path}' has a geotransform that gives its pixels no size, {tuple(dataset.transform)[:6]}: "
            "correct it first, e.g. with rio edit-info --transform"
        )
    by = _located_by(dataset)
    if by and not warp:
        raise SceneError(f"'{source.path}' is located only by {by}: add --warp to map it on a north-up grid")
    if by == "ground control points" and not dataset.gcps[1]:
        raise SceneError(f"'{source.path}' has ground control points without a coordinate reference system")


def _located_by(dataset: rasterio.DatasetReader) -> str:
    """What locates a scene that has no geotransform; empty if it has one, or nothing does."""
    if not dataset.transform.is_identity:
        return ""
    return "ground control points" if dataset.gcps[0] else "RPCs" if dataset.rpcs is not None else ""


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


def _warp_for(dataset: rasterio.DatasetReader, source: Source, layers: Layers) -> Warp | None:
    """How a scene without a grid is put on one; None for the others."""
    by = _located_by(dataset)
    if not by:
        return None
    rpcs = dataset.rpcs
    if by == "ground control points":
        source_crs = crs = dataset.gcps[1]
    else:
        source_crs, crs = CRS.from_epsg(4326), utm_zone(rpcs.long_off, rpcs.lat_off)
    return Warp(
        source_crs=source_crs.to_wkt(),
        crs=crs.to_wkt(),
        resampling="nearest" if layers.palette is not None else "bilinear",
        nodata=0.0 if layers.black_is_nodata else dataset.nodatavals[layers.bands[0] - 1],
        in_all_bands=layers.black_is_nodata or _may_be_colour(dataset, layers.bands),
        height=None if by == "ground control points" else float(rpcs.height_off),
    )


def _place_warped(source: Source, how: Warp, layers: Layers) -> tuple[Layers, Grid, tuple[str, ...]]:
    """Layers and grid of a scene as it is warped; nodata or a new alpha band says where it is."""
    with open_source(source, how) as warped:
        tagged = [band for band, colour in enumerate(warped.colorinterp, 1) if colour == ColorInterp.alpha]
        alphas = tuple(band for band in tagged if band not in layers.bands)
        grid = Grid(warped.height, warped.width, warped.crs, warped.transform)
    notices: tuple[str, ...] = ()
    if how.height is not None:
        notices = (
            f"'{source.path}' is placed by RPCs at one height, {how.height:g} m: where the ground is higher or lower, "
            "the map is off",
        )
    return replace(layers, alphas=alphas, black_is_nodata=False), grid, notices


def _choose_layers(
    dataset: rasterio.DatasetReader, source: Source, asked: str | Sequence[int | str] | None
) -> tuple[Layers, Choice, tuple[str, ...]]:
    """The bands to read, why these, and what is to be known about alpha bands."""
    colours = _colours(dataset)
    tagged = [band for band, colour in enumerate(colours, 1) if colour == "alpha"]
    alphas = [band for band in tagged if _is_opacity(dataset, source, band)]
    facts = BandFacts(
        source.path,
        dataset.dtypes,
        colours,
        tuple(text or "" for text in dataset.descriptions),
        tuple(_wavelength(dataset, band) for band in dataset.indexes),
        tuple(alphas),
    )
    asked = asked.strip().casefold() if isinstance(asked, str) else asked
    if asked in (None, "rgb") and [colours[band - 1] for band in facts.usable] == ["palette"]:
        bands = (facts.usable[0],) * 3
        return Layers(bands, tuple(alphas), _palette(dataset, bands[0])), Choice(bands, "through the colour table"), ()
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
    return layers, choice, mistaken


def _colours(dataset: rasterio.DatasetReader) -> tuple[str, ...]:
    try:
        return tuple(colour.name for colour in dataset.colorinterp)
    except ValueError:  # a newer GDAL knows more colours than rasterio does
        return ("undefined",) * int(dataset.count)


def _is_opacity(dataset: rasterio.DatasetReader, source: Source, band: int) -> bool:
    """Whether a band tagged alpha is one; infrared is often tagged so."""
    try:
        values, _ = _load_reduced(dataset, source, Layers((band, band, band)), SAMPLE_SIZE)
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
    return length if tags.get("wavelength_units", "n").casefold().startswith("n") and length > 100 else 1000 * length


def _palette(dataset: rasterio.DatasetReader, band: int) -> bytes:
    """A colour table as bytes: red, green, blue and alpha of each index from 0 on."""
    entries = dataset.colormap(band)
    table = np.zeros((max(entries) + 1, 4), dtype=np.uint8)
    table[list(entries)] = list(entries.values())
    if not table[:, 3].any():  # some programs leave alpha out
        table[:, 3] = 255
    return table.tobytes()


def _sample_layers(
    dataset: rasterio.DatasetReader, source: Source, layers: Layers, collar: bool
) -> tuple[Layers, NDArray[Any], tuple[str, ...]]:
    """Look for a black frame: the layers without it, stored values (3, n) of valid pixels all over, and notices.

    Raises SceneError if there is no valid pixel.
    """
    share, damage = 0.0, None
    try:
        values, valid = _load_reduced(dataset, source, layers, SAMPLE_SIZE)
        if collar and not _tells_nodata(dataset, source, layers):
            black = (values == 0).all(axis=0)
            share = black_frame(black, valid)
            if share:
                layers = replace(layers, black_is_nodata=True)
                valid &= ~black
        sample = values[:, valid]
    except SceneError as error:
        sample, damage = None, error
    if sample is None or not sample.size:
        sample = _sample_anywhere(dataset, source, layers, damage)
    notice = f"{share:.0%} of '{source.path}' is a black frame without declared nodata: taken as nodata"
    return layers, sample, (f"{notice} (--no-collar keeps it)",) if share else ()


def _sample_anywhere(
    dataset: rasterio.DatasetReader, source: Source, layers: Layers, damage: SceneError | None
) -> NDArray[Any]:
    """Stored values (3, n) of the first valid pixels; islands in a sea of nodata may slip through a reduced read."""
    for row in range(0, dataset.height, SAMPLE_SIZE):
        for col in range(0, dataset.width, SAMPLE_SIZE):
            shape = min(SAMPLE_SIZE, dataset.height - row), min(SAMPLE_SIZE, dataset.width - col)
            if not _is_written(dataset, layers, (row, col), (row + shape[0], col + shape[1])):
                continue
            try:
                values, valid = _load(dataset, source, layers, Window(col, row, shape[1], shape[0]), shape)
            except SceneError as error:
                damage = damage or error
                continue
            if valid.any():
                return values[:, valid]
    what = "nodata, black, transparent" if layers.black_is_nodata else "nodata, transparent"
    raise damage or SceneError(f"'{source.path}' has no valid pixel: all is {what} or not a number")


def _fix_radiometry(
    dataset: rasterio.DatasetReader, layers: Layers, sample: NDArray[Any], scale: tuple[float, float] | None
) -> Radiometry:
    scales, offsets = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    full = 255.0
    if layers.palette is None:
        red, green, blue = ((dataset.scales[band - 1], dataset.offsets[band - 1]) for band in layers.bands)
        scales, offsets = (red[0] or 1.0, green[0] or 1.0, blue[0] or 1.0), (red[1], green[1], blue[1])
        full = 2.0 ** int(dataset.tags(layers.bands[0], ns="IMAGE_STRUCTURE").get("NBITS", 8)) - 1
    if scale is not None:
        return as_stored(scale, scales, offsets)
    # 8-bit data is as its makers want it seen.
    if sample.dtype == np.uint8:
        return Radiometry((0.0, 0.0, 0.0), (full, full, full), scales, offsets)
    return stretched(sample, scales, offsets)


def _load_reduced(
    dataset: rasterio.DatasetReader, source: Source, layers: Layers, longest_side: int, window: Window | None = None
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    window = window or Window(0, 0, dataset.width, dataset.height)
    shrink = min(1.0, longest_side / max(window.height, window.width))
    shape = max(1, round(window.height * shrink)), max(1, round(window.width * shrink))
    return _load(dataset, source, layers, window, shape)


def _load(
    dataset: rasterio.DatasetReader, source: Source, layers: Layers, window: Window, shape: tuple[int, int]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read stored values (3, rows, cols) and what is valid (rows, cols), by nearest neighbour where reduced."""
    bands = sorted(set(layers.bands))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            stored = _read(dataset, bands, window, shape)
            valid = _valid(dataset, layers, window, shape)
    except RasterioError as error:
        where = f"near row {window.row_off}, column {window.col_off}: {source.reason(error)}"
        what, advice = ("is damaged", "get another copy of it")
        if is_remote(source.opened):
            what, advice = ("can't be read", "try again")
        raise SceneError(f"'{source.path}' {what} {where}; {advice}") from error
    if np.issubdtype(stored.dtype, np.floating):
        # the least number there is stands for nodata, also where it isn't declared
        valid &= (np.isfinite(stored) & (stored > np.finfo(stored.dtype).min)).all(axis=0)
    if layers.palette is not None:
        values, opaque = _through_palette(stored[0], layers.palette)
        valid &= opaque
    else:
        values = stored[[bands.index(band) for band in layers.bands]]
    if layers.black_is_nodata:
        valid &= values.any(axis=0)
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
    has_nodata = layers.black_is_nodata or any(nodata is not None for nodata in dataset.nodatavals)
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
    valid: NDArray[np.bool_], start: Sequence[float], shape: Sequence[int], zoom: float
) -> NDArray[np.bool_]:
    """The validity of `shape` px at `zoom` from `start` on: the nearest px's, or where it gets smaller that of any."""
    if zoom > 1:
        centres = [(first + (np.arange(n) + 0.5) / zoom).astype(int) for first, n in zip(start, shape, strict=True)]
        return np.asarray(valid[np.ix_(*(c.clip(0, size - 1) for c, size in zip(centres, valid.shape, strict=True)))])
    edges = [
        np.floor(first + np.arange(count + 1) / zoom).astype(int) for first, count in zip(start, shape, strict=True)
    ]
    covered = valid[: max(edges[0][-1], 1), : max(edges[1][-1], 1)]
    by_row = np.maximum.reduceat(covered, edges[0][:-1], axis=0)
    return np.asarray(np.maximum.reduceat(by_row, edges[1][:-1], axis=1))
