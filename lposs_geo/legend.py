"""A legend: the classes of a map as data, read from a line of words, from a TOML file, or from a preset by its name."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from lposs_geo.colours import Colour, next_colour
from lposs_geo.errors import LegendError

__all__ = [
    "MAX_CLASSES",
    "NODATA",
    "PRESETS",
    "UNKNOWN",
    "UNKNOWN_CLASS",
    "LandClass",
    "Legend",
    "find_legend",
    "from_words",
    "preset",
    "read_legend",
    "to_toml",
]

UNKNOWN = 0
"""Label of a pixel that no class was given to."""

NODATA = 255
"""Label of a pixel without data: never a class."""

MAX_CLASSES = 200
"""Most classes that one legend may have."""

MOST_CODE = 2**31 - 1
"""Of a class: what attribute tables hold."""

PRESETS = ("worldcover", "corine1", "loveda", "openearthmap", "dynamicworld")
"""Names of the legends that come with the package, files in its folder legends/."""


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
        return "#{:02x}{:02x}{:02x}".format(*self.colour)


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

    @classmethod
    def from_dict(cls, data: Any) -> Legend:
        """Undo `as_dict`; LegendError if `data` isn't such a dict."""
        try:
            return cls(
                tuple(
                    LandClass(
                        int(entry["id"]),
                        str(entry["name"]),
                        tuple(map(str, entry["prompts"])),
                        _parse_colour(entry["colour"], f"class {entry['id']}"),
                        tuple(map(str, entry.get("negatives", ()))),
                        None if entry.get("code") is None else int(entry["code"]),
                    )
                    for entry in data["classes"]
                ),
                str(data.get("title", "")),
                str(data.get("source", "")),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, LegendError):
                raise
            raise LegendError(f"not a legend: {type(error).__name__} {error}") from error

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


@dataclass(frozen=True)
class _Entry:
    """What is given of a class: `LandClass`, whose colour may still be missing."""

    name: str
    prompts: tuple[str, ...]
    colour: Colour | None = None
    negatives: tuple[str, ...] = ()
    code: int | None = None

    @property
    def words(self) -> tuple[str, ...]:
        return self.name, *self.prompts


def from_words(classes: str | Sequence[str]) -> Legend:
    """Make a legend of words.

    Parameters
    ----------
    classes : str or sequence of str
        "forest,water,road", or the same as a list. A class may have synonyms: "forest=trees|woodland" asks for both
        and is called forest; "river|lake" is called river.

    Raises
    ------
    LegendError
        If there is no class, an empty or repeated one, or more than 200.
    """
    items = classes.split(",") if isinstance(classes, str) else list(classes)
    if not all(isinstance(item, str) for item in items):
        raise LegendError(f"classes must be words, not {classes!r}")
    if not any(item.strip() for item in items):
        raise LegendError('no class is named: write --classes "forest,water,road"')
    entries = []
    for place, item in enumerate(items, start=1):
        name, equals, rest = item.partition("=")
        prompts = [word.strip() for word in (rest if equals else name).split("|")]
        if not equals:
            name = prompts[0]
        if "=" in rest:
            raise LegendError(
                f"class {place} of {len(items)} ('{item.strip()}') has two equals signs: write name=word|word"
            )
        if not name.strip() or not all(prompts):
            raise LegendError(
                f"class {place} of {len(items)} ('{item.strip()}') has an empty word: fill it or remove it"
            )
        entries.append(_Entry(name.strip(), tuple(prompts)))
    return Legend(_build(entries))


