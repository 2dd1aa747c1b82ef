"""`lposs-geo legends`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lposs_geo.cli import answers
from lposs_geo.cli.console import help_without_command
from lposs_geo.cli.options import JSON

if TYPE_CHECKING:
    from lposs_geo.examples import Learned

__all__ = ["legends_group"]


@click.group("legends", invoke_without_command=True)
@click.pass_context
def legends_group(context: click.Context) -> None:
    """Show the bundled legends."""
    help_without_command(context)


@legends_group.command("list", short_help="List the bundled legends.")
@JSON
def legends_list(as_json: bool) -> None:
    """List the legends that --legend takes by name."""
    from lposs_geo import legend

    for name in legend.PRESETS:
        preset = legend.preset(name)
        if not as_json:
            click.echo(f"{name:<14} {len(preset):>3} classes  {preset.title}")
            continue
        classes = tuple(
            answers.LegendClass(
                id=each.id,
                name=each.name,
                prompts=each.prompts,
                colour=each.hex_colour,
                negatives=each.negatives,
                code=each.code,
            )
            for each in preset.classes
        )
        line = answers.LegendResult(name=name, title=preset.title, source=preset.source, classes=classes)
        click.echo(answers.to_json(line))


@legends_group.command("show", short_help="Print a legend as TOML.")
@click.argument("name")
def legends_show(name: str) -> None:
    """Print legend NAME, or a legend file, as TOML, to edit and give to --legend.

    Of what `--save` has kept, the legend that it was learnt for is printed, without what was learnt.
    """
    from lposs_geo import examples, legend

    if name.casefold() not in legend.PRESETS and examples.is_learned(name):
        learned = examples.read_learned(name)
        click.echo("".join(f"# {line}\n" for line in _about(learned)), nl=False)
        click.echo(legend.to_toml(learned.legend), nl=False)
        return
    click.echo(legend.to_toml(legend.find_legend(name)), nl=False)


def _about(learned: Learned) -> list[str]:
    """Lines on what was learnt from what."""
    counts = ", ".join(f"{name} {learned.counts[name]}" for name in learned.legend.names if name in learned.counts)
    return [
        f"learnt with the model {learned.model} by lposs-geo {learned.version}",
        f"from {sum(learned.counts.values())} examples: {counts}",
    ]
