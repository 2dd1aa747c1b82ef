"""Speed and memory of mapping on this machine, stage by stage."""

from __future__ import annotations

import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from lposs_geo import encoders, models
from lposs_geo.encoders.encoder import Encoder
from lposs_geo.lposs import BATCH_SIZE
from lposs_geo.mapping import Mapper
from lposs_geo.memory import DEFAULT
from lposs_geo.progress import Listener
from lposs_geo.scene.description import describe
from lposs_geo.stages.encode import GPU_BATCH

__all__ = ["CLASSES", "EncoderSpeed", "Report", "invented_scene", "measure", "peak_memory", "table"]

CLASSES = ("water", "forest", "crop field", "road", "building", "grass")

WARM_UP_PX = 256
"""Side of what is mapped beforehand, so that compiling and first allocations aren't counted."""

BATCHES = 4
"""Batches of crops encoded to measure the encoder alone."""


@dataclass(frozen=True)
class EncoderSpeed:
    """Speed of the encoder by itself, without reading and storing.

    Attributes
    ----------
    mpx_per_second : float
        Of the scene, all its looks and overlaps counted.
    flops : float
        Floating-point operations per second.
    matmul_flops : float
        Those of a large matrix product on this device, in the precision that it multiplies fastest in.
    """

    mpx_per_second: float
    flops: float
    matmul_flops: float


@dataclass(frozen=True)
class Report:
    """A measurement.

    Attributes
    ----------
    machine : dict of str to str
        What it was measured on.
    scene, model, device : str
    rows, cols, num_classes : int
    seconds : dict of str to float
        Time at work by stage.
    wall : float
        Seconds from the beginning to the end; stages overlap.
    peak, footprint : int or None
        Bytes of memory at most, and what was in use once the model had mapped a small part; None where the system
        doesn't tell.
    gpu_peak : int or None
        Bytes of GPU memory at most.
    encoder : EncoderSpeed
    """

    machine: dict[str, str]
    scene: str
    model: str
    device: str
    rows: int
    cols: int
    num_classes: int
    seconds: dict[str, float]
    wall: float
    peak: int | None
    footprint: int | None
    gpu_peak: int | None
    encoder: EncoderSpeed

    @property
    def mpx(self) -> float:
        return self.rows * self.cols / 1e6

    @property
    def encoder_share(self) -> float:
        """The encoder's part of all the time at work."""
        return self.seconds.get("encode", 0.0) / sum(self.seconds.values())


def measure(
    scene: str | Path,
    classes: Sequence[str] = CLASSES,
    *,
    model: str | models.Model | None = None,
    device: str = "auto",
    max_memory: int = DEFAULT,
    progress: Listener | None = None,
) -> Report:
    """Map a scene with polygons, from scratch, and tell what it took.

    Parameters
    ----------
    scene : str or Path
    classes : sequence of str
    model, device, max_memory, progress
        As for `map_scene`.

    Returns
    -------
    Report

    Raises
    ------
    LpossGeoError
        As `map_scene` does.
    """
    described = describe(scene)
    grid = described.grid
    chosen = models.choose(model)
    torch_device = encoders.choose_device(device)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        new = partial(Mapper.load, chosen, device=device, max_memory=max_memory, use_cache=False)
        mapper = new()
        small = invented_scene(Path(folder) / "invented.tif", WARM_UP_PX)
        mapper.map(small, list(classes), Path(folder) / "small.tif", vector=Path(folder) / "small.gpkg")
        footprint = peak_memory()
        if torch_device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(torch_device)
        began = time.perf_counter()
        mapper = new()  # loading counts
        vector = Path(folder) / "map.gpkg"
        result = mapper.map(scene, list(classes), Path(folder) / "map.tif", vector=vector, progress=progress)
        wall = time.perf_counter() - began
        peak = peak_memory()
        gpu_peak = torch.cuda.max_memory_allocated(torch_device) if torch_device.type == "cuda" else None
    encoder = mapper.encoder
    return Report(
        machine=machine_facts(torch_device),
        scene=described.name,
        model=result.model,
        device=result.device,
        rows=grid.height,
        cols=grid.width,
        num_classes=len(classes),
        seconds=result.seconds,
        wall=wall,
        peak=peak,
        footprint=footprint,
        gpu_peak=gpu_peak,
        encoder=_encoder_speed(encoder, encoder.zoom(grid.gsd)),
    )


