from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from lposs_geo.errors import SceneError
from lposs_geo.scene.description import describe
from lposs_geo.scene.names import stem
from lposs_geo.scene.references import is_remote
from lposs_geo.scene.resolving import resolve
from lposs_geo.testing.rasters import noise
from lposs_geo.testing.scenes import picture_of


@pytest.mark.parametrize(
    ("named", "opened"),
    [
        ("https://example.org/a.tif", "/vsicurl/https://example.org/a.tif"),
        ("http://example.org/a.tif?key=1&b=2", "/vsicurl/http://example.org/a.tif?key=1&b=2"),
        (Path("https://example.org/a.tif"), "/vsicurl/https://example.org/a.tif"),  # a Path drops a slash
        ("https://me:secret@example.org/a.tif", "/vsicurl/https://me:secret@example.org/a.tif"),
        ("ftp://example.org/a.tif", "/vsicurl/ftp://example.org/a.tif"),
        ("s3://bucket/folder/a.tif", "/vsis3/bucket/folder/a.tif"),
        ("gs://bucket/a.tif", "/vsigs/bucket/a.tif"),
        ("az://container/a.tif", "/vsiaz/container/a.tif"),
        ("/vsis3/bucket/a.tif", "/vsis3/bucket/a.tif"),
    ],
)
def test_what_is_elsewhere_is_named_as_gdal_does(named, opened):
    source = resolve(named)
    assert source.opened == opened
    assert is_remote(source.opened)
    assert Path(source.path).name == "a.tif"
    assert not {"key", "secret"} & set(re.split(r"\W", source.path))  # messages don't tell them


@pytest.mark.parametrize("named", ["a.tif", "C:/a.tif", "NETCDF:a.nc:red", "/vsizip/a.zip/b.tif", "file:///a/b.tif"])
def test_other_names_are_left_as_they_are(named):
    source = resolve(named)
    assert (source.path, source.opened) == (named, named.removeprefix("file://"))
    assert not is_remote(source.opened)


@pytest.mark.parametrize("name", ["scene.tif.gz", "SCENE.TIF.GZ", "scene.gz"])
def test_a_gzipped_raster(write_raster, tmp_path, name):
    array = noise(300, 400)
    packed = tmp_path / name
    packed.write_bytes(gzip.compress(write_raster(array, "plain.tif").read_bytes()))
    scene = describe(packed)
    assert (scene.name, stem(packed).casefold()) == (name, "scene")
    assert str(packed) in scene.files
    assert np.array_equal(picture_of(packed)[0], array)
    assert {path.name for path in tmp_path.iterdir()} == {name, "plain.tif"}
    packed.write_bytes(packed.read_bytes()[:200_000])
    with pytest.raises(SceneError, match=f"'{packed}' (is damaged|can't be opened)"):
        picture_of(packed)


@pytest.mark.parametrize("named", ["", [""], ["", "a.tif"]])
def test_an_empty_name_is_no_folder(named):
    with pytest.raises(SceneError, match=r"^no scene is named$"):
        resolve(named)


def test_files_named_as_urls(write_raster, tmp_path):
    path = write_raster(noise(), "a b.tif")
    assert resolve(f"file://{tmp_path}/a%20b.tif").opened == str(path)
    assert describe(Path(f"file://{tmp_path}/a%20b.tif")).grid.width == 50
    write_raster(noise(), "c%20d.tif")
    assert resolve(f"file://{tmp_path}/c%20d.tif").opened == f"{tmp_path}/c%20d.tif"
