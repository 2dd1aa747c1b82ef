"""What a person or a program sees of a command at work: messages and progress, on stderr."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from lposs_geo.cli import answers
from lposs_geo.cli.streams import json_lines
from lposs_geo.cli.wording import words_here
from lposs_geo.errors import escaped
from lposs_geo.hints import Notice, Words
from lposs_geo.progress import STAGES

if TYPE_CHECKING:
    from lposs_geo.progress import Listener

__all__ = ["Terminated", "help_without_command", "messages", "remark", "say", "show_progress", "tell"]


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


def tell(line: answers.Line, text: str, as_json: bool) -> None:
    """Print on stderr what a program is told, or its text for a person."""
    say(answers.to_json(line) if as_json else text)


def remark(notice: Notice | str, words: Words) -> answers.Remark:
    """A notice as a part of a result."""
    notice = Notice(notice) if isinstance(notice, str) else notice
    return answers.Remark(message=notice.worded(words), problem=notice.text, hint=notice.hint)


def help_without_command(context: click.Context) -> None:
    """Show the help of a group that is called without a command."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


class _Echo(logging.Handler):
    """Shows the library's messages on stderr, notices in the words of a command."""

    def __init__(self, words: Words, as_json: bool) -> None:
        super().__init__()
        self._words, self._as_json = words, as_json

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        arguments = record.args if isinstance(record.args, tuple) else (record.args,) if record.args else ()
        notices = [argument for argument in arguments if isinstance(argument, Notice)]

        def filled(show: Callable[[Notice], str]) -> str:
            parts = tuple(show(part) if isinstance(part, Notice) else part for part in arguments)
            return str(record.msg) % parts if parts else str(record.msg)

        text = filled(lambda notice: notice.worded(self._words))
        line = answers.Message(
            event=record.levelname.lower(),
            message=text,
            problem=filled(lambda notice: notice.text),
            hint="; ".join(notice.hint for notice in notices if notice.hint),
        )
        tell(line, text if record.levelno < logging.WARNING else f"Warning: {text}", self._as_json)


@contextmanager
def messages(as_json: bool, verbose: bool, quiet: bool) -> Iterator[None]:
    """Show the library's messages on stderr."""
    log = logging.getLogger("lposs_geo")
    handler, level = _Echo(words_here(), as_json), log.level
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
            say(answers.to_json(answers.Progress(stage=stage, done=done, total=total)))
            return
        doing, unit = STAGES[stage].doing, STAGES[stage].unit
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
