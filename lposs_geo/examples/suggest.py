"""Where to look next: the patches whose class the user's next examples would tell most about.

A patch is worth the more, the less its two most likely classes differ, the more other patches in doubt look alike, and
the less it looks like an example that is there. Points are chosen one after the other, each apart from those before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lposs_geo.errors import ParameterError
from lposs_geo.examples.candidates import Candidates, Inside, Patches, candidates_of, leaders

__all__ = ["DEFAULT_COUNT", "MOST_SUGGESTIONS", "Criterion", "Suggestion", "suggest"]

DEFAULT_COUNT = 10

MOST_SUGGESTIONS = 1000

MOST_COMPARED = 2048
"""Examples whose features candidates are compared with; of more, evenly taken ones."""

LEAST_NOVELTY = 0.01
"""Of a patch that looks just like an example: where all patches look alike, the rest decides."""

LEAST_VALUE = 1e-9
"""Of a patch without any doubt: where only such are left, novelty decides."""

_LEVELS = 2048
"""Of a feature: products of unit vectors are then whole numbers that float32 adds without rounding, in any order."""

_ALIKE = 1000
"""Levels of a likeness."""


@dataclass(frozen=True)
class Criterion:
    """What makes a suggestion useful; the first three are exponents of factors from 0 to 1, and 0 leaves one out.

    Attributes
    ----------
    doubt : float
        Of the doubt about a patch, which its margin leaves, see `Candidates`.
    area : float
        Of the doubt of all patches that look alike: how much of the scene would gain.
    novelty : float
        Of the distance in features to the nearest example or suggestion.
    spacing : float
        Least distance between points, in units of the distance that as many points on a square grid would have; halved
        as often as needed.
    reach : int
        Margins are averaged this many patches around each, so that mixed patches on a border count for less.
    """

    doubt: float = 1.0
    area: float = 2.0
    novelty: float = 1.0
    spacing: float = 0.5
    reach: int = 1


@dataclass(frozen=True)
class Suggestion:
    """A point whose class would help.

    Attributes
    ----------
    px : (float, float)
        (col, row) on the scene, a patch's middle.
    first, second : int
        Ids of the most likely class, and of the next.
    probabilities : (float, float)
        Theirs, 0 to 1.
    """

    px: tuple[float, float]
    first: int
    second: int
    probabilities: tuple[float, float]

    @property
    def margin(self) -> float:
        """The difference of the two probabilities."""
        return self.probabilities[0] - self.probabilities[1]


def suggest(
    patches: Patches,
    count: int = DEFAULT_COUNT,
    *,
    examples: NDArray[Any] | None = None,
    inside: Inside | None = None,
    criterion: Criterion = Criterion(),
    rows_at_once: int | None = None,
) -> tuple[Suggestion, ...]:
    """Choose points to look at next.

    Memory is bounded, whatever the size of the scene: it is read strip by strip, and `candidates` keeps few of each
    part.

    Parameters
    ----------
    patches : Patches
    count : int
        Points to choose, up to `MOST_SUGGESTIONS`.
    examples : (n, 2) array, optional
        Pixels (col, row) of the examples that are there: no point is in a patch that holds one.
    inside : callable, optional
        The pixels of a window of the scene at which a point may lie (area of interest), (rows, cols) bool; all if left
        out.
    criterion : Criterion
    rows_at_once : int, optional
        Rows of patches in memory; it doesn't change what is chosen.

    Returns
    -------
    tuple of Suggestion
        The most useful first; fewer where there are fewer valid patches without an example.

    Raises
    ------
    ParameterError
        If `count` is out of its range, or there is one class only.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_SUGGESTIONS:
        raise ParameterError(f"the number of suggestions must be from 1 to {MOST_SUGGESTIONS}, not {count!r}")
    if patches.scores.shape[2] < 2:
        raise ParameterError("one class leaves nothing in doubt", hint="name another one by <classes>")
    taken = patches.patches_at(np.empty((0, 2)) if examples is None else examples)
    among = candidates_of(patches, count, taken=taken, inside=inside, reach=criterion.reach, rows_at_once=rows_at_once)
    features = _levels(_at(patches.features, among.rows, among.cols))
    base = LEAST_VALUE + among.doubt**criterion.doubt * _area(among, features, criterion.doubt) ** criterion.area
    chosen = _greedy(patches, among, features, base, taken, count, criterion)
    return tuple(_suggestions(patches, among.rows[chosen], among.cols[chosen]))


