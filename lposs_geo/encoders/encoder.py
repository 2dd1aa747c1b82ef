"""Encoders as the rest of the house knows them: crops in, patch features out; words in, embeddings out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

__all__ = ["Encoder", "PatchFeatures"]


@dataclass(frozen=True)
class PatchFeatures:
    """Features of the patches of a batch of crops, both on the same (rows, cols) grid.

    Attributes
    ----------
    vlm : torch.Tensor
        (B, D, h, w), L2-normalised over D: comparable with text embeddings.
    vm : torch.Tensor
        (B, E, h, w), L2-normalised over E: comparable with each other.
    """

    vlm: torch.Tensor
    vm: torch.Tensor


class Encoder(Protocol):
    """A VLM and a VM under one name, ready to run on one device.

    Attributes
    ----------
    crop_size, stride, patch_size : int
        Pixels; `crop_size` and `stride` are multiples of `patch_size`.
    device : torch.device
        Where the weights are and where images are moved to.
    seed_scale : float or None
        None: the cosines of VLM features and text are the seeds, as in the paper. A number: their softmax over the
        classes at this inverse temperature is, for a VLM that was trained at it.
    scales : tuple of float
        How much a scene is enlarged for each look at it, ascending; the looks' seeds are averaged, and the last one's
        VM features make the patch graph.
    coarsest_gsd : float or None
        Metres per px beyond which the model knows nothing; None where that isn't known.
    n_neighbors : int
        How many neighbours a patch has in the graph of a scene.
    gamma : float
        Power of the VM's cosines that makes an affinity of them.
    confidence_power : float
        Power of the scores whose shares are the classes' probabilities, see `lposs.probabilities`.
    """

    @property
    def crop_size(self) -> int: ...
    @property
    def stride(self) -> int: ...
    @property
    def patch_size(self) -> int: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def seed_scale(self) -> float | None: ...
    @property
    def scales(self) -> tuple[float, ...]: ...
    @property
    def coarsest_gsd(self) -> float | None: ...
    @property
    def n_neighbors(self) -> int: ...
    @property
    def gamma(self) -> float: ...
    @property
    def confidence_power(self) -> float: ...

    def zoom(self, gsd: float | None) -> float:
        """How much to enlarge a scene of this ground resolution (metres per px; None: unknown) before all looks."""
        ...

    def unfamiliar(self, words: Sequence[str]) -> list[str]:
        """Those of the words that are far from everything the model was trained on."""
        ...

    def prepare(self) -> None:
        """Load what `patch_features` needs, as far as that is still to be done: words alone need less."""
        ...

    def patch_features(self, images: torch.Tensor) -> PatchFeatures:
        """Encode crops: (B, 3, H, W) RGB in 0..1, H and W multiples of `patch_size`."""
        ...

    def text_embeddings(self, prompts: Sequence[Sequence[str]]) -> torch.Tensor:
        """Embed one list of words per class: (C, D), L2-normalised."""
        ...
