"""A report of a map: one page of HTML that holds all it shows, to be read in any browser, sent and printed.

The page asks for nothing from elsewhere: pictures are embedded, styles and the script that moves the swipe are inline.
Without the script, and on paper, scene and map lie side by side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lposs_geo.legend.colours import to_hex
from lposs_geo.legend.legend import NODATA, UNKNOWN, UNKNOWN_CLASS, LandClass, Legend
from lposs_geo.writers.area_units import AreaUnit, unit_for
from lposs_geo.writers.embedded import data_uri, labels_uri
from lposs_geo.writers.examples_section import SMALL_SIDE, Effect, examples_section
from lposs_geo.writers.quicklook import MAP_OPACITY, length_text, round_length, scene_pixels
from lposs_geo.writers.rasters import ClassArea

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["Report", "page"]

_JPEG_QUALITY = 85
_COARSE_SIDE = 300

_LONG_LEGEND = 14
"""A legend of more classes stands below the map, in columns, not beside it."""

# Of confidence: the less certain, the darker. Lightness alone tells the order, for colour-blind readers and on grey
# paper (ColorBrewer's YlOrBr, reversed, without its palest).
_RAMP = (
    (102, 37, 6),
    (153, 52, 4),
    (204, 76, 2),
    (236, 112, 20),
    (254, 153, 41),
    (254, 196, 79),
    (254, 227, 145),
    (255, 247, 188),
)


@dataclass(frozen=True)
class Report:
    """The contents of the page.

    Attributes
    ----------
    title : str
        Name of the scene.
    facts : mapping of str to str
        The first lines on scene and map, by label: size, extent, GSD, CRS, model.
    image : (3, rows, cols) float32
        The scene, reduced to the size it is shown in: RGB in 0..1.
    labels : (rows, cols) uint8
        The map on the same pixels.
    legend : Legend
    areas : sequence of ClassArea
        One for each class of the legend, of the whole map.
    created : datetime
    confidence : (rows, cols) uint8, optional
        Percent on the same pixels, 255 where there is none.
    histogram : sequence of 10 int, optional
        All the map's pixels by confidence: below 10 %, below 20 %, ..., 90 % and more.
    confidence_words : str
        The meaning of confidence, for a reader who knows nothing of the method.
    unknown_share : float
        Share of the labelled area that no class was given to, 0..1.
    pixel_size_m : float, optional
        Metres that one pixel of the picture is wide; None where that isn't known.
    is_north_up : bool
    has_crs : bool
        Areas are square metres; else they are square map units.
    notices : sequence of str
        Lines that the reader should know before relying on the map.
    parameters : mapping of str to str, optional
        The making of the map, by label. JSON is set out as a table.
    effect : Effect, optional
        What examples did to the map.
    """

    title: str
    facts: Mapping[str, str]
    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    legend: Legend
    areas: Sequence[ClassArea]
    created: datetime
    confidence: NDArray[np.uint8] | None = None
    histogram: Sequence[int] | None = None
    confidence_words: str = ""
    unknown_share: float = 0.0
    pixel_size_m: float | None = None
    is_north_up: bool = False
    has_crs: bool = True
    notices: Sequence[str] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    effect: Effect | None = None


@dataclass(frozen=True)
class _Row:
    """One class in the table of areas: None is a number not known, `bar` its length in percent of the longest."""

    name: str
    colour: str
    code: int | None
    area: str | None
    share: str
    confidence: str | None
    bar: float
    is_absent: bool


@dataclass(frozen=True)
class _Bin:
    """One bar of the histogram; `height` is in percent of the tallest."""

    low: int
    high: int
    share: str
    height: float
    colour: str


def page(contents: Report) -> str:
    """Write the report as one page of HTML.

    Parameters
    ----------
    contents : Report
    """
    (rows, cols), effect = contents.labels.shape, contents.effect
    unit = unit_for(sum(area.area_m2 for area in contents.areas), contents.has_crs)
    table = _rows(contents, unit)
    has_unknown = contents.unknown_share > 0 or bool((contents.labels == UNKNOWN).any())
    shown = (*contents.legend.classes, *((UNKNOWN_CLASS,) if has_unknown else ()))
    return _template().render(
        contents=contents,
        cols=cols,
        rows=rows,
        scene=_scene_uri(contents),
        map=labels_uri(contents.labels, contents.legend),
        is_coarse=_is_coarse(contents.labels),
        opacity=round(MAP_OPACITY * 100),
        scale=_scale(contents.pixel_size_m, cols),
        shown=shown,
        is_long=len(shown) > _LONG_LEGEND,
        names_by_colour=_names_by_colour(shown),
        unit=unit,
        table=table,
        has_codes=any(row.code is not None for row in table),
        has_confidences=any(area.confidence is not None for area in contents.areas),
        total=unit.text(_total(contents)),
        lead=_lead(contents, unit),
        bins=_bins(contents.histogram),
        doubtful=_doubtful(contents.histogram),
        mean_confidence=_mean_confidence(contents.areas),
        confidence_map=None if contents.confidence is None else _confidence_uri(contents.confidence),
        ramp=[to_hex(colour) for colour in _RAMP],
        examples=None
        if effect is None
        else examples_section(effect, contents.image, contents.labels, contents.legend, has_crs=contents.has_crs),
        parameters=[(label, _set_out(text)) for label, text in contents.parameters.items()],
    )


def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    source = resources.files("lposs_geo.writers").joinpath("report.html.j2").read_text(encoding="utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(
        source
    )


# Words and numbers


def _total(contents: Report) -> float:
    """Labelled area in square metres, with what no class was given to."""
    given = sum(area.area_m2 for area in contents.areas)
    return given / (1 - contents.unknown_share) if contents.unknown_share < 1 else given


def _percent(share: float) -> str:
    """A share of 0..1, never rounded to nothing."""
    return "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def _rows(contents: Report, unit: AreaUnit) -> list[_Row]:
    """The classes by area, the absent ones last; then what no class was given to."""
    classes = {land_class.name: land_class for land_class in contents.legend.classes}
    longest = max([contents.unknown_share, *(area.share for area in contents.areas)], default=0.0) or 1.0
    ordered = sorted(contents.areas, key=lambda area: (area.pixels == 0, -area.area_m2))
    rows = [
        _Row(
            area.name,
            classes[area.name].hex_colour,
            classes[area.name].code,
            unit.text(area.area_m2),
            _percent(area.share),
            None if area.confidence is None else f"{area.confidence:.0f}%",
            100 * area.share / longest,
            area.pixels == 0,
        )
        for area in ordered
    ]
    if contents.unknown_share > 0:
        area_m2 = _total(contents) - sum(area.area_m2 for area in contents.areas)
        text = unit.text(area_m2) if contents.unknown_share < 1 else None
        bar = 100 * contents.unknown_share / longest
        share = _percent(contents.unknown_share)
        rows.append(_Row(UNKNOWN_CLASS.name, UNKNOWN_CLASS.hex_colour, None, text, share, None, bar, False))
    return rows


def _lead(contents: Report, unit: AreaUnit) -> str:
    """The map in a sentence or two."""
    present = sorted((area for area in contents.areas if area.pixels), key=lambda area: -area.area_m2)
    if not present:
        return "No class was found in this scene."
    many = len(contents.areas)
    classes = f"{many} classes" if many > 1 else "one class"
    number = "" if len(present) in (1, many) else f", {len(present)} of them found here"
    largest = [f"{area.name} ({_percent(area.share)})" for area in present[:3]]
    first = f"{unit.text(_total(contents))} {unit.name} were mapped in {classes}{number}."
    if len(largest) == 1:
        return f"{first} The only one found is {largest[0]}."
    return f"{first} The largest are {', '.join(largest[:-1])} and {largest[-1]}."


def _mean_confidence(areas: Sequence[ClassArea]) -> str | None:
    known = [(area.pixels, area.confidence) for area in areas if area.confidence is not None and area.pixels]
    count = sum(pixels for pixels, _ in known)
    return f"{sum(pixels * percent for pixels, percent in known) / count:.0f}%" if count else None


def _doubtful(histogram: Sequence[int] | None) -> str | None:
    """Share of the pixels whose confidence is below a half."""
    return _percent(sum(histogram[:5]) / sum(histogram)) if histogram and any(histogram) else None


def _bins(histogram: Sequence[int] | None) -> list[_Bin]:
    if not histogram or not any(histogram):
        return []
    total, tallest = sum(histogram), max(histogram)
    ramp = _ramp()
    return [
        _Bin(
            10 * k,
            10 * k + 10,
            "<1%" if 0 < count < total / 200 else f"{count / total:.0%}",
            100 * count / tallest,
            to_hex(ramp[10 * k + 5].tolist()),
        )
        for k, count in enumerate(histogram)
    ]


def _scale(pixel_size_m: float | None, cols: int) -> tuple[str, float] | None:
    """The scale bar's text, and its length in percent of the picture's width."""
    if not pixel_size_m:
        return None
    metres = round_length(cols * pixel_size_m / 4)
    return length_text(metres), 100 * metres / (cols * pixel_size_m)


def _names_by_colour(classes: Sequence[LandClass]) -> dict[str, str]:
    """Names by which the page's script calls a pixel; classes that share a colour are both named."""
    names: dict[str, str] = {}
    for land_class in classes:
        earlier = names.get(land_class.hex_colour)
        names[land_class.hex_colour] = f"{earlier} or {land_class.name}" if earlier else land_class.name
    return names


