"""The lattice features of a scene, and what of them a store holds.

Features don't know the classes: the words come later, and new words don't need new features. They lie in a journal on
the disk, in half precision, row of crops by row of crops.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lposs_geo.stages.looks import ARRAYS, Look
from lposs_geo.store.disk_array import ChunkedArray
from lposs_geo.store.journal import Journal
from lposs_geo.tiling import Lattice, Steps

__all__ = [
    "LatticeArray",
    "LatticeFeatures",
    "has_features",
    "is_encoded",
    "lacking_rows",
    "leave_out_damaged",
    "missing_bytes",
    "put_widths",
    "rows_to_do",
    "stored_features",
]

WIDTHS = "widths"
"""Key of the record that holds how many features the VLM and the VM give: the first of all."""


class LatticeArray(Protocol):
    """An array over the lattice, in memory or on the disk: (rows, cols, ...)."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, window: tuple[slice, slice], /) -> NDArray[Any]:
        """A window of it, in memory."""
        ...


@dataclass(frozen=True)
class LatticeFeatures:
    """Features of every patch of a scene, in half precision.

    Attributes
    ----------
    lattice : Lattice
        Of the scene seen at `zoom`.
    vlm : (rows, cols, D) float16
        VLM features, averages of unit vectors and so a little shorter; zero where not valid.
    vm : (rows, cols, E) float16
        VM features, likewise; only the last of several looks has them.
    valid : (rows, cols) bool
        Patches that hold a valid pixel.
    zoom : float
        How much the encoder saw the scene enlarged.
    """

    lattice: Lattice
    vlm: LatticeArray
    vm: LatticeArray
    valid: LatticeArray
    zoom: float = 1.0

    @property
    def patch_size(self) -> float:
        """Side of a patch, px of the scene."""
        return self.lattice.patch_size / self.zoom


def has_features(journal: Journal) -> bool:
    """Whether any crop has been encoded into a journal."""
    return WIDTHS in journal


def is_encoded(looks: Sequence[Look], journal: Journal) -> bool:
    """True if `encode_scene` would find nothing left to do."""
    return not any(True for look in looks for _ in lacking_rows(look, journal))


def missing_bytes(looks: Sequence[Look], journal: Journal, vlm_width: int) -> int:
    """Bytes that `encode_scene` will put into a journal, at least, if every pixel is valid.

    `vlm_width` is the number of the VLM's features; how many the VM has is known once some are there.
    """
    widths = journal.read(WIDTHS).tolist() if has_features(journal) else [vlm_width, 0]
    size = 0
    for look in looks:
        rows = sum(look.row_edges[row + 1] - look.row_edges[row] for row in lacking_rows(look, journal))
        if rows:
            cols = look.crop_cols[-1] + look.lattice.crop_shape[1] - look.crop_cols[0]
            size += rows * cols * (2 * (widths[0] + widths[1] * look.is_last) + 1)
    return size


def put_widths(journal: Journal, vlm_width: int, vm_width: int) -> None:
    """Note how many features the VLM and the VM give, which comes before all features."""
    journal.append(WIDTHS, np.array([vlm_width, vm_width], np.int64))


def stored_features(looks: Sequence[Look], journal: Journal) -> tuple[LatticeFeatures, ...]:
    """What `encode_scene` has put into a journal, one for each look, as arrays on the disk; a crop at least."""
    journal.expect(WIDTHS, (2,), np.int64)
    vlm_width, vm_width = journal.read(WIDTHS).tolist()

    def of(look: Look) -> LatticeFeatures:
        lattice = look.lattice
        cols = Steps(range(0, lattice.cols, look.segment), (lattice.cols,))
        vlm, vm, valid = (
            ChunkedArray(journal, look.array_name(name), look.row_edges, cols, dtype, trailing)
            for name, dtype, trailing in (
                ("vlm", np.float16, (vlm_width,)),
                ("vm", np.float16, (vm_width,)),
                ("valid", np.bool_, ()),
            )
        )
        return LatticeFeatures(lattice, vlm, vm, valid, look.zoom)

    return tuple(of(look) for look in looks)


def lacking_rows(look: Look, journal: Journal) -> Iterator[int]:
    """The rows of crops that a journal lacks, or of which a part is damaged, ascending."""
    damaged = {chunk[0] for key in journal.damaged if (chunk := look.chunk_of(key)) is not None}
    lacks_all = WIDTHS in journal.damaged
    for row in look.wanted:
        if lacks_all or row in damaged or look.done_key(row) not in journal:
            yield row


def leave_out_damaged(look: Look, journal: Journal) -> None:
    """Let all arrays lack a chunk of which one is damaged: a patch without features isn't valid."""
    for key in list(journal.damaged):
        chunk = look.chunk_of(key)
        if chunk is not None:
            for array in ARRAYS:
                journal.leave_out(look.chunk_key(array, *chunk))


def rows_to_do(look: Look, journal: Journal) -> Iterator[tuple[int, bool]]:
    """The rows of crops to encode, ascending, and whether the journal lacks them.

    Ahead of those come the rows that reach into them: what they add isn't in the journal.
    """
    following = look.wanted.start
    for row in lacking_rows(look, journal):
        reach = look.row_edges[row] - look.lattice.crop_shape[0]
        first = bisect_right(look.row_edges, reach, look.wanted.start, row)
        for before in range(max(first, following), row):
            yield before, False
        yield row, True
        following = row + 1
