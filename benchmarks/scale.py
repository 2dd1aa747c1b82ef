"""How much memory `lposs-geo map` takes on scenes of any size, and how long the largest ones take.

    python benchmarks/scale.py 5000 20000 [--max-memory 4GB] [--sparse 100000]

The scenes are the bundled one, repeated. What is measured is everything around the encoder, so a stand-in takes its
place: it makes a patch's features of its colour, on the lattices of `mini` (two looks, 14 px patches). Each size runs
in a process of its own; memory is the most that it ever held, beyond what it held once the stand-in had mapped the
bundled scene.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

from lposs_geo.bench import peak_memory
from lposs_geo.mapping import Mapper
from lposs_geo.memory import parse_size
from lposs_geo.scene.description import describe
from lposs_geo.scene.reader import open_scene
from lposs_geo.testing.encoders import StandIn

LAKESIDE = Path(__file__).parents[1] / "examples" / "lakeside.tif"
CLASSES = ["water", "forest", "crop field", "road", "building", "grass"]
BLOCK = 512


def repeat_lakeside(path: Path, side: int) -> None:
    """Write the bundled scene's three colours, mirrored again and again, as `side` x `side` px of 8 bits."""
    scene = describe(LAKESIDE)
    with open_scene(scene) as reader:
        image, _ = reader.read(Window(0, 0, scene.grid.width, scene.grid.height))
    picture = (image * 255).astype(np.uint8)
    unit = np.block([[picture, picture[:, :, ::-1]], [picture[:, ::-1], picture[:, ::-1, ::-1]]])
    period = unit.shape[1]
    with _new_scene(path, side) as dataset:
        for top in range(0, side, BLOCK):
            rows = np.arange(top, min(top + BLOCK, side)) % period
            strip = np.take(np.take(unit, rows, axis=1), np.arange(side) % period, axis=2)
            dataset.write(strip, window=Window(0, top, side, len(rows)))


def two_islands(path: Path, side: int) -> None:
    """Write a sparse scene of which only two squares of 900 px, far from each other, hold data."""
    scene = describe(LAKESIDE)
    with open_scene(scene) as reader:
        image, _ = reader.read(Window(0, 0, scene.grid.width, scene.grid.height))
    picture = (image * 254 + 1).astype(np.uint8)
    with _new_scene(path, side, nodata=0, sparse_ok=True) as dataset:
        for row, col in ((side // 50, side // 30), (side - 5000, side - 7000)):
            dataset.write(picture, window=Window(col, row, 900, 900))


def _new_scene(path: Path, side: int, **options: object) -> rasterio.io.DatasetWriter:
    transform = rasterio.Affine(0.6, 0, 400000, 0, -0.6, 5300000)
    return rasterio.open(
        path, "w", driver="GTiff", dtype="uint8", count=3, height=side, width=side, crs="EPSG:32632",
        transform=transform, tiled=True, blockxsize=BLOCK, blockysize=BLOCK, compress="lzw", bigtiff="yes", **options,
    )  # fmt: skip


def run_child(scene: Path, output: Path, max_memory: int) -> None:
    """Map in this process, and print what it took as JSON."""
    mapper = Mapper.of(StandIn(), "stand-in", max_memory=max_memory)
    mapper.map(LAKESIDE, CLASSES, output.with_name("small.tif"))
    footprint = peak_memory()
    began = time.perf_counter()
    result = mapper.map(scene, CLASSES, output)
    print(
        json.dumps(
            {
                "wall": round(time.perf_counter() - began, 1),
                "footprint_gb": round(footprint / 1e9, 3),
                "peak_gb": round(peak_memory() / 1e9, 3),
                "seconds": {stage: round(seconds, 1) for stage, seconds in result.seconds.items()},
                "labelled_px": sum(area.pixels for area in result.areas),
            }
        )
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sides", type=int, nargs="*", help="px of the scenes' sides")
    parser.add_argument("--sparse", type=int, help="px of the side of a scene that is empty but for two islands")
    parser.add_argument("--max-memory", type=parse_size, default=parse_size("4GB"))
    parser.add_argument("--folder", type=Path, help="where to put scenes, features and maps for the time being")
    parser.add_argument("--child", type=Path, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        run_child(*args.child, args.max_memory)
        return
    print(f"{'scene':>18} {'max-memory':>10} {'wall s':>8} {'beyond GB':>10} {'peak GB':>8}  seconds by stage")
    jobs = [(side, repeat_lakeside) for side in args.sides] + ([(args.sparse, two_islands)] if args.sparse else [])
    for side, write in jobs:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            scene = Path(folder) / "scene.tif"
            write(scene, side)
            command = [sys.executable, __file__, "--max-memory", str(args.max_memory), "--child", str(scene)]
            done = subprocess.run(
                [*command, str(Path(folder) / "map.tif")],
                check=True,
                stdout=subprocess.PIPE,
                env=os.environ | {"LPOSS_GEO_CACHE": folder},
            )
        found = json.loads(done.stdout)
        beyond = found["peak_gb"] - found["footprint_gb"]
        name = f"{side} x {side}{' sparse' if write is two_islands else ''}"
        print(
            f"{name:>18} {args.max_memory / 1e9:>8.1f}GB {found['wall']:>8.1f} {beyond:>10.2f} {found['peak_gb']:>8.2f}"
            f"  {found['seconds']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
