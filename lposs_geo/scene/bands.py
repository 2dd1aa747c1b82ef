"""The choice of a scene's bands for red, green and blue: by hints, a sensor's order, or the user's word.

Pure functions on what a file says of its bands; nothing here opens one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lposs_geo.errors import SceneError
from lposs_geo.hints import Notice
from lposs_geo.scene.band_facts import OTHER_BANDS, BandFacts, Choice, three
from lposs_geo.scene.band_hints import band_named, bands_listed, by_hints, coloured, names_that_tell
from lposs_geo.scene.sensors import SENSORS, SENTINEL_2, Sensor

__all__ = ["PRESETS", "by_contrast", "choose", "is_opacity"]

FALSE_COLOUR = Notice("near infrared, red, green")

CONTRAST = 1.25
"""Ratio of two bands' contrasts, above which the one that was taken for blue is red."""


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
            f"{len(words)} bands are named for '{facts.path}'",
            hint="name three, as red,green,blue, or one to be seen as grey",
        )
    bands = [band_named(facts, word) for word in words]
    if len(bands) == 1:
        return _grey(facts, bands[0], "as asked, seen as grey")
    return Choice((bands[0], bands[1], bands[2]), Notice("as asked"))


def by_contrast(choice: Choice, path: str, red: float, blue: float) -> Choice:
    """Turn a guess round where the bands themselves say that it is wrong.

    On land there is more contrast in red than in blue: soils and roofs are red, plants are dark in both, and haze fades
    blue. Of 1000 aerial and satellite pictures (UC Merced, AID) 4 would be turned round wrongly.

    Parameters
    ----------
    choice : Choice
    path : str
        The file's name in the notice.
    red, blue : float
        The range between the percentiles of what is taken for red and blue.
    """
    if not choice.is_guess or blue <= CONTRAST * red:
        return choice
    natural = choice.guessed[::-1]
    other = {natural[0]: natural[2], natural[2]: natural[0]}
    order = ", ".join(map(str, natural))
    notice = Notice(
        f"'{path}' doesn't tell which of its bands are red, green and blue, and {order} is a guess, since band "
        f"{natural[0]} has more contrast than band {natural[2]}",
        OTHER_BANDS,
    )
    bands = three([other.get(band, band) for band in choice.bands])
    return Choice(bands, Notice("by contrast", OTHER_BANDS), (notice,))


def is_opacity(values: NDArray[np.generic]) -> bool:
    """True if the values of a band tagged alpha are those of an alpha band, and not of infrared tagged so by mistake.

    Of what isn't transparent, most is opaque: soft borders are few. Infrared varies everywhere.
    """
    seen = values[values != 0]
    return not seen.size or bool((seen == seen.max()).mean() >= 0.5) or len(np.unique(seen)) <= 8


def _natural(facts: BandFacts) -> Choice:
    """Red, green and blue as far as they can be told."""
    hinted = by_hints(facts)
    if hinted is not None:
        return hinted
    usable = facts.usable
    if not usable:
        raise SceneError(f"'{facts.path}' holds nothing but an alpha band: there is no colour to map")
    if len(usable) == 1:
        return _grey(facts, usable[0], "the only band, seen as grey")
    if len(usable) == 2:
        return _grey(facts, usable[0], "the first of two bands, seen as grey")
    return _by_custom(facts)


def _by_custom(facts: BandFacts) -> Choice:
    """The bands that are red, green and blue mostly, of three or more that nothing is said of."""
    usable = facts.usable
    if len(usable) == 3 or all(facts.dtypes[band - 1] == "uint8" for band in usable):
        order, reason = (1, 2, 3), Notice("the first three, taken as red, green, blue")
    elif len(usable) in (12, 13):
        order, reason = (
            SENTINEL_2.orders[len(usable)],
            Notice("taken for Sentinel-2's bands in their order", OTHER_BANDS),
        )
    else:
        # Sensors with more than 8 bits store their bands by wavelength: blue, green, red, near infrared. With more
        # bands there may be others before them.
        order, reason = (3, 2, 1), Notice("taken for blue, green, red, infrared in this order", OTHER_BANDS)
    bands, is_guess = _at(facts, order), order == (3, 2, 1)
    guess = ", ".join(map(str, bands))
    names = names_that_tell(facts)
    if names:
        doubt = f"names its bands {names}, which doesn't tell red, green and blue"
    elif len(usable) > 4:
        doubt = f"doesn't tell which of its {len(usable)} bands are red, green and blue"
    else:
        return Choice(bands, reason, is_guess=is_guess)
    notice = Notice(f"'{facts.path}' {doubt}, and {guess} is a guess", OTHER_BANDS)
    return Choice(bands, reason, (notice,), is_guess)


def _grey(facts: BandFacts, band: int, reason: str) -> Choice:
    notice = Notice(
        f"'{facts.path}' is seen as grey, by its band {band}",
        "models are trained on colours, so don't rely on the map",
    )
    return Choice((band, band, band), Notice(reason), (notice,))


def _false_colour(facts: BandFacts) -> Choice:
    """Near infrared, red and green, shown as red, green and blue."""
    natural = _natural(facts)
    red, green, blue = natural.bands
    if red == green:
        raise SceneError(
            f"'{facts.path}' has no infrared band beside red and green", hint=f"its bands are {bands_listed(facts)}"
        )
    infrared = coloured(facts, "nir")
    shown = partial(Choice, is_guess=natural.is_guess, natural=natural.bands)
    others = [band for band in facts.usable if band not in natural.bands]
    if infrared is not None:
        return shown((infrared, red, green), FALSE_COLOUR, natural.notices)
    if len(others) == 1:
        reason = Notice("the fourth band taken for near infrared; red, green")
        return shown((others[0], red, green), reason, natural.notices)
    if not others:
        raise SceneError(
            f"none of the bands of '{facts.path}', {bands_listed(facts)}, is said to be infrared",
            hint="name three by number, like <bands=4,3,2>",
        )
    # in the order of wavelengths it comes after red; Sentinel-2 has three of the red edge between
    after = SENTINEL_2.infrared.get(len(facts.usable), max(red, blue) + 1)
    nir = facts.usable[after - 1] if after <= len(facts.usable) else others[0]
    notice = Notice(
        f"'{facts.path}' doesn't tell which of its bands is near infrared, and {nir} is a guess", OTHER_BANDS
    )
    return shown((nir, red, green), FALSE_COLOUR, (*natural.notices, notice))


def _by_sensor(sensor: Sensor, facts: BandFacts) -> Choice:
    """Red, green and blue of a known sensor: by the file's own hints, else by how many bands there are."""
    hinted = by_hints(facts)
    if hinted is not None:
        return hinted
    usable = len(facts.usable)
    order = sensor.orders.get(usable)
    if order is None:
        known = ", ".join(map(str, sensor.orders))
        raise SceneError(
            f"'{facts.path}' has {usable} bands without names, and {sensor.name}'s order is known for {known}",
            hint="name three by number, as red,green,blue",
        )
    return Choice(_at(facts, order), Notice(f"in the order of {sensor.name}, {usable} bands"))


PRESETS: dict[str, Callable[[BandFacts], Choice]] = {
    "rgb": _natural,
    "nrg": _false_colour,
    **{sensor.preset: partial(_by_sensor, sensor) for sensor in SENSORS.values() if sensor.preset},
}
"""Ways to choose bands that have a name."""


def _at(facts: BandFacts, positions: Sequence[int]) -> tuple[int, int, int]:
    """Bands by their positions, from 1, among those that aren't alpha."""
    return three([facts.usable[position - 1] for position in positions])
