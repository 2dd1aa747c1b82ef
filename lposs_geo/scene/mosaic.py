"""Several rasters as one: a mosaic of what lies on one grid of pixels, refused where it doesn't."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags

from lposs_geo.errors import SceneError
from lposs_geo.files.odd_names import linked
from lposs_geo.files.odd_text import descriptions_of
from lposs_geo.scene.names import on_disk
from lposs_geo.scene.opening import Box, Raster, files_of, open_raster
from lposs_geo.scene.references import check_nesting

__all__ = ["mosaic_of"]

WIDEST = 20_000
"""Px of a mosaic in degrees, above which a gap of half the globe is refused."""

COMPLEX = "holds complex numbers, not brightness: map a detected image instead"

SNAP = 0.02
"""Px by which the pixels of a mosaic's sources may lie beside each other without a notice."""


@dataclass(frozen=True)
class _Part:
    """One source of a mosaic and what must be the same for all."""

    path: str
    opened: str
    files: tuple[str, ...]
    height: int
    width: int
    transform: Affine
    crs: CRS | None
    dtypes: tuple[str, ...]
    nodata: tuple[float | None, ...]
    colours: tuple[ColorInterp, ...]
    palette: dict[int, tuple[int, int, int, int]] | None
    descriptions: tuple[str | None, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    block: tuple[int, int]
    has_mask: bool

    @property
    def has_alpha(self) -> bool:
        return ColorInterp.alpha in self.colours

    @property
    def has_nodata(self) -> bool:
        return any(nodata is not None for nodata in self.nodata)


def mosaic_of(path: str, named: Sequence[tuple[str, str]]) -> Raster:
    """One raster of several that lie on the same grid; where they overlap, the later one is seen."""
    parts = [_part(*name) for name in named]
    first = parts[0]
    for part in parts:
        _check_fits(part, first, path)
    places = [~first.transform @ (part.transform.c, part.transform.f) for part in parts]
    cols, rows = ([round(value) for value in values] for values in zip(*places, strict=True))
    left, top = min(cols), min(rows)
    boxes = tuple(
        (col - left, row - top, part.width, part.height) for part, col, row in zip(parts, cols, rows, strict=True)
    )
    _check_not_bands(parts, boxes, path)
    _check_not_around_the_globe(first, boxes, path)
    aside = max(
        max(abs(col - place[0]), abs(row - place[1])) for place, col, row in zip(places, cols, rows, strict=True)
    )
    notice = f"the rasters of '{path}' don't lie on one pixel grid: they are moved by up to {aside:.2f} px"
    masked = any(part.has_mask or part.has_alpha or part.has_nodata for part in parts)
    return Raster(
        path=path,
        opened=_vrt(parts, boxes, first.transform @ Affine.translation(left, top)),
        files=tuple(sorted({file for part in parts for file in part.files})),
        boxes=boxes,
        block=max((part.block for part in parts), key=lambda block: block[1]),
        masked=masked,
        notices=(notice,) if aside > SNAP else (),
    )


def _part(path: str, opened: str) -> _Part:
    source = Raster(path, opened)
    check_nesting(path, opened)
    with open_raster(source) as dataset:
        if any(dtype.startswith("complex") for dtype in dataset.dtypes):
            raise SceneError(f"'{path}' {COMPLEX}")
        flags = {flag for band in dataset.mask_flag_enums for flag in band}
        try:
            palette = dataset.colormap(1)
        except ValueError:
            palette = None
        return _Part(
            path=path,
            opened=_lasting_name(opened, dataset),
            files=tuple(files_of(source, dataset)),
            height=dataset.height,
            width=dataset.width,
            transform=dataset.transform,
            crs=dataset.crs,
            dtypes=dataset.dtypes,
            nodata=tuple(None if n is None else float(n) for n in dataset.nodatavals),
            colours=dataset.colorinterp,
            palette=palette,
            descriptions=descriptions_of(dataset),
            scales=dataset.scales,
            offsets=dataset.offsets,
            block=dataset.block_shapes[0],
            has_mask=MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags,
        )


def _lasting_name(opened: str, dataset: rasterio.DatasetReader) -> str:
    """What opens a part wherever the mosaic that names it is opened."""
    if on_disk(opened):
        return linked(str(Path(opened).resolve()))
    return opened if opened.startswith("<") else str(dataset.name)


def _check_fits(part: _Part, first: _Part, path: str) -> None:
    """Refuse a source that can't be put beside the first one, with what differs."""
    if part.transform.is_identity:
        raise SceneError(f"'{part.path}' has no georeference, so where it lies in '{path}' isn't known")
    steps, wanted = ((t.a, t.b, t.d, t.e) for t in (part.transform, first.transform))
    # over a whole source the pixels may run apart by less than a hundredth
    tolerance = 0.01 * max(map(abs, wanted)) / max(part.width, part.height)
    for differs, how in (
        (part.crs != first.crs, f"{_name(part.crs)} instead of {_name(first.crs)}: warp it first, e.g. with gdalwarp"),
        (len(part.dtypes) != len(first.dtypes), f"{len(part.dtypes)} bands instead of {len(first.dtypes)}"),
        (part.dtypes != first.dtypes, f"{part.dtypes[0]} values instead of {first.dtypes[0]}"),
        (max(abs(a - b) for a, b in zip(steps, wanted, strict=True)) > tolerance, _other_pixels(part, first)),
        (str(part.nodata) != str(first.nodata), f"nodata {part.nodata[0]} instead of {first.nodata[0]}"),  # nan too
        (part.colours != first.colours, f"bands {_colours(part)} instead of {_colours(first)}"),
        (part.palette != first.palette, "another colour table"),
        ((part.scales, part.offsets) != (first.scales, first.offsets), "another scale or offset of its values"),
    ):
        if differs:
            raise SceneError(f"'{part.path}' doesn't fit '{first.path}' in one mosaic: it has {how}")


def _check_not_bands(parts: Sequence[_Part], boxes: Sequence[Box], path: str) -> None:
    """Refuse the bands of one scene in a file each, which no mosaic can show."""
    seen: dict[Box, _Part] = {}
    for part, box in zip(parts, boxes, strict=True):
        other = seen.setdefault(box, part)
        if other is not part and len(part.dtypes) == 1:
            raise SceneError(
                f"'{other.path}' and '{part.path}' have one band each of the same ground: if '{path}' holds the bands "
                "of one scene, stack them into one file first, e.g. with rio stack"
            )


def _check_not_around_the_globe(first: _Part, boxes: Sequence[Box], path: str) -> None:
    """Refuse sources on both sides of the antimeridian, between which a mosaic in degrees has half a globe of gap."""
    if first.crs is None or not first.crs.is_geographic or max(col + across for col, _, across, _ in boxes) <= WIDEST:
        return
    end, gap = 0, 0
    for col, _, across, _ in sorted(boxes):
        end, gap = max(end, col + across), max(gap, col - end)
    if gap * math.hypot(first.transform.a, first.transform.d) * first.crs.units_factor[1] > math.pi:
        raise SceneError(
            f"the rasters of '{path}' lie on both sides of the antimeridian: map them one by one (--batch)"
        )


def _other_pixels(part: _Part, first: _Part) -> str:
    """How the pixels of a source differ from the first one's."""
    here, there = part.transform, first.transform
    unit = "in the units of its coordinate system"
    for digits in (6, 12):
        sizes = [f"{math.hypot(t.a, t.d):.{digits}g} x {math.hypot(t.b, t.e):.{digits}g}" for t in (here, there)]
        if sizes[0] != sizes[1] and (digits == 6 or math.isclose(_angle(here), _angle(there), abs_tol=1e-3)):
            return f"pixels of {sizes[0]} instead of {sizes[1]} {unit}"
    if here.determinant * there.determinant < 0:
        return "rows in the opposite order: warp it first, e.g. with gdalwarp"
    return (
        f"a grid turned by {_angle(here):.4g} degrees instead of {_angle(there):.4g}: warp it first, e.g. with gdalwarp"
    )


def _angle(transform: Affine) -> float:
    """Degrees by which rows are turned."""
    return math.degrees(math.atan2(transform.d, transform.a))


def _name(crs: CRS | None) -> str:
    if crs is None:
        return "no CRS"
    return str(crs.to_string() if crs.to_epsg() else crs.to_dict().get("proj", "a CRS of its own"))


def _colours(part: _Part) -> str:
    return ", ".join(colour.name for colour in part.colours)


_GDAL_TYPES = {"uint8": "Byte"}


def _vrt(parts: Sequence[_Part], boxes: Sequence[Box], transform: Affine) -> str:
    """The text of a VRT: each source in its box, its nodata and what is masked of it left out."""
    first = parts[0]
    width = max(col + across for col, _, across, _ in boxes)
    height = max(row + down for _, row, _, down in boxes)
    numbers = ", ".join(f"{value!r}" for value in map(float, transform.to_gdal()))
    lines = [f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">']
    if first.crs is not None:
        lines.append(f"<SRS>{escape(first.crs.to_wkt())}</SRS>")
    lines.append(f"<GeoTransform>{numbers}</GeoTransform>")
    # as for a single file, a mask is all that counts where there is one
    by_mask = any(part.has_mask for part in parts) or not first.has_nodata
    opened = [_with_own_mask(part) or part.opened for part in parts]
    for band, dtype in enumerate(first.dtypes, 1):
        lines.append(f'<VRTRasterBand dataType="{_gdal_type(dtype)}" band="{band}">')
        lines += _band_facts(first, band, None if by_mask else first.nodata[band - 1])
        for part, name, box in zip(parts, opened, boxes, strict=True):
            lines.append(_placed(part, box, str(band), dtype, _left_out(part, band), name))
        lines.append("</VRTRasterBand>")
    if by_mask:
        # the gaps between sources, and what their own masks leave out
        lines.append('<MaskBand><VRTRasterBand dataType="Byte">')
        for part, name, box in zip(parts, opened, boxes, strict=True):
            if part.has_mask or part.has_nodata:
                lines.append(_placed(part, box, "mask,1", "uint8", "<NODATA>0</NODATA>", name))
            else:
                lines.append(_placed(part, box, "1", part.dtypes[0], _EVERYWHERE))
        lines.append("</VRTRasterBand></MaskBand>")
    return "\n".join([*lines, "</VRTDataset>"])


_EVERYWHERE = "<ScaleOffset>255</ScaleOffset><ScaleRatio>0</ScaleRatio>"
"""Of a mask: 255, whatever the values are."""


def _band_facts(part: _Part, band: int, nodata: float | None) -> list[str]:
    """What is said of a band, in the order that GDAL writes it."""
    facts = []
    description = part.descriptions[band - 1]
    if description:
        facts.append(f"<Description>{escape(description)}</Description>")
    if nodata is not None:
        facts.append(f"<NoDataValue>{nodata!r}</NoDataValue>")
    facts.append(f"<Offset>{part.offsets[band - 1]!r}</Offset><Scale>{part.scales[band - 1]!r}</Scale>")
    facts.append(f"<ColorInterp>{part.colours[band - 1].name.capitalize()}</ColorInterp>")
    if band == 1 and part.palette is not None:
        entries = "".join(
            f'<Entry c1="{r}" c2="{g}" c3="{b}" c4="{a}"/>' for _, (r, g, b, a) in sorted(part.palette.items())
        )
        facts.append(f"<ColorTable>{entries}</ColorTable>")
    return facts


def _left_out(part: _Part, band: int) -> str:
    """What of a source mustn't hide the one below it."""
    if _is_masked_by_values(part) or part.has_mask or (part.has_alpha and not part.has_nodata):
        return "<UseMaskBand>true</UseMaskBand>"
    nodata = part.nodata[band - 1]
    if nodata is not None:
        return f"<NODATA>{nodata!r}</NODATA>"
    return "" if part.palette is not None else "<NODATA>0</NODATA>"  # a black frame that isn't declared


def _is_masked_by_values(part: _Part) -> bool:
    """Whether all bands together say what is left out of a source: else the bands of two would mix."""
    return len(part.dtypes) > 1 and not part.has_mask and (part.has_nodata or not part.has_alpha)


def _with_own_mask(part: _Part) -> str | None:
    """The text of a VRT of one source whose mask tells which pixels are no data, or black where none is declared."""
    if not _is_masked_by_values(part):
        return None
    box = (0, 0, part.width, part.height)
    lines = [f'<VRTDataset rasterXSize="{part.width}" rasterYSize="{part.height}">']
    for band, dtype in enumerate(part.dtypes, 1):
        lines.append(f'<VRTRasterBand dataType="{_gdal_type(dtype)}" band="{band}">')
        lines.append(_placed(part, box, str(band), dtype, "") + "</VRTRasterBand>")
    lines.append('<MaskBand><VRTRasterBand dataType="Byte">')
    telling = [band for band, nodata in enumerate(part.nodata, 1) if nodata is not None or not part.has_nodata]
    telling = [band for band in telling if part.colours[band - 1] != ColorInterp.alpha] or telling
    # 0 and 8-bit values may be colour in one band, as for a single file
    any_band = all(part.nodata[band - 1] == 0 or part.dtypes[band - 1] == "uint8" for band in telling)
    for band in telling:
        dtype = part.dtypes[band - 1]
        if not part.has_nodata:
            lines.append(_placed(part, box, str(band), dtype, "<NODATA>0</NODATA>" + _EVERYWHERE))
        elif any_band:  # drawn one above the other without their zeros, or without all else
            lines.append(_placed(part, box, f"mask,{band}", "uint8", "<NODATA>0</NODATA>"))
        else:
            keep = "<NODATA>255</NODATA>" if band != telling[0] else ""
            lines.append(_placed(part, box, f"mask,{band}", "uint8", keep))
    return "".join([*lines, "</VRTRasterBand></MaskBand></VRTDataset>"])


def _placed(part: _Part, box: Box, band: str, dtype: str, left_out: str, opened: str | None = None) -> str:
    col, row, width, height = box
    down, across = part.block
    kind = "ComplexSource" if left_out else "SimpleSource"
    return (
        f'<{kind}><SourceFilename relativeToVRT="0">{escape(opened or part.opened)}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand>"
        f'<SourceProperties RasterXSize="{width}" RasterYSize="{height}" DataType="{_gdal_type(dtype)}" '
        f'BlockXSize="{across}" BlockYSize="{down}"/><SrcRect xOff="0" yOff="0" xSize="{width}" ySize="{height}"/>'
        f'<DstRect xOff="{col}" yOff="{row}" xSize="{width}" ySize="{height}"/>{left_out}</{kind}>'
    )


def _gdal_type(dtype: str) -> str:
    return _GDAL_TYPES.get(dtype, np.dtype(dtype).name.capitalize().replace("Uint", "UInt"))
