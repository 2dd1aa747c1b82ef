from __future__ import annotations

import gc

import pytest
import rasterio
from rasterio.io import MemoryFile

from lposs_geo.errors import SceneError
from lposs_geo.scene.snapshots import Snapshot, is_in_memory, without_counts


def test_a_copy_lasts_as_long_as_its_owner(chip):
    with MemoryFile(chip.read_bytes()) as file:
        one, other = Snapshot(file.name), Snapshot(file.name)
    assert one.digest == other.digest
    assert one.opened != other.opened
    with rasterio.open(one.opened) as dataset, rasterio.open(chip) as original:
        assert (dataset.read() == original.read()).all()
    gone = one.opened
    del one
    gc.collect()
    with pytest.raises(rasterio.RasterioIOError):
        rasterio.open(gone)
    with rasterio.open(other.opened) as dataset:
        assert dataset.count == 4


def test_names_tell_the_content_alone(chip):
    with MemoryFile(chip.read_bytes()) as file:
        assert is_in_memory(file.name)
        assert is_in_memory(f"/vsizip{file.name}")
        one, other = Snapshot(file.name), Snapshot(file.name)
    assert without_counts(one.opened) == without_counts(other.opened) == f"/vsimem/{one.digest}/memory.tif"
    assert not is_in_memory(one.opened)
    assert not is_in_memory(str(chip))


def test_a_file_keeps_its_own_name(chip):
    with MemoryFile(chip.read_bytes(), filename="lake.tif") as file:
        assert Snapshot(file.name).path == "lake.tif"


def test_what_is_not_there():
    with pytest.raises(SceneError, match="a raster in memory can't be read"):
        Snapshot("/vsimem/nothing.tif")
