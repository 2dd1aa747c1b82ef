"""The identity of a scene: facts that tell it from every other one, and files that are as they were."""

from __future__ import annotations

import re
import zlib
from dataclasses import asdict
from pathlib import Path

from lposs_geo.errors import SceneChangedError, escaped
from lposs_geo.files.odd_names import unlinked
from lposs_geo.scene.description import Scene
from lposs_geo.scene.names import on_disk
from lposs_geo.scene.references import is_remote
from lposs_geo.scene.snapshots import without_counts
from lposs_geo.scene.stamps import Stamp

__all__ = ["check_unchanged", "identity"]


def check_unchanged(scene: Scene) -> None:
    """Make sure that all files of a scene on this machine are as they were when it was described.

    What was read before this is then of those files; of what is at an URL it can't be known. Of what lies in memory the
    scene has a copy of its own.

    Raises
    ------
    SceneChangedError
        If one has another size or time of change, or is gone.
    """
    for stamp in scene.stamps:
        try:
            what = "changed" if Stamp.of(stamp.file) != stamp else None
        except OSError:
            what = "moved or removed"
        if what is not None:
            file = escaped(unlinked(str(stamp.file)))
            whose = "" if file == str(Path(scene.path).absolute()) else f", a file of '{scene.path}',"
            raise SceneChangedError(f"'{file}'{whose} was {what} while it was being mapped", hint="map it again")


def identity(scene: Scene) -> dict[str, object]:
    """Facts that tell a scene from every other one, and from itself once it was changed, ready for JSON."""
    grid, layers, opened = scene.grid, scene.layers, scene.raster.opened
    file, own = on_disk(opened), _lasting(unlinked(without_counts(opened)))
    facts = {
        # an URL may hold a key, and a VRT's text is long
        "source": zlib.crc32(own.encode(errors="surrogateescape")) if file is None else str(file.resolve()),
        "files": {str(stamp.file.resolve()): [stamp.size, stamp.changed] for stamp in scene.stamps},
        "shape": [grid.height, grid.width],
        "crs": grid.crs.to_wkt() if grid.crs else None,
        "transform": list(grid.transform)[:6],
        "bands": scene.bands,
        "alphas": layers.alphas,
        "palette": None if layers.palette is None else zlib.crc32(layers.palette),
        "frame_value": layers.frame_value,
        "frame": None if layers.frame is None else zlib.crc32(layers.frame.bits),
        "blur": layers.blur,
        "hole_value": layers.hole_value,
        "overviews": layers.overviews,
        "warp": None if scene.warp is None else asdict(scene.warp),
        "dtype": scene.dtype,
        "low": scene.radiometry.low,
        "high": scene.radiometry.high,
        "checksum": scene.checksum,
    }
    if scene.raster.memory:
        facts["memory"] = [snapshot.digest for snapshot in scene.raster.memory]
    return facts


def _lasting(opened: str) -> str:
    """GDAL's name without what changes from run to run: an URL's signature, the folder that a path begins in."""
    if is_remote(opened):
        return re.sub(r"\?[^<>\s]*|//[^/@<>\s]*@", "", opened)
    if opened.startswith("<"):
        return opened
    pieces = [piece.strip('"') for piece in opened.split(":")]
    return ":".join(str(Path(piece).resolve()) if piece and on_disk(piece) else piece for piece in pieces)
