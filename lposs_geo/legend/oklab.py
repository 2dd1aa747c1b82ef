"""Colours in OKLab, where distances are those that the eye sees, for readers with and without colour blindness.

OKLab: Ottosson 2020, "A perceptual color space for image processing". Protanopia and deuteranopia: Machado, Oliveira
and Fernandes 2009, "A physiologically-based model for simulation of color vision deficiency", severity 1.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["VISIONS", "Colour", "colour_at", "oklab", "seen"]

Colour = tuple[int, int, int]
"""RGB, 0..255."""

VISIONS = ("normal", "protanopia", "deuteranopia")

# Linear RGB to cones and cones to OKLab, by rows: Ottosson 2020.
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)

# What is seen of linear RGB, by vision: Machado, Oliveira and Fernandes 2009, table 1, severity 1.
_SEEN = np.array(
    [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ]
)


@cache
def oklab(colour: Colour) -> NDArray[np.float64]:
    """OKLab (visions, 3) of a colour as it is seen."""
    lab: NDArray[np.float64] = np.cbrt(seen(colour) @ _CONES.T) @ _OKLAB.T
    return lab


def seen(colour: Colour) -> NDArray[np.float64]:
    """Linear RGB (visions, 3), 0..1, of a colour as it is seen."""
    stored = np.array(colour) / 255
    linear = np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)
    light: NDArray[np.float64] = (_SEEN @ linear).clip(0.0, 1.0)
    return light


def colour_at(lightness: float, chroma: float, hue: float) -> Colour:
    """The colour at a point of OKLab, or the nearest towards grey that a screen can show."""
    while True:
        lab = np.array([lightness, chroma * math.cos(hue), chroma * math.sin(hue)])
        linear = np.linalg.solve(_CONES, np.linalg.solve(_OKLAB, lab) ** 3)
        if chroma < 0.001 or (linear.min() >= 0.0 and linear.max() <= 1.0):
            return _stored(linear)
        chroma *= 0.95


def _stored(linear: NDArray[np.float64]) -> Colour:
    light = linear.clip(0.0, 1.0)
    stored = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    red, green, blue = (round(255 * value) for value in stored.tolist())
    return red, green, blue
