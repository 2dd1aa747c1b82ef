"""How good `mini` is on the validation images: seeds, LPOSS and LPOSS+, and what synonyms change.

    python training/evaluate.py --build training/build --weights lposs_geo/weights/mini

Validation, never trained on: UC Merced test, Dubai tiles 7 and 8, Chesapeake val, and what `labels/validation.json` was
drawn on. Everything goes through the code that maps scenes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from concepts import UC_MERCED_WORDS
from PIL import Image
from polygons import Polygon, burn, drawn_for
from rasterio.windows import Window
from scipy.ndimage import distance_transform_edt

from lposs_geo import lposs
from lposs_geo.encoders.mini import VM_KINDS, MiniEncoder
from lposs_geo.scene.description import describe
from lposs_geo.scene.reader import open_scene
from lposs_geo.stages.encode import encode_image
from lposs_geo.stages.features import LatticeFeatures
from lposs_geo.stages.propagate import SCENE_PARAMETERS, patch_scores, patch_seeds, sample_scores

REPOSITORY = Path(__file__).parents[1]
SYNONYMS = (
    ("forest", "woodland", "trees"),
    ("water", "river", "lake"),
    ("building", "house", "roof"),
    ("road", "street"),
    ("cropland", "farmland", "crop field"),
)
MIN_SHARE = 0.005
"""A class below this share of the labelled px isn't counted in mIoU."""
BOUNDARY_SHARE = 0.02
"""Width of the boundary that boundary IoU looks at, as a share of the image's diagonal."""


@dataclass(frozen=True)
class Example:
    """An image (3, H, W) in 0..1 and its labels (H, W): 0 ignore, 1..n.

    `bands` (B, H, W) are all that is known of it, in any unit: the image itself, unless there is more. `source` is the
    picture or the folder of pictures that it was taken from.
    """

    image: np.ndarray
    labels: np.ndarray
    bands: np.ndarray
    source: str


@dataclass(frozen=True)
class Benchmark:
    """A labelled set: its class words, its ground resolution in metres (None: unknown), and its examples.

    `boundaries` tells whether labels reach up to each other, so that boundaries can be measured.
    """

    name: str
    words: tuple[str, ...]
    gsd: float | None
    examples: Sequence[Example]
    boundaries: bool = True


@dataclass
class Tally:
    """Counts over a set's images: px by (truth, answer), and px on boundaries by class."""

    matrix: np.ndarray
    common: np.ndarray
    either: np.ndarray
    count: int = field(init=False)

    def __init__(self, count: int) -> None:
        self.count = count
        self.matrix = np.zeros((count, count), np.int64)
        self.common, self.either = np.zeros(count, np.int64), np.zeros(count, np.int64)

    def add(self, labels: np.ndarray, found: np.ndarray, boundaries: bool) -> None:
        """Count one image; `found` is 0..n-1."""
        known = labels > 0
        pairs = (labels[known].astype(int) - 1) * self.count + found[known]
        self.matrix += np.bincount(pairs, minlength=self.count**2).reshape(self.count, self.count)
        if boundaries:
            width = max(1.0, BOUNDARY_SHARE * float(np.hypot(*labels.shape)))
            for number in range(self.count):
                truth = boundary(labels == number + 1, width)
                answer = boundary((found == number) & known, width)
                self.common[number] += (truth & answer).sum()
                self.either[number] += (truth | answer).sum()

    @property
    def iou(self) -> np.ndarray:
        """Of each class, (n,)."""
        hits = np.diag(self.matrix)
        return hits / np.maximum(self.matrix.sum(0) + self.matrix.sum(1) - hits, 1)

    @property
    def counted(self) -> np.ndarray:
        """The classes of which there is enough to be counted, (n,) bool."""
        return self.matrix.sum(1) >= MIN_SHARE * self.matrix.sum()

    @property
    def mean_iou(self) -> float:
        """Over the classes that are counted."""
        return float(self.iou[self.counted].mean())

    @property
    def boundary_iou(self) -> float:
        """Likewise, of the px on boundaries."""
        return float((self.common / np.maximum(self.either, 1))[self.counted].mean())

    def report(self, name: str, words: Sequence[str]) -> None:
        """Print accuracy, mIoU, boundary IoU, and IoU per class."""
        rated = zip(words, self.iou, self.counted, strict=True)
        each = " ".join(f"{w} {v:.2f}{'' if c else '*'}" for w, v, c in rated)
        on_edges = f"boundary IoU {self.boundary_iou:.3f} " if self.either.any() else ""
        accuracy = np.diag(self.matrix).sum() / self.matrix.sum()
        print(f"{name:24s} accuracy {accuracy:.3f} mIoU {self.mean_iou:.3f} {on_edges}| {each}", flush=True)


