"""Many scenes, one map each: one that fails doesn't stop the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lposs_geo.errors import (
    FinishedError,
    LpossGeoError,
    OutOfMemoryError,
    OutputError,
    SceneError,
    defect,
    escaped,
)
from lposs_geo.files.outputs import BESIDE_LABELS, PLACEHOLDER, for_scene
from lposs_geo.legend.legend import Legend
from lposs_geo.mapping import MapResult, map_scene
from lposs_geo.scene.names import stem

__all__ = ["Outcome", "map_batch"]


@dataclass(frozen=True)
class Outcome:
    """What became of one scene: its map, the error, or neither where `resume` found it finished.

    Attributes
    ----------
    name : str
        Of the scene, without folders.
    result : MapResult or None
    error : LpossGeoError or None
    """

    name: str
    result: MapResult | None = None
    error: LpossGeoError | None = None


def map_batch(
    scenes: Sequence[str | Path],
    classes: str | Sequence[str] | Legend,
    dst: str | Path,
    **options: Any,
) -> Iterator[Outcome]:
    """Map scenes one after the other.

    Parameters
    ----------
    scenes : sequence of str or Path
        A scene that is named twice is mapped once.
    classes : str, sequence of str, or Legend
    dst : str or Path
        GeoTIFF to write, with ``{name}`` where the scene's name without its ending goes.
    **options
        As for `map_scene`; the names of its other outputs have ``{name}`` in them, too. With ``resume`` the scenes
        whose map is there, made in the same way, are left out.

    Yields
    ------
    Outcome
        One for each scene, in order, as soon as it is done.

    Raises
    ------
    SceneError
        If there is no scene.
    OutputError
        If two scenes would have the same outputs. Both before any work is done.
    """
    sources = list(dict.fromkeys(map(str, scenes)))
    if not sources:
        raise SceneError("there is no scene to map")
    outputs = {"dst": dst} | {name: options[name] for name in BESIDE_LABELS if options.get(name) is not None}
    for output in outputs.values():
        if PLACEHOLDER not in str(output):
            raise OutputError(f"output '{output}' is one file for {len(sources)} scenes: put {PLACEHOLDER} into it")
    by_name: dict[str, str] = {}
    for source in sources:
        other = by_name.setdefault(stem(source).casefold(), source)
        if other is not source:
            raise OutputError(f"'{other}' and '{source}' would have the same outputs: map them in two runs")
    return _map_all(sources, classes, outputs, options)


def _map_all(
    sources: Sequence[str], classes: str | Sequence[str] | Legend, outputs: dict[str, Any], options: dict[str, Any]
) -> Iterator[Outcome]:
    for source in sources:
        own = {name: for_scene(output, stem(source)) for name, output in outputs.items()}
        name = escaped(f"{stem(source)}{Path(source.partition('?')[0]).suffix}")
        try:
            result = map_scene(source, classes, **(options | own))
        except FinishedError:
            yield Outcome(name)
        except OutOfMemoryError:
            raise  # the next one would fare no better
        except LpossGeoError as error:
            yield Outcome(name, error=error)
        except Exception as error:  # a defect of ours, or of a library, that this scene brings to light
            explained = LpossGeoError(defect(error))
            explained.__cause__ = error
            explained.__notes__ = getattr(error, "__notes__", [])
            yield Outcome(name, error=explained)
        else:
            yield Outcome(name, result)
