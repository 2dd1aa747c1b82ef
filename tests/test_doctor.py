from __future__ import annotations

from lposs_geo import doctor


def test_a_missing_package_and_a_locked_cache_are_found(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "PACKAGES", ("torch", "no-such-package"))
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setenv("LPOSS_GEO_CACHE", str(tmp_path))
    found = {topic: (finding, fit) for topic, finding, fit in doctor.examine()}
    assert found["torch"][1]
    assert found["no-such-package"] == ("missing: reinstall lposs-geo", False)
    assert found["cache"][1] is False
    assert "LPOSS_GEO_CACHE" in found["cache"][0]


def test_what_could_disturb_gdal_is_named(monkeypatch):
    monkeypatch.setenv("PROJ_DATA", "/somewhere")
    found = {topic: finding for topic, finding, _ in doctor.examine()}
    assert "PROJ_DATA" in found["environment"]
