"""Changes as a GeoTIFF: the class that each pixel has become, by the names and colours of the legend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lposs_geo.examples.changes import BECAME_UNKNOWN, UNCHANGED
from lposs_geo.files.writing import writing
from lposs_geo.grid import Grid
from lposs_geo.legend.legend import UNKNOWN_CLASS, LandClass, Legend
from lposs_geo.writers.rasters import LabelWriter, check_complete, cog_writer, colour_table, write_categories

__all__ = ["UNCHANGED_CLASS", "change_classes", "change_writer"]

UNCHANGED_CLASS = LandClass(UNCHANGED, "unchanged", (), (236, 236, 238))
"""How pixels that kept their class are named and shown: in the lightest grey, so that changes stand out."""


def change_classes(legend: Legend) -> tuple[LandClass, ...]:
    """What the values of a raster of changes mean, ascending."""
    became_unknown = LandClass(BECAME_UNKNOWN, UNKNOWN_CLASS.name, (), UNKNOWN_CLASS.colour)
    return (UNCHANGED_CLASS, *legend.classes, became_unknown)


@contextmanager
def change_writer(path: Path, grid: Grid, legend: Legend, tags: Mapping[str, str]) -> Iterator[LabelWriter]:
    """Open a file of changes for writing; at the end of the block it is a COG with its sidecar.

    Parameters
    ----------
    path : Path
        The GeoTIFF to be; needs not appear atomically, see `staging.staged_in`.
    grid : Grid
    legend : Legend
        Of the later map.
    tags : mapping of str to str
        Metadata that tells how the map was made.

    Yields
    ------
    LabelWriter
        Takes what `examples.changes.changed_to` gives.

    Raises
    ------
    OutputError
        If the file can't be written.
    """
    with cog_writer(path, grid, 1, "MODE") as dataset:
        with writing(path):
            dataset.write_colormap(1, colour_table(change_classes(legend)))
            dataset.update_tags(**tags)
        writer = LabelWriter(path, dataset, grid)
        yield writer
    with writing(path):
        # a name at 254 takes as many lines before it, so only where it is needed
        named = [each for each in change_classes(legend) if each.id != BECAME_UNKNOWN or writer.pixels[each.id]]
        write_categories(path, named, writer)
        check_complete(path, writer.pixels)
