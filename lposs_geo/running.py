"""From a scene to a map: the only module that knows the whole flow.

survey the scene -> plan the work -> encode the scene's crops into the feature store -> block by block, propagate the
class scores over the patches -> tile by tile, sharpen them over the pixels -> all files of the map. What is finished
goes to a journal, from which a run that was cut off goes on; every output appears only when all are complete.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from rasterio.windows import Window

from lposs_geo.content import Content, Tiles
from lposs_geo.encoders.encoder import Encoder
from lposs_geo.errors import DamagedError, FinishedError, OutOfMemoryError, OutputError, SceneChangedError, SceneError
from lposs_geo.examples.agreement import Agreement
from lposs_geo.examples.changes import Changes
from lposs_geo.examples.effect import effect_in_words
from lposs_geo.examples.learned import Learned
from lposs_geo.examples.lesson import Lesson
from lposs_geo.examples.suggest import Suggestion
from lposs_geo.files.room import check_size
from lposs_geo.hints import Notice
from lposs_geo.legend.legend import Legend
from lposs_geo.memory import Budget, is_out_of_memory
from lposs_geo.needs import check_room_for_products, check_room_for_work
from lposs_geo.planning import ModelIdentity, Plan, Survey, Work, plan, survey
from lposs_geo.products import Outputs, write_products
from lposs_geo.progress import Progress
from lposs_geo.request import Request
from lposs_geo.scene.description import Scene
from lposs_geo.scene.identity import check_unchanged
from lposs_geo.scene.names import SceneLike
from lposs_geo.scene.tiled_copy import copy_in_tiles, is_slow_in_tiles
from lposs_geo.stages.features import is_encoded
from lposs_geo.stages.label import TILES, FailedTile, finished_tile, label_scene
from lposs_geo.stages.lesson import kept_lesson
from lposs_geo.stages.next_examples import next_examples
from lposs_geo.store import cache
from lposs_geo.store.journal import Journal, open_journal
from lposs_geo.store.runs import may_replace, open_run, run_folder
from lposs_geo.writers.rasters import ClassArea

if TYPE_CHECKING:
    import geopandas

__all__ = ["MapResult", "Run", "working"]

log = logging.getLogger("lposs_geo")


@dataclass(frozen=True)
class MapResult:
    """A finished map.

    Attributes
    ----------
    outputs : Outputs
        The files.
    scene : Scene
        The input and how it was read.
    legend : Legend
    model, device : str
        What it was made with.
    areas : tuple of ClassArea
        In legend order.
    notices : tuple of Notice
        What to beware of.
    seconds : dict of str to float
        Time at work by stage, see `progress.STAGES`. Where stages overlap, the sum is more than the time that passed.
    failed : tuple of FailedTile
        Usually none.
    agreement : Agreement or None
        With the examples that the map was made from; it is no accuracy.
    changes : Changes or None
        From the map that was corrected.
    lesson : Lesson or None
        What examples have taught.
    """

    outputs: Outputs
    scene: Scene
    legend: Legend
    model: str
    device: str
    areas: tuple[ClassArea, ...]
    notices: tuple[Notice, ...]
    seconds: dict[str, float]
    failed: tuple[FailedTile, ...]
    agreement: Agreement | None = None
    changes: Changes | None = None
    lesson: Lesson | None = None

    @property
    def effect(self) -> str:
        """What examples did to the map, in a sentence; empty without them."""
        return effect_in_words(self.agreement, self.changes)

    @property
    def labels(self) -> Path:
        return self.outputs.labels

    @property
    def vector(self) -> Path | None:
        return self.outputs.paths.get("vector")

    def polygons(self) -> geopandas.GeoDataFrame:
        """The polygons that were written, as a table of geopandas.

        Raises
        ------
        OutputError
            If none were asked for.
        """
        import geopandas

        if self.vector is None:
            raise OutputError("this map was made without polygons", hint="name a file for <vector>")
        if self.vector.suffix.lower() == ".parquet":
            return geopandas.read_parquet(self.vector)
        return geopandas.read_file(self.vector)


@dataclass(frozen=True)
class Run:
    """One map on its way.

    Attributes
    ----------
    model : ModelIdentity
    outputs : Outputs
    progress : Progress
    resume : bool
        Go on with a run on the same outputs that was cut off.
    overwrite : bool
        Replace existing outputs.
    earlier : Path, optional
        The map that is corrected, on the same grid.
    """

    model: ModelIdentity
    outputs: Outputs
    progress: Progress
    resume: bool
    overwrite: bool
    earlier: Path | None = None

    def prepare(
        self,
        src: SceneLike,
        request: Request,
        classes: Legend | Learned,
        work: Work,
        encoder: Callable[[], Encoder],
    ) -> Plan:
        """Look at the scene, refuse what can't be done, and decide the rest; the encoder is asked for last."""
        seen = survey(src, request, classes)
        self._check_outputs(seen, self.overwrite or self.resume)
        check_size(seen.window, len(seen.legend) if work.keep_probabilities else 1, seen.scene.path)
        log.info("bands %s as red, green, blue: %s", ",".join(map(str, seen.scene.bands)), seen.scene.bands_reason)
        _warn(seen.notices)
        loaded = encoder()
        log.info("model %s on %s", self.model.name, loaded.device)
        planned = plan(seen, loaded, self.model, work)
        _warn(planned.notices[len(seen.notices) :])
        if planned.task.zooms != [1.0]:
            log.info(
                "the scene is seen at %s times its size", " and ".join(f"{zoom:.4g}" for zoom in planned.task.zooms)
            )
        return planned

    def _check_outputs(self, seen: Survey, overwrite: bool) -> None:
        has = {
            "suggest": len(seen.legend) > 1,
            "earlier": self.earlier is not None,
            "lesson": seen.examples is not None,
        }
        given = {name for name, is_there in has.items() if is_there}
        sources = (*seen.sources, *([self.earlier] if self.earlier else []))
        self.outputs.check(seen.scene, sources=sources, overwrite=overwrite, given=given)

    def carry_out(self, planned: Plan) -> MapResult:
        """Do what is left to be done, in the run's own folder, and put all files in their places."""
        scene, recipe, labels = planned.scene, planned.recipe, self.outputs.labels
        wanted = list(self.outputs.paths.values())
        if self.resume and not run_folder(labels).exists() and self.outputs.are_finished(recipe.digest):
            raise FinishedError(f"'{labels}' is finished already, with the same scene, words and numbers")
        overwrites = self.overwrite or (self.resume and may_replace(labels, recipe.begun_with, wanted))
        self._check_outputs(planned.survey, overwrites)
        opened = open_run(
            labels,
            recipe.begun_with,
            kind=TILES,
            resume=self.resume,
            overwrite=self.overwrite,
            replaces=wanted if self.overwrite else [],
        )
        with opened as journal, _dropped_if_changed(journal):
            labelled = self._label(planned, journal)
            content = _content(planned, labelled, journal, self.earlier)
            polygons, folder = planned.survey.request.polygons, run_folder(labels)
            check_room_for_products(self.outputs, content, polygons, folder)
            written = write_products(self.outputs, content, polygons, self.progress, folder)
        return MapResult(
            outputs=self.outputs,
            scene=scene,
            legend=planned.legend,
            model=self.model.name,
            device=str(planned.task.encoder.device),
            areas=written.areas,
            notices=planned.notices,
            seconds=self.progress.seconds,
            agreement=written.agreement,
            changes=written.changes,
            failed=tuple(labelled.failed),
            lesson=content.lesson,
        )

    def _label(self, planned: Plan, journal: Journal) -> _Labelled:
        """Label what the journal lacks; with the scene as it is quick to read, perhaps a copy."""
        with _feature_store(planned.scene, planned.recipe.features, journal, planned.task.keep_graphs) as store:
            while True:
                try:
                    return self._label_from(planned, store, journal)
                except DamagedError as error:  # from now on what is damaged isn't there, and all else is sound
                    log.warning("%s", Notice(error.problem, "what is missing is made again"))

    def _label_from(self, planned: Plan, store: Journal, journal: Journal) -> _Labelled:
        """The same, with the features in a store."""
        scene, task = planned.scene, planned.task
        check_room_for_work(task, scene, store, journal)
        if is_encoded(task.looks(scene.grid), store):
            log.info("this scene's features are kept from before: the encoders needn't run")
        else:  # what sees is loaded here, where a signal can break that off, and not in a thread to wait for
            with self.progress.running("load"):
                task.encoder.prepare()
        source = _readable(scene, journal, task.budget, task.read(scene.grid))
        failed = label_scene(task, source, store, journal, self.progress)
        suggestions: tuple[Suggestion, ...] = ()
        if "suggest" in self.outputs.paths:
            with self.progress.running("learn"):
                suggestions = next_examples(task, source, store, journal)
        return _Labelled(source, failed, suggestions)


