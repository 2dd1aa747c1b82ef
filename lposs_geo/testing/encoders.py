"""Real encoders of the smallest kind, which take no time and need no weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from lposs_geo.encoders.encoder import PatchFeatures

__all__ = ["ColourEncoder", "StandIn"]

WIDTH = 64
"""Features of a patch of the stand-in."""


class ColourEncoder:
    """A real encoder of the smallest kind: a patch's features are its mean colour; a word is a colour's name."""

    crop_size, stride, patch_size = 64, 32, 16
    device = torch.device("cpu")
    seed_scale = None
    scales = (1.0,)
    coarsest_gsd = None
    n_neighbors, gamma, confidence_power = 100, 3.0, 1.0
    words = {"red": (1.0, 0.1, 0.1), "green": (0.1, 1.0, 0.1), "blue": (0.1, 0.1, 1.0)}  # noqa: RUF012

    def zoom(self, gsd: float | None) -> float:
        return 1.0

    def unfamiliar(self, words: Sequence[str]) -> list[str]:
        return [word for word in words if word not in self.words]

    def prepare(self) -> None:
        pass

    def patch_features(self, images: torch.Tensor) -> PatchFeatures:
        unit = torch.nn.functional.normalize(torch.nn.functional.avg_pool2d(images, self.patch_size) + 1e-6, dim=1)
        return PatchFeatures(unit, unit)

    def text_embeddings(self, prompts: Sequence[Sequence[str]]) -> torch.Tensor:
        colours = torch.tensor([[self.words[word] for word in words] for words in prompts]).mean(1)
        return torch.nn.functional.normalize(colours, dim=1)


@dataclass(frozen=True)
class StandIn:
    """An encoder that takes no time: a patch's mean colour, projected at random."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    crop_size: int = 224
    stride: int = 196
    patch_size: int = 14
    seed_scale: float = 20.0
    scales: tuple[float, ...] = (1.0, 2.0)
    coarsest_gsd: float | None = None
    n_neighbors: int = 50
    gamma: float = 24.0
    confidence_power: float = 1.0
    projection: torch.Tensor = field(
        default_factory=lambda: torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(0))
    )

    def zoom(self, gsd: float | None) -> float:
        """Scenes are seen as they are."""
        return 1.0

    def unfamiliar(self, words: Sequence[str]) -> list[str]:
        """No word is."""
        return []

    def prepare(self) -> None:
        """There is nothing to load."""

    def patch_features(self, images: torch.Tensor) -> PatchFeatures:
        """(B, 3, H, W) -> (B, 64, h, w) twice."""
        colours = torch.nn.functional.avg_pool2d(images, self.patch_size)
        features = torch.einsum("bchw,cd->bdhw", colours - 0.4, self.projection)
        unit = torch.nn.functional.normalize(features, dim=1)
        return PatchFeatures(unit, unit)

    def text_embeddings(self, prompts: Sequence[Sequence[str]]) -> torch.Tensor:
        """Any unit vectors: what the classes are is no matter here."""
        vectors = torch.randn(len(prompts), WIDTH, generator=torch.Generator().manual_seed(1))
        return torch.nn.functional.normalize(vectors, dim=1)
