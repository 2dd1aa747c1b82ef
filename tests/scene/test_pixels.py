from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import rasterio.vrt
import rasterio.warp
from rasterio._env import get_gdal_config
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.scene import pixels
from lposs_geo.scene.description import describe
from lposs_geo.scene.opening import REMOTE_OPTIONS
from lposs_geo.scene.reader import open_scene
from lposs_geo.testing.rasters import coded
from lposs_geo.testing.server import served

RED, GREEN, BLUE, ALPHA = ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha


def test_alpha_makes_invalid(write_raster):
    array = coded(4, "uint8")
    array[3] = 255
    array[3, :10] = 0
    scene = describe(write_raster(array, colorinterp=[RED, GREEN, BLUE, ALPHA]))
    with open_scene(scene) as reader:
        _, valid = reader.read(Window(0, 0, 40, 30))
        _, reduced = reader.overview(20)
    assert not valid[:10].any()
    assert valid[10:].all()
    assert reduced.shape == (15, 20)
    assert not reduced[:5].any()
    assert reduced[5:].all()


def test_alpha_makes_invalid_however_many_bands_there_are(write_raster):
    array = coded(5, "uint8")
    array[4] = 255
    array[4, :10] = 0
    undefined = ColorInterp.undefined
    scene = describe(write_raster(array, colorinterp=[RED, GREEN, BLUE, undefined, ALPHA]))
    with open_scene(scene) as reader:
        _, valid = reader.read(Window(0, 0, 40, 30))
    assert not valid[:10].any()
    assert valid[10:].all()


def test_nodata_in_one_chosen_band_is_no_brightness(write_raster):
    array = coded(4, "int16")
    array[0, :10] = -9999
    path = write_raster(array, nodata=-9999)
    scene = describe(path, bands=(1, 2, 3))
    assert min(scene.radiometry.low) >= 60
    with open_scene(scene) as reader:
        _, valid = reader.read(Window(0, 0, 40, 30))
    assert not valid[:10].any()
    assert valid[10:].all()
    with open_scene(describe(path, bands=(2, 3, 4))) as reader:  # what is missing in another band is no matter
        assert reader.read(Window(0, 0, 40, 30))[1].all()


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", 0), ("uint8", 255), ("uint16", 0)])
def test_what_may_be_a_colour_is_no_data_only_in_all_bands(write_raster, dtype, nodata):
    array = coded(3, dtype)
    array[0, :10] = nodata
    array[:, 10:20] = nodata
    with open_scene(describe(write_raster(array, nodata=nodata))) as reader:
        _, valid = reader.read(Window(0, 0, 40, 30))
    assert valid.all(axis=1).tolist() == [True] * 10 + [False] * 10 + [True] * 10


def test_no_float_beyond_reason_is_a_measurement(write_raster):
    array = coded(3, "float32")
    array[:, :10, 5:] = -3.4e38
    array[:, 20:, 5:] = 1e39 if array.dtype.itemsize > 4 else 2e38
    with open_scene(describe(write_raster(array))) as reader:
        assert np.array_equal(reader.read(Window(0, 0, 40, 30))[1], np.abs(array[0]) < 1e30)


def test_bands_of_several_types(write_raster, tmp_path):
    path = write_raster(coded(3, "uint16"))
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{band}"><SimpleSource><SourceFilename>{path}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band, kind in ((1, "UInt16"), (2, "Float32"), (3, "Byte"))
    )
    (tmp_path / "mixed.vrt").write_text(f'<VRTDataset rasterXSize="40" rasterYSize="30">{bands}</VRTDataset>')
    scene = describe(tmp_path / "mixed.vrt")
    assert scene.dtype == "float32"
    with open_scene(scene) as reader, open_scene(describe(path)) as plain:
        assert np.allclose(reader.read(Window(3, 4, 20, 10))[0], plain.read(Window(3, 4, 20, 10))[0], atol=1e-6)


def test_a_damaged_file_is_said_to_be_damaged(write_raster):
    path = write_raster(np.random.default_rng(0).integers(0, 255, (3, 400, 400)).astype("uint8"), compress="deflate")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data)
    with pytest.raises(SceneError, match=r"scene.tif.*(damaged|opened)"):
        scene = describe(path)
        with open_scene(scene) as reader:
            reader.read(Window(0, 0, 400, 400))


def _mosaic_of(folder: Path, write_raster, **options) -> tuple[Path, list[Path]]:
    """A VRT of two files side by side."""
    step = rasterio.Affine.translation(64, 0)
    place = rasterio.Affine(1, 0, 4e5, 0, -1, 5e6)
    paths = [
        write_raster(coded(3, "uint8", 64, 64), "a.tif", transform=place, **options),
        write_raster(coded(3, "uint8", 64, 64), "b.tif", transform=place @ step, **options),
    ]
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}">'
        + "".join(
            f'<SimpleSource><SourceFilename relativeToVRT="1">{path.name}</SourceFilename><SourceBand>{band}'
            '</SourceBand><SourceProperties RasterXSize="64" RasterYSize="64" DataType="Byte" BlockXSize="64" '
            'BlockYSize="64"/><SrcRect xOff="0" yOff="0" xSize="64" ySize="64"/>'
            f'<DstRect xOff="{64 * number}" yOff="0" xSize="64" ySize="64"/></SimpleSource>'
            for number, path in enumerate(paths)
        )
        + "</VRTRasterBand>"
        for band in (1, 2, 3)
    )
    (folder / "mosaic.vrt").write_text(
        '<VRTDataset rasterXSize="128" rasterYSize="64"><SRS>EPSG:32632</SRS><GeoTransform>4e5,1,0,5e6,0,-1'
        f"</GeoTransform>{bands}</VRTDataset>"
    )
    return folder / "mosaic.vrt", paths


@pytest.mark.parametrize("kind", ["vrt", "list"])
def test_a_missing_part_is_no_black_however_often_it_is_read(write_raster, tmp_path, kind):
    mosaic, paths = _mosaic_of(tmp_path, write_raster)
    scene = describe(mosaic if kind == "vrt" else paths)
    content = paths[1].read_bytes()
    with open_scene(scene) as other, open_scene(scene) as reader:
        before = reader.read(Window(0, 0, 60, 60))[0]
        paths[1].unlink()
        for _ in range(4):
            for one in (reader, other):
                with pytest.raises(SceneError, match="is damaged near row 0, column 70"):
                    one.read(Window(70, 0, 20, 20))
        assert np.array_equal(reader.read(Window(0, 0, 60, 60))[0], before)
        if kind == "vrt":
            with pytest.raises(SceneError, match=r"mosaic.vrt' refers to '.*b.tif', which isn't there"):
                describe(mosaic)
        paths[1].write_bytes(content)
        image, valid = reader.read(Window(64, 0, 60, 60))
    assert valid.all()
    assert np.array_equal(image, before)


def test_the_options_for_the_net_hold_in_a_readers_thread(write_raster, tmp_path, monkeypatch):
    write_raster(coded(3, "uint8"))
    seen = []

    def read(*given, load=pixels._load):
        seen.append(get_gdal_config("GDAL_HTTP_MAX_RETRY"))
        return load(*given)

    with served(tmp_path) as (url, _), open_scene(describe(f"{url}/scene.tif")) as reader:
        monkeypatch.setattr(pixels, "_load", read)
        thread = threading.Thread(target=reader.read, args=(Window(0, 0, 9, 9),))
        thread.start()
        thread.join()
    assert seen == [int(REMOTE_OPTIONS["GDAL_HTTP_MAX_RETRY"])]
