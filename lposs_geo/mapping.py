"""From a scene to a map: the only place that knows the whole flow.

describe the scene -> encode its crops into the feature store -> block by block, propagate the class scores over the
patches -> tile by tile, sharpen them over the pixels -> labels, polygons and picture. What is finished goes to a
journal, from which a run that was cut off goes on; every output appears only when all are complete.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from numbers import Integral
from pathlib import Path
from typing import Any

import rasterio
import torch
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from lposs_geo import cache, encoders, models, raster
from lposs_geo.errors import OutOfMemoryError, OutputError, ParameterError, SceneError, one_line
from lposs_geo.features import is_encoded
from lposs_geo.ground import overstates_areas
from lposs_geo.journal import Journal, open_journal
from lposs_geo.labelling import TILES, FailedTile, Task, finished_labels, label_scene, plan_tiles
from lposs_geo.legend import NODATA, LandClass, Legend, from_words
from lposs_geo.memory import DEFAULT, Budget, is_out_of_memory
from lposs_geo.outputs import check_outputs, staged
from lposs_geo.patch_stage import parameters_for
from lposs_geo.quicklook import LONGEST_SIDE, draw_map, save_picture
from lposs_geo.runs import open_run
from lposs_geo.scene import Scene, copy_in_tiles, describe, identity, is_slow_in_tiles, open_scene
from lposs_geo.stages import Clock, Progress
from lposs_geo.vector import SIMPLIFY_PX, label_polygons, write_polygons

__all__ = ["ClassArea", "MapResult", "map_scene", "vectorize"]

MOST_ZOOM = 16.0
"""How much a scene may be enlarged or reduced for the encoder."""

VECTOR_SUFFIXES = ".gpkg"
RASTER_SUFFIXES = ".tif .tiff"
PICTURE_SUFFIXES = ".png"

log = logging.getLogger("lposs_geo")


@dataclass(frozen=True)
class ClassArea:
    """How much of a map one class covers: pixels, square metres, and the share of all labelled pixels' area."""

    name: str
    pixels: int
    area_m2: float
    share: float


@dataclass(frozen=True)
class MapResult:
    """A finished map.

    Attributes
    ----------
    labels : Path
        The GeoTIFF.
    vector, quicklook : Path or None
    scene : Scene
        The input and how it was read.
    legend : Legend
    model, device : str
        What it was made with.
    areas : tuple of ClassArea
        In legend order.
    seconds : dict of str to float
        Time at work by stage: "load", "encode", "propagate", "refine", "write", "vectorize", "quicklook". Where stages
        overlap, the sum is more than the time that passed.
    failed : tuple of FailedTile
        Usually none.
    """

    labels: Path
    vector: Path | None
    quicklook: Path | None
    scene: Scene
    legend: Legend
    model: str
    device: str
    areas: tuple[ClassArea, ...]
    seconds: dict[str, float]
    failed: tuple[FailedTile, ...]


