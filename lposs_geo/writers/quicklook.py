"""Pictures of a scene and of its map: panels under a title, with scale bar and legend.

The palette and the length of a scale bar, which any picture of a map needs, are here for the report too.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lposs_geo.files.writing import writing
from lposs_geo.legend.legend import NODATA, UNKNOWN, UNKNOWN_CLASS, Legend

__all__ = [
    "LONGEST_SIDE",
    "MAP_OPACITY",
    "draw_map",
    "draw_scene",
    "length_text",
    "palette",
    "round_length",
    "save_picture",
    "scene_pixels",
]

LONGEST_SIDE = 900
"""Px of each of the two panels."""

MAP_OPACITY = 0.72
"""Of the map over the scene: the classes read clearly and the ground still shows through."""

_MARGIN = 24
_TITLE_HEIGHT = 44
_LINE_HEIGHT = 36
_CHIP = 40
"""Px from the left edge of an entry's chip to its name."""
_GAP = 30
"""Px between the entries of a line."""
_LEAST_WIDTH = 720
_INK = (32, 32, 36)
_QUIET = (104, 104, 112)
_RULE = (216, 216, 220)
_PAPER = (255, 255, 255)
_CHECKER = 8
"""Px of the squares that stand for no data in a picture of the scene alone."""

_WIDE_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "Arial Unicode.ttf",
    "arial.ttf",
    "NotoSansCJK-Regular.ttc",
    "PingFang.ttc",
    "msyh.ttc",
    "YuGothM.ttc",
    "malgun.ttf",
)
"""Fonts with the letters that Pillow's own lacks: it has little more than ASCII."""

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_Colour = tuple[int, int, int]
_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True)
class _Entry:
    """One class in a picture's legend; `note` is what follows the name, its share of the map."""

    name: str
    note: str
    colour: _Colour


def draw_map(
    image: NDArray[np.float32],
    labels: NDArray[np.uint8],
    legend: Legend,
    *,
    title: str,
    shares: Mapping[str, float] | None = None,
    pixel_size_m: float | None = None,
) -> Image.Image:
    """Draw the scene and the map over it side by side, with the legend below.

    Parameters
    ----------
    image : (3, rows, cols) float32
        RGB in 0..1.
    labels : (rows, cols) uint8
        On the same pixels.
    legend : Legend
    title : str
        Shortened where it doesn't fit, as the classes' names are.
    shares : mapping of str to float, optional
        Share of the map that each class covers, by name; written beside the names.
    pixel_size_m : float, optional
        Metres that one of the pixels is wide; with it there is a scale bar.
    """
    factor = _enlargement(labels.shape)
    labels = _enlarged(labels, factor)
    shown = _enlarged(scene_pixels(image), factor)
    shown[labels == NODATA] = _PAPER
    over = MAP_OPACITY * palette(legend)[labels] + (1 - MAP_OPACITY) * shown
    over[labels == NODATA] = _PAPER
    classes = [*legend.classes, *([UNKNOWN_CLASS] if (labels == UNKNOWN).any() else [])]
    notes = {} if shares is None else {name: f"{share:.1%}" for name, share in shares.items()}
    entries = [_Entry(c.name, notes.get(c.name, ""), c.colour) for c in classes]
    return _compose([shown, np.rint(over).astype(np.uint8)], title, entries, pixel_size_m and pixel_size_m / factor)


