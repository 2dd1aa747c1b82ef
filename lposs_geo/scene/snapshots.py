"""Rasters in memory as they were when a scene was described: copies that nobody else can change or close.

They are named by their content, so a scene in memory is known again, and never taken for another one.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import tempfile
import weakref
from pathlib import Path

import rasterio.shutil
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from lposs_geo.errors import SceneError, one_line
from lposs_geo.scene.names import is_made_up

__all__ = ["Snapshot", "is_in_memory", "without_counts"]

_COUNT = itertools.count()
"""Tells copies of the same content apart: one may go while another is read."""

_OWN = re.compile(r"/vsimem/lposs-geo-([0-9a-f]{64})-\d+/")


class Snapshot:
    """A raster in memory with its sidecars, copied.

    Attributes
    ----------
    digest : str
        SHA-256 of all its bytes.
    path : str
        Its name in messages.
    opened : str
        Its name for GDAL, in all threads, as long as this object lives.
    """

    def __init__(self, name: str) -> None:
        """Copy what lies under a name in memory.

        Parameters
        ----------
        name : str
            GDAL's.

        Raises
        ------
        SceneError
            If it can't be read.
        """
        own = Path(name).name
        made_up = is_made_up(Path(own).stem)
        contents = _contents(name, f"memory{Path(own).suffix}" if made_up else own)
        digest = hashlib.sha256()
        for file, content in contents.items():
            digest.update(f"{file}\0{len(content)}\0".encode())
            digest.update(content)
        self.digest = digest.hexdigest()
        folder = f"lposs-geo-{self.digest}-{next(_COUNT)}"
        first = next(iter(contents))
        self.path = f"memory-{self.digest[:8]}{Path(first).suffix}" if made_up else first
        self.opened = f"/vsimem/{folder}/{first}"
        files = [MemoryFile(content, dirname=folder, filename=file) for file, content in contents.items()]
        weakref.finalize(self, _close, files)


def _close(files: list[MemoryFile]) -> None:
    for file in files:
        file.close()


def _contents(name: str, called: str) -> dict[str, bytes]:
    """The bytes of a raster's files by new names, its own first; GDAL knows which belong to it."""
    with tempfile.TemporaryDirectory(prefix="lposs-geo-memory-") as folder:
        try:
            rasterio.shutil.copyfiles(name, str(Path(folder) / called))
            files = sorted(Path(folder).iterdir(), key=lambda file: (file.name != called, file.name))
            return {file.name: file.read_bytes() for file in files}
        except (RasterioError, OSError) as error:
            reason = one_line(error.__cause__ or error).replace(name, called)
            raise SceneError(f"a raster in memory can't be read: {reason}") from error


def is_in_memory(name: str) -> bool:
    """True for GDAL's name of what lies in memory, maybe in an archive there, and is no snapshot."""
    return "/vsimem/" in name and _OWN.search(name) is None


def without_counts(opened: str) -> str:
    """GDAL's name, or the text of a VRT, with nothing but the content of snapshots in their names."""
    return _OWN.sub(r"/vsimem/\1/", opened)
