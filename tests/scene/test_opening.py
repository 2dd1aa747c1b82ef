from __future__ import annotations

import re

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import rasterio.vrt
import rasterio.warp
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.scene.description import describe
from lposs_geo.scene.identity import identity
from lposs_geo.scene.opening import Raster, open_raster, remote_options
from lposs_geo.scene.reader import open_scene
from lposs_geo.scene.references import is_remote
from lposs_geo.scene.resolving import resolve
from lposs_geo.testing.rasters import noise, write_part
from lposs_geo.testing.scenes import picture_of
from lposs_geo.testing.server import served


def test_files_that_are_no_rasters(tmp_path, write_raster):
    with pytest.raises(SceneError, match=r"no such file: .*none.tif"):
        describe(tmp_path / "none.tif")
    text = tmp_path / "notes.tif"
    text.write_text("not a raster")
    with pytest.raises(SceneError, match="can't be opened as a raster"):
        describe(text)
    with pytest.raises(SceneError, match="can't be opened as a raster"):
        describe(tmp_path)  # a folder that holds it


def test_a_container_with_several_rasters_names_them(write_raster, tmp_path):
    path = tmp_path / "two.gpkg"
    for table in ("FIRST", "SECOND"):
        rasterio.shutil.copy(write_raster(noise()), path, driver="GPKG", APPEND_SUBDATASET="YES", RASTER_TABLE=table)
    said = (
        f"'{path}' holds no raster of its own: name one of its subdatasets instead: GPKG:{path}:FIRST, "
        f"GPKG:{path}:SECOND"
    )
    with pytest.raises(SceneError, match=f"^{re.escape(said)}$"):
        describe(path)
    assert describe(f"GPKG:{path}:SECOND").grid.width == 50


def test_of_a_large_scene_elsewhere_only_what_is_needed_is_fetched(write_raster, tmp_path):
    small = np.random.default_rng(0).integers(1, 255, (3, 600, 600)).astype("uint8")
    path = write_raster(small.repeat(10, 1).repeat(10, 2), "plain.tif")
    rasterio.shutil.copy(path, tmp_path / "cog.tif", driver="COG", compress="jpeg", blocksize=256)
    size = (tmp_path / "cog.tif").stat().st_size
    assert size > 5e6
    with served(tmp_path) as (url, sent):
        scene = describe(f"{url}/cog.tif?key=secret")
        assert scene.name == "cog.tif"
        assert "secret" not in str(identity(scene))
        with open_scene(scene) as reader:
            image, valid = reader.read(Window(3000, 2000, 300, 300))
        assert sum(sent) < 0.15 * size
    assert valid.all()
    with rasterio.open(tmp_path / "cog.tif") as local:
        assert np.array_equal(np.rint(image * 255), local.read(window=Window(3000, 2000, 300, 300)))


def test_what_is_not_there_is_said_in_one_line(tmp_path):
    with served(tmp_path) as (url, _), pytest.raises(SceneError) as caught:
        describe(f"{url}/none.tif")
    assert str(caught.value) == f"'{url}/none.tif' can't be opened as a raster: HTTP response code: 404"


@pytest.mark.parametrize("named", ["x" * 5000, "s3://bucket/" + "x" * 5000, "a\0b"])
def test_names_that_no_file_can_have(named, monkeypatch):
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    monkeypatch.setenv("AWS_S3_ENDPOINT", "127.0.0.1:9")
    monkeypatch.setenv("AWS_HTTPS", "NO")
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    with pytest.raises(SceneError, match=r"no such file|can't be opened"):
        describe(named)


def test_a_server_without_ranges(write_raster, tmp_path):
    write_raster(noise(1000, 1000))
    with served(tmp_path, knows_ranges=False) as (url, _), pytest.raises(SceneError) as caught:
        describe(f"{url}/scene.tif")
    said = "can't be opened as a raster: its server sends no parts of files: download it first"
    assert str(caught.value) == f"'{url}/scene.tif' {said}"


def test_a_mask_beside_a_local_part_is_seen_though_another_part_is_elsewhere(tmp_path):
    local = write_part(tmp_path, "a.tif", noise(), 0, 0)
    with rasterio.open(local, "r+") as dataset:
        dataset.write_mask(np.tile(np.arange(50) < 20, (40, 1)))
    write_part(tmp_path / "web", "b.tif", noise(), 0, 50)
    with served(tmp_path / "web") as (url, _):
        valid = picture_of([local, f"{url}/b.tif"])[1]
    assert valid.all(axis=0).tolist() == [True] * 20 + [False] * 30 + [True] * 50


def test_a_header_beside_what_is_elsewhere_is_found(tmp_path):
    write_part(tmp_path, "a.bsq", noise(), 0, 0, driver="ENVI")
    with served(tmp_path) as (url, _), open_raster(resolve(f"{url}/a.bsq")) as dataset:
        assert dataset.shape == (40, 50)


