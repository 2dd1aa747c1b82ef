"""Affinities: who resembles whom, as symmetric operators with a `matmul`.

`patch_affinity` links each patch with the patches most like it (sparse); `pixel_affinity` links each pixel with the
pixels around it (one plane per offset, only half of them stored). Both are normalised to
``S = D^-1/2 W D^-1/2``; a node without neighbours keeps a row of zeros.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch

__all__ = ["Affinity", "PatchAffinity", "PixelAffinity", "patch_affinity", "pixel_affinity", "rgb_to_lab"]

LAB_SCALE = (100.0, 128.0, 128.0)
"""Divisors of L, a and b, so that distances are of order one (paper section 4.1)."""

FARTHEST = 69.0
"""Colour distance, in units of tau, from which a weight is zero: exp(-69) is 1e-30, and still smaller numbers would
only slow the arithmetic down (denormal floats), not change a score."""

BLOCK_ELEMENTS = 16_000_000
"""Similarities held at once while neighbours are sought: 64 MB of float32."""


@dataclass(frozen=True)
class PatchAffinity:
    """Sparse affinity of N patches.

    Attributes
    ----------
    matrix : torch.Tensor
        (N, N) sparse CSR, symmetric, degree-normalised, zero diagonal.
    """

    matrix: torch.Tensor

    @property
    def num_nodes(self) -> int:
        return int(self.matrix.shape[0])

    def matmul(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply with (N, C) scores."""
        return self.matrix @ x.to(self.matrix.dtype)


