"""The agreement of a map with its examples: before them, with them, and with each of them left out.

The map was made from these examples, so that they can't tell how often it is right; a sample does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.examples.examples import Examples
from lposs_geo.examples.lesson import Lesson
from lposs_geo.examples.runs import Numbers
from lposs_geo.legend.legend import NODATA
from lposs_geo.legend.words import said

__all__ = ["Agreement", "ClassAgreement", "agreement_of", "labels_at"]

MOST_PIXELS = 64
"""Of an example: its label is the most frequent one of these."""

AT_ONCE = 4096
"""Examples whose px are in memory."""

SQUARE = 512
"""Side, px, of the parts in which a raster is read."""


@dataclass(frozen=True)
class ClassAgreement:
    """The agreement with the examples of one class.

    Attributes
    ----------
    name : str
    examples : int
        Those where the map has data.
    before, after : int
        Those with their own class on the earlier map, and on this one.
    judged : int
        Those whose class was asked of a head that was fitted without them.
    left_out : int
        Those of them with their own class by that head.
    """

    name: str
    examples: int
    before: int
    after: int
    judged: int
    left_out: int


@dataclass(frozen=True)
class Agreement:
    """The agreement of a map with its examples.

    Attributes
    ----------
    classes : tuple of ClassAgreement
        Those with examples, in legend order.
    has_earlier : bool
        `before` is by an earlier map; else by the words alone.
    """

    classes: tuple[ClassAgreement, ...]
    has_earlier: bool

    @property
    def examples(self) -> int:
        return sum(each.examples for each in self.classes)

    @property
    def before(self) -> int:
        return sum(each.before for each in self.classes)

    @property
    def after(self) -> int:
        return sum(each.after for each in self.classes)

    @property
    def judged(self) -> int:
        return sum(each.judged for each in self.classes)

    @property
    def left_out(self) -> int:
        return sum(each.left_out for each in self.classes)


def agreement_of(lesson: Lesson, labels: Path, window: Window, earlier: Path | None = None) -> Agreement:
    """Compare a map with the examples that it was made from.

    Parameters
    ----------
    lesson : Lesson
    labels : Path
        The map's labels.
    window : Window
        The part of the scene that they show, px.
    earlier : Path, optional
        Labels of the map before, on the same grid.

    Raises
    ------
    SceneError
        If one of the maps can't be read.
    """
    examples = lesson.examples
    after = labels_at(labels, examples, window)
    before = lesson.by_words if earlier is None else labels_at(earlier, examples, window)
    counted, own = after != NODATA, examples.class_ids
    is_judged = lesson.left_out != 0
    kinds = [counted, before == own, after == own, is_judged, is_judged & (lesson.left_out == own)]
    counts = np.stack([np.bincount(own[counted & kind], minlength=256) for kind in kinds], axis=1).tolist()
    classes = tuple(
        ClassAgreement(name, *counts[class_id])
        for class_id, name in enumerate(examples.names, start=1)
        if counts[class_id][0]
    )
    return Agreement(classes, earlier is not None)


def labels_at(path: Path, examples: Examples, window: Window) -> NDArray[np.uint8]:
    """The labels that a map gives to examples.

    Memory is bounded, however many and however large they are.

    Parameters
    ----------
    path : Path
        The map's labels.
    examples : Examples
    window : Window
        The part of the scene that the map shows, px.

    Returns
    -------
    (n,) uint8
        For each example the most frequent label of its px, `NODATA` where there is no data at any of them; of equally
        frequent ones the smallest.

    Raises
    ------
    SceneError
        If the map can't be read.
    """
    found = np.full(len(examples), NODATA, dtype=np.uint8)
    try:
        with rasterio.open(path) as dataset:
            for start in range(0, len(examples), AT_ONCE):
                some = np.zeros(len(examples), dtype=np.bool_)
                some[start : start + AT_ONCE] = True
                found[some] = _most_frequent(dataset, examples.restricted(some), window)
    except (SceneError, MemoryError):
        raise
    except Exception as error:  # of GDAL, in several families
        raise SceneError(f"'{path}' can't be read: {said(error.__cause__ or error)}") from error
    return found


def _most_frequent(dataset: rasterio.DatasetReader, examples: Examples, window: Window) -> NDArray[np.uint8]:
    example, row, col = examples.pixels(MOST_PIXELS)
    row, col = row - window.row_off, col - window.col_off
    inside = (row >= 0) & (row < dataset.height) & (col >= 0) & (col < dataset.width)
    example = example[inside]
    values = _values_at(dataset, row[inside], col[inside])
    counts = np.bincount(example * 256 + values, minlength=len(examples) * 256).reshape(-1, 256)
    counts[:, NODATA] = 0
    return np.where(counts.any(axis=1), counts.argmax(axis=1), NODATA).astype(np.uint8)


def _values_at(dataset: rasterio.DatasetReader, row: Numbers, col: Numbers) -> NDArray[np.uint8]:
    """The values of px, (m,), read square by square."""
    values = np.empty(len(row), dtype=np.uint8)
    square = row // SQUARE * (-(-dataset.width // SQUARE)) + col // SQUARE
    order = np.argsort(square, kind="stable")
    for own in np.split(order, np.flatnonzero(np.diff(square[order])) + 1) if len(order) else ():
        top, left = int(row[own].min()), int(col[own].min())
        height, width = int(row[own].max()) - top + 1, int(col[own].max()) - left + 1
        read = dataset.read(1, window=Window(left, top, width, height))
        values[own] = read[row[own] - top, col[own] - left]
    return values
