"""What pip is asked to do for the plugin's own engine, and what it answers: plain values, nothing is run here."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lposs_geo_qgis.engine import finding, wheels

__all__ = [
    "REQUIREMENT",
    "Source",
    "SourceError",
    "Step",
    "choose_source",
    "explain",
    "lposs_geo",
    "pip",
    "progress",
    "room",
    "steps",
]

REQUIREMENT = "lposs-geo>={0}.{1},<{0}.{2}".format(*finding.RELEASE, finding.RELEASE[1] + 1)
"""What is asked for where more than one release may be had."""

_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_GB = 10**9
_WINDOWS = os.name == "nt"


class SourceError(Exception):
    """There is nothing to install where it was said to be; the message is one line that says what to do."""


@dataclass(frozen=True)
class Source:
    """What to install, and from where.

    Attributes
    ----------
    wheel : str
        File of lposs-geo, alone: nothing else comes from its folder. Empty for what the index has.
    folder : str
        Folder of wheels from which alone everything comes; empty where an index is asked, PyPI or the user's own.
    cpu_only : bool
        Take PyTorch for the processor alone, without the libraries for NVIDIA's GPUs.
    """

    wheel: str = ""
    folder: str = ""
    cpu_only: bool = False

    @property
    def online(self) -> bool:
        """Whether an index is asked."""
        return not self.folder

    @property
    def files(self) -> list[Path]:
        """What is installed from the user's disk."""
        return [Path(self.wheel)] if self.wheel else wheels.in_folder(Path(self.folder)) if self.folder else []


@dataclass(frozen=True)
class Step:
    """One program of a set-up.

    Attributes
    ----------
    what : str
        What it does, for people.
    command : tuple of str
    """

    what: str
    command: tuple[str, ...]


def choose_source(path: str = "", cpu_only: bool = False) -> Source:
    """The source for what the user has chosen.

    Parameters
    ----------
    path : str
        The wheel of lposs-geo, whose dependencies then come from PyPI, or a folder with all wheels, from which alone
        everything comes; empty for PyPI.
    cpu_only : bool

    Raises
    ------
    SourceError
        If there is no such file or folder, or no lposs-geo in it.
    """
    if not path.strip():
        return Source(cpu_only=cpu_only)
    place = Path(os.path.abspath(os.path.expanduser(path.strip())))
    if place.is_dir():
        if not any(_is_ours(wheel.name) for wheel in wheels.in_folder(place)):
            raise SourceError(
                f"There is no wheel of lposs-geo in '{place}': fill it on a computer with the same system and Python "
                f'by pip download "{REQUIREMENT}".'
            )
        return Source(folder=str(place))
    if not place.is_file():
        raise SourceError(f"There is no '{place}': choose the wheel of lposs-geo, or a folder of wheels.")
    if not _is_ours(place.name):
        raise SourceError(f"'{place}' isn't a wheel of lposs-geo: choose one, lposs_geo-...whl, or a folder of wheels.")
    try:
        finding.check(place.name.split("-")[1])
    except finding.EngineError as error:
        raise SourceError(f"{error} Choose a newer file or folder.") from error
    return Source(str(place), cpu_only=cpu_only)


def _is_ours(name: str) -> bool:
    return re.match(r"lposs[_.]geo-.+\.whl$", name, re.IGNORECASE) is not None


def room(source: Source, platform: str) -> int:
    """About how many bytes a set-up takes for a while, downloads included; what stays is about two thirds of it.

    Parameters
    ----------
    source : Source
    platform : str
        `sys.platform`.
    """
    if not source.online:  # the copies, and what comes out of them
        return 4 * sum(_size(wheel) for wheel in source.files) + _GB // 20
    # PyPI's PyTorch brings NVIDIA's libraries on Linux, and only there
    return 10 * _GB if platform.startswith("linux") and not source.cpu_only else 5 * _GB // 2


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it has just gone
        return 0


