"""From finished tiles to everything that is written: labels and their styles, confidence, scores, polygons, picture,
report and STAC item. All appear together, when all are complete.
"""

from __future__ import annotations

import json
import logging
import math
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
from rasterio.errors import RasterioError
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.files.drivers import check_raster_drivers
from lposs_geo.files.outputs import GEOPACKAGE_BESIDE, RASTER_BESIDE, Output, check_outputs, write_text
from lposs_geo.files.staging import staged_in
from lposs_geo.finished import are_as_written, put_on_record
from lposs_geo.grid import (
    Grid,
    lonlat_transformer,
    on_ground,
    rounded,
    to_pyproj,
    without_georeference_warnings,
)
from lposs_geo.legend.legend import NODATA, UNKNOWN, Legend
from lposs_geo.polygons.files import SUFFIXES, check_vector
from lposs_geo.polygons.vectorize import draw_polygons
from lposs_geo.progress import Clock, Progress
from lposs_geo.provenance import FAILED_TAG, REQUEST_TAG, as_properties, for_people
from lposs_geo.scene.description import Scene
from lposs_geo.scene.identity import check_unchanged
from lposs_geo.scene.reader import open_scene
from lposs_geo.writers import quicklook, report, stac, styles
from lposs_geo.writers.rasters import (
    MOST_PERCENT,
    ClassArea,
    LabelWriter,
    label_writer,
    percent_writer,
)

__all__ = ["CONFIDENCE_WORDS", "Content", "Outputs", "Polygonising", "write_products"]

CONFIDENCE_WORDS = (
    "Confidence is the share of the class among the scores of all classes after propagation. With the bundled model it "
    "is about how often such a pixel is right, as long as every kind of land in the scene has a class: the model only "
    "ever chooses between the classes that it was given."
)
"""What confidence means, for the reader of a map; docs/confidence.md shows the measurements."""


NORTH = math.radians(10)
"""Up to so far from the top of the picture an arrow that points up is still right."""

log = logging.getLogger("lposs_geo")


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

    def files(self) -> list[Output]:
        """The same, with what belongs beside them."""
        return [Output(path, *_KINDS[name]) for name, path in self.wanted().items()]

    def are_finished(self, asked: str) -> bool:
        """Whether all are there as they were written, made of the same `provenance.request` without a failed tile."""
        if not all(path.is_file() for path in self.wanted().values()):
            return False
        try:
            with without_georeference_warnings(), rasterio.open(self.labels) as dataset:
                tags = dataset.tags()
        except RasterioError:
            return False
        return tags.get(REQUEST_TAG) == asked and FAILED_TAG not in tags and are_as_written(self.wanted())

    def check(self, scene: Scene, *, sources: Sequence[str | Path] = (), overwrite: bool) -> None:
        """Refuse files that can't or mustn't be written, the scene's own and `sources` among them.

        Raises
        ------
        OutputError
            With one line for the first.
        """
        check_raster_drivers(self.labels)
        if self.vector is not None:
            check_vector(self.vector, scene.grid.crs)
        check_outputs(self.files(), sources=[*scene.files, *sources], overwrite=overwrite)


