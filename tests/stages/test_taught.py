from __future__ import annotations

import numpy as np
import pytest
import torch

from lposs_geo.examples.head import Head
from lposs_geo.stages.taught import KAPPA, Sources, Taught, scale_of_words, words_as_logits
from lposs_geo.testing.encoders import ColourEncoder, StandIn


def test_sources_mix_into_the_seeds_of_their_window_alone():
    sources = Sources(np.array([2, 5]), np.array([3, 1]), np.array([[1, 0], [0.5, 0.5]], np.float32))
    seeds = np.full((4, 4, 3), 0.2, np.float32)  # two classes and a rival
    sources.put_into(seeds, slice(1, 5), slice(2, 6))
    assert seeds[1, 1] == pytest.approx([0.2 * (1 - KAPPA) + KAPPA, 0.2 * (1 - KAPPA), 0.2 * (1 - KAPPA)])
    seeds[1, 1] = 0.2
    assert (seeds == np.float32(0.2)).all()


def test_a_source_without_features_stays_without_seeds():
    seeds = np.zeros((2, 2, 2), np.float32)
    Sources(np.array([0]), np.array([0]), np.array([[1, 0]], np.float32)).put_into(seeds, slice(0, 2), slice(0, 2))
    assert not seeds.any()


def test_words_become_logits_whatever_their_scale():
    assert scale_of_words(StandIn()) == 20.0
    assert scale_of_words(ColourEncoder()) == 100.0  # cosines, as CLIP has them
    assert words_as_logits(np.array([1.0, 0.0], np.float32)).tolist() == pytest.approx([0, np.log(1e-6)])


def test_weights_that_are_all_zero_are_not_looked_at():
    head = Head(1.0, np.zeros(2, np.float32), {"vm": np.zeros((3, 2), np.float32), "vlm0": np.ones((3, 2), np.float32)})
    taught = Taught(head)
    assert taught.weights("vm", torch.device("cpu")) is None
    assert taught.weights("bands", torch.device("cpu")) is None
    assert taught.weights("vlm0", torch.device("cpu")).shape == (3, 2)
