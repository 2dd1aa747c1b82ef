from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lposs_geo.examples.runs import Line, Runs, joined, more_than_once, without

RUNS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60), st.integers(1, 9)), max_size=25).map(
    lambda rows: Runs(*(np.array(column, dtype=np.int64) for column in _columns(rows)))
)


def _columns(rows):
    owner, start, length = zip(*rows, strict=True) if rows else ((), (), ())
    return owner, start, [a + b for a, b in zip(start, length, strict=True)]


def members(runs):
    """(owner, px) of all runs, each as often as it is in them."""
    rows = zip(runs.owner.tolist(), runs.start.tolist(), runs.stop.tolist(), strict=True)
    return [(owner, px) for owner, start, stop in rows for px in range(start, stop)]


@given(RUNS)
def test_joined_runs_have_each_px_once_and_in_order(runs):
    once = members(joined(runs))
    assert once == sorted(set(members(runs)))
    ends = joined(runs)
    assert not ((ends.owner[1:] == ends.owner[:-1]) & (ends.start[1:] <= ends.stop[:-1])).any()


@given(RUNS)
def test_what_several_owners_have_is_taken_from_all(runs):
    once = joined(runs)
    owners = {px: {owner for owner, other in members(once) if other == px} for _, px in members(once)}
    starts, stops = more_than_once(once)
    shared = [px for a, b in zip(starts.tolist(), stops.tolist(), strict=True) for px in range(a, b)]
    assert shared == sorted(px for px, each in owners.items() if len(each) > 1)
    left = without(once, starts, stops)
    assert members(left) == [(owner, px) for owner, px in members(once) if len(owners[px]) == 1]


def test_rows_never_join():
    line = Line(2, 5)
    row, col = np.array([0, 1]), np.array([0, 0])
    start = line.index(row, col)
    runs = joined(Runs(np.zeros(2, dtype=np.int64), start, start + 5))
    assert len(runs) == 2
    assert (line.rows(runs.stop - 1).tolist(), line.cols(runs.stop - 1).tolist()) == ([0, 1], [4, 4])


def test_the_largest_raster():
    side = 2**31 - 1
    line = Line(side, side)
    corner = line.index(np.array([side - 1]), np.array([side - 1]))
    assert (line.rows(corner), line.cols(corner)) == (side - 1, side - 1)
    runs = joined(Runs(np.array([200]), corner, corner + 1))
    assert (runs.start, runs.stop) == (corner, corner + 1)
