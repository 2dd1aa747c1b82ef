"""The changes from one map to the next on the same grid: which class became which, and on how much land."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.grid import Grid
from lposs_geo.legend.legend import NODATA, UNKNOWN, UNKNOWN_CLASS, Legend
from lposs_geo.legend.words import said

__all__ = ["BECAME_UNKNOWN", "UNCHANGED", "Change", "Changes", "Comparison", "changed_to", "compared_with"]

UNCHANGED = 0
"""In a raster of changes: the class is the same as before."""

BECAME_UNKNOWN = 254
"""In a raster of changes: a class that no legend gives an id, since `UNKNOWN` itself means there `UNCHANGED`."""


@dataclass(frozen=True)
class Change:
    """Land of one class that became another.

    Attributes
    ----------
    before, after : str
        Names of the classes, "unknown" among them.
    area_m2 : float
        Square metres, or square map units where the CRS is unknown.
    share : float
        Of the area that the later map gives a label, 0..1.
    """

    before: str
    after: str
    area_m2: float
    share: float


@dataclass(frozen=True)
class Changes:
    """All changes from one map to the next.

    Attributes
    ----------
    pairs : tuple of Change
        The largest first.
    area_m2, share : float
        Of all together.
    """

    pairs: tuple[Change, ...]
    area_m2: float
    share: float


@dataclass(frozen=True)
class Comparison:
    """Takes labels window by window, and compares them with an earlier map.

    Attributes
    ----------
    dataset : rasterio.DatasetReader
        The earlier map, on the same grid.
    grid : Grid
    areas : (256, 256) float64
        Area so far by earlier and later label, square metres (square map units where the CRS is unknown).
    """

    dataset: rasterio.DatasetReader
    grid: Grid
    areas: NDArray[np.float64] = field(default_factory=lambda: np.zeros((256, 256)))

    def changed(self, labels: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
        """Count a window's changes, each window once, and give them as `changed_to` does: (rows, cols).

        Raises
        ------
        SceneError
            If the earlier map can't be read there.
        """
        try:
            earlier = self.dataset.read(1, window=window)
        except MemoryError:
            raise
        except Exception as error:  # of GDAL, in several families
            reason = said(error.__cause__ or error)
            raise SceneError(f"the earlier map '{self.dataset.name}' can't be read: {reason}") from error
        weights = self.grid.pixel_areas(window.row_off, window.row_off + window.height)
        pairs = earlier.ravel().astype(np.uint16) << 8 | labels.ravel()
        areas = np.bincount(pairs, np.repeat(weights, labels.shape[1]), minlength=256**2)
        self.areas[:] += areas.reshape(256, 256)
        return changed_to(labels, earlier)

    def changes(self, legend: Legend) -> Changes:
        """All that was counted, by the names of the later map's legend."""
        names = {land_class.id: land_class.name for land_class in (UNKNOWN_CLASS, *legend.classes)}
        mapped = _rounded(self.areas[:, :NODATA].sum())
        areas = self.areas[:NODATA, :NODATA].copy()
        np.fill_diagonal(areas, 0.0)
        counted = {(before, after): _rounded(areas[before, after]) for before, after in np.argwhere(areas > 0).tolist()}
        pairs = tuple(
            Change(names.get(before, f"class {before}"), names.get(after, f"class {after}"), area, area / mapped)
            for (before, after), area in sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        )
        total = sum(pair.area_m2 for pair in pairs)
        return Changes(pairs, total, total / mapped if mapped else 0.0)


def _rounded(area: float) -> float:
    """An area without its last digits, in which sums of the same px in another order differ."""
    return float(f"{area:.12g}")


@contextmanager
def compared_with(path: Path, grid: Grid) -> Iterator[Comparison]:
    """Open an earlier map to compare another one with.

    Parameters
    ----------
    path : Path
        Its labels.
    grid : Grid
        Of the other one.

    Raises
    ------
    SceneError
        If it can't be opened, or isn't on that grid.
    """
    try:
        dataset = rasterio.open(path)
    except Exception as error:  # of GDAL, in several families
        reason = said(error.__cause__ or error)
        raise SceneError(f"the earlier map '{path}' can't be opened: {reason}") from error
    with dataset:
        is_like = (dataset.height, dataset.width) == (grid.height, grid.width)
        if not (is_like and np.allclose(dataset.transform[:6], grid.transform[:6], rtol=1e-9, atol=1e-9)):
            raise SceneError(
                f"the earlier map '{path}' isn't on the grid of this one",
                hint="map the same area of the same scene",
            )
        yield Comparison(dataset, grid)


def changed_to(labels: NDArray[np.uint8], earlier: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What pixels have become.

    Parameters
    ----------
    labels, earlier : (rows, cols) uint8

    Returns
    -------
    (rows, cols) uint8
        The label where it differs from the earlier one, `UNCHANGED` elsewhere; `BECAME_UNKNOWN` where a class became
        unknown, `NODATA` where one of the maps has no data.
    """
    changed = np.where(labels == UNKNOWN, BECAME_UNKNOWN, labels)
    changed = np.where(labels == earlier, UNCHANGED, changed)
    return np.where((labels == NODATA) | (earlier == NODATA), NODATA, changed).astype(np.uint8)
