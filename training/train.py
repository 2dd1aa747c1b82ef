"""Train the head of `mini` on the frozen trunk: patch tokens -> text space.

    python training/train.py --build training/build --weights lposs_geo/weights/mini

Tokens of all canvases are computed once; the head then sees them many times.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from canvases import NOTHING, load_sources, make_canvas
from concepts import COARSE, CONCEPTS, FINE, LABEL_NAMES, LABELS, UC_MERCED_WORDS, WORDS
from safetensors.torch import save_file
from torch.nn import functional as F

from lposs_geo.encoders.mini import Head, HeadConfig, load_trunk, trunk_tokens
from lposs_geo.encoders.words import WordEncoder

GROUP_WEIGHTS = {"scene": 0.46, "dubai": 0.22, "chesapeake": 0.07, "drawn": 0.25}
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


def read_polygons(folder: Path, data: Path) -> dict[Path, list[tuple[str, list[tuple[float, float]]]]]:
    """The polygons drawn by hand: ``<image name>.json`` holds a list of [label, [[x, y], ...]] in px."""
    result = {}
    for path in sorted(folder.glob("*.json")):
        shapes = json.loads(path.read_text())
        if shapes["use"] == "train":
            corners = [(name, [(x, y) for x, y in points]) for name, points in shapes["polygons"]]
            result[data / "quickbird_unlabelled" / shapes["image"]] = corners
    return result


def cache_tokens(
    trunk: torch.nn.Module, blocks: tuple[int, ...], data: Path, polygons: Path, count: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens (count, 256, blocks, 384) bfloat16, patch labels and cells (count, 256), scenes (count, MAX_CELLS)."""
    rng = np.random.default_rng(seed)
    sources = load_sources(data, read_polygons(polygons, data))
    groups = [g for g in GROUP_WEIGHTS if any(s.group == g for s in sources)]
    weights = np.array([GROUP_WEIGHTS[g] for g in groups])
    pools = [[s for s in sources if s.group == g] for g in groups]
    print({g: len(p) for g, p in zip(groups, pools, strict=True)}, flush=True)
    tokens = torch.empty(count, 256, len(blocks), 384, dtype=torch.bfloat16)
    labels = torch.empty(count, 256, dtype=torch.long)
    cells = torch.empty(count, 256, dtype=torch.long)
    scenes = torch.full((count, MAX_CELLS), NOTHING)
    start = time.time()
    for first in range(0, count, 16):
        batch = [make_canvas(pools, weights / weights.sum(), rng) for _ in range(min(16, count - first))]
        images = torch.from_numpy(np.stack([c.image for c in batch])).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            found = trunk_tokens(trunk, images, blocks)
        for i, canvas in enumerate(batch):
            tokens[first + i] = torch.stack([found[b][i].flatten(0, 1) for b in blocks], dim=1)
            labels[first + i] = torch.from_numpy(canvas.labels.astype(np.int64).ravel())
            cells[first + i] = torch.from_numpy(canvas.cells.astype(np.int64).ravel())
            scenes[first + i, : len(canvas.scenes)] = torch.from_numpy(canvas.scenes)
        if first % 800 == 0:
            print(f"{first} canvases, {time.time() - start:.0f} s", flush=True)
    return tokens, labels, cells, scenes


def partial_loss(logits: torch.Tensor, relation: torch.Tensor) -> torch.Tensor:
    """-log of the probability of the right columns among the right and the wrong ones; (n, C) each -> (n,)."""
    unsure = logits.masked_fill(relation == 0, -1e4)
    right = logits.masked_fill(relation != 1, -1e4)
    return unsure.logsumexp(dim=1) - right.logsumexp(dim=1)


