"""How large a map can be."""

from __future__ import annotations

from rasterio.windows import Window

from lposs_geo.errors import SceneError

__all__ = ["LONGEST_SIDE", "MOST_PIXELS", "check_size"]

LONGEST_SIDE = 10**8
"""Px of a side of what is mapped, half around the Earth at 20 cm: polygons need a few rows in memory."""

MOST_PIXELS = 2 * 10**13
"""Of what is mapped, 800,000 square km at 20 cm: GDAL holds an index of each file's blocks in memory."""

BLOCK_PIXELS, MOST_BLOCKS = 512**2, (2**31 - 1) // 8
"""Of a GeoTIFF, all bands together: GDAL writes no longer index."""


def check_size(area: Window, bands: int, path: str) -> None:
    """Refuse a map too large to be made.

    Parameters
    ----------
    area : Window
        What is to be mapped, px.
    bands : int
        Of the output that has the most.
    path : str
        What the scene is called.

    Raises
    ------
    SceneError
        If it is too large.
    """
    height, width = int(area.height), int(area.width)
    size = f"'{path}' is too large for one map: {height} rows and {width} cols"
    if max(height, width) > LONGEST_SIDE or height * width > MOST_PIXELS:
        most = f"a map has at most {LONGEST_SIDE:,} px a side and {MOST_PIXELS:,} in all"
        raise SceneError(f"{size}, and {most}: name an area of it (--aoi)")
    if height * width * bands > MOST_BLOCKS * BLOCK_PIXELS:
        raise SceneError(f"{size} of {bands} classes' scores: name an area of it (--aoi), or leave the scores out")