def steps(python: str, env_folder: str, source: Source, copies: str, windows: bool = _WINDOWS) -> list[Step]:
    """The programs to run, in this order.

    Parameters
    ----------
    python : str
        The interpreter to make the environment with.
    env_folder : str
        Where; absolute.
    source : Source
    copies : str
        Folder with copies of the source's files, checked; nobody else may write there.
    windows : bool
        Whether environments look as they do on Windows.
    """
    # No cache: it would keep gigabytes that nobody asks for again.
    quiet = ("--no-input", "--disable-pip-version-check", "--no-cache-dir")
    install = (*pip(env_folder, windows), "install", *quiet)
    making = Step("Making an environment", (python, "-I", "-m", "venv", env_folder))
    trying = Step("Starting lposs-geo", (lposs_geo(env_folder, windows), "--version"))
    if not source.online:
        only = ("--isolated", "--no-index", f"--find-links={copies}", "--only-binary=:all:")
        offline = (*install, "--progress-bar=off", *only, REQUIREMENT)
        return [making, Step("Installing lposs-geo", offline), trying]
    # As a URL it may hold any letter; with the name before it, pip makes sure of what is inside.
    asked = f"lposs-geo @ {(Path(copies) / Path(source.wheel).name).as_uri()}" if source.wheel else REQUIREMENT
    newer_pip = Step("Updating pip", (*install, "--progress-bar=off", "--upgrade", "pip>=24.1"))
    index = (f"--extra-index-url={_CPU_INDEX}",) if source.cpu_only else ()
    # progress that a program can read is something that pip has learnt in 24.1
    online = (*install, "--progress-bar=raw", *index, asked)
    return [making, newer_pip, Step("Installing lposs-geo", online), trying]


def pip(env_folder: str | Path, windows: bool = _WINDOWS) -> tuple[str, ...]:
    """How the pip of an environment is called. -P: nothing from the folder it happens to run in."""
    return (_inside(env_folder, "python", windows), "-P", "-m", "pip")


def _inside(env_folder: str | Path, program: str, windows: bool) -> str:
    return os.path.join(str(env_folder), "Scripts" if windows else "bin", program + (".exe" if windows else ""))


def lposs_geo(env_folder: str | Path, windows: bool = _WINDOWS) -> str:
    """The program in an environment."""
    return _inside(env_folder, "lposs-geo", windows)


def progress(line: str) -> float | None:
    """Percent of the download that goes on, from a line of pip; None for any other line."""
    match = re.match(r"\s*Progress (\d+) of (\d+)\s*$", line)
    if match is None:
        return None
    done, total = int(match[1]), int(match[2])
    return min(100.0, 100 * done / total) if total else 100.0


_HINTS = (
    (r"No space left|Errno 28\b|not enough space", "Make room on the disk, then press Set up engine again."),
    (
        r"Missing dependencies for SOCKS",
        "pip can't use a SOCKS proxy: choose an HTTP proxy in Settings > Options > Network, or set up from a folder "
        "with all wheels.",
    ),
    (
        r"ProxyError|proxy authentication|\b407\b|Cannot connect to proxy",
        "Check the proxy in Settings > Options > Network, then press Set up engine again.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerification",
        "Your network puts a certificate of its own in between: set the variable PIP_CERT to the file of that "
        "certificate, which your administrator has.",
    ),
    (
        r"NewConnectionError|NameResolution|ConnectTimeout|ReadTimeout|Read timed out|ConnectionReset|IncompleteRead"
        r"|getaddrinfo|name resolution|Connection refused|Network is unreachable|connection broken|ConnectionError",
        "Check the network, and the proxy in Settings > Options > Network, then press Set up engine again.",
    ),
    (
        r"inconsistent name|is not a valid wheel|Invalid wheel|has an invalid wheel",
        "This isn't a wheel of lposs-geo: choose another file.",
    ),
    (r"not a supported wheel", "The wheel is for another system or Python: choose another Python."),
    (
        r"Permission denied|Access is denied|WinError (5|32)\b",
        "A virus scanner or another program holds the file: try again.",
    ),
    (r"Long Path support", "Ask your administrator to switch on long paths in Windows."),
    (
        r"No module named '?(ensurepip|venv)|ensurepip is not available",
        "Install the package python3-venv, or choose another Python.",
    ),
)


def explain(said: Sequence[str], source: Source) -> str:
    """What went wrong, and what to do, from the lines of a program that failed.

    Parameters
    ----------
    said : sequence of str
    source : Source
        What was being installed.
    """
    errors = [line.strip() for line in said if line.lstrip().startswith("ERROR:")]
    last = errors[-1] if errors else next((line.strip() for line in reversed(said) if line.strip()), "it said nothing")
    last = last.removeprefix("ERROR:").strip().rstrip(".")
    everything = "\n".join(said)
    for pattern, hint in _HINTS:
        if re.search(pattern, everything, re.IGNORECASE):
            return f"{last}. {hint}"
    if re.search("No matching distribution|Could not find a version", everything):
        if source.online and re.search("No matching distribution found for lposs-geo", everything):
            hint = "The index has none for this Python: choose another Python, or the engine's wheel as a file."
        elif source.online:
            hint = "The index has none for this Python and system: choose another Python, or try again later."
        else:
            hint = f'The folder lacks it: fill it with the same system and Python by pip download "{REQUIREMENT}".'
        return f"{last}. {hint}"
    return f"{last}. Try another Python, or press Set up engine again."
