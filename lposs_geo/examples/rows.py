"""The rows of a file that are examples, and why others aren't."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lposs_geo.errors import ParameterError
from lposs_geo.examples.classes import is_empty
from lposs_geo.examples.runs import Numbers
from lposs_geo.legend.words import key, shown
from lposs_geo.scene.vectors import Vectors, listed

__all__ = ["CLASS", "FIELDS", "Tally", "labelled_rows", "weights_of"]

CLASS, WEIGHT, USE = FIELDS = "class", "weight", "use"
"""Fields of a row, in any letters."""

TRAINING = "training"
"""Value of the field `use` of rows that are examples, as is an empty one."""

MOST_NAMED = 5
"""Rows that a message names."""

LEAST_WEIGHT, MOST_WEIGHT = 1e-6, 1e6
"""Beyond these an example counts for nothing, or nothing else counts, and sums lose their digits."""


@dataclass(frozen=True)
class Tally:
    """The rows of a file, and why some of them don't count.

    Attributes
    ----------
    named : str
        The file, for messages.
    total : int
    reasons : dict of str to int
        Numbers of rows, by what follows them in a line.
    """

    named: str
    total: int
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, reason: str, count: int, rows: Sequence[int] | Numbers = ()) -> None:
        """Count rows; `rows` are numbers, from 0 on, of those that a user may want to look at."""
        if count:
            first = sorted(int(row) + 1 for row in rows)
            names = ", ".join(map(str, first[:MOST_NAMED])) + " and others" * (len(first) > MOST_NAMED)
            names = f"row{'s' * (len(first) > 1)} {names}" * bool(first)
            self.reasons[f"{reason} ({names})" if names else reason] = count

    @property
    def words(self) -> str:
        """Such as "3 outside the scene, 1 without a shape"."""
        return ", ".join(f"{count:,} {reason}" for reason, count in self.reasons.items())


def labelled_rows(vectors: Vectors, tally: Tally) -> NDArray[np.int64]:
    """The numbers, from 0 on, of the rows that are labelled and meant to be used.

    Raises
    ------
    ParameterError
        If there is no row, or no field for the class.
    """
    if not tally.total:
        raise ParameterError(f"the examples '{tally.named}' have no rows", hint="draw some first")
    if CLASS not in vectors.columns:
        fields = f"its fields are {listed(vectors.fields)}" if vectors.fields else "it has no fields at all"
        raise ParameterError(
            f"the examples '{tally.named}' have no field '{CLASS}' with the names of classes", hint=fields
        )
    uses = vectors.columns.get(USE, [None] * tally.total)
    used = np.array([is_empty(use) or key(str(use)) == TRAINING for use in uses], dtype=bool)
    labelled = np.array([not is_empty(name) for name in vectors.columns[CLASS]], dtype=bool)
    tally.add("of another use than training", int((~used).sum()))
    tally.add("without a class yet", int((used & ~labelled).sum()))
    return np.flatnonzero(used & labelled)


def weights_of(vectors: Vectors, rows: NDArray[np.int64], tally: Tally) -> NDArray[np.float64]:
    """The weights of some rows, 1 where none is given; ParameterError if one can't be used."""
    values = vectors.columns.get(WEIGHT)
    if values is None:
        return np.ones(len(rows))
    return np.array([_weight(values[row], row, tally) for row in rows.tolist()])


def _weight(value: Any, row: int, tally: Tally) -> float:
    # a number that is none is empty in most formats; where it stands apart from that, it is a mistake
    if value is None or (isinstance(value, str) and is_empty(value)):
        return 1.0
    try:
        weight = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        weight = math.nan
    if not 0 < weight < math.inf:
        raise ParameterError(
            f"weight {shown(value)} in row {row + 1} of the examples '{tally.named}' must be a number above 0",
            hint="leave it empty to count like any other",
        )
    if not LEAST_WEIGHT <= weight <= MOST_WEIGHT:
        raise ParameterError(
            f"weight {shown(value)} in row {row + 1} of the examples '{tally.named}' is too "
            f"{'small' if weight < 1 else 'large'}",
            hint=f"weights may be from {LEAST_WEIGHT:f} to {MOST_WEIGHT:,.0f}",
        )
    return weight
