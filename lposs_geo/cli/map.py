"""`lposs-geo map`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from lposs_geo.cli import answers
from lposs_geo.cli.console import messages, remark, say, show_progress, tell
from lposs_geo.cli.failing import Misuse, as_failure
from lposs_geo.cli.grouped import options
from lposs_geo.cli.options import (
    ADD_CLASSES,
    BANDS,
    CACHE,
    COLLAR,
    DEVICE,
    EXAMPLES_LAYER,
    FILE,
    JSON,
    MAX_MEMORY,
    MIN_AREA,
    MODEL,
    NO_NETWORK,
    OVERWRITE,
    QUIET,
    RESUME,
    SCALE,
    SIMPLIFY,
    VERBOSE,
    VLM,
    VM,
    WARP,
)
from lposs_geo.cli.outputs import OF_EXAMPLES, OutputsCommand, files_of, keep, named_files, outputs
from lposs_geo.cli.wording import words_here
from lposs_geo.errors import FinishedError, LegendError, LpossGeoError, SceneError
from lposs_geo.files.outputs import PLACEHOLDER, for_scene
from lposs_geo.writers.area_units import unit_for

if TYPE_CHECKING:
    from lposs_geo.examples import Learned
    from lposs_geo.examples.agreement import Agreement
    from lposs_geo.legend.legend import Legend
    from lposs_geo.mapping import Mapper
    from lposs_geo.models import Model
    from lposs_geo.progress import Listener
    from lposs_geo.running import MapResult

__all__ = ["chosen_model", "finish", "loaded", "map_command", "say_finished"]


@click.command("map", cls=OutputsCommand, short_help="Map the land cover of a scene.")
@click.argument("scenes", metavar="SCENE...", nargs=-1, required=True)
@options(
    "Classes",
    click.option("--classes", metavar="WORDS", help='Classes, like "forest,water=river|lake,road" (| joins synonyms).'),
    click.option(
        "--legend",
        "legend_name",
        metavar="FILE|NAME",
        help="Legend file, what --save has kept, or one of `lposs-geo legends list`, instead.",
    ),
)
@options(
    "Outputs",
    click.option(
        "-o", "--output", type=FILE, metavar="TIF", help="Map to write.  [default: SCENE_landcover.tif, here]"
    ),
    *outputs(),
    OVERWRITE,
)
@options(
    "Examples",
    click.option(
        "--examples",
        type=FILE,
        metavar="FILE",
        help="Points, lines or polygons on SCENE with a field `class`: the map learns from them, beside the words.",
    ),
    EXAMPLES_LAYER,
    ADD_CLASSES,
    *outputs(OF_EXAMPLES),
)
@options(
    "The scene and how it is read",
    click.option(
        "--batch",
        is_flag=True,
        help="Map each SCENE, or each in a folder, by itself, with the examples on it: {name} in names of outputs.",
    ),
    BANDS,
    SCALE,
    COLLAR,
    WARP,
    NO_NETWORK,
)
@options(
    "The area",
    click.option(
        "--aoi", metavar="FILE|BOX", help="Area of interest: polygons, or xmin,ymin,xmax,ymax in the scene's CRS."
    ),
    click.option("--aoi-layer", metavar="NAME", help="Layer of that file."),
)
@options(
    "The model",
    MODEL,
    VLM,
    VM,
    click.option(
        "--gsd",
        type=click.FloatRange(min=0, min_open=True),
        metavar="M",
        help="Resolution to work at, metres per px; the map keeps the scene's grid.  [default: what suits the model]",
    ),
)
@options(
    "The map",
    click.option(
        "--like", type=FILE, metavar="MAP", help="Take classes, model and all settings that aren't named from this map."
    ),
    click.option("--refine/--no-refine", default=True, show_default=True, help="Sharpen borders over pixels (LPOSS+)."),
    click.option(
        "--min-confidence",
        type=click.FloatRange(0, 1),
        default=0.0,
        metavar="0..1",
        help="Make pixels of less confidence 0, unknown.",
    ),
    SIMPLIFY,
    MIN_AREA,
)
@options(
    "The work",
    DEVICE,
    MAX_MEMORY,
    click.option("--tile-size", type=click.IntRange(min=64), metavar="PX", help="Size of tiles.  [default: what fits]"),
    CACHE,
    RESUME,
)
@options("Messages", JSON, VERBOSE, QUIET)
@click.pass_context
def map_command(
    context: click.Context,
    /,
    scenes: tuple[str, ...],
    classes: str | None,
    legend_name: str | None,
    output: Path | None,
    batch: bool,
    like: Path | None,
    model_name: str | None,
    vlm: str | None,
    vm: str | None,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Map the land cover of SCENE, any georeferenced raster; several, or a folder, are one mosaic."""
    with messages(as_json, verbose, quiet):
        chosen = _classes(classes, legend_name, like)
    model = chosen_model(model_name, vlm, vm) or _model_of(chosen, legend_name)
    if like is not None:
        from lposs_geo import earlier, provenance

        before = provenance.settings_of(like)
        named = frozenset(name for name in settings if context.get_parameter_source(name) != ParameterSource.DEFAULT)
        settings = earlier.with_settings(before, like, settings, named)
        model = model or earlier.model_of(before.model, f"the map '{like}'")
    source = scenes[0] if len(scenes) == 1 else scenes
    output = output or Path(f"{PLACEHOLDER if batch else _stem(source)}_landcover.tif")
    settings = named_files(settings, output)
    sources = _each(scenes) if batch else []
    files = [for_scene(path, _stem(each)) for each in sources for path in files_of(settings, output)]
    files = files or files_of(settings, output)
    told = {"the legend": legend_name, "the earlier map": like, "the file of examples": settings["examples"]}
    for what, file in told.items():
        if file is not None:
            keep(Path(file), what, files)
    with messages(as_json, verbose, quiet), show_progress(as_json, quiet) as progress:
        mapper = loaded(context, model, settings)
        if batch:
            _map_each(mapper, sources, chosen, output, settings, progress, as_json, verbose, quiet)
            return
        try:
            result = mapper.map(source, chosen, output, progress=progress, **settings)
        except FinishedError as error:
            say_finished(str(source), error.worded(words_here()), as_json, quiet)
        else:
            finish(result, as_json, verbose)


