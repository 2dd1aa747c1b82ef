"""Finished tiles kept beside a scene's features: where scores are as they were, nothing is labelled again."""

from __future__ import annotations

import hashlib
import zlib

import numpy as np
from numpy.typing import NDArray

from lposs_geo.stages.features import LatticeArray, LatticeFeatures
from lposs_geo.stages.propagate import SCENE_PARAMETERS, patches_under
from lposs_geo.stages.task import Task
from lposs_geo.store.journal import Journal
from lposs_geo.tiling import Tile

__all__ = ["digest_of_tile", "keep_tile", "kept_tile"]

_DIGEST = 32
"""Bytes."""


def digest_of_tile(tile: Tile, task: Task, scores: LatticeArray, features: LatticeFeatures) -> bytes:
    """A hash of all that a tile's layers depend on beside the scene itself, which the store of features stands for.

    Parameters
    ----------
    tile : Tile
    task : Task
    scores : LatticeArray
        (rows, cols, C) on the finest lattice.
    features : LatticeFeatures
        Of that lattice.
    """
    state = hashlib.sha256()
    rows, cols = patches_under(features, tile.padded)
    near = scores[rows, cols]
    teaching = task.teaching
    drawn = None if teaching is None or teaching.examples is None else teaching.examples.burn(tile.padded)
    inside = None if task.inside is None else task.inside(tile.core)
    facts = [
        *(tile.core.flatten(), tile.padded.flatten(), near.shape, task.zoom, task.refine, task.words.rivals),
        *(task.words.num_classes, task.num_layers, task.confidence_power, SCENE_PARAMETERS),
    ]
    state.update(repr(facts).encode())
    for array in (near, features.valid[rows, cols], drawn, inside):
        if array is not None and (array is near or array.any()):
            state.update(np.ascontiguousarray(array).tobytes())
        state.update(b"|")
    return state.digest()


def kept_tile(store: Journal, tile: Tile, digest: bytes) -> NDArray[np.uint8] | None:
    """The layers of a tile that was finished with the same digest; None if there are none."""
    key = _key(tile)
    if key not in store:
        return None
    record = store.read(key)
    if record[:_DIGEST].tobytes() != digest:
        return None
    layers = np.frombuffer(zlib.decompress(record[_DIGEST:].tobytes()), np.uint8)
    return layers.reshape(-1, int(tile.core.height), int(tile.core.width))


def keep_tile(store: Journal, tile: Tile, digest: bytes, layers: NDArray[np.uint8]) -> None:
    """Keep the layers (layers, rows, cols) of a finished tile, in place of earlier ones."""
    packed = zlib.compress(layers.tobytes(), 1)
    store.append(_key(tile), np.frombuffer(digest + packed, np.uint8))


def _key(tile: Tile) -> str:
    return f"tile/{tile.core.row_off}/{tile.core.col_off}/{tile.core.height}/{tile.core.width}"
