"""Whether scenes lose accuracy by how LPOSS+ is run on them: the paper's own form against ours, on labelled images.

    python training/compare_forms.py --build training/build --weights lposs_geo/weights/mini

The paper's form: the patches of all crops are nodes, several to a place where crops overlap; four times the neighbours,
sought everywhere; 10 steps of conjugate gradients in both stages. Ours: one node to a place, neighbours within the
search radius, Chebyshev iteration, the pixel stage from an even start. Both see each image once, at its own size, in
crops that overlap by half, with the same encoder.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from evaluate import Tally, benchmarks, planes

from lposs_geo import lposs
from lposs_geo.encoders.mini import MiniEncoder
from lposs_geo.stages.encode import encode_image
from lposs_geo.stages.propagate import SCENE_PARAMETERS, parameters_for, patch_scores


@torch.inference_mode()
def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--window", type=int, help="only the central px of each image (faster)")
    args = parser.parse_args()
    encoder = MiniEncoder.load(args.weights, torch.device("cpu"))
    encoder = replace(encoder, scales=(1.0,), stride=encoder.crop_size // 2)
    ours = parameters_for(encoder)
    paper = lposs.Parameters(n_neighbors=4 * ours.n_neighbors, gamma=ours.gamma)
    for benchmark in benchmarks(args.build / "data", args.window):
        words = benchmark.words
        text = encoder.text_embeddings([[word] for word in words])
        tallies = {"the paper's form": Tally(len(words)), "ours": Tally(len(words))}
        equal = total = 0
        for example in benchmark.examples:
            image = torch.from_numpy(example.image)
            features = encode_image(example.image, encoder)
            rough = planes(patch_scores(features, text, encoder), features[-1], example.labels.shape)
            found = {
                "the paper's form": lposs.segment(image, encoder, [[word] for word in words], parameters=paper),
                "ours": lposs.refine(image, rough, SCENE_PARAMETERS),
            }
            answers = {form: scores.argmax(dim=0).numpy() for form, scores in found.items()}
            for form, answer in answers.items():
                tallies[form].add(example.labels, answer, benchmark.boundaries)
            first, second = answers.values()
            equal += int((first == second).sum())
            total += first.size
        for form, tally in tallies.items():
            tally.report(f"{benchmark.name}: {form}", words)
        print(f"{benchmark.name}: labels equal on {equal / total:.1%}", flush=True)


if __name__ == "__main__":
    main()
