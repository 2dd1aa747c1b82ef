from __future__ import annotations

import numpy as np
import pytest

from lposs_geo.examples.logistic import fit_logistic, left_out_logits, softmax


def _problem(seed: int, count: int = 24, width: int = 6, classes: int = 3):
    rng = np.random.default_rng(seed)
    features, truth = rng.normal(size=(count, width)), rng.normal(size=(width, classes))
    targets = np.eye(classes)[(features @ truth + rng.normal(size=(count, classes))).argmax(axis=1)]
    return features, rng.normal(size=(count, classes)), targets, rng.uniform(0.5, 2, count)


def _fit(features, offset, targets, weights, active, penalty):
    start = np.zeros((features.shape[1], len(active)))
    return fit_logistic(features, offset, targets, weights, active, penalty, start)


def test_probabilities_have_sum_one_and_stay_in_their_type():
    shares = softmax(np.array([[1000.0, 0.0], [-1000.0, -1000.0]], np.float32))
    assert shares.dtype == np.float32
    assert shares.tolist() == [[1.0, 0.0], [0.5, 0.5]]


@pytest.mark.parametrize("penalty", [0.03, 1.0, 10.0])
def test_the_slope_is_zero_at_the_fit(penalty):
    features, offset, targets, weights = _problem(0)
    active = np.array([0, 2])
    coefficients = _fit(features, offset, targets, weights, active, penalty)
    logits = offset.copy()
    logits[:, active] += features @ coefficients
    errors = (weights[:, None] * (softmax(logits) - targets))[:, active]
    assert np.abs(features.T @ errors + penalty * coefficients).max() < 0.02


def test_a_weight_counts_as_so_many_observations():
    features, offset, targets, _ = _problem(1)
    weights = np.where(np.arange(len(features)) < 5, 2.0, 1.0)
    twice = np.concatenate([np.arange(len(features)), np.arange(5)])
    active = np.arange(3)
    weighted = _fit(features, offset, targets, weights, active, 0.5)
    repeated = _fit(features[twice], offset[twice], targets[twice], np.ones(len(twice)), active, 0.5)
    assert weighted == pytest.approx(repeated, abs=2e-3)


@pytest.mark.parametrize("each", [1, 3])
def test_what_is_left_out_is_judged_as_by_a_fit_without_it(each):
    features, offset, targets, weights = _problem(2, count=60)
    groups, active, penalty = np.arange(60) // each, np.arange(3), 3.0
    coefficients = _fit(features, offset, targets, weights, active, penalty)
    quick = left_out_logits(features, offset, targets, weights, active, penalty, coefficients, groups)
    plain = offset + features @ coefficients
    exact = np.empty_like(quick)
    for group in np.unique(groups):
        out, rest = groups == group, groups != group
        own = _fit(features[rest], offset[rest], targets[rest], weights[rest], active, penalty)
        exact[out] = offset[out] + features[out] @ own
    far = np.abs(softmax(plain) - softmax(exact)).mean()
    assert np.abs(softmax(quick) - softmax(exact)).mean() < 0.4 * far
    loss, least = (((softmax(logits) - targets) ** 2).sum() for logits in (quick, exact))
    assert least < loss < 1.2 * least  # a little too severe, never too kind
