"""Wheels from the user's disk: checked against the list of their sums, and copied to where nobody can change them."""

from __future__ import annotations

import email.parser
import hashlib
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

__all__ = ["SUMS", "WheelError", "copies", "in_folder"]

SUMS = "SHA256SUMS"
"""The file beside wheels that lists them, as `sha256sum *.whl` writes it."""

_LARGEST_LIST = 2**20  # bytes
_LARGEST_FACTS = 2**22  # bytes of a wheel's METADATA
_PIECE = 2**20
_LINE = re.compile(r"(?P<sum>[0-9a-fA-F]{64}) [ *](?P<name>.+)|SHA256 \((?P<name2>.+)\) = (?P<sum2>[0-9a-fA-F]{64})")


class WheelError(Exception):
    """A wheel that must not be installed; the message is one line that says which, and what to do."""


def in_folder(folder: Path) -> list[Path]:
    """The wheels that lie in a folder, by name; what only bears the name of one is passed over."""
    try:
        return sorted(path for path in folder.glob("*.whl") if path.is_file())
    except OSError:  # it can't be looked into
        return []


def copies(
    wheels: Iterable[Path], folder: Path, advance: Callable[[float | None], None], cancelled: Callable[[], bool]
) -> list[Path]:
    """Copy wheels, and make sure of each copy: it is what the list beside the wheel says, and asks only for names.

    Parameters
    ----------
    wheels : iterable of Path
        Of one folder; if a list of sums lies there, each must be in it.
    folder : Path
        Where to; nobody else may write there.
    advance : callable
        Called with percent.
    cancelled : callable
        Asked again and again; once it says True, copying ends.

    Returns
    -------
    list of Path
        The copies, under the same names; less than all only if `cancelled` said so.

    Raises
    ------
    WheelError
        If one isn't as listed or not listed, asks for another from an address of its own, or can't be read.
    OSError
        If it can't be written.
    """
    wheels = list(wheels)
    lists = {parent: _sums(parent) for parent in {wheel.parent for wheel in wheels}}
    total = sum(wheel.stat().st_size for wheel in wheels) or 1
    done = 0
    made: list[Path] = []
    for wheel in wheels:
        copy, found = folder / wheel.name, hashlib.sha256()
        with _regular(wheel) as source, open(copy, "xb") as target:
            for piece in _pieces(source, wheel):
                if cancelled():
                    return made
                target.write(piece)
                found.update(piece)
                done += len(piece)
                advance(min(100.0, 100 * done / total))
        _check_sum(wheel, found.hexdigest(), lists[wheel.parent])
        _check_facts(wheel, copy)
        made.append(copy)
    return made


def _check_sum(wheel: Path, found: str, listed: Mapping[str, str] | None) -> None:
    if listed is None:
        return
    if wheel.name not in listed:
        raise WheelError(f"'{wheel}' isn't listed in the {SUMS} beside it: take it away, or get the right list.")
    if listed[wheel.name] != found:
        raise WheelError(f"'{wheel}' isn't the file that the {SUMS} beside it lists: get both again.")


def _check_facts(wheel: Path, copy: Path) -> None:
    """Refuse a wheel of another name, or one that fetches others past the folder and the index, as pip would let it."""
    try:
        with zipfile.ZipFile(copy) as archive:
            name = next(name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
            with archive.open(name) as file:
                content = file.read(_LARGEST_FACTS + 1)
        if len(content) > _LARGEST_FACTS:
            raise ValueError("nobody needs so much")
        facts = email.parser.BytesParser().parsebytes(content, headersonly=True)
        name, needs = str(facts["Name"]), [str(need) for need in facts.get_all("Requires-Dist", [])]
    except Exception as error:  # whatever is wrong inside: it is a file from elsewhere
        raise WheelError(f"'{wheel}' is damaged, or no wheel: get it again.") from error
    if _normal(name) != _normal(wheel.name.split("-")[0]):
        raise WheelError(f"'{wheel}' isn't a wheel of {_normal(wheel.name.split('-')[0])}: choose another file.")
    for need in needs:
        if "@" in need.split(";")[0]:
            raise WheelError(
                f"'{wheel}' takes {need.split('@')[0].strip()[:60]!r} from an address of its own: refused."
            )


def _normal(name: str) -> str:
    """A package's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _sums(folder: Path) -> dict[str, str] | None:
    """The list in a folder, None if there is none; its name is known in any case, with .txt too."""
    try:
        names = [name for name in os.listdir(folder) if name.upper() in (SUMS, f"{SUMS}.TXT")]
    except OSError as error:
        raise WheelError(f"The folder '{folder}' can't be read: {error.strerror or error}.") from error
    if not names:
        return None
    found: dict[str, str] = {}
    for name in names:
        for listed, digest in _read_list(folder / name):
            if found.setdefault(listed, digest) != digest:
                raise WheelError(f"'{folder / name}' lists '{listed}' with two sums: get the right list.")
    return found


def _read_list(path: Path) -> Iterator[tuple[str, str]]:
    with _regular(path) as file:
        content = b"".join(_pieces(file, path, _LARGEST_LIST + 1))
    if len(content) > _LARGEST_LIST:
        raise WheelError(f"'{path}' is too large for a list of sums: get the right one.")
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise WheelError(f"'{path}' isn't a text in UTF-8: get it again.") from error
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.rstrip())
        if match is None:
            raise WheelError(f"Line {number} of '{path}' isn't a SHA-256 sum and a name: get the list again.")
        name, digest = match["name"] or match["name2"], match["sum"] or match["sum2"]
        yield name[2:] if name.startswith("./") else name, digest.lower()


def _regular(path: Path) -> IO[bytes]:
    """Open a file; a pipe or a device isn't waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return open(descriptor, "rb")
        os.close(descriptor)
    except OSError as error:
        raise WheelError(f"'{path}' can't be read: {error.strerror or error}.") from error
    raise WheelError(f"'{path}' isn't a file: get it again.")


def _pieces(file: IO[bytes], path: Path, most: int | None = None) -> Iterator[bytes]:
    """All of a file piece by piece, or as much as `most` bytes of it."""
    left = most
    while left is None or left > 0:
        try:
            piece = file.read(_PIECE if left is None else min(left, _PIECE))
        except OSError as error:
            raise WheelError(f"'{path}' can't be read: {error.strerror or error}.") from error
        if not piece:
            return
        left = None if left is None else left - len(piece)
        yield piece