def _each(scenes: Sequence[str]) -> list[str]:
    """The scenes of a batch: those named, and those in the folders named."""
    from lposs_geo.scene.folders import scenes_in

    return [str(path) for scene in scenes for path in (scenes_in(scene) if Path(scene).is_dir() else [scene])]


def _stem(source: str | tuple[str, ...]) -> str:
    from lposs_geo.scene.names import stem

    return stem(source)


def _classes(words: str | None, legend_name: str | None, like: Path | None) -> Legend | Learned:
    """The classes that are named; those of the map that the new one is like, where none are."""
    from lposs_geo import examples, legend

    if words is None and legend_name is None and like is not None:
        from lposs_geo import earlier

        return earlier.classes_of(like)
    if (words is None) == (legend_name is None):
        problem = "no classes are named" if legend_name is None else "the classes are named twice"
        raise Misuse(problem, hint="name the classes with <classes>, or a legend with <legend>")
    if legend_name is not None:
        is_preset = legend_name.casefold() in legend.PRESETS
        is_learned = not is_preset and examples.is_learned(legend_name)
        return examples.read_learned(legend_name) if is_learned else legend.find_legend(legend_name)
    assert words is not None
    try:
        return legend.from_words(words)
    except LegendError as error:
        raise Misuse(error.problem, hint=error.hint) from error


def _model_of(classes: Legend | Learned, legend_name: str | None) -> Model | None:
    """The model that classes were learnt with, if they were."""
    from lposs_geo.earlier import model_of
    from lposs_geo.examples import Learned

    if legend_name is None or not isinstance(classes, Learned):
        return None
    return model_of(classes.model, f"the legend '{legend_name}'")


def chosen_model(name: str | None, vlm: str | None, vm: str | None) -> Model | None:
    """The model that a command's options name, if they do."""
    from lposs_geo import models

    if (vlm is None) != (vm is None) or (vlm is not None and name is not None):
        raise Misuse("half a model is named, or two are", hint="<vlm> and <vm> go together, and without <model>")
    return models.pair(vlm, vm) if vlm and vm else models.find(name) if name else None


def loaded(context: click.Context, model: Model | None, options: dict[str, Any]) -> Mapper:
    """The model to map with, by the options that aren't of one map; a program that calls this may hand one in."""
    from lposs_geo.mapping import Mapper

    device, limits = options.pop("device"), {name: options.pop(name) for name in ("max_memory", "use_cache")}
    given: Mapper | None = context.obj
    return Mapper.load(model, device=device, **limits) if given is None else replace(given, **limits)


