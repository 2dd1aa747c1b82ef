"""Merging small regions into their neighbours, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lposs_geo.jit import jit
from lposs_geo.polygons.bundles import Members, Pieces, RegionFacts, Runs
from lposs_geo.polygons.heap_kernel import pop, push
from lposs_geo.polygons.region_kernel import fold, root_of

__all__ = ["fold_merged", "list_pieces", "merge"]


@jit
def _share(here: int, other: int, length: int, area: NDArray[np.float64], limit: float, pieces: Pieces) -> None:
    """Count a border for each small one of its two regions, and list it unless there is no list."""
    ends, neighbours, lengths = pieces
    for region, beyond in ((here, other), (other, here)):
        if area[region] < limit:
            if len(neighbours) > 0:
                neighbours[ends[region]] = beyond
                lengths[ends[region]] = length
            ends[region] += 1


@jit
def list_pieces(
    first_row: int, last_row: int, runs: Runs, area: NDArray[np.float64], limit: float, pieces: Pieces
) -> None:
    """List, for regions smaller than `limit`, the pieces of their borders.

    Parameters
    ----------
    first_row, last_row : int
        Rows whose runs are compared with each other and with those above.
    runs : Runs
    area : (N,) float64
    limit : float
    pieces : Pieces
        Receives them: with `starts`, (N,), the index of each region's next piece, in place. For counting only, its
        other arrays are empty; then `starts` are numbers at last.
    """
    row_starts, run_end, run_region = runs
    for row in range(first_row, last_row):
        begin, stop = row_starts[row], row_starts[row + 1]
        over = row_starts[row - 1] if row > 0 else begin
        left = np.int32(0)
        for run in range(begin, stop):
            here = run_region[run]
            if run > begin and here >= 0:
                other = run_region[run - 1]
                if other >= 0 and other != here:
                    _share(here, other, np.int32(1), area, limit, pieces)
            while over < begin:
                right = min(run_end[run], run_end[over])
                other = run_region[over]
                if here >= 0 and other >= 0 and other != here:
                    _share(here, other, right - left, area, limit, pieces)
                left = right
                if run_end[over] == right:
                    over += 1
                if run_end[run] == right:
                    break


@jit
def merge(pieces: Pieces, limit: float, members: Members, facts: RegionFacts, tally: NDArray[np.int64]) -> None:
    """Merge regions smaller than `limit` into their neighbours, the smallest first; see `regions.merge_small`.

    A region's list of neighbours is read when it is the smallest of all, and then becomes part of one at least twice as
    large: no list is read more often than areas can double below the limit.

    Parameters
    ----------
    pieces : Pieces
        Of all small regions.
    limit : float
    members : Members
        In place; at first each region is alone.
    facts : RegionFacts
        In place; labels and areas become right for roots, confidences stay.
    tally : (N,) int64
        Scratch, zero.
    """
    starts, neighbours, lengths = pieces
    parent, following, last = members
    label, area = facts.label, facts.area
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
                other = np.int64(root_of(parent, np.int64(neighbours[side])))
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
        for index in range(1, met):
            other = touched[index]
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
        for index in range(met):
            other = touched[index]
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
def fold_merged(parent: NDArray[Any], facts: RegionFacts) -> int:
    """Number what `merge` left, in order, as `fold` does: roots have their merged area already, confidences add up."""
    for region in range(len(parent)):
        parent[region] = root_of(parent, region)
        if parent[region] != region:
            facts.area[region] = 0.0
    return int(fold(parent, facts))
