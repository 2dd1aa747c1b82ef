"""What measures examples: sets that count as one scene, points drawn and suggested, and the rivals of the head."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

REPOSITORY = Path(__file__).parents[1]
sys.path += [str(REPOSITORY / "training"), str(REPOSITORY / "benchmarks")]

import rivals  # noqa: E402
from evaluate import Example, dense_examples  # noqa: E402
from labelled import LabelledSet, Picture  # noqa: E402

from examples import Canvas, half_of, head, suggested_draws  # noqa: E402
from lposs_geo.examples.observations import Observations  # noqa: E402
from lposs_geo.graph.patches import lattice_affinity  # noqa: E402
from lposs_geo.stages.features import LatticeFeatures  # noqa: E402
from lposs_geo.tiling import Lattice  # noqa: E402

WORDS = ("water", "forest", "violin")
SHAPES = ((40, 61), (56, 36))
CPU = torch.device("cpu")


def picture(shape: tuple[int, int], first: int, rng: np.random.Generator) -> Picture:
    """Water above, forest below, a strip without labels between them."""
    labels = np.zeros(shape, np.uint8)
    labels[: shape[0] // 2 - 2], labels[shape[0] // 2 + 2 :] = 1, 2
    image = np.repeat(np.where(labels == 1, 0.2, 0.8)[None], 3, axis=0).astype(np.float32)
    lattice = Lattice(*shape, patch_size=7, crop_size=28, stride=14)
    vm = rng.normal(size=(lattice.rows, lattice.cols, 8)).astype(np.float16)
    vm /= np.linalg.norm(vm.astype(np.float32), axis=2, keepdims=True).astype(np.float16)
    valid = np.ones((lattice.rows, lattice.cols), bool)
    affinity = lattice_affinity(
        lambda start, stop: vm[start:stop], valid, 7, n_neighbors=5, gamma=3.0, sigma=0.01, radius=30.0, device=CPU
    )
    return Picture(Example(image, labels, image, "a"), LatticeFeatures(lattice, vm, vm, valid), affinity, first)


@pytest.fixture(scope="module")
def scene() -> LabelledSet:
    """Two pictures, on which features tell the two classes apart and the words don't."""
    rng = np.random.default_rng(0)
    pictures = [picture(SHAPES[0], 0, rng)]
    pictures.append(picture(SHAPES[1], pictures[0].patches.stop, rng))
    count = pictures[1].patches.stop
    is_upper = np.concatenate([np.arange(len(range(*one.patches.indices(count)))) // one.shape[1] < one.shape[0] / 2
                               for one in pictures])  # fmt: skip
    features = {}
    for name in ("vlm0", "vlm1", "vm", "bands"):
        vectors = rng.normal(size=(count, 6)) + np.where(is_upper, 4.0, -4.0)[:, None] * np.eye(6)[0]
        features[name] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    logits = np.log(np.tile([0.2, 0.3, 0.5], (count, 1)))
    text = np.eye(6, dtype=np.float32)[1:4]
    return LabelledSet("two", WORDS, pictures, Observations(features, logits), features["bands"], text)


def problem(scene: LabelledSet, count: int, seed: int = 0) -> rivals.Problem:
    return rivals.Problem(scene, 10.0, *scene.draw(count, seed))


