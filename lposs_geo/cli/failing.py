"""Errors as one line and an exit code."""

from __future__ import annotations

import click

from lposs_geo.cli.answers import Failure
from lposs_geo.cli.console import Terminated
from lposs_geo.errors import LpossGeoError, ParameterError, defect, one_line
from lposs_geo.files.odd_names import unlinked
from lposs_geo.hints import Notice, Words, worded
from lposs_geo.limits import advice_on_files, shortage

__all__ = ["TERMINATED", "Misuse", "as_failure", "exit_code", "is_defect"]

FAILED, USAGE, INTERRUPTED, TERMINATED = 1, 2, 130, 143


class Misuse(click.BadParameter):
    """An error of usage that also tells what to do.

    Attributes
    ----------
    hint : str
        With settings in angle brackets.
    """

    def __init__(
        self,
        problem: str,
        context: click.Context | None = None,
        parameter: click.Parameter | None = None,
        *,
        hint: str = "",
    ) -> None:
        super().__init__(problem, context or click.get_current_context(silent=True), parameter)
        self.hint = hint

    def format_message(self) -> str:
        """What is wrong, and with which option."""
        return super().format_message() if self.param is not None else self.message


def exit_code(error: BaseException) -> int:
    """1: it failed; 2: usage; 128 and more: a signal."""
    if isinstance(error, click.ClickException):
        return error.exit_code
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, Terminated):
        return TERMINATED
    return USAGE if isinstance(error, ParameterError) else FAILED


def is_defect(error: BaseException) -> bool:
    """True if nobody foresaw the error."""
    foreseen = isinstance(error, click.ClickException | LpossGeoError | click.Abort | KeyboardInterrupt | Terminated)
    return not foreseen and shortage(error) is None


def as_failure(error: BaseException, words: Words, *, scene: str | None = None) -> Failure:
    """The line that tells of an error and its notes, in the words of a command.

    Parameters
    ----------
    error : BaseException
    words : callable
    scene : str, optional
        The one of a batch that failed; by default the line is the last word on the run.
    """
    problem, hint = unlinked(_problem(error)), getattr(error, "hint", "")
    # click raises an error of its own for Ctrl-C, and names the first as its cause
    notes = [note for raised in (error, error.__cause__) for note in getattr(raised, "__notes__", [])]
    if isinstance(error, LpossGeoError) and "ulimit" not in str(error) and (advice := advice_on_files(error)):
        notes.insert(0, advice)
    see = f" (see {error.ctx.command_path} --help)" if isinstance(error, click.UsageError) and error.ctx else ""
    message = Notice(problem, hint).worded(words) + see
    return Failure(
        event="error" if scene is None else "failed",
        scene=scene,
        message=one_line("; ".join([message, *(worded(note, words) for note in notes)])),
        problem=one_line(problem),
        hint=one_line(hint),
        notes=tuple(map(one_line, notes)),
    )


def _problem(error: BaseException) -> str:
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, LpossGeoError):
        return error.problem
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return "interrupted; no output was written"
    if isinstance(error, Terminated):
        return "terminated; no output was written"
    return shortage(error) or defect(error)
