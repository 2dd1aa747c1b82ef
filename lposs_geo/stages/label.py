"""From a scene's pixels and a few embedded words to labels, tile by tile, into a journal.

Encoding goes on in a thread of its own, from the top of the scene down; as soon as the features reach far enough, a
block of the lattice is propagated, and the tiles that lie on finished blocks are labelled. What the journal holds
already isn't done again.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo import lposs
from lposs_geo.errors import OutputError, SceneError, one_line
from lposs_geo.legend.legend import NODATA, UNKNOWN
from lposs_geo.memory import is_out_of_memory
from lposs_geo.progress import Progress
from lposs_geo.scene.description import Scene
from lposs_geo.scene.identity import check_unchanged
from lposs_geo.scene.reader import SceneReader, open_scene
from lposs_geo.stages.ahead import prefetch
from lposs_geo.stages.drawn import assert_drawn, clamp
from lposs_geo.stages.encode import Encoded, encode_scene
from lposs_geo.stages.features import LatticeFeatures, has_features, stored_features
from lposs_geo.stages.kept_tiles import digest_of_tile, keep_tile, kept_tile
from lposs_geo.stages.lesson import taught_by
from lposs_geo.stages.propagate import (
    SCENE_PARAMETERS,
    blocks,
    has_patches,
    patch_scores,
    sample_scores,
)
from lposs_geo.stages.task import Task, Words, halo_of
from lposs_geo.store.disk_array import ChunkedArray
from lposs_geo.store.journal import Journal
from lposs_geo.tiling import Tile, Tiles, bilinear_taps, tiles

__all__ = [
    "TILES",
    "FailedTile",
    "decide",
    "finished_tile",
    "finished_tiles",
    "label_scene",
    "scores_in",
]

TILES = "tiles"
"""Kind of the records that hold labels."""

LEAST_TILE = 64
"""Px: a tile that doesn't fit into memory is quartered down to this."""

ENCODE_AHEAD = 100
"""Batches that the encoder may be ahead of the propagation; they are on the disk, not in memory."""

log = logging.getLogger("lposs_geo")


@dataclass(frozen=True)
class FailedTile:
    """A part of a scene, px, that couldn't be mapped in two attempts and is nodata in the map, and why."""

    window: Window
    reason: str

    def __str__(self) -> str:
        return f"{_named(self.window)} is nodata: {self.reason}"

    def as_dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {"rows_cols": self.window.toranges(), "reason": self.reason}


def label_scene(task: Task, scene: Scene, store: Journal, journal: Journal, progress: Progress) -> list[FailedTile]:
    """Label what the journal lacks.

    Parameters
    ----------
    task : Task
    scene : Scene
    store : Journal
        The scene's features; what it lacks is encoded.
    journal : Journal
        Receives scores and labels, see `finished_tile`.
    progress : Progress
        Of the stages "encode", "propagate" and "refine".

    Returns
    -------
    list of FailedTile
        What couldn't be labelled.

    Raises
    ------
    SceneError
        If no pixel is valid, or nothing can be read.
    SceneChangedError
        If a file of the scene was changed since it was described; the journals hold nothing that was read after that.
    OutputError
        If the disk is full.
    """
    failed = list[FailedTile]()
    done = finished_tiles(journal, task.plan)
    if done:
        log.info("%d of %d tiles are finished already", done, len(task.plan))
    if done == len(task.plan):
        return failed
    to_do = (tile for tile in task.plan if _key_of(tile) not in journal)
    # each thread reads through a reader of its own
    with open_scene(scene) as for_encoder, open_scene(scene) as for_tiles, open_scene(scene) as reader:
        looks = task.looks(scene.grid)
        steps = encode_scene(for_encoder, task.encoder, looks, store)
        with (
            prefetch(steps, ENCODE_AHEAD) as encoded,
            prefetch(((tile, _read(tile, for_tiles, task)) for tile in to_do), depth=2) as read,
        ):
            waiting = next(read, None)
            for scores, features, finished_rows in _propagated(task, reader, encoded, store, journal, progress):
                while waiting is not None and _lowest_patch(waiting[0], features) < finished_rows:
                    tile, pixels = waiting
                    with progress.running("refine"):
                        layers = _label_or_kept(tile, pixels, _Labeller(task, reader, scores, features), store)
                    check_unchanged(scene)
                    if isinstance(layers, Exception):
                        failed.append(FailedTile(tile.core, one_line(layers)))
                        log.warning("%s", failed[-1])
                        if len(failed) == len(task.plan):
                            raise layers
                    else:
                        journal.append(_key_of(tile), layers)
                    done += 1
                    progress.step("refine", done, len(task.plan))
                    waiting = next(read, None)
    return failed


