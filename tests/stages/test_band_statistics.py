from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lposs_geo.stages.band_statistics import (
    FARTHEST,
    MOST_PAIRED,
    Spans,
    normalised,
    num_features,
    patch_spans,
    patch_statistics,
    spectral_features,
)

SIDES = [16.0, 7.0, 14 / 3, 14 / 0.3, 16 / 1.7, 1.0, 1.25, 0.8, 0.5]


def _by_hand(values, valid, side, patches):
    """Each pixel put into the patch that holds its centre, or where that is none each patch given its nearest pixel."""
    height, width = valid.shape
    of_row = [math.floor((row + 0.5) / side + 1e-9) for row in range(height)]
    of_col = [math.floor((col + 0.5) / side + 1e-9) for col in range(width)]
    statistics = np.zeros((*patches, 2 * len(values)))
    is_valid = np.zeros(patches, bool)
    for i in range(patches[0]):
        rows = [row for row in range(height) if of_row[row] == i] or [min(int((i + 0.5) * side), height - 1)]
        for j in range(patches[1]):
            cols = [col for col in range(width) if of_col[col] == j] or [min(int((j + 0.5) * side), width - 1)]
            inside = valid[np.ix_(rows, cols)]
            if inside.any():
                is_valid[i, j] = True
                pixels = values[:, rows][:, :, cols][:, inside].astype(np.float64)
                statistics[i, j] = np.concatenate([pixels.mean(1), pixels.std(1)])
    return statistics, is_valid


def _statistics(values, valid, side, rows, cols):
    """Of a part of the lattice, from no more pixels than it takes."""
    down, across = (patch_spans(part, side, length) for part, length in zip((rows, cols), valid.shape, strict=True))
    window = slice(down.start, down.start + down.length), slice(across.start, across.start + across.length)
    return patch_statistics(values[:, *window], valid[window], down, across)


def _scene(height=61, width=47, bands=3, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.normal(1000, 300, (bands, height, width)).astype(np.float32)
    valid = rng.random((height, width)) < 0.6
    valid[10:30, 15:35] = False
    return values, valid


@pytest.mark.parametrize("side", SIDES)
def test_statistics_are_those_of_the_pixels_whose_centres_a_patch_holds(side):
    values, valid = _scene()
    patches = math.ceil(61 / side), math.ceil(47 / side)
    statistics, is_valid = _statistics(values, valid, side, range(patches[0]), range(patches[1]))
    wanted, wanted_valid = _by_hand(values, valid, side, patches)
    assert np.array_equal(is_valid, wanted_valid)
    assert np.allclose(statistics, wanted, rtol=1e-6, atol=1e-6)
    assert statistics.dtype == np.float32
    assert not statistics[~is_valid].any()


@settings(max_examples=60)
@given(side=st.sampled_from(SIDES), corner=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)), data=st.data())
def test_a_patch_is_the_same_whatever_it_is_asked_for_with(side, corner, data):
    values, valid = _scene()
    patches = math.ceil(61 / side), math.ceil(47 / side)
    whole, whole_valid = _statistics(values, valid, side, range(patches[0]), range(patches[1]))
    row, col = int(corner[0] * patches[0]), int(corner[1] * patches[1])
    rows = range(row, data.draw(st.integers(row + 1, patches[0])))
    cols = range(col, data.draw(st.integers(col + 1, patches[1])))
    part, part_valid = _statistics(values, valid, side, rows, cols)
    window = slice(rows.start, rows.stop), slice(cols.start, cols.stop)
    assert np.array_equal(part, whole[window])
    assert np.array_equal(part_valid, whole_valid[window])


@given(
    side=st.floats(0.3, 40) | st.builds(lambda zoom, patch: patch / zoom, st.floats(0.05, 20), st.integers(1, 16)),
    length=st.integers(1, 300),
)
def test_patches_of_at_least_a_pixel_share_all_pixels_out(side, length):
    count = math.ceil(length / side)
    spans = patch_spans(range(count), side, length)
    assert (spans.counts > 0).all()
    assert spans.firsts.min() >= 0
    assert spans.stops.max() <= length
    assert (np.diff(spans.firsts) >= 0).all()
    if side >= 1 and count > 1:
        assert np.array_equal(spans.stops[:-2], spans.firsts[1:-1])
        assert spans.start == 0
        assert spans.stops.max() == length


def test_a_last_patch_that_holds_no_centre_takes_the_last_pixel():
    spans = patch_spans(range(2), 14 / 3, 5)  # 4.67 .. 5
    assert spans.firsts.tolist() == [0, 4]
    assert spans.stops.tolist() == [5, 5]
    assert spans.indices().tolist() == [0, 1, 2, 3, 4, 4]
    assert spans.begins().tolist() == [0, 5]