@dataclass(frozen=True)
class _Labelled:
    """A scene whose tiles are finished, but for those that failed.

    Attributes
    ----------
    source : Scene
        It itself, or a copy that is quicker to read.
    failed : sequence of FailedTile
    suggestions : sequence of Suggestion
        Where an example would help most, if that was asked for.
    """

    source: Scene
    failed: Sequence[FailedTile]
    suggestions: Sequence[Suggestion]


def _content(planned: Plan, labelled: _Labelled, journal: Journal, earlier: Path | None) -> Content:
    recipe, task, failed = planned.recipe, planned.task, labelled.failed
    lesson = kept_lesson(task, journal)

    def tiles() -> Tiles:
        """Finished tiles that hold data."""
        for tile in task.plan:
            layers = finished_tile(journal, tile)
            if layers is not None:
                yield tile.core, layers

    return Content(
        scene=planned.scene,
        source=labelled.source,
        window=task.window,
        legend=planned.legend,
        tiles=tiles,
        tags=recipe.tags([tile.as_dict() for tile in failed], lesson=lesson, learned=planned.survey.learned),
        facts={"Model": recipe.features["model"]["name"], "Software": f"lposs-geo {recipe.release}"},
        notices=[*planned.notices, *(Notice(str(tile)) for tile in failed)],
        min_confidence=planned.survey.request.min_confidence,
        lesson=lesson,
        earlier=earlier,
        suggest=lambda count: labelled.suggestions[:count],
    )


