"""What a map was made from and with: what decides its pixels, and the tags that tell it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lposs_geo import models
from lposs_geo.aoi import Area
from lposs_geo.errors import SceneError
from lposs_geo.labelling import FailedTile, Task
from lposs_geo.legend import Legend
from lposs_geo.patch_stage import parameters_for
from lposs_geo.scene import Scene, identity
from lposs_geo.sources import MAP_TAG, Source, open_source, stem

__all__ = [
    "FAILED_TAG",
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


@dataclass(frozen=True)
class Settings:
    """What an earlier map was asked for beside its scene and classes.

    Attributes
    ----------
    model : str
        A name that `models.find` knows, be it a pair's.
    options : dict of str to object
        By the names of `map_scene`'s arguments; of a file as the area of interest only the name, without folders.
    """

    model: str
    options: dict[str, Any]


def settings_of(path: str | Path) -> Settings:
    """Read from a map's tags what it was asked for, whichever release wrote it.

    Raises
    ------
    SceneError
        If it can't be read, is no map of lposs-geo, or its tags are damaged.
    """
    with open_source(Source(str(path), str(path))) as dataset:
        found = dataset.tags()
    if MAP_TAG not in found:
        raise SceneError(f"'{path}' is no map of lposs-geo: its tags tell no settings")
    try:
        options = dict[str, Any](json.loads(found[_OPTIONS_TAG]))
        return Settings(found[_MODEL_TAG], options | {"scale": options.get("scale") and tuple(options["scale"])})
    except (KeyError, TypeError, ValueError) as error:
        raise SceneError(f"the settings in the tags of '{path}' are damaged: take another map") from error


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
