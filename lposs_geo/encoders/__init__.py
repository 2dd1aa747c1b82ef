"""Encoders: crops become VLM and VM patch features, words become text embeddings.

`load` gives a ready `Encoder`: the bundled `mini`, or a pair of an open_clip and a timm model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch

from lposs_geo.encoders.encoder import Encoder, PatchFeatures
from lposs_geo.errors import DeviceError
from lposs_geo.models import MINI_FOLDER, Model

if TYPE_CHECKING:
    from lposs_geo.encoders.dino import value_features
    from lposs_geo.encoders.maskclip import maskclip_features, text_embeddings

__all__ = [
    "Encoder",
    "PatchFeatures",
    "choose_device",
    "load",
    "maskclip_features",
    "text_embeddings",
    "value_features",
]

# timm and open_clip take longer to load than new words take on a scene whose features are kept: only who needs them
# loads them
_HOMES = {"maskclip_features": "maskclip", "text_embeddings": "maskclip", "value_features": "dino"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"lposs_geo.encoders.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'lposs_geo.encoders' has no attribute '{name}'")


def choose_device(name: str = "auto") -> torch.device:
    """The device for a name: "auto" is the first GPU, or the CPU where there is none.

    Raises
    ------
    DeviceError
        If the device isn't there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"unknown device '{name}': choose auto, cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"unknown device '{name}': choose auto, cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"device '{name}' isn't there: torch sees {torch.cuda.device_count()} GPUs; use --device cpu")
    return device


def load(model: Model, device: torch.device) -> Encoder:
    """Load a model's weights onto a device; ModelError if they aren't installed or don't fit."""
    if model.is_bundled:
        from lposs_geo.encoders.mini import MiniEncoder

        return MiniEncoder.load(MINI_FOLDER, device)
    from lposs_geo.encoders.pair import PairEncoder

    return PairEncoder.load(model, device)
