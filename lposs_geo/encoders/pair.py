"""A VLM from open_clip and a VM from timm, running side by side as one encoder: the paper's arrangement."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import open_clip
import timm
import torch
import torch.nn.functional as F
from torch import nn

from lposs_geo.encoders import dino, maskclip
from lposs_geo.encoders.checkpoints import HEADS, Weights, fill, read_weights
from lposs_geo.encoders.encoder import PatchFeatures
from lposs_geo.errors import ModelError, one_line
from lposs_geo.models import Model, Source, checkpoint

__all__ = ["PairEncoder"]

CROP_SIZE = 224
"""Px that the paper's crops measure; rounded down to whole patches for other patch sizes."""

CONFIDENCE_POWER = 20.0
"""CLIP was trained with cosines times 100, and those of a patch lie around 0.2: one in a hundred more of a score makes
a class as much likelier as 20 in a hundred would."""


@dataclass(frozen=True)
class PairEncoder:
    """A VLM and a VM that see the same crops.

    Attributes
    ----------
    clip : open_clip.CLIP
        The VLM.
    tokenizer : callable
        Sentences to token ids.
    vit : timm VisionTransformer
        The VM; its patches are the lattice.
    device : torch.device
    patch_size, crop_size, stride : int
        Px.
    seed_scale : None
        The cosines are the seeds.
    scales : tuple of float
        One look, at the scene's own size.
    coarsest_gsd : None
        Not known.
    n_neighbors : int
        The paper's 400 neighbours fall on up to four copies of each patch, one for each crop that covers it; the
        lattice has each patch once.
    gamma : float
        The paper's.
    confidence_power : float
        From CLIP's own temperature, not calibrated.
    """

    clip: nn.Module
    tokenizer: Callable[[list[str]], torch.Tensor]
    vit: nn.Module
    device: torch.device
    patch_size: int
    crop_size: int
    stride: int
    seed_scale: None = None
    scales: tuple[float, ...] = (1.0,)
    coarsest_gsd: None = None
    n_neighbors: int = 100
    gamma: float = 3.0
    confidence_power: float = CONFIDENCE_POWER

    @classmethod
    def load(cls, model: Model, device: torch.device) -> PairEncoder:
        """Read both checkpoints of a model; nothing is ever asked of the net.

        Raises
        ------
        ModelError
            If a source is unknown, not installed, damaged, or not of a kind that LPOSS can take apart.
        """
        vlm, vm = Source.parse(model.vlm), Source.parse(model.vm)
        clip = _load_clip(vlm, checkpoint(vlm)).to(device).eval().requires_grad_(False)
        vit = _load_vit(vm, checkpoint(vm)).to(device).eval().requires_grad_(False)
        patch_size = int(vit.patch_embed.patch_size[0])  # type: ignore[index, union-attr]
        crop_size = CROP_SIZE // patch_size * patch_size
        stride = max(1, crop_size // (2 * patch_size)) * patch_size
        return cls(clip, open_clip.get_tokenizer(vlm.architecture), vit, device, patch_size, crop_size, stride)

    def zoom(self, gsd: float | None) -> float:
        """Scenes are seen as they are."""
        return 1.0

    def unfamiliar(self, words: Sequence[str]) -> list[str]:
        """None: such models were trained on captions of everything."""
        return []

    def prepare(self) -> None:
        """Nothing is left to load: `load` reads both checkpoints."""

    @torch.inference_mode()
    def patch_features(self, images: torch.Tensor) -> PatchFeatures:
        """Encode crops; the VLM's features are brought onto the VM's patches where their patch sizes differ."""
        images = images.to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            vm = dino.value_features(self.vit, images)
            vlm = maskclip.maskclip_features(self.clip, images).float()
        if vlm.shape[2:] != vm.shape[2:]:
            vlm = F.interpolate(vlm, size=vm.shape[2:], mode="bilinear", align_corners=False)
        return PatchFeatures(F.normalize(vlm, dim=1), vm)

    def text_embeddings(self, prompts: Sequence[Sequence[str]]) -> torch.Tensor:
        """Embed one list of words per class with the 80 ImageNet templates: (C, D)."""
        return maskclip.text_embeddings(self.clip, self.tokenizer, prompts, maskclip.IMAGENET_TEMPLATES)


def _load_clip(source: Source, file: Path) -> nn.Module:
    name = source.architecture
    if source.library != "open_clip" or name not in open_clip.list_models():
        raise ModelError(f"'{name}' is no architecture of open_clip", hint="write <vlm=open_clip:ViT-B-16/TAG>")
    published = (open_clip.get_pretrained_cfg(name, source.tag) or {}) if source.tag else {}
    if any(key.startswith("hf_") for key in open_clip.get_model_config(name)["text_cfg"]):
        raise ModelError(f"'{name}' reads text with another library's help, from the net", hint="use one like ViT-B-16")
    weights = _read(file, name)
    with _root_silenced():
        clip: nn.Module = open_clip.create_model(
            name,
            force_quick_gelu=bool(published.get("quick_gelu")),
            force_preprocess_cfg={key: published[key] for key in ("mean", "std") if published.get(key)},
        )
    maskclip.check_architecture(clip, name)
    _fill(clip, weights, lambda stored: maskclip.as_named_now(clip, stored), maskclip.IDLE, file, name)
    return clip


def _load_vit(source: Source, file: Path) -> nn.Module:
    name = source.architecture
    if source.library != "timm" or not timm.is_model(name):
        raise ModelError(f"'{name}' is no model of timm", hint="write <vm=timm:vit_base_patch16_224.dino>")
    weights = _read(file, name)
    try:
        vit: nn.Module = timm.create_model(name, num_classes=0, dynamic_img_size=True)
    except TypeError as error:  # which takes no dynamic_img_size
        raise dino.not_plain(name) from error
    dino.check_architecture(vit, name)
    _fill(vit, weights, lambda stored: dino.as_named_now(vit, stored), HEADS, file, name)
    return vit


def _read(file: Path, architecture: str) -> Weights:
    try:
        return read_weights(file)
    except Exception as error:  # whatever a damaged or hostile file makes its reader raise
        raise _unfit(file, architecture, error) from error


def _fill(
    model: nn.Module,
    weights: Weights,
    convert: Callable[[Weights], Weights],
    idle: tuple[str, ...],
    file: Path,
    architecture: str,
) -> None:
    try:
        fill(model, weights, convert, idle)
    except Exception as error:  # likewise, of what converts them
        raise _unfit(file, architecture, error) from error


@contextmanager
def _root_silenced() -> Iterator[None]:
    """Silence open_clip, which warns as the root logger of a model that is made without weights: these follow."""

    def nothing(record: logging.LogRecord) -> bool:
        return False

    root = logging.getLogger()
    root.addFilter(nothing)
    try:
        yield
    finally:
        root.removeFilter(nothing)


def _unfit(file: Path, architecture: str, error: Exception) -> ModelError:
    reason = one_line(error)[:200] or type(error).__name__
    return ModelError(f"'{file}' holds no weights of {architecture} ({reason})", hint="check the path and the name")
