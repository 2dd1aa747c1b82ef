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
        What the user called the source that refers to it.

    Raises
    ------
    SceneError
        If it is refused.
    """
    place = on_disk(name)
    if place is None or place.is_file() or place.is_dir():
        return
    what = "a pipe" if place.is_fifo() else "a socket" if place.is_socket() else "a device"
    whose = "" if path is None else f", which '{path}' refers to,"
    raise SceneError(
        f"'{escaped(unlinked(name))}'{whose} is {what} and no file: save what comes from it in a file first"
    )


def check_files(path: str, opened: str) -> None:
    """Refuse a source that is a pipe or a device, or refers to one."""
    for name in leaves(opened):
        check_file(name, None if name == opened else path)


def is_remote(opened: str) -> bool:
    """Whether reading goes over the net, be it for a part of a mosaic or of a VRT on this machine."""
    return any(names_remote(name) for name in leaves(opened))


def leaves(opened: str, seen: set[str] | None = None) -> Iterator[str]:
    """The names that a source leads to, each once: its own, or those that a VRT is made of, and those of these."""
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
        place = on_disk(name)
        known = name if place is None else str(place.resolve())
        if known in above:
            by_way = "" if len(above) == 1 else f" by way of '{shown(above[-1])}'"
            raise SceneError(f"'{path}' refers to itself{by_way}: a VRT is made of other rasters")
        if len(above) > MOST_NESTED:
            raise SceneError(f"'{path}' is made of VRTs that are made of VRTs, more than {MOST_NESTED} deep: make one")
        if known not in sound:
            for inner in sources_of(name):
                follow(inner, (*above, known))
            sound.add(known)

    follow(opened, ())


def _vrt_text(opened: str) -> tuple[str, Path]:
    """The text of a VRT, itself or a file on this machine, and the folder that it lies in; empty for others."""
    if opened.startswith("<"):
        return opened, Path()
    place = on_disk(opened.removeprefix("vrt://").partition("?")[0] if opened.startswith("vrt://") else opened)
    try:
        if place is None or not place.is_file():
            return "", Path()
        if place.suffix.casefold() != ".vrt":  # which GDAL doesn't ask for
            with place.open("rb") as file:
                if b"<VRTDataset" not in file.read(VRT_HEAD):
                    return "", Path()
        return place.read_text(encoding="utf-8", errors="surrogateescape"), place.parent
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
