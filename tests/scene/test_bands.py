from __future__ import annotations

import re

import numpy as np
import pytest

from lposs_geo.errors import SceneError
from lposs_geo.scene.band_facts import BandFacts
from lposs_geo.scene.bands import PRESETS, by_contrast, choose, is_opacity


def _facts(count: int = 0, *, dtype="uint16", colours=(), names=(), lengths=(), alphas=()) -> BandFacts:
    count = count or max(len(colours), len(names), len(lengths))
    return BandFacts(
        "scene.tif",
        (dtype,) * count,
        tuple(colours) or ("undefined",) * count,
        tuple(names) or ("",) * count,
        tuple(lengths) or (None,) * count,
        tuple(alphas),
    )


S2_10 = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
S2_13 = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
OLI = ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7")
TM = ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7")
SUPERDOVE = ("coastal_blue", "blue", "green_i", "green", "yellow", "red", "rededge", "nir")


@pytest.mark.parametrize(
    ("facts", "bands", "reason"),
    [
        (_facts(colours=("blue", "green", "red", "nir")), (3, 2, 1), "colour interpretation"),
        (_facts(colours=("red", "green", "blue", "alpha"), alphas=(4,)), (1, 2, 3), "colour interpretation"),
        (_facts(names=("Blue", "Green", "Red", "NIR")), (3, 2, 1), "band description"),
        (_facts(names=SUPERDOVE), (6, 4, 2), "band description"),
        (_facts(names=("B8 (nir red)", "B2 (blue)", "B3_green;560nm", "B4, Red")), (4, 3, 2), "band description"),
        (_facts(names=("red edge", "near infrared red", "red", "green", "blue")), (3, 4, 5), "band description"),
        (_facts(names=S2_10), (3, 2, 1), "band name: B4, B3, B2"),
        (_facts(names=S2_13), (4, 3, 2), "band name: B4, B3, B2"),
        (_facts(names=("B4, central wavelength 665 nm", "B3, 560 nm", "B2, 490 nm")), (1, 2, 3), "wavelength"),
        (_facts(names=("SR_B4", "SR_B3", "SR_B2")), (1, 2, 3), "band name: B4, B3, B2"),
        (_facts(names=TM), (3, 2, 1), "band name: B3, B2, B1"),
        (_facts(names=("490.2 Nanometers", "0.56 um", "665nm", "0.842 micrometers")), (3, 2, 1), "wavelength"),
        (_facts(lengths=(443, 482, 561, 655, 865)), (4, 3, 2), "wavelength"),
        (
            _facts(names=[f"Band {b} ({300 + 10 * b} nm)" for b in range(2, 60)]),
            (35, 24, 17),
            "wavelength",
        ),
        (_facts(names=[f"Band {b}" for b in range(2, 60)]), (3, 2, 1), "infrared in this order"),  # no known sensor's
        (_facts(names=("blue", "green", "red"), colours=("red", "green", "blue"), dtype="uint8"), (3, 2, 1), "descrip"),
        (_facts(names=("B02", "B03", "B04"), colours=("red", "green", "blue"), dtype="uint8"), (3, 2, 1), "band name"),
        (_facts(3), (1, 2, 3), "first three"),
        (_facts(4, dtype="uint8"), (1, 2, 3), "first three"),
        (_facts(4), (3, 2, 1), "blue, green, red"),
        (_facts(5, alphas=(5,)), (3, 2, 1), "blue, green, red"),
        (_facts(13), (4, 3, 2), "Sentinel-2"),
        (_facts(names=("Band 1", "Band 2", "Band 3", "Band 4")), (3, 2, 1), "blue, green, red"),  # no hint
    ],
)
def test_red_green_and_blue_are_found(facts, bands, reason):
    found = choose(facts)
    assert found.bands == bands
    assert reason in str(found.reason)


