"""The position of a scene on the ground: on a grid of its own, or on one that it is warped to."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.rpc import RPC

from lposs_geo.errors import SceneError, escaped
from lposs_geo.files.odd_names import unlinked
from lposs_geo.grid import Grid, utm_zone
from lposs_geo.hints import Notice
from lposs_geo.scene.coordinates import check_coordinates, check_transform
from lposs_geo.scene.file_facts import colours_of, may_be_colour
from lposs_geo.scene.layers import Layers
from lposs_geo.scene.names import on_disk
from lposs_geo.scene.opening import Raster, Warp, open_raster

__all__ = ["check_georeference", "check_parts", "locate", "locate_warped", "warp_for"]

CONTROL_POINTS = "ground control points"

FLAT = 1e-6
"""Least width of a band of control points, as a share of its length, for a grid to be made of them."""


def check_parts(dataset: rasterio.DatasetReader, raster: Raster, files: Collection[str]) -> None:
    """Refuse a VRT of which a part is missing: GDAL would see nothing there.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
    raster : Raster
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
            raise SceneError(f"'{raster.path}' refers to '{escaped(unlinked(name))}', which isn't there")


def check_georeference(dataset: rasterio.DatasetReader, raster: Raster, warp: bool) -> None:
    """Refuse what has no grid on the ground, or one that can't be used.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
    raster : Raster
    warp : bool
        Whether it is to be put on a grid.

    Raises
    ------
    SceneError
        If it is refused.
    """
    check_transform(_grid(dataset), raster.path)
    by = _located_by(dataset)
    if not by and dataset.transform.is_identity and dataset.tags(ns="RPC") and warp:
        raise SceneError(f"'{raster.path}' has RPCs that are incomplete or no numbers, so it can't be warped")
    if by == CONTROL_POINTS:
        _check_points(dataset, raster)
    if by and not warp:
        raise SceneError(f"'{raster.path}' is located only by {by}", hint="<warp=True> maps it on a north-up grid")


def _check_points(dataset: rasterio.DatasetReader, raster: Raster) -> None:
    """Refuse ground control points that no grid can be made of."""
    points, crs = dataset.gcps
    if len(points) == 1:
        raise SceneError(
            f"'{raster.path}' is located only by one tie point, without the size of its pixels",
            hint="give it a geotransform, e.g. with rio edit-info --transform",
        )
    if not crs:
        raise SceneError(
            f"'{raster.path}' has ground control points without a coordinate reference system that is known",
            hint="give them one, e.g. with gdal_translate -a_srs",
        )
    positions = np.array([(point.col, point.row, point.x, point.y) for point in points], dtype=float)
    wrong = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if len(wrong):
        raise SceneError(
            f"ground control point {wrong[0] + 1} of '{raster.path}' is no number, or infinite",
            hint="correct it or remove it",
        )
    if not (_span_a_plane(positions[:, :2]) and _span_a_plane(positions[:, 2:])):
        raise SceneError(
            f"'{raster.path}' has {len(points)} ground control points, which lie on one line or at one place",
            hint="it takes three that don't to locate it",
        )


def _span_a_plane(points: NDArray[np.float64]) -> bool:
    """True for points (n, 2) that don't all lie on one line."""
    aside = points - points.mean(axis=0)
    longest = np.abs(aside).max()
    if not (math.isfinite(longest) and longest > 0):
        return False
    _, sizes, _ = np.linalg.svd(aside / longest, full_matrices=False)
    return len(points) > 2 and bool(sizes[1] > FLAT * sizes[0])


def _located_by(dataset: rasterio.DatasetReader) -> str:
    """Name of what locates a scene that has no geotransform; empty if it has one, or nothing does."""
    if not dataset.transform.is_identity:
        return ""
    return CONTROL_POINTS if dataset.gcps[0] else "RPCs" if _rpcs(dataset) is not None else ""


