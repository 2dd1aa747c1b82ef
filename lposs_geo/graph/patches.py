"""Resemblance among patches, as a sparse symmetric operator with a `matmul` (paper section 3.2).

`patch_affinity` links each patch with the patches most like it; `lattice_affinity` does so faster where the patches lie
on a lattice. Both are normalised to ``S = D^-1/2 W D^-1/2``; a node without neighbours keeps a row of zeros.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

__all__ = ["PatchAffinity", "lattice_affinity", "patch_affinity"]

BLOCK_ELEMENTS = 16_000_000
"""Similarities in memory at once while neighbours are sought: 64 MB of float32."""

LATTICE_BLOCK = 24
"""Rows and columns of the lattice that are compared at once with what is around them. Larger blocks are compared with
more that is too far away; smaller ones keep starting threads, which is slow where others use the processor, too."""


class _Search(NamedTuple):
    """Nodes, neighbours and cosines of `patch_kernel.keep_most_similar`, as tensors on any device."""

    extents: torch.Tensor
    number: torch.Tensor
    neighbours: torch.Tensor
    cosines: torch.Tensor


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
        """Make one of what `rows` gives."""
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
        """Index of each row's first entry (N + 1,), the entries' columns and their values: all that must be stored."""
        matrix = self.matrix
        starts, columns, values = matrix.crow_indices(), matrix.col_indices(), matrix.values()
        return starts.cpu().numpy(), columns.cpu().numpy(), values.cpu().numpy()

    def matmul(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply with (N, C) scores."""
        return self.matrix @ x.to(self.matrix.dtype)


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
        chosen = candidates[chosen]
        distance = torch.linalg.vector_norm(positions[nodes, None] - positions[chosen], dim=2)
        weight = best.clamp_min_(0.0).pow_(gamma).mul_(torch.exp(-sigma * distance))
        neighbours[nodes, : chosen.shape[1]] = chosen.int()
        weights[nodes, : chosen.shape[1]] = weight.masked_fill_(chosen == nodes[:, None], 0.0)
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
    members = dict(zip(map(tuple, distinct.tolist()), order.split(sizes.tolist()), strict=True))
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
        Compares the patches, and holds the affinity afterwards.

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

    positions = np.argwhere(valid)
    slots = max(0, min(n_neighbors, len(positions)) - 1)
    search = _search_begun(valid, _circle(radius / patch_size, max(valid.shape)), slots, device)
    if slots:
        _search_lattice(search, read_rows, valid)
    neighbours, weights = search.neighbours.cpu(), search.cosines.cpu()
    fade(weights.numpy(), neighbours.numpy(), positions, gamma, sigma * patch_size)
    return _symmetric_affinity(neighbours, weights, device)


def _search_begun(valid: NDArray[np.bool_], extents: torch.Tensor, slots: int, device: torch.device) -> _Search:
    """A search for `slots` neighbours of each valid patch, none of which is known yet."""
    count = int(valid.sum())
    number = np.full(valid.shape, -1, dtype=np.int32)
    number[valid] = np.arange(count)
    return _Search(
        extents.to(device),
        torch.from_numpy(number).to(device),
        torch.full((count, slots), -1, dtype=torch.int32, device=device),
        torch.zeros(count, slots, device=device),
    )


def _search_lattice(
    search: _Search, read_rows: Callable[[int, int], NDArray[np.float16]], valid: NDArray[np.bool_]
) -> None:
    """Compare every patch of a lattice with those around it, block by block, from top to bottom."""
    device = search.cosines.device
    reach = len(search.extents) - 1
    keep = _keep_on_cpu if device.type == "cpu" else _keep_in_torch
    for first, top, window in _strips(read_rows, valid.shape, reach, device):
        for left in range(0, valid.shape[1], LATTICE_BLOCK):
            right = left + LATTICE_BLOCK
            if not valid[top : top + LATTICE_BLOCK, left:right].any():
                continue
            begin = max(0, left - reach)
            block, around = window[left:right, top - first :], window[begin : right + reach]
            similarity = block.flatten(0, 1) @ around.flatten(0, 1).T
            similarity = similarity.view(*block.shape[:2], *around.shape[:2])
            keep(similarity, (top, left), (first, begin), search)
            if first < top:  # the rows above have only now seen these; within the strip, each block has its turn
                keep(similarity.permute(2, 3, 0, 1)[:, : top - first], (first, begin), (top, left), search)


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
    similarity: torch.Tensor, node_origin: tuple[int, int], candidate_origin: tuple[int, int], search: _Search
) -> None:
    """Call `patch_kernel.keep_most_similar`."""
    from lposs_geo.graph.patch_kernel import Nodes, keep_most_similar

    nodes = Nodes(search.extents.numpy(), search.number.numpy())
    kept = search.neighbours.numpy(), search.cosines.numpy()
    keep_most_similar(similarity.numpy(), node_origin, candidate_origin, nodes, *kept)


def _keep_in_torch(
    similarity: torch.Tensor, node_origin: tuple[int, int], candidate_origin: tuple[int, int], search: _Search
) -> None:
    """Do as `patch_kernel.keep_most_similar` does, on any device."""
    extents, number, neighbours, cosines = search
    starts = (*node_origin[::-1], *candidate_origin[::-1])
    axes = [torch.arange(size, device=number.device) for size in similarity.shape]
    indices = [axis + start for axis, start in zip(axes, starts, strict=True)]
    col, row, candidate_col, candidate_row = torch.meshgrid(*indices, indexing="ij")
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
