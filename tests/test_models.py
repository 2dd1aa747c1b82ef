from __future__ import annotations

import json

import pytest

from lposs_geo import models
from lposs_geo.errors import ModelError


@pytest.mark.parametrize(
    "text", ["[]", '{"file": 5}', "{", '{"file": "../model.safetensors", "size": "3"}', "[" * 10_000]
)
def test_a_damaged_manifest_calls_nothing_installed(tmp_path, monkeypatch, text):
    monkeypatch.setenv("LPOSS_GEO_CACHE", str(tmp_path))
    source = models.Source.parse("timm:vit_tiny_patch16_224.augreg_in21k")
    source.folder.mkdir(parents=True)
    (source.folder / "manifest.json").write_text(text)
    (source.folder.parent / "model.safetensors").write_text("abc")
    with pytest.raises(ModelError, match="not installed"):
        models.checkpoint(source)


@pytest.mark.parametrize("file", ["x" * 300, "~no such user/x.pth", "/dev/zero", "a\0b"])
def test_what_no_checkpoint_can_be_is_named(file):
    with pytest.raises(ModelError, match="no checkpoint at"):
        models.checkpoint(models.Source.parse(f"timm:vit_tiny_patch16_224@{file}"))


def test_unknown_names_are_refused():
    with pytest.raises(ModelError, match=r"unknown model 'best'.*mini or paper"):
        models.find("best")
    for text in (
        "mini",
        "keras:vgg",
        "timm:",
        "open_clip",
        "timm:..",
        "open_clip:ViT-B-16/../../x",
        "timm:a/",
        "timm:/a",
    ):
        with pytest.raises(ModelError, match="names no model"):
            models.Source.parse(text)


def test_sources_are_read_as_written():
    source = models.Source.parse("open_clip:ViT-B-16/laion2b_s34b_b88k@/data/clip.safetensors")
    assert (source.library, source.architecture, source.tag) == ("open_clip", "ViT-B-16", "laion2b_s34b_b88k")
    assert str(source.file) == "/data/clip.safetensors"
    assert models.Source.parse("timm:vit_base_patch16_224.dino").architecture == "vit_base_patch16_224.dino"


def test_mini_is_bundled_and_preferred_until_paper_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("LPOSS_GEO_CACHE", str(tmp_path))
    assert models.preferred().name == "mini"
    weights = models.files(models.MODELS["mini"])
    assert {file.suffix for file in weights} == {".safetensors"}
    assert sum(file.stat().st_size for file in models.MINI_FOLDER.iterdir()) <= 60_000_000
    assert models.fingerprint(models.MODELS["mini"]) == models.fingerprint(models.MODELS["mini"])
    for text in (models.MODELS["paper"].vlm, models.MODELS["paper"].vm):
        source = models.Source.parse(text)
        source.folder.mkdir(parents=True)
        (source.folder / "w.safetensors").write_bytes(b"1234")
        manifest = {"file": "w.safetensors", "size": "4", "sha256": "ab"}
        (source.folder / "manifest.json").write_text(json.dumps(manifest))
    assert models.preferred().name == "paper"
    assert len(models.fingerprint(models.MODELS["paper"])) == 16


def test_a_missing_local_checkpoint_is_named(tmp_path):
    with pytest.raises(ModelError, match="no checkpoint at"):
        models.checkpoint(models.Source.parse(f"timm:vit_tiny_patch16_224@{tmp_path / 'none.pth'}"))
