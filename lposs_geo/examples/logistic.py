"""Multinomial logistic regression with an offset, and its answers for observations that were left out."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

__all__ = ["fit_logistic", "left_out_logits", "softmax"]

Floats = NDArray[np.float64]
F = TypeVar("F", np.float32, np.float64)

OPTIONS = {"maxiter": 200, "ftol": 1e-7, "gtol": 1e-4}
"""Of the solver: closer than that no label changes."""

USUAL_CURVATURE = 0.1
"""Of the loss by a logit, as a mean over observations; it is 0.25 at most."""

LEAST_CURVATURE = 1e-6
"""Of the loss of an observation: one that is beyond doubt has none, and would weigh nothing."""


def softmax(logits: NDArray[F]) -> NDArray[F]:
    """Probabilities (..., C) of logits (..., C)."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=logits.dtype)


def fit_logistic(
    features: Floats,
    offset: Floats,
    targets: Floats,
    weights: Floats,
    active: NDArray[np.int64],
    penalty: float,
    start: Floats,
) -> Floats:
    """Coefficients that minimise the weighted cross-entropy and half the penalty times their squared norm.

    Parameters
    ----------
    features : (n, r)
    offset : (n, C)
        Logits without any coefficient.
    targets : (n, C)
        One for each observation's class, else zero.
    weights : (n,)
    active : (A,) int
        Indices of the classes that have coefficients.
    penalty : float
    start : (r, A)
        Coefficients to begin with.

    Returns
    -------
    (r, A) float64
    """
    # where the loss bends most the steps are shortest: then all directions take about as many
    steps = 1 / np.sqrt(USUAL_CURVATURE * (weights @ features**2) + penalty)[:, None]
    shape = features.shape[1], len(active)

    def loss(flat: Floats) -> tuple[float, Floats]:
        coefficients = steps * flat.reshape(shape)
        logits = offset.copy()
        logits[:, active] += features @ coefficients
        logits -= logits.max(axis=1, keepdims=True)
        powers = np.exp(logits)
        sums = powers.sum(axis=1, keepdims=True)
        entropy = weights @ (np.log(sums[:, 0]) - (targets * logits).sum(axis=1))
        errors = weights[:, None] * (powers / sums - targets)
        slope = steps * (features.T @ errors[:, active] + penalty * coefficients)
        return float(entropy + penalty / 2 * (coefficients**2).sum()), slope.ravel()

    solution = minimize(loss, (start / steps).ravel(), jac=True, method="L-BFGS-B", options=OPTIONS)
    return np.asarray(steps * solution.x.reshape(shape))


def left_out_logits(
    features: Floats,
    offset: Floats,
    targets: Floats,
    weights: Floats,
    active: NDArray[np.int64],
    penalty: float,
    coefficients: Floats,
    groups: NDArray[np.int64],
) -> Floats:
    """Logits (n, C) of each observation by coefficients that were fitted without its group.

    One Newton step from the fit with it, class by class: a fit of its own for each group would take n times as long.
    For a squared loss it would be exact, the well-known residual over one minus leverage; here it is a little too
    severe, since the classes share what is left.

    Parameters
    ----------
    features, offset, targets, weights, active, penalty
        As in `fit_logistic`.
    coefficients : (r, A)
        Its result.
    groups : (n,) int
        What is left out together.
    """
    logits = offset.copy()
    logits[:, active] += features @ coefficients
    shares = softmax(logits)
    errors = weights[:, None] * (shares - targets)
    curvature = weights[:, None] * np.maximum(shares * (1 - shares), LEAST_CURVATURE)
    _, first, counts = np.unique(groups, return_index=True, return_counts=True)
    order = np.argsort(groups, kind="stable")
    starts = np.cumsum(counts) - counts
    alone = first[counts == 1]
    several = [order[start : start + count] for start, count in zip(starts, counts, strict=True) if count > 1]
    for column in active:
        bend = curvature[:, column]
        hessian = (features.T * bend) @ features
        hessian[np.diag_indices_from(hessian)] += penalty
        solved = np.linalg.solve(hessian, features.T).T
        leverage = np.einsum("nr,nr->n", features[alone], solved[alone])
        logits[alone, column] += leverage / np.maximum(1 - bend[alone] * leverage, 1e-9) * errors[alone, column]
        for rows in several:
            own = features[rows] @ solved[rows].T
            rest = np.eye(len(rows)) - bend[rows][:, None] * own
            logits[rows, column] += own @ np.linalg.solve(rest, errors[rows, column])
    return logits
