"""A legend: the classes of a map as data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lposs_geo.errors import LegendError
from lposs_geo.legend.colours import from_hex, to_hex
from lposs_geo.legend.oklab import Colour
from lposs_geo.legend.words import quoted, shown, unfit

__all__ = [
    "MAX_CLASSES",
    "NODATA",
    "UNKNOWN",
    "UNKNOWN_CLASS",
    "LandClass",
    "Legend",
    "check_code",
    "parse_colour",
]

UNKNOWN = 0
"""Label of a pixel that no class was given to."""

NODATA = 255
"""Label of a pixel without data: never a class."""

MAX_CLASSES = 200
"""Most classes that one legend may have."""

MOST_CODE = 2**31 - 1
"""Of a class: what attribute tables hold."""


@dataclass(frozen=True)
class LandClass:
    """One class.

    Attributes
    ----------
    id : int
        Label value, 1 to 200 in a legend.
    name : str
        What the map's reader sees.
    prompts : tuple of str
        What the model is asked for: the name itself or its synonyms.
    colour : tuple of int
        RGB, 0..255.
    negatives : tuple of str
        What looks like the class and isn't: where one of these words beats it, the class isn't given.
    code : int or None
        Number of the class in a nomenclature of its own, like WorldCover's 10 for trees; the map's labels don't use it.
    """

    id: int
    name: str
    prompts: tuple[str, ...]
    colour: Colour
    negatives: tuple[str, ...] = ()
    code: int | None = None

    @property
    def hex_colour(self) -> str:
        return to_hex(self.colour)


UNKNOWN_CLASS = LandClass(UNKNOWN, "unknown", (), (0, 0, 0))
"""How pixels that no class was given to are named and shown; never part of a legend."""


@dataclass(frozen=True)
class Legend:
    """The classes of a map, in order; class k has id k + 1.

    Attributes
    ----------
    classes : tuple of LandClass
    title : str
        What it is called; may be empty.
    source : str
        Where its classes are defined: a URL, or text; may be empty.
    """

    classes: tuple[LandClass, ...]
    title: str = ""
    source: str = ""

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> list[str]:
        return [land_class.name for land_class in self.classes]

    @property
    def prompts(self) -> list[list[str]]:
        return [list(land_class.prompts) for land_class in self.classes]

    @property
    def negatives(self) -> list[list[str]]:
        return [list(land_class.negatives) for land_class in self.classes]

    @property
    def with_unknown(self) -> tuple[LandClass, ...]:
        """All that labels may be: the classes, then unknown, unless that is a class of this map."""
        has_own = any(land_class.id == UNKNOWN for land_class in self.classes)
        return self.classes if has_own else (*self.classes, UNKNOWN_CLASS)

    @classmethod
    def from_dict(cls, data: Any) -> Legend:
        """Undo `as_dict`; LegendError if `data` isn't such a dict, or holds what no map could hold."""
        if not isinstance(data, dict) or not isinstance(data.get("classes"), list):
            raise LegendError("not a legend: it has no list of classes")
        if len(data["classes"]) > NODATA - 1:
            raise LegendError(f"{len(data['classes'])} classes are more than labels of 8 bits can tell apart")
        classes = tuple(
            _class_from(entry, f"class {position} of {len(data['classes'])}")
            for position, entry in enumerate(data["classes"], start=1)
        )
        if len({land_class.id for land_class in classes}) < len(classes):
            raise LegendError("two classes have the same id")
        about = {name: data.get(name, "") for name in ("title", "source")}
        for name, text in about.items():
            _check_text(text, name)
        return cls(classes, **about)

    def as_dict(self) -> dict[str, Any]:
        """As plain data, the form that an output's tags have."""
        return {
            "title": self.title,
            "source": self.source,
            "classes": [
                {
                    "id": c.id,
                    "name": c.name,
                    "prompts": list(c.prompts),
                    "colour": c.hex_colour,
                    "negatives": list(c.negatives),
                    "code": c.code,
                }
                for c in self.classes
            ],
        }


def _class_from(entry: Any, where: str) -> LandClass:
    """A class of `Legend.as_dict`."""
    if not isinstance(entry, dict):
        raise LegendError(f"{where} isn't described")
    number, name, code = entry.get("id"), entry.get("name"), entry.get("code")
    if type(number) is not int or not UNKNOWN < number < NODATA:
        raise LegendError(f"{where}: id {shown(number)} must be a whole number from {UNKNOWN + 1} to {NODATA - 1}")
    if not isinstance(name, str) or not name.strip():
        raise LegendError(f"{where} has no name")
    words = [entry.get("prompts"), entry.get("negatives", [])]
    if not all(isinstance(each, list | tuple) for each in words):
        raise LegendError(f"{where}: prompts and negatives must be lists of words")
    prompts, negatives = map(tuple, words)
    for text in (name, *prompts, *negatives):
        _check_text(text, f"{where}: its name or a word")
    check_code(code, where)
    return LandClass(number, name, prompts, parse_colour(entry.get("colour"), where), negatives, code)


def _check_text(text: Any, what: str) -> None:
    if not isinstance(text, str):
        raise LegendError(f"{what} must be text, not {shown(text)}")
    fault = unfit(text)
    if fault is not None:
        raise LegendError(f"{what} ({quoted(text)}) {fault}")


def check_code(code: Any, where: str) -> None:
    """Raise LegendError unless `code` is None or fit for a class's code; `where` names the class."""
    if code is not None and (type(code) is not int or not 0 <= code <= MOST_CODE):
        raise LegendError(f"{where}: code {shown(code)} must be a whole number from 0 to {MOST_CODE}")


def parse_colour(text: Any, where: str) -> Colour:
    """The colour in a text like "#1c6236"; LegendError if it is none, `where` names the class."""
    if not isinstance(text, str) or not re.fullmatch("#?[0-9a-fA-F]{6}", text):
        raise LegendError(f'{where}: colour {shown(text)} must look like "#1c6236"')
    return from_hex(text)