@pytest.mark.parametrize(
    ("preset", "facts", "bands"),
    [
        ("rgb", _facts(4), (3, 2, 1)),
        ("nrg", _facts(colours=("blue", "green", "red", "nir")), (4, 3, 2)),
        ("nrg", _facts(names=("red", "green", "blue", "near infrared")), (4, 1, 2)),
        ("nrg", _facts(names=S2_10), (7, 3, 2)),
        ("nrg", _facts(names=("B2", "B3", "B4", "B8")), (4, 3, 2)),
        ("nrg", _facts(names=TM), (4, 3, 2)),
        ("nrg", _facts(names=OLI[1:]), (4, 3, 2)),
        ("nrg", _facts(lengths=(490, 560, 665, 842)), (4, 3, 2)),
        ("nrg", _facts(4), (4, 3, 2)),
        ("nrg", _facts(4, dtype="uint8"), (4, 1, 2)),
        ("nrg", _facts(10), (7, 3, 2)),
        ("nrg", _facts(13), (8, 4, 3)),
        ("s2", _facts(names=S2_13), (4, 3, 2)),
        ("s2", _facts(4), (3, 2, 1)),
        ("s2", _facts(10), (3, 2, 1)),
        ("s2", _facts(12), (4, 3, 2)),
        ("s2", _facts(13), (4, 3, 2)),
        ("s2", _facts(14, alphas=(1,)), (5, 4, 3)),
        ("naip", _facts(4, dtype="uint8"), (1, 2, 3)),
        ("landsat", _facts(names=TM), (3, 2, 1)),
        ("landsat", _facts(names=OLI), (4, 3, 2)),
        ("landsat", _facts(7), (4, 3, 2)),
        ("landsat", _facts(6), (3, 2, 1)),
        ("planet", _facts(4), (3, 2, 1)),
        ("planet", _facts(8), (6, 4, 2)),
        ("planet", _facts(names=SUPERDOVE), (6, 4, 2)),
        (" S2 ", _facts(12), (4, 3, 2)),
    ],
)
def test_presets_know_the_sensors_orders(preset, facts, bands):
    assert choose(facts, preset).bands == bands


NAMED = _facts(names=("B02", "B03", "B04", "B08, near infrared"), colours=("blue", "green", "undefined", "undefined"))


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
        (_facts(3), (1, 2, 4), "'scene.tif' has no band 4: its bands are 1 to 3"),
        (_facts(3), "-1,2,3", "'scene.tif' has no band -1: its bands are 1 to 3"),
        (
            _facts(names=("B02", "", "B04"), colours=("blue", "green", "undefined")),
            "B4,B3,B9",
            "'scene.tif' has no band 'B3': its bands are 1 to 3 (1 B02, 2 green, 3 B04)",
        ),
        (
            _facts(3),
            "1,2",
            "2 bands are named for 'scene.tif': name three, as red,green,blue, or one to be seen as grey",
        ),
        (_facts(3), "", "'scene.tif' has no band '': its bands are 1 to 3"),
        (_facts(1, alphas=(1,)), None, "'scene.tif' holds nothing but an alpha band: there is no colour to map"),
        (
            _facts(3),
            "nrg",
            "none of the bands of 'scene.tif', 1 to 3, is said to be infrared: name three by number, like bands=4,3,2",
        ),
        (_facts(1), "nrg", "'scene.tif' has no infrared band beside red and green: its bands are 1 to 1"),
        (
            _facts(5),
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
        (_facts(1), None, 1),
        (_facts(2), None, 1),
        (_facts(3, alphas=(1, 2)), None, 3),
        (_facts(6), "5", 5),
        (_facts(6), (5,), 5),
    ],
)
def test_a_single_band_is_grey_and_said_so(facts, asked, band):
    found = choose(facts, asked)
    assert found.bands == (band,) * 3
    (notice,) = map(str, found.notices)
    assert f"is seen as grey, by its band {band}" in notice


def test_the_first_of_several_dates_is_mapped():
    dates = _facts(colours=("blue", "green", "red", "undefined") * 2)
    assert choose(dates).bands == (3, 2, 1)
    assert "2 times, as of several dates" in str(choose(dates).notices[0])
    names = _facts(names=[f"2021-{month}_B{band}" for month in ("03", "08") for band in ("02", "03", "04", "08")])
    assert choose(names).bands == (3, 2, 1)
    assert "2 times" in str(choose(names).notices[0])


@pytest.mark.parametrize(("count", "guess"), [(5, "3, 2, 1"), (8, "3, 2, 1"), (12, "4, 3, 2")])
def test_a_guess_among_many_bands_is_said_to_be_one(count, guess):
    (notice,) = map(str, choose(_facts(count)).notices)
    assert notice == (
        f"'scene.tif' doesn't tell which of its {count} bands are red, green and blue, and {guess} is a guess: "
        "name others with bands"
    )


def test_a_guess_is_turned_round_where_blue_would_have_more_contrast_than_red():
    guess = choose(_facts(8))
    assert by_contrast(guess, "scene.tif", red=100, blue=90) == guess
    assert by_contrast(guess, "scene.tif", red=100, blue=120) == guess
    turned = by_contrast(guess, "scene.tif", red=100, blue=140)
    assert turned.bands == (1, 2, 3)
    assert "since band 1 has more contrast than band 3" in str(turned.notices[0])
    told = choose(_facts(colours=("blue", "green", "red", "nir")))
    assert by_contrast(told, "scene.tif", red=1, blue=9) == told


def test_names_that_contradict_the_tags_are_said():
    (notice,) = map(str, choose(_facts(names=("B02", "B03", "B04"), colours=("red", "green", "blue"))).notices)
    assert notice == "'scene.tif' tags its first bands red, green, blue, but names 3, 2, 1 so: the names are taken"


def test_false_colours_are_turned_round_with_the_guess_they_rest_on():
    guess = choose(_facts(4), "nrg")
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


