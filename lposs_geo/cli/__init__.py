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
from lposs_geo.cli.console import Terminated, help_without_command, json_line, say
from lposs_geo.cli.doctor import doctor_command
from lposs_geo.cli.info import info_command
from lposs_geo.cli.legends import legends_group
from lposs_geo.cli.map import map_command
from lposs_geo.cli.models import models_group
from lposs_geo.cli.streams import json_lines, prepare, undelivered
from lposs_geo.cli.vectorize import vectorize_command
from lposs_geo.errors import LpossGeoError, ParameterError, defect, one_line
from lposs_geo.files.odd_names import forget_links, unlinked
from lposs_geo.limits import advice_on_files, raise_limits, shortage

if TYPE_CHECKING:
    from lposs_geo.mapping import Mapper

__all__ = ["cli", "main"]

_WRITE_FILES = ("map", "vectorize")
"""Commands whose result is files; what they print only tells of it."""

FAILED, USAGE, INTERRUPTED, TERMINATED = 1, 2, 130, 143


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(package_name="lposs-geo")
@click.pass_context
def cli(context: click.Context) -> None:
    """Open-vocabulary land-cover mapping: name the classes, get a finished map."""
    help_without_command(context)


for _command in (
    map_command,
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
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "lposs-geo"
        _fail(f"{error.format_message()} (see {command} --help)", USAGE, as_json)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code, as_json)
    except LpossGeoError as error:
        advice = "" if "ulimit" in str(error) else advice_on_files(error)
        _fail(_with_notes(f"{error}{advice}", error), USAGE if isinstance(error, ParameterError) else FAILED, as_json)
    except (click.Abort, KeyboardInterrupt) as error:
        _fail(_with_notes("interrupted; no output was written", error), INTERRUPTED, as_json)
    except Terminated as error:
        try:
            _fail(_with_notes("terminated; no output was written", error), TERMINATED, as_json)
        finally:
            lines = json_lines()
            if lines is not None:
                lines.end()
            forget_links()
            os._exit(TERMINATED)  # all is put away; who asks us to end mustn't wait for torch to be taken down
    except Exception as error:
        short = shortage(error)
        if short is not None:
            _fail(_with_notes(short, error), FAILED, as_json)
        # a defect of ours: still one line, and how to tell us
        if "--verbose" in arguments or "-v" in arguments:
            traceback.print_exc()
        _fail(_with_notes(defect(error), error), FAILED, as_json)
    finally:
        forget_links()


def _check_delivered(arguments: Sequence[str], as_json: bool) -> None:
    """LpossGeoError if the result was to be printed and couldn't be; where files are the result, a line is enough."""
    failure = undelivered()
    if failure is None:
        return
    said = f"standard output can't be written: {failure.strerror or failure}"
    if as_json or arguments[0] not in _WRITE_FILES:
        raise LpossGeoError(f"{said}; all files are written" if arguments[0] in _WRITE_FILES else said)
    say(f"Warning: {said}; all files are written")


def _with_notes(message: str, error: BaseException) -> str:
    """A message with what was added to its error on the way up: what is kept for --resume."""
    # click raises an error of its own for Ctrl-C, and names the first as its cause
    notes = [note for raised in (error, error.__cause__) for note in getattr(raised, "__notes__", [])]
    return "; ".join([message, *notes])


def _fail(message: str, code: int, as_json: bool) -> None:
    line = one_line(unlinked(message))
    with suppress(Terminated):  # the exit code tells it, too
        say(json_line({"event": "error", "message": line}) if as_json else f"Error: {line}")
    sys.exit(code)
