"""The inner loops of `regions`, compiled: labelling connected pixels row by row, and merging small regions.

A union-find's root is always its lowest id. So ids keep the order of the regions' first pixels, whatever was joined.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lposs_geo.jit import jit
from lposs_geo.legend.legend import NODATA

__all__ = ["fold", "fold_merged", "label_rows", "list_borders", "merge", "pop", "push", "resolve"]


@jit
def push(keys: NDArray[Any], items: NDArray[np.int64], size: int, key: Any, item: int) -> int:
    """Put an item on a heap of `size`, the least key on top, of equal keys the lower item; gives the new size."""
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if keys[parent] < key or (keys[parent] == key and items[parent] <= item):
            break
        keys[place] = keys[parent]
        items[place] = items[parent]
        place = parent
    keys[place] = key
    items[place] = item
    return size + 1


@jit
def pop(keys: NDArray[Any], items: NDArray[np.int64], size: int) -> int:
    """Take the top off a heap of `size`; gives the new size. Look at ``keys[0]`` and ``items[0]`` before."""
    size -= 1
    key, item = keys[size], items[size]
    place = 0
    while 2 * place + 1 < size:
        child = 2 * place + 1
        other = child + 1
        if other < size and (keys[other] < keys[child] or (keys[other] == keys[child] and items[other] < items[child])):
            child = other
        if key < keys[child] or (key == keys[child] and item < items[child]):
            break
        keys[place] = keys[child]
        items[place] = items[child]
        place = child
    keys[place] = key
    items[place] = item
    return size


@jit
def _root(parent: NDArray[Any], member: int) -> int:
    """The root of a member; paths are halved on the way."""
    while parent[member] != member:
        parent[member] = parent[parent[member]]
        member = parent[member]
    return member


@jit
def label_rows(
    labels: NDArray[np.uint8],
    row_areas: NDArray[np.float64],
    confidence: NDArray[np.uint8],
    first_row: int,
    used: int,
    row_starts: NDArray[np.int64],
    run_end: NDArray[np.int32],
    run_id: NDArray[Any],
    parent: NDArray[Any],
    label: NDArray[np.uint8],
    area: NDArray[np.float64],
    confidence_sum: NDArray[np.int64],
    confidence_count: NDArray[np.int64],
) -> int:
    """Cut some rows into runs, and give each a preliminary id: one that leads to its region's through `parent`.

    Parameters
    ----------
    labels : (rows, cols) uint8
    row_areas : (rows,) float64
        Area of a pixel in each row.
    confidence : (rows, cols) uint8
        Percent, 255 where unknown; no columns where there is none.
    first_row : int
        Row of the raster at which the labels begin.
    used : int
        How many preliminary ids there are already.
    row_starts : (rows of the raster + 1,) int64
        Where each row's runs begin, known for those above; in place.
    run_end : (runs,) int32
    run_id : (runs,)
        Column after each run, and its preliminary id, -1 for nodata; in place.
    parent, label, area, confidence_sum, confidence_count : (used + runs,)
        What is known by preliminary id, in place.

    Returns
    -------
    int
        How many preliminary ids there are now.
    """
    rows, cols = labels.shape
    confident = confidence.shape[1] > 0
    for row in range(rows):
        values = labels[row]
        run = row_starts[first_row + row]
        # the run of the row above that is over the current column, or before it
        over = row_starts[first_row + row - 1] if first_row + row > 0 else run
        stop = run
        col = 0
        while col < cols:
            first = col
            value = values[col]
            col += 1
            while col < cols and values[col] == value:
                col += 1
            root = np.int64(-1)
            if value != NODATA:
                while over < stop and run_end[over] <= first:
                    over += 1
                while over < stop:
                    if run_id[over] >= 0 and label[run_id[over]] == value:
                        other = np.int64(_root(parent, np.int64(run_id[over])))
                        if root < 0:
                            root = other
                        elif other < root:
                            parent[root] = other
                            root = other
                        elif other > root:
                            parent[other] = root
                    if run_end[over] >= col:
                        break  # what follows is over the next run
                    over += 1
                if root < 0:
                    root = np.int64(used)
                    used += 1
                    parent[root] = root
                    label[root] = value
                    area[root] = 0.0
                    if confident:
                        confidence_sum[root] = 0
                        confidence_count[root] = 0
                area[root] += (col - first) * row_areas[row]
                if confident:
                    for here in range(first, col):
                        if confidence[row, here] != 255:
                            confidence_sum[root] += confidence[row, here]
                            confidence_count[root] += 1
            run_end[run] = col
            run_id[run] = root
            run += 1
        row_starts[first_row + row + 1] = run
    return used


@jit
def fold(
    parent: NDArray[Any],
    label: NDArray[np.uint8],
    area: NDArray[np.float64],
    confidence_sum: NDArray[np.int64],
    confidence_count: NDArray[np.int64],
) -> int:
    """Number the regions in the order of their first pixels; all arrays by preliminary id, in place.

    Afterwards `parent` holds the regions' ids, and the others begin with what belongs to each. Gives their number.
    """
    confident = len(confidence_sum) > 0
    count = 0
    for member in range(len(parent)):
        if parent[member] == member:
            parent[member] = count
            label[count] = label[member]
            area[count] = area[member]
            if confident:
                confidence_sum[count] = confidence_sum[member]
                confidence_count[count] = confidence_count[member]
            count += 1
        else:
            region = parent[parent[member]]  # of a lower id, which has its region already
            parent[member] = region
            area[region] += area[member]
            if confident:
                confidence_sum[region] += confidence_sum[member]
                confidence_count[region] += confidence_count[member]
    return count


@jit
def resolve(ids: NDArray[Any], region: NDArray[Any], out: NDArray[Any]) -> None:
    """Turn the ids of runs (runs,) into those of what they belong to; -1 stays."""
    for run in range(len(ids)):
        out[run] = region[ids[run]] if ids[run] >= 0 else -1


@jit
def _share(
    here: int,
    other: int,
    length: int,
    area: NDArray[np.float64],
    limit: float,
    ends: NDArray[np.int64],
    neighbours: NDArray[Any],
    lengths: NDArray[np.int32],
) -> None:
    """Count a border for what is small of its two regions, and list it unless there is no list."""
    for region, beyond in ((here, other), (other, here)):
        if area[region] < limit:
            if len(neighbours) > 0:
                neighbours[ends[region]] = beyond
                lengths[ends[region]] = length
            ends[region] += 1


@jit
def list_borders(
    first_row: int,
    last_row: int,
    row_starts: NDArray[np.int64],
    run_end: NDArray[np.int32],
    run_region: NDArray[Any],
    area: NDArray[np.float64],
    limit: float,
    ends: NDArray[np.int64],
    neighbours: NDArray[Any],
    lengths: NDArray[np.int32],
) -> None:
    """List, for regions smaller than `limit`, what lies beyond each piece of their border.

    Parameters
    ----------
    first_row, last_row : int
        Rows whose runs are compared with each other and with those above.
    row_starts, run_end, run_region
        Of `regions.Regions`.
    area : (N,) float64
    limit : float
    ends : (N,) int64
        Where each region's next neighbour is listed, in place; at last, with `neighbours` empty, their numbers.
    neighbours, lengths : (pieces,)
        Receive the regions, and the length of the piece in pixel sides; empty for counting only.
    """
    for row in range(first_row, last_row):
        begin, stop = row_starts[row], row_starts[row + 1]
        over = row_starts[row - 1] if row > 0 else begin
        left = np.int32(0)
        for run in range(begin, stop):
            here = run_region[run]
            if run > begin and here >= 0:
                other = run_region[run - 1]
                if other >= 0 and other != here:
                    _share(here, other, np.int32(1), area, limit, ends, neighbours, lengths)
            while over < begin:
                right = min(run_end[run], run_end[over])
                other = run_region[over]
                if here >= 0 and other >= 0 and other != here:
                    _share(here, other, right - left, area, limit, ends, neighbours, lengths)
                left = right
                if run_end[over] == right:
                    over += 1
                if run_end[run] == right:
                    break


@jit
def merge(
    starts: NDArray[np.int64],
    neighbours: NDArray[Any],
    lengths: NDArray[np.int32],
    limit: float,
    parent: NDArray[Any],
    label: NDArray[np.uint8],
    area: NDArray[np.float64],
    following: NDArray[Any],
    last: NDArray[Any],
    tally: NDArray[np.int64],
) -> None:
    """Merge regions smaller than `limit` into their neighbours, the smallest first; see `regions.merge_small`.

    A region's list of neighbours is read when it is the smallest of all, and then becomes part of one at least twice as
    large: no list is read more often than areas can double below the limit.

    Parameters
    ----------
    starts : (N + 1,) int64
    neighbours, lengths : (pieces,)
        From ``starts[i]`` to ``starts[i + 1]`` what lies beyond each piece of region i's border, if it is small, and
        how long the piece is.
    limit : float
    parent : (N,)
        In place: at first each its own; at last the way to the lowest id of what was merged.
    label, area : (N,)
        In place, right for roots.
    following, last : (N,)
        Scratch: the next member of a merged region (at first -1), and a root's last member (at first itself).
    tally : (N,) int64
        Scratch, zero.
    """
    count = len(parent)
    small = 0
    for region in range(count):
        if area[region] < limit:
            small += 1
    keys = np.empty(small + 1, np.float64)
    items = np.empty(small + 1, np.int64)
    size = 0
    for region in range(count):
        if area[region] < limit:
            size = push(keys, items, size, area[region], region)
    touched = np.empty(1024, np.int64)
    while size > 0:
        key, region = keys[0], items[0]
        size = pop(keys, items, size)
        if parent[region] != region or area[region] != key:
            continue  # was merged since
        met = 0
        member = region
        while member >= 0:
            for side in range(starts[member], starts[member + 1]):
                other = np.int64(_root(parent, np.int64(neighbours[side])))
                if other == region:
                    continue
                if tally[other] == 0:
                    if met == len(touched):
                        longer = np.empty(2 * met, np.int64)
                        longer[:met] = touched
                        touched = longer
                    touched[met] = other
                    met += 1
                tally[other] += lengths[side]
            member = np.int64(following[member])
        if met == 0:
            continue  # an island amid nodata
        best = touched[0]
        for place in range(1, met):
            other = touched[place]
            if tally[other] != tally[best]:
                better = tally[other] > tally[best]
            elif area[other] != area[best]:
                better = area[other] > area[best]
            else:
                better = other < best
            if better:
                best = other
        value = label[best]
        root = np.int64(region)
        for place in range(met):
            other = touched[place]
            tally[other] = 0
            if label[other] == value:  # the target, and what is now beside it and of its class
                low, high = min(root, other), max(root, other)
                parent[high] = low
                area[low] += area[high]
                following[last[low]] = high
                last[low] = last[high]
                root = low
        label[root] = value
        if area[root] < limit:
            size = push(keys, items, size, area[root], root)


@jit
def fold_merged(
    parent: NDArray[Any],
    label: NDArray[np.uint8],
    area: NDArray[np.float64],
    confidence_sum: NDArray[np.int64],
    confidence_count: NDArray[np.int64],
) -> int:
    """Number what `merge` left, in order, as `fold` does: roots have their merged area already, confidences add up."""
    for region in range(len(parent)):
        parent[region] = _root(parent, region)
        if parent[region] != region:
            area[region] = 0.0
    return int(fold(parent, label, area, confidence_sum, confidence_count))
