"""The lattice features: every crop of a scene encoded exactly once, overlapping crops averaged place by place.

Features don't know the classes: the words come later, and new words don't need new features.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.encoders.encoder import Encoder, PatchFeatures
from lposs_geo.errors import SceneError
from lposs_geo.lposs import BATCH_SIZE
from lposs_geo.scene import SceneReader
from lposs_geo.tiling import Lattice, resample, zoomed

__all__ = ["LatticeFeatures", "encode_image", "encode_scene"]


@dataclass(frozen=True)
class LatticeFeatures:
    """Features of every patch of a scene, in half precision.

    Attributes
    ----------
    lattice : Lattice
        Of the scene seen at `zoom`.
    vlm : (rows, cols, D) float16
        VLM features, averages of unit vectors and so a little shorter.
    vm : (rows, cols, E) float16
        VM features, likewise.
    valid : (rows, cols) bool
        Patches that hold a valid pixel; the others are zero.
    zoom : float
        How much the encoder saw the scene enlarged.
    """

    lattice: Lattice
    vlm: NDArray[np.float16]
    vm: NDArray[np.float16]
    valid: NDArray[np.bool_]
    zoom: float = 1.0

    @property
    def patch_size(self) -> float:
        """Side of a patch, px of the scene."""
        return self.lattice.patch_size / self.zoom


@dataclass(frozen=True)
class _Look:
    """A scene at one zoom: its rows and cols there, and rows of it from first to end: RGB in 0..1, and valid pixels."""

    zoom: float
    shape: tuple[int, int]
    read: Callable[[int, int], tuple[NDArray[np.float32], NDArray[np.bool_]]]


@dataclass(frozen=True)
class _Crop:
    """A crop on its way to the encoder: its first lattice column, its pixels and its valid patches."""

    col: int
    image: NDArray[np.float32]
    valid_patches: NDArray[np.bool_]


def encode_scene(
    reader: SceneReader,
    encoder: Encoder,
    *,
    zoom: float = 1.0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[LatticeFeatures, ...]:
    """Encode a scene at each of the encoder's scales, one row of crops after the other.

    Crops without a valid pixel never reach the encoder. Pixels without data inside a crop are shown to it in the mean
    colour of the crop's valid ones.

    Parameters
    ----------
    reader : SceneReader
    encoder : Encoder
    zoom : float
        How much the scene is enlarged beforehand; below 1, reduced.
    progress : callable, optional
        Called with (crops done, crops in all).

    Raises
    ------
    SceneError
        If no pixel is valid, or the file is damaged.
    """
    grid = reader.scene.grid

    def look(zoom: float) -> _Look:
        shape = zoomed(grid.height, zoom), zoomed(grid.width, zoom)
        return _Look(zoom, shape, lambda top, bottom: reader.read(Window(0, top, shape[1], bottom - top), zoom))

    features = _encode_all([look(zoom * scale) for scale in encoder.scales], encoder, progress)
    if features is None:
        raise SceneError(f"'{reader.scene.path}' has no valid pixel: all is nodata, transparent or not a number")
    return features


def encode_image(image: NDArray[np.float32], encoder: Encoder, *, zoom: float = 1.0) -> tuple[LatticeFeatures, ...]:
    """Encode a picture in memory as `encode_scene` does a file: (3, rows, cols) RGB in 0..1, all of it valid."""

    def look(zoom: float) -> _Look:
        shape = zoomed(image.shape[1], zoom), zoomed(image.shape[2], zoom)
        seen = image
        if zoom != 1.0:
            seen = resample(image, (0, 0, shape[0] / zoom, shape[1] / zoom), shape).clip(0.0, 1.0)
        valid = np.ones(shape, dtype=bool)
        return _Look(zoom, shape, lambda top, bottom: (seen[:, top:bottom], valid[top:bottom]))

    features = _encode_all([look(zoom * scale) for scale in encoder.scales], encoder, None)
    assert features is not None  # every pixel is valid
    return features


def _encode_all(
    looks: Sequence[_Look], encoder: Encoder, progress: Callable[[int, int], None] | None
) -> tuple[LatticeFeatures, ...] | None:
    """Encode all looks, with one progress for all. None where nothing is valid."""
    lattices = [Lattice(*look.shape, encoder.patch_size, encoder.crop_size, encoder.stride) for look in looks]
    crops = [len(lattice.crop_rows()) * len(lattice.crop_cols()) for lattice in lattices]
    tell = progress or (lambda done, total: None)
    found: list[LatticeFeatures] = []
    for number, (look, lattice) in enumerate(zip(looks, lattices, strict=True)):
        features = _encode(look, lattice, encoder, partial(_report, tell, sum(crops[:number]), sum(crops)))
        if features is None:
            return None
        found.append(features)
    return tuple(found)


def _report(progress: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    progress(before + done, total)


def _encode(look: _Look, lattice: Lattice, encoder: Encoder, report: Callable[[int], None]) -> LatticeFeatures | None:
    """Encode one look; `report` is told the crops done. None where nothing is valid."""
    side = lattice.patches_per_crop
    crop_rows, crop_cols = lattice.crop_rows(), lattice.crop_cols()
    valid = np.zeros((lattice.rows, lattice.cols), dtype=bool)
    sums: dict[str, NDArray[np.float32]] = {}  # (side, cols, D) sums over the crops that cover a row not yet finished
    stored: dict[str, NDArray[np.float16]] = {}
    counts = np.zeros((side, lattice.cols), dtype=np.float32)
    for place, row in enumerate(crop_rows):
        for batch in _batches(_crops(look, lattice, row)):
            features = encoder.patch_features(torch.from_numpy(np.stack([crop.image for crop in batch])))
            for name, arrays in _as_arrays(features).items():
                if name not in sums:
                    sums[name] = np.zeros((side, lattice.cols, arrays.shape[-1]), dtype=np.float32)
                    stored[name] = np.zeros((lattice.rows, lattice.cols, arrays.shape[-1]), dtype=np.float16)
                for crop, array in zip(batch, arrays, strict=True):
                    sums[name][:, crop.col : crop.col + side] += array
            for crop in batch:
                counts[:, crop.col : crop.col + side] += 1
                valid[row : row + side, crop.col : crop.col + side] |= crop.valid_patches
            if batch[-1].col < crop_cols[-1]:  # at the end of the row, the row itself is reported
                report(place * len(crop_cols) + bisect(crop_cols, batch[-1].col))
        # Rows above the next row of crops are finished: average them, keep them, and move the sums up.
        finished = (crop_rows[place + 1] if place + 1 < len(crop_rows) else lattice.rows) - row
        for name, unfinished in sums.items():
            mean = unfinished[:finished] / np.maximum(counts[:finished], 1.0)[:, :, None]
            mean[~valid[row : row + finished]] = 0.0
            stored[name][row : row + finished] = mean
            _shift_up(unfinished, finished)
        _shift_up(counts, finished)
        report((place + 1) * len(crop_cols))
    if not stored:
        return None
    return LatticeFeatures(lattice, stored["vlm"], stored["vm"], valid, look.zoom)


def _crops(look: _Look, lattice: Lattice, row: int) -> Iterator[_Crop]:
    """Read one row of crops in one go and cut it up."""
    size, patch = lattice.crop_size, lattice.patch_size
    side = lattice.patches_per_crop
    top = row * patch
    bottom = min(top + size, lattice.height)
    image, valid = look.read(top, bottom)
    # Where patches reach over the border, the picture is mirrored into them; valid they are not.
    margin = ((0, size - (bottom - top)), (0, lattice.cols * patch - lattice.width))
    image = np.pad(image, ((0, 0), *margin), mode="symmetric")
    shown = np.pad(valid, margin, mode="symmetric")
    valid = np.pad(valid, margin)
    for col in lattice.crop_cols():
        window = slice(col * patch, col * patch + size)
        in_crop = valid[:, window]
        if not in_crop.any():
            continue
        picture = image[:, :, window].copy()
        picture[:, ~shown[:, window]] = picture[:, in_crop].mean(axis=1, keepdims=True)
        in_patches = in_crop.reshape(side, patch, side, patch)
        yield _Crop(col, picture, np.asarray(in_patches.any(axis=(1, 3))))


def _batches(crops: Iterator[_Crop]) -> Iterator[list[_Crop]]:
    batch: list[_Crop] = []
    for crop in crops:
        batch.append(crop)
        if len(batch) == BATCH_SIZE:
            yield batch
            batch = []
    if batch:
        yield batch


def _as_arrays(features: PatchFeatures) -> dict[str, NDArray[np.float32]]:
    return {
        "vlm": features.vlm.permute(0, 2, 3, 1).float().cpu().numpy(),
        "vm": features.vm.permute(0, 2, 3, 1).float().cpu().numpy(),
    }


def _shift_up(array: NDArray[np.float32], rows: int) -> None:
    array[: len(array) - rows] = array[rows:].copy()
    array[len(array) - rows :] = 0.0
