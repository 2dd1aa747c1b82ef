from __future__ import annotations

import numpy as np
from PIL import Image

from lposs_geo.legend import from_words
from lposs_geo.quicklook import MAP_OPACITY, draw_map, save_picture

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
    for found, land_class in ((left, LEGEND.classes[0]), (right, LEGEND.classes[1])):
        expected = MAP_OPACITY * np.array(land_class.colour) + (1 - MAP_OPACITY) * 128
        assert np.abs(found - expected).max() <= 1
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
