"""`lposs-geo doctor`."""

from __future__ import annotations

import click

from lposs_geo.cli import answers
from lposs_geo.cli.options import JSON
from lposs_geo.errors import LpossGeoError

__all__ = ["doctor_command"]


@click.command("doctor", short_help="Check the installation.")
@JSON
def doctor_command(as_json: bool) -> None:
    """Check versions, device, models, cache and GDAL; exit 1 if something is amiss."""
    from lposs_geo.doctor import examine

    checks = []
    for check in examine():
        checks.append(check)
        if not as_json:
            click.echo(f"{'ok ' if check.fit else 'BAD'} {check.topic:<16} {check.finding}")
    amiss = [check.topic for check in checks if not check.fit]
    if as_json:
        listed = tuple(answers.Check(topic=each.topic, finding=each.finding, fit=each.fit) for each in checks)
        click.echo(answers.to_json(answers.DoctorResult(fit=not amiss, checks=listed)))
    if amiss:
        raise LpossGeoError(f"something is amiss: {', '.join(amiss)}")
