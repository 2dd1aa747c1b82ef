from __future__ import annotations

import numpy as np
import pytest
import torch
from rasterio.windows import Window

from lposs_geo.lposs import crop_positions, propagate_patches, seeds
from lposs_geo.stages.encode import encode_image
from lposs_geo.stages.features import LatticeFeatures
from lposs_geo.stages.propagate import (
    BLOCK_MARGIN,
    SCENE_PARAMETERS,
    blocks,
    parameters_for,
    patch_scores,
    patch_seeds,
    sample_scores,
)
from lposs_geo.testing.encoders import ColourEncoder
from lposs_geo.tiling import Lattice

CPU = torch.device("cpu")
TEXT = torch.eye(3)


class FineEncoder(ColourEncoder):
    """Patches of 2 px, so that a small picture has many."""

    crop_size, stride, patch_size = 8, 8, 2
    n_neighbors = 20


def _features(rows: int, cols: int, encoder: ColourEncoder, seed: int = 0) -> LatticeFeatures:
    rng = np.random.default_rng(seed)
    image = rng.random((3, rows, cols), dtype=np.float32)
    image[0, :, : cols // 2] += 1  # two halves that differ
    (features,) = encode_image(image / 2, encoder)
    return features


def _with_hole(features: LatticeFeatures, window: tuple[slice, slice]) -> LatticeFeatures:
    valid = features.valid.copy()
    valid[window] = False
    vlm, vm = (np.where(valid[:, :, None], array, 0).astype("float16") for array in (features.vlm, features.vm))
    return LatticeFeatures(features.lattice, vlm, vm, valid)


def test_the_looks_seeds_are_averaged():
    lattices = Lattice(64, 96, 16, 64, 32), Lattice(128, 192, 16, 64, 32)
    rng = np.random.default_rng(0)
    looks = []
    for zoom, lattice in zip((1.0, 2.0), lattices, strict=True):
        vlm = rng.normal(size=(lattice.rows, lattice.cols, 3)).astype("float16")
        looks.append(LatticeFeatures(lattice, vlm, vlm, np.ones(vlm.shape[:2], bool), zoom))
    alone = [patch_seeds([look], TEXT, ColourEncoder()) for look in looks]
    assert [array.shape for array in alone] == [(4, 6, 3), (8, 12, 3)]
    planes = torch.from_numpy(alone[0]).permute(2, 0, 1)[None]
    coarse = torch.nn.functional.interpolate(planes, scale_factor=2, mode="bilinear", align_corners=False)[0]
    both = patch_seeds(looks, TEXT, ColourEncoder())
    assert np.allclose(both, (coarse.permute(1, 2, 0).numpy() + alone[1]) / 2, atol=1e-5)
    part = patch_seeds(looks, TEXT, ColourEncoder(), Window(3, 2, 7, 5))
    assert np.allclose(part, both[2:7, 3:10], atol=1e-6)


def test_scores_are_those_of_the_method_on_the_valid_patches():
    encoder = FineEncoder()
    features = _with_hole(_features(60, 80, encoder), (slice(5, 12), slice(10, 30)))
    scores = patch_scores([features], TEXT, encoder)
    valid = torch.from_numpy(features.valid)
    unit = torch.nn.functional.normalize(torch.from_numpy(features.vm[features.valid]).float(), dim=1)
    positions = crop_positions([(0, 0)], 40, 2).reshape(40, 40, 2)[:30, :40].reshape(30, 40, 2)
    expected = propagate_patches(unit, seeds(unit, TEXT), positions[valid], parameters_for(encoder))
    # where two patches are as good as equally similar, rounding decides which of them is a neighbour
    assert np.isclose(scores[features.valid], expected.numpy(), rtol=1e-4).mean() > 0.95
    assert np.allclose(scores[features.valid], expected.numpy(), rtol=0.02)
    assert not scores[~features.valid].any()


def test_a_lattice_that_fits_into_memory_is_one_block():
    features = _features(60, 80, FineEncoder())
    (block,) = blocks(features, FineEncoder(), 3, 10**9)
    assert block.core == block.padded == Window(0, 0, 40, 30)


@pytest.mark.parametrize("window", [None, Window(0, 2400, 4000, 1600), Window(999, 1, 2, 3)])
def test_a_larger_lattice_is_cut_into_blocks_with_a_margin(window):
    lattice = Lattice(6000, 8000, 2, 8, 8)
    anything = np.zeros((lattice.rows, lattice.cols, 0))
    features = LatticeFeatures(lattice, anything, anything, anything)
    found = blocks(features, FineEncoder(), 3, 10**9, window)
    covered = np.zeros((lattice.rows, lattice.cols), int)
    for block in found:
        rows, cols = block.core.toslices()
        covered[rows, cols] += 1
        for core, padded, length in zip(
            block.core.toranges(), block.padded.toranges(), (lattice.rows, lattice.cols), strict=True
        ):
            assert padded == (max(0, core[0] - BLOCK_MARGIN // 2), min(length, core[1] + BLOCK_MARGIN // 2))
    assert covered.max() == 1
    wanted = covered if window is None else covered[window.row_off // 2 : (window.row_off + window.height) // 2 + 1]
    assert window is not None or wanted.all()
    assert len(found) > 1 or window is not None
    if window is not None:
        rows, cols = (slice(s.start // 2, -(-s.stop // 2)) for s in window.toslices())
        assert covered[rows, cols].all()


def test_blocks_with_their_margin_give_the_labels_of_the_whole(monkeypatch):
    # a search radius of 40 px, a margin of 80 px, cores of 100 px on 400 x 300 px
    monkeypatch.setattr("lposs_geo.stages.propagate.BLOCK_MARGIN", 80)
    monkeypatch.setattr(
        "lposs_geo.stages.propagate.SCENE_PARAMETERS",
        SCENE_PARAMETERS.__class__(search_radius=40.0, solver="chebyshev"),
    )
    encoder = FineEncoder()
    features = _features(300, 400, encoder)
    whole = patch_scores([features], TEXT, encoder)
    found = np.zeros_like(whole)
    parts = blocks(features, encoder, 3, 130 * 130 * (26 * 20 + 48 + 64))
    assert len(parts) > 4
    for part in parts:
        rows, cols = part.core.toslices()
        found[rows, cols] = patch_scores([features], TEXT, encoder, part.padded)[part.core_in_padded]
    assert (found.argmax(2) == whole.argmax(2)).mean() > 0.999
    assert np.abs(found - whole).max() < 0.02 * np.abs(whole).max()


@pytest.mark.parametrize("window", [Window(0, 0, 400, 300), Window(37, 101, 80, 33)])
def test_a_window_of_pixels_is_interpolated_as_the_whole(window):
    encoder = FineEncoder()
    features = _with_hole(_features(300, 400, encoder), (slice(60, 70), slice(30, 60)))
    scores = np.random.default_rng(0).random((150, 200, 3), dtype=np.float32) * features.valid[:, :, None]
    planes, weight = (torch.from_numpy(a.astype("float32")) for a in (scores.transpose(2, 0, 1), features.valid[None]))
    whole, share = (
        torch.nn.functional.interpolate(a[None], scale_factor=2, mode="bilinear", align_corners=False)[0]
        for a in (planes, weight)
    )
    rows, cols = window.toslices()
    expected = (whole / share.clamp_min(1e-6))[:, rows, cols]
    assert torch.allclose(sample_scores(scores, features, window, CPU), expected, atol=1e-5)
