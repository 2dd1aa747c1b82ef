"""All that is decided before the work begins: how the scene is read, its part that is mapped, sizes, tiles, notices.

A `Survey` is what looking at the scene tells, before any model is loaded; a `Plan` is made of it once, and the run only
follows it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rasterio.windows import Window

from lposs_geo.encoders.encoder import Encoder
from lposs_geo.errors import ParameterError
from lposs_geo.examples.examples import Examples
from lposs_geo.examples.learned import Learned, check_fits, to_bytes
from lposs_geo.examples.learned_head import head_of, scale_of
from lposs_geo.examples.read import read_examples
from lposs_geo.examples.usable import digest_of_bands, usable
from lposs_geo.grid import Grid, overstates_areas, rounded
from lposs_geo.hints import Notice
from lposs_geo.legend.legend import Legend
from lposs_geo.legend.words import quoted
from lposs_geo.memory import Budget
from lposs_geo.polygons.vectorize import tolerance_px
from lposs_geo.provenance import Facts, Recipe
from lposs_geo.release import __version__
from lposs_geo.request import Request
from lposs_geo.scene.aoi import Area, area_on, is_file, read_aoi
from lposs_geo.scene.description import Scene, describe
from lposs_geo.scene.identity import identity
from lposs_geo.scene.names import SceneLike, stem
from lposs_geo.stages.propagate import parameters_for
from lposs_geo.stages.task import Task, embed, plan_tiles
from lposs_geo.stages.teaching import Teaching
from lposs_geo.writers.georeference import notices_of_crs

__all__ = ["ModelIdentity", "Plan", "Survey", "Work", "plan", "survey"]

MOST_ZOOM = 16.0
"""Most that a scene is enlarged or reduced for the encoder."""


@dataclass(frozen=True)
class ModelIdentity:
    """A model's name, and what tells its features from another's.

    Attributes
    ----------
    name : str
    fingerprint : str
        Of its weights.
    """

    name: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Work:
    """The way in which the work is done, which changes no label.

    Attributes
    ----------
    budget : Budget
    tile_size : int, optional
        Px; by default as large as the budget allows.
    use_cache : bool
        Keep the scene's features and graphs for the next words, and use those that were kept.
    keep_probabilities : bool
        Keep the probability of every class with each finished tile.
    """

    budget: Budget
    tile_size: int | None = None
    use_cache: bool = True
    keep_probabilities: bool = False

    def __post_init__(self) -> None:
        if self.tile_size is not None and self.tile_size < 1:
            raise ParameterError(f"tile_size must be a number of pixels, 1 or more, not {self.tile_size}")


@dataclass(frozen=True)
class Survey:
    """A scene as it was asked for.

    Attributes
    ----------
    request : Request
    scene : Scene
    window : Window
        The part of it that is mapped, px.
    inside : Area or None
        The area of interest within that.
    legend : Legend
        With the classes that examples add.
    examples : Examples or None
        Those on valid pixels of that part.
    learned : Learned or None
        What was learnt before.
    sources : tuple of str or Path
        Files that are read beside the scene's own.
    zoom : float or None
        How much the scene is enlarged for the encoder, where that is asked for.
    notices : tuple of Notice
    """

    request: Request
    scene: Scene
    window: Window
    inside: Area | None
    legend: Legend
    examples: Examples | None
    learned: Learned | None
    sources: tuple[str | Path, ...]
    zoom: float | None
    notices: tuple[Notice, ...]


@dataclass(frozen=True)
class Plan:
    """The work to do.

    Attributes
    ----------
    survey : Survey
    task : Task
        For the stages: embedded words, zoom, tiles.
    recipe : Recipe
        What identifies the run and its features.
    notices : tuple of Notice
        What to beware of, those of the survey first.
    """

    survey: Survey
    task: Task
    recipe: Recipe
    notices: tuple[Notice, ...]

    @property
    def scene(self) -> Scene:
        return self.survey.scene

    @property
    def legend(self) -> Legend:
        return self.survey.legend


def survey(src: SceneLike, request: Request, classes: Legend | Learned) -> Survey:
    """Look at a scene, and find its part that is asked for and the examples there.

    Raises
    ------
    SceneError
        If the scene or the area of interest can't be read or used.
    ParameterError
        If what is asked for doesn't fit the scene, or no example can be used.
    """
    where, reading = request.where, request.reading

    def inside_of(grid: Grid) -> Area | None:
        return None if where.aoi is None else area_on(read_aoi(where.aoi, grid.crs, layer=where.aoi_layer), grid)

    def part(grid: Grid) -> Window:
        inside = inside_of(grid)
        return inside.window if inside else _window(grid, str(src), where.window)

    scene = describe(src, bands=reading.bands, scale=reading.scale, collar=reading.collar, warp=reading.warp, part=part)
    tolerance_px(request.polygons.simplify, scene.grid, scene.path)
    inside = inside_of(scene.grid)
    window = inside.window if inside else _window(scene.grid, scene.path, where.window)
    legend, examples, learning = classes.legend if isinstance(classes, Learned) else classes, None, request.learning
    if learning.examples is not None:
        read, legend = read_examples(
            learning.examples, legend, scene.grid, layer=learning.examples_layer, add_classes=learning.add_classes
        )
        examples = usable(read, scene, window, inside, str(learning.examples))
    files = (where.aoi, learning.examples)
    return Survey(
        request=request,
        scene=scene,
        window=window,
        inside=inside,
        legend=legend,
        examples=examples,
        learned=classes if isinstance(classes, Learned) else None,
        sources=tuple(file for file in files if file is not None and is_file(file)),
        zoom=None if request.gsd is None else _zoom_to(scene, request.gsd),
        notices=(
            *scene.notices,
            *notices_of_crs(scene.grid.crs),
            *_notices_of_areas(scene),
            *(() if examples is None else examples.notices),
        ),
    )


def plan(survey: Survey, encoder: Encoder, model: ModelIdentity, work: Work) -> Plan:
    """Decide all that is left: what the encoder sees, the tiles, what identifies the run.

    Raises
    ------
    ParameterError
        If the memory doesn't suffice for so many classes.
    ModelError
        If what was learnt before was learnt with another model, or on other bands.
    """
    scene, request, legend = survey.scene, survey.request, survey.legend
    zoom = encoder.zoom(scene.grid.gsd) if survey.zoom is None else survey.zoom
    words = embed(legend, encoder)
    shape = scene.grid.height, scene.grid.width
    task = Task(
        encoder=encoder,
        words=words,
        zoom=zoom,
        window=survey.window,
        plan=plan_tiles(shape, survey.window, len(words.text), work.tile_size, request.refine, work.budget),
        refine=request.refine,
        budget=work.budget,
        keep_graphs=work.use_cache,
        keep_probabilities=work.keep_probabilities,
        inside=survey.inside.mask if survey.inside else None,
        teaching=_teaching(survey, model),
    )
    unfamiliar = tuple(encoder.unfamiliar(_words_to_know(survey)))
    return Plan(
        survey=survey,
        task=task,
        recipe=_recipe(survey, legend, task, model, unfamiliar),
        notices=(*survey.notices, *_notices_of_legend(legend), *_notices_of_model(scene, model, encoder, unfamiliar)),
    )


def _words_to_know(survey: Survey) -> list[str]:
    """Words of the classes that nothing but them tells of."""
    examples, learned = survey.examples, survey.learned
    taught = {*(() if examples is None else examples.counts), *(() if learned is None else learned.counts)}
    return [word for each in survey.legend.classes if each.name not in taught for word in each.prompts]


def _teaching(survey: Survey, model: ModelIdentity) -> Teaching | None:
    """What the map is taught with beside its words, if there is anything."""
    learned = survey.learned
    if learned is None and survey.examples is None:
        return None
    bands = digest_of_bands(survey.scene)
    if learned is not None:
        head_of(learned)
        check_fits(learned, model.name, model.fingerprint, learned.layout, bands if scale_of(learned) else "")
    return Teaching(survey.legend, model.name, model.fingerprint, bands, survey.examples, learned)


def _recipe(survey: Survey, legend: Legend, task: Task, model: ModelIdentity, unfamiliar: tuple[str, ...]) -> Recipe:
    scene, encoder = survey.scene, task.encoder
    name = scene.name if scene.name.strip(".") else stem(scene.path)  # the folder that one is in
    features: Facts = {
        "version": __version__,
        "scene": {"name": name} | identity(scene),
        "model": {"name": model.name, "fingerprint": model.fingerprint},
        "device": encoder.device.type,
        "resolution": [task.zoom, *encoder.scales, encoder.crop_size, encoder.stride, encoder.patch_size],
        "area": task.seen(scene.grid).flatten(),
    }
    numbers = _numbers(scene, task)
    run: Facts = {
        "classes": [legend.prompts, legend.negatives],
        "numbers": numbers,
        "window": task.window.flatten(),
        "area of interest": None if survey.inside is None else survey.inside.digest,
        "tiles": task.plan[0].core.flatten(),
        "choice of scores": task.keep_probabilities,
    }
    if survey.examples is not None:
        run |= {"set of examples": survey.examples.digest}
    if survey.learned is not None:
        run |= {"lesson learnt before": zlib.crc32(to_bytes(survey.learned))}
    return Recipe(features, run, numbers, legend, survey.request, unfamiliar)


def _numbers(scene: Scene, task: Task) -> dict[str, object]:
    """The numbers that the labels depend on beside scene, words and model."""
    encoder = task.encoder
    return asdict(parameters_for(encoder)) | {
        "refine": task.refine,
        "zooms": task.zooms,
        "seed_scale": encoder.seed_scale,
        "confidence_power": task.confidence_power,
        "crop_size": encoder.crop_size,
        "stride": encoder.stride,
        "patch_size": encoder.patch_size,
        "graph_memory": task.budget.graph,
        "bands": scene.bands,
        "low": scene.radiometry.low,
        "high": scene.radiometry.high,
    }


def _window(grid: Grid, path: str, window: tuple[int, int, int, int] | None) -> Window:
    """The part of the scene to map, px; all of it by default."""
    if window is None:
        return Window(0, 0, grid.width, grid.height)
    col, row, cols, rows = window
    is_inside = min(row, col) >= 0 and row + rows <= grid.height and col + cols <= grid.width
    if not (is_inside and rows > 0 and cols > 0):
        raise ParameterError(
            f"window {Window(*window)} isn't inside '{path}' of {grid.height} rows and {grid.width} cols"
        )
    return Window(*window)


def _zoom_to(scene: Scene, gsd: float) -> float:
    """Enlargement that shows a scene at a resolution in metres per px."""
    own = scene.grid.gsd
    if own is None:
        raise ParameterError(
            f"'{scene.path}' has no coordinate reference system, so how large its pixels are isn't known",
            hint="leave <gsd> out",
        )
    zoom = own / gsd
    if max(zoom, 1 / zoom) > MOST_ZOOM * (1 + 1e-6):
        finest, coarsest = own / MOST_ZOOM, own * MOST_ZOOM
        raise ParameterError(
            f"'{scene.path}' has {rounded(own)} m per pixel, too much or too little to work at {gsd:g} m",
            hint=f"choose <gsd> from {rounded(finest)} to {rounded(coarsest)} m",
        )
    return zoom


def _notices_of_areas(scene: Scene) -> list[Notice]:
    """A notice where the scene's CRS overstates areas."""
    if scene.grid.crs is not None and overstates_areas(scene.grid.crs):
        return [Notice(f"{scene.name} is in a Mercator projection: away from the equator its areas are far too large")]
    return []


def _notices_of_legend(legend: Legend) -> list[Notice]:
    """A notice where there is nothing to choose from; such words were often meant to be several classes."""
    if len(legend) > 1 or any(legend.negatives):
        return []
    name = quoted(legend.names[0])
    return [Notice(f"{name} is the only class, so every pixel is given to it", 'part classes like "forest,water,road"')]


def _notices_of_model(scene: Scene, model: ModelIdentity, encoder: Encoder, unfamiliar: Sequence[str]) -> list[Notice]:
    """Notices of what the model can't know: some of the words, or things as small as the scene shows them."""
    notices = []
    if unfamiliar:
        words = ", ".join(f"'{word}'" for word in unfamiliar)
        notices.append(
            Notice(f"{model.name} was trained on nothing like {words}", "don't rely on where the map shows it")
        )
    own, coarsest = scene.grid.gsd, encoder.coarsest_gsd
    if own is not None and coarsest is not None and own > 1.01 * coarsest:
        notices.append(
            Notice(
                f"{scene.name} has {rounded(own)} m per pixel, and {model.name} knows nothing coarser than "
                f"{rounded(coarsest)} m",
                "don't rely on the map",
            )
        )
    return notices
