"""Train the head of `mini` on the frozen trunk: patch tokens -> text space.

    python training/train.py --build training/build --weights lposs_geo/weights/mini

Tokens of all canvases are computed once; the head then sees them many times.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from canvases import NOTHING, Source, load_sources, make_canvas
from concepts import COARSE, CONCEPTS, FINE, LABEL_NAMES, LABELS, UC_MERCED_WORDS, WORDS
from polygons import drawn_for
from safetensors.torch import save_file
from torch.nn import functional as F

from lposs_geo.encoders.mini import Head, HeadConfig, load_trunk, normalise
from lposs_geo.encoders.words import WordEncoder, read_tensors

GROUP_WEIGHTS = {"scene": 0.34, "dubai": 0.2, "chesapeake": 0.06, "towns": 0.15, "chips": 0.25}
"""How often each kind of image is drawn."""
LABEL_FACTORS = {
    "building": 2.0,
    "dubai vegetation": 2.0,
    "road": 0.7,
    "freeway": 0.7,
    "buildings": 0.5,
    **dict.fromkeys(("parkinglot", "intersection", "mobilehomepark"), 0.6),
    **dict.fromkeys(("denseresidential", "mediumresidential", "sparseresidential"), 0.6),
}
"""Beside the weight by rarity: roofs lose against roads and gardens against roofs otherwise, and scenes that hold both
say less than pixel labels do."""
MAX_CELLS = 4
DROPOUT = 0.05
VM_BLOCK, VM_KIND = 7, "value"
"""Where the VM features are read: see README."""


def relations() -> tuple[torch.Tensor, torch.Tensor]:
    """For each label and concept: 1 right, 0 unsure, -1 wrong; for patches, and for whole scenes."""
    patch = torch.full((len(LABEL_NAMES), len(CONCEPTS)), -1)
    scene = patch.clone()
    for row, label in enumerate(LABELS.values()):
        for concept in (*label.allowed, *label.unsure):
            patch[row, CONCEPTS.index(concept)] = scene[row, CONCEPTS.index(concept)] = 0
        for concept in label.allowed:
            patch[row, CONCEPTS.index(concept)] = 1
        if label.name:
            scene[row, CONCEPTS.index(label.name)] = 1
    return patch, scene


@dataclass(frozen=True)
class Cache:
    """What the frozen part of the trunk makes of `count` canvases.

    `entry` (count, 257, 384) bfloat16 are the tokens that enter the first block to be trained, class token first;
    `shallow` (count, 256, n, 384) bfloat16 those that the head reads of frozen blocks; `labels` and `cells`
    (count, 256) and `scenes` (count, MAX_CELLS) are the canvases' own.
    """

    entry: torch.Tensor
    shallow: torch.Tensor
    labels: torch.Tensor
    cells: torch.Tensor
    scenes: torch.Tensor


def fill_cache(
    trunk: torch.nn.Module, shallow: Sequence[int], entry: int, sources: list[Source], count: int, seed: int
) -> Cache:
    """Make canvases and run them up to block `entry` (counted from 1, not included)."""
    rng = np.random.default_rng(seed)
    groups = [g for g in GROUP_WEIGHTS if any(s.group == g for s in sources)]
    weights = np.array([GROUP_WEIGHTS[g] for g in groups])
    pools = [[s for s in sources if s.group == g] for g in groups]
    print({g: len(p) for g, p in zip(groups, pools, strict=True)}, flush=True)
    cache = Cache(
        torch.empty(count, 257, 384, dtype=torch.bfloat16),
        torch.empty(count, 256, len(shallow), 384, dtype=torch.bfloat16),
        torch.empty(count, 256, dtype=torch.long),
        torch.empty(count, 256, dtype=torch.long),
        torch.full((count, MAX_CELLS), NOTHING),
    )
    start = time.time()
    for first in range(0, count, 16):
        batch = [make_canvas(pools, weights / weights.sum(), rng) for _ in range(min(16, count - first))]
        images = torch.from_numpy(np.stack([c.image for c in batch])).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            wanted = sorted({*shallow, entry - 1})
            found = trunk.forward_intermediates(
                normalise(images), indices=[b - 1 for b in wanted], return_prefix_tokens=True, output_fmt="NLC",
                stop_early=True, intermediates_only=True,
            )  # fmt: skip
        tokens = {b: (prefix, patches) for b, (patches, prefix) in zip(wanted, found, strict=True)}
        rows = slice(first, first + len(batch))
        cache.entry[rows] = torch.cat(tokens[entry - 1], dim=1)
        for column, block in enumerate(shallow):
            cache.shallow[rows, :, column] = tokens[block][1]
        for i, canvas in enumerate(batch, start=first):
            cache.labels[i] = torch.from_numpy(canvas.labels.astype(np.int64).ravel())
            cache.cells[i] = torch.from_numpy(canvas.cells.astype(np.int64).ravel())
            cache.scenes[i, : len(canvas.scenes)] = torch.from_numpy(canvas.scenes)
        if first % 800 == 0:
            print(f"{first} canvases, {time.time() - start:.0f} s", flush=True)
    return cache


def partial_loss(logits: torch.Tensor, relation: torch.Tensor) -> torch.Tensor:
    """-log of the probability of the right columns among the right and the wrong ones; (n, C) each -> (n,)."""
    unsure = logits.masked_fill(relation == 0, -1e4)
    right = logits.masked_fill(relation != 1, -1e4)
    return unsure.logsumexp(dim=1) - right.logsumexp(dim=1)


def known_words() -> tuple[str, ...]:
    """Every word that training asks for."""
    return tuple(sorted({word for words in WORDS.values() for word in words} | set(UC_MERCED_WORDS.values())))


@dataclass(frozen=True)
class Targets:
    """What the loss compares with: relations of labels and concepts, words, and how much each label counts."""

    patch_relation: torch.Tensor
    scene_relation: torch.Tensor
    embeddings: dict[str, torch.Tensor]
    scene_bank: torch.Tensor
    scene_labels: list[int]
    label_weight: torch.Tensor

    @classmethod
    def build(cls, words: WordEncoder, labels: torch.Tensor) -> Targets:
        """Targets for canvases with these patch labels."""
        # rare labels count more, by the square root, so that fields and sand don't drown roads
        counts = torch.bincount(labels[labels >= 0], minlength=len(LABEL_NAMES)).float()
        weight = (counts.sum() / counts.clamp(min=500)).sqrt()
        for name, factor in LABEL_FACTORS.items():
            weight[LABEL_NAMES.index(name)] *= factor
        patch_relation, scene_relation = relations()
        return cls(
            patch_relation,
            scene_relation,
            {concept: words.embed(names).clone() for concept, names in WORDS.items()},
            words.embed(list(UC_MERCED_WORDS.values())).clone(),
            [LABEL_NAMES.index("forest scene" if name == "forest" else name) for name in UC_MERCED_WORDS],
            weight / ((weight * counts).sum() / counts.sum()),
        )


def batch_loss(
    out: torch.Tensor,
    scale: torch.Tensor,
    targets: Targets,
    cache: Cache,
    chosen: torch.Tensor,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Loss of a batch of canvases (see README): patches, the scenes they come from, and those scenes' own names."""
    # bare words, one for each concept, another one each time
    bank = torch.stack([targets.embeddings[c][int(rng.integers(len(WORDS[c])))] for c in CONCEPTS])
    dropped = FINE if rng.random() < 0.35 else (COARSE,)
    known = torch.tensor([c not in dropped for c in CONCEPTS])
    logits = scale * out @ bank.T
    scene_logits = scale * out @ targets.scene_bank.T
    flat = cache.labels[chosen].flatten()
    relation = targets.patch_relation[flat].where(known, 0)
    usable = (flat >= 0) & (relation == 1).any(dim=1)
    weight = targets.label_weight[flat[usable]]
    loss = (partial_loss(logits.flatten(0, 1)[usable], relation[usable]) * weight).sum() / weight.sum()
    pooled, kinds, named, names = [], [], [], []
    for cell in range(MAX_CELLS):
        inside = (cache.cells[chosen] == cell) & (cache.scenes[chosen, cell] >= 0)[:, None]
        for i in torch.nonzero(inside.sum(dim=1) >= 8).flatten():
            part = logits[i][inside[i]]
            pooled.append(part.logsumexp(dim=0) - np.log(len(part)))
            kinds.append(cache.scenes[chosen[i], cell])
            if len(part) >= 100:  # large enough to tell a freeway from an intersection
                scene = scene_logits[i][inside[i]]
                named.append(scene.logsumexp(dim=0) - np.log(len(part)))
                names.append(targets.scene_labels.index(int(kinds[-1])))
    if pooled:
        relation = targets.scene_relation[torch.stack(kinds)].where(known, 0)
        usable = (relation == 1).any(dim=1)
        if usable.any():
            loss = loss + 0.4 * partial_loss(torch.stack(pooled)[usable], relation[usable]).mean()
    if named:
        loss = loss + 0.15 * F.cross_entropy(torch.stack(named), torch.tensor(names))
    return loss


