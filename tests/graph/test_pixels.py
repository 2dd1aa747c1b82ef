from __future__ import annotations

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lposs_geo.graph import pixels as graph
from lposs_geo.graph.pixels import pixel_affinity, rgb_to_lab
from lposs_geo.propagation import propagate


def _explicit_pixels(image, radius, tau, valid):
    lab = (rgb_to_lab(image) / torch.tensor([100.0, 128, 128])[:, None, None]).flatten(1).T
    rows, cols = image.shape[1:]
    position = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(cols), indexing="ij"), -1).reshape(-1, 2)
    near = (position[:, None] - position[None]).abs().amax(-1) <= radius
    weight = torch.exp(-torch.cdist(lab.double(), lab.double()) / tau) * near
    weight = weight * valid.flatten()[:, None] * valid.flatten()[None]
    return _normalise(weight).float()


def _normalise(weight):
    weight = weight.clone().fill_diagonal_(0)
    scale = torch.where(weight.sum(1) > 0, weight.sum(1).rsqrt(), 0)
    return scale[:, None] * weight * scale


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
        actual = pixel_affinity(image, radius=radius, tau=0.05, valid=valid).matmul(scores)
    expected = _explicit_pixels(image, radius, 0.05, valid) @ scores
    assert torch.allclose(actual, expected, atol=1e-5)


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


@pytest.mark.parametrize("classes", [1, 7])
def test_an_image_of_many_tiles_is_multiplied_as_by_torch(classes, monkeypatch):
    generator = torch.Generator().manual_seed(6)
    image = 0.5 + 0.02 * torch.rand(3, 70, 1100, generator=generator)
    scores = torch.randn(image[0].numel(), classes, generator=generator)
    actual = pixel_affinity(image, radius=2).matmul(scores)
    monkeypatch.setattr(graph, "_weights_on_cpu", graph._weights_in_torch)
    monkeypatch.setattr(graph, "_sums_on_cpu", graph._sums_in_torch)
    assert torch.allclose(actual, pixel_affinity(image, radius=2).matmul(scores), atol=1e-6)


def test_neither_the_number_of_threads_nor_the_place_in_the_image_changes_a_product(monkeypatch):
    # The true colours won't do: torch's powers differ in the last bit between an array's middle and its end.
    monkeypatch.setattr(graph, "rgb_to_lab", lambda image: 100 * image)
    generator = torch.Generator().manual_seed(7)
    image = 0.5 + 0.02 * torch.rand(3, 70, 1100, generator=generator)
    scores = torch.randn(2, 70, 1100, generator=generator)
    whole = pixel_affinity(image).matmul(scores.flatten(1).T).T.view_as(scores)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        alone = pixel_affinity(image).matmul(scores.flatten(1).T).T.view_as(scores)
    finally:
        numba.set_num_threads(threads)
    assert torch.equal(whole, alone)
    part = scores[:, 9:, 135:791]
    window = pixel_affinity(image[:, 9:, 135:791]).matmul(part.flatten(1).T).T.view_as(part)
    inside = slice(12, -12)  # a hop for the product, and one for its neighbours' degrees
    assert torch.equal(window[:, 12:, inside], whole[:, 21:, 135:791][:, :, inside])


def test_colours_far_apart_do_not_mix():
    image = torch.zeros(3, 6, 6)
    image[:, :, 3:] = 1.0
    scores = torch.zeros(36, 1).view(6, 6, 1)
    scores[:, :3] = 1.0
    spread = propagate(pixel_affinity(image), scores.view(36, 1)).value.view(6, 6)
    assert (spread[:, 3:] == 0).all()
    assert (spread[:, :3] > 1).all()
