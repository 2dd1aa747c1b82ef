"""A first look at a scene: its layers, a sample of its pixels, and its radiometry.

All is decided on the whole scene, reduced; where it is damaged, on the parts that can be read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from lposs_geo.scene.band_facts import Choice
from lposs_geo.scene.bands import by_contrast
from lposs_geo.scene.file_facts import is_turned, physical_factors
from lposs_geo.scene.layers import Layers
from lposs_geo.scene.pixels import Handle
from lposs_geo.scene.radiometry import Radiometry, as_stored, contrasts, eight_bit, stretched, turned_round
from lposs_geo.scene.sampling import valid_values

__all__ = ["fix_radiometry", "turn_by_contrast"]


def turn_by_contrast(
    handle: Handle, choice: Choice, layers: Layers, sample: NDArray[Any]
) -> tuple[Choice, Layers, NDArray[Any]]:
    """Turn a guess of bands round where their contrasts say so.

    Parameters
    ----------
    handle : Handle
    choice : Choice
        The guess.
    layers : Layers
    sample : (3, n) array
        Stored values of `layers` that are valid.

    Returns
    -------
    choice : Choice
    layers : Layers
        With the bands of the choice.
    sample : (3, n) array
        Stored values of these layers.

    Raises
    ------
    SceneError
        If nothing can be read.
    """
    guessed = replace(layers, bands=choice.guessed)
    seen = sample if guessed == layers else valid_values(handle, guessed)
    if not seen.size:
        return choice, layers, sample
    red, _, blue = contrasts(seen[:, ::16], physical_factors(handle.dataset, guessed)[0])
    turned = by_contrast(choice, handle.source.path, red, blue)
    if turned.bands == layers.bands:
        return turned, layers, sample
    layers = replace(layers, bands=turned.bands)
    return turned, layers, seen[::-1] if turned.bands == choice.guessed[::-1] else valid_values(handle, layers)


def fix_radiometry(
    dataset: rasterio.DatasetReader, layers: Layers, sample: NDArray[Any], scale: tuple[float, float] | None
) -> Radiometry:
    """Decide which stored values become black and white.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
    layers : Layers
    sample : (3, n) array
        Stored values that are valid.
    scale : (float, float), optional
        Physical values that become black and white, where the user gave them.

    Returns
    -------
    Radiometry

    Raises
    ------
    ParameterError
        If `scale` isn't two finite numbers, the lower one first.
    """
    scales, offsets = physical_factors(dataset, layers)
    if scale is not None:
        return as_stored(scale, scales, offsets)
    if sample.dtype != np.uint8:
        found = stretched(sample, scales, offsets)
    else:
        bits = 8
        if layers.palette is None:
            bits = int(dataset.tags(layers.bands[0], ns="IMAGE_STRUCTURE").get("NBITS", 8))
        found = eight_bit(2.0**bits - 1, scales, offsets)
    return turned_round(found) if is_turned(dataset, layers) else found
