# ruff: noqa: RUF001 - letters that look like others are the matter here

from __future__ import annotations

import unicodedata

import pytest

from lposs_geo.errors import LegendError
from lposs_geo.legend.building import from_words
from lposs_geo.legend.legend import Legend

WATER_FOREST = [
    "water;forest",
    "water，forest",
    "water；forest",
    "water、 forest",
    "water، forest",
    "water\nforest",
    "\ufeff water\r\n\r\n forest \r\n",
    "water\tforest",
    "water; forest;",
    '["water", "forest"]',
    "['water', 'forest',]",
    '("water", "forest")',
    'c("water", "forest")',
    "{water, forest}",
    "[water; forest]",
    '"water" "forest"',
    "“water”, „forest“",
    "“water,” “forest,”",
    "1. water\n2. forest",
    "1) water, 2) forest",
    "1\twater\n2\tforest",
    "a) water; b) forest",
    "- water\n- forest",
    "• water • forest",
    "water =water，forest＝forest",
    "water , forest ;",
]


@pytest.mark.parametrize("text", WATER_FOREST)
def test_lists_as_people_write_them(text, caplog):
    assert from_words("water , forest,") == from_words("water,\nforest,\n") == from_words("water,forest")
    assert not caplog.text
    assert from_words(text) == from_words("water,forest")
    assert "the list of classes was read as 2: 'water', 'forest'" in caplog.text


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('"crop, field",water', ["crop, field", "water"]),
        ("'crop; field';water", ["crop; field", "water"]),
        ("„Acker, Wiese“; Wald", ["Acker, Wiese", "Wald"]),
        ("«champ, pré», forêt", ["champ, pré", "forêt"]),
        ('["crop, field", "a \\"b\\" c"]', ["crop, field", 'a "b" c']),
        ('"a ""b"", c",d', ['a "b", c', "d"]),
        ("crop (wheat, maize), water", ["crop (wheat, maize)", "water"]),
        ("(old, dense) forest,(open) forest", ["(old, dense) forest", "(open) forest"]),
        ("farmers' fields, lovers' lanes", ["farmers' fields", "lovers' lanes"]),
        ("'t veld, l'eau", ["'t veld", "l'eau"]),
        ("1.5 m grass, 2 m hedge", ["1.5 m grass", "2 m hedge"]),
        ("2. growth, water", ["2. growth", "water"]),
        ("crop\u00a0field,\u3000water", ["crop field", "water"]),
        ("森林＝树木｜林地，水", ["森林", "水"]),
        ("زمین\u200cهای کشاورزی،آب", ["زمین\u200cهای کشاورزی", "آب"]),
        ("क्\u200dषेत्र,खेत", ["क्\u200dषेत्र", "खेत"]),
        ("പാല്\u200d,b", ["പാല്\u200d", "b"]),
        ("cafe\u0301,b", ["caf\u00e9", "b"]),
    ],
)
def test_what_belongs_to_a_word(text, names):
    legend = from_words(text)
    assert legend.names == names
    assert Legend.from_dict(legend.as_dict()) == legend


def test_quoted_synonyms():
    (field, water) = from_words('field="crop, field"|farm, water').classes
    assert (field.name, field.prompts, water.name) == ("field", ("crop, field", "farm"), "water")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("caf\u00e9,cafe\u0301", "named twice"),
        ("crop field,Crop  Field", "named twice"),
        ("unknown,b", "may be called 'unknown'"),
        ("Unknown=forest,b", "may be called 'Unknown'"),
        ("no data=x,b", "may be called 'no data'"),
        ("NoData,b", "may be called 'NoData'"),
        ("a\u202eb,c", r"U\+202E"),
        ("a\u200c,b", r"U\+200C"),
        ("\u200d,b", r"U\+200D"),
        ("a\u200d\u200db,c", r"U\+200D"),
        ("a\u200bb,c", r"U\+200B"),
        ("a\udcffb,c", r"U\+DCFF"),
        ("x" * 1001, "longer than 1000 letters"),
        ("x," * 130_000, "write a legend file"),
        ('"water, forest', "never closed"),
        ('["water", "forest"', "bracket too many"),
        ("[[water],[forest]]", "bracket too many"),
        ("[" * 5000, "bracket too many"),
        ("[1, 2]", r"must be words, not \[1, 2\]"),
        ('{"water": "lake"}', "must be words"),
        ("[]", "no class"),
        ("water;;forest", r"class 2 of 3 \(''\)"),
        ("a\x1b==b", "two equals signs"),
    ],
)
def test_lists_that_are_none(text, said):
    with pytest.raises(LegendError, match=said) as caught:
        from_words(text)
    assert str(caught.value).isprintable()


def test_every_comma_and_semicolon_parts_classes():
    marks = [
        letter
        for letter in map(chr, range(0x20000))
        if {"COMMA", "SEMICOLON"} & set(unicodedata.name(letter, "").split()) and unicodedata.category(letter) == "Po"
    ]
    assert len(marks) > 30
    assert all(len(from_words(f"a{mark}b")) == 2 for mark in marks)
