"""Opening a scene: any raster becomes a masked RGB array in 0..1, the same way for every window.

Bands, radiometry and what is valid are decided once for the whole scene, so that a pixel never depends on the window it
is read in.
"""

from __future__ import annotations

import math
import re
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from lposs_geo.errors import SceneChangedError, SceneError, escaped
from lposs_geo.files.odd_names import unlinked
from lposs_geo.grid import Grid
from lposs_geo.scene.first_look import (
    Part,
    choose_layers,
    fix_radiometry,
    sample_layers,
    turn_by_contrast,
    with_blurred_edge,
)
from lposs_geo.scene.opening import Source, Warp, files_of, is_remote, on_disk, open_source, resolve
from lposs_geo.scene.pixels import Handle, Layers, is_written
from lposs_geo.scene.placing import check_georeference, check_parts, place, place_warped, warp_for
from lposs_geo.scene.radiometry import Radiometry
from lposs_geo.tiling import resample

__all__ = ["Layers", "Scene", "SceneReader", "Stamp", "check_unchanged", "describe", "identity", "open_scene"]

# Set once: to suppress a warning where it comes up isn't safe in threads.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module=r"lposs_geo\.")

MOST_PAGES = 6
"""Of a TIFF that are named in a notice."""

LEAST_SHARE = 0.2
"""Of one valid pixel in a resampled one that is valid itself; less comes only from the kernel's negative lobes."""


@dataclass(frozen=True)
class Stamp:
    """A file's size, bytes, and when it was changed, nanoseconds since 1970."""

    file: Path
    size: int
    changed: int

    @classmethod
    def of(cls, file: Path) -> Stamp:
        found = file.stat()
        return cls(file, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True)
class Scene:
    """One raster, or a mosaic of several, and how it is to be read.

    Attributes
    ----------
    source : Source
        What it is read from.
    files : tuple of str
        All files that it is read from: those a VRT refers to, sidecars.
    stamps : tuple of Stamp
        How those on this machine were when it was described.
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
    stamps: tuple[Stamp, ...]
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
    _handle: Handle = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._handle = Handle(self.scene.source, self.dataset, self.scene.warp)

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
            return is_written(self.dataset, self.scene.layers, start, stop)

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
    part: Callable[[Grid], Window] | None = None,
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
        Whether a frame of one value around the picture, black mostly, is nodata where the file declares none, and what
        lies far outside of all other values.
    warp : bool
        Put a scene that is located only by ground control points or RPCs on a north-up grid.
    part : callable, optional
        Gives the part of the scene's grid that is wanted. It is asked for only where no valid pixel is found on the
        reduced scene and the whole is too large to be searched for one.

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
        stamps = _stamps(files)
        pages = _other_pages(dataset, source)
        check_parts(dataset, source, files)
        check_georeference(dataset, source, warp)
        handle = Handle(source, dataset)
        layers, choice, alpha_notices = choose_layers(handle, bands)
        layers, sample, sample_notices = sample_layers(handle, layers, collar, _wanted(handle, layers, part))
        if choice.is_guess:
            choice, layers, sample = turn_by_contrast(handle, choice, layers, sample)
        radiometry = fix_radiometry(dataset, layers, sample, scale)
        how = warp_for(dataset, layers)
        if how is None:
            grid, place_notices = place(dataset, source)
    if how is not None:
        layers, grid, place_notices = place_warped(source, how, layers)
        if layers.blur:
            with open_source(source, how) as warped:
                layers = with_blurred_edge(Handle(source, warped, how), layers)
    return Scene(
        source=source,
        files=tuple(sorted(files)),
        stamps=stamps,
        grid=grid,
        layers=layers,
        bands_reason=choice.reason,
        dtype=str(sample.dtype),
        radiometry=radiometry,
        checksum=zlib.crc32(np.ascontiguousarray(sample).data),
        warp=how,
        notices=(
            *source.notices,
            *pages,
            *choice.notices,
            *alpha_notices,
            *sample_notices,
            *_blank(source, sample),
            *place_notices,
        ),
    )


def _wanted(handle: Handle, layers: Layers, part: Callable[[Grid], Window] | None) -> Part:
    """The part of the stored pixels that is wanted; of what is to be warped it isn't known yet."""
    dataset = handle.dataset
    if part is None or warp_for(dataset, layers) is not None:
        return lambda: None
    return lambda: part(place(dataset, handle.source)[0])


