"""The bundled model, with its real weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

import lposs_geo
from lposs_geo.encoders import mini
from lposs_geo.encoders.mini import HeadConfig, MiniEncoder
from lposs_geo.encoders.words import MAX_TOKENS, WordPiece, dequantise, quantise
from lposs_geo.errors import ModelError

WEIGHTS = Path(lposs_geo.__file__).parent / "weights" / "mini"
LAKESIDE = Path(__file__).parents[2] / "examples" / "lakeside.tif"

TEACHER_COSINES = (
    ("forest", "woodland", 0.715),
    ("forest", "trees", 0.753),
    ("water", "river", 0.577),
    ("water", "lake", 0.488),
    ("road", "street", 0.806),
    ("building", "house", 0.514),
    ("cropland", "farmland", 0.606),
    ("bare soil", "sand", 0.455),
    ("solar panels", "photovoltaic park", 0.644),
    ("swimming pool", "vineyard", 0.181),
    ("greenhouse", "violin", 0.031),
    ("parking lot", "car park", 0.733),
    ("water", "road", 0.405),
    ("forest", "building", 0.340),
    ("crop field", "tennis court", 0.088),
    ("swimming pool", "water", 0.483),
)
"""Cosines of the MiniLM teacher, computed by training/distil.py's `load_teacher`."""


@pytest.fixture(scope="module")
def encoder() -> MiniEncoder:
    return MiniEncoder.load(WEIGHTS, torch.device("cpu"))


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    return torch.rand(3, 3, 112, 140, generator=torch.Generator().manual_seed(0))


def test_features_are_unit_vectors_on_the_patch_grid(encoder: MiniEncoder, crops: torch.Tensor) -> None:
    found = encoder.patch_features(crops)
    for features in (found.vlm, found.vm):
        assert features.shape == (3, 384, 8, 10)
        assert features.dtype == torch.float32
        torch.testing.assert_close(features.norm(dim=1), torch.ones(3, 8, 10), atol=1e-5, rtol=0)


def test_features_are_the_same_every_time(encoder: MiniEncoder, crops: torch.Tensor) -> None:
    first, second = encoder.patch_features(crops), encoder.patch_features(crops)
    assert torch.equal(first.vlm, second.vlm)
    assert torch.equal(first.vm, second.vm)


def test_a_crop_does_not_depend_on_its_batch(encoder: MiniEncoder, crops: torch.Tensor) -> None:
    together, alone = encoder.patch_features(crops), encoder.patch_features(crops[1:2])
    # bfloat16, where the processor is fast in it, has three digits
    for one, other in ((together.vlm[1:2], alone.vlm), (together.vm[1:2], alone.vm)):
        assert float((one * other).sum(dim=1).min()) > 0.999


