from __future__ import annotations

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
from affine import Affine

from lposs_geo.errors import SceneError
from lposs_geo.limits import advice_on_files, is_short_of_files, shortage
from lposs_geo.testing.rasters import UTM

resource = pytest.importorskip("resource")


def _limited(tmp_path, limits: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = f"import resource; {limits}; from lposs_geo import cli; cli.main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True)


def test_few_open_files_are_enough_for_a_mosaic_and_fewer_are_no_damage(write_raster, tmp_path):
    (tmp_path / "parts").mkdir()
    tile = np.random.default_rng(0).integers(1, 255, (3, 16, 16)).astype("uint8")
    for part in range(60):
        transform = UTM @ Affine.translation(16 * (part % 8), 16 * (part // 8))
        write_raster(tile, f"parts/{part}.tif", transform=transform)
    limit = "resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))"
    done = _limited(tmp_path, limit, "info", "parts")
    assert done.returncode == 0, done.stderr
    done = _limited(tmp_path, f"import os; os.environ['GDAL_MAX_DATASET_POOL_SIZE'] = '60'; {limit}", "info", "parts")
    assert done.returncode == 1
    assert "parts' can't be read near row 0, column 0" in done.stderr
    assert "Too many open files" in done.stderr
    assert "this process may have 48 files open: allow more, e.g. with ulimit -n 4096" in done.stderr


def test_the_soft_limit_of_open_files_is_raised():
    code = (
        "import resource; from lposs_geo.limits import open_files, raise_limits\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
        "raise_limits(); print(open_files())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert int(done.stdout) == (10_240 if hard == resource.RLIM_INFINITY else min(hard, 10_240))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems don't hold to such a limit")
@pytest.mark.parametrize("gigabytes", [1, 4])
def test_little_address_space_is_said_before_the_work(chip, tmp_path, gigabytes):
    limit = f"resource.setrlimit(resource.RLIMIT_AS, ({gigabytes} * 10**9,) * 2)"
    if gigabytes > 1:  # when all libraries are loaded, whatever their size is
        limit = (
            "import lposs_geo.mapping; size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize();"
            "resource.setrlimit(resource.RLIMIT_AS, (size + 10**9,) * 2)"
        )
    done = _limited(tmp_path, limit, "map", str(chip), "--classes", "water,forest", "-o", "m.tif")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert "GB of address space" in line
    assert "ulimit -v unlimited" in line
    assert {path.name for path in tmp_path.iterdir()} <= {"chip.tif", "cache"}


def test_too_many_open_files_are_told_from_other_errors():
    error = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    wrapped = SceneError("can't be opened")
    wrapped.__cause__ = RuntimeError(f"a.tif: {os.strerror(errno.EMFILE)}")
    assert is_short_of_files(error)
    assert is_short_of_files(wrapped)
    assert not is_short_of_files(SceneError("no such file"))
    assert shortage(error).startswith("too many files are open: this process may have ")
    assert shortage(ValueError("a defect")) is None
    assert advice_on_files(ValueError("a defect")) == ""
