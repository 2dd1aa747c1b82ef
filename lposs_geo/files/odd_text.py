"""Text in rasters that isn't UTF-8, at which rasterio raises: it is taken for Western European, as it mostly is."""

from __future__ import annotations

import html
import re
from os import fsencode
from pathlib import Path
from xml.sax.saxutils import escape

import rasterio
import rasterio.shutil
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from lposs_geo.errors import escaped
from lposs_geo.files.odd_names import linked

__all__ = ["as_vrt", "descriptions_of", "vrt_of_plain_names"]

_SOURCE = re.compile(r"<(Source(?:Filename|Dataset))([^>]*)>([^<]+)</")
"""A name in a VRT."""

HEAD = 1024
"""Bytes of a file that tell whether it is a VRT."""


def vrt_of_plain_names(path: Path, above: tuple[Path, ...] = ()) -> str | None:
    """The text of a VRT that holds text which isn't UTF-8, made plain; None for other files.

    Parameters
    ----------
    path : Path
    above : tuple of Path
        The VRTs that lead to it.
    """
    real = path.resolve()
    try:
        if real in above or not real.is_file():
            return None
        with real.open("rb") as file:
            raw = file.read(HEAD)
            if b"<VRTDataset" not in raw:
                return None
            raw += file.read()
        raw.decode()
    except UnicodeDecodeError:
        return _made_plain(raw[raw.index(b"<VRTDataset") :], real, above)
    except OSError:
        pass
    return None


def _made_plain(raw: bytes, path: Path, above: tuple[Path, ...]) -> str:
    """The text of a VRT, with whole names by which its sources can be opened, and other text decoded."""
    folder = path.parent

    def with_plain_name(match: re.Match[str]) -> str:
        kind, attributes, name = match[1], match[2], html.unescape(match[3]).strip()
        if name.startswith("<"):
            return match[0]
        is_relative = re.search(r"""relativeToVRT\s*=\s*["']1""", attributes)
        # GDAL takes the bytes as they are, though a VRT may be in another encoding than the names on the disk
        for candidate in (name, _decoded(fsencode(name))):
            file = folder / candidate if is_relative else Path(candidate)
            if file.exists():
                name = vrt_of_plain_names(file, (*above, path)) or linked(str(file))
                break
        else:
            name = escaped(str(folder / name) if is_relative else name)
        attributes = re.sub(r"""(relativeToVRT\s*=\s*["'])1""", r"\g<1>0", attributes)
        return f"<{kind}{attributes}>{escape(name)}</"

    text = _SOURCE.sub(with_plain_name, raw.decode(errors="surrogateescape"))
    return _decoded_lines(text.encode(errors="surrogateescape"))


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="backslashreplace")


def _decoded_lines(raw: bytes) -> str:
    return "\n".join(map(_decoded, raw.split(b"\n")))


def as_vrt(opened: str | rasterio.DatasetReader) -> str:
    """The text of a VRT that shows a raster whose own text isn't UTF-8, as that of its CRS.

    Raises
    ------
    rasterio.errors.RasterioError
        If it can't be opened.
    """
    return _decoded_lines(_raw_vrt(opened))


def _raw_vrt(opened: str | rasterio.DatasetReader) -> bytes:
    with MemoryFile(ext=".vrt") as file:
        rasterio.shutil.copy(opened, file.name, driver="VRT")
        return bytes(file.read())


def descriptions_of(dataset: rasterio.DatasetReader) -> tuple[str | None, ...]:
    """The description of each band of a file, in whatever encoding."""
    try:
        return tuple(dataset.descriptions)
    except UnicodeDecodeError:
        pass
    descriptions: list[str | None] = [None] * dataset.count
    try:
        pieces = re.split(rb'<VRTRasterBand [^>]*\bband="(\d+)"[^>]*>', _raw_vrt(dataset))[1:]
    except RasterioError:
        return tuple(descriptions)
    for band, facts in zip(pieces[::2], pieces[1::2], strict=True):
        match = re.search(rb"<Description>([^<]*)</Description>", facts)
        if match:
            descriptions[int(band) - 1] = html.unescape(_decoded(match[1]))
    return tuple(descriptions)
