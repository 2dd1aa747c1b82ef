"""The command line: options become one library call each, errors one line and an exit code.

Results go to stdout, progress and messages to stderr. Exit 0: done; 1: it failed, and one line says why; 2: usage.
torch is imported only by the commands that need it.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lposs_geo.errors import LegendError, LpossGeoError, ParameterError, SceneError, one_line
from lposs_geo.memory import DEFAULT, parse_size

if TYPE_CHECKING:
    from lposs_geo.mapping import MapResult
    from lposs_geo.stages import Progress

__all__ = ["cli", "main"]

FAILED, USAGE, INTERRUPTED, TERMINATED = 1, 2, 130, 143

# What each stage of mapping counts, for people.
_STAGES = {
    "encode": ("encoding", "crops"),
    "propagate": ("propagating", "blocks"),
    "refine": ("labelling", "tiles"),
    "vectorize": ("drawing polygons", "layers"),
}


class _Bands(click.ParamType[tuple[int, ...]]):
    name = "R,G,B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        try:
            bands = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            bands = ()
        if len(bands) != 3:
            self.fail(f"'{value}' must be three band numbers, red,green,blue, like 3,2,1", param, ctx)
        return bands


class _Size(click.ParamType[int]):
    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return value if isinstance(value, int) else parse_size(value)
        except ParameterError as error:
            self.fail(str(error), param, ctx)


_FILE = click.Path(path_type=Path)
_OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
_SIMPLIFY = click.option(
    "--simplify", type=click.FloatRange(min=0), metavar="PX", default=1.0, show_default=True,
    help="Tolerance of the polygons' borders in pixels; 0 keeps every pixel's edge.",
)  # fmt: skip
_MAX_MEMORY = click.option(
    "--max-memory", type=_Size(), default=DEFAULT, show_default="4GB", help="What the work may take beside the model."
)
_BANDS = click.option("--bands", type=_Bands(), help="Bands to take as red, green and blue, like 3,2,1.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Result on stdout, progress on stderr, as JSON lines.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(package_name="lposs-geo")
@click.pass_context
def cli(context: click.Context) -> None:
    """Open-vocabulary land-cover mapping: name the classes, get a finished map."""
    _help_without_command(context)


@cli.command("map")
@click.argument("scene")
@click.option("--classes", metavar="WORDS", help='Classes, like "forest,water=river|lake,road" (| joins synonyms).')
@click.option("--legend", "legend_file", type=_FILE, metavar="FILE", help="Legend file (TOML) instead of --classes.")
@click.option("-o", "--output", type=_FILE, metavar="TIF", help="Map to write.  [default: SCENE_landcover.tif, here]")
@click.option("--vector", type=_FILE, metavar="GPKG", help="Write the polygons to this GeoPackage too.")
@click.option("--quicklook", type=_FILE, metavar="PNG", help="Write a picture of scene, map and legend too.")
@click.option("--model", "model_name", metavar="NAME", help="Model to use.  [default: the best installed]")
@click.option("--vlm", metavar="SOURCE", help="Vision-and-language model of your own: open_clip:ARCH/TAG[@FILE].")
@click.option("--vm", metavar="SOURCE", help="Vision model of your own: timm:NAME[@FILE].")
@_BANDS
@click.option(
    "--gsd",
    type=click.FloatRange(min=0, min_open=True),
    metavar="M",
    help="Resolution to work at, metres per pixel; the map keeps the scene's grid.  [default: what suits the model]",
)
@click.option("--refine/--no-refine", default=True, show_default=True, help="Sharpen borders over pixels (LPOSS+).")
@_SIMPLIFY
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Where to compute.")
@_MAX_MEMORY
@click.option("--tile-size", type=click.IntRange(min=64), metavar="PX", help="Size of tiles.  [default: what fits]")
@click.option("--cache/--no-cache", "use_cache", default=True, show_default=True, help="Keep features for new words.")
@click.option("--resume", is_flag=True, help="Go on with a run that was cut off.")
@_OVERWRITE
@_JSON
@click.option("-v", "--verbose", is_flag=True, help="Say more; show where an unexpected error arose.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def map_command(
    scene: str,
    classes: str | None,
    legend_file: Path | None,
    output: Path | None,
    vector: Path | None,
    quicklook: Path | None,
    model_name: str | None,
    vlm: str | None,
    vm: str | None,
    bands: tuple[int, ...] | None,
    gsd: float | None,
    refine: bool,
    simplify: float,
    device: str,
    max_memory: int,
    tile_size: int | None,
    use_cache: bool,
    resume: bool,
    overwrite: bool,
    as_json: bool,
    verbose: bool,
    quiet: bool,
) -> None:
    """Map the land cover of SCENE, any georeferenced raster."""
    from lposs_geo import legend, models

    if (classes is None) == (legend_file is None):
        raise click.UsageError("name the classes with --classes, or a legend file with --legend")
    if (vlm is None) != (vm is None) or (vlm is not None and model_name is not None):
        raise click.UsageError("--vlm and --vm go together, and without --model")
    try:
        chosen_legend = legend.from_words(classes) if classes is not None else None
    except LegendError as error:
        raise click.UsageError(str(error)) from error
    if legend_file is not None:
        chosen_legend = legend.read_legend(legend_file)
    assert chosen_legend is not None
    model = models.pair(vlm, vm) if vlm and vm else models.find(model_name) if model_name else None
    with _messages(as_json, verbose, quiet), _progress(as_json, quiet) as progress:
        from lposs_geo.mapping import map_scene

        result = map_scene(
            scene,
            chosen_legend,
            output or Path(f"{Path(scene).stem}_landcover.tif"),
            model=model,
            vector=vector,
            quicklook=quicklook,
            bands=bands,
            gsd=gsd,
            refine=refine,
            simplify=simplify,
            device=device,
            tile_size=tile_size,
            max_memory=max_memory,
            use_cache=use_cache,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    _print_map(result, as_json, verbose)
    if result.failed:
        raise SceneError(
            f"{len(result.failed)} tiles of '{scene}' failed and are nodata in '{result.labels}', the first since "
            f"{result.failed[0].reason}"
        )


@cli.command("vectorize")
@click.argument("labels", type=_FILE)
@click.argument("output", type=_FILE)
@_SIMPLIFY
@_OVERWRITE
def vectorize_command(labels: Path, output: Path, simplify: float, overwrite: bool) -> None:
    """Turn the map LABELS into polygons, a GeoPackage at OUTPUT."""
    from lposs_geo.mapping import vectorize

    count = vectorize(labels, output, simplify=simplify, overwrite=overwrite)
    click.echo(f"{output}: {count} polygons")


@cli.command("info")
@click.argument("scene")
@_BANDS
@_JSON
def info_command(scene: str, bands: tuple[int, ...] | None, as_json: bool) -> None:
    """Show how SCENE would be read."""
    from lposs_geo.scene import describe

    found = describe(scene, bands=bands)
    grid = found.grid
    size = grid.pixel_size
    low, high = found.radiometry.low, found.radiometry.high
    facts = {
        "scene": found.path,
        "rows": grid.height,
        "cols": grid.width,
        "dtype": found.dtype,
        "crs": grid.crs.to_string() if grid.crs else None,
        "pixel_size_m": [round(side, 4) for side in size] if size else None,
        "transform": list(grid.transform)[:6],
        "bands": list(found.bands),
        "bands_reason": found.bands_reason,
        "black": list(low),
        "white": list(high),
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    pixel = f"{size[0]:.4g} x {size[1]:.4g} m" if size else "unknown"
    click.echo(f"scene      {found.path}")
    click.echo(f"size       {grid.height} rows x {grid.width} cols, {found.dtype}")
    click.echo(f"CRS        {facts['crs'] or 'none'}")
    click.echo(f"pixel      {pixel}")
    click.echo(f"RGB        bands {','.join(map(str, found.bands))} ({found.bands_reason})")
    click.echo(f"black      {', '.join(f'{v:.6g}' for v in low)}")
    click.echo(f"white      {', '.join(f'{v:.6g}' for v in high)}")


@cli.group("models", invoke_without_command=True)
@click.pass_context
def models_group(context: click.Context) -> None:
    """See and fetch models."""
    _help_without_command(context)


@models_group.command("list")
@_JSON
def models_list(as_json: bool) -> None:
    """List the models and whether they are installed."""
    from lposs_geo import models

    best = models.preferred()
    for model in models.MODELS.values():
        installed = models.is_installed(model)
        if as_json:
            click.echo(json.dumps({"name": model.name, "summary": model.summary, "installed": installed}))
        else:
            state = ("installed, default" if model == best else "installed") if installed else "not installed"
            click.echo(f"{model.name:<8} {state:<20} {model.summary}")


@models_group.command("show")
@click.argument("name")
def models_show(name: str) -> None:
    """Show one model: sources, licence, files."""
    from lposs_geo import models

    model = models.find(name)
    installed = models.is_installed(model)
    click.echo(f"name       {model.name}")
    click.echo(f"summary    {model.summary}")
    click.echo(f"licence    {model.licence}")
    click.echo(f"VLM        {model.vlm or 'bundled'}")
    click.echo(f"VM         {model.vm or 'bundled, the same trunk'}")
    click.echo(f"installed  {'yes' if installed else f'no: lposs-geo models pull {model.name}'}")
    for file in models.files(model) if installed else []:
        click.echo(f"file       {file} ({file.stat().st_size / 1e6:.1f} MB)")
    if installed:
        click.echo(f"hash       {models.fingerprint(model)}")


@models_group.command("pull")
@click.argument("name")
def models_pull(name: str) -> None:
    """Fetch model NAME (or a source like timm:vit_small_patch16_224.dino) once."""
    from lposs_geo import models

    for file in models.pull(name):
        click.echo(str(file))


@cli.group("cache", invoke_without_command=True)
@click.pass_context
def cache_group(context: click.Context) -> None:
    """See and empty the cache of scenes' features."""
    _help_without_command(context)


