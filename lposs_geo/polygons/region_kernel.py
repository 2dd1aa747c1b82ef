"""Labelling connected pixels row by row, compiled.

A union-find's root is always its lowest id. So ids keep the order of the regions' first pixels, whatever was joined.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lposs_geo.jit import jit
from lposs_geo.legend.legend import NODATA
from lposs_geo.polygons.bundles import RegionFacts, Runs

__all__ = ["Strip", "fold", "label_rows", "resolve", "root_of"]


class Strip(NamedTuple):
    """Some rows of a label raster.

    Attributes
    ----------
    labels : (rows, cols) uint8
    row_areas : (rows,) float64
        Area of a pixel in each row.
    confidence : (rows, cols) uint8
        Percent, 255 where unknown; no columns where there is none.
    first_row : int
        Row of the raster at which the strip begins.
    """

    labels: NDArray[np.uint8]
    row_areas: NDArray[np.float64]
    confidence: NDArray[np.uint8]
    first_row: int


@jit
def root_of(parent: NDArray[Any], member: int) -> int:
    """The root of a member; the way to it is halved as it is gone."""
    while parent[member] != member:
        parent[member] = parent[parent[member]]
        member = parent[member]
    return member


@jit
def label_rows(strip: Strip, used: int, runs: Runs, parent: NDArray[Any], facts: RegionFacts) -> int:
    """Cut some rows into runs, and give each a preliminary id: one that leads to its region's through `parent`.

    Parameters
    ----------
    strip : Strip
    used : int
        Number of preliminary ids so far.
    runs : Runs
        With preliminary ids in the place of regions; known for the rows above, in place.
    parent : (used + runs,) int32 or int64
        In place, by preliminary id.
    facts : RegionFacts
        In place, by preliminary id.

    Returns
    -------
    int
        Number of preliminary ids now.
    """
    labels, row_areas, confidence, first_row = strip
    row_starts, run_end, run_id = runs
    label, area, confidence_sum, confidence_count = facts
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
                        other = np.int64(root_of(parent, np.int64(run_id[over])))
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
def fold(parent: NDArray[Any], facts: RegionFacts) -> int:
    """Number the regions in the order of their first pixels; all arrays by preliminary id, in place.

    Afterwards `parent` holds the regions' ids, and the facts begin with those of the regions.

    Returns
    -------
    int
        The number of regions.
    """
    label, area, confidence_sum, confidence_count = facts
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
