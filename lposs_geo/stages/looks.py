"""An encoder's looks at a scene: at each zoom a lattice, and the rows and columns of crops on it that are wanted."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from rasterio.windows import Window

from lposs_geo.encoders.encoder import Encoder
from lposs_geo.tiling import Lattice, Steps, zoomed

__all__ = ["Look", "looks_at"]

SEGMENT = 256
"""Lattice columns of one chunk in the store."""

ARRAYS = ("vlm", "vm", "valid")
"""What a store holds of each look."""


@dataclass(frozen=True)
class Look:
    """A scene at one zoom and its lattice.

    Attributes
    ----------
    number : int
        Of the look, ascending with the zoom.
    zoom : float
        How much the scene is enlarged.
    lattice : Lattice
    row_edges : sequence of int
        Lattice rows where the rows of crops begin, and where the lattice ends.
    wanted : range
        The rows of crops that are wanted, as indices into `row_edges`.
    crop_cols : sequence of int
        Lattice columns where the wanted columns of crops begin.
    segment : int
        Lattice columns of one chunk in the store.
    is_last : bool
        Whether it is the finest look, whose VM features make the patch graph.
    """

    number: int
    zoom: float
    lattice: Lattice
    row_edges: Sequence[int]
    wanted: range
    crop_cols: Sequence[int]
    segment: int
    is_last: bool

    def finished_px(self, row: int) -> float:
        """Px rows of the scene that are complete when that row of crops is; infinite with the last."""
        if row + 1 == self.wanted.stop:
            return math.inf
        return self.row_edges[row + 1] * self.lattice.patch_size / self.zoom

    def done_key(self, row: int) -> str:
        """The store's key that says that a row of crops is encoded."""
        return f"{self.number}/done/{row}"

    def array_name(self, array: str) -> str:
        """The name in the store of one of its `ARRAYS`."""
        return f"{self.number}/{array}"

    def chunk_key(self, array: str, row: int, segment: int) -> str:
        """The store's key of a chunk of one of its `ARRAYS`."""
        return f"{self.array_name(array)}/{row}/{segment}"

    def chunk_of(self, key: str) -> tuple[int, int] | None:
        """The row and the segment of the chunk that has a key; None for keys that are none of this look's chunks."""
        match key.split("/"):
            case [number, array, row, segment] if number == str(self.number) and array in ARRAYS:
                return int(row), int(segment)
        return None


def looks_at(shape: tuple[int, int], encoder: Encoder, zoom: float = 1.0, window: Window | None = None) -> list[Look]:
    """The encoder's looks at a scene, ascending.

    Parameters
    ----------
    shape : (int, int)
        Rows and cols of the scene, px.
    encoder : Encoder
    zoom : float
        How much the scene is enlarged before all looks.
    window : Window, optional
        The part of the scene, px, whose patches are wanted; by default all.
    """
    made = []
    for number, scale in enumerate(encoder.scales):
        own = zoom * scale
        lattice = Lattice(
            zoomed(shape[0], own), zoomed(shape[1], own), encoder.patch_size, encoder.crop_size, encoder.stride
        )
        rows, cols = lattice.crop_rows(), lattice.crop_cols()
        wanted, wanted_cols = range(len(rows)), range(len(cols))
        if window is not None:
            patch_size, (crop_rows, crop_cols) = lattice.patch_size / own, lattice.crop_shape
            bottom, right = window.row_off + window.height, window.col_off + window.width
            wanted = _reaching(rows, crop_rows, window.row_off / patch_size, bottom / patch_size)
            wanted_cols = _reaching(cols, crop_cols, window.col_off / patch_size, right / patch_size)
        made.append(
            Look(
                number=number,
                zoom=own,
                lattice=lattice,
                row_edges=Steps(rows.regular, (*rows.tail, lattice.rows)),
                wanted=wanted,
                crop_cols=cols[wanted_cols.start : wanted_cols.stop],
                segment=SEGMENT,
                is_last=number + 1 == len(encoder.scales),
            )
        )
    return made


def _reaching(starts: Sequence[int], side: int, first: float, last: float) -> range:
    """Which crops cover a patch in [first, last), or one beside it, from which is interpolated."""
    return range(
        bisect_right(starts, math.floor(first) - 1 - side),
        bisect_left(starts, math.ceil(last) + 1),
    )
