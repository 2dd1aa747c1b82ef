"""The feature cache: what the encoders made of each scene, kept for the next words.

Each store is a folder with a journal; which scene and model it belongs to is hashed into its name. When all together
grow beyond the limit, those that weren't used for the longest time go.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from lposs_geo.errors import OutputError, ParameterError
from lposs_geo.journal import Journal, open_journal
from lposs_geo.memory import parse_size
from lposs_geo.models import cache_folder

__all__ = ["Store", "clear", "folder", "limit", "open_store", "stores"]

DEFAULT_LIMIT = 20_000_000_000
"""Bytes: with `mini` about 500 Mpx."""


@dataclass(frozen=True)
class Store:
    """The features of one scene.

    Attributes
    ----------
    folder : Path
    scene, model : str
        Names, for people.
    size : int
        Bytes on the disk.
    used : float
        When it was used last, seconds since 1970.
    """

    folder: Path
    scene: str
    model: str
    size: int
    used: float


def folder() -> Path:
    """Where the stores lie."""
    return cache_folder() / "features"


def limit() -> int:
    """Bytes that the cache may take: $LPOSS_GEO_CACHE_LIMIT, like 50GB, else 20 GB."""
    chosen = os.environ.get("LPOSS_GEO_CACHE_LIMIT")
    try:
        return parse_size(chosen) if chosen else DEFAULT_LIMIT
    except ParameterError as error:
        raise ParameterError(f"LPOSS_GEO_CACHE_LIMIT: {error}") from None


def stores() -> list[Store]:
    """What is in the cache, the latest used first."""
    found = []
    for place in folder().glob("*/facts.json"):
        try:
            facts = json.loads(place.read_text())
            size = sum(file.stat().st_size for file in place.parent.iterdir())
            used = place.stat().st_mtime
            found.append(Store(place.parent, facts["scene"]["name"], facts["model"]["name"], size, used))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # being removed, or not ours
    return sorted(found, key=lambda store: -store.used)


def clear() -> list[Store]:
    """Remove all stores that no run is using, and give back what was removed."""
    return [store for store in stores() if _remove(store.folder)]


@contextmanager
def open_store(facts: Mapping[str, object], spare: Path) -> Iterator[Journal]:
    """Open the store for what `facts` describe, new or as it was left.

    Parameters
    ----------
    facts : mapping of str to object
        All that the features depend on, ready for JSON; ``facts["scene"]["name"]`` and ``facts["model"]["name"]`` are
        for people.
    spare : Path
        A folder to use in place of the cache, where that can't be written to or another run has the same store open.

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
                own.mkdir(parents=True, exist_ok=True)
                stack.enter_context(FileLock(own / "lock").acquire(timeout=0))
                (own / "facts.json").write_text(text)  # and so was used now
                journal = stack.enter_context(open_journal(own))
            except (Timeout, OSError, OutputError):
                journal = stack.enter_context(open_journal(spare))
            yield journal
        spared = None
    finally:
        _prune(most, spared)


def _prune(room: int, spared: Path | None) -> None:
    """Remove what has no room among so many bytes, the latest used first to be kept."""
    for store in stores():
        if store.size <= room or store.folder == spared or not _remove(store.folder):
            room -= store.size


def _remove(doomed: Path) -> bool:
    """Remove a store unless a run is using it."""
    lock = FileLock(doomed / "lock")
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return False
    (doomed / "index.jsonl").unlink(missing_ok=True)  # from now on it holds nothing
    away = doomed.with_name(f"{doomed.name}.{os.getpid()}.removed")  # where no run looks for it
    try:
        doomed.rename(away)
    except OSError:  # Windows holds on to what is open
        away = doomed
    lock.release()
    shutil.rmtree(away, ignore_errors=True)
    return True
