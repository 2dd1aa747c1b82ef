from __future__ import annotations

import re

import numpy as np
import pytest

from lposs_geo.errors import SceneError
from lposs_geo.scene.bands import PRESETS, by_contrast, choose, is_opacity
from lposs_geo.testing.scenes import band_facts

S2_10 = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")


S2_13 = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")


OLI = ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7")


TM = ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7")


SUPERDOVE = ("coastal_blue", "blue", "green_i", "green", "yellow", "red", "rededge", "nir")


@pytest.mark.parametrize(
    ("facts", "bands", "reason"),
    [
        (band_facts(colours=("blue", "green", "red", "nir")), (3, 2, 1), "colour interpretation"),
        (band_facts(colours=("red", "green", "blue", "alpha"), alphas=(4,)), (1, 2, 3), "colour interpretation"),
        (band_facts(names=("Blue", "Green", "Red", "NIR")), (3, 2, 1), "band description"),
        (band_facts(names=SUPERDOVE), (6, 4, 2), "band description"),
        (band_facts(names=("B8 (nir red)", "B2 (blue)", "B3_green;560nm", "B4, Red")), (4, 3, 2), "band description"),
        (band_facts(names=("red edge", "near infrared red", "red", "green", "blue")), (3, 4, 5), "band description"),
        (band_facts(names=S2_10), (3, 2, 1), "band name: B4, B3, B2"),
        (band_facts(names=S2_13), (4, 3, 2), "band name: B4, B3, B2"),
        (band_facts(names=("B4, central wavelength 665 nm", "B3, 560 nm", "B2, 490 nm")), (1, 2, 3), "wavelength"),
        (band_facts(names=("SR_B4", "SR_B3", "SR_B2")), (1, 2, 3), "band name: B4, B3, B2"),
        (band_facts(names=TM), (3, 2, 1), "band name: B3, B2, B1"),
        (band_facts(names=("490.2 Nanometers", "0.56 um", "665nm", "0.842 micrometers")), (3, 2, 1), "wavelength"),
        (band_facts(lengths=(443, 482, 561, 655, 865)), (4, 3, 2), "wavelength"),
        (
            band_facts(names=[f"Band {b} ({300 + 10 * b} nm)" for b in range(2, 60)]),
            (35, 24, 17),
            "wavelength",
        ),
        (
            band_facts(names=[f"Band {b}" for b in range(2, 60)]),
            (3, 2, 1),
            "infrared in this order",
        ),  # no known sensor's
        (
            band_facts(names=("blue", "green", "red"), colours=("red", "green", "blue"), dtype="uint8"),
            (3, 2, 1),
            "descrip",
        ),
        (
            band_facts(names=("B02", "B03", "B04"), colours=("red", "green", "blue"), dtype="uint8"),
            (3, 2, 1),
            "band name",
        ),
        (band_facts(3), (1, 2, 3), "first three"),
        (band_facts(4, dtype="uint8"), (1, 2, 3), "first three"),
        (band_facts(4), (3, 2, 1), "blue, green, red"),
        (band_facts(5, alphas=(5,)), (3, 2, 1), "blue, green, red"),
        (band_facts(13), (4, 3, 2), "Sentinel-2"),
        (band_facts(names=("Band 1", "Band 2", "Band 3", "Band 4")), (3, 2, 1), "blue, green, red"),  # no hint
    ],
)
def test_red_green_and_blue_are_found(facts, bands, reason):
    found = choose(facts)
    assert found.bands == bands
    assert reason in str(found.reason)


@pytest.mark.parametrize(
    ("preset", "facts", "bands"),
    [
        ("rgb", band_facts(4), (3, 2, 1)),
        ("nrg", band_facts(colours=("blue", "green", "red", "nir")), (4, 3, 2)),
        ("nrg", band_facts(names=("red", "green", "blue", "near infrared")), (4, 1, 2)),
        ("nrg", band_facts(names=S2_10), (7, 3, 2)),
        ("nrg", band_facts(names=("B2", "B3", "B4", "B8")), (4, 3, 2)),
        ("nrg", band_facts(names=TM), (4, 3, 2)),
        ("nrg", band_facts(names=OLI[1:]), (4, 3, 2)),
        ("nrg", band_facts(lengths=(490, 560, 665, 842)), (4, 3, 2)),
        ("nrg", band_facts(4), (4, 3, 2)),
        ("nrg", band_facts(4, dtype="uint8"), (4, 1, 2)),
        ("nrg", band_facts(10), (7, 3, 2)),
        ("nrg", band_facts(13), (8, 4, 3)),
        ("s2", band_facts(names=S2_13), (4, 3, 2)),
        ("s2", band_facts(4), (3, 2, 1)),
        ("s2", band_facts(10), (3, 2, 1)),
        ("s2", band_facts(12), (4, 3, 2)),
        ("s2", band_facts(13), (4, 3, 2)),
        ("s2", band_facts(14, alphas=(1,)), (5, 4, 3)),
        ("naip", band_facts(4, dtype="uint8"), (1, 2, 3)),
        ("landsat", band_facts(names=TM), (3, 2, 1)),
        ("landsat", band_facts(names=OLI), (4, 3, 2)),
        ("landsat", band_facts(7), (4, 3, 2)),
        ("landsat", band_facts(6), (3, 2, 1)),
        ("planet", band_facts(4), (3, 2, 1)),
        ("planet", band_facts(8), (6, 4, 2)),
        ("planet", band_facts(names=SUPERDOVE), (6, 4, 2)),
        (" S2 ", band_facts(12), (4, 3, 2)),
    ],
)
def test_presets_know_the_sensors_orders(preset, facts, bands):
    assert choose(facts, preset).bands == bands