def table(report: Report) -> str:
    """A report for people, in lines."""
    total = sum(report.seconds.values())
    lines = [
        f"{report.scene}: {report.rows} x {report.cols} px, {report.num_classes} classes, {report.model} on "
        f"{report.device}",
        ", ".join(f"{name} {value}" for name, value in report.machine.items()),
        f"{'stage':<12} {'seconds':>9} {'Mpx/s':>9} {'share':>7}",
    ]
    for stage, seconds in report.seconds.items():
        lines.append(f"{stage:<12} {seconds:>9.2f} {report.mpx / max(seconds, 1e-9):>9.2f} {seconds / total:>7.1%}")
    lines.append(f"{'wall':<12} {report.wall:>9.2f} {report.mpx / report.wall:>9.2f}")
    alone = report.encoder
    lines.append(
        f"encoder alone {alone.mpx_per_second:.2f} Mpx/s, {alone.flops / 1e12:.2f} TFLOP/s, "
        f"{alone.flops / alone.matmul_flops:.0%} of a matrix product's {alone.matmul_flops / 1e12:.2f}; "
        f"mapping runs at {report.mpx / report.wall / alone.mpx_per_second:.0%} of it"
    )
    for name, size in (("memory", report.peak), ("  of the model", report.footprint), ("GPU memory", report.gpu_peak)):
        if size is not None:
            lines.append(f"{name:<15} {size / 1e9:.2f} GB at most")
    return "\n".join(lines)


def peak_memory() -> int | None:
    """The most memory, bytes, that this process has had; None where the system doesn't tell."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def invented_scene(path: Path, side: int = 1000, seed: int = 0) -> Path:
    """Write a scene of smooth patches of land with some texture, 0.6 m per px: a GeoTIFF of three bands.

    Parameters
    ----------
    path : Path
    side : int
        Px.
    seed : int
    """
    rng = np.random.default_rng(seed)
    colours = np.array([[38, 62, 74], [44, 66, 38], [148, 132, 92], [96, 124, 60], [164, 160, 152], [176, 92, 76]])
    kinds = np.argmax([_smooth_noise(rng, side, 12) for _ in colours], axis=0)
    texture = 0.5 * _smooth_noise(rng, side, side // 4) + 0.5 * _smooth_noise(rng, side, side // 16)
    image = (colours[kinds].transpose(2, 0, 1) + 14 * texture).clip(1, 255).astype(np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=side, width=side, dtype="uint8", crs="EPSG:32632",
        transform=Affine(0.6, 0.0, 439136.4, 0.0, -0.6, 5273706.6), tiled=True, compress="deflate",
    ) as dataset:  # fmt: skip
        dataset.write(image)
    return path


def _smooth_noise(rng: np.random.Generator, side: int, cells: int) -> NDArray[np.float32]:
    """Noise (side, side) of unit deviation that changes over 1 / `cells` of the side."""
    coarse = torch.from_numpy(rng.standard_normal((1, 1, max(2, cells), max(2, cells)), dtype=np.float32))
    fine = torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic")[0, 0]
    return np.asarray(fine / fine.std())


@torch.inference_mode()
def _encoder_speed(encoder: Encoder, zoom: float) -> EncoderSpeed:
    count = BATCH_SIZE if encoder.device.type == "cpu" else GPU_BATCH
    crops = torch.rand(count, 3, encoder.crop_size, encoder.crop_size, device=encoder.device)
    with FlopCounterMode(display=False) as counter:
        encoder.patch_features(crops)
    seconds = _best_time(lambda: encoder.patch_features(crops), encoder.device)
    # what one crop brings of the scene, over all looks
    per_crop = 1 / sum((zoom * scale / encoder.stride) ** 2 for scale in encoder.scales) / 1e6
    fast = encoder.device.type == "cuda" or torch.cpu._is_amx_tile_supported()
    size = 8192 if encoder.device.type == "cuda" else 2048
    matrix = torch.rand(size, size, device=encoder.device, dtype=torch.bfloat16 if fast else torch.float32)
    matmul_seconds = _best_time(lambda: matrix @ matrix, encoder.device)
    return EncoderSpeed(count * per_crop / seconds, counter.get_total_flops() / seconds, 2 * size**3 / matmul_seconds)


def _best_time(work: Callable[[], object], device: torch.device) -> float:
    best = math.inf
    for _ in range(BATCHES):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - began)
    return best


def machine_facts(device: torch.device) -> dict[str, str]:
    facts = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "processors": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
    }
    if device.type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts | {name: version(name) for name in ("lposs-geo", "torch", "numba", "rasterio")}


def _processor() -> str:
    """The processor's own name; only Linux makes that hard."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
