"""A heap of items by their keys, in two arrays, compiled: the least key is on top, of equal keys the lower item."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lposs_geo.jit import jit

__all__ = ["pop", "push"]


@jit
def push(keys: NDArray[Any], items: NDArray[np.int64], size: int, key: Any, item: int) -> int:
    """Put an item on a heap of `size`; gives the new size."""
    index = size
    while index > 0:
        parent = (index - 1) >> 1
        if keys[parent] < key or (keys[parent] == key and items[parent] <= item):
            break
        keys[index] = keys[parent]
        items[index] = items[parent]
        index = parent
    keys[index] = key
    items[index] = item
    return size + 1


@jit
def pop(keys: NDArray[Any], items: NDArray[np.int64], size: int) -> int:
    """Take the top off a heap of `size`; gives the new size. Look at ``keys[0]`` and ``items[0]`` before."""
    size -= 1
    key, item = keys[size], items[size]
    index = 0
    while 2 * index + 1 < size:
        child = 2 * index + 1
        other = child + 1
        if other < size and (keys[other] < keys[child] or (keys[other] == keys[child] and items[other] < items[child])):
            child = other
        if key < keys[child] or (key == keys[child] and item < items[child]):
            break
        keys[index] = keys[child]
        items[index] = items[child]
        index = child
    keys[index] = key
    items[index] = item
    return size
