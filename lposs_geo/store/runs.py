"""One run on one output: the hidden folder beside it, its lock, and what the run was begun with.

A run that is cut off leaves in its folder what is finished; one that goes on must have been begun with the same scene,
words, model and numbers, or its map would be a mixture. As long as the folder is there, the output isn't finished.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from lposs_geo.errors import OutputError
from lposs_geo.files import staging
from lposs_geo.files.durable import replace_with, sync_folder
from lposs_geo.files.outputs import Output
from lposs_geo.files.writing import failed_write, writing
from lposs_geo.store.journal import Journal, open_journal

__all__ = ["may_replace", "open_run", "run_folder", "settle", "staged"]

_LOCK, _FACTS, _JOURNAL = "lock", "facts.json", "journal"

_NAMES = frozenset(
    {_LOCK, _FACTS, f"{_FACTS}.new", _JOURNAL, "features", "scene.tif", "scene.tif.aux.xml", "scene.tif.msk"}
    | set(staging.NAMES)
)
"""All that a run makes in its folder; a folder that holds anything else is none of a run."""

_OLD = "old"
"""Ending of a run's folder that is on its way out."""


def run_folder(output: Path) -> Path:
    """The folder in which a run on this output keeps what is finished."""
    return output.with_name(f".{output.name}.lposs-geo")


def settle(output: Path) -> None:
    """Bring to an end what a run that was killed had begun to put in place; nothing happens if a run is at work.

    Call it before you ask whether an output is there.

    Raises
    ------
    OutputError
        If what is called as the run's folder would be is none, or a file can't be moved.
    """
    folder = run_folder(output)
    for old in folder.parent.glob(f"{glob.escape(folder.name)}.*.{_OLD}"):
        with suppress(OSError):
            _check_ours(old, output)
            _clear(old)
    if not os.path.lexists(folder):
        return
    lock = _claim(output)
    if lock is None:
        return
    is_settled = False
    try:
        is_settled = staging.roll_forward(folder)
    finally:
        _leave(folder, lock, keep=not is_settled)


@contextmanager
def staged(*outputs: Output) -> Iterator[list[Path]]:
    """Give paths to write outputs to that appear together, see `staging.staged_in`; in a folder made for that.

    Parameters
    ----------
    *outputs : Output
        That which tells of the others first; each was looked at by `settle` and `outputs.check_outputs`.

    Yields
    ------
    list of Path

    Raises
    ------
    OutputError
        If a folder can't be written to, or another run is at work on the first output; then every output is as it was
        before.
    """
    output = outputs[0].path
    with _claimed(output) as folder:
        if staging.roll_forward(folder):
            raise OutputError(f"another run wrote '{output}' just now", hint="look at it, then try again")
        with staging.staged_in(folder, outputs) as paths:
            yield paths


