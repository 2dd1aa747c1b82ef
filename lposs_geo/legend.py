"""A legend: the classes of a map as data, read from a line of words or from a TOML file."""

from __future__ import annotations

import colorsys
import hashlib
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lposs_geo.errors import LegendError

__all__ = ["MAX_CLASSES", "NODATA", "UNKNOWN", "UNKNOWN_CLASS", "LandClass", "Legend", "from_words", "read_legend"]

UNKNOWN = 0
"""Label of a pixel that no class was given to."""

NODATA = 255
"""Label of a pixel without data: never a class."""

MAX_CLASSES = 200
"""Most classes that one legend may have."""

Colour = tuple[int, int, int]

# Hues that map readers expect, chosen to stay apart for colour-blind readers too: what is alike in hue differs in
# lightness. Keys are matched against the class name's words, longest match first.
_CONVENTIONAL: dict[str, Colour] = {
    "water": (62, 120, 192),
    "sea": (40, 94, 168),
    "ocean": (40, 94, 168),
    "lake": (62, 120, 192),
    "river": (94, 150, 214),
    "pond": (94, 150, 214),
    "swimming pool": (64, 202, 224),
    "wetland": (122, 178, 178),
    "marsh": (122, 178, 178),
    "forest": (28, 98, 54),
    "wood": (28, 98, 54),
    "woodland": (40, 110, 62),
    "tree": (28, 98, 54),
    "tree canopy": (28, 98, 54),
    "tree cover": (28, 98, 54),
    "shrub": (146, 150, 74),
    "shrubland": (146, 150, 74),
    "chaparral": (146, 150, 74),
    "vegetation": (92, 154, 76),
    "grass": (150, 200, 110),
    "grassland": (150, 200, 110),
    "meadow": (150, 200, 110),
    "pasture": (168, 210, 122),
    "lawn": (150, 200, 110),
    "field": (240, 214, 130),
    "crop": (240, 214, 130),
    "crop field": (240, 214, 130),
    "cropland": (240, 214, 130),
    "farmland": (240, 214, 130),
    "agriculture": (240, 214, 130),
    "vineyard": (186, 122, 166),
    "orchard": (200, 168, 96),
    "bare soil": (188, 152, 114),
    "bare land": (188, 152, 114),
    "barren": (188, 152, 114),
    "soil": (188, 152, 114),
    "sand": (232, 216, 176),
    "beach": (232, 216, 176),
    "desert": (226, 200, 150),
    "rock": (150, 140, 132),
    "snow": (244, 248, 252),
    "ice": (214, 232, 246),
    "road": (84, 84, 92),
    "street": (84, 84, 92),
    "pavement": (128, 128, 134),
    "impervious": (128, 128, 134),
    "parking": (128, 128, 134),
    "parking lot": (128, 128, 134),
    "railway": (58, 48, 58),
    "runway": (104, 104, 116),
    "building": (206, 70, 58),
    "house": (206, 70, 58),
    "roof": (206, 70, 58),
    "urban": (206, 70, 58),
    "built-up": (206, 70, 58),
    "residential": (222, 112, 96),
    "industrial": (150, 62, 108),
    "greenhouse": (176, 224, 214),
    "solar panel": (70, 60, 130),
    "shadow": (40, 40, 56),
    "cloud": (226, 226, 232),
}

# For words without a convention: Okabe and Ito's palette, made for colour-blind readers.
_FREE: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)

_CLOSEST = 28.0
"""Two colours of one legend are at least this far apart in RGB."""


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
    """

    id: int
    name: str
    prompts: tuple[str, ...]
    colour: Colour

    @property
    def hex_colour(self) -> str:
        return "#{:02x}{:02x}{:02x}".format(*self.colour)


UNKNOWN_CLASS = LandClass(UNKNOWN, "unknown", (), (0, 0, 0))
"""How pixels that no class was given to are named and shown; never part of a legend."""


@dataclass(frozen=True)
class Legend:
    """The classes of a map, in order; class k has id k + 1."""

    classes: tuple[LandClass, ...]

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> list[str]:
        return [land_class.name for land_class in self.classes]

    @property
    def prompts(self) -> list[list[str]]:
        return [list(land_class.prompts) for land_class in self.classes]

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
                    )
                    for entry in data["classes"]
                )
            )
        except (KeyError, TypeError) as error:
            raise LegendError(f"not a legend: {type(error).__name__} {error}") from error

    def as_dict(self) -> dict[str, Any]:
        """As plain data, the form that an output's tags have."""
        return {
            "classes": [
                {"id": c.id, "name": c.name, "prompts": list(c.prompts), "colour": c.hex_colour} for c in self.classes
            ]
        }


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
        entries.append((name.strip(), tuple(prompts), None))
    return _build(entries)


