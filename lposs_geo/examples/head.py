"""The head: words and examples together say what a patch is.

A patch's class logits are the logarithm of the words' seeds, times a number, plus a linear function of its features: a
multinomial logistic regression with the words as its offset. Where there are no examples, or they say nothing, the
words stand. A class without examples has no weights: an example of another class takes nothing from it but what looks
like that example.

How far to trust the words, how strongly to hold the weights back, and whether the bands are of use isn't chosen but
averaged over, each choice as much as it tells examples that were left out (their Brier score); the words alone are one
of the choices. Few examples so change little, and many much.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from lposs_geo.examples.logistic import fit_logistic, left_out_logits, softmax

__all__ = ["MOST_ROWS", "Block", "Fit", "Head", "Samples", "evenly", "fit_head"]

Floats = NDArray[np.float64]

TRUSTS = (1.0, 0.5, 0.25)
"""Factors of the words' logits; those of `mini` are three times as sharp as it was trained."""

PENALTIES = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
"""Of the squared weights, where each block of features has a mean squared norm of 1; from the strongest on."""

USUAL_TRUST, USUAL_PENALTY, PENALTY_WIDTH = 0.5, 1.0, 5.0
"""The middle of the choices, where their prior is highest; it falls off over a factor of 2 and over such a factor."""

WORDS_PRIOR = 0.5
"""Of the words alone, before any example is seen."""

TEMPERATURE = 0.75
"""Brier scores (0 to 2 an example) that make a choice as much less likely as one unit of logarithm."""

MOST_ROWS = 4000
"""Patches that a head is fitted to; of more, an even choice of each class."""

MOST_JUDGED = 256
"""Patches that the choices are judged by, likewise."""

MOST_RANK = 384
"""Directions of the features that a head is fitted in; fewer patches span fewer anyway."""

LEAST_DIRECTION = 1e-9
"""Squared length of a direction, as a share of the longest one's, that is rounding and nothing else."""

LEAST_LENGTH = 1e-12
"""The same as a number, where all features are the scene's mean."""

LEAST_SHARE = 0.01
"""Choices that would get less than this share aren't fitted to all of many patches."""


@dataclass(frozen=True)
class Block:
    """A kind of features, and how they are brought to one scale with the others.

    Attributes
    ----------
    name : str
    centre : (F,) float32
        Their mean over the scene.
    scale : float
        The root of their mean squared distance from it.
    is_optional : bool
        Whether a head may do without it, if examples that are left out say so.
    """

    name: str
    centre: NDArray[np.float32]
    scale: float
    is_optional: bool = False


@dataclass(frozen=True, eq=False)
class Samples:
    """Patches of examples.

    Attributes
    ----------
    features : mapping of str to (n, F) float32
        By the names of blocks.
    words : (n, C) float
        Logits by the words.
    classes : (n,) int
        Index of each patch's class.
    weights : (n,) float
        Those of an example's patches add up to the example's own.
    groups : (n,) int
        The example that each is of, from 0 on.
    """

    features: Mapping[str, NDArray[np.float32]]
    words: Floats
    classes: NDArray[np.int64]
    weights: Floats
    groups: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, rows: NDArray[np.int64]) -> Samples:
        features = {name: values[rows] for name, values in self.features.items()}
        return Samples(features, self.words[rows], self.classes[rows], self.weights[rows], self.groups[rows])

    @property
    def targets(self) -> Floats:
        """(n, C): one for each patch's class, else zero."""
        return np.asarray(np.eye(self.words.shape[1])[self.classes])

    def joined(self, others: Samples) -> Samples:
        """With others behind, whose examples are others too."""
        return Samples(
            {name: np.concatenate([values, others.features[name]]) for name, values in self.features.items()},
            np.concatenate([self.words, others.words]),
            np.concatenate([self.classes, others.classes]),
            np.concatenate([self.weights, others.weights]),
            np.concatenate([self.groups, others.groups + self.groups.max() + 1]),
        )


