"""`lposs-geo legends`."""

from __future__ import annotations

import click

from lposs_geo.cli.console import help_without_command, json_line
from lposs_geo.cli.options import JSON

__all__ = ["legends_group"]


@click.group("legends", invoke_without_command=True)
@click.pass_context
def legends_group(context: click.Context) -> None:
    """See the legends that come along."""
    help_without_command(context)


@legends_group.command("list")
@JSON
def legends_list(as_json: bool) -> None:
    """List the legends that --legend takes by name."""
    from lposs_geo.legend import legend

    for name in legend.PRESETS:
        found = legend.preset(name)
        if as_json:
            click.echo(json_line({"name": name} | found.as_dict()))
        else:
            click.echo(f"{name:<14} {len(found):>3} classes  {found.title}")


@legends_group.command("show")
@click.argument("name")
def legends_show(name: str) -> None:
    """Print legend NAME, or a legend file, as TOML, to be changed and given to --legend."""
    from lposs_geo.legend import legend

    click.echo(legend.to_toml(legend.find_legend(name)), nl=False)
