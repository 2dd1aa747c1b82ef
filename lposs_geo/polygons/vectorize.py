"""From a file of labels to a file of polygons, row by row: neither is ever whole in memory, and torch isn't needed."""

from __future__ import annotations

import functools
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError
from rasterio.windows import Window

from lposs_geo.errors import OutputError, ParameterError, SceneError, one_line
from lposs_geo.files.odd_names import linked
from lposs_geo.files.outputs import GEOPACKAGE_BESIDE, POLYGON_ENDINGS, Output, check_outputs
from lposs_geo.files.room import check_size
from lposs_geo.files.vectors import check_vector
from lposs_geo.files.writing import failed_write
from lposs_geo.grid import Grid
from lposs_geo.legend.legend import NODATA, Legend
from lposs_geo.legend.words import said
from lposs_geo.polygons.coverage import polygon_batches
from lposs_geo.polygons.files import write_polygons
from lposs_geo.polygons.outline import MOST_PER_PIXEL, Outline, outline_of, polygon_bytes
from lposs_geo.polygons.regions import STRIP_PIXELS
from lposs_geo.progress import Listener
from lposs_geo.request import DEFAULT_SIMPLIFY, Polygons, parse_tolerance
from lposs_geo.scene.coordinates import check_coordinates, check_transform
from lposs_geo.scene.references import check_file
from lposs_geo.store.runs import settle, staged
from lposs_geo.writers.rasters import is_of_labels, read_label_legend

__all__ = ["draw_polygons", "tolerance_px", "vectorize"]

log = logging.getLogger(__name__)


def vectorize(
    labels: str | Path,
    dst: str | Path,
    *,
    simplify: float | str = DEFAULT_SIMPLIFY,
    min_area: float = 0.0,
    confidence: str | Path | None = None,
    overwrite: bool = False,
    progress: Listener | None = None,
) -> int:
    """Turn a label raster into polygons.

    Parameters
    ----------
    labels : str or Path
        A map of `map_scene`, or any raster of one band of 8-bit labels: 255, its own nodata and what its mask leaves
        out are nodata. Names and colours that it has for its values are used.
    dst : str or Path
        The file to write: .gpkg, .parquet, .fgb or .geojson.
    simplify : float or str
        Tolerance of the polygons' borders, "1px" or "2.5m"; a bare number is px, and 0 keeps every pixel's edge.
    min_area : float
        Smaller patches are merged into the neighbour with the longest common border: square metres, or square map units
        where the raster has no CRS.
    confidence : str or Path, optional
        Raster of confidence in percent on the same grid, whose mean each polygon gets.
    overwrite : bool
        Replace an existing output.
    progress : callable, optional
        Called with ("vectorize", done, total).

    Returns
    -------
    int
        The number of polygons written.

    Raises
    ------
    LpossGeoError
        One of its children; then no output was written.
    """
    Polygons(simplify=simplify, min_area=min_area)  # refuses what can't be
    inputs = [_existing(path) for path in (labels, confidence) if path is not None]
    grid = _grid(inputs[0])
    check_size(Window(0, 0, grid.width, grid.height), 1, str(labels), "cut it into parts first")
    legend = read_label_legend(labels)
    for notice in check_coordinates(grid, str(inputs[0])):
        log.warning("%s", notice)
    check_vector(Path(dst), grid.crs)
    output = Output(Path(dst), " ".join(POLYGON_ENDINGS), GEOPACKAGE_BESIDE)
    settle(output.path)
    check_outputs([output], sources=inputs, overwrite=overwrite)
    if confidence is not None:
        _check_confidence(inputs[1], inputs[0], grid)
    with rasterio.Env(), staged(output) as (path,):
        return draw_polygons(
            inputs[0],
            path,
            legend,
            simplify=simplify,
            min_area=min_area,
            confidence=[*inputs, None][1],
            progress=None if progress is None else functools.partial(progress, "vectorize"),
        )


def _existing(raster: str | Path) -> Path:
    """The path of a raster; SceneError if it isn't there or refers to what may not be opened."""
    path = Path(raster)
    if not path.exists():
        raise SceneError(f"no such file: '{path}'")
    check_file(str(path))
    return path


