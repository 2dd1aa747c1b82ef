"""The plugin's own engine: environments in a folder of the user, each made whole before it takes the other's place.

The folder holds environments "1", "2" and so on, and the file "current" with the name of the one in use. What fails or
is cancelled leaves both as they were. Nobody but the user may enter it; what is no environment of ours is left alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from lposs_geo_qgis import command
from lposs_geo_qgis.engine import child, finding, pip_settings, wheels
from lposs_geo_qgis.engine.installation import Source, Step, explain, lposs_geo, pip, progress, room, steps
from lposs_geo_qgis.engine.private_folder import (
    NOBODY_ELSE,
    FolderError,
    is_real_folder,
    new_file,
    own_file,
    own_folder,
)
from lposs_geo_qgis.engine.scrubbing import scrub
from lposs_geo_qgis.events import plain

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["SetupCancelled", "SetupError", "executable", "in_use", "remove", "set_up"]

LOG = "setup.log"
"""In the folder; all that the last set-up said."""

_CURRENT = "current"
_LOCK = "setup.lock"
_USED = "in-use.lock"  # in each environment
_GONE = ".removed"
_GB = 10**9
_WINDOWS = os.name == "nt"


class SetupError(Exception):
    """The engine can't be set up or removed; the message is one line that says what to do."""


class SetupCancelled(SetupError):  # noqa: N818, no error of anyone's
    """The user didn't want it any more."""


def executable(folder: Path) -> str:
    """The `lposs-geo` in use; empty if there is none."""
    name = _current(Path(folder))
    path = lposs_geo(Path(folder) / name) if name else ""
    return path if path and os.path.isfile(path) else ""


@contextlib.contextmanager
def in_use(program: str) -> Iterator[None]:
    """Keep an engine from being removed while it runs; nothing is done for one that isn't the plugin's own.

    Parameters
    ----------
    program : str
        The engine's `prefix[0]`: `lposs-geo` or the Python of an environment.
    """
    with _hold(Path(os.path.abspath(program)).parent.parent, shared=True):
        yield


def set_up(
    folder: Path,
    python: str,
    source: Source,
    environ: Mapping[str, str],
    tell: Callable[[str], None],
    advance: Callable[[float | None], None],
    cancelled: Callable[[], bool],
) -> str:
    """Make a new environment with the engine in it, and take it into use.

    Parameters
    ----------
    folder : Path
        That of the plugin's engines; made if need be.
    python : str
        The interpreter to make it with; 3.11 or newer.
    source : Source
    environ : mapping of str to str
        All variables that the programs see; a proxy's password belongs here, since it is never shown.
    tell : callable
        Called with each line, which also goes into the file setup.log.
    advance : callable
        Called with percent of the download that goes on, or None where that isn't known.
    cancelled : callable
        Asked about ten times a second.

    Returns
    -------
    str
        The path of `lposs-geo`.

    Raises
    ------
    SetupError
        If it can't be done; the engine that was there stays in use.
    SetupCancelled
        If `cancelled` said so; likewise.
    """
    folder = Path(os.path.abspath(folder))
    known = dict(environ)  # and what pip's own settings will tell
    try:
        own_folder(folder)
        with _alone(folder) as locked, new_file(folder / LOG) as log:

            def note(text: str) -> None:
                line = scrub(plain(text), known)
                log.write(line + "\n")
                tell(line)

            if locked:  # else it may be what another window is working on
                _sweep(folder)  # what a crash may have left
            _require_room(folder, room(source, sys.platform))
            home = _new_home(folder)
            try:
                _fill(home, python, source, known, note, advance, cancelled)
                _take_into_use(folder, home.name)
            except BaseException:
                _discard(home)
                raise
            if locked:
                _sweep(folder)
            note(f"The engine is set up: {executable(folder)}")
    except (FolderError, wheels.WheelError) as error:
        raise SetupError(plain(str(error))) from error
    except OSError as error:
        raise SetupError(
            f"The engine can't be set up in '{folder}': {error.strerror or error}. See to it that there is room, "
            "and that you may write there."
        ) from error
    return executable(folder)


def remove(folder: Path) -> None:
    """Remove the engine and all that belongs to it; nothing happens if there is none.

    An empty file stays, the lock: another window may be about to take it.

    Raises
    ------
    SetupError
        If it is in use, or another window of QGIS is working on it.
    """
    folder = Path(os.path.abspath(folder))
    if not os.path.lexists(folder):
        return
    try:
        own_folder(folder)
        with _alone(folder):
            name = _current(folder)
            home = folder / name if name else None
            if not _sweep(folder) or (home is not None and _is_ours(home) and not _discard(home)):
                raise SetupError(
                    f"The engine in '{folder}' is in use: remove it when no map is being made, in any window of QGIS."
                )
            (folder / _CURRENT).unlink(missing_ok=True)
            (folder / LOG).unlink(missing_ok=True)
    except FolderError as error:
        raise SetupError(str(error)) from error
    except OSError as error:
        raise SetupError(
            f"The engine in '{folder}' can't be removed: {error.strerror or error}. Remove the folder by hand."
        ) from error


def _current(folder: Path) -> str:
    try:
        name = (folder / _CURRENT).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return name if re.fullmatch(r"[0-9]+", name) else ""


