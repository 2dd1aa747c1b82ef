"""Names and colours that another program gave to the values of a raster, wherever its format keeps them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree

import rasterio
import rasterio.shutil
from rasterio.io import MemoryFile

from lposs_geo.legend.oklab import Colour
from lposs_geo.legend.words import mended

__all__ = ["Categories", "read_categories"]

MOST_VALUE = 255
"""Of 8 bits."""

_USAGES = {"2": "name", "5": "value", "6": "red", "7": "green", "8": "blue"}
"""Of the columns of an attribute table, as GDAL numbers them."""

_HEADINGS = {"value": "value", "class": "name", "classname": "name", "name": "name", "label": "name"}
"""Of columns whose usage isn't told."""

_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


@dataclass(frozen=True)
class Categories:
    """Names and colours of a raster's values.

    Attributes
    ----------
    names : dict of int to str
        Fit for a map's files; of values whose name isn't empty.
    colours : dict of int to tuple
        RGB; of values in the raster's palette or attribute table.
    """

    names: dict[int, str] = field(default_factory=dict)
    colours: dict[int, Colour] = field(default_factory=dict)


def read_categories(dataset: rasterio.DatasetReader) -> Categories:
    """Read category names, palette and attribute table of a raster's first band.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
        Any that GDAL reads: it tells all of it in the VRT that stands for the raster.

    Raises
    ------
    Exception
        Of GDAL or the parser, if it can't be read.
    """
    with MemoryFile(ext=".vrt") as file:
        rasterio.shutil.copy(dataset, file.name, driver="VRT")
        text = file.read().decode(errors="replace")
    band = ElementTree.fromstring(_NOT_IN_XML.sub(" ", text)).find("VRTRasterBand[@band='1']")
    if band is None:
        return Categories()
    names = {value: element.text or "" for value, element in enumerate(band.iterfind("CategoryNames/Category"))}
    palette = {
        value: _colour([element.get(f"c{channel}") for channel in (1, 2, 3)])
        for value, element in enumerate(band.iterfind("ColorTable/Entry"))
    }
    table = list(_rows(band.find("GDALRasterAttributeTable")))
    names |= {value: row["name"] for value, row in table if row.get("name")}
    listed = {value: _colour([row.get(channel) for channel in ("red", "green", "blue")]) for value, row in table}
    colours = {value: colour for value, colour in (listed | palette).items() if colour is not None}
    fit = {value: mended(name) for value, name in names.items()}
    return Categories(
        {value: name for value, name in fit.items() if name and value <= MOST_VALUE},
        {value: colour for value, colour in colours.items() if value <= MOST_VALUE},
    )


def _rows(table: ElementTree.Element | None) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of an attribute table by their values, each with what is known of its columns."""
    if table is None:
        return
    columns: list[str] = []
    for column in table.iterfind("FieldDefn"):
        heading = re.sub(r"[\W_]", "", column.findtext("Name") or "").casefold()
        columns.append(_USAGES.get(column.findtext("Usage") or "") or _HEADINGS.get(heading, ""))
    first, size = (_number(table.get(name)) for name in ("Row0Min", "BinSize"))
    for index, row in enumerate(table.iterfind("Row")):
        cells = [cell.text or "" for cell in row.iterfind("F")]
        facts: dict[str, str] = {}
        for name, cell in zip(columns, cells, strict=False):
            facts.setdefault(name, cell)
        value = _number(facts.get("value")) if "value" in columns else (first or 0) + index * (size or 1)
        if value is not None and value == int(value) and 0 <= value <= MOST_VALUE:
            yield int(value), facts


def _colour(channels: list[str | None]) -> Colour | None:
    numbers = [_number(channel) for channel in channels]
    if any(number is None or not 0 <= number <= 255 for number in numbers):
        return None
    red, green, blue = (round(number or 0) for number in numbers)
    return red, green, blue


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if abs(number) < 1e9 else None
