from __future__ import annotations

import torch

from lposs_geo.stages.drawn import assert_drawn, clamp

DRAWN = torch.tensor([[0, 2, 0], [0, 0, 1]], dtype=torch.uint8)


def test_the_class_that_is_drawn_gets_all_scores_and_rivals_none():
    scores = torch.arange(18, dtype=torch.float32).reshape(3, 2, 3)  # two classes and a rival
    before = scores.clone()
    clamp(scores, DRAWN, 2)
    assert scores[:, 0, 1].tolist() == [0, 1 + 7, 0]
    assert scores[:, 1, 2].tolist() == [5 + 11, 0, 0]
    assert (scores[:, DRAWN == 0] == before[:, DRAWN == 0]).all()


def test_what_is_drawn_is_certain():
    labels = torch.ones(2, 3, dtype=torch.uint8)
    shares = torch.full((3, 2, 3), 0.5)
    assert_drawn(labels, shares, DRAWN)
    assert labels.tolist() == [[1, 2, 1], [1, 1, 1]]
    assert shares[:, 0, 1].tolist() == [1, 0, 1]
    assert shares[:, 1, 2].tolist() == [1, 1, 0]
    assert (shares[:, DRAWN == 0] == 0.5).all()
    alone = torch.full((1, 2, 3), 0.5)
    assert_drawn(labels, alone, DRAWN)
    assert alone[0].tolist() == [[0.5, 1, 0.5], [0.5, 0.5, 1]]
