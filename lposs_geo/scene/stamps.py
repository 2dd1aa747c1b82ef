"""Files as they were when a scene was described."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lposs_geo.scene.names import on_disk

__all__ = ["Stamp", "stamps_of"]


@dataclass(frozen=True)
class Stamp:
    """A file's size, bytes, and when it was changed, nanoseconds since 1970."""

    file: Path
    size: int
    changed: int

    @classmethod
    def of(cls, file: Path) -> Stamp:
        status = file.stat()
        return cls(file, status.st_size, status.st_mtime_ns)


def stamps_of(files: Iterable[str]) -> tuple[Stamp, ...]:
    """Stamps of those files that are on this machine, by name."""
    # by their own names: a link may come to lead elsewhere
    there = [file.absolute() for name in sorted(files) if (file := on_disk(name)) and file.is_file()]
    return tuple(Stamp.of(file) for file in there)
