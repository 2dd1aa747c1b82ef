"""The making of each kind of file: rasters from finished tiles, all else from the rasters."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lposs_geo.files.writing import write_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rasterio.windows import Window

    from lposs_geo.content import Content
    from lposs_geo.examples.agreement import Agreement
    from lposs_geo.examples.changes import Changes
    from lposs_geo.progress import Progress
    from lposs_geo.request import Polygons
    from lposs_geo.writers.rasters import ClassArea, LabelWriter

__all__ = [
    "CONFIDENCE_WORDS",
    "LayerWriter",
    "Making",
    "changes_file",
    "confidence_file",
    "labels_file",
    "probabilities_file",
    "write_learned_file",
    "write_quicklook",
    "write_report",
    "write_stac",
    "write_suggested",
    "write_vector",
]

CONFIDENCE_WORDS = (
    "Confidence is the share of the class among the scores of all classes after propagation. With the bundled model it "
    "is about how often such a pixel is right, as long as every kind of land in the scene has a class: the model only "
    "ever chooses between the classes that it was given."
)
"""The meaning of confidence, for the reader of a map; docs/confidence.md shows the measurements."""

LayerWriter = Callable[["NDArray[np.uint8]", "Window"], None]
"""Takes a tile's own layers (bands, rows, cols) and their window in px of the map."""


@dataclass(frozen=True)
class Making:
    """Files on their way: what the later ones are made of.

    Attributes
    ----------
    paths : mapping of str to Path
        Where the files will lie, by the names of their products.
    assets : mapping of str to mapping
        What a STAC item says of each.
    staged : dict of str to Path
        Where they lie until all are complete; what is only needed for others among them.
    content : Content
    polygons : Polygons
    progress : Progress
    counted : LabelWriter
        Pixels and areas of the labels.
    changes : Changes or None
        From the earlier map to this one.
    """

    paths: Mapping[str, Path]
    assets: Mapping[str, Mapping[str, Any]]
    staged: dict[str, Path]
    content: Content
    polygons: Polygons
    progress: Progress
    counted: LabelWriter
    changes: Changes | None = None

    @cached_property
    def agreement(self) -> Agreement | None:
        """Of the map with the examples that it was made from."""
        from lposs_geo.examples.agreement import agreement_of

        content = self.content
        if content.lesson is None:
            return None
        return agreement_of(content.lesson, self.staged["labels"], content.window, content.earlier)

    @cached_property
    def areas(self) -> tuple[ClassArea, ...]:
        return tuple(self.counted.class_area(land_class) for land_class in self.content.legend.classes)

    @cached_property
    def picture(self) -> NDArray[np.float32]:
        """The scene, reduced: (3, rows, cols)."""
        from lposs_geo.content import picture_of
        from lposs_geo.writers.quicklook import LONGEST_SIDE

        return picture_of(self.content, LONGEST_SIDE)

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """The labels at the picture's size."""
        from lposs_geo.content import reduced

        return reduced(self.staged["labels"], self.picture.shape[1:])

    @property
    def pixel_size(self) -> float | None:
        """Width of the picture's pixels, metres."""
        grid = self.content.grid
        return None if grid.pixel_size is None else grid.pixel_size[1] * grid.width / self.picture.shape[2]


@contextmanager
def labels_file(content: Content, path: Path) -> Iterator[LabelWriter]:
    """Open the labels, which have their styles beside them at the end."""
    from lposs_geo.writers import styles
    from lposs_geo.writers.rasters import label_writer

    with label_writer(path, content.grid, content.legend, dict(content.tags)) as writer:
        yield writer
    write_text(path.with_suffix(".qml"), styles.labels_qml(content.legend))
    write_text(path.with_suffix(".sld"), styles.labels_sld(content.legend))


def _tags_beside(content: Content) -> dict[str, str]:
    """The tags of a raster beside the labels: what was learnt, which is long, only they have."""
    from lposs_geo.provenance import LEARNED_TAG

    return {name: value for name, value in content.tags.items() if name != LEARNED_TAG}


@contextmanager
def confidence_file(content: Content, path: Path) -> Iterator[LayerWriter]:
    """Open the labels' confidence, which has its style beside it at the end."""
    from lposs_geo.writers.rasters import percent_writer
    from lposs_geo.writers.styles import confidence_qml

    with percent_writer(path, content.grid, ["confidence"], _tags_beside(content)) as write:
        yield write
    write_text(path.with_suffix(".qml"), confidence_qml())


def probabilities_file(content: Content, path: Path) -> AbstractContextManager[LayerWriter]:
    """Open the probabilities of all classes."""
    from lposs_geo.writers.rasters import percent_writer

    return percent_writer(path, content.grid, content.legend.names, _tags_beside(content))


