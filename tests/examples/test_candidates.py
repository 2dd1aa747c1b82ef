from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rasterio.windows import Window

from lposs_geo.examples import candidates
from lposs_geo.examples.candidates import Candidates, Patches, candidates_of, leaders
from lposs_geo.lposs import probabilities

NONE = np.empty((0, 2), np.int64)


def find(patches: Patches, count: int = 3, **change: object) -> Candidates:
    return candidates_of(patches, count, **({"taken": NONE, "inside": None, "reach": 0} | change))


def positions(found: Candidates) -> list[tuple[int, int]]:
    return list(zip(found.rows.tolist(), found.cols.tolist(), strict=True))


@given(
    arrays.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(2, 6)), elements=st.sampled_from([0, 1, 2, 3]))
)
def test_leaders_are_the_first_two_of_a_stable_sort(scores):
    lead = leaders(scores)
    order = np.argsort(-scores, axis=1, kind="stable")
    np.testing.assert_array_equal(lead.first, order[:, 0])
    np.testing.assert_array_equal(lead.second, order[:, 1])
    total = scores.sum(axis=1)
    shares = np.where(total[:, None] > 0, np.sort(scores)[:, ::-1] / np.maximum(total, 1)[:, None], 1 / scores.shape[1])
    np.testing.assert_allclose(np.stack([lead.first_share, lead.second_share], 1), shares[:, :2])


@pytest.mark.parametrize("power", [1.0, 3.0, 200.0])
def test_shares_are_the_maps_probabilities(power):
    scores = np.random.default_rng(0).random((50, 5), np.float32)
    lead = leaders(scores, power)
    expected = np.sort(probabilities(torch.from_numpy(scores.T.astype(float)), power).numpy().T)[:, ::-1]
    np.testing.assert_allclose(np.stack([lead.first_share, lead.second_share], 1), expected[:, :2], atol=1e-12)


def test_negative_scores_and_no_numbers_count_as_zero():
    lead = leaders(np.array([[-3, 1, 0.5], [np.nan, 2, np.inf], [-1, -2, -3]], np.float32))
    np.testing.assert_allclose(lead.first_share, [2 / 3, 1, 1 / 3])
    np.testing.assert_array_equal(lead.first, [1, 1, 0])
    np.testing.assert_array_equal(lead.second, [2, 0, 1])


@pytest.mark.parametrize("most", [1, 6, 100, 10_000])
@pytest.mark.parametrize("reach", [0, 1, 3])
def test_how_many_rows_are_read_at_once_changes_nothing(monkeypatch, make_patches, most, reach):
    monkeypatch.setattr(candidates, "MOST_CELLS", most)
    patches = make_patches(window=Window(13, 27, 240, 180))
    whole = find(patches, reach=reach)
    assert len(whole.rows) <= most + 3
    for rows_at_once in (1, 2, 5, 1000):
        part = find(patches, reach=reach, rows_at_once=rows_at_once)
        for name in vars(whole):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name))


def test_each_cell_has_the_lowest_margin_of_it(monkeypatch, make_patches):
    monkeypatch.setattr(candidates, "MOST_CELLS", 20)
    patches = make_patches()
    found = find(patches, count=1)
    margins = np.where(patches.valid, np.diff(np.sort(patches.scores)[..., -2:])[..., 0] / patches.scores.sum(-1), 2)
    side = 6  # 4 x 5 cells
    expected = []
    for row in range(0, 24, side):
        for col in range(0, 30, side):
            down, right = np.unravel_index(margins[row : row + side, col : col + side].argmin(), (side, side))
            expected.append((row + int(down), col + int(right)))
    assert positions(found) == sorted(expected)
    assert found.mass.sum() == found.total == patches.valid.sum()


