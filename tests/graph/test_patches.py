from __future__ import annotations

import numba
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lposs_geo.graph import patches as graph
from lposs_geo.graph.patches import lattice_affinity, patch_affinity
from lposs_geo.graph.pixels import pixel_affinity
from lposs_geo.propagation import propagate


def _golden_positions(stored) -> torch.Tensor:
    from lposs_geo.lposs import crop_positions

    starts = [(int(row), int(col)) for row, _, col, _ in stored["windows_y1y2x1x2"]]
    return crop_positions(starts, 14, 16)


def _explicit_patches(features, positions, k, gamma, sigma, radius=None):
    """The definition, N x N."""
    similarity = features @ features.T
    distance = (positions[:, None] - positions[None]).norm(dim=-1)  # cdist is less exact where points are near
    if radius is not None:
        similarity[distance > radius] = -torch.inf
    kept = torch.zeros_like(similarity, dtype=torch.bool)
    kept.scatter_(1, similarity.topk(min(k, len(features)), dim=1).indices, True)
    weight = torch.where(kept, similarity.clamp_min(0) ** gamma * torch.exp(-sigma * distance), 0)
    return _normalise(weight + weight.T)


def _normalise(weight):
    weight = weight.clone().fill_diagonal_(0)
    scale = torch.where(weight.sum(1) > 0, weight.sum(1).rsqrt(), 0)
    return scale[:, None] * weight * scale


