"""A legend: the classes of a map as data, read from a list of words, from a TOML file, or from a preset by its name."""

from __future__ import annotations

import json
import logging
import re
import stat
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from lposs_geo.errors import LegendError, one_line
from lposs_geo.legend.colours import Colour, next_colour
from lposs_geo.legend.words import SIGNS, key, quoted, said, shown, split_list, tidy, unfit

__all__ = [
    "LARGEST_FILE",
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

LARGEST_FILE = 1_000_000
"""Bytes of a legend file."""

MOST_DOTS = 1000
"""In a line of a legend file: reading a name of more parts would take minutes."""

RESERVED = frozenset({"unknown", "nodata"})
"""Names that no class may have: pixels without a class, and without data, are called so."""

PRESETS = ("worldcover", "corine1", "loveda", "openearthmap", "dynamicworld")
"""Names of the legends that come with the package, files in the folder presets/."""

log = logging.getLogger("lposs_geo")


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

    @property
    def with_unknown(self) -> tuple[LandClass, ...]:
        """All that labels may be: the classes, then what no class was given to, unless that is a class of this map."""
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
    _check_code(code, where)
    return LandClass(number, name, prompts, _parse_colour(entry.get("colour"), where), negatives, code)


def _check_text(text: Any, what: str) -> None:
    if not isinstance(text, str):
        raise LegendError(f"{what} must be text, not {shown(text)}")
    fault = unfit(text)
    if fault is not None:
        raise LegendError(f"{what} ({quoted(text)}) {fault}")


def _check_code(code: Any, where: str) -> None:
    if code is not None and (type(code) is not int or not 0 <= code <= MOST_CODE):
        raise LegendError(f"{where}: code {shown(code)} must be a whole number from 0 to {MOST_CODE}")


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
        and is called forest; "river|lake" is called river. A text may also part its classes as `words.split_list`
        tells: by semicolons or line breaks, as a numbered list or as JSON; a comma in quotes is a part of the class.
        A warning says how such a text was read.

    Raises
    ------
    LegendError
        If there is no class, an empty or repeated one, or more than 200.
    """
    items = split_list(classes) if isinstance(classes, str) else list(classes)
    if not all(isinstance(item, str) for item in items):
        raise LegendError(f"classes must be words, not {shown(classes)}")
    if not any(item.strip() for item in items):
        raise LegendError('no class is named: write --classes "forest,water,road"')
    legend = Legend(_build([_written(item, f"class {k} of {len(items)}") for k, item in enumerate(items, start=1)]))
    if isinstance(classes, str) and items != [part.strip() for part in classes.split(",") if part.strip()]:
        log.warning("the list of classes was read as %d: %s", len(legend), ", ".join(map(quoted, legend.names)))
    return legend


def _written(item: str, where: str) -> _Entry:
    """A class as it is written: name=word|word, word|word, or word."""
    where = f"{where} ({quoted(item.strip())})"
    name, equals, rest = item.translate(SIGNS).partition("=")
    prompts = [tidy(word) for word in (rest if equals else name).split("|")]
    name = tidy(name) if equals else prompts[0]
    if "=" in rest:
        raise LegendError(f"{where} has two equals signs: write name=word|word")
    if not name or not all(prompts):
        raise LegendError(f"{where} has an empty word: fill it or remove it")
    return _Entry(name, tuple(prompts))


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
    return _parse(_text_of(Path(file)), f"legend {_shown_path(file)}")


def _text_of(path: Path) -> str:
    """What a small regular file holds: others, such as pipes and devices, may have no end."""
    where = f"legend {_shown_path(path)}"
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            raise LegendError(f"{where} is {'a folder' if stat.S_ISDIR(kind) else 'a device or a pipe'}: name a file")
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: no name that a file may have
        if isinstance(error, LegendError):
            raise
        reason = (error.strerror if isinstance(error, OSError) else None) or one_line(error)
        raise LegendError(f"can't read {where}: {reason}") from error
    if len(raw) > LARGEST_FILE:
        raise LegendError(f"{where} is larger than {LARGEST_FILE // 1_000_000} MB: a legend is a short text in TOML")
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")  # some editors put a byte order mark first
    except UnicodeDecodeError as error:
        raise LegendError(
            f"{where} is not valid TOML: byte {error.start + 1} is no UTF-8 text: save it as UTF-8"
        ) from error


def _shown_path(path: str | Path) -> str:
    """A path in quotes, on one line whatever it holds."""
    return f"'{''.join(quoted(letter)[1:-1] for letter in str(path))}'"


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
        raise LegendError(f"no legend is called {quoted(name)}: the presets are {', '.join(PRESETS)}")
    text = resources.files("lposs_geo.legend").joinpath("presets", f"{known}.toml").read_text(encoding="utf-8")
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
    try:
        is_there = Path(name_or_file).exists()
    except OSError:  # too long a name, or in a folder that is locked: reading it tells
        is_there = True
    if not is_there:
        raise LegendError(
            f"there is no legend file {_shown_path(name_or_file)}, and no preset of that name: "
            f"these are {', '.join(PRESETS)}"
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
    if max(line.count(".") for line in text.split("\n")) > MOST_DOTS:
        raise LegendError(f"{where} is not valid TOML: a line has more than {MOST_DOTS} dots")
    try:
        data = tomllib.loads(text)
    except RecursionError as error:
        raise LegendError(f"{where} is not valid TOML: it is nested too deep") from error
    except tomllib.TOMLDecodeError as error:
        raise LegendError(f"{where} is not valid TOML: {said(error)}") from error
    except MemoryError:
        raise
    except Exception as error:  # what int and datetime say; tomllib promises nothing
        raise LegendError(f"{where} is not valid TOML: it holds a number that nothing can hold, or a date") from error
    tables = data.get("classes")
    if not isinstance(tables, list) or not tables:
        raise LegendError(f"{where} has no [[classes]] table: add one for each class, with a name")
    unknown = set(data) - {"title", "source", "classes"}
    if unknown:
        raise LegendError(
            f"{where} has an unknown key {quoted(min(unknown))}: above its classes stand title and source"
        )
    about = {name: data.get(name, "") for name in ("title", "source")}
    for name, value in about.items():
        if not isinstance(value, str) or (fault := unfit(value)) is not None:
            because = f": it {fault}" if isinstance(value, str) else ""
            raise LegendError(f"{where}: {name} must be text on one line{because}")
    entries = [_entry(table, f"class {place} of {where}") for place, table in enumerate(tables, start=1)]
    return Legend(_build(entries, f" in {where}"), **about)


def _entry(table: Any, where: str) -> _Entry:
    if not isinstance(table, dict):
        raise LegendError(f"{where} is not a table: write [[classes]] above it")
    unknown = set(table) - {"name", "prompts", "negatives", "colour", "code"}
    if unknown:
        raise LegendError(
            f"{where} has an unknown key {quoted(min(unknown))}: a class has name, prompts, negatives, colour and code"
        )
    name = table.get("name")
    if not isinstance(name, str) or not tidy(name):
        raise LegendError(f"{where} has no name")
    where = f"{where} ({quoted(name)})"
    prompts = _words(table.get("prompts", [name]))
    if not prompts:
        raise LegendError(f"{where}: prompts must be a list of words")
    negatives = _words(table.get("negatives", []))
    if negatives is None:
        raise LegendError(f"{where}: negatives must be a list of words")
    colour, code = table.get("colour"), table.get("code")
    _check_code(code, where)
    return _Entry(tidy(name), prompts, None if colour is None else _parse_colour(colour, where), negatives, code)


def _words(values: Any) -> tuple[str, ...] | None:
    if not isinstance(values, list) or not all(isinstance(word, str) and tidy(word) for word in values):
        return None
    return tuple(map(tidy, values))


def _parse_colour(text: Any, where: str) -> Colour:
    if not isinstance(text, str) or not re.fullmatch("#?[0-9a-fA-F]{6}", text):
        raise LegendError(f'{where}: colour {shown(text)} must look like "#1c6236"')
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


def _build(entries: Sequence[_Entry], where: str = "") -> tuple[LandClass, ...]:
    """Check the classes against each other and give colours to those without; `where` ends the lines about faults."""
    if len(entries) > MAX_CLASSES:
        raise LegendError(f"{len(entries)} classes{where} are more than the {MAX_CLASSES} that one map can hold")
    for entry in entries:
        for word in (*entry.words, *entry.negatives):
            fault = unfit(word)
            if fault is not None:
                at = "" if word == entry.name else f" (at {quoted(word)})"
                raise LegendError(f"class {quoted(entry.name)}{where} {fault}{at}")
        if re.sub(r"[\W_]", "", key(entry.name)) in RESERVED:
            raise LegendError(
                f"no class{where} may be called {quoted(entry.name)}, as pixels without a class or without data are: "
                "give it another name, like other"
            )
    _check_words(entries, where)
    _check_codes(entries, where)
    return tuple(_coloured(entries))


def _check_words(entries: Sequence[_Entry], where: str) -> None:
    owner: dict[str, str] = {}
    for entry in entries:
        prompts = [key(prompt) for prompt in entry.prompts]
        # a class may be asked for by its own name
        for word in prompts if key(entry.name) in prompts else (key(entry.name), *prompts):
            if word in owner:
                first, second = quoted(owner[word]), quoted(entry.name)
                raise LegendError(
                    f"{quoted(word)} is named twice (in {first} and {second}){where}: name each word once"
                )
            owner[word] = entry.name
        own, seen, of = set(prompts), set[str](), f"of class {quoted(entry.name)}{where}"
        for word in map(key, entry.negatives):
            if word in own:
                raise LegendError(f"{quoted(word)} is a prompt and a negative {of}: it can't be both")
            if word in seen:
                raise LegendError(f"{quoted(word)} is named twice in the negatives {of}: once will do")
            seen.add(word)


def _check_codes(entries: Sequence[_Entry], where: str) -> None:
    owner: dict[int, str] = {}
    for entry in entries:
        if entry.code in owner:
            raise LegendError(
                f"code {entry.code} is given to both {quoted(owner[entry.code])} and {quoted(entry.name)}{where}: "
                "each has its own"
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
