"""What the system allows this process: open files and address space."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from lposs_geo.errors import OutOfMemoryError, one_line
from lposs_geo.hints import Notice

try:
    import resource
except ImportError:  # on Windows, which has no such limits
    resource = None  # type: ignore[assignment]

__all__ = [
    "address_space",
    "advice_on_files",
    "check_address_space",
    "is_short_of_files",
    "open_files",
    "raise_limits",
    "shortage",
]

MOST_FILES = 10_240
"""Open files to ask for; macOS gives no more, and some programs count through all that are allowed."""

LEAST_SPACE = 1_500_000_000
"""Bytes of address space that mapping needs beside the libraries: for the model, its threads, and the least of work."""

_NO_SPACE = (
    "failed to map segment", "cannot allocate memory", "can't allocate memory", "can't start new thread", "bad_alloc",
    "not enough memory", "out of memory", "could not find/load shared object",
)  # fmt: skip
"""What libraries say that can't be loaded, or can't go on, for want of address space."""


def raise_limits() -> None:
    """Take all open files that the system allows: the limit that a process begins with is often much lower."""
    if resource is None:
        return
    with suppress(OSError, ValueError):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
        if soft not in (resource.RLIM_INFINITY, wanted) and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def open_files() -> int | None:
    """Number of files that this process may have open; None where there is no limit."""
    if resource is None:
        return None
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def is_short_of_files(error: BaseException) -> bool:
    """True if an error says that this process, or the system, has too many files open."""
    causes: list[BaseException] = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    numbers = (errno.EMFILE, errno.ENFILE)
    return any(
        (isinstance(cause, OSError) and cause.errno in numbers)
        or any(os.strerror(number) in one_line(cause) for number in numbers)
        for cause in causes
    )


def advice_on_files(error: BaseException) -> str:
    """The hint for a message where files couldn't be opened since too many are; empty for other errors."""
    if not is_short_of_files(error):
        return ""
    most = open_files()
    return f"this process may have {most} files open: allow more, e.g. with ulimit -n 4096" if most else ""


def check_address_space() -> None:
    """Refuse work that would end in the middle, or in a crash, for want of address space.

    To be called when the libraries are loaded, which take most of it.

    Raises
    ------
    OutOfMemoryError
        If there is too little.
    """
    limit = address_space()
    if limit is None:
        return
    try:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):  # other systems don't tell
        return
    if limit - used < LEAST_SPACE:
        too_little = _too_little(limit, used + LEAST_SPACE)
        raise OutOfMemoryError(too_little.text, hint=too_little.hint)


def shortage(error: BaseException) -> str | None:
    """A line for an error that only says that the system grants too little; None for others."""
    if is_short_of_files(error):
        return str(Notice("too many files are open", advice_on_files(error)))
    limit = address_space()
    text = one_line(error).casefold()
    if isinstance(error, MemoryError) or (limit is not None and any(words in text for words in _NO_SPACE)):
        return "the computer's memory is full" if limit is None else str(_too_little(limit, None))
    return None


def address_space() -> int | None:
    """Bytes of address space that this process may have; None where there is no limit."""
    if resource is None:
        return None
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def _too_little(limit: int, needed: int | None) -> Notice:
    wanted = "" if needed is None else f", and mapping needs about {needed / 1e9:.1f} GB"
    return Notice(
        f"this process may have only {limit / 1e9:.1f} GB of address space{wanted}",
        "allow more, e.g. with ulimit -v unlimited",
    )
