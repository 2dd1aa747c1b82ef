"""How long `mini` takes to encode a scene, as a share of what the `paper` pair takes in the same run.

    python benchmarks/encoders.py [SCENE]

The pair has random weights of the real sizes: they take as long as trained ones, and need no download. Both encode the
scene as `lposs-geo map` would: all its crops, at the resolution that suits the model.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import open_clip
import timm
import torch

from lposs_geo import encoders, models
from lposs_geo.encoders.pair import PairEncoder
from lposs_geo.scene.description import describe
from lposs_geo.scene.reader import open_scene
from lposs_geo.stages.encode import encode_scene
from lposs_geo.stages.looks import looks_at
from lposs_geo.store.journal import open_journal

ROUNDS = 3


def paper_pair(device: torch.device) -> PairEncoder:
    """The `paper` pair with random weights."""
    clip = open_clip.create_model("ViT-B-16").to(device).eval()
    vit = timm.create_model("vit_base_patch16_224.dino", num_classes=0, dynamic_img_size=True).to(device).eval()
    return PairEncoder(clip, open_clip.get_tokenizer("ViT-B-16"), vit, device, patch_size=16, crop_size=224, stride=112)


def main() -> None:
    """Run from the command line."""
    path = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "examples" / "lakeside.tif"
    scene = describe(path)
    megapixels = scene.grid.height * scene.grid.width / 1e6
    device = encoders.choose_device("auto")
    contestants = {"mini": encoders.load(models.find("mini"), device), "paper": paper_pair(device)}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    with open_scene(scene) as reader:
        for _ in range(ROUNDS):  # in turns, so that both meet the same noise
            for name, encoder in contestants.items():
                with tempfile.TemporaryDirectory() as folder, open_journal(Path(folder)) as journal:
                    shape = scene.grid.height, scene.grid.width
                    looks = looks_at(shape, encoder, encoder.zoom(scene.grid.gsd))
                    steps = encode_scene(reader, encoder, looks, journal)
                    seconds[name].append(sum(step.seconds for step in steps))
    print(f"{scene.name}, {megapixels:.2f} Mpx, {device}, {torch.get_num_threads()} threads, best of {ROUNDS}")
    for name, encoder in contestants.items():
        best = min(seconds[name])
        sizes = " and ".join(f"{encoder.zoom(scene.grid.gsd) * scale:g}" for scale in encoder.scales)
        print(f"{name:6s} {best:7.2f} s  {best / megapixels:7.2f} s/Mpx  seen at {sizes} times its size")
    print(f"mini / paper {min(seconds['mini']) / min(seconds['paper']):.3f}")


if __name__ == "__main__":
    main()
