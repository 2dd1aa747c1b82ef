"""What was learnt from examples, as a file: the classes, and the weights that give them on other scenes.

It is a safetensors file whose metadata hold all but the weights. Such files come from anybody: nothing in one is ever
run, its size is looked at before it is read, and each value before it is used.
"""

from __future__ import annotations

import base64
import binascii
import stat
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from lposs_geo.errors import LegendError, ModelError, one_line
from lposs_geo.examples.tensor_file import LARGEST_FILE, begins_file, pack, refuse, unpack
from lposs_geo.files.writing import writing
from lposs_geo.legend.legend import Legend
from lposs_geo.legend.words import quoted, said, unfit
from lposs_geo.release import __version__

__all__ = [
    "ENDING",
    "Layout",
    "Learned",
    "check_fits",
    "from_bytes",
    "from_text",
    "is_learned",
    "read_learned",
    "to_bytes",
    "to_text",
    "write_learned",
]

ENDING = ".lposs"
"""Of such files."""

FORMAT = 1
"""Number of the form that the metadata have."""

LONGEST_TEXT = 16_000_000
"""Letters of `to_text`."""

MOST_PARTS = 256
"""Of a layout."""

WIDEST = 1 << 20
"""Features of a part of a layout."""

Layout = tuple[tuple[str, int], ...]
"""The parts of a patch's features, in order: name and number of features of each."""


@dataclass(frozen=True, eq=False)
class Learned:
    """What was learnt from examples.

    Attributes
    ----------
    legend : Legend
    model, fingerprint : str
        The model whose features the weights are for.
    layout : Layout
        The features, like ``(("vlm", 384), ("vm", 384), ("bands", 28))``.
    digest : str
        A hash of what else must be alike, such as the names of the bands; may be empty.
    numbers : Mapping
        Of the head, as JSON has them.
    counts : Mapping
        Examples of each class, by its name.
    examples_digest : str
        A hash of the examples.
    tensors : Mapping
        The weights by name, arrays of float16 or float32.
    version : str
        Of the lposs-geo that learnt it.
    """

    legend: Legend
    model: str
    fingerprint: str
    layout: Layout
    tensors: Mapping[str, NDArray[Any]]
    digest: str = ""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    examples_digest: str = ""
    version: str = __version__


def write_learned(path: Path, learned: Learned) -> None:
    """Write what was learnt to a file; the same gives the same bytes.

    Parameters
    ----------
    path : Path
        Needs not appear atomically, see `staging.staged_in`.
    learned : Learned

    Raises
    ------
    LegendError
        If it holds what no file may hold, such as a weight that isn't finite.
    OutputError
        If the file can't be written.
    """
    raw = to_bytes(learned)
    with writing(path):
        path.write_bytes(raw)


def read_learned(path: str | Path) -> Learned:
    """Read what `write_learned` wrote.

    Raises
    ------
    LegendError
        If it can't be read, is too large, or holds anything else. It is the error of a legend's file, since as such
        the file is given.
    """
    where = f"legend {_shown_path(path)}"
    try:
        kind = Path(path).stat().st_mode
        if not stat.S_ISREG(kind):
            what = "a folder" if stat.S_ISDIR(kind) else "a device or a pipe"
            raise LegendError(f"{where} is {what}", hint="name a file")
        with Path(path).open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: no name that a file may have
        if isinstance(error, LegendError):
            raise
        reason = (error.strerror if isinstance(error, OSError) else None) or one_line(error)
        raise LegendError(f"can't read {where}: {reason}") from error
    return from_bytes(raw, where)


def is_learned(path: str | Path) -> bool:
    """True if a legend's file is one of `write_learned`, by its ending or by how it begins; TOML never begins so.

    A file that isn't there, or is none, is told by its ending alone.
    """
    if str(path).lower().endswith(ENDING):
        return True
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return False
        with Path(path).open("rb") as file:
            start = file.read(9)
    except (OSError, ValueError):
        return False
    return begins_file(start)


def to_text(learned: Learned) -> str:
    """The same as a file, as letters that a raster's tags can hold.

    Raises
    ------
    LegendError
        If it holds what no file may hold, or is too long for tags.
    """
    text = base64.b64encode(zlib.compress(to_bytes(learned), 9)).decode("ascii")
    if len(text) > LONGEST_TEXT:
        raise LegendError(f"what was learnt takes {len(text)} letters, and a map's tags hold {LONGEST_TEXT} of it")
    return text