def _map_each(
    mapper: Mapper,
    sources: Sequence[str],
    classes: Legend | Learned,
    output: Path,
    options: dict[str, Any],
    progress: Listener,
    as_json: bool,
    verbose: bool,
    quiet: bool,
) -> None:
    """Map scene after scene; at the end say which failed."""
    from lposs_geo.batch import map_batch

    done, failed = 0, list[str]()
    try:
        for outcome in map_batch(sources, classes, output, mapper=mapper, progress=progress, **options):
            try:
                if outcome.error is not None:
                    raise outcome.error
                if outcome.result is None:
                    say_finished(outcome.name, f"{outcome.name} is finished already", as_json, quiet)
                else:
                    finish(outcome.result, as_json, verbose)
                done += 1
            except LpossGeoError as error:
                failed.append(outcome.name)
                line = as_failure(error, words_here(), scene=outcome.name)
                tell(line, f"Error: {line.message}", as_json)
    except BaseException as error:
        if done:
            error.add_note(f"{done} scenes were mapped before: <resume=True> goes on with the others")
        raise
    if failed:
        raise SceneError(f"{len(failed)} of {done + len(failed)} scenes failed: {', '.join(failed)}")
    if not as_json and not quiet:
        say(f"{done} scenes mapped")


def say_finished(scene: str, message: str, as_json: bool, quiet: bool) -> None:
    """Say that there is nothing to do."""
    if as_json or not quiet:
        tell(answers.Finished(scene=scene, message=message), message, as_json)


def finish(result: MapResult, as_json: bool, verbose: bool, *, command: str = "map") -> None:
    """Print what was made; SceneError if parts of it are missing."""
    if as_json:
        click.echo(answers.to_json(_answer(result, command)))
    else:
        for path in result.outputs.paths.values():
            click.echo(path)
        unit = unit_for(sum(area.area_m2 for area in result.areas), result.scene.grid.crs is not None)
        width = max(24, *(len(area.name) for area in result.areas))
        for area in result.areas:
            sure = "" if area.confidence is None else f"  confidence {area.confidence:.0f} %"
            click.echo(f"  {area.name:<{width}} {unit.text(area.area_m2):>12} {unit.plain} {area.share:>7.1%}{sure}")
        unknown = 1 - sum(area.share for area in result.areas)
        if unknown > 1e-9:
            click.echo(f"  {'unknown':<{width}} {'':>12} {'':{len(unit.plain)}} {unknown:>7.1%}")
        if result.effect:
            click.echo(f"  {result.effect}")
        if verbose:
            timings = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in result.seconds.items())
            say(f"seconds: {timings}")
    if result.failed:
        raise SceneError(
            f"{len(result.failed)} tiles of '{result.scene.path}' failed and are nodata in '{result.labels}', the "
            f"first since {result.failed[0].reason}"
        )


def _answer(result: MapResult, command: str) -> answers.MapResult:
    words, changes = words_here(), result.changes
    return answers.MapResult(
        command=command,
        scene=result.scene.name,
        outputs={name: str(path) for name, path in result.outputs.paths.items()},
        model=result.model,
        device=result.device,
        classes=tuple(answers.MappedClass(**asdict(area)) for area in result.areas),
        unknown_share=max(0.0, 1 - sum(area.share for area in result.areas)),
        notices=tuple(remark(notice, words) for notice in result.notices),
        seconds={stage: round(seconds, 3) for stage, seconds in result.seconds.items()},
        failed=tuple(
            answers.MissingTile(rows_cols=tile.window.toranges(), reason=tile.reason) for tile in result.failed
        ),
        effect=result.effect or None,
        agreement=None if result.agreement is None else _agreement(result.agreement),
        changed=None if changes is None else tuple(answers.Change(**asdict(pair)) for pair in changes.pairs),
        changed_share=None if changes is None else changes.share,
    )


def _agreement(agreement: Agreement) -> answers.Agreement:
    return answers.Agreement(
        examples=agreement.examples,
        before=agreement.before,
        after=agreement.after,
        judged=agreement.judged,
        left_out=agreement.left_out,
        has_earlier=agreement.has_earlier,
        classes=tuple(answers.ClassAgreement(**asdict(each)) for each in agreement.classes),
    )
