from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate

from lposs_geo.errors import OutputError
from lposs_geo.grid import Grid
from lposs_geo.legend.building import from_words
from lposs_geo.writers.changes import change_writer

GRID = Grid(600, 700, CRS.from_epsg(32632), Affine(0.6, 0, 439136.4, 0, -0.6, 5273706.6))
LEGEND = from_words("forest,grass")


def _write(path, values):
    with change_writer(path, GRID, LEGEND, {"LPOSS_GEO_MODEL": "mini"}) as writer:
        for row in range(0, 600, 200):
            writer.write(values[row : row + 200], Window(0, row, 700, 200))
    return path


def _names(path):
    return [each.text for each in ElementTree.parse(f"{path}.aux.xml").iter("Category")]


def test_values_colours_and_names(tmp_path):
    values = np.zeros((600, 700), np.uint8)
    values[100:200, :300], values[:50] = 2, 255
    path = _write(tmp_path / "changes.tif", values)
    with rasterio.open(path) as dataset:
        assert np.array_equal(dataset.read(1), values)
        assert (dataset.nodata, dataset.crs, dataset.transform) == (255, GRID.crs, GRID.transform)
        assert dataset.colormap(1)[2] == (*LEGEND.classes[1].colour, 255)
        assert dataset.overviews(1)
        assert dataset.tags()["LPOSS_GEO_MODEL"] == "mini"
    assert cog_validate(path)[0]
    assert _names(path) == ["unchanged", "forest", "grass"]
    assert {file.name for file in tmp_path.iterdir()} == {"changes.tif", "changes.tif.aux.xml"}


def test_what_became_unknown_has_its_name(tmp_path):
    values = np.zeros((600, 700), np.uint8)
    values[0, 0] = 254
    names = _names(_write(tmp_path / "changes.tif", values))
    assert (len(names), names[:3], names[254]) == (255, ["unchanged", "forest", "grass"], "unknown")


def test_a_failed_write_is_one_line(tmp_path):
    with pytest.raises(OutputError, match=r"can't write 'changes\.tif'") as caught:
        _write(tmp_path / "none" / "changes.tif", np.zeros((600, 700), np.uint8))
    assert "\n" not in str(caught.value)
