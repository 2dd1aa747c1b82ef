from __future__ import annotations

import numpy as np
import pytest
import torch

from lposs_geo.lposs import Parameters, crop_positions, probabilities, propagate_patches, refine, seeds, segment, stitch
from lposs_geo.testing.encoders import ColourEncoder


def test_golden_both_stages_from_seeds_to_labels(golden):
    stored, pixels = golden("patch_stage"), golden("pixel_stage")
    starts = [(int(row), int(col)) for row, _, col, _ in stored["windows_y1y2x1x2"]]
    vm = torch.from_numpy(stored["vm_features"])
    actual = seeds(torch.from_numpy(stored["vlm_features"]), torch.from_numpy(stored["text_embeddings"]))
    assert np.allclose(actual, stored["seeds"], atol=1e-6)
    scores = propagate_patches(vm, actual, crop_positions(starts, 14, 16)).numpy()
    assert np.abs(scores - stored["propagated"]).max() <= 1e-4 * np.abs(stored["propagated"]).max()
    image = torch.from_numpy(pixels["image_rgb"]).permute(2, 0, 1) / 255
    refined = refine(image, torch.from_numpy(pixels["stitched"])).numpy()
    assert np.abs(refined - pixels["refined"]).max() <= 1e-4 * np.abs(pixels["refined"]).max()
    assert (refined.argmax(0) == pixels["refined"].argmax(0)).mean() >= 0.999


def test_a_models_own_temperature_makes_seeds_of_probabilities():
    generator = torch.Generator().manual_seed(0)
    vlm, text = (torch.nn.functional.normalize(torch.randn(n, 8, generator=generator), dim=1) for n in (20, 3))
    actual = seeds(vlm, text, 25.0)
    assert torch.allclose(actual.sum(1), torch.ones(20))
    assert (actual.argmax(1) == seeds(vlm, text).argmax(1)).all()


def test_what_is_no_class_takes_no_share_from_the_classes():
    generator = torch.Generator().manual_seed(0)
    vlm, text = (torch.nn.functional.normalize(torch.randn(n, 8, generator=generator), dim=1) for n in (20, 5))
    actual = seeds(vlm, text, 25.0, num_rivals=2)
    assert torch.allclose(actual[:, :3], seeds(vlm, text[:3], 25.0))
    twin = torch.cat([text[:3], text[1:2]])
    assert torch.allclose(seeds(vlm, twin, 25.0, num_rivals=1)[:, 3], seeds(vlm, text[:3], 25.0)[:, 1])
    assert actual[:, 3:].max() <= 1
    assert torch.equal(seeds(vlm, text, num_rivals=2), seeds(vlm, text))


@pytest.mark.parametrize("power", [1.0, 20.0])
def test_probabilities_are_shares_whatever_the_scale(power):
    scores = torch.rand(4, 6, 7, generator=torch.Generator().manual_seed(0)) + 0.1
    actual = probabilities(scores, power)
    assert torch.allclose(actual.sum(0), torch.ones(6, 7))
    assert torch.equal(actual.argmax(0), scores.argmax(0))
    assert torch.allclose(probabilities(scores * 400, power), actual, atol=1e-5)
    assert torch.allclose(probabilities(-scores, power), torch.full((4, 6, 7), 0.25))


def test_stitching_constant_crops_and_the_overlap_of_two():
    assert torch.allclose(
        stitch(torch.ones(4, 2, 4, 4), [(0, 0), (0, 32), (16, 0), (16, 32)], 64, (80, 96)), torch.ones(2, 80, 96)
    )
    two = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)])
    stitched = stitch(two, [(0, 0), (0, 32)], 64, (64, 96))
    assert (stitched[:, :, :32] == 0).all()
    assert (stitched[:, :, 32:64] == 0.5).all()
    assert (stitched[:, :, 64:] == 1).all()


@pytest.mark.parametrize(("height", "width"), [(128, 150), (64, 64), (20, 64), (200, 33)])
@pytest.mark.parametrize("solver", ["cg", "chebyshev"])
def test_words_find_their_colours_at_any_size(height, width, solver):
    image = torch.zeros(3, height, width)
    image[0, :, : width // 2] = 0.9
    image[2, :, width // 2 :] = 0.9
    scores = segment(image, ColourEncoder(), [["red"], ["green"], ["blue"]], parameters=Parameters(solver=solver))
    assert scores.shape == (3, height, width)
    expected = torch.zeros(height, width, dtype=torch.long)
    expected[:, width // 2 :] = 2
    assert (scores.argmax(0) == expected).float().mean() > 0.99


def test_the_pixel_stage_puts_the_border_where_the_colours_change():
    image = torch.full((3, 128, 128), 0.1)
    image[0, :, :71] = 0.9
    image[2, :, 71:] = 0.9  # not on a patch border
    truth = torch.zeros(128, 128, dtype=torch.long)
    truth[:, 71:] = 1
    coarse, fine = (
        (segment(image, ColourEncoder(), [["red"], ["blue"]], pixels=pixels).argmax(0) != truth).sum()
        for pixels in (False, True)
    )
    assert fine == 0
    assert coarse > 100
