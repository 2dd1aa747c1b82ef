"""The feature cache: what the encoders made of each scene, kept for the next words.

Each store is a folder with a journal; which scene and model it belongs to is hashed into its name. When all together
grow beyond the limit, those that weren't used for the longest time go. Folders of other names, and links, are none of
ours: they are neither counted nor touched.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lposs_geo.errors import OutputError, ParameterError
from lposs_geo.files.durable import replace_with, sync_folder
from lposs_geo.files.writing import failed_write
from lposs_geo.hints import Notice
from lposs_geo.memory import parse_size
from lposs_geo.models import cache_folder
from lposs_geo.store.journal import Journal, open_journal

__all__ = ["Store", "clear", "folder", "limit", "open_store", "stores"]

DEFAULT_LIMIT = 20_000_000_000
"""Bytes: with `mini` about 500 Mpx."""

_NAME = re.compile(r"[0-9a-f]{24}(?P<is_leftover>\.[0-9]+\.removed)?")
"""Of a store's folder, or of one that is being removed: if nobody does so any more, a kill left it."""

_INDEX, _FACTS = "index.jsonl", "facts.json"
_FILES = (_INDEX, "records", _FACTS, f"{_FACTS}.new", "lock")
"""All that a store holds."""

_MOST_FACTS = 100_000_000
"""Bytes."""

log = logging.getLogger("lposs_geo")


@dataclass(frozen=True)
class Store:
    """The features of one scene.

    Attributes
    ----------
    folder : Path
    scene, model : str or None
        Names, for people; None where they aren't known any more.
    size : int
        Bytes on the disk.
    used : float
        When it was used last, seconds since 1970.
    """

    folder: Path
    scene: str | None
    model: str | None
    size: int
    used: float


def folder() -> Path:
    """The folder of all stores."""
    return cache_folder() / "features"


def limit() -> int:
    """Bytes that the cache may take: $LPOSS_GEO_CACHE_LIMIT, like 50GB, else 20 GB."""
    chosen = os.environ.get("LPOSS_GEO_CACHE_LIMIT")
    try:
        return parse_size(chosen) if chosen else DEFAULT_LIMIT
    except ParameterError as error:
        raise ParameterError(f"LPOSS_GEO_CACHE_LIMIT: {error.problem}", hint=error.hint) from None


def stores() -> list[Store]:
    """All that the cache holds, the latest used first; also what a kill has left of a store."""
    try:
        named = [path for path in folder().iterdir() if _NAME.fullmatch(path.name)]
    except OSError:  # there is none
        return []
    known = [store for path in named if (store := _look_at(path)) is not None]
    return sorted(known, key=lambda store: -store.used)


def clear() -> list[Store]:
    """Remove all stores that no run is using; those that were removed."""
    return [store for store in stores() if _remove(store.folder)]


@contextmanager
def open_store(facts: Mapping[str, object], spare: Path) -> Iterator[Journal]:
    """Open the store for what `facts` describe, new or as it was left.

    At the end of the block it is on the disk for good, or a warning says that it isn't.

    Parameters
    ----------
    facts : mapping of str to object
        All that the features depend on, ready for JSON; ``facts["scene"]["name"]`` and ``facts["model"]["name"]`` are
        for people.
    spare : Path
        A folder to use in place of the cache, where that can't be written to or another run has the same store open;
        a warning says so.

    Raises
    ------
    OutputError
        If neither can be written to.
    ParameterError
        If `limit` can't be read.
    """
    most = limit()  # a wrong one is told before the work, not after it
    text = json.dumps(facts, sort_keys=True)
    own = folder() / hashlib.sha256(text.encode()).hexdigest()[:24]
    spared: Path | None = own  # what a run that breaks off has encoded is there for the next one
    try:
        with ExitStack() as stack:
            try:
                journal = _open(own, text, stack)
            except Timeout:
                log.warning(
                    "%s", Notice("another run is at work on the same scene and keeps its features", "this one won't")
                )
                journal = stack.enter_context(open_journal(spare))
            except (OSError, NotImplementedError) as error:  # the latter where the file system has no locks
                log.warning("%s", Notice(_reason(error, own), "this scene's features won't be kept"))
                journal = stack.enter_context(open_journal(spare))
            yield journal
            if journal.folder == own:
                _sync(journal)
        spared = None
    finally:
        _prune(most, spared)


