"""The kinds of files that a map consists of, in one table, and how they are made of finished tiles.

To add a kind, add a row to `PRODUCTS` and a keyword to `request.MapOptions`: the command line, the checks, the staging
and the STAC item take it from there. All files appear together, when all are complete. Nothing is made unasked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lposs_geo.errors import ParameterError, SceneError
from lposs_geo.files.outputs import GEOPACKAGE_BESIDE, POLYGON_ENDINGS, RASTER_BESIDE, Output, check_outputs
from lposs_geo.making import (
    LayerWriter,
    Making,
    changes_file,
    confidence_file,
    labels_file,
    probabilities_file,
    write_learned_file,
    write_quicklook,
    write_report,
    write_stac,
    write_suggested,
    write_vector,
)

if TYPE_CHECKING:
    from lposs_geo.content import Content
    from lposs_geo.examples.agreement import Agreement
    from lposs_geo.examples.changes import Changes
    from lposs_geo.progress import Progress
    from lposs_geo.request import Polygons
    from lposs_geo.scene.description import Scene
    from lposs_geo.writers.rasters import ClassArea, LabelWriter

__all__ = ["BESIDE_LABELS", "PRODUCTS", "Outputs", "Product", "Written", "write_products"]


@dataclass(frozen=True, kw_only=True)
class Product:
    """A kind of file.

    Attributes
    ----------
    name : str
        The keyword that names the file, and the option.
    summary : str
        What it is, as the help of the command line has it.
    endings : str
        That its name may have, separated by spaces.
    beside : tuple of str
        Endings of what belongs beside it, see `files.outputs.Output`.
    default_ending : str or None
        Behind the map's own name, where no name is given; None if it must be given.
    stage : str
        Whose time it is counted as, see `progress.STAGES`.
    asset : mapping
        What a STAC item says of it.
    needs : frozenset of str
        Other products that must be made for it, be it for the time being.
    made_of : str or None
        What else it is made of, an attribute of `Content` that not every map has; see `_LACKING`.
    layers : slice or None
        A raster's layers of a finished tile; None of the changes, which no tile holds.
    open : callable, optional
        Of a raster: opens it for its layers.
    write : callable, optional
        Of any other file: makes it when the rasters are there.
    """

    name: str
    summary: str
    endings: str
    beside: tuple[str, ...] = ()
    default_ending: str | None = None
    stage: str = "write"
    asset: Mapping[str, Any]
    needs: frozenset[str] = frozenset()
    made_of: str | None = None
    layers: slice | None = None
    open: Callable[[Content, Path], AbstractContextManager[LayerWriter]] | None = None
    write: Callable[[Making, Path], None] | None = None


@dataclass(frozen=True)
class Written:
    """What the files of a map tell.

    Attributes
    ----------
    areas : tuple of ClassArea
        In legend order.
    agreement : Agreement or None
        With the examples, if there are any.
    changes : Changes or None
        From the earlier map, if there is one.
    """

    areas: tuple[ClassArea, ...]
    agreement: Agreement | None = None
    changes: Changes | None = None


@dataclass(frozen=True)
class Outputs:
    """The files of a map that are wanted.

    Attributes
    ----------
    paths : dict of str to Path
        By the names of their products, in the table's order; the labels are always among them.
    """

    paths: dict[str, Path]

    @classmethod
    def of(cls, labels: str | Path, options: Mapping[str, Any]) -> Outputs:
        """Those named among the keywords of a call."""
        named = {"labels": labels} | {name: options[name] for name in BESIDE_LABELS if options.get(name) is not None}
        return cls({product.name: Path(named[product.name]) for product in PRODUCTS if product.name in named})

    @property
    def labels(self) -> Path:
        return self.paths["labels"]

    @property
    def products(self) -> list[Product]:
        return [product for product in PRODUCTS if product.name in self.paths]

    @property
    def needed(self) -> set[str]:
        """Names of products that must be made, though not all of them are wanted."""
        return self.paths.keys() | {name for product in self.products for name in product.needs}

    def files(self) -> list[Output]:
        """The files with what belongs beside them."""
        return [Output(self.paths[product.name], product.endings, product.beside) for product in self.products]

    def are_finished(self, digest: str) -> bool:
        """True if all are there as they were written, made by the recipe of this digest without a failed tile."""
        import rasterio
        from rasterio.errors import RasterioError

        from lposs_geo.finished import are_as_written
        from lposs_geo.provenance import FAILED_TAG, REQUEST_TAG

        if not all(path.is_file() for path in self.paths.values()):
            return False
        try:
            with rasterio.open(self.labels) as dataset:
                tags = dataset.tags()
        except RasterioError:
            return False
        return tags.get(REQUEST_TAG) == digest and FAILED_TAG not in tags and are_as_written(self.paths)

    def check(
        self, scene: Scene, *, sources: Sequence[str | Path] = (), overwrite: bool, given: Collection[str] = ()
    ) -> None:
        """Refuse files that can't or mustn't be written, the scene's own and `sources` among them.

        Parameters
        ----------
        scene : Scene
        sources : sequence of str or Path
        overwrite : bool
        given : collection of str
            The attributes of `Content` that this map is going to have, of those that not every map has: "lesson",
            "earlier", "suggest".

        Raises
        ------
        ParameterError
            If a file is made of what isn't given.
        OutputError
            With one line for the first.
        """
        from lposs_geo.files.drivers import check_raster_drivers
        from lposs_geo.files.vectors import check_vector

        self.check_given(given)
        check_raster_drivers(self.labels)
        for name in self.paths.keys() & {"vector", "suggest"}:
            check_vector(self.paths[name], scene.grid.crs)
        check_outputs(self.files(), sources=[*scene.files, *sources], overwrite=overwrite)

    def check_given(self, given: Collection[str]) -> None:
        """Refuse files that are made of what isn't given; see `check`."""
        for product in self.products:
            if product.made_of is not None and product.made_of not in given:
                problem, hint = _LACKING[product.made_of]
                raise ParameterError(problem, hint=f"{hint}, or leave <{product.name}> out")