NAMED = band_facts(
    names=("B02", "B03", "B04", "B08, near infrared"), colours=("blue", "green", "undefined", "undefined")
)


@pytest.mark.parametrize(
    ("asked", "bands"),
    [
        ("4,3,2", (4, 3, 2)),
        ((4, 1, 1), (4, 1, 1)),
        (["4", "b03", 1], (4, 2, 1)),
        ("B4, B3, B2", (3, 2, 1)),
        ("band 4,B03,SR_B2", (3, 2, 1)),
        ("red,green,blue", (3, 2, 1)),
        ("nir,red,g", (4, 3, 2)),
    ],
)
def test_bands_by_number_and_by_name(asked, bands):
    found = choose(NAMED, asked)
    assert (found.bands, str(found.reason), found.notices) == (bands, "as asked", ())


@pytest.mark.parametrize(
    ("facts", "asked", "said"),
    [
        (band_facts(3), (1, 2, 4), "'scene.tif' has no band 4: its bands are 1 to 3"),
        (band_facts(3), "-1,2,3", "'scene.tif' has no band -1: its bands are 1 to 3"),
        (
            band_facts(names=("B02", "", "B04"), colours=("blue", "green", "undefined")),
            "B4,B3,B9",
            "'scene.tif' has no band 'B3': its bands are 1 to 3 (1 B02, 2 green, 3 B04)",
        ),
        (
            band_facts(3),
            "1,2",
            "2 bands are named for 'scene.tif': name three, as red,green,blue, or one to be seen as grey",
        ),
        (band_facts(3), "", "'scene.tif' has no band '': its bands are 1 to 3"),
        (band_facts(1, alphas=(1,)), None, "'scene.tif' holds nothing but an alpha band: there is no colour to map"),
        (
            band_facts(3),
            "nrg",
            "none of the bands of 'scene.tif', 1 to 3, is said to be infrared: name three by number, like bands=4,3,2",
        ),
        (band_facts(1), "nrg", "'scene.tif' has no infrared band beside red and green: its bands are 1 to 1"),
        (
            band_facts(5),
            "s2",
            "'scene.tif' has 5 bands without names, and Sentinel-2's order is known for 4, 6, 10, 12, 13: name three "
            "by number, as red,green,blue",
        ),
    ],
)
def test_bands_that_cannot_be_chosen(facts, asked, said):
    with pytest.raises(SceneError, match=f"^{re.escape(said)}$"):
        choose(facts, asked)


@pytest.mark.parametrize(
    ("facts", "asked", "band"),
    [
        (band_facts(1), None, 1),
        (band_facts(2), None, 1),
        (band_facts(3, alphas=(1, 2)), None, 3),
        (band_facts(6), "5", 5),
        (band_facts(6), (5,), 5),
    ],
)
def test_a_single_band_is_grey_and_said_so(facts, asked, band):
    found = choose(facts, asked)
    assert found.bands == (band,) * 3
    (notice,) = map(str, found.notices)
    assert f"is seen as grey, by its band {band}" in notice


@pytest.mark.parametrize(("count", "guess"), [(5, "3, 2, 1"), (8, "3, 2, 1"), (12, "4, 3, 2")])
def test_a_guess_among_many_bands_is_said_to_be_one(count, guess):
    (notice,) = map(str, choose(band_facts(count)).notices)
    assert notice == (
        f"'scene.tif' doesn't tell which of its {count} bands are red, green and blue, and {guess} is a guess: "
        "name others with bands"
    )


def test_a_guess_is_turned_round_where_blue_would_have_more_contrast_than_red():
    guess = choose(band_facts(8))
    assert by_contrast(guess, "scene.tif", red=100, blue=90) == guess
    assert by_contrast(guess, "scene.tif", red=100, blue=120) == guess
    turned = by_contrast(guess, "scene.tif", red=100, blue=140)
    assert turned.bands == (1, 2, 3)
    assert "since band 1 has more contrast than band 3" in str(turned.notices[0])
    told = choose(band_facts(colours=("blue", "green", "red", "nir")))
    assert by_contrast(told, "scene.tif", red=1, blue=9) == told


def test_false_colours_are_turned_round_with_the_guess_they_rest_on():
    guess = choose(band_facts(4), "nrg")
    assert (guess.bands, guess.guessed) == ((4, 3, 2), (3, 2, 1))
    assert by_contrast(guess, "scene.tif", red=100, blue=140).bands == (4, 1, 2)


def test_alpha_is_told_from_infrared_tagged_alpha():
    rng = np.random.default_rng(0)
    assert is_opacity(np.repeat(np.array([0, 255], "uint8"), 500))
    assert is_opacity(np.full(100, 65535, "uint16"))
    assert is_opacity(np.zeros(100, "uint8"))
    soft = np.full(1000, 255, "uint8")
    soft[:200] = rng.integers(1, 255, 200)
    assert is_opacity(soft)
    infrared = rng.integers(40, 200, 1000).astype("uint8")
    assert not is_opacity(infrared)
    infrared[:600] = 0  # a frame
    assert not is_opacity(infrared)


def test_presets_are_those_that_are_documented():
    assert list(PRESETS) == ["rgb", "nrg", "s2", "naip", "landsat", "planet"]
