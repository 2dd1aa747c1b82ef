"""The patch stage over a scene: seeds from the feature store, propagated over the lattice, interpolated to pixels.

A lattice that fits the memory budget is one graph. A larger one is cut into overlapping blocks: each is propagated with
a margin of its neighbours' patches, of which only the core is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from zlib import crc32

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo import lposs
from lposs_geo.encoders.encoder import Encoder
from lposs_geo.examples.logistic import softmax
from lposs_geo.graph.patches import PatchAffinity, lattice_affinity
from lposs_geo.propagation import DEFAULT_STEPS, propagate
from lposs_geo.stages.features import LatticeArray, LatticeFeatures
from lposs_geo.stages.taught import BANDS, VM, Bands, Taught, scale_of_words, vlm, words_as_logits
from lposs_geo.store.journal import Journal
from lposs_geo.tiling import Tiles, bilinear_taps, tiles, with_margin

__all__ = [
    "SCENE_PARAMETERS",
    "blocks",
    "has_patches",
    "parameters_for",
    "patch_graph",
    "patch_scores",
    "patch_seeds",
    "patches_under",
    "sample_scores",
]

SCENE_PARAMETERS = lposs.Parameters(
    # exp(-0.01 * 500) is 0.7 %: what lies farther away doesn't count.
    search_radius=500.0,
    # A fixed polynomial: a tile with its halo gives exactly what the whole scene would.
    solver="chebyshev",
    num_steps=DEFAULT_STEPS["chebyshev"],
    # Started from the solution of even scores, 12 steps come closer to the exact one than the paper's 10 of CG.
    pixel_steps=12,
    even_start=True,
)
"""The method's numbers for scenes; `n_neighbors` and `gamma` are the encoder's."""

BLOCK_MARGIN = 750
"""Working px around a block's core, one and a half search radii: measured, see docs/scaling.md."""

USUAL_CLASSES = 32
"""Up to so many classes make no difference to the blocks."""

STRIP = 64
"""Lattice rows whose features are in memory at once."""


def parameters_for(encoder: Encoder) -> lposs.Parameters:
    """`SCENE_PARAMETERS` with what the encoder brings."""
    return replace(SCENE_PARAMETERS, n_neighbors=encoder.n_neighbors, gamma=encoder.gamma)


