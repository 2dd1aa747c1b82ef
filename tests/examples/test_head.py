from __future__ import annotations

import numpy as np
import pytest

from lposs_geo.examples import head as module
from lposs_geo.examples.head import Head, fit_head
from lposs_geo.examples.logistic import softmax
from lposs_geo.examples.observations import Observations, Samples

WIDTH, CLASSES, NOISE = 24, 4, 0.7


class Land:
    """Four kinds of land, each around a vector of its own; the words take the kinds in `confused` for others."""

    def __init__(self, confused: dict[int, int], seed: int = 0, count: int = 2000, sure: float = 6.0) -> None:
        rng = np.random.default_rng(seed)
        self.truth = rng.integers(CLASSES, size=count)
        vectors = np.random.default_rng(99).normal(size=(CLASSES, WIDTH))
        features = vectors[self.truth] + NOISE * rng.normal(size=(count, WIDTH))
        told = np.array([confused.get(kind, kind) for kind in self.truth])
        words = np.log(softmax(sure * np.eye(CLASSES)[told] + rng.normal(size=(count, CLASSES))))
        self.patches = Observations({"vlm0": features.astype(np.float32)}, words)

    def examples(self, each: dict[int, int], seed: int = 1) -> Samples:
        rng = np.random.default_rng(seed)
        rows = np.concatenate([rng.choice(np.flatnonzero(self.truth == kind), n) for kind, n in each.items()])
        return Samples(self.patches[rows], self.truth[rows], np.ones(len(rows)), np.arange(len(rows)))

    def accuracy(self, logits, kinds=range(CLASSES)) -> float:
        among = np.isin(self.truth, list(kinds))
        return float((logits.argmax(axis=1) == self.truth)[among].mean())


def test_a_few_examples_mend_what_the_words_get_wrong():
    land = Land({1: 0})
    fit = fit_head(land.examples(dict.fromkeys(range(CLASSES), 4)), land.patches)
    assert land.accuracy(land.patches.words) < 0.8
    assert land.accuracy(fit.head.logits(land.patches)) > 0.97
    assert fit.words_share < 0.2


@pytest.mark.parametrize("number", [1, 2, 4, 8])
def test_where_the_words_are_right_they_hold_whatever_the_number_of_examples(number):
    for seed in range(3):
        land = Land({}, seed)
        fit = fit_head(land.examples(dict.fromkeys(range(CLASSES), number), seed), land.patches)
        assert land.accuracy(fit.head.logits(land.patches)) >= land.accuracy(land.patches.words) - 0.002


def test_examples_of_one_class_never_delete_another():
    land = Land({1: 0})  # kind 1 is called 0; examples of 1 only
    for number in (1, 3, 12, 40):
        logits = fit_head(land.examples({1: number}), land.patches).head.logits(land.patches)
        for kind in (0, 2, 3):
            assert land.accuracy(logits, [kind]) > 0.97
    assert land.accuracy(logits, [1]) > 0.9


def test_a_class_without_examples_has_no_weights():
    land = Land({1: 0})
    fit = fit_head(land.examples({1: 9, 2: 3}), land.patches)
    head = fit.head
    assert fit.words_share < 0.5
    assert not head.weights["vlm0"][:, [0, 3]].any()
    assert not head.bias[[0, 3]].any()
    assert head.weights["vlm0"][:, [1, 2]].any()


def test_bands_are_used_if_they_tell_and_left_if_they_do_not():
    land = Land({1: 0, 2: 3})
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(len(land.truth), 12)).astype(np.float32)
    telling = (np.eye(CLASSES, 12)[land.truth] * 3 + 0.1 * noise).astype(np.float32)
    blind = rng.normal(size=(len(land.truth), WIDTH)).astype(np.float32)  # the vision model sees nothing
    effects = []
    for bands in (telling, noise):
        land.patches = Observations({"vlm0": blind, "bands": bands}, land.patches.words)
        fit = fit_head(land.examples(dict.fromkeys(range(CLASSES), 8)), land.patches)
        effects.append((bands @ fit.head.weights["bands"]).std())
        accuracy = land.accuracy(fit.head.logits(land.patches))
        assert accuracy > 0.95 if bands is telling else accuracy > 0.4
    assert effects[0] > 2 * effects[1]


def test_left_out_examples_are_judged_without_themselves():
    land = Land({1: 0})
    samples = land.examples({0: 6, 1: 6, 3: 4})
    wrong = samples.classes.copy()
    wrong[7] = 3  # a slip of the user's
    fit = fit_head(Samples(samples.observations, wrong, samples.weights, samples.groups), land.patches)
    answers = fit.left_out.argmax(axis=1)
    assert answers[7] != 3
    assert (np.delete(answers, 7) == np.delete(samples.classes, 7)).mean() > 0.8
    assert fit.left_out.sum(axis=1) == pytest.approx(1)


def test_patches_of_one_example_weigh_together_as_much_as_a_point():
    land = Land({1: 0})
    points = land.examples({0: 3, 1: 3})
    rows = np.repeat(np.arange(6), 10)
    polygons = Samples(points.observations[rows], points.classes[rows], np.full(60, 0.1), points.groups[rows])
    one, other = (fit_head(samples, land.patches).head.logits(land.patches) for samples in (points, polygons))
    assert np.abs(softmax(one) - softmax(other)).mean() < 0.02


def test_very_many_patches_take_bounded_work(monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 120)
    monkeypatch.setattr(module, "MOST_JUDGED", 60)
    land = Land({1: 0})
    fit = fit_head(land.examples({0: 300, 1: 300, 2: 5}), land.patches)
    assert land.accuracy(fit.head.logits(land.patches)) > 0.97
    judged = np.isfinite(fit.left_out).all(axis=1)
    assert 58 <= judged.sum() <= 60
    assert judged[-5:].all()  # all of a class that has few


def test_the_same_examples_give_the_same_head():
    land = Land({1: 0})
    samples = land.examples({0: 3, 1: 4, 3: 1})
    one, other = (fit_head(samples, land.patches).head for _ in range(2))
    assert one.trust == other.trust
    assert (one.weights["vlm0"] == other.weights["vlm0"]).all()
    assert (one.bias == other.bias).all()


def test_a_head_after_another_stands_for_both():
    land = Land({1: 0})
    before = fit_head(land.examples({0: 2, 1: 2}), land.patches).head
    seen = Observations(land.patches.features, before.logits(land.patches))
    after = fit_head(land.examples({1: 2, 3: 2}, seed=2), seen).head
    both = after.after(before)
    assert both.logits(land.patches) == pytest.approx(after.logits(seen), abs=1e-3)
    assert both.after(Head(1.0, np.zeros(CLASSES, np.float32), {})).logits(land.patches) == pytest.approx(
        both.logits(land.patches), abs=1e-5
    )
