"""From a scene to a map: the only place that knows the whole flow.

describe the scene -> encode its crops into the feature store -> block by block, propagate the class scores over the
patches -> tile by tile, sharpen them over the pixels -> all files of the map. What is finished goes to a journal, from
which a run that was cut off goes on; every output appears only when all are complete.
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo import encoders, models, provenance
from lposs_geo.errors import (
    FinishedError,
    OutOfMemoryError,
    OutputError,
    ParameterError,
    SceneChangedError,
    SceneError,
)
from lposs_geo.files.room import check_size
from lposs_geo.grid import Grid, overstates_areas, rounded
from lposs_geo.legend.legend import Legend, from_words
from lposs_geo.legend.words import quoted
from lposs_geo.limits import check_address_space
from lposs_geo.memory import DEFAULT, Budget, is_out_of_memory
from lposs_geo.needs import check_room_for_products, check_room_for_work
from lposs_geo.polygons.vectorize import DEFAULT_SIMPLIFY, check_min_area, parse_tolerance, tolerance_px
from lposs_geo.products import Content, Outputs, Polygonising, write_products
from lposs_geo.progress import Clock, Progress
from lposs_geo.scene.aoi import area_on, is_file, read_aoi
from lposs_geo.scene.description import Scene, describe
from lposs_geo.scene.identity import check_unchanged
from lposs_geo.scene.tiled_copy import copy_in_tiles, is_slow_in_tiles
from lposs_geo.stages.encode import is_encoded
from lposs_geo.stages.label import TILES, FailedTile, Task, finished_tile, label_scene, plan_tiles
from lposs_geo.store import cache
from lposs_geo.store.journal import Journal, open_journal
from lposs_geo.store.runs import may_replace, open_run, run_folder, settle
from lposs_geo.writers.georeference import notices_of_crs
from lposs_geo.writers.rasters import ClassArea

__all__ = ["MapResult", "map_scene"]

MOST_ZOOM = 16.0
"""How much a scene may be enlarged or reduced for the encoder."""

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
    notices : tuple of str
        What to beware of.
    seconds : dict of str to float
        Time at work by stage: "load", "encode", "propagate", "refine", "write", "vectorize", "quicklook" or "report".
        Where stages overlap, the sum is more than the time that passed.
    failed : tuple of FailedTile
        Usually none.
    """

    outputs: Outputs
    scene: Scene
    legend: Legend
    model: str
    device: str
    areas: tuple[ClassArea, ...]
    notices: tuple[str, ...]
    seconds: dict[str, float]
    failed: tuple[FailedTile, ...]

    @property
    def labels(self) -> Path:
        return self.outputs.labels

    @property
    def vector(self) -> Path | None:
        return self.outputs.vector


