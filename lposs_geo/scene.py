"""Opening a scene: any raster becomes a masked RGB array in 0..1, the same way for every window.

Bands and radiometry are decided once for the whole scene, so that a pixel never depends on the window it is read in.
"""

from __future__ import annotations

import logging
import math
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from lposs_geo.errors import OutputError, SceneError, one_line
from lposs_geo.ground import Grid
from lposs_geo.outputs import room_left
from lposs_geo.tiling import resample

__all__ = [
    "Radiometry",
    "Scene",
    "SceneReader",
    "copy_in_tiles",
    "describe",
    "identity",
    "is_slow_in_tiles",
    "open_scene",
]

PERCENTILES = (2.0, 98.0)
"""Of the valid pixels of a band: what becomes black and white where the data isn't 8-bit."""

SAMPLE_SIZE = 1024
"""Longer side, px, of the decimated read that the percentiles are taken from."""

LEAST_SHARE = 0.2
"""Of one valid pixel in a resampled one that is valid itself; less comes only from the kernel's negative lobes."""

COPY_BLOCK = 512
"""Px of the tiles of a copy."""

log = logging.getLogger("lposs_geo")

_COLOURS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


@dataclass(frozen=True)
class Radiometry:
    """How stored values become brightness in 0..1, per band.

    Attributes
    ----------
    low, high : tuple of float
        Stored values that become 0 and 1 for red, green and blue.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Stretch (3, rows, cols) stored values to 0..1, clipped; what is no number becomes 0."""
        # 32-bit integers and 64-bit floats hold differences that a float32 doesn't
        wide: Any = np.float32 if values.dtype.itemsize <= 2 else np.float64
        low, high = (np.array(side, dtype=wide)[:, None, None] for side in (self.low, self.high))
        brightness: NDArray[np.float32] = ((values.astype(wide) - low) / (high - low)).clip(0.0, 1.0).astype(np.float32)
        return np.nan_to_num(brightness, copy=False)


