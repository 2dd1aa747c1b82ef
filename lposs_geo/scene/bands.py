"""Which bands of a scene are red, green and blue: told by tags, names, wavelengths, a sensor's order, or the user.

Pure functions on what a file says of its bands; nothing here opens one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lposs_geo.errors import SceneError, one_line
from lposs_geo.scene.band_names import COLOURS, colour_in, colour_of, folded, tell_apart

__all__ = ["PRESETS", "BandFacts", "Choice", "by_contrast", "choose", "is_opacity"]

_RGB = ("red", "green", "blue")

_RANGES = {"red": (620, 660, 690), "green": (520, 555, 600), "blue": (440, 485, 520), "nir": (760, 840, 900)}
"""Wavelengths in nm: the least, the best and the most."""

_NUMBER = re.compile(r"(?<![A-Z0-9])B(?:AND)?[ _-]?0*(\d{1,2}A?)(?![A-Z0-9])", re.IGNORECASE)
"""A sensor's own number for a band, as in 'B04', 'SR_B4', 'Band 4' and 'B8A'."""

_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(nm|nano\w*|um|µm|micro\w*)\b", re.IGNORECASE)

_SENTINEL2 = {4: (3, 2, 1), 6: (3, 2, 1), 10: (3, 2, 1), 12: (4, 3, 2), 13: (4, 3, 2)}
"""Where B4, B3 and B2 are, by how many bands a file has.

4: those of 10 m, or 6 with two of short wave; 10: all but the 60 m ones; 12: level 2A, all but B10; 13: level 1C.
"""

_LANDSAT_NUMBERS = {str(number) for number in range(1, 12)}

_SENTINEL2_NUMBERS = _LANDSAT_NUMBERS | {"8A", "12"}

_LANDSAT = {6: (3, 2, 1), 7: (4, 3, 2), 11: (4, 3, 2)}
"""6: the Thematic Mapper's, and those all Landsats share; 7 and 11: OLI's, which begin with the coasts' band."""

_PLANET = {4: (3, 2, 1), 5: (3, 2, 1), 8: (6, 4, 2)}
"""4: Dove; 5: RapidEye; 8: SuperDove, with the coasts' band, a second green, yellow and red edge between."""

_NAIP = {3: (1, 2, 3), 4: (1, 2, 3)}

MOST_NAMED = 8
"""Of a file's names for its bands, in a message."""

CONTRAST = 1.25
"""How much more contrast a band has that is red for certain than the blue one, or is blue taken for red."""


@dataclass(frozen=True)
class BandFacts:
    """What a file says of its bands; each tuple but the last has one entry a band.

    Attributes
    ----------
    path : str
        What messages call the file.
    dtypes : tuple of str
    colours : tuple of str
        GDAL's colour interpretation: "red", "nir", "alpha", "undefined".
    descriptions : tuple of str
        Empty where there is none.
    wavelengths : tuple of float or None
        Of the band's centre in nm, where the metadata tells it.
    alphas : tuple of int
        Bands, from 1, that say how opaque a pixel is, and are no colour.
    """

    path: str
    dtypes: tuple[str, ...]
    colours: tuple[str, ...]
    descriptions: tuple[str, ...]
    wavelengths: tuple[float | None, ...]
    alphas: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        return len(self.dtypes)

    @property
    def usable(self) -> list[int]:
        """All bands but alpha."""
        return [band for band in range(1, self.count + 1) if band not in self.alphas]


@dataclass(frozen=True)
class Choice:
    """Three bands, from 1, for red, green and blue.

    Attributes
    ----------
    bands : tuple of int
    reason : str
        Why these.
    notices : tuple of str
        What the user should know about it.
    is_guess : bool
        Whether nothing but custom says which is red and which is blue.
    natural : tuple of int or None
        Red, green and blue themselves, where other bands are shown as these.
    """

    bands: tuple[int, int, int]
    reason: str
    notices: tuple[str, ...] = ()
    is_guess: bool = False
    natural: tuple[int, int, int] | None = None

    @property
    def guessed(self) -> tuple[int, int, int]:
        """Where it is a guess, what is taken for red, green and blue."""
        return self.natural or self.bands


