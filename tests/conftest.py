"""Rasters made on the spot, the golden values, and tiny real models."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
from hypothesis import settings
from safetensors.torch import save_file

from lposs_geo.testing.rasters import write_chip, write_geotiff

# no timed tests: a busy machine is no failure
settings.register_profile("lposs-geo", deadline=None)
settings.load_profile("lposs-geo")

HERE = Path(__file__).parent


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
