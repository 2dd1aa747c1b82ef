from __future__ import annotations

import os
import zipfile

import pytest
import rasterio
import rasterio.shutil
import rasterio.vrt
import rasterio.warp

from lposs_geo.errors import SceneChangedError
from lposs_geo.scene.description import describe
from lposs_geo.scene.identity import check_unchanged, identity
from lposs_geo.testing.rasters import coded
from lposs_geo.testing.server import served


def test_a_renewed_signature_is_no_other_scene(write_raster, tmp_path):
    write_raster(coded(3, "uint8"))
    with served(tmp_path) as (url, _):
        one, other = (identity(describe(f"{url}/scene.tif?key={key}")) for key in ("abc", "xyz"))
    assert one == other


def test_how_a_path_is_written_is_no_other_scene(write_raster, tmp_path, monkeypatch):
    path = write_raster(coded(3, "uint8"))
    monkeypatch.chdir(tmp_path)
    assert identity(describe("GTIFF_DIR:1:scene.tif")) == identity(describe(f"GTIFF_DIR:1:{path}"))
    assert identity(describe(".")) == identity(describe(tmp_path)) == identity(describe(path))


def test_a_changed_file_is_another_scene(write_raster, monkeypatch):
    path = write_raster(coded(3, "uint8"))
    before = identity(describe(path))
    assert identity(describe(path)) == before
    assert identity(describe(path, bands=(3, 2, 1))) != before
    monkeypatch.chdir(path.parent)
    assert identity(describe(path.name)) == before
    write_raster(coded(3, "uint8", rows=29))
    assert identity(describe(path)) != before


def _check_says(scene, said):
    with pytest.raises(SceneChangedError) as caught:
        check_unchanged(scene)
    assert str(caught.value) == f"{said} while it was being mapped: map it again"


def test_a_file_that_was_changed_after_the_scene_was_described_is_named(write_raster, tmp_path, monkeypatch):
    path = write_raster(coded(3, "uint8"))
    scene = describe(path)
    check_unchanged(scene)
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(0, scene.stamps[0].changed))
    check_unchanged(scene)
    os.utime(path, ns=(0, scene.stamps[0].changed + 1000))
    _check_says(scene, f"'{path}' was changed")
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(0, scene.stamps[0].changed))
    _check_says(scene, f"'{path}' was changed")
    scene = describe(path)
    monkeypatch.chdir(tmp_path)
    by_name = describe("scene.tif")
    monkeypatch.chdir("/")
    check_unchanged(by_name)
    path.rename(tmp_path / "elsewhere.tif")
    _check_says(scene, f"'{path}' was moved or removed")
    path.mkdir()
    _check_says(scene, f"'{path}' was changed")


def test_all_files_behind_a_scene_are_looked_after(write_raster, tmp_path):
    parts = [write_raster(coded(3, "uint8"), name) for name in ("a.tif", "b.tif")]
    rasterio.shutil.copy(parts[0], tmp_path / "c.vrt", driver="VRT")
    (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset></PAMDataset>")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(parts[0], "a.tif")
    for source, file in (
        (parts[0], "a.tif.aux.xml"),
        (parts, "b.tif"),
        (tmp_path / "c.vrt", "a.tif"),
        (tmp_path / "c.vrt", "c.vrt"),
        (f"GTIFF_DIR:1:{parts[1]}", "b.tif"),
        (tmp_path / "z.zip", "z.zip"),
    ):
        scene = describe(source)
        check_unchanged(scene)
        os.utime(tmp_path / file, ns=(7, 7))
        whose = "" if source == tmp_path / file else f", a file of '{scene.path}',"
        _check_says(scene, f"'{tmp_path / file}'{whose} was changed")
        os.utime(tmp_path / file)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_that_leads_to_another_file_is_a_change(write_raster, tmp_path):
    first, second = write_raster(coded(3, "uint8"), "1.tif"), write_raster(coded(3, "uint8", rows=29), "2.tif")
    latest = tmp_path / "latest.tif"
    latest.symlink_to(first)
    scene = describe(latest)
    assert identity(scene) | {"source": 0} == identity(describe(first)) | {"source": 0}
    check_unchanged(scene)
    latest.unlink()
    latest.symlink_to(second)
    _check_says(scene, f"'{latest}' was changed")
