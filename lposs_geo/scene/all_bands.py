"""All bands of a scene that hold data, whichever three of them are shown as red, green and blue."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import rasterio

from lposs_geo.errors import one_line
from lposs_geo.files.odd_text import descriptions_of
from lposs_geo.scene.file_facts import colours_of, wavelength_of
from lposs_geo.scene.layers import Layers

__all__ = ["MOST_BANDS", "Band", "all_bands"]

MOST_BANDS = 32
"""Of a file with more, as of a hyperspectral one, so many are chosen evenly: neighbours show much the same."""

_NO_NAMES = ("undefined", "gray", "palette", "alpha")
"""Colour interpretations that say nothing of a band that holds data."""


class Band(NamedTuple):
    """A band: its number, from 1, and the file's name for it, its colour or its wavelength; empty where it has none.

    Of a palette's three colours all have the number of its one band.
    """

    number: int
    name: str

    def __str__(self) -> str:
        return f"band {self.number} ({self.name})" if self.name else f"band {self.number}"


def all_bands(dataset: rasterio.DatasetReader, layers: Layers) -> tuple[Band, ...]:
    """Name all bands that hold data, in their order: no alpha, no complex numbers, and `MOST_BANDS` at most.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
        The scene as it is stored.
    layers : Layers
        Those of the same.
    """
    if layers.palette is not None:
        return tuple(Band(layers.bands[0], colour) for colour in ("red", "green", "blue"))
    colours, descriptions = colours_of(dataset), descriptions_of(dataset)
    bands = [
        Band(number, one_line(description or "") or _colour_or_length(dataset, number, colour))
        for number, (colour, description) in enumerate(zip(colours, descriptions, strict=True), 1)
        if number not in layers.alphas and not dataset.dtypes[number - 1].startswith("complex")
    ]
    if len(bands) <= MOST_BANDS:
        return tuple(bands)
    return tuple(bands[index] for index in np.linspace(0, len(bands) - 1, MOST_BANDS).round().astype(int))


def _colour_or_length(dataset: rasterio.DatasetReader, number: int, colour: str) -> str:
    if colour not in _NO_NAMES:
        return colour
    length = wavelength_of(dataset, number)
    return "" if length is None else f"{length:.0f} nm"
