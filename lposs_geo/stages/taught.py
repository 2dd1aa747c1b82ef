"""What the patch stage takes from examples beside the words: a head, the bands that it looks at, and sources."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lposs_geo.encoders.encoder import Encoder
from lposs_geo.examples.head import BANDS, Head
from lposs_geo.stages.band_statistics import normalised
from lposs_geo.stages.features import LatticeArray

__all__ = ["BANDS", "VM", "Bands", "Sources", "Taught", "scale_of_words", "vlm", "words_as_logits"]

VM = "vm"
"""The kind of features that the VM gives; a head knows those of `vlm`, and `BANDS`, too."""

COSINE_SCALE = 100.0
"""Inverse temperature of CLIP's own training: where cosines are the seeds, it makes probabilities of them."""

LEAST_SEED = 1e-6
"""Less than that isn't told from nothing."""

KAPPA = 0.9
"""Share of a source in the seeds of a patch that an example is drawn on."""


def vlm(number: int) -> str:
    """The kind of features that the VLM gives at a look."""
    return f"vlm{number}"


def scale_of_words(encoder: Encoder) -> float:
    """The inverse temperature at which the words' seeds are probabilities."""
    return COSINE_SCALE if encoder.seed_scale is None else encoder.seed_scale


def words_as_logits(seeds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Class logits of seeds that are probabilities."""
    return np.log(np.maximum(seeds, LEAST_SEED))


@dataclass(frozen=True)
class Bands:
    """All bands of a scene, patch by patch.

    Attributes
    ----------
    statistics : (rows, cols, 2 * bands)
        Of `bands.stored_bands`.
    mean, std : (F,) float64
        That features are told in.
    """

    statistics: LatticeArray
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    def __getitem__(self, window: tuple[slice, slice], /) -> NDArray[np.float32]:
        """Features (rows, cols, F) of a window of the lattice."""
        return normalised(self.statistics[window], self.mean, self.std)


@dataclass(frozen=True, eq=False)
class Sources:
    """Patches that examples are drawn on, each once.

    Attributes
    ----------
    rows, cols : (m,) int64
        On the finest lattice.
    shares : (m, C) float32
        Of the classes, with sum 1.
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    shares: NDArray[np.float32]

    def put_into(self, seeds: NDArray[np.float32], rows: slice, cols: slice) -> None:
        """Mix those of a window of the lattice into its seeds (rows, cols, classes and rivals), in place."""
        near = (rows.start <= self.rows) & (self.rows < rows.stop) & (cols.start <= self.cols) & (self.cols < cols.stop)
        at = self.rows[near] - rows.start, self.cols[near] - cols.start
        target = np.zeros((int(near.sum()), seeds.shape[-1]), np.float32)
        target[:, : self.shares.shape[1]] = self.shares[near]
        is_there = seeds[at].any(axis=-1, keepdims=True)  # a patch without features has no seeds
        seeds[at] = np.where(is_there, (1 - KAPPA) * seeds[at] + KAPPA * target, 0)


@dataclass(frozen=True, eq=False)
class Taught:
    """What was learnt, ready for the patch stage.

    Attributes
    ----------
    head : Head
    bands : Bands, optional
        If the head looks at them.
    sources : Sources, optional
        Examples on this scene.
    """

    head: Head
    bands: Bands | None = None
    sources: Sources | None = None

    def weights(self, kind: str, device: torch.device) -> torch.Tensor | None:
        """The head's weights (F, C) of a kind of features, if it looks at that."""
        part = self.head.weights.get(kind)
        return None if part is None or not part.any() else torch.from_numpy(part).to(device)