def read_legend(file: str | Path) -> Legend:
    """Read a legend file.

    The file is TOML: one ``[[classes]]`` table per class with ``name`` and optionally ``prompts`` (a list of words) and
    ``colour`` ("#rrggbb").

    Raises
    ------
    LegendError
        If the file can't be read or isn't such a legend.
    """
    path = Path(file)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors put a byte order mark first
    except OSError as error:
        raise LegendError(f"can't read legend '{path}': {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LegendError(f"legend '{path}' is not valid TOML: {error}") from error
    tables = data.get("classes")
    if not isinstance(tables, list) or not tables:
        raise LegendError(f"legend '{path}' has no [[classes]] table: add one for each class, with a name")
    return _build([_entry(table, place, path) for place, table in enumerate(tables, start=1)])


def _entry(table: Any, place: int, path: Path) -> tuple[str, tuple[str, ...], Colour | None]:
    where = f"class {place} of legend '{path}'"
    if not isinstance(table, dict):
        raise LegendError(f"{where} is not a table: write [[classes]] above it")
    unknown = set(table) - {"name", "prompts", "colour"}
    if unknown:
        raise LegendError(f"{where} has an unknown key '{min(unknown)}': a class has name, prompts and colour")
    name = table.get("name")
    prompts = table.get("prompts", [name])
    if not isinstance(name, str) or not name.strip():
        raise LegendError(f"{where} has no name")
    if not isinstance(prompts, list) or not prompts or not all(isinstance(p, str) and p.strip() for p in prompts):
        raise LegendError(f"{where} ('{name}'): prompts must be a list of words")
    colour = table.get("colour")
    return name.strip(), tuple(p.strip() for p in prompts), None if colour is None else _parse_colour(colour, where)


def _parse_colour(text: Any, where: str) -> Colour:
    if not isinstance(text, str) or not re.fullmatch("#?[0-9a-fA-F]{6}", text):
        raise LegendError(f'{where}: colour {text!r} must look like "#1c6236"')
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


def _build(entries: Iterable[tuple[str, tuple[str, ...], Colour | None]]) -> Legend:
    entries = list(entries)
    if len(entries) > MAX_CLASSES:
        raise LegendError(f"{len(entries)} classes are more than the {MAX_CLASSES} that one map can hold")
    owner: dict[str, str] = {}
    for name, prompts, _ in entries:
        if not all(word.isprintable() for word in (name, *prompts)):
            raise LegendError(f"class {name!r} holds a line break or another control character: take it out")
        for word in {name.casefold(), *(prompt.casefold() for prompt in prompts)}:
            if word in owner:
                raise LegendError(f"'{word}' is named twice (in '{owner[word]}' and '{name}'): name each word once")
            owner[word] = name
    taken = [colour for _, _, colour in entries if colour is not None]
    classes = []
    for place, (name, prompts, colour) in enumerate(entries, start=1):
        if colour is None:
            colour = _colour_of(name, prompts, taken)
            taken.append(colour)
        classes.append(LandClass(place, name, prompts, colour))
    return Legend(tuple(classes))


def _colour_of(name: str, prompts: Sequence[str], taken: Sequence[Colour]) -> Colour:
    """The conventional colour of a word if it is still free, else the first free one in an order of the word's own."""
    wishes = [colour for colour in (_convention(word) for word in (name, *prompts)) if colour is not None]
    seed = int.from_bytes(hashlib.sha256(name.casefold().encode()).digest()[:4], "big")
    start = seed % len(_FREE)
    wishes += _FREE[start:] + _FREE[:start]
    for colour in wishes:
        if all(_distance(colour, other) >= _CLOSEST for other in taken):
            return colour
    # Many classes: step around the colour circle by the golden angle, in three shades.
    for step in range(1000):
        hue = (seed / 2**32 + step * 0.381966) % 1.0
        red, green, blue = colorsys.hls_to_rgb(hue, (0.45, 0.62, 0.78)[step % 3], 0.55)
        colour = round(red * 255), round(green * 255), round(blue * 255)
        if all(_distance(colour, other) >= _CLOSEST * 200 / (200 + 20 * step) for other in taken):
            return colour
    return wishes[0]


def _convention(word: str) -> Colour | None:
    known = word.casefold()
    singular = known.removesuffix("s")
    for key in sorted(_CONVENTIONAL, key=len, reverse=True):
        if key in (known, singular) or f" {key} " in f" {known} " or f" {key} " in f" {singular} ":
            return _CONVENTIONAL[key]
    return None


def _distance(a: Colour, b: Colour) -> float:
    return float(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5)
