from __future__ import annotations

import pytest

from lposs_geo.errors import defect, escaped, one_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("two\nlines,\ttabs  and\x85more\u2028signs", "two lines, tabs and more signs"),
        ("\x1b[2Jgone\x07", r"\x1b[2Jgone\x07"),
        ("null \x00, delete \x7f, \x9b", r"null \x00, delete \x7f, \x9b"),
        ("turned \u202egnp.exe", r"turned \u202egnp.exe"),
        ("f\udcfc", r"f\xfc"),
        ("Größe, नीला\u200d, 湖", "Größe, नीला\u200d, 湖"),
        ("", ""),
    ],
)
def test_any_text_is_one_line_that_can_be_shown(text, line):
    assert one_line(text) == line
    assert one_line(line) == line


def test_names_that_are_not_utf8_are_shown_by_their_bytes():
    assert escaped("gr\udcfcn.tif") == r"gr\xfcn.tif"
    assert escaped("\ud800") == r"\ud800"


def test_a_defect_is_one_line():
    assert defect(KeyError("a\nb")).startswith(r"unexpected KeyError: 'a\nb' (a defect: please report it")