def _grid(dataset: rasterio.DatasetReader) -> Grid:
    return Grid(dataset.height, dataset.width, dataset.crs or None, dataset.transform)


def _rpcs(dataset: rasterio.DatasetReader) -> RPC | None:
    """A sensor's model; none where it is incomplete."""
    try:
        rpcs = dataset.rpcs
    except (KeyError, ValueError):
        return None
    if rpcs is None:
        return None
    numbers = np.hstack([np.asarray(value, dtype=float) for value in rpcs.to_dict().values() if value is not None])
    return rpcs if np.isfinite(numbers).all() else None


def locate(dataset: rasterio.DatasetReader, raster: Raster) -> tuple[Grid, tuple[Notice, ...]]:
    """Find the grid a scene lies on.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
    raster : Raster

    Returns
    -------
    grid : Grid
    notices : tuple of Notice
        Doubts about it.

    Raises
    ------
    SceneError
        If it can't lie there.
    """
    grid, path = _grid(dataset), raster.path
    notices: tuple[Notice, ...]
    if grid.crs is None:
        notices = (
            Notice(f"'{path}' has no coordinate reference system: neither will the map; areas are in its own units"),
        )
    elif grid.transform.is_identity:
        grid = replace(grid, crs=None)
        notices = (
            Notice(
                f"'{path}' has a coordinate reference system but doesn't say where in it the pixels lie: it is mapped "
                "as a picture without georeference"
            ),
        )
    else:
        notices = check_coordinates(grid, path)
    return grid, notices


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
    rpcs = None if by == CONTROL_POINTS else _rpcs(dataset)
    if rpcs is None:
        source_crs = crs = dataset.gcps[1]
    else:
        source_crs, crs = CRS.from_epsg(4326), utm_zone(rpcs.long_off, rpcs.lat_off)
    # with a colour table the frame's value is a colour's, not an index
    frame_value = layers.frame_value if layers.palette is None else None
    missing = frame_value if layers.hole_value is None else layers.hole_value
    return Warp(
        source_crs=source_crs.to_wkt(),
        crs=crs.to_wkt(),
        resampling="nearest" if layers.palette is not None else "bilinear",
        nodata=dataset.nodatavals[layers.bands[0] - 1] if missing is None else missing,
        in_all_bands=may_be_colour(dataset, layers.bands)
        if missing is None
        else missing >= 0 or missing == frame_value,
        height=None if rpcs is None else float(rpcs.height_off),
        mistagged=tuple(
            band
            for band, colour in enumerate(colours_of(dataset), 1)
            if colour == "alpha" and band not in layers.alphas
        ),
    )


def locate_warped(raster: Raster, how: Warp, layers: Layers) -> tuple[Layers, Grid, tuple[Notice, ...]]:
    """Find layers and grid of a scene as it is warped.

    Parameters
    ----------
    raster : Raster
    how : Warp
    layers : Layers
        Those of the scene as it is stored.

    Returns
    -------
    layers : Layers
        Nodata or a new alpha band says where the scene is.
    grid : Grid
    notices : tuple of Notice
        Doubts about it.

    Raises
    ------
    SceneError
        If it can't lie there.
    """
    with open_raster(raster, how) as warped:
        alphas = tuple(band for band, colour in enumerate(colours_of(warped), 1) if colour == "alpha")
        grid = _grid(warped)
    notices = check_coordinates(grid, raster.path)
    if how.height is not None:
        notices += (
            Notice(
                f"'{raster.path}' is placed by RPCs at one height, {how.height:g} m: where the ground is higher or "
                "lower, the map is off"
            ),
        )
    # what has become nodata; where the frame is, is known of the scene as it is stored only
    stays = layers.palette is not None or layers.hole_value is not None
    frame_value = layers.frame_value if stays else None
    return replace(layers, alphas=alphas, frame_value=frame_value, frame=None, hole_value=None), grid, notices
