"""What a map was made from and with: what decides its pixels, and the tags that tell it."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lposs_geo import models
from lposs_geo.errors import SceneError, escaped, one_line
from lposs_geo.files.odd_names import linked
from lposs_geo.legend.legend import Legend
from lposs_geo.scene.aoi import Area
from lposs_geo.scene.description import Scene
from lposs_geo.scene.folders import MAP_TAG
from lposs_geo.scene.identity import identity
from lposs_geo.scene.names import on_disk, stem
from lposs_geo.scene.opening import Raster, open_raster
from lposs_geo.stages.label import FailedTile, Task
from lposs_geo.stages.propagate import parameters_for

__all__ = [
    "FAILED_TAG",
    "OPTIONS",
    "REQUEST_TAG",
    "Facts",
    "Settings",
    "as_properties",
    "feature_facts",
    "for_people",
    "parameters",
    "request",
    "run_facts",
    "settings_of",
    "tags",
]

_OURS = "LPOSS_GEO_"
REQUEST_TAG = f"{_OURS}REQUEST"
FAILED_TAG = f"{_OURS}FAILED_TILES"
_MODEL_TAG = f"{_OURS}MODEL"
_PARAMETERS_TAG, _OPTIONS_TAG, _UNFAMILIAR_TAG = (f"{_OURS}{n}" for n in ("PARAMETERS", "OPTIONS", "UNFAMILIAR_WORDS"))
_JSON_TAGS = {_PARAMETERS_TAG, _OPTIONS_TAG, _UNFAMILIAR_TAG, FAILED_TAG}

Facts = dict[str, Any]
"""What decides what a map will be, ready for JSON, by names that a user understands."""


def feature_facts(scene: Scene, model: models.Model, task: Task) -> Facts:
    """All that the features depend on."""
    encoder = task.encoder
    name = scene.name if scene.name.strip(".") else stem(scene.path)  # the folder that one is in
    return {
        "version": version("lposs-geo"),
        "scene": {"name": name} | identity(scene),
        "model": {"name": model.name, "fingerprint": models.fingerprint(model)},
        "device": encoder.device.type,
        "resolution": [task.zoom, *encoder.scales, encoder.crop_size, encoder.stride, encoder.patch_size],
        "area": task.seen(scene.grid).flatten(),
    }


def run_facts(facts: Facts, legend: Legend, task: Task, numbers: Mapping[str, object], inside: Area | None) -> Facts:
    """All that the finished tiles of a run depend on."""
    return facts | {
        "classes": [legend.prompts, legend.negatives],
        "numbers": numbers,
        "window": task.area.flatten(),
        "area of interest": None if inside is None else inside.digest,
        "tiles": task.plan[0].core.flatten(),
        "choice of scores": task.keep_scores,
    }


def parameters(scene: Scene, task: Task) -> dict[str, object]:
    """The numbers that the labels depend on beside scene, words and model."""
    encoder = task.encoder
    return asdict(parameters_for(encoder)) | {
        "refine": task.refine,
        "zooms": [task.zoom * scale for scale in encoder.scales],
        "seed_scale": encoder.seed_scale,
        "confidence_power": encoder.confidence_power,
        "crop_size": encoder.crop_size,
        "stride": encoder.stride,
        "patch_size": encoder.patch_size,
        "graph_memory": task.budget.graph,
        "bands": scene.bands,
        "low": scene.radiometry.low,
        "high": scene.radiometry.high,
    }


def tags(
    facts: Facts,
    asked: str,
    numbers: Mapping[str, object],
    options: Mapping[str, object],
    unfamiliar: Sequence[str],
    failed: Sequence[FailedTile],
) -> dict[str, str]:
    """What it takes to make the map again, and what is missing in it, as tags of a file.

    Parameters
    ----------
    facts : Facts
        Of `feature_facts`.
    asked : str
        Of `request`.
    numbers : mapping
        Of `parameters`.
    options : mapping
        What was asked for beside the classes.
    unfamiliar : sequence of str
        Words that the model can't know.
    failed : sequence of FailedTile
    """
    release = version("lposs-geo")
    missing = [tile.as_dict() for tile in failed]
    return {
        "TIFFTAG_SOFTWARE": f"lposs-geo {release}",
        MAP_TAG: release,
        REQUEST_TAG: asked,
        _MODEL_TAG: facts["model"]["name"],
        "LPOSS_GEO_MODEL_FINGERPRINT": facts["model"]["fingerprint"],
        "LPOSS_GEO_SOURCE": facts["scene"]["name"],
        _PARAMETERS_TAG: json.dumps(numbers),
        _OPTIONS_TAG: json.dumps(options),
        _UNFAMILIAR_TAG: json.dumps(list(unfamiliar)),
    } | ({FAILED_TAG: json.dumps(missing)} if failed else {})


LONGEST_SETTINGS = 100_000
"""Characters of a tag with settings, which has some hundred."""

LONGEST_TEXT = 2_000
"""Characters of one text among them; a pair's name holds two paths."""


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not _is_flag(value) and abs(value) <= sys.float_info.max


