"""The inner loops of the pixel stage on a CPU, compiled.

`pixels.PixelAffinity` calls them; on a GPU the same is done with torch. Innermost loops don't branch and run over
slices that are contiguous and indexed from zero: the form that compiles to vector instructions.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from lposs_geo.jit import jit

__all__ = ["Weights", "colour_weights", "neighbour_sums"]

CLASSES = 6
"""Most classes summed at once: a weight that is loaded serves all of them, and so many addresses fit the registers."""

ROWS = 32
"""Rows of a tile: many compared with the neighbours around it, few enough for its scores to stay in the cache."""

STRIDE = 528
"""Columns of a tile with the neighbours at its sides: the weights of seven such rows stay in the cache, too."""

LOG2_E = np.float32(math.log2(math.e))
C1, C2, C3, C4, C5, C6, C7 = (np.float32(math.log(2) ** n / math.factorial(n)) for n in range(1, 8))


class Weights(NamedTuple):
    """The operator ``D W D``: D a diagonal, W a symmetric affinity of which the upper half is stored.

    Attributes
    ----------
    planes : (radius + H, K, W) float32
        ``planes[radius + r, k, c]``: weight between pixel (r, c) and (r, c) + ``offsets[k]``. Where that is outside,
        as in the first `radius` rows, any finite number will do: it meets a score of zero.
    offsets : (K, 2) int64
        (row, col) steps of half a square; K is a multiple of four.
    scale : (H, W) float32
        The diagonal.
    """

    planes: NDArray[np.float32]
    offsets: NDArray[np.int64]
    scale: NDArray[np.float32]


class Span(NamedTuple):
    """Some pixels of a row.

    Attributes
    ----------
    row, tile_row : int
        The row in the image and in the tile.
    left, width : int
        First column in the image, and number of pixels.
    """

    row: int
    tile_row: int
    left: int
    width: int


@jit
def _decay(x: np.float32) -> np.float32:
    """``exp(-x)`` for 0 <= x < 87, in float32: the library's is a call, which rules vector instructions out."""
    halvings = x * LOG2_E
    whole = np.rint(halvings)
    rest = whole - halvings
    tail = C4 + rest * (C5 + rest * (C6 + rest * C7))
    power = np.float32(1) + rest * (C1 + rest * (C2 + rest * (C3 + rest * tail)))  # 2^rest, by its series
    halved: np.float32 = power * np.int32((127 - np.int32(whole)) << 23).view(np.float32)  # 2^-whole, by its bits
    return halved


@functools.partial(jit, parallel=True)
def colour_weights(
    lab: NDArray[np.float32],
    offsets: NDArray[np.int64],
    tau: float,
    farthest: float,
    planes: NDArray[np.float32],
) -> None:
    """Weigh each pixel's likeness to its neighbours, ``exp(-|a - b| / tau)``, for the upper half of them.

    Parameters
    ----------
    lab : (3, H + radius, radius + W + radius) float32
        Scaled CIE Lab; NaN, which is like nothing, below and beside the image and where a pixel isn't valid.
    offsets : (K, 2) int64
        (row, col) steps of half a square.
    tau : float
        Colour distance at which a weight falls to 1/e.
    farthest : float
        Colour distance from which a weight is zero.
    planes : (H, K, W) float32
        Receives the weights; 0 where the neighbour is outside or too far in colour to count.
    """
    rows, count, cols = planes.shape
    radius = offsets[-1, 0]
    rate = np.float32(1 / tau)
    limit = np.float32(farthest**2)
    for row in numba.prange(rows):
        light = lab[0, row, radius : radius + cols]
        green = lab[1, row, radius : radius + cols]
        blue = lab[2, row, radius : radius + cols]
        for k in range(count):
            other = row + offsets[k, 0]
            first = radius + offsets[k, 1]
            other_light = lab[0, other, first : first + cols]
            other_green = lab[1, other, first : first + cols]
            other_blue = lab[2, other, first : first + cols]
            weights = planes[row, k]
            for i in range(cols):
                squared = (
                    (light[i] - other_light[i]) ** 2 + (green[i] - other_green[i]) ** 2 + (blue[i] - other_blue[i]) ** 2
                )
                weight = _decay(math.sqrt(squared) * rate)
                weights[i] = weight if squared < limit else np.float32(0)


