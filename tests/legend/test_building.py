from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lposs_geo.errors import LegendError
from lposs_geo.legend.building import from_words


def test_words_become_classes_in_order():
    legend = from_words("forest, water ,road")
    assert legend.names == ["forest", "water", "road"]
    assert [c.id for c in legend.classes] == [1, 2, 3]
    assert legend.prompts == [["forest"], ["water"], ["road"]]
    assert from_words(["forest", "water", "road"]) == legend


def test_synonyms():
    legend = from_words("forest=trees|woodland,river|lake,road")
    assert legend.names == ["forest", "river", "road"]
    assert legend.prompts == [["trees", "woodland"], ["river", "lake"], ["road"]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "no class"),
        (" , ", "no class"),
        ("forest,,road", r"class 2 of 3 \(''\)"),
        ("forest,=trees", "class 2 of 2"),
        ("forest=|trees", "class 1 of 1"),
        ("forest,Forest", "'forest' is named twice"),
        ("forest=trees,trees", "'trees' is named twice"),
        ("forest=trees|Trees", "'trees' is named twice"),
        (",".join(f"class{k}" for k in range(201)), "201 classes"),
        (["forest", "ro\nad"], "control character"),
        ("a=b=c", "two equals signs"),
        ([1, 2], "must be words"),
    ],
)
def test_words_that_make_no_legend(words, said):
    with pytest.raises(LegendError, match=said) as caught:
        from_words(words)
    assert "\n" not in str(caught.value)


def test_colours_are_conventional_and_of_the_word():
    colours = {c.name: c.colour for c in from_words("water,forest,crop field,road,building").classes}
    assert max(colours["water"]) == colours["water"][2]
    assert max(colours["forest"]) == colours["forest"][1]
    assert from_words("trees").classes[0].colour == from_words("forest").classes[0].colour
    assert from_words("dense forest").classes[0].colour == from_words("forest").classes[0].colour
    assert from_words("violin").classes[0].colour == from_words("road,violin").classes[1].colour


@given(st.lists(st.text("abcdefghij", min_size=1, max_size=6), min_size=1, max_size=40, unique=True))
def test_colours_of_one_legend_differ(words):
    colours = [c.colour for c in from_words(words).classes]
    assert len(set(colours)) == len(colours)


def test_two_hundred_classes_have_two_hundred_colours():
    legend = from_words([f"kind {k}" for k in range(200)])
    assert legend.classes[-1].id == 200
    assert len({c.colour for c in legend.classes}) == 200
