"""Where a scene lies on the ground: on a grid of its own, or on one that it is warped to."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace

import rasterio
from rasterio.crs import CRS
from rasterio.rpc import RPC

from lposs_geo.errors import SceneError, escaped
from lposs_geo.ground import Grid, utm_zone
from lposs_geo.odd_names import unlinked
from lposs_geo.pixels import Layers, colours_of, may_be_colour
from lposs_geo.sources import Source, Warp, on_disk, open_source

__all__ = ["check_georeference", "check_parts", "place", "place_warped", "warp_for"]


def check_parts(dataset: rasterio.DatasetReader, source: Source, files: Collection[str]) -> None:
    """Refuse a VRT of which a part is missing: GDAL would see nothing there.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
    source : Source
    files : collection of str
        All files that it is read from.

    Raises
    ------
    SceneError
        If it is refused.
    """
    if dataset.driver != "VRT":
        return
    for name in sorted(files):
        is_plain = not (name.startswith("/vsi") or ":" in name or "<" in name)
        if is_plain and on_disk(name) is None:
            raise SceneError(f"'{source.path}' refers to '{escaped(unlinked(name))}', which isn't there")


def check_georeference(dataset: rasterio.DatasetReader, source: Source, warp: bool) -> None:
    """Refuse what has no grid on the ground, or one that can't be used.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
    source : Source
    warp : bool
        Whether it is to be put on a grid.

    Raises
    ------
    SceneError
        If it is refused.
    """
    if not (math.isfinite(dataset.transform.determinant) and dataset.transform.determinant):
        raise SceneError(
            f"'{source.path}' has a geotransform that gives its pixels no size, {tuple(dataset.transform)[:6]}: "
            "correct it first, e.g. with rio edit-info --transform"
        )
    by = _located_by(dataset)
    if warp and not by and dataset.transform.is_identity and dataset.tags(ns="RPC"):
        raise SceneError(f"'{source.path}' has RPCs that are incomplete or no numbers, so it can't be warped")
    if by and not warp:
        raise SceneError(f"'{source.path}' is located only by {by}: add --warp to map it on a north-up grid")
    if by == "ground control points" and not dataset.gcps[1]:
        raise SceneError(f"'{source.path}' has ground control points without a coordinate reference system")


def _located_by(dataset: rasterio.DatasetReader) -> str:
    """What locates a scene that has no geotransform; empty if it has one, or nothing does."""
    if not dataset.transform.is_identity:
        return ""
    return "ground control points" if dataset.gcps[0] else "RPCs" if _rpcs(dataset) is not None else ""


def _rpcs(dataset: rasterio.DatasetReader) -> RPC | None:
    """A sensor's model; none where it is incomplete."""
    try:
        return dataset.rpcs
    except (KeyError, ValueError):
        return None


def place(dataset: rasterio.DatasetReader, source: Source) -> tuple[Grid, tuple[str, ...]]:
    """Find the grid a scene lies on.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
    source : Source

    Returns
    -------
    grid : Grid
    notices : tuple of str
        What is to be known about it.
    """
    crs, path = dataset.crs or None, source.path
    notices: tuple[str, ...] = ()
    if crs is None:
        notices = (f"'{path}' has no coordinate reference system: neither will the map; areas are in its own units",)
    elif dataset.transform.is_identity:
        crs = None
        notices = (
            f"'{path}' has a coordinate reference system but doesn't say where in it the pixels lie: it is mapped as a "
            "picture without georeference",
        )
    return Grid(dataset.height, dataset.width, crs, dataset.transform), notices


def warp_for(dataset: rasterio.DatasetReader, layers: Layers) -> Warp | None:
    """Find how a scene without a grid is put on one.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
    layers : Layers

    Returns
    -------
    Warp or None
        None for a scene that has a grid, or nothing that locates it.
    """
    by = _located_by(dataset)
    if not by:
        return None
    rpcs = None if by == "ground control points" else _rpcs(dataset)
    if rpcs is None:
        source_crs = crs = dataset.gcps[1]
    else:
        source_crs, crs = CRS.from_epsg(4326), utm_zone(rpcs.long_off, rpcs.lat_off)
    has_frame = layers.frame_value is not None and layers.palette is None  # else it is a colour's, not an index
    return Warp(
        source_crs=source_crs.to_wkt(),
        crs=crs.to_wkt(),
        resampling="nearest" if layers.palette is not None else "bilinear",
        nodata=layers.frame_value if has_frame else dataset.nodatavals[layers.bands[0] - 1],
        in_all_bands=has_frame or may_be_colour(dataset, layers.bands),
        height=None if rpcs is None else float(rpcs.height_off),
        mistagged=tuple(
            band
            for band, colour in enumerate(colours_of(dataset), 1)
            if colour == "alpha" and band not in layers.alphas
        ),
    )


def place_warped(source: Source, how: Warp, layers: Layers) -> tuple[Layers, Grid, tuple[str, ...]]:
    """Find layers and grid of a scene as it is warped.

    Parameters
    ----------
    source : Source
    how : Warp
    layers : Layers
        Those of the scene as it is stored.

    Returns
    -------
    layers : Layers
        Nodata or a new alpha band says where the scene is.
    grid : Grid
    notices : tuple of str
        What is to be known about it.
    """
    with open_source(source, how) as warped:
        alphas = tuple(band for band, colour in enumerate(colours_of(warped), 1) if colour == "alpha")
        grid = Grid(warped.height, warped.width, warped.crs, warped.transform)
    notices: tuple[str, ...] = ()
    if how.height is not None:
        notices = (
            f"'{source.path}' is placed by RPCs at one height, {how.height:g} m: where the ground is higher or lower, "
            "the map is off",
        )
    frame_value = None if layers.palette is None else layers.frame_value  # else it has become nodata
    return replace(layers, alphas=alphas, frame_value=frame_value), grid, notices
