"""The disk that a run is going to take, estimated before the time is spent."""

from __future__ import annotations

import zlib
from pathlib import Path

from rasterio.windows import Window

from lposs_geo.content import Content
from lposs_geo.errors import SceneError
from lposs_geo.files.room import Need, check_room, has_room
from lposs_geo.polygons.outline import MOST_PER_PIXEL, Outline, outline_of, polygon_bytes
from lposs_geo.polygons.vectorize import tolerance_px
from lposs_geo.products import PRODUCTS, Outputs
from lposs_geo.request import Polygons
from lposs_geo.scene.description import Scene
from lposs_geo.scene.reader import open_scene
from lposs_geo.stages.bands import missing_band_bytes
from lposs_geo.stages.features import missing_bytes
from lposs_geo.stages.label import finished_tiles
from lposs_geo.stages.task import Task
from lposs_geo.store.journal import Journal

__all__ = ["check_room_for_products", "check_room_for_work"]

LOOK = 256
"""Longer side, px, of the reduced read that shows how much of a scene is valid."""

LARGE, LEAST_VALID = 1 << 32, 1e-4
"""Of an area of more pixels, this share at least must be valid: to walk over the rest takes hours for nothing."""

SAMPLED, SAMPLE = 32, 512
"""Of so many tiles, and of one in so many, a square of so many px tells how well they can be packed."""


def check_room_for_work(task: Task, scene: Scene, store: Journal, journal: Journal) -> None:
    """Refuse, before the encoders start, what the disks of the features and of the run have no room for.

    Parameters
    ----------
    task : Task
    scene : Scene
    store : Journal
        Of features; what it holds already takes no more room.
    journal : Journal
        Of the run, likewise.

    Raises
    ------
    OutputError
        If it doesn't fit.
    SceneError
        If hardly a pixel of a large area is valid.
    """
    grid, area = scene.grid, task.window
    left = 1 - finished_tiles(journal, task.plan) / len(task.plan)
    if not left:
        return
    looks = task.looks(grid)
    features = missing_bytes(looks, store, int(task.words.text.shape[1]))
    if task.teaching is not None:
        features += missing_band_bytes(looks[-1], store, len(scene.all_bands))
    pixels = int(area.height) * int(area.width)
    nodes = pixels * (task.zooms[-1] / task.encoder.patch_size) ** 2
    results = left * (task.num_layers * pixels + 4 * len(task.words.text) * nodes)

    def needs(share: float) -> list[Need]:
        return [
            Need(store.folder, share * features, "the scene's features"),
            Need(journal.folder, share * results, "scores and tiles"),
        ]

    if pixels <= LARGE and has_room(needs(1.0)):
        return
    share = _valid_share(scene, area)
    if share is None:
        return
    if pixels > LARGE and share < LEAST_VALID:
        raise SceneError(
            f"hardly a pixel of '{scene.path}' is valid, of {area.height} rows and {area.width} cols",
            hint="name the area that holds some by <aoi>",
        )
    check_room(
        needs(share),
        "name an area of the scene by <aoi>, or folders on a larger disk (<dst>; for the features LPOSS_GEO_CACHE)",
    )


def _valid_share(scene: Scene, area: Window) -> float | None:
    """Share of a window that holds data, as a reduced read shows it; None where it is damaged."""
    try:
        with open_scene(scene) as reader:
            return float(reader.overview(LOOK, area)[1].mean())
    except SceneError:
        return None


def check_room_for_products(outputs: Outputs, content: Content, polygons: Polygons, staging: Path) -> None:
    """Refuse, before any file is made, what the disks of the outputs have no room for.

    Parameters
    ----------
    outputs : Outputs
    content : Content
    polygons : Polygons
    staging : Path
        The folder that files lie in until all are complete.

    Raises
    ------
    OutputError
        If it doesn't fit.
    """
    folders = {name: _home(staging, outputs.paths.get(name, outputs.labels)) for name in outputs.needed}
    rasters = [product for product in PRODUCTS if product.layers or product.open]
    # changes take no more than the labels that they are
    layers = {product.name: product.layers or slice(0, 1) for product in rasters if product.name in folders}
    vector = outputs.paths.get("vector")
    if has_room(_at_worst(folders, layers, content, has_polygons=vector is not None)):
        return
    outline, sizes = _estimated(layers, content, has_polygons=vector is not None)
    needs = [Need(folders[name], size, name) for name, size in sizes.items()]
    if vector is not None:
        grid = content.grid
        size = polygon_bytes(
            outline,
            (grid.height, grid.width),
            vector.suffix.lower(),
            simplify=tolerance_px(polygons.simplify, grid, content.scene.path) > 0,
            merge=polygons.min_area > 0,
            confident=True,
        )
        needs.append(Need(folders["vector"], size, "polygons"))
    check_room(needs, POLYGON_ADVICE if vector is not None else "name outputs on a larger disk")


POLYGON_ADVICE = "choose a larger <min_area>, leave the polygons out, or name outputs on a larger disk"
"""Hint where polygons are too many."""


def _at_worst(
    folders: dict[str, Path], layers: dict[str, slice], content: Content, *, has_polygons: bool
) -> list[Need]:
    """Bytes of files that can't be packed at all: each raster once as it is written, and finished with overviews."""
    pixels = content.grid.height * content.grid.width
    bands = range(2 + len(content.legend))
    needs = [Need(folders[name], 2.5 * len(bands[part]) * pixels, name) for name, part in layers.items()]
    if has_polygons:
        needs.append(Need(folders["vector"], MOST_PER_PIXEL * pixels, "polygons"))
    return needs


def _estimated(layers: dict[str, slice], content: Content, *, has_polygons: bool) -> tuple[Outline, dict[str, float]]:
    """The outline of all polygons, and the bytes of each raster by how well some of its tiles can be packed."""
    seen, outline, packed, sampled = 0, Outline(), dict.fromkeys(layers, 0), 0
    for number, (window, tile) in enumerate(content.tiles()):
        seen += window.height * window.width
        if has_polygons:
            outline += outline_of(content.labels_of(tile))
        if number < SAMPLED or number % SAMPLED == 0:
            square = tile[:, :SAMPLE, :SAMPLE]
            sampled += square[0].size
            for name, part in layers.items():
                packed[name] += sum(len(zlib.compress(layer.tobytes(), 1)) for layer in square[part])
    return outline, {name: 1.2 * seen * size / max(sampled, 1) for name, size in packed.items()}


def _home(staging: Path, output: Path) -> Path:
    """A folder on the disk that an output is made on."""
    return staging if output.parent.resolve() == staging.parent.resolve() else output.parent
