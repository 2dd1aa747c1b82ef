"""`lposs-geo models`."""

from __future__ import annotations

import click

from lposs_geo.cli import answers
from lposs_geo.cli.console import help_without_command
from lposs_geo.cli.options import JSON

__all__ = ["models_group"]


@click.group("models", invoke_without_command=True)
@click.pass_context
def models_group(context: click.Context) -> None:
    """Show and fetch models."""
    help_without_command(context)


@models_group.command("list", short_help="List the models.")
@JSON
def models_list(as_json: bool) -> None:
    """List the models and whether they are installed."""
    from lposs_geo import models

    best = models.preferred()
    for model in models.MODELS.values():
        installed = models.is_installed(model)
        if as_json:
            line = answers.ModelResult(
                name=model.name, summary=model.summary, installed=installed, default=model == best
            )
            click.echo(answers.to_json(line))
        else:
            state = ("installed, default" if model == best else "installed") if installed else "not installed"
            click.echo(f"{model.name:<8} {state:<20} {model.summary}")


@models_group.command("show", short_help="Show one model.")
@click.argument("name")
def models_show(name: str) -> None:
    """Show sources, licence and files of model NAME."""
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


@models_group.command("pull", short_help="Fetch a model once.")
@click.argument("name")
def models_pull(name: str) -> None:
    """Fetch model NAME (or a source like timm:vit_small_patch16_224.dino) once."""
    from lposs_geo import pulling

    for file in pulling.pull(name):
        click.echo(str(file))
