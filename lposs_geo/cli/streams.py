"""Standard streams that can't end a run: closed ones, full disks, readers that have gone, and what libraries print.

A map is worth more than a line about it. What can't be written to standard error is dropped; what can't be written to
standard output is remembered, so that it can be said at the end. With ``--json`` whatever libraries print on standard
error, in whatever language they are written, becomes a JSON line, too.
"""

from __future__ import annotations

import atexit
import errno
import io
import os
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from lposs_geo.cli.answers import Text, to_json

__all__ = ["JsonLines", "json_lines", "prepare", "undelivered"]

_NO_READER = {errno.EPIPE} | ({errno.EINVAL} if os.name == "nt" else set())

_MUCH = 1 << 20
"""Bytes of printed lines that are kept after they were passed on."""


class _Outlet(io.FileIO):
    """A stream's descriptor that takes whatever it is given and never fails.

    Attributes
    ----------
    failure : OSError or None
        Why something is missing; where the reader wanted no more, as ``head`` does, nothing is.
    """

    failure: OSError | None = None

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except OSError as error:
            if error.errno not in _NO_READER:
                self.failure = error
            return memoryview(content).nbytes


def prepare() -> None:
    """Make the standard streams safe to write to, however this process was started.

    A closed one is opened on nothing: else the next file that is opened would take its number, and libraries would
    print into that file. Names that aren't UTF-8, or that the stream's encoding doesn't have, are shown escaped.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        stream = getattr(sys, name)
        if stream is None:
            nothing = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115  as long as the process lives
            setattr(sys, name, nothing)
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            setattr(sys, name, _safe(stream, number))


def _safe(stream: io.TextIOWrapper, number: int) -> io.TextIOWrapper:
    """The same stream, which takes all that it is given."""
    with suppress(OSError):
        stream.flush()
    # a test's stream has no such number, and a console of Windows an encoding of its own
    if _outlet(stream) or not _is_on(stream, number) or (os.name == "nt" and stream.isatty()):
        stream.reconfigure(errors="backslashreplace")
        return stream
    buffer = io.BufferedWriter(_Outlet(number, "wb", closefd=False))
    at_once = stream.line_buffering or stream.isatty()
    return io.TextIOWrapper(buffer, stream.encoding, "backslashreplace", line_buffering=at_once)


def _is_on(stream: Any, number: int) -> bool:
    try:
        return bool(stream.fileno() == number)
    except (OSError, ValueError):
        return False


def _outlet(stream: Any) -> _Outlet | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Outlet) else None


def undelivered() -> OSError | None:
    """Why something that was printed on standard output isn't there; None where all is, or nobody wanted it."""
    sys.stdout.flush()
    outlet = _outlet(sys.stdout)
    return outlet.failure if outlet else None


class JsonLines:
    """Standard error as JSON lines.

    Meanwhile descriptor 2 is a file in memory, which takes what libraries print: unlike a pipe it is never full, and
    nobody waits for its reader. With each line of ours, and at the end, what has gathered there goes on to the real
    standard error as events named "text".

    Parameters
    ----------
    real : int
        Descriptor of the real one.
    caught : int or None
        Descriptor of the file; None where the system can't do that, and libraries print as they like.
    """

    def __init__(self, real: int, caught: int | None) -> None:
        self._real, self._caught = real, caught
        self._seen, self._rest = 0, b""
        self._turn = threading.RLock()  # a signal may come while a line is written

    def say(self, line: str) -> None:
        """Print a line of JSON.

        Raises
        ------
        BrokenPipeError
            If nobody is there any more to read it.
        """
        with self._turn:
            self._pass_on()
            self._print(line)

    def end(self) -> None:
        """Print the rest of all that libraries have printed."""
        with self._turn, suppress(BrokenPipeError):
            self._pass_on(whole_lines=False)

    def _pass_on(self, *, whole_lines: bool = True) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        *lines, rest = (self._rest + self._gathered()).split(b"\n")
        self._rest = rest if whole_lines else b""
        for raw in lines if whole_lines else [*lines, rest]:
            text = raw.decode(errors="backslashreplace").strip()
            if text:
                self._print(to_json(Text(message=text)))

    def _gathered(self) -> bytes:
        """What the file holds beyond what was seen of it."""
        if self._caught is None:
            return b""
        with suppress(OSError):
            found = os.pread(self._caught, os.fstat(self._caught).st_size - self._seen, self._seen)
            self._seen += len(found)
            if self._seen > _MUCH:
                os.ftruncate(self._caught, 0)
                self._seen = 0
            return found
        return b""

    def _print(self, line: str) -> None:
        rest = memoryview(f"{line}\n".encode(errors="backslashreplace"))
        try:
            while rest:
                rest = rest[os.write(self._real, rest) :]
        except OSError as error:
            if error.errno in _NO_READER:
                raise BrokenPipeError(*error.args) from error
            # on a full disk a line is lost, and not the run


_in_use: JsonLines | None = None


def json_lines(*, begin: bool = False) -> JsonLines | None:
    """What makes JSON lines of standard error; None where it isn't in use, which it is once it was begun."""
    global _in_use
    if begin and _in_use is None and _is_on(sys.stderr, 2):
        with suppress(OSError):  # without descriptors to spare, libraries print as they like
            sys.stderr.flush()
            real, caught = os.dup(2), _file_in_memory()
            if caught is not None:
                os.dup2(caught, 2)
            _in_use = JsonLines(real, caught)
            atexit.register(_in_use.end)
    return _in_use


def _file_in_memory() -> int | None:
    """A file without a name to whose end is written, whoever writes."""
    if os.name == "nt":
        return None
    if hasattr(os, "memfd_create"):
        with suppress(OSError):
            plain = os.memfd_create("stderr")
            try:
                return os.open(f"/proc/self/fd/{plain}", os.O_RDWR | os.O_APPEND)
            finally:
                os.close(plain)
    with tempfile.NamedTemporaryFile() as file:
        return os.open(file.name, os.O_RDWR | os.O_APPEND)