@pytest.mark.parametrize("shape", [(14, 14), (224, 224), (252, 98)])
def test_any_whole_number_of_patches_will_do(encoder: MiniEncoder, shape: tuple[int, int]) -> None:
    found = encoder.patch_features(torch.zeros(1, 3, *shape))
    assert found.vlm.shape == found.vm.shape == (1, 384, shape[0] // 14, shape[1] // 14)
    assert found.vlm.isfinite().all()
    assert found.vm.isfinite().all()


def test_other_crop_sizes_are_refused(encoder: MiniEncoder) -> None:
    with pytest.raises(ValueError, match="patches"):
        encoder.patch_features(torch.zeros(1, 3, 220, 224))


def test_crop_and_stride_are_whole_patches(encoder: MiniEncoder) -> None:
    assert encoder.crop_size % encoder.patch_size == encoder.stride % encoder.patch_size == 0


@pytest.mark.parametrize(
    "phrase", ["forest", "", "   ", "Café à côté", "zxqwvkj", "北京", "🌲", "a-b_c (x), 5%", "tree " * 500]
)
def test_any_words_have_an_embedding(encoder: MiniEncoder, phrase: str) -> None:
    embedding = encoder.words.embed([phrase])
    assert embedding.shape == (1, 384)
    assert float(embedding.norm()) == pytest.approx(1, abs=1e-5)


def test_case_and_accents_do_not_matter(encoder: MiniEncoder) -> None:
    a, b = encoder.words.embed(["Café forêt", "cafe foret"])
    assert torch.equal(a, b)


def test_a_phrase_does_not_depend_on_the_others(encoder: MiniEncoder) -> None:
    assert torch.equal(
        encoder.words.embed(["water", "a very long phrase about forests"])[0], encoder.words.embed(["water"])[0]
    )
    assert encoder.words.embed([]).shape == (0, 384)


def test_words_agree_with_their_teacher(encoder: MiniEncoder) -> None:
    for first, second, expected in TEACHER_COSINES:
        a, b = encoder.words.embed([first, second])
        assert float(a @ b) == pytest.approx(expected, abs=0.08), (first, second)


def test_a_class_is_the_mean_of_its_words(encoder: MiniEncoder) -> None:
    found = encoder.text_embeddings([["water"], ["forest", "woodland"]])
    words = encoder.words.embed(["water", "forest", "woodland"])
    assert found.shape == (2, 384)
    torch.testing.assert_close(found[0], words[0])
    torch.testing.assert_close(found[1], torch.nn.functional.normalize(words[1] + words[2], dim=0))


def test_word_pieces() -> None:
    tokenizer = WordPiece.load(WEIGHTS / "vocab.txt")
    # as the tokenizer that comes with the teacher cuts it
    expected = [101, 7668, 1037, 17155, 1024, 6302, 6767, 24458, 7413, 1062, 2595, 4160, 2860, 2615, 102]
    assert tokenizer.encode("Café à côté: photovoltaïque zxqwv") == expected
    assert tokenizer.encode("") == [101, 102]
    assert len(tokenizer.encode("tree " * 500)) == MAX_TOKENS


def test_quantised_weights_come_back() -> None:
    state = {"matrix": torch.randn(6, 40, generator=torch.Generator().manual_seed(0)), "bias": torch.arange(5.0)}
    back = dequantise(quantise(state))
    assert back.keys() == state.keys()
    assert torch.equal(back["bias"], state["bias"])
    assert float((back["matrix"] - state["matrix"]).abs().max()) < float(state["matrix"].abs().max()) / 127


def test_configuration_survives_the_metadata() -> None:
    config = HeadConfig((4, 8), 16, 12.5, 7, "value", ("crop field", "lake"))
    assert HeadConfig.from_metadata(config.to_metadata()) == config


def test_missing_or_broken_weights_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="reinstall") as error:
        MiniEncoder.load(tmp_path, torch.device("cpu"))
    assert "\n" not in str(error.value)


def test_weights_stay_small() -> None:
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) <= 60e6


@pytest.mark.parametrize(("word", "row", "col"), [("water", 20, 0), ("crop field", 130, 330)])
def test_the_example_scene_leaves_no_doubt(encoder: MiniEncoder, word: str, row: int, col: int) -> None:
    with rasterio.open(LAKESIDE) as scene:
        bands = scene.read([3, 2, 1]).astype(np.float32)
    low, high = np.percentile(bands, (2, 98), axis=(1, 2))[..., None, None]
    image = torch.from_numpy(((bands - low) / (high - low)).clip(0, 1))
    words = ["water", "forest", "crop field", "road", "building"]
    found = encoder.patch_features(image[None, :, row : row + 224, col : col + 224])
    scores = torch.einsum("bdhw,cd->bchw", found.vlm, encoder.text_embeddings([[w] for w in words]))
    assert float((scores.argmax(dim=1) == words.index(word)).float().mean()) > 0.85


def test_words_far_from_all_of_training_are_unfamiliar(encoder: MiniEncoder) -> None:
    common = ["water", "woods", "orchard", "gravel road", "wheat", "houses", "swimming pool", "wetland"]
    assert encoder.unfamiliar(common) == []
    strange = ["violin", "justice", "keyboard", "mathematics", "pizza", "xyzzy"]
    assert encoder.unfamiliar([*common, *strange]) == strange
    assert encoder.unfamiliar(encoder.config.known_words) == []


@pytest.mark.parametrize(("gsd", "zoom"), [(None, 1), (0.6, 1), (10, 1), (0.25, 1), (0.05, 0.2), (0.001, 0.1)])
def test_scenes_finer_than_training_are_reduced(encoder: MiniEncoder, gsd: float | None, zoom: float) -> None:
    assert encoder.zoom(gsd) == pytest.approx(zoom)


def test_half_precision_changes_next_to_nothing(crops: torch.Tensor, monkeypatch) -> None:
    found = {}
    for dtype in (None, torch.bfloat16):
        monkeypatch.setattr(mini, "fast_dtype", lambda device, dtype=dtype: dtype)
        found[dtype] = MiniEncoder.load(WEIGHTS, torch.device("cpu")).patch_features(crops)
    for name in ("vlm", "vm"):
        exact, fast = (getattr(found[dtype], name) for dtype in (None, torch.bfloat16))
        assert fast.dtype == torch.float32
        assert float((exact * fast).sum(dim=1).min()) > 0.998
