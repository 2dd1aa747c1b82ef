"""How large a map can be, and whether the disks have room for what is going to be written."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rasterio.windows import Window

from lposs_geo.errors import OutputError, SceneError

__all__ = ["LONGEST_SIDE", "MOST_PIXELS", "Need", "check_room", "check_size", "has_room"]

LONGEST_SIDE = 10**8
"""Px of a side of what is mapped, half around the Earth at 20 cm: polygons need a few rows in memory."""

MOST_PIXELS = 2 * 10**13
"""Of what is mapped, 800,000 square km at 20 cm: GDAL holds an index of each file's blocks in memory."""

BLOCK_PIXELS, MOST_BLOCKS = 512**2, (2**31 - 1) // 8
"""Of a GeoTIFF, all bands together: GDAL writes no longer index."""


def check_size(area: Window, bands: int, path: str, hint: str = "name an area of it by <aoi>") -> None:
    """Refuse a map too large to be made.

    Parameters
    ----------
    area : Window
        What is to be mapped, px.
    bands : int
        Of the output that has the most.
    path : str
        What the scene is called.
    hint : str
        What to do about it.

    Raises
    ------
    SceneError
        If it is too large.
    """
    height, width = int(area.height), int(area.width)
    size = f"'{path}' is too large for one map: {height} rows and {width} cols"
    if max(height, width) > LONGEST_SIDE or height * width > MOST_PIXELS:
        most = f"a map has at most {LONGEST_SIDE:,} px a side and {MOST_PIXELS:,} in all"
        raise SceneError(f"{size}, and {most}", hint=hint)
    if height * width * bands > MOST_BLOCKS * BLOCK_PIXELS:
        raise SceneError(
            f"{size} of the probabilities of {bands} classes", hint=f"{hint}, or leave <probabilities> out"
        )


@dataclass(frozen=True)
class Need:
    """What is going to be written into a folder, by the words of a message, and how many bytes it takes at least."""

    folder: Path
    size: float
    what: str


def has_room(needs: Sequence[Need]) -> bool:
    """Whether all fits the disks that the folders lie on; true where that can't be said."""
    return _lacking(needs) is None


def check_room(needs: Sequence[Need], hint: str) -> None:
    """Refuse what the disks have no room for.

    Parameters
    ----------
    needs : sequence of Need
        What is on the disks at the same time.
    hint : str
        What to do about it.

    Raises
    ------
    OutputError
        If it doesn't fit.
    """
    lacking = _lacking(needs)
    if lacking is not None:
        folder, free, parts = lacking
        what = " and ".join(dict.fromkeys(need.what for need in parts))
        needed = _amount(sum(need.size for need in parts))
        raise OutputError(
            f"{what} will take {needed} at least, and the disk of '{folder}' has {_amount(free)} left", hint=hint
        )


def _lacking(needs: Sequence[Need]) -> tuple[Path, float, list[Need]] | None:
    """The first disk that is too small: a folder on it, the room that it has, and what is to be written there."""
    disks: dict[int, list[Need]] = {}
    for need in needs:
        if need.size > 0:
            try:
                disks.setdefault(need.folder.stat().st_dev, []).append(need)
            except OSError:  # said when it is written to
                continue
    for parts in disks.values():
        try:
            usage = shutil.disk_usage(parts[0].folder)
        except OSError:
            continue
        if usage.total and sum(need.size for need in parts) > usage.free:  # some file systems don't know their size
            return parts[0].folder, usage.free, parts
    return None


def _amount(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