def train(
    trunk: torch.nn.Module,
    head: Head,
    log_scale: torch.nn.Parameter,
    targets: Targets,
    cache: Cache,
    blocks: Sequence[int],
    entry: int,
    *,
    steps: int,
    batch: int = 24,
    block_rate: float = 1e-4,
    seed: int = 0,
) -> None:
    """Fit the head, the scale and the trunk's blocks from `entry` on, in place; rate 0 leaves the blocks alone."""
    rng = np.random.default_rng(seed)
    trained: Any = trunk.blocks[entry - 1 :]
    parameters = [
        {"params": head.parameters(), "weight_decay": 0.02},
        {"params": [log_scale], "weight_decay": 0.0},
        {"params": trained.parameters(), "weight_decay": 0.05},
    ]
    optimiser = torch.optim.AdamW(parameters, lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [1e-3, 1e-3, block_rate or 1e-9], steps, pct_start=0.1)
    trained.requires_grad_(block_rate > 0)
    shallow = [block for block in blocks if block < entry]
    start, recent = time.time(), 0.0
    for step in range(steps):
        chosen = torch.from_numpy(rng.integers(len(cache.labels), size=batch))
        with torch.autocast("cpu", torch.bfloat16):
            tokens = {b: cache.shallow[chosen, :, column] for column, b in enumerate(shallow)}
            hidden = cache.entry[chosen].float()
            for number, block in enumerate(trained, start=entry):
                hidden = block(hidden)
                tokens[number] = hidden[:, 1:]
            # some channels go missing, so that no single one decides
            out = head([F.dropout(tokens[b], DROPOUT) for b in blocks])
        loss = batch_loss(out, log_scale.exp(), targets, cache, chosen, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        recent += loss.item()
        if (step + 1) % 100 == 0:
            print(
                f"{step + 1} loss {recent / 100:.3f} scale {log_scale.exp().item():.1f} {time.time() - start:.0f} s",
                flush=True,
            )
            recent = 0.0


def save(
    weights: Path,
    source: Path,
    trunk: torch.nn.Module,
    head: Head,
    scale: float,
    words: WordEncoder,
    blocks: tuple[int, ...],
    entry: int,
) -> None:
    """Write ``trunk.safetensors``, what was left as it was in `source`, and ``head.safetensors``, what was trained."""
    metadata, original = read_tensors(source)
    later = tuple(f"blocks.{number}." for number in range(entry - 1, int(metadata["blocks"])))
    known = known_words()
    config = HeadConfig(blocks, head.inner.out_features, scale, VM_BLOCK, VM_KIND, known)
    trained = {f"trunk.{name}": tensor for name, tensor in trunk.state_dict().items() if name.startswith(later)}
    trained |= {f"head.{name}": tensor for name, tensor in head.state_dict().items()}
    trained["known"] = words.embed(known)
    files = {
        "trunk": ({name: tensor for name, tensor in original.items() if not name.startswith(later)}, metadata),
        "head": ({name: tensor.detach().half().contiguous() for name, tensor in trained.items()}, config.to_metadata()),
    }
    for name, (state, about) in files.items():
        path = weights / f"{name}.safetensors"
        save_file(state, path, about)
        path.chmod(0o644)  # safetensors writes files that only their owner can read


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument(
        "--weights", type=Path, required=True, help="the folder with trunk and words; the head goes there"
    )
    parser.add_argument("--canvases", type=int, default=10000)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--blocks", type=int, nargs="+", default=(4, 8, 10))
    parser.add_argument("--entry", type=int, default=8, help="the first block to be trained")
    parser.add_argument("--block-rate", type=float, default=1e-4, help="learning rate of the blocks; 0 leaves them")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--cache", type=Path, help="keep the tokens here between runs")
    args = parser.parse_args()
    blocks = tuple(args.blocks)

    trunk = load_trunk(args.build / "trunk.safetensors")
    if args.cache and args.cache.exists():
        cache = Cache(**torch.load(args.cache, mmap=True))
    else:
        shallow = [block for block in blocks if block < args.entry]
        sources = load_sources(args.build / "data", drawn_for("train"))
        cache = fill_cache(trunk, shallow, args.entry, sources, args.canvases, seed=3)
        if args.cache:
            torch.save(asdict(cache), args.cache)
    torch.manual_seed(0)
    words = WordEncoder.load(args.weights, torch.device("cpu"))
    head = Head(len(blocks), args.hidden)
    log_scale = torch.nn.Parameter(torch.tensor(np.log(20.0), dtype=torch.float32))
    train(
        trunk,
        head,
        log_scale,
        Targets.build(words, cache.labels),
        cache,
        blocks,
        args.entry,
        steps=args.steps,
        block_rate=args.block_rate,
    )
    save(args.weights, args.build / "trunk.safetensors", trunk, head, log_scale.exp().item(), words, blocks, args.entry)


if __name__ == "__main__":
    main()