def draw_polygons(
    labels: Path,
    target: Path,
    legend: Legend,
    *,
    simplify: float | str = DEFAULT_SIMPLIFY,
    min_area: float = 0.0,
    confidence: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Do the work of `vectorize`, once all is checked; `target` lies in a folder that may hold temporary files.

    Raises
    ------
    SceneError
        If the labels are damaged.
    OutputError
        If the polygons can't be written.
    """
    grid = _grid(labels)
    tolerance = tolerance_px(simplify, grid, labels)
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=target.parent, prefix="regions-")))
            read_labels = stack.enter_context(_rows(labels))
            read_confidence = stack.enter_context(_rows(confidence)) if confidence is not None else None
            needed = functools.partial(
                polygon_bytes,
                shape=(grid.height, grid.width),
                ending=target.suffix.lower(),
                simplify=tolerance > 0,
                merge=min_area > 0,
                confident=confidence is not None,
            )
            _check_room(read_labels, grid, folder, needed, target.name)
            batches = polygon_batches(
                read_labels,
                grid,
                folder,
                simplify=tolerance,
                min_area=min_area,
                confidence=read_confidence,
                progress=progress,
            )
            return write_polygons(batches, target, legend, grid.crs)
    except OutputError:
        raise
    except OSError as error:  # of the temporary files
        raise failed_write(target, error, f"what '{target.name}' is made from") from error


def _check_room(
    read: Callable[[int, int], NDArray[np.uint8]],
    grid: Grid,
    folder: Path,
    needed: Callable[[Outline], int],
    name: str,
) -> None:
    """Refuse polygons for which the disk has no room, before time goes into them; not counted where any would fit."""
    free = shutil.disk_usage(folder).free
    if MOST_PER_PIXEL * grid.height * grid.width <= free:
        return
    outline, rows = Outline(), max(1, STRIP_PIXELS // grid.width)
    for first in range(0, grid.height, rows):
        above = first > 0  # corners lie between two rows
        outline += outline_of(read(first - above, min(first + rows, grid.height)), goes_on=above)
    least = needed(outline)
    if least > free:
        raise OutputError(
            f"'{name}' and what it is made from need at least {least / 1e9:,.1f} GB, and only {free / 1e9:,.1f} GB are "
            "left on the disk",
            hint="make room, name a folder on another disk, or merge small polygons with <min_area>",
        )


def tolerance_px(simplify: float | str, grid: Grid, path: object) -> float:
    """A tolerance in px of a grid; ParameterError where it is in metres and the grid has no CRS."""
    number, is_metres = parse_tolerance(simplify)
    if not is_metres or number == 0:
        return number
    if grid.gsd is None:
        raise ParameterError(f"'{path}' has no coordinate reference system", hint="give <simplify> in pixels, like 1px")
    return number / grid.gsd


@contextmanager
def _rows(path: Path) -> Iterator[Callable[[int, int], NDArray[np.uint8]]]:
    """Open a raster of labels or percent to read rows from, with 255 for what is nodata or masked in it."""
    with _open(path) as dataset:
        # a mask that only repeats the nodata value needn't be read
        is_masked = bool({MaskFlags.per_dataset, MaskFlags.alpha} & set(dataset.mask_flag_enums[0]))

        def read(first: int, last: int) -> NDArray[np.uint8]:
            try:
                window = Window(0, first, dataset.width, last - first)
                rows: NDArray[np.uint8] = dataset.read(1, window=window)
                if is_masked:
                    rows[dataset.read_masks(1, window=window) == 0] = NODATA
            except RasterioError as error:
                raise SceneError(f"'{path}' is damaged: {one_line(error.__cause__ or error)}") from error
            if dataset.nodata not in (None, NODATA):  # another program's
                rows[rows == dataset.nodata] = NODATA
            return rows

        yield read


def _check_confidence(path: Path, labels: Path, grid: Grid) -> None:
    if _grid(path) != grid:
        raise SceneError(f"'{path}' isn't on the pixels of '{labels}'", hint="give the confidence of the same map")
    with _open(path) as dataset:
        if not is_of_labels(dataset):
            raise SceneError(
                f"'{path}' is no confidence, which is one band of 8-bit percent",
                hint="give the raster that <confidence> wrote with the map",
            )


def _open(path: Path) -> rasterio.DatasetReader:
    with _named(path):
        return rasterio.open(linked(str(path)))


def _grid(path: Path) -> Grid:
    with _open(path) as dataset, _named(path):
        transform = dataset.transform
        if dataset.crs is None and transform.is_identity:
            transform = Affine.scale(1, -1)  # a GIS shows what has no georeference with its rows downwards
        grid = Grid(dataset.height, dataset.width, dataset.crs, transform)
        check_transform(grid, str(path))
        return grid


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn errors of GDAL, and of what reads a CRS, into `SceneError`."""
    try:
        yield
    except (SceneError, MemoryError):
        raise
    except Exception as error:  # several families, not all of them public
        raise SceneError(f"'{path}' can't be opened as a raster: {said(error)}") from error
