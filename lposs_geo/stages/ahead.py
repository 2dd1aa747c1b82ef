"""Doing one thing while another is under way: an iterator whose items are made ahead, in a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["prefetch"]

T = TypeVar("T")


@contextmanager
def prefetch(items: Iterable[T], depth: int) -> Iterator[Iterator[T]]:
    """Let a thread make the items of an iterable while earlier ones are being used.

    Parameters
    ----------
    items : iterable
        Is run through in the thread; if it raises, so does the iterator, after the items made before.
    depth : int
        How many items are made ahead.

    Yields
    ------
    iterator
        Of the same items in the same order. At the end of the block the thread stops after the item it is at, and a
        generator is closed: whatever it holds may then be closed, too.
    """
    source, end = iter(items), object()
    pool = ThreadPoolExecutor(max_workers=1)

    def taken() -> Iterator[T]:
        waiting = deque(pool.submit(next, source, end) for _ in range(depth))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, source, end))
            yield item  # type: ignore[misc]

    try:
        yield taken()
    finally:
        pool.shutdown(cancel_futures=True)
        if isinstance(source, Generator):
            source.close()
