"""Labelling an image in memory, all at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo import lposs
from lposs_geo.encoders.encoder import Encoder
from lposs_geo.errors import ParameterError
from lposs_geo.legend.legend import Legend
from lposs_geo.stages.encode import encode_image
from lposs_geo.stages.label import decide
from lposs_geo.stages.propagate import SCENE_PARAMETERS, patch_scores, sample_scores
from lposs_geo.stages.task import embed

__all__ = ["Segmentation", "segment"]


@dataclass(frozen=True)
class Segmentation:
    """An image that was labelled in memory.

    Attributes
    ----------
    labels : (rows, cols) uint8
        1 to n in legend order, 0 where unknown.
    probabilities : (classes, rows, cols) float32
        0..1, with sum 1.
    legend : Legend
    """

    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    legend: Legend


def segment(
    encoder: Encoder,
    image: NDArray[np.float32] | NDArray[np.uint8],
    legend: Legend,
    gsd: float | None = None,
    refine: bool = True,
) -> Segmentation:
    """Label an image, (3, rows, cols), as `Mapper.segment` tells."""
    pixels = _as_rgb(image)
    words = embed(legend, encoder)
    features = encode_image(pixels, encoder, zoom=encoder.zoom(gsd))
    lattice_scores = patch_scores(features, words.text, encoder, num_rivals=len(words.rivals))
    whole = Window(0, 0, pixels.shape[2], pixels.shape[1])
    scores = sample_scores(lattice_scores, features[-1], whole, encoder.device)
    if refine:
        scores = lposs.refine(torch.from_numpy(pixels).to(encoder.device), scores, SCENE_PARAMETERS)
    labels, shares = decide(scores, words, encoder.confidence_power, of_all=True)
    return Segmentation(labels.cpu().numpy(), shares[1:].cpu().numpy(), legend)


def _as_rgb(image: NDArray[np.float32] | NDArray[np.uint8]) -> NDArray[np.float32]:
    if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape:
        raise ParameterError(f"image must be (3, rows, cols), not {tuple(image.shape)}")
    if image.dtype == np.uint8:
        return (image / np.float32(255)).astype(np.float32)
    if not np.issubdtype(image.dtype, np.floating) or not (image.min() >= 0 and image.max() <= 1):
        raise ParameterError("image must be uint8, or floating point from 0 to 1")
    return np.ascontiguousarray(image, dtype=np.float32)
