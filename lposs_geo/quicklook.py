"""A picture of a map: the scene, the map over it, and the legend."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lposs_geo.errors import OutputError
from lposs_geo.legend import NODATA, UNKNOWN_CLASS, Legend

__all__ = ["LONGEST_SIDE", "draw_map", "save_picture"]

LONGEST_SIDE = 900
"""Px of each of the two panels."""

MAP_OPACITY = 0.72
"""Of the map over the scene: the classes read clearly and the ground still shows through."""

_MARGIN = 24
_INK = (32, 32, 36)
_PAPER = (255, 255, 255)


def draw_map(
    image: NDArray[np.float32],
    labels: NDArray[np.uint8],
    legend: Legend,
    *,
    title: str,
    shares: Mapping[str, float] | None = None,
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
    shares : mapping of str to float, optional
        Share of the map that each class covers, by name; written beside the names.
    """
    scene = np.rint(image.transpose(1, 2, 0) * 255).astype(np.uint8)
    colours = np.full((256, 3), 255, dtype=np.float32)
    for land_class in (UNKNOWN_CLASS, *legend.classes):
        colours[land_class.id] = land_class.colour
    over = MAP_OPACITY * colours[labels] + (1 - MAP_OPACITY) * scene
    over[labels == NODATA] = _PAPER
    shown = scene.copy()
    shown[labels == NODATA] = _PAPER
    # A chip of a few pixels is enlarged: a picture one can't see is no picture.
    factor = max(1, LONGEST_SIDE // (2 * max(labels.shape)))
    panels = [Image.fromarray(np.rint(panel).astype(np.uint8)) for panel in (shown, over)]
    panels = [panel.resize((panel.width * factor, panel.height * factor), Image.Resampling.NEAREST) for panel in panels]

    heading, text = ImageFont.load_default(28), ImageFont.load_default(20)
    width = max(panels[0].width * 2 + 3 * _MARGIN, 720)
    entries = [(c.name if shares is None else f"{c.name}  {shares[c.name]:.1%}", c.colour) for c in legend.classes]
    lines = _wrap(entries, text, width - 2 * _MARGIN)
    top = _MARGIN + 44
    height = top + panels[0].height + _MARGIN + len(lines) * 36 + _MARGIN // 2
    picture = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(picture)
    pen.text((_MARGIN, _MARGIN - 6), title, fill=_INK, font=heading)
    for place, panel in enumerate(panels):
        picture.paste(panel, (_MARGIN + place * (panel.width + _MARGIN), top))
    y = top + panels[0].height + _MARGIN
    for line in lines:
        x = _MARGIN
        for name, colour in line:
            pen.rectangle((x, y, x + 30, y + 22), fill=colour, outline=_INK)
            pen.text((x + 40, y - 1), name, fill=_INK, font=text)
            x += _entry_width(name, text)
        y += 36
    return picture


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write the picture as PNG; OutputError if it can't be written."""
    try:
        picture.save(path, format="PNG")
    except OSError as error:
        raise OutputError(f"can't write '{path.name}': {error.strerror or error}") from error


_Entry = tuple[str, tuple[int, int, int]]


def _entry_width(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    return 40 + int(font.getlength(name)) + 30


def _wrap(entries: list[_Entry], font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[list[_Entry]]:
    """Break the legend's entries into lines of at most `width` px."""
    lines: list[list[_Entry]] = [[]]
    used = 0
    for name, colour in entries:
        needed = _entry_width(name, font)
        if lines[-1] and used + needed > width:
            lines.append([])
            used = 0
        lines[-1].append((name, colour))
        used += needed
    return lines
