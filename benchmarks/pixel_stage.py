"""The pixel stage against a plain sparse matrix and SciPy's conjugate gradients: time, memory and agreement in one run.

    python benchmarks/pixel_stage.py [--side 512] [--classes 6]

The plain way is the textbook's: all 168 neighbours of each pixel in a CSR matrix of float64, normalised, and one run of
`scipy.sparse.linalg.cg` per class, 10 steps each, as the paper has it. Both times include building the affinities.
Memory is the most that was held beyond image and scores, measured in a process of its own, on Linux.
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

from lposs_geo import encoders, lposs, models
from lposs_geo.bench import CLASSES
from lposs_geo.graph.pixels import LAB_SCALE, rgb_to_lab
from lposs_geo.scene.description import describe
from lposs_geo.scene.reader import open_scene
from lposs_geo.stages.encode import encode_image
from lposs_geo.stages.propagate import SCENE_PARAMETERS, patch_scores, sample_scores

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


def memory(mark: str) -> int:
    """Bytes that this process holds (VmRSS) or held at most (VmHWM), as Linux tells."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{mark}:"))


@torch.inference_mode()
def problem(side: int, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """A part of the bundled scene, and what `mini` says of its patches."""
    window = Window(100, 100, side, side)
    with open_scene(describe(LAKESIDE)) as reader:
        image, _ = reader.read(window)
    encoder = encoders.load(models.find("mini"), torch.device("cpu"))
    words = [CLASSES[number] if number < len(CLASSES) else f"kind {number}" for number in range(num_classes)]
    features = encode_image(image, encoder)
    scores = patch_scores(features, encoder.text_embeddings([[word] for word in words]), encoder)
    return image, sample_scores(scores, features[-1], Window(0, 0, side, side), encoder.device).contiguous().numpy()


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
        Path("/proc/self/clear_refs").write_text("5")  # forget the highest mark so far
        before = memory("VmRSS")
        WAYS[args.memory_of](image, scores)
        print(memory("VmHWM") - before)
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
    held = {name: int(subprocess.check_output([*again, name], env=os.environ)) for name in WAYS}
    best = {name: min(times) for name, times in seconds.items()}
    labels = [scores.argmax(axis=0) for scores in found.values()]
    theirs, mine = WAYS
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, {torch.get_num_threads()} threads",
        "side": args.side,
        "classes": args.classes,
        "seconds": best,
        "bytes": held,
        "times_faster": best[theirs] / best[mine],
        "share_of_memory": held[mine] / held[theirs],
        "equal_labels": float((labels[0] == labels[1]).mean()),
    }
    if args.json:
        print(json.dumps(result, indent=1))
        return
    print(f"{args.side} x {args.side} px, {args.classes} classes; {result['machine']}; best of {ROUNDS}")
    for name in WAYS:
        print(f"{name:16s} {best[name]:8.2f} s {held[name] / 1e6:10.0f} MB")
    print(
        f"{result['times_faster']:.1f} times as fast, with {result['share_of_memory']:.3f} of the memory; "
        f"labels equal on {result['equal_labels']:.2%}"
    )


if __name__ == "__main__":
    main()
