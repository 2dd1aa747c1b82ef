"""Several rasters as one: a mosaic of what lies on one grid of pixels, refused where it doesn't."""

from __future__ import annotations

import math
from collections.abc import Sequence

from affine import Affine
from rasterio.crs import CRS

from lposs_geo.errors import SceneError
from lposs_geo.hints import Notice
from lposs_geo.scene.mosaic_parts import Part, part_of
from lposs_geo.scene.mosaic_vrt import vrt_of
from lposs_geo.scene.opening import Box, Raster

__all__ = ["mosaic_of"]

WIDEST = 20_000
"""Px of a mosaic in degrees, above which a gap of half the globe is refused."""

SNAP = 0.02
"""Px by which the pixels of a mosaic's rasters may lie beside each other without a notice."""

WARP_FIRST = "warp it first, e.g. with gdalwarp"


def mosaic_of(path: str, rasters: Sequence[Raster]) -> Raster:
    """Make one raster of several that lie on the same grid; where they overlap, the later one is seen.

    Parameters
    ----------
    path : str
        Its name in messages.
    rasters : sequence of Raster

    Raises
    ------
    SceneError
        If they don't fit together.
    """
    parts = [part_of(raster) for raster in rasters]
    first = parts[0]
    for part in parts:
        _check_fits(part, first, path)
    corners = [~first.transform @ (part.transform.c, part.transform.f) for part in parts]
    cols, rows = ([round(value) for value in values] for values in zip(*corners, strict=True))
    left, top = min(cols), min(rows)
    boxes = tuple(
        (col - left, row - top, part.width, part.height) for part, col, row in zip(parts, cols, rows, strict=True)
    )
    _check_not_bands(parts, boxes, path)
    _check_not_around_the_globe(first, boxes, path)
    aside = max(
        max(abs(col - corner[0]), abs(row - corner[1])) for corner, col, row in zip(corners, cols, rows, strict=True)
    )
    moved = Notice(f"the rasters of '{path}' don't lie on one pixel grid: they are moved by up to {aside:.2f} px")
    return Raster(
        path=path,
        opened=vrt_of(parts, boxes, first.transform @ Affine.translation(left, top)),
        files=tuple(sorted({file for part in parts for file in part.files})),
        boxes=boxes,
        block=max((part.block for part in parts), key=lambda block: block[1]),
        masked=any(part.has_mask or part.has_alpha or part.has_nodata for part in parts),
        notices=(moved,) if aside > SNAP else (),
        memory=tuple(snapshot for raster in rasters for snapshot in raster.memory),
    )


def _check_fits(part: Part, first: Part, path: str) -> None:
    """Refuse a raster that can't be put beside the first one, with what differs."""
    if part.transform.is_identity:
        raise SceneError(f"'{part.path}' has no georeference, so where it lies in '{path}' isn't known")
    steps, wanted = ((t.a, t.b, t.d, t.e) for t in (part.transform, first.transform))
    # over a whole raster the pixels may run apart by less than a hundredth
    tolerance = 0.01 * max(map(abs, wanted)) / max(part.width, part.height)
    for differs, (how, hint) in (
        (part.crs != first.crs, (f"{_name(part.crs)} instead of {_name(first.crs)}", WARP_FIRST)),
        (len(part.dtypes) != len(first.dtypes), (f"{len(part.dtypes)} bands instead of {len(first.dtypes)}", "")),
        (part.dtypes != first.dtypes, (f"{part.dtypes[0]} values instead of {first.dtypes[0]}", "")),
        (max(abs(a - b) for a, b in zip(steps, wanted, strict=True)) > tolerance, _other_pixels(part, first)),
        (str(part.nodata) != str(first.nodata), (f"nodata {part.nodata[0]} instead of {first.nodata[0]}", "")),  # nan
        (part.turned != first.turned, (f"{_white(part)} for white instead of {_white(first)}", "")),
        (part.colours != first.colours, (f"bands {_colours(part)} instead of {_colours(first)}", "")),
        (part.palette != first.palette, ("another colour table", "")),
        (part.bits != first.bits, (f"{part.bits[0]} bits a value instead of {first.bits[0]}", "")),
        ((part.scales, part.offsets) != (first.scales, first.offsets), ("another scale or offset of its values", "")),
    ):
        if differs:
            raise SceneError(f"'{part.path}' doesn't fit '{first.path}' in one mosaic: it has {how}", hint=hint)


def _check_not_bands(parts: Sequence[Part], boxes: Sequence[Box], path: str) -> None:
    """Refuse the bands of one scene in a file each, which no mosaic can show."""
    seen: dict[Box, Part] = {}
    for part, box in zip(parts, boxes, strict=True):
        other = seen.setdefault(box, part)
        if other is not part and len(part.dtypes) == 1:
            raise SceneError(
                f"'{other.path}' and '{part.path}' have one band each of the same ground",
                hint=f"if '{path}' holds the bands of one scene, stack them into one file first, e.g. with rio stack",
            )


def _check_not_around_the_globe(first: Part, boxes: Sequence[Box], path: str) -> None:
    """Refuse sources on both sides of the antimeridian, between which a mosaic in degrees has half a globe of gap."""
    if first.crs is None or not first.crs.is_geographic or max(col + across for col, _, across, _ in boxes) <= WIDEST:
        return
    end, gap = 0, 0
    for col, _, across, _ in sorted(boxes):
        end, gap = max(end, col + across), max(gap, col - end)
    if gap * math.hypot(first.transform.a, first.transform.d) * first.crs.units_factor[1] > math.pi:
        raise SceneError(
            f"the rasters of '{path}' lie on both sides of the antimeridian", hint="map them one by one, see <batch>"
        )


def _other_pixels(part: Part, first: Part) -> tuple[str, str]:
    """The difference of a raster's pixels from the first one's, and a hint."""
    here, there = part.transform, first.transform
    unit = "in the units of its coordinate system"
    for digits in (6, 12):
        sizes = [f"{math.hypot(t.a, t.d):.{digits}g} x {math.hypot(t.b, t.e):.{digits}g}" for t in (here, there)]
        if sizes[0] != sizes[1] and (digits == 6 or math.isclose(_angle(here), _angle(there), abs_tol=1e-3)):
            return f"pixels of {sizes[0]} instead of {sizes[1]} {unit}", ""
    if here.determinant * there.determinant < 0:
        return "rows in the opposite order", WARP_FIRST
    return f"a grid turned by {_angle(here):.4g} degrees instead of {_angle(there):.4g}", WARP_FIRST


def _angle(transform: Affine) -> float:
    """Degrees by which rows are turned."""
    return math.degrees(math.atan2(transform.d, transform.a))


def _name(crs: CRS | None) -> str:
    if crs is None:
        return "no CRS"
    return str(crs.to_string() if crs.to_epsg() else crs.to_dict().get("proj", "a CRS of its own"))


def _colours(part: Part) -> str:
    return ", ".join(colour.name for colour in part.colours)


def _white(part: Part) -> str:
    return "0" if part.turned else "the greatest value"
