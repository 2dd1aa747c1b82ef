"""One run of the engine under Processing's eyes: its lines become messages and progress, its failure one error."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from qgis.core import QgsProcessingException, QgsProcessingFeedback, QgsProcessingUtils

from lposs_geo_qgis import command, events, host
from lposs_geo_qgis.engine import child, finding, private_engine, scrubbing

__all__ = ["run"]


def run(request: command.MapRequest | command.VectorizeRequest, feedback: QgsProcessingFeedback) -> str:
    """Run the engine, and return the command as it was run, for people.

    Raises
    ------
    QgsProcessingException
        If it can't be run, fails, or is cancelled; the message is one line.
    """
    environ = host.engine_environment()
    try:
        found = host.find_engine()
        remark = finding.check(finding.version(found, environ, feedback.isCanceled))
    except finding.EngineError as error:
        raise QgsProcessingException("Cancelled." if feedback.isCanceled() else str(error)) from error
    if remark:
        feedback.pushWarning(remark)
    _require_closed(request)
    called = [*found.prefix, *command.as_arguments(request)]
    # it is kept in the layers' history, and logs are sent to others
    told = [part if part.startswith("--classes=") else scrubbing.scrub(part, environ) for part in called]
    shown = command.for_people(told, os.name == "nt")
    feedback.pushCommandInfo(shown)
    listener = _Listener(feedback, request, environ)
    try:
        with private_engine.in_use(found.prefix[0]):
            status = child.run(called, environ, listener.hear, feedback.isCanceled)
    except child.ChildError as error:
        raise QgsProcessingException(f"The engine {error}.") from error
    if feedback.isCanceled():
        raise QgsProcessingException(f"Cancelled: the engine was stopped.{_how_to_go_on(request)}")
    if status != 0:
        why = listener.error or f"{_unexplained(status, listener.rest)}{_how_to_go_on(request)}"
        if listener.result is None:
            raise QgsProcessingException(why)
        feedback.reportError(why)  # there is a map, with a part missing
    return shown


def _require_closed(request: command.MapRequest | command.VectorizeRequest) -> None:
    """On Windows, a file that is open can't be replaced: say so before the work and not after it."""
    for file in request.outputs if os.name == "nt" else ():
        try:
            if os.path.exists(file):
                os.rename(file, file)
        except PermissionError as error:
            raise QgsProcessingException(
                f"'{file}' is open, perhaps as a layer in QGIS: remove that layer, or name another file."
            ) from error


class _Listener:
    """Hands the engine's lines on to Processing, and keeps what is needed at the end."""

    def __init__(
        self,
        feedback: QgsProcessingFeedback,
        request: command.MapRequest | command.VectorizeRequest,
        environ: Mapping[str, str],
    ) -> None:
        self.result: Mapping[str, Any] | None = None
        self.error = ""
        self.rest = ""
        self._feedback = feedback
        self._environ = environ
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
            self.error = self._shown(event)
        elif event.kind in ("warning", "failed"):
            self._feedback.pushWarning(self._shown(event))
        elif event.kind == "text":
            self.rest = self._shown(event) or self.rest
            self._feedback.pushConsoleInfo(self._shown(event))
        else:
            self._feedback.pushInfo(self._shown(event))

    def _shown(self, event: events.Event) -> str:
        """A message for people, who may send it to others."""
        return scrubbing.scrub(events.for_qgis(event), self._environ)

    def _advance(self, facts: Mapping[str, Any]) -> None:
        stage, share = str(facts.get("stage")), events.share(facts)
        if share is None:
            return
        if stage != self._stage and stage not in self._shares:
            self._feedback.setProgressText(events.doing(stage))
        self._stage = stage
        self._shares[stage] = share
        self._feedback.setProgress(events.overall(self._shares, self._stages))


def _how_to_go_on(request: command.MapRequest | command.VectorizeRequest) -> str:
    """What to say of a run that was cut off, if anything of it is kept where the next one finds it."""
    temporary = os.path.abspath(QgsProcessingUtils.tempFolder())
    if not isinstance(request, command.MapRequest) or not request.resume or request.output.startswith(temporary):
        return ""
    return " What is finished is kept: run again with the same output to go on."


def _unexplained(status: int, last: str) -> str:
    """What to say of an engine that ended without a word."""
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    full = " (memory was full, as a rule: close other programs, or give a map less 'Memory for the work, GB')"
    memory = full if status == -9 else ""
    return f"The engine {how}{memory}." + (f" Its last line: {last}" if last else "")
