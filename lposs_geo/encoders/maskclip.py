"""MaskCLIP: patch features of a CLIP that are comparable with text, and the text's own embeddings.

Zhou, Loy, Dai: Extract Free Dense Labels from CLIP (ECCV 2022), section 3.2, as LPOSS uses it (section 3.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from torch import nn

from lposs_geo.encoders.checkpoints import Weights
from lposs_geo.errors import ModelError

__all__ = [
    "IDLE",
    "IMAGENET_TEMPLATES",
    "Template",
    "as_named_now",
    "check_architecture",
    "maskclip_features",
    "text_embeddings",
]

Template = str | Callable[[str], str]
"""A sentence with a hole for the class word: "a photo of a {}." or a function."""

IMAGENET_TEMPLATES: tuple[Template, ...] = tuple(open_clip.OPENAI_IMAGENET_TEMPLATES)
"""The 80 sentences that CLIP's authors used on ImageNet, as open_clip carries them."""

IDLE = ("logit_bias", "input_resolution", "context_length", "vocab_size")
"""Beginnings of names in a checkpoint of a CLIP that the model may leave: numbers of its training and of its text."""


def check_architecture(clip: nn.Module, name: str) -> None:
    """Raise ModelError unless `clip` has the plain image transformer that MaskCLIP takes apart."""
    visual: Any = getattr(clip, "visual", None)
    plain = isinstance(visual, open_clip.transformer.VisionTransformer) and visual.attn_pool is None
    if not plain or not isinstance(visual.transformer.resblocks[-1].attn, nn.MultiheadAttention):
        raise ModelError(
            f"'{name}' is not a plain CLIP image transformer, which MaskCLIP needs",
            hint="use one like open_clip:ViT-B-16",
        )


def as_named_now(clip: nn.Module, weights: Weights) -> Weights:
    """Bring weights to the model's names and to its numbers of patches and words, as open_clip does."""
    model: Any = clip
    weights = dict(weights)
    if "positional_embedding" in weights and not hasattr(model, "positional_embedding"):
        weights = open_clip.model.convert_to_custom_text_state_dict(weights)
    if "logit_scale" in weights and weights["logit_scale"].numel() == 1:  # of either shape
        weights["logit_scale"] = weights["logit_scale"].reshape(model.logit_scale.shape)
    open_clip.model.resize_pos_embed(weights, model)
    open_clip.model.resize_text_pos_embed(weights, model)
    return weights


@torch.inference_mode()
def maskclip_features(clip: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Encode images into patch features in the space of CLIP's text embeddings.

    The last block keeps only its value path: what a patch says itself, not what it gathers from the others.

    Parameters
    ----------
    clip : open_clip.CLIP
        With a plain ViT as image tower.
    images : torch.Tensor
        (B, 3, H, W) RGB in 0..1; H and W multiples of the patch size, not necessarily the size CLIP was trained on.

    Returns
    -------
    torch.Tensor
        (B, D, h, w) after the projection, not normalised.
    """
    visual: Any = clip.visual
    mean = images.new_tensor(getattr(visual, "image_mean", None) or open_clip.OPENAI_DATASET_MEAN)
    std = images.new_tensor(getattr(visual, "image_std", None) or open_clip.OPENAI_DATASET_STD)
    grid = visual.conv1((images - mean[:, None, None]) / std[:, None, None])
    rows, cols = grid.shape[2:]
    patches = grid.flatten(2).transpose(1, 2)
    class_token = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
    tokens = torch.cat([class_token, patches], dim=1)
    tokens = visual.ln_pre(tokens + _position_embedding(visual, rows, cols).to(tokens.dtype))
    for block in visual.transformer.resblocks[:-1]:
        tokens = block(tokens)
    tokens = _value_path(visual.transformer.resblocks[-1], tokens)[:, 1:]
    features: torch.Tensor = visual.ln_post(tokens)
    if visual.proj is not None:
        features = features @ visual.proj
    grid_features: torch.Tensor = features.transpose(1, 2).unflatten(2, (rows, cols))
    return grid_features


def _position_embedding(visual: Any, rows: int, cols: int) -> torch.Tensor:
    """Resize the learnt position embedding to another grid; the class token's own stays."""
    embedding: torch.Tensor = visual.positional_embedding
    if (rows, cols) == tuple(visual.grid_size):
        return embedding
    grid = embedding[1:].unflatten(0, visual.grid_size).permute(2, 0, 1)[None]
    resized = F.interpolate(grid.float(), size=(rows, cols), mode="bicubic", align_corners=False)
    return torch.cat([embedding[:1], resized[0].flatten(1).T.to(embedding.dtype)])


def _value_path(block: Any, tokens: torch.Tensor) -> torch.Tensor:
    width = tokens.shape[-1]
    attention = block.attn
    bias = None if attention.in_proj_bias is None else attention.in_proj_bias[-width:]
    value = F.linear(block.ln_1(tokens), attention.in_proj_weight[-width:], bias)
    tokens = tokens + block.ls_1(attention.out_proj(value))
    changed: torch.Tensor = tokens + block.ls_2(block.mlp(block.ln_2(tokens)))
    return changed


@torch.inference_mode()
def text_embeddings(
    clip: nn.Module,
    tokenizer: Callable[[list[str]], torch.Tensor],
    prompts: Sequence[Sequence[str]],
    templates: Sequence[Template],
) -> torch.Tensor:
    """Embed classes, each the normalised mean over its words and over the sentences they are put into.

    Parameters
    ----------
    clip : open_clip.CLIP
    tokenizer : callable
        Sentences to token ids, as `open_clip.get_tokenizer` gives it.
    prompts : sequence of sequences of str
        One list of words (synonyms) per class.
    templates : sequence of Template
        Sentences that each word is put into.

    Returns
    -------
    torch.Tensor
        (C, D) L2-normalised.
    """
    model: Any = clip
    device = next(clip.parameters()).device
    classes = []
    for words in prompts:
        per_word = []
        for word in words:
            sentences = [t.format(word) if isinstance(t, str) else t(word) for t in templates]
            embedded = model.encode_text(tokenizer(sentences).to(device))
            per_word.append(F.normalize(F.normalize(embedded.float(), dim=-1).mean(0), dim=-1))
        classes.append(F.normalize(torch.stack(per_word).mean(0), dim=-1))
    return torch.stack(classes)
