"""What the confidence of a map is worth: how often pixels of a given confidence are right, on the validation images.

    python training/calibrate.py --build training/build --weights lposs_geo/weights/mini --figure docs/confidence.svg

Confidence is the share of a pixel's class among the scores of all classes (`lposs.probabilities`). Where it is
calibrated, of the pixels with 70 % seven of ten are right.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from evaluate import Benchmark, benchmarks, planes

from lposs_geo import lposs
from lposs_geo.encoders.mini import MiniEncoder
from lposs_geo.stages.encode import encode_image
from lposs_geo.stages.propagate import SCENE_PARAMETERS, patch_scores

BINS = 10
SIDE, GAP, TOP, BASE = 200, 56, 56, 44
"""Px of the figure: of a panel, between two, above them and below."""

FAINTEST = 0.005
"""Share of the pixels below which a bin is left out of the figure: too few to tell."""


@dataclass(frozen=True)
class Reliability:
    """Of a labelled set: pixels, mean confidence and share of right ones in each bin of confidence, (10,) each."""

    name: str
    pixels: np.ndarray
    confidence: np.ndarray
    right: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: how far confidence and accuracy lie apart, on average over pixels."""
        return float(self.pixels @ np.abs(self.confidence - self.right) / self.pixels.sum())

    @property
    def accuracy(self) -> float:
        return float(self.pixels @ self.right / self.pixels.sum())

    @property
    def mean(self) -> float:
        return float(self.pixels @ self.confidence / self.pixels.sum())


@torch.inference_mode()
def measure(encoder: MiniEncoder, benchmark: Benchmark) -> Reliability:
    """Map a set's images and compare."""
    pixels, total, hits = np.zeros(BINS), np.zeros(BINS), np.zeros(BINS)
    text = encoder.text_embeddings([[word] for word in benchmark.words])
    for example in benchmark.examples:
        features = encode_image(example.image, encoder, zoom=encoder.zoom(benchmark.gsd))
        rough = planes(patch_scores(features, text, encoder), features[-1], example.labels.shape)
        scores = lposs.refine(torch.from_numpy(example.image), rough, SCENE_PARAMETERS)
        best = lposs.probabilities(scores, encoder.confidence_power).max(dim=0)
        known = example.labels > 0
        confidence = best.values.numpy()[known]
        right = best.indices.numpy()[known] + 1 == example.labels[known]
        bins = (confidence * BINS).astype(int).clip(0, BINS - 1)
        pixels += np.bincount(bins, minlength=BINS)
        total += np.bincount(bins, confidence, minlength=BINS)
        hits += np.bincount(bins, right, minlength=BINS)
    some = np.maximum(pixels, 1)
    return Reliability(benchmark.name, pixels, total / some, hits / some)


def figure(sets: Sequence[Reliability]) -> str:
    """Reliability diagrams side by side, as SVG: dots on the diagonal are calibrated, their size is their share."""
    width, height = GAP + len(sets) * (SIDE + GAP), TOP + SIDE + BASE
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12" fill="#333">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text transform="translate(14, {TOP + SIDE // 2}) rotate(-90)" text-anchor="middle">right</text>',
    ]
    for place, one in enumerate(sets):
        left = GAP + place * (SIDE + GAP)
        lines += [
            f'<text x="{left}" y="{TOP - 30}" font-size="14" font-weight="bold">{one.name}</text>',
            f'<text x="{left}" y="{TOP - 12}">{one.mean:.0%} confident, {one.accuracy:.0%} right</text>',
            f'<rect x="{left}" y="{TOP}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#bbb"/>',
            f'<line x1="{left}" y1="{TOP + SIDE}" x2="{left + SIDE}" y2="{TOP}" stroke="#bbb" stroke-dasharray="4 4"/>',
            f'<text x="{left + SIDE / 2}" y="{TOP + SIDE + 34}" text-anchor="middle">confidence</text>',
        ]
        for tick in (0, 50, 100):
            at = SIDE * tick / 100
            lines.append(f'<text x="{left + at}" y="{TOP + SIDE + 16}" text-anchor="middle">{tick} %</text>')
            lines.append(f'<text x="{left - 6}" y="{TOP + SIDE - at + 4}" text-anchor="end">{tick} %</text>')
        shares = one.pixels / one.pixels.sum()
        for share, confidence, right in zip(shares, one.confidence, one.right, strict=True):
            if share >= FAINTEST:
                x, y, size = left + SIDE * confidence, TOP + SIDE * (1 - right), 3 + 12 * share**0.5
                dot = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" fill="#2c7fb8" fill-opacity="0.7"/>'
                lines.append(dot)
    return "\n".join([*lines, "</svg>", ""])


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--figure", type=Path, help="SVG to write")
    args = parser.parse_args()
    encoder = MiniEncoder.load(args.weights, torch.device("cpu"))
    sets = []
    for benchmark in benchmarks(args.build / "data", None):
        one = measure(encoder, benchmark)
        sets.append(one)
        print(f"{one.name}: confidence {one.mean:.3f}, accuracy {one.accuracy:.3f}, calibration error {one.error:.3f}")
        for pixels, confidence, right in zip(one.pixels, one.confidence, one.right, strict=True):
            if pixels:
                print(
                    f"  {pixels / one.pixels.sum():6.1%} of the pixels: confidence {confidence:.2f}, right {right:.2f}"
                )
    if args.figure:
        args.figure.write_text(figure(sets), encoding="utf-8")


if __name__ == "__main__":
    main()
