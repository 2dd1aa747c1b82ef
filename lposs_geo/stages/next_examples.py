"""Where the user should look next, once a scene's patches are scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.examples.candidates import Inside, Patches
from lposs_geo.examples.examples import Examples
from lposs_geo.examples.suggest import DEFAULT_COUNT, Suggestion, suggest
from lposs_geo.scene.description import Scene
from lposs_geo.scene.reader import SceneReader, open_scene
from lposs_geo.stages.encode import encode_scene
from lposs_geo.stages.features import LatticeArray, stored_features
from lposs_geo.stages.label import scores_in
from lposs_geo.stages.task import Task
from lposs_geo.store.journal import Journal

__all__ = ["next_examples"]


def next_examples(task: Task, scene: Scene, store: Journal, journal: Journal) -> tuple[Suggestion, ...]:
    """Suggest points where an example would help most.

    Parameters
    ----------
    task : Task
    scene : Scene
    store : Journal
        Of features; what it lacks is encoded.
    journal : Journal
        Of the run: `label.label_scene` has come to its end.
    """
    looks = task.looks(scene.grid)
    with open_scene(scene) as reader:
        for _ in encode_scene(reader, task.encoder, looks, store):
            pass
    finest = stored_features(looks, store)[-1]
    _, scores = scores_in(journal, finest, task, scene)
    classes = _Classes(scores, task.words.num_classes)
    patches = Patches(classes, finest.vm, finest.valid, finest.patch_size, task.window, power=task.confidence_power)
    examples = None if task.teaching is None else task.teaching.examples
    drawn = None if examples is None else np.stack(examples.pixels(1)[:0:-1], axis=1)
    suggested = suggest(patches, 2 * DEFAULT_COUNT, examples=drawn, inside=_not_drawn(examples, task.inside))
    with open_scene(scene) as reader:
        return tuple(point for point in suggested if _has_data(reader, point))[:DEFAULT_COUNT]


def _not_drawn(examples: Examples | None, inside: Inside | None) -> Inside | None:
    """The pixels that a point may lie at: within the area of interest, and on no example."""
    if examples is None:
        return inside

    def may_hold(window: Window) -> NDArray[np.bool_]:
        free = examples.burn(window) == 0
        return np.asarray(free if inside is None else free & inside(window))

    return may_hold


def _has_data(reader: SceneReader, point: Suggestion) -> bool:
    """True if the pixel of a suggestion is valid; of its patch, another one may be."""
    col, row = point.px
    try:
        return bool(reader.read(Window(int(col), int(row), 1, 1))[1].all())
    except SceneError:
        return False


@dataclass(frozen=True)
class _Classes:
    """Scores without those of rivals."""

    scores: LatticeArray
    count: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.scores.shape[:2], self.count)

    def __getitem__(self, window: tuple[slice, slice], /) -> NDArray[Any]:
        return self.scores[window][..., : self.count]
