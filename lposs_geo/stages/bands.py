"""All bands of a scene in the store, beside the features: per patch of the finest look mean and deviation of each.

What no encoder sees, as infrared, is kept in single precision, row by row. Chunks lie as those of the features do, and
what of them is missing or damaged is made by itself.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.scene.identity import check_unchanged
from lposs_geo.scene.reader import SceneReader, open_scene
from lposs_geo.stages.band_statistics import (
    normalised,
    num_features,
    patch_spans,
    patch_statistics,
    spectral_features,
)
from lposs_geo.stages.features import LatticeArray
from lposs_geo.stages.looks import Look
from lposs_geo.store.disk_array import ChunkedArray
from lposs_geo.store.journal import Journal
from lposs_geo.tiling import Steps

__all__ = [
    "are_bands_stored",
    "band_scale",
    "encode_bands",
    "lacking_band_rows",
    "missing_band_bytes",
    "normalised",
    "patch_statistics",
    "stored_bands",
]

BANDS = "bands"
"""The array in the store."""

MOST_VALUES = 1 << 24
"""Values of all bands, and as many as `WORKSPACE` more of each pixel, that are read at once."""

WORKSPACE = 8
"""Float32 of a pixel that it takes beside its bands' values to make statistics of them."""

MOST_STATISTICS = 1 << 22
"""Numbers of all patches and bands that are made at once."""

LEAST_SIDE = 16
"""Patches of a damaged part's side that isn't cut further to save what of it can be read."""

log = logging.getLogger("lposs_geo")


