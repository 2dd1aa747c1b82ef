from __future__ import annotations

import math

import numpy as np
import pytest

from lposs_geo.legend.oklab import VISIONS, colour_at, oklab, seen


def _distances(one, other):
    return np.linalg.norm(oklab(one) - oklab(other), axis=-1)


def _as_seen(colour, vision):
    """The colour that looks to everyone as this one looks with another vision."""
    linear = seen(colour)[VISIONS.index(vision)]
    return np.rint(255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


def test_distances_are_those_of_oklab():
    assert _distances((0, 0, 0), (255, 255, 255)) == pytest.approx(np.ones(len(VISIONS)), abs=1e-3)
    assert not _distances((9, 8, 7), (9, 8, 7)).any()
    # sRGB's red in OKLab is 0.628, 0.225, 0.126
    assert _distances((255, 0, 0), (0, 0, 0))[0] == pytest.approx((0.628**2 + 0.225**2 + 0.126**2) ** 0.5, abs=1e-3)


def test_normal_vision_changes_nothing_and_others_take_red_for_green():
    assert _as_seen((200, 90, 30), "normal").tolist() == [200, 90, 30]
    for vision in VISIONS[1:]:
        red, green, _ = _as_seen((200, 60, 30), vision)
        assert abs(red - green) < 40
        assert _as_seen((128, 128, 128), vision) == pytest.approx([128] * 3, abs=1)


@pytest.mark.parametrize("colour", [(62, 120, 192), (128, 128, 128), (200, 60, 30)])
def test_a_colour_comes_back_from_its_point(colour):
    lightness, green_red, blue_yellow = oklab(colour)[0].tolist()
    assert colour_at(lightness, math.hypot(green_red, blue_yellow), math.atan2(blue_yellow, green_red)) == colour


def test_what_no_screen_can_show_becomes_greyer():
    wish = colour_at(0.6, 0.5, 0.5)
    _, green_red, blue_yellow = oklab(wish)[0].tolist()
    assert 0.1 < math.hypot(green_red, blue_yellow) < 0.5
    assert math.atan2(blue_yellow, green_red) == pytest.approx(0.5, abs=0.05)
