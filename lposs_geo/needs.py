"""The disk that a run is going to take, estimated before the time is spent."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.files.room import Need, check_room, has_room
from lposs_geo.polygons.outline import MOST_PER_PIXEL, Outline, outline_of, polygon_bytes
from lposs_geo.polygons.vectorize import tolerance_px
from lposs_geo.products import Content, Outputs, Polygonising
from lposs_geo.scene.description import Scene
from lposs_geo.scene.reader import open_scene
from lposs_geo.stages.encode import missing_bytes
from lposs_geo.stages.label import Task, finished_tiles
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
    grid, area = scene.grid, task.area
    left = 1 - finished_tiles(journal, task.plan) / len(task.plan)
    if not left:
        return
    window, width = task.seen(grid), int(task.text.shape[1])
    features = missing_bytes((grid.height, grid.width), task.encoder, store, width, zoom=task.zoom, window=window)
    pixels = int(area.height) * int(area.width)
    nodes = pixels * (task.zoom * task.encoder.scales[-1] / task.encoder.patch_size) ** 2
    results = left * (task.num_layers * pixels + 4 * len(task.text) * nodes)

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
            f"hardly a pixel of '{scene.path}' is valid, of {area.height} rows and {area.width} cols: "
            "name the area that holds some (--aoi)"
        )
    check_room(
        needs(share),
        "name an area of the scene (--aoi), or a folder on a larger disk (--output; for the features LPOSS_GEO_CACHE)",
    )


def _valid_share(scene: Scene, area: Window) -> float | None:
    """How much of an area holds data, as a reduced read shows it; None where it is damaged."""
    try:
        with open_scene(scene) as reader:
            return float(reader.overview(LOOK, area)[1].mean())
    except SceneError:
        return None


def check_room_for_products(
    outputs: Outputs,
    content: Content,
    tiles: Iterable[tuple[Window, NDArray[np.uint8]]],
    polygons: Polygonising,
    staging: Path,
) -> None:
    """Refuse, before any file is made, what the disks of the outputs have no room for.

    Parameters
    ----------
    outputs : Outputs
    content : Content
    tiles : iterable
        Those of `content`, which can be run through only once.
    polygons : Polygonising
    staging : Path
        The folder that files lie in until all are complete.

    Raises
    ------
    OutputError
        If it doesn't fit.
    """
    wanted = outputs.wanted()
    folders = {name: _home(staging, path) for name, path in wanted.items()}
    folders.setdefault("confidence", folders["labels"])
    bands = {"labels": 1, "confidence": 1} | ({"scores": len(content.legend)} if "scores" in wanted else {})
    grid = content.grid
    pixels, worst = grid.height * grid.width, []
    for name, count in bands.items():  # a file that is written once, and the finished one with its overviews
        worst.append(Need(folders[name], 2.5 * count * pixels, name))
    if "vector" in wanted:
        worst.append(Need(folders["vector"], MOST_PER_PIXEL * pixels, "polygons"))
    if has_room(worst):
        return
    seen, outline, packed, sampled, number = 0, Outline(), dict.fromkeys(bands, 0), 0, 0
    for number, (window, layers) in enumerate(tiles):
        seen += window.height * window.width
        if "vector" in wanted:
            outline += outline_of(content.labels_of(layers))
        if number < SAMPLED or number % SAMPLED == 0:
            square = layers[:, :SAMPLE, :SAMPLE]
            sampled += square[0].size
            for name, part in (("labels", square[:1]), ("confidence", square[1:2]), ("scores", square[2:])):
                if name in packed:
                    packed[name] += sum(len(zlib.compress(layer.tobytes(), 1)) for layer in part)
    needs = [Need(folders[name], 1.2 * seen * size / max(sampled, 1), name) for name, size in packed.items()]
    if "vector" in wanted:
        size = polygon_bytes(
            outline,
            (grid.height, grid.width),
            wanted["vector"].suffix.lower(),
            simplify=tolerance_px(polygons.simplify, grid, content.scene.path) > 0,
            merge=polygons.min_area > 0,
            confident=True,
        )
        needs.append(Need(folders["vector"], size, "polygons"))
    check_room(needs, POLYGON_ADVICE if "vector" in wanted else "name outputs on a larger disk")


POLYGON_ADVICE = "choose a larger --min-area, leave the polygons out, or name outputs on a larger disk"
"""What to do where polygons are too many."""


def _home(staging: Path, output: Path) -> Path:
    """A folder on the disk that an output is made on."""
    return staging if output.parent.resolve() == staging.parent.resolve() else output.parent
