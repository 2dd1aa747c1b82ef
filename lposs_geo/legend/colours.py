"""Which colour a word has on a map, and how far apart colours are for readers with and without colour blindness.

A word's colour is a function of the word alone: the customary one (water is blue) where there is a custom, otherwise
one that a hash of the word picks. In a legend, a word whose colour is too close to one that is taken goes on to the
next in an order of its own: other lightnesses of its customary colour first, so that a second water is blue too.

How far two colours are apart is measured in OKLab (Ottosson 2020, "A perceptual color space for image processing"), as
the least of what is seen with normal vision, protanopia and deuteranopia (Machado, Oliveira and Fernandes 2009, "A
physiologically-based model for simulation of color vision deficiency", severity 1).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["APART", "VISIONS", "Colour", "colour_of", "distance", "next_colour", "simulate"]

Colour = tuple[int, int, int]
"""RGB, 0..255."""

VISIONS = ("normal", "protanopia", "deuteranopia")

APART = 0.045
"""OKLab distance that the colours of one legend keep in each vision as long as there is room; 0.02 is just visible."""

# When there is no room left, a legend's colours come closer, down to any that isn't taken.
_CLOSER = (APART, 0.035, 0.025, 0.015, 0.005, 1e-6)

# What map readers expect, muted, and far enough apart to be told from each other by colour-blind readers too: what is
# alike in hue differs in lightness.
_CUSTOMS: dict[Colour, str] = {
    (62, 120, 192): "water, water body, open water, lake, reservoir, basin",
    (43, 79, 149): "sea, ocean, deep water",
    (105, 165, 218): "river, stream, canal, pond, creek, shallow water, lagoon",
    (88, 208, 228): "swimming pool, pool",
    (108, 179, 197): "wetland, marsh, swamp, bog, fen, peatland, flooded vegetation, reed, floodplain",
    (58, 140, 111): "mangrove, mangrove forest, aquatic vegetation, seagrass, kelp",
    (28, 98, 54): "forest, wood, woodland, tree, tree cover, tree canopy, jungle, rainforest",
    (86, 151, 88): "vegetation, park, garden, green space, plantation, hedge",
    (110, 129, 50): "shrub, shrubland, bush, bushland, scrub, chaparral, heath, heathland, moor, maquis",
    (161, 199, 76): "grass, grassland, meadow, lawn, prairie, steppe, savanna, rangeland, golf course, sports field",
    (200, 225, 175): "pasture, hay",
    (240, 214, 130): "field, crop, crop field, cropland, farmland, farm, agriculture, agricultural land, arable land, "
    "agricultural area, wheat, corn, maize, cereal",
    (174, 212, 201): "rice, rice paddy, paddy, rice field, paddy field",
    (203, 156, 66): "orchard, olive grove, fruit tree, palm, oil palm, palm plantation",
    (175, 121, 177): "vineyard, vine, lavender",
    (199, 203, 165): "tundra, moss, lichen, moss and lichen",
    (
        187,
        155,
        112,
    ): "bare soil, bare land, bare ground, bareland, bare, barren, barren land, soil, earth, dirt, "
    "ploughed field, fallow, fallow field, sparse vegetation",
    (243, 238, 197): "sand, beach, dune, sandbank, salt flat",
    (232, 190, 127): "desert",
    (121, 102, 86): "mud, mudflat, tidal flat, riverbed, dirt road, track, path",
    (155, 149, 149): "rock, bare rock, stone, cliff, scree, gravel",
    (195, 184, 178): "quarry, mine, construction site, landfill",
    (247, 249, 253): "snow, ice, glacier, snow and ice",
    (84, 84, 92): "road, street, highway, motorway, asphalt",
    (136, 131, 143): "pavement, impervious, impervious surface, parking, parking lot, car park, concrete, plaza, "
    "developed space",
    (58, 46, 65): "railway, rail, railroad, train track",
    (110, 111, 121): "runway, airport, airfield, harbour, port, bridge",
    (218, 80, 54): "building, house, roof, urban, urban area, built-up, built-up area, built, built area, city, town, "
    "settlement, village, artificial surface",
    (237, 161, 143): "residential, residential area, suburb",
    (148, 60, 122): "industrial, industrial area, factory, warehouse, commercial, power plant",
    (191, 228, 214): "greenhouse, plastic cover",
    (68, 53, 128): "solar panel, solar farm, photovoltaic",
    (91, 43, 37): "burnt, burnt area, burned area, fire scar",
    (30, 30, 44): "shadow",
    (222, 230, 250): "cloud",
}

# Which main classes a free word's colour mustn't be taken for.
_MAIN = ("water", "forest", "grass", "field", "bare", "road", "building", "sand", "snow")

# Linear RGB to cones and cones to OKLab, by rows: Ottosson 2020.
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)

# What is seen of linear RGB, by vision: Machado, Oliveira and Fernandes 2009, table 1, severity 1.
_SEEN = np.array(
    [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ]
)


def colour_of(word: str) -> Colour:
    """The colour of a word that is alone in its legend: always the same, on any machine, however it is capitalised."""
    return next(_wishes((word,)))


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


def distance(first: Colour, second: Colour) -> dict[str, float]:
    """How far two colours are apart in OKLab, for each of `VISIONS`."""
    apart = np.linalg.norm(_oklab(first) - _oklab(second), axis=-1)
    return dict(zip(VISIONS, apart.tolist(), strict=True))


def simulate(colour: Colour, vision: str) -> Colour:
    """What a colour looks like to someone with another vision, as a colour."""
    linear = _seen(colour)[VISIONS.index(vision)]
    return _stored(linear)


def _clearance(colours: Sequence[Colour], taken: Sequence[Colour]) -> NDArray[np.float64]:
    """How far each colour is from the nearest that is taken, in the vision where it is nearest."""
    ours, theirs = (np.stack([_oklab(colour) for colour in side]) for side in (colours, taken))
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
    return {_stems(word): colour for colour, words in _CUSTOMS.items() for word in words.split(", ")}


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
    lightness, green_red, blue_yellow = _oklab(colour)[0].tolist()
    chroma, hue = math.hypot(green_red, blue_yellow), math.atan2(blue_yellow, green_red)
    shades = [
        _colour(lightness + lighter, chroma, hue + math.radians(turn))
        for turn in (0, 20, -20)
        for lighter in (0.0, 0.08, -0.08, 0.16, -0.16, 0.24, -0.24)
        if 0.25 <= lightness + lighter <= 0.96
    ]
    return tuple(dict.fromkeys(shade for shade in shades if shade != colour))


@cache
def _palette() -> tuple[list[Colour], list[Colour]]:
    """Muted colours of all hues: those that are like no main class, then the others."""
    colours = dict.fromkeys(
        _colour(lightness, chroma, math.radians(hue))
        for lightness in (0.42, 0.5, 0.58, 0.66, 0.74, 0.82, 0.9)
        for chroma, step in ((0.11, 15), (0.055, 30))
        for hue in range(0, 360, step)
    )
    customs = _customs()
    main = [customs[_stems(word)] for word in _MAIN]
    free = [colour for colour in colours if _clearance([colour], main)[0] >= APART]
    return free, [colour for colour in colours if colour not in free]


def _colour(lightness: float, chroma: float, hue: float) -> Colour:
    """The sRGB colour of a place in OKLab, or the nearest towards grey that a screen can show."""
    while True:
        lab = np.array([lightness, chroma * math.cos(hue), chroma * math.sin(hue)])
        linear = np.linalg.solve(_CONES, np.linalg.solve(_OKLAB, lab) ** 3)
        if chroma < 0.001 or (linear.min() >= 0.0 and linear.max() <= 1.0):
            return _stored(linear)
        chroma *= 0.95


def _stored(linear: NDArray[np.float64]) -> Colour:
    light = linear.clip(0.0, 1.0)
    stored = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    red, green, blue = (round(255 * value) for value in stored.tolist())
    return red, green, blue


def _seen(colour: Colour) -> NDArray[np.float64]:
    """Linear RGB (visions, 3) of a colour as it is seen."""
    stored = np.array(colour) / 255
    linear = np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)
    seen: NDArray[np.float64] = (_SEEN @ linear).clip(0.0, 1.0)
    return seen


@cache
def _oklab(colour: Colour) -> NDArray[np.float64]:
    """OKLab (visions, 3) of a colour as it is seen."""
    lab: NDArray[np.float64] = np.cbrt(_seen(colour) @ _CONES.T) @ _OKLAB.T
    return lab
