from __future__ import annotations

import os
import re

import pytest
import rasterio
import rasterio.shutil
import rasterio.vrt
import rasterio.warp

from lposs_geo.errors import SceneError
from lposs_geo.polygons import vectorize as vectorizing
from lposs_geo.scene.description import describe
from lposs_geo.scene.folders import scenes_in
from lposs_geo.scene.references import is_remote
from lposs_geo.testing.rasters import coded, noise, write_part, write_vrt
from lposs_geo.testing.scenes import picture_of
from lposs_geo.testing.server import served


@pytest.mark.parametrize(
    ("names", "by_way"),
    [(["a.vrt"], ""), (["a.vrt", "b.vrt"], " by way of"), (["a.vrt", "b.tif", "c.vrt"], " by way of")],
)
def test_vrts_that_refer_to_themselves_are_refused(write_raster, tmp_path, names, by_way):
    write_raster(coded(3, "uint8"), "plain.tif")
    for name, following in zip(names, [*names[1:], names[0]], strict=True):
        text = write_vrt(tmp_path / "x.vrt", (30, 40), (tmp_path / "plain.tif", (0, 0))).read_text()
        (tmp_path / name).write_text(text.replace("plain.tif", following))
    for scene in (tmp_path / "a.vrt", [tmp_path / "a.vrt", tmp_path / "plain.tif"]):
        with pytest.raises(SceneError, match=rf"'{re.escape(str(tmp_path / 'a.vrt'))}' refers to itself{by_way}"):
            describe(scene)


def test_vrts_may_be_nested_but_not_without_end(write_raster, tmp_path):
    name = write_raster(coded(3, "uint8"), "plain.tif")
    for depth in range(40):
        name = write_vrt(tmp_path / f"{depth}.vrt", (30, 40), (name, (0, 0)), (name, (0, 0)))
    with pytest.raises(SceneError, match="made of VRTs that are made of VRTs, more than 32 deep"):
        describe(name)
    assert str(tmp_path / "plain.tif") in describe(tmp_path / "3.vrt").files


def test_what_is_remote(tmp_path):
    for name in (
        "/vsizip//vsicurl/http://h/a.zip/b.tif",
        "/vsitar/{/vsis3/b/a.tar}/b.tif",
        'NETCDF:"/vsigs/b/a.nc":red',
        "vrt:///vsicurl/http://h/a.tif?bands=1",
        "/vsicurl?url=http%3A%2F%2Fh%2Fa.tif",
        "/vsicurl_streaming/http://h/a.tif",
    ):
        assert is_remote(name)
    for name in ("/data/vsis3_cache/a.tif", "/data/vsis3/a.tif", "vsicurl/a.tif", str(tmp_path / "none.vrt")):
        assert not is_remote(name)


def test_a_vrt_of_what_is_elsewhere_is_remote(tmp_path):
    write_part(tmp_path / "web", "a.tif", noise(), 0, 0)
    with served(tmp_path / "web") as (url, _):
        rasterio.shutil.copy(f"/vsicurl/{url}/a.tif", tmp_path / "a.vrt", driver="VRT")
        rasterio.shutil.copy(tmp_path / "a.vrt", tmp_path / "outer.vrt", driver="VRT")
        for name in ("a.vrt", "outer.vrt"):
            assert is_remote(str(tmp_path / name))
            assert picture_of(tmp_path / name)[1].all()
    rasterio.shutil.copy(tmp_path / "web" / "a.tif", tmp_path / "local.vrt", driver="VRT")
    assert not is_remote(str(tmp_path / "local.vrt"))


VRT_OF_TILES = """<VRTDataset rasterXSize="256" rasterYSize="256"><SRS>EPSG:3857</SRS>
<GeoTransform>0,1,0,100,0,-1</GeoTransform><VRTRasterBand dataType="Byte" band="1"><SimpleSource>
<SourceFilename relativeToVRT="1">tiles.xml</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names there")
def test_pipes_and_devices_are_no_scenes(write_raster, tmp_path):
    pipe = tmp_path / "pipe.tif"
    os.mkfifo(pipe)
    good = write_raster(noise())
    for named in (pipe, f"file://{pipe}", [good, pipe]):
        with pytest.raises(SceneError, match=r"pipe.tif' is a pipe and no file: save what comes from it"):
            describe(named)
    with pytest.raises(SceneError, match=r"^'/dev/zero' is a device and no file"):
        describe("/dev/zero")
    (tmp_path / "a.vrt").write_text(VRT_OF_TILES.replace("tiles.xml", "pipe.tif"))
    with pytest.raises(SceneError, match=r"pipe.tif', which '.*a.vrt' refers to, is a pipe"):
        describe(tmp_path / "a.vrt")
    with pytest.raises(SceneError, match="is a pipe"):
        vectorizing.vectorize(pipe, tmp_path / "m.gpkg")
    with pytest.raises(SceneError, match="is a pipe"):
        vectorizing.vectorize(good, tmp_path / "m.gpkg", confidence=pipe)
    assert scenes_in(tmp_path) == [tmp_path / "a.vrt", good]