@dataclass(frozen=True, eq=False)
class Head:
    """Class logits: ``trust * words + bias + sum over blocks of features @ weights``.

    Attributes
    ----------
    trust : float
        Factor of the words' logits.
    bias : (C,) float32
    weights : mapping of str to (F, C) float32
        By the names of blocks; zero for classes without examples.
    """

    trust: float
    bias: NDArray[np.float32]
    weights: Mapping[str, NDArray[np.float32]]

    @property
    def num_classes(self) -> int:
        return len(self.bias)


@dataclass(frozen=True, eq=False)
class Fit:
    """A head, and what it says of examples when they are left out.

    Attributes
    ----------
    head : Head
    left_out : (groups, C) float64
        Probabilities of the classes for each example, by a head without it.
    words_share : float
        Weight of the words alone among the choices, 0..1.
    """

    head: Head
    left_out: Floats
    words_share: float


@dataclass(frozen=True, eq=False)
class _Path:
    """Heads that differ by their penalty only.

    Attributes
    ----------
    with_optional : bool
    trust : float
    blocks : tuple of Block
        Those used.
    basis : (F, r)
        Directions that the patches span in the scaled features, joined block by block: a penalised head lies in them.
    features : (n, r)
        The patches' own along them.
    """

    with_optional: bool
    trust: float
    blocks: tuple[Block, ...]
    basis: Floats
    features: Floats

    @classmethod
    def of(cls, samples: Samples, blocks: Sequence[Block], with_optional: bool, trust: float) -> _Path:
        used = tuple(block for block in blocks if with_optional or not block.is_optional)
        joined = np.concatenate([(samples.features[b.name].astype(np.float64) - b.centre) / b.scale for b in used], 1)
        is_wide = joined.shape[0] <= joined.shape[1]
        values, vectors = np.linalg.eigh(joined @ joined.T if is_wide else joined.T @ joined)
        kept = np.flatnonzero(values > max(values[-1] * LEAST_DIRECTION, LEAST_LENGTH))[-MOST_RANK:]
        basis = joined.T @ vectors[:, kept] / np.sqrt(values[kept]) if is_wide else vectors[:, kept]
        return cls(with_optional, trust, used, basis, joined @ basis)

    def log_prior(self, penalty: float) -> float:
        """Of a head, up to a number."""
        trust = math.log2(self.trust / USUAL_TRUST)
        return -(trust**2 + (math.log(penalty / USUAL_PENALTY) / math.log(PENALTY_WIDTH)) ** 2) / 2

    def fit(
        self, samples: Samples, active: NDArray[np.int64], wanted: NDArray[np.bool_] | None = None
    ) -> Iterator[Floats]:
        """Coefficients (r, A) for each penalty; zero for those that aren't wanted."""
        start = np.zeros((self.basis.shape[1], len(active)))
        for number, penalty in enumerate(PENALTIES):
            if wanted is not None and not wanted[number]:
                yield np.zeros_like(start)
                continue
            offset, targets = self.trust * samples.words, samples.targets
            start = fit_logistic(self.features, offset, targets, samples.weights, active, penalty, start)
            yield start

    def left_out(self, samples: Samples, active: NDArray[np.int64], penalty: float, coefficients: Floats) -> Floats:
        """Logits (n, C) of each patch by a head that was fitted without its example."""
        offset, targets, groups = self.trust * samples.words, samples.targets, samples.groups
        return left_out_logits(self.features, offset, targets, samples.weights, active, penalty, coefficients, groups)

    def raw_weights(self, coefficients: Floats) -> dict[str, Floats]:
        """Weights (F, A) of each block's features as they are."""
        ends = np.cumsum([len(block.centre) for block in self.blocks])
        parts = np.split(self.basis @ coefficients, ends[:-1])
        return {block.name: part / block.scale for block, part in zip(self.blocks, parts, strict=True)}


