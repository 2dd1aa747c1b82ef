"""Patches as a head learns from them: their features, what the words say, and of some what they are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Observations", "Samples", "evenly"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Observations:
    """Patches, and what the words say of them.

    Attributes
    ----------
    features : mapping of str to (n, F) float32
        By kinds of features, the same for all patches of a scene.
    words : (n, C) float64
        Class logits.
    """

    features: Mapping[str, NDArray[np.float32]]
    words: Floats

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, rows: NDArray[np.int64]) -> Observations:
        return Observations({name: values[rows] for name, values in self.features.items()}, self.words[rows])

    def joined(self, others: Observations) -> Observations:
        """With others behind."""
        features = {name: np.concatenate([own, others.features[name]]) for name, own in self.features.items()}
        return Observations(features, np.concatenate([self.words, others.words]))


@dataclass(frozen=True, eq=False)
class Samples:
    """Patches of examples.

    Attributes
    ----------
    observations : Observations
    classes : (n,) int64
        Index of each patch's class.
    weights : (n,) float64
        Those of an example's patches add up to the example's own.
    groups : (n,) int64
        The example that each is of, from 0 on.
    """

    observations: Observations
    classes: NDArray[np.int64]
    weights: Floats
    groups: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, rows: NDArray[np.int64]) -> Samples:
        return Samples(self.observations[rows], self.classes[rows], self.weights[rows], self.groups[rows])

    @property
    def targets(self) -> Floats:
        """(n, C): one for each patch's class, else zero."""
        return np.asarray(np.eye(self.observations.words.shape[1])[self.classes])

    def joined(self, others: Samples) -> Samples:
        """With others behind, whose examples are others too."""
        return Samples(
            self.observations.joined(others.observations),
            np.concatenate([self.classes, others.classes]),
            np.concatenate([self.weights, others.weights]),
            np.concatenate([self.groups, others.groups + self.groups.max() + 1]),
        )


def evenly(classes: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Indices of at most so many patches, as many of each class as can be, evenly taken from each.

    Parameters
    ----------
    classes : (n,) int
        Index of each patch's class.
    most : int
    """
    counts = np.bincount(classes)
    limit = max(1, bisect_right(range(most + 1), most, key=lambda each: int(np.minimum(counts, each).sum())) - 1)
    rows = []
    for index in np.flatnonzero(counts):
        own = np.flatnonzero(classes == index)
        taken = min(limit, len(own))
        rows.append(own[np.arange(taken) * len(own) // taken])
    return np.sort(np.concatenate(rows))