def train_head(
    head: Head,
    log_scale: torch.nn.Parameter,
    words: WordEncoder,
    cache: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
    columns: list[int],
    steps: int,
    batch: int = 24,
    seed: int = 0,
    dropout: float = 0.05,
) -> None:
    """Fit `head` and the scale in place; `columns` are the cached blocks that the head reads."""
    tokens, labels, cells, scenes = cache
    rng = np.random.default_rng(seed)
    patch_relation, scene_relation = relations()
    embeddings = {concept: words.embed(names).clone() for concept, names in WORDS.items()}
    scene_bank = words.embed(list(UC_MERCED_WORDS.values())).clone()
    scene_labels = [LABEL_NAMES.index("forest scene" if n == "forest" else n) for n in UC_MERCED_WORDS]
    # rare labels count more, by the square root, so that fields and sand don't drown roads
    counts = torch.bincount(labels[labels >= 0], minlength=len(LABEL_NAMES)).float()
    label_weight = (counts.sum() / counts.clamp(min=500)).sqrt()
    for name, factor in LABEL_FACTORS.items():
        label_weight[LABEL_NAMES.index(name)] *= factor
    label_weight /= (label_weight * counts).sum() / counts.sum()
    parameters = [{"params": head.parameters(), "weight_decay": 0.02}, {"params": [log_scale], "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(parameters, lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=steps, pct_start=0.1)
    start = time.time()
    for step in range(steps):
        chosen = torch.from_numpy(rng.integers(len(labels), size=batch))
        # bare words, one for each concept, another one each time
        bank = torch.stack([embeddings[c][int(rng.integers(len(WORDS[c])))] for c in CONCEPTS])
        dropped = FINE if rng.random() < 0.35 else (COARSE,)
        known = torch.tensor([c not in dropped for c in CONCEPTS])
        with torch.autocast("cpu", torch.bfloat16):
            # some channels go missing, so that no single one decides
            out = head([F.dropout(tokens[chosen, :, k], dropout) for k in columns])
        logits = log_scale.exp() * out @ bank.T
        flat = labels[chosen].flatten()
        relation = patch_relation[flat].where(known, 0)
        usable = (flat >= 0) & (relation == 1).any(dim=1)
        losses = partial_loss(logits.flatten(0, 1)[usable], relation[usable])
        weight = label_weight[flat[usable]]
        loss = (losses * weight).sum() / weight.sum()
        pooled, kinds, named, names = [], [], [], []
        scene_logits = log_scale.exp() * out @ scene_bank.T
        for cell in range(MAX_CELLS):
            inside = (cells[chosen] == cell) & (scenes[chosen, cell] >= 0)[:, None]
            for i in torch.nonzero(inside.sum(dim=1) >= 8).flatten():
                part = logits[i][inside[i]]
                pooled.append(part.logsumexp(dim=0) - np.log(len(part)))
                kinds.append(scenes[chosen[i], cell])
                if len(part) >= 100:  # large enough to tell a freeway from an intersection
                    scene = scene_logits[i][inside[i]]
                    named.append(scene.logsumexp(dim=0) - np.log(len(part)))
                    names.append(scene_labels.index(int(kinds[-1])))
        relation = scene_relation[torch.stack(kinds)].where(known, 0)
        usable = (relation == 1).any(dim=1)
        scene_loss = partial_loss(torch.stack(pooled)[usable], relation[usable]).mean()
        name_loss = F.cross_entropy(torch.stack(named), torch.tensor(names)) if named else loss.new_zeros(())
        optimiser.zero_grad()
        (loss + 0.4 * scene_loss + 0.15 * name_loss).backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            print(
                f"{step} patches {loss:.3f} scenes {scene_loss:.3f} names {name_loss:.3f} "
                f"scale {log_scale.exp().item():.1f} {time.time() - start:.0f} s",
                flush=True,
            )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--labels", type=Path, default=Path(__file__).parent / "labels")
    parser.add_argument("--canvases", type=int, default=7000)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--blocks", type=int, nargs="+", default=(4, 8, 10))
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--cache", type=Path, help="keep the tokens here between runs")
    args = parser.parse_args()
    blocks = tuple(args.blocks)

    if args.cache and args.cache.exists():
        cached_blocks, *cache = torch.load(args.cache, mmap=True)
    else:
        trunk = load_trunk(args.weights / "trunk.safetensors")
        cached_blocks = blocks
        cache = cache_tokens(trunk, blocks, args.build / "data", args.labels, args.canvases, seed=3)
        if args.cache:
            torch.save([cached_blocks, *cache], args.cache)
    torch.manual_seed(0)
    words = WordEncoder.load(args.weights, torch.device("cpu"))
    head = Head(len(blocks), args.hidden)
    log_scale = torch.nn.Parameter(torch.tensor(np.log(20.0), dtype=torch.float32))
    train_head(head, log_scale, words, tuple(cache), [cached_blocks.index(b) for b in blocks], args.steps)
    config = HeadConfig(blocks, args.hidden, log_scale.exp().item(), vm_block=7, vm_kind="value")
    state = {name: tensor.detach().half().contiguous() for name, tensor in head.state_dict().items()}
    save_file(state, args.weights / "head.safetensors", config.to_metadata())
    (args.weights / "head.safetensors").chmod(0o644)  # safetensors writes files that only their owner can read


if __name__ == "__main__":
    main()
