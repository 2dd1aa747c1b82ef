"""What makes the bundled model: its labels, its canvases, its measures. Nothing is trained here."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import shapely
import torch

TRAINING = Path(__file__).parents[1] / "training"
sys.path.insert(0, str(TRAINING))

from canvases import GRID, NOTHING, Source, make_canvas  # noqa: E402
from concepts import CONCEPTS, LABEL_NAMES, LABELS, WORDS  # noqa: E402
from draw import draw  # noqa: E402
from evaluate import Tally  # noqa: E402
from polygons import LABELS_FOLDER, burn, drawn_for, read_polygons  # noqa: E402
from train import partial_loss  # noqa: E402


@pytest.mark.parametrize("path", sorted(LABELS_FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_drawn_polygons_are_sound(path):
    for picture, polygons in read_polygons(path).items():
        assert polygons, picture
        for name, corners in polygons:
            assert name in LABELS, (picture, name)
            assert shapely.Polygon(corners).area > 0, (picture, name, corners)


def test_validation_pictures_are_never_trained_on():
    train, validation = drawn_for("train"), drawn_for("validation")
    assert sum(name.startswith("quickbird") for name in validation) == 2
    assert not set(train) & set(validation)
    assert not [name for name in train if "/test/" in name or name.startswith("examples")]
    assert sum(len(polygons) for polygons in train.values()) > 2000


def test_every_label_speaks_of_concepts_that_have_words():
    for label in LABELS.values():
        assert label.allowed
        assert set(label.allowed) | set(label.unsure) | ({label.name} - {""}) <= set(CONCEPTS)
    assert all(WORDS.values())


def test_later_polygons_cover_earlier_ones():
    square = [(0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0)]
    house = [(2.0, 2.0), (4.0, 2.0), (4.0, 5.0), (2.0, 5.0)]
    found = burn([("grass", square), ("building", house), ("violin", [(7.0, 7.0), (8.0, 7.0), (8.0, 8.0)])], (12, 11),
                 {"grass": 1, "building": 2}, empty=0)  # fmt: skip
    assert found.shape == (11, 12)
    assert (found[2:6, 2:5] == 2).all()
    assert found[0, 0] == 1
    assert found[10, 11] == 0
    assert found[7, 7] == 0


def test_polygons_are_drawn_back_where_they_lie(lakeside, tmp_path):
    from PIL import Image

    Image.new("RGB", (50, 40)).save(tmp_path / "a.png")
    seen = np.asarray(draw(tmp_path / "a.png", [("building", [(10, 10), (20, 10), (20, 20)])], [5, 5, 35, 30], 4, 100))
    assert seen.shape == (100, 120, 3)
    assert seen[20, 40, 0] == 255  # the side from (10, 10) to (20, 10), four times as large and 5 px to the left


def _source(label: int | np.ndarray, group: str, colour: int) -> Source:
    return Source(np.full((120, 160, 3), colour, np.uint8), label, group)


def test_a_canvas_says_what_its_patches_show():
    water, forest = LABEL_NAMES.index("water"), LABEL_NAMES.index("forest")
    dense = np.full((120, 160), water, np.int16)
    pools = [[_source(dense, "towns", 30)], [_source(forest, "scene", 200)]]
    seen = set()
    for seed in range(12):
        canvas = make_canvas(pools, np.array([0.5, 0.5]), np.random.default_rng(seed))
        assert canvas.image.shape == (224, 224, 3)
        assert canvas.labels.shape == canvas.cells.shape == (GRID, GRID)
        assert set(np.unique(canvas.labels)) <= {NOTHING, water, forest}
        assert (canvas.cells[canvas.labels != NOTHING] < len(canvas.scenes)).all()
        again = make_canvas(pools, np.array([0.5, 0.5]), np.random.default_rng(seed))
        assert np.array_equal(canvas.image, again.image)
        seen |= set(np.unique(canvas.labels))
    assert {water, forest} <= seen


def test_the_loss_asks_for_any_of_the_allowed_and_ignores_the_unsure():
    relation = torch.tensor([[1, 1, 0, -1]])
    good, unsure, bad = (torch.tensor([row]) for row in ([9.0, 0, 0, 0], [0, 0, 90.0, 0], [0, 0, 0, 9.0]))
    assert partial_loss(good, relation) < 0.01
    assert partial_loss(unsure, relation) == pytest.approx(np.log(3 / 2))
    assert partial_loss(bad, relation) > 8


def test_boundaries_are_measured_on_their_own(capsys):
    truth = np.ones((100, 100), int)
    truth[:, 50:] = 2
    truth[:10] = 0  # not labelled
    right, shifted = truth.clip(1) - 1, np.roll(truth.clip(1) - 1, 3, axis=1)
    shifted[:, :3] = 0
    for found in (right, shifted):
        tally = Tally(2)
        tally.add(truth, found, boundaries=True)
        tally.report("set: stage", ("a", "b"))
    first, second = (line.split() for line in capsys.readouterr().out.splitlines())
    value = {"accuracy": 3, "mIoU": 5, "boundary": 8}
    assert [float(first[place]) for place in value.values()] == [1, 1, 1]
    accuracy, miou, edge = (float(second[place]) for place in value.values())
    assert accuracy == pytest.approx(0.97)
    assert edge < miou < accuracy
