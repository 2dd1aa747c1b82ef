"""The inner loop of the pixel stage on a CPU, compiled: one pass over the affinities serves all classes.

`graph.PixelAffinity` calls it; on a GPU the same product is done with torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["colour_weights", "neighbour_sums"]


def _jit(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        return numba.njit(parallel=True, nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # neither the package nor the user's cache folder is writable: compile in every process
        return numba.njit(parallel=True, nogil=True, error_model="numpy")(function)


@_jit
def colour_weights(
    lab: NDArray[np.float32],
    valid: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    tau: float,
    farthest: float,
    planes: NDArray[np.float32],
) -> None:
    """Weigh each pixel's likeness to its neighbours, ``exp(-|a - b| / tau)``, for the upper half of them.

    Parameters
    ----------
    lab : (3, H, W) float32
        Scaled CIE Lab.
    valid : (H, W) bool
        A pixel that isn't valid gets weight 0 everywhere.
    offsets : (K, 2) int64
        (row, col) steps, rows never negative.
    tau : float
        Colour distance at which a weight falls to 1/e.
    farthest : float
        Colour distance from which a weight is zero.
    planes : (K, H, W) float32
        Receives the weights; 0 where the neighbour is outside or too far in colour to count.
    """
    rows, cols = valid.shape
    rate = np.float32(1.0 / tau)
    limit = np.float32(farthest**2)
    for row in numba.prange(rows):
        for k in range(offsets.shape[0]):
            down = offsets[k, 0]
            right = offsets[k, 1]
            first = max(0, -right)
            last = min(cols, cols - right)
            weights = planes[k, row]
            weights[:] = 0.0
            if row + down < rows:
                for col in range(first, last):
                    if valid[row, col] and valid[row + down, col + right]:
                        light = lab[0, row, col] - lab[0, row + down, col + right]
                        green = lab[1, row, col] - lab[1, row + down, col + right]
                        blue = lab[2, row, col] - lab[2, row + down, col + right]
                        squared = light * light + green * green + blue * blue
                        if squared < limit:
                            weights[col] = math.exp(-math.sqrt(squared) * rate)


@_jit
def neighbour_sums(
    planes: NDArray[np.float32],
    offsets: NDArray[np.int64],
    x: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Sum the neighbours of each pixel, weighted by a symmetric affinity of which the upper half is stored.

    Parameters
    ----------
    planes : (K, H, W) float32
        ``planes[k, r, c]``: weight between pixel (r, c) and (r, c) + ``offsets[k]``; 0 where that is outside.
    offsets : (K, 2) int64
        (row, col) steps, rows never negative.
    x : (C, H, W) float32
        Scores.
    out : (C, H, W) float32
        Receives the sums.
    """
    classes, rows, cols = x.shape
    # Each output row gathers from both halves, so rows are independent and the sum's order never varies.
    for row in numba.prange(rows):
        for cls in range(classes):
            for col in range(cols):
                out[cls, row, col] = 0.0
        for k in range(offsets.shape[0]):
            down = offsets[k, 0]
            right = offsets[k, 1]
            first = max(0, -right)
            last = min(cols, cols - right)
            # Slices of equal length, indexed from zero: the form that compiles to vector instructions.
            if row + down < rows:
                weight = planes[k, row, first:last]
                for cls in range(classes):
                    source = x[cls, row + down, first + right : last + right]
                    target = out[cls, row, first:last]
                    for i in range(last - first):
                        target[i] += weight[i] * source[i]
            if row - down >= 0:
                weight = planes[k, row - down, first:last]
                for cls in range(classes):
                    source = x[cls, row - down, first:last]
                    target = out[cls, row, first + right : last + right]
                    for i in range(last - first):
                        target[i] += weight[i] * source[i]
