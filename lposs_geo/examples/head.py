"""The head: words and examples together say what a patch is.

A patch's class logits are the logarithm of the words' seeds, times a number, plus a linear function of its features: a
multinomial logistic regression with the words as its offset. Where there are no examples, or they say nothing, the
words stand. A class without examples has no weights, and patches of the scene that the words are sure of stand in for
its examples: an example of another class takes nothing from it but what looks like that example.

How far to trust the words, how strongly to hold the weights back, and whether the bands are of use isn't chosen but
averaged over, each choice as much as it tells examples that were left out (their Brier score); the words alone are one
of the choices. Few examples so change little, and many much.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from lposs_geo.examples.logistic import fit_logistic, left_out_logits, softmax
from lposs_geo.examples.observations import Observations, Samples, evenly

__all__ = ["BANDS", "MOST_ROWS", "Fit", "Head", "fit_head"]

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
"""Observations that a head is fitted to; of more, an even choice of each class."""

MOST_JUDGED = 256
"""Observations that the choices are judged by, likewise."""

MOST_RANK = 384
"""Directions of the features that a head is fitted in; fewer patches span fewer anyway."""

LEAST_DIRECTION = 1e-9
"""Squared length of a direction, as a share of the longest one's, that is rounding and nothing else."""

LEAST_LENGTH = 1e-12
"""The same as a number, where all features are the scene's mean."""

BANDS = "bands"
"""The kind of features that all bands of a scene give."""

OPTIONAL = frozenset({BANDS})
"""Kinds of features that a head may do without, if examples that are left out say so."""

MOST_ANCHORS = 32
"""Of a class: else as many as other classes have examples on average."""

EVENING, LEAST_THERE = 0.5, 0.001
"""How far the classes' odds are turned into the scene's, and the least share that a class is taken to have there."""

LEAST_SHARE = 0.01
"""Choices that would get less than this share aren't fitted to all of many patches."""


@dataclass(frozen=True, eq=False)
class Head:
    """Class logits: ``trust * words + bias + features @ weights, summed over kinds of features``.

    Attributes
    ----------
    trust : float
        Factor of the words' logits.
    bias : (C,) float32
    weights : mapping of str to (F, C) float32
        By kinds of features; zero for classes without examples.
    """

    trust: float
    bias: NDArray[np.float32]
    weights: Mapping[str, NDArray[np.float32]]

    def after(self, before: Head) -> Head:
        """The head that does what this one does with another's logits in place of the words'."""
        weights = {
            name: _single(np.asarray(part + self.trust * before.weights.get(name, 0.0)))
            for name, part in self.weights.items()
        }
        return Head(self.trust * before.trust, self.bias + self.trust * before.bias, weights)

    def logits(self, observations: Observations) -> Floats:
        """(n, C) of patches."""
        parts = (observations.features[name].astype(np.float64) @ part for name, part in self.weights.items())
        return np.asarray(self.trust * observations.words + self.bias + sum(parts))


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
class _Block:
    """A kind of features, brought to one scale with the others.

    Attributes
    ----------
    name : str
    centre : (F,) float64
        Their mean over the scene.
    scale : float
        The root of their mean squared distance from it.
    """

    name: str
    centre: Floats
    scale: float

    @classmethod
    def of(cls, name: str, features: NDArray[np.float32]) -> _Block:
        centre = features.mean(axis=0, dtype=np.float64)
        spread = float(((features - centre) ** 2).sum(axis=1).mean())
        return cls(name, centre, math.sqrt(spread) or 1.0)

    def scaled(self, observations: Observations) -> Floats:
        return np.asarray((observations.features[self.name].astype(np.float64) - self.centre) / self.scale)


@dataclass(frozen=True, eq=False)
class _Span:
    """What patches span of the features: a penalised head lies in it, whatever its penalty and its trust in the words.

    Attributes
    ----------
    blocks : tuple of _Block
        Those used.
    basis : (F, r)
        Directions in the scaled features, joined block by block.
    features : (n, r)
        The patches' own along them.
    """

    blocks: tuple[_Block, ...]
    basis: Floats
    features: Floats

    @classmethod
    def of(cls, samples: Samples, blocks: Sequence[_Block], with_optional: bool) -> _Span:
        used = tuple(block for block in blocks if with_optional or block.name not in OPTIONAL)
        joined = np.concatenate([block.scaled(samples.observations) for block in used], axis=1)
        is_wide = joined.shape[0] <= joined.shape[1]
        values, vectors = np.linalg.eigh(joined @ joined.T if is_wide else joined.T @ joined)
        kept = np.flatnonzero(values > max(values[-1] * LEAST_DIRECTION, LEAST_LENGTH))[-MOST_RANK:]
        basis = joined.T @ vectors[:, kept] / np.sqrt(values[kept]) if is_wide else vectors[:, kept]
        return cls(used, basis, joined @ basis)

    def raw_weights(self, coefficients: Floats) -> dict[str, Floats]:
        """Weights (F, A) of each block's features as they are."""
        ends = np.cumsum([len(block.centre) for block in self.blocks])
        parts = np.split(self.basis @ coefficients, ends[:-1])
        return {block.name: part / block.scale for block, part in zip(self.blocks, parts, strict=True)}


