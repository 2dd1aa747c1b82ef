"""Our polygons against `gdal_polygonize.py`: time and memory on one large map, in one run.

    python benchmarks/polygons.py [--side 10000] [--simplify 1.0] [--labels map.tif] [--keep folder]

The map is the bundled scene's, in copies mirrored and turned at random, bent by a smooth random displacement and
speckled, so that no two parts are alike. Both write a GeoPackage, each in a process of its own, start-up included; ours
also simplifies and measures every polygon. What numba compiles is compiled before. Memory is the most that a process
held, mapped files included. Needs GDAL's own programs (Debian: gdal-bin, python3-gdal).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.grid import Grid
from lposs_geo.polygons.coverage import SIMPLIFY_PX, polygon_batches
from lposs_geo.polygons.files import write_polygons
from lposs_geo.writers.rasters import read_label_legend

LAKESIDE = Path(__file__).parents[1] / "examples" / "lakeside.tif"
CLASSES = "water,forest,crop field,road,building"
ROUNDS = 2
BLOCK = 512
BENDS = ((200, 60.0), (40, 8.0), (8, 2.0))
"""Displacement of the copies: distance and size of its waves, px."""
SPECKLE = 0.001
"""Share of pixels that get a class at random."""


def smooth(rng: np.random.Generator, side: int, step: int) -> NDArray[np.float32]:
    """Coarse noise to interpolate: a node each `step` px."""
    return rng.standard_normal((side // step + 3, side // step + 3)).astype(np.float32)


def interpolated(noise: NDArray[np.float32], step: int, first: int, last: int, side: int) -> NDArray[np.float32]:
    """Some rows of a noise, bilinearly."""
    row, col = np.arange(first, last) / step, np.arange(side) / step
    top, left = row.astype(int), col.astype(int)
    down, right = (row - top)[:, None].astype(np.float32), (col - left).astype(np.float32)
    lines = noise[top] * (1 - down) + noise[top + 1] * down
    field: NDArray[np.float32] = lines[:, left] * (1 - right) + lines[:, left + 1] * right
    return field


def write_map(labels_file: Path, path: Path, side: int) -> None:
    """Write a large label raster made of a small one."""
    rng = np.random.default_rng(0)
    with rasterio.open(labels_file) as dataset:
        size = min(dataset.shape)
        labels = dataset.read(1, window=Window(0, 0, size, size))
        profile = dataset.profile | {"driver": "GTiff", "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK}
        tags = dataset.tags()
    profile |= {"width": side, "height": side, "compress": "deflate"}
    copies = np.stack([turned for k in range(4) for turned in (np.rot90(labels, k), np.rot90(labels, k).T)])
    values = np.unique(labels[labels != 255])
    reach = int(4 * sum(size for _, size in BENDS)) + 1
    kind = rng.integers(0, 8, ((side + 2 * reach) // size + 1,) * 2)
    waves = [[smooth(rng, side, step) * size for step, size in BENDS] for _ in range(2)]
    with rasterio.open(path, "w", **profile) as out:
        out.update_tags(**tags)
        for first in range(0, side, BLOCK):
            last = min(first + BLOCK, side)
            place = []
            for axis, start in ((0, np.arange(first, last)[:, None]), (1, np.arange(side)[None])):
                bend = sum(
                    interpolated(wave, step, first, last, side)
                    for wave, (step, _) in zip(waves[axis], BENDS, strict=True)
                )
                place.append((start + reach + bend).astype(int).clip(0, side + 2 * reach - 1))
            row, col = place
            part = copies[kind[row // size, col // size], row % size, col % size]
            speckled = rng.random(part.shape) < SPECKLE
            part[speckled] = rng.choice(values, int(speckled.sum()))
            out.write(part, 1, window=Window(0, first, side, last - first))


def ours(labels_file: Path, target: Path, simplify: float, min_area: float) -> None:
    """Vectorize a label raster."""
    with rasterio.open(labels_file) as dataset, tempfile.TemporaryDirectory(dir=target.parent) as folder:
        grid = Grid(dataset.height, dataset.width, dataset.crs, dataset.transform)

        def read(first: int, last: int) -> NDArray[np.uint8]:
            rows: NDArray[np.uint8] = dataset.read(1, window=Window(0, first, grid.width, last - first))
            return rows

        batches = polygon_batches(read, grid, Path(folder), simplify=simplify, min_area=min_area)
        write_polygons(batches, target, read_label_legend(labels_file), grid.crs)


def timed(command: list[str], env: dict[str, str]) -> tuple[float, int]:
    """Seconds, and the most bytes held, of a process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.perf_counter() - began, usage.ru_maxrss * 1024


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=10000)
    parser.add_argument("--simplify", type=float, default=SIMPLIFY_PX)
    parser.add_argument("--min-area", type=float, default=0.0)
    parser.add_argument("--labels", type=Path, help="a small map to make the large one of; else the bundled scene's")
    parser.add_argument("--keep", type=Path, help="folder in which the map and the polygons stay")
    parser.add_argument("--gdal", default="/usr/bin/gdal_polygonize.py")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    parser.add_argument("--ours", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ours:
        ours(*args.ours, args.simplify, args.min_area)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or Path(scratch)
        folder.mkdir(exist_ok=True)
        small = args.labels or folder / "small.tif"
        if not small.exists():
            mapping = [sys.executable, "-m", "lposs_geo", "map", LAKESIDE, "--classes", CLASSES, "-o", small]
            subprocess.run(mapping, check=True, stdout=subprocess.DEVNULL)
        large = folder / "large.tif"
        write_map(small, large, args.side)
        again = [sys.executable, __file__, "--simplify", str(args.simplify), "--min-area", str(args.min_area), "--ours"]
        ways = {
            "gdal_polygonize": [args.gdal, "-q", str(large), "OUT"],
            "lposs-geo": [*again, str(large), "OUT"],
        }
        plain = os.environ | {"PATH": "/usr/bin:/bin"}  # GDAL's script must find its own Python
        timed([*again, str(small), str(folder / "first.gpkg")], dict(os.environ))
        (folder / "first.gpkg").unlink()
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        held: dict[str, int] = {}
        polygons = {}
        for _ in range(ROUNDS):  # in turns, so that both meet the same noise
            for name, command in ways.items():
                target = folder / f"{name}.gpkg"
                target.unlink(missing_ok=True)
                env = plain if name == "gdal_polygonize" else dict(os.environ)
                took, most = timed([str(target) if word == "OUT" else word for word in command], env)
                seconds[name].append(took)
                held[name] = max(most, held.get(name, 0))
                polygons[name] = pyogrio.read_info(target, layer=0)["features"]
    best = {name: min(times) for name, times in seconds.items()}
    theirs, mine = ways
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "side": args.side,
        "simplify": args.simplify,
        "min_area": args.min_area,
        "polygons": polygons,
        "seconds": best,
        "bytes": held,
        "share_of_time": best[mine] / best[theirs],
        "share_of_memory": held[mine] / held[theirs],
    }
    if args.json:
        print(json.dumps(result, indent=1))
        return
    print(f"{args.side} x {args.side} px, simplify {args.simplify:g} px; {result['machine']}; best of {ROUNDS}")
    for name in ways:
        print(f"{name:16s} {best[name]:8.2f} s {held[name] / 1e6:8.0f} MB {polygons[name]:10d} polygons")
    print(f"{result['share_of_time']:.2f} of the time, {result['share_of_memory']:.2f} of the memory")


if __name__ == "__main__":
    main()
