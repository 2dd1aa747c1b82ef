"""Examples that a map can use: those on valid pixels of the part that is mapped."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.errors import ParameterError, SceneError
from lposs_geo.examples.examples import Examples
from lposs_geo.hints import Notice
from lposs_geo.scene.aoi import Area
from lposs_geo.scene.description import Scene
from lposs_geo.scene.reader import SceneReader, open_scene

__all__ = ["digest_of_bands", "usable"]

SIDE = 512
"""Px of the squares in which the scene is read at examples."""

PIXELS_EACH = 64
"""Of an example that are looked at."""


def usable(examples: Examples, scene: Scene, window: Window, inside: Area | None, named: str) -> Examples:
    """The examples that lie on valid pixels of the part that is mapped; notices count the others.

    Parameters
    ----------
    examples : Examples
        On the scene.
    scene : Scene
    window : Window
        The part that is mapped, px.
    inside : Area, optional
        The area of interest.
    named : str
        What a message calls the file.

    Raises
    ------
    ParameterError
        If none is usable.
    """
    owner, rows, cols = examples.pixels(PIXELS_EACH)
    (top, bottom), (left, right) = window.toranges()
    mapped = (top <= rows) & (rows < bottom) & (left <= cols) & (cols < right)
    valid = np.zeros(len(owner), bool)
    square = np.where(mapped, rows // SIDE * (scene.grid.width // SIDE + 1) + cols // SIDE, -1)
    order = np.argsort(square, kind="stable")
    with open_scene(scene) as reader:
        for near in np.split(order, np.flatnonzero(np.diff(square[order])) + 1):
            if not mapped[near[0]]:
                continue
            first, start = int(rows[near].min()), int(cols[near].min())
            part = Window(start, first, int(cols[near].max()) - start + 1, int(rows[near].max()) - first + 1)
            at = rows[near] - first, cols[near] - start
            mapped[near] = True if inside is None else inside.mask(part)[at]
            valid[near] = _valid(reader, part)[at]
    is_mapped, is_valid = (np.bincount(owner, each, minlength=len(examples)) > 0 for each in (mapped, mapped & valid))
    outside, blank = int((~is_mapped).sum()), int((is_mapped & ~is_valid).sum())
    notices = [
        Notice(f"{count} of {len(examples)} examples lie {where}")
        for count, where in ((outside, "outside the area that is mapped"), (blank, "where the scene has no data"))
        if count
    ]
    if outside + blank == len(examples):
        raise ParameterError(
            f"none of the examples in '{named}' can be used: {' and '.join(str(notice) for notice in notices)}",
            hint="draw them on the scene",
        )
    return replace(examples.restricted(is_valid), notices=(*examples.notices, *notices)) if notices else examples


def _valid(reader: SceneReader, window: Window) -> NDArray[np.bool_]:
    try:
        return reader.read(window)[1]
    except SceneError:  # it is said when the scene is encoded
        return np.zeros((int(window.height), int(window.width)), bool)


def digest_of_bands(scene: Scene) -> str:
    """A hash of the bands that a scene has: what is learnt of some says nothing of others."""
    text = "\n".join([scene.dtype, *map(str, scene.all_bands)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
