"""A child process whose lines are read as they come, and which can be ended at any time."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TextIO

__all__ = ["ChildError", "run"]

GRACE = 1.2
"""Seconds that a child has to end by itself once it is asked to."""

_POLL = 0.1
_LAST_WORDS = 1.0  # seconds of silence until a pipe counts as held open by a grandchild
_MANY = 1000  # lines that may wait to be handed on; then the child waits
_LONGEST = 2**24  # letters of a line; what goes beyond is left out
_WINDOWS = os.name == "nt"


class ChildError(Exception):
    """The program can't be started."""


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    handle: Callable[[str, bool], None],
    cancelled: Callable[[], bool],
    folder: str | None = None,
    umask: int = -1,
) -> int:
    """Run a program without a shell.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    environment : mapping of str to str
        All variables that it sees.
    handle : callable
        Called in the caller's own thread with each line, and whether it is one of stderr.
    cancelled : callable
        Asked about ten times a second; once it says True, the child and its children end within two seconds. What they
        still say is handed on.
    folder : str, optional
        Where it runs; by default where the program lies. Programs and libraries read files of the folder that they run
        in, and whoever may write there may change the program, too.
    umask : int, optional
        What others may not do with the files it makes; by default what this process has. Windows has none.

    Returns
    -------
    int
        Its exit status; negative if a signal ended it.

    Raises
    ------
    ChildError
        If it can't be started.
    """
    try:
        process = subprocess.Popen(
            list(command),
            env=dict(environment),
            cwd=folder or os.path.dirname(os.path.abspath(command[0])),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            umask=umask,
            start_new_session=not _WINDOWS,  # a group of its own, so that its children end with it
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # no console pops up on Windows
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ChildError(f"'{command[0]}' can't be started: {reason}") from error
    lines: queue.Queue[tuple[str, bool]] = queue.Queue(_MANY)
    given_up = threading.Event()
    readers = [
        threading.Thread(target=_read, args=(stream, is_error, lines, given_up), daemon=True)
        for stream, is_error in ((process.stdout, False), (process.stderr, True))
    ]
    for reader in readers:
        reader.start()
    asked_to_end = None
    finished = False
    try:
        heard = time.monotonic()
        while process.poll() is None or any(reader.is_alive() for reader in readers):
            now = time.monotonic()
            if asked_to_end is None and cancelled():
                asked_to_end = now
                _end(process, kill=_WINDOWS)
            elif asked_to_end is not None and now - asked_to_end > GRACE:
                break
            for line in _coming(lines, _POLL):
                handle(*line)
                heard = time.monotonic()
            if process.poll() is None:
                heard = time.monotonic()
            elif time.monotonic() - heard > _LAST_WORDS:
                break
        for _ in range(lines.qsize()):
            handle(*lines.get_nowait())
        finished = asked_to_end is None
    finally:
        if not finished:  # cancelled, or `handle` failed: nothing of it may stay
            _end(process, kill=True)
        status = process.wait()
        given_up.set()
        _drop(lines)  # a reader may wait for room
    return status


def _read(stream: TextIO, is_error: bool, lines: queue.Queue[tuple[str, bool]], given_up: threading.Event) -> None:
    with stream:
        goes_on = False
        while line := stream.readline(_LONGEST):
            if given_up.is_set():
                return
            if not goes_on:
                lines.put((line.rstrip("\r\n"), is_error))
            goes_on = not line.endswith("\n")


def _coming(lines: queue.Queue[tuple[str, bool]], seconds: float) -> Iterator[tuple[str, bool]]:
    """The lines that wait, or the first ones that come; for a while only, however many there are."""
    until = time.monotonic() + seconds
    try:
        yield lines.get(timeout=seconds)
        while time.monotonic() < until:
            yield lines.get_nowait()
    except queue.Empty:
        return


def _drop(lines: queue.Queue[tuple[str, bool]]) -> None:
    for _ in range(lines.qsize()):
        lines.get_nowait()


def _end(process: subprocess.Popen[str], kill: bool) -> None:
    try:
        if _WINDOWS:
            process.kill()  # the launchers of virtual environments take their child along
        else:
            os.killpg(process.pid, signal.SIGKILL if kill else signal.SIGTERM)
    except OSError:  # it has just ended
        pass
