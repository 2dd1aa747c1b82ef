"""An earlier map by its own tags: what was asked for, its classes, and what was learnt from its examples.

A map may come from anybody, and its tags say what they say: they never decide what is written where, and of what is
read only the scene's name, which is looked for beside the map and in the working folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from lposs_geo import models
from lposs_geo.errors import LegendError, ParameterError, SceneError
from lposs_geo.examples.learned import Learned, from_text
from lposs_geo.files.odd_names import linked
from lposs_geo.grid import Grid, on_ground
from lposs_geo.legend.building import Entry, build
from lposs_geo.legend.legend import Legend
from lposs_geo.legend.words import quoted, said
from lposs_geo.models import Model
from lposs_geo.provenance import FINGERPRINT_TAG, LEARNED_TAG, SOURCE_TAG, Settings, settings_in, tags_of
from lposs_geo.request import OF_EXAMPLES, MapOptions
from lposs_geo.scene.aoi import is_box
from lposs_geo.scene.names import SceneLike, on_disk
from lposs_geo.writers.rasters import LEGEND_TAG, read_label_legend

__all__ = ["EarlierMap", "check_grid", "classes_of", "find_scene", "model_of", "read_earlier", "with_settings"]

MOST_NAMED = 5
"""Of the names in a message."""

LONGEST_NAME = 256
"""Letters of a scene's name, and one more."""

NEAR = 0.01
"""Px that two grids may differ by, when files have rounded them."""


@dataclass(frozen=True, eq=False)
class EarlierMap:
    """A map that another one goes on from.

    Attributes
    ----------
    path : Path
    settings : Settings
    classes : Legend or Learned
        Its legend, or all that was learnt from its examples, with the legend.
    source : str
        What its tags call the scene.
    fingerprint : str
        Of its model's weights.
    grid : Grid
    """

    path: Path
    settings: Settings
    classes: Legend | Learned
    source: str
    fingerprint: str
    grid: Grid


def read_earlier(path: str | Path) -> EarlierMap:
    """Read a map of labels, whoever changed its tags.

    Raises
    ------
    SceneError
        If it is no map of lposs-geo, can't be read, or its tags are damaged.
    LegendError
        If what its tags have learnt is damaged.
    """
    tags = tags_of(path)
    classes = _classes_in(tags, path)
    try:
        with rasterio.open(linked(str(path))) as dataset:
            grid = Grid(dataset.height, dataset.width, None, dataset.transform)
    except Exception as error:  # of GDAL, in several families
        raise SceneError(f"'{path}' can't be opened as a raster: {said(error)}") from error
    return EarlierMap(
        path=Path(path),
        settings=settings_in(tags, path),
        classes=classes,
        source=tags.get(SOURCE_TAG, ""),
        fingerprint=tags.get(FINGERPRINT_TAG, ""),
        grid=grid,
    )


def classes_of(path: str | Path) -> Legend | Learned:
    """The classes of a map, with what was learnt of them from examples.

    Raises
    ------
    SceneError
        If it is no map of lposs-geo, can't be read, or its tags are damaged.
    LegendError
        If what its tags have learnt is damaged.
    """
    return _classes_in(tags_of(path), path)


def _classes_in(tags: Mapping[str, str], path: str | Path) -> Legend | Learned:
    if LEGEND_TAG not in tags:
        raise SceneError(f"'{path}' is no map of classes: its tags tell none", hint="give the map itself")
    legend = read_label_legend(path)
    learned = from_text(tags[LEARNED_TAG], f"what the tags of '{path}' have learnt") if LEARNED_TAG in tags else None
    if learned is not None:
        if learned.legend.classes != legend.classes:
            raise SceneError(f"the tags of '{path}' are damaged: they tell of two legends", hint="take another map")
        return learned
    entries = [Entry(each.name, each.prompts, each.colour, each.negatives, each.code) for each in legend.classes]
    try:
        is_fit = bool(entries) and all(legend.prompts) and build(entries, f" of '{path}'") == legend.classes
    except LegendError as error:
        raise SceneError(f"the classes of '{path}' can't be mapped again: {error.problem}") from error
    if not is_fit:
        raise SceneError(f"the classes of '{path}' can't be mapped again: they aren't as a map has them")
    return legend


