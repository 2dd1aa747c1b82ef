"""A head fitted to examples on a scene whose features are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.encoders.encoder import Encoder
from lposs_geo.examples.examples import Examples
from lposs_geo.examples.head import MOST_ROWS, Head, fit_head
from lposs_geo.examples.observations import Observations, Samples, evenly
from lposs_geo.stages.features import LatticeFeatures
from lposs_geo.stages.observe import gather, observe
from lposs_geo.stages.task import Words
from lposs_geo.stages.taught import Bands, Sources, Taught

__all__ = ["Answers", "sources_of", "teach"]

PIXELS_EACH = 64
"""Most pixels of an example whose patches are looked at."""

SIDE = 64
"""Patches along each side of an even choice from all over a scene."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Answers:
    """Class ids (n,) uint8 for each example.

    Attributes
    ----------
    by_words, left_out : (n,) uint8
        See `examples.lesson.Lesson`.
    """

    by_words: NDArray[np.uint8]
    left_out: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Patches that examples are drawn on, by example and position.

    Attributes
    ----------
    rows, cols, groups : (m,) int64
        A patch of the finest lattice, and the example.
    weights : (m,) float64
        The example's weight, parted by pixels.
    """

    rows: Indices
    cols: Indices
    groups: Indices
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, examples: Examples, finest: LatticeFeatures) -> _Drawn:
        group, row, col = examples.pixels(PIXELS_EACH)
        lattice = finest.lattice
        rows = np.minimum((row + 0.5) / finest.patch_size, lattice.rows - 1).astype(np.int64)
        cols = np.minimum((col + 0.5) / finest.patch_size, lattice.cols - 1).astype(np.int64)
        keys = (group * lattice.rows + rows) * lattice.cols + cols
        _, first, counts = np.unique(keys, return_index=True, return_counts=True)
        groups = group[first]
        share = counts / np.bincount(group, minlength=len(examples))[groups]
        return cls(rows[first], cols[first], groups, examples.weights[groups] * share)

    def __getitem__(self, index: NDArray[np.bool_] | Indices) -> _Drawn:
        return _Drawn(self.rows[index], self.cols[index], self.groups[index], self.weights[index])


def teach(
    features: Sequence[LatticeFeatures],
    words: Words,
    encoder: Encoder,
    examples: Examples,
    window: Window,
    bands: Bands | None = None,
    before: Head | None = None,
) -> tuple[Taught, Answers]:
    """Fit a head to examples.

    Parameters
    ----------
    features : sequence of LatticeFeatures
        One for each look at the scene, the finest last; all that is wanted is there.
    words : Words
        Of all classes, as the legend has them.
    encoder : Encoder
    examples : Examples
    window : Window
        The part of the scene that is mapped, px.
    bands : Bands, optional
    before : Head, optional
        What was learnt before, in place of the words.

    Returns
    -------
    Taught
        Its head stands for the one before, too.
    Answers
    """
    finest = features[-1]
    everywhere, classes = _drawn(examples, finest)
    chosen = evenly(classes, MOST_ROWS)
    drawn, classes = everywhere[chosen], classes[chosen]

    def observed(rows: Indices, cols: Indices) -> Observations:
        seen = observe(features, words, encoder, rows, cols, bands)
        return seen if before is None else Observations(seen.features, before.logits(seen))

    samples = Samples(observed(drawn.rows, drawn.cols), classes, drawn.weights, drawn.groups)
    fit = fit_head(samples, observed(*_all_over(finest, window)))
    head = fit.head if before is None else fit.head.after(before)
    answers = Answers(
        by_words=_answer(_by_words(samples, everywhere, len(examples), observed)),
        left_out=_answer(
            np.pad(fit.left_out, ((0, len(examples) - len(fit.left_out)), (0, 0)), constant_values=np.nan)
        ),
    )
    return Taught(head, bands, sources_of(examples, finest, words.num_classes)), answers


def sources_of(examples: Examples, finest: LatticeFeatures, num_classes: int) -> Sources:
    """The patches that examples are drawn on, as sources of the propagation."""
    drawn, classes = _drawn(examples, finest)
    positions, index = np.unique(np.stack([drawn.rows, drawn.cols]), axis=1, return_inverse=True)
    shares = np.zeros((positions.shape[1], num_classes))
    np.add.at(shares, (index.ravel(), classes), drawn.weights)
    shares /= shares.sum(axis=1, keepdims=True)
    return Sources(positions[0], positions[1], shares.astype(np.float32))


def _drawn(examples: Examples, finest: LatticeFeatures) -> tuple[_Drawn, Indices]:
    """The valid patches that examples are drawn on, and their classes."""
    drawn = _Drawn.of(examples, finest)
    drawn = drawn[gather(finest.valid, drawn.rows, drawn.cols)]
    return drawn, examples.class_ids.astype(np.int64)[drawn.groups] - 1


def _all_over(finest: LatticeFeatures, window: Window) -> tuple[Indices, Indices]:
    """Valid patches of the part that is mapped, evenly chosen: always the same, however it is cut into blocks."""
    side, (rows, cols) = finest.patch_size, window.toslices()
    top, left = int(rows.start / side), int(cols.start / side)
    bottom = min(finest.lattice.rows, int((rows.stop - 1) / side) + 1)
    right = min(finest.lattice.cols, int((cols.stop - 1) / side) + 1)
    row = np.unique(np.linspace(top, bottom - 1, min(SIDE, bottom - top)).round().astype(np.int64))
    col = np.unique(np.linspace(left, right - 1, min(SIDE, right - left)).round().astype(np.int64))
    chosen_rows, chosen_cols = (each.ravel() for each in np.meshgrid(row, col, indexing="ij"))
    valid = gather(finest.valid, chosen_rows, chosen_cols)
    return chosen_rows[valid], chosen_cols[valid]


def _by_words(
    samples: Samples, drawn: _Drawn, count: int, observed: Callable[[Indices, Indices], Observations]
) -> NDArray[np.float64]:
    """Mean logits of each example; of those that aren't among the samples, as of many, by one patch each."""
    means = _means(samples, count)
    groups, first = np.unique(drawn.groups, return_index=True)
    others = first[np.isnan(means[groups]).any(axis=1)]
    for start in range(0, len(others), MOST_ROWS):
        part = drawn[others[start : start + MOST_ROWS]]
        means[part.groups] = observed(part.rows, part.cols).words
    return means


def _means(samples: Samples, count: int) -> NDArray[np.float64]:
    """Mean logits of each example's patches; no numbers for examples that have none."""
    logits = samples.observations.words
    sums = np.zeros((count, logits.shape[1]))
    np.add.at(sums, samples.groups, samples.weights[:, None] * logits)
    weights = np.bincount(samples.groups, samples.weights, minlength=count)[:, None]
    return np.where(weights > 0, sums / np.where(weights > 0, weights, 1), np.nan)


def _answer(scores: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The class ids of the largest scores (n, C); 0 where there are no numbers."""
    known = np.asarray(np.isfinite(scores).all(axis=1))
    return np.where(known, np.where(known[:, None], scores, 0).argmax(axis=1) + 1, 0).astype(np.uint8)
