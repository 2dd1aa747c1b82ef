"""Pixels that are no data though a file doesn't say so: a frame of one value round the picture, and holes.

Pure functions on arrays; nothing here opens a file.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BLUR",
    "CORE",
    "REACH",
    "Region",
    "alike",
    "along_edge",
    "dilated",
    "frame_in",
    "frame_values",
    "has_specks",
    "hole_in",
    "is_hole",
    "spread",
    "stands_out",
    "with_edge",
]

LEAST_FRAME = 0.01
"""Share of a scene that a frame covers at least; smaller ones do no harm, and might be a shadow."""

CORE, BLUR, REACH = 2, 24, 8
"""Of 255: how far lossy compression moves a frame's own pixels, and those at its edge; and how many px wide that is.

Of JPEG, WebP and JPEG 2000 of common qualities 99.8 % of a frame's pixels are found so; and of the land what is as dark
and lies along it.
"""

SPECKS = 0.3
"""Pixels just off a frame's value, in proportion to those of its edge, above which it was once compressed with loss."""

NEAR, SOFT = 64, 0.5
"""Of 255: how near to a frame's value the land beside it is, and for what share of it, if it may be snow or a lake."""

LEAST_HOLE = 1e-4
"""Share of a scene that holes cover at least; ten times that where their value isn't one that programs use."""

FAR_BELOW, FAR, FAR_UNKNOWN = 0.5, 1.0, 5.0
"""Least distance of a hole's value from all others, in ranges of these: negative and in use, in use, any other."""

USUAL_HOLES = (
    -9999.0, -99999.0, -9998.0, -999.0, -99.0, -32768.0, -32767.0, -2147483648.0, -2147483647.0,
    0.0, 32767.0, 65535.0, 65534.0, 2147483647.0, 4294967295.0,
)  # fmt: skip
"""Values that programs write for no data, declared or not."""


