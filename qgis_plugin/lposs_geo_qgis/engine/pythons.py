"""The Pythons on this computer that an engine can be made with."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lposs_geo_qgis.engine import child

__all__ = ["Found", "Python", "PythonError", "advice", "candidates", "find", "judge", "launcher_paths", "probe"]

OLDEST = (3, 11)
"""What lposs-geo needs."""

_NAMES = ("python3.13", "python3.12", "python3.11", "python3.14", "python3", "python")
_BEST = ((3, 12), (3, 13), (3, 11))
_TALK = 1000  # lines; who says more is something else
_PATIENCE = 15.0  # seconds; a virus scanner may look at each program first
_LAUNCHER = re.compile(r"((?:[A-Za-z]:|\\)\\.*?\.exe)(?=\s|$)", re.IGNORECASE)

# Runs in any Python 3. A launcher or a shim tells the program behind it, and an environment what it was made of.
_QUESTION = """
import json, platform, sys
lacks = []
for name in ("venv", "ensurepip", "ssl"):
    try:
        __import__(name)
    except ImportError:
        lacks.append(name)
try:
    import sysconfig
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
except ImportError:
    free_threaded = False
print(json.dumps({
    "executables": [getattr(sys, "_base_executable", None), sys.executable],
    "version": list(sys.version_info[:3]),
    "final": sys.version_info[3] == "final",
    "implementation": platform.python_implementation(),
    "machine": platform.machine(),
    "platform": sys.platform,
    "prefix": getattr(sys, "base_prefix", sys.prefix),
    "wide": sys.maxsize > 2 ** 32,
    "free_threaded": free_threaded,
    "lacks": lacks,
}))
"""


class PythonError(Exception):
    """A Python that no engine can be made with; the message says why, and what to do."""


@dataclass(frozen=True)
class Python:
    """An interpreter that an engine can be made with.

    Attributes
    ----------
    path : str
    version : tuple of int
        Of three numbers.
    """

    path: str
    version: tuple[int, int, int]

    @property
    def name(self) -> str:
        """As people call it."""
        return f"Python {'.'.join(map(str, self.version))}"


@dataclass(frozen=True)
class Found:
    """What was found on this computer.

    Attributes
    ----------
    pythons : tuple of Python
        The best one first.
    advice : str
        What to do if there is none; empty otherwise.
    """

    pythons: tuple[Python, ...]
    advice: str = ""


def find(
    environ: Mapping[str, str], platform: str, base_prefix: str, cancelled: Callable[[], bool] = lambda: False
) -> Found:
    """Look for Pythons, and ask each what it is.

    Parameters
    ----------
    environ : mapping of str to str
        That of `environment.clean`.
    platform : str
        `sys.platform`.
    base_prefix : str
        `sys.base_prefix`, where QGIS has its own Python.
    cancelled : callable
        Once it says True, what goes on is ended, and what was found by then is returned.
    """
    paths = candidates(
        environ, platform, base_prefix, _launcher_lines(environ, cancelled) if platform == "win32" else ""
    )

    def ask(path: str) -> Python | str:
        try:
            return probe(path, environ, cancelled)
        except PythonError as error:
            return str(error)

    with ThreadPoolExecutor(4) as workers:
        answers = list(workers.map(ask, paths))
    pythons = _best_first(answer for answer in answers if isinstance(answer, Python))
    refusals = [answer for answer in answers if isinstance(answer, str)]
    return Found(pythons, "" if pythons else advice(platform, refusals))


def candidates(environ: Mapping[str, str], platform: str, base_prefix: str, launcher: str = "") -> list[str]:
    """Files that may be Pythons, each once; none is run.

    Parameters
    ----------
    environ : mapping of str to str
    platform : str
        `sys.platform`.
    base_prefix : str
        Where QGIS has its own Python: it comes last, only as the base of an environment that lies elsewhere.
    launcher : str
        What `py -0p` said.
    """
    windows = platform == "win32"
    ending = ".exe" if windows else ""
    entries = [entry.strip('"') for entry in _variable(environ, "PATH").split(";" if windows else ":")]
    # All entries of PATH, not the first alone: a shim may stand there for a version that isn't installed.
    paths = [Path(entry) / (name + ending) for name in _NAMES for entry in entries if Path(entry).is_absolute()]
    if windows:
        paths += map(Path, launcher_paths(launcher))
        for variable, inner in (("LOCALAPPDATA", "Programs/Python"), ("ProgramFiles", "")):
            root = _variable(environ, variable)
            paths += sorted((Path(root) / inner).glob("Python3*/python.exe")) if root else []
        paths.append(Path(base_prefix) / "python.exe")
    else:
        if platform == "darwin":  # programs that are started from the Dock don't have the PATH of a terminal
            paths += sorted(Path("/Library/Frameworks/Python.framework/Versions").glob("3.*/bin/python3"))
            paths += [Path(folder) / name for folder in ("/opt/homebrew/bin", "/usr/local/bin") for name in _NAMES]
        paths.append(Path(base_prefix) / "bin" / "python3")
    once: dict[str, str] = {}
    for path in paths:
        if path.is_file():
            real = os.path.realpath(path)
            if platform == "darwin" and "/usr/bin" in (str(path.parent), os.path.dirname(real)):
                continue  # no Python: whoever runs it is asked to install Apple's tools for developers
            # some version managers have one program behind all names, which looks at the name that it is called by
            once.setdefault(real if os.path.basename(real).lower().startswith("python") else str(path), str(path))
    return list(once.values())


def launcher_paths(said: str) -> list[str]:
    """The programs that Windows's launcher lists, whatever else stands in a line."""
    return [match[1] for line in said.splitlines() if (match := _LAUNCHER.search(line))]


