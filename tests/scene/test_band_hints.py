from __future__ import annotations

import pytest

from lposs_geo.scene.bands import choose
from lposs_geo.testing.scenes import band_facts


def test_the_first_of_several_dates_is_mapped():
    dates = band_facts(colours=("blue", "green", "red", "undefined") * 2)
    assert choose(dates).bands == (3, 2, 1)
    assert "2 times, as of several dates" in str(choose(dates).notices[0])
    names = band_facts(names=[f"2021-{month}_B{band}" for month in ("03", "08") for band in ("02", "03", "04", "08")])
    assert choose(names).bands == (3, 2, 1)
    assert "2 times" in str(choose(names).notices[0])


def test_names_that_contradict_the_tags_are_said():
    (notice,) = map(str, choose(band_facts(names=("B02", "B03", "B04"), colours=("red", "green", "blue"))).notices)
    assert notice == "'scene.tif' tags its first bands red, green, blue, but names 3, 2, 1 so: the names are taken"


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("Foo", "Bar", "Baz"), "1, 2, 3"),
        (("Foo", "Bar", "Baz", "Qux"), "3, 2, 1"),
        (("Foo", "Bar", "Baz", "Qux", "Quux"), "3, 2, 1"),
        (("NIR", "Rot", "Grün"), "1, 2, 3"),
        (("B5", "B4", "B3"), "1, 2, 3"),
        (("mean", "", ""), None),
    ],
)
def test_a_guess_beside_names_that_are_not_understood_is_said(names, order):
    found = choose(band_facts(names=names))
    if order is None:
        assert found.notices == ()
        return
    shown = ", ".join(f"'{name}'" for name in names if name)
    assert tuple(map(str, found.notices)) == (
        f"'scene.tif' names its bands {shown}, which doesn't tell red, green and blue, and {order} is a guess: "
        "name others with bands",
    )


def test_tags_beside_names_that_say_something_else_are_said():
    (notice,) = map(
        str, choose(band_facts(names=("NIR", "Red", "Green"), colours=("red", "green", "blue"), dtype="uint8")).notices
    )
    assert notice == (
        "'scene.tif' names its bands 'NIR', 'Red', 'Green', but tags 1, 2, 3 red, green and blue, which are taken: "
        "name others with bands"
    )


@pytest.mark.parametrize(
    "names",
    [
        ("Band 1", "Band 2", "Band 3"),
        ("Layer_1", "Layer_2", "Layer_3"),
        ("band_0", "band_1", "band_2"),
        ("ortho.tif: 1", "ortho.tif: 2", "ortho.tif: 3"),
        ("ortho", "ortho", "ortho"),
        ("Gray", "", ""),
        ("1", "2", "3"),
        ("Kanal 1", "Kanal 2", "Kanal 3"),
        ("", "", ""),
    ],
)
def test_names_that_say_nothing_are_no_matter(names):
    assert choose(band_facts(names=names)).notices == ()
    assert choose(band_facts(names=names, colours=("red", "green", "blue"), dtype="uint8")).notices == ()


def test_the_one_band_that_is_not_understood_is_the_missing_colour():
    found = choose(band_facts(names=("Azul", "Verde", "Rjo", "NIR", "SWIR")))
    assert found.bands == (3, 2, 1)
    assert tuple(map(str, found.notices)) == (
        "'scene.tif' names no band red, and 3 is taken, since the others are named: name others with bands",
    )