def choose(facts: BandFacts, asked: str | Sequence[int | str] | None = None) -> Choice:
    """Choose the bands of a scene.

    Parameters
    ----------
    facts : BandFacts
    asked : str or sequence of int or str, optional
        A preset (`PRESETS`), or one band or three bands by number or name, as a list or with commas between. By
        default red, green and blue are found by colour interpretation, description, wavelength, or the customary order.

    Returns
    -------
    Choice

    Raises
    ------
    SceneError
        If a band isn't there, or a preset doesn't suit the file.
    """
    if asked is None:
        return _natural(facts)
    if isinstance(asked, str) and asked.strip().casefold() in PRESETS:
        return PRESETS[asked.strip().casefold()](facts)
    words = asked.split(",") if isinstance(asked, str) else list(asked)
    if len(words) not in (1, 3):
        raise SceneError(
            f"{len(words)} bands are named for '{facts.path}': name three, as red,green,blue, or one to be seen as grey"
        )
    bands = [_named(facts, word) for word in words]
    if len(bands) == 1:
        return _grey(facts, bands[0], "as asked, seen as grey")
    return Choice((bands[0], bands[1], bands[2]), "as asked")


def by_contrast(choice: Choice, path: str, red: float, blue: float) -> Choice:
    """Turn a guess round where the bands themselves say that it is wrong.

    On land there is more contrast in red than in blue: soils and roofs are red, plants are dark in both, and haze fades
    blue. Of 1000 aerial and satellite pictures (UC Merced, AID) 4 would be turned round wrongly.

    Parameters
    ----------
    choice : Choice
    path : str
        What the notice calls the file.
    red, blue : float
        The range between the percentiles of what is taken for red and blue.
    """
    if not choice.is_guess or blue <= CONTRAST * red:
        return choice
    natural = choice.guessed[::-1]
    other = {natural[0]: natural[2], natural[2]: natural[0]}
    order = ", ".join(map(str, natural))
    notice = (
        f"'{path}' doesn't tell which of its bands are red, green and blue: {order} is a guess, since band "
        f"{natural[0]} has more contrast than band {natural[2]}; name others with --bands"
    )
    bands = _three([other.get(band, band) for band in choice.bands])
    return Choice(bands, "by contrast; name others with --bands", (notice,))


def is_opacity(values: NDArray[np.generic]) -> bool:
    """Whether the values of a band tagged alpha are those of an alpha band, and not of infrared tagged so by mistake.

    Of what isn't transparent, most is opaque: soft borders are few. Infrared varies everywhere.
    """
    seen = values[values != 0]
    return not seen.size or bool((seen == seen.max()).mean() >= 0.5) or len(np.unique(seen)) <= 8


def _natural(facts: BandFacts) -> Choice:
    """Red, green and blue as far as they can be told."""
    hinted = _by_hints(facts)
    if hinted is not None:
        return hinted
    usable = facts.usable
    if not usable:
        raise SceneError(f"'{facts.path}' holds nothing but an alpha band: there is no colour to map")
    if len(usable) == 1:
        return _grey(facts, usable[0], "the only band, seen as grey")
    if len(usable) == 2:
        return _grey(facts, usable[0], "the first of two bands, seen as grey")
    if len(usable) == 3 or all(facts.dtypes[band - 1] == "uint8" for band in usable):
        order, reason = (1, 2, 3), "the first three, taken as red, green, blue"
    elif len(usable) in (12, 13):
        order, reason = _SENTINEL2[len(usable)], "taken for Sentinel-2's bands in their order; name others with --bands"
    else:
        # Sensors with more than 8 bits store their bands by wavelength: blue, green, red, near infrared. With more
        # bands there may be others before them.
        order, reason = (3, 2, 1), "taken for blue, green, red, infrared in this order; name others with --bands"
    bands, is_guess = _at(facts, order), order == (3, 2, 1)
    guess = ", ".join(map(str, bands))
    names = _names_that_tell(facts)
    if names:
        notice = f"'{facts.path}' names its bands {names}, which doesn't tell red, green and blue: {guess} is a guess"
        return Choice(bands, reason, (f"{notice}; name others with --bands",), is_guess)
    if len(usable) <= 4:
        return Choice(bands, reason, is_guess=is_guess)
    notice = f"'{facts.path}' doesn't tell which of its {len(usable)} bands are red, green and blue: {guess} is a guess"
    return Choice(bands, reason, (f"{notice}, name others with --bands",), is_guess)


def _by_hints(facts: BandFacts) -> Choice | None:
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
    notice = f"'{facts.path}' tags its first bands red, green, blue, but names {order} so: the names are taken"
    return replace(by_name, notices=(*by_name.notices, notice))


def _names_that_tell(facts: BandFacts) -> str:
    """The names of bands, for a message; empty where they say nothing but the order."""
    names = [facts.descriptions[band - 1] for band in facts.usable]
    if not tell_apart(names):
        return ""
    shown = [f"'{one_line(name)}'" for name in names if name.strip()]
    return ", ".join(shown[:MOST_NAMED]) + (f" and {len(shown) - MOST_NAMED} more" if len(shown) > MOST_NAMED else "")


