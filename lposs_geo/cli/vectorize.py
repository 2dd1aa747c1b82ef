"""`lposs-geo vectorize`."""

from __future__ import annotations

from pathlib import Path

import click

from lposs_geo.cli import answers
from lposs_geo.cli.console import messages, show_progress
from lposs_geo.cli.options import FILE, JSON, MIN_AREA, NO_NETWORK, OVERWRITE, QUIET, SIMPLIFY, VERBOSE

__all__ = ["vectorize_command"]


@click.command("vectorize", short_help="Turn a map into polygons.")
@click.argument("labels", type=FILE)
@click.argument("output", type=FILE)
@SIMPLIFY
@MIN_AREA
@click.option("--confidence", type=FILE, metavar="TIF", help="Confidence of the map: each polygon gets its mean.")
@OVERWRITE
@NO_NETWORK
@JSON
@VERBOSE
@QUIET
def vectorize_command(
    labels: Path,
    output: Path,
    simplify: str,
    min_area: float,
    confidence: Path | None,
    overwrite: bool,
    as_json: bool,
    verbose: bool,
    quiet: bool,
) -> None:
    """Turn the map LABELS into polygons at OUTPUT: .gpkg, .parquet, .fgb or .geojson."""
    from lposs_geo.polygons.vectorize import vectorize

    with messages(as_json, verbose, quiet), show_progress(as_json, quiet) as progress:
        count = vectorize(
            labels,
            output,
            simplify=simplify,
            min_area=min_area,
            confidence=confidence,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        click.echo(answers.to_json(answers.VectorizeResult(vector=str(output), polygons=count)))
    else:
        click.echo(f"{output}: {count} polygons")
