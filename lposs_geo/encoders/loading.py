"""A ready `Encoder` on a device: the bundled `mini`, or a pair of an open_clip and a timm model."""

from __future__ import annotations

import torch

from lposs_geo.encoders.encoder import Encoder
from lposs_geo.errors import DeviceError
from lposs_geo.models import MINI_FOLDER, Model

__all__ = ["choose_device", "load"]


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
        raise DeviceError(f"unknown device '{name}'", hint="choose auto, cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"unknown device '{name}'", hint="choose auto, cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DeviceError(f"device '{name}' isn't there, torch sees {count} GPUs", hint="use <device=cpu>")
    return device


def load(model: Model, device: torch.device) -> Encoder:
    """Load a model's weights onto a device; ModelError if they aren't installed or don't fit."""
    if model.is_bundled:
        from lposs_geo.encoders.mini import MiniEncoder

        return MiniEncoder.load(MINI_FOLDER, device)
    from lposs_geo.encoders.pair import PairEncoder

    return PairEncoder.load(model, device)
