"""The rasters that a raster refers to: the sources of a VRT, and theirs."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

from lposs_geo.errors import SceneError, escaped
from lposs_geo.files.odd_names import unlinked
from lposs_geo.scene.names import names_remote, on_disk, shown

__all__ = ["check_file", "check_files", "check_nesting", "is_remote", "leaves", "sources_of"]

MOST_NESTED = 32
"""VRTs made of VRTs."""

VRT_HEAD = 1024
"""Bytes at the beginning of a file that tell whether it is a VRT."""


def check_file(name: str, path: str | None = None) -> None:
    """Refuse a pipe or a device in the place of a file: who opens one waits for ever.

    Parameters
    ----------
    name : str
        Of a file, or anything else that GDAL opens.
    path : str, optional
        The user's name for the raster that refers to it.

    Raises
    ------
    SceneError
        If it is refused.
    """
    file = on_disk(name)
    if file is None or file.is_file() or file.is_dir():
        return
    what = "a pipe" if file.is_fifo() else "a socket" if file.is_socket() else "a device"
    whose = "" if path is None else f", which '{path}' refers to,"
    raise SceneError(
        f"'{escaped(unlinked(name))}'{whose} is {what} and no file", hint="save what comes from it in a file first"
    )


def check_files(path: str, opened: str) -> None:
    """Refuse a raster that is a pipe or a device, or refers to one."""
    for name in leaves(opened):
        check_file(name, None if name == opened else path)


def is_remote(opened: str) -> bool:
    """True if reading goes over the net, be it for a part of a mosaic or of a VRT on this machine."""
    return any(names_remote(name) for name in leaves(opened))


def leaves(opened: str, seen: set[str] | None = None) -> Iterator[str]:
    """Names that a raster leads to, each once: its own, or those that a VRT is made of, and those of these."""
    seen = set() if seen is None else seen
    if opened in seen:
        return
    seen.add(opened)
    inner = sources_of(opened) if opened.startswith("<") or opened.casefold().endswith(".vrt") else []
    if not inner:
        yield opened
    for name in inner:
        yield from leaves(name, seen)


def check_nesting(path: str, opened: str) -> None:
    """Refuse VRTs that refer to themselves, or to each other without end: GDAL may take hours to notice."""
    sound = set[str]()

    def follow(name: str, above: tuple[str, ...]) -> None:
        file = on_disk(name)
        known = name if file is None else str(file.resolve())
        if known in above:
            by_way = "" if len(above) == 1 else f" by way of '{shown(above[-1])}'"
            raise SceneError(f"'{path}' refers to itself{by_way}", hint="a VRT is made of other rasters")
        if len(above) > MOST_NESTED:
            raise SceneError(
                f"'{path}' is made of VRTs that are made of VRTs, more than {MOST_NESTED} deep",
                hint="make one of its rasters",
            )
        if known not in sound:
            for inner in sources_of(name):
                follow(inner, (*above, known))
            sound.add(known)

    follow(opened, ())


def _vrt_text(opened: str) -> tuple[str, Path]:
    """The text of a VRT, itself or a file on this machine, and the folder that it lies in; empty for others."""
    if opened.startswith("<"):
        return opened, Path()
    path = on_disk(opened.removeprefix("vrt://").partition("?")[0] if opened.startswith("vrt://") else opened)
    try:
        if path is None or not path.is_file():
            return "", Path()
        if path.suffix.casefold() != ".vrt":  # which GDAL doesn't ask for
            with path.open("rb") as file:
                if b"<VRTDataset" not in file.read(VRT_HEAD):
                    return "", Path()
        return path.read_text(encoding="utf-8", errors="surrogateescape"), path.parent
    except OSError:
        return "", Path()


def sources_of(opened: str) -> list[str]:
    """The names that a VRT, as text or a file on this machine, is made of; of another raster none."""
    vrt, folder = _vrt_text(opened)
    names = []
    for relative, name in re.findall(r"<Source(?:Filename|Dataset)([^>]*)>([^<]+)</Source", vrt):
        plain = html.unescape(name).strip()
        is_relative = re.search(r"""relativeToVRT\s*=\s*["']1""", relative) and not plain.startswith("<")
        names.append(str(folder / plain) if is_relative else plain)
    return names
