"""`lposs-geo bench`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lposs_geo.cli import answers
from lposs_geo.cli.console import show_progress
from lposs_geo.cli.options import DEVICE, JSON, MAX_MEMORY, MODEL, NO_NETWORK

if TYPE_CHECKING:
    from lposs_geo.bench import Report

__all__ = ["bench_command"]


@click.command("bench", short_help="Measure speed and memory.")
@click.argument("scene", required=False)
@click.option("--classes", metavar="WORDS", help="Classes to map.  [default: six usual ones]")
@MODEL
@DEVICE
@MAX_MEMORY
@click.option(
    "--side", type=click.IntRange(min=64), default=1000, show_default=True, help="Side of the invented scene, px."
)
@NO_NETWORK
@JSON
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
    """Measure speed and memory of mapping SCENE, or an invented one, from scratch."""
    import tempfile

    from lposs_geo import bench, legend

    words = legend.from_words(classes).names if classes else bench.CLASSES
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, show_progress(as_json, quiet) as progress:
        path = scene or bench.invented_scene(Path(folder) / f"invented_{side}.tif", side)
        report = bench.measure(path, words, model=model_name, device=device, max_memory=max_memory, progress=progress)
    if as_json:
        click.echo(answers.to_json(_answer(report)))
    else:
        click.echo(bench.table(report))


def _answer(report: Report) -> answers.BenchResult:
    facts = asdict(report) | {"encoder": answers.EncoderResult(**asdict(report.encoder))}
    speed = report.mpx / report.wall
    return answers.BenchResult(**facts, mpx=report.mpx, mpx_per_second=speed, encoder_share=report.encoder_share)
