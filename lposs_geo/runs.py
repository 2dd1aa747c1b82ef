"""One run on one output: its journal beside the output, its lock, and what it was begun with.

A run that is cut off leaves its journal; one that goes on must have been begun with the same scene, words, model and
numbers, or its map would be a mixture.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lposs_geo.errors import OutputError
from lposs_geo.journal import Journal, open_journal

__all__ = ["open_run", "run_folder"]


def run_folder(output: Path) -> Path:
    """Where a run on this output keeps what is finished."""
    return output.with_name(f".{output.name}.lposs-geo")


@contextmanager
def open_run(
    output: Path, facts: Mapping[str, object], *, kind: str, resume: bool, overwrite: bool
) -> Iterator[Journal]:
    """Begin a run on an output, or go on with one that was cut off.

    At the end of the block all trace of the run goes. If the block raises, what is finished stays for `resume`, and the
    error gets a note that says so.

    Parameters
    ----------
    output : Path
    facts : mapping of str to object
        All that decides what the map will be, ready for JSON, by a name that a user understands.
    kind : str
        Of the records that are worth keeping, for people and as the beginning of their keys. Other journals in the
        run's folder are worth it, too.
    resume : bool
        Go on with a run that was cut off, if there is one.
    overwrite : bool
        Drop what such a run has finished; with `resume`, only if it was begun with other facts.

    Raises
    ------
    OutputError
        If another run is at work on this output, if one was cut off and neither option is given, or if it was begun
        with other facts and `overwrite` isn't given.
    """
    folder = run_folder(output)
    try:
        folder.mkdir(exist_ok=True)
        lock = FileLock(folder / "lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise OutputError(f"another run is at work on '{output}': wait for it, or name another output") from None
    except OSError as error:
        raise OutputError(f"can't write into '{output.parent}': {error.strerror or error}") from error
    keep = _has_records(folder)  # until it is clear that an earlier run is of no use
    try:
        _prepare(folder, output, json.loads(json.dumps(facts)), resume=resume, overwrite=overwrite)
        with open_journal(folder / "journal") as journal:
            keep = False
            try:
                yield journal
            except BaseException as error:
                finished = journal.count(kind)
                keep = finished > 0 or _has_records(folder, besides=journal.folder)
                if keep:
                    what = f"{finished} finished {kind}" if finished else "what was encoded"
                    error.add_note(f"add --resume to go on: {what} will not be done again")
                raise
    finally:
        lock.release()
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _has_records(folder: Path, besides: Path | None = None) -> bool:
    """Whether a journal in the folder holds anything."""
    return any(index.stat().st_size > 0 for index in folder.glob("*/index.jsonl") if index.parent != besides)


def _prepare(folder: Path, output: Path, facts: dict[str, object], *, resume: bool, overwrite: bool) -> None:
    """Make sure that what lies in the folder belongs to this run."""
    place = folder / "facts.json"
    if _has_records(folder) and not resume and not overwrite:
        raise OutputError(
            f"an earlier run on '{output}' was cut off: add --resume to go on with it, or --overwrite to start anew"
        )
    if resume:
        try:
            before = json.loads(place.read_text())
        except (OSError, ValueError):
            before = {}
        changed = [name for name, fact in facts.items() if before.get(name) != fact]
        if not changed:
            return
        if _has_records(folder) and not overwrite:
            raise OutputError(
                f"can't go on with the run on '{output}', since it was begun with another "
                f"{' and another '.join(changed)}: add --overwrite to start anew"
            )
    try:
        for leftover in folder.iterdir():  # with the journal goes all else that the run before put beside it
            if leftover.is_dir():
                shutil.rmtree(leftover)
            elif leftover.name != "lock":
                leftover.unlink()
        place.write_text(json.dumps(facts, indent=1))
    except OSError as error:
        raise OutputError(f"can't write into '{folder}': {error.strerror or error}") from error