def write_products(outputs: Outputs, content: Content, polygons: Polygons, progress: Progress, folder: Path) -> Written:
    """Write all files of a map.

    Parameters
    ----------
    outputs : Outputs
    content : Content
    polygons : Polygons
    progress : Progress
    folder : Path
        The run's, where the files are until all are complete.

    Returns
    -------
    Written

    Raises
    ------
    ParameterError
        If a file is made of what the content lacks.
    OutputError
        If one can't be written; then all is as it was before.
    """
    from lposs_geo.files.staging import staged_in
    from lposs_geo.finished import put_on_record
    from lposs_geo.scene.identity import check_unchanged

    outputs.check_given({name for name in _LACKING if getattr(content, name) is not None})
    with staged_in(folder, outputs.files()) as paths:
        wanted = dict(zip(outputs.paths, paths, strict=True))
        labels = wanted["labels"]
        staged = {name: labels.with_name(f"{name}.tif.part") for name in outputs.needed} | wanted
        with progress.running("write"):
            counted, changes = _write_rasters(staged, wanted, content)
        assets = {product.name: product.asset for product in PRODUCTS}
        making = Making(outputs.paths, assets, staged, content, polygons, progress, counted, changes)
        for product in outputs.products:
            if product.write is not None:
                with progress.running(product.stage):
                    product.write(making, staged[product.name])
        written = Written(making.areas, making.agreement, making.changes)
        check_unchanged(content.scene)
        put_on_record(labels, wanted)
    return written


def _write_rasters(
    staged: Mapping[str, Path], wanted: Mapping[str, Path], content: Content
) -> tuple[LabelWriter, Changes | None]:
    """Write all rasters side by side, in one pass over the tiles, and count."""
    from lposs_geo.examples.changes import compared_with
    from lposs_geo.legend.legend import NODATA
    from lposs_geo.writers.rasters import percent_writer

    with ExitStack() as stack:
        earlier = content.earlier
        comparison = None if earlier is None else stack.enter_context(compared_with(earlier, content.grid))
        counted = stack.enter_context(labels_file(content, staged["labels"]))
        writers: list[tuple[slice | None, LayerWriter]] = []
        for product in PRODUCTS:
            if product.open is None or product.name not in staged:
                continue
            path = staged[product.name]
            if product.name in wanted:
                opened = product.open(content, path)
            else:  # made for others alone
                opened = percent_writer(path, content.grid, [product.name], {}, lasts=False)
            writers.append((product.layers, stack.enter_context(opened)))
        for window, layers in content.tiles():
            within, labels = content.within(window), content.labels_of(layers)
            counted.write(labels, within, layers[1])
            changed = layers[:0] if comparison is None else comparison.changed(labels, within)[None]
            for part, write in writers:
                write(changed if part is None else layers[part], within)
    if not counted.pixels[:NODATA].any():
        raise SceneError(f"'{content.scene.path}' has no valid pixel in the area that is to be mapped")
    return counted, None if comparison is None else comparison.changes(content.legend)


