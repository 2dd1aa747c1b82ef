"""How long it takes to correct a map by examples, features kept, and how much memory.

    python benchmarks/correct.py 900 10000 [--examples 15 100000] [--max-memory 4GB]

Scenes are the bundled one, repeated (benchmarks/scale.py), and a stand-in takes the encoder's place; 900 is the bundled
scene itself with `mini`. Each is mapped by words first, and then with examples: points all over the scene whose classes
are those of the map there, but for one in five. A process corrects twice: the second time, tiles whose scores are as
they were are taken from before. Memory is the most that it ever held beyond what it held at first. Both must give the
same bytes.
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

import geopandas
import numpy as np
import rasterio
from scale import CLASSES, LAKESIDE, repeat_lakeside

from lposs_geo.bench import peak_memory
from lposs_geo.mapping import Mapper
from lposs_geo.memory import parse_size
from lposs_geo.testing.encoders import StandIn

OWN_SIDE = 900
"""Px of the bundled scene's sides."""


def write_examples(path: Path, labels: Path, count: int) -> None:
    """Points at random, of the classes that a map shows there; every fifth is of the next class."""
    rng = np.random.default_rng(0)
    with rasterio.open(labels) as dataset:
        rows, cols = (rng.integers(size, size=count) for size in dataset.shape)
        classes = np.array([int(value[0]) for value in dataset.sample(_ground(dataset.transform, rows, cols))])
        points = geopandas.points_from_xy(*zip(*_ground(dataset.transform, rows, cols), strict=True))
        classes = np.where(np.arange(count) % 5 == 0, classes % len(CLASSES) + 1, classes)
        names = [CLASSES[number - 1] for number in classes]
        geopandas.GeoDataFrame({"class": names}, geometry=points, crs=dataset.crs).to_file(path)


def _ground(transform: rasterio.Affine, rows: np.ndarray, cols: np.ndarray) -> list[tuple[float, float]]:
    return [transform @ (col + 0.5, row + 0.5) for row, col in zip(rows.tolist(), cols.tolist(), strict=True)]


def run_child(scene: Path, folder: Path, examples: Path | None, max_memory: int) -> None:
    """Map by words, or correct twice with examples, and print what it took as JSON."""
    if scene == LAKESIDE:
        mapper = Mapper.load(max_memory=max_memory)
    else:
        mapper = Mapper.of(StandIn(), "stand-in", max_memory=max_memory, use_cache=True)
    if examples is None:
        mapper.map(scene, CLASSES, folder / "words.tif")
        return
    mapper.map(LAKESIDE, CLASSES, folder / "small.tif", overwrite=True)  # compiled code and the model are there
    footprint, output, walls, contents = peak_memory(), folder / "corrected.tif", [], []
    for _ in range(2):
        began = time.perf_counter()
        result = mapper.correct(folder / "words.tif", examples, output, scene=scene, overwrite=True)
        walls.append(round(time.perf_counter() - began, 2))
        contents.append(output.read_bytes())
        if len(walls) == 1:
            seconds = {stage: round(taken, 2) for stage, taken in result.seconds.items()}
    assert contents[0] == contents[1], "two runs gave different bytes"
    beyond = round((peak_memory() - footprint) / 1e9, 2)
    print(json.dumps({"walls": walls, "seconds": seconds, "beyond_gb": beyond}))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sides", type=int, nargs="*", default=[OWN_SIDE], help="px of the scenes' sides")
    parser.add_argument("--examples", type=int, nargs="+", default=[15], help="numbers of points")
    parser.add_argument("--max-memory", type=parse_size, default=parse_size("4GB"))
    parser.add_argument("--folder", type=Path, help="where to put scenes, features and maps for the time being")
    parser.add_argument("--child", type=Path, nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        run_child(*[*args.child, None][:3], args.max_memory)
        return
    for side in args.sides:
        with tempfile.TemporaryDirectory(dir=args.folder) as name:
            folder, scene = Path(name), LAKESIDE
            if side != OWN_SIDE:
                scene = folder / "scene.tif"
                repeat_lakeside(scene, side)
            command = [sys.executable, __file__, "--max-memory", str(args.max_memory), "--child", str(scene), name]
            environment = os.environ | {"LPOSS_GEO_CACHE": name}
            subprocess.run(command, check=True, env=environment)
            for count in args.examples:
                path = folder / f"{count}.gpkg"
                write_examples(path, folder / "words.tif", count)
                done = subprocess.run([*command, str(path)], check=True, stdout=subprocess.PIPE, env=environment)
                took = json.loads(done.stdout)
                print(
                    f"{side} x {side}, {count} examples: {took['walls'][0]:.2f} s {took['seconds']}, "
                    f"{took['beyond_gb']} GB beyond; again {took['walls'][1]:.2f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
