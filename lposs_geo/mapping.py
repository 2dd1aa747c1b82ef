"""A model that maps: scenes into files, images into arrays.

`Mapper.map` checks what is asked for and hands it to a `running.Run`; `map_scene` is the same for one scene.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias, Unpack, cast

import numpy as np
import rasterio
from numpy.typing import NDArray

from lposs_geo import encoders, models
from lposs_geo.earlier import EarlierMap, check_grid, find_scene, model_of, read_earlier, with_settings
from lposs_geo.encoders.encoder import Encoder
from lposs_geo.errors import OutputError, ParameterError
from lposs_geo.examples.learned import Learned
from lposs_geo.hints import Notice
from lposs_geo.legend.building import from_words
from lposs_geo.legend.legend import Legend
from lposs_geo.limits import check_address_space
from lposs_geo.memory import DEFAULT, Budget
from lposs_geo.planning import ModelIdentity, Work
from lposs_geo.products import Outputs
from lposs_geo.progress import Listener, Progress
from lposs_geo.provenance import settings_of
from lposs_geo.request import CorrectOptions, MapOptions, Request
from lposs_geo.running import MapResult, Run, working
from lposs_geo.scene.names import SceneLike
from lposs_geo.segmenting import Segmentation, segment
from lposs_geo.store.runs import settle

__all__ = ["Classes", "Mapper", "Segmentation", "correct_map", "map_scene", "model_for"]

Classes: TypeAlias = str | Sequence[str] | Legend | Learned
"""The classes as a user may give them: words, a legend, or what was learnt from another map's examples."""

