from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from affine import Affine

from lposs_geo.errors import LegendError
from lposs_geo.examples.head import Head
from lposs_geo.examples.learned import from_bytes, to_bytes
from lposs_geo.examples.learned_head import BandScale, head_of, learned_of, scale_of
from lposs_geo.examples.read import read_examples
from lposs_geo.grid import Grid
from lposs_geo.legend.building import from_words

LEGEND = from_words("meadow,heath")
SCALE = BandScale(np.arange(5.0), np.ones(5), "four bands")


@pytest.fixture
def examples(tmp_path):
    (tmp_path / "e.csv").write_text('class,WKT\nheath,"POINT (3 4)"\n')
    return read_examples(tmp_path / "e.csv", LEGEND, Grid(10, 10, None, Affine.identity()))[0]


def _head(with_bands: bool) -> Head:
    rng = np.random.default_rng(0)
    weights = {"vlm0": rng.normal(size=(8, 2)), "vm": rng.normal(size=(6, 2)), "bands": np.zeros((5, 2))}
    if with_bands:
        weights["bands"] += rng.normal(size=(5, 2))
    return Head(0.4, np.array([1, -1], np.float32), {name: part.astype(np.float32) for name, part in weights.items()})


def _learned(examples, with_bands=True):
    return learned_of(_head(with_bands), legend=LEGEND, model="m", fingerprint="f", bands=SCALE, examples=examples)


def test_a_head_comes_back_from_a_file_as_it_was(examples):
    learned = from_bytes(to_bytes(_learned(examples)), "a file")
    head = head_of(learned)
    assert head.trust == 0.4
    assert (head.bias == [1, -1]).all()
    assert all((head.weights[name] == part).all() for name, part in _head(True).weights.items())
    scale = scale_of(learned)
    assert scale is not None
    assert scale.mean.tolist() == [0, 1, 2, 3, 4]
    assert (learned.digest, learned.counts) == ("four bands", {"heath": 1})


def test_bands_that_a_head_does_not_look_at_are_left_out(examples):
    learned = _learned(examples, with_bands=False)
    assert [name for name, _ in learned.layout] == ["vlm0", "vm"]
    assert learned.digest == ""
    assert scale_of(learned) is None


def test_classes_that_were_added_have_no_weights(examples):
    head = head_of(_learned(examples), 4)
    assert head.bias.tolist() == [1, -1, 0, 0]
    assert head.weights["vm"].shape == (6, 4)
    assert not head.weights["vm"][:, 2:].any()


def test_numbers_that_do_not_fit_each_other_are_refused_in_one_line(examples):
    learned = _learned(examples)
    others = [
        replace(learned, numbers={}),
        replace(learned, numbers={"trust": "much"}),
        replace(learned, numbers={"trust": float(3)}),
        replace(learned, tensors={name: part for name, part in learned.tensors.items() if name != "bias"}),
        replace(learned, tensors=dict(learned.tensors) | {"vm": np.zeros((6, 3), np.float32)}),
        replace(learned, tensors=dict(learned.tensors) | {"more": np.zeros(2, np.float32)}),
        replace(learned, tensors=dict(learned.tensors) | {"vm": np.full((6, 2), 3e38, np.float32)}),
    ]
    for other in others:
        with pytest.raises(LegendError, match="what was learnt is damaged"):
            head_of(other)
