"""Labelled sets for `examples.py`: encoded once, points drawn from them, scores compared with their labels.

Each set counts as one scene: what is drawn, and what is fitted, is of all its pictures. Only the graph stays within a
picture.
"""

from __future__ import annotations

import math
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from rasterio.windows import Window

from lposs_geo import models
from lposs_geo.encoders.encoder import Encoder
from lposs_geo.examples.observations import Observations
from lposs_geo.graph.patches import PatchAffinity
from lposs_geo.propagation import propagate
from lposs_geo.stages.band_statistics import patch_spans, patch_statistics, spectral_features
from lposs_geo.stages.encode import encode_image
from lposs_geo.stages.features import LatticeFeatures
from lposs_geo.stages.observe import observe
from lposs_geo.stages.propagate import patch_graph, sample_scores
from lposs_geo.stages.task import Words
from lposs_geo.stages.taught import Bands

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))  # before this folder, which has a `polygons` too

from evaluate import MIN_SHARE, Benchmark, Example, Tally, benchmarks, dense_examples

WINDOW = 672
"""Central px of each picture that are used; most are smaller."""

COARSE_WORDS = (
    "trees", "shrubland", "grassland", "cropland", "building", "bare soil", "snow", "water", "wetland", "moss",
)  # fmt: skip
"""Those of HLS."""

COARSE = "HLS"
"""The set whose 30 m the model wasn't trained for."""

SHORT = {"QB_5_extract": "5", "QB_TOULOUSE_MUL_Extract_500_500": "Toulouse", "tile7": "7", "tile8": "8"}
"""Names of pictures and folders, for tables."""

AT_ONCE = 48
"""Planes of scores that are compared with the labels at once."""

Looks = Sequence[LatticeFeatures]
"""The features of a picture, the finest look's last."""

