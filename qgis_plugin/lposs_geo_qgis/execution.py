"""One run of the engine under Processing's eyes: its lines become messages and progress, its failure one error."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qgis.core import QgsProcessingException, QgsProcessingFeedback

from lposs_geo_qgis import child, command, engine, events, host

__all__ = ["Run", "run"]


@dataclass(frozen=True)
class Run:
    """What a run came to.

    Attributes
    ----------
    command : str
        As it was run, for people.
    facts : mapping
        The engine's result line; empty if there was nothing to do.
    """

    command: str
    facts: Mapping[str, Any]


def run(request: command.MapRequest | command.VectorizeRequest, feedback: QgsProcessingFeedback) -> Run:
    """Run the engine.

    Raises
    ------
    QgsProcessingException
        If it can't be run, fails, or is cancelled; the message is one line.
    """
    environ = host.engine_environment()
    try:
        found = host.find_engine()
        remark = engine.check(engine.version(found, environ))
    except engine.EngineError as error:
        raise QgsProcessingException(str(error)) from error
    if remark:
        feedback.pushWarning(remark)
    called = [*found.prefix, *command.as_arguments(request)]
    shown = command.for_people(called, os.name == "nt")
    feedback.pushCommandInfo(shown)
    listener = _Listener(feedback, request)
    try:
        status = child.run(called, environ, listener.hear, feedback.isCanceled, tempfile.gettempdir())
    except child.ChildError as error:
        raise QgsProcessingException(f"The engine {error}.") from error
    if feedback.isCanceled():
        raise QgsProcessingException(_cancelled(request))
    if status != 0:
        why = listener.error or _unexplained(status, listener.rest)
        if listener.result is None:
            raise QgsProcessingException(why)
        feedback.reportError(why)  # there is a map, with a part missing
    return Run(shown, listener.result or {})


class _Listener:
    """Hands the engine's lines on to Processing, and keeps what is needed at the end."""

    def __init__(self, feedback: QgsProcessingFeedback, request: command.MapRequest | command.VectorizeRequest) -> None:
        self.result: Mapping[str, Any] | None = None
        self.error = ""
        self.rest = ""
        self._feedback = feedback
        self._stages = request.stages
        self._shares: dict[str, float] = {}
        self._stage = ""

    def hear(self, line: str, is_error: bool) -> None:
        event = events.parse(line)
        if event.kind == "progress":
            self._advance(event.facts)
        elif event.kind == "result":
            self.result = event.facts
            for told in events.summary(event.facts):
                self._feedback.pushInfo(told)
        elif event.kind == "error":
            self.error = event.message
        elif event.kind in ("warning", "failed"):
            self._feedback.pushWarning(event.message)
        elif event.kind == "text":
            self.rest = event.message or self.rest
            self._feedback.pushConsoleInfo(event.message)
        else:
            self._feedback.pushInfo(event.message)

    def _advance(self, facts: Mapping[str, Any]) -> None:
        stage, done, total = str(facts.get("stage")), facts.get("done", 0), facts.get("total", 0)
        if stage != self._stage and stage not in self._shares:
            self._feedback.setProgressText(events.doing(stage))
        self._stage = stage
        self._shares[stage] = done / total if total else 1.0
        self._feedback.setProgress(events.overall(self._shares, self._stages))


def _cancelled(request: command.MapRequest | command.VectorizeRequest) -> str:
    """What to say of a run that the user has stopped."""
    kept = isinstance(request, command.MapRequest) and request.resume
    more = " What is finished is kept: run again with the same output to go on." if kept else ""
    return f"Cancelled: the engine was stopped.{more}"


def _unexplained(status: int, last: str) -> str:
    """What to say of an engine that ended without a word."""
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    memory = " (9 is what the system does when memory is full: choose a smaller limit)" if status == -9 else ""
    more = f" Its last line: {last}" if last else ""
    return f"The engine {how}{memory}. Finished tiles are kept: run again with the same output to go on.{more}"