def test_images_come_with_their_bands(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (30, 20, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((30, 20), 51, np.uint8)).save(tmp_path / "a_nir.png")
    Image.fromarray(np.full((30, 20), 2, np.uint8)).save(tmp_path / "a_labels.png")
    (example,) = dense_examples(tmp_path, "*_labels.png", 16)
    assert example.image.shape == (3, 16, 16)
    assert example.bands.shape == (4, 16, 16)
    np.testing.assert_array_equal(example.bands[:3], example.image)
    np.testing.assert_allclose(example.bands[3], 0.2)
    assert (example.labels == 2).all()


def test_a_set_counts_as_one_scene(scene):
    patch, kind = scene.points
    assert len(patch) == sum((one.example.labels > 0).sum() for one in scene.pictures)
    np.testing.assert_array_equal(np.unique(patch), np.arange(scene.pictures[1].patches.stop))
    np.testing.assert_array_equal(scene.counted, [0, 1])  # nothing is a violin
    few, many = scene.draw(2, 0), scene.draw(8, 0)
    np.testing.assert_array_equal(many[1], np.repeat([0, 1], 8))
    assert set(zip(*few, strict=True)) <= set(zip(*many, strict=True))
    pairs = set(zip(patch.tolist(), kind.tolist(), strict=True))
    assert set(zip(*(part.tolist() for part in many), strict=True)) <= pairs
    assert not np.array_equal(scene.draw(8, 1)[0], many[0])


def test_scores_are_compared_with_the_labels(scene):
    majority = np.zeros((len(scene.observations), 3), np.float32)
    np.add.at(majority, scene.points, 1.0)
    right, wrong = scene.compare([majority, majority[:, [1, 0, 2]]])
    assert right.mean_iou > 0.9
    assert wrong.mean_iou < 0.1
    assert right.matrix.sum() == len(scene.points[0])
    always_water = scene.compare([majority], lambda example, planes: planes.new_tensor([[[1.0]], [[0.0]], [[0.0]]])
                                 .expand(planes.shape))[0]  # fmt: skip
    assert always_water.matrix[:, 1:].sum() == 0


def test_suggestions_are_asked_where_labels_are(scene):
    canvas = Canvas.of(scene)
    patches = np.arange(len(scene.observations))
    laid = canvas.laid(patches[:, None] + 1.0)[..., 0]
    col, row = canvas.pixels(patches).astype(int).T
    np.testing.assert_array_equal(laid[row, col], patches + 1.0)
    assert (laid > 0).sum() == len(patches)
    draws = suggested_draws(problem(scene, 1))
    assert {count: len(one.classes) for count, one in draws.items()} == {1: 2, 2: 4, 4: 8, 8: 16, 16: 32}
    last = draws[16]
    assert len(np.unique(last.patches[2:])) == 30
    pairs = set(zip(*(part.tolist() for part in scene.points), strict=True))
    assert set(zip(last.patches.tolist(), last.classes.tolist(), strict=True)) <= pairs
    np.testing.assert_array_equal(draws[8].patches, last.patches[:16])


@pytest.mark.parametrize(
    "method",
    [rivals.prototypes, rivals.lp_plus_plus, rivals.ridge, rivals.logistic, head],
    ids=lambda one: one.__name__,
)
def test_features_that_tell_classes_apart_are_learnt(scene, method):
    asked = problem(scene, 8)
    found = method(asked)
    assert found.shape == asked.words.shape
    patch, kind = scene.points
    assert (found[patch].argmax(axis=1) == kind).mean() > 0.75
    assert (rivals.words(asked)[patch].argmax(axis=1) == kind).mean() == 0.0


def test_left_out_examples_choose_ridge(scene, monkeypatch):
    """The residuals of left-out examples are those of fits without them."""
    asked = problem(scene, 4)
    own = scene.joined[asked.patches].astype(np.float64)
    anchor = rivals.softmax(asked.words)[asked.patches]
    losses = {}
    for factor in (1.0, 0.5):
        for penalty in (10.0, 1.0):
            residual = asked.targets - factor * anchor
            loss = 0.0
            for left in range(len(own)):
                rest = np.arange(len(own)) != left
                dual = np.linalg.solve(own[rest] @ own[rest].T + penalty * np.eye(rest.sum()), residual[rest])
                loss += ((residual[left] - own[left] @ own[rest].T @ dual) ** 2).sum()
            losses[factor, penalty] = loss
    factor, penalty = min(losses, key=losses.__getitem__)
    monkeypatch.setattr(rivals, "WORD_FACTORS", (1.0, 0.5))
    monkeypatch.setattr(rivals, "RIDGES", (10.0, 1.0))
    chosen = rivals.ridge(asked)
    monkeypatch.setattr(rivals, "WORD_FACTORS", (factor,))
    monkeypatch.setattr(rivals, "RIDGES", (penalty,))
    np.testing.assert_array_equal(chosen, rivals.ridge(asked))


def test_half_of_the_classes(scene):
    whole = problem(scene, 3)
    assert set(half_of(whole, 0).classes) == {0}
    assert set(half_of(whole, 1).classes) == {1}