def probe(path: str, environ: Mapping[str, str], cancelled: Callable[[], bool] = lambda: False) -> Python:
    """Ask a program what Python it is.

    Raises
    ------
    PythonError
        If it is none that an engine can be made with.
    """
    place = os.path.abspath(os.path.expanduser(path))
    try:
        said = _ask([place, "-I", "-c", _QUESTION], environ, cancelled)
    except child.ChildError as error:
        raise PythonError(f"{error}. Choose a Python 3.11 or newer.") from error
    for line in reversed(said):
        try:
            facts = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(facts, dict) or "executables" not in facts:
            continue
        try:
            return judge(place, facts)
        except (KeyError, TypeError, ValueError, AttributeError):  # another program, with an answer of its own
            continue
    raise PythonError(f"'{place}' isn't a Python 3 that runs. Choose a Python 3.11 or newer.")


def judge(path: str, facts: Mapping[str, Any]) -> Python:
    """Decide from what a Python says of itself.

    Parameters
    ----------
    path : str
        As it was called, for people.
    facts : mapping
        The answer to the question that `probe` asks.

    Raises
    ------
    PythonError
        If no engine can be made with it.
    """
    version = tuple(facts["version"])
    name = f"'{path}' is Python {'.'.join(map(str, version))}"
    lacks = facts["lacks"]
    problem = ""
    if version[:2] < OLDEST:
        problem = f"{name}, and the engine needs 3.11 or newer: choose another one."
    elif facts["implementation"] != "CPython" or facts["free_threaded"]:
        problem = f"{name} of a kind that PyTorch isn't made for: choose one from python.org."
    elif not facts["final"]:
        problem = f"{name}, not yet released: choose another one."
    elif not facts["wide"]:
        problem = f"{name} of 32 bits, which PyTorch isn't made for: choose one of 64 bits."
    elif facts["platform"] == "darwin" and facts["machine"] == "x86_64":
        problem = (
            f"{name} running as an Intel program, which PyTorch isn't made for any more: on a Mac with an Apple chip, "
            "use Homebrew's Python in /opt/homebrew/bin or the QGIS for Apple chips, then press Set up engine again."
        )
    elif facts["platform"] == "win32" and "\\windowsapps\\" in facts["prefix"].lower() + "\\":
        # Windows quietly puts what it writes into %LOCALAPPDATA% elsewhere, where nobody else finds it
        problem = f"{name} from the Microsoft Store, which can't make an engine for others: choose one from python.org."
    elif "venv" in lacks or "ensurepip" in lacks:
        problem = f"{name} without ensurepip or venv: {_venv_package(version)}"
    elif lacks:
        problem = f"{name} without {lacks[0]}, so that it can't download: choose another one."
    if problem:
        raise PythonError(problem)
    real = next((known for known in facts["executables"] if known and os.path.isfile(known)), path)
    return Python(real, version)


def advice(platform: str, refusals: Sequence[str]) -> str:
    """What to do when there is no Python to make an engine with.

    Parameters
    ----------
    platform : str
        `sys.platform`.
    refusals : sequence of str
        Why each of those that were found won't do.
    """
    telling = {"win32": None, "darwin": "as an Intel program"}.get(platform, "without ensurepip")
    for refusal in refusals:
        if telling and telling in refusal:
            return refusal
    if platform in ("win32", "darwin"):
        return (
            "There is no Python that the engine can be made with: install Python 3.13 from python.org (tick nothing "
            "special), then press Set up engine again."
        )
    return (
        "There is no Python 3.11 or newer: install your system's packages for it (python3 and python3-venv on Debian "
        "12, Ubuntu 24.04 and newer; on older ones ask your administrator), then press Set up engine again."
    )


def _venv_package(version: Sequence[int]) -> str:
    return (
        f"install the package python3-venv (or python{version[0]}.{version[1]}-venv) on Debian and Ubuntu, or choose "
        "another Python; then press Set up engine again."
    )


def _best_first(pythons: Iterable[Python]) -> tuple[Python, ...]:
    once: dict[str, Python] = {}
    for python in pythons:
        once.setdefault(os.path.realpath(python.path), python)

    def rank(python: Python) -> tuple[int, tuple[int, ...]]:
        version = python.version[:2]
        return (_BEST.index(version), ()) if version in _BEST else (len(_BEST), version)

    return tuple(sorted(once.values(), key=rank))


def _variable(environ: Mapping[str, str], name: str) -> str:
    """A variable, whose name Windows spells in any case."""
    return next((value for known, value in environ.items() if known.upper() == name.upper()), "")


def _launcher_lines(environ: Mapping[str, str], cancelled: Callable[[], bool]) -> str:
    folders = [_variable(environ, "SystemRoot") or r"C:\Windows"]
    folders += [entry.strip('"') for entry in _variable(environ, "PATH").split(";")]
    for folder in folders:
        launcher = Path(folder) / "py.exe"
        if not (launcher.is_absolute() and launcher.is_file()):  # a bare name is looked for in QGIS's own folder, too
            continue
        try:
            return "\n".join(_ask([str(launcher), "-0p"], environ, cancelled))
        except child.ChildError:
            continue
    return ""


def _ask(command: Sequence[str], environ: Mapping[str, str], cancelled: Callable[[], bool]) -> list[str]:
    """What a program says before patience is at its end; ChildError if it can't be started."""
    said: list[str] = []
    until = time.monotonic() + _PATIENCE

    def in_vain() -> bool:
        return cancelled() or time.monotonic() > until or len(said) > _TALK

    child.run(command, environ, lambda line, is_error: said.append(line), in_vain)
    return said
