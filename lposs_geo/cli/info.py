"""`lposs-geo info`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lposs_geo.cli import answers
from lposs_geo.cli.console import remark
from lposs_geo.cli.options import BANDS, COLLAR, FILE, JSON, NO_NETWORK, OVERWRITE, SCALE, WARP
from lposs_geo.cli.wording import words_here

if TYPE_CHECKING:
    from lposs_geo.scene.description import Scene

__all__ = ["info_command"]

THUMBNAIL = 900
"""Longer side, px, of the picture."""


@click.command("info", short_help="Show how a scene is read.")
@click.argument("scenes", metavar="SCENE...", nargs=-1, required=True)
@BANDS
@SCALE
@COLLAR
@WARP
@click.option("--quicklook", type=FILE, metavar="PNG", help="Write a picture of what the model sees.")
@OVERWRITE
@NO_NETWORK
@JSON
def info_command(
    scenes: tuple[str, ...],
    bands: str | None,
    scale: tuple[float, float] | None,
    collar: bool,
    warp: bool,
    quicklook: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Show how SCENE is read; a folder, or several scenes, are one mosaic."""
    from lposs_geo.scene.description import describe

    scene = describe(scenes[0] if len(scenes) == 1 else scenes, bands=bands, scale=scale, collar=collar, warp=warp)
    if quicklook is not None:
        _draw(scene, quicklook, overwrite)
    answer = _answer(scene, quicklook)
    if as_json:
        click.echo(answers.to_json(answer))
    else:
        _show(answer)


def _draw(scene: Scene, path: Path, overwrite: bool) -> None:
    """Write a picture of a scene as the model would see it."""
    from lposs_geo.files.outputs import Output, check_outputs
    from lposs_geo.scene.reader import open_scene
    from lposs_geo.store.runs import settle, staged
    from lposs_geo.writers.quicklook import draw_scene, save_picture

    output = Output(path, ".png")
    settle(output.path)
    check_outputs([output], sources=scene.files, overwrite=overwrite)
    with open_scene(scene) as reader, staged(output) as (staging,):
        image, valid = reader.overview(THUMBNAIL)
        size = scene.grid.pixel_size
        shown = size[1] * scene.grid.width / valid.shape[1] if size else None
        save_picture(draw_scene(image, valid, title=scene.name, pixel_size_m=shown), staging)


def _answer(scene: Scene, quicklook: Path | None) -> answers.InfoResult:
    grid, words = scene.grid, words_here()
    size = grid.pixel_size
    return answers.InfoResult(
        scene=scene.path,
        rows=grid.height,
        cols=grid.width,
        dtype=scene.dtype,
        crs=grid.crs.to_string() if grid.crs else None,
        pixel_size_m=(float(f"{size[0]:.6g}"), float(f"{size[1]:.6g}")) if size else None,
        transform=tuple(grid.transform)[:6],
        bands=scene.bands,
        bands_reason=remark(scene.bands_reason, words).message,
        black=scene.radiometry.low,
        white=scene.radiometry.high,
        notices=tuple(remark(notice, words) for notice in scene.notices),
        quicklook=None if quicklook is None else str(quicklook),
    )


def _show(answer: answers.InfoResult) -> None:
    size = answer.pixel_size_m
    click.echo(f"scene      {answer.scene}")
    click.echo(f"size       {answer.rows} rows x {answer.cols} cols, {answer.dtype}")
    click.echo(f"CRS        {answer.crs or 'none'}")
    click.echo(f"pixel      {f'{size[0]:.4g} x {size[1]:.4g} m' if size else 'unknown'}")
    click.echo(f"RGB        bands {','.join(map(str, answer.bands))} ({answer.bands_reason})")
    click.echo(f"black      {', '.join(f'{value:.6g}' for value in answer.black)}")
    click.echo(f"white      {', '.join(f'{value:.6g}' for value in answer.white)}")
    for notice in answer.notices:
        click.echo(f"beware     {notice.message}")
    if answer.quicklook is not None:
        click.echo(f"quicklook  {answer.quicklook}")