# the endings that each may have, and what is written beside it
_KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "labels": (".tif .tiff", (*RASTER_BESIDE, ".qml", ".sld")),
    "vector": (SUFFIXES, GEOPACKAGE_BESIDE),
    "quicklook": (".png", ()),
    "confidence": (".tif .tiff", (*RASTER_BESIDE, ".qml")),
    "scores": (".tif .tiff", RASTER_BESIDE),
    "report": (".html .htm", ()),
    "stac": (".json", ()),
}


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
    source : Scene
        The same, as it is quick to read: perhaps a copy.
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
    source: Scene
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

    def labels_of(self, layers: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What is written of a tile's labels, (rows, cols)."""
        if not self.min_confidence > 0:
            return np.asarray(layers[0])
        # compared in percent, as it is stored
        unsure = (layers[1] < round(100 * self.min_confidence, 6)) & (layers[0] != NODATA)
        return np.where(unsure, UNKNOWN, layers[0]).astype(np.uint8)


def write_products(
    outputs: Outputs, content: Content, polygons: Polygonising, clock: Clock, progress: Progress, folder: Path
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
    folder : Path
        The run's, where the files are until all are complete.

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
    with staged_in(folder, outputs.files()) as paths:
        written = dict(zip(wanted, paths, strict=True))
        labels = written["labels"]
        # polygons and report tell the confidence even where it is no file of its own
        confidence = written.get("confidence", labels.with_name("confidence.tif.part"))
        with clock.running("write"):
            counted = _write_rasters(labels, confidence, written.get("scores"), content)
            areas = tuple(counted.class_area(land_class) for land_class in content.legend.classes)
            write_text(labels.with_suffix(".qml"), styles.labels_qml(content.legend))
            write_text(labels.with_suffix(".sld"), styles.labels_sld(content.legend))
            if "confidence" in written:
                write_text(confidence.with_suffix(".qml"), styles.confidence_qml())
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
        check_unchanged(content.scene)
        put_on_record(labels, written)
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
            percent = layers[1]
            counted.write(content.labels_of(layers), within, percent)
            write_confidence(percent[None], within)
            if write_scores is not None:
                write_scores(layers[2:], within)
    if not counted.pixels[:NODATA].any():
        raise SceneError(f"'{content.scene.path}' has no valid pixel in the area that is to be mapped")
    return counted


def _draw(
    written: Mapping[str, Path],
    confidence_file: Path,
    content: Content,
    counted: LabelWriter,
    areas: Sequence[ClassArea],
) -> None:
    """Picture and report."""
    image = _overview(content.source, content.area)
    shape = image.shape[1:]
    labels, confidence = _reduced(written["labels"], shape), _reduced(confidence_file, shape)
    grid = content.grid
    pixel_size = None if grid.pixel_size is None else grid.pixel_size[1] * grid.width / shape[1]
    if "quicklook" in written:
        shares = {area.name: area.share for area in areas}
        picture = quicklook.draw_map(
            image, labels, content.legend, title=content.scene.name, shares=shares, pixel_size_m=pixel_size
        )
        quicklook.save_picture(picture, written["quicklook"])
    if "report" in written:
        known = counted.counts[UNKNOWN + 1 : NODATA, : MOST_PERCENT + 1].sum(axis=0)
        labelled = float(counted.areas[:NODATA].sum())
        contents = report.Report(
            title=content.scene.name,
            facts=_facts(content),
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
            is_north_up=_is_north_up(grid),
            has_crs=grid.crs is not None,
            # the report goes to others, whom the place on this disk doesn't concern
            notices=[notice.replace(content.scene.path, content.scene.name) for notice in content.notices],
            parameters=for_people(content.tags),
        )
        write_text(written["report"], report.page(contents))


def _is_north_up(grid: Grid) -> bool:
    """Whether north is at the top of the picture, give or take ten degrees."""
    to_lonlat = None if grid.crs is None else lonlat_transformer(grid.crs)
    if to_lonlat is None:
        return False
    col, row = grid.width / 2, grid.height / 2
    (lon, below), (lon_above, above) = (
        to_lonlat.transform(*on_ground(np.array([[col, at]]), grid.transform)[0]) for at in (row, row - 1)
    )
    return bool(above > below) and bool(
        abs(lon_above - lon) * math.cos(math.radians(below)) < math.tan(NORTH) * (above - below)
    )


def _facts(content: Content) -> dict[str, str]:
    """What the report says first."""
    grid = content.grid
    facts = {"Size": f"{grid.width:,} x {grid.height:,} pixels"}
    if grid.pixel_size is not None and grid.gsd is not None:
        high, wide = grid.pixel_size
        sides = wide * grid.width, high * grid.height
        unit, metres = ("km", 1000) if max(sides) >= 1000 else ("m", 1)
        facts["Extent"] = f"{' x '.join(rounded(side / metres) for side in sides)} {unit}"
        facts["Resolution"] = f"{rounded(grid.gsd)} m per pixel"
    facts["Coordinate reference system"] = to_pyproj(grid.crs).name if grid.crs else "none"
    return facts | dict(content.facts)


def _write_stac(outputs: Outputs, target: Path, content: Content) -> None:
    """The item as a file whose links hold from where it will lie."""
    assert outputs.stac is not None
    folder = outputs.stac.parent.resolve()
    seen_from_there = {name: _relative(path, folder) for name, path in outputs.wanted().items() if name != "stac"}
    labels = seen_from_there.pop("labels")
    item = stac.item(
        labels,
        content.grid,
        content.legend,
        created=datetime.now(UTC),
        title=f"Land cover of {content.scene.name}",
        properties=as_properties(content.tags),
        assets=seen_from_there,
    )
    write_text(target, json.dumps(item, indent=1, ensure_ascii=False))


def _relative(path: Path, folder: Path) -> Path:
    """A file as it is seen from a folder; whole where it lies on another drive."""
    place = path.parent.resolve() / path.name  # a link itself is replaced, not what it points to
    try:
        return Path(os.path.relpath(place, folder))
    except ValueError:
        return place


def _overview(scene: Scene, area: Window) -> NDArray[np.float32]:
    """The scene as the pictures show it; grey where it is damaged."""
    with open_scene(scene) as reader:
        try:
            return reader.overview(quicklook.LONGEST_SIDE, area)[0]
        except SceneError as error:
            log.warning("pictures of the map don't show the scene: %s", error)
    shrink = min(1.0, quicklook.LONGEST_SIDE / max(area.height, area.width))
    return np.full((3, max(1, round(area.height * shrink)), max(1, round(area.width * shrink))), 0.5, np.float32)


def _reduced(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    with without_georeference_warnings(), rasterio.open(path) as dataset:
        return np.asarray(dataset.read(1, out_shape=shape, resampling=Resampling.nearest))