def test_doubt_knows_no_scale(make_patches):
    patches = make_patches()
    found = find(patches)
    assert len(found.rows) == patches.valid.sum()  # cells of one patch
    margins = np.diff(np.sort(patches.scores)[..., -2:])[..., 0] / patches.scores.sum(-1)
    order = np.argsort(margins[found.rows, found.cols])
    assert (np.diff(found.doubt[order]) <= 0).all()
    assert found.doubt.max() > 0.99
    assert found.doubt.min() < 0.01
    np.testing.assert_array_equal(found.mass_doubt, found.doubt)
    sure = find(make_patches(scores=np.eye(4, dtype=np.float32)[np.zeros((24, 30), int)]))
    assert not sure.doubt.any()
    # scores that hardly differ, such as cosines
    flat = find(make_patches(scores=1 + patches.scores / 100))
    assert flat.doubt.max() > 0.98
    assert flat.doubt.min() < 0.02


def test_margins_are_averaged_around(make_patches):
    """A patch in doubt among sure ones counts for less than one among its like."""
    scores = np.zeros((9, 9, 2), np.float32)
    scores[..., 0] = 1
    scores[1, 1] = scores[5:8, 5:8] = 0.5
    patches = make_patches(9, 9, scores=scores, valid=np.ones((9, 9), bool))
    found = find(patches, reach=1)
    by_position = dict(zip(positions(found), found.doubt.tolist(), strict=True))
    assert max(by_position, key=by_position.__getitem__) == (6, 6)
    assert by_position[6, 6] > by_position[1, 1]


def test_only_what_may_be_is_found(make_patches):
    patches = make_patches(window=Window(55, 40, 200, 150))
    taken = np.array([[5, 7], [18, 25]])

    def inside(window: Window) -> np.ndarray:
        row, col = (np.arange(part.start, part.stop) for part in window.toslices())
        return (row[:, None] + col) % 4 < 2

    found = positions(find(patches, count=1000, inside=inside, taken=taken))
    expected = []
    for row in range(4, 19):
        for col in range(5, 26):
            x = {5: 57, 25: 252}.get(col, col * 10 + 5)  # the middle of the part in the window
            if patches.valid[row, col] and (row * 10 + 5 + x) % 4 < 2 and (row, col) not in {(5, 7), (18, 25)}:
                expected.append((row, col))
    assert found == expected


def test_being_inside_is_asked_for_few_pixels_at_once(monkeypatch, make_patches):
    monkeypatch.setattr(candidates, "PIXELS_AT_ONCE", 10_000)
    asked: list[Window] = []

    def inside(window: Window) -> np.ndarray:
        asked.append(window)
        return np.ones((int(window.height), int(window.width)), bool)

    found = find(make_patches(), inside=inside)
    assert positions(found) == positions(find(make_patches()))
    assert max(window.width * window.height for window in asked) <= 10_000


@pytest.mark.parametrize("rows_at_once", [None, 1])
def test_a_zoomed_lattice_ends_with_the_scene(make_patches, rows_at_once):
    """Patches of 7.5 px: the last ones reach over the border."""
    patches = make_patches(4, 5, patch_size=7.5, window=Window(0, 0, 31, 29), valid=np.ones((4, 5), bool))
    assert len(find(patches, rows_at_once=rows_at_once).rows) == 20
    np.testing.assert_allclose(patches.centres(np.arange(4), axis=0), [3.75, 11.25, 18.75, 25.75])
    np.testing.assert_allclose(patches.centres(np.arange(5), axis=1), [3.75, 11.25, 18.75, 26.25, 30.5])


def test_no_patch_is_found_where_there_is_none(make_patches):
    found = find(make_patches(valid=np.zeros((24, 30), bool)))
    assert len(found.rows) == found.total == 0


def test_patches_at_points(make_patches):
    points = np.array([[0, 0], [9.9, 9.9], [105, 27], [-1, 5], [299.9, 239.9], [300, 10], [np.nan, 3], [np.inf, 3]])
    np.testing.assert_array_equal(make_patches().patches_at(points), [[0, 0], [2, 10], [23, 29]])
