from __future__ import annotations

import numpy as np
import pytest

from lposs_geo.scene.frames import (
    Region,
    alike,
    along_edge,
    frame_in,
    frame_values,
    has_specks,
    hole_in,
    spread,
    stands_out,
    with_edge,
)


def _frame(black: np.ndarray, valid: np.ndarray | None = None) -> float:
    return frame_in(black, np.ones_like(black) if valid is None else valid).mean()


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
    assert frame_values(np.dtype("uint8")) == [0, 255, 254, 1]
    assert frame_values(np.dtype("uint16")) == [0, 65535]
    assert frame_values(np.dtype("int16")) == [0, -9999, -32768, 32767]
    assert frame_values(np.dtype("float32")) == [0, -9999]


def test_a_region_of_cells_is_looked_up_pixel_by_pixel():
    cells = np.random.default_rng(0).random((7, 11)) < 0.5
    region = Region.of(cells)
    whole = region.at((70, 33), (0, 0), (70, 33), (70, 33))
    assert np.array_equal(whole, cells.repeat(10, 0).repeat(3, 1))
    assert np.array_equal(region.at((70, 33), (13, 4), (40, 20), (40, 20)), whole[13:53, 4:24])
    assert np.array_equal(region.at((70, 33), (0, 0), (70, 33), (7, 11)), cells)
    ragged = region.at((69, 31), (0, 0), (69, 31), (69, 31))
    assert np.array_equal(region.at((69, 31), (5, 6), (30, 20), (30, 20)), ragged[5:35, 6:26])
    for start, stop in (((0, 0), (10, 3)), ((5, 2), (25, 20)), ((60.5, 30.2), (70, 33))):
        rows, cols = (slice(int(first), int(np.ceil(last))) for first, last in zip(start, stop, strict=True))
        assert region.covers((70, 33), start, stop) == whole[rows, cols].all()


@pytest.mark.parametrize(("dtype", "value"), [("uint8", 0), ("uint8", 255), ("int16", -9999), ("float32", 0)])
def test_alike_is_within_a_tolerance_in_all_bands(dtype, value):
    values = np.random.default_rng(0).integers(-4, 5, (3, 20, 20)).astype(float) + value
    values = values.clip(0, 255).astype(dtype) if dtype == "uint8" else values.astype(dtype)
    for tolerance in (0, 2):
        expected = (np.abs(values.astype(float) - value) <= tolerance).all(axis=0)
        assert np.array_equal(alike(values, value, tolerance), expected)


def test_what_spreads_sees_no_farther_than_its_steps():
    rng = np.random.default_rng(0)
    core, near = rng.random((60, 60)) < 0.02, rng.random((60, 60)) < 0.6
    whole = spread(core, near, 5)
    assert (core <= whole).all()
    assert not (whole & ~near & ~core).any()
    part = spread(core[10:50, 10:50], near[10:50, 10:50], 5)
    assert np.array_equal(part[5:-5, 5:-5], whole[15:45, 15:45])


def test_what_lies_along_the_edge():
    held = np.zeros((9, 9), bool)
    held[4, :3] = held[6:8, 6:8] = True
    assert np.argwhere(along_edge(held)).tolist() == [[4, 0], [4, 1], [4, 2]]
    assert with_edge(along_edge(held))[3:6, :4].all()


def test_snow_and_clouds_are_no_white_frame():
    rng = np.random.default_rng(0)
    values, valid = rng.integers(20, 120, (3, 100, 100)).astype("uint8"), np.ones((100, 100), bool)
    values[:, :20] = 255
    assert stands_out(values, values[0] == 255, valid, 255)
    snow = rng.integers(200, 254, (3, 100, 100)).astype("uint8")
    snow[:, :20] = 255
    assert not stands_out(snow, snow[0] == 255, valid, 255)
    cloud = values.copy()
    cloud[:, :20, 60:] = 90  # one corner
    assert not stands_out(cloud, cloud[0] == 255, valid, 255)


def test_a_picture_of_few_values_and_a_lake_are_no_frame():
    few = np.broadcast_to(np.tri(60, 80, dtype="uint8") + 1, (3, 60, 80))
    valid = np.ones((60, 80), bool)
    for value in (1, 2):
        assert not stands_out(few, few[0] == value, valid, value)
    alone = np.ones((3, 60, 80), "uint8")
    assert not stands_out(alone, alone[0] == 1, valid, 1)
    land = np.full((3, 60, 80), 120, "uint8")
    land[:, :20] = 1
    assert stands_out(land, land[0] == 1, valid, 1)


def test_specks_are_what_lossy_compression_leaves():
    rng = np.random.default_rng(0)
    values = rng.integers(20, 200, (3, 64, 64)).astype("uint8")
    values[:, :30] = 0
    assert has_specks(values, 0) == (0, 64)
    values[:, 26:30] = rng.integers(0, 4, (4, 64))
    specks, edge = has_specks(values, 0)
    assert specks > 0.3 * edge


@pytest.mark.parametrize(
    ("dtype", "value", "found"),
    [
        ("int16", -9999, True),
        ("int16", -32768, True),
        ("float32", -9999, True),
        ("uint16", 65535, True),
        ("uint16", 0, False),  # 200 is not far enough from it
        ("float32", -1e6, True),
        ("uint16", 3000, False),  # a bright roof
    ],
)
def test_holes_are_what_lies_far_outside(dtype, value, found):
    sample = np.random.default_rng(0).integers(200, 1500, (3, 10_000)).astype(dtype)
    assert hole_in(sample) == (None, 0)
    sample[:, 50:550] = value
    assert hole_in(sample) == ((value, 0.05) if found else (None, 0))


def test_a_hole_in_one_band_and_a_sea():
    sample = np.random.default_rng(0).integers(200, 1500, (3, 10_000)).astype("int16")
    sample[1, 50:550] = -9999
    assert hole_in(sample) == (-9999, 0.05)
    heights = np.random.default_rng(0).integers(2000, 2500, (3, 10_000)).astype("int16")
    heights[:, 50:550] = 0
    assert hole_in(heights) == (0, 0.05)
    assert hole_in(heights, is_heights=True) == (None, 0)
