from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lposs_geo import network
from lposs_geo.testing.rasters import write_geotiff


@pytest.fixture
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """A port of this machine, and the first line of whatever came to it; everybody is told that there is nothing."""
    came: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def listen() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                came.append(connection.recv(500).partition(b"\r\n")[0])
                connection.sendall(b"HTTP/1.1 404 none\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    threading.Thread(target=listen, daemon=True).start()
    yield server.getsockname()[1], came
    server.close()


def _vrt(path: Path, source: str) -> str:
    path.write_text(
        '<VRTDataset rasterXSize="40" rasterYSize="40"><SRS>EPSG:32632</SRS><GeoTransform>0,1,0,0,0,-1</GeoTransform>'
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f'<SourceFilename relativeToVRT="0">{source}</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    return str(path)


def _scenes(folder: Path, port: int) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}"
    tiles = (
        f'<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service><DataWindow>'
        "<UpperLeftX>0</UpperLeftX><UpperLeftY>90</UpperLeftY><LowerRightX>90</LowerRightX><LowerRightY>0</LowerRightY>"
        "<TileLevel>0</TileLevel><TileCountX>1</TileCountX><TileCountY>1</TileCountY></DataWindow>"
        "<Projection>EPSG:32632</Projection><BandsCount>3</BandsCount></GDAL_WMS>"
    )
    (folder / "tiles.xml").write_text(tiles)
    (folder / "cached.mrf").write_text(
        f"<MRF_META><CachedSource><Source>{url}/x.tif</Source></CachedSource><Raster><Size x='10' y='10' c='1'/>"
        "<PageSize x='10' y='10' c='1'/></Raster></MRF_META>"
    )
    (folder / "item.json").write_text("{}")
    inner = _vrt(folder / "inner.vrt", f"/vsicurl/{url}/a.tif")
    (folder / "inner.xml").write_text(Path(inner).read_text())
    _vrt(folder / "netcdf.xml", f'NETCDF:"{url}/b.nc":v')
    return {
        "an URL": f"{url}/a.tif",
        "curl": f"/vsicurl/{url}/a.tif",
        "curl with a proxy of its own": f"/vsicurl?proxy={url}&url={url}/a.tif",
        "curl from first to last": f"/vsicurl_streaming/{url}/a.tif",
        "a VRT": inner,
        "a VRT's VRT": _vrt(folder / "outer.vrt", inner),
        "a VRT of another name": str(folder / "inner.xml"),
        "netCDF in a VRT of another name": str(folder / "netcdf.xml"),
        "a VRT of tiles": _vrt(folder / "of_tiles.vrt", str(folder / "tiles.xml")),
        "tiles": str(folder / "tiles.xml"),
        "tiles, spelt out": tiles,
        "a zip": f"/vsizip//vsicurl/{url}/a.zip/a.tif",
        "a packed file": f"/vsigzip//vsicurl/{url}/a.tif.gz",
        "a tar": f"/vsitar/vsicurl/{url}/a.tar/a.tif",
        "a bucket": "s3://bucket/a.tif",
        "GDAL's bucket": "/vsis3/bucket/a.tif",
        "a bucket of another": "/vsigs/bucket/a.tif",
        "a container": "/vsiaz/container/a.tif",
        "netCDF": f'NETCDF:"{url}/a.nc":v',
        "Zarr": f'ZARR:"/vsicurl/{url}/a.zarr"',
        "a service": f"WMTS:{url}/capabilities",
        "coverages": f"WCS:{url}/c?coverage=x",
        "STAC": f'STACIT:"{url}/item.json"',
        "a cache of another's": str(folder / "cached.mrf"),
    }


def _areas(folder: Path, port: int) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}"
    (folder / "area.vrt").write_text(
        f'<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>/vsicurl/{url}/a.geojson</SrcDataSource></OGRVRTLayer>'
        "</OGRVRTDataSource>"
    )
    return {
        "an URL": f"{url}/a.geojson",
        "curl": f"/vsicurl/{url}/a.gpkg",
        "GeoJSON": f"GeoJSON:{url}/a.geojson",
        "a zip": f"/vsizip//vsicurl/{url}/a.zip",
        "features": f"WFS:{url}/w",
        "a bucket": "/vsis3/bucket/a.geojson",
        "Parquet": f"{url}/a.parquet",
        "Parquet in a bucket": "s3://bucket/a.parquet",
        "another file": str(folder / "area.vrt"),
    }


_EACH = """
import contextlib, io, json, sys
from lposs_geo.cli import main
for arguments in json.load(sys.stdin):
    err = io.StringIO()
    try:
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
            main(arguments)
    except SystemExit as ended:
        print(json.dumps([ended.code, err.getvalue()]))
"""


