"""How good `mini` is on the validation images: seeds, LPOSS, LPOSS+.

    python training/evaluate.py --build training/build --weights lposs_geo/weights/mini

Validation, never trained on: UC Merced test, Dubai tiles 7 and 8, Chesapeake val.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from concepts import UC_MERCED_WORDS
from PIL import Image
from torch.nn import functional as F

from lposs_geo.encoders.mini import MiniEncoder
from lposs_geo.graph import patch_affinity, pixel_affinity
from lposs_geo.propagation import propagate
from lposs_geo.tiling import Lattice

DUBAI_WORDS = ("building", "bare land", "road", "vegetation", "water")
CHESAPEAKE_WORDS = ("water", "trees", "low vegetation", "bare soil", "pavement", "road")
SYNONYMS = {
    "water": ("river", "lake"),
    "trees": ("forest", "woodland"),
    "low vegetation": ("grass", "cropland"),
    "building": ("house", "roof"),
    "road": ("street", "highway"),
    "bare land": ("bare soil", "bare ground"),
    "bare soil": ("bare land", "bare ground"),
    "vegetation": ("plants", "greenery"),
    "pavement": ("concrete", "impervious surface"),
}
MIN_SHARE = 0.005
"""A class below this share of the labelled px isn't counted in mIoU."""


@dataclass(frozen=True)
class Example:
    """An image (3, H, W) in 0..1 and its labels (H, W): 0 ignore, 1..n."""

    image: torch.Tensor
    labels: np.ndarray


