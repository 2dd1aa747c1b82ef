"""Patch features of a vision model: the value vectors of a ViT's last block (paper section 3.1)."""

from __future__ import annotations

from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import nn

from lposs_geo.encoders.checkpoints import Weights
from lposs_geo.errors import ModelError

__all__ = ["as_named_now", "check_architecture", "not_plain", "value_features"]


def check_architecture(vit: nn.Module, name: str) -> None:
    """Raise ModelError unless `vit` is a timm VisionTransformer whose last block computes q, k and v together."""
    blocks: Any = getattr(vit, "blocks", None)
    plain = isinstance(vit, timm.models.vision_transformer.VisionTransformer)
    if not plain or not hasattr(getattr(blocks[-1], "attn", None), "qkv"):
        raise not_plain(name)


def not_plain(name: str) -> ModelError:
    """The error for an architecture that LPOSS can't take apart."""
    return ModelError(
        f"'{name}' is no plain timm vision transformer", hint="use one like timm:vit_base_patch16_224.dino"
    )


def as_named_now(vit: nn.Module, weights: Weights) -> Weights:
    """Bring weights to timm's present names and to the model's patches, as timm does: those of DINOv2's own code, those
    of earlier releases, the image half of an open_clip checkpoint.
    """
    model: Any = vit
    converted: Weights = timm.models.vision_transformer.checkpoint_filter_fn(weights, model, adapt_layer_scale=True)
    return converted


@torch.inference_mode()
def value_features(vit: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Encode images into patch features that are comparable with each other.

    Parameters
    ----------
    vit : timm VisionTransformer
        Created with ``dynamic_img_size=True`` where images have another size than it was trained on.
    images : torch.Tensor
        (B, 3, H, W) RGB in 0..1; H and W multiples of the patch size.

    Returns
    -------
    torch.Tensor
        (B, E, h, w), the values of all heads joined, L2-normalised over E.
    """
    model: Any = vit
    mean = images.new_tensor(model.pretrained_cfg["mean"])[:, None, None]
    std = images.new_tensor(model.pretrained_cfg["std"])[:, None, None]
    grid = (images.shape[2] // model.patch_embed.patch_size[0], images.shape[3] // model.patch_embed.patch_size[1])
    (patches, _), *_ = model.forward_intermediates(
        (images - mean) / std,
        indices=[len(model.blocks) - 2],
        return_prefix_tokens=True,
        norm=False,
        stop_early=True,
        output_fmt="NLC",
        intermediates_only=True,
    )
    last = model.blocks[-1]
    qkv: torch.Tensor = last.attn.qkv(last.norm1(patches))
    values = qkv[..., 2 * qkv.shape[-1] // 3 :]
    unit: torch.Tensor = F.normalize(values.float(), dim=-1)
    on_grid: torch.Tensor = unit.transpose(1, 2).unflatten(2, grid)
    return on_grid
