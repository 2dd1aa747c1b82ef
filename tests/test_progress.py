from __future__ import annotations

import pytest

from lposs_geo.progress import Clock


def test_times_add_up_in_the_order_in_which_the_stages_began():
    clock = Clock()
    for stage, seconds in (("read", 1.0), ("encode", 2.5), ("read", 0.5)):
        clock.add(stage, seconds)
    assert list(clock.seconds.items()) == [("read", 1.5), ("encode", 2.5)]
    assert Clock().seconds == {}


def test_a_block_counts_even_if_it_fails():
    clock = Clock({"read": 5.0})
    with clock.running("read"), clock.running("encode"):
        pass
    with pytest.raises(ZeroDivisionError), clock.running("refine"):
        _ = 1 / 0
    assert list(clock.seconds) == ["read", "encode", "refine"]
    assert clock.seconds["read"] - 5.0 >= clock.seconds["encode"] >= 0
