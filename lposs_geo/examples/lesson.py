"""What examples have taught, as a map's files tell of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lposs_geo.examples.examples import Examples
from lposs_geo.examples.learned import Learned

__all__ = ["Lesson"]


@dataclass(frozen=True, eq=False)
class Lesson:
    """The examples of a map, and the head that was fitted to them.

    Attributes
    ----------
    examples : Examples
        Those that were used.
    learned : Learned
        The head, with all that it takes to use it on another scene.
    by_words : (n,) uint8
        For each example the class id that the map had been given there without examples: by the words, or by what was
        learnt before.
    left_out : (n,) uint8
        For each example the class id by a head that was fitted without it; 0 where that wasn't asked, as of very many.
    """

    examples: Examples
    learned: Learned
    by_words: NDArray[np.uint8]
    left_out: NDArray[np.uint8]
