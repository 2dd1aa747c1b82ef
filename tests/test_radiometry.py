from __future__ import annotations

import numpy as np
import pytest

from lposs_geo.errors import ParameterError
from lposs_geo.radiometry import Radiometry, as_stored, contrasts, eight_bit, frame_values, frames, stretched

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


def _frame(black: np.ndarray, valid: np.ndarray | None = None) -> float:
    return frames(black, np.ones_like(black) if valid is None else valid)


def test_a_turned_picture_has_a_frame():
    row, col = np.mgrid[:300, :400]
    inside = (np.abs(row - 150 + (col - 200) / 4) < 90) & (np.abs(col - 200 - (row - 150) / 4) < 130)
    assert _frame(~inside) == pytest.approx((~inside).mean())
    lake = ~inside
    lake[120:170, 180:230] = True
    assert _frame(lake) == pytest.approx((~inside).mean())


def test_a_lake_and_a_shadow_are_no_frame():
    black = np.zeros((200, 200), bool)
    black[50:100, 50:100] = True
    assert _frame(black) == 0
    black[120:160, :50] = True  # cut off by the border, but in no corner
    assert _frame(black) == 0
    black[:15, :15] = True  # in a corner, and less than a hundredth
    black[:15, 15:] = False
    assert _frame(black) == pytest.approx(0.0)


def test_a_frame_may_wind():
    black = np.zeros((60, 60), bool)
    for row in range(0, 60, 4):
        black[row] = True
        black[row : row + 5, -1 if row % 8 == 0 else 0] = True
    assert _frame(black) == pytest.approx(black.mean())


def test_black_beside_what_is_missing_is_a_frame():
    valid = np.ones((100, 100), bool)
    valid[40:60] = False
    black = np.zeros((100, 100), bool)
    black[60:70] = True
    black[80:90, 20:80] = True
    assert _frame(black, valid) == pytest.approx(0.1)


def test_all_black_is_all_frame():
    assert _frame(np.ones((5, 7), bool)) == 1


def test_what_a_frame_may_be_filled_with():
    assert frame_values(np.dtype("uint8")) == [0]
    assert frame_values(np.dtype("uint16")) == [0, 65535]
    assert frame_values(np.dtype("int16")) == [0, -9999, -32768, 32767]
    assert frame_values(np.dtype("float32")) == [0, -9999]


def test_eight_bits_are_taken_as_they_are():
    radiometry = eight_bit(255.0, (1.0, -1.0, 1.0), ZEROS)
    assert radiometry.low == (0, 255, 0)
    assert radiometry.high == (255, 0, 255)
