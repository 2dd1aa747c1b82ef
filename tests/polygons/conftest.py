"""Small rasters of regions as what the compiled loops take and give, each by itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lposs_geo.polygons.arc_kernel import ArcCounts, follow_closed, follow_open
from lposs_geo.polygons.bundles import Arcs, Corners, Lattice, Nodes, Runs
from lposs_geo.polygons.corner_kernel import CornerCounts, find_corners
from lposs_geo.polygons.ring_kernel import join


def _runs_of(ids: np.ndarray) -> Runs:
    """Runs of a raster of regions, -1 for nodata."""
    starts, ends, regions = [0], [], []
    for row in ids.tolist():
        for col, region in enumerate(row):
            if col + 1 == len(row) or row[col + 1] != region:
                ends.append(col + 1)
                regions.append(region)
        starts.append(len(ends))
    return Runs(np.array(starts), np.array(ends, np.int32), np.array(regions, np.int32))


def _lattice_of(ids: np.ndarray) -> tuple[Lattice, CornerCounts]:
    """The border's corners; arrays are as long as they may have to be."""
    rows, cols = ids.shape
    most = (rows + 1) * (cols + 1)
    lattice = Lattice(
        Corners(np.zeros((most, 2), np.int32), np.zeros(most, np.uint8), np.zeros(most, np.int64)),
        Nodes(np.zeros(most, np.int64), np.zeros((most, 2), np.int64), np.zeros((most, 4), np.int32)),
        np.zeros((most, 2), np.int32),
        np.zeros((rows + 1, (cols + 64) // 64), np.uint64),
    )
    open_corner = np.zeros(cols + 1, np.int64)
    return lattice, find_corners(0, rows + 1, cols, _runs_of(ids), CornerCounts(0, 0, 0), lattice, open_corner)


def _arcs_of(ids: np.ndarray) -> tuple[Arcs, np.ndarray, np.ndarray]:
    """The border's arcs, the darts that leave its nodes, and the dart after each in a ring."""
    lattice, counts = _lattice_of(ids)
    most = len(lattice.corners.sides)
    arcs = Arcs(
        np.zeros((4 * most, 2), np.int32),
        np.zeros(2 * most, np.int64),
        np.zeros((2 * most, 2), np.int32),
        np.zeros((2 * most, 2), np.int64),
    )
    leaving = np.full((counts.nodes, 4), -1)
    arc_counts = follow_open(0, counts.nodes, ArcCounts(0, 0, 0), lattice, leaving, arcs)
    arc_counts = follow_closed(0, counts.corners, arc_counts, lattice, arcs)
    number = arc_counts.arcs
    following = np.arange(2 * number)
    join(leaving, lattice.nodes.cells[: counts.nodes], following)
    whole = Arcs(arcs.points[: arc_counts.points], arcs.starts[: number + 1], arcs.sides[:number], arcs.ends[:number])
    return whole, leaving, following


@pytest.fixture
def runs_of() -> Callable[[np.ndarray], Runs]:
    return _runs_of


@pytest.fixture
def lattice_of() -> Callable[[np.ndarray], tuple[Lattice, CornerCounts]]:
    return _lattice_of


@pytest.fixture
def arcs_of() -> Callable[[np.ndarray], tuple[Arcs, np.ndarray, np.ndarray]]:
    return _arcs_of
