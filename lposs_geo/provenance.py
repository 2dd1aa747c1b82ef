"""What a map was made from and with: what decides its pixels, and the tags that tell it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from lposs_geo import models
from lposs_geo.aoi import Area
from lposs_geo.labelling import FailedTile, Task
from lposs_geo.legend import Legend
from lposs_geo.patch_stage import parameters_for
from lposs_geo.scene import Scene, identity

__all__ = ["Facts", "feature_facts", "parameters", "run_facts", "tags"]

Facts = dict[str, Any]
"""What decides what a map will be, ready for JSON, by names that a user understands."""


def feature_facts(scene: Scene, model: models.Model, task: Task) -> Facts:
    """All that the features depend on."""
    encoder = task.encoder
    return {
        "version": version("lposs-geo"),
        "scene": identity(scene),
        "model": {"name": model.name, "fingerprint": models.fingerprint(model)},
        "device": encoder.device.type,
        "resolution": [task.zoom, *encoder.scales, encoder.crop_size, encoder.stride, encoder.patch_size],
        "area": task.seen(scene.grid).flatten(),
    }


def run_facts(facts: Facts, legend: Legend, task: Task, numbers: Mapping[str, object], inside: Area | None) -> Facts:
    """All that the finished tiles of a run depend on."""
    return facts | {
        "classes": legend.as_dict()["classes"],
        "numbers": numbers,
        "window": task.area.flatten(),
        "area of interest": None if inside is None else inside.digest,
        "tiles": task.plan[0].core.flatten(),
        "set of layers": task.num_layers,
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
        "LPOSS_GEO_VERSION": release,
        "LPOSS_GEO_MODEL": facts["model"]["name"],
        "LPOSS_GEO_MODEL_FINGERPRINT": facts["model"]["fingerprint"],
        "LPOSS_GEO_SOURCE": facts["scene"]["name"],
        "LPOSS_GEO_PARAMETERS": json.dumps(numbers),
        "LPOSS_GEO_OPTIONS": json.dumps(options),
        "LPOSS_GEO_UNFAMILIAR_WORDS": json.dumps(list(unfamiliar)),
    } | ({"LPOSS_GEO_FAILED_TILES": json.dumps(missing)} if failed else {})
