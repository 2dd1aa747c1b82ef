"""Archives with one raster: zip, tar, and what gzip has packed."""

from __future__ import annotations

import re
import tarfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from lposs_geo.errors import SceneError, escaped, one_line
from lposs_geo.files.odd_names import linked, unlinked
from lposs_geo.scene.names import PICTURE_SUFFIXES, RASTER_SUFFIXES, listed, world_files

__all__ = ["is_gzipped", "members_of", "raster_inside"]


def members_of(path: str) -> dict[str, str] | None:
    """Names of the files in an archive, and what GDAL opens for each; None for other files."""
    archive = linked(str(Path(path).resolve()))
    try:
        if path.casefold().endswith(".zip") and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                # made on Windows, its folders may end in backslashes
                names = [name.removeprefix("./").replace("\\", "/") for name in packed.namelist()]
                return {name: f"/vsizip/{archive}/{name}" for name in names}
        if re.search(r"\.(tar|tgz|tar\.gz)$", path.casefold()) and tarfile.is_tarfile(path):
            with tarfile.open(path) as bundle:
                return {re.sub(r"^(\./+)+", "", member.name): _in_tar(member, archive) for member in bundle}
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        reason = one_line(getattr(error, "strerror", None) or error) or type(error).__name__
        raise SceneError(f"archive '{escaped(path)}' can't be read: {reason}", hint="get another copy of it") from error
    return None


def _in_tar(member: tarfile.TarInfo, archive: str) -> str:
    """GDAL's name for a file in a tar archive."""
    name = member.name.removeprefix("./").replace("\\", "/")
    if name.isascii() and not name.startswith(("./", "/")) and "path" not in member.pax_headers:
        return f"/vsitar/{archive}/{name}"
    # GDAL doesn't know the headers that other names have, but a part of a file; what lies beside isn't seen then
    whole = f"/vsigzip/{archive}" if is_gzipped(archive) else archive
    return f"/vsisubfile/{member.offset_data}_{member.size},{whole}"


def is_gzipped(path: str) -> bool:
    """True for a file of this machine that gzip has packed."""
    try:
        with Path(path).open("rb") as file:
            return file.read(2) == b"\x1f\x8b"
    except OSError:
        return False


def raster_inside(path: str, members: Mapping[str, str]) -> str:
    """The one raster in an archive."""
    suffixes = RASTER_SUFFIXES | set(PICTURE_SUFFIXES)
    rasters = sorted(
        name for name in members if Path(name).suffix.casefold() in suffixes and not _is_hidden(name.split("/"))
    )
    known = {name.casefold() for name in members}
    placed = [name for name in rasters if _is_placed_in(name.casefold(), known)]
    rasters = placed or rasters  # beside a scene its preview is none
    if not rasters:
        raise SceneError(f"archive '{escaped(path)}' holds no raster")
    if len(rasters) > 1:
        inside = listed([escaped(unlinked(members[name])) for name in rasters])
        raise SceneError(
            f"archive '{escaped(path)}' holds {len(rasters)} rasters", hint=f"name one of them instead: {inside}"
        )
    return members[rasters[0]]


def _is_hidden(parts: Sequence[str]) -> bool:
    """True for a name that is none of the user's, but of a system's bookkeeping."""
    return "__MACOSX" in parts or any(part.startswith(".") and part.strip(".") for part in parts)


def _is_placed_in(name: str, names: set[str]) -> bool:
    """True for a raster that is no picture, and a picture with a world file."""
    suffix = Path(name).suffix
    return suffix not in PICTURE_SUFFIXES or any(
        name.removesuffix(suffix) + end in names for end in world_files(suffix)
    )