def finished_tiles(journal: Journal, plan: Tiles) -> int:
    """Number of tiles of a plan that the journal holds."""
    return sum(_key(row, col) in journal for row in plan.rows for col in plan.cols)


def finished_tile(journal: Journal, tile: Tile) -> NDArray[np.uint8] | None:
    """The layers of a tile's core; None where it holds no data or failed.

    Returns
    -------
    (layers, rows, cols) uint8
        Labels; confidence in percent; with `Task.keep_probabilities` that of each class, too. All are `NODATA`
        where the scene has no data, and outside the area of interest.
    """
    key = _key_of(tile)
    layers = journal.read(key) if key in journal else _NOTHING
    return layers if layers.size else None


def _key_of(tile: Tile) -> str:
    return _key(tile.core.row_off, tile.core.col_off)


def _key(row: int, col: int) -> str:
    """The key of the tile whose core begins there."""
    return f"{TILES}/{row}/{col}"


_NOTHING = np.zeros(0, np.uint8)
"""In place of a tile's layers where no pixel of it holds data."""


def _named(window: Window) -> str:
    rows, cols = window.toslices()
    return f"the tile of rows {rows.start} to {rows.stop - 1}, columns {cols.start} to {cols.stop - 1}"


def _propagated(
    task: Task,
    reader: SceneReader,
    encoded: Iterator[Encoded],
    store: Journal,
    journal: Journal,
    progress: Progress,
) -> Iterator[tuple[ChunkedArray, LatticeFeatures, float]]:
    """Propagate row after row of blocks, as soon as their features are there.

    Yields the scores (rows, cols, C) on the finest lattice, that lattice's features, and the lattice row down to which
    the scores are there; infinite at the end.
    """
    scene = reader.scene
    shape = scene.grid.height, scene.grid.width
    complete = 0.0

    def encode_down_to(row: float) -> None:
        nonlocal complete
        while complete < row:
            step = next(encoded)
            progress.add("encode", step.seconds)
            progress.step("encode", step.done, step.total)
            complete = step.rows

    while not has_features(store) and complete < math.inf:
        encode_down_to(complete + 1)
    if not has_features(store):
        where = "" if task.window.width * task.window.height == shape[0] * shape[1] else " in and around the window"
        raise SceneError(f"'{scene.path}' has no valid pixel{where}: all is nodata, transparent or not a number")
    features = stored_features(task.looks(scene.grid), store)
    finest = features[-1]
    taught = None
    if task.teaching is not None:  # examples may lie anywhere
        encode_down_to(math.inf)
        with progress.running("learn"):
            taught = taught_by(task, features, reader, store, journal)
    parts, scores = scores_in(journal, finest, task, scene)
    for number, part in enumerate(parts):
        row, col = divmod(number, len(parts.cols))
        # coarser looks are interpolated from one patch beyond
        needed = (part.padded.row_off + part.padded.height) * finest.patch_size + features[0].patch_size
        encode_down_to(needed if needed < shape[0] else math.inf)
        is_empty = not finest.valid[part.core.toslices()].any()  # what isn't in the journal is zero
        if not is_empty and scores.key(row, col) not in journal:
            with progress.running("propagate"):
                graphs = store if task.keep_graphs else None
                block = patch_scores(
                    features, task.words.text, task.encoder, part.padded, graphs, len(task.words.rivals), taught
                )
                journal.append(scores.key(row, col), block[part.core_in_padded])
        progress.step("propagate", number + 1, len(parts))
        if number + 1 == len(parts) or parts[number + 1].core.row_off > part.core.row_off:
            yield scores, finest, math.inf if number + 1 == len(parts) else part.core.row_off + part.core.height


