"""The polygons that a file of an area of interest consists of."""

from __future__ import annotations

from collections.abc import Iterator

import pyproj
import shapely

from lposs_geo.scene.vectors import Purpose, read_vectors, refusals_worded
from lposs_geo.scene.wkb import ShapeError, parts_of, polygon_of

__all__ = ["polygons_of", "read_outlines"]

AREA = Purpose(
    name="the area of interest",
    kind="an area of interest",
    missing="is neither a file nor a box (xmin,ymin,xmax,ymax)",
    layer="aoi_layer",
    remedy="give a file with the outline of the area",
)


def read_outlines(path: str, layer: str | None) -> tuple[list[shapely.Polygon], pyproj.CRS | None]:
    """Read the polygons of a file that GDAL reads, or of a GeoParquet file.

    Parameters
    ----------
    path : str
        A file, a folder that GDAL reads as one, a zip archive with one, or one of GDAL's own names.
    layer : str or None
        Needed where there are several.

    Returns
    -------
    polygons : list of shapely.Polygon
        With closed rings in two dimensions, but not always valid.
    crs : pyproj.CRS or None

    Raises
    ------
    ParameterError
        If it can't be read, or holds other shapes too.
    """
    vectors = read_vectors(path, layer, AREA)
    with refusals_worded(path, AREA):
        shapes = [shape for shape in vectors.shapes if shape is not None]
        return [polygon for shape in shapes for polygon in polygons_of(shape)], vectors.crs


def polygons_of(shape: bytes) -> Iterator[shapely.Polygon]:
    """The polygons that a geometry in WKB consists of.

    Raises
    ------
    ValueError
        If it holds something else, a coordinate that is no number, or is no WKB.
    """
    for part in parts_of(shape):
        if part.kind != "Polygon":
            raise ShapeError(f"holds a {part.kind}, and an area of interest is made of polygons only")
        polygon = polygon_of(part)
        if polygon is not None:
            yield polygon