def _is_text(value: object) -> bool:
    """Without control characters, and with nothing that UTF-8 can't say."""
    return (
        isinstance(value, str)
        and len(value) <= LONGEST_TEXT
        and not re.search(r"[\0-\x1f\x7f-\x9f\ud800-\udfff]", value)
    )


def _is_band(value: object) -> bool:
    return _is_text(value) or (isinstance(value, int) and _is_number(value))


def _are(each: Callable[[object], bool], least: int, most: int) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and least <= len(value) <= most and all(map(each, value))


def _optional(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or check(value)


_ARE_BANDS = _are(_is_band, 1, 3)

_KINDS: dict[str, Callable[[object], bool]] = {
    "bands": _optional(lambda value: _is_text(value) or _ARE_BANDS(value)),
    "scale": _optional(_are(_is_number, 2, 2)),
    "collar": _is_flag,
    "warp": _is_flag,
    "gsd": _optional(_is_number),
    "aoi": _optional(_is_text),
    "aoi_layer": _optional(_is_text),
    "window": _optional(_are(_is_number, 4, 4)),
    "refine": _is_flag,
    "min_confidence": _is_number,
    "simplify": lambda value: _is_text(value) or _is_number(value),
    "min_area": _is_number,
}

OPTIONS = tuple(_KINDS)
"""Names of what is asked for beside the classes and decides the map: none tells where anything is written or read,
how much memory or time it takes, or what is overwritten."""


@dataclass(frozen=True)
class Settings:
    """What an earlier map was asked for beside its scene and classes.

    Attributes
    ----------
    model : str
        A name that `models.find` may know, be it a pair's.
    options : dict of str to object
        By those names of `map_scene`'s arguments that are `OPTIONS`, of the kinds that these take; that they are within
        their ranges, who uses them checks. Of a file as the area of interest only the name, without folders.
    others : tuple of str
        Names of options that this release writes into no map.
    """

    model: str
    options: dict[str, Any]
    others: tuple[str, ...] = ()


def settings_of(path: str | Path) -> Settings:
    """Read from a map's tags what it was asked for, whichever release wrote it, whoever changed it since.

    Raises
    ------
    SceneError
        If it can't be read, is no map of lposs-geo, or its tags are damaged.
    """
    there = on_disk(str(path))
    if there is not None and not there.is_file():  # a pipe would be waited for
        raise SceneError(f"'{path}' is no file, so no map of lposs-geo")
    with open_raster(Raster(escaped(str(path)), linked(str(path)))) as dataset:
        try:
            found = dataset.tags()
        except Exception as error:  # tags of any kind, by anybody
            raise SceneError(f"the tags of '{path}' can't be read ({one_line(error)}): take another map") from error
    if MAP_TAG not in found:
        raise SceneError(f"'{path}' is no map of lposs-geo: its tags tell no settings")
    damaged = f"the settings in the tags of '{path}' are damaged"
    try:
        text, model = found[_OPTIONS_TAG], found[_MODEL_TAG]
        options = json.loads(text) if len(text) <= LONGEST_SETTINGS else None
    except (KeyError, ValueError, RecursionError) as error:
        raise SceneError(f"{damaged}: take another map") from error
    if not isinstance(options, dict) or not _is_text(model):
        raise SceneError(f"{damaged}: take another map")
    known = {name: value for name, value in options.items() if name in _KINDS}
    for name, value in known.items():
        if not _KINDS[name](value):
            raise SceneError(f"{damaged} ({name} can't be {json.dumps(value)[:60]}): take another map")
    if known.get("scale") is not None:
        known["scale"] = tuple(known["scale"])
    return Settings(model, known, tuple(sorted(options.keys() - known.keys())))


def request(facts: Facts, legend: Legend, options: Mapping[str, object]) -> str:
    """What tells whether a map that is there is the one asked for: a digest of all that decides its files.

    Parameters
    ----------
    facts : Facts
        Of `run_facts`.
    legend : Legend
    options : mapping
        What was asked for beside the classes.
    """
    asked = json.dumps([facts, legend.as_dict(), options], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()


def for_people(tags: Mapping[str, str]) -> dict[str, str]:
    """Our tags by the names that a reader of a report understands."""
    return {
        name.removeprefix(_OURS).replace("_", " ").capitalize(): value
        for name, value in tags.items()
        if name.startswith(_OURS) and name != REQUEST_TAG
    }


def as_properties(tags: Mapping[str, str]) -> dict[str, Any]:
    """Our tags as properties of a STAC item."""
    return {
        f"lposs_geo:{name.removeprefix(_OURS).lower()}": json.loads(value) if name in _JSON_TAGS else value
        for name, value in tags.items()
        if name.startswith(_OURS)
    }
