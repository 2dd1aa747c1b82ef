"""The classes that examples name: by name, code or id, with new ones at the legend's end."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from lposs_geo.errors import ParameterError
from lposs_geo.legend.building import Entry, build
from lposs_geo.legend.legend import Legend
from lposs_geo.legend.words import key, quoted, tidy

__all__ = ["classes_of", "is_empty"]

MOST_NAMED = 5
"""Classes that a message names."""

_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?")
_WHOLE = re.compile(r"([+-]?[0-9]{1,18})(?:\.0*)?")


def is_empty(value: Any) -> bool:
    """True for a cell of a table that holds nothing."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and not tidy(value))


def classes_of(values: Sequence[Any], legend: Legend, named: str, *, add_classes: bool) -> tuple[list[int], Legend]:
    """Find the classes that cells of a table name.

    Parameters
    ----------
    values : sequence
        Text or numbers, none of them empty: a class's name, in any spelling that `words.key` doesn't tell apart, or its
        code, or its id.
    legend : Legend
    named : str
        The file, for messages.
    add_classes : bool
        Whether a name that the legend lacks is a new class.

    Returns
    -------
    ids : list of int
        One for each value.
    legend : Legend
        With the new classes at its end, in alphabetical order.

    Raises
    ------
    ParameterError
        If a number is neither a code nor an id, or a name isn't in the legend and mustn't be added.
    LegendError
        If a name can't be a class's.
    """
    words = [_word(value) for value in values]
    counts = Counter(words)
    known = _ids(counts, legend)
    missing = {word: counts[word] for word in counts if word not in known}
    numbers = {word: count for word, count in missing.items() if _NUMBER.fullmatch(word)}
    if numbers:
        codes = [each.code for each in legend.classes if each.code is not None]
        what = "is neither a code nor an id" if codes else "is no id"
        raise ParameterError(
            f"the examples '{named}' name {_several(numbers)}, which {what} of the legend",
            hint=f"its ids are {_extent([each.id for each in legend.classes])}"
            + (f", its codes {_extent(codes)}" if codes else ""),
        )
    if missing and not add_classes:
        raise ParameterError(
            f"the examples '{named}' name {_several(missing)}, which the legend doesn't have",
            hint="<add_classes=True> adds what is new",
        )
    legend = _with_new(legend, missing)
    known |= _ids(missing, legend)
    return [known[word] for word in words], legend


def _word(value: Any) -> str:
    """A cell as text: whole numbers as such, though some formats only have fractions."""
    return tidy(str(int(value)) if isinstance(value, float) and value.is_integer() else str(value))


def _ids(words: Iterable[str], legend: Legend) -> dict[str, int]:
    """The ids of the classes that words name, of those that name one."""
    names = {key(each.name): each.id for each in legend.classes}
    numbers = {each.id: each.id for each in legend.classes}
    numbers |= {each.code: each.id for each in legend.classes if each.code is not None}
    ids = {}
    for word in words:
        whole = _WHOLE.fullmatch(word)
        named = names.get(key(word), numbers.get(int(whole[1])) if whole else None)
        if named is not None:
            ids[word] = named
    return ids


def _with_new(legend: Legend, missing: dict[str, int]) -> Legend:
    """A legend with more classes, each in the spelling that is most often used."""
    if not missing:
        return legend
    by_key = {key(word): word for word in sorted(missing, key=lambda word: (missing[word], word))}
    old = [Entry(each.name, each.prompts, each.colour, each.negatives, each.code) for each in legend.classes]
    new = [Entry(word, (word,)) for _, word in sorted(by_key.items())]
    return replace(legend, classes=build([*old, *new], " of the examples and the legend"))


def _several(counts: dict[str, int]) -> str:
    most = sorted(counts, key=lambda word: (-counts[word], word))
    named = ", ".join(f"{quoted(word)} ({counts[word]:,})" for word in most[:MOST_NAMED])
    more = len(most) - MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def _extent(numbers: list[int]) -> str:
    """Whole numbers in words: all, if they are few, or their bounds."""
    numbers = sorted(numbers)
    if numbers == list(range(numbers[0], numbers[-1] + 1)) and len(numbers) > 2:
        return f"{numbers[0]} to {numbers[-1]}"
    shown = ", ".join(map(str, numbers[:10]))
    return f"{shown} and others" if len(numbers) > 10 else shown
