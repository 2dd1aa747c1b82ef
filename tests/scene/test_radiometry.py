from __future__ import annotations

import numpy as np
import pytest

from lposs_geo.errors import ParameterError
from lposs_geo.scene.radiometry import Radiometry, as_stored, contrasts, eight_bit, stretched, turned_round

ONES, ZEROS = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)


def test_outliers_hardly_move_the_stretch():
    rng = np.random.default_rng(0)
    plain = rng.normal(500, 40, (3, 10_000))
    spoilt = plain.copy()
    spoilt[:, :50] = 1e30
    spoilt[:, 50:100] = -1e30
    one, other = (stretched(sample, ONES, ZEROS) for sample in (plain, spoilt))
    assert one.low == pytest.approx(other.low, rel=0.05)
    assert one.high == pytest.approx(other.high, rel=0.05)


def test_negative_values_are_brightness_too():
    sample = np.tile(np.linspace(-0.4, 0.6, 101, dtype="float32"), (3, 1))
    radiometry = stretched(sample, ONES, ZEROS)
    assert radiometry.low == pytest.approx((-0.38,) * 3)
    assert radiometry.apply(np.array([-0.4, 0.1, 0.6], "float32")[None, None].repeat(3, 0))[0, 0] == pytest.approx(
        [0, 0.5, 1], abs=1e-5
    )


def test_a_flat_band_is_no_division_by_zero():
    radiometry = stretched(np.full((3, 9), 7, "uint16"), ONES, ZEROS)
    assert np.isfinite(radiometry.apply(np.full((3, 2, 2), 7, "uint16"))).all()


def test_what_is_no_number_is_black():
    values = np.array([np.nan, np.inf, -np.inf], "float32")[None, None].repeat(3, 0)
    assert Radiometry(ZEROS, ONES).apply(values)[0, 0].tolist() == [0, 1, 0]


def test_physical_values_become_stored_ones_once_for_all_bands():
    radiometry = as_stored((0.0, 0.3), (0.0001, 0.001, -0.1), (0.0, -0.1, 0.3))
    assert radiometry.low == pytest.approx((0, 100, 3))
    assert radiometry.high == pytest.approx((3000, 400, 0))
    low, high = radiometry.physical
    assert low == pytest.approx(ZEROS)
    assert high == pytest.approx((0.3,) * 3)
    stored = np.array([[1500, 250, 1.5]]).T[:, None]
    assert radiometry.apply(stored).ravel() == pytest.approx([0.5] * 3)


def test_a_falling_scale_makes_the_least_stored_value_the_brightest():
    sample = np.tile(np.arange(101.0), (3, 1))
    radiometry = stretched(sample, (-1.0, -1.0, 1.0), (100.0, 100.0, 0.0))
    assert radiometry.low == pytest.approx((98, 98, 2))
    assert radiometry.physical[0] == pytest.approx((2, 2, 2))
    assert radiometry.apply(np.full((3, 1, 1), 0.0)).ravel().tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    "scale", [(1, 1), (2, 1), (0, float("inf")), (float("nan"), 1), (1,), (1, 2, 3), ("a", 2), None]
)
def test_scales_that_are_none(scale):
    with pytest.raises(ParameterError, match="scale must be two numbers, the lower one first") as caught:
        as_stored(scale, ONES, ZEROS)
    assert "\n" not in str(caught.value)


def test_contrast_is_between_the_percentiles():
    sample = np.stack([np.arange(101.0), np.arange(101.0) * 2, np.full(101, 5.0)])
    assert contrasts(sample, (1.0, -0.5, 1.0)) == pytest.approx((96, 96, 0))


def test_eight_bits_are_taken_as_they_are():
    radiometry = eight_bit(255.0, (1.0, -1.0, 1.0), ZEROS)
    assert radiometry.low == (0, 255, 0)
    assert radiometry.high == (255, 0, 255)


def test_where_the_least_value_is_white_all_is_turned_round():
    radiometry = turned_round(eight_bit(255.0, ONES, ZEROS))
    assert radiometry.apply(np.full((3, 1, 1), 51, "uint8")).ravel() == pytest.approx([0.8] * 3)