def map_scene(
    src: str | Path | Sequence[str | Path],
    classes: str | Sequence[str] | Legend,
    dst: str | Path,
    *,
    model: str | models.Model | None = None,
    vector: str | Path | None = None,
    quicklook: str | Path | None = None,
    confidence: str | Path | None = None,
    scores: str | Path | None = None,
    report: str | Path | None = None,
    stac: str | Path | None = None,
    bands: str | Sequence[int | str] | None = None,
    scale: tuple[float, float] | None = None,
    collar: bool = True,
    warp: bool = False,
    gsd: float | None = None,
    aoi: str | Path | None = None,
    aoi_layer: str | None = None,
    window: Window | None = None,
    refine: bool = True,
    min_confidence: float = 0.0,
    simplify: float | str = DEFAULT_SIMPLIFY,
    min_area: float = 0.0,
    device: str = "auto",
    tile_size: int | None = None,
    max_memory: int = DEFAULT,
    use_cache: bool = True,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> MapResult:
    """Map the land cover of a scene.

    Parameters
    ----------
    src : str, Path, or sequence of them
        Any raster that GDAL opens; a folder or several rasters are one mosaic.
    classes : str, sequence of str, or Legend
        "forest,water,road", the same as a list, or a `Legend`.
    dst : str or Path
        GeoTIFF to write: uint8 labels on the scene's grid, 1 to n in legend order, 0 where unknown, 255 without data.
    model : str or Model, optional
        A model's name, or a pair from `models.pair`; by default the best one that is installed.
    vector : str or Path, optional
        File to write the polygons to: .gpkg, .parquet, .fgb or .geojson.
    quicklook : str or Path, optional
        PNG to write a picture of the map to.
    confidence : str or Path, optional
        GeoTIFF to write the labels' confidence to, percent (docs/confidence.md).
    scores : str or Path, optional
        GeoTIFF to write the probability of every class to, percent, a band a class.
    report : str or Path, optional
        HTML page to write.
    stac : str or Path, optional
        JSON file to write a STAC item to.
    bands : str or sequence, optional
        What to take as red, green and blue: three numbers from 1 or names, one for grey, or a preset, see
        `scene.describe`.
    scale : (float, float), optional
        Values that become black and white, instead of percentiles.
    collar : bool
        Take a black or white frame, and holes, for nodata where none is declared.
    warp : bool
        Map a scene that is located only by ground control points or RPCs on a north-up grid.
    gsd : float, optional
        Resolution to work at, metres per px: the encoder sees the scene enlarged or reduced to it. The map is on the
        scene's own grid all the same. By default what suits the model.
    aoi : str or Path, optional
        Area of interest, which the map is cut to: "xmin,ymin,xmax,ymax" in the scene's CRS, or a file of polygons.
    aoi_layer : str, optional
        Layer of that file.
    window : Window, optional
        Map only this part of the scene, px. It still sees what lies around it, and so does an area of interest.
    refine : bool
        Sharpen the borders over pixels (LPOSS+); False stops at the patches (LPOSS).
    min_confidence : float
        Pixels less confident than that, 0..1, become unknown.
    simplify : float or str
        Tolerance of the polygons' borders, "1px" or "2.5m"; a bare number is px.
    min_area : float
        Smaller polygons are merged into a neighbour, square metres. The labels stay as they are.
    device : str
        "auto", "cpu" or "cuda".
    tile_size : int, optional
        Px; the labels don't depend on it. By default as large as `max_memory` allows.
    max_memory : int
        Bytes that the work may take beside the model.
    use_cache : bool
        Keep the scene's features for the next words, and use those that were kept.
    resume : bool
        Go on with a run on the same output that was cut off, if there is one. It must have been begun with the same
        scene, words, model and numbers. A map that is there already and complete is a FinishedError.
    overwrite : bool
        Replace existing outputs; without `resume`, drop a run that was cut off.
    progress : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    MapResult

    Raises
    ------
    LpossGeoError
        One of its children, with one line that says what is wrong and what to do; then no output was written.
        Finished tiles are kept for `resume`, and a note of the error says so.
    """
    clock = Clock()
    _check_numbers(tile_size=tile_size, gsd=gsd, min_confidence=min_confidence)
    parse_tolerance(simplify)
    check_min_area(min_area)
    if aoi is not None and window is not None:
        raise ParameterError("name an area of interest (aoi) or a window, not both")
    budget = Budget(max_memory)
    check_address_space()
    legend = classes if isinstance(classes, Legend) else from_words(classes)
    told = progress or (lambda stage, done, total: None)
    others = (vector, quicklook, confidence, scores, report, stac)
    outputs = Outputs(Path(dst), *(None if path is None else Path(path) for path in others))
    settle(outputs.labels)
    with rasterio.Env(GDAL_CACHEMAX=budget.file_cache), _out_of_memory_explained(), torch.inference_mode():
        with clock.running("load"):

            def part(grid: Grid) -> Window:
                if aoi is None:
                    return _area(grid, str(src), window)
                return area_on(read_aoi(aoi, grid.crs, layer=aoi_layer), grid).window

            scene = describe(src, bands=bands, scale=scale, collar=collar, warp=warp, part=part)
            sources = [aoi] if aoi is not None and is_file(aoi) else []
            outputs.check(scene, sources=sources, overwrite=overwrite or resume)
            tolerance_px(simplify, scene.grid, scene.path)
            inside = None if aoi is None else area_on(read_aoi(aoi, scene.grid.crs, layer=aoi_layer), scene.grid)
            area = inside.window if inside else _area(scene.grid, scene.path, window)
            check_size(area, 1 if scores is None else len(legend), scene.path)
            asked_zoom = None if gsd is None else _zoom_to(scene, gsd)
            log.info("bands %s as red, green, blue: %s", ",".join(map(str, scene.bands)), scene.bands_reason)
            notices = [*scene.notices, *notices_of_crs(scene.grid.crs), *_notices_of_areas(scene)]
            notices += _notices_of_legend(legend)
            _warn(notices)
            chosen = models.choose(model)
            encoder = encoders.load(chosen, encoders.choose_device(device))
            log.info("model %s on %s", chosen.name, encoder.device)
            zoom = encoder.zoom(scene.grid.gsd) if asked_zoom is None else asked_zoom
            unfamiliar = encoder.unfamiliar([word for words in legend.prompts for word in words])
            more = _notices_of_model(scene, chosen, encoder, unfamiliar)
            _warn(more)
            notices += more
            zooms = [zoom * scale for scale in encoder.scales]
            if zooms != [1.0]:
                log.info("the scene is seen at %s times its size", " and ".join(f"{zoom:.4g}" for zoom in zooms))
            shape = scene.grid.height, scene.grid.width
            rivals = _rivals(legend)
            task = Task(
                encoder=encoder,
                text=encoder.text_embeddings([*legend.prompts, *([word] for word in rivals)]),
                rivals=list(rivals.values()),
                zoom=zoom,
                area=area,
                plan=plan_tiles(shape, area, len(legend) + len(rivals), tile_size, refine, budget),
                refine=refine,
                budget=budget,
                keep_graphs=use_cache,
                keep_scores=scores is not None,
                inside=inside.mask if inside else None,
            )
        numbers = provenance.parameters(scene, task)
        facts = provenance.feature_facts(scene, chosen, task)
        begun_with = provenance.run_facts(facts, legend, task, numbers, inside)
        options: dict[str, object] = {
            "bands": bands if bands is None or isinstance(bands, str) else list(bands),
            "scale": scale,
            "collar": collar,
            "warp": warp,
            "gsd": gsd,
            "aoi": None if aoi is None else Path(aoi).name,
            "aoi_layer": aoi_layer,
            "window": None if window is None else area.flatten(),
            "refine": refine,
            "min_confidence": min_confidence,
            "simplify": simplify,
            "min_area": min_area,
        }
        asked = provenance.request(begun_with, legend, options)
        wanted = list(outputs.wanted().values())
        if resume and not run_folder(outputs.labels).exists() and outputs.are_finished(asked):
            raise FinishedError(f"'{outputs.labels}' is finished already, with the same scene, words and numbers")
        overwrites = overwrite or (resume and may_replace(outputs.labels, begun_with, wanted))
        outputs.check(scene, sources=sources, overwrite=overwrites)
        replaces = wanted if overwrite else []
        with (
            open_run(
                outputs.labels, begun_with, kind=TILES, resume=resume, overwrite=overwrite, replaces=replaces
            ) as journal,
            _dropped_if_changed(journal),
        ):
            with _feature_store(scene, facts, journal, use_cache) as store:
                check_room_for_work(task, scene, store, journal)
                if is_encoded(shape, encoder, store, zoom=zoom, window=task.seen(scene.grid)):
                    log.info("this scene's features are kept from before: the encoders needn't run")
                else:  # what sees is loaded here, where a signal can break that off, and not in a thread to wait for
                    with clock.running("load"):
                        encoder.prepare()
                source = _readable(scene, journal, budget, task.read(scene.grid))
                failed, labelling = label_scene(task, source, store, journal, told)
            for stage, seconds in labelling.seconds.items():
                clock.add(stage, seconds)
            content = Content(
                scene=scene,
                source=source,
                area=area,
                legend=legend,
                tiles=_finished(journal, task),
                tags=provenance.tags(facts, asked, numbers, options, unfamiliar, failed),
                facts={"Model": chosen.name, "Software": f"lposs-geo {facts['version']}"},
                notices=[*notices, *map(str, failed)],
                min_confidence=min_confidence,
            )
            polygons, folder = Polygonising(simplify, min_area), run_folder(outputs.labels)
            check_room_for_products(outputs, content, _finished(journal, task), polygons, folder)
            areas = write_products(outputs, content, polygons, clock, told, folder)
    return MapResult(
        outputs=outputs,
        scene=scene,
        legend=legend,
        model=chosen.name,
        device=str(encoder.device),
        areas=areas,
        notices=tuple(notices),
        seconds=clock.seconds,
        failed=tuple(failed),
    )


def _rivals(legend: Legend) -> dict[str, list[int]]:
    """The legend's negatives, each with the indices of its classes."""
    owners: dict[str, list[int]] = {}
    for owner, words in enumerate(legend.negatives):
        for word in words:
            owners.setdefault(word.casefold(), []).append(owner)
    return owners


def _finished(journal: Journal, task: Task) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
    """Finished tiles that hold data, with their windows in the scene."""
    for tile in task.plan:
        layers = finished_tile(journal, tile)
        if layers is not None:
            yield tile.core, layers


def _check_numbers(*, tile_size: int | None, gsd: float | None, min_confidence: float) -> None:
    """Refuse numbers out of range before any work is done."""
    if tile_size is not None and tile_size < 1:
        raise ParameterError(f"tile_size must be a number of pixels, 1 or more, not {tile_size}")
    if gsd is not None and not 0 < gsd < math.inf:
        raise ParameterError(f"gsd must be a number of metres above 0, not {gsd}")
    if not 0 <= min_confidence <= 1:
        raise ParameterError(f"min_confidence must lie between 0 and 1, not {min_confidence}")


def _zoom_to(scene: Scene, gsd: float) -> float:
    """How much a scene must be enlarged to be seen at a resolution in metres per px."""
    own = scene.grid.gsd
    if own is None:
        raise ParameterError(
            f"'{scene.path}' has no coordinate reference system, so how large its pixels are isn't known: leave gsd out"
        )
    zoom = own / gsd
    if max(zoom, 1 / zoom) > MOST_ZOOM * (1 + 1e-6):
        finest, coarsest = own / MOST_ZOOM, own * MOST_ZOOM
        raise ParameterError(
            f"'{scene.path}' has {rounded(own)} m per pixel: choose a gsd from {rounded(finest)} to "
            f"{rounded(coarsest)} m, not {gsd:g}"
        )
    return zoom


def _warn(notices: Sequence[str]) -> None:
    for notice in notices:
        log.warning("%s", notice)


def _notices_of_areas(scene: Scene) -> list[str]:
    """What the scene's CRS means for the areas."""
    if scene.grid.crs is not None and overstates_areas(scene.grid.crs):
        return [f"{scene.name} is in a Mercator projection: away from the equator its areas are far too large"]
    return []


def _notices_of_legend(legend: Legend) -> list[str]:
    """Where there is nothing to choose from; words that were meant to be several classes, often."""
    if len(legend) > 1 or any(legend.negatives):
        return []
    name = quoted(legend.names[0])
    return [f'{name} is the only class, so every pixel is given to it: part classes like "forest,water,road"']


def _notices_of_model(
    scene: Scene, model: models.Model, encoder: encoders.Encoder, unfamiliar: Sequence[str]
) -> list[str]:
    """What the model can't know: some of the words, or things as small as the scene shows them."""
    notices = []
    if unfamiliar:
        named = ", ".join(f"'{word}'" for word in unfamiliar)
        notices.append(f"{model.name} was trained on nothing like {named}: don't rely on where the map shows it")
    own, coarsest = scene.grid.gsd, encoder.coarsest_gsd
    if own is not None and coarsest is not None and own > 1.01 * coarsest:
        notices.append(
            f"{scene.name} has {rounded(own)} m per pixel, and {model.name} knows nothing coarser than "
            f"{rounded(coarsest)} m: don't rely on the map"
        )
    return notices


def _area(grid: Grid, path: str, window: Window | None) -> Window:
    """The part of the scene to map, all of it by default; in whole px."""
    if window is None:
        return Window(0, 0, grid.width, grid.height)
    rows, cols = (range(int(part.start), int(part.stop)) for part in window.toslices())
    inside = min(rows.start, cols.start) >= 0 and rows.stop <= grid.height and cols.stop <= grid.width
    if not (inside and rows and cols):
        raise ParameterError(f"window {window} isn't inside '{path}' of {grid.height} rows and {grid.width} cols")
    return Window(cols.start, rows.start, len(cols), len(rows))


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
    """Where a run keeps its features if they aren't in the cache."""
    return journal.folder.parent / "features"


@contextmanager
def _feature_store(scene: Scene, facts: Mapping[str, object], journal: Journal, use_cache: bool) -> Iterator[Journal]:
    """The cache's store for this scene and model, or one of the run's own; it keeps nothing of a changed scene."""
    own = _own_features(journal)
    try:
        with cache.open_store(facts, own) if use_cache else open_journal(own) as store:
            try:
                with _changes_told(scene):
                    yield store
            except SceneChangedError:
                store.undo()
                raise
    except OutputError as error:
        if str(cache.folder()) in str(error):
            error.add_note(
                "the cache can be emptied (lposs-geo cache clear), moved (LPOSS_GEO_CACHE) or left (--no-cache)"
            )
        raise


@contextmanager
def _changes_told(scene: Scene) -> Iterator[None]:
    """At the end, or in place of what follows from it, tell that the scene was changed meanwhile."""
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
def _out_of_memory_explained() -> Iterator[None]:
    """Turn the several ways of running out of memory into one error that says what to do."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        whose = "GPU's" if isinstance(error, torch.OutOfMemoryError) else "computer's"
        explained = OutOfMemoryError(
            f"the {whose} memory is full: choose a smaller --max-memory, fewer classes, or --device cpu"
        )
        for note in getattr(error, "__notes__", []):
            explained.add_note(note)
        raise explained from error
