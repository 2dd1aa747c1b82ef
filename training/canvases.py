"""Training pictures made on the fly: crops put together so that a patch can't be guessed from its surroundings.

A canvas is 224 x 224 px. It holds one crop, or quadrants of several, or a crop with strips or blobs of another. Each
pixel carries the label of the image it came from, and the number of its cell on the canvas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from concepts import CHESAPEAKE, DUBAI, LABEL_NAMES
from PIL import Image, ImageDraw, ImageFilter
from polygons import Polygon, burn

CANVAS = 224
PATCH = 14
GRID = CANVAS // PATCH
NOTHING = -1
THIN = tuple(LABEL_NAMES.index(name) for name in ("road", "railway"))
THIN_SHARE = 0.4
"""Labels that hardly ever fill a patch, and the share of it that is enough for them."""

SCALES = {"scene": (0.45, 1.6), "chips": (0.5, 2.2), "towns": (0.8, 2.5), "dubai": (0.7, 2.2), "chesapeake": (0.8, 3.0)}
"""By how much crops of each group are enlarged."""


@dataclass(frozen=True)
class Source:
    """One image: (rows, cols, 3) uint8, and its label: a number for all of it or (rows, cols) int16 numbers."""

    image: np.ndarray
    label: int | np.ndarray
    group: str


@dataclass(frozen=True)
class Canvas:
    """A picture (224, 224, 3) uint8; per patch (16, 16): label (or -1), cell, and scene label of each cell (or -1)."""

    image: np.ndarray
    labels: np.ndarray
    cells: np.ndarray
    scenes: np.ndarray


def load_dense(image: Path, labels: Path, names: dict[int, str], group: str, scale: float) -> Source:
    """An image with a label picture beside it, resized by `scale`."""
    picture = Image.open(image).convert("RGB")
    values = np.asarray(Image.open(labels))
    table = np.full(256, NOTHING, np.int16)
    for value, name in names.items():
        table[value] = LABEL_NAMES.index(name)
    size = (round(picture.width * scale), round(picture.height * scale))
    numbers = Image.fromarray(values).resize(size, Image.Resampling.NEAREST)
    return Source(np.asarray(picture.resize(size, Image.Resampling.LANCZOS)), table[np.asarray(numbers)], group)


def load_sources(data: Path, polygons: Mapping[str, Sequence[Polygon]]) -> list[Source]:
    """All training images of the free sets: UC Merced train, Dubai tiles 1-6, Chesapeake train, drawn polygons."""
    sources = []
    for path in sorted((data / "ucmerced" / "train").glob("*/*.jpg")):
        name = "forest scene" if path.parent.name == "forest" else path.parent.name
        if name.endswith("residential") or name in LABEL_NAMES:
            sources.append(Source(np.asarray(Image.open(path).convert("RGB")), LABEL_NAMES.index(name), "scene"))
    for path in sorted((data / "dubai_dense").glob("tile[1-6]/*.jpg")):
        for scale in (0.6, 1.0):
            labels = path.with_name(path.stem + "_labels.png")
            sources.append(load_dense(path, labels, DUBAI, "dubai", scale))
    for path in sorted((data / "chesapeake_dense" / "train").glob("*_labels.png")):
        image = path.with_name(path.name.replace("_labels", ""))
        sources.append(load_dense(image, path, CHESAPEAKE, "chesapeake", 1.0))
    numbers = {name: number for number, name in enumerate(LABEL_NAMES)}
    for name, shapes in polygons.items():
        picture = Image.open(data / name).convert("RGB")
        group = "chips" if name.startswith("ucmerced") else "towns"
        sources.append(Source(np.asarray(picture), burn(shapes, picture.size, numbers, NOTHING), group))
    return sources


def recolour(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Jitter of light, colour, haze and stretch, as sensors and viewers differ in them; uint8 in, uint8 out."""
    x = image.astype(np.float32) / 255
    if rng.random() < 0.3:
        low, high = np.percentile(x, (2, 98), axis=(0, 1))
        x = (x - low) / np.maximum(high - low, 0.15)
    x = np.clip(x, 0, 1) ** np.exp(rng.normal(0, 0.2))
    tint = 0.15 if rng.random() < 0.3 else 0.05
    x = x * (1 + rng.normal(0, tint, 3)) * np.exp(rng.normal(0, 0.15)) + rng.normal(0, 0.03)
    grey = x.mean(axis=2, keepdims=True)
    x = grey + (x - grey) * np.exp(rng.normal(0, 0.25))
    if rng.random() < 0.25:
        haze = np.array([0.75, 0.8, 0.85]) * rng.uniform(0.6, 1.1)
        x = x + (haze - x) * rng.uniform(0.05, 0.35)
    if rng.random() < 0.2:
        x = x + rng.normal(0, rng.uniform(0.005, 0.03), x.shape)
    return (np.clip(x, 0, 1) * 255).astype(np.uint8)


