"""The user's settings for pip, of which a set-up takes the network's alone: how an index is reached, and which."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Mapping

__all__ = ["asked", "is_offline", "question", "read", "variables"]

_NETWORK = (
    *("index-url", "extra-index-url", "proxy", "cert", "client-cert", "trusted-host", "timeout", "default-timeout"),
    *("retries", "keyring-provider", "no-index"),
)
"""All else would change what is installed, where, or what pip says: target, prefix, user, pre, find-links, log..."""

_SECTIONS = ("global", "install", ":env:")  # the later ones win
_LINE = re.compile(r"(global|install|:env:)\.([a-z-]+)=(.*)")
_TEMPORARY = ("TMPDIR", "TEMP", "TMP")


def question(pip: Iterable[str]) -> tuple[str, ...]:
    """The command that tells the settings; `pip` is how pip is called. Its answer may hold passwords."""
    return (*pip, "config", "list")


def asked(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables for `question`: the settings that count, and the file that the user has named for more."""
    kept = {name: value for name, value in environ.items() if not _is_pip(name) or _option(name) in _NETWORK}
    files = {name: value for name, value in environ.items() if name.upper() == "PIP_CONFIG_FILE"}
    # a file may say "quiet", which a variable overrules
    return kept | files | {"PIP_QUIET": "0", "PIP_VERBOSE": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def read(said: Iterable[str]) -> dict[str, str]:
    """The answer to `question`, as variables; what is no setting of the network is passed over."""
    found: dict[tuple[str, str], str] = {}
    for line in said:
        match = _LINE.fullmatch(line.strip())
        if match is None or match[2] not in _NETWORK:
            continue
        try:
            found[match[1], match[2]] = " ".join(str(ast.literal_eval(match[3])).split())  # one a line in a file
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    sorted_by_rank = sorted(found.items(), key=lambda item: _SECTIONS.index(item[0][0]))
    return {"PIP_" + name.upper().replace("-", "_"): value for (_, name), value in sorted_by_rank if value}


def is_offline(settings: Mapping[str, str]) -> bool:
    """Whether the user has told pip to ask no index."""
    return settings.get("PIP_NO_INDEX", "").lower() in ("1", "true", "yes", "on", "y", "t")


def variables(environ: Mapping[str, str], temporary: str, settings: Mapping[str, str]) -> dict[str, str]:
    """The variables for a set-up: the user's own, but of those for pip only what `read` has returned.

    Parameters
    ----------
    environ : mapping of str to str
        That of `environment.clean`, with the proxy.
    temporary : str
        Folder for downloads: the system's is often in memory, and too small for PyTorch.
    settings : mapping of str to str
        Of `read`; empty where no index is asked.
    """
    kept = {name: value for name, value in environ.items() if not _is_pip(name) and name.upper() not in _TEMPORARY}
    # this file's name makes pip read no other one either
    return {**kept, **settings, **dict.fromkeys(_TEMPORARY, temporary), "PIP_CONFIG_FILE": os.devnull}


def _is_pip(name: str) -> bool:
    return name.upper().startswith("PIP_")


def _option(name: str) -> str:
    return name[len("PIP_") :].lower().replace("_", "-")
