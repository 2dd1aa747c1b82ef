"""A map as it is asked for: values that are checked when they are made, by the keywords of `map_scene`.

What decides the map is a `Request`, which goes into the map's tags and comes back from them (``--like``); what decides
only where files go and how the work is done is not. Nothing here opens a file, nor loads torch or GDAL.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypedDict

from lposs_geo.errors import ParameterError

if TYPE_CHECKING:
    from rasterio.windows import Window

__all__ = [
    "DEFAULT_SIMPLIFY",
    "OF_EXAMPLES",
    "SETTINGS",
    "CorrectOptions",
    "Learning",
    "MapOptions",
    "Polygons",
    "Reading",
    "Request",
    "Where",
    "parse_tolerance",
]

DEFAULT_SIMPLIFY = "1px"
"""Tolerance of borders that straightens the stairs of the pixel grid and little more."""

LONGEST_TEXT = 2_000
"""Characters of one setting; a file's path is longer on no system that counts."""


class CorrectOptions(TypedDict, total=False):
    """The keywords of `Mapper.correct` and `correct_map`; `Request` and `products` say what each means."""

    # files beside the labels
    vector: str | Path | None
    quicklook: str | Path | None
    confidence: str | Path | None
    probabilities: str | Path | None
    changes: str | Path | None
    suggest: str | Path | None
    save: str | Path | None
    report: str | Path | None
    stac: str | Path | None
    # what decides the map
    bands: str | Sequence[int | str] | None
    scale: tuple[float, float] | None
    collar: bool
    warp: bool
    gsd: float | None
    aoi: str | Path | None
    aoi_layer: str | None
    window: Window | None
    examples_layer: str | None
    add_classes: bool
    refine: bool
    min_confidence: float
    simplify: float | str
    min_area: float
    # how the work is done
    tile_size: int | None
    resume: bool
    overwrite: bool


