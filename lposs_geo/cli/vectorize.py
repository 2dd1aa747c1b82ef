"""`lposs-geo vectorize`."""

from __future__ import annotations

from pathlib import Path

import click

from lposs_geo.cli.options import FILE, MIN_AREA, OVERWRITE, SIMPLIFY

__all__ = ["vectorize_command"]


@click.command("vectorize")
@click.argument("labels", type=FILE)
@click.argument("output", type=FILE)
@SIMPLIFY
@MIN_AREA
@click.option("--confidence", type=FILE, metavar="TIF", help="The map's confidence, whose mean each polygon gets.")
@OVERWRITE
def vectorize_command(
    labels: Path, output: Path, simplify: str, min_area: float, confidence: Path | None, overwrite: bool
) -> None:
    """Turn the map LABELS into polygons at OUTPUT: .gpkg, .parquet, .fgb or .geojson."""
    from lposs_geo.vectorizing import vectorize

    count = vectorize(labels, output, simplify=simplify, min_area=min_area, confidence=confidence, overwrite=overwrite)
    click.echo(f"{output}: {count} polygons")
