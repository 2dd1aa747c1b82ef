"""A model that maps: scenes into files, images into arrays.

`Mapper.map` checks what is asked for and hands it to a `running.Run`; `map_scene` is the same for one scene.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Unpack

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.windows import Window

from lposs_geo import encoders, lposs, models
from lposs_geo.encoders.encoder import Encoder
from lposs_geo.errors import ParameterError
from lposs_geo.legend.building import from_words
from lposs_geo.legend.legend import Legend
from lposs_geo.limits import check_address_space
from lposs_geo.memory import DEFAULT, Budget
from lposs_geo.planning import ModelIdentity, Work
from lposs_geo.products import Outputs
from lposs_geo.progress import Listener, Progress
from lposs_geo.request import MapOptions, Request
from lposs_geo.running import MapResult, Run, working
from lposs_geo.scene.names import SceneLike
from lposs_geo.stages.encode import encode_image
from lposs_geo.stages.label import decide
from lposs_geo.stages.propagate import SCENE_PARAMETERS, patch_scores, sample_scores
from lposs_geo.stages.task import embed
from lposs_geo.store.runs import settle

__all__ = ["Mapper", "Segmentation", "map_scene"]


@dataclass(frozen=True)
class Segmentation:
    """An image that was labelled in memory.

    Attributes
    ----------
    labels : (rows, cols) uint8
        1 to n in legend order, 0 where unknown.
    probabilities : (classes, rows, cols) float32
        0..1, with sum 1.
    legend : Legend
    """

    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    legend: Legend


@dataclass(frozen=True, eq=False)
class Mapper:
    """A model that is loaded once, when it is first needed, and maps many scenes.

    Make it by `load`, or by `of` from an encoder of your own.

    Attributes
    ----------
    model : ModelIdentity
        What tells the model's features from another's.
    load_encoder : callable
        Loads its weights.
    max_memory : int
        Bytes that the work may take beside the model.
    use_cache : bool
        Keep scenes' features for the next words, and use those that were kept.
    """

    model: ModelIdentity
    load_encoder: Callable[[], Encoder]
    max_memory: int = DEFAULT
    use_cache: bool = True

    @classmethod
    def load(
        cls,
        model: str | models.Model | None = None,
        *,
        device: str = "auto",
        max_memory: int = DEFAULT,
        use_cache: bool = True,
    ) -> Mapper:
        """Choose a model and a device.

        Parameters
        ----------
        model : str or Model, optional
            A model's name, or a pair from `models.pair`; by default the best one that is installed.
        device : str
            "auto", "cpu" or "cuda".
        max_memory : int
        use_cache : bool

        Raises
        ------
        ModelError
            If the model is unknown or not installed.
        DeviceError
            If the device isn't there.
        """
        chosen, where = models.choose(model), encoders.choose_device(device)
        identity = ModelIdentity(chosen.name, models.fingerprint(chosen))
        return cls(identity, lambda: encoders.load(chosen, where), max_memory, use_cache)

    @classmethod
    def of(
        cls,
        encoder: Encoder,
        name: str,
        *,
        fingerprint: str = "",
        max_memory: int = DEFAULT,
        use_cache: bool = False,
    ) -> Mapper:
        """Hand in an encoder of your own.

        Parameters
        ----------
        encoder : Encoder
        name, fingerprint : str
            What tells its features from others in the cache: the fingerprint must change when they do.
        max_memory : int
        use_cache : bool
        """
        return cls(ModelIdentity(name, fingerprint), lambda: encoder, max_memory, use_cache)

    @cached_property
    def encoder(self) -> Encoder:
        """The model, ready to run; its vision part may still be loaded when it is first used."""
        return self.load_encoder()

    def map(
        self,
        src: SceneLike,
        classes: str | Sequence[str] | Legend,
        dst: str | Path,
        *,
        progress: Listener | None = None,
        **options: Unpack[MapOptions],
    ) -> MapResult:
        """Map the land cover of a scene; all is as in `map_scene`."""
        request, outputs = Request.of(options), Outputs.of(dst, options)
        legend = classes if isinstance(classes, Legend) else from_words(classes)
        work = Work(
            budget=Budget(self.max_memory),
            tile_size=options.get("tile_size"),
            use_cache=self.use_cache,
            keep_probabilities="probabilities" in outputs.needed,
        )
        check_address_space()
        settle(outputs.labels)
        run = Run(
            model=self.model,
            outputs=outputs,
            progress=Progress(progress),
            resume=options.get("resume", False),
            overwrite=options.get("overwrite", False),
        )
        with rasterio.Env(GDAL_CACHEMAX=work.budget.file_cache), working():
            with run.progress.running("load"):
                planned = run.prepare(src, request, legend, work, lambda: self.encoder)
            return run.carry_out(planned)

    def segment(
        self,
        image: NDArray[np.float32] | NDArray[np.uint8],
        classes: str | Sequence[str] | Legend,
        *,
        gsd: float | None = None,
        refine: bool = True,
    ) -> Segmentation:
        """Label an image in memory, all at once; a scene of many megapixels is better mapped from its file.

        Parameters
        ----------
        image : (3, rows, cols) array
            RGB, float in 0..1 or uint8.
        classes : str, sequence of str, or Legend
        gsd : float, optional
            Ground resolution, metres per px: the model sees the image at the size that suits it. By default as it is.
        refine : bool
            Sharpen the borders over pixels (LPOSS+).

        Returns
        -------
        Segmentation

        Raises
        ------
        ParameterError
            If the image has another shape or type.
        """
        pixels = _as_rgb(image)
        legend = classes if isinstance(classes, Legend) else from_words(classes)
        with working():
            encoder = self.encoder
            words = embed(legend, encoder)
            features = encode_image(pixels, encoder, zoom=encoder.zoom(gsd))
            lattice_scores = patch_scores(features, words.text, encoder, num_rivals=len(words.rivals))
            whole = Window(0, 0, pixels.shape[2], pixels.shape[1])
            scores = sample_scores(lattice_scores, features[-1], whole, encoder.device)
            if refine:
                scores = lposs.refine(torch.from_numpy(pixels).to(encoder.device), scores, SCENE_PARAMETERS)
            labels, shares = decide(scores, words, encoder.confidence_power, of_all=True)
            return Segmentation(labels.cpu().numpy(), shares[1:].cpu().numpy(), legend)


def map_scene(
    src: SceneLike,
    classes: str | Sequence[str] | Legend,
    dst: str | Path,
    *,
    model: str | models.Model | None = None,
    device: str = "auto",
    max_memory: int = DEFAULT,
    use_cache: bool = True,
    progress: Listener | None = None,
    **options: Unpack[MapOptions],
) -> MapResult:
    """Map the land cover of a scene.

    Parameters
    ----------
    src : str, Path, DatasetReader, WarpedVRT or MemoryFile, or sequence of them
        Any raster that GDAL opens, an open rasterio dataset, or a MemoryFile, of which a copy is held; a folder or
        several rasters are one mosaic.
    classes : str, sequence of str, or Legend
        "forest,water,road", the same as a list, or a `Legend`.
    dst : str or Path
        GeoTIFF to write: uint8 labels on the scene's grid, 1 to n in legend order, 0 where unknown, 255 without data.
    model : str or Model, optional
        A model's name, or a pair from `models.pair`; by default the best one that is installed.
    device : str
        "auto", "cpu" or "cuda".
    max_memory : int
        Bytes that the work may take beside the model.
    use_cache : bool
        Keep the scene's features for the next words, and use those that were kept.
    progress : callable, optional
        Called with (stage, done, total), see `progress.STAGES`.
    **options
        Any of the following.
    vector : str or Path, optional
        File to write the polygons to: .gpkg, .parquet, .fgb or .geojson.
    quicklook : str or Path, optional
        PNG to write a picture of the map to.
    confidence : str or Path, optional
        GeoTIFF to write the labels' confidence to, percent (docs/confidence.md).
    probabilities : str or Path, optional
        GeoTIFF to write the probability of every class to, percent, a band a class.
    report : str or Path, optional
        HTML page to write.
    stac : str or Path, optional
        JSON file to write a STAC item to.
    bands, scale, collar, warp
        How the scene is read, see `request.Reading`.
    aoi, aoi_layer : str or Path, optional
        Area of interest that the map is cut to, see `request.Where`.
    window : Window, optional
        Map only this part of the scene, px. It still sees what lies around it, and so does an area of interest.
    gsd, refine, min_confidence
        See `request.Request`.
    simplify, min_area
        How polygons are made, see `request.Polygons`.
    tile_size : int, optional
        Px; the labels don't depend on it. By default as large as `max_memory` allows.
    resume : bool
        Go on with a run on the same output that was cut off, if there is one. It must have been begun with the same
        scene, words, model and numbers. A map that is there already and complete is a FinishedError.
    overwrite : bool
        Replace existing outputs; without `resume`, drop a run that was cut off.

    Returns
    -------
    MapResult

    Raises
    ------
    LpossGeoError
        One of its children, with one line that says what is wrong and what to do; then no output was written.
        Finished tiles are kept for `resume`, and a note of the error says so.
    """
    Request.of(options)  # a mistake is said before torch looks for a device
    mapper = Mapper.load(model, device=device, max_memory=max_memory, use_cache=use_cache)
    return mapper.map(src, classes, dst, progress=progress, **options)


def _as_rgb(image: NDArray[np.float32] | NDArray[np.uint8]) -> NDArray[np.float32]:
    if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape:
        raise ParameterError(f"image must be (3, rows, cols), not {tuple(image.shape)}")
    if image.dtype == np.uint8:
        return (image / np.float32(255)).astype(np.float32)
    if not np.issubdtype(image.dtype, np.floating) or not (image.min() >= 0 and image.max() <= 1):
        raise ParameterError("image must be uint8, or floating point from 0 to 1")
    return np.ascontiguousarray(image, dtype=np.float32)