Refine = Callable[[Example, torch.Tensor], torch.Tensor]
"""A pixel stage: scores (C, H, W) of an example -> (C, H, W)."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One of a set's pictures.

    Attributes
    ----------
    example : Example
    finest : LatticeFeatures
        Of the finest look.
    affinity : PatchAffinity
    first : int
        Number of its first patch in the set.
    """

    example: Example
    finest: LatticeFeatures
    affinity: PatchAffinity
    first: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and cols of patches."""
        return self.finest.lattice.rows, self.finest.lattice.cols

    @property
    def patches(self) -> slice:
        """Numbers in the set."""
        return slice(self.first, self.first + math.prod(self.shape))

    def labelled(self) -> tuple[np.ndarray, np.ndarray]:
        """Patch (number in the set) and class of each labelled px."""
        row, col = np.nonzero(self.example.labels)
        down, across = (
            np.minimum((px + 0.5) / self.finest.patch_size, length - 1).astype(int)
            for px, length in zip((row, col), self.shape, strict=True)
        )
        return self.first + down * self.shape[1] + across, self.example.labels[row, col].astype(int) - 1

    def spread(self, seeds: np.ndarray) -> np.ndarray:
        """Seeds (patches, K) propagated over the picture's graph."""
        return propagate(self.affinity, torch.from_numpy(seeds), measure=False).value.numpy()

    def at_pixels(self, scores: np.ndarray) -> torch.Tensor:
        """Scores (patches, K) interpolated, (K, H, W)."""
        height, width = self.example.labels.shape
        grid = scores.reshape(*self.shape, -1)
        return sample_scores(grid, self.finest, Window(0, 0, width, height), torch.device("cpu"))


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Pictures that count as one scene.

    Attributes
    ----------
    name : str
    words : tuple of str
        Of its classes.
    pictures : sequence of Picture
    observations : Observations
        All patches; kinds of features: the VLM's of both looks, the VM's, and the bands'.
    colours : (patches, F) float32
        Spectral features of red, green and blue only.
    text : (C, D) float32
        Class embeddings.
    """

    name: str
    words: tuple[str, ...]
    pictures: Sequence[Picture]
    observations: Observations
    colours: np.ndarray
    text: np.ndarray

    @cached_property
    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """Patch and class of each labelled px of all pictures."""
        parts = [picture.labelled() for picture in self.pictures]
        return np.concatenate([patch for patch, _ in parts]), np.concatenate([kind for _, kind in parts])

    @cached_property
    def counted(self) -> np.ndarray:
        """The classes of which there is enough to be counted."""
        counts = np.bincount(self.points[1], minlength=len(self.words))
        return np.flatnonzero(counts >= MIN_SHARE * counts.sum())

    @cached_property
    def joined(self) -> np.ndarray:
        """All features (patches, F) float32, each kind around its mean and with a mean square norm of 1."""
        parts = [values - values.mean(axis=0) for values in self.observations.features.values()]
        return np.concatenate([part / np.sqrt((part**2).sum(axis=1).mean()) for part in parts], axis=1)

    @property
    def num_bands(self) -> int:
        return len(self.pictures[0].example.bands)

    def draw(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Patch and class of `count` random points of each class; a smaller number's are among a larger one's."""
        patch, kind = self.points
        drawn = []
        for index in self.counted:
            own = patch[kind == index]
            drawn.append(np.random.default_rng([seed, index]).permutation(own)[:count])
        return np.concatenate(drawn), np.repeat(self.counted, [len(part) for part in drawn])

    def spread(self, seeds: np.ndarray) -> np.ndarray:
        """Seeds (patches, K) propagated, picture by picture."""
        return np.concatenate([picture.spread(seeds[picture.patches]) for picture in self.pictures])

    def compare(
        self, scores: Sequence[np.ndarray], refine: Refine | None = None, boundaries: bool = False
    ) -> list[Tally]:
        """Count what several scores (patches, C) say of the labelled px, after a pixel stage if one is given."""
        tallies = [Tally(len(self.words)) for _ in scores]
        step = max(1, AT_ONCE // len(self.words))
        for picture in self.pictures:
            labels = picture.example.labels
            for first in range(0, len(scores), step):
                several = np.concatenate([one[picture.patches] for one in scores[first : first + step]], axis=1)
                planes = picture.at_pixels(several).unflatten(0, (-1, len(self.words)))
                if refine is not None:
                    planes = torch.stack([refine(picture.example, part.contiguous()) for part in planes])
                # the index beside a maximum comes much faster than one alone
                for tally, found in zip(tallies[first:], planes.max(dim=1).indices.numpy(), strict=False):
                    tally.add(labels, found, boundaries)
        return tallies


def scenes(data: Path) -> Iterator[Benchmark]:
    """The sets: those that training keeps for validation, a folder or a picture drawn by hand each, and HLS."""
    coarse = dense_examples(data / "hls_30m" / "val", "*_labels.png", None)
    for benchmark in [*benchmarks(data, WINDOW), Benchmark(COARSE, COARSE_WORDS, 30.0, list(coarse))]:
        sources = sorted({example.source for example in benchmark.examples})
        for source in sources:
            own = [example for example in benchmark.examples if example.source == source]
            name = benchmark.name if len(sources) == 1 else f"{benchmark.name} {SHORT.get(source, source)}"
            yield replace(benchmark, name=name, examples=own)


@torch.inference_mode()
def prepare(benchmark: Benchmark, encoder: Encoder, cache: Path) -> LabelledSet:
    """Encode a set's pictures, or take what a folder has kept of them."""
    words = Words(encoder.text_embeddings([[word] for word in benchmark.words]))
    encoded = _encoded(benchmark, encoder, cache)
    bands, colours = (_bands(benchmark.examples, encoded, used) for used in (slice(None), slice(3)))
    pictures: list[Picture] = []
    parts: list[Observations] = []
    for example, looks, own in zip(benchmark.examples, encoded, bands, strict=True):
        first = pictures[-1].patches.stop if pictures else 0
        lattice = looks[-1].lattice
        graph = patch_graph(looks[-1], encoder, Window(0, 0, lattice.cols, lattice.rows))
        pictures.append(Picture(example, looks[-1], graph, first))
        rows, cols = (index.ravel() for index in np.indices(pictures[-1].shape))
        parts.append(observe(looks, words, encoder, rows, cols, own))
    return LabelledSet(
        name=benchmark.name,
        words=benchmark.words,
        pictures=pictures,
        observations=_joined(parts),
        colours=np.concatenate([_whole(own) for own in colours]),
        text=words.text.numpy(),
    )


def _encoded(benchmark: Benchmark, encoder: Encoder, cache: Path) -> list[Looks]:
    """The features of each picture at each look."""
    path = cache / f"{benchmark.name.replace(' ', '_')}-{models.fingerprint(models.find('mini'))}.pickle"
    if not path.exists():
        zoom = encoder.zoom(benchmark.gsd)
        looks = [encode_image(example.image, encoder, zoom=zoom) for example in benchmark.examples]
        cache.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(looks))
    return pickle.loads(path.read_bytes())


def _joined(parts: Sequence[Observations]) -> Observations:
    features = {name: np.concatenate([part.features[name] for part in parts]) for name in parts[0].features}
    return Observations(features, np.concatenate([part.words for part in parts]))


def _bands(examples: Sequence[Example], encoded: Sequence[Looks], used: slice) -> list[Bands]:
    """Some bands of each picture, all of them told in the mean and deviation over the set."""
    grids = []
    for example, looks in zip(examples, encoded, strict=True):
        finest, values = looks[-1], example.bands[used]
        spans = (
            patch_spans(range(count), finest.patch_size, length)
            for count, length in zip((finest.lattice.rows, finest.lattice.cols), values.shape[1:], strict=True)
        )
        grids.append(patch_statistics(values, np.ones(values.shape[1:], bool), *spans)[0])
    flat = np.concatenate([grid.reshape(-1, grid.shape[-1]) for grid in grids])
    features = spectral_features(flat, flat.mean(axis=0, dtype=np.float64))
    return [Bands(grid, features.mean(axis=0), features.std(axis=0)) for grid in grids]


def _whole(bands: Bands) -> np.ndarray:
    """Features (patches, F) of a whole picture."""
    features = bands[slice(None), slice(None)]
    return features.reshape(-1, features.shape[-1])
