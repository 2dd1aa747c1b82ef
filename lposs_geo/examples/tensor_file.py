"""Tensors with a JSON object in one file of safetensors, from anybody: each value is looked at before it is used."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from lposs_geo.errors import LegendError
from lposs_geo.legend.words import quoted, said

__all__ = ["LARGEST_FILE", "begins_file", "pack", "refuse", "unpack"]

LARGEST_FILE = 64_000_000
"""Bytes."""

LARGEST_HEADER = 4_000_000
"""Bytes of the metadata and the list of tensors."""

MOST_TENSORS = 256

MOST_AXES = 4

_KEY = "lposs_geo"
"""Of all metadata: safetensors writes several in no fixed order."""

_DTYPES = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}


def pack(content: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], where: str) -> bytes:
    """Make the bytes of a file; the same gives the same bytes.

    Parameters
    ----------
    content : Mapping
        As JSON has it.
    tensors : Mapping
        Arrays of float16 or float32, by their names.
    where : str
        Begins the lines about faults.

    Raises
    ------
    LegendError
        If a tensor is of another kind, or the content no JSON.
    """
    stored = {}
    for name, tensor in tensors.items():
        dtype = tensor.dtype.newbyteorder("<")
        if dtype not in _DTYPES.values():
            raise LegendError(f"{where}: tensor {quoted(name)} is {tensor.dtype}, and must be float16 or float32")
        stored[name] = np.ascontiguousarray(tensor, dtype)
    try:
        text = json.dumps(content, ensure_ascii=False, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise LegendError(f"{where}: {said(error)}") from error
    return bytes(safetensors.save(stored, {_KEY: text}))


def unpack(raw: bytes, where: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The content and the tensors of a file's bytes, by name.

    Raises
    ------
    LegendError
        If it is too large, damaged, or a file of something else; `where` begins its line.
    """
    if len(raw) > LARGEST_FILE:
        raise LegendError(f"{where} is larger than {LARGEST_FILE // 1_000_000} MB, and weights never are")
    header = _header(raw, where)
    return _content(header, where), _tensors(raw, header, where)


def begins_file(start: bytes) -> bool:
    """True if the first nine bytes of a file may be those of safetensors; no text begins so."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= LARGEST_HEADER


def refuse(where: str, fault: str) -> NoReturn:
    """Raise the LegendError of a file that isn't as it was saved."""
    raise LegendError(f"{where} is damaged: {fault}", hint="save it again from the map with the examples")


def _json(raw: bytes, where: str) -> Any:
    try:
        value = json.loads(raw.decode("utf-8"))
        json.dumps(value, allow_nan=False)  # numbers that aren't finite; a lone surrogate
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else said(error)
        raise LegendError(
            f"{where} is damaged: {reason}", hint="save it again from the map with the examples"
        ) from error
    return value


def _header(raw: bytes, where: str) -> dict[str, Any]:
    """What stands before the tensors: their names, kinds and shapes, and the metadata."""
    length = int.from_bytes(raw[:8], "little")
    if raw[8:9] != b"{":
        raise LegendError(f"{where} is none that was learnt", hint="a legend in TOML needs the ending .toml")
    if length > LARGEST_HEADER:
        refuse(where, f"its header has {length} bytes")
    if 8 + length > len(raw):
        refuse(where, "it is cut off")
    header = _json(raw[8 : 8 + length], where)
    if not isinstance(header, dict):
        refuse(where, "its header is no table")
    return header


def _content(header: dict[str, Any], where: str) -> dict[str, Any]:
    """The metadata."""
    metadata = header.get("__metadata__")
    text = metadata.get(_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise LegendError(f"{where} holds no legend: it is a safetensors file of something else")
    content = _json(text.encode("utf-8"), where)
    if not isinstance(content, dict):
        refuse(where, "its metadata are no table")
    return content


def _tensors(raw: bytes, header: dict[str, Any], where: str) -> dict[str, NDArray[Any]]:
    names = sorted(header.keys() - {"__metadata__"})
    if len(names) > MOST_TENSORS:
        refuse(where, f"it holds {len(names)} tensors")
    for name in names:
        entry = header[name]
        kind, shape = (entry.get("dtype"), entry.get("shape")) if isinstance(entry, dict) else (None, None)
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
            refuse(where, f"a tensor is called {quoted(name)}")
        if not isinstance(kind, str) or kind not in _DTYPES:
            refuse(where, f"tensor {quoted(name)} is neither float16 nor float32")
        if not isinstance(shape, list) or len(shape) > MOST_AXES:
            refuse(where, f"tensor {quoted(name)} has more than {MOST_AXES} axes, or none that are known")
    try:
        arrays = safetensors.load(raw)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise LegendError(
            f"{where} is damaged: {said(error)}", hint="save it again from the map with the examples"
        ) from error
    tensors = {name: arrays[name] for name in names if name in arrays}
    for name in names:
        if name not in tensors or tensors[name].dtype != _DTYPES[header[name]["dtype"]]:
            refuse(where, f"tensor {quoted(name)} stands twice in it")
        if not np.isfinite(tensors[name]).all():
            refuse(where, f"tensor {quoted(name)} holds a number that isn't finite")
    return tensors
