"""The inner loops of the patch graph on a CPU, compiled: choosing neighbours, and making a symmetric matrix of them.

`patches` calls them; on a GPU the neighbours are chosen with torch.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from lposs_geo.jit import jit

__all__ = ["Nodes", "fade", "keep_most_similar", "symmetric_rows"]


class Nodes(NamedTuple):
    """The nodes of a lattice, and how far each looks for neighbours.

    Attributes
    ----------
    extents : (reach + 1,) int64
        By column step, the largest row step that is within the radius.
    number : (lattice rows, lattice cols) int32
        Index of a node, negative where it isn't valid.
    """

    extents: NDArray[np.int64]
    number: NDArray[np.int32]


@jit
def _replace_least(
    cosines: NDArray[np.float32], neighbours: NDArray[np.int32], cosine: np.float32, neighbour: np.int32
) -> None:
    """Replace the least neighbour, which is on top of the heap, by another; of equals, the later is less."""
    index = 0
    while 2 * index + 1 < cosines.size:
        child = 2 * index + 1
        other = child + 1
        if other < cosines.size and (
            cosines[other] < cosines[child]
            or (cosines[other] == cosines[child] and neighbours[other] > neighbours[child])
        ):
            child = other
        if cosine < cosines[child] or (cosine == cosines[child] and neighbour > neighbours[child]):
            break
        cosines[index] = cosines[child]
        neighbours[index] = neighbours[child]
        index = child
    cosines[index] = cosine
    neighbours[index] = neighbour


@functools.partial(jit, parallel=True)
def keep_most_similar(
    similarity: NDArray[np.float32],
    node_origin: tuple[int, int],
    candidate_origin: tuple[int, int],
    nodes: Nodes,
    neighbours: NDArray[np.int32],
    cosines: NDArray[np.float32],
) -> None:
    """Offer a rectangle of candidates to a rectangle of lattice nodes; each keeps the most similar it has seen.

    Parameters
    ----------
    similarity : (cols, rows, candidate cols, candidate rows) float32
        Cosine of each node and each candidate.
    node_origin, candidate_origin : (int, int)
        Lattice row and col at which the two rectangles begin.
    nodes : Nodes
    neighbours : (N, k) int32
        The neighbours kept so far, in place; the lower index wins among equals.
    cosines : (N, k) float32
        Theirs, in place; at first zero, so that only positive ones enter. Each row is a heap, the least in front.
    """
    extents, number = nodes
    num_cols, num_rows, candidate_cols, candidate_rows = similarity.shape
    top, left = candidate_origin
    reach = len(extents) - 1
    for cell in numba.prange(num_cols * num_rows):
        row = node_origin[0] + cell % num_rows
        col = node_origin[1] + cell // num_rows
        node = number[row, col]
        if node < 0:
            continue
        kept, whom = cosines[node], neighbours[node]
        least = kept[0]
        for step in range(2 * reach + 1):  # outwards: what is near is alike, and little that follows is then kept
            other_col = col + ((step + 1) // 2 if step % 2 else -(step // 2))
            if other_col < left or other_col >= left + candidate_cols:
                continue
            extent = extents[abs(other_col - col)]
            values = similarity[cell // num_rows, cell % num_rows, other_col - left]
            for other_row in range(max(top, row - extent), min(top + candidate_rows, row + extent + 1)):
                cosine = values[other_row - top]
                if cosine < least:
                    continue
                other = number[other_row, other_col]
                if other < 0 or other == node or (cosine == least and other > whom[0]):
                    continue
                _replace_least(kept, whom, cosine, other)
                least = kept[0]


@functools.partial(jit, parallel=True)
def fade(
    cosines: NDArray[np.float32],
    neighbours: NDArray[np.int32],
    positions: NDArray[np.int64],
    gamma: float,
    decay: float,
) -> None:
    """Turn the cosines (N, k) into weights, ``cos^gamma * exp(-decay * distance)``, in place.

    Parameters
    ----------
    cosines : (N, k) float32
        Zero where there is no neighbour.
    neighbours : (N, k) int32
    positions : (N, 2) int64
        Lattice row and col.
    gamma, decay : float
        Sharpness of the similarity; decay per lattice step of distance.
    """
    for node in numba.prange(len(cosines)):
        for k in range(cosines.shape[1]):
            if cosines[node, k] > 0.0:
                other = neighbours[node, k]
                distance = math.hypot(
                    positions[node, 0] - positions[other, 0], positions[node, 1] - positions[other, 1]
                )
                cosines[node, k] = cosines[node, k] ** gamma * math.exp(-decay * distance)


@functools.partial(jit, parallel=True)
def symmetric_rows(
    neighbours: NDArray[np.int32], weights: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Build the rows of ``D^-1/2 (W + W^T) D^-1/2`` from each node's links, without sorting.

    Two nodes that chose each other have two entries, which add up in a product.

    Parameters
    ----------
    neighbours : (N, k) int32
    weights : (N, k) float32
        Zero where there is no link.

    Returns
    -------
    starts : (N + 1,) int64
        Index of each node's first entry.
    columns : (entries,) int32
        In no particular order within a row.
    values : (entries,) float32
    """
    count, slots = weights.shape
    starts = np.zeros(count + 1, np.int64)
    for node in range(count):
        for k in range(slots):
            if weights[node, k] > 0.0:
                starts[node + 1] += 1
                starts[neighbours[node, k] + 1] += 1
    for node in range(count):
        starts[node + 1] += starts[node]
    columns = np.empty(starts[count], np.int32)
    values = np.empty(starts[count], np.float32)
    ends = starts[:count].copy()
    for node in range(count):
        for k in range(slots):
            if weights[node, k] > 0.0:
                other = np.int64(neighbours[node, k])  # of the type of `node`, so that the two can change places
                for here, there in ((node, other), (other, node)):
                    columns[ends[here]] = there
                    values[ends[here]] = weights[node, k]
                    ends[here] += 1
    scale = np.zeros(count)
    for node in numba.prange(count):
        degree = 0.0
        for entry in range(starts[node], starts[node + 1]):
            degree += values[entry]
        if degree > 0.0:
            scale[node] = 1.0 / math.sqrt(degree)
    for node in numba.prange(count):
        for entry in range(starts[node], starts[node + 1]):
            values[entry] *= scale[node] * scale[columns[entry]]
    return starts, columns, values
