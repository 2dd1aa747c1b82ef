"""What ``--json`` prints: a declared value for each line, written by one function. docs/json.md describes all of them.

Each line on stdout is a result; each line on stderr tells of the work. A field that gets another meaning, or
goes, makes a new `SCHEMA_VERSION`; new fields don't.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

__all__ = [
    "SCHEMA_VERSION",
    "Agreement",
    "BenchResult",
    "CacheResult",
    "Change",
    "Check",
    "ClassAgreement",
    "DoctorResult",
    "EncoderResult",
    "Failure",
    "Finished",
    "InfoResult",
    "LegendClass",
    "LegendResult",
    "Line",
    "MapResult",
    "MappedClass",
    "Message",
    "MissingTile",
    "ModelResult",
    "Progress",
    "Remark",
    "Result",
    "Text",
    "VectorizeResult",
    "to_json",
]

SCHEMA_VERSION = 1


# Lines on stderr


@dataclass(frozen=True, kw_only=True)
class Message:
    """Something to know, though the work goes on.

    Attributes
    ----------
    event : str
        "debug", "info" or "warning".
    message : str
        One line for people, with the names of the command line's options.
    problem, hint : str
        Its two halves: what is so, and what can be done about it. The hint names settings by the keywords of Python, in
        angle brackets: ``<overwrite=True>``; it may be empty.
    """

    event: str
    message: str
    problem: str
    hint: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Steps of a stage.

    Attributes
    ----------
    stage : str
        "encode", "propagate", "refine" or "vectorize".
    done, total : int
    """

    event: str = "progress"
    stage: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Finished:
    """There is nothing to do: the map of a scene was finished before."""

    event: str = "finished"
    scene: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why there is no result, or not all of it.

    Attributes
    ----------
    event : str
        "error" for the last word on a run, "failed" for a scene of a batch that goes on.
    scene : str or None
        The one of a batch.
    message, problem, hint : str
        As in `Message`.
    notes : tuple of str
        What else there is to say, as for example what is kept; with settings as in `hint`.
    """

    event: str
    scene: str | None
    message: str
    problem: str
    hint: str
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Text:
    """A line that a library printed."""

    event: str = "text"
    message: str


# Results on stdout


@dataclass(frozen=True, kw_only=True)
class Remark:
    """A thing to beware of; the fields are those of `Message`."""

    message: str
    problem: str
    hint: str


@dataclass(frozen=True, kw_only=True)
class MappedClass:
    """How much of a map one class covers.

    Attributes
    ----------
    name : str
    pixels : int
    area_m2 : float
        Square metres, or square map units where the CRS is unknown.
    share : float
        Of the area of all labelled pixels, 0..1.
    confidence : float or None
        Mean over the class's pixels, percent; None where there are none.
    """

    name: str
    pixels: int
    area_m2: float
    share: float
    confidence: float | None


@dataclass(frozen=True, kw_only=True)
class MissingTile:
    """A part of the map that failed and is nodata.

    Attributes
    ----------
    rows_cols : sequence of (int, int)
        From and to, of the rows and of the columns.
    reason : str
    """

    rows_cols: tuple[tuple[int, int], ...]
    reason: str


@dataclass(frozen=True, kw_only=True)
class ClassAgreement:
    """How many examples of one class agree with the map.

    Attributes
    ----------
    name : str
    examples : int
        Those where the map has data.
    before, after : int
        Those with their own class on the earlier map, or by the words alone, and on this map.
    judged : int
        Those whose class was asked of what the other examples teach.
    left_out : int
        Those of them with their own class by that.
    """

    name: str
    examples: int
    before: int
    after: int
    judged: int
    left_out: int


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How many examples agree with the map that was made from them; it is no accuracy.

    Attributes
    ----------
    examples, before, after, judged, left_out : int
        The sums of the classes'.
    has_earlier : bool
        `before` is by an earlier map; else by the words alone.
    classes : tuple of ClassAgreement
        Those with examples.
    """

    examples: int
    before: int
    after: int
    judged: int
    left_out: int
    has_earlier: bool
    classes: tuple[ClassAgreement, ...]


@dataclass(frozen=True, kw_only=True)
class Change:
    """Land of one class that became another.

    Attributes
    ----------
    before, after : str
        Names of the classes, "unknown" among them.
    area_m2 : float
        Square metres, or square map units where the CRS is unknown.
    share : float
        Of the area of all labelled pixels, 0..1.
    """

    before: str
    after: str
    area_m2: float
    share: float


@dataclass(frozen=True, kw_only=True)
class MapResult:
    """A map, made or corrected.

    Attributes
    ----------
    command : str
        "map" or "correct".
    scene : str
        Its name.
    outputs : mapping of str to str
        The files. In JSON each is a field of its own, with the name of its option: "labels" always, then "vector",
        "confidence" and so on.
    model, device : str
        What it was made with.
    classes : tuple of MappedClass
        In the order of the legend.
    unknown_share : float
        Of the area of all labelled pixels, 0..1.
    notices : tuple of Remark
    seconds : mapping of str to float
        Time at work by stage.
    failed : tuple of MissingTile
        Usually none.
    effect : str or None
        What examples did to the map, in a sentence; None without examples.
    agreement : Agreement or None
        None without examples.
    changed : tuple of Change or None
        From the earlier map, the largest first; None where there is none. (The file is "changes".)
    changed_share : float or None
        Of all changes together.
    """

    event: str = "result"
    command: str = "map"
    scene: str
    outputs: Mapping[str, str]
    model: str
    device: str
    classes: tuple[MappedClass, ...]
    unknown_share: float
    notices: tuple[Remark, ...]
    seconds: Mapping[str, float]
    failed: tuple[MissingTile, ...]
    effect: str | None = None
    agreement: Agreement | None = None
    changed: tuple[Change, ...] | None = None
    changed_share: float | None = None


