import numpy as np
import pytest
import rasterio

from lposs_geo.errors import ParameterError
from lposs_geo.examples.learned import Learned
from lposs_geo.legend.building import from_words
from lposs_geo.mapping import Mapper
from lposs_geo.testing.encoders import ColourEncoder


def _fields() -> np.ndarray:
    """Red and blue fields with a green stripe."""
    picture = np.random.default_rng(0).integers(1, 60, (3, 150, 201)).astype("uint8")
    picture[0, :, :97] += 150
    picture[1, :, 97:137] += 150
    picture[2, :, 137:] += 150
    return picture


@pytest.mark.parametrize("refine", [True, False])
def test_an_image_in_memory_is_labelled_as_a_scene_is(write_raster, tmp_path, refine):
    picture, mapper = _fields(), Mapper.of(ColourEncoder(), "colours")
    segmented = mapper.segment(picture, "red,green,blue", refine=refine)
    path = write_raster(picture, crs=None, transform=rasterio.Affine.identity())
    mapper.map(path, "red,green,blue", tmp_path / "map.tif", refine=refine)
    with rasterio.open(tmp_path / "map.tif") as dataset:
        assert np.array_equal(segmented.labels, dataset.read(1))
    assert np.allclose(segmented.probabilities.sum(axis=0), 1, atol=1e-5)
    assert np.array_equal(
        mapper.segment(picture / np.float32(255), "red,green,blue", refine=refine).labels, segmented.labels
    )


@pytest.mark.parametrize(
    "image",
    [np.zeros((2, 50, 50), "uint8"), np.zeros((50, 50), "uint8"), np.full((3, 9, 9), 2.0), np.zeros((3, 9, 9), int)],
)
def test_an_image_of_another_kind_is_refused(image):
    with pytest.raises(ParameterError, match="image must be"):
        Mapper.of(ColourEncoder(), "colours").segment(image, "red,green")


def test_what_was_learnt_from_examples_is_refused_in_one_line():
    legend = from_words("red,green")
    learned = Learned(legend, "colours", "", (), {"bias": np.zeros(2, np.float32)})
    mapper = Mapper.of(ColourEncoder(), "colours")
    with pytest.raises(ParameterError, match="no images in memory"):
        mapper.segment(_fields(), learned)
    assert mapper.segment(_fields(), learned.legend).labels.shape == (150, 201)
