from __future__ import annotations

import errno
import functools
import os
import subprocess
import sys
from typing import NamedTuple

import numba
import numpy as np
import pytest
from numba.core.caching import IndexDataCacheFile

from lposs_geo.jit import _Cache, jit


class _Pair(NamedTuple):
    values: np.ndarray
    out: np.ndarray


@jit
def _doubled(pair: _Pair) -> None:
    for i in range(len(pair.values)):
        pair.out[i] = 2 * pair.values[i]


@functools.partial(jit, parallel=True)
def _doubled_on_all_cores(pair: _Pair, out: np.ndarray) -> None:
    values = pair.values
    for i in numba.prange(len(values)):
        out[i] = 2 * values[i]


@jit
def _ratio(a: float, b: float) -> float:
    return a / b


def test_a_compiled_loop_fills_a_bundle_in_place():
    pair = _Pair(np.arange(1000.0), np.zeros(1000))
    _doubled(pair)
    assert np.array_equal(pair.out, 2 * pair.values)


def test_a_loop_on_all_cores_reads_a_bundle_and_fills_an_argument():
    pair, out = _Pair(np.arange(1000.0), np.zeros(1)), np.zeros(1000)
    _doubled_on_all_cores(pair, out)
    assert np.array_equal(out, 2 * pair.values)


def test_division_is_that_of_numpy():
    assert _ratio(1.0, 0.0) == np.inf


PROGRAM = """
import sys
import numpy as np
sys.path.insert(0, {folder!r})
import loops
from bundles import {name}
bundle = {name}(low=np.zeros(3), high=np.ones(3))
loops.fill(bundle)
stats = loops.fill.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()), bundle.low[0], bundle.high[0])
"""

LOOPS = """
from lposs_geo.jit import jit
@jit
def fill(bundle):
    bundle.low[:] = 5
"""

BUNDLES = """
from typing import NamedTuple
import numpy as np
class {name}(NamedTuple):
    {first}: np.ndarray
    {second}: np.ndarray
"""


@pytest.fixture
def compile_in_a_process(tmp_path):
    """Fill a bundle in a process of its own: numbers of cache hits and misses, and what it holds afterwards."""
    (tmp_path / "loops.py").write_text(LOOPS)

    def run(name: str = "Bundle", fields: tuple[str, str] = ("low", "high")) -> list[str]:
        module = BUNDLES.format(name=name, first=fields[0], second=fields[1])
        path = tmp_path / "bundles.py"
        if not path.exists() or path.read_text() != module:
            path.write_text(module)
        program = [sys.executable, "-c", PROGRAM.format(folder=str(tmp_path), name=name)]
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        return subprocess.run(program, env=environment, capture_output=True, text=True, check=True).stdout.split()

    return run


def test_another_process_finds_what_was_compiled_for_a_bundle(compile_in_a_process):
    assert compile_in_a_process() == ["0", "1", "5.0", "1.0"]
    assert compile_in_a_process() == ["1", "0", "5.0", "1.0"]


def test_a_bundle_with_another_name_or_order_is_compiled_anew(compile_in_a_process):
    compile_in_a_process()
    assert compile_in_a_process("Renamed") == ["0", "1", "5.0", "1.0"]
    assert compile_in_a_process("Renamed", ("high", "low")) == ["0", "1", "5.0", "1.0"]
    assert compile_in_a_process("Renamed", ("high", "low")) == ["1", "0", "5.0", "1.0"]


def test_without_a_folder_for_the_cache_it_is_compiled_all_the_same(monkeypatch):
    monkeypatch.setattr(_Cache, "_impl_class", staticmethod(_refuse))
    assert jit(lambda number: number + 1)(2) == 3


def test_a_cache_that_cannot_be_written_to_is_left(monkeypatch):
    monkeypatch.setattr(IndexDataCacheFile, "_open_for_write", lambda *_: _full_disk())
    assert jit(_plus_two)(2) == 4


def _refuse(function):
    raise RuntimeError(f"cannot cache function {function}: no locator available")


def _full_disk():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _plus_two(number):
    return number + 2
