"""LPOSS and LPOSS+, as the paper has them: one image in memory, words in, class scores out.

Stojnic, Kalantidis, Matas, Tolias: LPOSS: Label Propagation over Patches and Pixels for Open-Vocabulary Semantic
Segmentation (CVPR 2025). `mapping` runs the same two stages over scenes of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from lposs_geo.encoders.encoder import Encoder
from lposs_geo.graph.patches import patch_affinity
from lposs_geo.graph.pixels import pixel_affinity
from lposs_geo.propagation import Solver, propagate
from lposs_geo.tiling import crop_starts

__all__ = [
    "BATCH_SIZE",
    "Parameters",
    "crop_positions",
    "probabilities",
    "propagate_patches",
    "refine",
    "seeds",
    "segment",
    "stitch",
]

BATCH_SIZE = 16
"""Crops encoded at once: enough to keep two cores or a GPU busy, small enough for any memory."""


@dataclass(frozen=True)
class Parameters:
    """The method's numbers; the defaults are the paper's.

    Attributes
    ----------
    n_neighbors : int
        Neighbours of a patch.
    gamma, sigma : float
        Sharpness of patch similarity; its decay per px.
    radius : int
        Half-width of a pixel's neighbourhood, px.
    tau : float
        Colour distance at which a pixel affinity falls to 1/e.
    alpha : float
        Share of a score that comes from the neighbours.
    search_radius : float or None
        Patch neighbours are sought within this distance, px; None seeks everywhere.
    solver : {"chebyshev", "cg"}
    num_steps : int or None
        Solver steps; None is the solver's default.
    pixel_steps : int or None
        Those of the pixel stage, where it has its own.
    even_start : bool
        Begin the pixel stage with the solution of even scores instead of zero.
    """

    n_neighbors: int = 400
    gamma: float = 3.0
    sigma: float = 0.01
    radius: int = 6
    tau: float = 0.01
    alpha: float = 0.95
    search_radius: float | None = None
    solver: Solver = "cg"
    num_steps: int | None = None
    pixel_steps: int | None = None
    even_start: bool = False


PAPER = Parameters()


@torch.inference_mode()
def segment(
    image: torch.Tensor,
    encoder: Encoder,
    prompts: Sequence[Sequence[str]],
    *,
    pixels: bool = True,
    parameters: Parameters = PAPER,
) -> torch.Tensor:
    """Score every pixel of an image for every class.

    With a `PairEncoder` this is the paper to the letter; `mini` has seeds of its own kind (see `seeds`).

    Parameters
    ----------
    image : torch.Tensor
        (3, H, W) RGB in 0..1.
    encoder : Encoder
        VLM and VM.
    prompts : sequence of sequences of str
        One list of words per class.
    pixels : bool
        LPOSS+ with the pixel stage, or plain LPOSS.
    parameters : Parameters

    Returns
    -------
    torch.Tensor
        (C, H, W) scores on the encoder's device; the largest one names the class.
    """
    image = image.to(encoder.device, torch.float32)
    height, width = image.shape[1:]
    size = encoder.crop_size
    padded = _pad_to(image, size)
    starts = [
        (row, col)
        for row in crop_starts(padded.shape[1], size, encoder.stride)
        for col in crop_starts(padded.shape[2], size, encoder.stride)
    ]
    crops = torch.stack([padded[:, row : row + size, col : col + size] for row, col in starts])
    features = [encoder.patch_features(batch) for batch in crops.split(BATCH_SIZE)]
    vlm = torch.cat([batch.vlm for batch in features]).permute(0, 2, 3, 1)
    vm = torch.cat([batch.vm for batch in features]).permute(0, 2, 3, 1)
    text = encoder.text_embeddings(prompts).to(vlm.device)
    scores = propagate_patches(
        vm.flatten(0, 2),
        seeds(vlm.flatten(0, 2), text, encoder.seed_scale),
        crop_positions(starts, vm.shape[1], encoder.patch_size).to(vm.device),
        parameters,
    )
    per_crop = scores.unflatten(0, vm.shape[:3]).permute(0, 3, 1, 2)
    stitched = stitch(per_crop, starts, size, (padded.shape[1], padded.shape[2]))[:, :height, :width]
    return refine(image, stitched, parameters) if pixels else stitched


def crop_positions(starts: Sequence[tuple[int, int]], patches_per_crop: int, patch_size: int) -> torch.Tensor:
    """Centres (crops * rows * cols, 2) in px of the patches of all crops, in the order of their features."""
    centre = torch.arange(patches_per_crop) * patch_size + patch_size // 2
    grid = torch.stack(torch.meshgrid(centre, centre, indexing="ij"), dim=-1).flatten(0, 1)
    return (torch.tensor(starts)[:, None] + grid).flatten(0, 1).float()


def seeds(vlm: torch.Tensor, text: torch.Tensor, scale: float | None = None, num_rivals: int = 0) -> torch.Tensor:
    """Class scores of each patch by itself (paper section 3.1).

    Parameters
    ----------
    vlm : torch.Tensor
        (N, D) VLM features, L2-normalised.
    text : torch.Tensor
        (C, D) class embeddings, L2-normalised.
    scale : float, optional
        `Encoder.seed_scale`; None, the paper's way, leaves the cosines as they are.
    num_rivals : int
        So many of the last rows of `text` are no classes, but are to be compared with one: they take no share from the
        classes, and get the share that a class as likely as they would have, at most 1.

    Returns
    -------
    torch.Tensor
        (N, C).
    """
    cosines = vlm @ text.T
    if scale is None:
        return cosines
    logits = scale * cosines
    classes, rivals = logits[:, : len(text) - num_rivals], logits[:, len(text) - num_rivals :]
    if not num_rivals:
        return classes.softmax(dim=1)
    beside = (rivals - classes.logsumexp(dim=1, keepdim=True)).exp().clamp(max=1.0)
    return torch.cat([classes.softmax(dim=1), beside], dim=1)


def propagate_patches(
    vm: torch.Tensor, scores: torch.Tensor, positions: torch.Tensor, parameters: Parameters = PAPER
) -> torch.Tensor:
    """The patch stage: make the seeds of patches that look alike agree (paper section 3.2).

    Parameters
    ----------
    vm : torch.Tensor
        (N, E) VM features, L2-normalised.
    scores : torch.Tensor
        (N, C) seeds, see `seeds`.
    positions : torch.Tensor
        (N, 2) patch centres, px.
    parameters : Parameters

    Returns
    -------
    torch.Tensor
        (N, C) scores.
    """
    affinity = patch_affinity(
        vm,
        positions,
        n_neighbors=parameters.n_neighbors,
        gamma=parameters.gamma,
        sigma=parameters.sigma,
        radius=parameters.search_radius,
    )
    return propagate(
        affinity, scores.float(), alpha=parameters.alpha, solver=parameters.solver, num_steps=parameters.num_steps
    ).value


def stitch(
    scores: torch.Tensor, starts: Sequence[tuple[int, int]], crop_size: int, shape: tuple[int, int]
) -> torch.Tensor:
    """Resize each crop's scores to the crop and average where crops overlap (paper section 4.1).

    Parameters
    ----------
    scores : torch.Tensor
        (crops, C, h, w).
    starts : sequence of (int, int)
        First (row, col) of each crop, px.
    crop_size : int
        Px.
    shape : (int, int)
        Of the image, px.

    Returns
    -------
    torch.Tensor
        (C, H, W).
    """
    total = scores.new_zeros(scores.shape[1], *shape)
    count = scores.new_zeros(shape)
    for crop, (row, col) in zip(scores, starts, strict=True):
        window = slice(row, row + crop_size), slice(col, col + crop_size)
        resized = F.interpolate(crop[None], size=(crop_size, crop_size), mode="bilinear", align_corners=False)[0]
        total[:, *window] += resized
        count[window] += 1
    return total / count


def refine(
    image: torch.Tensor, scores: torch.Tensor, parameters: Parameters = PAPER, *, valid: torch.Tensor | None = None
) -> torch.Tensor:
    """The pixel stage: make the scores of neighbouring pixels of one colour agree (paper section 3.3).

    Parameters
    ----------
    image : torch.Tensor
        (3, H, W) RGB in 0..1.
    scores : torch.Tensor
        (C, H, W).
    parameters : Parameters
    valid : torch.Tensor, optional
        (H, W) bool: pixels that take part.

    Returns
    -------
    torch.Tensor
        (C, H, W).
    """
    affinity = pixel_affinity(image, radius=parameters.radius, tau=parameters.tau, valid=valid)
    flat = scores.flatten(1).T
    solution = propagate(
        affinity,
        flat,
        alpha=parameters.alpha,
        solver=parameters.solver,
        num_steps=parameters.pixel_steps or parameters.num_steps,
        initial=flat / (1.0 - parameters.alpha) if parameters.even_start else None,
        measure=False,
    )
    return solution.value.T.reshape(scores.shape)


def probabilities(scores: torch.Tensor, power: float = 1.0, *, of: torch.Tensor | None = None) -> torch.Tensor:
    """Probability of each class: its share of all classes' scores.

    Propagation multiplies the scores of all classes of one pixel by about the same number, which depends on how many
    neighbours it has; a share is free of that.

    Parameters
    ----------
    scores : torch.Tensor
        (C, ...) scores of any stage; negative ones count as 0.
    power : float
        `Encoder.confidence_power`, to which scores are raised first.
    of : torch.Tensor, optional
        (...) one of the scores of each pixel, where only its probability is wanted.

    Returns
    -------
    torch.Tensor
        (C, ...) in 0..1, with sum 1; all equal where no score is above 0. With `of`, (...).
    """
    tiny = torch.finfo(scores.dtype).tiny
    positive = scores.clamp(min=tiny)
    chosen = positive if of is None else of.clamp(min=tiny)
    if power != 1.0:  # of the largest, or a high power would leave the range of floats
        largest = positive.amax(dim=0)
        positive, chosen = (positive / largest) ** power, (chosen / largest) ** power
    return chosen / positive.sum(dim=0)


def _pad_to(image: torch.Tensor, size: int) -> torch.Tensor:
    """Repeat the last row and column of an image that is smaller than one crop."""
    below, right = max(0, size - image.shape[1]), max(0, size - image.shape[2])
    return F.pad(image[None], (0, right, 0, below), mode="replicate")[0] if below or right else image
