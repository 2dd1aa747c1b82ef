"""The rasters that a mosaic is made of, and what must be the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags

from lposs_geo.files.odd_names import linked
from lposs_geo.files.odd_text import descriptions_of
from lposs_geo.scene.file_facts import bits_of, check_real, is_turned
from lposs_geo.scene.names import on_disk
from lposs_geo.scene.opening import Raster, files_of, open_raster
from lposs_geo.scene.references import check_nesting

__all__ = ["Part", "part_of"]


@dataclass(frozen=True)
class Part:
    """One raster of a mosaic.

    Attributes
    ----------
    path : str
        Its name in messages.
    opened : str
        What GDAL opens, wherever the mosaic is opened.
    files : tuple of str
        All that it is read from.
    height, width : int
        Px.
    transform : Affine
    crs : CRS or None
    dtypes : tuple of str
        By band, and so are nodata, colours, descriptions, scales, offsets and bits.
    nodata : tuple of float or None
    colours : tuple of ColorInterp
    palette : dict or None
        Red, green, blue and alpha by index.
    descriptions : tuple of str or None
    scales, offsets : tuple of float
    bits : tuple of int
    turned : bool
        True where 0 is white.
    block : (int, int)
        Rows and cols that are decoded at once.
    has_mask : bool
        True with a mask of its own, which isn't alpha.
    """

    path: str
    opened: str
    files: tuple[str, ...]
    height: int
    width: int
    transform: Affine
    crs: CRS | None
    dtypes: tuple[str, ...]
    nodata: tuple[float | None, ...]
    colours: tuple[ColorInterp, ...]
    palette: dict[int, tuple[int, int, int, int]] | None
    descriptions: tuple[str | None, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    bits: tuple[int, ...]
    turned: bool
    block: tuple[int, int]
    has_mask: bool

    @property
    def has_alpha(self) -> bool:
        return ColorInterp.alpha in self.colours

    @property
    def has_nodata(self) -> bool:
        return any(nodata is not None for nodata in self.nodata)


def part_of(raster: Raster) -> Part:
    """Look at a raster that is to be a part of a mosaic.

    Raises
    ------
    SceneError
        If it can't be opened, or holds complex numbers.
    """
    check_nesting(raster.path, raster.opened)
    with open_raster(raster) as dataset:
        check_real(dataset.dtypes, raster.path)
        flags = {flag for band in dataset.mask_flag_enums for flag in band}
        return Part(
            path=raster.path,
            opened=_lasting_name(raster.opened, dataset),
            files=tuple(files_of(raster, dataset)),
            height=dataset.height,
            width=dataset.width,
            transform=dataset.transform,
            crs=dataset.crs,
            dtypes=dataset.dtypes,
            nodata=tuple(None if n is None else float(n) for n in dataset.nodatavals),
            colours=dataset.colorinterp,
            palette=_palette(dataset),
            descriptions=descriptions_of(dataset),
            scales=dataset.scales,
            offsets=dataset.offsets,
            bits=tuple(bits_of(dataset, band) for band in dataset.indexes),
            turned=is_turned(dataset),
            block=dataset.block_shapes[0],
            has_mask=MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags,
        )


def _palette(dataset: rasterio.DatasetReader) -> dict[int, tuple[int, int, int, int]] | None:
    if dataset.colorinterp[0] != ColorInterp.palette:  # GDAL has one for what is grey and turned, too
        return None
    try:
        return dict(dataset.colormap(1))
    except ValueError:
        return None


def _lasting_name(opened: str, dataset: rasterio.DatasetReader) -> str:
    if on_disk(opened):
        return linked(str(Path(opened).resolve()))
    return opened if opened.startswith("<") else str(dataset.name)
