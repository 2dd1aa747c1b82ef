"""Pixels that examples are drawn on: they pull their neighbours, and stay what the user says they are."""

from __future__ import annotations

import torch

__all__ = ["assert_drawn", "clamp"]


def clamp(scores: torch.Tensor, drawn: torch.Tensor, num_classes: int) -> None:
    """Give all scores of pixels that examples are drawn on to their classes, in place.

    Parameters
    ----------
    scores : torch.Tensor
        (C, rows, cols), of classes and rivals.
    drawn : torch.Tensor
        (rows, cols) class ids; 0 where no example is.
    num_classes : int
    """
    is_drawn = drawn > 0
    total = scores[:num_classes, is_drawn].clamp_min(0).sum(dim=0)
    index = drawn[is_drawn].long() - 1
    scores[:, is_drawn] = 0
    rows, cols = is_drawn.nonzero(as_tuple=True)
    scores[index, rows, cols] = total


def assert_drawn(labels: torch.Tensor, shares: torch.Tensor, drawn: torch.Tensor) -> None:
    """Let pixels that examples are drawn on be what the user says, whatever their surroundings, in place.

    Parameters
    ----------
    labels : torch.Tensor
        (rows, cols) uint8.
    shares : torch.Tensor
        (1 or 1 + classes, rows, cols): the label's probability, and perhaps each class's.
    drawn : torch.Tensor
        As in `clamp`.
    """
    is_drawn = drawn > 0
    labels[is_drawn] = drawn[is_drawn]
    shares[0, is_drawn] = 1
    if len(shares) > 1:
        shares[1:, is_drawn] = 0
        rows, cols = is_drawn.nonzero(as_tuple=True)
        shares[drawn[is_drawn].long(), rows, cols] = 1
