from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from lposs_geo.errors import OutputError
from lposs_geo.examples.agreement import Agreement, ClassAgreement
from lposs_geo.examples.changes import Change, Changes
from lposs_geo.files.writing import write_text
from lposs_geo.legend.building import from_words
from lposs_geo.legend.legend import LandClass, Legend
from lposs_geo.writers.examples_section import Effect
from lposs_geo.writers.rasters import ClassArea
from lposs_geo.writers.report import Report, page

HOSTILE = "</script><script>alert(\"1\")</script> & 'co'"
VOID = {"meta", "link", "img", "input", "br", "hr"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class _Reader(HTMLParser):
    """Reads a page: its tags must be balanced; attributes, table rows and what is shown are kept."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.shown = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))  # of an SVG

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.shown += data
            if {"td", "th"} & set(self.open):
                self.rows[-1][-1] += data.strip()

    def pictures(self) -> list[tuple[str, Image.Image]]:
        pictures = []
        for tag, attributes in self.tags:
            if tag == "img":
                kind, data = re.fullmatch(r"data:image/(\w+);base64,(.+)", attributes["src"]).groups()
                pictures.append((kind, Image.open(io.BytesIO(base64.b64decode(data)))))
        return pictures


def _report(legend: Legend | None = None, rows: int = 40, cols: int = 60, **changes: object) -> Report:
    """A map whose classes are upright stripes, without the last class, with a corner of no data."""
    legend = legend or from_words("water,forest,road,ice")
    rng = np.random.default_rng(0)
    stripes = max(1, len(legend) - 1)
    labels = np.broadcast_to(1 + np.arange(cols) * stripes // cols, (rows, cols)).astype(np.uint8)
    labels[:5, :5] = 255
    confidence = rng.integers(0, 101, (rows, cols)).astype(np.uint8)
    confidence[labels == 255] = 255
    known = labels != 255
    areas = [
        ClassArea(
            land_class.name,
            int((labels == land_class.id).sum()),
            123.0 * float((labels == land_class.id).sum()),
            float((labels == land_class.id).sum() / known.sum()),
            float(confidence[labels == land_class.id].mean()) if (labels == land_class.id).any() else None,
        )
        for land_class in legend.classes
    ]
    whole = Report(
        title="scene.tif",
        facts={"Size": f"{rows} x {cols} px"},
        image=rng.random((3, rows, cols), dtype=np.float32),
        labels=labels,
        legend=legend,
        areas=areas,
        created=datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
        confidence=confidence,
        histogram=[int(n) for n in np.histogram(confidence[known], [*range(0, 100, 10), 101])[0]],
        confidence_words="How sure the model is.",
        pixel_size_m=0.5,
        is_north_up=True,
        notices=["a notice"],
        parameters={"Command": "lposs-geo map", "Parameters": '{"num_steps": 12, "low": [1.0, 2.5], "refine": true}'},
    )
    return dataclasses.replace(whole, **changes)


def _areas_table(read: _Reader) -> dict[str, list[str]]:
    start = next(index for index, row in enumerate(read.rows) if row[:1] == ["Class"])
    stop = next(index for index, row in enumerate(read.rows) if row[:1] == ["Total"])
    return {row[0]: [cell for cell in row[1:] if cell] for row in read.rows[start : stop + 1]}


def test_the_page_is_balanced_and_asks_for_nothing_from_elsewhere():
    text = page(_report())
    read = _Reader(text)
    assert ("html", {"lang": "en"}) in read.tags
    for _, attributes in read.tags:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest", text)
    assert all(attributes.get("alt") for tag, attributes in read.tags if tag == "img")
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_hostile_names_are_only_text():
    legend = Legend((LandClass(1, HOSTILE, ("x",), (1, 2, 3)), LandClass(2, "b", ("b",), (4, 5, 6))))
    plain = _Reader(page(_report(Legend((legend.classes[1],)))))
    text = page(
        _report(legend, title=HOSTILE, facts={HOSTILE: HOSTILE}, notices=[HOSTILE], parameters={HOSTILE: HOSTILE})
    )
    read = _Reader(text)
    assert read.shown.count(HOSTILE) >= 7
    assert sum(tag == "script" for tag, _ in read.tags) == sum(tag == "script" for tag, _ in plain.tags) == 2
    names = json.loads(re.search(r'<script type="application/json" id="names">(.*?)</script>', text).group(1))
    assert names == {"#010203": HOSTILE, "#040506": "b"}


def test_the_table_tells_the_areas_largest_first_and_absent_ones_last():
    contents = _report()
    table = _areas_table(_Reader(page(contents)))
    present = sorted((area for area in contents.areas if area.pixels), key=lambda area: -area.area_m2)
    assert list(table) == ["Class", *(area.name for area in present), "ice", "Total"]
    for area in present:
        hectares, share, confidence = table[area.name]
        assert float(hectares) == pytest.approx(area.area_m2 / 1e4, abs=0.006)
        assert share == f"{area.share:.1%}"
        assert confidence == f"{area.confidence:.0f}%"
    assert table["ice"] == ["0.00", "0.0%", "–"]  # noqa: RUF001
    assert float(table["Total"][0]) == pytest.approx(sum(area.area_m2 for area in contents.areas) / 1e4, abs=0.006)
    assert table["Class"][0] == "Area, ha"


def test_large_areas_are_in_square_kilometres_and_small_ones_never_nothing():
    areas = [ClassArea("water", 10**9, 2.5e11, 0.99999), ClassArea("forest", 1, 2500.0, 0.00001)]
    table = _areas_table(_Reader(page(_report(from_words("water,forest"), areas=areas))))
    assert table["Class"] == ["Area, km²", "Share"]
    assert table["water"] == ["250,000", "100.0%"]
    assert table["forest"] == ["<1", "<0.1%"]


def test_what_no_class_was_given_to_has_its_row():
    contents = _report()
    given = [dataclasses.replace(area, share=area.share * 0.75) for area in contents.areas]
    table = _areas_table(_Reader(page(dataclasses.replace(contents, areas=given, unknown_share=0.25))))
    total = sum(area.area_m2 for area in given) / 0.75 / 1e4
    assert float(table["unknown"][0]) == pytest.approx(total / 4, abs=0.006)
    assert float(table["Total"][0]) == pytest.approx(total, abs=0.006)


def test_without_confidence_there_is_no_word_of_it():
    contents = _report(confidence=None, histogram=None, confidence_words="")
    bare = [dataclasses.replace(area, confidence=None) for area in contents.areas]
    read = _Reader(page(dataclasses.replace(contents, areas=bare)))
    assert "onfidence" not in read.shown
    assert len(read.pictures()) == 2


def test_without_a_place_on_the_ground_there_is_neither_scale_nor_north_nor_hectare():
    read = _Reader(page(_report(has_crs=False, pixel_size_m=None, is_north_up=False)))
    classes = [attributes.get("class") for _, attributes in read.tags]
    assert "scale" not in classes
    assert "north" not in classes
    assert "hectare" not in read.shown
    assert _areas_table(read)["Class"][0] == "Area, units²"
    classes = [attributes.get("class") for _, attributes in _Reader(page(_report())).tags]
    assert {"scale", "north"} <= set(classes)


def test_the_scale_bar_is_as_long_as_it_says():
    read = _Reader(page(_report(cols=900, pixel_size_m=10.0)))
    length = next(attributes["style"] for tag, attributes in read.tags if tag == "i")
    assert length == f"--length: {100 * 2000 / 9000:.3f}"
    assert "2 km" in read.shown


def test_sixty_classes_with_codes_are_all_listed():
    many = from_words([f"class number {k}" for k in range(60)])
    coded = Legend(tuple(dataclasses.replace(c, code=1000 + c.id) for c in many.classes))
    table = _areas_table(_Reader(page(_report(coded, cols=300))))
    assert table["Class"][0] == "Code"
    assert all(table[c.name][0] == str(c.code) for c in coded.classes)


def test_pictures_are_those_of_the_map():
    contents = _report(rows=320, cols=400)
    (scene_kind, scene), (map_kind, labels), (_, confidence) = _Reader(page(contents)).pictures()
    assert (scene_kind, map_kind) == ("jpeg", "png")
    assert scene.size == labels.size == confidence.size == (400, 320)
    assert labels.mode == "P"
    pixels = np.array(labels.convert("RGBA"))
    assert pixels[0, 0, 3] == 0
    for land_class in contents.legend.classes:
        assert (pixels[contents.labels == land_class.id] == (*land_class.colour, 255)).all()
    assert np.array(confidence.convert("RGBA"))[0, 0, 3] == 0


def test_a_small_picture_keeps_its_pixels():
    contents = _report()
    kind, scene = _Reader(page(contents)).pictures()[0]
    expected = np.rint(contents.image.transpose(1, 2, 0) * 255)
    known = contents.labels != 255
    assert kind == "png"
    assert np.array_equal(np.array(scene)[known], expected[known])


def test_it_is_small_and_always_the_same():
    contents = _report(rows=900, cols=900)  # noise, the worst there is for both formats
    text = page(contents)
    assert len(text) < 3e6
    assert page(contents) == text


def test_parameters_are_set_out():
    rows = _Reader(page(_report())).rows
    assert ["Command", "lposs-geo map"] in rows
    assert ["Parameters", "num steps12low1, 2.5refineyes"] in rows


@pytest.mark.parametrize("labels", [np.full((7, 3), 255), np.full((7, 3), 0), np.full((1, 1), 1)])
def test_a_map_of_almost_nothing_still_makes_a_page(labels):
    legend = from_words("water")
    pixels = int((labels == 1).sum())
    unknown = float((labels == 0).any())
    areas = [ClassArea("water", pixels, 100.0 * pixels, float(pixels > 0))]
    image = np.zeros((3, *labels.shape), dtype=np.float32)
    changes = {"image": image, "labels": labels.astype(np.uint8), "areas": areas, "unknown_share": unknown}
    read = _Reader(page(_report(legend, **changes, confidence=None, histogram=[0] * 10)))
    assert ("No class was found" in read.shown) == (pixels == 0)


def test_it_is_saved_as_utf8_or_the_failure_named(tmp_path):
    write_text(tmp_path / "a.html", "<p>é</p>")
    assert (tmp_path / "a.html").read_bytes() == "<p>é</p>".encode()
    with pytest.raises(OutputError, match=r"can't write 'a\.html'"):
        write_text(tmp_path / "nowhere" / "a.html", "")


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium in PATH to show the page")
def test_a_browser_shows_it_without_a_complaint(tmp_path):
    legend = from_words(["water", "forest & <b>wood</b>", "road"])
    write_text(tmp_path / "a.html", page(_report(legend, rows=320, cols=400)))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=2000"]
    command = [CHROMIUM, *options, f"--user-data-dir={tmp_path / 'user'}", "--dump-dom", (tmp_path / "a.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=True)
    assert re.search(r'<html lang="en" class="live">', done.stdout)  # the script ran to its first lines ...
    assert 'aria-valuetext="scene 50%, map 50%"' in done.stdout  # ... and set the swipe
    assert "CONSOLE" not in done.stderr  # neither errors nor refused requests


def test_examples_have_a_section_that_calls_nothing_accurate():
    pairs = (Change(HOSTILE, "forest", 1e4, 0.04), Change("forest", "unknown", 10.0, 0.0001))
    agreement = Agreement((ClassAgreement(HOSTILE, 3, 1, 3, 2, 1), ClassAgreement("water", 1, 0, 1, 0, 0)), True)
    earlier = np.ones((40, 60), np.uint8)
    text = page(_report(effect=Effect(agreement, Changes(pairs, 10010.0, 0.0401), earlier)))
    read = _Reader(text)
    assert "1 of 4 examples agreed before, 4 after, 1 of 2 left out; 4.0 % of the area changed" in read.shown.replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert [HOSTILE, "3", "1", "3", "1 of 2"] in read.rows and ["water", "1", "0", "1", "\u2013"] in read.rows
    assert [HOSTILE, "forest", "1.000", "4.0%"] in read.rows and ["All changes", "1.001", "4.0%"] in read.rows
    assert "accura" not in read.shown
    assert len(read.pictures()) == 6
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "Examples" not in page(_report(effect=Effect(None)))
