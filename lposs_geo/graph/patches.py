"""Affinities: who resembles whom, as symmetric operators with a `matmul`.

`patch_affinity` links each patch with the patches most like it (sparse), `lattice_affinity` does so faster where the
patches lie on a lattice; `pixel_affinity` links each pixel with the pixels around it (one plane per offset, only half
of them stored). All are normalised to ``S = D^-1/2 W D^-1/2``; a node without neighbours keeps a row of zeros.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

__all__ = [
    "Affinity",
    "PatchAffinity",
    "PixelAffinity",
    "lattice_affinity",
    "patch_affinity",
    "pixel_affinity",
    "rgb_to_lab",
]

LAB_SCALE = (100.0, 128.0, 128.0)
"""Divisors of L, a and b, so that distances are of order one (paper section 4.1)."""

FARTHEST = 69.0
"""Colour distance, in units of tau, from which a weight is zero: exp(-69) is 1e-30, and still smaller numbers would
only slow the arithmetic down (denormal floats), not change a score."""

LARGEST_RADIUS = 100
"""Of a pixel's neighbourhood, px: far beyond what memory allows."""

BLOCK_ELEMENTS = 16_000_000
"""Similarities held at once while neighbours are sought: 64 MB of float32."""

PAGE = 4096
"""Bytes that the system gives at least when memory is first written to."""

LATTICE_BLOCK = 24
"""Rows and columns of the lattice that are compared at once with what is around them. Larger blocks are compared with
more that is too far away; smaller ones keep starting threads, which is slow where others use the processor, too."""


