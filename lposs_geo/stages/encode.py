"""The lattice feature store: every crop of a scene encoded exactly once, overlapping crops averaged place by place.

Features don't know the classes: the words come later, and new words don't need new features. They go to a journal on
the disk, in half precision, row of crops by row of crops, so that a scene of any size takes the same memory and a run
that was killed goes on where it stopped.
"""

from __future__ import annotations

import heapq
import logging
import math
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.encoders.encoder import Encoder
from lposs_geo.errors import SceneError
from lposs_geo.lposs import BATCH_SIZE
from lposs_geo.memory import is_out_of_memory
from lposs_geo.scene.identity import check_unchanged
from lposs_geo.scene.reader import SceneReader
from lposs_geo.stages.ahead import made_ahead
from lposs_geo.store.journal import ChunkedArray, Journal, open_journal
from lposs_geo.tiling import Lattice, Steps, resample, zoomed

__all__ = [
    "Encoded",
    "LatticeArray",
    "LatticeFeatures",
    "encode_image",
    "encode_scene",
    "has_features",
    "is_encoded",
    "missing_bytes",
    "stored_features",
]

SEGMENT = 256
"""Lattice columns of one chunk in the store."""

GPU_BATCH = 128
"""Crops that a GPU encodes at once, until its memory says otherwise."""

log = logging.getLogger("lposs_geo")