def _each(commands: list[list[str]], port: int, folder: Path, **more: str) -> list[tuple[int, str]]:
    """Exit code and words of commands, one after the other in one process that finds every service at that port."""
    environment = os.environ | {
        "AWS_S3_ENDPOINT": f"127.0.0.1:{port}",
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "CPL_GS_ENDPOINT": f"http://127.0.0.1:{port}/",
        "GS_NO_SIGN_REQUEST": "YES",
        "AZURE_STORAGE_CONNECTION_STRING": "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=Zm9v;"
        f"BlobEndpoint=http://127.0.0.1:{port}/a",
        "GDAL_HTTP_MAX_RETRY": "0",
        "no_proxy": "127.0.0.1",
        "NO_PROXY": "127.0.0.1",
        "HF_ENDPOINT": f"http://127.0.0.1:{port}",
        "LPOSS_GEO_CACHE": str(folder / "cache"),
    }
    environment |= more
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _EACH],
        input=json.dumps(commands),
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return [(code, said) for code, said in map(json.loads, done.stdout.splitlines())]


@pytest.mark.parametrize("switch", ["--no-network", network.SWITCH])
def test_nothing_is_asked_of_the_net_whatever_a_scene_or_an_area_names(listener, tmp_path, switch):
    port, came = listener
    scene = write_geotiff(tmp_path / "s.tif", np.ones((3, 40, 40), np.uint8))
    option, set_so = (["--no-network"], {}) if switch == "--no-network" else ([], {switch: "1"})
    mapped = ["--classes", "a,b", "-o", "m.tif", "--no-cache", *option]
    scenes, areas = _scenes(tmp_path, port), _areas(tmp_path, port)
    commands = [["info", *option, "--", name] for name in scenes.values()]
    commands += [["map", str(scene), *mapped, "--aoi", name] for name in areas.values()]
    commands += [
        ["map", str(scene), *mapped, "--like", f"/vsicurl/http://127.0.0.1:{port}/m.tif"],
        ["vectorize", f"/vsicurl/http://127.0.0.1:{port}/m.tif", "m.gpkg", *option],
    ]
    names = [*scenes, *(f"area: {name}" for name in areas), "--like", "vectorize"]
    if not option:
        commands.append(["models", "pull", "timm:vit_tiny_patch16_224.augreg_in21k"])
        names.append("pull")
    ended = _each(commands, port, tmp_path, **set_so)
    assert came == []
    for name, (code, said) in zip(names, ended, strict=True):
        assert code in (1, 2), name
        assert said.count("Error: ") == 1, (name, said)
        assert "unexpected" not in said, name
        assert "Traceback" not in said, name
    said_of = dict(zip(names, (said for _, said in ended), strict=True))
    for name in ("curl", "a VRT", "a VRT's VRT", "a zip", "a bucket", "tiles, spelt out", "area: features", "--like"):
        assert "and this run keeps to this machine: download it first, or leave " in said_of[name], name
    assert not list(tmp_path.glob("m*"))


def test_what_lies_on_this_machine_is_read_as_ever_and_without_the_switch_the_net_is_asked(listener, tmp_path):
    port, came = listener
    scene = write_geotiff(tmp_path / "s.tif", np.ones((3, 40, 40), np.uint8))
    local = [["info", "--", str(scene)], ["info", "--", _vrt(tmp_path / "s.vrt", str(scene))]]
    assert [code for code, _ in _each(local, port, tmp_path, **{network.SWITCH: "yes"})] == [0, 0]
    asking = [["info", "--", name] for name in _scenes(tmp_path, port).values()]
    asking += [["map", str(scene), "--classes", "a,b", "-o", "m.tif", "--aoi", f"http://127.0.0.1:{port}/a.geojson"]]
    _each(asking, port, tmp_path, **{network.SWITCH: "0"})
    asked = b" ".join(came)
    for path in (
        b"/a.tif",
        b"/0/0/0.png",
        b"/a.zip",
        b"/a.nc",
        b"/b.nc",
        b"/item.json",
        b"/x.tif",
        b"/bucket",
        b"/a.geojson",
    ):
        assert path in asked, path


@pytest.mark.parametrize(
    "name", ["/data/s.tif", "C:/data/s.tif", "HDF5:/data/s.h5://band", 'NETCDF:"/d/s.nc":v', "a:b.tif"]
)
def test_names_of_this_machine_are_not_taken_for_the_net(name):
    assert not network.is_of_net(name)


@pytest.mark.parametrize("value", ["", "0", "no", "OFF", " false "])
def test_the_switch_may_be_off(monkeypatch, value):
    monkeypatch.setenv(network.SWITCH, value)
    assert not network.is_forbidden()
