"""What a person or a program sees of a command at work: messages and progress, on stderr."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from lposs_geo.cli.streams import json_lines
from lposs_geo.errors import escaped

if TYPE_CHECKING:
    from lposs_geo.progress import Listener

__all__ = ["Terminated", "help_without_command", "json_line", "messages", "say", "show_progress"]

# What each stage of mapping counts, for people.
_STAGES = {
    "encode": ("encoding", "crops"),
    "propagate": ("propagating", "blocks"),
    "refine": ("labelling", "tiles"),
    "vectorize": ("drawing polygons", "rows"),
}


class Terminated(BaseException):
    """The process is to end; unwinding takes the temporary files along."""


def say(line: str) -> None:
    """Print a line on stderr, if that takes it; Terminated if a program listened there and is gone."""
    lines = json_lines()
    if lines is None:
        with suppress(OSError):  # a person who reads no more still wants the map
            click.echo(escaped(line), err=True)
        return
    try:
        lines.say(line)
    except BrokenPipeError as error:
        raise Terminated from error


def json_line(facts: Mapping[str, Any]) -> str:
    """Facts as one line of JSON; numbers that aren't finite are null, since JSON knows none."""
    return json.dumps(_finite(facts), allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def help_without_command(context: click.Context) -> None:
    """Show the help of a group that is called without a command."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@contextmanager
def messages(as_json: bool, verbose: bool, quiet: bool) -> Iterator[None]:
    """Show the library's messages on stderr."""

    class _Echo(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if as_json:
                say(json_line({"event": record.levelname.lower(), "message": text}))
            else:
                say(text if record.levelno < logging.WARNING else f"Warning: {text}")

    log = logging.getLogger("lposs_geo")
    handler, level = _Echo(), log.level
    log.addHandler(handler)
    log.propagate = False  # some libraries give the root logger a handler of its own
    log.setLevel(logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = True
        log.setLevel(level)


@contextmanager
def show_progress(as_json: bool, quiet: bool) -> Iterator[Listener]:
    """A bar with rate and remaining time on a terminal, a line a stage otherwise, JSON lines for programs."""
    from tqdm import tqdm

    bar: tqdm[Any] | None = None
    current = ""
    began = time.monotonic()

    def report(stage: str, done: int, total: int) -> None:
        nonlocal bar, current
        if quiet:
            return
        if as_json:
            say(json_line({"event": "progress", "stage": stage, "done": done, "total": total}))
            return
        doing, unit = _STAGES.get(stage, (stage, "steps"))
        if sys.stderr.isatty():
            if stage != current:
                if bar is not None:
                    bar.close()
                bar = tqdm(total=total, initial=done, desc=f"{doing:<17}", unit=f" {unit}", file=sys.stderr)
            if bar is not None:
                bar.update(done - bar.n)
        elif done == total:
            amount = f" {total} {unit}" if total > 1 else ""
            say(f"{doing}{amount}: done after {time.monotonic() - began:.0f} s")
        current = stage

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()
