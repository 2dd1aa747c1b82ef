from __future__ import annotations

import numpy as np
import pytest
from test_lposs import ColourEncoder

from lposs_geo.errors import SceneError
from lposs_geo.features import encode_scene
from lposs_geo.scene import describe, open_scene


class CountingEncoder(ColourEncoder):
    def __init__(self) -> None:
        self.crops = 0

    def patch_features(self, images):
        self.crops += len(images)
        return super().patch_features(images)


def _encode(path, encoder=None, **options):
    with open_scene(describe(path)) as reader:
        return encode_scene(reader, encoder or ColourEncoder(), **options)


def _pools(array: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """Mean colour of each whole patch, normalised: what the encoder gives for it in any crop."""
    whole = array[:, : rows * 16, : cols * 16] / 255
    mean = whole.reshape(3, rows, 16, cols, 16).mean((2, 4)).transpose(1, 2, 0)
    return mean / np.linalg.norm(mean, axis=-1, keepdims=True)


def test_each_place_holds_the_mean_over_the_crops_that_cover_it(write_raster):
    array = np.random.default_rng(0).integers(1, 255, (3, 150, 201)).astype("uint8")
    features = _encode(write_raster(array))
    assert features.vlm.shape == (10, 13, 3)
    assert features.vlm.dtype == np.float16
    assert features.valid.all()
    # all crops agree on a whole patch, so their mean is the patch's own feature
    assert np.allclose(features.vlm[:9, :12], _pools(array, 9, 12), atol=2e-3)
    assert np.allclose(features.vm, features.vlm)


def test_crops_without_data_never_reach_the_encoder(write_raster):
    array = np.zeros((3, 320, 320), dtype="uint8")
    array[:, 200:230, 200:230] = 99
    encoder = CountingEncoder()
    features = _encode(write_raster(array, nodata=0), encoder)
    assert encoder.crops == 9  # of 81: those that reach into rows and columns 200 to 229
    assert features.valid.sum() == 9
    assert features.valid[12:15, 12:15].all()
    assert (features.vlm[~features.valid] == 0).all()
    # pixels without data are shown in the mean colour of the valid ones: here all grey
    assert np.allclose(features.vlm[features.valid], 3**-0.5, atol=1e-3)


@pytest.mark.parametrize(("rows", "cols"), [(2, 3), (64, 64), (65, 16), (63, 500)])
def test_scenes_of_any_size(write_raster, rows, cols):
    array = np.random.default_rng(1).integers(1, 255, (3, rows, cols)).astype("uint8")
    features = _encode(write_raster(array))
    lattice = features.lattice
    assert features.vlm.shape[:2] == (lattice.rows, lattice.cols)
    inside = features.valid[: -(-rows // 16), : -(-cols // 16)]
    assert inside.all()
    assert features.valid.sum() == inside.size
    assert np.isfinite(features.vlm).all()


def test_progress_counts_up_to_all_crops(write_raster):
    seen = []
    _encode(
        write_raster(np.full((3, 150, 201), 9, dtype="uint8")), progress=lambda done, total: seen.append((done, total))
    )
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1][0] == seen[-1][1] == 4 * 6


def test_a_scene_without_data_is_refused(write_raster):
    with pytest.raises(SceneError, match="no valid pixel"):
        _encode(write_raster(np.zeros((3, 80, 80), dtype="uint8"), nodata=0))
