"""`lposs-geo info`."""

from __future__ import annotations

from pathlib import Path

import click

from lposs_geo.cli.console import json_line
from lposs_geo.cli.options import BANDS, COLLAR, FILE, JSON, NO_NETWORK, OVERWRITE, SCALE, WARP

__all__ = ["info_command"]

THUMBNAIL = 900
"""Longer side, px, of the picture."""


@click.command("info")
@click.argument("scenes", metavar="SCENE...", nargs=-1, required=True)
@BANDS
@SCALE
@COLLAR
@WARP
@click.option("--quicklook", type=FILE, metavar="PNG", help="Write a picture of what the model would see.")
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
    """Show how SCENE would be read; a folder, or several scenes, are one mosaic."""
    from lposs_geo.scene.description import describe

    found = describe(scenes[0] if len(scenes) == 1 else scenes, bands=bands, scale=scale, collar=collar, warp=warp)
    grid = found.grid
    size = grid.pixel_size
    if quicklook is not None:
        from lposs_geo.files.outputs import Output, check_outputs
        from lposs_geo.scene.reader import open_scene
        from lposs_geo.store.runs import settle, staged
        from lposs_geo.writers.quicklook import draw_scene, save_picture

        output = Output(quicklook, ".png")
        settle(output.path)
        check_outputs([output], sources=found.files, overwrite=overwrite)
        with open_scene(found) as reader, staged(output) as (path,):
            image, valid = reader.overview(THUMBNAIL)
            shown = size[1] * grid.width / valid.shape[1] if size else None
            save_picture(draw_scene(image, valid, title=found.name, pixel_size_m=shown), path)
    low, high = found.radiometry.low, found.radiometry.high
    facts = {
        "scene": found.path,
        "rows": grid.height,
        "cols": grid.width,
        "dtype": found.dtype,
        "crs": grid.crs.to_string() if grid.crs else None,
        "pixel_size_m": [float(f"{side:.6g}") for side in size] if size else None,
        "transform": list(grid.transform)[:6],
        "bands": list(found.bands),
        "bands_reason": str(found.bands_reason),
        "black": list(low),
        "white": list(high),
        "notices": list(map(str, found.notices)),
    }
    if as_json:
        click.echo(json_line(facts | ({"quicklook": str(quicklook)} if quicklook else {})))
        return
    pixel = f"{size[0]:.4g} x {size[1]:.4g} m" if size else "unknown"
    click.echo(f"scene      {found.path}")
    click.echo(f"size       {grid.height} rows x {grid.width} cols, {found.dtype}")
    click.echo(f"CRS        {facts['crs'] or 'none'}")
    click.echo(f"pixel      {pixel}")
    click.echo(f"RGB        bands {','.join(map(str, found.bands))} ({found.bands_reason})")
    click.echo(f"black      {', '.join(f'{v:.6g}' for v in low)}")
    click.echo(f"white      {', '.join(f'{v:.6g}' for v in high)}")
    for notice in found.notices:
        click.echo(f"beware     {notice}")
    if quicklook is not None:
        click.echo(f"quicklook  {quicklook}")
