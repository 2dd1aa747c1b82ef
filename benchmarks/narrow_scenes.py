"""Whether a scene narrower than a crop is better shown as it is, or mirrored to a full crop.

Strips are cut out of the bundled scene. The class that each of their patches resembles most is compared with the one
that the same pixels get in a full crop around them, which sees what lies beside the strip.

    python benchmarks/narrow_scenes.py [--strips N]

It prints, for each width and zoom, the share of patches that agree: mirrored to the size of a crop, and as they are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from rasterio.windows import Window

from lposs_geo import encoders, models
from lposs_geo.encoders.encoder import Encoder
from lposs_geo.scene import describe, open_scene

LAKESIDE = Path(__file__).parents[1] / "examples" / "lakeside.tif"
WORDS = ("water", "forest", "crop field", "road", "building")


def classes(encoder: Encoder, text: torch.Tensor, image: np.ndarray) -> np.ndarray:
    """The class (rows, cols) that each patch of an image (3, height, width) resembles most."""
    with torch.inference_mode():
        features = encoder.patch_features(torch.from_numpy(np.ascontiguousarray(image))[None]).vlm[0]
        return (features.permute(1, 2, 0) @ text.T).argmax(-1).numpy()


def agreement(encoder: Encoder, picture: np.ndarray, width: int, strips: int) -> tuple[float, float]:
    """Shares of patches of strips of a width that agree with their context: mirrored, and as they are."""
    size, patch = encoder.crop_size, encoder.patch_size
    text = encoder.text_embeddings([[word] for word in WORDS])
    rng, agreed = np.random.default_rng(0), np.zeros(2)
    beside = (size - width) // 2 // patch  # patches of the full crop to the left of the strip
    for _ in range(strips):
        top = int(rng.integers(0, picture.shape[1] - size))
        left = int(rng.integers(beside * patch, picture.shape[2] - size))
        crop = picture[:, top : top + size, left - beside * patch : left - beside * patch + size]
        strip = picture[:, top : top + size, left : left + width]
        mirrored = np.pad(strip, ((0, 0), (0, 0), (0, size - width)), mode="symmetric")
        cols = width // patch
        expected = classes(encoder, text, crop)[:, beside : beside + cols]
        for way, image in enumerate((mirrored, strip)):
            agreed[way] += (classes(encoder, text, image)[:, :cols] == expected).mean()
    return float(agreed[0] / strips), float(agreed[1] / strips)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strips", type=int, default=25)
    args = parser.parse_args()
    encoder = encoders.load(models.find("mini"), torch.device("cpu"))
    scene = describe(LAKESIDE)
    with open_scene(scene) as reader:
        image, _ = reader.read(Window(0, 0, scene.grid.width, scene.grid.height))
    print(f"{'zoom':>4} {'px':>4} {'mirrored':>9} {'as it is':>9}")
    for zoom in (1, 2):
        picture = image.repeat(zoom, axis=1).repeat(zoom, axis=2)
        for width in (28, 56, 112, 168):
            mirrored, narrow = agreement(encoder, picture, width, args.strips)
            print(f"{zoom:>4} {width:>4} {mirrored:>9.3f} {narrow:>9.3f}")


if __name__ == "__main__":
    main()
