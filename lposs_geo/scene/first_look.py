"""A first look at a scene: its layers, a sample of its pixels, and its radiometry.

All is decided on the whole scene, reduced; where it is damaged, on the parts that can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from lposs_geo.hints import Notice
from lposs_geo.scene.band_facts import Choice
from lposs_geo.scene.bands import by_contrast
from lposs_geo.scene.choosing import choose_layers
from lposs_geo.scene.file_facts import bits_of, is_turned, physical_factors
from lposs_geo.scene.layers import Layers
from lposs_geo.scene.pixels import Handle
from lposs_geo.scene.radiometry import Radiometry, as_stored, contrasts, eight_bit, stretched, turned_round
from lposs_geo.scene.sampling import Wanted, sample_layers, valid_values

__all__ = ["FirstLook", "first_look", "fix_radiometry", "turn_by_contrast"]


@dataclass(frozen=True)
class FirstLook:
    """Decisions about a scene that hold for all of it.

    Attributes
    ----------
    layers : Layers
    reason : Notice
        Why these bands.
    sample : (3, n) array
        Stored values of valid pixels.
    radiometry : Radiometry
    notices : tuple of Notice
    """

    layers: Layers
    reason: Notice
    sample: NDArray[Any]
    radiometry: Radiometry
    notices: tuple[Notice, ...]


def first_look(
    handle: Handle,
    bands: str | Sequence[int | str] | None,
    scale: tuple[float, float] | None,
    collar: bool,
    wanted: Callable[[Layers], Wanted],
) -> FirstLook:
    """Decide what is read of a scene, and which stored values become black and white.

    Parameters
    ----------
    handle : Handle
    bands, scale, collar
        As `describe` takes them.
    wanted : callable
        Gives for layers the part of the scene that is to be searched where the whole is too large.

    Raises
    ------
    SceneError
        If a band isn't there, or there is no valid pixel.
    ParameterError
        If `scale` isn't two finite numbers, the lower one first.
    """
    layers, choice, notices = choose_layers(handle, bands)
    layers, sample, more = sample_layers(handle, layers, collar, wanted(layers))
    if choice.is_guess:
        choice, layers, sample = turn_by_contrast(handle, choice, layers, sample)
    radiometry = fix_radiometry(handle.dataset, layers, sample, scale)
    blank = _notice_of_blank(handle.raster.path, sample)
    return FirstLook(layers, choice.reason, sample, radiometry, (*choice.notices, *notices, *more, *blank))


def _notice_of_blank(path: str, sample: NDArray[Any]) -> tuple[Notice, ...]:
    if sample.shape[1] > 1 and (sample == sample[:, :1]).all():
        return (Notice(f"'{path}' holds one value everywhere: there is nothing to see on it"),)
    return ()


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
    turned = by_contrast(choice, handle.raster.path, red, blue)
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
        radiometry = stretched(sample, scales, offsets)
    else:
        bits = 8 if layers.palette is not None else bits_of(dataset, layers.bands[0])
        radiometry = eight_bit(2.0**bits - 1, scales, offsets)
    return turned_round(radiometry) if layers.palette is None and is_turned(dataset) else radiometry
