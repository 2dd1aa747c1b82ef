"""A check that the overviews of a scene show its pixels: they may be empty, or older than these.

Reduced reads use overviews, and these decide the stretch, a frame and every picture. So a sample of windows is read
through each level and in full, and compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.scene.layers import Layers
from lposs_geo.scene.pixels import Handle
from lposs_geo.scene.references import is_remote

__all__ = ["show_pixels"]

FINEST = 16
"""Up to this level a window is read in full; below coarser ones lie finer ones that were compared before."""

LEAST = 8
"""Px of a window through an overview, at least; through the finer ones it has more."""

ROWS, COLS, FEWER, REMOTE = 7, 7, 3, 2
"""Windows down and across a scene; down one that is read row by row, and both ways over one that lies elsewhere."""

WIDE = 1 << 22
"""Px that one window makes a file in strips decode, above which there are fewer."""

ASIDE, OFF, LOSS = 0.25, 0.06, 8
"""Most that an honest overview goes beyond the pixels below it: a share of their range, and of the whole scene's; of
8 bits at least as much as this.

Cubic convolution overshoots, and overviews are compressed with loss, where the scene is and where it isn't.
"""

MOST_OFF, HALF, FEW, ALL = 0.1, 0.6, 3, 0.9
"""Signs of overviews that lie: this share of all their pixels is off, or this of those in so many windows, or nearly
all of those in one.
"""

SHIFT, ENOUGH = 0.08, 100
"""Most that their mean may be off that of the pixels, in ranges of the scene; asked of so many px at least."""

WANDER, FINE = 4.0, 0.02
"""Most that the means of windows may be off those of the pixels: in standard deviations of the mean of as many pixels
taken at random, to which this share of the scene's range is added.
"""

OWN_LEVELS = frozenset({"WMS", "WMTS", "WCS", "JP2OpenJPEG", "JP2ECW", "JP2KAK", "JP2MrSID", "ECW", "MrSID"})
"""Formats whose levels are the picture itself, or a server's own."""


def show_pixels(handle: Handle, layers: Layers) -> bool:
    """True if reading a scene reduced gives what its pixels are.

    Parameters
    ----------
    handle : Handle
    layers : Layers
        Whose bands are compared.
    """
    dataset = handle.dataset
    if dataset.driver in OWN_LEVELS and not any(name.casefold().endswith(".ovr") for name in dataset.files):
        return True
    read = dict[tuple[float, ...], tuple[NDArray[Any], NDArray[np.bool_]]]()
    for level in _levels(dataset, layers.bands):
        pairs = list(_pairs(handle, layers, level, read))
        if pairs and not _agree(pairs):
            return False
    return True


def _levels(dataset: rasterio.DatasetReader, bands: Sequence[int]) -> list[int]:
    """By how much the overviews are smaller than the scene, from the largest on."""
    levels = {level for band in set(bands) for level in dataset.overviews(band) if level > 1}
    if dataset.driver == "VRT" and not levels:  # its parts may have some
        levels = {2**power for power in range(1, 8) if 2**power * LEAST * 16 <= max(dataset.shape)}
    return sorted(level for level in levels if LEAST * level <= min(dataset.shape))


@dataclass(frozen=True)
class _Pair:
    """A window's pixels (bands, rows, cols), which of them are valid, and the same through an overview.

    `shown` is None where the overview can't be read, though the pixels can.
    """

    pixels: NDArray[Any]
    valid: NDArray[np.bool_]
    shown: NDArray[Any] | None
    seen: NDArray[np.bool_]