@cache_group.command("list")
@_JSON
def cache_list(as_json: bool) -> None:
    """List the scenes whose features are kept, the latest used first."""
    from lposs_geo import cache

    found = cache.stores()
    for store in found:
        if as_json:
            line = {"scene": store.scene, "model": store.model, "bytes": store.size, "used": store.used}
            click.echo(json.dumps(line | {"folder": str(store.folder)}))
        else:
            used = time.strftime("%Y-%m-%d %H:%M", time.localtime(store.used))
            click.echo(f"{store.size / 1e6:>10,.1f} MB  {used}  {store.model:<8} {store.scene}")
    if not as_json:
        total = sum(store.size for store in found)
        click.echo(f"{total / 1e6:>10,.1f} MB of {cache.limit() / 1e6:,.0f} MB in {cache.folder()}")


@cache_group.command("clear")
def cache_clear() -> None:
    """Remove all features that no run is using."""
    from lposs_geo import cache

    removed = cache.clear()
    click.echo(f"{sum(store.size for store in removed) / 1e6:,.1f} MB of {len(removed)} scenes removed")


@cli.command("doctor")
def doctor_command() -> None:
    """Show versions, device, models, cache and GDAL; exit 1 if something is amiss."""
    from lposs_geo.doctor import examine

    healthy = True
    for topic, finding, fit in examine():
        healthy = healthy and fit
        click.echo(f"{'ok ' if fit else 'BAD'} {topic:<16} {finding}")
    if not healthy:
        raise LpossGeoError("something is amiss: see the lines marked BAD")


