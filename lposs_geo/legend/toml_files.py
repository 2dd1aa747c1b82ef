"""Legends as TOML: files of the user's, and the presets that come with the package."""

from __future__ import annotations

import json
import stat
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from lposs_geo.errors import LegendError, one_line
from lposs_geo.legend.building import Entry, build
from lposs_geo.legend.legend import LandClass, Legend, check_code, parse_colour
from lposs_geo.legend.words import quoted, said, tidy, unfit

__all__ = ["LARGEST_FILE", "PRESETS", "find_legend", "preset", "read_legend", "to_toml"]

LARGEST_FILE = 1_000_000
"""Bytes of a legend file."""

MOST_DOTS = 1000
"""In a line of a legend file: reading a name of more parts would take minutes."""

PRESETS = ("worldcover", "corine1", "loveda", "openearthmap", "dynamicworld")
"""Names of the legends that come with the package, files in the folder presets/."""


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
    """The text of a small regular file: others, such as pipes and devices, may have no end."""
    where = f"legend {_shown_path(path)}"
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            what = "a folder" if stat.S_ISDIR(kind) else "a device or a pipe"
            raise LegendError(f"{where} is {what}", hint="name a file")
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: no name that a file may have
        if isinstance(error, LegendError):
            raise
        reason = (error.strerror if isinstance(error, OSError) else None) or one_line(error)
        raise LegendError(f"can't read {where}: {reason}") from error
    if len(raw) > LARGEST_FILE:
        most = f"{LARGEST_FILE // 1_000_000} MB"
        raise LegendError(f"{where} is larger than {most}", hint="a legend is a short text in TOML")
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")  # some editors put a byte order mark first
    except UnicodeDecodeError as error:
        raise LegendError(
            f"{where} is not valid TOML: byte {error.start + 1} is no UTF-8 text", hint="save it as UTF-8"
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
        raise LegendError(f"no legend is called {quoted(name)}", hint=f"the presets are {', '.join(PRESETS)}")
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
            f"there is no legend file {_shown_path(name_or_file)}, and no preset of that name",
            hint=f"the presets are {', '.join(PRESETS)}",
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
        raise LegendError(f"{where} has no [[classes]] table", hint="add one for each class, with a name")
    unknown = set(data) - {"title", "source", "classes"}
    if unknown:
        raise LegendError(
            f"{where} has an unknown key {quoted(min(unknown))}", hint="above its classes stand title and source"
        )
    about = {name: data.get(name, "") for name in ("title", "source")}
    for name, value in about.items():
        if not isinstance(value, str) or (fault := unfit(value)) is not None:
            because = f": it {fault}" if isinstance(value, str) else ""
            raise LegendError(f"{where}: {name} must be text on one line{because}")
    entries = [_entry(table, f"class {number} of {where}") for number, table in enumerate(tables, start=1)]
    return Legend(build(entries, f" in {where}"), **about)


def _entry(table: Any, where: str) -> Entry:
    if not isinstance(table, dict):
        raise LegendError(f"{where} is not a table", hint="write [[classes]] above it")
    unknown = set(table) - {"name", "prompts", "negatives", "colour", "code"}
    if unknown:
        raise LegendError(
            f"{where} has an unknown key {quoted(min(unknown))}",
            hint="a class has name, prompts, negatives, colour and code",
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
    check_code(code, where)
    return Entry(tidy(name), prompts, None if colour is None else parse_colour(colour, where), negatives, code)


def _words(values: Any) -> tuple[str, ...] | None:
    if not isinstance(values, list) or not all(isinstance(word, str) and tidy(word) for word in values):
        return None
    return tuple(map(tidy, values))
