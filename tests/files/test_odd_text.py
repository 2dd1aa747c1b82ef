from __future__ import annotations

import os
import shutil
import sys

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.files.odd_text import descriptions_of
from lposs_geo.scene.description import describe
from lposs_geo.scene.identity import identity
from lposs_geo.scene.reader import open_scene

ENVI = """ENVI
description = {Grün, aufgenommen über München}
samples = 30
lines = 20
bands = 3
header offset = 0
data type = 1
interleave = bsq
byte order = 0
map info = {UTM, 1, 1, 439196.4, 5273646.6, 0.6, 0.6, 32, North, WGS-84}
band names = {Rot, Grün (Blätter), Blau}
"""


@pytest.fixture
def array() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 255, (3, 20, 30)).astype("uint8")


def _read(path) -> np.ndarray:
    with open_scene(describe(path)) as reader:
        image, _ = reader.read(Window(0, 0, 30, 20))
    return np.rint(image * 255).astype("uint8")


def _in_latin_1(path) -> None:
    """Make text that was written as UTF-8 what an old program writes, of the same length."""
    text = path.read_bytes()
    assert "ü ".encode() in text
    path.write_bytes(text.replace("ü ".encode(), "ü  ".encode("latin-1")))


def test_band_names_of_a_header(array, tmp_path):
    (tmp_path / "a.dat").write_bytes(array.tobytes())
    (tmp_path / "a.hdr").write_text(ENVI, encoding="latin-1")
    with rasterio.open(tmp_path / "a.dat") as dataset:
        assert descriptions_of(dataset) == ("Rot", "Grün (Blätter)", "Blau")
    assert np.array_equal(_read(tmp_path / "a.dat"), array)


def test_band_names_and_tags_of_a_geotiff(array, write_raster):
    path = write_raster(array, descriptions=("first", "Grü n", None))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(TIFFTAG_ARTIST="Mü ller", owner="Grü n")
        dataset.update_tags(2, wavelength="ü ", note="Grü n")
        dataset.units = ("ü m", "", "")
    _in_latin_1(path)
    with rasterio.open(path) as dataset:
        assert [text and text.replace("  ", " ") for text in descriptions_of(dataset)] == ["first", "Grü n", None]
    assert np.array_equal(_read(path), array)


def test_the_name_of_a_coordinate_system(array, write_raster):
    own = rasterio.crs.CRS.from_epsg(31467).to_wkt().replace("DHDN / 3-degree Gauss-Kruger zone 3", "Krü ger")
    own = own.split(',AUTHORITY["EPSG","31467"]')[0] + "]"
    path = write_raster(array, crs=own, nodata=7)
    with rasterio.open(path) as dataset:
        assert "Krü ger" in dataset.crs.to_wkt()
    _in_latin_1(path)
    with pytest.raises(UnicodeDecodeError):
        rasterio.open(path)
    scene = describe(path)
    assert "Krü  ger" in scene.grid.crs.to_wkt()
    assert identity(scene)["crs"] == scene.grid.crs.to_wkt()
    assert str(path) in scene.files
    valid = (array != 7).any(axis=0)
    assert np.array_equal(_read(path)[:, valid], array[:, valid])


VRT = """<?xml version="1.0" encoding="ISO-8859-1"?>
<VRTDataset rasterXSize="30" rasterYSize="20"><SRS>EPSG:32632</SRS><GeoTransform>0,1,0,0,0,-1</GeoTransform>
{bands}</VRTDataset>"""

BAND = """<VRTRasterBand dataType="Byte" band="{band}"><Description>Grün</Description><SimpleSource>
<SourceFilename relativeToVRT="{relative}" shared="0">{name}</SourceFilename><SourceBand>{band}</SourceBand>
</SimpleSource></VRTRasterBand>
"""


def _vrt(path, name: str, relative: int = 1, encoding: str = "latin-1") -> None:
    bands = "".join(BAND.format(band=band, relative=relative, name=name) for band in (1, 2, 3))
    path.write_text(VRT.format(bands=bands), encoding=encoding)


@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are Unicode")
@pytest.mark.parametrize("on_disk", ["latin-1", "utf-8"])
def test_a_vrt_that_names_such_files(array, write_raster, tmp_path, on_disk):
    part = os.fsdecode("Zürich.tif".encode(on_disk))
    shutil.move(write_raster(array), tmp_path / part)
    _vrt(tmp_path / "a.vrt", "Zürich.tif")
    _vrt(tmp_path / "b.vrt", f"{tmp_path}/Zürich.tif", relative=0)
    _vrt(tmp_path / os.fsdecode("ü.vrt".encode("latin-1")), "Zürich.tif")
    _vrt(tmp_path / "nested.vrt", "ü.vrt")
    for name in ("a.vrt", "b.vrt", "nested.vrt"):
        scene = describe(tmp_path / name)
        assert np.array_equal(_read(tmp_path / name), array)
        assert str(tmp_path / part) in identity(scene)["files"]
    for name in ("b.vrt", "nested.vrt", os.fsdecode("ü.vrt".encode("latin-1"))):
        (tmp_path / name).unlink()
    assert describe(tmp_path).name == "a.vrt"  # of which the other file is a part


@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are Unicode")
def test_what_a_vrt_names_in_vain_is_no_hole(array, write_raster, tmp_path):
    _vrt(tmp_path / "a.vrt", "Zürich.tif")
    with pytest.raises(SceneError, match=r"a.vrt' refers to '.*Z\\xfcrich.tif', which isn't there"):
        describe(tmp_path / "a.vrt")
    part = write_raster(array)
    shutil.move(part, tmp_path / os.fsdecode(b"Z\xfcrich.tif"))
    assert np.array_equal(_read(tmp_path / "a.vrt"), array)
    whole = (tmp_path / os.fsdecode(b"Z\xfcrich.tif")).read_bytes()
    (tmp_path / os.fsdecode(b"Z\xfcrich.tif")).write_bytes(whole[:1000])
    with pytest.raises(SceneError, match=r"is damaged|can't be opened"):
        _read(tmp_path / "a.vrt")


@pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are Unicode")
def test_a_vrt_of_such_text_that_is_made_of_itself(tmp_path):
    for name in ("a.vrt", os.fsdecode("ü.vrt".encode("latin-1"))):
        _vrt(tmp_path / name, name.replace("\udcfc", "ü"))
        with pytest.raises(SceneError, match=r"\.vrt' "):
            describe(tmp_path / name)
