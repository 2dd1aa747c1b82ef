"""The colour that a word has on a map.

A word's colour is a function of the word alone: the customary one (water is blue) where there is a custom, otherwise
one that a hash of the word picks. In a legend, a word whose colour is too close to one that is taken goes on to the
next in an order of its own: other lightnesses of its customary colour first, so that a second water is blue too.

How far two colours are apart is the least of what is seen with normal vision, protanopia and deuteranopia, see `oklab`.
"""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from lposs_geo.legend.oklab import Colour, colour_at, oklab

__all__ = ["APART", "from_hex", "next_colour", "to_hex"]

APART = 0.045
"""OKLab distance that the colours of one legend keep in each vision as long as there is room; 0.02 is just visible."""

_CLOSER = (APART, 0.035, 0.025, 0.015, 0.005, 1e-6)
"""Distances tried one after the other: without room, a legend's colours come closer, down to any that isn't taken."""

_MAIN = ("water", "forest", "grass", "field", "bare", "road", "building", "sand", "snow")
"""Main classes: a free word's colour mustn't be taken for theirs."""


def to_hex(colour: Sequence[int]) -> str:
    """A colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def from_hex(text: str) -> Colour:
    """A colour from ``#rrggbb``, with or without the sign; ValueError if it is none."""
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


def next_colour(words: Sequence[str], taken: Sequence[Colour]) -> Colour:
    """The first colour in a class's own order that is far enough from those that are taken.

    Parameters
    ----------
    words : sequence of str
        Its name and its synonyms: the first that has a customary colour gives it; the name gives the order of the rest.
    taken : sequence of tuple
        Colours that the legend has already.

    Returns
    -------
    tuple of int
        At least `APART` from all taken ones in every vision, or less if there is no room; never one of them as long as
        fewer than 200 are taken.
    """
    wish = next(_wishes(words))
    if not taken or _clearance([wish], taken)[0] >= APART:
        return wish
    wishes = list(_wishes(words))
    clearance = _clearance(wishes, taken)
    for least in _CLOSER:
        if (clearance >= least).any():
            return wishes[int((clearance >= least).argmax())]
    return wish


def _clearance(colours: Sequence[Colour], taken: Sequence[Colour]) -> NDArray[np.float64]:
    """Distance of each colour from the nearest that is taken, in the vision where it is nearest."""
    ours, theirs = (np.stack([oklab(colour) for colour in side]) for side in (colours, taken))
    apart: NDArray[np.float64] = np.linalg.norm(ours[:, None] - theirs, axis=-1).min(axis=(1, 2))
    return apart


def _wishes(words: Sequence[str]) -> Iterator[Colour]:
    """The colours that a class takes, best first: its custom's, lighter and darker ones, then all in a hashed order."""
    custom = next((colour for colour in map(_custom, words) if colour is not None), None)
    if custom is not None:
        yield custom
        yield from _shades(custom)
    known = words[0].casefold()
    for colours in _palette():
        yield from sorted(colours, key=lambda colour: hashlib.sha256(f"{known}{colour}".encode()).digest())


def _custom(word: str) -> Colour | None:
    """The customary colour of the longest known words within a word; of the last if several are as long."""
    stems = _stems(word)
    customs = _customs()
    for length in range(max(map(len, customs)), 0, -1):
        for start in range(len(stems) - length, -1, -1):
            if stems[start : start + length] in customs:
                return customs[stems[start : start + length]]
    return None


@cache
def _customs() -> dict[tuple[str, ...], Colour]:
    """Customary colours by the stems of words: the table `customs.toml`."""
    text = resources.files("lposs_geo.legend").joinpath("customs.toml").read_text(encoding="utf-8")
    return {_stems(word): from_hex(colour) for colour, words in tomllib.loads(text).items() for word in words}


def _stems(word: str) -> tuple[str, ...]:
    """The words of a word, each in the singular."""
    return tuple(map(_singular, re.findall(r"[^\W_]+", word.casefold())))


def _singular(noun: str) -> str:
    if noun.endswith("ies") and len(noun) > 4:
        return f"{noun[:-3]}y"
    if noun.endswith(("ches", "shes", "sses", "xes")):
        return noun[:-2]
    return noun[:-1] if noun.endswith("s") and not noun.endswith("ss") and len(noun) > 3 else noun


@cache
def _shades(colour: Colour) -> tuple[Colour, ...]:
    """Lighter and darker colours of the same hue, then of the hues beside it."""
    lightness, green_red, blue_yellow = oklab(colour)[0].tolist()
    chroma, hue = math.hypot(green_red, blue_yellow), math.atan2(blue_yellow, green_red)
    shades = [
        colour_at(lightness + lighter, chroma, hue + math.radians(turn))
        for turn in (0, 20, -20)
        for lighter in (0.0, 0.08, -0.08, 0.16, -0.16, 0.24, -0.24)
        if 0.25 <= lightness + lighter <= 0.96
    ]
    return tuple(dict.fromkeys(shade for shade in shades if shade != colour))


@cache
def _palette() -> tuple[list[Colour], list[Colour]]:
    """Muted colours of all hues: those that are like no main class, then the others."""
    colours = dict.fromkeys(
        colour_at(lightness, chroma, math.radians(hue))
        for lightness in (0.42, 0.5, 0.58, 0.66, 0.74, 0.82, 0.9)
        for chroma, step in ((0.11, 15), (0.055, 30))
        for hue in range(0, 360, step)
    )
    customs = _customs()
    main = [customs[_stems(word)] for word in _MAIN]
    free = [colour for colour in colours if _clearance([colour], main)[0] >= APART]
    return free, [colour for colour in colours if colour not in free]
