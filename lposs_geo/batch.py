"""Many scenes, one map each: one that fails doesn't stop the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack, cast

from lposs_geo.errors import (
    FinishedError,
    LpossGeoError,
    OutOfMemoryError,
    OutputError,
    SceneError,
    defect,
    escaped,
)
from lposs_geo.files.outputs import PLACEHOLDER, for_scene
from lposs_geo.mapping import Classes, Mapper, model_for
from lposs_geo.products import BESIDE_LABELS
from lposs_geo.progress import Listener
from lposs_geo.request import MapOptions
from lposs_geo.running import MapResult
from lposs_geo.scene.names import stem

__all__ = ["Outcome", "map_batch"]


@dataclass(frozen=True)
class Outcome:
    """The outcome of one scene: its map, the error, or neither where it was finished already.

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
    classes: Classes,
    dst: str | Path,
    *,
    mapper: Mapper | None = None,
    progress: Listener | None = None,
    **options: Unpack[MapOptions],
) -> Iterator[Outcome]:
    """Map scenes one after the other, with a model that is loaded once.

    Parameters
    ----------
    scenes : sequence of str or Path
        A scene that is named twice is mapped once.
    classes : str, sequence of str, Legend, or Learned
    dst : str or Path
        GeoTIFF to write, with ``{name}`` where the scene's name without its ending goes.
    mapper : Mapper, optional
        By default that of the model that the classes were learnt with, else of the best one that is installed.
    progress : callable, optional
        Called with (stage, done, total) of the scene at work.
    **options
        As for `map_scene`; the names of its other outputs have ``{name}`` in them, too. With ``resume`` the scenes
        whose map is there, made in the same way, are left out. Of ``examples`` each scene takes those that lie on it,
        and one on which none lies fails.

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
    named: dict[str, Any] = {"dst": dst} | dict(options)
    outputs = {name: named[name] for name in ("dst", *BESIDE_LABELS) if named.get(name) is not None}
    for output in outputs.values():
        if PLACEHOLDER not in str(output):
            raise OutputError(f"output '{output}' is one file for {len(sources)} scenes: put {PLACEHOLDER} into it")
    by_name: dict[str, str] = {}
    for source in sources:
        other = by_name.setdefault(stem(source).casefold(), source)
        if other is not source:
            raise OutputError(f"'{other}' and '{source}' would have the same outputs: map them in two runs")
    mapper = mapper or Mapper.load(model_for(classes))
    return _map_all(mapper, sources, classes, outputs, options, progress)


def _map_all(
    mapper: Mapper,
    scenes: Sequence[str],
    classes: Classes,
    outputs: Mapping[str, str | Path],
    options: MapOptions,
    progress: Listener | None,
) -> Iterator[Outcome]:
    for scene in scenes:
        own: dict[str, Any] = {name: for_scene(output, stem(scene)) for name, output in outputs.items()}
        name = escaped(f"{stem(scene)}{Path(scene.partition('?')[0]).suffix}")
        labels, beside = own.pop("dst"), cast(MapOptions, own)
        try:
            result = mapper.map(scene, classes, labels, progress=progress, **(options | beside))
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