class LatticeArray(Protocol):
    """An array over the lattice, in memory or on the disk: (rows, cols, ...)."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, window: tuple[slice, slice], /) -> NDArray[Any]:
        """A window of it, in memory."""
        ...


@dataclass(frozen=True)
class LatticeFeatures:
    """Features of every patch of a scene, in half precision.

    Attributes
    ----------
    lattice : Lattice
        Of the scene seen at `zoom`.
    vlm : (rows, cols, D) float16
        VLM features, averages of unit vectors and so a little shorter; zero where not valid.
    vm : (rows, cols, E) float16
        VM features, likewise; only the last of several looks has them.
    valid : (rows, cols) bool
        Patches that hold a valid pixel.
    zoom : float
        How much the encoder saw the scene enlarged.
    """

    lattice: Lattice
    vlm: LatticeArray
    vm: LatticeArray
    valid: LatticeArray
    zoom: float = 1.0

    @property
    def patch_size(self) -> float:
        """Side of a patch, px of the scene."""
        return self.lattice.patch_size / self.zoom


@dataclass(frozen=True)
class Encoded:
    """How far the encoding of a scene has come.

    Attributes
    ----------
    done, total : int
        Crops.
    rows : float
        Px rows of the scene from the top, for which the features of all looks are in the store; infinite at the end.
    seconds : float
        What the encoder took since the last of these.
    """

    done: int
    total: int
    rows: float
    seconds: float


@dataclass(frozen=True)
class _Look:
    """A scene at one zoom and its lattice.

    `row_edges` are where the rows of crops begin on the lattice, and where it ends; `places` those of them that are
    wanted, `crop_cols` the wanted columns of crops. `read` gives a window, in px at this zoom: RGB in 0..1 and valid
    pixels, or None where there is nothing.
    """

    number: int
    zoom: float
    lattice: Lattice
    row_edges: Sequence[int]
    places: range
    crop_cols: Sequence[int]
    is_last: bool
    read: Callable[[Window], tuple[NDArray[np.float32], NDArray[np.bool_]] | None]

    def finished_px(self, place: int) -> float:
        """Px rows of the scene that are complete when the row of crops at `place` is."""
        if place + 1 == self.places.stop:
            return math.inf
        return self.row_edges[place + 1] * self.lattice.patch_size / self.zoom

    def done_key(self, place: int) -> str:
        return f"{self.number}/done/{place}"


@dataclass(frozen=True)
class _Crop:
    """A crop on its way to the encoder: its first lattice column, its pixels and its valid patches."""

    col: int
    image: NDArray[np.float32]
    valid_patches: NDArray[np.bool_]


@dataclass(frozen=True)
class _Batch:
    """Crops of one row, read in one go; `place` is that of the row, `end_col` where the next crop begins.

    Rows that are not `kept` are in the store already: they are encoded again after a kill, for what they add to the
    rows below. `error` tells why a crop couldn't be read and is taken for empty.
    """

    look: _Look
    place: int
    crops: Sequence[_Crop]
    count: int
    ends_row: bool
    kept: bool
    error: SceneError | None


def encode_scene(
    reader: SceneReader,
    encoder: Encoder,
    journal: Journal,
    *,
    zoom: float = 1.0,
    window: Window | None = None,
) -> Iterator[Encoded]:
    """Encode a scene at each of the encoder's scales into a journal; what is in there already is left out.

    Crops without a valid pixel never reach the encoder. Pixels without data inside a crop are shown to it in the mean
    colour of the crop's valid ones. A part of the scene that can't be read is tried twice, then said and taken for
    empty; the next run on the same journal tries it again. Nothing is written that was read after the scene was
    changed.

    Parameters
    ----------
    reader : SceneReader
        Used by a thread of its own until the iterator ends.
    encoder : Encoder
    journal : Journal
    zoom : float
        How much the scene is enlarged beforehand; below 1, reduced.
    window : Window, optional
        Encode only crops that reach into this part of the scene; they are the same as those of the whole.

    Yields
    ------
    Encoded
        After each batch of crops; the last one has ``rows`` infinite.

    Raises
    ------
    SceneChangedError
        If a file of the scene was changed since it was described.
    OutputError
        If the journal can't be written to.
    """
    grid = reader.scene.grid
    looks = _looks(grid.height, grid.width, encoder, zoom, window, _scene_source(reader))
    yield from _encode(looks, encoder, journal, partial(check_unchanged, reader.scene))


def encode_image(image: NDArray[np.float32], encoder: Encoder, *, zoom: float = 1.0) -> tuple[LatticeFeatures, ...]:
    """Encode a picture in memory as `encode_scene` does a file: (3, rows, cols) RGB in 0..1, all of it valid.

    The features of all looks, in memory.
    """

    def source(zoom: float) -> Callable[[Window], tuple[NDArray[np.float32], NDArray[np.bool_]]]:
        shape = zoomed(image.shape[1], zoom), zoomed(image.shape[2], zoom)
        seen = image
        if zoom != 1.0:
            seen = resample(image, (0, 0, shape[0] / zoom, shape[1] / zoom), shape).clip(0.0, 1.0)

        def read(window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            rows, cols = window.toslices()
            part = seen[:, rows, cols]
            return part, np.ones(part.shape[1:], dtype=bool)

        return read

    looks = _looks(image.shape[1], image.shape[2], encoder, zoom, None, source)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, open_journal(Path(folder)) as journal:
        for _ in _encode(looks, encoder, journal):
            pass
        everything = slice(None), slice(None)
        return tuple(
            LatticeFeatures(f.lattice, f.vlm[everything], f.vm[everything], f.valid[everything], f.zoom)
            for f in _stored(looks, journal)
        )


def stored_features(
    shape: tuple[int, int], encoder: Encoder, journal: Journal, *, zoom: float = 1.0, window: Window | None = None
) -> tuple[LatticeFeatures, ...]:
    """What `encode_scene` has put into a journal, one for each look, as arrays on the disk.

    Parameters
    ----------
    shape : (int, int)
        Rows and cols of the scene, px.
    encoder, journal, zoom, window
        As for `encode_scene`; at least one crop must have been encoded.
    """
    return _stored(_looks(*shape, encoder, zoom, window, None), journal)


def has_features(journal: Journal) -> bool:
    """Whether any crop has been encoded into a journal."""
    return "widths" in journal


def is_encoded(
    shape: tuple[int, int], encoder: Encoder, journal: Journal, *, zoom: float = 1.0, window: Window | None = None
) -> bool:
    """Whether `encode_scene` would find nothing left to do."""
    return not any(_rows_to_do(look, journal)[1] for look in _looks(*shape, encoder, zoom, window, None))


def missing_bytes(
    shape: tuple[int, int],
    encoder: Encoder,
    journal: Journal,
    vlm_width: int,
    *,
    zoom: float = 1.0,
    window: Window | None = None,
) -> int:
    """How much `encode_scene` will put into a journal, at least, if every pixel is valid.

    `vlm_width` is the number of the VLM's features; how many the VM has is known once some are there.
    """
    widths = journal.read("widths").tolist() if has_features(journal) else [vlm_width, 0]
    size = 0
    for look in _looks(*shape, encoder, zoom, window, None):
        kept = _rows_to_do(look, journal)[1]
        if kept:
            rows = look.row_edges[kept.stop] - look.row_edges[kept.start]
            cols = look.crop_cols[-1] + look.lattice.patches_per_crop - look.crop_cols[0]
            size += rows * cols * (2 * (widths[0] + widths[1] * look.is_last) + 1)
    return size


_Source = Callable[[float], Callable[[Window], tuple[NDArray[np.float32], NDArray[np.bool_]] | None]]


def _scene_source(reader: SceneReader) -> _Source:
    def source(zoom: float) -> Callable[[Window], tuple[NDArray[np.float32], NDArray[np.bool_]] | None]:
        return lambda window: reader.read(window, zoom) if reader.may_hold_data(window, zoom) else None

    return source


def _looks(
    height: int, width: int, encoder: Encoder, zoom: float, window: Window | None, source: _Source | None
) -> list[_Look]:
    """The encoder's looks at a scene, ascending."""
    found = []
    for number, scale in enumerate(encoder.scales):
        own = zoom * scale
        shape = zoomed(height, own), zoomed(width, own)
        lattice = Lattice(*shape, encoder.patch_size, encoder.crop_size, encoder.stride)
        rows, cols = lattice.crop_rows(), lattice.crop_cols()
        places, wanted_cols = range(len(rows)), range(len(cols))
        if window is not None:
            patch_size, side = lattice.patch_size / own, lattice.patches_per_crop
            places = _reaching(rows, side, window.row_off / patch_size, (window.row_off + window.height) / patch_size)
            wanted_cols = _reaching(
                cols, side, window.col_off / patch_size, (window.col_off + window.width) / patch_size
            )
        read = source(own) if source else lambda _: None
        is_last = number + 1 == len(encoder.scales)
        edges = Steps(rows.regular, (*rows.tail, lattice.rows))
        crop_cols = cols[wanted_cols.start : wanted_cols.stop]
        found.append(_Look(number, own, lattice, edges, places, crop_cols, is_last, read))
    return found