def encode_bands(
    reader: SceneReader,
    look: Look,
    journal: Journal,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Put mean and deviation of each band in each patch into a journal; what is in there already is left out.

    A part of the scene that can't be read is said and taken for empty; the next run on the same journal tries it again.
    Nothing is written that was read after the scene was changed.

    Parameters
    ----------
    reader : SceneReader
    look : Look
        The finest; only its wanted rows and columns are read.
    journal : Journal
    progress : callable, optional
        Is told after each row of chunks how many are done, and how many there are.

    Raises
    ------
    SceneChangedError
        If a file of the scene was changed since it was described.
    OutputError
        If the journal can't be written to.
    """
    numbers = [band.number for band in reader.scene.all_bands]
    journal.append(_numbers_key(look), np.array(numbers, np.int64))
    lacking = list(lacking_band_rows(look, journal))
    with _of_all_bands(reader) as whole:
        for done, row in enumerate(lacking, 1 + len(look.wanted) - len(lacking)):
            _encode_row(whole, look, journal, row)
            progress(done, len(look.wanted))


def _of_all_bands(reader: SceneReader) -> AbstractContextManager[SceneReader]:
    """The reader itself, or where it reads a copy, one of the original."""
    original = reader.scene.original
    return nullcontext(reader) if original is None else open_scene(original)


def _encode_row(reader: SceneReader, look: Look, journal: Journal, row: int) -> None:
    was_whole, is_whole = _done_key(look, row) in journal, True
    rows = range(look.row_edges[row], look.row_edges[row + 1])
    step = max(1, MOST_STATISTICS // (len(rows) * look.segment * 2 * len(reader.scene.all_bands)))
    segments = _segments(look)
    # of a row that was whole once, what is sound stays
    wanted = [number for number in segments if not (was_whole and look.chunk_key(BANDS, row, number) in journal)]
    for first in range(0, len(wanted), step):
        group = wanted[first : first + step]
        cols = range(_cols_of(look, group[0]).start, _cols_of(look, group[-1]).stop)
        damage = list[SceneError]()
        statistics = _statistics(reader, look, rows, cols, damage)
        check_unchanged(reader.scene)  # all that is written below was read before this
        if damage:
            log.warning("%s: taken for empty there", damage[-1])
            is_whole = False
        for number in group:
            own = _cols_of(look, number)
            chunk = statistics[:, own.start - cols.start : own.stop - cols.start]
            # what was whole once, and of which a part is damaged now, waits for a run that can read all of it
            if np.isfinite(chunk).any() and not (was_whole and damage):
                journal.append(look.chunk_key(BANDS, row, number), _in_segment(look, number, chunk))
    if is_whole:
        journal.append(_done_key(look, row), np.zeros(0))


def _statistics(
    reader: SceneReader, look: Look, rows: range, cols: range, damage: list[SceneError]
) -> NDArray[np.float32]:
    """Statistics (rows, cols, 2 * bands) of a part of the lattice; no numbers where nothing is valid, or damaged.

    It is read at once if memory allows; what can't be read is halved until little is lost.
    """
    grid, bands, side = reader.scene.grid, len(reader.scene.all_bands), look.lattice.patch_size / look.zoom
    down, across = patch_spans(rows, side, grid.height), patch_spans(cols, side, grid.width)
    window = Window(across.start, down.start, across.length, down.length)
    empty = np.full((len(rows), len(cols), 2 * bands), np.nan, np.float32)
    is_small = window.height * window.width * (bands + WORKSPACE) <= MOST_VALUES
    if is_small or (len(rows) == len(cols) == 1):
        try:
            if not reader.may_hold_data(window):
                return empty
            statistics, valid = patch_statistics(*reader.read_bands(window), down, across)
        except SceneError as error:
            if max(len(rows), len(cols)) <= LEAST_SIDE:
                damage.append(error)
                return empty
        else:
            statistics[~valid] = np.nan
            return statistics
    axis = _longer_axis(reader, window, rows, cols) if not is_small else int(len(cols) > len(rows))
    halves = _halves(rows if axis == 0 else cols)
    parts = [(half, cols) if axis == 0 else (rows, half) for half in halves]
    return np.concatenate([_statistics(reader, look, *part, damage) for part in parts], axis=axis)


def _longer_axis(reader: SceneReader, window: Window, rows: range, cols: range) -> int:
    """The axis along which more of the file's blocks lie: cut across it, each of them is decoded least often."""
    if 1 in (len(rows), len(cols)):
        return int(len(rows) == 1)
    height, width = reader.block_shape
    return int(window.width / width > window.height / height)


def _halves(patches: range) -> tuple[range, range]:
    middle = (patches.start + patches.stop) // 2
    return range(patches.start, middle), range(middle, patches.stop)


def _in_segment(look: Look, number: int, chunk: NDArray[np.float32]) -> NDArray[np.float32]:
    """A segment's wanted columns, with no numbers for those beside them that aren't wanted."""
    left, own = number * look.segment, _cols_of(look, number)
    whole = np.full((len(chunk), min(look.segment, look.lattice.cols - left), chunk.shape[-1]), np.nan, np.float32)
    whole[:, own.start - left : own.stop - left] = chunk
    return whole


def _wanted_cols(look: Look) -> range:
    """The lattice columns that a wanted crop covers."""
    if not look.crop_cols:
        return range(0)
    return range(look.crop_cols[0], look.crop_cols[-1] + look.lattice.crop_shape[1])


def _segments(look: Look) -> range:
    """The segments that hold a wanted column."""
    cols = _wanted_cols(look)
    return range(cols.start // look.segment, -(-cols.stop // look.segment))


def _cols_of(look: Look, number: int) -> range:
    """The wanted columns of a segment."""
    cols = _wanted_cols(look)
    return range(max(cols.start, number * look.segment), min(cols.stop, (number + 1) * look.segment))


def _done_key(look: Look, row: int) -> str:
    return f"{look.number}/bands_done/{row}"


def _numbers_key(look: Look) -> str:
    """The key of the bands' numbers, by which their count is known."""
    return f"{look.number}/band_numbers"


def lacking_band_rows(look: Look, journal: Journal) -> Iterator[int]:
    """The rows of chunks that a journal lacks, or of which one is damaged, ascending."""
    prefix = f"{look.array_name(BANDS)}/"
    damaged = {int(key[len(prefix) :].split("/")[0]) for key in journal.damaged if key.startswith(prefix)}
    for row in look.wanted:
        if row in damaged or _done_key(look, row) not in journal:
            yield row


def are_bands_stored(look: Look, journal: Journal) -> bool:
    """True if `encode_bands` would find nothing left to do."""
    return _numbers_key(look) in journal and not any(True for _ in lacking_band_rows(look, journal))


def missing_band_bytes(look: Look, journal: Journal, bands: int) -> int:
    """Bytes of the chunks that `encode_bands` will put into a journal for so many bands, if every pixel is valid."""
    rows = sum(look.row_edges[row + 1] - look.row_edges[row] for row in lacking_band_rows(look, journal))
    cols = sum(min(look.segment, look.lattice.cols - number * look.segment) for number in _segments(look))
    return rows * cols * 2 * bands * np.dtype(np.float32).itemsize


def stored_bands(look: Look, journal: Journal) -> ChunkedArray:
    """What `encode_bands` has put into a journal: (rows, cols, 2 * bands) float32, on the disk.

    First the means, then the deviations; no numbers where nothing is valid, or a band has no value.
    """
    (bands,) = journal.read(_numbers_key(look)).shape
    cols = Steps(range(0, look.lattice.cols, look.segment), (look.lattice.cols,))
    return ChunkedArray(journal, look.array_name(BANDS), look.row_edges, cols, np.float32, (2 * bands,), fill=np.nan)


def band_scale(look: Look, journal: Journal, valid: LatticeArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each spectral feature over all valid patches that are wanted.

    They are kept in the journal, and made anew when the chunks or the patches are others.

    Parameters
    ----------
    look : Look
    journal : Journal
        All of `encode_bands` is in it.
    valid : (rows, cols) bool
        Patches that count, as of `features.stored_features`.

    Returns
    -------
    mean, std : (num_features(bands),) float64
        Of statistics and normalised differences, as `normalised` takes them; 0 where there are no numbers.

    Raises
    ------
    DamagedError
        If a chunk isn't what was written.
    """
    stored = stored_bands(look, journal)
    bands = stored.trailing[0] // 2
    blocks = list(_blocks(look))
    key = f"{look.number}/band_scale/{_digest(look, journal, valid, blocks)}"
    if key not in journal:
        statistics = _Moments.none(2 * bands)
        for _, window in blocks:
            statistics = statistics.with_more(stored[window][valid[window]])
        features = _Moments.none(num_features(bands))
        for _, window in blocks:
            features = features.with_more(spectral_features(stored[window][valid[window]], statistics.mean))
        journal.append(key, np.stack([features.mean, np.sqrt(features.variance)]))
    mean, std = journal.read(key)
    return mean, std


def _blocks(look: Look) -> Iterator[tuple[str, tuple[slice, slice]]]:
    """The wanted part of each chunk, with its key."""
    for row in look.wanted:
        for number in _segments(look):
            cols = _cols_of(look, number)
            rows = slice(look.row_edges[row], look.row_edges[row + 1])
            yield look.chunk_key(BANDS, row, number), (rows, slice(cols.start, cols.stop))


def _digest(
    look: Look, journal: Journal, valid: LatticeArray, blocks: Sequence[tuple[str, tuple[slice, slice]]]
) -> str:
    """A number that is another one when a chunk is, or other patches count."""
    digest = 0
    for key, window in blocks:
        chunk = f"{key} {journal.checksum(key)}" if key in journal else key
        digest = zlib.crc32(np.packbits(valid[window]).data, zlib.crc32(chunk.encode(), digest))
    return f"{digest:08x}"


@dataclass(frozen=True, eq=False)
class _Moments:
    """How many numbers there are of each feature, their mean, and the mean of their squared distances from it."""

    count: NDArray[np.float64]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]

    @classmethod
    def none(cls, features: int) -> _Moments:
        return cls(*np.zeros((3, features)))

    def with_more(self, numbers: NDArray[np.floating]) -> _Moments:
        """The same with those of more patches (patches, features); what is no number doesn't count."""
        is_number = np.isfinite(numbers)
        more = np.asarray(is_number.sum(axis=0), np.float64)
        wide = np.where(is_number, numbers, 0.0).astype(np.float64)
        mean = wide.sum(axis=0) / more.clip(1.0)
        squares = (np.where(is_number, wide - mean, 0.0) ** 2).sum(axis=0)
        count = self.count + more
        share, apart = more / count.clip(1.0), mean - self.mean
        variance = (1 - share) * self.variance + squares / count.clip(1.0) + share * (1 - share) * apart**2
        return _Moments(count, self.mean + share * apart, variance)
