"""From a scene to a map: the only place that knows the whole flow.

describe the scene -> encode its crops onto the lattice -> propagate the class scores over the patches -> per tile:
sharpen them over the pixels and write labels -> polygons and picture. Every output appears only when all are complete.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from numbers import Integral
from pathlib import Path

import numpy as np
import rasterio
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from lposs_geo import encoders, lposs, models, raster
from lposs_geo.errors import OutOfMemoryError, ParameterError, SceneError, one_line
from lposs_geo.features import LatticeFeatures, encode_scene
from lposs_geo.ground import overstates_areas
from lposs_geo.legend import NODATA, LandClass, Legend, from_words
from lposs_geo.outputs import check_outputs, staged
from lposs_geo.propagation import DEFAULT_STEPS
from lposs_geo.quicklook import LONGEST_SIDE, draw_map, save_picture
from lposs_geo.scene import Scene, SceneReader, describe, open_scene
from lposs_geo.tiling import Tile, bilinear_taps, tiles
from lposs_geo.vector import SIMPLIFY_PX, label_polygons, write_polygons

__all__ = ["SCENE_PARAMETERS", "ClassArea", "MapResult", "Progress", "map_scene", "vectorize"]

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""

SCENE_STEPS = DEFAULT_STEPS["chebyshev"]
"""Solver steps for scenes: with the radius, they decide how far a pixel can see, and so a tile's halo."""

SCENE_PARAMETERS = lposs.Parameters(
    # exp(-0.01 * 500) is 0.7 %: what lies farther away doesn't count.
    search_radius=500.0,
    # A fixed polynomial: a tile with its halo gives exactly what the whole scene would.
    solver="chebyshev",
    num_steps=SCENE_STEPS,
)
"""The method's numbers for scenes; `n_neighbors` and `gamma` are the encoder's."""

TILE_BUDGET = 1_000_000_000
"""Bytes that the pixel stage of one tile may take, from which the default tile size follows."""

MOST_ZOOM = 16.0
"""How much a scene may be enlarged or reduced for the encoder."""

VECTOR_SUFFIXES = ".gpkg"
RASTER_SUFFIXES = ".tif .tiff"
PICTURE_SUFFIXES = ".png"

log = logging.getLogger("lposs_geo")


@dataclass(frozen=True)
class ClassArea:
    """How much of a map one class covers: pixels, square metres, and the share of all labelled pixels' area."""

    name: str
    pixels: int
    area_m2: float
    share: float


@dataclass(frozen=True)
class MapResult:
    """A finished map.

    Attributes
    ----------
    labels : Path
        The GeoTIFF.
    vector, quicklook : Path or None
    scene : Scene
        The input and how it was read.
    legend : Legend
    model, device : str
        What it was made with.
    areas : tuple of ClassArea
        In legend order.
    seconds : dict of str to float
        Time by stage: "load", "encode", "propagate", "refine", "write", "vectorize", "quicklook".
    """

    labels: Path
    vector: Path | None
    quicklook: Path | None
    scene: Scene
    legend: Legend
    model: str
    device: str
    areas: tuple[ClassArea, ...]
    seconds: dict[str, float]


