"""Names of files that aren't UTF-8, as old archives have them: rasterio opens none, so such a file gets a link."""

from __future__ import annotations

import atexit
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from lposs_geo.errors import SceneError, escaped

__all__ = ["forget_links", "is_plain", "linked", "plain", "unlinked"]


@dataclass
class _Links:
    """The links that this process has made.

    Attributes
    ----------
    folder : Path or None
        Where they lie.
    originals : dict of str to str
        What each of them leads to.
    """

    folder: Path | None = None
    originals: dict[str, str] = field(default_factory=dict)


_LINKS = _Links()


def is_plain(text: str) -> bool:
    """True for a name in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain(name: str) -> str:
    """A name for a new file that tells what the old one was called: odd bytes are like ``_xFC``."""
    return re.sub(r"[\ud800-\udfff]", lambda odd: f"_x{ord(odd[0]) & 0xFF:02X}", name)


def linked(path: str) -> str:
    """A name by which GDAL can open a file or folder: its own if it is UTF-8, else that of a link to it.

    Links lie in a temporary folder. What lies beside a file and begins with the same name, as sidecars do, is linked
    with it.

    Raises
    ------
    SceneError
        If no link can be made.
    """
    if is_plain(path):
        return path
    real = Path(path).absolute()
    known = next((link for link, original in _LINKS.originals.items() if original == str(real)), None)
    if known is not None:
        return known
    try:
        if is_plain(real.name):
            return str(Path(linked(str(real.parent))) / real.name)
        folder = _new_folder()
        for beside in real.parent.iterdir():
            if beside.name.startswith(real.stem):
                link = folder / plain(beside.name)
                link.symlink_to(beside)
                _LINKS.originals[str(link)] = str(beside)
    except OSError as error:
        raise SceneError(
            f"'{escaped(path)}' has a name that isn't UTF-8, and no link to it can be made in "
            f"'{tempfile.gettempdir()}' ({error.strerror or error})",
            hint="rename it",
        ) from error
    return str(folder / plain(real.name))


def _new_folder() -> Path:
    if _LINKS.folder is None:
        usual = tempfile.gettempdir()
        _LINKS.folder = Path(tempfile.mkdtemp(prefix="lposs-geo-names-", dir=usual if is_plain(usual) else "/tmp"))
        atexit.register(forget_links)
    return Path(tempfile.mkdtemp(prefix="", dir=_LINKS.folder))


def unlinked(text: str) -> str:
    """A text with the files' own names, which aren't UTF-8, in the place of our links."""
    if _LINKS.folder is not None and str(_LINKS.folder) in text:
        for link, original in sorted(_LINKS.originals.items(), reverse=True):  # longer ones first
            text = text.replace(link, original)
    return text


def forget_links() -> None:
    """Remove all links."""
    if _LINKS.folder is not None:
        shutil.rmtree(_LINKS.folder, ignore_errors=True)
    _LINKS.folder = None
    _LINKS.originals.clear()