def map_scene(
    src: str | Path,
    classes: str | Sequence[str] | Legend,
    dst: str | Path,
    *,
    model: str | models.Model | None = None,
    vector: str | Path | None = None,
    quicklook: str | Path | None = None,
    bands: Sequence[int] | None = None,
    gsd: float | None = None,
    refine: bool = True,
    simplify: float = SIMPLIFY_PX,
    device: str = "auto",
    window: Window | None = None,
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
    src : str or Path
        Any raster that GDAL opens.
    classes : str, sequence of str, or Legend
        "forest,water,road", the same as a list, or a `Legend`.
    dst : str or Path
        GeoTIFF to write: uint8 labels on the scene's grid, 1 to n in legend order, 255 without data.
    model : str or Model, optional
        A model's name, or a pair from `models.pair`; by default the best one that is installed.
    vector : str or Path, optional
        GeoPackage to write the polygons to.
    quicklook : str or Path, optional
        PNG to write a picture of the map to.
    bands : sequence of int, optional
        Bands, from 1, to take as red, green and blue.
    gsd : float, optional
        Resolution to work at, metres per px: the encoder sees the scene enlarged or reduced to it. The map is on the
        scene's own grid all the same. By default what suits the model.
    refine : bool
        Sharpen the borders over pixels (LPOSS+); False stops at the patches (LPOSS).
    simplify : float
        Tolerance of the polygons' borders, px.
    device : str
        "auto", "cpu" or "cuda".
    window : Window, optional
        Map only this part of the scene, px; it still sees what lies around it.
    tile_size : int, optional
        Px; the labels don't depend on it. By default as large as `max_memory` allows.
    max_memory : int
        Bytes that the work may take beside the model.
    use_cache : bool
        Keep the scene's features for the next words, and use those that were kept.
    resume : bool
        Go on with a run on the same output that was cut off, if there is one. It must have been begun with the same
        scene, words, model and numbers.
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
    _check_numbers(simplify=simplify, tile_size=tile_size, bands=bands, gsd=gsd)
    budget = Budget(max_memory)
    legend = classes if isinstance(classes, Legend) else from_words(classes)
    report = progress or (lambda stage, done, total: None)
    with rasterio.Env(GDAL_CACHEMAX=budget.file_cache), _out_of_memory_explained(), torch.inference_mode():
        with clock.running("load"):
            scene = describe(src, bands=bands)
            wanted = ((dst, RASTER_SUFFIXES), (vector, VECTOR_SUFFIXES), (quicklook, PICTURE_SUFFIXES))
            outputs = [(Path(path), suffixes) for path, suffixes in wanted if path is not None]
            check_outputs(outputs, sources=scene.files, overwrite=overwrite)
            area = _area(scene, window)
            asked_zoom = None if gsd is None else _zoom_to(scene, gsd)
            _tell(scene)
            chosen = models.choose(model)
            encoder = encoders.load(chosen, encoders.choose_device(device))
            log.info("model %s on %s", chosen.name, encoder.device)
            text = encoder.text_embeddings(legend.prompts)
            zoom = encoder.zoom(scene.grid.gsd) if asked_zoom is None else asked_zoom
            unfamiliar = _tell_what_the_model_sees(scene, legend, chosen, encoder, zoom)
            shape = scene.grid.height, scene.grid.width
            plan = plan_tiles(shape, area, len(legend), tile_size, refine, budget)
            task = Task(encoder, text, zoom, area, plan, refine, budget, keep_graphs=use_cache)
        parameters = _parameters(scene, task)
        facts = _facts(scene, chosen, task)
        begun_with = facts | {
            "classes": legend.as_dict(),
            "numbers": parameters,
            "window": area.flatten(),
            "tiles": plan[0].core.flatten(),
        }
        with open_run(Path(dst), begun_with, kind=TILES, resume=resume, overwrite=overwrite) as journal:
            with _feature_store(facts, journal, use_cache) as store:
                if is_encoded(shape, encoder, store, zoom=zoom, window=task.seen(scene.grid)):
                    log.info("this scene's features are kept from before: the encoders needn't run")
                source = _readable(scene, journal, budget)
                failed, labelling = label_scene(task, source, store, journal, report)
            for stage, seconds in labelling.seconds.items():
                clock.add(stage, seconds)
            tags = _tags(facts, parameters, unfamiliar, failed)
            with staged(*(path for path, _ in outputs)) as written:
                labels_file, *others = written
                with (
                    clock.running("write"),
                    raster.label_writer(labels_file, scene.grid.part(area), legend, tags) as writer,
                ):
                    for tile in plan:
                        labels = finished_labels(journal, tile)
                        if labels is not None:
                            writer.write(labels, _within(tile.core, area))
                areas = _areas(writer, legend)
                if vector is not None:
                    report("vectorize", 0, 1)
                    with clock.running("vectorize"):
                        _vectorize(labels_file, others.pop(0), legend, simplify)
                    report("vectorize", 1, 1)
                if quicklook is not None:
                    with clock.running("quicklook"):
                        _draw(scene, area, labels_file, others.pop(0), legend, areas)
    return MapResult(
        labels=Path(dst),
        vector=None if vector is None else Path(vector),
        quicklook=None if quicklook is None else Path(quicklook),
        scene=scene,
        legend=legend,
        model=chosen.name,
        device=str(encoder.device),
        areas=areas,
        seconds=clock.seconds,
        failed=tuple(failed),
    )


def vectorize(labels: str | Path, dst: str | Path, *, simplify: float = SIMPLIFY_PX, overwrite: bool = False) -> int:
    """Turn a label raster into a GeoPackage of polygons.

    Parameters
    ----------
    labels : str or Path
        A map of `map_scene`, or any raster of one band of 8-bit labels with 255 for nodata.
    dst : str or Path
        The GeoPackage.
    simplify : float
        Tolerance of the polygons' borders, px; 0 keeps every pixel's edge.
    overwrite : bool
        Replace an existing output.

    Returns
    -------
    int
        How many polygons were written.

    Raises
    ------
    LpossGeoError
        One of its children; then no output was written.
    """
    _check_numbers(simplify=simplify)
    if not Path(labels).exists():
        raise SceneError(f"no such file: '{labels}'")
    check_outputs([(Path(dst), VECTOR_SUFFIXES)], sources=[labels], overwrite=overwrite)
    legend = raster.read_label_legend(labels)
    with rasterio.Env(), _out_of_memory_explained(), staged(Path(dst)) as (path,):
        return _vectorize(Path(labels), path, legend, simplify)


def _check_numbers(
    *,
    simplify: float = 0.0,
    tile_size: int | None = None,
    bands: Sequence[int] | None = None,
    gsd: float | None = None,
) -> None:
    """Refuse numbers out of range before any work is done."""
    if not 0 <= simplify < math.inf:
        raise ParameterError(f"simplify must be a number of pixels, 0 or more, not {simplify}")
    if tile_size is not None and tile_size < 1:
        raise ParameterError(f"tile_size must be a number of pixels, 1 or more, not {tile_size}")
    if bands is not None and not all(isinstance(band, Integral) for band in bands):
        raise ParameterError(f"bands must be whole numbers, not {bands!r}")
    if gsd is not None and not 0 < gsd < math.inf:
        raise ParameterError(f"gsd must be a number of metres above 0, not {gsd}")


def _zoom_to(scene: Scene, gsd: float) -> float:
    """How much a scene must be enlarged to be seen at a resolution in metres per px."""
    own = scene.grid.gsd
    if own is None:
        raise ParameterError(
            f"'{scene.path}' has no coordinate reference system, so how large its pixels are isn't known: leave gsd out"
        )
    zoom = own / gsd
    if not 1 / MOST_ZOOM <= zoom <= MOST_ZOOM:
        finest, coarsest = own / MOST_ZOOM, own * MOST_ZOOM
        raise ParameterError(
            f"'{scene.path}' has {own:.3g} m per pixel: choose a gsd from {finest:.3g} to {coarsest:.3g} m, not {gsd:g}"
        )
    return zoom


def _tell(scene: Scene) -> None:
    """Say how the scene is read, and what its CRS means for the areas."""
    log.info("bands %s as red, green, blue: %s", ",".join(map(str, scene.bands)), scene.bands_reason)
    if scene.grid.crs is None:
        log.warning(
            "%s has no coordinate reference system: neither will the map; areas are in its own units", scene.name
        )
    elif overstates_areas(scene.grid.crs):
        log.warning("%s is in a Mercator projection: away from the equator its areas are far too large", scene.name)


def _tell_what_the_model_sees(
    scene: Scene, legend: Legend, model: models.Model, encoder: encoders.Encoder, zoom: float
) -> list[str]:
    """Say what the model can't know, and at which sizes it sees the scene; the words that it can't know."""
    unfamiliar = encoder.unfamiliar([prompt for prompts in legend.prompts for prompt in prompts])
    if unfamiliar:
        named = ", ".join(f"'{word}'" for word in unfamiliar)
        log.warning("%s was trained on nothing like %s: don't rely on where the map shows it", model.name, named)
    own, coarsest = scene.grid.gsd, encoder.coarsest_gsd
    if own is not None and coarsest is not None and own > coarsest:
        log.warning(
            "%s has %.3g m per pixel, and %s knows nothing coarser than %.3g m: don't rely on the map",
            scene.name, own, model.name, coarsest,
        )  # fmt: skip
    zooms = [zoom * scale for scale in encoder.scales]
    if zooms != [1.0]:
        log.info("the scene is seen at %s times its size", " and ".join(f"{zoom:.4g}" for zoom in zooms))
    return unfamiliar


def _area(scene: Scene, window: Window | None) -> Window:
    """The part of the scene to map, all of it by default; in whole px."""
    grid = scene.grid
    if window is None:
        return Window(0, 0, grid.width, grid.height)
    rows, cols = (range(int(part.start), int(part.stop)) for part in window.toslices())
    inside = min(rows.start, cols.start) >= 0 and rows.stop <= grid.height and cols.stop <= grid.width
    if not (inside and rows and cols):
        raise ParameterError(f"window {window} isn't inside '{scene.path}' of {grid.height} rows and {grid.width} cols")
    return Window(cols.start, rows.start, len(cols), len(rows))


def _within(window: Window, area: Window) -> Window:
    """A window of the scene in px of an area of it."""
    return Window(window.col_off - area.col_off, window.row_off - area.row_off, window.width, window.height)


_Facts = dict[str, Any]
"""What decides what a map will be, ready for JSON, by names that a user understands."""


def _facts(scene: Scene, model: models.Model, task: Task) -> _Facts:
    """All that the features depend on."""
    encoder = task.encoder
    return {
        "version": version("lposs-geo"),
        "scene": identity(scene),
        "model": {"name": model.name, "fingerprint": models.fingerprint(model)},
        "device": encoder.device.type,
        "resolution": [task.zoom, *encoder.scales, encoder.crop_size, encoder.stride, encoder.patch_size],
        "area": task.seen(scene.grid).flatten(),
    }


@contextmanager
def _feature_store(facts: Mapping[str, object], journal: Journal, use_cache: bool) -> Iterator[Journal]:
    """The cache's store for this scene and model, or one of the run's own."""
    own = journal.folder.parent / "features"
    try:
        with cache.open_store(facts, own) if use_cache else open_journal(own) as store:
            yield store
    except OutputError as error:
        if str(cache.folder()) in str(error):
            error.add_note(
                "the cache can be emptied (lposs-geo cache clear), moved (LPOSS_GEO_CACHE) or left (--no-cache)"
            )
        raise


def _readable(scene: Scene, journal: Journal, budget: Budget) -> Scene:
    """The scene itself, or a copy in tiles where the original would be decoded again for each tile."""
    if not is_slow_in_tiles(scene, budget.file_cache):
        return scene
    log.info("%s is stored in strips: it is copied into tiles once", scene.name)
    return copy_in_tiles(scene, journal.folder.parent / "scene.tif")


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


def _parameters(scene: Scene, task: Task) -> dict[str, object]:
    """The numbers that the map depends on beside scene, words and model."""
    encoder = task.encoder
    return asdict(parameters_for(encoder)) | {
        "refine": task.refine,
        "zooms": [task.zoom * scale for scale in encoder.scales],
        "seed_scale": encoder.seed_scale,
        "crop_size": encoder.crop_size,
        "stride": encoder.stride,
        "patch_size": encoder.patch_size,
        "graph_memory": task.budget.graph,
        "bands": scene.bands,
        "low": scene.radiometry.low,
        "high": scene.radiometry.high,
    }


def _tags(
    facts: _Facts,
    parameters: Mapping[str, object],
    unfamiliar: Sequence[str],
    failed: Sequence[FailedTile],
) -> dict[str, str]:
    """What it takes to make the map again, and what is missing in it."""
    release = version("lposs-geo")
    missing = [tile.as_dict() for tile in failed]
    return {
        "TIFFTAG_SOFTWARE": f"lposs-geo {release}",
        "LPOSS_GEO_VERSION": release,
        "LPOSS_GEO_MODEL": facts["model"]["name"],
        "LPOSS_GEO_MODEL_FINGERPRINT": facts["model"]["fingerprint"],
        "LPOSS_GEO_SOURCE": facts["scene"]["name"],
        "LPOSS_GEO_PARAMETERS": json.dumps(parameters),
        "LPOSS_GEO_UNFAMILIAR_WORDS": json.dumps(list(unfamiliar)),
    } | ({"LPOSS_GEO_FAILED_TILES": json.dumps(missing)} if failed else {})


def _areas(writer: raster.LabelWriter, legend: Legend) -> tuple[ClassArea, ...]:
    labelled = writer.areas[:NODATA].sum()

    def area(land_class: LandClass) -> ClassArea:
        square_metres = float(writer.areas[land_class.id])
        share = square_metres / float(labelled) if labelled else 0.0
        return ClassArea(land_class.name, int(writer.pixels[land_class.id]), square_metres, share)

    return tuple(area(land_class) for land_class in legend.classes)


def _vectorize(labels_file: Path, target: Path, legend: Legend, simplify: float) -> int:
    try:
        with rasterio.open(labels_file) as dataset:
            labels, transform, crs = dataset.read(1), dataset.transform, dataset.crs
            if dataset.nodata is not None:  # another program's, perhaps not ours
                labels[labels == dataset.nodata] = NODATA
    except RasterioError as error:
        raise SceneError(f"'{labels_file}' is damaged: {one_line(error)}") from error
    polygons = label_polygons(labels, transform, crs, legend, simplify=simplify)
    write_polygons(polygons, target)
    return len(polygons)


def _draw(
    scene: Scene, area: Window, labels_file: Path, target: Path, legend: Legend, areas: Sequence[ClassArea]
) -> None:
    with open_scene(scene) as reader:
        image, _ = reader.overview(LONGEST_SIDE, area)
    with rasterio.open(labels_file) as dataset:
        labels = dataset.read(1, out_shape=image.shape[1:], resampling=Resampling.nearest)
    shares = {area.name: area.share for area in areas}
    save_picture(draw_map(image, labels, legend, title=scene.name, shares=shares), target)
