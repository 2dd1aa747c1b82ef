from __future__ import annotations

import re
import tarfile
import zipfile

import numpy as np
import pytest

from lposs_geo.errors import SceneError
from lposs_geo.scene.description import describe
from lposs_geo.scene.resolving import resolve
from lposs_geo.testing.rasters import noise
from lposs_geo.testing.scenes import picture_of


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tgz"])
def test_an_archive_with_one_raster_is_that_raster(write_raster, tmp_path, suffix):
    array = noise()
    path, archive = write_raster(array), tmp_path / f"archive.{suffix}"
    (tmp_path / "readme.txt").write_text("not a raster")
    names = {path: "data/scene.tif", tmp_path / "readme.txt": "readme.txt"}
    if suffix == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for file, name in names.items():
                packed.write(file, name)
    else:
        with tarfile.open(archive, "w" if suffix == "tar" else "w:gz") as packed:
            for file, name in names.items():
                packed.add(file, name)
    assert np.array_equal(picture_of(archive)[0], array)
    assert describe(archive).name == archive.name
    assert str(archive) in describe(archive).files


TAR_FORMATS = {"gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


@pytest.mark.parametrize("suffix", ["zip", "tar", "tgz"])
@pytest.mark.parametrize(
    "name",
    ["./folder/scene.tif", "./scene.tif", "a/b/c/scene.tif", "Bäume/über.tif", "x" * 120 + "/scene.tif", "a\\b.tif"],
)
@pytest.mark.parametrize("kind", ["gnu", "pax"])
def test_names_in_archives(write_raster, tmp_path, suffix, name, kind):
    array = noise()
    path, archive = write_raster(array), tmp_path / f"archive.{suffix}"
    if suffix == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            packed.write(path, name)
            packed.write(path, f"__MACOSX/{name}")
    else:
        with tarfile.open(archive, "w:gz" if suffix == "tgz" else "w", format=TAR_FORMATS[kind]) as packed:
            packed.add(path, name)
            packed.add(path, "./._scene.tif")
    scene = describe(archive)
    assert np.array_equal(picture_of(archive)[0], array)
    assert str(archive) in scene.files


def test_a_tar_of_names_that_are_no_utf_8(write_raster, tmp_path):
    array = noise()
    path, archive = write_raster(array), tmp_path / "archive.tar.gz"
    with tarfile.open(archive, "w:gz", format=tarfile.GNU_FORMAT, encoding="latin-1") as packed:
        packed.add(path, "./Bäume/über.tif")
        packed.add(path, "readme.txt")
    assert np.array_equal(picture_of(archive)[0], array)
    with tarfile.open(archive, "w:gz", format=tarfile.GNU_FORMAT, encoding="latin-1") as packed:
        packed.add(path, "ä.tif")
        packed.add(path, "ö.tif")
    with pytest.raises(SceneError, match=r"holds 2 rasters: name one of them instead: /vsisubfile/\d+_\d+,/vsigzip/"):
        describe(archive)


def test_archives_with_several_rasters_or_none_are_refused(write_raster, tmp_path):
    for name, inside in (("two.zip", ["b.tif", "a.tif"]), ("none.zip", ["notes.txt"])):
        with zipfile.ZipFile(tmp_path / name, "w") as packed:
            for file in inside:
                packed.write(write_raster(noise()), file)
    inside = f"/vsizip/{tmp_path}/two.zip"
    said = f"archive '{tmp_path}/two.zip' holds 2 rasters: name one of them instead: {inside}/a.tif, {inside}/b.tif"
    with pytest.raises(SceneError, match=f"^{re.escape(said)}$"):
        describe(tmp_path / "two.zip")
    assert describe(f"{inside}/a.tif").grid.width == 50
    with pytest.raises(SceneError, match=re.escape(f"archive '{tmp_path}/none.zip' holds no raster")):
        describe(tmp_path / "none.zip")


def test_damaged_archives_are_said_to_be_so(write_raster, tmp_path):
    path = write_raster(noise(3, 400, 400))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.write(path, "a.tif")
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(b"PK\x01\x02", b"XXXX"))
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as bundle:
        bundle.add(path, "a.tif")
    (tmp_path / "a.tgz").write_bytes((tmp_path / "a.tgz").read_bytes()[:100_000])
    for name in ("a.zip", "a.tgz"):
        said = f"archive '{tmp_path}/{name}' can't be read: "
        with pytest.raises(SceneError, match=f"^{re.escape(said)}.+: get another copy of it$"):
            describe(tmp_path / name)


def test_an_archive_of_a_scene_with_its_preview(write_raster, tmp_path):
    path = write_raster(noise())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.write(path, "./data/scene.tif")
        for name in ("__MACOSX/data/._scene.tif", "data/.scene.tif", "preview.jpg"):
            packed.writestr(name, b"something else")
    assert resolve(tmp_path / "a.zip").opened.endswith("scene.tif")
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as packed:
        packed.writestr("preview.jgw", b"1\n0\n0\n-1\n0\n0\n")
    with pytest.raises(SceneError, match="holds 2 rasters"):
        resolve(tmp_path / "a.zip")
