from __future__ import annotations

import errno
import os
import shutil
import sqlite3

import numpy as np
import pyarrow as pa
import pytest
import rasterio
from pyarrow import parquet

from lposs_geo.errors import OutputError, SceneError
from lposs_geo.files.writing import failed_write, write_text, writing


def _raster(path):
    rasterio.open(path, "w", driver="GTiff", width=1, height=1, count=1, dtype="uint8").close()


def _parquet(path):
    parquet.write_table(pa.table({"a": np.arange(3)}), path)


def _database(path):
    sqlite3.connect(path).close()


@pytest.mark.parametrize("write", [_raster, _parquet, _database, lambda path: path.write_bytes(b"")])
def test_every_library_fails_in_the_same_words(tmp_path, write):
    path = tmp_path / "none" / "x.tif"
    with pytest.raises(OutputError, match=r"^can't write 'x\.tif': \S.*$") as caught, writing(path):
        write(path)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_the_reason_is_the_systems(tmp_path):
    with pytest.raises(OutputError) as caught:
        write_text(tmp_path / "none" / "a.html", "text")
    assert str(caught.value) == f"can't write 'a.html': {os.strerror(errno.ENOENT)}"


def test_gdal_gives_the_reason_behind_rasterios_error(tmp_path):
    dropped = rasterio.errors.RasterioIOError("Read failed. See previous exception for details.")
    dropped.__cause__ = ValueError("no\nroom")
    assert str(failed_write(tmp_path / "a.tif", dropped)) == "can't write 'a.tif': no room"


def test_what_is_written_may_have_other_words(tmp_path):
    with (
        pytest.raises(OutputError, match=r"^can't write into 'there': Is a directory$"),
        writing(tmp_path, "into 'there'"),
    ):
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(tmp_path))


def test_little_room_on_the_disk_is_told(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3_100_000))
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    expected = f"can't write 'x.tif': {os.strerror(errno.ENOSPC)} (only 3 MB are left on the disk)"
    assert str(failed_write(tmp_path / "x.tif", full)) == expected


@pytest.mark.parametrize(
    "error", [SceneError("damaged"), OutputError("another one"), MemoryError(), KeyboardInterrupt()]
)
def test_other_failures_stay_what_they_are(tmp_path, error):
    with pytest.raises(type(error)) as caught, writing(tmp_path / "x.tif"):
        raise error
    assert caught.value is error


def test_text_is_utf8_with_plain_line_ends(tmp_path):
    write_text(tmp_path / "a.txt", "Größe\n")
    assert (tmp_path / "a.txt").read_bytes() == "Größe\n".encode()