def _beside_names(facts: BandFacts, tagged: Choice) -> Choice:
    """A choice by tags, where names say something else: a GeoTIFF of 8 bits gets tags that nobody chose."""
    names, order = _names_that_tell(facts), ", ".join(map(str, tagged.bands))
    if not names or tagged.bands != (1, 2, 3):
        return tagged
    notice = f"'{facts.path}' names its bands {names}, but tags {order} red, green and blue: the tags are taken"
    return replace(tagged, notices=(f"{notice}; name others with --bands",))


def _by_elimination(facts: BandFacts) -> Choice | None:
    """Red, green and blue where two of them are named, and of one band alone nothing is understood."""
    keys = [colour_in(text) for text in facts.descriptions]
    missing = [colour for colour in _RGB if colour not in keys]
    unknown = [band for band in facts.usable if not keys[band - 1]]
    if len(missing) != 1 or len(unknown) != 1 or facts.count < 3:
        return None
    keys[unknown[0] - 1] = missing[0]
    found = _once(keys, "by band description")
    if found is None:
        return None
    notice = f"'{facts.path}' names no band {missing[0]}: {unknown[0]} is taken, since the others are named"
    return replace(found, notices=(f"{notice}; name others with --bands",))


def _once(keys: Sequence[str], reason: str) -> Choice | None:
    """Red, green and blue where each is there once."""
    if any(keys.count(colour) != 1 for colour in _RGB):
        return None
    return Choice(_three([keys.index(colour) + 1 for colour in _RGB]), reason)


def _several_times(facts: BandFacts, keys: Sequence[str], reason: str) -> Choice | None:
    """The first red, green and blue where each is there equally often."""
    times = keys.count("red")
    if times < 2 or any(keys.count(colour) != times for colour in _RGB):
        return None
    notice = f"'{facts.path}' has red, green and blue {times} times, as of several dates: the first are mapped"
    return Choice(_three([keys.index(colour) + 1 for colour in _RGB]), f"the first {reason}", (notice,))


def _by_wavelengths(facts: BandFacts) -> Choice | None:
    """Red, green and blue where the wavelengths of all three are told."""
    found = [_by_wavelength(facts, colour) for colour in _RGB]
    return Choice(_three([band for band in found if band]), "by wavelength") if all(found) else None


