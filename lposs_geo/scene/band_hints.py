"""Red, green and blue by what a file says of its bands: tags, names, wavelengths, a sensor's numbers.

Pure functions; nothing here opens a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lposs_geo.errors import SceneError, one_line
from lposs_geo.hints import Notice
from lposs_geo.scene.band_facts import OTHER_BANDS, BandFacts, Choice, three
from lposs_geo.scene.band_names import COLOURS, colour_in, colour_of, folded, tell_apart
from lposs_geo.scene.sensors import LANDSAT, SENTINEL_2, THEMATIC_MAPPER

__all__ = ["band_named", "bands_listed", "by_hints", "coloured", "names_that_tell"]

_RGB = ("red", "green", "blue")

BY_DESCRIPTION = "by band description"

_RANGES = {"red": (620, 660, 690), "green": (520, 555, 600), "blue": (440, 485, 520), "nir": (760, 840, 900)}
"""Wavelengths in nm: the least, the best and the most."""

_NUMBER = re.compile(r"(?<![A-Z0-9])B(?:AND)?[ _-]?0*(\d{1,2}A?)(?![A-Z0-9])", re.IGNORECASE)
"""A sensor's own number for a band, as in 'B04', 'SR_B4', 'Band 4' and 'B8A'."""

_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(nm|nano\w*|um|µm|micro\w*)\b", re.IGNORECASE)

MOST_NAMED = 8
"""Of a file's names for its bands, in a message."""


def by_hints(facts: BandFacts) -> Choice | None:
    """Red, green and blue by what tags, names and wavelengths say: the surest of it."""
    keys = _colour_keys(facts)
    tagged = _once(*keys[0])
    named = [_once(*key) for key in keys[1:]]
    named += [_several_times(facts, *key) for key in keys]
    named += [_by_wavelengths(facts), _by_number(facts), _by_elimination(facts)]
    by_name = next((choice for choice in named if choice is not None), None)
    if tagged is not None and by_name is None:
        return _beside_names(facts, tagged)
    if tagged is None or by_name is None or tagged.bands != (1, 2, 3) or by_name.bands == (1, 2, 3):
        return tagged or by_name
    # three bands of 8 bits are tagged red, green, blue by GDAL when it writes a GeoTIFF, whatever they are
    order = ", ".join(map(str, by_name.bands))
    notice = Notice(f"'{facts.path}' tags its first bands red, green, blue, but names {order} so: the names are taken")
    return replace(by_name, notices=(*by_name.notices, notice))


def names_that_tell(facts: BandFacts) -> str:
    """The names of bands, for a message; empty where they say nothing but the order."""
    names = [facts.descriptions[band - 1] for band in facts.usable]
    if not tell_apart(names):
        return ""
    shown = [f"'{one_line(name)}'" for name in names if name.strip()]
    return ", ".join(shown[:MOST_NAMED]) + (f" and {len(shown) - MOST_NAMED} more" if len(shown) > MOST_NAMED else "")


def _beside_names(facts: BandFacts, tagged: Choice) -> Choice:
    """A choice by tags, where names say something else: a GeoTIFF of 8 bits gets tags that nobody chose."""
    names, order = names_that_tell(facts), ", ".join(map(str, tagged.bands))
    if not names or tagged.bands != (1, 2, 3):
        return tagged
    notice = f"'{facts.path}' names its bands {names}, but tags {order} red, green and blue, which are taken"
    return replace(tagged, notices=(Notice(notice, OTHER_BANDS),))


def _by_elimination(facts: BandFacts) -> Choice | None:
    """Red, green and blue where two of them are named, and of one band alone nothing is understood."""
    keys = [colour_in(text) for text in facts.descriptions]
    missing = [colour for colour in _RGB if colour not in keys]
    unknown = [band for band in facts.usable if not keys[band - 1]]
    if len(missing) != 1 or len(unknown) != 1 or facts.count < 3:
        return None
    keys[unknown[0] - 1] = missing[0]
    choice = _once(keys, BY_DESCRIPTION)
    if choice is None:
        return None
    notice = f"'{facts.path}' names no band {missing[0]}, and {unknown[0]} is taken, since the others are named"
    return replace(choice, notices=(Notice(notice, OTHER_BANDS),))


def _once(keys: Sequence[str], reason: str) -> Choice | None:
    """Red, green and blue where each is there once."""
    if any(keys.count(colour) != 1 for colour in _RGB):
        return None
    return Choice(three([keys.index(colour) + 1 for colour in _RGB]), Notice(reason))


def _several_times(facts: BandFacts, keys: Sequence[str], reason: str) -> Choice | None:
    """The first red, green and blue where each is there equally often."""
    times = keys.count("red")
    if times < 2 or any(keys.count(colour) != times for colour in _RGB):
        return None
    notice = f"'{facts.path}' has red, green and blue {times} times, as of several dates: the first are mapped"
    return Choice(three([keys.index(colour) + 1 for colour in _RGB]), Notice(f"the first {reason}"), (Notice(notice),))


