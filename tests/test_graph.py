from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lposs_geo import graph
from lposs_geo.graph import patch_affinity, pixel_affinity, rgb_to_lab
from lposs_geo.propagation import propagate


def _golden_positions(stored) -> torch.Tensor:
    from lposs_geo.lposs import crop_positions

    starts = [(int(row), int(col)) for row, _, col, _ in stored["windows_y1y2x1x2"]]
    return crop_positions(starts, 14, 16)


def _explicit_patches(features, positions, k, gamma, sigma, radius=None):
    """The definition, N x N."""
    similarity = features @ features.T
    distance = torch.cdist(positions, positions)
    if radius is not None:
        similarity[distance > radius] = -torch.inf
    kept = torch.zeros_like(similarity, dtype=torch.bool)
    kept.scatter_(1, similarity.topk(min(k, len(features)), dim=1).indices, True)
    weight = torch.where(kept, similarity.clamp_min(0) ** gamma * torch.exp(-sigma * distance), 0)
    return _normalise(weight + weight.T)


def _explicit_pixels(image, radius, tau, valid):
    lab = (rgb_to_lab(image) / torch.tensor([100.0, 128, 128])[:, None, None]).flatten(1).T
    rows, cols = image.shape[1:]
    place = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(cols), indexing="ij"), -1).reshape(-1, 2)
    near = (place[:, None] - place[None]).abs().amax(-1) <= radius
    weight = torch.exp(-torch.cdist(lab.double(), lab.double()) / tau) * near
    weight = weight * valid.flatten()[:, None] * valid.flatten()[None]
    return _normalise(weight).float()


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


@pytest.mark.parametrize("on_cpu", [True, False], ids=["compiled", "torch"])
def test_golden_pixel_stage(golden, on_cpu, monkeypatch):
    if not on_cpu:  # the GPU's code, run here on the CPU
        monkeypatch.setattr(graph, "_weights_on_cpu", graph._weights_in_torch)
        monkeypatch.setattr(graph, "_sums_on_cpu", graph._sums_in_torch)
    stored = golden("pixel_stage")
    image = torch.from_numpy(stored["image_rgb"]).permute(2, 0, 1) / 255
    lab = (rgb_to_lab(image) / torch.tensor([100.0, 128, 128])[:, None, None]).flatten(1).T
    assert torch.allclose(lab[:8], torch.from_numpy(stored["lab_first_pixels"]), atol=1e-6)
    affinity = pixel_affinity(image)
    scores = torch.from_numpy(stored["stitched"])
    refined = propagate(affinity, scores.flatten(1).T, solver="cg").value.T.reshape(scores.shape).numpy()
    assert np.abs(refined - stored["refined"]).max() <= 1e-4 * np.abs(stored["refined"]).max()
    assert (refined.argmax(0) == stored["refined"].argmax(0)).mean() >= 0.999


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 40),
    k=st.integers(1, 60),
    radius=st.one_of(st.none(), st.floats(5, 150)),
    seed=st.integers(0, 2**16),
)
def test_patch_affinity_is_its_definition(count, k, radius, seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.nn.functional.normalize(torch.randn(count, 5, generator=generator), dim=1)
    positions = torch.rand(count, 2, generator=generator) * 200
    found = patch_affinity(features, positions, n_neighbors=k, radius=radius).matrix.to_dense()
    expected = _explicit_patches(features, positions, k, 3.0, 0.01, radius)
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(found, found.T, atol=1e-6)


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


@pytest.mark.parametrize("on_cpu", [True, False], ids=["compiled", "torch"])
@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 9), cols=st.integers(1, 9), radius=st.integers(1, 4), seed=st.integers(0, 2**16))
def test_pixel_affinity_is_its_definition(on_cpu, rows, cols, radius, seed):
    generator = torch.Generator().manual_seed(seed)
    image = 0.5 + 0.05 * torch.rand(3, rows, cols, generator=generator)
    valid = torch.rand(rows, cols, generator=generator) > 0.2
    scores = torch.randn(rows * cols, 3, generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        if not on_cpu:
            patch.setattr(graph, "_weights_on_cpu", graph._weights_in_torch)
            patch.setattr(graph, "_sums_on_cpu", graph._sums_in_torch)
        found = pixel_affinity(image, radius=radius, tau=0.05, valid=valid).matmul(scores)
    expected = _explicit_pixels(image, radius, 0.05, valid) @ scores
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_window_of_the_pixel_stage_is_exact_inside_its_halo():
    generator = torch.Generator().manual_seed(5)
    image = 0.5 + 0.02 * torch.rand(3, 40, 90, generator=generator)
    scores = torch.randn(2, 40, 90, generator=generator)
    steps, radius = 5, 3
    halo = steps * radius  # steps - 1 hops, and one for the degrees of the farthest pixels reached
    whole = propagate(pixel_affinity(image, radius=radius), scores.flatten(1).T, num_steps=steps).value
    part = slice(0, 45 + halo)
    window = propagate(
        pixel_affinity(image[:, :, part], radius=radius), scores[:, :, part].flatten(1).T, num_steps=steps
    ).value
    left = whole.T.reshape(2, 40, 90)[:, :, :45]
    assert torch.equal(window.T.reshape(2, 40, -1)[:, :, :45], left)


def test_colours_far_apart_do_not_mix():
    image = torch.zeros(3, 6, 6)
    image[:, :, 3:] = 1.0
    scores = torch.zeros(36, 1).view(6, 6, 1)
    scores[:, :3] = 1.0
    spread = propagate(pixel_affinity(image), scores.view(36, 1)).value.view(6, 6)
    assert (spread[:, 3:] == 0).all()
    assert (spread[:, :3] > 1).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda: patch_affinity(torch.zeros(3), torch.zeros(3, 2)),
        lambda: patch_affinity(torch.zeros(3, 2), torch.zeros(2, 2)),
        lambda: patch_affinity(torch.zeros(3, 2), torch.zeros(3, 2), n_neighbors=0),
        lambda: patch_affinity(torch.zeros(3, 2), torch.zeros(3, 2), radius=0),
        lambda: pixel_affinity(torch.zeros(4, 5, 5)),
        lambda: pixel_affinity(torch.zeros(3, 5, 5), tau=0),
        lambda: pixel_affinity(torch.zeros(3, 5, 5), radius=0),
        lambda: pixel_affinity(torch.zeros(3, 5, 5), valid=torch.ones(5, 4, dtype=torch.bool)),
    ],
)
def test_arguments_out_of_range_are_refused(call):
    with pytest.raises(ValueError, match="must be"):
        call()
