from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lposs_geo.errors import OutputError
from lposs_geo.legend.building import from_words
from lposs_geo.writers.quicklook import MAP_OPACITY, draw_map, draw_scene, length_text, round_length, save_picture

LEGEND = from_words("water,forest,road")


def _draw(rows: int, cols: int, legend=LEGEND) -> tuple[np.ndarray, int]:
    image = np.full((3, rows, cols), 0.5, dtype=np.float32)
    labels = np.ones((rows, cols), dtype=np.uint8)
    labels[:, cols // 2 :] = 2
    labels[: rows // 4] = 255
    return np.array(
        draw_map(image, labels, legend, title="scene.tif", shares={c.name: 0.1 for c in legend.classes})
    ), rows


def test_scene_and_map_lie_side_by_side():
    picture, rows = _draw(600, 800)
    middle = 24 + 44 + rows // 2
    scene, left, right = (
        picture[middle, 100],
        picture[middle, 24 + 800 + 24 + 100],
        picture[middle, 24 + 800 + 24 + 700],
    )
    assert scene.tolist() == [128, 128, 128]
    for drawn, land_class in ((left, LEGEND.classes[0]), (right, LEGEND.classes[1])):
        expected = MAP_OPACITY * np.array(land_class.colour) + (1 - MAP_OPACITY) * 128
        assert np.abs(drawn - expected).max() <= 1
    assert picture[24 + 44 + 10, 100].tolist() == [255, 255, 255]  # no data


def test_tiny_scenes_are_enlarged_and_long_legends_wrapped():
    small, _ = _draw(2, 3)
    assert small.shape[0] > 300
    many = from_words([f"a rather long class name {k}" for k in range(60)])
    tall, _ = _draw(2, 3, many)
    assert tall.shape[0] > small.shape[0] + 400
    assert tall.shape[1] == small.shape[1]


def test_it_is_saved_as_png(tmp_path):
    image = np.zeros((3, 5, 5), dtype=np.float32)
    save_picture(draw_map(image, np.ones((5, 5), dtype=np.uint8), LEGEND, title="t"), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"


def test_a_failure_to_save_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"can't write 'a\.png'"):
        save_picture(Image.new("RGB", (1, 1)), tmp_path / "nowhere" / "a.png")


def test_nothing_runs_out_of_the_picture(monkeypatch):
    """Every text ends within the margins, however long, and a short one is whole."""
    written = []

    def text(self, corner, text, **options):
        left, _, right, _ = self.textbbox(corner, text, font=options["font"], anchor=options.get("anchor"))
        written.append((text, left, right))

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    legend = from_words(["a class with a name " * 9, "W" * 300, *(f"short {k}" for k in range(30))])
    labels = np.ones((300, 400), dtype=np.uint8)
    image = np.zeros((3, 300, 400), dtype=np.float32)
    shares = dict.fromkeys(legend.names, 1 / 32)
    picture = draw_map(image, labels, legend, title="scene" * 99, shares=shares, pixel_size_m=10)
    assert all(left > 0 and right <= picture.width - 24 + 1 for _, left, right in written)
    names = [name for name, _, _ in written]
    assert {f"short {k}" for k in range(30)} <= set(names)
    assert sum(name.endswith("…") for name in names) == 3
    assert names.count("3.1%") == 32


def test_the_scale_bar_is_as_long_as_it_says():
    labels = np.ones((300, 400), dtype=np.uint8)
    image = np.zeros((3, 300, 400), dtype=np.float32)
    without = np.array(draw_map(image, labels, LEGEND, title="t"))
    with_bar = np.array(draw_map(image, labels, LEGEND, title="t", pixel_size_m=2.5))
    assert without.shape == with_bar.shape
    line = (with_bar[48] != without[48]).any(axis=1)  # 250 m lie on a quarter of the panel, 200 m are the longest round
    start = int(line.argmax())
    assert (~line[start:]).argmax() == pytest.approx(200 / 2.5, abs=3)
    assert np.array_equal(with_bar[68:], without[68:])


@pytest.mark.parametrize(
    ("most", "metres", "text"),
    [(249, 200, "200 m"), (50, 50, "50 m"), (0.3, 0.2, "0.2 m"), (1999, 1000, "1 km"), (7.3e6, 5e6, "5,000 km")],
)
def test_lengths_are_round(most, metres, text):
    assert round_length(most) == pytest.approx(metres)
    assert length_text(round_length(most)) == text


def test_a_scene_alone_shows_where_it_has_no_data():
    image = np.full((3, 500, 900), 0.5, dtype=np.float32)
    valid = np.ones((500, 900), dtype=bool)
    valid[:, :400] = False
    picture = np.array(draw_scene(image, valid, title="scene.tif", pixel_size_m=10))
    assert picture.shape == (24 + 44 + 500 + 24, 900 + 2 * 24, 3)
    assert (picture[68:568, 24 + 400 : 24 + 900] == 128).all()
    checks = picture[68:568, 24 : 24 + 400]
    assert {tuple(colour) for colour in np.unique(checks.reshape(-1, 3), axis=0)} == {(232,) * 3, (250,) * 3}


def test_pixels_without_a_class_are_in_the_legend(monkeypatch):
    written = []
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda self, corner, text, **options: written.append(text))
    image = np.zeros((3, 9, 9), dtype=np.float32)
    for value in (0, 1):
        draw_map(
            image, np.full((9, 9), value, dtype=np.uint8), LEGEND, title="t", shares=dict.fromkeys(LEGEND.names, 0)
        )
    assert written.count("unknown") == 1


def test_letters_of_any_script_are_drawn_or_replaced_not_boxed(monkeypatch):
    written = []
    monkeypatch.setattr(
        ImageDraw.ImageDraw, "text", lambda self, corner, text, **options: written.append((text, options))
    )
    legend = from_words(["forêt", "森林", "лес"])
    image = np.zeros((3, 9, 9), dtype=np.float32)
    draw_map(image, np.ones((9, 9), dtype=np.uint8), legend, title="été")
    for text, options in written:
        box = bytes(options["font"].getmask("\uffff"))
        assert all(bytes(options["font"].getmask(letter)) != box for letter in text)
    assert written[0][0] in ("été", "ete")