def _take_into_use(folder: Path, name: str) -> None:
    fresh = folder / (_CURRENT + ".new")
    with new_file(fresh) as file:
        file.write(name + "\n")
    for wait in (0.1, 0.2, 0.4, None):
        try:
            os.replace(fresh, folder / _CURRENT)
            return
        except PermissionError:  # on Windows, while another window reads it
            if wait is None:
                raise
            time.sleep(wait)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Keep other windows of QGIS out; the system itself lets go of it if this one crashes.

    Yields
    ------
    bool
        False where the file system has no locks: then another window may be at work too.

    Raises
    ------
    SetupError
        If another one is in.
    """
    with own_file(folder / _LOCK, "a") as file:
        locked = True
        try:
            if sys.platform == "win32":
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise SetupError(
                f"Another window of QGIS is working on the engine in '{folder}': wait until it is done, then try again."
            ) from error
        except OSError:  # numbers are still given to one only
            locked = False
        yield locked


@contextlib.contextmanager
def _hold(home: Path, shared: bool) -> Iterator[None]:
    """Hold an environment, shared by all that run it, or for the one who removes it; as far as there are locks.

    Raises
    ------
    BlockingIOError
        If it is to be removed, and in use.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(own_file(home / _USED, "r+"))  # over a network, each kind of lock needs its mode
            if sys.platform != "win32":  # there an open file is enough
                fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # not the plugin's own, hardly begun, or a file system without locks
            pass
        yield


def _new_home(folder: Path) -> Path:
    numbers = [int(match[0]) for entry in folder.iterdir() if (match := re.match(r"[0-9]+", entry.name))]
    home = folder / str(max([*numbers, int(_current(folder) or 0)]) + 1)
    home.mkdir(mode=0o700)
    (home / _USED).touch(mode=0o600)
    return home


def _sweep(folder: Path) -> bool:
    """Remove all environments but the current one; False if one stays since it is in use."""
    current, whole = _current(folder), re.compile(r"[0-9]+(\.removed)?")
    named = [entry for entry in folder.iterdir() if whole.fullmatch(entry.name) and entry.name != current]
    others = [entry for entry in named if _is_ours(entry)]
    stay = [entry for entry in others if not _discard(entry)]
    return not stay


def _is_ours(home: Path) -> bool:
    """Whether it is an environment that this module has made, or what a crash left of one."""
    if not is_real_folder(home):
        return False
    inside = {entry.name for entry in home.iterdir()}
    return not inside or home.name.endswith(_GONE) or _USED in inside


def _discard(home: Path) -> bool:
    """Remove an environment, or leave all of it if it is in use: Windows doesn't rename a folder with open files."""
    gone = home if home.name.endswith(_GONE) else home.with_name(home.name + _GONE)
    try:
        # on Windows the lock's own file would be an open one
        with contextlib.nullcontext() if _WINDOWS else _hold(home, shared=False):
            os.rename(home, gone)
    except OSError:
        return False
    shutil.rmtree(gone, ignore_errors=True)
    return True


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SetupError(
            f"The engine takes about {needed / _GB:.1f} GB, and there are {free / _GB:.1f} GB free on the disk of "
            f"'{folder}': make room, then press Set up engine again."
        )


def _fill(
    home: Path,
    python: str,
    source: Source,
    environ: dict[str, str],
    note: Callable[[str], None],
    advance: Callable[[float | None], None],
    cancelled: Callable[[], bool],
) -> None:
    """Make the environment, and put the engine into it; what pip's settings tell is added to `environ`.

    Raises
    ------
    SetupError, SetupCancelled
        As `set_up` does.
    wheels.WheelError
        If one mustn't be installed.
    """
    temporary = home / "tmp"
    copied = temporary / "wheels"
    for made in (temporary, copied):
        made.mkdir(mode=0o700)

    def stop_if_cancelled() -> None:
        if cancelled():
            note("Cancelled.")
            raise SetupCancelled("Cancelled: everything is as it was before.")

    def run(step: Step, variables: Mapping[str, str], secret: bool = False) -> list[str]:
        """Run a step, and return what it said; `secret` if nobody is to read it."""
        said: list[str] = []

        def hear(line: str, is_error: bool) -> None:
            percent = progress(line)
            if percent is not None:
                advance(percent)
                return
            if not line.lstrip().startswith("Downloading "):
                advance(None)
            if line.strip():
                said.append(plain(line))
                if not secret:
                    note(line)

        advance(None)
        note(f"{step.what}: {command.for_people(step.command, _WINDOWS)}")
        try:
            status = child.run(step.command, variables, hear, cancelled, str(home), NOBODY_ELSE)
        except child.ChildError as error:
            raise SetupError(f"{step.what} failed: {error}. Try another Python. Log: {home.parent / LOG}") from error
        stop_if_cancelled()
        if status != 0:
            why = f"{step.what} failed: {explain(said, source)} Log: {home.parent / LOG}"
            raise SetupError(scrub(why, environ))
        return said

    if source.files:
        note("Copying and checking the files")
        wheels.copies(source.files, copied, advance, cancelled)
        stop_if_cancelled()
    making, *others = steps(python, str(home), source, str(copied))
    run(making, pip_settings.variables(environ, str(temporary), {}))
    settings: dict[str, str] = {}
    if source.online:
        asking = Step("Reading pip's settings", pip_settings.question(pip(home)))
        settings = pip_settings.read(run(asking, pip_settings.asked(environ), secret=True))
        environ.update(settings)  # they are scrubbed from now on
        if pip_settings.is_offline(settings):
            raise SetupError("pip's settings say that no index is asked (no-index): choose a folder with all wheels.")
    variables = pip_settings.variables(environ, str(temporary), settings)
    said: list[str] = []
    for step in others:
        said = run(step, variables)
    shutil.rmtree(temporary, ignore_errors=True)
    _check_version(said)


def _check_version(said: Sequence[str]) -> None:
    found = finding.version_in(said)
    if found is None:
        raise SetupError("What was installed isn't lposs-geo: choose another file or folder.")
    try:
        finding.check(found)
    except finding.EngineError as error:
        raise SetupError(f"{error} Choose a newer file or folder.") from error