def boundary(mask: np.ndarray, width: float) -> np.ndarray:
    """The px of a mask (H, W) at most `width` px from its outside; the image's border counts as outside."""
    inside = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return mask & (inside <= width)


def dense_examples(folder: Path, pattern: str, window: int | None) -> Iterator[Example]:
    """Images with ``*_labels.png`` beside them, and maybe ``*_nir.png``, the infrared band.

    Only their central `window` px where one is given.
    """
    for path in sorted(folder.glob(pattern)):
        beside = (path.with_name(path.name.replace("_labels.png", e)) for e in ("_nir.png", ".jpg", ".png"))
        *infrared, image = (p for p in beside if p.exists())
        planes = [Image.open(image).convert("RGB"), *(Image.open(p).convert("L") for p in infrared), Image.open(path)]
        pixels = np.dstack([np.asarray(plane) for plane in planes])
        if window:
            top, left = (max(0, (n - window) // 2) for n in pixels.shape[:2])
            pixels = pixels[top : top + window, left : left + window]
        bands = as_image(pixels[..., :-1])
        yield Example(bands[:3], pixels[..., -1].copy(), bands, path.parent.name)


def drawn_example(picture: str, polygons: Sequence[Polygon], data: Path, names: Mapping[str, int]) -> Example:
    """A picture with polygons drawn by hand, read as a scene if it is one."""
    if picture.startswith("examples/"):
        scene = describe(REPOSITORY / picture)
        with open_scene(scene) as reader:
            whole = Window(0, 0, scene.grid.width, scene.grid.height)
            image, bands = reader.read(whole)[0], reader.read_bands(whole)[0]
    else:
        image = bands = as_image(np.asarray(Image.open(data / picture).convert("RGB")))
    labels = burn(polygons, (image.shape[2], image.shape[1]), names, empty=0)
    return Example(image, labels, bands, Path(picture).stem)


def as_image(pixels: np.ndarray) -> np.ndarray:
    """(H, W, bands) uint8 -> (bands, H, W) float32 in 0..1."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32) / 255


def benchmarks(data: Path, window: int | None) -> Iterator[Benchmark]:
    """The dense sets and the pictures drawn for validation."""
    yield Benchmark(
        "Chesapeake",
        ("water", "trees", "low vegetation", "bare soil", "pavement", "road"),
        1.0,
        list(dense_examples(data / "chesapeake_dense" / "val", "*_labels.png", window)),
    )
    yield Benchmark(
        "Dubai",
        ("building", "bare land", "road", "vegetation", "water"),
        None,
        list(dense_examples(data / "dubai_dense", "tile[78]/*_labels.png", window)),
    )
    drawn = drawn_for("validation")
    names = {
        "water": 1, "forest": 2, "shrubs": 2, "grass": 3, "crops": 4, "bare field": 4, "soil": 5, "sand": 5,
        "road": 6, "pavement": 6, "parking": 6, "building": 7,
    }  # fmt: skip
    yield Benchmark(
        "QuickBird",
        ("water", "forest", "grass", "cropland", "bare soil", "road", "building"),
        2.4,
        [drawn_example(p, polygons, data, names) for p, polygons in drawn.items() if p.startswith("quickbird")],
        boundaries=False,
    )
    names = {"water": 1, "forest": 2, "crops": 3, "bare field": 3, "road": 4, "building": 5}
    yield Benchmark(
        "lakeside",
        ("water", "forest", "crop field", "road", "building"),
        0.6,
        [drawn_example(p, polygons, data, names) for p, polygons in drawn.items() if p.startswith("examples")],
        boundaries=False,
    )


def planes(scores: np.ndarray, features: LatticeFeatures, shape: tuple[int, int]) -> torch.Tensor:
    """Patch scores (rows, cols, C) -> px scores (C, H, W)."""
    return sample_scores(scores, features, Window(0, 0, shape[1], shape[0]), torch.device("cpu"))


def evaluate(encoder: MiniEncoder, benchmark: Benchmark, stages: bool, synonyms: bool) -> None:
    """Print what one labelled set gives: seeds, LPOSS and LPOSS+ with plain words, then synonyms in their place."""
    words = benchmark.words
    tallies = {stage: Tally(len(words)) for stage in (("seeds", "LPOSS", "LPOSS+") if stages else ("seeds",))}
    changed: list[float] = []
    for example in benchmark.examples:
        shape = example.labels.shape
        image = torch.from_numpy(example.image)
        features = encode_image(example.image, encoder, zoom=encoder.zoom(benchmark.gsd))

        def mapped(
            asked: Sequence[str], features: Sequence[LatticeFeatures] = features, image: torch.Tensor = image
        ) -> tuple[torch.Tensor, torch.Tensor]:
            text = encoder.text_embeddings([[word] for word in asked])
            rough = planes(patch_scores(features, text, encoder), features[-1], image.shape[1:])
            return rough, lposs.refine(image, rough, SCENE_PARAMETERS)

        text = encoder.text_embeddings([[word] for word in words])
        found = {"seeds": planes(patch_seeds(features, text, encoder), features[-1], shape)}
        if stages:
            found["LPOSS"], found["LPOSS+"] = mapped(words)
        for stage, scores in found.items():
            tallies[stage].add(example.labels, scores.argmax(dim=0).numpy(), benchmark.boundaries)
        for group in SYNONYMS if stages and synonyms else ():
            for position in [i for i, word in enumerate(words) if word in group]:
                answers = []
                for word in group:
                    asked = (*words[:position], word, *words[position + 1 :])
                    scores = found["LPOSS+"] if asked == words else mapped(asked)[1]
                    answers.append(scores.argmax(dim=0))
                changed += [float((a != b).float().mean()) for a, b in combinations(answers, 2)]
    for stage, tally in tallies.items():
        tally.report(f"{benchmark.name}: {stage}", words)
    if changed:
        share = 100 * np.mean(changed)
        print(f"{benchmark.name}: a synonym in place of a word changes {share:.1f} % of the labels (mean over pairs)")


@torch.inference_mode()
def scene_accuracy(encoder: MiniEncoder, folder: Path) -> float:
    """Share of UC Merced test images whose log-mean-exp of patch scores is largest for their own class word."""
    text = encoder.text_embeddings([[word] for word in UC_MERCED_WORDS.values()])
    right = total = 0
    for number, name in enumerate(UC_MERCED_WORDS):
        paths = sorted((folder / name).glob("*.jpg"))
        pictures = [
            as_image(np.asarray(Image.open(p).convert("RGB").resize((256, 256))))[:, 16:240, 16:240] for p in paths
        ]
        patches = encoder.patch_features(torch.from_numpy(np.stack(pictures))).vlm.flatten(2).transpose(1, 2)
        scores = (encoder.config.scale * patches @ text.T).logsumexp(dim=1)
        right += int((scores.argmax(dim=1) == number).sum())
        total += len(paths)
    return right / total


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--window", type=int, help="only the central px of each image (faster)")
    parser.add_argument("--seeds-only", action="store_true", help="leave the propagation out (faster)")
    parser.add_argument("--sets", nargs="+", help="only these, by name")
    parser.add_argument("--no-synonyms", action="store_true", help="leave the synonyms out (faster)")
    # what else could be chosen: the tables of README.md were made with these
    parser.add_argument("--scales", type=float, nargs="+")
    parser.add_argument("--stride", type=int)
    parser.add_argument("--neighbors", type=int)
    parser.add_argument("--gamma", type=float)
    parser.add_argument("--vm", nargs=2, metavar=("BLOCK", "KIND"), help=f"KIND is one of {', '.join(VM_KINDS)}")
    args = parser.parse_args()
    encoder = MiniEncoder.load(args.weights, torch.device("cpu"))
    config = encoder.config
    if args.vm:
        config = replace(config, vm_block=int(args.vm[0]), vm_kind=args.vm[1])
    encoder = replace(
        encoder,
        config=config,
        scales=tuple(args.scales or encoder.scales),
        stride=args.stride or encoder.stride,
        n_neighbors=args.neighbors or encoder.n_neighbors,
        gamma=args.gamma or encoder.gamma,
    )
    data = args.build / "data"
    if not args.sets:
        print(f"UC Merced test: scene accuracy {scene_accuracy(encoder, data / 'ucmerced' / 'test'):.3f}", flush=True)
    for benchmark in benchmarks(data, args.window):
        if not args.sets or benchmark.name in args.sets:
            with torch.inference_mode():
                evaluate(encoder, benchmark, not args.seeds_only, not args.no_synonyms)


if __name__ == "__main__":
    main()
