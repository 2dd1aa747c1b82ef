from __future__ import annotations

import numpy as np
import pytest
from test_lposs import ColourEncoder

from lposs_geo.errors import SceneError
from lposs_geo.features import encode_image, encode_scene
from lposs_geo.scene import describe, open_scene


class CountingEncoder(ColourEncoder):
    def __init__(self) -> None:
        self.crops = 0

    def patch_features(self, images):
        self.crops += len(images)
        return super().patch_features(images)


class TwoLookEncoder(ColourEncoder):
    scales = (1.0, 2.0)


def _encode_all(path, encoder, **options):
    with open_scene(describe(path)) as reader:
        return encode_scene(reader, encoder, **options)


def _encode(path, encoder=None, **options):
    (features,) = _encode_all(path, encoder or ColourEncoder(), **options)
    return features


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


def test_each_look_has_a_lattice_of_its_own_and_one_progress_counts_them_all(write_raster):
    array = np.random.default_rng(0).integers(1, 255, (3, 150, 201)).astype("uint8")
    path, seen = write_raster(array), []
    looks = _encode_all(path, TwoLookEncoder(), progress=lambda done, total: seen.append((done, total)))
    assert [look.patch_size for look in looks] == [16, 8]
    assert [look.vlm.shape for look in looks] == [(10, 13, 3), (19, 26, 3)]
    assert all(look.valid.all() for look in looks)
    assert np.array_equal(looks[0].vlm, _encode(path).vlm)
    # twice as large, a patch is a quarter of what it was: four of the second look make one of the first
    fine = looks[1].vlm[:18, :24].astype(float).reshape(9, 2, 12, 2, 3).mean((1, 3))
    assert np.allclose(fine / np.linalg.norm(fine, axis=-1, keepdims=True), _pools(array, 9, 12), atol=0.05)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (4 * 6 + 9 * 12, 4 * 6 + 9 * 12)


@pytest.mark.parametrize("zoom", [1.0, 0.5, 1.7])
def test_a_picture_in_memory_is_encoded_as_its_file_is(write_raster, zoom):
    array = np.random.default_rng(3).integers(1, 255, (3, 150, 201)).astype("uint8")
    from_file = _encode_all(write_raster(array), TwoLookEncoder(), zoom=zoom)
    in_memory = encode_image(array.astype("float32") / 255, TwoLookEncoder(), zoom=zoom)
    for one, other in zip(from_file, in_memory, strict=True):
        assert one.lattice == other.lattice
        assert one.zoom == other.zoom
        assert np.allclose(one.vlm, other.vlm, atol=2e-3)
        assert np.array_equal(one.valid, other.valid)


def test_a_scene_without_data_is_refused(write_raster):
    with pytest.raises(SceneError, match="no valid pixel"):
        _encode(write_raster(np.zeros((3, 80, 80), dtype="uint8"), nodata=0))