def neighbour_sums(weights: Weights, x: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Multiply scores with ``D W D``.

    Parameters
    ----------
    weights : Weights
    x : (C, H, W) float32
        Scores.
    out : (C, H, W) float32
        Receives the product.
    """
    rounds = math.ceil(len(x) / CLASSES)
    if rounds:
        _compiled_sums(math.ceil(len(x) / rounds))(weights, x, out)


@functools.cache
def _compiled_sums(size: int) -> Callable[..., Any]:
    """`neighbour_sums` for `size` classes at a time: the compiler knows the number, and needs no loop for them."""

    def sums(weights: Weights, x: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        planes, offsets, scale = weights
        classes, rows, cols = x.shape
        radius = offsets[-1, 0]
        strips = (cols - 1) // (STRIDE - 2 * radius) + 1
        width = (cols - 1) // strips + 1
        for tile in numba.prange(strips * ((rows - 1) // ROWS + 1)):
            top = tile // strips * ROWS
            left = tile % strips * width
            bottom = min(top + ROWS, rows)
            n = min(width, cols - left)
            # The tile's scores, class beside class, with those around it; outside of the image they stay zero.
            scores = np.zeros((ROWS + 2 * radius, size * STRIDE), np.float32)
            total = np.empty(size * STRIDE, np.float32)
            for first in range(0, classes, size):
                here = min(size, classes - first)
                _load(x[first : first + here], scale, top - radius, left - radius, n + 2 * radius, scores)
                for row in range(top, bottom):
                    span = Span(row, row - top, left, n)
                    total[:] = 0
                    for k in range(0, len(offsets), 4):  # four pairs of opposite steps at a time: fewer trips to memory
                        w0, s0, v0, t0 = _pair(planes, offsets, scores, k, span)
                        w1, s1, v1, t1 = _pair(planes, offsets, scores, k + 1, span)
                        w2, s2, v2, t2 = _pair(planes, offsets, scores, k + 2, span)
                        w3, s3, v3, t3 = _pair(planes, offsets, scores, k + 3, span)
                        for i in range(n):
                            a0, a1, a2, a3 = w0[i], w1[i], w2[i], w3[i]
                            b0, b1, b2, b3 = v0[i], v1[i], v2[i], v3[i]
                            for c in range(size):
                                j = c * STRIDE + i
                                half = total[j] + a0 * s0[j] + a1 * s1[j] + a2 * s2[j] + a3 * s3[j]
                                total[j] = half + b0 * t0[j] + b1 * t1[j] + b2 * t2[j] + b3 * t3[j]
                    for c in range(here):
                        source = total[c * STRIDE : c * STRIDE + n]
                        factor = scale[row, left : left + n]
                        target = out[first + c, row, left : left + n]
                        for i in range(n):
                            target[i] = source[i] * factor[i]

    return jit(sums, parallel=True)


@jit
def _load(
    x: NDArray[np.float32],
    scale: NDArray[np.float32],
    top: int,
    left: int,
    width: int,
    scores: NDArray[np.float32],
) -> None:
    """Copy scaled scores (C, H, W), from row `top` and column `left` on, into a tile (rows, C * STRIDE)."""
    classes, rows, cols = x.shape
    first = max(left, 0)
    n = min(left + width, cols) - first
    for row in range(max(top, 0), min(top + len(scores), rows)):
        for c in range(classes):
            source = x[c, row, first : first + n]
            factor = scale[row, first : first + n]
            target = scores[row - top, c * STRIDE + first - left :]
            for i in range(n):
                target[i] = source[i] * factor[i]


@jit
def _pair(
    planes: NDArray[np.float32], offsets: NDArray[np.int64], scores: NDArray[np.float32], k: int, span: Span
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Weights and scores of the neighbours one step on, then of those one step back."""
    radius = offsets[-1, 0]
    down, right = offsets[k, 0], offsets[k, 1]
    count, cols = planes.shape[1:]
    flat = planes.reshape(-1)  # a step back may lead out of the row, where it meets a score of zero
    on = ((radius + span.row) * count + k) * cols + span.left
    back = on - down * count * cols - right
    return (
        flat[on : on + span.width],
        scores[radius + span.tile_row + down, radius + right :],
        flat[back : back + span.width],
        scores[radius + span.tile_row - down, radius - right :],
    )