def fit_head(samples: Samples, blocks: Sequence[Block], anchors: Samples | None = None) -> Fit:
    """Fit a head to examples.

    Parameters
    ----------
    samples : Samples
        At least one patch.
    blocks : sequence of Block
        The features to use, at least one of which isn't optional.
    anchors : Samples, optional
        Patches that the words are sure of, of classes without examples: what the head must leave to them.

    Returns
    -------
    Fit
    """
    active = np.unique(samples.classes)
    used = samples[evenly(samples.classes, MOST_ROWS)]
    judged = used[evenly(used.classes, MOST_JUDGED)]
    num_judged = len(judged)
    if anchors is not None:
        used, judged = used.joined(anchors), judged.joined(anchors)
    kinds = sorted({not block.is_optional for block in blocks} | {False})
    paths = [_Path.of(judged, blocks, *each) for each in product(kinds, TRUSTS)]
    fitted = [list(path.fit(judged, active)) for path in paths]
    answers = [
        path.left_out(judged, active, penalty, coefficients)
        for path, own in zip(paths, fitted, strict=True)
        for penalty, coefficients in zip(PENALTIES, own, strict=True)
    ]
    priors = [path.log_prior(penalty) for path in paths for penalty in PENALTIES]
    shares = _shares(judged, priors, answers)
    left_out = np.tensordot(shares, np.stack([*answers, judged.words]), axes=1)[:num_judged]
    by_path = shares[:-1].reshape(len(paths), len(PENALTIES))
    if len(judged) < len(used):
        by_path = np.where(by_path < LEAST_SHARE, 0.0, by_path)
        paths = [_Path.of(used, blocks, path.with_optional, path.trust) for path in paths]
        fitted = [list(path.fit(used, active, own > 0)) for path, own in zip(paths, by_path, strict=True)]
    weights = {block.name: np.zeros((len(block.centre), samples.words.shape[1])) for block in blocks}
    for path, own, coefficients in zip(paths, by_path, fitted, strict=True):
        mean = np.tensordot(own, np.stack(coefficients), axes=1)
        for name, part in path.raw_weights(mean).items():
            weights[name][:, active] += part
    bias = -sum((block.centre.astype(np.float64) @ weights[block.name] for block in blocks), np.zeros(1))
    trust = by_path.sum(axis=1) @ [path.trust for path in paths] + 1 - by_path.sum()
    return Fit(
        head=Head(float(trust), _single(bias), {name: _single(part) for name, part in weights.items()}),
        left_out=_by_group(samples, judged, softmax(left_out)),
        words_share=float(shares[-1]),
    )


def _single(array: Floats) -> NDArray[np.float32]:
    return array.astype(np.float32)


def evenly(classes: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Indices of at most so many patches, as many of each class as can be, evenly taken from each.

    Parameters
    ----------
    classes : (n,) int
        Index of each patch's class.
    most : int
    """
    counts = np.bincount(classes)
    limit = most
    while int(np.minimum(counts, limit).sum()) > most and limit > 1:
        limit -= max(1, (int(np.minimum(counts, limit).sum()) - most) // max(1, int((counts >= limit).sum())))
    rows = []
    for index in np.flatnonzero(counts):
        own = np.flatnonzero(classes == index)
        taken = min(limit, len(own))
        rows.append(own[np.arange(taken) * len(own) // taken])
    return np.sort(np.concatenate(rows))


def _shares(samples: Samples, priors: Sequence[float], answers: Sequence[Floats]) -> Floats:
    """The share of each choice, and of the words alone behind them: prior times what left-out examples say."""
    log_priors = np.array(priors)
    log_priors += math.log(1 - WORDS_PRIOR) - np.log(np.exp(log_priors).sum())
    errors = (((softmax(answer) - samples.targets) ** 2).sum(axis=1) for answer in (*answers, samples.words))
    losses = np.array([samples.weights @ error for error in errors])
    return softmax(np.array([*log_priors, math.log(WORDS_PRIOR)]) - losses / TEMPERATURE)


def _by_group(samples: Samples, judged: Samples, shares: Floats) -> Floats:
    """Mean of patches' probabilities for each example; no numbers for those that weren't judged."""
    count, groups = int(samples.groups.max()) + 1, judged.groups[: len(shares)]
    sums = np.zeros((count, shares.shape[1]))
    np.add.at(sums, groups, shares)
    numbers = np.bincount(groups, minlength=count)[:, None]
    return np.where(numbers > 0, sums / np.maximum(numbers, 1), np.nan)