def _other_pages(dataset: rasterio.DatasetReader, source: Source) -> tuple[str, ...]:
    """A notice where a TIFF holds more pictures than the first, which is the one that is mapped."""
    tags = dataset.tags(ns="SUBDATASETS") if dataset.driver == "GTiff" else {}
    found = []
    for key, description in tags.items():
        page = re.fullmatch(r"GTIFF_DIR:(\d+):.*", tags.get(key.replace("_DESC", "_NAME"), ""), re.DOTALL)
        size = re.search(r"\((\d+)P x (\d+)L", description)
        if key.endswith("_DESC") and page and size and page[1] != "1":
            found.append((int(size[2]), int(size[1]), int(page[1])))
    if not found:
        return ()
    others = [f"page {page} ({rows} rows x {cols} cols)" for rows, cols, page in sorted(found, key=lambda it: it[2])]
    more = f" and {len(others) - MOST_PAGES} more" if len(others) > MOST_PAGES else ""
    own = f"the first ({dataset.height} rows x {dataset.width} cols) is mapped"
    return (
        f"'{source.path}' has several pages, and {own}, not {', '.join(others[:MOST_PAGES])}{more}: name another one "
        f"like 'GTIFF_DIR:{max(found)[2]}:{source.path}'",
    )


def _blank(source: Source, sample: NDArray[Any]) -> tuple[str, ...]:
    """A notice where all valid pixels sampled are alike."""
    if sample.shape[1] > 1 and (sample == sample[:, :1]).all():
        return (f"'{source.path}' holds one value everywhere: there is nothing to see on it",)
    return ()


def _stamps(files: Iterable[str]) -> tuple[Stamp, ...]:
    # by their own names: a link may come to lead elsewhere
    there = [file.absolute() for name in sorted(files) if (file := on_disk(name)) and file.is_file()]
    return tuple(Stamp.of(file) for file in there)


def check_unchanged(scene: Scene) -> None:
    """Make sure that all files of a scene on this machine are as they were when it was described.

    What was read before this is then of those files; of what is at an URL it can't be known.

    Raises
    ------
    SceneChangedError
        If one has another size or time of change, or is gone.
    """
    for stamp in scene.stamps:
        try:
            what = "changed" if Stamp.of(stamp.file) != stamp else None
        except OSError:
            what = "moved or removed"
        if what is not None:
            file = escaped(unlinked(str(stamp.file)))
            whose = "" if file == str(Path(scene.path).absolute()) else f", a file of '{scene.path}',"
            raise SceneChangedError(f"'{file}'{whose} was {what} while it was being mapped: map it again")


def identity(scene: Scene) -> dict[str, object]:
    """What tells a scene from every other one, and from itself once it was changed, ready for JSON."""
    grid, layers, opened = scene.grid, scene.layers, scene.source.opened
    place, own = on_disk(opened), _lasting(unlinked(opened))
    return {
        # an URL may hold a key, and a VRT's text is long
        "source": zlib.crc32(own.encode(errors="surrogateescape")) if place is None else str(place.resolve()),
        "files": {str(stamp.file.resolve()): [stamp.size, stamp.changed] for stamp in scene.stamps},
        "shape": [grid.height, grid.width],
        "crs": grid.crs.to_wkt() if grid.crs else None,
        "transform": list(grid.transform)[:6],
        "bands": scene.bands,
        "alphas": layers.alphas,
        "palette": None if layers.palette is None else zlib.crc32(layers.palette),
        "frame_value": layers.frame_value,
        "frame": None if layers.frame is None else zlib.crc32(layers.frame.bits),
        "blur": layers.blur,
        "hole_value": layers.hole_value,
        "overviews": layers.overviews,
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