@pytest.mark.parametrize(
    ("names", "bands"),
    [
        (("Rot", "Grün", "Blau", "NIR"), (1, 2, 3)),
        (("BLAU", "GRUEN", "ROT", "Nahes Infrarot"), (3, 2, 1)),
        (("nahinfraroter Kanal", "roter Kanal", "grüner Kanal", "blauer Kanal"), (2, 3, 4)),
        (("Küstenblau", "Blaukanal", "Grünkanal", "gelb", "Rotkanal", "Rote Kante"), (5, 3, 2)),
        (("Rouge", "Vert", "Bleu", "PIR"), (1, 2, 3)),
        (("proche infrarouge", "bande rouge", "bande verte", "bande bleue", "infrarouge moyen"), (2, 3, 4)),
        (("R", "V", "B", "PIR"), (1, 2, 3)),
        (("azul", "verde", "rojo", "infrarrojo cercano", "borde rojo"), (3, 2, 1)),
        (("Blu", "Verde", "Rosso", "Infrarosso vicino"), (3, 2, 1)),
        (("azul", "verde", "vermelho", "infravermelho próximo"), (3, 2, 1)),
        (("blauw", "groen", "rood", "nabij-infrarood"), (3, 2, 1)),
        (("niebieski", "zielony", "czerwony", "bliska podczerwień"), (3, 2, 1)),
        (("modrá", "zelená", "červená", "blízké infračervené"), (3, 2, 1)),
        (("blå", "grön", "röd", "närinfraröd"), (3, 2, 1)),
        (("blå", "grønn", "rød", "nær infrarød"), (3, 2, 1)),
        (("sininen", "vihreä", "punainen", "lähi-infrapuna"), (3, 2, 1)),
        (("синий", "зелёный", "красный", "ближний инфракрасный"), (3, 2, 1)),
        (("СИНИЙ", "ЗЕЛЕНЫЙ", "КРАСНЫЙ", "БИК"), (3, 2, 1)),
        (("mavi", "yeşil", "KIRMIZI", "yak\u0131n k\u0131z\u0131lötesi"), (3, 2, 1)),
        (("青", "緑", "赤", "近赤外"), (3, 2, 1)),
        (("蓝波段", "绿波段", "红波段", "近红外波段", "红边"), (3, 2, 1)),
        (("파랑", "초록", "빨강", "근적외선"), (3, 2, 1)),
        (("μπλε", "πράσινο", "κόκκινο", "εγγύς υπέρυθρο"), (3, 2, 1)),
        (("kék", "zöld", "vörös", "közeli infravörös"), (3, 2, 1)),
        (("Blau", "Gru\u0308n", "Rot", "NIR"), (3, 2, 1)),  # letter by letter
        (("blueBand", "greenBand", "redBand", "nirBand"), (3, 2, 1)),
    ],
)
@pytest.mark.parametrize("dtype", ["uint16", "uint8"])
def test_names_in_many_languages(names, bands, dtype):
    colours = ("red", "green", "blue", *("undefined",) * (len(names) - 3)) if dtype == "uint8" else ()
    found = choose(_facts(names=names, dtype=dtype, colours=colours))
    assert found.bands == bands
    assert str(found.reason) == (
        "by colour interpretation" if colours and bands == (1, 2, 3) else "by band description"
    )
    infrared = re.compile(".*(nir|inf|инф|podczer|lötesi|υπέρυθρ)|pir|бик|近|근", re.IGNORECASE)
    nir = next((band for band, name in enumerate(names, 1) if infrared.match(name)), None)
    assert nir is None or choose(_facts(names=names), "nrg").bands[0] == nir


def test_a_band_may_be_asked_for_in_any_language():
    named = _facts(names=("Blau", "Grün", "Rot", "Nahes Infrarot"))
    for asked in ("rot,grün,blau", "red,green,blue", "ROUGE,vert,bleu", "красный,зелёный,синий", "赤,緑,青", "r,g,b"):
        assert choose(named, asked).bands == (3, 2, 1)
    assert choose(_facts(names=("blue", "green", "red", "nir")), "PIR,rot,Gru\u0308n").bands == (4, 3, 2)


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
    found = choose(_facts(names=names))
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
        str, choose(_facts(names=("NIR", "Red", "Green"), colours=("red", "green", "blue"), dtype="uint8")).notices
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
    assert choose(_facts(names=names)).notices == ()
    assert choose(_facts(names=names, colours=("red", "green", "blue"), dtype="uint8")).notices == ()


def test_the_one_band_that_is_not_understood_is_the_missing_colour():
    found = choose(_facts(names=("Azul", "Verde", "Rjo", "NIR", "SWIR")))
    assert found.bands == (3, 2, 1)
    assert tuple(map(str, found.notices)) == (
        "'scene.tif' names no band red, and 3 is taken, since the others are named: name others with bands",
    )