@pytest.mark.parametrize(("offset", "spread"), [(65000.0, 535.0), (1e-4, 1e-6), (-3e6, 1.0), (0.0, 1e30)])
def test_small_differences_of_large_values_are_not_lost(offset, spread):
    values = (offset + spread * np.random.default_rng(0).random((2, 32, 32))).astype(np.float32)
    statistics, _ = _statistics(values, np.ones((32, 32), bool), 16.0, range(2), range(2))
    pixels = values.astype(np.float64).reshape(2, 2, 16, 2, 16).transpose(1, 3, 0, 2, 4).reshape(2, 2, 2, 256)
    assert np.allclose(statistics[..., :2], pixels.mean(-1), rtol=1e-7)
    assert np.allclose(statistics[..., 2:], pixels.std(-1), rtol=1e-6)


def test_a_band_without_a_value_is_left_out_of_that_band_alone():
    values = np.ones((2, 4, 8), np.float32) * np.array([3, 8], np.float32)[:, None, None]
    values[1, :, :4] = np.nan
    values[1, 0, 4:] = np.nan
    statistics, is_valid = _statistics(values, np.ones((4, 8), bool), 4.0, range(1), range(2))
    assert is_valid.all()
    assert np.array_equal(statistics, [[[3, np.nan, 0, np.nan], [3, 8, 0, 0]]], equal_nan=True)


def _scaled(statistics):
    """Normalised by their own mean and deviation, all patches counted."""
    bands = statistics.shape[-1] // 2
    features = spectral_features(statistics, np.nanmean(statistics[..., :bands], axis=0))
    return normalised(statistics, np.nanmean(features, axis=0), np.nanstd(features, axis=0))


@pytest.mark.parametrize("bands", [1, 2, 4, 12, 32])
def test_features_are_as_many_as_said_and_of_one_size(bands):
    rng = np.random.default_rng(0)
    statistics = rng.gamma(2.0, 500.0, (5000, 2 * bands)).astype(np.float32)
    features = _scaled(statistics)
    assert features.shape == (5000, num_features(bands))
    assert features.shape[-1] - 2 * bands == math.comb(min(bands, MOST_PAIRED), 2)
    assert features.dtype == np.float32
    assert np.abs(features.mean(axis=0)).max() < 0.05
    assert (np.abs(features.std(axis=0) - 1) < 0.1).all()
    assert np.abs(features).max() <= FARTHEST


def test_normalised_differences_are_the_usual_ratio_of_what_is_bright():
    statistics = np.array([[100, 300, 0, 0], [300, 100, 0, 0], [1, 3, 0, 0], [0, 0, 0, 0]], np.float32)
    ratios = spectral_features(statistics, np.array([200.0, 200.0]))[:, 4]
    assert np.allclose(ratios[:2], [-0.5, 0.5])
    assert abs(ratios[2]) < 0.15  # dark: mostly noise
    assert ratios[3] == 0


@pytest.mark.parametrize(
    "means",
    [
        np.random.default_rng(0).normal(0, 1e-3, (400, 3)),  # reflectances round 0 after correction
        np.random.default_rng(0).normal(-15, 4, (400, 3)),  # decibels
        np.zeros((400, 3)),
        np.random.default_rng(0).integers(0, 2, (400, 3)) * 65535.0,
        np.random.default_rng(0).normal(0, 1e30, (400, 3)),
    ],
)
def test_no_values_make_features_explode(means):
    statistics = np.concatenate([means, np.abs(means) / 7], axis=1).astype(np.float32)
    ratios = spectral_features(statistics, statistics[:, :3].mean(0).astype(float))[:, 6:]
    assert np.abs(ratios).max() <= 1
    features = _scaled(statistics)
    assert np.isfinite(features).all()
    assert np.abs(features).max() <= FARTHEST


def test_what_is_the_same_everywhere_or_no_number_tells_nothing():
    rng = np.random.default_rng(0)
    statistics = np.tile(np.array([2000.1, 500.3, 1e-13, 1e-14], np.float32), (300, 1))
    statistics[:, 1] = rng.normal(500, 50, 300)
    statistics[:, 3] = rng.normal(20, 5, 300)
    statistics[:, 2] += (rng.random(300) * 1e-13).astype(np.float32)  # rounding
    statistics[7] = np.nan
    features = _scaled(statistics)
    assert not features[:, [0, 2]].any()
    assert np.abs(features[:, 1]).max() > 1
    assert not features[7].any()


def test_spans_of_one_patch_are_whole_pixels_of_the_scene():
    spans = patch_spans(range(3, 4), 14 / 1.5, 100)  # 28 .. 37.33
    assert isinstance(spans, Spans)
    assert (spans.start, spans.length) == (28, 9)
