"""Cutting a scene and putting it together again: crops for encoders, the lattice of patches, tiles with halos.

Pure integers and arrays: nothing here knows a file or a model. Everything is anchored at the scene's first pixel, so
that a crop or a patch is the same whatever tile asks for it.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rasterio.windows import Window

__all__ = [
    "Lattice",
    "Steps",
    "Tile",
    "Tiles",
    "bilinear_taps",
    "crop_starts",
    "resample",
    "tiles",
    "with_margin",
    "zoomed",
]


@dataclass(frozen=True, eq=False)
class Steps(Sequence[int]):
    """Positions along an axis, ascending: equal steps, and a few others at the end.

    As long as the axis may be, they take no memory and no time until one is asked for.

    Attributes
    ----------
    regular : range
    tail : tuple of int
        Positions behind them.
    """

    regular: range
    tail: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.regular) + len(self.tail)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Steps: ...
    def __getitem__(self, index: int | slice) -> int | Steps:
        count = len(self.regular)
        if isinstance(index, slice):
            first, stop, step = index.indices(len(self))
            if step != 1:
                raise ValueError(f"positions along an axis are cut in steps of 1, not {step}")
            return Steps(
                self.regular[first : min(stop, count)], self.tail[max(first - count, 0) : max(stop - count, 0)]
            )
        number = index + len(self) if index < 0 else index
        return self.regular[number] if 0 <= number < count else self.tail[number - count if number >= count else index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Steps) and (self.regular, self.tail) == (other.regular, other.tail):
            return True
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(operator.eq, self, other))

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Tile:
    """A unit of work.

    Attributes
    ----------
    core : Window
        The pixels that the tile writes; the cores partition the scene.
    padded : Window
        The pixels that the tile reads: the core and a halo, cut off at the scene's border.
    """

    core: Window
    padded: Window

    @property
    def core_in_padded(self) -> tuple[slice, slice]:
        """Slices (rows, cols) that cut the core out of an array of the padded window."""
        row = self.core.row_off - self.padded.row_off
        col = self.core.col_off - self.padded.col_off
        return slice(row, row + self.core.height), slice(col, col + self.core.width)


@dataclass(frozen=True)
class Tiles(Sequence[Tile]):
    """The tiles of a scene, or of a window of it, row by row; each is made when it is asked for.

    Attributes
    ----------
    shape : (int, int)
        Rows and cols of the scene, px.
    rows, cols : range
        First row and col of each core; they stop where the last cores end.
    halo : int
        Px.
    """

    shape: tuple[int, int]
    rows: range
    cols: range
    halo: int

    def __len__(self) -> int:
        return len(self.rows) * len(self.cols)

    @overload
    def __getitem__(self, index: int) -> Tile: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tile]: ...
    def __getitem__(self, index: int | slice) -> Tile | list[Tile]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"there are {len(self)} tiles, and no number {index}")
        row, col = self.rows[number // len(self.cols)], self.cols[number % len(self.cols)]
        bottom, right = min(row + self.rows.step, self.rows.stop), min(col + self.cols.step, self.cols.stop)
        core = Window(col, row, right - col, bottom - row)
        return Tile(core, with_margin(core, self.halo, *self.shape))

    @property
    def row_edges(self) -> Steps:
        """First row of each row of cores, and the end of the last."""
        return Steps(self.rows, (self.rows.stop,))

    @property
    def col_edges(self) -> Steps:
        """First col of each column of cores, and the end of the last."""
        return Steps(self.cols, (self.cols.stop,))


def tiles(height: int, width: int, tile_size: int, halo: int, window: Window | None = None) -> Tiles:
    """Partition a scene, or a window of it, into tiles, row by row.

    Parameters
    ----------
    height, width : int
        The scene, px.
    tile_size : int
        Side of a core, px; cores at the lower and right border may be smaller.
    halo : int
        Px read around a core, as far as the scene reaches.
    window : Window, optional
        The pixels that the cores cover; halos reach beyond it.
    """
    if tile_size < 1 or halo < 0:
        raise ValueError(f"tile_size must be positive and halo not negative, not {tile_size} and {halo}")
    rows, cols = (window or Window(0, 0, width, height)).toslices()
    by_row, by_col = (range(part.start, part.stop, tile_size) for part in (rows, cols))
    return Tiles((height, width), by_row, by_col, halo)


def with_margin(window: Window, margin: int, height: int, width: int) -> Window:
    """A window with a margin around it, as far as a scene of `height` x `width` px reaches."""
    rows, cols = window.toslices()
    top, left = max(0, rows.start - margin), max(0, cols.start - margin)
    return Window(left, top, min(width, cols.stop + margin) - left, min(height, rows.stop + margin) - top)


def crop_starts(length: int, crop_size: int, stride: int) -> Steps:
    """First px of each crop along one axis; the last crop is shifted back inside (paper section 4.1).

    A length below `crop_size` gives one crop at 0: its rest has to be padded.
    """
    if not 0 < stride <= crop_size:
        raise ValueError(f"stride must be between 1 and crop_size {crop_size}, not {stride}")
    last = max(0, length - crop_size)
    return Steps(range(0, last, stride), (last,))


@dataclass(frozen=True)
class Lattice:
    """The scene-wide regular grid of patches, anchored at the scene's origin.

    Where the scene isn't a multiple of `patch_size`, the last patches reach over its border by less than a patch. The
    crops of a scene that is narrower than they are as narrow as it is.

    Attributes
    ----------
    height, width : int
        The scene, px.
    patch_size, crop_size, stride : int
        Px; the latter two are multiples of the first, so that patches of overlapping crops coincide.
    """

    height: int
    width: int
    patch_size: int
    crop_size: int
    stride: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1 or self.patch_size < 1:
            raise ValueError(f"a lattice needs a scene and a patch size, not {self}")
        if self.crop_size % self.patch_size or self.stride % self.patch_size:
            raise ValueError(f"crop_size and stride must be multiples of patch_size, not {self}")

    @property
    def rows(self) -> int:
        return -(-self.height // self.patch_size)

    @property
    def cols(self) -> int:
        return -(-self.width // self.patch_size)

    @property
    def crop_shape(self) -> tuple[int, int]:
        """Rows and cols of patches of each crop."""
        side = self.crop_size // self.patch_size
        return min(side, self.rows), min(side, self.cols)

    def crop_rows(self) -> Steps:
        """Lattice row at which each row of crops begins."""
        return self._starts(self.rows, self.crop_shape[0])

    def crop_cols(self) -> Steps:
        """Lattice column at which each column of crops begins."""
        return self._starts(self.cols, self.crop_shape[1])

    def _starts(self, length: int, crop_length: int) -> Steps:
        return crop_starts(length, crop_length, min(self.stride // self.patch_size, crop_length))

    def centres(self) -> NDArray[np.float32]:
        """Patch centres in px, (rows * cols, 2) as (row, col), row-major."""
        row = (np.arange(self.rows, dtype=np.float32) * self.patch_size) + self.patch_size // 2
        col = (np.arange(self.cols, dtype=np.float32) * self.patch_size) + self.patch_size // 2
        return np.stack(np.meshgrid(row, col, indexing="ij"), axis=-1).reshape(-1, 2)


def bilinear_taps(
    count: int, patch_size: float, start: int, stop: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Find the two patches, `patch_size` px large, that each px in [start, stop) lies between, along one axis.

    Px and patches are cells, compared by their centres, and the border patch holds beyond its centre: the convention
    that torch calls ``align_corners=False``. Only the px's own position enters, so a window gives what the whole gives.

    Returns
    -------
    lower, upper : (stop - start,) int64
        Patch indices.
    share : (stop - start,) float32
        Weight of the upper one.
    """
    position = ((np.arange(start, stop) + 0.5) / patch_size - 0.5).clip(0, count - 1)
    lower = np.floor(position).astype(np.int64)
    return lower, np.minimum(lower + 1, count - 1), (position - lower).astype(np.float32)


def zoomed(length: int, zoom: float) -> int:
    """Whole px along an axis of `length` px seen at `zoom`; what is left over at the end, less than one, is dropped."""
    return max(1, int(length * zoom + 1e-6))


def resample(
    image: NDArray[np.float32], box: tuple[float, float, float, float], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Resample a part of an image by cubic convolution, averaging where it gets smaller.

    Parameters
    ----------
    image : (bands, rows, cols) float32
        Pixels around the box count too, so that a part comes out as it would of the whole.
    box : (top, left, bottom, right)
        The part, px, not necessarily whole ones.
    shape : (int, int)
        Rows and cols to make of it.

    Returns
    -------
    (bands, *shape) float32
    """
    top, left, bottom, right = box
    planes = [
        Image.fromarray(band).resize(shape[::-1], Image.Resampling.BICUBIC, (left, top, right, bottom))
        for band in image
    ]
    return np.stack([np.asarray(plane) for plane in planes])
