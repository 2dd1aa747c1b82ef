"""Which models there are, where their weights lie, and how to fetch them.

A model is a VLM and a VM under one name. `mini` comes with the package; `paper` is fetched once by
``lposs-geo models pull paper``; any other pair is named by its two sources. Nothing but `pull` ever uses the network.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from lposs_geo import network
from lposs_geo.errors import ModelError, one_line
from lposs_geo.files.durable import replace_with, sync_file, sync_folder

__all__ = [
    "MODELS",
    "Model",
    "Source",
    "cache_folder",
    "checkpoint",
    "choose",
    "files",
    "find",
    "fingerprint",
    "is_installed",
    "pair",
    "preferred",
    "pull",
]

MINI_FOLDER = Path(__file__).parent / "weights" / "mini"
"""The bundled weights."""

_AND = " + "
"""Between the two sources in a pair's name."""

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{,200}", re.ASCII)
"""Of an architecture or a tag."""

_FILES_BY_LIBRARY = {
    "open_clip": ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
    "timm": ("model.safetensors", "pytorch_model.bin"),
}
"""Names that a hub repository gives its checkpoint, the preferred one first."""

_MANIFEST = "manifest.json"
"""Beside a pulled checkpoint: where it came from, its size and hash. Without it, nothing is installed."""

_LOCK = ".pull.lock"
"""Held while a pull begins and while it puts its checkpoint in place."""

_STAGING, _STAGED = ".pull-", re.compile(r"\.pull-[a-z0-9_]{8}")
"""What names of the folders begin with that checkpoints are fetched into, and such names."""


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
        if library not in _FILES_BY_LIBRARY or not all(_NAME.fullmatch(name) for name in names):
            raise ModelError(
                f"'{text}' names no model: write open_clip:ARCHITECTURE/TAG or timm:NAME, with @FILE behind it "
                f"for a checkpoint of your own"
            )
        return cls(library, architecture, tag, _of_home(file) if file else None)

    @property
    def folder(self) -> Path:
        """Where a pulled checkpoint lies."""
        return _pulled() / self.library / self.architecture / self.tag


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
    raise ModelError(f"unknown model '{name}': choose {' or '.join(MODELS)}, or name a pair with --vlm and --vm")


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
    return all(_installed_file(source) is not None for source in _sources(model))


def checkpoint(source: Source) -> Path:
    """The checkpoint file of a source; ModelError if it isn't on this machine."""
    file = _installed_file(source)
    if file is not None:
        return file
    if source.file is not None:
        raise ModelError(f"no checkpoint at '{source.file}'")
    text = _text(source)
    name = next((model.name for model in MODELS.values() if text in (model.vlm, model.vm)), text)
    raise ModelError(
        f"the weights of {text} are not installed: run 'lposs-geo models pull {name}', or put @FILE with your own "
        f"checkpoint behind it"
    )


def files(model: Model) -> list[Path]:
    """The weight files of an installed model; ModelError if one is missing."""
    if model.is_bundled:
        return sorted(MINI_FOLDER.glob("*.safetensors"))
    return [checkpoint(source) for source in _sources(model)]


def fingerprint(model: Model) -> str:
    """Sixteen hex digits that change when any weight of the model does."""
    digest = hashlib.sha256()
    if model.is_bundled:
        for file in files(model):
            digest.update(_sha256(file).encode())
    for source in _sources(model):
        file = checkpoint(source)
        recorded = _manifest(source).get("sha256") if source.file is None else None
        digest.update((recorded or _sha256(file)).encode())
    return digest.hexdigest()[:16]


def pull(name: str) -> list[Path]:
    """Fetch a model's weights from the Hugging Face hub, and check them by the hash that the hub publishes.

    Proxies are taken from HTTPS_PROXY, a mirror from HF_ENDPOINT.

    Parameters
    ----------
    name : str
        A model's name, or a single source such as "timm:vit_small_patch16_224.dino".

    Returns
    -------
    list of Path
        The checkpoint files, new or already there.

    Raises
    ------
    ModelError
        If the name is unknown, the hub can't be reached, or a file doesn't match its hash; nothing is left behind.
    """
    sources = [Source.parse(name)] if ":" in name else _sources(find(name))
    return [_installed_file(source) or _download(source) for source in sources]


def _sources(model: Model) -> list[Source]:
    return [] if model.is_bundled else [Source.parse(model.vlm), Source.parse(model.vm)]


def _text(source: Source) -> str:
    return f"{source.library}:{source.architecture}{'/' if source.tag else ''}{source.tag}"


