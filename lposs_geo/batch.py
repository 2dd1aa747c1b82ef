"""Many scenes, one map each: one that fails doesn't stop the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lposs_geo.errors import LpossGeoError, OutOfMemoryError, OutputError
from lposs_geo.legend import Legend
from lposs_geo.mapping import MapResult, map_scene

__all__ = ["PLACEHOLDER", "Outcome", "map_batch"]

PLACEHOLDER = "{name}"
"""Stands for a scene's file name without its ending in the names of outputs."""


@dataclass(frozen=True)
class Outcome:
    """What became of one scene: its map, the error, or neither where `resume` found it finished."""

    scene: Path
    result: MapResult | None = None
    error: LpossGeoError | None = None


def map_batch(
    scenes: Sequence[str | Path],
    classes: str | Sequence[str] | Legend,
    dst: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    **options: Any,
) -> Iterator[Outcome]:
    """Map scenes one after the other.

    Parameters
    ----------
    scenes : sequence of str or Path
    classes : str, sequence of str, or Legend
    dst : str or Path
        GeoTIFF to write, with ``{name}`` where the scene's name without its ending goes.
    resume : bool
        Leave out the scenes whose map exists, and go on with the one that was cut off.
    overwrite : bool
        Replace existing outputs.
    **options
        As for `map_scene`; the names of its other outputs have ``{name}`` in them, too.

    Yields
    ------
    Outcome
        One for each scene, in order, as soon as it is done.

    Raises
    ------
    OutputError
        If two scenes would have the same outputs; before any work is done.
    """
    paths = [Path(scene) for scene in scenes]
    outputs = {name: value for name, value in options.items() if PLACEHOLDER in str(value)}
    for name in ("vector", "quicklook", "confidence", "scores", "report", "stac"):
        if options.get(name) is not None and name not in outputs:
            raise OutputError(
                f"output '{options[name]}' is one file for {len(paths)} scenes: put {PLACEHOLDER} into it"
            )
    if PLACEHOLDER not in str(dst):
        raise OutputError(f"output '{dst}' is one file for {len(paths)} scenes: put {PLACEHOLDER} into it")
    by_name: dict[str, Path] = {}
    for path in paths:
        other = by_name.setdefault(path.stem.casefold(), path)
        if other is not path:
            raise OutputError(f"'{other}' and '{path}' would have the same outputs: map them in two runs")
    return _map_all(paths, classes, str(dst), outputs, resume, overwrite, options)


def _map_all(
    paths: Sequence[Path],
    classes: str | Sequence[str] | Legend,
    dst: str,
    outputs: dict[str, Any],
    resume: bool,
    overwrite: bool,
    options: dict[str, Any],
) -> Iterator[Outcome]:
    for path in paths:
        own = {name: _filled(value, path) for name, value in outputs.items()}
        labels = _filled(dst, path)
        if resume and labels.exists() and not overwrite:
            yield Outcome(path)
            continue
        try:
            result = map_scene(path, classes, labels, resume=resume, overwrite=overwrite, **(options | own))
        except OutOfMemoryError:
            raise  # the next one would fare no better
        except LpossGeoError as error:
            yield Outcome(path, error=error)
        else:
            yield Outcome(path, result)


def _filled(template: object, scene: Path) -> Path:
    return Path(str(template).replace(PLACEHOLDER, scene.stem))
