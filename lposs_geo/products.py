"""From finished tiles to everything that is written: labels and their styles, confidence, scores, polygons, picture,
report and STAC item. All appear together, when all are complete.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from lposs_geo import quicklook, report, stac, styles
from lposs_geo.errors import OutputError
from lposs_geo.ground import Grid, to_pyproj
from lposs_geo.legend import NODATA, UNKNOWN, Legend
from lposs_geo.outputs import check_outputs, room_left, staged
from lposs_geo.raster import MOST_PERCENT, ClassArea, LabelWriter, label_writer, percent_writer
from lposs_geo.scene import Scene, open_scene
from lposs_geo.stages import Clock, Progress
from lposs_geo.vector_files import SUFFIXES, check_vector
from lposs_geo.vectorizing import draw_polygons

__all__ = ["CONFIDENCE_WORDS", "Content", "Outputs", "Polygonising", "write_products"]

CONFIDENCE_WORDS = (
    "Confidence is the share of the class among the scores of all classes after propagation. With the bundled model it "
    "is about how often such a pixel is right, as long as every kind of land in the scene has a class: the model only "
    "ever chooses between the classes that it was given."
)
"""What confidence means, for the reader of a map; docs/confidence.md shows the measurements."""


@dataclass(frozen=True)
class Outputs:
    """The files of a map; None for those that aren't wanted.

    Attributes
    ----------
    labels : Path
        GeoTIFF of labels.
    vector : Path or None
        Polygons: GeoPackage, GeoParquet, FlatGeobuf or GeoJSON.
    quicklook : Path or None
        PNG of scene, map and legend.
    confidence : Path or None
        GeoTIFF of the labels' confidence in percent.
    scores : Path or None
        GeoTIFF of the probability of each class in percent, a band a class.
    report : Path or None
        HTML page.
    stac : Path or None
        STAC item, JSON.
    """

    labels: Path
    vector: Path | None = None
    quicklook: Path | None = None
    confidence: Path | None = None
    scores: Path | None = None
    report: Path | None = None
    stac: Path | None = None

    def wanted(self) -> dict[str, Path]:
        """Those that are wanted, by name."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: path for name, path in named.items() if path is not None}

    def check(self, scene: Scene, *, overwrite: bool) -> None:
        """Refuse files that can't or mustn't be written; OutputError for the first."""
        if self.vector is not None:
            check_vector(self.vector, scene.grid.crs)
        wanted = [(path, _ENDINGS[name]) for name, path in self.wanted().items()]
        check_outputs(wanted, sources=scene.files, overwrite=overwrite)


_ENDINGS = {
    "labels": ".tif .tiff",
    "vector": SUFFIXES,
    "quicklook": ".png",
    "confidence": ".tif .tiff",
    "scores": ".tif .tiff",
    "report": ".html .htm",
    "stac": ".json",
}


_OURS = "lposs_geo_"
"""What the names of our tags begin with."""


@dataclass(frozen=True)
class Polygonising:
    """How polygons are made of labels, see `vectorizing.vectorize`."""

    simplify: float | str
    min_area: float


@dataclass(frozen=True)
class Content:
    """What the files tell.

    Attributes
    ----------
    scene : Scene
    area : Window
        The part of it that was mapped, px.
    legend : Legend
    tiles : iterator of (Window, (layers, rows, cols) uint8)
        Finished tiles, see `labelling.finished_tile`, by their windows in px of the scene.
    tags : mapping of str to str
        How the map was made.
    facts : mapping of str to str
        The same for people: model, device, resolution.
    notices : sequence of str
        What a reader should beware of.
    min_confidence : float
        Pixels less confident than that, 0..1, become unknown.
    """

    scene: Scene
    area: Window
    legend: Legend
    tiles: Iterator[tuple[Window, NDArray[np.uint8]]]
    tags: Mapping[str, str]
    facts: Mapping[str, str]
    notices: Sequence[str]
    min_confidence: float = 0.0

    @property
    def grid(self) -> Grid:
        return self.scene.grid.part(self.area)


def write_products(
    outputs: Outputs, content: Content, polygons: Polygonising, clock: Clock, progress: Progress
) -> tuple[ClassArea, ...]:
    """Write all files of a map.

    Parameters
    ----------
    outputs : Outputs
    content : Content
    polygons : Polygonising
    clock : Clock
        Receives the time of "write", "vectorize", "quicklook" and "report".
    progress : Progress

    Returns
    -------
    tuple of ClassArea
        In legend order.

    Raises
    ------
    OutputError
        If one can't be written; then all is as it was before.
    """
    wanted = outputs.wanted()
    with staged(*wanted.values()) as paths:
        written = dict(zip(wanted, paths, strict=True))
        labels = written["labels"]
        # polygons and report tell the confidence even where it is no file of its own
        confidence = written.get("confidence", labels.with_name("confidence.tif.part"))
        with clock.running("write"):
            counted = _write_rasters(labels, confidence, written.get("scores"), content)
            areas = tuple(counted.class_area(land_class) for land_class in content.legend.classes)
            _write(labels.with_suffix(".qml"), styles.labels_qml(content.legend))
            _write(labels.with_suffix(".sld"), styles.labels_sld(content.legend))
            if "confidence" in written:
                _write(confidence.with_suffix(".qml"), styles.confidence_qml())
        if "vector" in written:
            with clock.running("vectorize"):
                draw_polygons(
                    labels,
                    written["vector"],
                    content.legend,
                    simplify=polygons.simplify,
                    min_area=polygons.min_area,
                    confidence=confidence,
                    report=lambda done, total: progress("vectorize", done, total),
                )
        if "quicklook" in written or "report" in written:
            with clock.running("report" if "report" in written else "quicklook"):
                _draw(written, confidence, content, counted, areas)
        if "stac" in written:
            _write_stac(outputs, written["stac"], content)
    return areas


