from __future__ import annotations

import numpy as np
import open_clip
import pytest
import timm
import torch

from lposs_geo.encoders import choose_device, dino, load, maskclip, maskclip_features, text_embeddings, value_features
from lposs_geo.errors import DeviceError, ModelError
from lposs_geo.models import MODELS, pair


def test_golden_maskclip(golden, tiny_clip):
    stored = golden("maskclip")
    image = torch.from_numpy(stored["image_rgb"]).permute(2, 0, 1)[None] / 255
    features = maskclip_features(tiny_clip, image)[0].numpy()
    assert np.abs(features - stored["patch_features"]).max() <= 1e-4 * np.abs(stored["patch_features"]).max()
    text = text_embeddings(
        tiny_clip,
        open_clip.get_tokenizer("ViT-B-16"),
        [[str(label)] for label in stored["labels"]],
        [str(template) for template in stored["templates"]],
    ).numpy()
    assert np.abs(text - stored["text_embeddings"]).max() <= 1e-4 * np.abs(text).max()
    unit = features / np.linalg.norm(features, axis=0)
    cosine = np.einsum("cd,dhw->chw", text, unit)
    assert np.abs(cosine - stored["cosine"]).max() <= 1e-4 * np.abs(stored["cosine"]).max()
    assert (cosine.argmax(0) == stored["cosine"].argmax(0)).mean() >= 0.999


def test_the_80_templates_are_those_of_the_golden_file(golden):
    said = [t if isinstance(t, str) else t("{}") for t in maskclip.IMAGENET_TEMPLATES]
    assert said == [str(template) for template in golden("maskclip")["templates"]]


def test_synonyms_are_averaged_and_a_repeated_word_changes_nothing(tiny_clip):
    tokenizer = open_clip.get_tokenizer("ViT-B-16")
    one, other, both, twice = text_embeddings(
        tiny_clip, tokenizer, [["lake"], ["river"], ["lake", "river"], ["lake", "lake"]], ["a {}."]
    )
    assert torch.allclose(both, torch.nn.functional.normalize(one + other, dim=0), atol=1e-6)
    assert torch.allclose(twice, one, atol=1e-6)


def test_maskclip_takes_any_size_and_does_not_mix_images(tiny_clip):
    images = torch.rand(3, 3, 64, 96)
    together = maskclip_features(tiny_clip, images)
    assert together.shape == (3, 32, 4, 6)
    assert torch.allclose(maskclip_features(tiny_clip, images[1:2])[0], together[1], atol=1e-5)


def test_dino_features_are_the_values_that_the_last_block_computes():
    torch.manual_seed(0)
    vit = timm.create_model("vit_tiny_patch16_224", num_classes=0, dynamic_img_size=True).eval()
    images = torch.rand(2, 3, 64, 96)
    seen = []
    with vit.blocks[-1].attn.qkv.register_forward_hook(lambda *call: seen.append(call[2])), torch.no_grad():
        mean, std = (torch.tensor(vit.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
        vit.forward_features((images - mean) / std)
    values = seen[0][:, 1:].reshape(2, 24, 3, 3, 64)[:, :, 2].flatten(2)  # (3: q, k, v), (3 heads of 64)
    expected = torch.nn.functional.normalize(values, dim=-1).transpose(1, 2).reshape(2, 192, 4, 6)
    assert torch.allclose(value_features(vit, images), expected, atol=1e-5)


def test_architectures_that_cannot_be_taken_apart_are_refused():
    with pytest.raises(ModelError, match="'resnet18' is no plain"):
        dino.check_architecture(timm.create_model("resnet18"), "resnet18")
    with pytest.raises(ModelError, match="MaskCLIP needs"):
        maskclip.check_architecture(open_clip.create_model("RN50"), "RN50")


def test_a_pair_of_local_checkpoints_becomes_an_encoder(checkpoints):
    model = pair(
        f"open_clip:ViT-S-32-alt@{checkpoints / 'clip.safetensors'}",
        f"timm:vit_tiny_patch16_224@{checkpoints / 'vit.pth'}",
    )
    encoder = load(model, torch.device("cpu"))
    assert (encoder.patch_size, encoder.crop_size, encoder.stride) == (16, 224, 112)
    features = encoder.patch_features(torch.rand(2, 3, 224, 224))
    # the VLM's 7 x 7 patches of 32 px are brought onto the VM's 14 x 14 of 16 px
    assert features.vm.shape == (2, 192, 14, 14)
    assert features.vlm.shape == (2, 256, 14, 14)
    assert features.vm.is_inference()
    assert features.vlm.is_inference()  # what autograd would keep for it is let go
    for part in (features.vm, features.vlm):
        assert torch.allclose(part.norm(dim=1), torch.ones(2, 14, 14), atol=1e-4)
    text = encoder.text_embeddings([["forest"], ["water", "lake"]])
    assert text.shape == (2, 256)
    assert torch.allclose(text.norm(dim=1), torch.ones(2), atol=1e-4)


@pytest.mark.parametrize(
    ("vlm", "vm", "said"),
    [
        (
            "open_clip:ViT-S-32-alt@{folder}/vit.pth",
            "timm:vit_tiny_patch16_224@{folder}/vit.pth",
            "holds no weights of",
        ),
        ("open_clip:ViT-S-32-alt@{folder}/clip.safetensors", "timm:vit_tiny_patch16_224@{folder}/evil.pth", "holds no"),
        (
            "open_clip:ViT-S-32-alt@{folder}/evil.pth",
            "timm:vit_tiny_patch16_224@{folder}/vit.pth",
            "holds no weights of",
        ),
        ("open_clip:ViT-S-32-alt@{folder}/clip.safetensors", "timm:resnet18@{folder}/vit.pth", "resnet18"),
        ("open_clip:ViT-X@{folder}/clip.safetensors", "timm:vit_tiny_patch16_224@{folder}/vit.pth", "'ViT-X'"),
        ("open_clip:ViT-S-32-alt@{folder}/clip.safetensors", "timm:nonsense@{folder}/vit.pth", "'nonsense'"),
        ("timm:vit_tiny_patch16_224@{folder}/vit.pth", "timm:vit_tiny_patch16_224@{folder}/vit.pth", "write vlm="),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused_and_run_no_code(checkpoints, tmp_path, vlm, vm, said):
    torch.save({"blocks": _Evil(str(tmp_path / "ran"))}, checkpoints / "evil.pth")
    model = pair(vlm.format(folder=checkpoints), vm.format(folder=checkpoints))
    with pytest.raises(ModelError, match=said) as caught:
        load(model, torch.device("cpu"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


class _Evil:
    """An object that would create a file when unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_models_that_are_not_installed_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("LPOSS_GEO_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="lposs-geo models pull"):
        load(MODELS["paper"], torch.device("cpu"))


def test_devices():
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda")
    for name in ("tpu!", "meta"):
        with pytest.raises(DeviceError, match=f"unknown device '{name}'"):
            choose_device(name)
    with pytest.raises(DeviceError, match="isn't there"):
        choose_device("cuda:99")