@pytest.mark.parametrize(
    ("names", "probes"), [(["b.tif", "c.tif?key=1"], False), (["b.tif", "c.bsq"], True), (["b.tif", ""], True)]
)
def test_headers_and_masks_are_looked_for_where_parts_may_have_them(names, probes):
    opened = [f"/vsis3/x/{name}" if name else "/data/a.tif" for name in names]
    vrt = "".join(f"<SourceFilename>{name}</SourceFilename>" for name in opened)
    options = remote_options(f"<VRTDataset>{vrt}</VRTDataset>")
    assert options["GDAL_DISABLE_READDIR_ON_OPEN"] == ("TRUE" if probes else "EMPTY_DIR")
    assert remote_options("/data/a.tif") == {}


def test_no_message_tells_a_key_or_a_password(tmp_path):
    for i in range(2):
        write_part(tmp_path, f"{i}.tif", noise(), 0, 50 * i)
    key = "?key=sesame&t=2020-01-01T00:00:00Z&sig=a'b:sesame"
    with served(tmp_path) as (url, _):
        scene = describe([f"{url}/{i}.tif{key}" for i in range(2)])
        (tmp_path / "1.tif").unlink()
        assert "sesame" not in scene.raster.path
        secret = url.replace("//", "//me:sesame@")
        for named in ([f"{url}/0.tif{key}", f"{url}/2.tif{key}"], f"/vsicurl/{secret}/3.tif", f"{secret}/3.tif{key}"):
            with pytest.raises(SceneError) as caught:
                describe(named)
            assert ".tif" in str(caught.value)
            assert "sesame" not in str(caught.value)
            assert "T00" not in str(caught.value)
    error = RuntimeError(f"/vsicurl/http://me:sesame@h/c.tif{key}: not there, '/vsicurl/http://h/d.tif?key=sesame'.")
    said = Raster("c.tif", "<VRTDataset/>", (f"/vsicurl/http://me:sesame@h/c.tif{key}",)).reason(error)
    assert said == "/vsicurl/http://h/c.tif: not there, '/vsicurl/http://h/d.tif'"
    assert resolve("/vsicurl?url=http%3A%2F%2Fh%2Fa.tif%3Fkey=sesame").path == "/vsicurl/http://h/a.tif"


@pytest.mark.parametrize("head", [403, 405, 501, 0])
def test_a_server_that_answers_no_question_for_headers_alone(write_raster, tmp_path, head):
    array = noise()
    write_raster(array)
    with served(tmp_path, head=head) as (url, _):
        for name in (f"{url}/scene.tif?X-Goog-Signature=secret&b=c%20d", [f"{url}/scene.tif"]):
            scene = describe(name)
            assert (scene.name, "secret" in str(identity(scene))) == ("scene.tif", False)
            assert np.array_equal(picture_of(name)[0], array)
        with pytest.raises(SceneError, match=r"none.tif' can't be opened as a raster"):
            describe(f"{url}/none.tif?key=secret")


def test_mosaics_and_vrts_of_a_server_that_answers_no_question_for_headers_alone(tmp_path):
    whole = noise(40, 100)
    for name, col in (("a.tif", 0), ("b.tif", 50)):
        write_part(tmp_path, name, whole[:, :, col : col + 50], 0, col)
    with served(tmp_path, head=403) as (url, _):
        image, valid = picture_of([f"{url}/a.tif?key=1", f"{url}/b.tif?key=2"])
    assert valid.all()
    assert np.array_equal(image, whole)


TILES = """<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1:9/${z}/${x}/${y}.png</ServerUrl></Service>
<DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>100</UpperLeftY><LowerRightX>100</LowerRightX>
<LowerRightY>0</LowerRightY><TileLevel>0</TileLevel><TileCountX>1</TileCountX><TileCountY>1</TileCountY></DataWindow>
<Projection>EPSG:3857</Projection><BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY><BandsCount>3</BandsCount>
</GDAL_WMS>"""


VRT_OF_TILES = """<VRTDataset rasterXSize="256" rasterYSize="256"><SRS>EPSG:3857</SRS>
<GeoTransform>0,1,0,100,0,-1</GeoTransform><VRTRasterBand dataType="Byte" band="1"><SimpleSource>
<SourceFilename relativeToVRT="1">tiles.xml</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"""


@pytest.mark.parametrize("name", ["tiles.xml", "tiles", "tiles.vrt", TILES])
def test_a_tile_server_that_is_away_is_no_damage(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    for file, text in (("tiles.xml", TILES), ("tiles", TILES), ("tiles.vrt", VRT_OF_TILES)):
        (tmp_path / file).write_text(text)
    assert is_remote(name)
    with pytest.raises(SceneError, match=r"can't be read near row 0.*: try again$"):
        describe(name)
