"""Rasters made on the spot, the golden values, and tiny real models."""

from __future__ import annotations

import functools
import http.server
import json
import re
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import rasterio
import timm
import torch
from affine import Affine
from hypothesis import settings
from safetensors.torch import save_file

# no timed tests: a busy machine is no failure
settings.register_profile("lposs-geo", deadline=None)
settings.load_profile("lposs-geo")

HERE = Path(__file__).parent
UTM = Affine(0.6, 0.0, 439136.4, 0.0, -0.6, 5273706.6)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The user's cache is none of the tests' business."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LPOSS_GEO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def golden() -> Callable[[str], Any]:
    return lambda name: np.load(HERE / "golden" / f"{name}.npz")


@pytest.fixture(scope="session")
def lakeside() -> Path:
    """The bundled scene: 16-bit, bands blue, green, red, infrared, no nodata."""
    return HERE.parent / "examples" / "lakeside.tif"


def write_geotiff(path: Path, array: np.ndarray, **options: Any) -> Path:
    """Write an array (bands, rows, cols) to a GeoTIFF, in UTM unless told otherwise."""
    profile = {
        "driver": "GTiff",
        "count": array.shape[0],
        "height": array.shape[1],
        "width": array.shape[2],
        "dtype": array.dtype,
        "crs": "EPSG:32632",
        "transform": UTM,
    }
    colours = options.pop("colorinterp", None)
    descriptions = options.pop("descriptions", None)
    with rasterio.open(path, "w", **(profile | options)) as dataset:
        dataset.write(array)
        if colours:
            dataset.colorinterp = colours
        if descriptions:
            dataset.descriptions = descriptions
    return path


def write_vrt(path: Path, shape: tuple[int, int], *sources: tuple[Path, tuple[int, int]], facts: str = "") -> Path:
    """A VRT of three bands of (rows, cols) px in UTM; each source of 8 bits has its upper left corner at (row, col)."""
    bands = []
    for band, colour in enumerate(("Red", "Green", "Blue"), 1):
        parts = []
        for source, (row, col) in sources:
            with rasterio.open(source) as dataset:
                size = f'xSize="{dataset.width}" ySize="{dataset.height}"'
            parts.append(
                f'<SimpleSource><SourceFilename relativeToVRT="0">{source}</SourceFilename><SourceBand>{band}'
                f'</SourceBand><SrcRect xOff="0" yOff="0" {size}/><DstRect xOff="{col}" yOff="{row}" {size}/>'
                "</SimpleSource>"
            )
        facts_and_parts = f"{facts}<ColorInterp>{colour}</ColorInterp>{''.join(parts)}"
        bands.append(f'<VRTRasterBand dataType="Byte" band="{band}">{facts_and_parts}</VRTRasterBand>')
    numbers = ", ".join(map(repr, UTM.to_gdal()))
    path.write_text(
        f'<VRTDataset rasterXSize="{shape[1]}" rasterYSize="{shape[0]}"><SRS>EPSG:32632</SRS>'
        f"<GeoTransform>{numbers}</GeoTransform>{''.join(bands)}</VRTDataset>"
    )
    return path


def write_chip(path: Path, lakeside: Path) -> Path:
    """A piece of the bundled scene that maps in seconds: lake, trees and field; with a corner that holds no data."""
    with rasterio.open(lakeside) as dataset:
        array = dataset.read(window=rasterio.windows.Window(60, 250, 290, 250))
    array[:, :40, :60] = 0
    return write_geotiff(path, array, nodata=0)


def write_damaged(path: Path, lakeside: Path) -> Path:
    """4100 rows of the bundled scene's lake, of which the last one can't be read; a reduced read doesn't see that."""
    with rasterio.open(lakeside) as dataset:
        array = dataset.read([3, 2, 1], window=rasterio.windows.Window(0, 100, 80, 410))
    write_geotiff(path, np.tile(array, (1, 10, 1)), blockysize=1, interleave="pixel")
    with rasterio.open(path) as dataset:
        end = int(dataset.get_tag_item("BLOCK_OFFSET_0_4099", "TIFF", bidx=1))
    path.write_bytes(path.read_bytes()[:end])
    return path


class _Ranges(http.server.SimpleHTTPRequestHandler):
    """A file server that knows ranges, and counts the bytes it sends."""

    protocol_version = "HTTP/1.1"
    knows_ranges = True
    head: int | None = None
    sent: list[int]

    def do_GET(self) -> None:
        file = Path(self.translate_path(self.path.partition("?")[0]))
        if not file.is_file():
            self.send_error(404)
            return
        data, size = file.read_bytes(), file.stat().st_size
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")) if self.knows_ranges else None
        if wanted:
            first, last = int(wanted.group(1)), min(int(wanted.group(2)), size - 1)
            data = data[first : last + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        else:
            self.send_response(200)
        if self.knows_ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.sent.append(len(data))
            with suppress(BrokenPipeError, ConnectionResetError):  # who asked for a part has enough
                self.wfile.write(data)

    def do_HEAD(self) -> None:
        if self.head is None:
            self.do_GET()
        elif self.head:
            self.send_response(self.head)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:  # no answer at all
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path, *, knows_ranges: bool = True, head: int | None = None):
    """The folder's URL and what was sent so far; `head` is the answer to all questions for headers alone, 0 none."""
    sent: list[int] = []
    handler = type("Handler", (_Ranges,), {"sent": sent, "knows_ranges": knows_ranges, "head": head})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", sent
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def write_raster(tmp_path: Path) -> Callable[..., Path]:
    """`write_geotiff` into the test's own folder."""
    return lambda array, name="scene.tif", **options: write_geotiff(tmp_path / name, array, **options)


@pytest.fixture
def chip(lakeside: Path, tmp_path: Path) -> Path:
    """`write_chip` in the test's own folder."""
    return write_chip(tmp_path / "chip.tif", lakeside)


@pytest.fixture(scope="session")
def tiny_clip() -> open_clip.CLIP:
    """The golden file's CLIP: three blocks, weights by a written rule."""
    with np.load(HERE / "golden" / "maskclip.npz") as stored:
        clip = open_clip.CLIP(**json.loads(str(stored["config"]))).eval()
    for name, parameter in clip.named_parameters():
        noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(tuple(parameter.shape))
        weights = np.asarray(noise, dtype=np.float32) * np.float32(0.08)
        if name.endswith("weight") and parameter.ndim == 1:
            weights += 1
        parameter.data = torch.from_numpy(np.asarray(weights))
    return clip


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of two small architectures, as files of both kinds: clip.safetensors and vit.pth."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(1)
    clip = open_clip.create_model("ViT-S-32-alt")
    save_file({name: tensor.half() for name, tensor in clip.state_dict().items()}, folder / "clip.safetensors")
    vit = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    torch.save({"state_dict": vit.state_dict()}, folder / "vit.pth")
    return folder
