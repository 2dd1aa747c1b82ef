"""Crops read from a scene, batch by batch, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.stages.looks import Look

__all__ = ["Batch", "Crop", "Read", "batches"]

Read = Callable[[Window], tuple[NDArray[np.float32], NDArray[np.bool_]] | None]
"""A window, in px at a look's zoom, as RGB in 0..1 and valid pixels; None where there is nothing."""


@dataclass(frozen=True)
class Crop:
    """A crop on its way to the encoder.

    Attributes
    ----------
    col : int
        Its first lattice column.
    image : (3, height, width) float32
        RGB in 0..1.
    valid_patches : (rows, cols) bool
    """

    col: int
    image: NDArray[np.float32]
    valid_patches: NDArray[np.bool_]


@dataclass(frozen=True)
class Batch:
    """Crops of one row, read in one go.

    Attributes
    ----------
    look : Look
    row : int
        Index of the row of crops.
    crops : sequence of Crop
        Those that hold data.
    count : int
        How many crops there are with those that hold none.
    ends_row : bool
    kept : bool
        False for a row that is in the store already: it is encoded again after a kill, for what it adds to the rows
        below.
    error : SceneError or None
        Why a crop couldn't be read and is taken for empty.
    """

    look: Look
    row: int
    crops: Sequence[Crop]
    count: int
    ends_row: bool
    kept: bool
    error: SceneError | None


def batches(rows: Iterable[tuple[Look, int, bool]], reads: Sequence[Read], size: int) -> Iterator[Batch]:
    """Read rows of crops, so many at a time as are encoded at once; never across the end of a row.

    What is encoded together is then the same whenever a run is resumed, and so are the features to the last bit.
    """
    for look, row, kept in rows:
        cols = look.crop_cols
        for first in range(0, len(cols), size):
            part = cols[first : first + size]
            crops, error = _read_crops(look, reads[look.number], look.row_edges[row], part)
            yield Batch(look, row, crops, len(part), first + size >= len(cols), kept, error)


def _read_crops(look: Look, read: Read, row: int, cols: Sequence[int]) -> tuple[list[Crop], SceneError | None]:
    """The crops of a row that hold data; those that can't be read are left out, and the last one's error told."""
    try:
        return list(_crops(look, read, row, cols)), None
    except SceneError:
        pass
    crops: list[Crop] = []
    damage = None
    for col in cols:  # once more, and each by itself: the damage may be in one of them only
        try:
            crops += _crops(look, read, row, [col])
        except SceneError as error:
            damage = error
    return crops, damage


def _crops(look: Look, read: Read, row: int, cols: Sequence[int]) -> Iterator[Crop]:
    """Read neighbouring crops of one row in one go and cut them out."""
    lattice = look.lattice
    patch, (crop_rows, crop_cols) = lattice.patch_size, lattice.crop_shape
    top, left = row * patch, cols[0] * patch
    full_height, full_width = crop_rows * patch, (cols[-1] + crop_cols) * patch - left
    bottom, right = min(top + full_height, lattice.height), min(left + full_width, lattice.width)
    pixels = read(Window(left, top, right - left, bottom - top))
    if pixels is None:
        return
    image, valid = pixels
    # Where patches reach over the border, the picture is mirrored into them; valid they are not.
    margin = ((0, full_height - (bottom - top)), (0, full_width - (right - left)))
    image = np.pad(image, ((0, 0), *margin), mode="symmetric")
    shown = np.pad(valid, margin, mode="symmetric")
    valid = np.pad(valid, margin)
    for col in cols:
        window = slice(col * patch - left, (col + crop_cols) * patch - left)
        in_crop = valid[:, window]
        if not in_crop.any():
            continue
        picture = image[:, :, window].copy()
        picture[:, ~shown[:, window]] = picture[:, in_crop].mean(axis=1, keepdims=True)
        in_patches = in_crop.reshape(crop_rows, patch, crop_cols, patch)
        yield Crop(col, picture, np.asarray(in_patches.any(axis=(1, 3))))
