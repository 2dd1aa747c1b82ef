"""Which models there are, and where their weights lie.

A model is a VLM and a VM under one name. `mini` comes with the package; `paper` is fetched once by
``lposs-geo models pull paper`` (see `pulling`); any other pair is named by its two sources.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from lposs_geo.errors import ModelError

__all__ = [
    "CHECKPOINTS",
    "MANIFEST",
    "MODELS",
    "Model",
    "Source",
    "cache_folder",
    "checkpoint",
    "choose",
    "files",
    "find",
    "fingerprint",
    "installed_file",
    "is_installed",
    "pair",
    "preferred",
    "pulled_folder",
    "sha256",
    "sources",
]

MINI_FOLDER = Path(__file__).parent / "weights" / "mini"
"""The bundled weights."""

_AND = " + "
"""What stands between the two sources in a pair's name."""

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{,200}", re.ASCII)
"""Of an architecture or a tag."""

CHECKPOINTS = {
    "open_clip": ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
    "timm": ("model.safetensors", "pytorch_model.bin"),
}
"""Names that a hub repository gives its checkpoint, the preferred one first."""

MANIFEST = "manifest.json"
"""Beside a pulled checkpoint: where it came from, its size and hash. Without it, nothing is installed."""


@dataclass(frozen=True)
class Model:
    """A VLM and a VM under one name.

    Attributes
    ----------
    name, summary, licence : str
    vlm, vm : str
        Sources, like "open_clip:ViT-B-16/laion2b_s34b_b88k" and "timm:vit_base_patch16_224.dino"; empty for the
        bundled model, whose one trunk is both.
    """

    name: str
    summary: str
    licence: str
    vlm: str = ""
    vm: str = ""

    @property
    def is_bundled(self) -> bool:
        return not self.vlm


MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model(
            "mini",
            "bundled, no network: one ViT-S/14 trunk, fast on a CPU",
            "Apache-2.0 (training data: see MODEL_CARD.md)",
        ),
        Model(
            "paper",
            "the paper's pair: OpenCLIP ViT-B/16 (LAION-2B) and DINO ViT-B/16",
            "MIT (OpenCLIP), Apache-2.0 (DINO)",
            vlm="open_clip:ViT-B-16/laion2b_s34b_b88k",
            vm="timm:vit_base_patch16_224.dino",
        ),
    )
}


@dataclass(frozen=True)
class Source:
    """Where one half of a model comes from: ``LIBRARY:ARCHITECTURE[/TAG][@FILE]``.

    Attributes
    ----------
    library : str
        "open_clip" or "timm".
    architecture : str
        As the library names it; timm's includes its tag ("vit_base_patch16_224.dino").
    tag : str
        open_clip's name of the pretrained weights; empty for timm.
    file : Path or None
        A local checkpoint, read instead of a pulled one.
    """

    library: str
    architecture: str
    tag: str
    file: Path | None

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read a source; ModelError if it is none."""
        named, _, file = text.partition("@")
        library, _, name = named.partition(":")
        architecture, _, tag = name.partition("/")
        # both become names of folders
        names = [architecture] if "/" not in name else [architecture, tag]
        if library not in CHECKPOINTS or not all(_NAME.fullmatch(name) for name in names):
            raise ModelError(
                f"'{text}' names no model",
                hint="write open_clip:ARCHITECTURE/TAG or timm:NAME, with @FILE behind it for a checkpoint of your own",
            )
        return cls(library, architecture, tag, _of_home(file) if file else None)

    @property
    def name(self) -> str:
        """The source as it is written, without a file."""
        return f"{self.library}:{self.architecture}{'/' if self.tag else ''}{self.tag}"

    @property
    def folder(self) -> Path:
        """Where a pulled checkpoint lies."""
        return pulled_folder() / self.library / self.architecture / self.tag


def cache_folder() -> Path:
    """The folder for pulled weights: $LPOSS_GEO_CACHE, else the user's cache folder."""
    chosen = os.environ.get("LPOSS_GEO_CACHE")
    return _of_home(chosen) if chosen else platformdirs.user_cache_path("lposs-geo")


def find(name: str) -> Model:
    """Look up a model by name, a pair by the one that `pair` gave it; ModelError if there is none of that name."""
    if name in MODELS:
        return MODELS[name]
    vlm, joint, vm = name.partition(_AND)
    if joint:
        return pair(vlm, vm)
    raise ModelError(f"unknown model '{name}'", hint=f"choose {' or '.join(MODELS)}, or name a pair by <vlm> and <vm>")


def pair(vlm: str, vm: str) -> Model:
    """Make a model of two sources (see `Source`)."""
    Source.parse(vlm), Source.parse(vm)
    return Model(f"{vlm}{_AND}{vm}", "a pair named by the user", "that of its weights", vlm, vm)


def preferred() -> Model:
    """The best model that is installed: `paper` once it was pulled, else `mini`."""
    return MODELS["paper"] if is_installed(MODELS["paper"]) else MODELS["mini"]


def choose(model: str | Model | None) -> Model:
    """The model that is meant: by name, the model itself, or the preferred one; ModelError if none has that name."""
    return preferred() if model is None else find(model) if isinstance(model, str) else model


def is_installed(model: Model) -> bool:
    """Whether all weights of a model are on this machine."""
    return all(installed_file(source) is not None for source in sources(model))


def checkpoint(source: Source) -> Path:
    """The checkpoint file of a source; ModelError if it isn't on this machine."""
    file = installed_file(source)
    if file is not None:
        return file
    if source.file is not None:
        raise ModelError(f"no checkpoint at '{source.file}'")
    name = next((model.name for model in MODELS.values() if source.name in (model.vlm, model.vm)), source.name)
    raise ModelError(
        f"the weights of {source.name} are not installed",
        hint=f"run 'lposs-geo models pull {name}', or put @FILE with your own checkpoint behind it",
    )


def files(model: Model) -> list[Path]:
    """The weight files of an installed model; ModelError if one is missing."""
    if model.is_bundled:
        return sorted(MINI_FOLDER.glob("*.safetensors"))
    return [checkpoint(source) for source in sources(model)]


def fingerprint(model: Model) -> str:
    """Sixteen hex digits that change when any weight of the model does."""
    digest = hashlib.sha256()
    if model.is_bundled:
        for file in files(model):
            digest.update(sha256(file).encode())
    for source in sources(model):
        file = checkpoint(source)
        recorded = _manifest(source).get("sha256") if source.file is None else None
        digest.update((recorded or sha256(file)).encode())
    return digest.hexdigest()[:16]


def sources(model: Model) -> list[Source]:
    """The two sources of a pair; none for the bundled model."""
    return [] if model.is_bundled else [Source.parse(model.vlm), Source.parse(model.vm)]


def _of_home(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no such user
        return Path(path)


def pulled_folder() -> Path:
    """Where pulled checkpoints lie."""
    return cache_folder() / "models"


def _manifest(source: Source) -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        manifest = json.loads((source.folder / MANIFEST).read_text())
        if isinstance(manifest, dict) and all(isinstance(value, str) for value in manifest.values()):
            return manifest
    return {}


def installed_file(source: Source) -> Path | None:
    """The checkpoint of a source if it is on this machine, whole."""
    try:
        if source.file is not None:
            return source.file if source.file.is_file() else None
        manifest = _manifest(source)
        name = manifest.get("file", "")
        file = source.folder / name
        there = Path(name).name == name and file.is_file()
        return file if there and str(file.stat().st_size) == manifest.get("size") else None
    except OSError:  # a name too long, or a folder that others may not look into
        return None


def sha256(file: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
