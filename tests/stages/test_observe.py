from __future__ import annotations

import numpy as np
import pytest
import torch
from rasterio.windows import Window

from lposs_geo.examples.head import Head
from lposs_geo.examples.logistic import softmax
from lposs_geo.stages.encode import encode_image
from lposs_geo.stages.observe import observe
from lposs_geo.stages.propagate import patch_seeds
from lposs_geo.stages.task import Words
from lposs_geo.stages.taught import Bands, Taught
from lposs_geo.testing.encoders import ColourEncoder, StandIn

ENCODERS = [StandIn(crop_size=56, stride=42), ColourEncoder()]


def _scene(encoder, seed=0):
    image = np.random.default_rng(seed).random((3, 90, 120), dtype=np.float32)
    features = encode_image(image, encoder)
    features[0].valid[1:3, 1:3] = False
    features[-1].valid[2, 3] = False
    return features


def _all_patches(features):
    lattice = features[-1].lattice
    rows, cols = np.nonzero(features[-1].valid)
    return lattice, rows, cols


@pytest.mark.parametrize("encoder", ENCODERS, ids=["two looks", "cosines"])
def test_patches_alone_are_seen_as_all_together(encoder):
    features = _scene(encoder)
    lattice, rows, cols = _all_patches(features)
    classes = 3
    words = Words(encoder.text_embeddings([["red"], ["green"], ["blue"]]))
    rng = np.random.default_rng(1)
    statistics = rng.random((lattice.rows, lattice.cols, 6), dtype=np.float32)
    bands = Bands(statistics, rng.random(9), rng.random(9) + 0.5)
    seen = observe(features, words, encoder, rows, cols, bands)
    weights = {
        name: rng.normal(size=(part.shape[1], classes)).astype(np.float32) for name, part in seen.features.items()
    }
    head = Head(0.6, rng.normal(size=classes).astype(np.float32), weights)
    seeds = patch_seeds(features, words.text, encoder, taught=Taught(head, bands))
    assert seeds[rows, cols] == pytest.approx(softmax(head.logits(seen)), abs=2e-3)
    assert not seeds[~features[-1].valid].any()


@pytest.mark.parametrize("encoder", ENCODERS, ids=["two looks", "cosines"])
def test_a_head_that_adds_nothing_gives_the_words_back(encoder):
    features = _scene(encoder)
    _, rows, cols = _all_patches(features)
    words = Words(encoder.text_embeddings([["red"], ["green"], ["blue"]]))
    nothing = Taught(Head(1.0, np.zeros(3, np.float32), {}))
    seeds = patch_seeds(features, words.text, encoder, taught=nothing)[rows, cols]
    assert seeds == pytest.approx(softmax(observe(features, words, encoder, rows, cols).words), abs=1e-4)
    plain = patch_seeds(features, words.text, encoder)[rows, cols]
    assert (plain.argmax(axis=1) == seeds.argmax(axis=1)).mean() > 0.98


def test_any_order_and_any_number_of_patches_will_do():
    encoder = ENCODERS[0]
    features = _scene(encoder)
    _, rows, cols = _all_patches(features)
    words = Words(encoder.text_embeddings([["red"], ["green"]]))
    order = np.random.default_rng(2).permutation(len(rows))[:17]
    some, everything = (observe(features, words, encoder, rows[i], cols[i]) for i in (order, slice(None)))
    assert some.words == pytest.approx(everything.words[order])
    assert all(part == pytest.approx(everything.features[name][order]) for name, part in some.features.items())
    none = np.zeros(0, np.int64)
    assert len(observe(features, words, encoder, none, none)) == 0


def test_rivals_take_no_share_from_the_classes():
    encoder = ENCODERS[0]
    features = _scene(encoder)
    text = encoder.text_embeddings([["red"], ["green"], ["blue"]])
    head = Head(0.5, np.array([0.3, -0.3], np.float32), {})
    with_rival = patch_seeds(features, text, encoder, num_rivals=1, taught=Taught(head))
    without = patch_seeds(features, text[:2], encoder, taught=Taught(head))
    assert with_rival[..., :2] == pytest.approx(without, abs=1e-6)
    assert torch.from_numpy(with_rival[..., 2]).max() <= 1
    part = patch_seeds(features, text, encoder, Window(3, 2, 4, 5), 1, Taught(head))
    assert part == pytest.approx(with_rival[2:7, 3:7], abs=1e-6)


def test_words_that_are_trusted_less_are_trusted_less_for_rivals_too():
    encoder = StandIn(crop_size=56, stride=42, seed_scale=3.0)
    features = _scene(encoder)[-1:]
    valid = features[-1].valid
    text = encoder.text_embeddings([["red"], ["green"], ["blue"]])
    first, doubted = (
        patch_seeds(features, text, encoder, num_rivals=1, taught=Taught(Head(trust, np.zeros(2, np.float32), {})))[
            valid
        ]
        for trust in (1.0, 0.1)
    )
    margins = [np.log(seeds[:, 2] / seeds[:, :2].max(axis=1)) for seeds in (first, doubted)]
    assert margins[1] == pytest.approx(0.1 * margins[0], abs=1e-4)