@contextmanager
def open_run(
    output: Path,
    facts: Mapping[str, object],
    *,
    kind: str,
    resume: bool,
    overwrite: bool,
    replaces: Sequence[Path] = (),
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
    replaces : sequence of Path
        Outputs that the user lets this run replace, see `may_replace`.

    Raises
    ------
    OutputError
        If another run is at work on this output, if one was cut off and neither option is given, or if it was begun
        with other facts and `overwrite` isn't given.
    """
    with _claimed(output) as folder:
        if staging.roll_forward(folder):
            raise OutputError(f"another run wrote '{output}' just now", hint="look at it, then try again")
        _prepare(folder, output, json.loads(json.dumps(facts)), resume, overwrite, replaces)
        is_worth_keeping = True
        try:
            with open_journal(folder / _JOURNAL, check=True) as journal:
                try:
                    yield journal
                except BaseException as error:
                    finished = journal.count(kind)
                    is_worth_keeping = finished > 0 or _has_records(folder, besides=journal.folder)
                    if is_worth_keeping:
                        what = f"{finished} finished {kind}" if finished else "what was encoded"
                        error.add_note(f"<resume=True> goes on: {what} will not be done again")
                    raise
        except BaseException:
            if not is_worth_keeping:
                shutil.rmtree(folder / _JOURNAL, ignore_errors=True)
            raise


def may_replace(output: Path, facts: Mapping[str, object], outputs: Sequence[Path]) -> bool:
    """True if the run that was cut off on an output was begun with these facts, and may replace these outputs."""
    before, replaces = _begun_with(run_folder(output))
    return before == json.loads(json.dumps(facts)) and {str(path.absolute()) for path in outputs} <= replaces


@contextmanager
def _claimed(output: Path) -> Iterator[Path]:
    """Hold a run's folder; at the end it goes, unless it is worth keeping."""
    folder = run_folder(output)
    lock = _claim(output)
    if lock is None:
        raise OutputError(f"another run is at work on '{output}'", hint="wait for it, or name another output")
    try:
        yield folder
    except BaseException:
        _leave(folder, lock, keep=_has_records(folder) or (folder / staging.MOVES).exists())
        raise
    _leave(folder, lock, keep=False)


def _claim(output: Path) -> FileLock | None:
    """Make a run's folder, if need be, and lock it; None if another run holds it."""
    folder = run_folder(output)
    while True:
        try:
            if os.path.lexists(folder):
                _check_ours(folder, output)
            else:
                folder.mkdir()
                sync_folder(folder.parent)
            own = folder.lstat()
            lock = FileLock(folder / _LOCK)
            lock.acquire(timeout=0)
        except Timeout:
            return None
        except (FileExistsError, FileNotFoundError) as error:
            if not folder.parent.is_dir():
                raise failed_write(output.parent, error, f"into '{output.parent}'") from error
            continue  # it came or went in this moment
        except OutputError:
            raise
        except OSError as error:
            raise failed_write(output.parent, error, f"into '{output.parent}'") from error
        # the run that held it before may have taken it away with its lock: then this one holds nothing
        with suppress(OSError):
            if os.path.samestat(own, folder.lstat()):
                return lock
        lock.release()


def _check_ours(folder: Path, output: Path) -> None:
    """Refuse what is called as a run's folder is and wasn't made by a run of this user."""
    status = folder.lstat()
    why = ""
    if stat.S_ISLNK(status.st_mode):
        why = "it is a link"
    elif not stat.S_ISDIR(status.st_mode):
        why = "it is no folder"
    elif hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        why = "it belongs to another user"
    else:
        inside = list(folder.iterdir())
        strange = sorted(path.name for path in inside if path.name not in _NAMES or path.is_symlink())
        why = f"it holds '{strange[0]}'" if strange else ""
    if why:
        raise OutputError(
            f"can't write into '{folder}', where a run on '{output}' keeps what is finished, as {why}",
            hint="move it away, or name another output",
        )


def _leave(folder: Path, lock: FileLock, *, keep: bool) -> None:
    """Let go of a run's folder; where it isn't kept it is out of the way before its lock is."""
    if keep:
        lock.release()
        return
    away = folder.with_name(f"{folder.name}.{os.getpid()}.{_OLD}")
    try:
        folder.rename(away)
        sync_folder(folder.parent)
    except OSError:  # Windows holds on to what is open
        _clear(folder, besides=_LOCK)
        lock.release()
        with suppress(OSError):
            (folder / _LOCK).unlink(missing_ok=True)
            folder.rmdir()
        return
    _clear(away)
    lock.release()


def _clear(folder: Path, besides: str = "") -> None:
    """Remove what a run makes in its folder, and the folder if nothing else is in it."""
    for name in _NAMES - {besides}:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _has_records(folder: Path, besides: Path | None = None) -> bool:
    """True if a journal in the folder holds anything; links, which no run makes, hold nothing."""
    journals = (path for path in folder.glob("*") if path != besides and not path.is_symlink())
    return any(_size(path / "index.jsonl") > 0 for path in journals)


def _size(path: Path) -> int:
    """Bytes of a regular file; of all else none."""
    with suppress(OSError):
        status = path.lstat()
        return status.st_size if stat.S_ISREG(status.st_mode) else 0
    return 0


def _begun_with(folder: Path) -> tuple[dict[str, object], set[str]]:
    """The facts that a run was begun with, and the outputs that it may replace; empty where they can't be read."""
    try:
        if not stat.S_ISREG((folder / _FACTS).lstat().st_mode):
            return {}, set()
        content = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        facts, replaces = content["facts"], content["replaces"]
    except (OSError, ValueError, RecursionError, TypeError, KeyError):
        return {}, set()
    if not isinstance(facts, dict) or not isinstance(replaces, list):
        return {}, set()
    return facts, {path for path in replaces if isinstance(path, str)}


def _prepare(
    folder: Path,
    output: Path,
    facts: dict[str, object],
    resume: bool,
    overwrite: bool,
    replaces: Sequence[Path],
) -> None:
    """Make sure that what lies in the folder belongs to this run."""
    if _has_records(folder) and not resume and not overwrite:
        raise OutputError(
            f"an earlier run on '{output}' was cut off",
            hint="<resume=True> goes on with it, <overwrite=True> starts anew",
        )
    before, replaced = _begun_with(folder)
    allowed = {str(path.absolute()) for path in replaces}
    changed = [name for name, fact in facts.items() if before.get(name) != fact]
    with writing(folder, f"into '{folder}'"):
        if resume and not changed:
            if allowed <= replaced:
                return
            allowed |= replaced
        elif resume and _has_records(folder) and not overwrite:
            raise OutputError(
                f"can't go on with the run on '{output}', since it was begun with another "
                f"{' and another '.join(changed)}",
                hint="<overwrite=True> starts anew",
            )
        else:
            for name in _NAMES - {_LOCK}:  # with the journal goes all else that the run before put beside it
                path = folder / name
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        content = {"facts": facts, "replaces": sorted(allowed)}
        replace_with(folder / _FACTS, json.dumps(content, indent=1).encode())
