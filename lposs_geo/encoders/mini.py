"""`mini`, the bundled encoder: one ViT-S/14 trunk is VLM and VM in a single forward pass.

A head maps the trunk's patch tokens to the text space of `words`; the VM features are read off the same tokens.
Everything is read from the package's own folder: no network, no code inside the weight files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F

from lposs_geo.encoders.encoder import PatchFeatures
from lposs_geo.encoders.words import WordEncoder, read_tensors
from lposs_geo.errors import ModelError, one_line

__all__ = ["Head", "HeadConfig", "MiniEncoder", "build_trunk", "load_trunk", "normalise", "trunk_tokens", "vm_features"]

PATCH_SIZE = 14
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
VM_KINDS = ("tokens", "query", "key", "value")
FINEST_GSD = 0.25
"""Metres per px, a little finer than the finest training images (0.3 m)."""
SHARPNESS = 3.0
FAMILIAR = 0.45
"""Cosine to the nearest word of training from which a word counts as familiar: nonsense ("violin", "justice") stays
below 0.45, and so do things that were never shown ("solar panels"); kinds of what was shown ("orchard") lie above."""


@dataclass(frozen=True)
class HeadConfig:
    """The make of the head and the VM features.

    Attributes
    ----------
    blocks : tuple of int
        The head reads the tokens that leave these trunk blocks, counted from 1.
    hidden : int
        Width of the head's hidden layer.
    scale : float
        Inverse temperature that the head was trained with: logits = scale * cosine.
    vm_block : int
        The VM features are read at this trunk block, counted from 1.
    vm_kind : str
        One of `VM_KINDS`: the tokens that leave the block, or its query, key or value vectors (all heads joined).
    known_words : tuple of str
        The words that the head was trained with.
    """

    blocks: tuple[int, ...]
    hidden: int
    scale: float
    vm_block: int
    vm_kind: str
    known_words: tuple[str, ...]

    def to_metadata(self) -> dict[str, str]:
        """As strings, the only thing that safetensors metadata can hold."""
        return {
            "blocks": ",".join(map(str, self.blocks)),
            "hidden": str(self.hidden),
            "scale": repr(self.scale),
            "vm_block": str(self.vm_block),
            "vm_kind": self.vm_kind,
            "known_words": "|".join(self.known_words),
        }

    @classmethod
    def from_metadata(cls, metadata: dict[str, str]) -> HeadConfig:
        """Undo `to_metadata`."""
        return cls(
            tuple(int(block) for block in metadata["blocks"].split(",")),
            int(metadata["hidden"]),
            float(metadata["scale"]),
            int(metadata["vm_block"]),
            metadata["vm_kind"],
            tuple(metadata["known_words"].split("|")),
        )


class Head(nn.Module):
    """Patch tokens of several blocks -> text space: a two-layer perceptron beside a linear map.

    Parameters
    ----------
    num_blocks : int
        How many blocks' tokens come in, joined.
    hidden : int
        Width of the hidden layer.
    width, text_width : int
        Of one token, and of the text space.
    """

    def __init__(self, num_blocks: int, hidden: int, width: int = 384, text_width: int = 384) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(num_blocks))
        self.linear = nn.Linear(num_blocks * width, text_width)
        self.inner = nn.Linear(num_blocks * width, hidden)
        self.outer = nn.Linear(hidden, text_width)

    def forward(self, tokens: Sequence[torch.Tensor]) -> torch.Tensor:
        """Map tokens, each (..., width), to (..., text_width), L2-normalised."""
        joined = torch.cat([norm(t) for norm, t in zip(self.norms, tokens, strict=True)], dim=-1)
        out = self.linear(joined) + self.outer(F.gelu(self.inner(joined)))
        return F.normalize(out.float(), dim=-1)


def build_trunk(architecture: str, num_blocks: int) -> nn.Module:
    """An untrained timm ViT cut after `num_blocks` blocks, without its last norm, for images of any size."""
    import timm  # takes two seconds, which new words on a scene whose features are kept needn't spend

    trunk: Any = timm.create_model(architecture, num_classes=0, dynamic_img_size=True)
    trunk.blocks = trunk.blocks[:num_blocks]
    trunk.norm = nn.Identity()
    whole: nn.Module = trunk.eval()
    return whole


def load_trunk(path: Path, trained: Mapping[str, torch.Tensor] | None = None) -> nn.Module:
    """The trunk in a safetensors file, whose metadata name its architecture and number of blocks.

    `trained` holds the blocks that were trained together with a head and so come with it.
    """
    config, state = read_tensors(path)
    trunk = build_trunk(config["architecture"], int(config["blocks"]))
    trunk.load_state_dict(state | dict(trained or {}))
    return trunk


def normalise(images: torch.Tensor) -> torch.Tensor:
    """RGB in 0..1, (B, 3, H, W), as the trunk wants it."""
    mean = torch.tensor(IMAGE_MEAN, device=images.device)[:, None, None]
    std = torch.tensor(IMAGE_STD, device=images.device)[:, None, None]
    return (images.float() - mean) / std


def trunk_tokens(trunk: nn.Module, images: torch.Tensor, blocks: Sequence[int]) -> dict[int, torch.Tensor]:
    """Patch tokens after the given blocks (counted from 1), each (B, h, w, width), in one forward pass.

    `images` is (B, 3, H, W) RGB in 0..1 on the trunk's device; the class token is dropped.
    """
    wanted = sorted(set(blocks))
    rows, cols = images.shape[-2] // PATCH_SIZE, images.shape[-1] // PATCH_SIZE
    run: Any = trunk.forward_intermediates
    tokens = run(
        normalise(images),
        indices=[block - 1 for block in wanted],
        output_fmt="NLC",
        stop_early=True,
        intermediates_only=True,
    )
    return {block: flat.unflatten(1, (rows, cols)) for block, flat in zip(wanted, tokens, strict=True)}


def vm_features(trunk: nn.Module, tokens: dict[int, torch.Tensor], block: int, kind: str) -> torch.Tensor:
    """VM features (B, h, w, width), L2-normalised, of a block (counted from 1).

    `tokens` holds the tokens after `block` for the kind ``tokens``, else those after the block before it: queries, keys
    and values are linear in what enters a block.
    """
    if kind == "tokens":
        # normed as the next block would: a few channels of raw tokens are so large that they'd be all the cosine sees
        return F.normalize(F.layer_norm(tokens[block].float(), tokens[block].shape[-1:]), dim=-1)
    blocks: Any = trunk.blocks
    layer = blocks[block - 1]
    part = VM_KINDS.index(kind) - 1  # queries, keys and values come from one matrix, one below the other
    weight, bias = (tensor.chunk(3)[part] for tensor in (layer.attn.qkv.weight, layer.attn.qkv.bias))
    return F.normalize(F.linear(layer.norm1(tokens[block - 1]).to(weight.dtype), weight, bias).float(), dim=-1)


def _part(state: Mapping[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """The tensors of one module in a file that holds several."""
    return {key.removeprefix(f"{name}."): tensor for key, tensor in state.items() if key.startswith(f"{name}.")}


def _unreadable(folder: Path, error: Exception) -> ModelError:
    return ModelError(f"the model in '{folder}' can't be read ({one_line(error)})", hint="reinstall lposs-geo")


def fast_dtype(device: torch.device) -> torch.dtype | None:
    """The half precision that a device multiplies fastest in; None where float32 is as fast."""
    if device.type == "cuda":
        return torch.float16
    # Processors with matrix units (Intel's AMX) take a quarter of float32's time in bfloat16, others gain nothing.
    return torch.bfloat16 if torch.cpu._is_amx_tile_supported() else None


@dataclass(frozen=True)
class MiniEncoder:
    """The bundled VLM and VM, on one device; what sees is read when it first has to.

    Attributes
    ----------
    folder : Path
        Of the weights.
    words : WordEncoder
        The text side.
    config : HeadConfig
        Which blocks feed the head and the VM features.
    known : torch.Tensor
        (n, 384) embeddings of the words that the head was trained with.
    device : torch.device
    crop_size, stride, patch_size : int
        Pixels.
    scales : tuple of float
        The scene as it is gives context, twice its size gives detail.
    coarsest_gsd : float
        Twice what the coarsest training images have.
    n_neighbors, gamma : int, float
        Fewer neighbours and a higher power than the paper's keep roads and small fields (training/README.md).
    confidence_power : float
        The plain share of a class is about how often it is right (docs/confidence.md).
    """

    folder: Path
    words: WordEncoder
    config: HeadConfig
    known: torch.Tensor
    device: torch.device
    crop_size: int = 224
    stride: int = 196
    patch_size: int = PATCH_SIZE
    scales: tuple[float, ...] = (1.0, 2.0)
    coarsest_gsd: float = 5.0
    n_neighbors: int = 50
    gamma: float = 24.0
    confidence_power: float = 1.0

    @property
    def seed_scale(self) -> float:
        """Sharper than the head was trained at: sure patches then hold their own among many unsure neighbours."""
        return SHARPNESS * self.config.scale

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> MiniEncoder:
        """Read trunk, head, words and vocabulary from `folder`.

        Raises
        ------
        ModelError
            A file is missing or isn't what it should be.
        """
        words = WordEncoder.load(folder, device)
        try:
            with safe_open(folder / "head.safetensors", framework="pt") as head:
                config = HeadConfig.from_metadata(head.metadata())
                known = head.get_tensor("known").float()
            (folder / "trunk.safetensors").open("rb").close()
        except Exception as error:
            raise _unreadable(folder, error) from error
        return cls(folder, words, config, known.to(device), device)

    @cached_property
    def vision(self) -> tuple[nn.Module, Head]:
        """The trunk, a timm ViT cut after the last block of use, and the head: patch tokens -> text space."""
        try:
            _, trained = read_tensors(self.folder / "head.safetensors")
            trunk = load_trunk(self.folder / "trunk.safetensors", _part(trained, "trunk"))
            head = Head(len(self.config.blocks), self.config.hidden)
            head.load_state_dict(_part(trained, "head"))
        except Exception as error:
            raise _unreadable(self.folder, error) from error
        for module in (trunk, head):
            module.to(self.device).eval().requires_grad_(False)
            if fast_dtype(self.device) == torch.bfloat16:  # or autocast would convert the matrices anew for each batch
                for layer in module.modules():
                    if isinstance(layer, nn.Linear):
                        layer.to(torch.bfloat16)
        return trunk, head

    def prepare(self) -> None:
        """Load trunk and head, if that hasn't been done."""
        _ = self.vision

    def zoom(self, gsd: float | None) -> float:
        """How much to enlarge a scene of this ground resolution (metres per px; None: unknown) before all looks.

        Finer scenes than any of training are reduced, but to no less than a tenth: pixels of a millimetre are more
        likely a mistake in the georeference.
        """
        return 1.0 if gsd is None else min(1.0, max(0.1, gsd / FINEST_GSD))

    def unfamiliar(self, words: Sequence[str]) -> list[str]:
        """Those of the words that are far from every word that the head was trained with."""
        nearest = (self.words.embed(words) @ self.known.T).amax(dim=1)
        return [word for word, cosine in zip(words, nearest.tolist(), strict=True) if cosine < FAMILIAR]

    @torch.inference_mode()
    def patch_features(self, images: torch.Tensor) -> PatchFeatures:
        """Encode crops: (B, 3, H, W) RGB in 0..1, H and W multiples of 14 px -> VLM (B, 384, h, w), VM (B, 384, h, w).

        Both are float32 and L2-normalised over their second axis.
        """
        rows, cols = images.shape[-2:]
        if rows % self.patch_size or cols % self.patch_size:
            raise ValueError(f"crops of {rows} x {cols} px aren't a whole number of {self.patch_size} px patches")
        config = self.config
        entry = config.vm_block if config.vm_kind == "tokens" else config.vm_block - 1
        dtype = fast_dtype(self.device)
        with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            trunk, head = self.vision
            tokens = trunk_tokens(trunk, images.to(self.device), (*config.blocks, entry))
            vlm = head([tokens[block] for block in config.blocks])
            vm = vm_features(trunk, tokens, config.vm_block, config.vm_kind)
        return PatchFeatures(vlm.permute(0, 3, 1, 2), vm.permute(0, 3, 1, 2))

    @torch.inference_mode()
    def text_embeddings(self, prompts: Sequence[Sequence[str]]) -> torch.Tensor:
        """Embed one list of words per class: (C, 384), the normalised mean over the words of a class."""
        return torch.stack([F.normalize(self.words.embed(words).mean(dim=0), dim=0) for words in prompts])
