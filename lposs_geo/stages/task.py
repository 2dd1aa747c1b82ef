"""The task of the stages: the embedded words, the part of the scene, its tiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.encoders.encoder import Encoder
from lposs_geo.errors import ParameterError
from lposs_geo.grid import Grid
from lposs_geo.legend.legend import Legend
from lposs_geo.memory import Budget
from lposs_geo.stages.looks import Look, looks_at
from lposs_geo.stages.propagate import BLOCK_MARGIN, SCENE_PARAMETERS
from lposs_geo.stages.teaching import Teaching
from lposs_geo.tiling import Tiles, tiles, with_margin

__all__ = ["Task", "Words", "embed", "halo_of", "plan_tiles"]

LEAST_PLANNED = 128
"""Px: tiles aren't planned smaller than this."""


@dataclass(frozen=True)
class Words:
    """A legend as an encoder sees it.

    Attributes
    ----------
    text : torch.Tensor
        (C, D) embeddings: those of the classes, then those of what looks like one of them and isn't.
    rivals : tuple of tuples of int
        For each of the latter, the indices of the classes that aren't given where it beats them.
    """

    text: torch.Tensor
    rivals: tuple[tuple[int, ...], ...] = ()

    @property
    def num_classes(self) -> int:
        return len(self.text) - len(self.rivals)


def embed(legend: Legend, encoder: Encoder) -> Words:
    """Embed the words of a legend's classes, and its negatives, each once."""
    owners: dict[str, list[int]] = {}
    for owner, words in enumerate(legend.negatives):
        for word in words:
            owners.setdefault(word.casefold(), []).append(owner)
    text = encoder.text_embeddings([*legend.prompts, *([word] for word in owners)])
    return Words(text, tuple(map(tuple, owners.values())))


@dataclass(frozen=True)
class Task:
    """The labelling that is to be done, and its numbers.

    Attributes
    ----------
    encoder : Encoder
    words : Words
    zoom : float
        How much the scene is enlarged for the encoder.
    window : Window
        The part of the scene to label, px.
    plan : Tiles
        Its tiles, row by row, see `plan_tiles`.
    refine : bool
        Whether to sharpen over pixels.
    budget : Budget
    keep_graphs : bool
        Whether to put the patch graphs into the store, for other words on the same scene.
    keep_probabilities : bool
        Whether finished tiles hold the probability of every class, too.
    inside : callable, optional
        Window -> (rows, cols) bool: what lies inside the area of interest; all else is nodata.
    teaching : Teaching, optional
        Examples, or what was learnt of others before.
    """

    encoder: Encoder
    words: Words
    zoom: float
    window: Window
    plan: Tiles
    refine: bool
    budget: Budget
    keep_graphs: bool = False
    keep_probabilities: bool = False
    inside: Callable[[Window], NDArray[np.bool_]] | None = None
    teaching: Teaching | None = None

    @property
    def zooms(self) -> list[float]:
        """Enlargement of the scene for each look, ascending."""
        return [self.zoom * scale for scale in self.encoder.scales]

    @property
    def confidence_power(self) -> float:
        """`Encoder.confidence_power`, where the words' seeds stand for themselves; a head's are probabilities."""
        return self.encoder.confidence_power if self.teaching is None else 1.0

    @property
    def num_layers(self) -> int:
        return 2 + self.words.num_classes * self.keep_probabilities

    def refined(self, grid: Grid) -> Window:
        """The pixels that take part in the pixel stage: the window and its halo."""
        return with_margin(self.window, halo_of(self.refine), grid.height, grid.width)

    def seen(self, grid: Grid) -> Window:
        """The pixels whose patches take part in the patch stage."""
        margin = math.ceil(BLOCK_MARGIN / self.zooms[-1])
        return with_margin(self.refined(grid), margin, grid.height, grid.width)

    def looks(self, grid: Grid) -> list[Look]:
        """The encoder's looks at all that is seen."""
        return looks_at((grid.height, grid.width), self.encoder, self.zoom, self.seen(grid))

    def read(self, grid: Grid) -> Window:
        """The pixels that are read: those of all crops that reach into what is seen, and what they are made from."""
        encoder = self.encoder
        margin = math.ceil((encoder.crop_size + 2 * encoder.patch_size + 4) / self.zooms[0]) + 4
        return with_margin(self.seen(grid), margin, grid.height, grid.width)


def halo_of(refine: bool) -> int:
    """Px around a tile that make it exact: each step reaches one radius further, and the farthest px reached are
    scaled by their own neighbours' weights. Without the pixel stage, none.
    """
    assert SCENE_PARAMETERS.pixel_steps is not None
    return (SCENE_PARAMETERS.pixel_steps + 1) * SCENE_PARAMETERS.radius if refine else 0


def plan_tiles(
    shape: tuple[int, int], window: Window, num_classes: int, tile_size: int | None, refine: bool, budget: Budget
) -> Tiles:
    """Cut a part of a scene into tiles, each with the halo that makes its pixel stage exact.

    Parameters
    ----------
    shape : (int, int)
        Rows and cols of the scene, px.
    window : Window
        The part, px.
    num_classes : int
    tile_size : int or None
        Px; None takes the largest that the budget allows, and evens few of them out.
    refine : bool
        Without the pixel stage there is no halo.
    budget : Budget
    """
    halo = halo_of(refine)
    if tile_size is None:
        # float32 per px: half the neighbours' weights, and about six arrays of scores in the solver
        per_pixel = 4 * ((2 * SCENE_PARAMETERS.radius + 1) ** 2 // 2 + 6 * num_classes + 12)
        largest = max(LEAST_PLANNED, math.isqrt(budget.tile // per_pixel) - 2 * halo)
        needed = per_pixel * (LEAST_PLANNED + 2 * halo) ** 2
        if needed > budget.total:
            raise ParameterError(
                f"{num_classes} classes and negatives need more memory",
                hint=f"<max_memory={needed / 1e9:.1f}GB> is the least",
            )
        longest = max(window.height, window.width)
        count = math.ceil(longest / largest)
        # few tiles are evened out; of many, the last one may as well be small
        tile_size = math.ceil(longest / count) if count <= 3 else largest
    return tiles(*shape, tile_size, halo, window)