def blocks(
    finest: LatticeFeatures, encoder: Encoder, num_classes: int, memory: int, window: Window | None = None
) -> Tiles:
    """Cut the finest lattice into the blocks that are propagated one by one.

    Parameters
    ----------
    finest : LatticeFeatures
    encoder : Encoder
    num_classes : int
    memory : int
        Bytes that one block's graph and scores may take.
    window : Window, optional
        The part of the scene, px, whose scores are wanted.

    Returns
    -------
    Tiles
        In patches of the lattice, row by row: cores that cover what is wanted, and what each is propagated with.
    """
    # a neighbour table and its transpose in both directions, and four arrays of scores
    # (few classes or many: the same blocks, whose graphs may be kept)
    per_node = 26 * encoder.n_neighbors + 4 * 4 * max(num_classes, USUAL_CLASSES) + 64
    side = math.isqrt(memory // per_node)
    lattice, patch_size = finest.lattice, finest.patch_size
    margin = math.ceil(BLOCK_MARGIN / lattice.patch_size)
    area = Window(0, 0, lattice.cols, lattice.rows)
    if window is not None:
        top, left = (max(0, math.floor(off / patch_size) - 1) for off in (window.row_off, window.col_off))
        bottom = min(lattice.rows, math.ceil((window.row_off + window.height) / patch_size) + 1)
        right = min(lattice.cols, math.ceil((window.col_off + window.width) / patch_size) + 1)
        area = Window(left, top, right - left, bottom - top)
    whole = with_margin(area, margin, lattice.rows, lattice.cols)
    fits = whole.height * whole.width <= side**2
    core = max(area.height, area.width) if fits else max(side - 2 * margin, margin)
    return tiles(lattice.rows, lattice.cols, core, margin, area)


def patch_seeds(
    features: Sequence[LatticeFeatures],
    text: torch.Tensor,
    encoder: Encoder,
    window: Window | None = None,
    num_rivals: int = 0,
    taught: Taught | None = None,
) -> NDArray[np.float32]:
    """What the scene's patches say of the classes by themselves, averaged over the looks.

    Parameters
    ----------
    features : sequence of LatticeFeatures
        One for each look at the scene, the finest last.
    text : torch.Tensor
        (C, D) class embeddings.
    encoder : Encoder
    window : Window, optional
        In patches of the finest lattice; by default all of it.
    num_rivals : int
        So many of the last rows of `text` are no classes, see `lposs.seeds`.
    taught : Taught, optional
        What examples have taught beside the words; seeds are then probabilities.

    Returns
    -------
    (rows, cols, C) float32
        Zero where a patch isn't valid.
    """
    finest = features[-1]
    window = window or Window(0, 0, finest.lattice.cols, finest.lattice.rows)
    rows, cols = window.toslices()
    total = _of_look(features, len(features) - 1, text, encoder, num_rivals, rows, cols, taught)
    for number, look in enumerate(features[:-1]):
        share = look.patch_size / finest.patch_size
        taps, near = _taps(look, share, rows, cols)
        coarse = _of_look(features, number, text, encoder, num_rivals, *near, taught)
        total += _interpolate_valid(coarse, look.valid[near], *taps).permute(1, 2, 0).cpu().numpy()
    seeds = total[..., : len(text)] / np.float32(len(features))
    if taught is not None:
        seeds = _taught(seeds, total[..., len(text) :], taught, num_rivals)
    seeds[~finest.valid[rows, cols]] = 0.0
    if taught is not None and taught.sources is not None:
        taught.sources.put_into(seeds, rows, cols)
    return np.asarray(seeds)


def _taught(
    seeds: NDArray[np.float32], more: NDArray[np.float32], taught: Taught, num_rivals: int
) -> NDArray[np.float32]:
    """Probabilities (rows, cols, C) by a head of the words' seeds; `more` is what its weights add to the logits.

    A rival is a class without examples: the words are trusted as little for it, or it would win where they are doubted.
    """
    logits = taught.head.trust * words_as_logits(seeds)
    classes = logits[..., : more.shape[-1]] + taught.head.bias + more
    if not num_rivals:
        return softmax(classes)
    largest = classes.max(axis=-1, keepdims=True)
    total = largest + np.log(np.exp(classes - largest).sum(axis=-1, keepdims=True))
    beside = np.exp(np.minimum(logits[..., -num_rivals:] - total, 0))
    return np.concatenate([softmax(classes), beside], axis=-1)


def _of_look(
    features: Sequence[LatticeFeatures],
    number: int,
    text: torch.Tensor,
    encoder: Encoder,
    num_rivals: int,
    rows: slice,
    cols: slice,
    taught: Taught | None,
) -> NDArray[np.float32]:
    """Seeds of a window of a look's lattice, (rows, cols, C); behind them what a head adds to the classes' logits."""
    look, is_finest = features[number], number + 1 == len(features)
    num_classes = len(text) - num_rivals
    width = len(text) + (0 if taught is None else num_classes)
    out = np.zeros((rows.stop - rows.start, cols.stop - cols.start, width), np.float32)
    valid = look.valid[rows, cols]
    scale = encoder.seed_scale if taught is None else scale_of_words(encoder)
    for first in range(rows.start, rows.stop, STRIP):
        strip = slice(first, min(first + STRIP, rows.stop))
        there = slice(strip.start - rows.start, strip.stop - rows.start)
        if not valid[there].any():
            continue

        def on_device(array: LatticeArray | Bands, strip: slice = strip, there: slice = there) -> torch.Tensor:
            return torch.from_numpy(array[strip, cols][valid[there]]).to(encoder.device).float()

        # averages of unit vectors are shorter than one
        vlm_features = F.normalize(on_device(look.vlm), dim=1)
        parts = [lposs.seeds(vlm_features, text, scale, num_rivals)]
        if taught is not None:
            logits = vlm_features.new_zeros(len(vlm_features), num_classes)
            if (weights := taught.weights(vlm(number), encoder.device)) is not None:
                logits += vlm_features @ weights
            if is_finest and (weights := taught.weights(VM, encoder.device)) is not None:
                logits += F.normalize(on_device(look.vm), dim=1) @ weights
            if is_finest and taught.bands is not None:
                weights = taught.weights(BANDS, encoder.device)
                if weights is not None:
                    logits += on_device(taught.bands) @ weights
            parts.append(logits)
        out[there][valid[there]] = torch.cat(parts, dim=1).cpu().numpy()
    return out


def patch_scores(
    features: Sequence[LatticeFeatures],
    text: torch.Tensor,
    encoder: Encoder,
    window: Window | None = None,
    graphs: Journal | None = None,
    num_rivals: int = 0,
    taught: Taught | None = None,
) -> NDArray[np.float32]:
    """Propagate the classes' seeds over the valid patches of the finest lattice, or of a window of it.

    Parameters and result are those of `patch_seeds`; `graphs` keeps the graph, which doesn't depend on the words.
    """
    finest = features[-1]
    lattice, chosen = finest.lattice, parameters_for(encoder)
    window = window or Window(0, 0, lattice.cols, lattice.rows)
    valid = finest.valid[window.toslices()]
    scores = patch_seeds(features, text, encoder, window, num_rivals, taught)
    if not valid.any():
        return scores
    affinity = patch_graph(finest, encoder, window, graphs)
    seeds = torch.from_numpy(scores[valid]).to(encoder.device)
    solution = propagate(
        affinity, seeds, alpha=chosen.alpha, solver=chosen.solver, num_steps=chosen.num_steps, measure=False
    )
    scores[valid] = solution.value.cpu().numpy()
    return scores


def patch_graph(
    finest: LatticeFeatures, encoder: Encoder, window: Window, graphs: Journal | None = None
) -> PatchAffinity:
    """The patch graph of a window: the kept one, or a new one, which is kept."""
    chosen = parameters_for(encoder)
    assert chosen.search_radius is not None
    rows, cols = window.toslices()
    valid = finest.valid[rows, cols]
    # the checksum tells when features were missing, since they couldn't be read, and now are there
    numbers = (
        chosen.n_neighbors,
        chosen.gamma,
        chosen.sigma,
        chosen.search_radius,
        *window.flatten(),
        crc32(valid.tobytes()),
    )
    keys = [f"graph/{part}/{'/'.join(map(str, numbers))}" for part in ("starts", "columns", "values")]
    if graphs is not None and all(key in graphs for key in keys):
        starts, columns, values = (np.array(graphs.read(key)) for key in keys)
        return PatchAffinity.from_rows(starts, columns, values, encoder.device)
    affinity = lattice_affinity(
        lambda first, last: finest.vm[rows.start + first : rows.start + last, cols],
        valid,
        finest.lattice.patch_size,
        n_neighbors=chosen.n_neighbors,
        gamma=chosen.gamma,
        sigma=chosen.sigma,
        radius=chosen.search_radius,
        device=encoder.device,
    )
    if graphs is not None:
        for key, part in zip(keys, affinity.rows(), strict=True):
            graphs.append(key, part)
    return affinity


def sample_scores(
    scores: LatticeArray, features: LatticeFeatures, window: Window, device: torch.device
) -> torch.Tensor:
    """Interpolate the lattice's scores (rows, cols, C) to the pixels of a window of the scene, (C, rows, cols).

    Patches without data don't count.
    """
    taps, near = _taps(features, features.patch_size, *window.toslices())
    return _interpolate_valid(scores[near], features.valid[near], *taps, device=device)


def has_patches(features: LatticeFeatures, window: Window) -> NDArray[np.bool_]:
    """Which pixels of a window of the scene, (rows, cols), lie on or beside a patch that has features.

    All valid pixels do, unless the scene couldn't be read there when it was encoded.
    """
    ((upper, lower, _), (left, right, _)), near = _taps(features, features.patch_size, *window.toslices())
    valid = features.valid[near]
    in_row = valid[upper - upper[0]] | valid[lower - upper[0]]
    return np.asarray(in_row[:, left - left[0]] | in_row[:, right - left[0]])


def patches_under(features: LatticeFeatures, window: Window) -> tuple[slice, slice]:
    """Rows and cols of the lattice that the pixels of a window of the scene are interpolated from."""
    return _taps(features, features.patch_size, *window.toslices())[1]


_Taps = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]


