from __future__ import annotations

import os
import pickle
import socket
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer

from lposs_geo.encoders import dino, load
from lposs_geo.encoders.checkpoints import HEADS, fill, read_weights
from lposs_geo.errors import ModelError
from lposs_geo.models import pair


def small_vit(seed: int) -> VisionTransformer:
    torch.manual_seed(seed)
    vit = VisionTransformer(img_size=32, embed_dim=16, depth=2, num_heads=2, num_classes=0, dynamic_img_size=True)
    for parameter in vit.parameters():
        torch.nn.init.normal_(parameter)
    vit.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    return vit.eval()


@pytest.fixture(scope="module")
def trained() -> VisionTransformer:
    return small_vit(1)


@pytest.fixture(scope="module")
def weights(trained) -> dict[str, torch.Tensor]:
    return dict(trained.state_dict())


def take(file: Path) -> VisionTransformer:
    """A model with the weights of a file in place of its own."""
    vit = small_vit(2)
    fill(vit, read_weights(file), lambda found: dino.as_named_now(vit, found), HEADS)
    return vit


def _behind(prefix: str, weights):
    return {prefix + name: weight for name, weight in weights.items()}


HEAD = {"head.mlp.0.weight": torch.ones(3, 3), "head.last_layer.weight_g": torch.ones(3, dtype=torch.int64)}

FROM_TRAINING = {
    "as they are": lambda w: w,
    "ordered": lambda w: OrderedDict(w),
    "parameters": lambda w: {name: torch.nn.Parameter(weight) for name, weight in w.items()},
    "float64": lambda w: {name: weight.double() for name, weight in w.items()},
    "state_dict": lambda w: {"state_dict": w, "epoch": 3, "optimizer": {"state": {}}},
    "model": lambda w: {"model": {"state_dict": _behind("module.", w)}, "args": [1, 2]},
    "teacher": lambda w: {"student": _behind("module.backbone.", _ones(w)), "teacher": _behind("backbone.", w) | HEAD},
    "student": lambda w: {"student": _behind("module.backbone.", w) | _behind("module.", HEAD)},
    "flat teacher": lambda w: _behind("teacher.backbone.", w) | _behind("student.backbone.", _ones(w)),
    "teacher's heads": lambda w: _behind("teacher.", _behind("backbone.", w) | {"dino_head.mlp.0.bias": torch.ones(2)}),
    "module": lambda w: _behind("module.", w),
    "model.encoder": lambda w: _behind("model.encoder.", w),
    "backbone": lambda w: _behind("backbone.", w),
    "a classifier": lambda w: w | {"head.weight": torch.ones(10, 16), "head.bias": torch.ones(10)},
}


def _ones(weights):
    return {name: torch.ones_like(weight) for name, weight in weights.items()}


@pytest.mark.parametrize("case", FROM_TRAINING)
def test_weights_are_found_behind_the_stated_names_and_nowhere_else(trained, weights, tmp_path, case):
    torch.save(FROM_TRAINING[case](weights), tmp_path / "w.pth")
    images = torch.rand(1, 3, 48, 32)
    assert torch.equal(dino.value_features(take(tmp_path / "w.pth"), images), dino.value_features(trained, images))


def test_safetensors_hold_the_same(trained, weights, tmp_path):
    save_file(_behind("backbone.", weights), tmp_path / "w.safetensors")
    images = torch.rand(1, 3, 32, 32)
    taken = take(tmp_path / "w.safetensors")
    assert torch.equal(dino.value_features(taken, images), dino.value_features(trained, images))


def _with(weights, name: str, weight):
    return weights | {name: weight}


QKV = "blocks.1.attn.qkv.weight"