@dataclass(frozen=True)
class Scene:
    """One georeferenced raster and how it is to be read.

    Attributes
    ----------
    path : str
        What GDAL opens.
    files : tuple of str
        All files that it is read from: those a VRT refers to, sidecars.
    grid : Grid
        Its pixels and where they lie.
    bands : tuple of int
        Bands, from 1, taken as red, green and blue.
    bands_reason : str
        Why these.
    dtype : str
        Of the stored values.
    radiometry : Radiometry
    checksum : int
        Of a sample of its valid values: tells a file that was changed where its size and time can't be asked for.
    """

    path: str
    files: tuple[str, ...]
    grid: Grid
    bands: tuple[int, int, int]
    bands_reason: str
    dtype: str
    radiometry: Radiometry
    checksum: int

    @property
    def name(self) -> str:
        return Path(self.path).name


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
        return self._stretch(*_load(self.dataset, self.scene.path, self.scene.bands, window, shape))

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

        False only for the holes of a sparse GeoTIFF, whose blocks were never written.
        """
        first_row, last_row = _span(window.row_off, window.height, zoom, self.scene.grid.height)
        first_col, last_col = _span(window.col_off, window.width, zoom, self.scene.grid.width)
        return _is_written(self.dataset, self.scene.bands, (first_row, first_col), (last_row, last_col))

    def overview(
        self, longest_side: int, window: Window | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read the whole scene or a window of it, reduced so that the longer side is at most `longest_side` px."""
        return self._stretch(*_load_reduced(self.dataset, self.scene.path, self.scene.bands, longest_side, window))

    def _stretch(self, values: NDArray[Any], valid: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        image = self.scene.radiometry.apply(values)
        image[:, ~valid] = 0.0
        return image, valid


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


def _is_written(
    dataset: rasterio.DatasetReader, bands: Sequence[int], start: tuple[float, float], stop: tuple[float, float]
) -> bool:
    """Whether the file holds a block of any of the bands between two corners (row, col)."""
    if dataset.driver != "GTiff" or not any(nodata is not None for nodata in dataset.nodatavals):
        return True  # without a nodata value, what was never written is black
    height, width = dataset.block_shapes[bands[0] - 1]
    return any(
        dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=band) is not None
        for band in sorted(set(bands))
        for row in range(int(start[0]) // height, math.ceil(stop[0] / height))
        for col in range(int(start[1]) // width, math.ceil(stop[1] / width))
    )


def _span(offset: float, length: float, zoom: float, limit: int) -> tuple[float, float]:
    """Where a span of px at `zoom` begins and ends in px of the scene."""
    return offset / zoom, min((offset + length) / zoom, float(limit))


def describe(path: str | Path, *, bands: Sequence[int] | None = None) -> Scene:
    """Look at a raster and decide how it is to be read.

    Parameters
    ----------
    path : str or Path
        Anything that GDAL opens.
    bands : sequence of int, optional
        The bands, from 1, to take as red, green and blue. By default they are found by colour interpretation, by
        description, or by the customary order.

    Raises
    ------
    SceneError
        If there is no such file, it is no raster or damaged, a band isn't there, it has no valid pixel, or red, green
        and blue can't be told.
    """
    name = str(path)
    with _open(name) as dataset:
        _check_georeference(dataset, name)
        chosen, reason = _choose_bands(dataset, name, bands)
        sample = _valid_sample(dataset, name, chosen)
        return Scene(
            path=name,
            files=tuple(_files(dataset)),
            grid=Grid(dataset.height, dataset.width, dataset.crs, dataset.transform),
            bands=chosen,
            bands_reason=reason,
            dtype=dataset.dtypes[chosen[0] - 1],
            radiometry=_fix_radiometry(dataset, sample, chosen),
            checksum=zlib.crc32(np.ascontiguousarray(sample).data),
        )


def identity(scene: Scene) -> dict[str, object]:
    """What tells a scene from every other one, and from itself once it was changed, ready for JSON."""
    grid = scene.grid
    files = [Path(file) for file in scene.files]
    return {
        "name": scene.name,
        "path": str(Path(scene.path).resolve()) if Path(scene.path).exists() else scene.path,
        "files": {
            str(file.resolve()): [file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.is_file()
        },
        "shape": [grid.height, grid.width],
        "crs": grid.crs.to_wkt() if grid.crs else None,
        "transform": list(grid.transform)[:6],
        "bands": scene.bands,
        "dtype": scene.dtype,
        "low": scene.radiometry.low,
        "high": scene.radiometry.high,
        "checksum": scene.checksum,
    }


@contextmanager
def open_scene(scene: Scene) -> Iterator[SceneReader]:
    """Open a described scene for reading; one reader serves one thread at a time."""
    with _open(scene.path) as dataset:
        yield SceneReader(scene, dataset)


def is_slow_in_tiles(scene: Scene, cache: int) -> bool:
    """Whether reading tile by tile would decode the same strips many times.

    Parameters
    ----------
    scene : Scene
    cache : int
        Bytes of decoded blocks that are kept; a scene that fits is decoded once anyway.
    """
    with _open(scene.path) as dataset:
        _, width = dataset.block_shapes[scene.bands[0] - 1]
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
        "transform": grid.transform, "tiled": True, "blockxsize": COPY_BLOCK, "blockysize": COPY_BLOCK,
        "compress": "lzw", "bigtiff": "if_safer", "interleave": "pixel",
    }  # fmt: skip
    # as many rows as one row of the copy's blocks has, or a strip of the original if that is higher
    with _open(scene.path) as dataset, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dtype = np.result_type(*(dataset.dtypes[band - 1] for band in scene.bands))
        rows = COPY_BLOCK * max(1, dataset.block_shapes[scene.bands[0] - 1][0] // COPY_BLOCK)
        try:
            with (
                rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
                rasterio.open(path, "w", dtype=dtype, photometric="minisblack", **profile) as copy,
            ):
                for top in range(0, grid.height, rows):
                    window = Window(0, top, grid.width, min(rows, grid.height - top))
                    values, valid = _load(dataset, scene.path, scene.bands, window, (window.height, window.width))
                    copy.write(values, window=window)
                    copy.write_mask(valid, window=window)
        except (RasterioError, OSError) as error:
            if isinstance(error, SceneError):
                raise
            reason = one_line(error.__cause__ or error)
            raise OutputError(f"can't copy '{scene.path}' into tiles: {reason}{room_left(path.parent)}") from error
    return replace(scene, path=str(path), bands=(1, 2, 3), dtype=str(dtype))


@contextmanager
def _open(path: str) -> Iterator[rasterio.DatasetReader]:
    # GDAL's own names have a colon (an URL, a subdataset) or begin with /vsi
    if ":" not in path and not path.startswith("/vsi") and not Path(path).exists():
        raise SceneError(f"no such file: '{path}'")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(path)
    except RasterioError as error:
        raise SceneError(f"'{path}' can't be opened as a raster: {one_line(error)}") from error
    with dataset:
        if dataset.count == 0:
            inside = ", ".join(dataset.subdatasets) or "none"
            raise SceneError(f"'{path}' holds no raster of its own; name one of its subdatasets instead: {inside}")
        yield dataset


def _files(dataset: rasterio.DatasetReader) -> set[str]:
    """The files of a dataset; a VRT names its own sources, but not those of a VRT among them."""
    found = {dataset.name}
    for name in set(dataset.files) - found:
        found.add(name)
        if name.lower().endswith(".vrt"):
            with _open(name) as inner:
                found |= _files(inner)
    return found


def _check_georeference(dataset: rasterio.DatasetReader, path: str) -> None:
    if dataset.transform.is_identity and (dataset.gcps[0] or dataset.rpcs is not None):
        by = "ground control points" if dataset.gcps[0] else "RPCs"
        raise SceneError(f"'{path}' is located only by {by}: warp it to a grid first, e.g. with gdalwarp")


def _choose_bands(
    dataset: rasterio.DatasetReader, path: str, bands: Sequence[int] | None
) -> tuple[tuple[int, int, int], str]:
    if bands is not None:
        if len(bands) != 3:
            raise SceneError(f"{len(bands)} bands are named for '{path}': name three, as red,green,blue")
        for band in bands:
            if not 1 <= band <= dataset.count:
                raise SceneError(f"'{path}' has no band {band}: its bands are 1 to {dataset.count}")
        red, green, blue = bands
        return (red, green, blue), "as asked"
    if any(dtype.startswith("complex") for dtype in dataset.dtypes):
        raise SceneError(f"'{path}' holds complex numbers, not brightness: map a detected image instead")
    for reason, keys in (
        ("by colour interpretation", list(dataset.colorinterp)),
        ("by band description", [_colour_in(text) for text in dataset.descriptions]),
    ):
        if all(keys.count(colour) == 1 for colour in _COLOURS):
            red, green, blue = (keys.index(colour) + 1 for colour in _COLOURS)
            return (red, green, blue), reason
    alpha = list(dataset.colorinterp).count(ColorInterp.alpha)
    colours = dataset.count - alpha
    if colours < 3:
        raise SceneError(
            f"'{path}' has {colours} colour band{'s' * (colours != 1)}, and the model needs red, green and blue: "
            f"to map one band as grey, name it thrice (--bands 1,1,1)"
        )
    if colours == 3 or dataset.dtypes[0] == "uint8":
        return (1, 2, 3), "the first three, taken as red, green, blue"
    # Sensors with more than 8 bits store their bands by wavelength: blue, green, red, near infrared. With more bands
    # there may be others before them, so that is only a guess.
    if colours > 4:
        log.warning("%s doesn't tell which of its %d bands are red, green and blue: 3, 2, 1 is a guess", path, colours)
    return (3, 2, 1), "taken for blue, green, red, infrared in this order; name others with --bands"


def _colour_in(description: str | None) -> ColorInterp | None:
    words = re.split(r"[\W_\d]+", (description or "").casefold())
    if {"nir", "infrared", "swir", "edge", "rededge"} & set(words):
        return None
    for colour, names in zip(_COLOURS, (("red", "r"), ("green", "g"), ("blue", "b")), strict=True):
        if any(name in words for name in names):
            return colour
    return None


def _fix_radiometry(dataset: rasterio.DatasetReader, sample: NDArray[Any], bands: tuple[int, int, int]) -> Radiometry:
    # 8-bit data is as its makers want it seen.
    if all(dataset.dtypes[band - 1] == "uint8" for band in bands):
        return Radiometry((0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
    low, high = np.percentile(sample.astype(np.float64), PERCENTILES, axis=1)
    high = np.where(high > low, high, low + 1.0)  # a flat band
    return Radiometry((float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2])))


def _valid_sample(dataset: rasterio.DatasetReader, path: str, bands: tuple[int, int, int]) -> NDArray[Any]:
    """Stored values (3, n) of valid pixels all over the scene; SceneError if there is none."""
    damage: SceneError | None = None
    try:
        values, valid = _load_reduced(dataset, path, bands, SAMPLE_SIZE)
        if valid.any():
            return values[:, valid]
    except SceneError as error:
        damage = error
    # Islands of data in a sea of nodata may slip through a reduced read, and damage spoils it: look everywhere.
    for row in range(0, dataset.height, SAMPLE_SIZE):
        for col in range(0, dataset.width, SAMPLE_SIZE):
            shape = min(SAMPLE_SIZE, dataset.height - row), min(SAMPLE_SIZE, dataset.width - col)
            if not _is_written(dataset, bands, (row, col), (row + shape[0], col + shape[1])):
                continue
            try:
                values, valid = _load(dataset, path, bands, Window(col, row, shape[1], shape[0]), shape)
            except SceneError as error:
                damage = damage or error
                continue
            if valid.any():
                return values[:, valid]
    raise damage or SceneError(f"'{path}' has no valid pixel: all is nodata, transparent or not a number")


def _load_reduced(
    dataset: rasterio.DatasetReader,
    path: str,
    bands: tuple[int, int, int],
    longest_side: int,
    window: Window | None = None,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    window = window or Window(0, 0, dataset.width, dataset.height)
    shrink = min(1.0, longest_side / max(window.height, window.width))
    shape = max(1, round(window.height * shrink)), max(1, round(window.width * shrink))
    return _load(dataset, path, bands, window, shape)


def _load(
    dataset: rasterio.DatasetReader, path: str, bands: tuple[int, int, int], window: Window, shape: tuple[int, int]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Read stored values (3, rows, cols) and what is valid (rows, cols), by nearest neighbour where reduced."""
    distinct = sorted(set(bands))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            stored = _read(dataset, distinct, window, shape)
            valid = _valid(dataset, distinct, window, shape)
    except RasterioError as error:
        reason = one_line(error.__cause__ or error)
        raise SceneError(f"'{path}' is damaged near row {window.row_off}, column {window.col_off}: {reason}") from error
    if np.issubdtype(stored.dtype, np.floating):
        valid &= np.isfinite(stored).all(axis=0)
    return stored[[distinct.index(band) for band in bands]], valid


def _read(
    dataset: rasterio.DatasetReader,
    bands: Sequence[int],
    window: Window,
    shape: tuple[int, int],
    *,
    masks: bool = False,
) -> NDArray[Any]:
    read = dataset.read_masks if masks else dataset.read
    return np.asarray(read(list(bands), window=window, out_shape=(len(bands), *shape), resampling=Resampling.nearest))


def _valid(
    dataset: rasterio.DatasetReader, bands: Sequence[int], window: Window, shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """What masks, nodata and alpha say of the chosen bands."""
    valid = np.ones(shape, dtype=bool)
    # A band that is asked for as a colour is no mask, whatever its tag says (infrared is often tagged alpha).
    alphas = [i for i, colour in enumerate(dataset.colorinterp, 1) if colour == ColorInterp.alpha and i not in bands]
    if alphas:
        valid &= (_read(dataset, alphas, window, shape) > 0).all(axis=0)
    masked = [i for i in bands if not {MaskFlags.alpha, MaskFlags.all_valid} & set(dataset.mask_flag_enums[i - 1])]
    if masked:
        masks = _read(dataset, masked, window, shape, masks=True) > 0
        # Where nodata is 0, or the data has 8 bits, one band may well hold that value: a dark or a saturated pixel. Any
        # other value means nothing but no data.
        may_be_colour = all(dataset.nodatavals[i - 1] == 0 or dataset.dtypes[i - 1] == "uint8" for i in masked)
        valid &= masks.any(axis=0) if may_be_colour else masks.all(axis=0)
    return valid