def _of_home(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no such user
        return Path(path)


def _pulled() -> Path:
    return cache_folder() / "models"


def _manifest(source: Source) -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        manifest = json.loads((source.folder / _MANIFEST).read_text())
        if isinstance(manifest, dict) and all(isinstance(value, str) for value in manifest.values()):
            return manifest
    return {}


def _installed_file(source: Source) -> Path | None:
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


def _hub_repository(source: Source) -> str:
    """The hub repository that the library itself names for these weights."""
    if source.library == "open_clip":
        import open_clip

        config = open_clip.get_pretrained_cfg(source.architecture, source.tag) or {}
        repository = str(config.get("hf_hub") or "").rstrip("/")
    else:
        import timm

        known = timm.get_pretrained_cfg(source.architecture, allow_unregistered=True)
        repository = str(known.hf_hub_id or "") if known else ""
        if repository == "timm/":
            repository = f"timm/{source.architecture}"
    if not repository:
        raise ModelError(f"{source.library} knows no hub weights for '{_text(source)}'; put @FILE behind it instead")
    return repository


def _download(source: Source) -> Path:
    """Fetch a checkpoint beside its place, and put it there when it is whole and on the disk."""
    if network.is_forbidden():
        raise ModelError(f"{network.SWITCH} is set, so {_text(source)} can't be fetched: unset it for this once")
    try:
        with _staging() as staging:
            name, file, expected, repository = _fetched(source, staging)
            found = _sha256(file)
            if expected and found != expected:
                raise ModelError(
                    f"{name} of {repository} is damaged (sha256 {found}, expected {expected}): pull it again"
                )
            manifest = {"repository": repository, "file": name, "size": str(file.stat().st_size), "sha256": found}
            with FileLock(cache_folder() / _LOCK):
                # another pull of the same model may have been faster
                return _installed_file(source) or _install(source, file, manifest)
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise ModelError(
            f"the weights of {_text(source)} can't be kept in '{_pulled()}' ({reason}): make room, or name another "
            f"folder by LPOSS_GEO_CACHE"
        ) from error


def _fetched(source: Source, staging: Path) -> tuple[str, Path, str, str]:
    """A checkpoint's name on the hub, the file, the sha256 that the hub tells, and the repository."""
    import huggingface_hub as hub

    repository = _hub_repository(source)
    try:
        name, expected = _published(repository, _FILES_BY_LIBRARY[source.library])
        return name, Path(hub.hf_hub_download(repository, name, local_dir=staging)), expected, repository
    # The hub library lets through the errors of whichever HTTP library it uses; to the user they are all one.
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        option = "--vlm" if source.library == "open_clip" else "--vm"
        own = f"{option} {_text(source)}@/path/to/{_FILES_BY_LIBRARY[source.library][0]}"
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise ModelError(
            f"can't fetch {_text(source)} from {hub.constants.ENDPOINT} ({reason}): set HTTPS_PROXY if you are "
            f"behind a proxy, HF_ENDPOINT to use a mirror, or name a local checkpoint: {own}"
        ) from error


def _install(source: Source, file: Path, manifest: dict[str, str]) -> Path:
    """Put a whole checkpoint where it belongs; the manifest, which calls it installed, comes last."""
    folder, name = source.folder, manifest["file"]
    sync_file(file)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MANIFEST).unlink(missing_ok=True)  # which tells of another file
    sync_folder(folder)
    file.replace(folder / name)
    for place in (folder, *folder.parents):
        sync_folder(place)
        if place == cache_folder():
            break
    replace_with(folder / _MANIFEST, json.dumps(manifest, indent=2).encode())
    for other in _FILES_BY_LIBRARY[source.library]:
        if other != name:
            (folder / other).unlink(missing_ok=True)
    return folder / name


@contextlib.contextmanager
def _staging() -> Iterator[Path]:
    """A folder to fetch into, on the disk that the models lie on; what killed pulls left behind goes first."""
    _pulled().mkdir(parents=True, exist_ok=True)
    with FileLock(cache_folder() / _LOCK):  # else a folder could be swept before it is locked
        _sweep()
        staging = Path(tempfile.mkdtemp(dir=_pulled(), prefix=_STAGING))
        lock = FileLock(staging / "lock")
        lock.acquire(timeout=0)
    try:
        yield staging
    finally:
        lock.release()
        shutil.rmtree(staging, ignore_errors=True)


def _sweep() -> None:
    """Remove the folders that killed pulls fetched into, and nothing else."""
    for depth in ("", "*/", "*/*/"):  # earlier releases fetched beside each model
        for left in _pulled().glob(f"{depth}{_STAGING}*"):
            if _STAGED.fullmatch(left.name) and left.is_dir() and not left.is_symlink():
                with contextlib.suppress(Timeout, OSError):  # a pull is at work
                    with FileLock(left / "lock").acquire(timeout=0):
                        pass
                    shutil.rmtree(left, ignore_errors=True)


def _published(repository: str, names: tuple[str, ...]) -> tuple[str, str]:
    """The first of the file names that the repository has, and its sha256 (empty where the hub publishes none)."""
    import huggingface_hub as hub

    for name in names:
        try:
            etag = hub.get_hf_file_metadata(hub.hf_hub_url(repository, name)).etag or ""
        except hub.errors.EntryNotFoundError:
            continue
        return name, etag if len(etag) == 64 else ""
    raise FileNotFoundError(f"{repository} has none of {', '.join(names)}")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