@cli.command("bench")
@click.argument("scene", required=False)
@click.option("--classes", metavar="WORDS", help="Classes to map.  [default: six usual ones]")
@click.option("--model", "model_name", metavar="NAME", help="Model to use.  [default: the best installed]")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Where to compute.")
@_MAX_MEMORY
@click.option("--side", type=click.IntRange(min=64), default=1000, show_default=True, help="Px of the invented scene.")
@_JSON
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def bench_command(
    scene: str | None,
    classes: str | None,
    model_name: str | None,
    device: str,
    max_memory: int,
    side: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure speed and memory of mapping SCENE, or of an invented one, from scratch."""
    import tempfile

    from lposs_geo import bench, legend

    words = legend.from_words(classes).names if classes else bench.CLASSES
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, _progress(as_json, quiet) as progress:
        path = scene or bench.invented_scene(Path(folder) / f"invented_{side}.tif", side)
        report = bench.measure(path, words, model=model_name, device=device, max_memory=max_memory, progress=progress)
    if as_json:
        rates = {"mpx": report.mpx, "mpx_per_second": report.mpx / report.wall, "encoder_share": report.encoder_share}
        click.echo(json.dumps(asdict(report) | rates))
    else:
        click.echo(bench.table(report))


def _help_without_command(context: click.Context) -> None:
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@contextmanager
def _messages(as_json: bool, verbose: bool, quiet: bool) -> Iterator[None]:
    """Show the library's messages on stderr."""

    class _Echo(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if as_json:
                click.echo(json.dumps({"event": record.levelname.lower(), "message": text}), err=True)
            else:
                click.echo(text if record.levelno < logging.WARNING else f"Warning: {text}", err=True)

    log = logging.getLogger("lposs_geo")
    handler = _Echo()
    log.addHandler(handler)
    log.propagate = False  # some libraries give the root logger a handler of its own
    log.setLevel(logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = True


@contextmanager
def _progress(as_json: bool, quiet: bool) -> Iterator[Progress]:
    """A bar with rate and remaining time on a terminal, a line a stage otherwise, JSON lines for programs."""
    from tqdm import tqdm

    bar: tqdm[Any] | None = None
    current = ""
    began = time.monotonic()

    def report(stage: str, done: int, total: int) -> None:
        nonlocal bar, current
        if quiet:
            return
        if as_json:
            click.echo(json.dumps({"event": "progress", "stage": stage, "done": done, "total": total}), err=True)
            return
        doing, unit = _STAGES.get(stage, (stage, "steps"))
        if sys.stderr.isatty():
            if stage != current:
                if bar is not None:
                    bar.close()
                bar = tqdm(total=total, initial=done, desc=f"{doing:<17}", unit=f" {unit}", file=sys.stderr)
            if bar is not None:
                bar.update(done - bar.n)
        elif done == total:
            amount = f" {total} {unit}" if total > 1 else ""
            click.echo(f"{doing}{amount}: done after {time.monotonic() - began:.0f} s", err=True)
        current = stage

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()


def _print_map(result: MapResult, as_json: bool, verbose: bool) -> None:
    outputs = {"labels": result.labels, "vector": result.vector, "quicklook": result.quicklook}
    written = {kind: str(path) for kind, path in outputs.items() if path is not None}
    if as_json:
        click.echo(
            json.dumps(
                written
                | {
                    "event": "result",
                    "model": result.model,
                    "device": result.device,
                    "classes": [
                        {"name": area.name, "pixels": area.pixels, "area_m2": area.area_m2, "share": area.share}
                        for area in result.areas
                    ],
                    "seconds": {stage: round(seconds, 3) for stage, seconds in result.seconds.items()},
                    "failed": [tile.as_dict() for tile in result.failed],
                }
            )
        )
        return
    for path in written.values():
        click.echo(path)
    unit = "ha" if result.scene.grid.crs else "square units"
    for area in result.areas:
        amount = area.area_m2 / 1e4 if result.scene.grid.crs else area.area_m2
        click.echo(f"  {area.name:<24} {amount:>12,.2f} {unit} {area.share:>7.1%}")
    if verbose:
        timings = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in result.seconds.items())
        click.echo(f"seconds: {timings}", err=True)


class _Terminated(BaseException):
    """The process was asked to end; unwinding takes the temporary files along."""


def _terminate(*_: object) -> None:
    raise _Terminated


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; every error is one line on stderr."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in arguments
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminate)
    try:
        cli.main(arguments, prog_name="lposs-geo", standalone_mode=False)
        sys.exit(0)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "lposs-geo"
        _fail(f"{error.format_message()} (see {command} --help)", USAGE, as_json)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code, as_json)
    except LpossGeoError as error:
        _fail(_with_notes(str(error), error), USAGE if isinstance(error, ParameterError) else FAILED, as_json)
    except (click.Abort, KeyboardInterrupt) as error:
        _fail(_with_notes("interrupted; no output was written", error), INTERRUPTED, as_json)
    except _Terminated as error:
        _fail(_with_notes("terminated; no output was written", error), TERMINATED, as_json)
    except Exception as error:  # a defect of ours: still one line, and how to tell us
        if "--verbose" in arguments or "-v" in arguments:
            traceback.print_exc()
        first = (str(error).splitlines() or [""])[0]
        said = f"unexpected {type(error).__name__}: {first} (a defect: please report it, with lposs-geo doctor)"
        _fail(_with_notes(said, error), FAILED, as_json)


def _with_notes(message: str, error: BaseException) -> str:
    """A message with what was added to its error on the way up: what is kept for --resume."""
    # click raises an error of its own for Ctrl-C, and names the first as its cause
    notes = [note for raised in (error, error.__cause__) for note in getattr(raised, "__notes__", [])]
    return "; ".join([message, *notes])


def _fail(message: str, code: int, as_json: bool) -> None:
    line = one_line(message)
    click.echo(json.dumps({"event": "error", "message": line}) if as_json else f"Error: {line}", err=True)
    sys.exit(code)