class MapOptions(CorrectOptions, total=False):
    """The keywords of `Mapper.map`, `map_scene` and `map_batch`: those of a correction, which must have examples."""

    examples: str | Path | None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The reading of the scene.

    Attributes
    ----------
    bands : str or tuple of int or str, optional
        Bands to take as red, green and blue: three numbers from 1 or names, one for grey, or a preset, see
        `scene.describe`.
    scale : (float, float), optional
        Values that become black and white, instead of percentiles.
    collar : bool
        Take a black or white frame, and holes, for nodata where none is declared.
    warp : bool
        Map a scene that is located only by ground control points or RPCs on a north-up grid.
    """

    bands: str | tuple[int | str, ...] | None = None
    scale: tuple[float, float] | None = None
    collar: bool = True
    warp: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.bands, str):
            _check_text("bands", self.bands)
        elif self.bands is not None:
            _store(self, "bands", _tuple("bands", self.bands, 1, sys.maxsize))
            for band in self.bands:
                if isinstance(band, str):
                    _check_text("bands", band)
                elif not _is_integer(band):
                    raise ParameterError(f"bands can't be {_shown(band)}")
        if self.scale is not None:
            low, high = _tuple("scale", self.scale, 2, 2)
            if not (_is_number(low) and _is_number(high) and low < high):
                raise ParameterError(f"scale must be two numbers, the lower one first, not {_shown(self.scale)}")
            _store(self, "scale", (low, high))
        _check_flags(self, "collar", "warp")


@dataclass(frozen=True, kw_only=True)
class Where:
    """The part of the scene that is mapped; all of it by default.

    Attributes
    ----------
    aoi : str or Path, optional
        Area of interest: "xmin,ymin,xmax,ymax" in the scene's CRS, or a file of polygons.
    aoi_layer : str, optional
        Layer of that file.
    window : (int, int, int, int), optional
        First col and row, cols and rows, px of the scene.
    """

    aoi: str | Path | None = None
    aoi_layer: str | None = None
    window: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.aoi is not None:
            _check_text("aoi", str(self.aoi))
        if self.aoi_layer is not None:
            _check_text("aoi_layer", self.aoi_layer)
        if self.window is not None:
            offsets = _tuple("window", self.window, 4, 4)
            if not all(_is_number(offset) and offset == int(offset) for offset in offsets):
                raise ParameterError(f"window must be whole pixels, not {_shown(offsets)}")
            _store(self, "window", tuple(int(offset) for offset in offsets))
        if self.aoi is not None and self.window is not None:
            raise ParameterError("an area of interest and a window are asked for", hint="name <aoi> or <window>")


@dataclass(frozen=True, kw_only=True)
class Learning:
    """The examples that the classes are learnt from; none by default, when the words alone tell.

    Attributes
    ----------
    examples : str or Path, optional
        File of points, lines or polygons with a field `class`, see `examples.read_examples`.
    examples_layer : str, optional
        Layer of that file.
    add_classes : bool
        Take a name that the legend lacks for a new class, instead of refusing it.
    """

    examples: str | Path | None = None
    examples_layer: str | None = None
    add_classes: bool = False

    def __post_init__(self) -> None:
        if self.examples is not None:
            _check_path("examples", self.examples)
        if self.examples_layer is not None:
            _check_text("examples_layer", self.examples_layer)
        _check_flags(self, "add_classes")
        if self.examples is None and (self.examples_layer is not None or self.add_classes):
            given = "examples_layer" if self.examples_layer is not None else "add_classes"
            raise ParameterError(f"{given} is given without examples", hint="name their file by <examples>")


@dataclass(frozen=True, kw_only=True)
class Polygons:
    """The making of polygons from labels.

    Attributes
    ----------
    simplify : float or str
        Tolerance of the borders, "1px" or "2.5m"; a bare number is px.
    min_area : float
        Smaller polygons are merged into a neighbour, square metres. The labels stay as they are.
    """

    simplify: float | str = DEFAULT_SIMPLIFY
    min_area: float = 0.0

    def __post_init__(self) -> None:
        parse_tolerance(self.simplify)
        if not (_is_number(self.min_area) and self.min_area >= 0):
            raise ParameterError(f"min_area must be a number of square metres, 0 or more, not {_shown(self.min_area)}")


@dataclass(frozen=True, kw_only=True)
class Request:
    """All that decides a map beside its scene, its classes and its model.

    Attributes
    ----------
    reading : Reading
    gsd : float, optional
        Resolution to work at, metres per px: the encoder sees the scene enlarged or reduced to it. The map is on the
        scene's own grid all the same. By default what suits the model.
    where : Where
    learning : Learning
    refine : bool
        Sharpen the borders over pixels (LPOSS+); False stops at the patches (LPOSS).
    min_confidence : float
        Pixels less confident than that, 0..1, become unknown.
    polygons : Polygons
    """

    reading: Reading = field(default_factory=Reading)
    gsd: float | None = None
    where: Where = field(default_factory=Where)
    learning: Learning = field(default_factory=Learning)
    refine: bool = True
    min_confidence: float = 0.0
    polygons: Polygons = field(default_factory=Polygons)

    def __post_init__(self) -> None:
        if self.gsd is not None and not (_is_number(self.gsd) and self.gsd > 0):
            raise ParameterError(f"gsd must be a number of metres above 0, not {_shown(self.gsd)}")
        if not (_is_number(self.min_confidence) and 0 <= self.min_confidence <= 1):
            raise ParameterError(f"min_confidence must lie between 0 and 1, not {_shown(self.min_confidence)}")
        _check_flags(self, "refine")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """The request among the keywords of a call; those that don't decide the map are left alone.

        Raises
        ------
        TypeError
            If there is a keyword that `MapOptions` doesn't have.
        ParameterError
            If a value is of a wrong kind or out of its range.
        """
        for name in options.keys() - MapOptions.__annotations__.keys():
            raise TypeError(f"there is no option '{name}': choose from {', '.join(MapOptions.__annotations__)}")
        window = options.get("window")
        settings = dict(options) | ({} if window is None else {"window": getattr(window, "flatten", lambda: window)()})

        def part(kind: type[Any]) -> dict[str, Any]:
            return {own.name: settings[own.name] for own in fields(kind) if own.name in settings}

        parts = {name: kind(**part(kind)) for name, kind in _PARTS.items()}
        return cls(**(part(cls) | parts))

    def to_tags(self) -> dict[str, Any]:
        """The settings by their keywords, ready for JSON; of the files of an area and of examples only the names.

        Folders are nobody's business to whom a map is given. A map without examples tells nothing of them.
        """
        own = {name: getattr(self, name) for name in _own(type(self))}
        of_parts = {name: getattr(getattr(self, part), name) for part, kind in _PARTS.items() for name in _own(kind)}
        left_out = OF_EXAMPLES if self.learning.examples is None else ()
        settings = {name: (own | of_parts)[name] for name in SETTINGS if name not in left_out}
        files = {name: settings[name] for name in ("aoi", "examples") if name in settings}
        return settings | {name: None if file is None else Path(file).name for name, file in files.items()}

    @staticmethod
    def from_tags(settings: Mapping[str, Any]) -> dict[str, Any]:
        """The keywords among a map's settings, checked as those of a call are.

        Raises
        ------
        ParameterError
            If a value is of a wrong kind or out of its range.
        """
        known = {name: settings[name] for name in SETTINGS if name in settings}
        for name, value in known.items():
            if isinstance(value, str) and re.search("[\ud800-\udfff]", value):  # from a file that somebody made
                raise ParameterError(f"{name} can't be {_shown(value)}")
        Request.of(known | ({"aoi": None} if known.get("window") is not None else {}))
        return {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}


_PARTS: dict[str, type[Any]] = {"reading": Reading, "where": Where, "learning": Learning, "polygons": Polygons}


def _own(kind: type[Any]) -> list[str]:
    """The names of a value's settings, without those of its parts."""
    return [own.name for own in fields(kind) if own.name not in _PARTS]