def with_settings(
    settings: Settings, path: str | Path, options: Mapping[str, Any], named: frozenset[str], *, same_scene: bool = False
) -> dict[str, Any]:
    """The options of a call or a command with an earlier map's in place of those that nobody named.

    Parameters
    ----------
    settings : Settings
        Of the earlier map.
    path : str or Path
        What messages call that map.
    options : mapping of str to object
        All that are known, as given or by default.
    named : frozenset of str
        Which of them were given: they win.
    same_scene : bool
        Whether it is the earlier map's scene that is mapped: then so is the window in pixels.

    Raises
    ------
    ParameterError
        If the map was made with what these options can't tell, its area of interest must be named again, or its tags
        name an option that no map takes over to another.
    """
    never = [name for name in settings.others if name in options or name in MapOptions.__annotations__]
    if never:
        raise ParameterError(
            f"the tags of '{path}' set what is never taken over: {_listed(never)}; no such map is ours",
            hint="don't trust it",
        )
    if settings.others:
        raise ParameterError(
            f"the map '{path}' was made by another release with options that this one lacks: {_listed(settings.others)}"
        )
    earlier = {name: value for name, value in settings.options.items() if name not in OF_EXAMPLES}
    window, area = earlier.pop("window", None), earlier.get("aoi")
    if "aoi" in named:
        if Path(options["aoi"]).name != area:
            earlier["aoi_layer"] = None  # it is a layer of another file
    elif window is not None and not same_scene:
        raise ParameterError(f"the map '{path}' was made of a window in pixels", hint="name its box by <aoi>")
    elif area is not None and not is_box(area):  # the tags tell no folder
        raise ParameterError(f"the map '{path}' was cut to '{area}'", hint="name that file by <aoi>")
    elif window is not None and "window" not in named:
        earlier |= {"window": window, "aoi": None}
    return dict(options) | {name: value for name, value in earlier.items() if name not in named}


def model_of(name: str, whose: str) -> Model:
    """The model that a map, or what was learnt, names; its weights are the bundled or the pulled ones.

    Parameters
    ----------
    name : str
    whose : str
        Begins the lines about faults, like "the map 'map.tif'".

    Raises
    ------
    ParameterError
        If it names a file with weights: whose file it is doesn't choose which one is opened here.
    ModelError
        If no model has that name.
    """
    if "@" in name:
        raise ParameterError(
            f"{whose} was made with weights in a file of somebody's own ({name})",
            hint="name the model again, with <vlm> and <vm>",
        )
    return models.find(name)


def find_scene(earlier: EarlierMap, named: SceneLike | None = None) -> SceneLike:
    """The scene of an earlier map: the one that is named, else what lies beside the map or in the working folder.

    Raises
    ------
    SceneError
        If it is in neither, the map's tags name no file, or it is the map itself.
    """
    if named is not None:
        if isinstance(named, str | Path) and _is_file(str(named), earlier.path):
            raise SceneError(f"'{named}' is the map that is corrected, and no scene", hint="name its scene by <scene>")
        return named
    name = earlier.source
    if name and name == Path(name).name and name.strip(".") and len(name) < LONGEST_NAME and "\0" not in name:
        for folder in (earlier.path.parent, Path()):
            path = on_disk(str(folder / name))
            if path is not None and not _is_file(str(path), earlier.path):
                return path
    raise SceneError(
        f"the scene of '{earlier.path}', {quoted(name)}, is neither beside it nor here", hint="name it by <scene>"
    )


def _is_file(name: str, file: Path) -> bool:
    path = on_disk(name)
    return path is not None and path.samefile(file)


def check_grid(earlier: EarlierMap, grid: Grid, scene: str) -> None:
    """Refuse to correct a map on other pixels than its own.

    Parameters
    ----------
    earlier : EarlierMap
    grid : Grid
        Of the map that is to be made.
    scene : str
        What messages call the scene.

    Raises
    ------
    SceneError
        If they differ.
    """
    own = earlier.grid
    corners = np.array([[0, 0], [own.width, 0], [0, own.height]], dtype=float)
    is_same = (own.height, own.width) == (grid.height, grid.width)
    if is_same:
        off = on_ground(on_ground(corners, own.transform), ~grid.transform) - corners
        is_same = bool((np.abs(off) < NEAR).all())
    if not is_same:
        raise SceneError(
            f"'{earlier.path}' isn't on the pixels that '{scene}' gives now, so it can't be corrected by it",
            hint="name the scene that it was made from by <scene>",
        )


def _listed(names: Sequence[str]) -> str:
    """Names that somebody else wrote, as one short line."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(ascii(name)[1:-1][:40] for name in names[:MOST_NAMED]) + more