def scores_in(journal: Journal, finest: LatticeFeatures, task: Task, scene: Scene) -> tuple[Tiles, ChunkedArray]:
    """The blocks of the finest lattice, and its scores (rows, cols, C) in a run's journal."""
    classes = len(task.words.text)
    parts = blocks(finest, task.encoder, classes, task.budget.graph, task.refined(scene.grid))
    return parts, ChunkedArray(journal, "scores", parts.row_edges, parts.col_edges, np.float32, (classes,))


def _lowest_patch(tile: Tile, features: LatticeFeatures) -> int:
    """The lowest lattice row from which a tile's pixels are interpolated."""
    bottom = tile.padded.row_off + tile.padded.height
    return int(bilinear_taps(features.lattice.rows, features.patch_size, bottom - 1, bottom)[1][0])


_Pixels = tuple[NDArray[np.float32], NDArray[np.bool_]]


def _read(tile: Tile, reader: SceneReader, task: Task) -> _Pixels | SceneError | None:
    """A tile's padded window: RGB in 0..1 and valid pixels. None where there is nothing to label, or why it fails."""
    if not reader.may_hold_data(tile.core) or (task.inside is not None and not task.inside(tile.core).any()):
        return None
    try:
        return reader.read(tile.padded)
    except SceneError as error:
        return error