@dataclass(frozen=True, eq=False)
class _Path:
    """Heads that differ by their penalty only.

    Attributes
    ----------
    span : _Span
    trust : float
    """

    span: _Span
    trust: float

    def log_prior(self, penalty: float) -> float:
        """Of a head, up to a number."""
        trust = math.log2(self.trust / USUAL_TRUST)
        return -(trust**2 + (math.log(penalty / USUAL_PENALTY) / math.log(PENALTY_WIDTH)) ** 2) / 2

    def fit(
        self, samples: Samples, active: NDArray[np.int64], wanted: NDArray[np.bool_] | None = None
    ) -> Iterator[Floats]:
        """Coefficients (r, A) for each penalty; zero for those that aren't wanted."""
        start = np.zeros((self.span.basis.shape[1], len(active)))
        for number, penalty in enumerate(PENALTIES):
            if wanted is not None and not wanted[number]:
                yield np.zeros_like(start)
                continue
            offset, targets = self.trust * samples.observations.words, samples.targets
            start = fit_logistic(self.span.features, offset, targets, samples.weights, active, penalty, start)
            yield start

    def left_out(self, samples: Samples, active: NDArray[np.int64], penalty: float, coefficients: Floats) -> Floats:
        """Logits (n, C) of each patch by a head that was fitted without its example."""
        offset, targets, groups = self.trust * samples.observations.words, samples.targets, samples.groups
        return left_out_logits(
            self.span.features, offset, targets, samples.weights, active, penalty, coefficients, groups
        )


def fit_head(samples: Samples, scene: Observations) -> Fit:
    """Fit a head to examples.

    Parameters
    ----------
    samples : Samples
        At least one patch. Of features that are `OPTIONAL` others must be there, too.
    scene : Observations
        Some thousand patches from all over the scene.

    Returns
    -------
    Fit
    """
    blocks = [_Block.of(name, features) for name, features in scene.features.items()]
    active, anchors = np.unique(samples.classes), _anchors(samples, scene, blocks)
    used = samples[evenly(samples.classes, MOST_ROWS)]
    judged = used[evenly(used.classes, MOST_JUDGED)]
    num_judged, is_all, odds = len(judged), len(judged) == len(used), _odds(used)
    if len(anchors):
        used, judged = used.joined(anchors), judged.joined(anchors)
    kinds = sorted({name not in OPTIONAL for name in scene.features} | {False})
    paths = _paths(judged, blocks, kinds)
    fitted = [list(path.fit(judged, active)) for path in paths]
    answers = [
        path.left_out(judged, active, penalty, coefficients)
        for path, own in zip(paths, fitted, strict=True)
        for penalty, coefficients in zip(PENALTIES, own, strict=True)
    ]
    shares = _shares(judged, [path.log_prior(penalty) for path in paths for penalty in PENALTIES], answers)
    left_out = np.tensordot(shares, np.stack([*answers, judged.observations.words]), axes=1)[:num_judged]
    by_path, words_share = shares[:-1].reshape(len(paths), len(PENALTIES)), float(shares[-1])
    if not is_all:
        by_path = np.where(by_path < LEAST_SHARE, 0.0, by_path)
        paths = _paths(used, blocks, kinds)
        fitted = [list(path.fit(used, active, own > 0)) for path, own in zip(paths, by_path, strict=True)]
    head = _mean_head(blocks, paths, by_path, fitted, active, samples.observations.words.shape[1])
    shift = _evened(head, odds, scene, 1 - words_share)
    return Fit(
        head=replace(head, bias=_single(head.bias + shift)),
        left_out=_by_group(samples, judged, softmax(left_out + shift)),
        words_share=words_share,
    )


def _paths(samples: Samples, blocks: Sequence[_Block], kinds: Sequence[bool]) -> list[_Path]:
    """Without and with optional features, each at all trusts."""
    spans = [_Span.of(samples, blocks, with_optional) for with_optional in kinds]
    return [_Path(span, trust) for span, trust in product(spans, TRUSTS)]


