"""Models fetched from the Hugging Face hub: the only thing that ever asks the net for anything but a scene."""

from __future__ import annotations

import contextlib
import errno
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from lposs_geo import network
from lposs_geo.errors import ModelError, one_line
from lposs_geo.files.durable import replace_with, sync_file, sync_folder
from lposs_geo.models import (
    CHECKPOINTS,
    MANIFEST,
    Source,
    cache_folder,
    find,
    installed_file,
    pulled_folder,
    sha256,
    sources,
)

__all__ = ["pull"]

_LOCK = ".pull.lock"
"""Held while a pull begins and while it puts its checkpoint in place."""

_STAGING, _STAGED = ".pull-", re.compile(r"\.pull-[a-z0-9_]{8}")
"""What names of the folders begin with that checkpoints are fetched into, and such names."""


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
    wanted = [Source.parse(name)] if ":" in name else sources(find(name))
    return [installed_file(source) or _download(source) for source in wanted]


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
        raise ModelError(
            f"{source.library} knows no hub weights for '{source.name}'",
            hint="put @FILE with your own checkpoint behind it",
        )
    return repository


def _download(source: Source) -> Path:
    """Fetch a checkpoint into a folder of its own, and install it when it is whole and on the disk."""
    if network.is_forbidden():
        raise ModelError(f"{network.SWITCH} is set, so {source.name} can't be fetched", hint="unset it for this once")
    try:
        with _staging() as staging:
            name, file, expected, repository = _fetched(source, staging)
            digest = sha256(file)
            if expected and digest != expected:
                raise ModelError(
                    f"{name} of {repository} is damaged (sha256 {digest}, expected {expected})", hint="pull it again"
                )
            manifest = {"repository": repository, "file": name, "size": str(file.stat().st_size), "sha256": digest}
            with FileLock(cache_folder() / _LOCK):
                # another pull of the same model may have been faster
                return installed_file(source) or _install(source, file, manifest)
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise ModelError(
            f"the weights of {source.name} can't be kept in '{pulled_folder()}' ({reason})",
            hint="make room, or name another folder by LPOSS_GEO_CACHE",
        ) from error


def _fetched(source: Source, staging: Path) -> tuple[str, Path, str, str]:
    """A checkpoint's name on the hub, the file, the sha256 that the hub tells, and the repository."""
    import huggingface_hub as hub

    repository = _hub_repository(source)
    try:
        name, expected = _published(repository, CHECKPOINTS[source.library])
        return name, Path(hub.hf_hub_download(repository, name, local_dir=staging)), expected, repository
    # The hub library lets through the errors of whichever HTTP library it uses; to the user they are all one.
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        half = "vlm" if source.library == "open_clip" else "vm"
        own = f"<{half}={source.name}@/path/to/{CHECKPOINTS[source.library][0]}>"
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise ModelError(
            f"can't fetch {source.name} from {hub.constants.ENDPOINT} ({reason})",
            hint="set HTTPS_PROXY if you are behind a proxy, HF_ENDPOINT to use a mirror, or name a local checkpoint "
            f"by {own}",
        ) from error


def _install(source: Source, file: Path, manifest: dict[str, str]) -> Path:
    """Put a whole checkpoint where it belongs; the manifest, which calls it installed, comes last."""
    folder, name = source.folder, manifest["file"]
    sync_file(file)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)  # which tells of another file
    sync_folder(folder)
    file.replace(folder / name)
    for parent in (folder, *folder.parents):
        sync_folder(parent)
        if parent == cache_folder():
            break
    replace_with(folder / MANIFEST, json.dumps(manifest, indent=2).encode())
    for other in CHECKPOINTS[source.library]:
        if other != name:
            (folder / other).unlink(missing_ok=True)
    return folder / name


@contextlib.contextmanager
def _staging() -> Iterator[Path]:
    """A folder to fetch into, on the disk that the models lie on; what killed pulls left behind goes first."""
    pulled_folder().mkdir(parents=True, exist_ok=True)
    with FileLock(cache_folder() / _LOCK):  # else a folder could be swept before it is locked
        _sweep()
        staging = Path(tempfile.mkdtemp(dir=pulled_folder(), prefix=_STAGING))
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
        for left in pulled_folder().glob(f"{depth}{_STAGING}*"):
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
