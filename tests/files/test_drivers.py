from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lposs_geo.errors import OutputError
from lposs_geo.files import drivers
from lposs_geo.files.drivers import check_raster_drivers, check_vector_driver


def _lposs_geo(tmp_path, skipped: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "lposs_geo", *arguments]
    environment = os.environ | {"GDAL_SKIP": skipped}
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".geojson", ".parquet"])
def test_all_that_can_be_asked_for_can_be_written(suffix):
    check_raster_drivers(Path("m.tif"))
    check_vector_driver(Path(f"m{suffix}"))


@pytest.mark.parametrize(
    ("skipped", "arguments", "said"),
    [
        (
            "COG",
            ["map", "scene.tif", "--classes", "a,b", "-o", "m.tif"],
            "'m.tif' can't be written: this GDAL has no driver COG (GDAL_SKIP",
        ),
        (
            "GPKG",
            ["vectorize", "scene.tif", "m.gpkg"],
            "'m.gpkg' can't be written: this GDAL has no driver GPKG",
        ),
        ("GeoJSON", ["vectorize", "scene.tif", "m.geojson"], "take .gpkg or .fgb or .parquet, or reinstall"),
    ],
)
def test_a_driver_that_is_missing_is_said_before_the_work(write_raster, tmp_path, skipped, arguments, said):
    write_raster(np.tri(60, 80, dtype="uint8")[None] + 1)
    done = _lposs_geo(tmp_path, skipped, *arguments, "-q")
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_doctor_names_the_formats_that_cannot_be_written(tmp_path):
    done = _lposs_geo(tmp_path, "COG FlatGeobuf", "doctor")
    assert done.returncode == 1
    assert "BAD formats          can't write COG, FlatGeobuf: reinstall lposs-geo" in done.stdout
    assert "sets GDAL_SKIP" in done.stdout


def test_parquet_needs_pyarrow(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert drivers.missing_vector(".gpkg") is None
    with pytest.raises(OutputError, match=r"'m.parquet' can't be written: .*pyarrow.*: take .gpkg or .fgb or .geojson"):
        check_vector_driver(Path("m.parquet"))
