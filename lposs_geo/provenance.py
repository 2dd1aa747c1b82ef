"""A map's origin: what identifies a run and its features, and the tags of a map that tell how to make it again.

Reading a map's tags loads no torch.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lposs_geo.errors import ParameterError, SceneError, escaped, one_line
from lposs_geo.examples.learned import Learned, to_text
from lposs_geo.examples.lesson import Lesson
from lposs_geo.files.odd_names import linked
from lposs_geo.legend.legend import Legend
from lposs_geo.request import SETTINGS, Request
from lposs_geo.scene.folders import MAP_TAG
from lposs_geo.scene.names import on_disk
from lposs_geo.scene.opening import Raster, open_raster

__all__ = [
    "EXAMPLES_TAG",
    "FAILED_TAG",
    "FINGERPRINT_TAG",
    "LEARNED_TAG",
    "REQUEST_TAG",
    "SOURCE_TAG",
    "Facts",
    "Recipe",
    "Settings",
    "as_properties",
    "for_people",
    "settings_in",
    "settings_of",
    "tags_of",
]

_OURS = "LPOSS_GEO_"
REQUEST_TAG = f"{_OURS}REQUEST"
FAILED_TAG = f"{_OURS}FAILED_TILES"
SOURCE_TAG = f"{_OURS}SOURCE"
FINGERPRINT_TAG = f"{_OURS}MODEL_FINGERPRINT"
EXAMPLES_TAG = f"{_OURS}EXAMPLES"
LEARNED_TAG = f"{_OURS}LEARNED"
_MODEL_TAG = f"{_OURS}MODEL"
_PARAMETERS_TAG, _OPTIONS_TAG, _UNFAMILIAR_TAG = (f"{_OURS}{n}" for n in ("PARAMETERS", "OPTIONS", "UNFAMILIAR_WORDS"))
_JSON_TAGS = {_PARAMETERS_TAG, _OPTIONS_TAG, _UNFAMILIAR_TAG, FAILED_TAG, EXAMPLES_TAG}
_FOR_PROGRAMS = {REQUEST_TAG, LEARNED_TAG}
"""Tags that tell a person nothing."""

LONGEST_SETTINGS = 100_000
"""Characters of a tag with settings, which has some hundred."""

LONGEST_NAME = 2_000
"""Characters of a model's name; a pair's holds two paths."""

Facts = dict[str, Any]
"""All that decides a result, ready for JSON, by names that a user understands."""


@dataclass(frozen=True)
class Recipe:
    """All that a map depends on: it identifies a run, the features that it uses, and the map.

    Attributes
    ----------
    features : Facts
        What the features depend on.
    run : Facts
        What finished tiles depend on beside that.
    numbers : mapping
        The method's numbers, and how the scene is seen.
    legend : Legend
    request : Request
    unfamiliar : tuple of str
        Words that the model can't know.
    """

    features: Facts
    run: Facts
    numbers: Mapping[str, object]
    legend: Legend
    request: Request
    unfamiliar: tuple[str, ...] = ()

    @property
    def begun_with(self) -> Facts:
        """Facts that a run must have been begun with to be gone on with."""
        return self.features | self.run

    @property
    def release(self) -> str:
        """The version of lposs-geo."""
        return str(self.features["version"])

    @property
    def digest(self) -> str:
        """A digest of all that decides the map's files: the same for a map that is there if it is the one asked for."""
        asked = json.dumps([self.begun_with, self.legend.as_dict(), self.request.to_tags()], sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()

    def tags(
        self,
        failed: Sequence[Mapping[str, object]] = (),
        lesson: Lesson | None = None,
        learned: Learned | None = None,
    ) -> dict[str, str]:
        """All that it takes to make the map again, and what is missing in it, as tags of a file.

        Parameters
        ----------
        failed : sequence of mapping
            Tiles that couldn't be labelled, ready for JSON.
        lesson : Lesson, optional
            What the map's examples have taught.
        learned : Learned, optional
            What was learnt before, where the map has no examples of its own.

        Raises
        ------
        LegendError
            If what was learnt is too long for tags.
        """
        return {
            "TIFFTAG_SOFTWARE": f"lposs-geo {self.release}",
            MAP_TAG: self.release,
            REQUEST_TAG: self.digest,
            _MODEL_TAG: self.features["model"]["name"],
            FINGERPRINT_TAG: self.features["model"]["fingerprint"],
            SOURCE_TAG: self.features["scene"]["name"],
            _PARAMETERS_TAG: json.dumps(self.numbers),
            _OPTIONS_TAG: json.dumps(self.request.to_tags()),
            _UNFAMILIAR_TAG: json.dumps(list(self.unfamiliar)),
        } | self._further_tags(failed, lesson, learned)

    def _further_tags(
        self, failed: Sequence[Mapping[str, object]], lesson: Lesson | None, learned: Learned | None
    ) -> dict[str, str]:
        """Those that not every map has."""
        tags = {FAILED_TAG: json.dumps(list(failed))} if failed else {}
        if lesson is not None:
            examples = {"file": self.request.to_tags()["examples"], "digest": lesson.examples.digest}
            tags[EXAMPLES_TAG] = json.dumps(examples | {"counts": lesson.examples.counts})
            learned = lesson.learned
        if learned is not None:
            tags[LEARNED_TAG] = to_text(learned)
        return tags


@dataclass(frozen=True)
class Settings:
    """Settings of an earlier map: all that was asked for beside its scene and classes.

    Attributes
    ----------
    model : str
        A name that `models.find` may know, be it a pair's.
    options : dict of str to object
        By those keywords of `map_scene` that are `request.SETTINGS`. Of a file as the area of interest only the name,
        without folders.
    others : tuple of str
        Names of options that this release writes into no map.
    """

    model: str
    options: dict[str, Any]
    others: tuple[str, ...] = ()


def tags_of(path: str | Path) -> dict[str, str]:
    """Read the tags of a map, whichever release wrote it, whoever changed it since.

    Raises
    ------
    SceneError
        If it can't be read, or is no map of lposs-geo.
    """
    file = on_disk(str(path))
    if file is not None and not file.is_file():  # a pipe would be waited for
        raise SceneError(f"'{path}' is no file, so no map of lposs-geo")
    with open_raster(Raster(escaped(str(path)), linked(str(path)))) as dataset:
        try:
            tags: dict[str, str] = dataset.tags()
        except Exception as error:  # tags of any kind, by anybody
            raise SceneError(f"the tags of '{path}' can't be read ({one_line(error)})", hint=_ANOTHER) from error
    if MAP_TAG not in tags:
        raise SceneError(f"'{path}' is no map of lposs-geo: its tags tell no settings")
    return tags


def settings_of(path: str | Path) -> Settings:
    """Read from a map's tags what it was asked for.

    Raises
    ------
    SceneError
        If it can't be read, is no map of lposs-geo, or its tags are damaged.
    """
    return settings_in(tags_of(path), path)


def settings_in(tags: Mapping[str, str], path: str | Path) -> Settings:
    """What a map was asked for, by its tags; `path` names it in messages.

    Raises
    ------
    SceneError
        If they are damaged.
    """
    damaged = f"the settings in the tags of '{path}' are damaged"
    try:
        text, model = tags[_OPTIONS_TAG], tags[_MODEL_TAG]
        options = json.loads(text) if len(text) <= LONGEST_SETTINGS else None
    except (KeyError, ValueError, RecursionError) as error:
        raise SceneError(damaged, hint=_ANOTHER) from error
    if not isinstance(options, dict) or not re.fullmatch(
        rf"[^\0-\x1f\x7f-\x9f\ud800-\udfff]{{0,{LONGEST_NAME}}}", model
    ):
        raise SceneError(damaged, hint=_ANOTHER)
    try:
        known = Request.from_tags(options)
    except (ParameterError, ValueError, TypeError, OverflowError) as error:
        raise SceneError(f"{damaged} ({one_line(error)})", hint=_ANOTHER) from error
    return Settings(model, known, tuple(sorted(options.keys() - set(SETTINGS))))


_ANOTHER = "take another map"


def for_people(tags: Mapping[str, str]) -> dict[str, str]:
    """Our tags by the names that a reader of a report understands."""
    return {
        name.removeprefix(_OURS).replace("_", " ").capitalize(): value
        for name, value in tags.items()
        if name.startswith(_OURS) and name not in _FOR_PROGRAMS
    }


def as_properties(tags: Mapping[str, str]) -> dict[str, Any]:
    """Our tags as properties of a STAC item."""
    return {
        f"lposs_geo:{name.removeprefix(_OURS).lower()}": json.loads(value) if name in _JSON_TAGS else value
        for name, value in tags.items()
        if name.startswith(_OURS) and name != LEARNED_TAG
    }
