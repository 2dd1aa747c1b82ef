"""Mean and deviation of each band in each patch, and what of them tells patches apart in any scene.

Pure functions on arrays; nothing here knows a file or a store.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Spans", "normalised", "num_features", "patch_spans", "patch_statistics", "spectral_features"]

MOST_PAIRED = 8
"""Bands, from the first, of which normalised differences are made."""

DARK = 0.05
"""Of two bands' means in the scene: where both are darker, their normalised difference, mostly noise, fades."""

FARTHEST = 5.0
"""Standard deviations from the scene's mean, beyond which no feature lies: a bright roof doesn't outweigh all else."""

FLAT = 1e-6
"""Of a band's mean, or of a normalised difference of 1: what varies less over the scene is rounding."""

_EDGE = 1e-9
"""Patches: a pixel's centre so near to an edge lies on it, however that was rounded."""


@dataclass(frozen=True, eq=False)
class Spans:
    """The pixels that each of some neighbouring patches holds along one axis.

    Attributes
    ----------
    firsts, stops : (patches,) int64
        Px of the scene, from the first to before the last; one at least.
    """

    firsts: NDArray[np.int64]
    stops: NDArray[np.int64]

    @property
    def start(self) -> int:
        """First px of all."""
        return int(self.firsts.min())

    @property
    def length(self) -> int:
        """Px from the first to the last."""
        return int(self.stops.max()) - self.start

    @property
    def counts(self) -> NDArray[np.int64]:
        """Px of each patch."""
        return self.stops - self.firsts

    def indices(self) -> NDArray[np.int64]:
        """The px of one patch after the other, counted from `start`."""
        offsets = np.arange(self.counts.sum()) - np.repeat(self.begins(), self.counts)
        return offsets + np.repeat(self.firsts - self.start, self.counts)

    def begins(self) -> NDArray[np.int64]:
        """Where each patch begins among the `indices`."""
        return np.cumsum(self.counts) - self.counts


def patch_spans(patches: range, side: float, length: int) -> Spans:
    """Find the pixels of neighbouring patches along one axis: those whose centres they hold.

    A patch that holds none, being smaller than a pixel or cut off by the scene's border, gets the pixel at its own.

    Parameters
    ----------
    patches : range
        Their indices in the lattice.
    side : float
        Of a patch, px of the scene.
    length : int
        Of the scene, px.
    """
    index = np.arange(patches.start, patches.stop)
    edges = np.ceil(np.arange(patches.start, patches.stop + 1) * side - 0.5 - _EDGE * side)
    firsts, stops = (part.astype(np.int64).clip(0, length) for part in (edges[:-1], edges[1:]))
    nearest = np.floor((index + 0.5) * side).astype(np.int64).clip(0, length - 1)
    is_empty = stops <= firsts
    return Spans(np.where(is_empty, nearest, firsts), np.where(is_empty, nearest + 1, stops))


def patch_statistics(
    values: NDArray[np.float32], valid: NDArray[np.bool_], rows: Spans, cols: Spans
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Mean and standard deviation of each band over the valid pixels of each patch.

    Each patch is summed by itself, so that its numbers don't depend on which others it is asked for with.

    Parameters
    ----------
    values : (bands, height, width) float32
        Of the window that `rows` and `cols` span. What is no number in one band is left out of that band alone.
    valid : (height, width) bool
    rows, cols : Spans

    Returns
    -------
    statistics : (patches down, patches across, 2 * bands) float32
        First the means, then the deviations; 0 where the patch isn't valid, and no number for a band that holds none in
        a patch that is.
    valid : (patches down, patches across) bool
        Patches that hold a valid pixel.
    """
    taken = np.ix_(rows.indices(), cols.indices())

    def sums(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        by_row: NDArray[np.float64] = np.add.reduceat(plane, rows.begins(), axis=0)
        return np.asarray(np.add.reduceat(by_row, cols.begins(), axis=1))

    def spread(means: NDArray[np.float64]) -> NDArray[np.float64]:
        return means.repeat(rows.counts, axis=0).repeat(cols.counts, axis=1)

    shown = valid[taken]
    is_valid = sums(shown.astype(np.float64)) > 0
    statistics = np.zeros((*is_valid.shape, 2 * len(values)), np.float32)
    for band, plane in enumerate(values):
        numbers = plane[taken].astype(np.float64)
        seen = shown & np.isfinite(numbers)
        numbers[~seen] = 0.0
        counts = sums(seen.astype(np.float64))
        mean = sums(numbers) / counts.clip(1.0)
        numbers -= spread(mean)  # squares of large values would leave nothing of small differences
        numbers[~seen] = 0.0
        deviation = np.sqrt(sums(numbers * numbers) / counts.clip(1.0))
        for layer, array in ((band, mean), (len(values) + band, deviation)):
            statistics[..., layer] = np.where(is_valid & (counts == 0), np.nan, array)
    return statistics, is_valid


def num_pairs(bands: int) -> int:
    """How many normalised differences there are of so many bands."""
    paired = min(bands, MOST_PAIRED)
    return paired * (paired - 1) // 2


def num_features(bands: int) -> int:
    """How many spectral features a patch has with so many bands."""
    return 2 * bands + num_pairs(bands)


def spectral_features(statistics: NDArray[np.floating], band_means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Join each patch's statistics and the normalised differences of its bands' means.

    These are (a - b) / (|a| + |b|): in -1..1 whatever the sign, and the usual ratio where nothing is negative. What is
    divided by is never less than a share of what it is on the mean of the scene.

    Parameters
    ----------
    statistics : (..., 2 * bands) float
    band_means : (at least bands,) float64
        Over the scene.

    Returns
    -------
    (..., num_features(bands)) float64
    """
    wide = np.asarray(statistics, np.float64)
    bands = wide.shape[-1] // 2
    features = np.empty((*wide.shape[:-1], num_features(bands)))
    features[..., : 2 * bands] = wide
    for index, (one, other) in enumerate(combinations(range(min(bands, MOST_PAIRED)), 2), 2 * bands):
        a, b = wide[..., one], wide[..., other]
        least = DARK * (abs(band_means[one]) + abs(band_means[other])) or 1.0
        features[..., index] = (a - b) / np.maximum(np.abs(a) + np.abs(b), least)
    return features


def normalised(
    statistics: NDArray[np.floating], mean: NDArray[np.float64], std: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Spectral features of patches, each in standard deviations from the scene's mean.

    Parameters
    ----------
    statistics : (..., 2 * bands) float
        Of `bands.stored_bands`.
    mean, std : (num_features(bands),) float64
        Of `bands.band_scale`.

    Returns
    -------
    (..., num_features(bands)) float32
        In -5..5: means, deviations, normalised differences. 0, as of a patch like the scene's mean, where there is no
        number, and where a feature is the same all over the scene.
    """
    features = spectral_features(statistics, mean)
    bands = np.shape(statistics)[-1] // 2
    sizes = np.ones(len(mean))
    sizes[: 2 * bands] = np.tile(np.abs(mean[:bands]), 2)
    varies = std > FLAT * sizes
    features -= mean
    features *= varies / np.where(varies, std, 1.0)
    np.clip(features, -FARTHEST, FARTHEST, out=features)
    return np.nan_to_num(features, copy=False).astype(np.float32)
