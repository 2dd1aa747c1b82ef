"""Facts of a file that GDAL tells of its bands: colours, palette, masks, scales, and which blocks were ever written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import MaskFlags

from lposs_geo.errors import SceneError
from lposs_geo.scene.layers import Layers
from lposs_geo.scene.opening import Raster

__all__ = [
    "bits_of",
    "block_of",
    "check_real",
    "colours_of",
    "holds_heights",
    "is_lossy",
    "is_turned",
    "is_written",
    "masked_bands",
    "may_be_colour",
    "palette_of",
    "physical_factors",
    "tells_nodata",
    "wavelength_of",
]


def colours_of(dataset: rasterio.DatasetReader) -> tuple[str, ...]:
    """Colour interpretation of each band, by the names of `rasterio.enums.ColorInterp`."""
    try:
        return tuple(colour.name for colour in dataset.colorinterp)
    except ValueError:  # a newer GDAL knows more colours than rasterio does
        return ("undefined",) * int(dataset.count)


def wavelength_of(dataset: rasterio.DatasetReader, band: int) -> float | None:
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


def palette_of(dataset: rasterio.DatasetReader, band: int, raster: Raster) -> bytes | None:
    """A colour table as bytes: red, green, blue and alpha of each index from 0 on; None where there is none.

    Raises SceneError where its numbers are no colours of 8 bits.
    """
    try:
        entries = dataset.colormap(band)
    except ValueError:
        return None
    if not entries:
        return None
    for index, entry in entries.items():
        if not all(0 <= part <= 255 for part in entry):
            raise SceneError(
                f"'{raster.path}' has a colour table whose entry {index} is {entry}, not four numbers from 0 to 255",
                hint=f"correct it, or map the indices as grey by <bands={band}>",
            )
    table = np.zeros((max(entries) + 1, 4), dtype=np.uint8)
    table[list(entries)] = list(entries.values())
    if not table[:, 3].any():  # some programs leave alpha out
        table[:, 3] = 255
    return table.tobytes()


def physical_factors(
    dataset: rasterio.DatasetReader, layers: Layers
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Scales and offsets of red, green and blue, from stored values to physical ones; 1 and 0 for what is no number."""
    if layers.palette is not None:
        return (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    scales = [float(dataset.scales[band - 1]) for band in layers.bands]
    offsets = [float(dataset.offsets[band - 1]) for band in layers.bands]
    red, green, blue = (scale if math.isfinite(scale) and scale else 1.0 for scale in scales)
    more_red, more_green, more_blue = (offset if math.isfinite(offset) else 0.0 for offset in offsets)
    return (red, green, blue), (more_red, more_green, more_blue)


def check_real(dtypes: Iterable[str], path: str) -> None:
    """Refuse complex numbers, which are no brightness.

    Parameters
    ----------
    dtypes : iterable of str
        By band.
    path : str
        The raster's name in messages.

    Raises
    ------
    SceneError
        If there are any.
    """
    if any(dtype.startswith("complex") for dtype in dtypes):
        raise SceneError(f"'{path}' holds complex numbers, not brightness", hint="map a detected image instead")


def is_turned(dataset: rasterio.DatasetReader) -> bool:
    """True if 0 is white."""
    return bool(dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES")


def bits_of(dataset: rasterio.DatasetReader, band: int) -> int:
    """Bits of a stored value; there may be fewer than its type has."""
    return int(dataset.tags(band, ns="IMAGE_STRUCTURE").get("NBITS", 8 * np.dtype(dataset.dtypes[band - 1]).itemsize))


def block_of(dataset: rasterio.DatasetReader, raster: Raster, layers: Layers) -> tuple[int, int]:
    """Rows and cols of what is decoded at once; of a mosaic the widest of its sources'."""
    rows, cols = raster.block or dataset.block_shapes[layers.bands[0] - 1]
    return int(rows), int(cols)


def is_lossy(dataset: rasterio.DatasetReader) -> bool:
    """True if a file is compressed with loss, as far as it says so."""
    facts = dataset.tags(ns="IMAGE_STRUCTURE")
    return "JPEG" in facts.get("COMPRESSION", "") or facts.get("COMPRESSION_REVERSIBILITY", "").startswith("LOSSY")


def holds_heights(dataset: rasterio.DatasetReader, layers: Layers, dtype: np.dtype[Any]) -> bool:
    """True if 0 may be a sea's height: in one band with a sign."""
    return int(dataset.count) - len(layers.alphas) == 1 and not np.issubdtype(dtype, np.unsignedinteger)


def masked_bands(dataset: rasterio.DatasetReader, layers: Layers) -> list[int]:
    """The chosen bands that have nodata or a mask of their own."""
    no_mask = {MaskFlags.alpha, MaskFlags.all_valid}
    return [band for band in sorted(set(layers.bands)) if not no_mask & set(dataset.mask_flag_enums[band - 1])]


def may_be_colour(dataset: rasterio.DatasetReader, bands: Sequence[int]) -> bool:
    """True if what stands for no data may be a dark or a saturated pixel of one band: where it is 0, or of 8 bits.

    Any other value means nothing but no data.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
    bands : sequence of int
        From 1.
    """
    return all(dataset.nodatavals[band - 1] == 0 or dataset.dtypes[band - 1] == "uint8" for band in bands)


def tells_nodata(dataset: rasterio.DatasetReader, raster: Raster, layers: Layers) -> bool:
    """True if a scene says itself what is valid; a mosaic's mask says only where its sources lie.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
    raster : Raster
    layers : Layers
    """
    if raster.boxes:
        return raster.masked
    return bool(layers.alphas or masked_bands(dataset, layers))


def is_written(
    dataset: rasterio.DatasetReader, layers: Layers, start: tuple[float, float], stop: tuple[float, float]
) -> bool:
    """True if the file may hold a block of any of the bands between two corners, without reading it.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
    layers : Layers
    start, stop : (float, float)
        Rows and cols.
    """
    if dataset.driver != "GTiff":
        return True
    if layers.hole_value != 0 and all(nodata is None for nodata in dataset.nodatavals):
        # without a nodata value, what was never written is black, and missing only in a black frame
        if layers.frame_value != 0:
            return True
        if layers.frame is not None and not layers.frame.covers(dataset.shape, start, stop):
            return True
    height, width = dataset.block_shapes[layers.bands[0] - 1]
    return any(
        dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=band) is not None
        for band in sorted(set(layers.bands))
        for row in range(int(start[0]) // height, math.ceil(stop[0] / height))
        for col in range(int(start[1]) // width, math.ceil(stop[1] / width))
    )