@dataclass(frozen=True)
class Region:
    """A part of a scene, on cells that are as large as the pixels of its reduced look.

    Attributes
    ----------
    rows, cols : int
        How many cells there are.
    bits : bytes
        Which of them belong to it, row by row, eight in a byte.
    """

    rows: int
    cols: int
    bits: bytes

    @classmethod
    def of(cls, cells: NDArray[np.bool_]) -> Region:
        """The region of the cells that are true, (rows, cols)."""
        rows, cols = cells.shape
        return cls(rows, cols, np.packbits(cells).tobytes())

    def at(
        self, scene: tuple[int, int], corner: tuple[int, int], size: tuple[int, int], shape: tuple[int, int]
    ) -> NDArray[np.bool_]:
        """Pixels of a window that lie in it, (rows, cols) bool.

        Parameters
        ----------
        scene : (int, int)
            Rows and cols of the scene.
        corner, size : (int, int)
            Of the window, in px of the scene.
        shape : (int, int)
            Rows and cols that it is reduced to.
        """
        rows, cols = (
            ((first + np.floor((np.arange(count) + 0.5) * (length / count))).astype(np.int64) * cells) // whole
            for first, length, count, cells, whole in zip(
                corner, size, shape, (self.rows, self.cols), scene, strict=True
            )
        )
        return _unpacked(self)[np.ix_(rows, cols)]

    def covers(self, scene: tuple[int, int], start: Sequence[float], stop: Sequence[float]) -> bool:
        """True if all between two corners (row, col) of the scene lies in it."""
        (top, bottom), (left, right) = (
            (int(max(first, 0)) * cells // whole, (int(min(np.ceil(last), whole)) - 1) * cells // whole + 1)
            for first, last, cells, whole in zip(start, stop, (self.rows, self.cols), scene, strict=True)
        )
        return bool(_unpacked(self)[top:bottom, left:right].all())


@functools.lru_cache(maxsize=8)
def _unpacked(region: Region) -> NDArray[np.bool_]:
    bits = np.unpackbits(np.frombuffer(region.bits, np.uint8), count=region.rows * region.cols)
    return bits.reshape(region.rows, region.cols).astype(bool)


def alike(values: NDArray[Any], value: float, tolerance: float = 0.0) -> NDArray[np.bool_]:
    """Pixels of (bands, rows, cols) that hold a value in all bands, or one that is near."""
    if not tolerance:
        return np.asarray((values == value).all(axis=0))
    low, high = value - tolerance, value + tolerance
    if np.issubdtype(values.dtype, np.integer):  # compared without a copy
        limits = np.iinfo(values.dtype)
        low, high = max(limits.min, int(np.ceil(low))), min(limits.max, int(np.floor(high)))
    return np.asarray(((values >= low) & (values <= high)).all(axis=0))


def frame_values(dtype: np.dtype[Any]) -> list[float]:
    """Values that a frame may have: 0, -9999, the least number of the type, of 8 and 16 bits the greatest too."""
    values = [0.0]
    if np.issubdtype(dtype, np.floating):  # the least float is never valid, see `scene`
        return [*values, -9999.0]
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        values += [-9999.0] if limits.min <= -9999 else []
        values += [float(limits.min)] if limits.min < 0 else []
        values += [float(limits.max)] if limits.bits == 16 else []
        values += [255.0, 254.0, 1.0] if dtype == np.uint8 else []
    return values


def frame_in(candidates: NDArray[np.bool_], valid: NDArray[np.bool_], least: float = LEAST_FRAME) -> NDArray[np.bool_]:
    """Pixels of one value that are a frame round the picture; none where they are fewer than a share of the scene.

    Pixels of one value are a frame if they hold one of the scene's corners or lie along what is known to be invalid: a
    lake and a shadow do so seldom, and the collar of a turned or clipped picture always does.

    Parameters
    ----------
    candidates : (rows, cols) bool
        Where all bands hold the value.
    valid : (rows, cols) bool
        What the file itself says.
    least : float
        Share of the scene.
    """
    candidates = candidates & valid
    frame = np.zeros_like(candidates)
    frame[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    beside = np.pad(~valid, 1)
    frame |= beside[:-2, 1:-1] | beside[2:, 1:-1] | beside[1:-1, :-2] | beside[1:-1, 2:]
    frame = _flooded(candidates, frame)
    return frame if frame.any() and frame.mean() >= least else np.zeros_like(candidates)


def with_edge(frame: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A frame seen on the reduced scene, with all that it may reach on the scene itself.

    A cell is looked at in one point: what is beside the frame may hold some of it. So may those along the scene's own
    edge, where a turned picture's collar ends in a point.
    """
    wider = dilated(frame)
    wider[[0, -1]] = wider[:, [0, -1]] = True
    return wider


def along_edge(candidates: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those of some pixels that hang together with the scene's own edge."""
    edge = np.zeros_like(candidates)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    return _flooded(candidates, edge)


def _flooded(candidates: NDArray[np.bool_], frame: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """All candidates that hang together, side by side, with one that is in the frame."""
    frame = frame & candidates
    if not frame.any():
        return frame
    from scipy import ndimage  # slow to load, and few scenes have a frame

    patches, count = ndimage.label(candidates)
    is_reached = np.zeros(count + 1, dtype=bool)
    is_reached[patches[frame]] = True
    return np.asarray(is_reached[patches])


def dilated(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask (rows, cols) and the eight neighbours of each of its pixels."""
    wider = mask.copy()
    wider[1:] |= mask[:-1]
    wider[:-1] |= mask[1:]
    across = wider.copy()
    wider[:, 1:] |= across[:, :-1]
    wider[:, :-1] |= across[:, 1:]
    return wider


def spread(core: NDArray[np.bool_], near: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """A mask and what of `near` is reached from it through `near` in so many steps: it sees no farther than that."""
    reached = core
    for _ in range(steps):
        wider = (dilated(reached) & near) | core
        if np.array_equal(wider, reached):
            break
        reached = wider
    return reached


def stands_out(values: NDArray[Any], frame: NDArray[np.bool_], valid: NDArray[np.bool_], value: float) -> bool:
    """True if a frame is no part of the picture: it holds two corners, and the land beside it isn't nearly as it is.

    What is white may be snow, a cloud or a roof, what is almost black a lake, and a picture may have few values.

    Parameters
    ----------
    values : (3, rows, cols) uint8
    frame : (rows, cols) bool
    valid : (rows, cols) bool
        What the file itself says.
    value : float
        What the frame is filled with.
    """
    edge = spread(frame, alike(values, value, BLUR), REACH)
    beside = dilated(edge) & ~edge & valid
    corners = int(frame[[0, 0, -1, -1], [0, -1, 0, -1]].sum())
    is_near = alike(values, value, NEAR)[beside]
    return corners >= 2 and bool(is_near.size and is_near.mean() < SOFT)


def has_specks(values: NDArray[Any], value: float) -> tuple[int, int]:
    """Count the pixels beside a frame's that are just off its value, and the frame's own at its edge.

    Lossy compression leaves such specks for good; a sharp frame beside land has next to none.

    Parameters
    ----------
    values : (3, rows, cols) array
    value : float
    """
    exact = alike(values, value)
    padded = np.pad(exact, 1, mode="edge").astype(np.uint8)
    rows, cols = exact.shape
    around = sum(padded[i : i + rows, j : j + cols] for i in range(3) for j in range(3))
    specks = alike(values, value, CORE + 1) & ~exact & (np.asarray(around) >= 2)
    return int(specks.sum()), int((exact & (np.asarray(around) < 9)).sum())


def hole_in(sample: NDArray[Any], is_heights: bool = False) -> tuple[float | None, float]:
    """A value that can't be a measurement, since it lies far outside of all others, and its share; None for none.

    Parameters
    ----------
    sample : (3, n) array
        Stored values, not of 8 bits.
    is_heights : bool
        Whether 0 is a measurement: the sea's height.
    """
    best: tuple[float | None, float] = None, 0.0
    for band in sample:
        for value in {float(band.min()), float(band.max())} if band.size else ():
            rest = band[band != value].astype(np.float64)
            if (is_heights and value == 0) or rest.size < 100:
                continue
            low, high = np.percentile(rest, (1, 99))
            gap = min(abs(rest.min() - value), abs(rest.max() - value))
            usual = value in USUAL_HOLES
            if not usual and 0 <= value < rest.min():  # a dark picture's black
                continue
            far = FAR_UNKNOWN if not usual else FAR_BELOW if value < 0 else FAR
            share = float(is_hole(sample, value).mean())
            least = LEAST_HOLE if usual else 10 * LEAST_HOLE
            if share >= least and share > best[1] and gap > far * (high - low):
                best = value, share
    return best


def is_hole(values: NDArray[Any], value: float) -> NDArray[np.bool_]:
    """Pixels (3, ...) that hold a hole's value: a negative one in any band; in one alone, others may be a colour."""
    equal = values == value
    return np.asarray(equal.any(axis=0) if value < 0 else equal.all(axis=0))
