"""The kinds of files that a map consists of, in one table, and how they are made of finished tiles.

To add a kind, add a row to `PRODUCTS` and a keyword to `request.MapOptions`: the command line, the checks, the staging
and the STAC item take it from there. All files appear together, when all are complete. Nothing is made unasked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lposs_geo.errors import SceneError
from lposs_geo.files.outputs import GEOPACKAGE_BESIDE, POLYGON_ENDINGS, RASTER_BESIDE, Output, check_outputs
from lposs_geo.making import (
    LayerWriter,
    Making,
    confidence_file,
    labels_file,
    probabilities_file,
    write_quicklook,
    write_report,
    write_stac,
    write_vector,
)

if TYPE_CHECKING:
    from lposs_geo.content import Content
    from lposs_geo.progress import Progress
    from lposs_geo.request import Polygons
    from lposs_geo.scene.description import Scene
    from lposs_geo.writers.rasters import ClassArea, LabelWriter

__all__ = ["BESIDE_LABELS", "PRODUCTS", "Outputs", "Product", "write_products"]


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
    layers : slice or None
        A raster's layers of a finished tile.
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
    layers: slice | None = None
    open: Callable[[Content, Path], AbstractContextManager[LayerWriter]] | None = None
    write: Callable[[Making, Path], None] | None = None


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

    def check(self, scene: Scene, *, sources: Sequence[str | Path] = (), overwrite: bool) -> None:
        """Refuse files that can't or mustn't be written, the scene's own and `sources` among them.

        Raises
        ------
        OutputError
            With one line for the first.
        """
        from lposs_geo.files.drivers import check_raster_drivers
        from lposs_geo.files.vectors import check_vector

        check_raster_drivers(self.labels)
        if "vector" in self.paths:
            check_vector(self.paths["vector"], scene.grid.crs)
        check_outputs(self.files(), sources=[*scene.files, *sources], overwrite=overwrite)


def write_products(
    outputs: Outputs, content: Content, polygons: Polygons, progress: Progress, folder: Path
) -> tuple[ClassArea, ...]:
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
    tuple of ClassArea
        In legend order.

    Raises
    ------
    OutputError
        If one can't be written; then all is as it was before.
    """
    from lposs_geo.files.staging import staged_in
    from lposs_geo.finished import put_on_record
    from lposs_geo.scene.identity import check_unchanged

    with staged_in(folder, outputs.files()) as paths:
        wanted = dict(zip(outputs.paths, paths, strict=True))
        labels = wanted["labels"]
        staged = {name: labels.with_name(f"{name}.tif.part") for name in outputs.needed} | wanted
        with progress.running("write"):
            counted = _write_rasters(staged, wanted, content)
        assets = {product.name: product.asset for product in PRODUCTS}
        making = Making(outputs.paths, assets, staged, content, polygons, progress, counted)
        for product in outputs.products:
            if product.write is not None:
                with progress.running(product.stage):
                    product.write(making, staged[product.name])
        check_unchanged(content.scene)
        put_on_record(labels, wanted)
    return making.areas


def _write_rasters(staged: Mapping[str, Path], wanted: Mapping[str, Path], content: Content) -> LabelWriter:
    """Write all rasters side by side, in one pass over the tiles, and count."""
    from lposs_geo.legend.legend import NODATA
    from lposs_geo.writers.rasters import percent_writer

    with ExitStack() as stack:
        counted = stack.enter_context(labels_file(content, staged["labels"]))
        writers: list[tuple[slice, LayerWriter]] = []
        for product in PRODUCTS:
            if product.open is None or product.layers is None or product.name not in staged:
                continue
            path = staged[product.name]
            if product.name in wanted:
                opened = product.open(content, path)
            else:  # made for others alone
                opened = percent_writer(path, content.grid, [product.name], {}, lasts=False)
            writers.append((product.layers, stack.enter_context(opened)))
        for window, layers in content.tiles():
            within = content.within(window)
            counted.write(content.labels_of(layers), within, layers[1])
            for part, write in writers:
                write(layers[part], within)
    if not counted.pixels[:NODATA].any():
        raise SceneError(f"'{content.scene.path}' has no valid pixel in the area that is to be mapped")
    return counted


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
