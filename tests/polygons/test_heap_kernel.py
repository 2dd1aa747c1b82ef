from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lposs_geo.polygons.heap_kernel import pop, push


@given(entries=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50)), max_size=40), early=st.integers(0, 40))
def test_items_leave_a_heap_by_key_and_then_by_number(entries, early):
    keys, items = np.zeros(len(entries)), np.zeros(len(entries), np.int64)
    size, waiting = 0, []
    for i, (key, item) in enumerate(entries):
        size = push(keys, items, size, float(key), item)
        waiting.append((key, item))
        if i == early:  # one leaves while others still come
            assert (keys[0], items[0]) == min(waiting)
            waiting.remove(min(waiting))
            size = pop(keys, items, size)
    order = []
    while size:
        order.append((keys[0], items[0]))
        size = pop(keys, items, size)
    assert order == sorted(waiting)
