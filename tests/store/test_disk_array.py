from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lposs_geo.errors import OutputError
from lposs_geo.store.disk_array import ChunkedArray
from lposs_geo.store.journal import Journal, open_journal


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


edges = st.lists(st.integers(0, 24), min_size=2, max_size=6, unique=True).map(sorted)


def _chunked(journal: Journal, rows: list[int], cols: list[int], trailing: tuple[int, ...], fill: int) -> ChunkedArray:
    return ChunkedArray(journal, "scores", rows, cols, np.int16, trailing, fill)


@settings(max_examples=60)
@given(rows=edges, cols=edges, trailing=st.sampled_from([(), (3,), (2, 0)]), fill=st.integers(-5, 5), data=st.data())
def test_a_window_of_chunks_is_that_of_the_plain_array(rows, cols, trailing, fill, data):
    plain = np.full((rows[-1], cols[-1], *trailing), fill, np.int16)
    with tempfile.TemporaryDirectory() as folder, open_journal(Path(folder)) as journal:
        chunked = _chunked(journal, rows, cols, trailing, fill)
        assert chunked.shape == plain.shape
        for row in range(len(rows) - 1):
            for col in range(len(cols) - 1):
                if data.draw(st.booleans(), label=f"chunk {row}, {col} is there"):
                    part = plain[rows[row] : rows[row + 1], cols[col] : cols[col + 1]]
                    part[:] = np.arange(part.size).reshape(part.shape) + 100 * row + 10 * col
                    journal.append(chunked.key(row, col), part)
        assert _same(chunked[:, :], plain)
        for _ in range(3):
            first_row, last_row = sorted(data.draw(st.tuples(st.integers(0, rows[-1]), st.integers(0, rows[-1]))))
            first_col, last_col = sorted(data.draw(st.tuples(st.integers(0, cols[-1]), st.integers(0, cols[-1]))))
            window = slice(first_row, last_row), slice(first_col, last_col)
            assert _same(chunked[window], plain[window])


def test_windows_are_counted_as_in_any_array_and_are_copies(tmp_path):
    plain = np.arange(30, dtype=np.int16).reshape(5, 6)
    with open_journal(tmp_path) as journal:
        chunked = _chunked(journal, [0, 5], [0, 6], (), 0)
        journal.append(chunked.key(0, 0), plain)
        assert (chunked[-2:, :100] == plain[-2:]).all()
        chunked[:, :][:] = 0
        assert (chunked[:, :] == plain).all()


@pytest.mark.parametrize("chunk", [np.zeros((5, 7), np.int16), np.zeros((5, 6, 1), np.int16), np.zeros((5, 6))])
def test_a_chunk_of_another_form_is_one_line_and_the_journal_is_made_again(tmp_path, chunk):
    with open_journal(tmp_path) as journal:
        chunked = _chunked(journal, [0, 5], [0, 6], (), 0)
        journal.append("before", np.zeros(3))
        journal.append(chunked.key(0, 0), chunk)
        with pytest.raises(
            OutputError, match=r"is damaged and was emptied \('scores/0/0' is .*: run it again"
        ) as caught:
            chunked[:2, :2]
        assert "\n" not in str(caught.value)
    with open_journal(tmp_path) as journal:
        assert len(journal) == 0
