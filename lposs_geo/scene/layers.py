"""The parts of a raster that make the picture: bands, and what says that a pixel is none."""

from __future__ import annotations

from dataclasses import dataclass

from lposs_geo.scene.frames import Region

__all__ = ["Layers"]


@dataclass(frozen=True)
class Layers:
    """Stored values that make the picture, and those among them that count.

    Attributes
    ----------
    bands : tuple of int
        Bands, from 1, taken as red, green and blue.
    alphas : tuple of int
        Bands that are 0 where a pixel is invalid.
    palette : bytes or None
        Where the one band holds indices: red, green, blue and alpha of each, from 0 on.
    frame_value : float or None
        A pixel that holds it in all bands is invalid, though the file doesn't say so.
    frame : Region or None
        Where: what hangs together with the scene's edge; None for everywhere.
    blur : float
        Of a scene that was compressed with loss: how far from the frame's value its pixels may be at its edge.
    hole_value : float or None
        Far outside of all other values: it is invalid everywhere.
    overviews : bool
        Whether the file's overviews show its pixels; where not, they are left out.
    """

    bands: tuple[int, int, int]
    alphas: tuple[int, ...] = ()
    palette: bytes | None = None
    frame_value: float | None = None
    frame: Region | None = None
    blur: float = 0.0
    hole_value: float | None = None
    overviews: bool = True
