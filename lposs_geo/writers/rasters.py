"""Labels as a GeoTIFF that a GIS opens with names and colours already right.

Labels are written window by window into a plain tiled file, which then becomes a cloud-optimised GeoTIFF (COG) with
overviews by mode; category names and an attribute table go into the ``.aux.xml`` sidecar that GDAL reads.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from lposs_geo.errors import LegendError, SceneError
from lposs_geo.files.odd_names import linked
from lposs_geo.files.outputs import sidecar
from lposs_geo.files.writing import writing
from lposs_geo.grid import Grid
from lposs_geo.hints import Notice
from lposs_geo.legend.categories import read_categories
from lposs_geo.legend.colours import next_colour
from lposs_geo.legend.legend import NODATA, UNKNOWN, UNKNOWN_CLASS, LandClass, Legend
from lposs_geo.legend.toml_files import LARGEST_FILE
from lposs_geo.legend.words import quoted, said
from lposs_geo.writers.georeference import keep_georeference, read_sidecar, write_sidecar

__all__ = [
    "LEGEND_TAG",
    "MOST_PERCENT",
    "ClassArea",
    "LabelWriter",
    "check_complete",
    "cog_writer",
    "colour_table",
    "is_of_labels",
    "label_writer",
    "percent_writer",
    "read_label_legend",
    "write_categories",
]

LEGEND_TAG = "LPOSS_GEO_LEGEND"
"""TIFF tag that holds the legend as JSON."""

BLOCK_SIZE = 512
"""Px of the tiles inside a file."""

MOST_PERCENT = 100
"""Surest confidence."""

_COG_OPTIONS = {
    "BLOCKSIZE": str(BLOCK_SIZE),
    "COMPRESS": "DEFLATE",
    "OVERVIEWS": "IGNORE_EXISTING",
    "BIGTIFF": "IF_SAFER",
    "SPARSE_OK": "YES",  # blocks of nodata take no room
    "NUM_THREADS": "ALL_CPUS",
}


log = logging.getLogger("lposs_geo")


@dataclass(frozen=True)
class ClassArea:
    """The part of a map that one class covers.

    Attributes
    ----------
    name : str
    pixels : int
    area_m2 : float
        Square metres, or square map units where the CRS is unknown.
    share : float
        Of all labelled pixels' area, 0..1.
    confidence : float or None
        Mean over the class's pixels, percent; None where there are none.
    """

    name: str
    pixels: int
    area_m2: float
    share: float
    confidence: float | None = None


@dataclass(frozen=True)
class LabelWriter:
    """Takes labels window by window and counts them.

    Attributes
    ----------
    path : Path
        The file to be.
    dataset : rasterio.io.DatasetWriter
    grid : Grid
    counts : (256, 256) int64
        Pixels written so far, by label and confidence in percent (255: none); what is never written is nodata.
    areas : (256,) float64
        Their area by label, in square metres (square map units where the CRS is unknown).
    """

    path: Path
    dataset: rasterio.io.DatasetWriter
    grid: Grid
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((256, 256), dtype=np.int64))
    areas: NDArray[np.float64] = field(default_factory=lambda: np.zeros(256))

    def write(self, labels: NDArray[np.uint8], window: Window, confidence: NDArray[np.uint8] | None = None) -> None:
        """Write uint8 labels (rows, cols) to their window, each window at most once; `confidence` is only counted."""
        with writing(self.path):
            self.dataset.write(labels, 1, window=window)
        weights = self.grid.pixel_areas(window.row_off, window.row_off + window.height)
        percent = np.full_like(labels, NODATA) if confidence is None else confidence
        pairs = labels.ravel().astype(np.uint16) << 8 | percent.ravel()
        self.counts[:] += np.bincount(pairs, minlength=256**2).reshape(256, 256)
        self.areas[:] += np.bincount(labels.ravel(), np.repeat(weights, labels.shape[1]), minlength=256)

    @property
    def pixels(self) -> NDArray[np.int64]:
        """Pixels written so far, by label: (256,)."""
        return np.asarray(self.counts.sum(axis=1))

    def class_area(self, land_class: LandClass) -> ClassArea:
        """Area and mean confidence of one class."""
        labelled = float(self.areas[:NODATA].sum())
        area = float(self.areas[land_class.id])
        known = self.counts[land_class.id, : MOST_PERCENT + 1]
        mean = float(known @ np.arange(MOST_PERCENT + 1) / known.sum()) if known.any() else None
        pixels = int(self.pixels[land_class.id])
        return ClassArea(land_class.name, pixels, area, area / labelled if labelled else 0.0, mean)


@contextmanager
def label_writer(path: Path, grid: Grid, legend: Legend, tags: Mapping[str, str]) -> Iterator[LabelWriter]:
    """Open a label file for writing; at the end of the block it is a COG with its sidecar.

    Parameters
    ----------
    path : Path
        The GeoTIFF to be; needs not appear atomically, see `staging.staged_in`.
    grid : Grid
    legend : Legend
    tags : mapping of str to str
        Metadata that tells how the map was made; the legend is added.

    Raises
    ------
    OutputError
        If the file can't be written, e.g. on a full disk.
    """
    # any other way of making overviews would invent classes
    with cog_writer(path, grid, 1, "MODE") as dataset:
        with writing(path):
            dataset.write_colormap(1, colour_table((UNKNOWN_CLASS, *legend.classes)))
            dataset.update_tags(**tags, **{LEGEND_TAG: json.dumps(legend.as_dict(), ensure_ascii=False)})
        writer = LabelWriter(path, dataset, grid)
        yield writer
    with writing(path):
        write_categories(path, (UNKNOWN_CLASS, *legend.classes), writer)
        check_complete(path, writer.pixels)


@contextmanager
def percent_writer(
    path: Path, grid: Grid, names: Sequence[str], tags: Mapping[str, str], *, lasts: bool = True
) -> Iterator[Callable[[NDArray[np.uint8], Window], None]]:
    """Open a file of percentages for writing; at the end of the block it is a COG.

    Parameters
    ----------
    path : Path
    grid : Grid
    names : sequence of str
        Of the bands.
    tags : mapping of str to str
    lasts : bool
        False for a file that others are made of and that goes then: it stays as it is written, without overviews.

    Yields
    ------
    callable
        Takes (bands, rows, cols) uint8, 0..100 or 255 without data, and their window.

    Raises
    ------
    OutputError
        If the file can't be written.
    """
    counts = np.zeros(256, dtype=np.int64)
    # band by band: blocks of many bands would be too large to stay in the cache until they are full
    overviews = "AVERAGE" if lasts else None
    with cog_writer(path, grid, len(names), overviews, photometric="minisblack", interleave="band") as dataset:
        with writing(path):
            dataset.descriptions = tuple(names)
            dataset.units = ("percent",) * len(names)
            dataset.colorinterp = (ColorInterp.gray,) + (ColorInterp.undefined,) * (len(names) - 1)
            dataset.update_tags(**tags)

        def write(layers: NDArray[np.uint8], window: Window) -> None:
            with writing(path):
                dataset.write(layers, window=window)
            counts[:] += np.bincount(layers.ravel(), minlength=256)

        yield write
    with writing(path):
        check_complete(path, counts)


@contextmanager
def cog_writer(
    path: Path, grid: Grid, count: int, overviews: str | None, **options: str
) -> Iterator[rasterio.io.DatasetWriter]:
    """Open a plain tiled file of bytes for writing; at the end of the block, if overviews are wanted, it is a COG."""
    plain = path.with_name(f"{path.name}.plain") if overviews else path  # a staging folder is its own
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": count,
        "height": grid.height,
        "width": grid.width,
        "crs": grid.crs,
        **_georeference(grid),
        "nodata": NODATA,
        "tiled": True,
        "blockxsize": BLOCK_SIZE,
        "blockysize": BLOCK_SIZE,
        "compress": "deflate",
        "zlevel": 1,
        "bigtiff": "if_safer",
        "sparse_ok": True,
        **options,
    }
    with ExitStack() as stack:
        with writing(path):
            dataset = stack.enter_context(rasterio.open(plain, "w", **profile))
        yield dataset
    if not overviews:
        return
    with writing(path):
        rasterio.shutil.copy(plain, path, driver="COG", OVERVIEW_RESAMPLING=overviews, **_COG_OPTIONS)
        plain.unlink()
        sidecar(plain).unlink(missing_ok=True)
        keep_georeference(path, grid)


def _georeference(grid: Grid) -> dict[str, Affine]:
    """Georeference of a file; none for a plain picture, so that a GIS lays the map over it."""
    is_picture = grid.crs is None and grid.transform.is_identity
    return {} if is_picture else {"transform": grid.transform}


def check_complete(path: Path, pixels: NDArray[np.int64]) -> None:
    """Read the file back and count: GDAL may notice a full disk only when it closes a file, and then says nothing."""
    counts = np.zeros(256, dtype=np.int64)
    with rasterio.open(path) as dataset:
        for (row, col), window in dataset.block_windows(1):
            if dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=1) is not None:  # else all nodata
                counts += np.bincount(dataset.read(window=window).ravel(), minlength=256)
    if not np.array_equal(counts[:NODATA], pixels[:NODATA]):
        raise OSError("what was written doesn't read back")


def read_label_legend(path: Path | str) -> Legend:
    """Read the legend of a label file: its own tag, else names and colours that another program gave to the values.

    Raises
    ------
    SceneError
        If the file can't be read or is no raster of labels, or its tag is damaged.
    """
    try:
        with rasterio.open(linked(str(path))) as dataset:
            if not is_of_labels(dataset):
                raise SceneError(f"'{path}' is no label raster: it needs one band of 8-bit labels")
            text = dataset.tags().get(LEGEND_TAG)
            if text is None:
                return _legend_of_others(dataset, path)
    except (SceneError, MemoryError):
        raise
    except Exception as error:  # of GDAL, in several families, and of what reads its text
        raise SceneError(f"'{path}' can't be opened as a raster: {said(error.__cause__ or error)}") from error
    try:
        if len(text) > LARGEST_FILE:
            raise LegendError(f"it has {len(text)} letters")
        return Legend.from_dict(json.loads(text))
    except (RecursionError, ValueError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else said(error)
        raise SceneError(f"'{path}' carries a damaged legend ({why})", hint=f"remove its tag {LEGEND_TAG}") from error


def is_of_labels(dataset: rasterio.DatasetReader) -> bool:
    """True if a raster has one band of bytes; a band of alpha beside it says where it is valid."""
    bands = [kind for kind, use in zip(dataset.dtypes, dataset.colorinterp, strict=True) if use != ColorInterp.alpha]
    return bands == ["uint8"] and dataset.colorinterp[0] != ColorInterp.alpha


def _legend_of_others(dataset: rasterio.DatasetReader, path: Path | str) -> Legend:
    """The values that occur or have a name, in order, by the names and colours that the file has for them."""
    present = {int(v) for _, w in dataset.block_windows(1) for v in np.unique(dataset.read(1, window=w))}
    categories = read_categories(dataset)
    names = categories.names
    if NODATA in names and dataset.nodata != NODATA:
        log.warning("%s", Notice(f"'{path}' has a class {NODATA}, {quoted(names[NODATA])}, which is taken for nodata"))
    values = (present | names.keys()) - {NODATA, dataset.nodata}
    classes: list[LandClass] = []
    for value in sorted(values if UNKNOWN in names else values - {UNKNOWN}):
        name = names.get(value, f"class {value}")
        colour = categories.colours.get(value) or next_colour((name,), [land_class.colour for land_class in classes])
        classes.append(LandClass(value, name, (name,), colour))
    return Legend(tuple(classes))


def colour_table(classes: Iterable[LandClass]) -> dict[int, tuple[int, int, int, int]]:
    """The colour of each value of a byte, RGBA."""
    table = dict.fromkeys(range(256), (0, 0, 0, 0))
    return table | {land_class.id: (*land_class.colour, 255) for land_class in classes}


def write_categories(path: Path, classes: Sequence[LandClass], writer: LabelWriter) -> None:
    """Add category names and the attribute table to GDAL's metadata beside a file, which may hold the CRS already.

    Parameters
    ----------
    path : Path
        Of the raster.
    classes : sequence of LandClass
        What its values mean, ascending.
    writer : LabelWriter
        What was counted.
    """
    root = read_sidecar(path)
    band = root.find("PAMRasterBand[@band='1']")
    if band is None:
        band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    names = ElementTree.SubElement(band, "CategoryNames")
    named = {land_class.id: land_class.name for land_class in classes}
    for position in range(max(named) + 1):  # is the value
        ElementTree.SubElement(names, "Category").text = named.get(position, "")
    table = ElementTree.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    # (name, type: 0 integer, 1 real, 2 string; usage as GDAL numbers it)
    columns = [("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8)]
    columns += [("Pixels", 1, 1), ("Area_m2", 1, 0), ("Confidence", 1, 0)]
    has_codes = any(land_class.code is not None for land_class in classes)
    columns += [("Code", 0, 0)] * has_codes
    for index, (name, kind, usage) in enumerate(columns):
        column = ElementTree.SubElement(table, "FieldDefn", index=str(index))
        for key, value in (("Name", name), ("Type", kind), ("Usage", usage)):
            ElementTree.SubElement(column, key).text = str(value)
    for index, land_class in enumerate(classes):
        row = ElementTree.SubElement(table, "Row", index=str(index))
        area = writer.class_area(land_class)
        counted = [area.pixels, f"{area.area_m2:.12g}", f"{area.confidence or 0.0:.2f}"]
        codes = [-1 if land_class.code is None else land_class.code] * has_codes
        for cell in (land_class.id, land_class.name, *land_class.colour, *counted, *codes):
            ElementTree.SubElement(row, "F").text = str(cell)
    write_sidecar(path, root)
