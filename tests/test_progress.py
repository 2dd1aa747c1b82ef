from __future__ import annotations

import pytest

from lposs_geo.progress import STAGES, Progress


def test_times_add_up_in_the_order_in_which_the_stages_began():
    progress = Progress()
    for stage, seconds in (("read", 1.0), ("encode", 2.5), ("read", 0.5)):
        progress.add(stage, seconds)
    assert list(progress.seconds.items()) == [("read", 1.5), ("encode", 2.5)]
    assert Progress().seconds == {}


def test_a_block_counts_even_if_it_fails():
    progress = Progress(seconds={"read": 5.0})
    with progress.running("read"), progress.running("encode"):
        pass
    with pytest.raises(ZeroDivisionError), progress.running("refine"):
        _ = 1 / 0
    assert list(progress.seconds) == ["read", "encode", "refine"]
    assert progress.seconds["read"] - 5.0 >= progress.seconds["encode"] >= 0


def test_a_listener_hears_of_every_step_and_without_one_nothing_happens():
    heard = []
    Progress(lambda *step: heard.append(step)).step("encode", 1, 3)
    Progress().step("encode", 1, 3)
    assert heard == [("encode", 1, 3)]


def test_every_stage_has_its_words():
    assert all(stage.doing for stage in STAGES.values())
    assert [name for name, stage in STAGES.items() if stage.unit] == ["encode", "propagate", "refine", "vectorize"]
