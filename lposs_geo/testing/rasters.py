"""Rasters made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint

__all__ = [
    "UTM",
    "coded",
    "noise",
    "write_chip",
    "write_damaged",
    "write_geotiff",
    "write_palette_vrt",
    "write_part",
    "write_vrt",
    "write_with_points",
]

UTM = Affine(0.6, 0.0, 439136.4, 0.0, -0.6, 5273706.6)
"""The position of a scene by default, on EPSG:32632."""


def coded(bands: int, dtype: str = "uint16", rows: int = 30, cols: int = 40) -> NDArray[Any]:
    """A picture whose every value tells its band, row and col."""
    band, row, col = np.meshgrid(np.arange(1, bands + 1), np.arange(rows), np.arange(cols), indexing="ij")
    return (band * 60 + (row + col) % 30).astype(dtype)


def noise(rows: int = 40, cols: int = 50, bands: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """A picture of random values from 1 to 254."""
    return np.random.default_rng(seed).integers(1, 255, (bands, rows, cols)).astype(np.uint8)


def write_geotiff(path: Path, array: NDArray[Any], **options: Any) -> Path:
    """Write an array (bands, rows, cols) to a GeoTIFF, in UTM unless told otherwise."""
    profile = {
        "driver": "GTiff",
        "count": array.shape[0],
        "height": array.shape[1],
        "width": array.shape[2],
        "dtype": array.dtype,
        "crs": "EPSG:32632",
        "transform": UTM,
    }
    colours = options.pop("colorinterp", None)
    descriptions = options.pop("descriptions", None)
    with rasterio.open(path, "w", **(profile | options)) as dataset:
        dataset.write(array)
        if colours:
            dataset.colorinterp = colours
        if descriptions:
            dataset.descriptions = descriptions
    return path


def write_vrt(path: Path, shape: tuple[int, int], *sources: tuple[Path, tuple[int, int]], facts: str = "") -> Path:
    """A VRT of three bands of (rows, cols) px in UTM; each source of 8 bits has its upper left corner at (row, col)."""
    bands = []
    for band, colour in enumerate(("Red", "Green", "Blue"), 1):
        parts = []
        for source, (row, col) in sources:
            with rasterio.open(source) as dataset:
                size = f'xSize="{dataset.width}" ySize="{dataset.height}"'
            parts.append(
                f'<SimpleSource><SourceFilename relativeToVRT="0">{source}</SourceFilename><SourceBand>{band}'
                f'</SourceBand><SrcRect xOff="0" yOff="0" {size}/><DstRect xOff="{col}" yOff="{row}" {size}/>'
                "</SimpleSource>"
            )
        facts_and_parts = f"{facts}<ColorInterp>{colour}</ColorInterp>{''.join(parts)}"
        bands.append(f'<VRTRasterBand dataType="Byte" band="{band}">{facts_and_parts}</VRTRasterBand>')
    numbers = ", ".join(map(repr, UTM.to_gdal()))
    path.write_text(
        f'<VRTDataset rasterXSize="{shape[1]}" rasterYSize="{shape[0]}"><SRS>EPSG:32632</SRS>'
        f"<GeoTransform>{numbers}</GeoTransform>{''.join(bands)}</VRTDataset>"
    )
    return path


def write_chip(path: Path, lakeside: Path) -> Path:
    """A piece of the bundled scene that maps in seconds: lake, trees and field; with a corner that holds no data."""
    with rasterio.open(lakeside) as dataset:
        array = dataset.read(window=rasterio.windows.Window(60, 250, 290, 250))
    array[:, :40, :60] = 0
    return write_geotiff(path, array, nodata=0)


def write_damaged(path: Path, lakeside: Path) -> Path:
    """4100 rows of the bundled scene's lake, of which the last one can't be read; a reduced read doesn't see that."""
    with rasterio.open(lakeside) as dataset:
        array = dataset.read([3, 2, 1], window=rasterio.windows.Window(0, 100, 80, 410))
    write_geotiff(path, np.tile(array, (1, 10, 1)), blockysize=1, interleave="pixel")
    with rasterio.open(path) as dataset:
        end = int(dataset.get_tag_item("BLOCK_OFFSET_0_4099", "TIFF", bidx=1))
    path.write_bytes(path.read_bytes()[:end])
    return path


def write_part(folder: Path, name: str, array: NDArray[Any], row: float, col: float, **options: Any) -> Path:
    """A part of a mosaic that begins at a row and a col of it."""
    folder.mkdir(exist_ok=True)
    transform = options.pop("transform", UTM @ Affine.translation(col, row))
    return write_geotiff(folder / name, array, transform=transform, **options)


def write_palette_vrt(path: Path, source: Path, colours: NDArray[Any]) -> None:
    """A VRT of 30 x 40 indices with a colour table, red, green, blue and alpha of each index; 4 is nodata."""
    entries = "".join('<Entry c1="{}" c2="{}" c3="{}" c4="{}"/>'.format(*colour) for colour in colours)
    path.write_text(
        '<VRTDataset rasterXSize="40" rasterYSize="30"><SRS>EPSG:32632</SRS><GeoTransform>0,1,0,9,0,-1</GeoTransform>'
        '<VRTRasterBand dataType="Byte" band="1"><NoDataValue>4</NoDataValue><ColorInterp>Palette</ColorInterp>'
        f"<ColorTable>{entries}</ColorTable><SimpleSource><SourceFilename>{source}</SourceFilename></SimpleSource>"
        "</VRTRasterBand></VRTDataset>"
    )


def write_with_points(
    write_raster: Callable[..., Path],
    array: NDArray[Any],
    points: Sequence[tuple[int, int]] = ((0, 0), (0, 30), (20, 0), (20, 30)),
    **options: Any,
) -> Path:
    """A raster south up, located by ground control points in degrees only: 0.001 a pixel, from 9 E, 47 N."""
    path = write_raster(array, transform=Affine.identity(), crs=None, **options)
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = [GroundControlPoint(r, c, 9 + c / 1e3, 47 + r / 1e3) for r, c in points], "EPSG:4326"
    return path
