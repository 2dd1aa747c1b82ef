"""Rasters made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

__all__ = ["UTM", "write_chip", "write_damaged", "write_geotiff", "write_vrt"]

UTM = Affine(0.6, 0.0, 439136.4, 0.0, -0.6, 5273706.6)
"""The position of a scene by default, on EPSG:32632."""


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
