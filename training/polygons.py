"""The polygons drawn by hand: reading them, and burning them into label pictures.

Each file of `labels/` is ``{"use": "train" or "validation", "pictures": {PICTURE: [[LABEL, [[x, y], ...]], ...]}}``;
corners are px of the picture, x to the right and y downwards, and later polygons cover earlier ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

Polygon = tuple[str, list[tuple[float, float]]]
"""A label's name, and its corners (x, y) in px."""

LABELS_FOLDER = Path(__file__).parent / "labels"


def read_polygons(path: Path) -> dict[str, list[Polygon]]:
    """Picture -> its polygons, of one file."""
    return _pictures(json.loads(path.read_text()))


def drawn_for(use: str) -> dict[str, list[Polygon]]:
    """Picture -> its polygons, of all files for a use: "train" or "validation"."""
    found: dict[str, list[Polygon]] = {}
    for path in sorted(LABELS_FOLDER.glob("*.json")):
        file = json.loads(path.read_text())
        if file["use"] == use:
            found |= _pictures(file)
    return found


def _pictures(file: dict[str, Any]) -> dict[str, list[Polygon]]:
    return {
        picture: [(name, [(x, y) for x, y in corners]) for name, corners in polygons]
        for picture, polygons in file["pictures"].items()
    }


def burn(polygons: Sequence[Polygon], size: tuple[int, int], numbers: Mapping[str, int], empty: int) -> np.ndarray:
    """Polygons as numbers, (rows, cols) int16: `empty` where there is none or its name has no number.

    `size` is (width, height), px.
    """
    picture = Image.new("I", size, empty)
    pen = ImageDraw.Draw(picture)
    for name, corners in polygons:
        pen.polygon(corners, fill=numbers.get(name, empty))
    return np.asarray(picture).astype(np.int16)
