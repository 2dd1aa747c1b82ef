from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lposs_geo.errors import LegendError
from lposs_geo.legend.building import from_words
from lposs_geo.legend.legend import LandClass, Legend
from lposs_geo.legend.toml_files import PRESETS, find_legend, preset, read_legend, to_toml
from lposs_geo.legend.words import key, tidy


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
        ('[[classes]]\nname = "a"\nprompts = ["x", " "]', r"class 1 .*legend\.toml' \('a'\): prompts must be a list"),
        ('[[classes]]\nname = "a"\nprompts = ["x", "x"]', "named twice"),
        ('[[classes]]\nname = "a"\nnegatives = "b"', r"class 1 .*legend\.toml' \('a'\): negatives must be a list"),
        ('[[classes]]\nname = "a"\nnegatives = [1]', "negatives must be a list"),
        (
            '[[classes]]\nname = "a"\nnegatives = ["A"]',
            r"'a' is a prompt and a negative of class 'a' in .*legend\.toml",
        ),
        (
            '[[classes]]\nname = "a"\nnegatives = ["b", "B"]',
            r"'b' is named twice in the negatives of class 'a' in .*toml",
        ),
        (
            '[[classes]]\nname = "a"\nnegatives = ["b\\u0007"]',
            r"class 'a' in .*legend\.toml' holds .* control character",
        ),
        ('[[classes]]\nname = "a"\ncode = -1', r"class 1 .*legend\.toml' \('a'\): code -1 must be a whole number"),
        ('[[classes]]\nname = "a"\ncode = 1.0', "code 1.0 must be"),
        ('[[classes]]\nname = "a"\ncode = true', "code True must be"),
        ('[[classes]]\nname = "a"\ncode = "1"', "code '1' must be"),
        (
            '[[classes]]\nname = "a"\ncode = 1\n[[classes]]\nname = "b"\ncode = 1',
            r"code 1 .* both 'a' and 'b' in .*toml",
        ),
        ('title = 3\n[[classes]]\nname = "a"', "title must be text"),
        ('source = "a\\nb"\n[[classes]]\nname = "a"', "source must be text on one line"),
        ('titel = "x"\n[[classes]]\nname = "a"', "unknown key 'titel'"),
        ('[[classes]]\nname = "a"\n[[classes]]\nname = "A"', "named twice"),
    ],
)
def test_legend_files_that_are_none(tmp_path, text, said):
    file = tmp_path / "legend.toml"
    file.write_text(text)
    with pytest.raises(LegendError, match=said) as caught:
        read_legend(file)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_legend_file_that_is_not_there(tmp_path):
    with pytest.raises(LegendError, match=r"none\.toml"):
        read_legend(tmp_path / "none.toml")


def _file(tmp_path, content):
    file = tmp_path / "legend.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


