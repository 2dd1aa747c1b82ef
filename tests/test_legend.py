from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lposs_geo.errors import LegendError
from lposs_geo.legend import Legend, from_words, read_legend


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
        (",".join(f"class{k}" for k in range(201)), "201 classes"),
        ("forest,ro\nad", "control character"),
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


def test_a_legend_file(tmp_path):
    file = tmp_path / "legend.toml"
    trees = '[[classes]]\nname = "Trees"\nprompts = ["forest", "woodland"]\ncolour = "#1c6236"\n'
    file.write_text(trees + '[[classes]]\nname = "Größe"\n', encoding="utf-8-sig")
    legend = read_legend(file)
    assert Legend.from_dict(legend.as_dict()) == legend
    assert legend.names == ["Trees", "Größe"]
    assert legend.prompts == [["forest", "woodland"], ["Größe"]]
    assert legend.classes[0].colour == (28, 98, 54)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no .*classes"),
        ("classes = 3", "no .*classes"),
        ("[[classes]\n", "not valid TOML"),
        ('[[classes]]\nprompts = ["x"]', "class 1 .* has no name"),
        ('[[classes]]\nname = "a"\ncolor = "#000000"', "unknown key 'color'"),
        ('[[classes]]\nname = "a"\ncolour = "red"', "must look like"),
        ('[[classes]]\nname = "a"\ncolour = "#gggggg"', "must look like"),
        ('[[classes]]\nname = "a"\ncolour = "#+1+2+3"', "must look like"),
        ('[[classes]]\nname = "a"\nprompts = []', "prompts must be a list"),
        ('[[classes]]\nname = "a"\n[[classes]]\nname = "A"', "named twice"),
    ],
)
def test_legend_files_that_are_none(tmp_path, text, said):
    file = tmp_path / "legend.toml"
    file.write_text(text)
    with pytest.raises(LegendError, match=said):
        read_legend(file)


def test_a_legend_file_that_is_not_there(tmp_path):
    with pytest.raises(LegendError, match=r"none\.toml"):
        read_legend(tmp_path / "none.toml")
