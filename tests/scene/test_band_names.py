from __future__ import annotations

import re

import pytest

from lposs_geo.scene.bands import choose
from lposs_geo.testing.scenes import band_facts


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
    found = choose(band_facts(names=names, dtype=dtype, colours=colours))
    assert found.bands == bands
    assert str(found.reason) == (
        "by colour interpretation" if colours and bands == (1, 2, 3) else "by band description"
    )
    infrared = re.compile(".*(nir|inf|инф|podczer|lötesi|υπέρυθρ)|pir|бик|近|근", re.IGNORECASE)
    nir = next((band for band, name in enumerate(names, 1) if infrared.match(name)), None)
    assert nir is None or choose(band_facts(names=names), "nrg").bands[0] == nir


def test_a_band_may_be_asked_for_in_any_language():
    named = band_facts(names=("Blau", "Grün", "Rot", "Nahes Infrarot"))
    for asked in ("rot,grün,blau", "red,green,blue", "ROUGE,vert,bleu", "красный,зелёный,синий", "赤,緑,青", "r,g,b"):
        assert choose(named, asked).bands == (3, 2, 1)
    assert choose(band_facts(names=("blue", "green", "red", "nir")), "PIR,rot,Gru\u0308n").bands == (4, 3, 2)