def _write_rasters(labels: Path, confidence: Path, scores: Path | None, content: Content) -> LabelWriter:
    """Write labels, confidence and scores side by side, and count."""
    grid, legend, tags = content.grid, content.legend, dict(content.tags)
    with ExitStack() as stack:
        counted = stack.enter_context(label_writer(labels, grid, legend, tags))
        write_confidence = stack.enter_context(percent_writer(confidence, grid, ["confidence"], tags))
        write_scores = stack.enter_context(percent_writer(scores, grid, legend.names, tags)) if scores else None
        for window, layers in content.tiles:
            within = Window(
                window.col_off - content.area.col_off,
                window.row_off - content.area.row_off,
                window.width,
                window.height,
            )
            found, percent = layers[0], layers[1]
            if content.min_confidence > 0:
                unsure = (percent < 100 * content.min_confidence) & (found != NODATA)
                found = np.where(unsure, UNKNOWN, found).astype(np.uint8)
            counted.write(found, within, percent)
            write_confidence(percent[None], within)
            if write_scores is not None:
                write_scores(layers[2:], within)
    return counted


def _draw(
    written: Mapping[str, Path],
    confidence_file: Path,
    content: Content,
    counted: LabelWriter,
    areas: Sequence[ClassArea],
) -> None:
    """Picture and report."""
    with open_scene(content.scene) as reader:
        image, _ = reader.overview(quicklook.LONGEST_SIDE, content.area)
    shape = image.shape[1:]
    labels, confidence = _reduced(written["labels"], shape), _reduced(confidence_file, shape)
    grid, t = content.grid, content.grid.transform
    pixel_size = None if grid.pixel_size is None else grid.pixel_size[1] * grid.width / shape[1]
    if "quicklook" in written:
        shares = {area.name: area.share for area in areas}
        picture = quicklook.draw_map(
            image, labels, content.legend, title=content.scene.name, shares=shares, pixel_size_m=pixel_size
        )
        quicklook.save_picture(picture, written["quicklook"])
    if "report" in written:
        known = counted.counts[:NODATA, : MOST_PERCENT + 1].sum(axis=0)
        labelled = float(counted.areas[:NODATA].sum())
        contents = report.Report(
            title=content.scene.name,
            facts=_facts(content, labelled),
            image=image,
            labels=labels,
            legend=content.legend,
            areas=areas,
            created=datetime.now().astimezone(),
            confidence=confidence,
            histogram=[int(known[low : low + 10].sum()) for low in range(0, 90, 10)] + [int(known[90:].sum())],
            confidence_words=CONFIDENCE_WORDS,
            unknown_share=float(counted.areas[UNKNOWN]) / labelled if labelled else 0.0,
            pixel_size_m=pixel_size,
            is_north_up=t.b == t.d == 0 and t.e < 0 < t.a,
            has_crs=grid.crs is not None,
            notices=content.notices,
            parameters=content.tags,
        )
        report.save(report.page(contents), written["report"])


def _facts(content: Content, labelled: float) -> dict[str, str]:
    """What the report says first."""
    grid = content.grid
    facts = {"Size": f"{grid.width:,} x {grid.height:,} pixels"}
    if grid.pixel_size is not None:
        high, wide = grid.pixel_size
        facts["Extent"] = f"{wide * grid.width / 1000:,.3g} x {high * grid.height / 1000:,.3g} km"
        facts["Area mapped"] = f"{labelled / 1e4:,.2f} ha"
        facts["Resolution"] = f"{grid.gsd:.3g} m per pixel"
    facts["Coordinate reference system"] = to_pyproj(grid.crs).name if grid.crs else "none"
    return facts | dict(content.facts)


def _write_stac(outputs: Outputs, target: Path, content: Content) -> None:
    """The item as a file whose links hold from where it will lie."""
    assert outputs.stac is not None
    folder = outputs.stac.parent.resolve()
    seen_from_there = {
        name: Path(os.path.relpath(path.resolve(), folder)) for name, path in outputs.wanted().items() if name != "stac"
    }
    labels = seen_from_there.pop("labels")
    item = stac.item(
        labels,
        content.grid,
        content.legend,
        created=datetime.now(UTC),
        title=f"Land cover of {content.scene.name}",
        properties={
            name.lower().replace(_OURS, "lposs_geo:"): json.loads(value) if value[:1] in "[{" else value
            for name, value in content.tags.items()
            if name.lower().startswith(_OURS)
        },
        assets=seen_from_there,
    )
    _write(target, json.dumps(item, indent=1, ensure_ascii=False))


def _reduced(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read(1, out_shape=shape, resampling=Resampling.nearest))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"can't write '{path.name}': {error.strerror or error}{room_left(path.parent)}") from error