def cut(source: Source, rows: int, cols: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A random crop of `source` (rows, cols), rescaled, turned, flipped and recoloured, with its label numbers."""
    height, width = source.image.shape[:2]
    smallest = max(rows / height, cols / width)
    low, high = SCALES[source.group]
    if source.group != "scene" and rng.random() < 0.3:
        low, high = high, 2.2 * high  # nothing but water, or but one field: a crop without context
    scale = max(smallest, float(np.exp(rng.uniform(np.log(low), np.log(high)))))
    h, w = min(height, round(rows / scale)), min(width, round(cols / scale))
    top, left = 0, 0
    for _ in range(4):  # a few tries for a crop that has labels in it
        top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
        if isinstance(source.label, int) or (source.label[top : top + h, left : left + w] >= 0).mean() > 0.15:
            break
    box = (top, left, top + h, left + w)
    resample = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    picture = Image.fromarray(source.image[box[0] : box[2], box[1] : box[3]]).resize((cols, rows), resample)
    if rng.random() < 0.15:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    image = recolour(np.asarray(picture), rng)
    if isinstance(source.label, int):
        labels = np.full((rows, cols), source.label, np.int16)
    else:
        part = Image.fromarray(source.label[box[0] : box[2], box[1] : box[3]].astype(np.int32))
        labels = np.asarray(part.resize((cols, rows), Image.Resampling.NEAREST)).astype(np.int16)
    if rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    if rng.random() < 0.5:
        image, labels = image[::-1], labels[::-1]
    if rows == cols and rng.random() < 0.5:
        image, labels = image.transpose(1, 0, 2), labels.T
    return image, labels


def draw_mask(rng: np.random.Generator) -> np.ndarray:
    """A strip or a blob somewhere on the canvas, (224, 224) bool."""
    mask = Image.new("1", (CANVAS, CANVAS), 0)
    pen = ImageDraw.Draw(mask)
    if rng.random() < 0.5:
        ends = [tuple(p) for p in rng.uniform(-30, CANVAS + 30, (3, 2))]
        pen.line(ends, fill=1, width=int(rng.integers(18, 60)), joint="curve")
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, 8))
        radius = rng.uniform(25, 90, 8)
        centre = rng.uniform(30, CANVAS - 30, 2)
        corners = np.stack([np.cos(angles), np.sin(angles)], 1) * radius[:, None] + centre
        pen.polygon([tuple(p) for p in corners], fill=1)
    return np.asarray(mask)


def make_canvas(pools: list[list[Source]], weights: np.ndarray, rng: np.random.Generator) -> Canvas:
    """One canvas: a single crop, a mosaic of two or four cells, or a crop with a strip or blob of another."""

    def pick() -> Source:
        pool = pools[int(rng.choice(len(pools), p=weights))]
        return pool[int(rng.integers(len(pool)))]

    image = np.zeros((CANVAS, CANVAS, 3), np.uint8)
    labels = np.full((CANVAS, CANVAS), NOTHING, np.int16)
    cells = np.zeros((CANVAS, CANVAS), np.int16)
    kind = rng.choice(3, p=(0.3, 0.45, 0.25))
    chosen = []
    if kind == 1:
        rows = [0, int(rng.integers(4, 13)) * PATCH, CANVAS] if rng.random() < 0.8 else [0, CANVAS]
        cols = [0, int(rng.integers(4, 13)) * PATCH, CANVAS]
        for r0, r1 in pairwise(rows):
            for c0, c1 in pairwise(cols):
                source = pick()
                image[r0:r1, c0:c1], labels[r0:r1, c0:c1] = cut(source, r1 - r0, c1 - c0, rng)
                cells[r0:r1, c0:c1] = len(chosen)
                chosen.append(source)
    else:
        chosen = [pick() for _ in range(1 if kind == 0 else int(rng.integers(2, 4)))]
        for number, source in enumerate(chosen):
            part, part_labels = cut(source, CANVAS, CANVAS, rng)
            mask = np.ones((CANVAS, CANVAS), bool) if number == 0 else draw_mask(rng)
            image[mask], labels[mask], cells[mask] = part[mask], part_labels[mask], number
    scenes = np.array([s.label if isinstance(s.label, int) else NOTHING for s in chosen])

    def tiles(plane: np.ndarray) -> np.ndarray:
        return plane.reshape(GRID, PATCH, GRID, PATCH).transpose(0, 2, 1, 3).reshape(GRID * GRID, PATCH * PATCH)

    flat_labels, flat_cells = tiles(labels), tiles(cells)
    patch_labels = np.full(GRID * GRID, NOTHING, np.int16)
    patch_cells = np.full(GRID * GRID, NOTHING, np.int16)
    for i in range(GRID * GRID):
        values, counts = np.unique(flat_labels[i], return_counts=True)
        thin = [n for n, v in enumerate(values) if v in THIN and counts[n] >= THIN_SHARE * PATCH * PATCH]
        best = thin[0] if thin else int(counts.argmax())
        if thin or counts[best] >= 0.6 * PATCH * PATCH:  # a patch that is half and half teaches nothing
            patch_labels[i] = values[best]
            patch_cells[i] = flat_cells[i][flat_labels[i] == values[best]][0]
    return Canvas(image, patch_labels.reshape(GRID, GRID), patch_cells.reshape(GRID, GRID), scenes)