CLASS = '[[classes]]\nname = "a"\n'
HOSTILE = {
    "nested arrays": "a = " + "[" * 5000,
    "nested tables": "a = " + "{a=" * 5000,
    "a dotted name": ".".join("a" * 200_000) + " = 1",
    "a code of 5000 digits": CLASS + "code = " + "9" * 5000,
    "a code of 5000 hexadecimal digits": CLASS + "code = 0x" + "f" * 5000,
    "a code of 4000 digits": CLASS + "code = " + "9" * 4000,
    "a nested colour": CLASS + "colour = " + "[" * 100 + "]" * 100,
    "a date that is none": CLASS + "code = 2020-13-45",
    "not UTF-8": CLASS.encode() + "title = 'Größe'".encode("latin-1"),
    "UTF-16": CLASS.encode("utf-16"),
    "a NUL": CLASS + "\0",
    "too large": CLASS + "#" * 1_000_000,
    "a long name": CLASS + '[[classes]]\nname = "' + "x" * 1001 + '"',
    "a long key": CLASS + "x" * 5000 + " = 1",
    "a key that can't be printed": CLASS + '"\\u202e" = 1',
    "a reserved name": '[[classes]]\nname = "UNKNOWN"',
    "two spellings of a letter": '[[classes]]\nname = "caf\u00e9"\n[[classes]]\nname = "cafe\u0301"',
    "a title that can't be printed": 'title = "\\u202e"\n' + CLASS,
    "many negatives": CLASS + "negatives = [" + ",".join(f'"{k}"' for k in range(60_000)) + ', "1"]',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_legend_files_are_one_line(tmp_path, kind):
    file = _file(tmp_path, HOSTILE[kind])
    with pytest.raises(LegendError) as caught:
        read_legend(file)
    said = str(caught.value)
    assert said.isprintable() and len(said) < 600
    assert str(file) in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files there")
def test_legends_come_from_small_regular_files_only(tmp_path):
    os.mkfifo(tmp_path / "fifo.toml")
    for path, said in ((tmp_path / "fifo.toml", "pipe"), ("/dev/zero", "device"), (tmp_path, "a folder")):
        with pytest.raises(LegendError, match=f"is .*{said}"):
            find_legend(path)
    for name in ("x" * 5000, "a\0b", "a\nb", "\udcff.toml"):
        with pytest.raises(LegendError) as caught:
            find_legend(name)
        assert str(caught.value).isprintable()
    for link in ("to a file", "to nothing"):
        (tmp_path / link).symlink_to(tmp_path / "legend.toml" if link == "to a file" else tmp_path / "none")
    _file(tmp_path, CLASS)
    assert find_legend(tmp_path / "to a file").names == ["a"]
    with pytest.raises(LegendError, match="no legend file"):
        find_legend(tmp_path / "to nothing")


def test_negatives_and_codes(tmp_path):
    file = tmp_path / "legend.toml"
    file.write_text(
        'title = "Lakes"\nsource = "survey of 2020"\n'
        '[[classes]]\nname = "Lake"\nprompts = ["water"]\nnegatives = ["shadow", "solar panel"]\ncode = 0\n'
        '[[classes]]\nname = "Shadow"\nnegatives = ["water"]\ncode = 70000\n'
    )
    legend = read_legend(file)
    assert (legend.title, legend.source) == ("Lakes", "survey of 2020")
    assert legend.negatives == [["shadow", "solar panel"], ["water"]]
    assert [c.code for c in legend.classes] == [0, 70000]
    assert Legend.from_dict(json.loads(json.dumps(legend.as_dict()))) == legend
    assert from_words("forest").negatives == [[]]
    assert from_words("forest").classes[0].code is None


def test_colours_that_are_given_stand(tmp_path):
    file = tmp_path / "legend.toml"
    file.write_text('[[classes]]\nname = "water"\n[[classes]]\nname = "forest"\ncolour = "#3e78c0"\n')
    water, forest = (c.colour for c in read_legend(file).classes)
    assert forest == (62, 120, 192)
    assert water != forest
    assert max(water) == water[2]


CLASSES = {
    "worldcover": (11, [10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100]),
    "corine1": (5, [1, 2, 3, 4, 5]),
    "loveda": (7, [1, 2, 3, 4, 5, 6, 7]),
    "openearthmap": (8, [1, 2, 3, 4, 5, 6, 7, 8]),
    "dynamicworld": (9, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name, tmp_path):
    legend = preset(name)
    assert (len(legend), [c.code for c in legend.classes]) == CLASSES[name]
    assert legend.title
    assert legend.source.startswith("https://")
    assert len({c.colour for c in legend.classes}) == len(legend)
    assert all("background" not in prompts for prompts in legend.prompts)
    assert find_legend(name) == find_legend(name.upper()) == legend
    file = tmp_path / "copy.toml"
    file.write_text(to_toml(legend), encoding="utf-8")
    assert find_legend(file) == find_legend(str(file)) == legend


def test_official_names_and_colours():
    trees = preset("worldcover").classes[0]
    assert (trees.name, trees.hex_colour, trees.code) == ("Tree cover", "#006400", 10)
    assert preset("dynamicworld").classes[-1].hex_colour == "#b39fe1"
    assert preset("openearthmap").names[2] == "Developed space"


def test_neither_a_preset_nor_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LegendError, match="no legend is called 'corine': the presets are worldcover, corine1,"):
        preset("corine")
    for name in ("corine", Path("worldcover")):
        with pytest.raises(LegendError, match=f"no legend file '{name}', and no preset .* worldcover, corine1,"):
            find_legend(name)
    Path("worldcover").write_text('[[classes]]\nname = "a"\n')
    assert len(find_legend("./worldcover")) == len(find_legend(Path("worldcover"))) == 1
    assert len(find_legend("worldcover")) == 11


WORDS = st.text(st.characters(codec="utf-8"), max_size=8).map(tidy).filter(str.isprintable)
NAMES = WORDS.filter(lambda text: text and text.casefold() not in ("unknown", "nodata"))


@st.composite
def legends(draw):
    words = draw(st.lists(NAMES, min_size=2, max_size=12, unique_by=key))
    classes = [
        LandClass(
            place,
            words[2 * place - 2],
            (words[2 * place - 1],),
            draw(st.tuples(*[st.integers(0, 255)] * 3)),
            tuple(word for word in words[: 2 * place - 2]),
            draw(st.none() | st.just(place)),
        )
        for place in range(1, len(words) // 2 + 1)
    ]
    return Legend(tuple(classes), draw(WORDS), draw(WORDS))


@given(legends())
def test_a_legend_survives_its_file(tmp_path_factory, legend):
    file = tmp_path_factory.getbasetemp() / "legend.toml"
    file.write_text(to_toml(legend), encoding="utf-8")
    assert read_legend(file) == legend
    assert Legend.from_dict(legend.as_dict()) == legend