def _mean_head(
    blocks: Sequence[_Block],
    paths: Sequence[_Path],
    shares: Floats,
    fitted: Sequence[Sequence[Floats]],
    active: NDArray[np.int64],
    num_classes: int,
) -> Head:
    """The mean of heads by their shares (paths, penalties); what is missing to one belongs to the words alone."""
    weights = {block.name: np.zeros((len(block.centre), num_classes)) for block in blocks}
    for path, own, coefficients in zip(paths, shares, fitted, strict=True):
        for name, part in path.span.raw_weights(np.tensordot(own, np.stack(coefficients), axes=1)).items():
            weights[name][:, active] += part
    bias = -sum((block.centre @ weights[block.name] for block in blocks), np.zeros(num_classes))
    trust = shares.sum(axis=1) @ [path.trust for path in paths] + 1 - shares.sum()
    return Head(float(trust), _single(bias), {name: _single(part) for name, part in weights.items()})


def _anchors(samples: Samples, scene: Observations, blocks: Sequence[_Block]) -> Samples:
    """Stand-ins for examples of the classes that have none.

    They are patches that the words are surer of than of most, and that look less like the examples than most do: what
    looks like an example of another class may be what the words get wrong.
    """
    counts = np.bincount(samples.classes, weights=samples.weights, minlength=scene.words.shape[1])
    number = min(MOST_ANCHORS, math.ceil(counts.sum() / np.count_nonzero(counts)))
    best, margins = scene.words.argmax(axis=1), np.diff(np.sort(scene.words, axis=1)[:, -2:], axis=1)[:, 0]
    few = samples[evenly(samples.classes, MOST_JUDGED)].observations
    chosen = [np.zeros(0, np.int64)]
    for index in np.flatnonzero(counts == 0):
        own = np.flatnonzero(best == index)
        own = own[np.argsort(-margins[own], kind="stable")][: -(-len(own) // 2)]
        if len(own):
            unlike = np.argsort(_likeness(scene[own], few, blocks), kind="stable")[: -(-len(own) // 2)]
            own = own[np.sort(unlike)]
        taken = min(number, len(own))
        chosen.append(own[np.arange(taken) * len(own) // max(taken, 1)])
    rows = np.concatenate(chosen)
    return Samples(scene[rows], best[rows], np.ones(len(rows)), np.arange(len(rows)))


def _likeness(one: Observations, others: Observations, blocks: Sequence[_Block]) -> Floats:
    """How much each patch looks like the most similar one of others, (n,)."""
    total = np.zeros((len(one), len(others)))
    for block in blocks:
        mine, theirs = block.scaled(one), block.scaled(others)
        total -= (mine**2).sum(axis=1)[:, None] - 2 * mine @ theirs.T + (theirs**2).sum(axis=1)
    return np.asarray(total.max(axis=1))


def _odds(samples: Samples) -> Floats:
    """The share (C,) of each class among examples."""
    counts = np.bincount(samples.classes, weights=samples.weights, minlength=samples.observations.words.shape[1])
    return np.asarray(counts / counts.sum())


def _evened(head: Head, odds: Floats, scene: Observations, power: float) -> Floats:
    """What to add to the logits of classes of which examples show more, or less, than the scene does.

    Examples are drawn evenly over the classes, and land isn't. As with any classifier, the odds of the classes among
    the examples become those of the scene, as far as the examples decide and not the words. A class without examples is
    left out: its anchors say nothing of how much of it there is.
    """
    has_examples = odds > 0
    there = np.where(has_examples, softmax(head.logits(scene)).mean(axis=0), 0.0)
    ratio = np.maximum(there / max(float(there.sum()), LEAST_THERE), LEAST_THERE) / np.where(has_examples, odds, 1.0)
    return np.asarray(EVENING * power**4 * np.where(has_examples, np.log(ratio), 0.0))


def _single(array: Floats) -> NDArray[np.float32]:
    return array.astype(np.float32)


def _shares(samples: Samples, priors: Sequence[float], answers: Sequence[Floats]) -> Floats:
    """The share of each choice, and of the words alone behind them: prior times what left-out examples say."""
    log_priors = np.array(priors)
    log_priors += math.log(1 - WORDS_PRIOR) - np.log(np.exp(log_priors).sum())
    errors = (
        ((softmax(answer) - samples.targets) ** 2).sum(axis=1) for answer in (*answers, samples.observations.words)
    )
    losses = np.array([samples.weights @ error for error in errors])
    return softmax(np.array([*log_priors, math.log(WORDS_PRIOR)]) - losses / TEMPERATURE)


def _by_group(samples: Samples, judged: Samples, shares: Floats) -> Floats:
    """Mean of patches' probabilities for each example; no numbers for those that weren't judged."""
    count, groups = int(samples.groups.max()) + 1, judged.groups[: len(shares)]
    sums = np.zeros((count, shares.shape[1]))
    np.add.at(sums, groups, shares)
    numbers = np.bincount(groups, minlength=count)[:, None]
    return np.where(numbers > 0, sums / np.maximum(numbers, 1), np.nan)