@dataclass(frozen=True, kw_only=True)
class VectorizeResult:
    """Polygons of a map: the file, and how many."""

    event: str = "result"
    command: str = "vectorize"
    vector: str
    polygons: int


@dataclass(frozen=True, kw_only=True)
class InfoResult:
    """How a scene would be read.

    Attributes
    ----------
    scene : str
    rows, cols : int
    dtype : str
    crs : str or None
    pixel_size_m : (float, float) or None
        Width and height; None where the CRS is unknown.
    transform : tuple of float
        The first six numbers of the affine transform from (col, row).
    bands : tuple of int
        Red, green and blue, counted from 1.
    bands_reason : str
    black, white : tuple of float
        A value for each of these bands.
    notices : tuple of Remark
    quicklook : str or None
        The picture, if one was asked for.
    """

    event: str = "result"
    command: str = "info"
    scene: str
    rows: int
    cols: int
    dtype: str
    crs: str | None
    pixel_size_m: tuple[float, float] | None
    transform: tuple[float, ...]
    bands: tuple[int, ...]
    bands_reason: str
    black: tuple[float, ...]
    white: tuple[float, ...]
    notices: tuple[Remark, ...]
    quicklook: str | None = None


@dataclass(frozen=True, kw_only=True)
class CacheResult:
    """Kept features of one scene; a line each.

    Attributes
    ----------
    scene, model : str or None
        None where a run was cut off too early.
    bytes : int
    used : float
        When they were last used, seconds since 1970.
    folder : str
    """

    event: str = "result"
    command: str = "cache list"
    scene: str | None
    model: str | None
    bytes: int
    used: float
    folder: str


@dataclass(frozen=True, kw_only=True)
class ModelResult:
    """A model; a line each.

    Attributes
    ----------
    name, summary : str
    installed : bool
    default : bool
        It is the one that is used where none is named.
    """

    event: str = "result"
    command: str = "models list"
    name: str
    summary: str
    installed: bool
    default: bool


@dataclass(frozen=True, kw_only=True)
class LegendClass:
    """A class of a legend; `colour` is like #1f6391, `code` the one of the legend's own publishers."""

    id: int
    name: str
    prompts: tuple[str, ...]
    colour: str
    negatives: tuple[str, ...]
    code: int | str | None


@dataclass(frozen=True, kw_only=True)
class LegendResult:
    """A legend that comes along; a line each."""

    event: str = "result"
    command: str = "legends list"
    name: str
    title: str
    source: str
    classes: tuple[LegendClass, ...]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that `doctor` has looked at."""

    topic: str
    finding: str
    fit: bool


@dataclass(frozen=True, kw_only=True)
class DoctorResult:
    """What there is on this machine; `fit` if all of it is fit for work."""

    event: str = "result"
    command: str = "doctor"
    fit: bool
    checks: tuple[Check, ...]


@dataclass(frozen=True, kw_only=True)
class EncoderResult:
    """What the encoder does by itself.

    Attributes
    ----------
    mpx_per_second : float
        Of the scene.
    flops : float
        Floating-point operations per second.
    matmul_flops : float
        Those of a large matrix product on this device.
    """

    mpx_per_second: float
    flops: float
    matmul_flops: float


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """How fast mapping is, and how much memory it takes.

    Attributes
    ----------
    machine : mapping of str to str
    scene, model, device : str
    rows, cols, num_classes : int
    seconds : mapping of str to float
        Time at work by stage.
    wall : float
        Seconds from the beginning to the end; stages overlap.
    peak, footprint, gpu_peak : int or None
        Bytes of memory at most; what of it was in use before; bytes of GPU memory at most.
    encoder : EncoderResult
    mpx, mpx_per_second : float
    encoder_share : float
        The encoder's part of the time at work, 0..1.
    """

    event: str = "result"
    command: str = "bench"
    machine: Mapping[str, str]
    scene: str
    model: str
    device: str
    rows: int
    cols: int
    num_classes: int
    seconds: Mapping[str, float]
    wall: float
    peak: int | None
    footprint: int | None
    gpu_peak: int | None
    encoder: EncoderResult
    mpx: float
    mpx_per_second: float
    encoder_share: float


Line = Message | Progress | Finished | Failure | Text
Result = (
    MapResult | VectorizeResult | InfoResult | CacheResult | ModelResult | LegendResult | DoctorResult | BenchResult
)


def to_json(line: Line | Result) -> str:
    """A line as JSON; numbers that aren't finite are null, since JSON knows none."""
    facts = asdict(line)
    facts |= facts.pop("outputs", {})
    return json.dumps(_finite({"event": facts["event"], "schema_version": SCHEMA_VERSION} | facts), allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
