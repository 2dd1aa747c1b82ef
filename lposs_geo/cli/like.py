"""What `lposs-geo map --like` takes over from an earlier map."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lposs_geo.errors import ParameterError

if TYPE_CHECKING:
    from lposs_geo.provenance import Settings

__all__ = ["with_settings"]


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
        If the map was made with what these options can't tell, or its area of interest must be named again.
    """
    from lposs_geo.aoi import is_box

    earlier = dict(settings.options)
    window, area = earlier.pop("window", None), earlier.get("aoi")
    if "aoi" in named:
        if Path(options["aoi"]).name != area:
            earlier["aoi_layer"] = None  # it is a layer of another file
    elif window is not None:
        raise ParameterError(f"the map '{like}' was made of a window in pixels: name its box with --aoi")
    elif area is not None and not is_box(area):  # the tags tell no folder
        raise ParameterError(f"the map '{like}' was cut to '{area}': name that file with --aoi")
    unknown = sorted(earlier.keys() - options.keys())
    if unknown:
        raise ParameterError(
            f"the map '{like}' was made by another release with options that this one lacks: {', '.join(unknown)}"
        )
    return dict(options) | {name: value for name, value in earlier.items() if name not in named}
