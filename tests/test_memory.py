from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lposs_geo.errors import ParameterError
from lposs_geo.memory import DEFAULT, LEAST, Budget, is_out_of_memory, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GB", 4_000_000_000),
        ("500 MB", 500_000_000),
        ("2e9", 2_000_000_000),
        ("1.5g", 1_500_000_000),
        (" 16 GiB ", 17_179_869_184),
        ("4gib", 4_294_967_296),
        ("1.5Ki", 1536),
        ("3T", 3_000_000_000_000),
        ("20kb", 20_000),
        ("123", 123),
        ("123 B", 123),
        (".5M", 500_000),
        ("0", 0),
    ],
)
def test_amounts_of_memory_as_people_write_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", " ", "GB", "-1GB", "4 G B", "4XB", "1.2.3GB", ".", "4GB8", "1,5GB", "e9", "4\u212a", "1e999", "nan"],
)
def test_what_is_no_amount_of_memory(text):
    with pytest.raises(ParameterError, match="is no amount of memory"):
        parse_size(text)


@given(st.text("0123456789.e-,+_ kKmMgGtTiB\u212a\u0664"))
def test_any_text_is_an_amount_or_is_refused(text):
    with contextlib.suppress(ParameterError):
        assert parse_size(text) >= 0


def test_a_budget_is_shared_out_and_has_a_least():
    assert Budget().total == DEFAULT
    for budget in (Budget(), Budget(LEAST), Budget(10**12)):
        assert 0 < budget.file_cache + budget.graph + budget.tile < budget.total
    for total in (LEAST - 1, 0, -5):
        with pytest.raises(ParameterError, match="too little memory: max_memory=500MB is the least"):
            Budget(total)


def test_running_out_of_memory_is_told_from_other_errors():
    with pytest.raises(RuntimeError) as in_torch:
        torch.empty(1 << 58)
    with pytest.raises(MemoryError) as in_numpy:
        np.empty(1 << 58)
    with pytest.raises(RuntimeError) as another:
        torch.ones(2) @ torch.ones(3)
    on_gpu = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
    assert all(map(is_out_of_memory, (in_torch.value, in_numpy.value, on_gpu, MemoryError())))
    others = another.value, ValueError("out of memory"), OSError(28, "No space left on device"), KeyboardInterrupt()
    assert not any(map(is_out_of_memory, others))
