from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

from lposs_geo.errors import ParameterError
from lposs_geo.examples import candidates
from lposs_geo.examples.suggest import Criterion, suggest


def apart(points: list[tuple[float, float]]) -> float:
    return min(math.dist(a, b) for a, b in itertools.combinations(points, 2))


def px(suggestions) -> list[tuple[float, float]]:
    return [suggestion.px for suggestion in suggestions]


def test_how_many_rows_are_read_at_once_changes_nothing(monkeypatch, make_patches):
    for most in (2048, 40):
        monkeypatch.setattr(candidates, "MOST_CELLS", most)
        patches = make_patches()
        whole = suggest(patches)
        assert len(whole) == 10
        assert all(suggest(patches, rows_at_once=rows) == whole for rows in (1, 3, 7, 100))


@settings(max_examples=30)
@given(rows=st.integers(1, 9), cols=st.integers(1, 9), count=st.integers(1, 30), seed=st.integers(0, 5))
def test_there_are_as_many_as_can_be(rows, cols, count, seed, make_patches):
    patches = make_patches(rows, cols, seed=seed)
    found = suggest(patches, count)
    assert len(found) == min(count, patches.valid.sum())
    assert len(set(px(found))) == len(found)
    for suggestion in found:
        col, row = (int(at // 10) for at in suggestion.px)
        assert suggestion.px == (col * 10 + 5, row * 10 + 5)
        assert patches.valid[row, col]
        shares = patches.scores[row, col] / patches.scores[row, col].sum()
        assert [suggestion.first, suggestion.second] == (np.argsort(-shares)[:2] + 1).tolist()
        assert suggestion.probabilities == pytest.approx(np.sort(shares)[::-1][:2], abs=1e-6)
        assert suggestion.margin >= 0


def test_few_valid_patches_of_a_large_scene_are_all_found(monkeypatch, make_patches):
    """They are in one cell."""
    monkeypatch.setattr(candidates, "MOST_CELLS", 4)
    valid = np.zeros((24, 30), bool)
    valid[2:4, 3:6] = True
    assert len(suggest(make_patches(valid=valid), 10)) == 6


def test_points_are_spread_over_the_scene(make_patches):
    patches = make_patches()
    even = math.sqrt(patches.valid.sum() / 10) * 10  # px from one to the next on a square grid
    assert apart(px(suggest(patches))) >= even / 2
    assert apart(px(suggest(patches, criterion=Criterion(spacing=0.9)))) >= even * 0.9 / 2


def test_points_keep_away_from_examples(make_patches):
    patches = make_patches()
    examples = np.array([(col, row) for col in (25, 150, 275) for row in (21, 199)])
    found = px(suggest(patches, 4, examples=examples))
    spacing = 0.5 * math.sqrt((patches.valid.sum() - 6) / 10) * 10
    assert min(math.dist(point, example) for point in found for example in examples // 10 * 10 + 5) >= spacing


def test_no_point_is_in_the_patch_of_an_example(make_patches):
    patches = make_patches(3, 4, valid=np.ones((3, 4), bool))
    examples = [(col * 10 + 1, row * 10 + 9) for row in range(3) for col in range(4)]
    assert px(suggest(patches, 10, examples=np.array(examples[:-2]))) == px(suggest(patches, 10, examples=np.array(
        examples[:-2] * 3))) != []  # fmt: skip
    assert set(px(suggest(patches, 10, examples=np.array(examples[:-2])))) == {(25, 25), (35, 25)}
    assert suggest(patches, 10, examples=np.array(examples)) == ()


def test_100_000_examples_do(make_patches):
    random = np.random.default_rng(1)
    patches = make_patches(60, 60)
    found = suggest(patches, 5, examples=random.random((100_000, 2)) * (600, 300))
    assert len(found) == 5
    assert all(row > 300 for _, row in px(found))


def test_a_patch_that_stands_for_many_is_worth_more(make_patches):
    """Two regions in doubt, and a lone patch in even more: the larger region is first, the lone one last."""
    scores = np.zeros((20, 20, 3), np.float32)
    features = np.zeros((20, 20, 4), np.float16)
    scores[...], features[..., 0] = (1, 0, 0), 1  # what is sure
    scores[2:12, 2:12], features[2:12, 2:12] = (0.5, 0.4, 0.1), (0, 1, 0, 0)
    scores[14:18, 14:18], features[14:18, 14:18] = (0.1, 0.5, 0.4), (0, 0, 1, 0)
    scores[3, 17], features[3, 17] = (0.5, 0.5, 0), (0, 0, 0, 1)
    patches = make_patches(20, 20, scores=scores, features=features, valid=np.ones((20, 20), bool))
    found = suggest(patches, 3, criterion=Criterion(area=1.0, reach=0))
    assert [(one.first, one.second) for one in found] == [(1, 2), (2, 3), (1, 2)]
    assert 20 <= found[0].px[0] < 120
    assert found[2].px == (175, 35)
    alone = suggest(patches, 1, criterion=Criterion(reach=0, area=0))
    assert px(alone) == [(175, 35)]


def test_points_are_spread_over_feature_space(make_patches):
    """Left and right are alike in doubt; an example on the left sends the first point to the right."""
    features = np.zeros((10, 20, 2), np.float16)
    features[:, :10, 0] = features[:, 10:, 1] = 1
    scores = np.full((10, 20, 2), 0.5, np.float32)
    patches = make_patches(10, 20, scores=scores, features=features, valid=np.ones((10, 20), bool))
    assert suggest(patches, 1, examples=np.array([[5, 5]]))[0].px[0] > 100
    assert suggest(patches, 1, examples=np.array([[195, 95]]))[0].px[0] < 100
    sides = [col > 100 for col, _ in px(suggest(patches, 2))]
    assert sorted(sides) == [False, True]


def test_ties_are_broken_by_position(make_patches):
    ones = np.ones((6, 8, 3), np.float32)
    patches = make_patches(6, 8, scores=ones, features=ones.astype(np.float16), valid=np.ones((6, 8), bool))
    found = suggest(patches, 2)
    assert found[0].px == (5, 5)
    assert (found[0].first, found[0].second) == (1, 2)
    assert found[0].probabilities == (1 / 3, 1 / 3)


def test_neither_scores_nor_features_need_be_numbers(make_patches):
    patches = make_patches()
    patches.scores[2:8], patches.features[3:9] = np.nan, np.inf
    patches.scores[10:12], patches.features[10:12] = 0, 0
    found = suggest(patches)
    assert len(found) == 10
    assert all(0 <= p <= 1 for suggestion in found for p in suggestion.probabilities)
    assert suggest(patches, rows_at_once=1) == found


def test_points_are_inside_the_area_of_interest_and_the_window(make_patches):
    patches = make_patches(window=Window(0, 30, 300, 150))
    found = suggest(patches, 200, inside=lambda window: _left_of(window, 110))
    assert all(col < 110 and 30 <= row < 180 for col, row in px(found))
    assert len(found) == patches.valid[3:18, :11].sum()
    assert suggest(patches, inside=lambda window: _left_of(window, 0)) == ()


def _left_of(window: Window, col: int) -> np.ndarray:
    return np.tile(np.arange(window.col_off, window.col_off + window.width) < col, (int(window.height), 1))


@pytest.mark.parametrize("count", [0, -1, 1001, 2.0, True, "3", None])
def test_numbers_that_cannot_be(count, make_patches):
    with pytest.raises(ParameterError, match="the number of suggestions must be from 1 to 1000, not"):
        suggest(make_patches(), count)


def test_one_class_is_refused(make_patches):
    with pytest.raises(ParameterError, match="one class leaves nothing in doubt: name another one by classes"):
        suggest(make_patches(classes=1))