UNFIT = {
    "nothing": (lambda w: {}, "it lacks 30 of 30 weights: cls_token, "),
    "others": (lambda w: {"x": torch.zeros(2)}, "it lacks 30 of 30"),
    "half": (lambda w: dict(list(w.items())[:12]), "it lacks 18 of 30"),
    "all but one": (lambda w: {name: weight for name, weight in w.items() if name != QKV}, f"of 30 weights: {QKV}"),
    "unstated prefix": (lambda w: _behind("net.", w), "it lacks 30 of 30"),
    "two prefixes": (
        lambda w: _behind("module.", dict(list(w.items())[:12])) | _behind("backbone.", dict(list(w.items())[12:])),
        "it lacks 30",
    ),
    "prefixes without end": (lambda w: _behind("module." * 20_000, w), "it lacks 30 of 30"),
    "more layers": (
        lambda w: w | {"blocks.2.norm1.weight": torch.ones(16)},
        "1 weights that the model hasn't: blocks.2",
    ),
    "beside them": (lambda w: _behind("backbone.", w) | {"decoder.weight": torch.ones(2)}, "it lacks 30 of 30"),
    "other width": (lambda w: _with(w, QKV, torch.ones(48, 8)), f"{QKV} has the shape (48, 8), not (48, 16)"),
    "turned": (lambda w: _with(w, QKV, w[QKV].T.clone()), f"{QKV} has the shape (16, 48)"),
    "not finite": (lambda w: _with(w, QKV, torch.full((48, 16), torch.nan)), f"{QKV} has numbers that aren't finite"),
    "one not finite": (
        lambda w: _with(w, "norm.bias", torch.tensor([0.0] * 15 + [torch.inf])),
        "norm.bias has numbers that aren't finite",
    ),
    "too large": (lambda w: _with(w, QKV, torch.full((48, 16), 1e300, dtype=torch.float64)), "aren't finite"),
    "whole numbers": (lambda w: {n: t.long() for n, t in w.items()}, "no floating-point numbers but torch.int64"),
    "complex": (lambda w: _with(w, QKV, w[QKV].to(torch.complex64)), "no floating-point numbers"),
    "a number": (lambda w: w | {"epoch": 5}, "it holds what are no weights: epoch"),
    "a list": (lambda w: [1, 2], "it holds no weights by name"),
    "one tensor": (lambda w: w[QKV], "it holds no weights by name"),
    "numbered": (lambda w: dict(enumerate(w.values())), "it holds no weights by name"),
    "in itself": (
        lambda w: {"state_dict": {"state_dict": {"state_dict": {"state_dict": {"state_dict": w}}}}},
        "no weights",
    ),
    "sparse": (lambda w: _with(w, QKV, w[QKV].to_sparse()), f"it holds what are no weights: {QKV}"),
    "of nowhere": (lambda w: _with(w, QKV, torch.empty(48, 16, device="meta")), "it holds what are no weights"),
    "one number, often": (lambda w: _with(w, "pos_embed", torch.ones(1).expand(1, 10**9, 16)), "it holds what are no"),
    "names with signs": (lambda w: w | {"\x1b[2J\n" + "x" * 500: torch.ones(1)}, "hasn't: \\x1b[2J\\nxxx"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_are_not_all_weights_of_the_model_and_only_these_is_refused(weights, tmp_path, case):
    make, said = UNFIT[case]
    torch.save(make(weights), tmp_path / "w.pth")
    with pytest.raises(ValueError) as caught:
        take(tmp_path / "w.pth")
    assert said in str(caught.value)
    assert len(str(caught.value)) < 200


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def _packed(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data.pkl", b"\x80\x02}q\0.")
        archive.writestr("w/version", b"3\n")
        archive.writestr("w/data/0", b"\0" * 5_000_000)


def _header(size: int, text: bytes) -> bytes:
    return struct.pack("<Q", size) + text


HOSTILE = {
    "evil.pth": lambda file: file.write_bytes(pickle.dumps(_Evil(file.with_name("ran")))),
    "wrapped.pth": lambda file: torch.save({"state_dict": _Evil(file.with_name("ran"))}, file),
    "evil.npy": lambda file: np.save(file, np.array([_Evil(file.with_name("ran"))], dtype=object), allow_pickle=True),
    "evil.safetensors": lambda file: file.write_bytes(pickle.dumps(_Evil(file.with_name("ran")))),
    "empty.pth": lambda file: file.write_bytes(b""),
    "empty.safetensors": lambda file: file.write_bytes(b""),
    "text.pth": lambda file: file.write_text("weights"),
    "cut.npz": lambda file: file.write_bytes(b"PK\3\4" + b"\0" * 40),
    "packed.pth": _packed,
    "deep.pth": lambda file: file.write_bytes(b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."),
    "huge.safetensors": lambda file: file.write_bytes(_header(2**62, b"{}")),
    "deep.safetensors": lambda file: file.write_bytes(_header(100_000, b"[" * 100_000)),
    "lying.safetensors": lambda file: file.write_bytes(
        _header(80, b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}'.ljust(80))
    ),
    "past its end.safetensors": lambda file: file.write_bytes(
        _header(80, b'{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}'.ljust(80)) + b"\0" * 8
    ),
    "unnamed.safetensors": lambda file: save_file({"x": torch.zeros(2)}, file),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_and_damaged_files_end_in_one_line_that_names_them(checkpoints, tmp_path, name):
    HOSTILE[name](tmp_path / name)
    good, bad = checkpoints / "vit.pth", tmp_path / name
    with pytest.raises(ModelError) as caught:
        load(pair(f"open_clip:ViT-S-32-alt@{bad}", f"timm:vit_tiny_patch16_224@{good}"), torch.device("cpu"))
    said = str(caught.value)
    assert said.startswith(f"'{bad}' holds no weights of ViT-S-32-alt (")
    assert said.isprintable()
    assert len(said) < 500
    if name != "unnamed.safetensors":  # which is read, and then found wanting
        with pytest.raises(Exception):  # noqa: B017  of whatever kind
            read_weights(bad)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("side", ["vlm", "vm"])
def test_a_checkpoint_without_weights_is_refused_and_nobody_is_asked_for_others(
    checkpoints, tmp_path, monkeypatch, side
):
    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *names, **_: asked.append(names) or [])
    monkeypatch.setattr(socket.socket, "connect", lambda *names: asked.append(names))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    torch.save({"state_dict": {}}, tmp_path / "none.pth")
    files = {"vlm": checkpoints / "clip.safetensors", "vm": checkpoints / "vit.pth"} | {side: tmp_path / "none.pth"}
    model = pair(f"open_clip:ViT-S-32-alt@{files['vlm']}", f"timm:vit_tiny_patch16_224.augreg_in21k@{files['vm']}")
    with pytest.raises(ModelError, match=r"none\.pth' holds no weights of .*it lacks"):
        load(model, torch.device("cpu"))
    assert not asked


def test_a_flipped_bit_is_noticed_where_it_makes_a_number_endless(weights, tmp_path):
    torch.save(_with(weights, QKV, torch.full((48, 16), 1.5)), tmp_path / "w.pth")
    content = bytearray((tmp_path / "w.pth").read_bytes())
    start = content.index(struct.pack("<f", 1.5) * 16)
    content[start + 3] ^= 0x40  # 1.5 becomes no number
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ValueError, match=f"{QKV} has numbers that aren't finite"):
        take(tmp_path / "w.pth")