def read_legend(file: str | Path) -> Legend:
    """Read a legend file.

    The file is TOML: one ``[[classes]]`` table per class with ``name`` and optionally ``prompts`` (a list of words),
    ``negatives`` (a list of words), ``colour`` ("#rrggbb") and ``code`` (a whole number of its own, 0 or more); above
    them, optionally, ``title`` and ``source``.

    Raises
    ------
    LegendError
        If the file can't be read or isn't such a legend.
    """
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors put a byte order mark first
    except OSError as error:
        raise LegendError(f"can't read legend '{path}': {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise LegendError(f"legend '{path}' is not valid TOML: it is no UTF-8 text ({error})") from error
    return _parse(text, f"legend '{path}'")


def preset(name: str) -> Legend:
    """One of the legends that come with the package.

    Parameters
    ----------
    name : str
        One of `PRESETS`, however it is capitalised.

    Raises
    ------
    LegendError
        If there is no preset of that name.
    """
    known = name.casefold()
    if known not in PRESETS:
        raise LegendError(f"no legend is called '{name}': the presets are {', '.join(PRESETS)}")
    text = resources.files("lposs_geo").joinpath("legends", f"{known}.toml").read_text(encoding="utf-8")
    return _parse(text, f"legend '{known}'")


def find_legend(name_or_file: str | Path) -> Legend:
    """A preset by its name, or a legend file; write ``./worldcover`` for a file that is called as a preset is.

    Raises
    ------
    LegendError
        If it is neither, or the file isn't a legend.
    """
    if isinstance(name_or_file, str) and name_or_file.casefold() in PRESETS:
        return preset(name_or_file)
    if not Path(name_or_file).exists():
        raise LegendError(
            f"there is no legend file '{name_or_file}', and no preset of that name: these are {', '.join(PRESETS)}"
        )
    return read_legend(name_or_file)


def to_toml(legend: Legend) -> str:
    """The legend as the text of a file that `read_legend` reads back to an equal one."""
    top = [f"{key} = {_quote(text)}\n" for key, text in (("title", legend.title), ("source", legend.source)) if text]
    return "\n".join(["".join(top)] * bool(top) + [_class_table(land_class) for land_class in legend.classes])


def _class_table(land_class: LandClass) -> str:
    lines = [
        "[[classes]]",
        f"name = {_quote(land_class.name)}",
        f"prompts = {_quote_all(land_class.prompts)}",
        f'colour = "{land_class.hex_colour}"',
    ]
    if land_class.negatives:
        lines.insert(3, f"negatives = {_quote_all(land_class.negatives)}")
    if land_class.code is not None:
        lines.append(f"code = {land_class.code}")
    return "\n".join(lines) + "\n"


def _quote_all(words: Sequence[str]) -> str:
    return f"[{', '.join(map(_quote, words))}]"


def _quote(text: str) -> str:
    # the escapes of a JSON string are TOML's too; only DEL, which JSON leaves as it is, is forbidden in TOML
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _parse(text: str, where: str) -> Legend:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LegendError(f"{where} is not valid TOML: {error}") from error
    tables = data.get("classes")
    if not isinstance(tables, list) or not tables:
        raise LegendError(f"{where} has no [[classes]] table: add one for each class, with a name")
    unknown = set(data) - {"title", "source", "classes"}
    if unknown:
        raise LegendError(f"{where} has an unknown key {min(unknown)!r}: above its classes it has title and source")
    about = {key: data.get(key, "") for key in ("title", "source")}
    for key, value in about.items():
        if not isinstance(value, str) or not value.isprintable():
            raise LegendError(f"{where}: {key} must be text on one line")
    entries = [_entry(table, f"class {place} of {where}") for place, table in enumerate(tables, start=1)]
    return Legend(_build(entries, f" in {where}"), **about)


def _entry(table: Any, where: str) -> _Entry:
    if not isinstance(table, dict):
        raise LegendError(f"{where} is not a table: write [[classes]] above it")
    unknown = set(table) - {"name", "prompts", "negatives", "colour", "code"}
    if unknown:
        raise LegendError(
            f"{where} has an unknown key {min(unknown)!r}: a class has name, prompts, negatives, colour and code"
        )
    name = table.get("name")
    if not isinstance(name, str) or not name.strip():
        raise LegendError(f"{where} has no name")
    where = f"{where} ({name!r})"
    prompts = _words(table.get("prompts", [name]))
    if not prompts:
        raise LegendError(f"{where}: prompts must be a list of words")
    negatives = _words(table.get("negatives", []))
    if negatives is None:
        raise LegendError(f"{where}: negatives must be a list of words")
    colour = table.get("colour")
    code = table.get("code")
    if code is not None and (type(code) is not int or not 0 <= code <= MOST_CODE):
        raise LegendError(f"{where}: code {code!r} must be a whole number from 0 to {MOST_CODE}")
    return _Entry(name.strip(), prompts, None if colour is None else _parse_colour(colour, where), negatives, code)


def _words(values: Any) -> tuple[str, ...] | None:
    if not isinstance(values, list) or not all(isinstance(word, str) and word.strip() for word in values):
        return None
    return tuple(word.strip() for word in values)


def _parse_colour(text: Any, where: str) -> Colour:
    if not isinstance(text, str) or not re.fullmatch("#?[0-9a-fA-F]{6}", text):
        raise LegendError(f'{where}: colour {text!r} must look like "#1c6236"')
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


def _build(entries: Sequence[_Entry], where: str = "") -> tuple[LandClass, ...]:
    """Check the classes against each other and give colours to those without; `where` ends the lines about faults."""
    if len(entries) > MAX_CLASSES:
        raise LegendError(f"{len(entries)} classes{where} are more than the {MAX_CLASSES} that one map can hold")
    for entry in entries:
        if not all(word.isprintable() for word in (*entry.words, *entry.negatives)):
            raise LegendError(
                f"class {entry.name!r}{where} holds a line break or another control character: take it out"
            )
    _check_words(entries, where)
    _check_codes(entries, where)
    return tuple(_coloured(entries))


def _check_words(entries: Sequence[_Entry], where: str) -> None:
    owner: dict[str, str] = {}
    for entry in entries:
        prompts = [prompt.casefold() for prompt in entry.prompts]
        negatives = [negative.casefold() for negative in entry.negatives]
        # a class may be asked for by its own name
        for word in prompts if entry.name.casefold() in prompts else (entry.name.casefold(), *prompts):
            if word in owner:
                raise LegendError(
                    f"'{word}' is named twice (in '{owner[word]}' and '{entry.name}'){where}: name each word once"
                )
            owner[word] = entry.name
        for place, word in enumerate(negatives):
            if word in prompts:
                raise LegendError(
                    f"'{word}' is a prompt and a negative of class '{entry.name}'{where}: it can't be both"
                )
            if word in negatives[:place]:
                raise LegendError(
                    f"'{word}' is named twice in the negatives of class '{entry.name}'{where}: once will do"
                )


def _check_codes(entries: Sequence[_Entry], where: str) -> None:
    owner: dict[int, str] = {}
    for entry in entries:
        if entry.code in owner:
            raise LegendError(
                f"code {entry.code} is given to both '{owner[entry.code]}' and '{entry.name}'{where}: each has its own"
            )
        if entry.code is not None:
            owner[entry.code] = entry.name


def _coloured(entries: Sequence[_Entry]) -> Iterator[LandClass]:
    # colours that are given stand, wherever in the legend they are; the others keep away from them
    taken = [entry.colour for entry in entries if entry.colour is not None]
    for place, entry in enumerate(entries, start=1):
        colour = entry.colour
        if colour is None:
            colour = next_colour(entry.words, taken)
            taken.append(colour)
        yield LandClass(place, entry.name, entry.prompts, colour, entry.negatives, entry.code)
