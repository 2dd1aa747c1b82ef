"""Likeness of neighbouring pixels' colours, as a symmetric operator with a `matmul` (paper section 3.3).

One plane of weights for each offset, only half of them stored, normalised to ``S = D^-1/2 W D^-1/2``; a pixel without
neighbours keeps a row of zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

__all__ = ["LAB_SCALE", "PixelAffinity", "half_square", "pixel_affinity", "rgb_to_lab"]

LAB_SCALE = (100.0, 128.0, 128.0)
"""Divisors of L, a and b, so that distances are of order one (paper section 4.1)."""

FARTHEST = 69.0
"""Colour distance, in units of tau, from which a weight is zero: exp(-69) is 1e-30, and still smaller numbers would
only slow the arithmetic down (denormal floats), not change a score."""

LARGEST_RADIUS = 100
"""Of a pixel's neighbourhood, px: far beyond what memory allows."""

PAGE = 4096
"""Bytes that the system gives at least when memory is first written to."""


@dataclass(frozen=True)
class PixelAffinity:
    """Affinity of H * W pixels (row-major), never built as a matrix.

    Attributes
    ----------
    planes : torch.Tensor
        (radius + H, K, W) float32: ``planes[radius + r, k, c]`` is the weight between pixel (r, c) and
        (r, c) + offsets[k]; 0 where that is outside, as in the first `radius` rows. The other half of the neighbours
        follows from symmetry.
    offsets : torch.Tensor
        (K, 2) int64 steps (row, col), on the CPU; rows never negative.
    scale : torch.Tensor
        (H, W) float32: the diagonal of D^-1/2, applied before and after the weights.
    """

    planes: torch.Tensor
    offsets: torch.Tensor
    scale: torch.Tensor

    @property
    def num_nodes(self) -> int:
        return self.scale.numel()

    def matmul(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply with (H * W, C) scores.

        Fastest when `x` is the transpose of a contiguous (C, H * W) array: then nothing is copied.
        """
        image = x.T.float().contiguous().view(-1, *self.scale.shape)
        return _neighbour_sums(self.planes, self.offsets, self.scale, image).view(-1, self.num_nodes).T


def pixel_affinity(
    image: torch.Tensor, *, radius: int = 6, tau: float = 0.01, valid: torch.Tensor | None = None
) -> PixelAffinity:
    """Link each pixel with the pixels around it that have its colour (paper section 3.3).

    The weight is ``exp(-|a - b| / tau)`` with a and b the pixels' CIE Lab colours over (100, 128, 128).

    Parameters
    ----------
    image : torch.Tensor
        (3, H, W) RGB in 0..1.
    radius : int
        Neighbours lie in the square of side ``2 * radius + 1`` px; 6 is the paper's 13 x 13. At most 100.
    tau : float
        Colour distance at which a weight falls to 1/e.
    valid : torch.Tensor, optional
        (H, W) bool; a pixel that isn't valid has no neighbours.

    Returns
    -------
    PixelAffinity
        Over H * W nodes in row-major order.

    Raises
    ------
    ValueError
        If shapes don't fit or a parameter is out of range.
    """
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"image must be (3, H, W), not {tuple(image.shape)}")
    if valid is not None and valid.shape != image.shape[1:]:
        raise ValueError(f"valid must be {tuple(image.shape[1:])}, not {tuple(valid.shape)}")
    if not 1 <= radius <= LARGEST_RADIUS or tau <= 0:
        raise ValueError(f"radius must be 1 to {LARGEST_RADIUS} and tau positive, not {radius} and {tau}")
    lab = rgb_to_lab(image) / image.new_tensor(LAB_SCALE, dtype=torch.float32)[:, None, None]
    if valid is None:
        valid = torch.ones(image.shape[1:], dtype=torch.bool, device=image.device)
    offsets = half_square(radius)
    on_cpu = image.device.type == "cpu"
    planes = (_weights_on_cpu if on_cpu else _weights_in_torch)(lab, valid, offsets, tau)
    ones = torch.ones_like(lab[:1])
    degree = _neighbour_sums(planes, offsets, ones[0], ones)[0]
    return PixelAffinity(planes, offsets, _inverse_root(degree))


def _weights_on_cpu(lab: torch.Tensor, valid: torch.Tensor, offsets: torch.Tensor, tau: float) -> torch.Tensor:
    from lposs_geo.graph.pixel_kernel import colour_weights  # compiled code: loaded when first needed

    radius = int(offsets.max())
    (rows, cols), count = valid.shape, len(offsets)
    around = F.pad(lab.masked_fill(~valid, torch.nan), (radius, radius, 0, radius), value=torch.nan)
    planes = np.empty((radius + rows, count, cols), dtype=np.float32)  # in large pages, which torch doesn't ask for
    planes[:radius] = 0.0
    planes.reshape(-1)[:: PAGE // planes.itemsize] = 0.0  # threads that claim memory together hold each other up
    colour_weights(around.numpy(), offsets.numpy(), tau, FARTHEST * tau, planes[radius:])
    return torch.from_numpy(planes)


def _weights_in_torch(lab: torch.Tensor, valid: torch.Tensor, offsets: torch.Tensor, tau: float) -> torch.Tensor:
    radius = int(offsets.max())
    (rows, cols), count = valid.shape, len(offsets)
    planes = lab.new_zeros(count, radius + rows, cols).transpose(0, 1)  # here each plane is best in one piece
    for plane, offset in zip(planes[radius:].unbind(1), offsets.tolist(), strict=True):
        here, there = _pair(plane.shape, offset)
        distance = torch.linalg.vector_norm(lab[:, *here] - lab[:, *there], dim=0)
        counts = (distance < FARTHEST * tau) & valid[here] & valid[there]
        plane[here] = torch.where(counts, torch.exp(-distance / tau), 0.0)
    return planes


def _neighbour_sums(
    planes: torch.Tensor, offsets: torch.Tensor, scale: torch.Tensor, image: torch.Tensor
) -> torch.Tensor:
    """Sum the scaled neighbours of each pixel of (C, H, W), weighted by both halves of the affinity; scale the sum."""
    return (_sums_on_cpu if image.device.type == "cpu" else _sums_in_torch)(planes, offsets, scale, image)


def _sums_on_cpu(planes: torch.Tensor, offsets: torch.Tensor, scale: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    from lposs_geo.graph.pixel_kernel import Weights, neighbour_sums

    out = torch.empty_like(image)
    neighbour_sums(Weights(planes.numpy(), offsets.numpy(), scale.numpy()), image.numpy(), out.numpy())
    return out


def _sums_in_torch(
    planes: torch.Tensor, offsets: torch.Tensor, scale: torch.Tensor, image: torch.Tensor
) -> torch.Tensor:
    scaled = image * scale
    out = torch.zeros_like(image)
    for plane, offset in zip(planes[int(offsets.max()) :].unbind(1), offsets.tolist(), strict=True):
        here, there = _pair(plane.shape, offset)
        out[:, *here].addcmul_(plane[here], scaled[:, *there])
        out[:, *there].addcmul_(plane[here], scaled[:, *here])
    return out.mul_(scale)


def half_square(radius: int) -> torch.Tensor:
    """Offsets (K, 2) of half the square around a pixel: of each pair of opposite steps, one."""
    steps = [(0, right) for right in range(1, radius + 1)]
    steps += [(down, right) for down in range(1, radius + 1) for right in range(-radius, radius + 1)]
    return torch.tensor(steps)


def _pair(shape: torch.Size, offset: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The slices of all pixels that have a neighbour at `offset`, and of those neighbours."""
    (rows, cols), (down, right) = shape, offset
    here = slice(0, max(0, rows - down)), slice(max(0, -right), max(0, min(cols, cols - right)))
    there = slice(min(rows, down), rows), slice(max(0, right), max(0, min(cols, cols + right)))
    return here, there


def _inverse_root(degree: torch.Tensor) -> torch.Tensor:
    return torch.where(degree > 0, degree.rsqrt(), 0.0)


def rgb_to_lab(image: torch.Tensor) -> torch.Tensor:
    """Convert sRGB in 0..1, (3, ...), to CIE Lab under D65 (IEC 61966-2-1; CIE 15)."""
    image = image.float()
    linear = torch.where(image > 0.04045, ((image + 0.055) / 1.055).clamp_min(0.0) ** 2.4, image / 12.92)
    to_xyz = linear.new_tensor(
        [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
    )
    white = linear.new_tensor([0.95047, 1.0, 1.08883])
    xyz = torch.tensordot(to_xyz / white[:, None], linear, dims=1)
    x, y, z = torch.where(xyz > 0.008856, xyz.clamp_min(1e-12) ** (1 / 3), 7.787 * xyz + 4 / 29)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])
