"""`lposs-geo cache`."""

from __future__ import annotations

import time

import click

from lposs_geo.cli import answers
from lposs_geo.cli.console import help_without_command
from lposs_geo.cli.options import JSON

__all__ = ["cache_group"]


@click.group("cache", invoke_without_command=True, short_help="Show and empty the cache of features.")
@click.pass_context
def cache_group(context: click.Context) -> None:
    """Show and empty the cache of scenes' features."""
    help_without_command(context)


@cache_group.command("list", short_help="List scenes whose features are kept.")
@JSON
def cache_list(as_json: bool) -> None:
    """List the scenes whose features are kept, the latest used first."""
    from lposs_geo.store import cache

    stores = cache.stores()
    for store in stores:
        if as_json:
            line = answers.CacheResult(
                scene=store.scene, model=store.model, bytes=store.size, used=store.used, folder=str(store.folder)
            )
            click.echo(answers.to_json(line))
        else:
            used = time.strftime("%Y-%m-%d %H:%M", time.localtime(store.used))
            model, scene = _shown(store.model, "?"), _shown(store.scene, "? (left by a run that was cut off)")
            click.echo(f"{store.size / 1e6:>10,.1f} MB  {used}  {model:<8} {scene}")
    if not as_json:
        total = sum(store.size for store in stores)
        click.echo(f"{total / 1e6:>10,.1f} MB of {cache.limit() / 1e6:,.0f} MB in {cache.folder()}")


def _shown(name: str | None, unknown: str) -> str:
    """A name on one line, whatever characters it holds."""
    if name is None:
        return unknown
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)


@cache_group.command("clear")
def cache_clear() -> None:
    """Remove all features that no run is using."""
    from lposs_geo.store import cache

    removed = cache.clear()
    click.echo(f"{sum(store.size for store in removed) / 1e6:,.1f} MB of {len(removed)} scenes removed")
