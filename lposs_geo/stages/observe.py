"""Patches as a head sees them, wherever on the lattice they are: their features, and what the words say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lposs_geo import lposs
from lposs_geo.encoders.encoder import Encoder
from lposs_geo.examples.observations import Observations
from lposs_geo.stages.features import LatticeArray, LatticeFeatures
from lposs_geo.stages.task import Words
from lposs_geo.stages.taught import BANDS, VM, Bands, scale_of_words, vlm, words_as_logits
from lposs_geo.tiling import bilinear_taps

__all__ = ["gather", "observe"]

Indices = NDArray[np.int64]


def observe(
    features: Sequence[LatticeFeatures],
    words: Words,
    encoder: Encoder,
    rows: Indices,
    cols: Indices,
    bands: Bands | None = None,
) -> Observations:
    """Gather features and words' logits of single patches.

    They are what `propagate.patch_seeds` makes seeds of, for a few patches at the cost of a few.

    Parameters
    ----------
    features : sequence of LatticeFeatures
        One for each look at the scene, the finest last.
    words : Words
    encoder : Encoder
    rows, cols : (n,) int64
        Valid patches of the finest lattice.
    bands : Bands, optional

    Returns
    -------
    Observations
        Kinds are those of `taught`.
    """
    finest = features[-1]
    kinds: dict[str, NDArray[np.float32]] = {}
    seeds = np.zeros((len(rows), len(words.text)), np.float32)

    def seeds_of(unit: NDArray[np.float32]) -> NDArray[np.float32]:
        vectors = torch.from_numpy(unit).to(encoder.device)
        return lposs.seeds(vectors, words.text, scale_of_words(encoder), len(words.rivals)).cpu().numpy()

    for number, look in enumerate(features[:-1]):
        kinds[vlm(number)] = np.zeros((len(rows), look.vlm.shape[2]), np.float32)
        total, of_look = np.zeros(len(rows), np.float32), np.zeros_like(seeds)
        for weight, row, col in _corners(look, look.patch_size / finest.patch_size, finest, rows, cols):
            unit = _unit(gather(look.vlm, row, col))
            weight = weight * gather(look.valid, row, col).astype(np.float32)
            kinds[vlm(number)] += weight[:, None] * unit
            of_look += weight[:, None] * seeds_of(unit)
            total += weight
        kinds[vlm(number)] /= np.maximum(total, 1e-6)[:, None]
        seeds += of_look / np.maximum(total, 1e-6)[:, None]
    kinds[vlm(len(features) - 1)] = _unit(gather(finest.vlm, rows, cols))
    seeds += seeds_of(kinds[vlm(len(features) - 1)])
    kinds[VM] = _unit(gather(finest.vm, rows, cols))
    if bands is not None:
        kinds[BANDS] = gather(bands, rows, cols)
    logits = words_as_logits(seeds[:, : words.num_classes] / np.float32(len(features)))
    return Observations(kinds, logits.astype(np.float64))


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    wide = vectors.astype(np.float32)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))


def gather(array: LatticeArray | Bands, rows: Indices, cols: Indices) -> NDArray[Any]:
    """Values (n, ...) at single patches, read row by row."""
    if not len(rows):
        return array[slice(0, 0), slice(0, 1)].reshape(0, *array[slice(0, 1), slice(0, 1)].shape[2:])
    order = np.argsort(rows, kind="stable")
    parts = []
    for part in np.split(order, np.flatnonzero(np.diff(rows[order])) + 1):
        row, left, right = int(rows[part[0]]), int(cols[part].min()), int(cols[part].max()) + 1
        parts.append(array[slice(row, row + 1), slice(left, right)][0, cols[part] - left])
    gathered = np.concatenate(parts)
    out = np.empty_like(gathered)
    out[order] = gathered
    return out


def _corners(
    look: LatticeFeatures, share: float, finest: LatticeFeatures, rows: Indices, cols: Indices
) -> list[tuple[NDArray[np.float32], Indices, Indices]]:
    """The four patches of a coarser look around each patch of the finest, and their weights in between."""
    upper, lower, down = bilinear_taps(look.lattice.rows, share, 0, finest.lattice.rows)
    left, right, across = bilinear_taps(look.lattice.cols, share, 0, finest.lattice.cols)
    down, across = down[rows], across[cols]
    return [
        ((1 - down) * (1 - across), upper[rows], left[cols]),
        ((1 - down) * across, upper[rows], right[cols]),
        (down * (1 - across), lower[rows], left[cols]),
        (down * across, lower[rows], right[cols]),
    ]