@contextmanager
def changes_file(content: Content, path: Path) -> Iterator[LayerWriter]:
    """Open the changes from the earlier map, which have their style beside them at the end."""
    from lposs_geo.writers.changes import UNCHANGED_CLASS, change_classes, change_writer
    from lposs_geo.writers.styles import changes_qml

    with change_writer(path, content.grid, content.legend, _tags_beside(content)) as writer:
        yield lambda layers, window: writer.write(layers[0], window)
    write_text(path.with_suffix(".qml"), changes_qml(change_classes(content.legend), clear=UNCHANGED_CLASS.id))


def write_suggested(making: Making, path: Path) -> None:
    """Choose the points where an example would help most, and write them."""
    from lposs_geo.examples.suggest import DEFAULT_COUNT
    from lposs_geo.examples.suggestion_file import write_suggestions

    content = making.content
    assert content.suggest is not None
    write_suggestions(path, content.suggest(DEFAULT_COUNT), content.legend, content.scene.grid)


def write_learned_file(making: Making, path: Path) -> None:
    """Write what was learnt from examples."""
    from lposs_geo.examples.learned import write_learned

    assert making.content.lesson is not None
    write_learned(path, making.content.lesson.learned)


def write_vector(making: Making, path: Path) -> None:
    """Draw the polygons."""
    from lposs_geo.polygons.vectorize import draw_polygons

    draw_polygons(
        making.staged["labels"],
        path,
        making.content.legend,
        simplify=making.polygons.simplify,
        min_area=making.polygons.min_area,
        confidence=making.staged["confidence"],
        progress=lambda done, total: making.progress.step("vectorize", done, total),
    )


def write_quicklook(making: Making, path: Path) -> None:
    """Draw the picture of scene, map and legend."""
    from lposs_geo.writers import quicklook

    content = making.content
    shares = {area.name: area.share for area in making.areas}
    picture = quicklook.draw_map(
        making.picture, making.labels, content.legend,
        title=content.scene.name, shares=shares, pixel_size_m=making.pixel_size,
    )  # fmt: skip
    quicklook.save_picture(picture, path)


def write_report(making: Making, path: Path) -> None:
    """Write the HTML page."""
    from lposs_geo.content import facts_of, is_north_up, reduced
    from lposs_geo.legend.legend import NODATA, UNKNOWN
    from lposs_geo.provenance import for_people
    from lposs_geo.writers import report
    from lposs_geo.writers.examples_section import Effect
    from lposs_geo.writers.rasters import MOST_PERCENT

    content, counted, grid = making.content, making.counted, making.content.grid
    known = counted.counts[UNKNOWN + 1 : NODATA, : MOST_PERCENT + 1].sum(axis=0)
    labelled = float(counted.areas[:NODATA].sum())
    is_scratch = "confidence" not in making.paths  # without overviews
    earlier = None if content.earlier is None else reduced(content.earlier, making.labels.shape)
    contents = report.Report(
        title=content.scene.name,
        facts=facts_of(content),
        image=making.picture,
        labels=making.labels,
        legend=content.legend,
        areas=making.areas,
        created=datetime.now().astimezone(),
        confidence=reduced(making.staged["confidence"], making.picture.shape[1:], average=is_scratch),
        histogram=[int(known[low : low + 10].sum()) for low in range(0, 90, 10)] + [int(known[90:].sum())],
        confidence_words=CONFIDENCE_WORDS,
        unknown_share=float(counted.areas[UNKNOWN]) / labelled if labelled else 0.0,
        pixel_size_m=making.pixel_size,
        is_north_up=is_north_up(grid),
        has_crs=grid.crs is not None,
        # the report goes to others, whom the folders of this disk don't concern
        notices=[str(notice).replace(content.scene.path, content.scene.name) for notice in content.notices],
        parameters=for_people(content.tags),
        effect=Effect(making.agreement, making.changes, earlier),
    )
    write_text(path, report.page(contents))


def write_stac(making: Making, path: Path) -> None:
    """The item as a file whose links hold from where it will lie."""
    from lposs_geo.provenance import as_properties
    from lposs_geo.writers import stac

    content, paths = making.content, making.paths
    folder = paths["stac"].parent.resolve()
    assets = {
        name: stac.Asset(_seen_from(folder, path), making.assets[name])
        for name, path in paths.items()
        if name != "stac"
    }
    item = stac.item(
        assets.pop("labels").path,
        content.grid,
        content.legend,
        created=datetime.now(UTC),
        title=f"Land cover of {content.scene.name}",
        properties=as_properties(content.tags),
        assets=assets,
    )
    write_text(path, json.dumps(item, indent=1, ensure_ascii=False))


def _seen_from(folder: Path, path: Path) -> Path:
    """A file as it is seen from a folder; whole where it lies on another drive."""
    position = path.parent.resolve() / path.name  # a link itself is replaced, not what it points to
    try:
        return Path(os.path.relpath(position, folder))
    except ValueError:
        return position