def _reaching(starts: Sequence[int], side: int, first: float, last: float) -> range:
    """Which crops cover a patch in [first, last), or one beside it, from which is interpolated."""
    return range(
        bisect_right(starts, math.floor(first) - 1 - side),
        bisect_left(starts, math.ceil(last) + 1),
    )


def _stored(looks: Sequence[_Look], journal: Journal) -> tuple[LatticeFeatures, ...]:
    journal.expect("widths", (2,), np.int64)
    vlm_width, vm_width = journal.read("widths").tolist()

    def features(look: _Look) -> LatticeFeatures:
        lattice = look.lattice
        cols = Steps(range(0, lattice.cols, SEGMENT), (lattice.cols,))
        # one place in the store holds three arrays
        vlm, vm, valid = (
            ChunkedArray(journal, f"{look.number}/{name}", look.row_edges, cols, dtype, trailing)
            for name, dtype, trailing in (
                ("vlm", np.float16, (vlm_width,)),
                ("vm", np.float16, (vm_width,)),
                ("valid", np.bool_, ()),
            )
        )
        return LatticeFeatures(lattice, vlm, vm, valid, look.zoom)

    return tuple(features(look) for look in looks)


def _rows_to_do(look: _Look, journal: Journal) -> tuple[range, range]:
    """The rows of crops still to be encoded, by place: those that are in the store already, and those to be kept.

    Ahead of what the journal lacks come the rows that reach into it: what they add isn't in the store.
    """
    first = next((place for place in look.places if look.done_key(place) not in journal), look.places.stop)
    if first == look.places.stop:
        return range(0), range(0)
    reach = look.row_edges[first] - look.lattice.patches_per_crop
    again = bisect_right(look.row_edges, reach, look.places.start, first)
    return range(again, first), range(first, look.places.stop)


def _ordered(look: _Look, again: range, kept: range) -> Iterator[tuple[float, int, int, bool]]:
    """Rows of crops with the px rows of the scene that they complete, the look's number, and whether they're kept."""
    for places, is_kept in ((again, False), (kept, True)):
        for place in places:
            yield look.finished_px(place), look.number, place, is_kept


def _encode(
    looks: Sequence[_Look], encoder: Encoder, journal: Journal, check: Callable[[], None] = lambda: None
) -> Iterator[Encoded]:
    to_do = [_rows_to_do(look, journal) for look in looks]
    # from top to bottom, all looks together, so that the first rows are soon of use
    order = heapq.merge(*(_ordered(look, *places) for look, places in zip(looks, to_do, strict=True)))
    total = sum(len(look.places) * len(look.crop_cols) for look in looks)
    done = total - sum(len(kept) * len(look.crop_cols) for look, (_, kept) in zip(looks, to_do, strict=True))
    finished = [0.0 if kept else math.inf for _, kept in to_do]
    limit = BATCH_SIZE if encoder.device.type == "cpu" else GPU_BATCH
    stores = [_RowStore(look, journal) for look in looks]
    rows = ((looks[number], place, kept) for _, number, place, kept in order)
    with made_ahead(_batches(rows, limit), depth=2) as batches:
        for batch in batches:
            began = time.perf_counter()
            store = stores[batch.look.number]
            check()  # all that is written below was read before this
            if batch.error is not None:
                log.warning("%s: taken for empty there", batch.error)
                store.spoil(batch.place)
            if batch.crops:
                vlm, vm, limit = _patch_features(encoder, batch.crops, limit)
                if not has_features(journal):
                    journal.append("widths", np.array([vlm.shape[-1], vm.shape[-1]], np.int64))
                store.add(batch, vlm, vm)
            if batch.ends_row:
                store.finish_row(batch)
                finished[batch.look.number] = batch.look.finished_px(batch.place)
            done += batch.count if batch.kept else 0
            yield Encoded(done, total, min(finished), time.perf_counter() - began)
    yield Encoded(total, total, math.inf, 0.0)