def _pairs(
    handle: Handle,
    layers: Layers,
    level: int,
    read: dict[tuple[float, ...], tuple[NDArray[Any], NDArray[np.bool_]]],
) -> Iterator[_Pair]:
    """Windows all over the scene, in full and through one overview; what can't be read in full is left out."""
    side = max(LEAST, min(LEAST * FINEST, *handle.dataset.shape) // level)
    inner = min(level, FINEST)
    below = layers if level > FINEST else replace(layers, overviews=False)
    for window in _windows(handle, side * level, level):
        position = window.flatten()
        try:
            if position not in read:
                read[position] = handle.load(below, window, (side * inner, side * inner))
            pixels, valid = read[position]
        except SceneError:  # said when the picture is read
            continue
        try:
            shown, seen = handle.load(layers, window, (side, side))
        except SceneError:
            yield _Pair(pixels, valid, None, np.zeros((side, side), bool))
        else:
            yield _Pair(pixels, valid, shown, seen)


def _windows(handle: Handle, size: int, level: int) -> Iterator[Window]:
    """One window in each cell of a grid over the scene, at random but always the same, row by row."""
    height, width = handle.dataset.shape
    block = handle.dataset.block_shapes[0]
    down, across = ROWS, COLS
    if is_remote(handle.raster.opened):
        down, across = REMOTE, REMOTE
    elif size * block[1] > WIDE:
        down = FEWER
    step = FINEST if FINEST % level == 0 else level  # on whole pixels of the overview
    random = np.random.default_rng(0)
    down, across = min(down, -(-height // size)), min(across, -(-width // size))
    rows, cols = (random.random((down, across)) for _ in range(2))
    for row in range(down):
        top = int((row + rows[row, 0]) / down * (height - size)) // step * step
        for col in range(across):
            left = int((col + cols[row, col]) / across * (width - size)) // step * step
            yield Window(_within(left, size, block[1], step), _within(top, size, block[0], step), size, size)


def _within(first: int, size: int, block: int, step: int) -> int:
    """First row or col of a window that lies in one block of the file, if it fits: then one is decoded."""
    end = first // block * block + block
    return max(0, min(first, (end - size) // step * step)) if size <= block else first


def _agree(pairs: Sequence[_Pair]) -> bool:
    """True if what is seen through an overview may come from the pixels below, by whatever way they were reduced."""
    values = np.concatenate([pair.pixels[:, pair.valid] for pair in pairs], axis=1).astype(np.float64)
    low, high = np.percentile(values, (2, 98), axis=1) if values.size else np.zeros((2, len(values)))
    rounding = 1.0 if np.issubdtype(pairs[0].pixels.dtype, np.integer) else 0.0
    loss = LOSS if pairs[0].pixels.dtype == np.uint8 else rounding
    windows = [_compared(pair, (OFF * (high - low)).clip(loss)) for pair in pairs]
    shares = [window.off / window.asked for window in windows if window.asked >= LEAST]
    if shares and (max(shares) > ALL or sum(share > HALF for share in shares) >= FEW):
        return False
    if sum(window.off for window in windows) > MOST_OFF * sum(window.asked for window in windows):
        return False
    inside = [window for window in windows if window.count]
    if sum(window.count for window in inside) < ENOUGH:
        return True
    counts = np.array([window.count for window in inside])
    mean, root, shown = (np.average([w.means[i] for w in inside], 0, counts) for i in range(3))
    shift = np.maximum(mean - shown, shown - root)
    wander = np.mean([(w.means[0] - w.means[2]) ** 2 for w in inside], axis=0)
    chance = np.mean([w.means[3] / w.count for w in inside], axis=0) + (FINE * (high - low)).clip(rounding) ** 2
    return bool((shift <= (SHIFT * (high - low)).clip(rounding)).all() and (wander <= WANDER**2 * chance).all())


@dataclass(frozen=True)
class _Window:
    """Counts of an overview's pixels in a window that tell anything, and of those that are off.

    Of the `count` that lie on valid pixels alone `means` (4, bands) has the mean of the pixels below, the mean of the
    roots of their mean squares, the overview's own mean, and the mean variance of the pixels below one of its.
    """

    asked: int
    off: int
    count: int
    means: NDArray[np.float64]


def _compared(pair: _Pair, aside: NDArray[np.float64]) -> _Window:
    """Compare one window; what is `aside` of the pixels below by no more than that is not off.

    At the window's border nothing is asked: an overview's pixel is made of those around, too.
    """
    inner = pair.valid.shape[0] // pair.seen.shape[0]
    some, whole = (_by_blocks(reduce, pair.valid, inner) for reduce in (np.logical_or, np.logical_and))
    pixels = pair.pixels
    limits = np.iinfo(pixels.dtype) if pixels.dtype.kind in "iu" else np.finfo(pixels.dtype)
    least, most = (
        _by_blocks(reduce, pixels if pair.valid.all() else np.where(pair.valid, pixels, missing), inner)
        for reduce, missing in (
            (np.minimum, pixels.dtype.type(limits.max)),
            (np.maximum, pixels.dtype.type(limits.min)),
        )
    )
    least = _most_around(least.astype(np.float64) * -1) * -1
    most = _most_around(most.astype(np.float64))
    # the widest kernels carry what is valid for two pixels
    some_around, whole_around = _most_around(_most_around(some)), ~_most_around(~whole)
    inside = np.zeros_like(some)
    inside[1:-1, 1:-1] = True
    asked = inside & np.where(pair.seen, True, whole_around)
    wrong = asked & (~pair.seen | ~some_around)
    if pair.shown is None:
        return _Window(int(asked.sum()), int(asked.sum()), 0, np.zeros((4, len(aside))))
    both = asked & pair.seen & _most_around(some)
    slack = ASIDE * np.where(both, most - least, 0.0) + aside[:, None, None]
    shown = pair.shown.astype(np.float64)
    wrong |= both & ((shown < least - slack) | (shown > most + slack)).any(axis=0)
    whole &= inside & pair.seen
    means = np.zeros((4, len(aside)))
    if whole.any():
        plain = np.where(pair.valid, pixels, 0).astype(np.float64)
        mean, square = (_by_blocks(np.add, part, inner)[:, whole] / inner**2 for part in (plain, plain**2))
        means[:] = [part.mean(axis=1) for part in (mean, np.sqrt(square), shown[:, whole], square - mean**2)]
    return _Window(int(asked.sum()), int(wrong.sum()), int(whole.sum()), means)


def _by_blocks(reduce: np.ufunc, values: NDArray[Any], inner: int) -> NDArray[Any]:
    """Values (..., rows, cols) put together by squares of `inner` px."""
    *more, rows, cols = values.shape
    lines = reduce.reduce(values.reshape(*more, rows // inner, inner, cols), axis=-2)
    return np.asarray(reduce.reduce(lines.reshape(*more, rows // inner, cols // inner, inner), axis=-1))


def _most_around(values: NDArray[Any]) -> NDArray[Any]:
    """Of each pixel (..., rows, cols) the most among it and its eight neighbours."""
    padded = np.pad(values, [(0, 0)] * (values.ndim - 2) + [(1, 1)] * 2, mode="edge")
    rows, cols = values.shape[-2:]
    shifts = [padded[..., i : i + rows, j : j + cols] for i in range(3) for j in range(3)]
    return np.asarray(np.maximum.reduce(shifts))
