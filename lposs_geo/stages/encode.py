"""Every crop of a scene encoded exactly once, into a store on the disk.

A scene of any size takes the same memory, and a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import heapq
import logging
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.encoders.encoder import Encoder
from lposs_geo.lposs import BATCH_SIZE
from lposs_geo.memory import is_out_of_memory
from lposs_geo.scene.identity import check_unchanged
from lposs_geo.scene.reader import SceneReader
from lposs_geo.stages.ahead import prefetch
from lposs_geo.stages.averaging import LookStore
from lposs_geo.stages.crops import Crop, Read, batches
from lposs_geo.stages.features import (
    LatticeFeatures,
    has_features,
    lacking_rows,
    leave_out_damaged,
    put_widths,
    rows_to_do,
    stored_features,
)
from lposs_geo.stages.looks import Look, looks_at
from lposs_geo.store.journal import Journal, open_journal
from lposs_geo.tiling import resample

__all__ = ["Encoded", "encode_image", "encode_scene"]

GPU_BATCH = 128
"""Crops that a GPU encodes at once, until its memory says otherwise."""

log = logging.getLogger("lposs_geo")


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


def encode_scene(
    reader: SceneReader,
    encoder: Encoder,
    looks: Sequence[Look],
    journal: Journal,
) -> Iterator[Encoded]:
    """Encode a scene at each of the encoder's looks into a journal; what is in there already is left out.

    Crops without a valid pixel never reach the encoder. Pixels without data inside a crop are shown to it in the mean
    colour of the crop's valid ones. A part of the scene that can't be read is tried twice, then said and taken for
    empty; the next run on the same journal tries it again. Nothing is written that was read after the scene was
    changed.

    Parameters
    ----------
    reader : SceneReader
        Used by a thread of its own until the iterator ends.
    encoder : Encoder
    looks : sequence of Look
        Of `looks.looks_at`; crops of a part of the scene are the same as those of the whole.
    journal : Journal

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
    reads = [_read_scene(reader, look) for look in looks]
    yield from _encode(looks, reads, encoder, journal, partial(check_unchanged, reader.scene))


def encode_image(image: NDArray[np.float32], encoder: Encoder, *, zoom: float = 1.0) -> tuple[LatticeFeatures, ...]:
    """Encode a picture in memory as `encode_scene` does a file: (3, rows, cols) RGB in 0..1, all of it valid.

    The features of all looks, in memory.
    """
    looks = looks_at((image.shape[1], image.shape[2]), encoder, zoom)
    reads = [_read_image(image, look) for look in looks]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, open_journal(Path(folder)) as journal:
        for _ in _encode(looks, reads, encoder, journal):
            pass
        everything = slice(None), slice(None)
        return tuple(
            LatticeFeatures(f.lattice, f.vlm[everything], f.vm[everything], f.valid[everything], f.zoom)
            for f in stored_features(looks, journal)
        )


def _read_scene(reader: SceneReader, look: Look) -> Read:
    zoom = look.zoom
    return lambda window: reader.read(window, zoom) if reader.may_hold_data(window, zoom) else None


def _read_image(image: NDArray[np.float32], look: Look) -> Read:
    zoom, shape = look.zoom, (look.lattice.height, look.lattice.width)
    seen = image
    if zoom != 1.0:
        seen = resample(image, (0, 0, shape[0] / zoom, shape[1] / zoom), shape).clip(0.0, 1.0)

    def read(window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        rows, cols = window.toslices()
        part = seen[:, rows, cols]
        return part, np.ones(part.shape[1:], dtype=bool)

    return read


def _encode(
    looks: Sequence[Look],
    reads: Sequence[Read],
    encoder: Encoder,
    journal: Journal,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Encoded]:
    for look in looks:
        leave_out_damaged(look, journal)
    # from top to bottom, all looks together, so that the first rows are soon of use
    order = heapq.merge(*(_ordered(look, journal) for look in looks))
    counts = [sum(1 for _ in lacking_rows(look, journal)) for look in looks]
    total = sum(len(look.wanted) * len(look.crop_cols) for look in looks)
    done = total - sum(count * len(look.crop_cols) for look, count in zip(looks, counts, strict=True))
    finished = [0.0 if count else math.inf for count in counts]
    limit = BATCH_SIZE if encoder.device.type == "cpu" else GPU_BATCH
    stores = [LookStore(look, journal) for look in looks]
    rows = ((looks[number], row, kept) for _, number, row, kept in order)
    with prefetch(batches(rows, reads, limit), depth=2) as prefetched:
        for batch in prefetched:
            began = time.perf_counter()
            store = stores[batch.look.number]
            check()  # all that is written below was read before this
            if batch.error is not None:
                log.warning("%s: taken for empty there", batch.error)
                store.spoil(batch.row)
            if batch.crops:
                vlm, vm, limit = _patch_features(encoder, batch.crops, limit)
                if not has_features(journal):
                    put_widths(journal, vlm.shape[-1], vm.shape[-1])
                store.add(batch, vlm, vm)
            if batch.ends_row:
                store.finish_row(batch)
                finished[batch.look.number] = batch.look.finished_px(batch.row)
            done += batch.count if batch.kept else 0
            yield Encoded(done, total, min(finished), time.perf_counter() - began)
    yield Encoded(total, total, math.inf, 0.0)


def _ordered(look: Look, journal: Journal) -> Iterator[tuple[float, int, int, bool]]:
    """Rows of crops with the px rows of the scene that they complete, the look's number, and whether they're kept."""
    for row, is_kept in rows_to_do(look, journal):
        yield look.finished_px(row), look.number, row, is_kept


def _patch_features(
    encoder: Encoder, crops: Sequence[Crop], limit: int
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
