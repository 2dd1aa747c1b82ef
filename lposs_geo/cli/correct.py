"""`lposs-geo correct`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lposs_geo.cli.console import messages, show_progress
from lposs_geo.cli.grouped import options
from lposs_geo.cli.map import chosen_model, finish, loaded, say_finished
from lposs_geo.cli.options import (
    ADD_CLASSES,
    CACHE,
    DEVICE,
    EXAMPLES_LAYER,
    FILE,
    JSON,
    MAX_MEMORY,
    NO_NETWORK,
    OVERWRITE,
    QUIET,
    RESUME,
    VERBOSE,
    VLM,
    VM,
)
from lposs_geo.cli.outputs import OF_CORRECTION, OF_EXAMPLES, OutputsCommand, files_of, keep, named_files, outputs
from lposs_geo.cli.wording import words_here
from lposs_geo.errors import FinishedError

if TYPE_CHECKING:
    from lposs_geo.mapping import Mapper

__all__ = ["correct_command"]


@click.command("correct", cls=OutputsCommand, short_help="Correct a map by examples.")
@click.argument("labels", metavar="MAP", type=FILE)
@click.argument("examples", metavar="EXAMPLES", type=FILE)
@options(
    "Examples",
    EXAMPLES_LAYER,
    ADD_CLASSES,
    *outputs(OF_EXAMPLES | OF_CORRECTION),
)
@options(
    "Outputs",
    click.option("-o", "--output", type=FILE, metavar="TIF", help="Map to write.  [default: MAP_corrected.tif, here]"),
    *outputs(),
    OVERWRITE,
)
@options(
    "The scene",
    click.option(
        "--scene",
        metavar="SCENE",
        multiple=True,
        help="What MAP was made from; repeat it for a mosaic of several.  [default: its name, beside MAP or here]",
    ),
    click.option("--aoi", metavar="FILE", help="The area of interest, again, where MAP was cut to a file."),
    click.option("--aoi-layer", metavar="NAME", help="Layer of that file."),
    NO_NETWORK,
)
@options("The model, again, where its weights are a file of your own", VLM, VM)
@options("The work", DEVICE, MAX_MEMORY, CACHE, RESUME)
@options("Messages", JSON, VERBOSE, QUIET)
@click.pass_context
def correct_command(
    context: click.Context,
    /,
    labels: Path,
    examples: Path,
    output: Path | None,
    scene: tuple[str, ...],
    vlm: str | None,
    vm: str | None,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """Correct MAP by EXAMPLES: a file of points, lines or polygons with a field `class`.

    The scene is mapped anew with what they teach beside the words. Classes, model and settings are those of MAP, and
    what it had learnt before still counts; MAP itself stays as it is.
    """
    output = output or Path(f"{labels.stem}_corrected.tif")
    settings = named_files(settings, output)
    keep(labels, "the map that is corrected", files_of(settings, output))
    keep(examples, "the file of examples", files_of(settings, output))
    with messages(as_json, verbose, quiet), show_progress(as_json, quiet) as progress:
        mapper = _mapper(context, labels, vlm, vm, settings)
        given = {name: value for name, value in settings.items() if value is not None}
        source = (scene[0] if len(scene) == 1 else scene) if scene else None
        try:
            result = mapper.correct(labels, examples, output, scene=source, progress=progress, **given)
        except FinishedError as error:
            say_finished(str(labels), error.worded(words_here()), as_json, quiet)
        else:
            finish(result, as_json, verbose, command="correct")


def _mapper(context: click.Context, labels: Path, vlm: str | None, vm: str | None, settings: dict[str, Any]) -> Mapper:
    """The model that the map was made with, loaded for the options of this command."""
    from lposs_geo import earlier, provenance

    model = chosen_model(None, vlm, vm)
    if model is None:
        model = earlier.model_of(provenance.settings_of(labels).model, f"the map '{labels}'")
    return loaded(context, model, settings)
