from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lposs_geo.stages.ahead import prefetch


@given(items=st.lists(st.none() | st.integers()), depth=st.integers(1, 5))
def test_the_same_items_come_in_the_same_order(items, depth):
    with prefetch(items, depth) as made:
        assert list(made) == items
        assert list(made) == []


@pytest.mark.parametrize("depth", [1, 2, 9])
def test_an_error_comes_after_the_items_before_it(depth):
    def source() -> Iterator[int]:
        yield from range(4)
        raise ValueError("no fifth")

    got = []
    with pytest.raises(ValueError, match="no fifth"), prefetch(source(), depth) as made:
        got.extend([next(made) for _ in range(4)])
        got.append(next(made))
    assert got == [0, 1, 2, 3]


@pytest.mark.parametrize("depth", [1, 3])
def test_items_are_made_while_another_is_used_but_not_too_far_ahead(depth):
    asked, total = 0, 20
    begun = [threading.Event() for _ in range(total)]
    too_early, threads = [], set()

    def source() -> Iterator[int]:
        for number in range(total):
            begun[number].set()
            threads.add(threading.current_thread())
            if number >= asked + depth:
                too_early.append(number)
            yield number

    with prefetch(source(), depth) as made:
        for number in range(total):
            asked += 1
            assert next(made) == number
            # all that may be made is made by now, or will be though nobody asks for it
            assert all(event.wait(60) for event in begun[: number + depth + 1])
    assert not too_early
    assert len(threads) == 1
    assert threading.current_thread() not in threads


class AnotherError(Exception):
    pass


@pytest.mark.parametrize("is_error", [False, True])
def test_at_the_end_of_the_block_the_thread_stops(is_error):
    before, taken = set(threading.enumerate()), []

    def source() -> Iterator[int]:
        for number in itertools.count():
            taken.append(number)
            yield number

    endless = source()
    try:
        with prefetch(endless, 3) as made:
            assert [next(made), next(made)] == [0, 1]
            if is_error:
                raise AnotherError
    except AnotherError:
        assert is_error
    assert set(threading.enumerate()) <= before
    assert 2 <= len(taken) <= 5
    assert next(endless, "closed") == "closed"


def test_an_error_nobody_waited_for_is_dropped():
    def source() -> Iterator[int]:
        yield 0
        raise ValueError("not asked for")

    with prefetch(source(), 2) as made:
        assert next(made) == 0


def test_at_the_end_of_the_block_a_generator_lets_go_of_what_it_holds():
    events = []

    def numbers():
        with prefetch(endless(), 2) as inner:
            yield from inner

    def endless():
        try:
            yield from itertools.count()
        finally:
            events.append("let go")

    with prefetch(numbers(), 2) as items:
        assert next(items) == 0
    assert events == ["let go"]
