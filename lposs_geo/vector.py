"""Labels as polygons: one valid coverage, without gaps or overlaps, whose shared borders are simplified together."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from lposs_geo.errors import OutputError, one_line
from lposs_geo.ground import on_ground, polygon_areas, to_pyproj
from lposs_geo.legend import NODATA, UNKNOWN_CLASS, Legend

if TYPE_CHECKING:
    import geopandas

__all__ = ["SIMPLIFY_PX", "label_polygons", "write_polygons"]

SIMPLIFY_PX = 1.0
"""Default tolerance, px: what straightens the stairs of the pixel grid and little more."""

LAYER = "landcover"
"""Name of the layer in a GeoPackage."""


def label_polygons(
    labels: NDArray[np.uint8], transform: Affine, crs: CRS | None, legend: Legend, *, simplify: float = SIMPLIFY_PX
) -> geopandas.GeoDataFrame:
    """Turn labels into polygons, one for each connected patch of a class (pixels connect by their sides).

    Parameters
    ----------
    labels : (rows, cols) uint8
        Nodata becomes no polygon.
    transform : Affine
        Pixel (col, row) to ground.
    crs : CRS or None
    legend : Legend
        Names of the labels.
    simplify : float
        Tolerance in px of the Visvalingam-Whyatt simplification that all polygons share: corners that span less
        than its square in area go. 0 keeps every pixel's edge.

    Returns
    -------
    GeoDataFrame
        Columns class_id, class_name, area_m2 (on the ellipsoid where `crs` is geographic; square map units where it is
        None) and geometry; the geometries together are a valid coverage.
    """
    import geopandas  # takes half a second, which maps without polygons needn't spend

    shapes = list(rasterio.features.shapes(labels, mask=labels != NODATA, connectivity=4))
    ids = np.array([int(value) for _, value in shapes], dtype=np.int64)
    outlines = np.array([shapely.geometry.shape(geometry) for geometry, _ in shapes], dtype=object)
    # Where three patches meet, the long straight side of one has no vertex at the corner of the other two. Vertices at
    # every pixel corner make shared borders the same to the last one; rounding undoes the division's last-digit errors.
    dense = shapely.transform(shapely.segmentize(outlines, 1.0), np.round)
    # With the boundary kept, the outline of the scene (and of holes in its data) stays exactly where it is; only then
    # its vertices inside straight lines go too.
    simple = shapely.coverage_simplify(dense, simplify, simplify_boundary=False)
    simple = shapely.coverage_simplify(simple, 0.0)
    ground = shapely.transform(simple, lambda pixels: on_ground(pixels, transform))
    names = {land_class.id: land_class.name for land_class in (UNKNOWN_CLASS, *legend.classes)}
    return geopandas.GeoDataFrame(
        {
            "class_id": ids,
            "class_name": [names.get(int(value), f"class {value}") for value in ids],
            "area_m2": polygon_areas(ground, crs),
        },
        geometry=list(ground),
        crs=None if crs is None else to_pyproj(crs),
    )


def write_polygons(polygons: geopandas.GeoDataFrame, path: Path) -> None:
    """Write polygons to a GeoPackage.

    Raises
    ------
    OutputError
        If the file can't be written.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="'crs' was not provided")  # said already when the map was begun
            polygons.to_file(path, driver="GPKG", layer=LAYER, engine="pyogrio")
    except (OSError, RuntimeError) as error:
        raise OutputError(f"can't write '{path.name}': {one_line(error)}") from error