def _open(own: Path, facts: str, stack: ExitStack) -> Journal:
    own.mkdir(parents=True, exist_ok=True)
    if own.is_symlink():
        raise OutputError(f"'{own}' is a link", hint="remove it")
    before = own.lstat()
    stack.enter_context(_lock(own).acquire(timeout=0))
    if not os.path.samestat(before, own.lstat()):  # who removes it took it away, with the lock that we hold
        raise OutputError(f"'{own}' was removed just now")
    _mark_as_used(own / _FACTS, facts)
    return stack.enter_context(open_journal(own))


def _lock(store: Path) -> FileLock:
    lock = store / "lock"
    if lock.is_symlink():  # which would be followed, and its end emptied
        lock.unlink()
    return FileLock(lock)


def _mark_as_used(file: Path, facts: str) -> None:
    if _read(file) == facts.encode():
        os.utime(file)
    else:
        replace_with(file, facts.encode())


def _read(file: Path) -> bytes:
    """A store's facts as they were written, or nothing where they are none."""
    try:
        status = file.lstat()
        return file.read_bytes() if stat.S_ISREG(status.st_mode) and status.st_size <= _MOST_FACTS else b""
    except OSError:
        return b""


def _sync(journal: Journal) -> None:
    try:
        journal.sync()
        for parent in (journal.folder.parent, journal.folder.parent.parent):
            sync_folder(parent)
    except OSError as error:
        log.warning("%s", Notice(_reason(error, journal.folder), "this scene's features may be lost"))


def _reason(error: Exception, store: Path) -> str:
    return str(error if isinstance(error, OutputError) else failed_write(store, error, f"into '{store}'"))


def _look_at(path: Path) -> Store | None:
    """A store, whole or not; None where it is none, or is just being removed."""
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            return None
        files = {file.name: file.lstat() for file in path.iterdir()}
        used = path.stat().st_mtime
    except OSError:
        return None
    own = {name: status for name, status in files.items() if name in _FILES}
    if files and not own:
        return None
    if own:
        used = own[_FACTS].st_mtime if _FACTS in own else max(status.st_mtime for status in own.values())
    return Store(path, *_names(path), sum(status.st_size for status in own.values()), used)


def _names(store: Path) -> tuple[str | None, str | None]:
    """Of a store's scene and model, unless its facts were cut off."""
    try:
        facts: Any = json.loads(_read(store / _FACTS))
    except (ValueError, RecursionError):
        return None, None
    match facts:
        case {"scene": {"name": str(scene)}, "model": {"name": str(model)}}:
            return scene, model
    return None, None


def _prune(room: int, spared: Path | None) -> None:
    """Remove what has no room among so many bytes, the latest used first to be kept, and what kills have left."""
    for store in stores():
        keep = not _is_leftover(store.folder) and (store.size <= room or store.folder == spared)
        if keep or not _remove(store.folder):
            room -= store.size


def _is_leftover(path: Path) -> bool:
    match = _NAME.fullmatch(path.name)
    return match is not None and match["is_leftover"] is not None


def _remove(doomed: Path) -> bool:
    """Remove a store unless a run is using it, and tell whether it is gone."""
    if _is_leftover(doomed):
        return _delete(doomed)
    try:
        lock = _lock(doomed)
        lock.acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):
        return False
    away = doomed.with_name(f"{doomed.name}.{os.getpid()}.removed")  # where no run looks for it
    try:
        (doomed / _INDEX).unlink(missing_ok=True)  # from now on it holds nothing
        doomed.rename(away)
    except OSError:  # Windows holds on to what is open
        away = doomed
    lock.release()
    return _delete(away)


def _delete(store: Path) -> bool:
    """Remove a store's own files, and its folder unless somebody keeps something else in it."""
    for name in _FILES:
        with suppress(OSError):
            (store / name).unlink()
    with suppress(OSError):
        store.rmdir()
    return not any((store / name).exists() for name in _FILES)