log = logging.getLogger("lposs_geo")


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
        classes: Classes,
        dst: str | Path,
        *,
        progress: Listener | None = None,
        **options: Unpack[MapOptions],
    ) -> MapResult:
        """Map the land cover of a scene; all is as in `map_scene`."""
        return self._map(src, classes, dst, options, progress)

    def correct(
        self,
        earlier: str | Path,
        examples: str | Path,
        dst: str | Path,
        *,
        scene: SceneLike | None = None,
        progress: Listener | None = None,
        **options: Unpack[CorrectOptions],
    ) -> MapResult:
        """Correct a map by examples; all is as in `correct_map`."""
        asked: MapOptions = {**options, "examples": examples}
        Request.of(asked)
        before = read_earlier(earlier)
        named = frozenset(name for name, value in asked.items() if value is not None)
        taken = with_settings(before.settings, earlier, asked, named, same_scene=True)
        src = find_scene(before, scene)
        if before.fingerprint != self.model.fingerprint:
            model = before.settings.model
            its = "other weights of it" if model == self.model.name else f"'{self.model.name}'"
            log.warning("%s", Notice(f"'{earlier}' was made with the model '{model}', and is corrected with {its}"))
        return self._map(src, before.classes, dst, cast(MapOptions, taken), progress, before)

    def _map(
        self,
        src: SceneLike,
        classes: Classes,
        dst: str | Path,
        options: MapOptions,
        progress: Listener | None,
        earlier: EarlierMap | None = None,
    ) -> MapResult:
        request, outputs = Request.of(options), Outputs.of(dst, options)
        known = classes if isinstance(classes, Legend | Learned) else from_words(classes)
        if earlier is not None:
            _check_other(outputs, earlier.path)
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
            earlier=None if earlier is None else earlier.path,
        )
        with rasterio.Env(GDAL_CACHEMAX=work.budget.file_cache), working():
            with run.progress.running("load"):
                planned = run.prepare(src, request, known, work, lambda: self.encoder)
            if earlier is not None:
                check_grid(earlier, planned.scene.grid.part(planned.task.window), planned.scene.path)
            return run.carry_out(planned)

    def segment(
        self,
        image: NDArray[np.float32] | NDArray[np.uint8],
        classes: Classes,
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
            If the image has another shape or type, or the classes are what was learnt from examples.
        """
        if isinstance(classes, Learned):  # it may look at bands that an image in memory doesn't have
            raise ParameterError(
                "what was learnt from examples maps scenes, and no images in memory",
                hint="<classes=learned.legend> takes its words alone",
            )
        legend = classes if isinstance(classes, Legend) else from_words(classes)
        with working():
            return segment(self.encoder, image, legend, gsd, refine)


def map_scene(
    src: SceneLike,
    classes: Classes,
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
    classes : str, sequence of str, Legend, or Learned
        "forest,water,road", the same as a list, a `Legend`, or what examples have taught on another scene, see
        `examples.read_learned`.
    dst : str or Path
        GeoTIFF to write: uint8 labels on the scene's grid, 1 to n in legend order, 0 where unknown, 255 without data.
    model : str or Model, optional
        A model's name, or a pair from `models.pair`; by default the one that the classes were learnt with, else the
        best one that is installed.
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
    suggest : str or Path, optional
        File to write points to where examples would help most: .gpkg, .parquet, .fgb or .geojson.
    save : str or Path, optional
        File to write what was learnt from the examples to: .lposs.
    bands, scale, collar, warp
        How the scene is read, see `request.Reading`.
    aoi, aoi_layer : str or Path, optional
        Area of interest that the map is cut to, see `request.Where`.
    window : Window, optional
        Map only this part of the scene, px. It still sees what lies around it, and so does an area of interest.
    examples, examples_layer, add_classes
        Examples of the classes on this scene, see `request.Learning`.
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
    chosen = model_for(classes) if model is None else model
    mapper = Mapper.load(chosen, device=device, max_memory=max_memory, use_cache=use_cache)
    return mapper.map(src, classes, dst, progress=progress, **options)


def correct_map(
    earlier: str | Path,
    examples: str | Path,
    dst: str | Path,
    *,
    scene: SceneLike | None = None,
    model: str | models.Model | None = None,
    device: str = "auto",
    max_memory: int = DEFAULT,
    use_cache: bool = True,
    progress: Listener | None = None,
    **options: Unpack[CorrectOptions],
) -> MapResult:
    """Correct a map by examples: the same scene, classes and settings, with what the examples teach.

    Parameters
    ----------
    earlier : str or Path
        A map of `map_scene`, or one that was corrected before: what its examples have taught still counts.
    examples : str or Path
        Points, lines or polygons with a field `class`, see `examples.read_examples`.
    dst : str or Path
        GeoTIFF to write, on the pixels of the earlier map, which stays as it is.
    scene : str, Path, and so on, optional
        What the earlier map was made from; by default what has the name that its tags tell, beside it or in the working
        folder.
    model : str or Model, optional
        By default the earlier map's.
    device, max_memory, use_cache, progress
        As in `map_scene`.
    **options
        Those of `map_scene`, which win over the earlier map's, and the following. A file that the map was cut to is
        named again by `aoi`.
    changes : str or Path, optional
        GeoTIFF to write what has changed to.

    Returns
    -------
    MapResult

    Raises
    ------
    LpossGeoError
        One of its children, with one line that says what is wrong and what to do; then no output was written.
    """
    Request.of({**options, "examples": examples})
    if model is None:
        model = model_of(settings_of(earlier).model, f"the map '{earlier}'")
    mapper = Mapper.load(model, device=device, max_memory=max_memory, use_cache=use_cache)
    return mapper.correct(earlier, examples, dst, scene=scene, progress=progress, **options)


def model_for(classes: Classes) -> models.Model | None:
    """The model that classes were learnt with; None where they weren't, and any will do.

    Raises
    ------
    ParameterError, ModelError
        As in `earlier.model_of`.
    """
    return model_of(classes.model, "what was learnt") if isinstance(classes, Learned) else None


def _check_other(outputs: Outputs, earlier: Path) -> None:
    """Refuse to write over the map that is corrected, or what lies beside it."""
    for output in outputs.files():
        for file in output.files:
            if file.exists() and earlier.exists() and file.samefile(earlier):
                raise OutputError(f"output '{file}' is the map that is corrected", hint="give another name")
