"""Which `lposs-geo` is run: where it is looked for, and whether it goes with this plugin."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lposs_geo_qgis.engine import child
from lposs_geo_qgis.events import plain

__all__ = ["RELEASE", "VARIABLE", "Engine", "EngineError", "check", "find", "version", "version_in"]

VARIABLE = "LPOSS_GEO_EXECUTABLE"
"""Names the engine, whatever the settings say: for servers and tests."""

RELEASE = (0, 1)
"""The engine's release that this plugin speaks to."""

PATIENCE = 30.0
"""Seconds that the engine has to tell its version: just after it was installed, a virus scanner may read all of it."""

_TALK = 1000  # lines; who says more when asked for a version is something else
_ANSWER = re.compile(r"lposs-geo, version (\d{1,6}(?:\.\d{1,6}){0,5}[\w.+-]{0,60})(?!\S)")
_WINDOWS = os.name == "nt"
_MENU = "Raster > LPOSS-Geo > Engine"


class EngineError(Exception):
    """There is no engine, or none that can be used; the message says what to do."""


@dataclass(frozen=True)
class Engine:
    """A command that is `lposs-geo`.

    Attributes
    ----------
    prefix : tuple of str
        What stands before the arguments.
    origin : str
        How it was found, for people.
    """

    prefix: tuple[str, ...]
    origin: str


def find(environ: Mapping[str, str], setting: str, private: str) -> Engine:
    """Find the engine, without running anything.

    Parameters
    ----------
    environ : mapping
        That of `environment.clean`.
    setting : str
        The executable, Python or environment that the user has chosen, or nothing.
    private : str
        The executable of the environment that this plugin has made, which may not be there.

    Raises
    ------
    EngineError
        If there is none, or what was named isn't there.
    """
    for path, origin in ((environ.get(VARIABLE, ""), f"the variable {VARIABLE}"), (setting, _MENU)):
        if path:
            return Engine(_prefix(path, origin), f"named by {origin}")
    if os.path.isfile(private):
        return Engine((private,), "set up by this plugin")
    # with its ending, Windows takes no batch file; it looks in the current folder as well, which we never do
    name = "lposs-geo.exe" if _WINDOWS else "lposs-geo"
    on_path = shutil.which(name, path=environ.get("PATH", environ.get("Path", "")))
    if on_path and os.path.isabs(on_path):
        return Engine((on_path,), "found on the PATH")
    raise EngineError(
        f"LPOSS-Geo's engine isn't set up yet. Open the menu {_MENU}: one button there installs it, beside QGIS and "
        f"not into it. Where QGIS has no window, name it by the variable {VARIABLE}."
    )


def _prefix(path: str, origin: str) -> tuple[str, ...]:
    """The command for an executable, a Python that lposs-geo is installed for, or the folder of its environment."""
    place = Path(os.path.abspath(os.path.expanduser(path)))  # it is run in another folder than QGIS is
    if place.is_dir():
        place = place / ("Scripts/lposs-geo.exe" if _WINDOWS else "bin/lposs-geo")
    if not place.is_file():
        raise EngineError(f"There is no file '{place}', which {origin} names as the engine: correct it there.")
    if place.suffix.lower() in (".bat", ".cmd"):  # Windows' shell runs these, and reads meaning into class words
        raise EngineError(f"'{place}' is a batch file: name lposs-geo.exe or a python.exe in {origin} instead.")
    if not os.access(place, os.X_OK):
        raise EngineError(
            f"'{place}', which {origin} names as the engine, isn't a program that may be run: name lposs-geo or its "
            "Python there, or nothing."
        )
    if re.match(r"(python|pypy)[\d.]*[tw]?(\.exe)?$", place.name, re.IGNORECASE):
        return (str(place), "-P", "-m", "lposs_geo")  # -P: nothing from the folder it happens to run in
    return (str(place),)


def version(engine: Engine, environ: Mapping[str, str], cancelled: Callable[[], bool] = lambda: False) -> str:
    """Ask the engine for its version.

    Parameters
    ----------
    engine : Engine
    environ : mapping of str to str
        All variables that it sees.
    cancelled : callable
        Asked about ten times a second; once it says True, the engine isn't waited for any more.

    Raises
    ------
    EngineError
        If it can't be run, doesn't answer, or isn't lposs-geo; or if `cancelled` said so.
    """
    said: list[str] = []
    command = [*engine.prefix, "--version"]
    until = time.monotonic() + PATIENCE

    def in_vain() -> bool:
        return cancelled() or time.monotonic() > until or len(said) > _TALK

    try:
        child.run(command, environ, lambda line, is_error: said.append(line), in_vain)
    except child.ChildError as error:
        raise EngineError(f"The engine {error}. Set it up again with {_MENU}.") from error
    found = version_in(said)
    if found is None and cancelled():
        raise EngineError("Cancelled before the engine has told its version.")
    if found is None and time.monotonic() > until:
        raise EngineError(f"'{engine.prefix[0]}' didn't tell its version in {PATIENCE:.0f} seconds: try again.")
    if found is None:
        more = f" It says: {plain(said[-1]).strip()}" if said else ""
        raise EngineError(f"'{engine.prefix[0]}' isn't lposs-geo. Set the engine up again with {_MENU}.{more}")
    return found


def version_in(said: Iterable[str]) -> str | None:
    """The version in what `lposs-geo --version` says; None if another program says it."""
    return next((match[1] for line in said if (match := _ANSWER.match(line))), None)


def check(found: str) -> str | None:
    """What to tell of an engine's version; None if it is as it should be.

    Raises
    ------
    EngineError
        If it is too old for this plugin.
    """
    wanted = ".".join(map(str, RELEASE))
    numbers = tuple(int(number) for number in re.findall(r"\d+", found)[:2])
    if numbers < RELEASE:
        raise EngineError(
            f"The engine is lposs-geo {found}, and this plugin needs {wanted} or newer: set it up again with {_MENU}."
        )
    if numbers > RELEASE:
        return f"The engine, lposs-geo {found}, is newer than this plugin, made for {wanted}: update the plugin."
    return None