SETTINGS = tuple(
    name for own in fields(Request) for name in (_own(_PARTS[own.name]) if own.name in _PARTS else [own.name])
)
"""The keywords that decide a map, in the order of its tags: none tells where anything is written or read, how much
memory or time it takes, or what is overwritten."""

OF_EXAMPLES = tuple(_own(Learning))
"""Those that name examples, which are one map's own: no other takes them over."""


def parse_tolerance(simplify: float | str) -> tuple[float, bool]:
    """A tolerance as a number, and whether it counts metres.

    Raises
    ------
    ParameterError
        If it is neither a number nor one with "px" or "m" behind it, or below 0.
    """
    parts = re.fullmatch(r"([0-9.eE+-]+)\s*(px|m)?", str(simplify).strip())
    try:
        number = float(parts[1]) if parts else math.nan
    except ValueError:
        number = math.nan
    if parts is None or isinstance(simplify, bool) or not 0 <= number < math.inf:
        raise ParameterError(f"simplify must be a tolerance of 0 or more, like 1px or 2.5m, not {_shown(simplify)}")
    return number, parts[2] == "m"


def _store(value: object, name: str, content: object) -> None:
    """Put a setting into the form that all further code relies on, while its frozen value is made."""
    object.__setattr__(value, name, content)


def _shown(value: object) -> str:
    """A value in a message, on a short line."""
    return ascii(value) if len(ascii(value)) <= 60 else f"{ascii(value)[:60]}..."


def _is_integer(value: object) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    """Of any library, finite."""
    if isinstance(value, bool | str | bytes) or not hasattr(value, "__float__"):
        return False
    return bool(-sys.float_info.max <= value <= sys.float_info.max)


def _check_flags(value: object, *names: str) -> None:
    for name in names:
        if not isinstance(getattr(value, name), bool):
            raise ParameterError(f"{name} must be True or False, not {_shown(getattr(value, name))}")


def _check_text(name: str, text: object) -> None:
    """Refuse what is no text, has control characters or nothing that UTF-8 can say, or is endless."""
    if not isinstance(text, str) or len(text) > LONGEST_TEXT or re.search(r"[\0-\x1f\x7f-\x9f]", text):
        raise ParameterError(f"{name} can't be {_shown(text)}")


def _check_path(name: str, path: object) -> None:
    if not isinstance(path, str | Path) or not str(path):
        raise ParameterError(f"{name} can't be {_shown(path)}")
    _check_text(name, str(path))


def _tuple(name: str, values: Any, least: int, most: int) -> tuple[Any, ...]:
    if isinstance(values, str | bytes) or (not isinstance(values, Sequence) and not hasattr(values, "__iter__")):
        raise ParameterError(f"{name} can't be {_shown(values)}")
    parts = tuple(values)
    if not least <= len(parts) <= most:
        count = str(least) if least == most else f"{least} to {most}"
        raise ParameterError(f"{name} must be {count} values, not {len(parts)}")
    return parts
