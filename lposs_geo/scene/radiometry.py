"""From stored values to brightness, in a way that is decided once for a scene.

Pure functions on arrays; nothing here opens a file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lposs_geo.errors import ParameterError

__all__ = [
    "PERCENTILES",
    "Radiometry",
    "as_stored",
    "contrasts",
    "eight_bit",
    "stretched",
    "turned_round",
]

PERCENTILES = (2.0, 98.0)
"""Of the valid pixels of a band: what becomes black and white where the data isn't 8-bit."""

_Three = tuple[float, float, float]


@dataclass(frozen=True)
class Radiometry:
    """A stretch of stored values to brightness in 0..1, per band.

    Attributes
    ----------
    low, high : tuple of float
        Stored values that become 0 and 1 for red, green and blue.
    scales, offsets : tuple of float
        What a stored value is multiplied by, and what is added, to give the physical one.
    """

    low: _Three
    high: _Three
    scales: _Three = (1.0, 1.0, 1.0)
    offsets: _Three = (0.0, 0.0, 0.0)

    @property
    def physical(self) -> tuple[_Three, _Three]:
        """`low` and `high` in physical values."""
        both = [
            _three(
                [value * scale + offset for value, scale, offset in zip(side, self.scales, self.offsets, strict=True)]
            )
            for side in (self.low, self.high)
        ]
        return both[0], both[1]

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Stretch (3, rows, cols) stored values to 0..1, clipped; what is no number becomes 0."""
        # 32-bit integers and 64-bit floats hold differences that a float32 doesn't
        wide: Any = np.float32 if values.dtype.itemsize <= 2 else np.float64
        low, high = (np.array(side, dtype=wide)[:, None, None] for side in (self.low, self.high))
        brightness: NDArray[np.float32] = ((values.astype(wide) - low) / (high - low)).clip(0.0, 1.0).astype(np.float32)
        return np.nan_to_num(brightness, copy=False)


def contrasts(sample: NDArray[Any], scales: _Three) -> _Three:
    """Distances of each band's percentiles, in physical values; of stored ones, (3, n)."""
    low, high = np.percentile(sample.astype(np.float64), PERCENTILES, axis=1)
    return _three((high - low) * np.abs(scales))


def eight_bit(white: float, scales: _Three, offsets: _Three) -> Radiometry:
    """Take values of 8 bits, or fewer, as their makers want them seen: from 0 to the most that the bits can hold."""
    falling = np.array(scales) < 0  # the brightest is stored as the least
    return Radiometry(_three(np.where(falling, white, 0.0)), _three(np.where(falling, 0.0, white)), scales, offsets)


def stretched(sample: NDArray[Any], scales: _Three, offsets: _Three) -> Radiometry:
    """Stretch each band between percentiles of its valid stored values, (3, n): a few outliers don't matter."""
    low, high = np.percentile(sample.astype(np.float64), PERCENTILES, axis=1)
    high = np.where(high > low, high, low + 1.0)  # a flat band
    falling = np.array(scales) < 0  # the brightest is stored as the least
    low, high = np.where(falling, high, low), np.where(falling, low, high)
    return Radiometry(_three(low), _three(high), scales, offsets)


def turned_round(radiometry: Radiometry) -> Radiometry:
    """The same where the least stored value is the brightest."""
    return replace(radiometry, low=radiometry.high, high=radiometry.low)


def as_stored(scale: tuple[float, float], scales: _Three, offsets: _Three) -> Radiometry:
    """Stretch all bands between two physical values.

    Raises
    ------
    ParameterError
        If they aren't two finite numbers, the lower one first.
    """
    try:
        low, high = (float(value) for value in scale)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not -math.inf < low < high < math.inf:
        raise ParameterError(f"scale must be two numbers, the lower one first, like (0, 3000), not {scale!r}")
    low_side, high_side = (
        _three([(value - offset) / factor for factor, offset in zip(scales, offsets, strict=True)])
        for value in (low, high)
    )
    return Radiometry(low_side, high_side, scales, offsets)


def _three(values: Sequence[float] | NDArray[np.float64]) -> _Three:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