def _set_out(text: str) -> str | list[tuple[str, str]]:
    """A JSON object as rows of key and value; anything else as it is."""
    try:
        data = json.loads(text)
    except ValueError:
        return text
    if isinstance(data, dict):
        return [(key.replace("_", " "), _value_text(value)) for key, value in data.items()]
    return _value_text(data) if isinstance(data, list) else text


def _value_text(value: Any) -> str:
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return ", ".join(_value_text(item) for item in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# Pictures


def _scene_uri(contents: Report) -> str:
    shown = scene_pixels(contents.image)
    shown[contents.labels == NODATA] = 255
    picture = Image.fromarray(shown)
    if _is_coarse(contents.labels):
        return data_uri(picture, "png", optimize=True)
    return data_uri(picture, "jpeg", quality=_JPEG_QUALITY, optimize=True)


def _is_coarse(pixels: NDArray[np.uint8]) -> bool:
    """True if the picture is so small that each of its pixels will be seen as a square, as it should be."""
    return bool(max(pixels.shape) < _COARSE_SIDE)


def _confidence_uri(confidence: NDArray[np.uint8]) -> str:
    """The confidence in the ramp's colours, reduced to means over blocks, transparent where there is none."""
    step = -(-max(confidence.shape) // SMALL_SIDE)
    rows, cols = (-(-side // step) for side in confidence.shape)
    padded = np.full((rows * step, cols * step), NODATA, dtype=np.uint8)
    padded[: confidence.shape[0], : confidence.shape[1]] = confidence
    blocks = padded.reshape(rows, step, cols, step)
    known = (blocks != NODATA).sum(axis=(1, 3))
    sums = np.where(blocks == NODATA, 0, blocks).sum(axis=(1, 3), dtype=np.int64)
    # in steps of two percent, which no eye tells apart and which make a smaller file
    percent = np.rint(sums / np.maximum(known, 1) / 2).astype(np.uint8) * 2
    picture = Image.frombytes("P", (cols, rows), np.where(known > 0, percent, NODATA).astype(np.uint8).tobytes())
    picture.putpalette(np.vstack([_ramp(), np.full((155, 3), 255, dtype=np.uint8)]).tobytes())
    return data_uri(picture, "png", transparency=NODATA, optimize=True)


def _ramp() -> NDArray[np.uint8]:
    """Colours of 0 % to 100 %, (101, 3)."""
    stops = np.linspace(0, 100, len(_RAMP))
    channels = [np.interp(np.arange(101), stops, channel) for channel in np.transpose(_RAMP)]
    colours: NDArray[np.uint8] = np.rint(np.column_stack(channels)).astype(np.uint8)
    return colours