def from_text(text: str, where: str = "the map's tag of what was learnt") -> Learned:
    """Undo `to_text`; `where` begins the lines about faults.

    Raises
    ------
    LegendError
        If it is no such text, or holds what no file may hold.
    """
    if len(text) > LONGEST_TEXT:
        raise LegendError(f"{where} is longer than {LONGEST_TEXT} letters")
    try:
        unpacking = zlib.decompressobj()
        raw = unpacking.decompress(base64.b64decode(text, validate=True), LARGEST_FILE + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise LegendError(f"{where} is damaged: {said(error)}") from error
    if not unpacking.eof and len(raw) <= LARGEST_FILE:
        refuse(where, "it is cut off")
    return from_bytes(raw, where)


def check_fits(learned: Learned, model: str, fingerprint: str, layout: Layout, digest: str = "") -> None:
    """Refuse to use what was learnt on features of another kind.

    Parameters
    ----------
    learned : Learned
    model, fingerprint : str
        The model of the map that is asked for.
    layout : Layout
        Of the map's features.
    digest : str
        Of what else must be alike.

    Raises
    ------
    ModelError
        If the weights don't fit; with what to do.
    """
    if fingerprint != learned.fingerprint:
        if model != learned.model:
            raise ModelError(
                f"the legend was learnt with the model {quoted(learned.model)}, not {quoted(model)}",
                hint=f"<model={learned.model}> takes the former; or learn it again from its examples",
            )
        raise ModelError(
            f"the legend was learnt with other weights of the model {quoted(model)} "
            f"({quoted(learned.fingerprint)}, not {quoted(fingerprint)})",
            hint="learn it again from its examples",
        )
    if layout != learned.layout:
        raise ModelError(
            f"the legend was learnt on the features {_listed(learned.layout)}, and this scene gives {_listed(layout)}",
            hint="take a scene with the same bands, and the resolution that it was learnt at (<gsd>)",
        )
    if digest != learned.digest:
        raise ModelError(
            "the legend was learnt on a scene with other bands, or in another order",
            hint="take a scene with the same bands, or learn it again from examples on this one",
        )


def _listed(layout: Layout) -> str:
    return ", ".join(f"{name} {width}" for name, width in layout) or "none"


def _shown_path(path: str | Path) -> str:
    """A path in quotes, on one line whatever it holds."""
    return f"'{''.join(quoted(letter)[1:-1] for letter in str(path))}'"


def to_bytes(learned: Learned) -> bytes:
    """A file's bytes, which read back."""
    where = "what was learnt"
    content = {
        "format": FORMAT,
        "legend": learned.legend.as_dict(),
        "model": {"name": learned.model, "fingerprint": learned.fingerprint},
        "layout": [[name, int(width)] for name, width in learned.layout],
        "digest": learned.digest,
        "numbers": dict(learned.numbers),
        "examples": {"counts": dict(learned.counts), "digest": learned.examples_digest},
        "version": learned.version,
    }
    raw = pack(content, learned.tensors, where)
    from_bytes(raw, where)  # a file that couldn't be read would be noticed too late
    return raw


def from_bytes(raw: bytes, where: str) -> Learned:
    """Undo `to_bytes`; LegendError if it can't be undone, `where` names the source."""
    content, tensors = unpack(raw, where)
    if content.get("format") != FORMAT:
        version = _text(content, "version", where)
        raise LegendError(
            f"{where} was saved by lposs-geo {version}, and this one ({__version__}) can't read it",
            hint="update lposs-geo",
        )
    try:
        legend = Legend.from_dict(content.get("legend"))
    except LegendError as error:
        refuse(where, f"its legend is {said(error)}")
    if [land_class.id for land_class in legend.classes] != list(range(1, len(legend) + 1)) or not legend.classes:
        refuse(where, "the classes of its legend aren't numbered from 1 on")
    if len(set(legend.names)) < len(legend) or not all(legend.prompts):
        refuse(where, "two classes of its legend have one name, or one has no words")
    model, examples = (_table(content, key, where) for key in ("model", "examples"))
    counts = _table(examples, "counts", where)
    if not all(type(count) is int and count >= 0 and unfit(name) is None for name, count in counts.items()):
        refuse(where, "its counts of examples are no whole numbers")
    return Learned(
        legend=legend,
        model=_text(model, "name", where),
        fingerprint=_text(model, "fingerprint", where),
        layout=_layout(content.get("layout"), where),
        tensors=tensors,
        digest=_text(content, "digest", where),
        numbers=_table(content, "numbers", where),
        counts=counts,
        examples_digest=_text(examples, "digest", where),
        version=_text(content, "version", where),
    )


def _layout(value: Any, where: str) -> Layout:
    if not isinstance(value, list) or len(value) > MOST_PARTS:
        refuse(where, "it doesn't say which features it is for")
    for part in value:
        is_pair = isinstance(part, list) and len(part) == 2
        name, width = part if is_pair else (None, None)
        if not isinstance(name, str) or unfit(name) is not None or type(width) is not int or not 0 < width <= WIDEST:
            refuse(where, "it doesn't say which features it is for")
    return tuple((name, width) for name, width in value)


def _table(content: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    value = content.get(key)
    if not isinstance(value, dict):
        refuse(where, f"its {key} are missing")
    return value


def _text(content: dict[str, Any], key: str, where: str) -> str:
    value = content.get(key)
    if not isinstance(value, str) or unfit(value) is not None:
        refuse(where, f"its {key} is missing, or no text")
    return value
