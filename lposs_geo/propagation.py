"""Label propagation: solve ``(I - alpha S) X = Y`` for many columns at once.

`S` is a symmetric, degree-normalised affinity, known only by its `matmul`; what a node is, is no matter here.
The spectrum of S lies in [-1, 1], so that of the system matrix lies in [1 - alpha, 1 + alpha]: bounds that the
Chebyshev iteration needs and that no measurement has to find.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch

__all__ = ["DEFAULT_STEPS", "Operator", "Solution", "Solver", "propagate"]

Solver = Literal["chebyshev", "cg"]

DEFAULT_STEPS: dict[Solver, int] = {"cg": 10, "chebyshev": 20}
"""Steps by solver: 10 of CG are the paper's; 20 of Chebyshev come closer to the exact solution than those."""

TOLERANCE = 1e-6
"""Relative residual at which a column counts as solved (the paper's; seldom reached in 10 steps, by design)."""


class Operator(Protocol):
    """A symmetric linear operator over nodes, applied to all columns at once."""

    @property
    def num_nodes(self) -> int: ...

    def matmul(self, x: torch.Tensor) -> torch.Tensor:
        """(num_nodes, C) -> (num_nodes, C)."""
        ...


@dataclass(frozen=True)
class Solution:
    """The result of a solver.

    Attributes
    ----------
    value : torch.Tensor
        (N, C) propagated scores.
    num_steps : int
        Steps taken.
    residual_norm : torch.Tensor
        (C,) norm of ``Y - (I - alpha S) X`` relative to that of Y; 0 for a column of zeros, NaN where it wasn't asked
        for.
    converged : bool
        True if every column is known to be below the tolerance. False is the normal case: the method stops early on
        purpose.
    """

    value: torch.Tensor
    num_steps: int
    residual_norm: torch.Tensor
    converged: bool


def propagate(
    affinity: Operator,
    scores: torch.Tensor,
    *,
    alpha: float = 0.95,
    solver: Solver = "chebyshev",
    num_steps: int | None = None,
    initial: torch.Tensor | None = None,
    measure: bool = True,
) -> Solution:
    """Propagate scores over an affinity (paper section 3.2, equation 5).

    Parameters
    ----------
    affinity : Operator
        Symmetric and degree-normalised, N nodes.
    scores : torch.Tensor
        (N, C) seeds Y, floating point.
    alpha : float
        Share of a node's score that comes from its neighbours, 0 <= alpha < 1.
    solver : {"chebyshev", "cg"}
        "cg", conjugate gradients with scalars of its own for each column, is the reference. "chebyshev" is a fixed
        polynomial in S: no inner products, and the value at a node depends only on nodes at most
        ``num_steps - 1`` hops away (``num_steps`` with `initial`), so that a tile with such a halo is exact.
    num_steps : int, optional
        Defaults to 10 for CG and 20 for Chebyshev.
    initial : torch.Tensor, optional
        (N, C) to start from instead of zero. ``scores / (1 - alpha)`` is the solution where a node and all its
        neighbours agree, and so saves steps on smooth scores.
    measure : bool
        Measure the residual at the end, which costs Chebyshev as much as another step.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError
        If shapes don't fit, or `alpha`, `solver` or `num_steps` is out of range.
    """
    if scores.ndim != 2 or scores.shape[0] != affinity.num_nodes:
        raise ValueError(f"scores must be ({affinity.num_nodes}, classes), not {tuple(scores.shape)}")
    if not 0.0 <= alpha < 1.0:
        raise ValueError(f"alpha must be at least 0 and below 1, not {alpha}")
    if solver not in DEFAULT_STEPS:
        raise ValueError(f"solver must be 'chebyshev' or 'cg', not {solver!r}")
    steps = DEFAULT_STEPS[solver] if num_steps is None else num_steps
    if steps < 1:
        raise ValueError(f"num_steps must be at least 1, not {steps}")
    if initial is not None and initial.shape != scores.shape:
        raise ValueError(f"initial must be {tuple(scores.shape)}, not {tuple(initial.shape)}")
    solve = _conjugate_gradients if solver == "cg" else _chebyshev
    value, taken = solve(affinity, scores, alpha, steps, initial)
    if not measure:
        return Solution(value, taken, torch.full_like(scores[:1].sum(0), torch.nan), False)
    residual = scores - value + alpha * affinity.matmul(value)
    norm = torch.linalg.vector_norm(scores, dim=0)
    relative = torch.where(norm > 0, torch.linalg.vector_norm(residual, dim=0) / norm, 0.0)
    return Solution(value, taken, relative, bool((relative <= TOLERANCE).all()))


def _chebyshev(
    affinity: Operator, scores: torch.Tensor, alpha: float, num_steps: int, initial: torch.Tensor | None
) -> tuple[torch.Tensor, int]:
    """Chebyshev semi-iteration on [1 - alpha, 1 + alpha] (Varga, Matrix Iterative Analysis, section 5.1).

    Each step mixes ``scores + alpha S value`` with the value before the last; two arrays beside the scores are enough.
    """
    # the first step's factor is 1; from zero it gives the scores themselves
    previous = torch.zeros_like(scores) if initial is None else initial
    value = scores.clone() if initial is None else torch.add(scores, affinity.matmul(initial), alpha=alpha)
    omega = 2.0
    for _ in range(num_steps - 1):
        omega = 1.0 / (1.0 - 0.25 * alpha**2 * omega)
        mean = affinity.matmul(value)
        torch.add(scores, mean, alpha=alpha, out=mean)
        previous, value = value, torch.lerp(previous, mean, omega, out=mean)
    return value, num_steps


def _conjugate_gradients(
    affinity: Operator, scores: torch.Tensor, alpha: float, num_steps: int, initial: torch.Tensor | None
) -> tuple[torch.Tensor, int]:
    """Conjugate gradients; a column that is solved stands still while the others go on."""
    value = torch.zeros_like(scores) if initial is None else initial.clone()
    residual = scores.clone() if initial is None else scores - value + alpha * affinity.matmul(value)
    direction = residual.clone()
    squared = (residual * residual).sum(0)
    goal = (scores * scores).sum(0) * TOLERANCE**2
    for step in range(num_steps):
        active = squared > goal
        if not bool(active.any()):
            return value, step
        image = direction - alpha * affinity.matmul(direction)
        length = torch.where(active, squared / (direction * image).sum(0), 0.0)
        value += length * direction
        residual -= length * image
        before, squared = squared, (residual * residual).sum(0)
        direction = residual + torch.where(active, squared / before, 0.0) * direction
    return value, num_steps
