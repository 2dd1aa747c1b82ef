"""Files of examples: rows with a shape and a class, laid onto a scene's pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyproj.exceptions import ProjError
from shapely.errors import ShapelyError

from lposs_geo.errors import ParameterError, escaped
from lposs_geo.examples.classes import classes_of
from lposs_geo.examples.drawing import draw
from lposs_geo.examples.examples import Examples
from lposs_geo.examples.rows import CLASS, FIELDS, Tally, labelled_rows, weights_of
from lposs_geo.examples.runs import Line, Runs, joined
from lposs_geo.examples.settling import Settled, settle
from lposs_geo.grid import Grid, to_pyproj
from lposs_geo.hints import Notice
from lposs_geo.legend.legend import Legend
from lposs_geo.legend.words import quoted, said
from lposs_geo.scene.reprojection import check_way
from lposs_geo.scene.shapes import Shapes, on_pixels, read_shapes, reproject
from lposs_geo.scene.vectors import Purpose, Vectors, read_vectors

__all__ = ["read_examples"]

MOST_ROWS = 1_000_000
"""Of a file of examples."""

EXAMPLES = Purpose(
    name="the examples",
    kind="examples",
    missing="are no file",
    layer="examples_layer",
    remedy="give a file with points, lines or polygons of classes",
)


def read_examples(
    path: str | Path, legend: Legend, grid: Grid, *, layer: str | None = None, add_classes: bool = False
) -> tuple[Examples, Legend]:
    """Read examples and lay them onto a scene's pixels.

    Each row of the file is an example, however many parts its shape has. Its field `class` (in any letters) is the
    name, the code or the id of a class; a row without one isn't labelled yet. The field `weight`, if there is one, is a
    number above 0, or empty, which is 1. Rows whose field `use` is neither empty nor "training" are left alone.

    Parameters
    ----------
    path : str or Path
        A file of points, lines or polygons that GDAL reads, or a GeoParquet file. One without a CRS is taken to be in
        the scene's.
    legend : Legend
    grid : Grid
        The scene's.
    layer : str, optional
        Which layer of the file; needed where there are several.
    add_classes : bool
        Whether a name that the legend lacks adds a class, which is asked for by that word.

    Returns
    -------
    examples : Examples
        At least one. Its notices, which aren't logged yet, count the rows that aren't used.
    legend : Legend
        With the new classes at its end.

    Raises
    ------
    ParameterError
        If the file can't be read, has no such field, a weight that is no number above 0, or an unknown class, or none
        of its rows can be used.
    LegendError
        If a new name can't be a class's.
    """
    vectors = read_vectors(str(path), layer, EXAMPLES, columns=FIELDS, most=MOST_ROWS + 1)
    tally = Tally(escaped(str(path)), len(vectors.shapes))
    if tally.total > MOST_ROWS:
        raise ParameterError(f"the examples '{tally.named}' have more than {MOST_ROWS:,} rows", hint="give fewer")
    rows = labelled_rows(vectors, tally)
    weights = weights_of(vectors, rows, tally)
    labels = [vectors.columns[CLASS][row] for row in rows.tolist()]
    ids, legend = classes_of(labels, legend, tally.named, add_classes=add_classes)
    class_ids = np.array(ids, dtype=np.int64)
    settled = settle(_drawn(vectors, rows, grid, tally), class_ids, weights)
    tally.add("repeating others", settled.repeated)
    tally.add("contradicting others", len(settled.contradicting), rows[settled.contradicting])
    if not len(settled.kept):
        raise ParameterError(
            f"0 of {tally.total:,} examples in '{tally.named}' can be used: {tally.words}",
            hint="draw some on the scene, each of one class",
        )
    examples = Examples(
        line=Line(grid.height, grid.width),
        names=tuple(legend.names),
        class_ids=class_ids[settled.kept].astype(np.uint8),
        weights=settled.weights,
        runs=settled.runs,
    )
    notices = _notices(examples, settled, tally, has_crs=vectors.crs is not None or grid.crs is None)
    return replace(examples, notices=tuple(notices)), legend


def _drawn(vectors: Vectors, rows: NDArray[np.int64], grid: Grid, tally: Tally) -> Runs:
    """The px of some rows, owned by their positions among these."""
    shapes, odd = read_shapes([vectors.shapes[row] for row in rows.tolist()])
    filled = np.union1d(shapes.rows, odd)
    tally.add("without a shape", len(rows) - len(filled))
    tally.add("of a shape that can't be used", len(odd), rows[odd])
    shapes = shapes[~np.isin(shapes.rows, odd)]
    try:
        shapes = on_pixels(_in_crs_of(grid, vectors, shapes, tally), grid)
        runs = draw(shapes.parts, Line(grid.height, grid.width))
    except (ShapelyError, ProjError) as error:
        raise ParameterError(f"'{tally.named}' can't be laid onto the scene: {said(error)}") from error
    runs = joined(runs.owned(shapes.rows))
    tally.add("outside the scene", len(filled) - len(odd) - len(np.unique(runs.owner)))
    return runs


def _in_crs_of(grid: Grid, vectors: Vectors, shapes: Shapes, tally: Tally) -> Shapes:
    if vectors.crs is None:
        return shapes
    if grid.crs is None:
        raise ParameterError(
            f"'{tally.named}' has a CRS and the scene has none", hint="give the scene its CRS, or a file without one"
        )
    target = to_pyproj(grid.crs)
    check_way(vectors.crs, target, tally.named)
    return reproject(shapes, vectors.crs, target)


def _notices(examples: Examples, settled: Settled, tally: Tally, *, has_crs: bool) -> Iterator[Notice]:
    if not has_crs:
        yield Notice(f"{tally.named} has no CRS: its coordinates are taken to be the scene's")
    if tally.reasons:
        yield Notice(f"{len(examples):,} of {tally.total:,} examples in '{tally.named}' are used: {tally.words}")
    if settled.pixels:
        yield Notice(f"pixels that examples draw as two classes, which count for none of them: {settled.pixels:,}")
    if len(examples.counts) == 1:
        (only,) = examples.counts
        yield Notice(f"all examples are of one class, {quoted(only)}", "give some of what it is mistaken for too")
