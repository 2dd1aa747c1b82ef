"""The command line: options become one library call each, errors one line and an exit code.

Results go to stdout, progress and messages to stderr. Exit 0: done; 1: it failed, and one line says why; 2: usage.
There is one module for each command; the library is imported inside it, so that torch loads only where it is needed.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from lposs_geo.cli.bench import bench_command
from lposs_geo.cli.cache import cache_group
from lposs_geo.cli.console import Terminated, help_without_command, say, tell
from lposs_geo.cli.correct import correct_command
from lposs_geo.cli.doctor import doctor_command
from lposs_geo.cli.failing import TERMINATED, as_failure, exit_code, is_defect
from lposs_geo.cli.info import info_command
from lposs_geo.cli.legends import legends_group
from lposs_geo.cli.map import map_command
from lposs_geo.cli.models import models_group
from lposs_geo.cli.streams import json_lines, prepare, undelivered
from lposs_geo.cli.vectorize import vectorize_command
from lposs_geo.cli.wording import words_of
from lposs_geo.errors import LpossGeoError
from lposs_geo.files.odd_names import forget_links
from lposs_geo.limits import raise_limits

if TYPE_CHECKING:
    from lposs_geo.mapping import Mapper

__all__ = ["cli", "main"]

_WRITE_FILES = ("map", "correct", "vectorize")
"""Commands whose result is files; what they print only tells of it."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(package_name="lposs-geo")
@click.pass_context
def cli(context: click.Context) -> None:
    """Open-vocabulary land-cover mapping: name the classes, get a finished map."""
    help_without_command(context)


for _command in (
    map_command,
    correct_command,
    vectorize_command,
    info_command,
    legends_group,
    models_group,
    cache_group,
    doctor_command,
    bench_command,
):
    cli.add_command(_command)


def _terminate(*_: object) -> None:
    raise Terminated


def main(arguments: Sequence[str] | None = None, mapper: Mapper | None = None) -> None:
    """Run the command line and exit; every error is one line on stderr. `mapper` takes the place of a model."""
    prepare()
    raise_limits()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in arguments
    if as_json:
        json_lines(begin=True)
    # SIGBREAK is how Windows asks a process of a console to end; it has no SIGHUP, others have no SIGBREAK
    for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _terminate)
    try:
        cli.main(arguments, prog_name="lposs-geo", standalone_mode=False, obj=mapper)
        _check_delivered(arguments, as_json)
        sys.exit(0)
    except Terminated as error:
        try:
            _fail(error, arguments, as_json)
        finally:
            lines = json_lines()
            if lines is not None:
                lines.end()
            forget_links()
            os._exit(TERMINATED)  # all is put away; who asks us to end mustn't wait for torch to be taken down
    except (Exception, KeyboardInterrupt) as error:
        if is_defect(error) and ("--verbose" in arguments or "-v" in arguments):
            traceback.print_exc()
        _fail(error, arguments, as_json)
    finally:
        forget_links()


def _check_delivered(arguments: Sequence[str], as_json: bool) -> None:
    """LpossGeoError if the result was to be printed and couldn't be; where files are the result, a line is enough."""
    failure = undelivered()
    if failure is None:
        return
    problem = f"standard output can't be written: {failure.strerror or failure}"
    if as_json or arguments[0] not in _WRITE_FILES:
        raise LpossGeoError(f"{problem}; all files are written" if arguments[0] in _WRITE_FILES else problem)
    say(f"Warning: {problem}; all files are written")


def _fail(error: BaseException, arguments: Sequence[str], as_json: bool) -> None:
    """Print the one line that tells of an error, and exit."""
    command = cli.commands.get(arguments[0]) if arguments else None
    failure = as_failure(error, words_of(command or cli, cli))
    with suppress(Terminated):  # the exit code tells it, too
        tell(failure, f"Error: {failure.message}", as_json)
    sys.exit(exit_code(error))