@dataclass(frozen=True)
class _Labeller:
    """All that labelling a tile takes beside its pixels."""

    task: Task
    reader: SceneReader
    scores: ChunkedArray
    features: LatticeFeatures

    def label(self, tile: Tile, image: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Layers of a tile's core, see `finished_tile`; empty where no pixel of it is valid."""
        core, task = tile.core_in_padded, self.task
        wanted = valid[core] if task.inside is None else valid[core] & task.inside(tile.core)
        if not wanted.any():
            return _NOTHING
        if (wanted & ~has_patches(self.features, tile.core)).any():
            raise SceneError(f"'{self.reader.scene.path}' couldn't be read there when it was encoded")
        device, drawn = task.encoder.device, self._drawn(tile.padded)
        scores = sample_scores(self.scores, self.features, tile.padded, device)
        if drawn is not None:
            clamp(scores, drawn.to(device), task.words.num_classes)
        if task.refine:
            pixels, mask = torch.from_numpy(image).to(device), torch.from_numpy(valid).to(device)
            scores = lposs.refine(pixels, scores, SCENE_PARAMETERS, valid=mask)
        labels, shares = decide(scores[:, *core], task.words, task.confidence_power, of_all=task.keep_probabilities)
        if drawn is not None:
            assert_drawn(labels, shares, drawn[core].to(device))
        percent = (100 * shares).round().to(torch.uint8)
        layers = torch.cat([labels[None], percent]).cpu().numpy()
        layers[:, ~wanted] = NODATA
        return layers

    def _drawn(self, window: Window) -> torch.Tensor | None:
        """Class ids of the pixels that examples are drawn on, (rows, cols), if there are any."""
        teaching = self.task.teaching
        drawn = None if teaching is None or teaching.examples is None else teaching.examples.burn(window)
        return None if drawn is None or not drawn.any() else torch.from_numpy(drawn)


def decide(scores: torch.Tensor, words: Words, power: float, *, of_all: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels, and how likely they are.

    Parameters
    ----------
    scores : torch.Tensor
        (C, rows, cols), of classes and rivals.
    words : Words
    power : float
        `Encoder.confidence_power`.
    of_all : bool
        Whether the probability of each class is wanted, too.

    Returns
    -------
    labels : torch.Tensor
        (rows, cols) uint8.
    probabilities : torch.Tensor
        (1, rows, cols), 0..1: that of the label; with `of_all` (1 + classes, rows, cols).
    """
    own = scores[: words.num_classes]
    allowed = own
    if words.rivals:
        allowed = own.clone()
        for owners, rival in zip(words.rivals, scores[words.num_classes :], strict=True):
            for owner in owners:
                allowed[owner].masked_fill_(rival > own[owner], -math.inf)
    # argmax gives the same, but takes fifteen times as long where the classes aren't the last axis
    best = allowed.max(dim=0)
    is_known = best.values > -math.inf
    labels = torch.where(is_known, best.indices + 1, UNKNOWN).to(torch.uint8)
    confidence = (lposs.probabilities(own, power, of=best.values) * is_known)[None]
    return labels, torch.cat([confidence, lposs.probabilities(own, power)]) if of_all else confidence


def _label_or_kept(
    tile: Tile, pixels: _Pixels | SceneError | None, labeller: _Labeller, store: Journal
) -> NDArray[np.uint8] | Exception:
    """Label a tile, unless it was labelled before and its scores are as they were then."""
    task = labeller.task
    if pixels is None or not task.keep_graphs:
        return _label_or_reason(tile, pixels, labeller)
    digest = digest_of_tile(tile, task, labeller.scores, labeller.features)
    kept = kept_tile(store, tile, digest)
    if kept is not None:
        return kept
    layers = _label_or_reason(tile, pixels, labeller)
    if not isinstance(layers, Exception) and layers.size:
        with suppress(OutputError):  # the map needs it no more; a full disk is told by what it does need
            keep_tile(store, tile, digest, layers)
    return layers


def _label_or_reason(
    tile: Tile, pixels: _Pixels | SceneError | None, labeller: _Labeller
) -> NDArray[np.uint8] | Exception:
    """Label a tile in at most two attempts; one that doesn't fit into memory is quartered, which changes no label."""
    if pixels is None:
        return _NOTHING
    for is_last in (False, True):
        try:
            if isinstance(pixels, SceneError):
                raise pixels
            return labeller.label(tile, *pixels)
        except OutputError:  # what is damaged is no tile: the next one would fail, too
            raise
        except Exception as error:
            failure = error.with_traceback(None)  # or what the attempt took would stay in memory
        if is_out_of_memory(failure):
            pixels = None
            return _label_in_quarters(tile, labeller, failure)
        if is_last:
            break
        pixels = _read(tile, labeller.reader, labeller.task)
        assert pixels is not None
    return failure


def _label_in_quarters(tile: Tile, labeller: _Labeller, error: Exception) -> NDArray[np.uint8] | Exception:
    side = max(tile.core.height, tile.core.width)
    if side <= LEAST_TILE:
        raise error
    log.warning("%s doesn't fit into memory: it is done in quarters", _named(tile.core))
    if labeller.task.encoder.device.type == "cuda":
        torch.cuda.empty_cache()
    grid = labeller.reader.scene.grid
    halo = halo_of(labeller.task.refine)
    layers = np.full((labeller.task.num_layers, tile.core.height, tile.core.width), NODATA, np.uint8)
    for quarter in tiles(grid.height, grid.width, -(-side // 2), halo, tile.core):
        part = _label_or_reason(quarter, _read(quarter, labeller.reader, labeller.task), labeller)
        if isinstance(part, Exception):
            return part
        if part.size:
            top, left = quarter.core.row_off - tile.core.row_off, quarter.core.col_off - tile.core.col_off
            layers[:, top : top + quarter.core.height, left : left + quarter.core.width] = part
    return layers
