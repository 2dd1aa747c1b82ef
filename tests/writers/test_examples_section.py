from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from lposs_geo.examples.agreement import Agreement, ClassAgreement
from lposs_geo.examples.changes import BECAME_UNKNOWN, Change, Changes
from lposs_geo.legend.building import from_words
from lposs_geo.writers.examples_section import MOST_ROWS, Effect, changes_picture, examples_section

LEGEND = from_words("forest,grass,water")
AGREEMENT = Agreement((ClassAgreement("forest", 3, 1, 3, 2, 1), ClassAgreement("water", 2, 2, 2, 0, 0)), True)
CHANGES = Changes((Change("forest", "grass", 3e4, 0.3), Change("water", "unknown", 1e3, 0.01)), 3.1e4, 0.31)
IMAGE = np.random.default_rng(0).random((3, 40, 60), dtype=np.float32)
LABELS = np.full((40, 60), 2, np.uint8)


def _section(effect, image=IMAGE, labels=LABELS):
    return examples_section(effect, image, labels, LEGEND, has_crs=True)


def test_nothing_known_is_no_section():
    assert _section(Effect(None)) is None
    assert _section(Effect(Agreement((), False))) is None


def test_rows_bear_colours_and_sums():
    section = _section(Effect(AGREEMENT, CHANGES, np.ones_like(LABELS)))
    assert section.sentence.startswith(
        "3 of 5 examples agreed before, 5 after, 1 of 2 left out; 31.0\N{NO-BREAK SPACE}%"
    )
    assert section.sentence.endswith(".")
    assert [(row.name, row.before, row.after, row.left_out) for row in section.agreements] == [
        *(("forest", 1, 3, "1 of 2"), ("water", 2, 2, None)),
    ]
    assert (section.total.examples, section.total.left_out) == (5, "1 of 2")
    assert section.agreements[0].colour == LEGEND.classes[0].hex_colour
    assert [(row.before, row.after, row.area, row.share) for row in section.changes] == [
        *(("forest", "grass", "3.000", "30.0%"), ("water", "unknown", "0.100", "1.0%")),
    ]
    assert (section.area, section.share, section.unit, section.more) == ("3.100", "31.0%", "ha", 0)
    assert [text.split(",")[0] for _, text in section.pictures] == ["Earlier map", "This map", "Changes"]


def test_without_an_earlier_map_there_are_neither_changes_nor_pictures():
    section = _section(Effect(AGREEMENT))
    assert (section.changes, section.pictures) == ((), ())
    assert section.total is not None


def test_without_changes_there_is_nothing_to_show():
    section = _section(Effect(None, Changes((), 0.0, 0.0), LABELS))
    assert (section.sentence, section.pictures, section.total) == ("Nothing changed.", (), None)


def test_of_very_many_changes_the_largest_are_listed():
    pairs = tuple(Change(f"class {number}", "grass", 10.0, 0.01) for number in range(MOST_ROWS + 3))
    section = _section(Effect(None, Changes(pairs, 300.0, 0.3), np.ones_like(LABELS)))
    assert (len(section.changes), section.more) == (MOST_ROWS, 3)


def test_the_picture_shows_the_later_class_over_a_faded_scene():
    changed = np.zeros((40, 60), np.uint8)
    changed[:10, :10], changed[10, 10], changed[30:, 50:] = 3, BECAME_UNKNOWN, 255
    shown = changes_picture(IMAGE, changed, LEGEND)
    assert (shown[:10, :10] == LEGEND.classes[2].colour).all()
    assert (shown[10, 10] == 0).all()
    assert (shown[30:, 50:] == 255).all()
    rest = shown[changed == 0]
    assert rest.min() > 180 and np.ptp(rest, axis=1).max() == 0


def test_a_reduced_picture_loses_no_change():
    changed = np.zeros((41, 60), np.uint8)
    changed[17, 33], changed[40] = 2, 255
    shown = changes_picture(np.ones((3, 41, 60), np.float32), changed, LEGEND, step=4)
    assert shown.shape == (11, 15, 3)
    assert (shown[4, 8] == LEGEND.classes[1].colour).all()
    assert (shown == 255).all(axis=2).sum() == 11 * 15 - 1


def test_large_maps_have_small_pictures():
    labels = np.full((900, 500), 2, np.uint8)
    image = np.zeros((3, 900, 500), np.float32)
    section = _section(Effect(None, CHANGES, np.ones_like(labels)), image, labels)
    for uri, _ in section.pictures:
        picture = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
        assert picture.size == (250, 450)