def _colour_keys(facts: BandFacts) -> list[tuple[list[str], str]]:
    """Which colour each band is, by what the file says of it, the surest first; and what said so."""
    return [
        (list(facts.colours), "by colour interpretation"),
        ([colour_of(text) for text in facts.descriptions], "by band description"),
        ([colour_in(text) for text in facts.descriptions], "by band description"),
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
    bands = _three([numbers.index(number) + 1 for number in wanted])
    return Choice(bands, f"by band name: B{', B'.join(wanted)}", (notice,) if times > 1 else ())


def _numbers_of_colours(numbers: Sequence[str]) -> dict[str, str]:
    """Which number each colour has with the sensor that has these; empty where they tell nothing."""
    known = set(numbers) - {""}
    if all(number in ("", str(band)) for band, number in enumerate(numbers, 1)):  # 'Band 1', 'Band 2' are no hint
        return {}
    # what has a fifth and a seventh band but no sixth, which was thermal, is the Thematic Mapper
    if {"1", "2", "3", "5", "7"} <= known and not {"6", "8"} & known:
        return {"red": "3", "green": "2", "blue": "1", "nir": "4"}
    # the eighth band is infrared with Sentinel-2 and panchromatic with Landsat, whose fifth is infrared
    sentinel = bool({"8A", "12"} & known) or ("8" in known and "5" not in known)
    if not known <= (_SENTINEL2_NUMBERS if sentinel else _LANDSAT_NUMBERS):
        return {}
    return {"red": "4", "green": "3", "blue": "2", "nir": "8" if sentinel else "5"}


def _by_wavelength(facts: BandFacts, colour: str) -> int | None:
    """The band whose wavelength suits a colour best."""
    least, best, most = _RANGES[colour]
    told = [_wavelength_in(text) for text in facts.descriptions]
    lengths = [length or other for length, other in zip(facts.wavelengths, told, strict=True)]
    inside = [(abs(nm - best), band) for band, nm in enumerate(lengths, 1) if nm and least <= nm <= most]
    return min(inside)[1] if inside else None


def _wavelength_in(description: str) -> float | None:
    match = _LENGTH.search(description)
    if match is None:
        return None
    return float(match.group(1)) * (1.0 if match.group(2).casefold().startswith("n") else 1000.0)


def _coloured(facts: BandFacts, colour: str) -> int | None:
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


def _grey(facts: BandFacts, band: int, reason: str) -> Choice:
    notice = (
        f"'{facts.path}' is seen as grey, by its band {band}: models are trained on colours, so don't rely on the map"
    )
    return Choice((band, band, band), reason, (notice,))


def _named(facts: BandFacts, word: int | str) -> int:
    """One band by number, description, colour or the sensor's own number."""
    text = str(word).strip()
    if re.fullmatch(r"[+-]?\d+", text):
        found = int(text) if 1 <= int(text) <= facts.count else None
    else:
        exact = [folded(description) for description in facts.descriptions]
        colour = "nir" if text.casefold() == "n" else colour_in(text)
        number = _NUMBER.search(text)
        numbers = _numbers(facts)
        if text and folded(text) in exact:
            found = exact.index(folded(text)) + 1
        elif colour in COLOURS:
            found = _coloured(facts, colour)
        elif number is not None and number.group(1).upper() in numbers:
            found = numbers.index(number.group(1).upper()) + 1
        else:
            found = None
    if found is None:
        called = text if re.fullmatch(r"[+-]?\d+", text) else f"'{text}'"
        raise SceneError(f"'{facts.path}' has no band {called}: its bands are {_listed(facts)}")
    return found


def _listed(facts: BandFacts) -> str:
    """The bands there are, with what the file calls them."""
    names = [
        description or (colour if colour not in ("undefined", "gray") else "")
        for description, colour in zip(facts.descriptions, facts.colours, strict=True)
    ]
    called = ", ".join(f"{band} {name}" for band, name in enumerate(names[:20], 1) if name)
    return f"1 to {facts.count}" + (f" ({called})" if called else "")


def _false_colour(facts: BandFacts) -> Choice:
    """Near infrared, red and green, shown as red, green and blue."""
    natural = _natural(facts)
    red, green, blue = natural.bands
    if red == green:
        raise SceneError(f"'{facts.path}' has no infrared band beside red and green: its bands are {_listed(facts)}")
    told = _coloured(facts, "nir")
    shown = partial(Choice, is_guess=natural.is_guess, natural=natural.bands)
    others = [band for band in facts.usable if band not in natural.bands]
    if told is not None:
        return shown((told, red, green), "near infrared, red, green", natural.notices)
    if len(others) == 1:
        return shown((others[0], red, green), "the fourth band taken for near infrared; red, green", natural.notices)
    if not others:
        raise SceneError(
            f"'{facts.path}' has no band that is told to be infrared: its bands are {_listed(facts)}; "
            "name three by number, like --bands 4,3,2"
        )
    # in the order of wavelengths it comes after red; Sentinel-2 has three of the red edge between
    after = 8 if len(facts.usable) in (12, 13) else 7 if len(facts.usable) == 10 else max(red, blue) + 1
    nir = facts.usable[after - 1] if after <= len(facts.usable) else others[0]
    notice = f"'{facts.path}' doesn't tell which of its bands is near infrared: {nir} is a guess"
    return shown((nir, red, green), "near infrared, red, green", (*natural.notices, notice))


def _by_sensor(orders: Mapping[int, tuple[int, int, int]], sensor: str, facts: BandFacts) -> Choice:
    """Red, green and blue of a known sensor: by the file's own hints, else by how many bands there are."""
    hinted = _by_hints(facts)
    if hinted is not None:
        return hinted
    order = orders.get(len(facts.usable))
    if order is None:
        usable, known = len(facts.usable), ", ".join(map(str, orders))
        raise SceneError(
            f"'{facts.path}' has {usable} bands without names, and {sensor}'s order is known for {known}: name three "
            "by number, as red,green,blue"
        )
    return Choice(_at(facts, order), f"in the order of {sensor}, {len(facts.usable)} bands")


PRESETS: dict[str, Callable[[BandFacts], Choice]] = {
    "rgb": _natural,
    "nrg": _false_colour,
    "s2": partial(_by_sensor, _SENTINEL2, "Sentinel-2"),
    "naip": partial(_by_sensor, _NAIP, "NAIP"),
    "landsat": partial(_by_sensor, _LANDSAT, "Landsat"),
    "planet": partial(_by_sensor, _PLANET, "PlanetScope"),
}
"""What `--bands` knows by name."""


def _at(facts: BandFacts, places: Sequence[int]) -> tuple[int, int, int]:
    """Bands by their places, from 1, among those that aren't alpha."""
    return _three([facts.usable[place - 1] for place in places])


def _three(bands: Sequence[int]) -> tuple[int, int, int]:
    red, green, blue = bands
    return red, green, blue
