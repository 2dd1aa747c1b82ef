from __future__ import annotations

import os

import numpy as np
import pytest

from lposs_geo.polygons.growing_array import GrowingArray


@pytest.mark.parametrize("native", [True, False])
def test_an_array_on_the_disk_grows(tmp_path, monkeypatch, native):
    if not native:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    store = GrowingArray(tmp_path / "a", np.int16, 3)
    assert store.mapped(0).shape == (0, 3)
    first = store.mapped(2)
    first[:] = 7
    second = store.mapped(400_000)
    assert second[:2].tolist() == [[7] * 3] * 2
    assert not second[2:].any()
    assert (tmp_path / "a").stat().st_size == 400_000 * 6
    assert len(store.mapped(1)) == 1