def map_scene(
    src: str | Path,
    classes: str | Sequence[str] | Legend,
    dst: str | Path,
    *,
    model: str | models.Model | None = None,
    vector: str | Path | None = None,
    quicklook: str | Path | None = None,
    bands: Sequence[int] | None = None,
    gsd: float | None = None,
    refine: bool = True,
    simplify: float = SIMPLIFY_PX,
    device: str = "auto",
    tile_size: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> MapResult:
    """Map the land cover of a scene.

    Parameters
    ----------
    src : str or Path
        Any raster that GDAL opens.
    classes : str, sequence of str, or Legend
        "forest,water,road", the same as a list, or a `Legend`.
    dst : str or Path
        GeoTIFF to write: uint8 labels on the scene's grid, 1 to n in legend order, 255 without data.
    model : str or Model, optional
        A model's name, or a pair from `models.pair`; by default the best one that is installed.
    vector : str or Path, optional
        GeoPackage to write the polygons to.
    quicklook : str or Path, optional
        PNG to write a picture of the map to.
    bands : sequence of int, optional
        Bands, from 1, to take as red, green and blue.
    gsd : float, optional
        Resolution to work at, metres per px: the encoder sees the scene enlarged or reduced to it. The map is on the
        scene's own grid all the same. By default what suits the model.
    refine : bool
        Sharpen the borders over pixels (LPOSS+); False stops at the patches (LPOSS).
    simplify : float
        Tolerance of the polygons' borders, px.
    device : str
        "auto", "cpu" or "cuda".
    tile_size : int, optional
        Px; the labels don't depend on it. By default as large as 1 GB allows.
    overwrite : bool
        Replace existing outputs.
    progress : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    MapResult

    Raises
    ------
    LpossGeoError
        One of its children, with one line that says what is wrong and what to do; then no output was written.
    """
    started = time.perf_counter()
    _check_numbers(simplify=simplify, tile_size=tile_size, bands=bands, gsd=gsd)
    legend = classes if isinstance(classes, Legend) else from_words(classes)
    scene = describe(src, bands=bands)
    wanted = ((dst, RASTER_SUFFIXES), (vector, VECTOR_SUFFIXES), (quicklook, PICTURE_SUFFIXES))
    outputs = [(Path(path), suffixes) for path, suffixes in wanted if path is not None]
    check_outputs(outputs, sources=scene.files, overwrite=overwrite)
    asked_zoom = None if gsd is None else _zoom_to(scene, gsd)
    _tell(scene)
    chosen = models.preferred() if model is None else models.find(model) if isinstance(model, str) else model
    report = progress or (lambda stage, done, total: None)
    clock = _Clock(started)
    with rasterio.Env(), _out_of_memory_explained(), torch.inference_mode():
        encoder = encoders.load(chosen, encoders.choose_device(device))
        log.info("model %s on %s", chosen.name, encoder.device)
        text = encoder.text_embeddings(legend.prompts)
        unfamiliar = encoder.unfamiliar([prompt for prompts in legend.prompts for prompt in prompts])
        if unfamiliar:
            named = ", ".join(f"'{word}'" for word in unfamiliar)
            log.warning("%s was trained on nothing like %s: don't rely on where the map shows it", chosen.name, named)
        own, coarsest = scene.grid.gsd, encoder.coarsest_gsd
        if own is not None and coarsest is not None and own > coarsest:
            log.warning(
                "%s has %.3g m per pixel, and %s knows nothing coarser than %.3g m: don't rely on the map",
                scene.name, own, chosen.name, coarsest,
            )  # fmt: skip
        zoom = encoder.zoom(own) if asked_zoom is None else asked_zoom
        zooms = [zoom * scale for scale in encoder.scales]
        if zooms != [1.0]:
            log.info("the scene is seen at %s times its size", " and ".join(f"{zoom:.4g}" for zoom in zooms))
        clock.lap("load")
        with open_scene(scene) as reader, staged(*(path for path, _ in outputs)) as written:
            labels_file, *others = written
            features = encode_scene(
                reader, encoder, zoom=zoom, progress=lambda done, total: report("encode", done, total)
            )
            clock.lap("encode")
            report("propagate", 0, 1)
            scores = patch_scores(features, text, encoder)
            report("propagate", 1, 1)
            clock.lap("propagate")
            tags = _tags(scene, chosen, encoder, zooms, refine, unfamiliar)
            with raster.label_writer(labels_file, scene.grid, legend, tags) as writer:
                plan = _plan(scene, len(legend), tile_size, refine)
                for done, tile in enumerate(plan, start=1):
                    writer.write(_label_tile(tile, reader, scores, features[-1], refine), tile.core)
                    report("refine", done, len(plan))
                clock.lap("refine")
            clock.lap("write")
            areas = _areas(writer, legend)
            if vector is not None:
                report("vectorize", 0, 1)
                _vectorize(labels_file, others.pop(0), legend, simplify)
                report("vectorize", 1, 1)
                clock.lap("vectorize")
            if quicklook is not None:
                _draw(reader, labels_file, others.pop(0), legend, areas)
                clock.lap("quicklook")
    return MapResult(
        labels=Path(dst),
        vector=None if vector is None else Path(vector),
        quicklook=None if quicklook is None else Path(quicklook),
        scene=scene,
        legend=legend,
        model=chosen.name,
        device=str(encoder.device),
        areas=areas,
        seconds=clock.seconds,
    )


def vectorize(labels: str | Path, dst: str | Path, *, simplify: float = SIMPLIFY_PX, overwrite: bool = False) -> int:
    """Turn a label raster into a GeoPackage of polygons.

    Parameters
    ----------
    labels : str or Path
        A map of `map_scene`, or any raster of one band of 8-bit labels with 255 for nodata.
    dst : str or Path
        The GeoPackage.
    simplify : float
        Tolerance of the polygons' borders, px; 0 keeps every pixel's edge.
    overwrite : bool
        Replace an existing output.

    Returns
    -------
    int
        How many polygons were written.

    Raises
    ------
    LpossGeoError
        One of its children; then no output was written.
    """
    _check_numbers(simplify=simplify)
    if not Path(labels).exists():
        raise SceneError(f"no such file: '{labels}'")
    check_outputs([(Path(dst), VECTOR_SUFFIXES)], sources=[labels], overwrite=overwrite)
    legend = raster.read_label_legend(labels)
    with rasterio.Env(), _out_of_memory_explained(), staged(Path(dst)) as (path,):
        return _vectorize(Path(labels), path, legend, simplify)


def _check_numbers(
    *,
    simplify: float = 0.0,
    tile_size: int | None = None,
    bands: Sequence[int] | None = None,
    gsd: float | None = None,
) -> None:
    """Refuse numbers out of range before any work is done."""
    if not 0 <= simplify < math.inf:
        raise ParameterError(f"simplify must be a number of pixels, 0 or more, not {simplify}")
    if tile_size is not None and tile_size < 1:
        raise ParameterError(f"tile_size must be a number of pixels, 1 or more, not {tile_size}")
    if bands is not None and not all(isinstance(band, Integral) for band in bands):
        raise ParameterError(f"bands must be whole numbers, not {bands!r}")
    if gsd is not None and not 0 < gsd < math.inf:
        raise ParameterError(f"gsd must be a number of metres above 0, not {gsd}")


def _zoom_to(scene: Scene, gsd: float) -> float:
    """How much a scene must be enlarged to be seen at a resolution in metres per px."""
    own = scene.grid.gsd
    if own is None:
        raise ParameterError(
            f"'{scene.path}' has no coordinate reference system, so how large its pixels are isn't known: leave gsd out"
        )
    zoom = own / gsd
    if not 1 / MOST_ZOOM <= zoom <= MOST_ZOOM:
        finest, coarsest = own / MOST_ZOOM, own * MOST_ZOOM
        raise ParameterError(
            f"'{scene.path}' has {own:.3g} m per pixel: choose a gsd from {finest:.3g} to {coarsest:.3g} m, not {gsd:g}"
        )
    return zoom


def _tell(scene: Scene) -> None:
    """Say how the scene is read, and what its CRS means for the areas."""
    log.info("bands %s as red, green, blue: %s", ",".join(map(str, scene.bands)), scene.bands_reason)
    if scene.grid.crs is None:
        log.warning(
            "%s has no coordinate reference system: neither will the map; areas are in its own units", scene.name
        )
    elif overstates_areas(scene.grid.crs):
        log.warning("%s is in a Mercator projection: away from the equator its areas are far too large", scene.name)


class _Clock:
    """Time by stage."""

    def __init__(self, started: float) -> None:
        self.seconds: dict[str, float] = {}
        self._last = started

    def lap(self, stage: str) -> None:
        """Count the time since the last lap as this stage's."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now


@contextmanager
def _out_of_memory_explained() -> Iterator[None]:
    """Turn the several ways of running out of memory into one error that says what to do."""
    remedy = "choose a smaller --tile-size, fewer classes, or --device cpu"
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(f"the GPU's memory is full: {remedy}") from error
    except MemoryError as error:
        raise OutOfMemoryError(f"the memory is full: {remedy}") from error
    except RuntimeError as error:
        if "can't allocate memory" in str(error) or "not enough memory" in str(error):  # torch on the CPU
            raise OutOfMemoryError(f"the memory is full: {remedy}") from error
        raise


def patch_seeds(features: Sequence[LatticeFeatures], text: torch.Tensor, encoder: encoders.Encoder) -> torch.Tensor:
    """What the scene's patches say of the classes by themselves: (C, rows, cols) of the last, finest lattice.

    `features` are one lattice for each look at the scene; the looks' seeds are averaged.
    """
    finest = features[-1]
    looks = []
    for look in features:
        seeds = _on_lattice(lposs.seeds(_valid_units(look, look.vlm, encoder), text, encoder.seed_scale), look)
        if look is not finest:
            share = look.patch_size / finest.patch_size
            rows = bilinear_taps(look.lattice.rows, share, 0, finest.lattice.rows)
            cols = bilinear_taps(look.lattice.cols, share, 0, finest.lattice.cols)
            seeds = _sample(seeds, look, rows, cols)
        looks.append(seeds)
    return torch.stack(looks).mean(dim=0)


def patch_scores(features: Sequence[LatticeFeatures], text: torch.Tensor, encoder: encoders.Encoder) -> torch.Tensor:
    """Propagate the classes' seeds over the valid patches of the finest lattice: (C, rows, cols)."""
    finest = features[-1]
    valid = torch.from_numpy(finest.valid).to(encoder.device)
    seeds = patch_seeds(features, text, encoder)[:, valid].T
    positions = torch.from_numpy(finest.lattice.centres()).to(encoder.device)[valid.flatten()]
    vm = _valid_units(finest, finest.vm, encoder)
    return _on_lattice(lposs.propagate_patches(vm, seeds, positions, _parameters(encoder)), finest)


def _parameters(encoder: encoders.Encoder) -> lposs.Parameters:
    return replace(SCENE_PARAMETERS, n_neighbors=encoder.n_neighbors, gamma=encoder.gamma)


def _valid_units(features: LatticeFeatures, stored: NDArray[np.float16], encoder: encoders.Encoder) -> torch.Tensor:
    """The valid patches' features (n, D), made unit vectors again: averages of unit vectors are shorter than one."""
    return F.normalize(torch.from_numpy(stored[features.valid]).to(encoder.device).float(), dim=1)


def _on_lattice(scores: torch.Tensor, features: LatticeFeatures) -> torch.Tensor:
    """Scores of the valid patches (n, C) -> (C, rows, cols), 0 elsewhere."""
    grid = scores.new_zeros(*features.valid.shape, scores.shape[1])
    grid[torch.from_numpy(features.valid).to(scores.device)] = scores
    return grid.permute(2, 0, 1).contiguous()


def _plan(scene: Scene, num_classes: int, tile_size: int | None, refine: bool) -> list[Tile]:
    """The scene's tiles, each with the halo that makes its pixel stage exact."""
    # The last step's polynomial has degree steps - 1: so many hops, and one for the degrees of the farthest px reached.
    halo = SCENE_STEPS * SCENE_PARAMETERS.radius if refine else 0
    if tile_size is None:
        # float32 per px: half the neighbours' weights, and about six arrays of scores in the solver
        per_pixel = 4 * ((2 * SCENE_PARAMETERS.radius + 1) ** 2 // 2 + 6 * num_classes + 12)
        tile_size = max(128, int((TILE_BUDGET / per_pixel) ** 0.5) - 2 * halo)
    return list(tiles(scene.grid.height, scene.grid.width, tile_size, halo))


def _label_tile(
    tile: Tile, reader: SceneReader, scores: torch.Tensor, features: LatticeFeatures, refine: bool
) -> NDArray[np.uint8]:
    """Labels of a tile's core."""
    image, valid = reader.read(tile.padded)
    core = tile.core_in_padded
    if not valid[core].any():
        return np.full((tile.core.height, tile.core.width), NODATA, dtype=np.uint8)
    device = scores.device
    tile_scores = sample_scores(scores, features, tile.padded)
    if refine:
        mask = torch.from_numpy(valid).to(device)
        tile_scores = lposs.refine(torch.from_numpy(image).to(device), tile_scores, SCENE_PARAMETERS, valid=mask)
    labels = (tile_scores[:, *core].argmax(0) + 1).to(torch.uint8).cpu().numpy()
    labels[~valid[core]] = NODATA
    return labels


def sample_scores(scores: torch.Tensor, features: LatticeFeatures, window: Window) -> torch.Tensor:
    """Interpolate the lattice's scores to the pixels of a window, (C, rows, cols); patches without data don't count."""
    lattice, patch_size = features.lattice, features.patch_size
    rows = bilinear_taps(lattice.rows, patch_size, window.row_off, window.row_off + window.height)
    cols = bilinear_taps(lattice.cols, patch_size, window.col_off, window.col_off + window.width)
    return _sample(scores, features, rows, cols)


_Taps = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]


def _sample(scores: torch.Tensor, features: LatticeFeatures, rows: _Taps, cols: _Taps) -> torch.Tensor:
    weight = torch.from_numpy(features.valid).to(scores.device, scores.dtype)[None]
    return _interpolate(scores, rows, cols) / _interpolate(weight, rows, cols).clamp_min(1e-6)


def _interpolate(grid: torch.Tensor, rows: _Taps, cols: _Taps) -> torch.Tensor:
    above, below, down = (torch.from_numpy(tap).to(grid.device) for tap in rows)
    left, right, across = (torch.from_numpy(tap).to(grid.device) for tap in cols)
    along_rows = torch.lerp(grid[:, above], grid[:, below], down[:, None])
    return torch.lerp(along_rows[:, :, left], along_rows[:, :, right], across)


def _tags(
    scene: Scene,
    model: models.Model,
    encoder: encoders.Encoder,
    zooms: Sequence[float],
    refine: bool,
    unfamiliar: Sequence[str],
) -> dict[str, str]:
    """What it takes to make the map again."""
    release = version("lposs-geo")
    parameters = asdict(_parameters(encoder)) | {
        "refine": refine,
        "zooms": list(zooms),
        "seed_scale": encoder.seed_scale,
        "crop_size": encoder.crop_size,
        "stride": encoder.stride,
        "patch_size": encoder.patch_size,
        "bands": scene.bands,
        "low": scene.radiometry.low,
        "high": scene.radiometry.high,
    }
    return {
        "TIFFTAG_SOFTWARE": f"lposs-geo {release}",
        "LPOSS_GEO_VERSION": release,
        "LPOSS_GEO_MODEL": model.name,
        "LPOSS_GEO_MODEL_FINGERPRINT": models.fingerprint(model),
        "LPOSS_GEO_SOURCE": scene.name,
        "LPOSS_GEO_PARAMETERS": json.dumps(parameters),
        "LPOSS_GEO_UNFAMILIAR_WORDS": json.dumps(list(unfamiliar)),
    }


def _areas(writer: raster.LabelWriter, legend: Legend) -> tuple[ClassArea, ...]:
    labelled = writer.areas[:NODATA].sum()

    def area(land_class: LandClass) -> ClassArea:
        square_metres = float(writer.areas[land_class.id])
        share = square_metres / float(labelled) if labelled else 0.0
        return ClassArea(land_class.name, int(writer.pixels[land_class.id]), square_metres, share)

    return tuple(area(land_class) for land_class in legend.classes)


def _vectorize(labels_file: Path, target: Path, legend: Legend, simplify: float) -> int:
    try:
        with rasterio.open(labels_file) as dataset:
            labels, transform, crs = dataset.read(1), dataset.transform, dataset.crs
            if dataset.nodata is not None:  # another program's, perhaps not ours
                labels[labels == dataset.nodata] = NODATA
    except RasterioError as error:
        raise SceneError(f"'{labels_file}' is damaged: {one_line(error)}") from error
    polygons = label_polygons(labels, transform, crs, legend, simplify=simplify)
    write_polygons(polygons, target)
    return len(polygons)


def _draw(reader: SceneReader, labels_file: Path, target: Path, legend: Legend, areas: Sequence[ClassArea]) -> None:
    image, _ = reader.overview(LONGEST_SIDE)
    with rasterio.open(labels_file) as dataset:
        labels = dataset.read(1, out_shape=image.shape[1:], resampling=Resampling.nearest)
    shares = {area.name: area.share for area in areas}
    save_picture(draw_map(image, labels, legend, title=reader.scene.name, shares=shares), target)
