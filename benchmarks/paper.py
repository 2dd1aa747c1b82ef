"""`lposs-geo bench` for the `paper` pair with random weights: as fast as trained ones, and nothing to download.

    python benchmarks/paper.py [--side 4000] [--device cuda] [--json]

The weights go through files and the same loaders as real ones. On a GPU the encoders compute in bfloat16. What counts:
how near mapping comes to the encoders alone, and the encoders to the rate of a large matrix product.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import open_clip
import timm
from safetensors.torch import save_file

from lposs_geo import bench, models
from lposs_geo.memory import parse_size


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=4000, help="px of the invented scene")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--max-memory", type=parse_size, default=parse_size("4GB"))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        clip = open_clip.create_model("ViT-B-16")
        save_file({key: tensor.clone() for key, tensor in clip.state_dict().items()}, folder / "clip.safetensors")
        vit = timm.create_model("vit_base_patch16_224.dino", num_classes=0)
        save_file(vit.state_dict(), folder / "vit.safetensors")
        pair = models.pair(
            f"open_clip:ViT-B-16@{folder / 'clip.safetensors'}",
            f"timm:vit_base_patch16_224.dino@{folder / 'vit.safetensors'}",
        )
        scene = bench.invented_scene(folder / "invented.tif", args.side)
        report = bench.measure(scene, model=pair, device=args.device, max_memory=args.max_memory)
    print(json.dumps(asdict(report), indent=1) if args.json else bench.table(report))


if __name__ == "__main__":
    main()
