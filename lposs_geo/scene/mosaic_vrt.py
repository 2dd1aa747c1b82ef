"""The VRT of a mosaic: each raster in its box, its nodata and what is masked of it left out."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
from affine import Affine
from rasterio.enums import ColorInterp

from lposs_geo.scene.mosaic_parts import Part
from lposs_geo.scene.opening import Box

__all__ = ["vrt_of"]

_LEFT_OUT_BLACK = {"NODATA": "0"}

_EVERYWHERE = {"ScaleOffset": "255", "ScaleRatio": "0"}
"""Of a mask: 255, whatever the values are."""

_BY_ITS_MASK = {"UseMaskBand": "true"}


def vrt_of(parts: Sequence[Part], boxes: Sequence[Box], transform: Affine) -> str:
    """Write a mosaic as the text of a VRT.

    Parameters
    ----------
    parts : sequence of Part
        Where they overlap, the later one is seen.
    boxes : sequence of Box
        Where they lie in the mosaic.
    transform : Affine
        The mosaic's.
    """
    first = parts[0]
    width = max(col + across for col, _, across, _ in boxes)
    height = max(row + down for _, row, _, down in boxes)
    root = _dataset(width, height)
    if first.crs is not None:
        SubElement(root, "SRS").text = first.crs.to_wkt()
    SubElement(root, "GeoTransform").text = ", ".join(repr(float(number)) for number in transform.to_gdal())
    if first.turned:
        _add_structure(root, "MINISWHITE", "YES")
    # as for a single file, a mask is all that counts where there is one
    by_mask = any(part.has_mask for part in parts) or not first.has_nodata
    opened = [_with_own_mask(part) or part.opened for part in parts]
    for band, dtype in enumerate(first.dtypes, 1):
        element = _band(root, dtype, band)
        _add_facts(element, first, band, None if by_mask else first.nodata[band - 1])
        for part, name, box in zip(parts, opened, boxes, strict=True):
            _add_source(element, part, box, str(band), dtype, _left_out(part, band), name)
    if by_mask:
        # the gaps between rasters, and what their own masks leave out
        mask = _mask_band(root)
        for part, name, box in zip(parts, opened, boxes, strict=True):
            if part.has_mask or part.has_nodata:
                _add_source(mask, part, box, "mask,1", "uint8", _LEFT_OUT_BLACK, name)
            else:
                _add_source(mask, part, box, "1", part.dtypes[0], _EVERYWHERE, part.opened)
    return tostring(root, encoding="unicode")


def _dataset(width: int, height: int) -> Element:
    return Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))


def _band(parent: Element, dtype: str, band: int) -> Element:
    return SubElement(parent, "VRTRasterBand", dataType=_gdal_type(dtype), band=str(band))


def _mask_band(root: Element) -> Element:
    return SubElement(SubElement(root, "MaskBand"), "VRTRasterBand", dataType="Byte")


def _add_structure(parent: Element, key: str, value: str) -> None:
    """Add what GDAL says of how values are stored."""
    SubElement(SubElement(parent, "Metadata", domain="IMAGE_STRUCTURE"), "MDI", key=key).text = value


def _add_facts(element: Element, part: Part, band: int, nodata: float | None) -> None:
    """Add what is said of a band, in the order that GDAL writes it."""
    description = part.descriptions[band - 1]
    if part.bits[band - 1] < 8 * np.dtype(part.dtypes[band - 1]).itemsize:
        _add_structure(element, "NBITS", str(part.bits[band - 1]))
    if description:
        SubElement(element, "Description").text = description
    if nodata is not None:
        SubElement(element, "NoDataValue").text = repr(nodata)
    SubElement(element, "Offset").text = repr(part.offsets[band - 1])
    SubElement(element, "Scale").text = repr(part.scales[band - 1])
    SubElement(element, "ColorInterp").text = part.colours[band - 1].name.capitalize()
    if band == 1 and part.palette is not None:
        table = SubElement(element, "ColorTable")
        for _, colour in sorted(part.palette.items()):
            SubElement(table, "Entry", {f"c{number}": str(value) for number, value in enumerate(colour, 1)})


def _left_out(part: Part, band: int) -> dict[str, str]:
    """Elements that leave out the pixels of a raster that mustn't hide those below."""
    if _is_masked_by_values(part) or part.has_mask or (part.has_alpha and not part.has_nodata):
        return _BY_ITS_MASK
    nodata = part.nodata[band - 1]
    if nodata is not None:
        return {"NODATA": repr(nodata)}
    return {} if part.palette is not None else _LEFT_OUT_BLACK  # a black frame that isn't declared


def _is_masked_by_values(part: Part) -> bool:
    """True where all bands together say what is left out of a raster: else the bands of two would mix."""
    return len(part.dtypes) > 1 and not part.has_mask and (part.has_nodata or not part.has_alpha)


def _with_own_mask(part: Part) -> str | None:
    """The text of a VRT of one raster whose mask tells which pixels are no data, or black where none is declared."""
    if not _is_masked_by_values(part):
        return None
    box = (0, 0, part.width, part.height)
    root = _dataset(part.width, part.height)
    for band, dtype in enumerate(part.dtypes, 1):
        _add_source(_band(root, dtype, band), part, box, str(band), dtype, {}, part.opened)
    mask = _mask_band(root)
    telling = [band for band, nodata in enumerate(part.nodata, 1) if nodata is not None or not part.has_nodata]
    telling = [band for band in telling if part.colours[band - 1] != ColorInterp.alpha] or telling
    # 0 and 8-bit values may be colour in one band, as for a single file
    any_band = all(part.nodata[band - 1] == 0 or part.dtypes[band - 1] == "uint8" for band in telling)
    for band in telling:
        if not part.has_nodata:
            dtype = part.dtypes[band - 1]
            _add_source(mask, part, box, str(band), dtype, _LEFT_OUT_BLACK | _EVERYWHERE, part.opened)
        else:
            # drawn one above the other without their zeros, or without all else
            left_out = _LEFT_OUT_BLACK if any_band else {"NODATA": "255"} if band != telling[0] else {}
            _add_source(mask, part, box, f"mask,{band}", "uint8", left_out, part.opened)
    return tostring(root, encoding="unicode")


def _add_source(
    parent: Element, part: Part, box: Box, band: str, dtype: str, left_out: dict[str, str], opened: str
) -> None:
    """Add a band of a raster, in its box; `left_out` are the elements that leave some of its pixels out."""
    col, row, width, height = box
    down, across = part.block
    source = SubElement(parent, "ComplexSource" if left_out else "SimpleSource")
    SubElement(source, "SourceFilename", relativeToVRT="0").text = opened
    SubElement(source, "SourceBand").text = band
    facts = {"RasterXSize": width, "RasterYSize": height, "DataType": _gdal_type(dtype)}
    blocks = {"BlockXSize": across, "BlockYSize": down}
    SubElement(source, "SourceProperties", {name: str(value) for name, value in (facts | blocks).items()})
    for name, (left, top) in {"SrcRect": (0, 0), "DstRect": (col, row)}.items():
        SubElement(source, name, xOff=str(left), yOff=str(top), xSize=str(width), ySize=str(height))
    for name, value in left_out.items():
        SubElement(source, name).text = value


def _gdal_type(dtype: str) -> str:
    return "Byte" if dtype == "uint8" else np.dtype(dtype).name.capitalize().replace("Uint", "UInt")
