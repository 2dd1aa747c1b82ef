"""Outputs that appear only when all are complete, whatever happens in between: an error, a kill, a power cut.

Files are written into hidden folders beside where they will lie. When all are complete and on the disk, a list of moves
is written: from then on the outputs are as good as there. Files are renamed by that list, the first output last; who is
killed meanwhile leaves the list, and whoever comes next goes on with it. Nothing that was there before goes until the
new names are on the disk.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lposs_geo.errors import OutputError
from lposs_geo.files.durable import replace_with, sync_file, sync_folder
from lposs_geo.files.outputs import Output, may_be_output
from lposs_geo.files.writing import failed_write, writing

__all__ = ["NAMES", "checksum", "roll_forward", "staged_in", "sweep"]

STAGED, BEFORE = "staged", "before"
"""Folders: what was written, and what was there before, while it isn't clear yet that all goes well."""

MOVES, ELSEWHERE = "moves.json", "elsewhere.json"
"""Files: the list of moves, and the hidden folders of outputs that lie in other folders."""

NAMES = (STAGED, BEFORE, MOVES, ELSEWHERE, f"{MOVES}.new", f"{ELSEWHERE}.new")
"""All that is made in a hidden folder here."""


def checksum(path: Path) -> int:
    """CRC-32 of a file."""
    found = 0
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            found = zlib.crc32(part, found)
    return found


@dataclass(frozen=True)
class _Move:
    """A file to put in its place: its plain name, size in bytes and CRC-32; both None where an earlier file goes."""

    name: str
    size: int | None = None
    crc32: int | None = None

    def is_whole(self, path: Path) -> bool:
        """Whether a file is the one that was written."""
        return _is_file(path) and path.stat().st_size == self.size and checksum(path) == self.crc32


@dataclass(frozen=True)
class _Folder:
    """A hidden folder, whose files go to the folder that it lies in."""

    path: Path
    moves: tuple[_Move, ...]

    def staged(self, move: _Move) -> Path:
        return self.path / STAGED / move.name

    def before(self, move: _Move) -> Path:
        return self.path / BEFORE / move.name

    def target(self, move: _Move) -> Path:
        return self.path.parent / move.name


@contextmanager
def staged_in(folder: Path, outputs: Sequence[Output]) -> Iterator[list[Path]]:
    """Give paths to write to; on success all that was written moves to its place, on failure it all vanishes.

    What belongs beside an output moves with it; an earlier one that wasn't written anew goes: it told of another file.
    Where an output is a symbolic link, the link is replaced and what it points to stays as it is.

    Parameters
    ----------
    folder : Path
        Hidden, beside the first output, and locked by the caller, who takes it away after success: until then the
        list of moves stays in it. If the process is killed, `roll_forward` finds there how far it came.
    outputs : sequence of Output
        The final files, that which tells of the others first: it appears last.

    Yields
    ------
    list of Path
        Paths of the same names in hidden folders on the same file systems.

    Raises
    ------
    OutputError
        If a folder can't be written to; then every output is as it was before.
    """
    homes = _homes(folder, [output.path.parent for output in outputs])
    own = list(dict.fromkeys(homes.values()))
    try:
        _make(folder, own)
        yield [homes[output.path.parent] / STAGED / output.path.name for output in outputs]
        folders = _listed(homes, outputs)
        _commit(folder, folders)
    except BaseException as error:
        # a list of moves that is still there couldn't be undone: whoever comes next goes on with it
        if (folder / MOVES).exists():
            error.add_note(f"what was there before is in '{folder}'")
        else:
            sweep(folder)
        raise
    _drop(folder, own)


def roll_forward(folder: Path) -> bool:
    """Finish what a run that was killed had begun to put in place; the caller holds the folder's lock.

    Returns
    -------
    bool
        Whether all outputs are in their places: then the caller takes the folder away. False where the run hadn't come
        so far, or what it had written is damaged: then every output is as it was before the run.

    Raises
    ------
    OutputError
        If a file can't be moved; then it may be tried again.
    """
    folders = _read_moves(folder)
    if folders is None:
        sweep(folder)
        return False
    try:
        if any(_is_damaged(each, move) for each in folders for move in each.moves):
            _undo(folder, folders)
            sweep(folder)
            return False
        _move_all(folders)
    except OSError as error:
        raise _cannot_write(error, folder) from error
    _drop(folder, [each.path for each in folders])
    return True


