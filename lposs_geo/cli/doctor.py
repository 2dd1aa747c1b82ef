"""`lposs-geo doctor`."""

from __future__ import annotations

import click

from lposs_geo.errors import LpossGeoError

__all__ = ["doctor_command"]


@click.command("doctor")
def doctor_command() -> None:
    """Show versions, device, models, cache and GDAL; exit 1 if something is amiss."""
    from lposs_geo.doctor import examine

    healthy = True
    for topic, finding, fit in examine():
        healthy = healthy and fit
        click.echo(f"{'ok ' if fit else 'BAD'} {topic:<16} {finding}")
    if not healthy:
        raise LpossGeoError("something is amiss: see the lines marked BAD")