def test_golden_patch_stage(golden):
    stored = golden("patch_stage")
    affinity = patch_affinity(torch.from_numpy(stored["vm_features"]), _golden_positions(stored))
    row = torch.eye(affinity.num_nodes)[0] - 0.95 * affinity.matrix.to_dense()[0]
    expected = torch.zeros(affinity.num_nodes)
    expected[torch.from_numpy(stored["laplacian_row0_cols"]).long()] = torch.from_numpy(
        stored["laplacian_row0_vals"]
    ).float()
    assert torch.allclose(row, expected, atol=1e-6)
    system = torch.eye(affinity.num_nodes).double() - 0.95 * affinity.matrix.to_dense().double()
    assert float(torch.linalg.norm(system)) == pytest.approx(float(stored["laplacian_fro"]), rel=1e-5)
    result = propagate(affinity, torch.from_numpy(stored["seeds"]), solver="cg").value.numpy()
    assert np.abs(result - stored["propagated"]).max() <= 1e-4 * np.abs(stored["propagated"]).max()
    assert (result.argmax(1) == stored["propagated"].argmax(1)).mean() >= 0.999


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 40),
    k=st.integers(1, 60),
    radius=st.one_of(st.none(), st.floats(5, 150)),
    seed=st.integers(0, 2**16),
)
@example(count=31, k=3, radius=None, seed=10935)  # two patches less than a px apart
def test_patch_affinity_is_its_definition(count, k, radius, seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.nn.functional.normalize(torch.randn(count, 5, generator=generator), dim=1)
    positions = torch.rand(count, 2, generator=generator) * 200
    actual = patch_affinity(features, positions, n_neighbors=k, radius=radius).matrix.to_dense()
    expected = _explicit_patches(features, positions, k, 3.0, 0.01, radius)
    assert torch.allclose(actual, expected, atol=1e-5)
    assert torch.allclose(actual, actual.T, atol=1e-6)


def test_patch_search_in_small_blocks_finds_the_same(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    features = torch.nn.functional.normalize(torch.randn(300, 8, generator=generator), dim=1)
    positions = torch.rand(300, 2, generator=generator) * 500
    whole = patch_affinity(features, positions, n_neighbors=20, radius=100).matrix.to_dense()
    monkeypatch.setattr(graph, "BLOCK_ELEMENTS", 64)
    assert torch.allclose(
        patch_affinity(features, positions, n_neighbors=20, radius=100).matrix.to_dense(), whole, atol=1e-6
    )


def test_patches_unlike_all_others_and_no_patches_at_all():
    lonely = torch.eye(3)
    affinity = patch_affinity(lonely, torch.zeros(3, 2))
    assert (affinity.matmul(torch.ones(3, 2)) == 0).all()
    assert patch_affinity(torch.empty(0, 4), torch.empty(0, 2), radius=10).num_nodes == 0


def _smooth_features(rows, cols, size, seed):
    """Half-precision features (rows, cols, size), near neighbours alike, of lengths a little below 1."""
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal((rows, cols, size))
    smooth = sum(np.roll(noise, (down, right), (0, 1)) for down in range(3) for right in range(3))
    length = generator.uniform(0.9, 1.0, (rows, cols, 1)) / np.linalg.norm(smooth, axis=2, keepdims=True)
    return (length * smooth).astype(np.float16)


def _affinity_of(features, valid, patch_size=14.0, *, k=50, radius, gamma=3.0):
    return lattice_affinity(
        lambda first, last: features[first:last],
        valid,
        patch_size,
        n_neighbors=k,
        gamma=gamma,
        sigma=0.01,
        radius=radius,
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize("on_cpu", [True, False], ids=["compiled", "torch"])
@settings(max_examples=40, deadline=None, derandomize=True)  # chance could bring two candidates too close to call
@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    block=st.integers(1, 16),
    k=st.integers(1, 40),
    squared_radius=st.integers(0, 60),
    valid_share=st.sampled_from([0.0, 0.3, 0.8, 1.0]),
    seed=st.integers(0, 2**16),
)
def test_lattice_affinity_is_that_of_its_valid_patches(on_cpu, shape, block, k, squared_radius, valid_share, seed):
    features = _smooth_features(*shape, 6, seed)
    valid = np.random.default_rng(seed).random(shape) < valid_share
    radius = 6.3 * (squared_radius + 0.5) ** 0.5  # no patch lies just on the circle
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "LATTICE_BLOCK", block)
        if not on_cpu:
            patch.setattr(graph, "_keep_on_cpu", graph._keep_in_torch)
        affinity = _affinity_of(features, valid, 6.3, k=k, radius=radius)
    unit = torch.nn.functional.normalize(torch.from_numpy(features[valid]).float(), dim=1)
    positions = torch.from_numpy(6.3 * np.argwhere(valid))
    expected = patch_affinity(unit, positions, n_neighbors=k, sigma=0.01, radius=radius).matrix.to_dense()
    actual = affinity.matrix.to_dense()
    assert affinity.num_nodes == valid.sum()
    assert torch.allclose(actual, expected, atol=1e-5)
    assert torch.allclose(actual, actual.T, atol=1e-6)
    assert (torch.linalg.eigvalsh(actual.double()).abs() <= 1 + 1e-5).all()
    scores = torch.rand(affinity.num_nodes, 3)
    assert torch.allclose(affinity.matmul(scores), actual @ scores, atol=1e-5)


def test_of_equally_similar_patches_the_first_are_taken(monkeypatch):
    monkeypatch.setattr(graph, "LATTICE_BLOCK", 3)
    features = np.zeros((7, 8, 2), np.float16)
    features[:, :, 0] = 1.0
    actual = _affinity_of(features, np.ones((7, 8), bool), k=6, radius=14 * 2.5).matrix.to_dense()
    positions = torch.from_numpy(14.0 * np.argwhere(np.ones((7, 8))))
    distance = (positions[:, None] - positions[None]).norm(dim=-1)  # cdist is less exact where points are near
    weight = torch.zeros(56, 56, dtype=torch.float64)
    for node, away in enumerate(distance):
        first = torch.nonzero((away > 0) & (away <= 14 * 2.5)).flatten()[:5]
        weight[node, first] = torch.exp(-0.01 * away[first])
    assert torch.allclose(actual.double(), _normalise(weight + weight.T), atol=1e-6)


def test_every_lattice_row_is_read_once_from_the_top():
    features = _smooth_features(50, 6, 4, 0)
    read = []

    def read_rows(first, last):
        read.extend(range(first, last))
        return features[first:last]

    valid, device = np.ones((50, 6), bool), torch.device("cpu")
    lattice_affinity(read_rows, valid, 14.0, n_neighbors=5, gamma=3.0, sigma=0.01, radius=90.0, device=device)
    assert read == list(range(50))


def test_what_invalid_patches_hold_does_not_matter():
    features = _smooth_features(20, 20, 4, 0)
    valid = np.random.default_rng(0).random((20, 20)) < 0.7
    clean = _affinity_of(features, valid, k=10, radius=60).matrix.values()
    features[~valid] = 60_000
    assert torch.equal(_affinity_of(features, valid, k=10, radius=60).matrix.values(), clean)


def test_lattice_affinity_does_not_depend_on_the_number_of_threads():
    features, valid = _smooth_features(40, 40, 16, 0), np.ones((40, 40), bool)
    several = _affinity_of(features, valid, radius=150).matrix
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = _affinity_of(features, valid, radius=150).matrix
    finally:
        numba.set_num_threads(threads)
    assert torch.equal(several.col_indices(), one.col_indices())
    assert torch.equal(several.values(), one.values())


@pytest.mark.parametrize(
    "call",
    [
        lambda: patch_affinity(torch.zeros(3), torch.zeros(3, 2)),
        lambda: patch_affinity(torch.zeros(3, 2), torch.zeros(2, 2)),
        lambda: patch_affinity(torch.zeros(3, 2), torch.zeros(3, 2), n_neighbors=0),
        lambda: patch_affinity(torch.zeros(3, 2), torch.zeros(3, 2), radius=0),
        lambda: _affinity_of(np.zeros((3, 2, 1), np.float16), np.ones((3, 2), bool), k=0, radius=9),
        lambda: _affinity_of(np.zeros((3, 2, 1), np.float16), np.ones((3, 2), bool), radius=0),
        lambda: _affinity_of(np.zeros((3, 2, 1), np.float16), np.ones((3, 2), bool), 0, radius=9),
        lambda: pixel_affinity(torch.zeros(4, 5, 5)),
        lambda: pixel_affinity(torch.zeros(3, 5, 5), radius=101),
        lambda: pixel_affinity(torch.zeros(3, 5, 5), tau=0),
        lambda: pixel_affinity(torch.zeros(3, 5, 5), radius=0),
        lambda: pixel_affinity(torch.zeros(3, 5, 5), valid=torch.ones(5, 4, dtype=torch.bool)),
    ],
)
def test_arguments_out_of_range_are_refused(call):
    with pytest.raises(ValueError, match="must be"):
        call()
