from __future__ import annotations

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lposs_geo.legend.colours import APART, from_hex, next_colour, to_hex
from lposs_geo.legend.oklab import VISIONS, Colour, oklab

CUSTOMARY = (
    "water,sea,river,swimming pool,wetland,mangrove,forest,vegetation,shrubland,grass,pasture,crop field,rice paddy,"
    "orchard,vineyard,tundra,bare soil,sand,desert,mudflat,rock,quarry,snow,road,parking lot,railway,runway,building,"
    "residential area,industrial area,greenhouse,solar panel,burnt area,shadow,cloud"
)
LEGENDS = [
    "water,forest,crop field,road,building",
    "water,forest,grass,crop field,bare soil,road,building,wetland,snow,sand",
    "trees,shrubland,grassland,cropland,built-up,bare soil,snow and ice,water,wetland,mangroves,moss and lichen",
    "building,road,water,barren,forest,agriculture",
    "sea,beach,dunes,salt marsh,mudflat,pine forest,heath,village,car park,harbour",
    "lake,river,pond,ocean,canal,reservoir",
    "residential,industrial,commercial,park,railway,parking lot,highway,solar panels,greenhouses,swimming pools",
    "vineyard,orchard,olive grove,wheat field,rice paddy,pasture,hedges,farm track,farmhouse,pond,woods,ploughed field",
]
# what a hash picks today is what it picks on any machine
FREE = [(155, 206, 216), (204, 117, 124), (139, 136, 211)]
WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "Zs"]), min_size=1, max_size=12)


def colour_of(word: str) -> Colour:
    """The colour of a word that is alone in its legend."""
    return next_colour((word,), ())


def colours_of(words: list[str]) -> list[Colour]:
    taken: list[Colour] = []
    for word in words:
        taken.append(next_colour((word,), taken))
    return taken


def least_distance(colours: list[Colour], vision: str) -> float:
    seen = [oklab(colour)[VISIONS.index(vision)] for colour in colours]
    return min(float(np.linalg.norm(one - other)) for one, other in itertools.combinations(seen, 2))


def test_five_colours_have_names():
    assert {word: colour_of(word) for word in ("water", "forest", "crop field", "road")} == {
        "water": (62, 120, 192),
        "forest": (28, 98, 54),
        "crop field": (240, 214, 130),
        "road": (84, 84, 92),
    }
    red, green, blue = colour_of("building")
    assert red > 2 * max(green, blue)


@pytest.mark.parametrize(
    ("word", "same"),
    [
        ("Forest", "forest"),
        ("trees", "forest"),
        ("dense forest", "forest"),
        ("Tree-cover", "forest"),
        ("forest road", "road"),
        ("crop fields", "cropland"),
        ("sports field", "lawn"),
        ("grasses", "grass"),
        ("marshes", "wetland"),
        ("cities", "building"),
        ("mangrove forest", "mangroves"),
    ],
)
def test_words_of_one_meaning_have_one_colour(word, same):
    assert colour_of(word) == colour_of(same)


def test_a_part_of_a_word_is_no_word():
    assert len({colour_of(word) for word in ("water", "watermelon", "underwater")}) == 3


@pytest.mark.parametrize("vision", VISIONS)
def test_customary_colours_are_told_from_each_other(vision):
    assert least_distance([colour_of(word) for word in CUSTOMARY.split(",")], vision) >= APART


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("words", LEGENDS)
def test_typical_legends_are_told_apart(words, vision):
    assert least_distance(colours_of(words.split(",")), vision) >= APART


def test_a_second_water_is_blue_too():
    for red, green, blue in colours_of(["water", "lake", "reservoir", "water body", "open water"]):
        assert blue > green > red


def test_synonyms_give_the_colour_where_the_name_has_none():
    assert next_colour(("Zone 7", "river"), []) == colour_of("river")
    assert next_colour(("Lake", "forest"), []) == colour_of("lake")


def test_what_comes_before_decides():
    legend = ["violin", "forest", "trees", "harp"]
    assert colours_of(legend)[:2] == colours_of(legend[:2])
    assert colours_of(["forest", "trees"])[0] == colours_of(["trees", "forest"])[0]


@given(WORDS)
def test_a_word_alone_has_its_own_colour(word):
    assert colours_of([word]) == [colour_of(word)] == [colour_of(word.casefold())]


@settings(max_examples=30)
@given(st.lists(WORDS, min_size=2, max_size=20, unique_by=str.casefold))
def test_free_words_are_told_apart(words):
    for vision in VISIONS:
        assert least_distance(colours_of(words), vision) >= 0.02


@settings(max_examples=30)
@given(st.text("bcdfgklmnp", min_size=6, max_size=9))
def test_a_free_word_leaves_the_main_classes_their_colours(word):
    main = ["water", "forest", "grass", "field", "bare soil", "road", "building", "sand", "snow"]
    assert colours_of([word, *main])[1:] == [colour_of(known) for known in main]


@pytest.mark.parametrize("word", ["kind", "water", "forest"])
def test_two_hundred_classes_have_two_hundred_colours(word):
    assert len(set(colours_of([f"{word} {k}" for k in range(200)]))) == 200


def test_another_process_gives_the_same_colours():
    words = ["violin", "Größe", "zebra 7", "lake", "pond", "mere"]
    program = (
        "from lposs_geo.legend.colours import next_colour; import json; "
        f"print(json.dumps([next_colour((word,), ()) for word in {words!r}]))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert [tuple(colour) for colour in json.loads(answer)] == [colour_of(word) for word in words]
    assert [colour_of(word) for word in words[:3]] == FREE


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_a_colour_is_the_same_from_its_text(colour):
    assert from_hex(to_hex(colour)) == colour
    assert to_hex((0, 10, 255)) == "#000aff"
