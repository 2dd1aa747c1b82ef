"""The disk that the polygons of some labels will take, from a count of their corners: before any is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lposs_geo.legend.legend import NODATA
from lposs_geo.polygons.regions import SHORT_IDS

__all__ = ["MOST_PER_PIXEL", "Outline", "outline_of", "polygon_bytes"]

MOST_PER_PIXEL = 1000
"""Bytes: no labels take more than that for each of their pixels; a chequerboard takes some 600 in a GeoPackage."""

SURE = 0.85
"""Share of the estimate that is needed for certain: where nodata lies between the polygons it is a little too high."""

# bytes of a polygon without its points, and of a point, by the ending of the file; Parquet is packed
_PER_POLYGON = {".gpkg": 120, ".parquet": 6, ".fgb": 130, ".geojson": 180}
_PER_POINT = {".gpkg": 16, ".parquet": 0, ".fgb": 16, ".geojson": 25}


@dataclass(frozen=True)
class Outline:
    """Counts of runs and corners of labels, or of several parts of them: no more than there are.

    Attributes
    ----------
    runs : int
        Pixels of a label side by side in a row, as `Regions` keeps them.
    turns : int
        Corners of borders where two sides meet.
    tips : int
        Of these, those around the upper left of what is below right.
    threes, fours : int
        Corners where three and four sides meet.
    singles : int
        Pixels unlike their four neighbours.
    valid : int
        Pixels that aren't nodata.
    """

    runs: int = 0
    turns: int = 0
    tips: int = 0
    threes: int = 0
    fours: int = 0
    singles: int = 0
    valid: int = 0

    def __add__(self, other: Outline) -> Outline:
        return Outline(
            self.runs + other.runs,
            self.turns + other.turns,
            self.tips + other.tips,
            self.threes + other.threes,
            self.fours + other.fours,
            self.singles + other.singles,
            self.valid + other.valid,
        )

    @property
    def regions(self) -> int:
        """Number of connected patches, at least."""
        return max(self.threes // 2 + self.fours, self.singles)


def outline_of(labels: NDArray[np.uint8], *, goes_on: bool = False) -> Outline:
    """Count the corners inside a part of the labels, (rows, cols) uint8.

    Where the first row is the last one of the part above (`goes_on`), its pixels were counted there.
    """
    aside, below = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    up, down, left, right = aside[:-1], aside[1:], below[:, :-1], below[:, 1:]
    sides = up.view(np.uint8) + down.view(np.uint8) + left.view(np.uint8) + right.view(np.uint8)
    turns = (sides == 2) & (up != down)
    alone = aside[1:-1, :-1] & aside[1:-1, 1:] & below[:-1, 1:-1] & below[1:, 1:-1] & (labels[1:-1, 1:-1] != NODATA)
    valid = labels[int(goes_on) :] != NODATA
    counts = aside[goes_on:], turns, turns & down & right, sides == 3, sides == 4, alone, valid
    runs, *others = (int(np.count_nonzero(count)) for count in counts)
    return Outline(len(labels) - goes_on + runs, *others)


def polygon_bytes(
    outline: Outline, shape: tuple[int, int], ending: str, *, simplify: bool, merge: bool, confident: bool
) -> int:
    """Estimate the bytes that drawing polygons takes on the disk at its height: temporary files, and the file itself.

    Parameters
    ----------
    outline : Outline
    shape : (int, int)
        Rows and cols of the raster.
    ending : str
        Of the file.
    simplify : bool
        Borders are simplified: then only the points where three of them meet are sure to stay.
    merge : bool
        Small patches are merged: then no border is sure to stay.
    confident : bool
        Polygons get a confidence.

    Returns
    -------
    int
        Less than it will be, rather than more.
    """
    rows, cols = shape
    ids = 4 if rows * cols < SHORT_IDS else 8
    regions = outline.regions
    needed = 8 * (rows + 1) + (4 + ids) * outline.runs + (ids + 9 + 16 * confident) * regions
    if merge:
        return int(SURE * needed)
    nodes, meeting = outline.threes + outline.fours, 3 * outline.threes + 4 * outline.fours
    arcs, points = meeting // 2 + outline.tips, outline.turns + meeting + outline.tips
    needed += 17 * (outline.turns + nodes) + (56 + 4 * ids) * nodes + 2 * ids * outline.tips
    needed += 8 * points + (8 + 2 * ids + 16 + 16 + 1 + 2) * arcs + 8 * (rows + 1) * ((cols + 64) // 64)
    needed += (8 * points + 8 * arcs) * simplify + 24 * regions
    drawn = meeting + regions + 2 * outline.turns * (not simplify)
    file = (_PER_POLYGON[ending] * regions + _PER_POINT[ending] * drawn) * outline.valid // max(1, rows * cols)
    return int(SURE * (needed + file))