@dataclass(frozen=True)
class PixelAffinity:
    """Affinity of H * W pixels (row-major), never built as a matrix.

    Attributes
    ----------
    planes : torch.Tensor
        (K, H, W) float32: ``planes[k, r, c]`` is the weight between pixel (r, c) and (r, c) + offsets[k]; 0 where that
        is outside. The other half of the neighbours follows from symmetry.
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
        image = x.T.float().contiguous().view(-1, *self.scale.shape) * self.scale
        product = _neighbour_sums(self.planes, self.offsets, image).mul_(self.scale)
        return product.view(-1, self.num_nodes).T


Affinity = PatchAffinity | PixelAffinity


def patch_affinity(
    features: torch.Tensor,
    positions: torch.Tensor,
    *,
    n_neighbors: int = 400,
    gamma: float = 3.0,
    sigma: float = 0.01,
    radius: float | None = None,
) -> PatchAffinity:
    """Link each patch with its most similar patches (paper section 3.2).

    The weight between patch i and one of its `n_neighbors` most similar patches j is
    ``max(cos, 0)^gamma * exp(-sigma * distance)``; W + W^T makes it symmetric. Similarities are computed block by
    block, never N x N.

    Parameters
    ----------
    features : torch.Tensor
        (N, D) float, L2-normalised.
    positions : torch.Tensor
        (N, 2) centres in px, (row, col).
    n_neighbors : int
        Neighbours sought per patch, the patch itself among them; fewer patches than this is fine.
    gamma, sigma : float
        Sharpness of the similarity; decay per px of distance.
    radius : float, optional
        Seek only within this distance in px; then the search costs O(N), not O(N^2). ``exp(-sigma * distance)``
        makes farther neighbours worthless beyond about ``5 / sigma``.

    Returns
    -------
    PatchAffinity

    Raises
    ------
    ValueError
        If shapes don't fit or a parameter is out of range.
    """
    if features.ndim != 2 or positions.shape != (features.shape[0], 2):
        raise ValueError(
            f"features must be (N, D) and positions (N, 2), not {tuple(features.shape)} and {tuple(positions.shape)}"
        )
    if n_neighbors < 1 or (radius is not None and radius <= 0):
        raise ValueError(f"n_neighbors and radius must be positive, not {n_neighbors} and {radius}")
    count = features.shape[0]
    features = features.float()
    positions = positions.to(features.device, torch.float32)
    ends = [torch.empty(2, 0, dtype=torch.int64, device=features.device)]
    weights = [torch.empty(0, device=features.device)]
    for nodes, candidates in _search_blocks(positions, radius):
        similarity = features[nodes] @ features[candidates].T
        if radius is not None:
            similarity.masked_fill_(torch.cdist(positions[nodes], positions[candidates]) > radius, -torch.inf)
        best, chosen = similarity.topk(min(n_neighbors, candidates.numel()), dim=1)
        neighbours = candidates[chosen]
        distance = torch.linalg.vector_norm(positions[nodes, None] - positions[neighbours], dim=2)
        weight = best.clamp_min_(0.0).pow_(gamma).mul_(torch.exp(-sigma * distance))
        kept = (weight > 0) & (neighbours != nodes[:, None])
        ends.append(torch.stack([nodes[:, None].expand_as(neighbours)[kept], neighbours[kept]]))
        weights.append(weight[kept])
    one_way = torch.cat(ends, dim=1)
    both_ways = torch.cat([one_way, one_way.flip(0)], dim=1)
    return PatchAffinity(_normalised_csr(both_ways, torch.cat(weights).repeat(2), count))


def _search_blocks(positions: torch.Tensor, radius: float | None) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (nodes, candidates): index blocks such that a node's neighbours are all among the candidates."""
    if radius is None or len(positions) == 0:
        everyone = torch.arange(len(positions), device=positions.device)
        yield from _chunks(everyone, everyone)
        return
    # Square cells one radius wide: whatever lies within the radius is in the same cell or one of the eight around it.
    cells = ((positions - positions.min(0).values) / radius).floor().long()
    order = torch.argsort(cells[:, 0] * (cells[:, 1].max() + 1) + cells[:, 1], stable=True)
    distinct, sizes = torch.unique_consecutive(cells[order], dim=0, return_counts=True)
    places = [(row, col) for row, col in distinct.tolist()]
    members = dict(zip(places, order.split(sizes.tolist()), strict=True))
    for (row, col), nodes in members.items():
        around = [members.get((row + down, col + right)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        yield from _chunks(nodes, torch.cat([group for group in around if group is not None]))


def _chunks(nodes: torch.Tensor, candidates: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for part in nodes.split(max(1, BLOCK_ELEMENTS // max(1, len(candidates)))):
        if len(part):
            yield part, candidates


def _normalised_csr(ends: torch.Tensor, values: torch.Tensor, count: int) -> torch.Tensor:
    """Sum duplicate entries, then scale to D^-1/2 W D^-1/2."""
    summed = torch.sparse_coo_tensor(ends, values, (count, count), check_invariants=False).coalesce()
    row, col = summed.indices()
    degree = torch.zeros(count, dtype=torch.float64, device=values.device).index_add_(0, row, summed.values().double())
    scale = _inverse_root(degree)
    normalised = (summed.values().double() * scale[row] * scale[col]).float()
    starts = torch.zeros(count + 1, dtype=torch.int64, device=values.device)
    starts[1:] = torch.bincount(row, minlength=count).cumsum(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(starts, col, normalised, (count, count), check_invariants=False)


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
        Neighbours lie in the square of side ``2 * radius + 1`` px; 6 is the paper's 13 x 13.
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
    if radius < 1 or tau <= 0:
        raise ValueError(f"radius and tau must be positive, not {radius} and {tau}")
    lab = rgb_to_lab(image) / image.new_tensor(LAB_SCALE, dtype=torch.float32)[:, None, None]
    if valid is None:
        valid = torch.ones(image.shape[1:], dtype=torch.bool, device=image.device)
    offsets = half_square(radius)
    on_cpu = image.device.type == "cpu"
    planes = (_weights_on_cpu if on_cpu else _weights_in_torch)(lab, valid, offsets, tau)
    degree = _neighbour_sums(planes, offsets, torch.ones_like(lab[:1]))[0]
    return PixelAffinity(planes, offsets, _inverse_root(degree))


def _weights_on_cpu(lab: torch.Tensor, valid: torch.Tensor, offsets: torch.Tensor, tau: float) -> torch.Tensor:
    from lposs_geo.pixel_kernel import colour_weights  # compiled code: loaded when first needed

    planes = torch.empty(len(offsets), *valid.shape)
    colour_weights(
        lab.contiguous().numpy(), valid.contiguous().numpy(), offsets.numpy(), tau, FARTHEST * tau, planes.numpy()
    )
    return planes


def _weights_in_torch(lab: torch.Tensor, valid: torch.Tensor, offsets: torch.Tensor, tau: float) -> torch.Tensor:
    planes = lab.new_zeros(len(offsets), *valid.shape)
    for plane, offset in zip(planes, offsets.tolist(), strict=True):
        here, there = _pair(plane.shape, offset)
        distance = torch.linalg.vector_norm(lab[:, *here] - lab[:, *there], dim=0)
        counts = (distance < FARTHEST * tau) & valid[here] & valid[there]
        plane[here] = torch.where(counts, torch.exp(-distance / tau), 0.0)
    return planes


def _neighbour_sums(planes: torch.Tensor, offsets: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Sum the neighbours of each pixel of (C, H, W), weighted by both halves of the affinity."""
    return (_sums_on_cpu if image.device.type == "cpu" else _sums_in_torch)(planes, offsets, image)


def _sums_on_cpu(planes: torch.Tensor, offsets: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    from lposs_geo.pixel_kernel import neighbour_sums

    out = torch.empty_like(image)
    neighbour_sums(planes.numpy(), offsets.numpy(), image.numpy(), out.numpy())
    return out


def _sums_in_torch(planes: torch.Tensor, offsets: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    out = torch.zeros_like(image)
    for plane, offset in zip(planes, offsets.tolist(), strict=True):
        here, there = _pair(plane.shape, offset)
        out[:, *here].addcmul_(plane[here], image[:, *there])
        out[:, *there].addcmul_(plane[here], image[:, *here])
    return out


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