def _by_wavelengths(facts: BandFacts) -> Choice | None:
    """Red, green and blue where there are wavelengths of all three."""
    bands = [band for colour in _RGB if (band := _by_wavelength(facts, colour))]
    return Choice(three(bands), Notice("by wavelength")) if len(bands) == 3 else None


def _colour_keys(facts: BandFacts) -> list[tuple[list[str], str]]:
    """The colour of each band, by what the file says of it, the surest first; and the reason."""
    return [
        (list(facts.colours), "by colour interpretation"),
        ([colour_of(text) for text in facts.descriptions], BY_DESCRIPTION),
        ([colour_in(text) for text in facts.descriptions], BY_DESCRIPTION),
    ]


def _numbers(facts: BandFacts) -> list[str]:
    """The sensor's own number of each band, as its description has it; empty where it has none."""
    matches = [_NUMBER.search(text) for text in facts.descriptions]
    return [match.group(1).upper() if match else "" for match in matches]


def _by_number(facts: BandFacts) -> Choice | None:
    """Red, green and blue by the sensor's own numbers: B4, B3, B2 of Sentinel-2 and Landsat 8, B3, B2, B1 before it."""
    numbers = _numbers(facts)
    by_colour = _numbers_of_colours(numbers)
    wanted = [by_colour.get(colour, "") for colour in _RGB]
    if "" in wanted or not set(wanted) <= set(numbers):
        return None
    times = numbers.count(wanted[0])
    notice = f"'{facts.path}' has band {wanted[0]} {times} times, as of several dates: the first is mapped"
    bands = three([numbers.index(number) + 1 for number in wanted])
    notices = (Notice(notice),) if times > 1 else ()
    return Choice(bands, Notice(f"by band name: B{', B'.join(wanted)}"), notices)


def _numbers_of_colours(numbers: Sequence[str]) -> Mapping[str, str]:
    """The number of each colour with the sensor that has these; empty where they tell nothing."""
    known = set(numbers) - {""}
    if all(number in ("", str(band)) for band, number in enumerate(numbers, 1)):  # 'Band 1', 'Band 2' are no hint
        return {}
    # what has a fifth and a seventh band but no sixth, which was thermal, is the Thematic Mapper
    if {"1", "2", "3", "5", "7"} <= known and not {"6", "8"} & known:
        return THEMATIC_MAPPER.colours
    # the eighth band is infrared with Sentinel-2 and panchromatic with Landsat, whose fifth is infrared
    sensor = SENTINEL_2 if {"8A", "12"} & known or ("8" in known and "5" not in known) else LANDSAT
    return sensor.colours if known <= sensor.numbers else {}


def _by_wavelength(facts: BandFacts, colour: str) -> int | None:
    """The band whose wavelength suits a colour best."""
    least, best, most = _RANGES[colour]
    described = [_wavelength_in(text) for text in facts.descriptions]
    lengths = [length or other for length, other in zip(facts.wavelengths, described, strict=True)]
    inside = [(abs(nm - best), band) for band, nm in enumerate(lengths, 1) if nm and least <= nm <= most]
    return min(inside)[1] if inside else None


def _wavelength_in(description: str) -> float | None:
    match = _LENGTH.search(description)
    if match is None:
        return None
    return float(match.group(1)) * (1.0 if match.group(2).casefold().startswith("n") else 1000.0)


def coloured(facts: BandFacts, colour: str) -> int | None:
    """The band of one colour by what tags, names and wavelengths say."""
    for keys, _ in _colour_keys(facts):
        if colour in keys:
            return keys.index(colour) + 1
    by_length = _by_wavelength(facts, colour)
    if by_length is not None:
        return by_length
    numbers = _numbers(facts)
    number = _numbers_of_colours(numbers).get(colour)
    return numbers.index(number) + 1 if number in numbers else None


def band_named(facts: BandFacts, word: int | str) -> int:
    """One band by number, description, colour or the sensor's own number."""
    text = str(word).strip()
    if re.fullmatch(r"[+-]?\d+", text):
        band = int(text) if 1 <= int(text) <= facts.count else None
    else:
        exact = [folded(description) for description in facts.descriptions]
        colour = "nir" if text.casefold() == "n" else colour_in(text)
        number = _NUMBER.search(text)
        numbers = _numbers(facts)
        if text and folded(text) in exact:
            band = exact.index(folded(text)) + 1
        elif colour in COLOURS:
            band = coloured(facts, colour)
        elif number is not None and number.group(1).upper() in numbers:
            band = numbers.index(number.group(1).upper()) + 1
        else:
            band = None
    if band is None:
        called = text if re.fullmatch(r"[+-]?\d+", text) else f"'{text}'"
        raise SceneError(f"'{facts.path}' has no band {called}", hint=f"its bands are {bands_listed(facts)}")
    return band


def bands_listed(facts: BandFacts) -> str:
    """The bands there are, with what the file calls them."""
    names = [
        description or (colour if colour not in ("undefined", "gray") else "")
        for description, colour in zip(facts.descriptions, facts.colours, strict=True)
    ]
    called = ", ".join(f"{band} {name}" for band, name in enumerate(names[:20], 1) if name)
    return f"1 to {facts.count}" + (f" ({called})" if called else "")