def _taps(
    look: LatticeFeatures, patch_size: float, rows: slice, cols: slice
) -> tuple[tuple[_Taps, _Taps], tuple[slice, slice]]:
    """What rows and cols of another grid are interpolated from, and the part of the lattice that holds it.

    `patch_size` is the side of a patch in that grid's steps.
    """
    by_row = bilinear_taps(look.lattice.rows, patch_size, rows.start, rows.stop)
    by_col = bilinear_taps(look.lattice.cols, patch_size, cols.start, cols.stop)
    top, bottom, left, right = int(by_row[0][0]), int(by_row[1][-1]), int(by_col[0][0]), int(by_col[1][-1])
    return (by_row, by_col), (slice(top, bottom + 1), slice(left, right + 1))


def _interpolate_valid(
    grid: NDArray[np.float32], valid: NDArray[np.bool_], rows: _Taps, cols: _Taps, device: torch.device | None = None
) -> torch.Tensor:
    """Interpolate (h, w, C), of which the first node is the first that the taps name, to (C, rows, cols)."""
    planes = torch.from_numpy(grid).to(device).permute(2, 0, 1)
    interpolated = _interpolate(planes, rows, cols)
    if valid.all():
        return interpolated
    weight = torch.from_numpy(valid).to(planes)[None]
    return interpolated / _interpolate(weight, rows, cols).clamp_min(1e-6)


def _interpolate(grid: torch.Tensor, rows: _Taps, cols: _Taps) -> torch.Tensor:
    above, below, down = (torch.from_numpy(tap).to(grid.device) for tap in rows)
    left, right, across = (torch.from_numpy(tap).to(grid.device) for tap in cols)
    above, below, left, right = above - above[0], below - above[0], left - left[0], right - left[0]
    along_rows = torch.lerp(grid[:, above], grid[:, below], down[:, None])
    return torch.lerp(along_rows[:, :, left], along_rows[:, :, right], across)