@dataclass(frozen=True)
class PatchAffinity:
    """Sparse affinity of N patches.

    Attributes
    ----------
    matrix : torch.Tensor
        (N, N) sparse CSR, symmetric, degree-normalised, zero diagonal. Two patches that chose each other have two
        entries, which add up in the product; a row's columns are in no particular order.
    """

    matrix: torch.Tensor

    @property
    def num_nodes(self) -> int:
        return int(self.matrix.shape[0])

    @classmethod
    def from_rows(
        cls,
        starts: NDArray[np.integer[Any]],
        columns: NDArray[np.integer[Any]],
        values: NDArray[np.float32],
        device: torch.device,
    ) -> PatchAffinity:
        """Put it together from `rows`."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            matrix = torch.sparse_csr_tensor(
                torch.from_numpy(starts).to(device),
                torch.from_numpy(columns).to(device),
                torch.from_numpy(values).to(device),
                (len(starts) - 1, len(starts) - 1),
                check_invariants=False,
            )
        return cls(matrix)

    def rows(self) -> tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]], NDArray[np.float32]]:
        """Where each row's entries begin (N + 1,), their columns and their values: all that it takes to keep it."""
        matrix = self.matrix
        starts, columns, values = matrix.crow_indices(), matrix.col_indices(), matrix.values()
        return starts.cpu().numpy(), columns.cpu().numpy(), values.cpu().numpy()

    def matmul(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply with (N, C) scores."""
        return self.matrix @ x.to(self.matrix.dtype)


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
    slots = min(n_neighbors, count)
    neighbours = torch.zeros(count, slots, dtype=torch.int32, device=features.device)
    weights = torch.zeros(count, slots, device=features.device)
    for nodes, candidates in _search_blocks(positions, radius):
        similarity = features[nodes] @ features[candidates].T
        if radius is not None:
            similarity.masked_fill_(torch.cdist(positions[nodes], positions[candidates]) > radius, -torch.inf)
        best, chosen = similarity.topk(min(slots, candidates.numel()), dim=1)
        found = candidates[chosen]
        distance = torch.linalg.vector_norm(positions[nodes, None] - positions[found], dim=2)
        weight = best.clamp_min_(0.0).pow_(gamma).mul_(torch.exp(-sigma * distance))
        neighbours[nodes, : found.shape[1]] = found.int()
        weights[nodes, : found.shape[1]] = weight.masked_fill_(found == nodes[:, None], 0.0)
    return _symmetric_affinity(neighbours.cpu(), weights.cpu(), features.device)


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


def lattice_affinity(
    read_rows: Callable[[int, int], NDArray[np.float16]],
    valid: NDArray[np.bool_],
    patch_size: float,
    *,
    n_neighbors: int,
    gamma: float,
    sigma: float,
    radius: float,
    device: torch.device,
) -> PatchAffinity:
    """Link each valid patch of a lattice with its most similar patches, as `patch_affinity` does.

    Every row is read once and every pair of patches compared once. Time grows with the number of patches, and so does
    memory, by 24 bytes a neighbour; on top come two windows of features, ``radius`` high and as wide as the lattice.

    Parameters
    ----------
    read_rows : callable
        Gives, for (first, last), the features (last - first, cols, E) of these rows of the lattice: float16, of any
        length. Called from top to bottom.
    valid : numpy.ndarray
        (rows, cols) bool: the patches that take part.
    patch_size : float
        Distance of neighbouring patches, px.
    n_neighbors : int
        Neighbours sought per patch, the patch itself among them; fewer within the radius is fine. Of equally similar
        ones the first in row-major order are taken (on a GPU, any).
    gamma, sigma : float
        Sharpness of the similarity; decay per px of distance.
    radius : float
        Seek only within this distance, px.
    device : torch.device
        Where to compare, and where the affinity will be.

    Returns
    -------
    PatchAffinity
        Over the valid patches in row-major order.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """
    if n_neighbors < 1 or radius <= 0 or patch_size <= 0:
        raise ValueError(
            f"n_neighbors, radius and patch_size must be positive, not {n_neighbors}, {radius} and {patch_size}"
        )
    from lposs_geo.graph.patch_kernel import fade  # compiled code: loaded when first needed

    extents = _circle(radius / patch_size, max(valid.shape))
    reach = len(extents) - 1
    places = np.argwhere(valid)
    number = np.full(valid.shape, -1, dtype=np.int32)
    number[valid] = np.arange(len(places))
    slots = max(0, min(n_neighbors, len(places)) - 1)
    neighbours = torch.full((len(places), slots), -1, dtype=torch.int32, device=device)
    cosines = torch.zeros(len(places), slots, device=device)
    state = (extents.to(device), torch.from_numpy(number).to(device), neighbours, cosines)
    keep = _keep_on_cpu if device.type == "cpu" else _keep_in_torch
    for first, top, window in _strips(read_rows, valid.shape, reach, device) if slots else ():
        for left in range(0, valid.shape[1], LATTICE_BLOCK):
            right = left + LATTICE_BLOCK
            if not valid[top : top + LATTICE_BLOCK, left:right].any():
                continue
            begin = max(0, left - reach)
            block, around = window[left:right, top - first :], window[begin : right + reach]
            similarity = block.flatten(0, 1) @ around.flatten(0, 1).T
            similarity = similarity.view(*block.shape[:2], *around.shape[:2])
            keep(similarity, (top, left), (first, begin), *state)
            if first < top:  # the rows above have only now seen these; within the strip, each block has its turn
                keep(similarity.permute(2, 3, 0, 1)[:, : top - first], (first, begin), (top, left), *state)
    neighbours, weights = neighbours.cpu(), cosines.cpu()
    fade(weights.numpy(), neighbours.numpy(), places, gamma, sigma * patch_size)
    return _symmetric_affinity(neighbours, weights, device)


def _circle(radius: float, farthest: int) -> torch.Tensor:
    """By column step from 0, the largest row step within `radius` lattice steps; neither beyond `farthest`."""
    steps = torch.arange(math.floor(min(radius, farthest)) + 1, dtype=torch.float64)
    return (radius**2 - steps**2).sqrt().floor().clamp_max(farthest).long()


def _strips(
    read_rows: Callable[[int, int], NDArray[np.float16]], shape: tuple[int, ...], reach: int, device: torch.device
) -> Iterator[tuple[int, int, torch.Tensor]]:
    """Yield (first, top, window) down the lattice: unit features of the strip that begins at row `top`, and of those
    of the `reach` rows above it that there are, from `first` on.

    The windows are (cols, rows, E), so that a range of columns is a matrix as it is.
    """
    above: list[torch.Tensor] = []
    for top in range(0, shape[0], LATTICE_BLOCK):
        first, bottom = max(0, top - reach), min(top + LATTICE_BLOCK, shape[0])
        strip = F.normalize(torch.tensor(read_rows(top, bottom)).to(device, torch.float32), dim=2)
        window = torch.cat([*above, strip.transpose(0, 1)], dim=1)
        yield first, top, window
        above = [window[:, max(0, bottom - reach) - first :]]


def _keep_on_cpu(
    similarity: torch.Tensor,
    node_origin: tuple[int, int],
    candidate_origin: tuple[int, int],
    extents: torch.Tensor,
    number: torch.Tensor,
    neighbours: torch.Tensor,
    cosines: torch.Tensor,
) -> None:
    from lposs_geo.graph.patch_kernel import keep_most_similar

    arrays = (tensor.numpy() for tensor in (extents, number, neighbours, cosines))
    keep_most_similar(similarity.numpy(), node_origin, candidate_origin, *arrays)


def _keep_in_torch(
    similarity: torch.Tensor,
    node_origin: tuple[int, int],
    candidate_origin: tuple[int, int],
    extents: torch.Tensor,
    number: torch.Tensor,
    neighbours: torch.Tensor,
    cosines: torch.Tensor,
) -> None:
    """What `patch_kernel.keep_most_similar` does."""
    starts = (*node_origin[::-1], *candidate_origin[::-1])
    axes = [torch.arange(size, device=number.device) for size in similarity.shape]
    places = [axis + start for axis, start in zip(axes, starts, strict=True)]
    col, row, candidate_col, candidate_row = torch.meshgrid(*places, indexing="ij")
    node, candidate = number[row, col], number[candidate_row, candidate_col]
    extent = F.pad(extents, (0, 1), value=-1)[(col - candidate_col).abs().clamp_max(len(extents))]
    counts = ((row - candidate_row).abs() <= extent) & (candidate >= 0) & (candidate != node)
    seen = torch.where(counts, similarity, 0.0).flatten(2).flatten(0, 1)
    node, candidate = node[:, :, 0, 0].flatten(), candidate[0, 0].flatten()
    seen, node = seen[node >= 0], node[node >= 0].long()
    cosines[node], chosen = torch.cat([cosines[node], seen], dim=1).topk(cosines.shape[1], dim=1)
    known = torch.cat([neighbours[node], candidate.expand(len(node), -1)], dim=1)
    neighbours[node] = known.gather(1, chosen)


def _symmetric_affinity(neighbours: torch.Tensor, weights: torch.Tensor, device: torch.device) -> PatchAffinity:
    """Make W + W^T of each node's links (N, k), on the CPU, and scale it to D^-1/2 (W + W^T) D^-1/2."""
    from lposs_geo.graph.patch_kernel import symmetric_rows

    starts, columns, values = symmetric_rows(neighbours.numpy(), weights.numpy())
    # A matrix has one type for both kinds of index; the product is faster, too, with the smaller one.
    index = np.int32 if len(columns) < 2**31 else np.int64
    return PatchAffinity.from_rows(starts.astype(index), columns.astype(index), values, device)


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
    from lposs_geo.graph.pixel_kernel import neighbour_sums

    out = torch.empty_like(image)
    neighbour_sums(planes.numpy(), offsets.numpy(), scale.numpy(), image.numpy(), out.numpy())
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
