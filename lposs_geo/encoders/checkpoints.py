"""Weights from a checkpoint file: read as data, and taken only if they are what a model needs, all of it.

A file may come from anybody. Nothing in it is ever run, it unpacks to no more than it is, and no model is left with
weights of its own making in place of those that the file lacks.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

__all__ = ["CONTAINERS", "HEADS", "PREFIXES", "Weights", "fill", "read_weights", "without_prefixes"]

CONTAINERS = ("state_dict", "model", "teacher", "student")
"""Names under which training code puts weights, beside all else that it keeps; the first that is there is taken."""

PREFIXES = ("module.", "model.", "teacher.", "student.", "backbone.", "encoder.")
"""Put before all names by training code; where there are a teacher and a student, the teacher is taken."""

HEADS = ("head.", "head_dist.", "fc_norm.", "pre_logits.", "dino_head.", "ibot_head.", "mask_token")
"""Beginnings of names in a VM's checkpoint that the VM has no use for: they served its training only."""

MOST_NAMED = 3
"""Of the weights in a message."""

Weights = dict[str, torch.Tensor]


def read_weights(file: Path) -> Weights:
    """Read the weights in a checkpoint, by name.

    Parameters
    ----------
    file : Path
        Of safetensors if it ends so, else of `torch.save`.

    Returns
    -------
    dict of str to torch.Tensor
        What lies in the innermost of `CONTAINERS`.

    Raises
    ------
    ValueError
        If there are none, or the file says that it holds more than it does.
    Exception
        Of whatever kind a damaged or hostile file makes its reader raise.
    """
    if file.suffix == ".safetensors":
        return dict(load_file(file))
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > file.stat().st_size:  # torch.save packs nothing
            raise ValueError(f"it would unpack to {unpacked} bytes, more than it is")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats
            stored: object = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # of which torch says on many lines how to run it all the same
        raise ValueError(
            "it is damaged, or holds what would have to be run beside weights, which is refused"
        ) from error
    for _ in CONTAINERS:
        if isinstance(stored, Mapping):
            inner = (stored[name] for name in CONTAINERS if isinstance(stored.get(name), Mapping))
            stored = next(inner, stored)
    if not isinstance(stored, Mapping) or not all(isinstance(name, str) for name in stored):
        raise ValueError("it holds no weights by name")
    no_tensors = [name for name, value in stored.items() if not _is_plain(value)]
    if no_tensors:
        raise ValueError(f"it holds what are no weights: {_listed(no_tensors)}")
    return dict(stored)


def without_prefixes(weights: Weights, needed: Sequence[str]) -> Weights:
    """Take away the `PREFIXES` that stand before all names but those of heads, until the needed names are there."""
    for _ in range(len(PREFIXES)):
        if set(needed) <= weights.keys():
            break
        if any(name.startswith("teacher.") for name in weights):
            weights = {name: weight for name, weight in weights.items() if not name.startswith("student.")}
        for prefix in PREFIXES:
            own = {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}
            others = {name: weight for name, weight in weights.items() if not name.startswith(prefix)}
            if own and all(name.startswith(HEADS) for name in others) and not own.keys() & others.keys():
                weights = own | others
                break
    return weights


def fill(model: nn.Module, weights: Weights, convert: Callable[[Weights], Weights], idle: tuple[str, ...]) -> None:
    """Put weights into a model: each that it has, and none that it hasn't.

    Parameters
    ----------
    model : nn.Module
    weights : dict of str to torch.Tensor
        Of `read_weights`.
    convert : callable
        Brings them to the model's names and sizes, where another release or another program wrote them.
    idle : tuple of str
        What the names of those may begin with that the model may leave.

    Raises
    ------
    ValueError
        If one is missing, of no use, of another shape, no floating-point numbers, or not finite; the model is spoilt.
    """
    needed = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    weights = without_prefixes(weights, list(needed))
    for name, weight in weights.items():
        if not weight.is_floating_point() and not name.startswith(idle):
            raise ValueError(f"{_listed([name])} has no floating-point numbers but {weight.dtype}")
    weights = convert(weights)
    missing = [name for name in needed if name not in weights]
    if missing:
        raise ValueError(f"it lacks {len(missing)} of {len(needed)} weights: {_listed(missing)}")
    unused = [name for name in weights if name not in needed and not name.startswith(idle)]
    if unused:
        raise ValueError(f"it has {len(unused)} weights that the model hasn't: {_listed(unused)}")
    for name, shape in needed.items():
        if tuple(weights[name].shape) != shape:
            raise ValueError(f"{name} has the shape {tuple(weights[name].shape)}, not {shape}")
    model.load_state_dict({name: weights[name] for name in needed}, strict=True)
    for name, weight in model.state_dict().items():  # as the model holds them
        if not bool(torch.isfinite(weight).all()):
            raise ValueError(f"{name} has numbers that aren't finite")


def _is_plain(value: object) -> bool:
    """True for a tensor with a number in the file for each of its own."""
    return (
        type(value) in (torch.Tensor, nn.Parameter)
        and isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def _listed(names: Sequence[str]) -> str:
    """Names that somebody else wrote, as one short line."""
    return ", ".join(ascii(name)[1:-1][:40] for name in names[:MOST_NAMED]) + (", ..." * (len(names) > MOST_NAMED))