def sweep(folder: Path) -> None:
    """Remove what was staged and is in no list of moves, here and in the folders elsewhere."""
    own = [folder, *_elsewhere(folder)]
    for each in own:
        _put_back(each)
    _drop(folder, own)
    with suppress(OSError):
        (folder / MOVES).unlink(missing_ok=True)


def _homes(folder: Path, parents: Iterable[Path]) -> dict[Path, Path]:
    """The hidden folder for each folder that outputs lie in: a rename never leaves its file system."""
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
    own = folder.parent.resolve()
    return {
        parent: folder if parent.resolve() == own else parent.resolve() / f"{folder.name}-{digest}"
        for parent in parents
    }


def _make(folder: Path, own: Sequence[Path]) -> None:
    """Make the hidden folders; those elsewhere are on record before they are there."""
    elsewhere = [str(each) for each in own if each != folder]
    into = folder
    try:
        if elsewhere:
            replace_with(folder / ELSEWHERE, json.dumps(elsewhere).encode())
        for into in own:
            for made in (into, into / STAGED, into / BEFORE):
                made.mkdir(exist_ok=True)
                if not _is_folder(made):
                    raise OSError(errno.ELOOP, f"'{made}' is a link")
    except OSError as error:
        raise failed_write(into.parent, error, f"into '{into.parent}'") from error


def _listed(homes: Mapping[Path, Path], outputs: Sequence[Output]) -> list[_Folder]:
    """What is to be moved, with the first output in the last move; all of it is on the disk."""
    moves: dict[Path, list[_Move]] = {home: [] for home in homes.values()}
    for output in reversed(outputs):  # each lists itself last
        home = homes[output.path.parent]
        written = home / STAGED / output.path.name
        if not _is_file(written):
            raise OutputError(f"'{output.path.name}' wasn't written")
        for target in output.files:
            path = home / STAGED / target.name
            with writing(path, f"'{output.path.name}'"):
                if _is_file(path):
                    sync_file(path)
                    moves[home].append(_Move(target.name, path.stat().st_size, checksum(path)))
                elif os.path.lexists(target):
                    moves[home].append(_Move(target.name))
    first = homes[outputs[0].path.parent]
    return [_Folder(home, tuple(listed)) for home, listed in sorted(moves.items(), key=lambda item: item[0] == first)]


def _commit(folder: Path, folders: Sequence[_Folder]) -> None:
    """Write the list of moves, and move; whatever interrupts that, Ctrl-C too, undoes all of it."""
    run = uuid.uuid4().hex
    try:
        for each in folders:
            sync_folder(each.path / STAGED)
            # of all lists that of the first output counts: while it isn't there, the others mean nothing
            content = {"run": run, "moves": [asdict(move) for move in each.moves]}
            if each.path == folder:
                content["elsewhere"] = [str(other.path) for other in folders if other.path != folder]
            replace_with(each.path / MOVES, json.dumps(content, indent=1).encode())
            sync_folder(each.path.parent)
        _move_all(folders)
    except BaseException as error:
        with suppress(OSError):
            _undo(folder, folders)
        if isinstance(error, OSError):
            raise _cannot_write(error, folder) from error
        raise


def _move_all(folders: Sequence[_Folder]) -> None:
    """Rename all that isn't yet in its place, keeping what was there, and wait until the names are on the disk."""
    for folder in folders:
        for move in folder.moves:
            staged, target, before = folder.staged(move), folder.target(move), folder.before(move)
            if target.is_dir() and not target.is_symlink():  # made since the outputs were checked
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
            is_due = _is_file(staged) if move.size is not None else True
            if is_due and os.path.lexists(target) and not os.path.lexists(before):
                target.replace(before)
            if move.size is not None and is_due:
                staged.replace(target)
    for folder in folders:
        sync_folder(folder.path.parent)


def _is_damaged(folder: _Folder, move: _Move) -> bool:
    """Whether a file that is still to be moved isn't the one that was written."""
    staged = folder.staged(move)
    return move.size is not None and os.path.lexists(staged) and not move.is_whole(staged)


