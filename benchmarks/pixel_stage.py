"""The pixel stage against a plain sparse matrix and SciPy's conjugate gradients: time, memory and agreement in one run.

    python benchmarks/pixel_stage.py [--side 512] [--classes 6]

The plain way is the textbook's: all 168 neighbours of each pixel in a CSR matrix of float64, normalised, and one run of
`scipy.sparse.linalg.cg` per class, 10 steps each, as the paper has it. Both times include building the affinities.
Memory is the most that was held beyond image and scores, measured in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from rasterio.windows import Window
from scipy import sparse
from scipy.sparse import linalg

from lposs_geo import lposs
from lposs_geo.bench import peak_memory
from lposs_geo.graph import LAB_SCALE, rgb_to_lab
from lposs_geo.patch_stage import SCENE_PARAMETERS
from lposs_geo.scene import describe, open_scene

LAKESIDE = Path(__file__).parents[1] / "examples" / "lakeside.tif"
ROUNDS = 3


def plain(image: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The paper's pixel stage with SciPy: image (3, H, W), scores (C, H, W)."""
    radius, tau, alpha = SCENE_PARAMETERS.radius, SCENE_PARAMETERS.tau, SCENE_PARAMETERS.alpha
    rows, cols = image.shape[1:]
    lab = rgb_to_lab(torch.from_numpy(image)).numpy().astype(np.float64) / np.array(LAB_SCALE)[:, None, None]
    number = np.arange(rows * cols).reshape(rows, cols)
    ends, weights = [], []
    for down in range(-radius, radius + 1):
        for right in range(-radius, radius + 1):
            if (down, right) == (0, 0):
                continue
            here = (
                slice(max(0, -down), rows - max(0, down)),
                slice(max(0, -right), cols - max(0, right)),
            )
            there = (
                slice(max(0, down), rows - max(0, -down)),
                slice(max(0, right), cols - max(0, -right)),
            )
            distance = np.sqrt(((lab[:, *here] - lab[:, *there]) ** 2).sum(0))
            weights.append(np.exp(-distance / tau).ravel())
            ends.append(np.stack([number[here].ravel(), number[there].ravel()]))
    row, col = np.concatenate(ends, axis=1)
    matrix = sparse.csr_matrix((np.concatenate(weights), (row, col)), shape=(rows * cols, rows * cols))
    scale = sparse.diags(1 / np.sqrt(np.asarray(matrix.sum(axis=1)).ravel()))
    system = sparse.identity(rows * cols, format="csr") - alpha * (scale @ matrix @ scale).tocsr()
    found = [linalg.cg(system, column.ravel().astype(np.float64), maxiter=10, rtol=1e-6)[0] for column in scores]
    return np.stack(found).reshape(scores.shape)


def ours(image: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The pixel stage as scenes have it."""
    return lposs.refine(torch.from_numpy(image), torch.from_numpy(scores), SCENE_PARAMETERS).numpy()


WAYS = {"SciPy CSR + CG": plain, "lposs-geo": ours}


def problem(side: int, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """A part of the bundled scene, and smooth scores in blocks of a patch's size."""
    with open_scene(describe(LAKESIDE)) as reader:
        image, _ = reader.read(Window(100, 100, side, side))
    coarse = torch.rand(1, num_classes, side // 14, side // 14, generator=torch.Generator().manual_seed(0))
    return image, torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")[0].numpy()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--classes", type=int, default=6)
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    parser.add_argument("--memory-of", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    image, scores = problem(args.side, args.classes)
    if args.memory_of:
        ours(image[:, :64, :64], scores[:, :64, :64])  # what is loaded and compiled once doesn't count
        before = peak_memory()
        WAYS[args.memory_of](image, scores)
        print(peak_memory() - before)
        return
    ours(image, scores)
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    found = {}
    for _ in range(ROUNDS):  # in turns, so that both meet the same noise
        for name, way in WAYS.items():
            began = time.perf_counter()
            found[name] = way(image, scores)
            seconds[name].append(time.perf_counter() - began)
    again = [sys.executable, __file__, "--side", str(args.side), "--classes", str(args.classes), "--memory-of"]
    memory = {name: int(subprocess.check_output([*again, name], env=os.environ)) for name in WAYS}
    best = {name: min(times) for name, times in seconds.items()}
    labels = [scores.argmax(axis=0) for scores in found.values()]
    theirs, mine = WAYS
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, {torch.get_num_threads()} threads",
        "side": args.side,
        "classes": args.classes,
        "seconds": best,
        "bytes": memory,
        "times_faster": best[theirs] / best[mine],
        "share_of_memory": memory[mine] / memory[theirs],
        "equal_labels": float((labels[0] == labels[1]).mean()),
    }
    if args.json:
        print(json.dumps(result, indent=1))
        return
    print(f"{args.side} x {args.side} px, {args.classes} classes; {result['machine']}; best of {ROUNDS}")
    for name in WAYS:
        print(f"{name:16s} {best[name]:8.2f} s {memory[name] / 1e6:10.0f} MB")
    print(
        f"{result['times_faster']:.1f} times as fast, with {result['share_of_memory']:.3f} of the memory; "
        f"labels equal on {result['equal_labels']:.2%}"
    )


if __name__ == "__main__":
    main()