def dense_examples(folder: Path, pattern: str, window: int | None) -> Iterator[Example]:
    """Images with ``*_labels.png`` beside them; only their central `window` px where one is given."""
    for path in sorted(folder.glob(pattern)):
        image = next(
            p for p in (path.with_name(path.name.replace("_labels.png", e)) for e in (".jpg", ".png")) if p.exists()
        )
        pixels, labels = np.asarray(Image.open(image).convert("RGB")), np.asarray(Image.open(path))
        if window:
            top, left = (max(0, (n - window) // 2) for n in labels.shape)
            pixels, labels = (a[top : top + window, left : left + window] for a in (pixels, labels))
        yield Example(torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255, labels)


def lattice_features(encoder: MiniEncoder, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, Lattice]:
    """VLM and VM features on the lattice, (rows, cols, D) each, overlapping crops averaged."""
    lattice = Lattice(image.shape[1], image.shape[2], encoder.patch_size, encoder.crop_size, encoder.stride)
    p, n = encoder.patch_size, lattice.patches_per_crop
    pad = (0, lattice.cols * p - image.shape[2], 0, lattice.rows * p - image.shape[1])
    padded = F.pad(image[None], pad, mode="replicate")[0]
    places = [(r, c) for r in lattice.crop_rows() for c in lattice.crop_cols()]
    vlm, vm = torch.zeros(lattice.rows, lattice.cols, 384), torch.zeros(lattice.rows, lattice.cols, 384)
    for first in range(0, len(places), 8):
        part = places[first : first + 8]
        crops = torch.stack([padded[:, r * p : (r + n) * p, c * p : (c + n) * p] for r, c in part])
        found = encoder.patch_features(crops)
        for i, (r, c) in enumerate(part):
            vlm[r : r + n, c : c + n] += found.vlm[i].permute(1, 2, 0)
            vm[r : r + n, c : c + n] += found.vm[i].permute(1, 2, 0)
    return F.normalize(vlm, dim=-1), F.normalize(vm, dim=-1), lattice


def enlarge(scores: torch.Tensor, shape: tuple[int, int], patch_size: int) -> torch.Tensor:
    """Patch scores (rows, cols, C) -> px scores (C, H, W)."""
    planes = F.interpolate(scores.permute(2, 0, 1)[None], scale_factor=patch_size, mode="bilinear", align_corners=False)
    return planes[0, :, : shape[0], : shape[1]]


def class_scores(encoder: MiniEncoder, vlm: torch.Tensor, prompts: Sequence[Sequence[str]], how: str) -> torch.Tensor:
    """Seeds (rows, cols, C): a class of several words by their mean embedding or by the largest of their scores."""
    if how == "mean":
        return vlm @ encoder.text_embeddings(prompts).T
    return torch.stack([(vlm @ encoder.words.embed(words).T).amax(dim=-1) for words in prompts], dim=-1)


def confusion(labels: np.ndarray, found: np.ndarray, count: int) -> np.ndarray:
    """(count, count) px: rows the truth, columns the answer."""
    known = labels > 0
    return np.bincount((labels[known].astype(int) - 1) * count + found[known], minlength=count * count).reshape(
        count, count
    )


def report(name: str, matrix: np.ndarray, words: Sequence[str]) -> float:
    """Print accuracy, IoU per class and mIoU; return mIoU."""
    hits = np.diag(matrix)
    iou = hits / np.maximum(matrix.sum(0) + matrix.sum(1) - hits, 1)
    counted = matrix.sum(1) >= MIN_SHARE * matrix.sum()
    each = " ".join(f"{w} {v:.2f}{'' if c else '*'}" for w, v, c in zip(words, iou, counted, strict=True))
    mean = float(iou[counted].mean())
    print(f"{name:34s} accuracy {hits.sum() / matrix.sum():.3f} mIoU {mean:.3f} | {each}", flush=True)
    return mean


def scene_accuracy(encoder: MiniEncoder, folder: Path) -> float:
    """Share of UC Merced test images whose log-mean-exp of patch scores is largest for their own class word."""
    text = encoder.text_embeddings([[w] for w in UC_MERCED_WORDS.values()])
    right = total = 0
    for number, name in enumerate(UC_MERCED_WORDS):
        paths = sorted((folder / name).glob("*.jpg"))
        images = (
            torch.stack(
                [
                    torch.from_numpy(np.asarray(Image.open(p).convert("RGB").resize((256, 256)))[16:240, 16:240].copy())
                    for p in paths
                ]
            )
            .permute(0, 3, 1, 2)
            .float()
            / 255
        )
        patches = encoder.patch_features(images).vlm.flatten(2).transpose(1, 2)
        right += int(((encoder.config.scale * patches @ text.T).logsumexp(dim=1).argmax(dim=1) == number).sum())
        total += len(paths)
    return right / total


def evaluate_dense(
    encoder: MiniEncoder, name: str, words: Sequence[str], examples: Iterator[Example], stages: bool
) -> None:
    """Print what one dense set gives: seeds, LPOSS and LPOSS+ with plain words, then synonyms."""
    count = len(words)
    plain = [[w] for w in words]
    several = [[w, *SYNONYMS[w]] for w in words]
    matrices: dict[str, np.ndarray] = {}
    changed: list[float] = []
    for example in examples:
        vlm, vm, lattice = lattice_features(encoder, example.image)
        shape = example.labels.shape
        seeds = vlm @ encoder.text_embeddings(plain).T
        planes = {"seeds": enlarge(seeds, shape, 14)}
        planes["seeds, synonyms' mean"] = enlarge(class_scores(encoder, vlm, several, "mean"), shape, 14)
        planes["seeds, synonyms' maximum"] = enlarge(class_scores(encoder, vlm, several, "max"), shape, 14)
        if stages:
            graph = patch_affinity(vm.flatten(0, 1), torch.from_numpy(lattice.centres()), n_neighbors=100, radius=500.0)
            solved = propagate(graph, seeds.flatten(0, 1)).value.view(lattice.rows, lattice.cols, count)
            planes["LPOSS"] = enlarge(solved, shape, 14)
            soft = (encoder.seed_scale * seeds).softmax(dim=-1)
            solved = propagate(graph, soft.flatten(0, 1)).value.view(lattice.rows, lattice.cols, count)
            planes["LPOSS, softmax seeds"] = enlarge(solved, shape, 14)
            pixels = pixel_affinity(example.image)
            for key in ("LPOSS", "LPOSS, softmax seeds"):
                refined = propagate(pixels, planes[key].flatten(1).T).value
                planes[key.replace("LPOSS", "LPOSS+")] = refined.T.reshape(count, *shape)
        for key, scores in planes.items():
            found = scores.argmax(dim=0).numpy()
            matrices[key] = matrices.get(key, 0) + confusion(example.labels, found, count)
        labels = seeds.argmax(dim=-1)
        for position, group in enumerate(several):
            answers = [labels]
            for word in group[1:]:
                swapped = [*plain[:position], [word], *plain[position + 1 :]]
                answers.append((vlm @ encoder.text_embeddings(swapped).T).argmax(dim=-1))
            changed += [float((a != b).float().mean()) for a, b in combinations(answers, 2)]
    for key, matrix in matrices.items():
        report(f"{name}: {key}", matrix, words)
    print(
        f"{name}: a synonym in place of a word changes {100 * np.mean(changed):.1f} % of patch labels (mean over pairs)"
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--window", type=int, help="only the central px of each image (faster)")
    parser.add_argument("--seeds-only", action="store_true", help="leave the propagation out (faster)")
    args = parser.parse_args()
    encoder = MiniEncoder.load(args.weights, torch.device("cpu"))
    data = args.build / "data"
    print(f"UC Merced test: scene accuracy {scene_accuracy(encoder, data / 'ucmerced' / 'test'):.3f}", flush=True)
    sets = (
        ("Chesapeake", CHESAPEAKE_WORDS, data / "chesapeake_dense" / "val", "*_labels.png"),
        ("Dubai", DUBAI_WORDS, data / "dubai_dense", "tile[78]/*_labels.png"),
    )
    for name, words, folder, pattern in sets:
        evaluate_dense(encoder, name, words, dense_examples(folder, pattern, args.window), not args.seeds_only)


if __name__ == "__main__":
    main()