def _undo(folder: Path, folders: Sequence[_Folder]) -> None:
    """Put everything back; a list of moves goes only when all of it was undone."""
    for each in reversed(folders):
        for move in reversed(each.moves):
            staged, target, before = each.staged(move), each.target(move), each.before(move)
            if move.size is not None and not os.path.lexists(staged) and move.is_whole(target):
                target.replace(staged)
            if os.path.lexists(before) and not os.path.lexists(target):
                before.replace(target)
    for path in (folder, *(each.path for each in folders)):
        (path / MOVES).unlink(missing_ok=True)
        if path.is_dir():
            sync_folder(path)
            sync_folder(path.parent)


def _put_back(folder: Path) -> None:
    """Of a folder without a list of moves: what was there before, if nothing is there now."""
    if _is_folder(folder / BEFORE):
        for before in (folder / BEFORE).iterdir():
            target = folder.parent / before.name
            if not os.path.lexists(target):
                before.replace(target)


def _drop(folder: Path, own: Sequence[Path]) -> None:
    """Remove all that was made here, but for the list of moves, and the hidden folders elsewhere with it."""
    others = [each for each in own if each != folder]
    for each in (*others, folder):
        for name in (STAGED, BEFORE):
            if _is_folder(each / name):
                shutil.rmtree(each / name, ignore_errors=True)
    for each in others:
        for name in NAMES:
            with suppress(OSError):
                (each / name).unlink(missing_ok=True)
        with suppress(OSError):
            each.rmdir()
    for name in (ELSEWHERE, f"{ELSEWHERE}.new", f"{MOVES}.new"):
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)


def _read_moves(folder: Path) -> list[_Folder] | None:
    """The list of moves in a folder, with those elsewhere that it counts on; None where there is none that is whole.

    A list holds plain names and moves files only from a hidden folder to the one that it lies in: whoever can put a
    list into a folder could put files there as well.
    """
    content = _read(folder / MOVES)
    if content is None:
        return None
    found = []
    for path in _folders(content.get("elsewhere"), folder):
        other = _read(path / MOVES)
        if other is not None and other.get("run") == content.get("run"):
            found.append((path, other))
        # else all of it was moved, and the folder is gone
    try:
        return [_Folder(path, tuple(map(_as_move, other["moves"]))) for path, other in [*found, (folder, content)]]
    except (KeyError, TypeError, ValueError):
        return None


def _as_move(entry: Mapping[str, Any]) -> _Move:
    name, size, crc32 = entry["name"], entry["size"], entry["crc32"]
    if not isinstance(name, str) or Path(name).name != name or not may_be_output(name, is_beside=size is None):
        raise ValueError(f"{name!r} is no name of an output")
    for number in (size, crc32):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int)):
            raise ValueError(f"{number!r} is no whole number")
    if (size is None) != (crc32 is None):
        raise ValueError("a size goes with a checksum")
    return _Move(name, size, crc32)


def _elsewhere(folder: Path) -> list[Path]:
    """The hidden folders on record that are there."""
    try:
        return _folders(json.loads(_text(folder / ELSEWHERE)), folder)
    except (OSError, ValueError, RecursionError):
        return []


def _folders(names: object, folder: Path) -> list[Path]:
    """Of names the hidden folders that `staged_in` makes."""
    found = []
    for name in names if isinstance(names, list) else []:
        path = Path(name) if isinstance(name, str) and "\0" not in name else Path()
        is_ours = path.name.startswith(f"{folder.name}-") and path.parent.resolve() != folder.parent.resolve()
        if path.is_absolute() and is_ours and _is_folder(path):
            found.append(path)
    return found


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(_text(path))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _text(path: Path) -> str:
    """The text of one of our own small files; OSError if it is something else."""
    if not _is_file(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return path.read_text(encoding="utf-8")


def _is_file(path: Path) -> bool:
    """Whether a regular file lies there, and not a link to one."""
    with suppress(OSError):
        return stat.S_ISREG(path.lstat().st_mode)
    return False


def _is_folder(path: Path) -> bool:
    """Whether a folder lies there, and not a link to one."""
    with suppress(OSError):
        return stat.S_ISDIR(path.lstat().st_mode)
    return False


def _cannot_write(error: OSError, folder: Path) -> OutputError:
    return failed_write(folder.parent, error, f"'{error.filename2 or error.filename or folder}'")