def _patch_features(
    encoder: Encoder, crops: Sequence[_Crop], limit: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
    """Encode crops, at most `limit` at once: VLM and VM features (B, h, w, D), and the limit that memory allows."""
    images = torch.from_numpy(np.stack([crop.image for crop in crops]))
    while True:
        try:
            parts = [encoder.patch_features(part) for part in images.split(limit)]
            vlm = np.concatenate([part.vlm.permute(0, 2, 3, 1).float().cpu().numpy() for part in parts])
            vm = np.concatenate([part.vm.permute(0, 2, 3, 1).float().cpu().numpy() for part in parts])
            return vlm, vm, limit
        except Exception as error:
            if limit == 1 or not is_out_of_memory(error):
                raise
        limit //= 2
        if encoder.device.type == "cuda":
            torch.cuda.empty_cache()
        log.warning("the encoder ran out of memory: it goes on with batches of %d crops", limit)


class _RowStore:
    """Puts the features of crops together, column by column of a row, and writes what is complete.

    A segment's sums cover its columns and the rows of the current row of crops. As soon as the crops have passed it,
    the patches that no later crop covers are averaged and written, and only the rows that the next row of crops
    overlaps stay in memory.
    """

    def __init__(self, look: _Look, journal: Journal) -> None:
        self._look = look
        self._journal = journal
        self._segments: dict[int, _Segment] = {}
        self._passed: set[int] = set()
        self._whole_from = 0  # lattice row

    def spoil(self, place: int) -> None:
        """Let no row of crops count as done that the one at `place`, of which a part couldn't be read, reaches into."""
        self._whole_from = self._look.row_edges[place] + self._look.lattice.patches_per_crop

    def add(self, batch: _Batch, vlm: NDArray[np.float32], vm: NDArray[np.float32]) -> None:
        """Add the features (B, side, side, D) of crops, from left to right."""
        side = self._look.lattice.patches_per_crop
        widths = (vlm.shape[-1], vm.shape[-1] if self._look.is_last else 0)
        self._pass(batch, [number for number in self._segments if (number + 1) * SEGMENT <= batch.crops[0].col])
        for crop, *arrays in zip(batch.crops, vlm, vm, strict=True):
            for number in range(crop.col // SEGMENT, (crop.col + side - 1) // SEGMENT + 1):
                left = number * SEGMENT
                width = min(SEGMENT, self._look.lattice.cols - left)
                segment = self._segments.get(number) or _Segment.empty(0, width, widths)
                self._segments[number] = segment = segment.of_height(side)
                first, last = max(left, crop.col), min(left + width, crop.col + side)
                segment.add(slice(first - left, last - left), slice(first - crop.col, last - crop.col), arrays, crop)

    def finish_row(self, batch: _Batch) -> None:
        """Write what is left to be completed by the row of crops that ends with this batch."""
        self._pass(batch, list(self._segments))
        self._passed.clear()
        if batch.kept and self._look.row_edges[batch.place] >= self._whole_from:
            self._journal.append(self._look.done_key(batch.place), np.zeros(0))

    def _pass(self, batch: _Batch, numbers: Sequence[int]) -> None:
        """Write the finished rows of segments, and keep the rest."""
        finished = self._look.row_edges[batch.place + 1] - self._look.row_edges[batch.place]
        for number in numbers:
            if number in self._passed:
                continue
            self._passed.add(number)
            segment = self._segments.pop(number).of_height(self._look.lattice.patches_per_crop)
            valid = segment.valid[:finished]
            if batch.kept and valid.any():
                for name, sums in (("vlm", segment.vlm), ("vm", segment.vm)):
                    if sums.shape[-1]:
                        key = f"{self._look.number}/{name}/{batch.place}/{number}"
                        self._journal.append(key, segment.means(sums[:finished]))
                self._journal.append(f"{self._look.number}/valid/{batch.place}/{number}", valid)
            rest = segment.below(finished)
            if rest.counts.any():
                self._segments[number] = rest


@dataclass(frozen=True)
class _Segment:
    """Sums over the crops that cover a patch, and how many they are: all (rows, width, ...)."""

    vlm: NDArray[np.float32]
    vm: NDArray[np.float32]
    counts: NDArray[np.float32]
    valid: NDArray[np.bool_]

    @classmethod
    def empty(cls, rows: int, width: int, feature_widths: tuple[int, int]) -> _Segment:
        vlm, vm = (np.zeros((rows, width, depth), np.float32) for depth in feature_widths)
        return cls(vlm, vm, np.zeros((rows, width), np.float32), np.zeros((rows, width), bool))

    def add(self, cols: slice, crop_cols: slice, arrays: Sequence[NDArray[np.float32]], crop: _Crop) -> None:
        for sums, array in zip((self.vlm, self.vm), arrays, strict=True):
            if sums.shape[-1]:
                sums[:, cols] += array[:, crop_cols]
        self.counts[:, cols] += 1
        self.valid[:, cols] |= crop.valid_patches[:, crop_cols]

    def means(self, sums: NDArray[np.float32]) -> NDArray[np.float16]:
        rows = len(sums)
        mean = sums / np.maximum(self.counts[:rows], 1.0)[:, :, None]
        mean[~self.valid[:rows]] = 0.0
        return mean.astype(np.float16)

    def below(self, row: int) -> _Segment:
        """A copy of what lies below a row: the rest goes."""
        vlm, vm, counts = (array[row:].copy() for array in (self.vlm, self.vm, self.counts))
        return _Segment(vlm, vm, counts, self.valid[row:].copy())

    def of_height(self, rows: int) -> _Segment:
        """The segment itself, or with empty rows below up to this height."""
        if len(self.counts) == rows:
            return self
        taller = _Segment.empty(rows, self.counts.shape[1], (self.vlm.shape[-1], self.vm.shape[-1]))
        top = slice(len(self.counts))
        taller.vlm[top], taller.vm[top] = self.vlm, self.vm
        taller.counts[top], taller.valid[top] = self.counts, self.valid
        return taller


def _batches(rows: Iterator[tuple[_Look, int, bool]], size: int) -> Iterator[_Batch]:
    """Read rows of crops, so many at a time as are encoded at once; never across the end of a row.

    What is encoded together is then the same whenever a run is resumed, and so are the features to the last bit.
    """
    for look, place, kept in rows:
        cols = look.crop_cols
        for first in range(0, len(cols), size):
            part = cols[first : first + size]
            crops, error = _read_crops(look, look.row_edges[place], part)
            yield _Batch(look, place, crops, len(part), first + size >= len(cols), kept, error)


def _read_crops(look: _Look, row: int, cols: Sequence[int]) -> tuple[list[_Crop], SceneError | None]:
    """The crops of a row that hold data; those that can't be read are left out, and the last one's error told."""
    try:
        return list(_crops(look, row, cols)), None
    except SceneError:
        pass
    crops: list[_Crop] = []
    damage = None
    for col in cols:  # once more, and each by itself: the damage may be in one of them only
        try:
            crops += _crops(look, row, [col])
        except SceneError as error:
            damage = error
    return crops, damage


def _crops(look: _Look, row: int, cols: Sequence[int]) -> Iterator[_Crop]:
    """Read neighbouring crops of one row in one go and cut them out."""
    lattice = look.lattice
    size, patch, side = lattice.crop_size, lattice.patch_size, lattice.patches_per_crop
    top, left = row * patch, cols[0] * patch
    full_width = cols[-1] * patch + size - left
    bottom, right = min(top + size, lattice.height), min(left + full_width, lattice.width)
    read = look.read(Window(left, top, right - left, bottom - top))
    if read is None:
        return
    image, valid = read
    # Where patches reach over the border, the picture is mirrored into them; valid they are not.
    margin = ((0, size - (bottom - top)), (0, full_width - (right - left)))
    image = np.pad(image, ((0, 0), *margin), mode="symmetric")
    shown = np.pad(valid, margin, mode="symmetric")
    valid = np.pad(valid, margin)
    for col in cols:
        window = slice(col * patch - left, col * patch - left + size)
        in_crop = valid[:, window]
        if not in_crop.any():
            continue
        picture = image[:, :, window].copy()
        picture[:, ~shown[:, window]] = picture[:, in_crop].mean(axis=1, keepdims=True)
        in_patches = in_crop.reshape(side, patch, side, patch)
        yield _Crop(col, picture, np.asarray(in_patches.any(axis=(1, 3))))
