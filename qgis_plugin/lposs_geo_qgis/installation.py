"""What pip is asked to do for the plugin's own engine, and what it answers: plain values, nothing is run here."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lposs_geo_qgis import engine

__all__ = [
    "REQUIREMENT",
    "Source",
    "SourceError",
    "Step",
    "choose_source",
    "explain",
    "lposs_geo",
    "pip_environment",
    "progress",
    "room",
    "scrub",
    "steps",
]

REQUIREMENT = "lposs-geo>={0}.{1},<{0}.{2}".format(*engine.RELEASE, engine.RELEASE[1] + 1)
"""What is asked for where more than one release may be had."""

_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_GB = 10**9
_CREDENTIALS = re.compile(r"://([^/\s:@'\"]*)(:[^/\s'\"]*)?@")
_WINDOWS = os.name == "nt"


class SourceError(Exception):
    """There is nothing to install where it was said to be; the message is one line that says what to do."""


@dataclass(frozen=True)
class Source:
    """What to install, and from where.

    Attributes
    ----------
    requirement : str
        As pip takes it; it begins with the name, so that it can't be taken for an option.
    wheels : str
        Folder of wheels to look in as well; empty for none.
    online : bool
        Whether an index is asked: PyPI, or the one that the user has set for pip.
    cpu_only : bool
        Take PyTorch for the processor alone, without the libraries for NVIDIA's GPUs.
    """

    requirement: str = REQUIREMENT
    wheels: str = ""
    online: bool = True
    cpu_only: bool = False


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
        if not any(_is_ours(wheel.name) for wheel in place.glob("*.whl")):
            raise SourceError(
                f"There is no wheel of lposs-geo in '{place}': fill it on a computer with the same system and Python "
                f'by pip download "{REQUIREMENT}".'
            )
        return Source(wheels=str(place), online=False)
    if not place.is_file():
        raise SourceError(f"There is no '{place}': choose the wheel of lposs-geo, or a folder of wheels.")
    if not _is_ours(place.name):
        raise SourceError(f"'{place}' isn't a wheel of lposs-geo: choose one, lposs_geo-...whl, or a folder of wheels.")
    others = any(wheel != place for wheel in place.parent.glob("*.whl"))
    # As a URL it may hold any letter; with the name before it, pip makes sure of what is inside.
    return Source(f"lposs-geo @ {place.as_uri()}", str(place.parent) if others else "", True, cpu_only)


def _is_ours(name: str) -> bool:
    return re.match(r"lposs[-_.]geo-.+\.whl$", name, re.IGNORECASE) is not None


def room(source: Source, platform: str) -> int:
    """About how many bytes a set-up takes for a while, downloads included; what stays is about two thirds of it.

    Parameters
    ----------
    source : Source
    platform : str
        `sys.platform`.
    """
    if not source.online:
        return 3 * sum(wheel.stat().st_size for wheel in Path(source.wheels).glob("*.whl")) + _GB // 20
    # PyPI's PyTorch brings NVIDIA's libraries on Linux, and only there
    return 10 * _GB if platform.startswith("linux") and not source.cpu_only else 5 * _GB // 2


def steps(python: str, env_folder: str, source: Source, windows: bool = _WINDOWS) -> list[Step]:
    """The programs to run, in this order.

    Parameters
    ----------
    python : str
        The interpreter to make the environment with.
    env_folder : str
        Where; absolute.
    source : Source
    windows : bool
        Whether environments look as they do on Windows.
    """
    own_python = _inside(env_folder, "python", windows)
    # -P: nothing from the folder it happens to run in. No cache: it would keep gigabytes that nobody asks for again.
    pip = (own_python, "-P", "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--no-cache-dir")
    making = Step("Making an environment", (python, "-I", "-m", "venv", env_folder))
    trying = Step("Starting lposs-geo", (lposs_geo(env_folder, windows), "--version"))
    links = (f"--find-links={source.wheels}",) if source.wheels else ()
    if not source.online:
        offline = (*pip, "--progress-bar=off", "--no-index", *links, source.requirement)
        return [making, Step("Installing lposs-geo", offline), trying]
    newer_pip = Step("Updating pip", (*pip, "--progress-bar=off", "--upgrade", "pip>=24.1"))
    index = (f"--extra-index-url={_CPU_INDEX}",) if source.cpu_only else ()
    # progress that a program can read is something that pip has learnt in 24.1
    online = (*pip, "--progress-bar=raw", *index, *links, source.requirement)
    return [making, newer_pip, Step("Installing lposs-geo", online), trying]


def _inside(env_folder: str | Path, program: str, windows: bool) -> str:
    return os.path.join(str(env_folder), "Scripts" if windows else "bin", program + (".exe" if windows else ""))


def lposs_geo(env_folder: str | Path, windows: bool = _WINDOWS) -> str:
    """The program in an environment."""
    return _inside(env_folder, "lposs-geo", windows)


def pip_environment(environ: Mapping[str, str], temporary: str) -> dict[str, str]:
    """The variables for a set-up: the user's own, without those that would make pip install elsewhere or say nothing.

    Parameters
    ----------
    environ : mapping of str to str
        That of `environment.clean`, with the proxy.
    temporary : str
        Folder for downloads: the system's is often in memory, and too small for PyTorch.
    """
    dropped = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PIP_DRY_RUN", "PIP_QUIET", "PIP_USER")
    changed = (*dropped, "TMPDIR", "TEMP", "TMP")
    kept = {name: value for name, value in environ.items() if name.upper() not in changed}
    # pip's own settings may say "user = true", which a variable overrules
    return kept | {"PIP_USER": "0", "TMPDIR": temporary, "TEMP": temporary, "TMP": temporary}


def scrub(text: str, environ: Mapping[str, str]) -> str:
    """A text without the passwords of addresses: those that it spells out, and those known from variables.

    Parameters
    ----------
    text : str
    environ : mapping of str to str
        May hold a proxy or an index with a password.
    """
    text = _CREDENTIALS.sub(lambda match: f"://{match[1]}:***@" if match[2] else "://***@", text)
    for value in environ.values():
        if "://" in value and "@" in value:
            for secret in _passwords(value):
                text = text.replace(secret, "***")
    return text


def _passwords(value: str) -> list[str]:
    try:
        found = [password for url in value.split() if (password := urlsplit(url).password)]
    except ValueError:  # no address after all
        return []
    # a very short one would be found in the midst of words
    return [secret for password in found for secret in (password, unquote(password)) if len(secret) > 3]


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
