"""The georeference of a GeoTIFF that was written.

Its keys can't hold every coordinate reference system (CRS). GDAL puts the others into the ``.aux.xml`` beside the file,
in its persistent auxiliary metadata (PAM): https://gdal.org/user/pam.html.
"""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import rasterio
from affine import Affine
from pyproj.exceptions import ProjError
from rasterio.crs import CRS
from rasterio.io import MemoryFile

from lposs_geo.files.outputs import sidecar
from lposs_geo.grid import Grid, to_pyproj
from lposs_geo.hints import Notice

__all__ = ["keep_georeference", "notices_of_crs", "read_sidecar", "same_crs", "seen_alone", "write_sidecar"]

STILL = 0.01
"""Px by which a corner may be moved by what is written."""


def read_sidecar(path: Path) -> ElementTree.Element:
    """Read the metadata that GDAL keeps beside a raster, to add to it; an empty one where there is none yet.

    Parameters
    ----------
    path : Path
        The raster.
    """
    try:
        return ElementTree.parse(sidecar(path)).getroot()
    except FileNotFoundError:
        return ElementTree.Element("PAMDataset")


def write_sidecar(path: Path, root: ElementTree.Element) -> None:
    """Replace the metadata that GDAL keeps beside a raster.

    Parameters
    ----------
    path : Path
        The raster.
    root : Element
        Of `read_sidecar`, with more in it.
    """
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(sidecar(path), encoding="utf-8")


def keep_georeference(path: Path, grid: Grid) -> None:
    """Read back the georeference of a GeoTIFF; a CRS that neither its keys nor GDAL kept goes into its sidecar.

    Parameters
    ----------
    path : Path
    grid : Grid
        The position that it is to have.

    Raises
    ------
    OSError
        If the file says another one, whatever is done.
    """
    crs, transform = _written(path)
    if grid.crs is not None and not same_crs(crs, grid.crs):
        root = read_sidecar(path)
        for other in root.findall("SRS"):
            root.remove(other)
        # without a mapping of axes, GDAL takes x for the first as everywhere in rasters
        ElementTree.SubElement(root, "SRS").text = grid.crs.to_wkt(version="WKT2_2019")
        write_sidecar(path, root)
        crs, transform = _written(path)
    if not (same_crs(crs, grid.crs) and _same_pixels(transform, grid)):
        raise OSError("its coordinate reference system and geotransform don't read back")


def _written(path: Path) -> tuple[CRS | None, Affine]:
    with rasterio.open(path) as dataset:
        return dataset.crs or None, dataset.transform


def _same_pixels(transform: Affine, grid: Grid) -> bool:
    """True if all pixels lie where the grid has them."""
    corners = [(col, row) for col in (0, grid.width) for row in (0, grid.height)]
    moved = [math.dist(~grid.transform @ (transform @ corner), corner) for corner in corners]
    return max(moved) < STILL


def same_crs(one: CRS | None, other: CRS | None) -> bool:
    """True if two CRS mean the same, whatever they and their axes are called or in which order these come."""
    if one is None or other is None:
        return one is other
    if one == other:
        return True
    try:
        first, second = to_pyproj(one), to_pyproj(other)
    except ProjError:
        return False
    if first.is_engineering and second.is_engineering:  # that is all there is to it
        units = [[axis.unit_conversion_factor for axis in crs.axis_info[:2]] for crs in (first, second)]
        return bool(first.name == second.name) and units[0] == units[1]
    return bool(first.equals(second, ignore_axis_order=True))


def seen_alone(crs: CRS) -> CRS | None:
    """A CRS as a GeoTIFF's own keys have it, for a reader who hasn't the sidecar."""
    with rasterio.Env(GDAL_PAM_ENABLED="NO"), MemoryFile(ext=".tif") as file:
        profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 1, "width": 1}
        with file.open(**profile, crs=crs, transform=Affine(2, 0, 4, 0, -2, 4)):
            pass
        with file.open() as dataset:
            return dataset.crs or None


def notices_of_crs(crs: CRS | None) -> tuple[Notice, ...]:
    """A notice where the CRS of a map is in the sidecar alone, which must then be kept together with it.

    Parameters
    ----------
    crs : CRS or None
        Of the scene.
    """
    if crs is None:
        return ()
    alone = seen_alone(crs)
    if same_crs(alone, crs):
        return ()
    name = to_pyproj(crs).name
    named = "" if name in ("unknown", "unnamed") else f", '{name}'"
    seen = "none" if alone is None else f"another one, '{to_pyproj(alone).name}'"
    return (
        Notice(
            f"a GeoTIFF can't hold the scene's coordinate reference system{named}: it lies in the .aux.xml beside it",
            f"keep the two together, since without it a raster has {seen}",
        ),
    )