_LACKING = {
    "earlier": ("there is no earlier map to compare with", "correct a map"),
    "lesson": ("nothing is learnt that could be saved", "name <examples>"),
    "suggest": ("no points can be suggested where there is one class only", "name another class"),
}
"""What a map may lack, and what to do, by attributes of `Content`."""

_TIFF = ".tif .tiff"
_PERCENT = {"roles": ["data"], "data_type": "uint8", "nodata": 255, "unit": "%"}

PRODUCTS = (
    Product(
        name="labels",
        summary="Map to write.",
        endings=_TIFF,
        beside=(*RASTER_BESIDE, ".qml", ".sld"),
        asset={"title": "Land cover", "roles": ["data"]},
        layers=slice(0, 1),
    ),
    Product(
        name="vector",
        summary="Write polygons: .gpkg, .parquet, .fgb or .geojson.",
        endings=" ".join(POLYGON_ENDINGS),
        beside=GEOPACKAGE_BESIDE,
        stage="vectorize",
        asset={"title": "Land-cover polygons", "roles": ["data"]},
        needs=frozenset({"confidence"}),
        write=write_vector,
    ),
    Product(
        name="quicklook",
        summary="Write a picture of scene, map and legend.",
        endings=".png",
        stage="quicklook",
        asset={"title": "Scene and map as a picture", "roles": ["overview"]},
        write=write_quicklook,
    ),
    Product(
        name="confidence",
        summary="Write the confidence of each pixel in percent.",
        endings=_TIFF,
        beside=(*RASTER_BESIDE, ".qml"),
        default_ending="_confidence.tif",
        asset={"title": "Confidence in percent", **_PERCENT},
        layers=slice(1, 2),
        open=confidence_file,
    ),
    Product(
        name="probabilities",
        summary="Write class probabilities in percent, one band per class.",
        endings=_TIFF,
        beside=RASTER_BESIDE,
        default_ending="_probabilities.tif",
        asset={"title": "Probability of each class in percent", **_PERCENT},
        layers=slice(2, None),
        open=probabilities_file,
    ),
    Product(
        name="changes",
        summary="Write where the class differs from the earlier map's, and which it is now.",
        endings=_TIFF,
        beside=(*RASTER_BESIDE, ".qml"),
        asset={"title": "Changes from the earlier map", "roles": ["data"], "data_type": "uint8", "nodata": 255},
        made_of="earlier",
        open=changes_file,
    ),
    Product(
        name="suggest",
        summary="Write points where an example would help most: .gpkg, .parquet, .fgb or .geojson.",
        endings=" ".join(POLYGON_ENDINGS),
        beside=GEOPACKAGE_BESIDE,
        asset={"title": "Points where an example would help most", "roles": ["metadata"]},
        made_of="suggest",
        write=write_suggested,
    ),
    Product(
        name="save",
        summary="Write what was learnt from the examples, as a legend for other scenes.",
        endings=".lposs",
        asset={"title": "Legend with what was learnt from examples", "roles": ["metadata"]},
        made_of="lesson",
        write=write_learned_file,
    ),
    Product(
        name="report",
        summary="Write a page with map, areas, confidence and parameters.",
        endings=".html .htm",
        stage="report",
        asset={"title": "Report", "roles": ["metadata"]},
        needs=frozenset({"confidence"}),
        write=write_report,
    ),
    Product(
        name="stac",
        summary="Write a STAC item.",
        endings=".json",
        default_ending=".json",
        asset={},
        write=write_stac,
    ),
)
"""All kinds in the order in which they are made: a picture before the report that holds it, the item last."""

BESIDE_LABELS = tuple(product.name for product in PRODUCTS if product.name != "labels")
"""Kinds of files beside the labels, by the names of options and keywords."""