def draw_scene(
    image: NDArray[np.float32], valid: NDArray[np.bool_], *, title: str, pixel_size_m: float | None = None
) -> Image.Image:
    """Draw the scene alone, with light checks where it has no data.

    Parameters
    ----------
    image : (3, rows, cols) float32
        RGB in 0..1.
    valid : (rows, cols) bool
        On the same pixels.
    title : str
        Shortened where it doesn't fit.
    pixel_size_m : float, optional
        Metres that one of the pixels is wide; with it there is a scale bar.
    """
    factor = _enlargement(valid.shape)
    valid = _enlarged(valid, factor)
    shown = _enlarged(scene_pixels(image), factor)
    rows, cols = np.indices(valid.shape) // _CHECKER
    checks = np.where((rows + cols) % 2, 232, 250).astype(np.uint8)
    shown[~valid] = checks[~valid, np.newaxis]
    return _compose([shown], title, [], pixel_size_m and pixel_size_m / factor)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write the picture as PNG; OutputError if it can't be written."""
    with writing(path):
        picture.save(path, format="PNG")


def scene_pixels(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """RGB in 0..1, (3, rows, cols), as 8-bit pixels (rows, cols, 3)."""
    return np.rint(np.clip(image, 0, 1).transpose(1, 2, 0) * 255).astype(np.uint8)


def palette(legend: Legend) -> NDArray[np.uint8]:
    """Colour of each label, (256, 3); white where there is no such class."""
    colours = np.full((256, 3), 255, dtype=np.uint8)
    for land_class in (UNKNOWN_CLASS, *legend.classes):
        colours[land_class.id] = land_class.colour
    return colours


def round_length(most: float) -> float:
    """The longest of 1, 2, 5, 10, 20, ... that is no longer than `most` (> 0)."""
    power = 10.0 ** math.floor(math.log10(most))
    return next((step * power for step in (5, 2) if step * power <= most), power)


def length_text(metres: float) -> str:
    """A round length as people write it: 200 m, 5 km."""
    return f"{metres / 1000:,.10g} km" if metres >= 1000 else f"{metres:.10g} m"


def _enlargement(shape: tuple[int, ...]) -> int:
    """Factor by which a chip of a few pixels is enlarged: a picture one can't see is no picture."""
    return max(1, LONGEST_SIDE // (2 * max(shape)))


def _enlarged(pixels: NDArray[_Scalar], factor: int) -> NDArray[_Scalar]:
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def _compose(
    panels: Sequence[NDArray[np.uint8]], title: str, entries: Sequence[_Entry], pixel_size_m: float | None
) -> Image.Image:
    """Set panels of one size, (rows, cols, 3), side by side under the title, with the legend below."""
    rows, cols = panels[0].shape[:2]
    heading, text = _font_for([title], 28), _font_for([entry.name for entry in entries], 20)
    top = _MARGIN + _TITLE_HEIGHT
    width = max(len(panels) * (cols + _MARGIN) + _MARGIN, _LEAST_WIDTH)
    room = width - 2 * _MARGIN
    lines, column = _arrange(entries, text, room)
    legend_height = _MARGIN // 2 + len(lines) * _LINE_HEIGHT if lines else 0
    picture = Image.new("RGB", (width, top + rows + legend_height + _MARGIN), _PAPER)
    pen = ImageDraw.Draw(picture)
    if pixel_size_m:
        room -= _draw_scale(pen, width - _MARGIN, cols, pixel_size_m) + _MARGIN
    pen.text((_MARGIN, _MARGIN - 6), _shorten(_spell(title, heading), heading, room), fill=_INK, font=heading)
    for index, panel in enumerate(panels):
        x = _MARGIN + index * (cols + _MARGIN)
        pen.rectangle((x - 1, top - 1, x + cols, top + rows), outline=_RULE)
        picture.paste(Image.fromarray(panel), (x, top))
    y = top + rows + _MARGIN
    for line in lines:
        x = _MARGIN
        for entry in line:
            _draw_entry(pen, (x, y), entry, text)
            x += column or _entry_width(entry, text)
        y += _LINE_HEIGHT
    return picture


def _draw_scale(pen: ImageDraw.ImageDraw, right: int, cols: int, pixel_size_m: float) -> int:
    """Draw a scale bar in the title's line that ends at `right`, about a quarter of a panel long; px it takes."""
    font = ImageFont.load_default(18)
    metres = round_length(cols * pixel_size_m / 4)
    length = max(1, round(metres / pixel_size_m))
    label = length_text(metres)
    needed = length + 10 + math.ceil(font.getlength(label))
    left = right - needed
    y = _MARGIN + 24
    pen.line((left, y, left + length, y), fill=_INK, width=2)
    for x in (left, left + length):
        pen.line((x, y - 6, x, y + 1), fill=_INK, width=2)
    pen.text((left + length + 10, y + 2), label, fill=_INK, font=font, anchor="ls")
    return needed


def _draw_entry(pen: ImageDraw.ImageDraw, corner: tuple[int, int], entry: _Entry, font: _Font) -> None:
    x, y = corner
    pen.rectangle((x, y, x + 30, y + 22), fill=entry.colour, outline=_INK)
    pen.text((x + _CHIP, y - 1), entry.name, fill=_INK, font=font)
    if entry.note:
        pen.text((x + _CHIP + math.ceil(font.getlength(entry.name)) + 10, y - 1), entry.note, fill=_QUIET, font=font)


def _entry_width(entry: _Entry, font: _Font) -> int:
    note = 10 + math.ceil(font.getlength(entry.note)) if entry.note else 0
    return _CHIP + math.ceil(font.getlength(entry.name)) + note + _GAP


def _arrange(entries: Sequence[_Entry], font: _Font, width: int) -> tuple[list[list[_Entry]], int]:
    """Lay the legend out in one line if `width` px do, else in equal columns: its lines, and a column's px or 0."""
    entries = [replace(entry, name=_spell(entry.name, font)) for entry in entries]
    widths = [_entry_width(entry, font) for entry in entries]
    if sum(widths) - _GAP <= width:
        return [list(entries)] if entries else [], 0
    most = (width + _GAP) // min(len(entries), 3 if width > 2 * _LEAST_WIDTH else 2)  # one long name leaves room
    fitting = [
        replace(entry, name=_shorten(entry.name, font, most - _entry_width(replace(entry, name=""), font)))
        for entry in entries
    ]
    column = max(_entry_width(entry, font) for entry in fitting)
    count = (width + _GAP) // column
    return [fitting[start : start + count] for start in range(0, len(fitting), count)], column


def _shorten(text: str, font: _Font, width: float) -> str:
    """The text, with an ellipsis for its end where it is wider than `width` px."""
    if font.getlength(text) <= width:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if font.getlength(text[:middle].rstrip() + "…") <= width:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip() + "…"


def _font_for(texts: Iterable[str], size: int) -> _Font:
    """Pillow's own font if it has all letters, else the installed one that lacks fewest."""
    letters = set(unicodedata.normalize("NFC", "".join(texts)))
    best: _Font = ImageFont.load_default(size)
    fewest = _lacking(best, letters)
    for name in _WIDE_FONTS:
        if not fewest:
            break
        try:
            font = ImageFont.truetype(name, size)
        except OSError:
            continue  # not installed here
        lacking = _lacking(font, letters)
        if len(lacking) < len(fewest):
            best, fewest = font, lacking
    return best


def _lacking(font: _Font, letters: Iterable[str]) -> set[str]:
    """The letters that the font would show as a box."""
    unusual = [letter for letter in letters if not letter.isascii()]
    box = bytes(font.getmask("\uffff")) if unusual else b""  # a noncharacter: no font has it
    return {letter for letter in unusual if not letter.isspace() and bytes(font.getmask(letter)) == box}


def _spell(text: str, font: _Font) -> str:
    """The text with letters that the font lacks replaced: by their plain form (é by e), else by a question mark."""
    text = unicodedata.normalize("NFC", text)
    lacking = _lacking(font, set(text))
    return "".join(_plain(letter) if letter in lacking else letter for letter in text)


def _plain(letter: str) -> str:
    return "".join(part for part in unicodedata.normalize("NFKD", letter) if part.isascii()) or "?"