def _at(array: Any, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[Any]:
    """The values (n, ...) of single patches, read one by one."""
    values = np.empty((len(rows), *array.shape[2:]), np.float32)
    for index, (row, col) in enumerate(zip(rows.tolist(), cols.tolist(), strict=True)):
        values[index] = array[row : row + 1, col : col + 1][0, 0]
    return values


def _levels(features: NDArray[Any]) -> NDArray[np.float32]:
    """Unit vectors in whole levels; zero where there are no features."""
    finite = np.nan_to_num(features.astype(np.float64), posinf=0.0, neginf=0.0)
    length = np.sqrt((finite**2).sum(axis=1, keepdims=True))
    return np.rint(finite / np.where(length == 0, 1.0, length) * _LEVELS).astype(np.float32)


def _area(among: Candidates, features: NDArray[np.float32], power: float) -> NDArray[np.float64]:
    """The doubt of all patches alike, as a share of the largest.

    Alike is what the patch graph calls so: the cube of the cosine.
    """
    behind = np.rint(among.mass_doubt**power * _ALIKE) * among.mass
    sums = np.zeros(len(features))
    for start in range(0, len(features), 256):
        cosine = np.maximum(features[start : start + 256] @ features.T, 0) / np.float32(_LEVELS**2)
        sums[start : start + 256] = np.rint(cosine * cosine * cosine * _ALIKE).astype(np.float64) @ behind
    largest = sums.max(initial=0.0)
    return sums / largest if largest else np.ones(len(sums))


def _greedy(
    patches: Patches,
    among: Candidates,
    features: NDArray[np.float32],
    base: NDArray[np.float64],
    taken: NDArray[np.int64],
    count: int,
    criterion: Criterion,
) -> list[int]:
    """Indices of the candidates chosen, one after the other."""
    compared = taken[:: -(-len(taken) // MOST_COMPARED) or 1]
    others = _levels(_at(patches.features, compared[:, 0], compared[:, 1]))
    position = np.column_stack([among.rows, among.cols])
    likeness, nearest = np.zeros(len(base)), np.full(len(base), np.inf)
    if len(taken):
        nearest = cKDTree(taken).query(position)[0]
    for feature in others:
        likeness = np.maximum(likeness, features @ feature)
    spacing = criterion.spacing * (among.total / (count + len(taken))) ** 0.5
    chosen: list[int] = []
    is_left = np.ones(len(base), bool)
    while len(chosen) < count and is_left.any():
        is_apart = is_left & (nearest >= spacing)
        if not is_apart.any():
            spacing = spacing / 2 if spacing > 1 else 0.0
            continue
        novelty = np.maximum(1 - likeness / _LEVELS**2, LEAST_NOVELTY) ** criterion.novelty
        best = int(np.argmax(np.where(is_apart, base * novelty, -1.0)))  # the first of equal ones
        chosen.append(best)
        is_left[best] = False
        nearest = np.minimum(nearest, np.hypot(*(position - position[best]).T))
        likeness = np.maximum(likeness, features @ features[best])
    return chosen


def _suggestions(patches: Patches, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> list[Suggestion]:
    lead = leaders(_at(patches.scores, rows, cols), patches.power)
    return [
        Suggestion((col, row), first + 1, second + 1, (first_share, second_share))
        for row, col, first, second, first_share, second_share in zip(
            patches.centres(rows, axis=0).tolist(),
            patches.centres(cols, axis=1).tolist(),
            lead.first.tolist(),
            lead.second.tolist(),
            lead.first_share.tolist(),
            lead.second_share.tolist(),
            strict=True,
        )
    ]
