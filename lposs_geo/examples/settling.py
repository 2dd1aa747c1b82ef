"""What remains of examples that repeat or contradict each other."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lposs_geo.examples.runs import Numbers, Runs, joined, more_than_once, without

__all__ = ["Settled", "settle"]


@dataclass(frozen=True, eq=False)
class Settled:
    """Examples without repeated and contradicting ones.

    Attributes
    ----------
    kept : (n,) int64
        Numbers of the examples that remain, in an order that isn't theirs: by first px, class and px.
    weights : (n,) float64
        Of each; of the same drawn several times, the largest.
    runs : Runs
        Their px, without those that are drawn as two classes; owned by the positions in `kept`.
    repeated : int
        Examples of the same class and px as another one.
    contradicting : (m,) int64
        Numbers of the examples that have no px left.
    pixels : int
        Px that are drawn as two classes.
    """

    kept: Numbers
    weights: NDArray[np.float64]
    runs: Runs
    repeated: int
    contradicting: Numbers
    pixels: int


def settle(runs: Runs, class_ids: Numbers, weights: NDArray[np.float64]) -> Settled:
    """Take repeated examples as one, and px that are drawn as two classes from both.

    Parameters
    ----------
    runs : Runs
        As `joined` gives them. The owner is the number of the example; those without px are passed over.
    class_ids, weights : (n,) arrays
        Of each example.
    """
    owners, first = np.unique(runs.owner, return_index=True)
    ends = np.append(first, len(runs))
    groups: dict[tuple[int, bytes], list[int]] = {}
    for number, owner in enumerate(owners.tolist()):
        of = slice(ends[number], ends[number + 1])
        shape = hashlib.sha256(runs.start[of].tobytes() + runs.stop[of].tobytes()).digest()
        groups.setdefault((int(class_ids[owner]), shape), []).append(owner)
    unique = {group[0]: marks for marks, group in groups.items()}
    heaviest = weights.copy()
    for group in groups.values():
        heaviest[group[0]] = weights[group].max()
    starts, stops = more_than_once(joined(runs.owned(class_ids)))
    left = without(runs[np.isin(runs.owner, list(unique))], starts, stops)
    remaining, first = np.unique(left.owner, return_index=True)
    order = sorted((start, unique[owner], owner) for start, owner in zip(left.start[first], remaining, strict=True))
    kept = np.array([owner for *_, owner in order], dtype=np.int64)
    position = np.zeros(len(class_ids), dtype=np.int64)
    position[kept] = np.arange(len(kept))
    moved = left.owned(position)
    return Settled(
        kept,
        heaviest[kept],
        moved[np.argsort(moved.owner, kind="stable")],
        len(owners) - len(unique),
        np.setdiff1d(np.array(list(unique), dtype=np.int64), kept),
        int((stops - starts).sum()),
    )
