"""A folder as a disk holds it when the power goes: a layer that records what was synced, for tests."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


class Disk:
    """What of a folder has reached the disk, by the rules of POSIX.

    A file's content has when the file was synced, and a name when the folder that it is in was.

    Attributes
    ----------
    synced, names_ahead : list of dict
        After each operation all that is on the disk, by path below the folder; None for a folder. In the first it is
        nothing but what was synced, in the second all names, and a file that wasn't synced is empty.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[int, dict[str, tuple[int, bool]]] = {}  # of each folder: inodes, and which are folders
        self._contents: dict[int, bytes] = {}
        for folder, _, files in os.walk(root):
            self._sync_folder(Path(folder))
            for file in files:
                self._contents[(Path(folder) / file).stat().st_ino] = (Path(folder) / file).read_bytes()
        self.synced: list[dict[str, bytes | None]] = []
        self.names_ahead: list[dict[str, bytes | None]] = []

    def _sync_folder(self, folder: Path) -> None:
        found = {path.name: (path.lstat().st_ino, path.is_dir()) for path in folder.iterdir()}
        self._names[folder.stat().st_ino] = found

    def sync(self, descriptor: int) -> None:
        """What ``os.fsync`` does."""
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        if path.is_dir():
            self._sync_folder(path)
        else:
            self._contents[path.stat().st_ino] = path.read_bytes()

    def cut(self) -> None:
        """Note what there would be if the power went now."""
        self.synced.append(dict(self._on_disk("", self._root.stat().st_ino)))
        self.names_ahead.append(dict(self._all_names(self._root)))

    def _on_disk(self, prefix: str, folder: int) -> Iterator[tuple[str, bytes | None]]:
        for name, (number, is_folder) in self._names.get(folder, {}).items():
            yield prefix + name, None if is_folder else self._contents.get(number, b"")
            if is_folder:
                yield from self._on_disk(f"{prefix}{name}/", number)

    def _all_names(self, folder: Path) -> Iterator[tuple[str, bytes | None]]:
        for path in sorted(folder.rglob("*")):
            is_file = path.is_file()
            yield str(path.relative_to(folder)), self._contents.get(path.stat().st_ino, b"") if is_file else None


def restore(cut: dict[str, bytes | None], folder: Path) -> None:
    """Lay out a folder as it is after a power cut."""
    folder.mkdir()
    for name, content in sorted(cut.items()):
        if content is None:
            (folder / name).mkdir(exist_ok=True)
        else:
            (folder / name).write_bytes(content)


def record(root: Path, patch: pytest.MonkeyPatch) -> Disk:
    """Record all that happens to the files below a folder from now on."""
    disk = Disk(root)
    fsync = os.fsync

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        disk.sync(descriptor)
        disk.cut()

    patch.setattr(os, "fsync", synced)

    def changed(*args, operation, **options):
        result = operation(*args, **options)
        disk.cut()
        return result

    for name in ("replace", "rename", "unlink", "rmdir", "mkdir"):
        patch.setattr(os, name, functools.partial(changed, operation=getattr(os, name)))
    disk.cut()
    return disk
