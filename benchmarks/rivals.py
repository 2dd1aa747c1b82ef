"""What else makes seeds of words and examples: the published ways that `examples.py` compares the head with.

Each takes a `Problem` and returns seeds (patches, C). What has to be chosen is chosen by leaving examples out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from labelled import LabelledSet

from lposs_geo.examples.logistic import fit_logistic, left_out_logits, softmax

BLENDS = np.linspace(0, 1, 11)
"""Shares of the examples in fused prototypes."""

WORD_FACTORS = (1.0, 0.75, 0.5, 0.25)
RIDGES = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
"""Of ridge regression: factors of the words, and penalties, where a patch's features have a mean square norm of 4."""

PENALTIES = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
"""Of plain logistic regression, likewise."""

FIRST_BLEND = 250.0
"""Of LP++: the first weight of the words is so many times the mean cosine of examples and their class's words."""

STEPS, WORD_STEPS, MOMENTUM = 300, 10, 0.9
"""Of LP++: steps, after how many of them the words' weights are changed, and what remains of the step before."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What a head is made of.

    Attributes
    ----------
    scene : LabelledSet
    scale : float
        Of the encoder's cosines.
    patches, classes : (n,) int
        The examples.
    """

    scene: LabelledSet
    scale: float
    patches: np.ndarray
    classes: np.ndarray

    @property
    def words(self) -> np.ndarray:
        """Logits (patches, C) of the words."""
        return self.scene.observations.words

    @cached_property
    def targets(self) -> np.ndarray:
        """(n, C): one for each example's class, else zero."""
        return np.eye(len(self.scene.words))[self.classes]

    @property
    def looks(self) -> list[np.ndarray]:
        """The VLM's features of each look."""
        return [values for name, values in self.scene.observations.features.items() if name.startswith("vlm")]


def words(problem: Problem) -> np.ndarray:
    """The words alone."""
    return softmax(problem.words)


def clamping(problem: Problem) -> np.ndarray:
    """The words, and the examples' own patches as they say."""
    seeds = softmax(problem.words)
    seeds[problem.patches] = problem.targets
    return seeds


def examples_alone(problem: Problem) -> np.ndarray:
    """Nothing but the examples' own patches, for the graph to spread."""
    seeds = np.zeros_like(problem.words)
    seeds[problem.patches] = problem.targets
    return seeds


def prototypes(problem: Problem) -> np.ndarray:
    """Class embeddings blended with the mean features of the class's examples."""
    looks, text = problem.looks, problem.scene.text.astype(np.float64)
    sums = [problem.targets.T @ look[problem.patches] for look in looks]
    own = np.arange(len(problem.classes)), problem.classes

    def logits(features: np.ndarray, mean: np.ndarray, blend: float) -> np.ndarray:
        """Of features (n, D), by the classes' means (C, D), or by those that each of them has (n, C, D)."""
        exists = np.linalg.norm(mean, axis=-1, keepdims=True) > 0
        mixed = np.where(exists, blend * _unit(mean) + (1 - blend) * text, text)
        return problem.scale * (_unit(mixed) @ features[..., None])[..., 0]

    def seeds(features: list[np.ndarray], means: list[np.ndarray], blend: float) -> np.ndarray:
        each = [softmax(logits(part, mean, blend)) for part, mean in zip(features, means, strict=True)]
        return np.mean(each, axis=0)

    examples = [look[problem.patches].astype(np.float64) for look in looks]
    without = [np.repeat(part[None], len(problem.classes), axis=0) for part in sums]
    for part, features in zip(without, examples, strict=True):
        part[own] -= features
        part[np.abs(part) < 1e-9] = 0.0
    losses = [_log_loss(seeds(examples, without, blend)[own]) for blend in BLENDS]
    return seeds(looks, sums, BLENDS[int(np.argmin(losses))])


def lp_plus_plus(problem: Problem) -> np.ndarray:
    """LP++ (Huang et al., CVPR 2024): a linear probe, and a learnt weight of each class's words.

    Its first values and steps follow from the examples. No others are there to say when to stop: it takes all steps.
    """
    features = _unit(np.mean(problem.looks, axis=0)).astype(np.float64)
    text = problem.scene.text.astype(np.float64)
    own, targets, count = features[problem.patches], problem.targets, len(problem.classes)
    cosines = own @ text.T
    probe = targets.T @ own
    means = [(cosines[problem.classes == index, index]).mean() for index in np.unique(problem.classes)]
    blend = np.full(len(text), FIRST_BLEND * np.mean(means))
    step = 4 * count / np.linalg.eigvalsh(own @ own.T)[-1]
    word_step = count / (4 * (cosines**2).sum(axis=0).max())
    momentum = np.zeros_like(probe)
    for number in range(1, STEPS + 1):
        errors = (softmax(own @ probe.T + blend * cosines) - targets) / count
        momentum = MOMENTUM * momentum + errors.T @ own
        probe = probe - step * momentum
        if number % WORD_STEPS == 0:
            blend = blend - word_step * (errors * cosines).sum(axis=0)
    return softmax(features @ probe.T + blend * (features @ text.T))


def ridge(problem: Problem) -> np.ndarray:
    """Ridge regression of the examples' classes on all features, in dual form, anchored on the words' probabilities."""
    features, anchor = problem.scene.joined, softmax(problem.words)
    own = features[problem.patches]
    gram = (own @ own.T).astype(np.float64)
    best = np.inf
    for factor in WORD_FACTORS:
        residual = problem.targets - factor * anchor[problem.patches]
        for penalty in (np.inf, *RIDGES):
            if penalty == np.inf:
                left_out, dual = residual, np.zeros_like(residual)
            else:
                inverse = np.linalg.inv(gram + penalty * np.eye(len(gram)))
                dual = inverse @ residual
                left_out = dual / np.diag(inverse)[:, None]
            loss = float((left_out**2).sum())
            if loss < best:
                best, chosen = loss, (factor, own.T @ dual)
    factor, weights = chosen
    return np.maximum(factor * anchor + features @ weights, 0.0)


def logistic(problem: Problem) -> np.ndarray:
    """Multinomial logistic regression on all features, with the words' log-probabilities as offset."""
    features = problem.scene.joined
    _, _, basis = np.linalg.svd(features[problem.patches].astype(np.float64), full_matrices=False)
    own, offset = features[problem.patches] @ basis.T, problem.words[problem.patches]
    count, active = len(problem.classes), np.unique(problem.classes)
    ones, groups = np.ones(count), np.arange(count)
    correct = groups, problem.classes
    best, chosen = _log_loss(softmax(offset)[correct]), np.zeros((len(basis), len(active)))
    coefficients = chosen
    for penalty in PENALTIES:
        coefficients = fit_logistic(own, offset, problem.targets, ones, active, penalty, coefficients)
        left_out = left_out_logits(own, offset, problem.targets, ones, active, penalty, coefficients, groups)
        loss = _log_loss(softmax(left_out)[correct])
        if loss < best:
            best, chosen = loss, coefficients
    logits = problem.words.copy()
    logits[:, active] += features @ (basis.T @ chosen)
    return softmax(logits)


def _log_loss(probabilities: np.ndarray) -> float:
    return float(-np.log(np.maximum(probabilities, 1e-12)).sum())


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