def _warn(notices: Sequence[Notice]) -> None:
    for notice in notices:
        log.warning("%s", notice)


@contextmanager
def _dropped_if_changed(journal: Journal) -> Iterator[None]:
    """Keep nothing for `resume` of a scene that was changed meanwhile: the map of the new one is another."""
    try:
        yield
    except SceneChangedError:
        journal.drop()
        shutil.rmtree(_own_features(journal), ignore_errors=True)
        raise


def _own_features(journal: Journal) -> Path:
    """The folder for a run's features if they aren't in the cache."""
    return journal.folder.parent / "features"


@contextmanager
def _feature_store(scene: Scene, facts: Mapping[str, object], journal: Journal, use_cache: bool) -> Iterator[Journal]:
    """The cache's store for this scene and model, or one of the run's own; it keeps nothing of a changed scene."""
    own = _own_features(journal)
    try:
        with cache.open_store(facts, own) if use_cache else open_journal(own) as store:
            try:
                with _unchanged(scene):
                    yield store
            except SceneChangedError:
                store.undo()
                raise
    except OutputError as error:
        if str(cache.folder()) in str(error):
            error.add_note(
                "the cache can be emptied (lposs-geo cache clear), moved (LPOSS_GEO_CACHE) or left (<use_cache=False>)"
            )
        raise


@contextmanager
def _unchanged(scene: Scene) -> Iterator[None]:
    """At the end, or instead of an error that follows from it, refuse a scene that was changed meanwhile."""
    try:
        yield
    except SceneError:
        check_unchanged(scene)
        raise
    check_unchanged(scene)


def _readable(scene: Scene, journal: Journal, budget: Budget, part: Window) -> Scene:
    """The scene itself, or a copy of a part in tiles where the original would be decoded again for each tile."""
    if not is_slow_in_tiles(scene, budget.file_cache, part):
        return scene
    log.info("%s is stored in strips: it is copied into tiles once", scene.name)
    return copy_in_tiles(scene, journal.folder.parent / "scene.tif", part)


@contextmanager
def working() -> Iterator[None]:
    """Without gradients, and with the several ways of running out of memory as one error that says what to do."""
    try:
        with torch.inference_mode():
            yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        whose = "GPU's" if isinstance(error, torch.OutOfMemoryError) else "computer's"
        explained = OutOfMemoryError(
            f"the {whose} memory is full", hint="choose a smaller <max_memory>, fewer classes, or <device=cpu>"
        )
        for note in getattr(error, "__notes__", []):
            explained.add_note(note)
        raise explained from error
