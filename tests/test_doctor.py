from __future__ import annotations

import subprocess
import sys

import pytest

from lposs_geo import doctor


def test_a_missing_package_and_a_locked_cache_are_found(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "PACKAGES", ("torch", "no-such-package"))
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setenv("LPOSS_GEO_CACHE", str(tmp_path))
    found = {check.topic: (check.finding, check.fit) for check in doctor.examine()}
    assert found["torch"][1]
    assert found["no-such-package"] == ("missing: reinstall lposs-geo", False)
    assert found["cache"][1] is False
    assert "LPOSS_GEO_CACHE" in found["cache"][0]


def test_what_could_disturb_gdal_is_named(monkeypatch):
    monkeypatch.setenv("PROJ_DATA", "/somewhere")
    found = {check.topic: check.finding for check in doctor.examine()}
    assert "PROJ_DATA" in found["environment"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other limits")
def test_what_the_system_allows_is_told(tmp_path):
    code = (
        "import resource; from lposs_geo.doctor import examine\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n"
        "resource.setrlimit(resource.RLIMIT_AS, (8 * 10**9, 8 * 10**9))\n"
        "print({check.topic: (check.finding, check.fit) for check in examine()})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "'open files': ('up to 40', False)" in done.stdout
    assert "'address space': ('up to 8.0 GB', True)" in done.stdout
