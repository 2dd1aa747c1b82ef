"""What `lposs-geo map --like` takes over from an earlier map.

A map may come from anybody, and its tags say what they say: they never decide what is written where, or what is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lposs_geo.errors import ParameterError

if TYPE_CHECKING:
    from lposs_geo.models import Model
    from lposs_geo.provenance import Settings

__all__ = ["model_of", "with_settings"]

MOST_NAMED = 5
"""Of the names in a message."""


def with_settings(settings: Settings, like: Path, options: Mapping[str, Any], named: frozenset[str]) -> dict[str, Any]:
    """The options of a command with an earlier map's in place of those that nobody named.

    Parameters
    ----------
    settings : Settings
        Of the earlier map.
    like : Path
        What messages call that map.
    options : mapping of str to object
        All that the command knows, as given or by default.
    named : frozenset of str
        Which of them were given: they win.

    Raises
    ------
    ParameterError
        If the map was made with what these options can't tell, its area of interest must be named again, or its tags
        name an option that no map takes over to another.
    """
    from lposs_geo.scene.aoi import is_box

    never = [name for name in settings.others if name in options]
    if never:
        raise ParameterError(
            f"the tags of '{like}' set what is never taken over: {_listed(never)}; no such map is ours",
            hint="don't trust it",
        )
    if settings.others:
        raise ParameterError(
            f"the map '{like}' was made by another release with options that this one lacks: {_listed(settings.others)}"
        )
    earlier = dict(settings.options)
    window, area = earlier.pop("window", None), earlier.get("aoi")
    if "aoi" in named:
        if Path(options["aoi"]).name != area:
            earlier["aoi_layer"] = None  # it is a layer of another file
    elif window is not None:
        raise ParameterError(f"the map '{like}' was made of a window in pixels", hint="name its box by <aoi>")
    elif area is not None and not is_box(area):  # the tags tell no folder
        raise ParameterError(f"the map '{like}' was cut to '{area}'", hint="name that file by <aoi>")
    taken = {name: value for name, value in earlier.items() if name not in named}
    return dict(options) | taken


def model_of(settings: Settings, like: Path) -> Model:
    """The model of an earlier map; its weights are the bundled or the pulled ones.

    Raises
    ------
    ParameterError
        If the map names a file with weights: whose map it is doesn't choose which file is opened here.
    ModelError
        If no model has that name.
    """
    from lposs_geo import models

    if "@" in settings.model:
        raise ParameterError(
            f"the map '{like}' was made with weights in a file of somebody's own ({settings.model})",
            hint="name the model again, with <vlm> and <vm>",
        )
    return models.find(settings.model)


def _listed(names: Sequence[str]) -> str:
    """Names that somebody else wrote, as one short line."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(ascii(name)[1:-1][:40] for name in names[:MOST_NAMED]) + more
