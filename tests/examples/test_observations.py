from __future__ import annotations

import numpy as np
import pytest

from lposs_geo.examples.observations import Observations, Samples, evenly


def _samples(count: int, first: int = 0) -> Samples:
    features = {"vm": np.arange(first, first + count, dtype=np.float32)[:, None]}
    words = np.zeros((count, 3))
    return Samples(Observations(features, words), np.arange(count) % 3, np.ones(count), np.arange(count) // 2)


def test_an_even_choice_spares_classes_that_have_few():
    classes = np.array([0] * 1000 + [1] * 10 + [2] * 400)
    for most in (3, 30, 100, 1000):
        counts = np.bincount(classes[evenly(classes, most)], minlength=3)
        assert most - 1 <= counts.sum() <= most
        assert counts[1] == min(10, most // 3)
        assert counts[0] >= counts[2]
    few = classes[evenly(classes, 100)]
    assert np.bincount(few[evenly(few, 60)]).tolist() == [25, 10, 25]
    assert evenly(classes, 2000).tolist() == list(range(1410))


def test_an_even_choice_comes_from_all_over():
    rows = evenly(np.zeros(1000, np.int64), 10)
    assert np.diff(rows).tolist() == [100] * 9


def test_samples_that_are_joined_keep_their_examples_apart():
    both = _samples(4).joined(_samples(6, first=4))
    assert both.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert both.observations.features["vm"][:, 0].tolist() == list(range(10))
    assert both.targets[4].tolist() == [1, 0, 0]
    part = both[np.array([9, 0])]
    assert part.observations.features["vm"][:, 0].tolist() == [9, 0]
    assert len(part) == len(part.observations) == 2
    assert part.weights == pytest.approx(1)
