from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from lposs_geo.errors import SceneError
from lposs_geo.examples.changes import changed_to, compared_with
from lposs_geo.grid import Grid
from lposs_geo.legend.building import from_words
from lposs_geo.tiling import tiles

LEGEND = from_words("forest,grass,water")
TRANSFORM = Affine(0.6, 0, 439136.4, 0, -0.6, 5273706.6)
GRID = Grid(30, 40, CRS.from_epsg(32632), TRANSFORM)


@pytest.fixture
def earlier(write_raster):
    labels = np.full((1, 30, 40), 1, np.uint8)
    labels[0, :, 30:], labels[0, 0] = 2, 255
    return write_raster(labels, "earlier.tif", transform=TRANSFORM)


def _later():
    later = np.full((30, 40), 1, np.uint8)
    later[1:11, :10], later[20:25, 30:], later[29] = 2, 0, 255
    later[1:20, 30:] = 2
    later[25:29, 30:] = 3
    return later


def _compared(path, later, side):
    with compared_with(path, GRID) as comparison:
        parts = np.zeros_like(later)
        for tile in tiles(30, 40, side, 0):
            own = tile.core.toslices()
            parts[own] = comparison.changed(later[own], tile.core)
        return comparison.changes(LEGEND), parts


def test_changes_are_counted_by_pair_the_largest_first(earlier):
    changes, _ = _compared(earlier, _later(), 64)
    pixel, mapped = 0.36, 29 * 40
    assert [(pair.before, pair.after) for pair in changes.pairs] == [
        *(("forest", "grass"), ("grass", "unknown"), ("grass", "water")),
    ]
    for pair, pixels in zip(changes.pairs, (100, 50, 40), strict=True):
        assert pair.area_m2 == pytest.approx(pixels * pixel)
        assert pair.share == pytest.approx(pixels / mapped)
    assert changes.area_m2 == pytest.approx(190 * pixel)
    assert changes.share == pytest.approx(190 / mapped)


def test_values_tell_the_later_class(earlier):
    later = _later()
    _, parts = _compared(earlier, later, 64)
    assert (parts[0] == 255).all() and (parts[29] == 255).all()
    assert (parts[1:11, :10] == 2).all() and (parts[11:29, :30] == 0).all() and (parts[1:20, 30:] == 0).all()
    assert (parts[20:25, 30:] == 254).all() and (parts[25:29, 30:] == 3).all()


def test_tiles_change_nothing(earlier):
    rng = np.random.default_rng(0)
    later = rng.choice(np.array([0, 1, 2, 3, 255], np.uint8), (30, 40))
    whole = _compared(earlier, later, 64)
    for side in (7, 16):
        parts = _compared(earlier, later, side)
        assert parts[0] == whole[0]
        assert np.array_equal(parts[1], whole[1])


def test_the_same_map_has_not_changed(earlier):
    changes, parts = _compared(earlier, np.where(np.arange(30)[:, None] == 0, 255, _earlier()).astype(np.uint8), 16)
    assert (changes.pairs, changes.area_m2, changes.share) == ((), 0.0, 0.0)
    assert set(np.unique(parts)) == {0, 255}


def _earlier():
    return np.broadcast_to(np.where(np.arange(40) < 30, 1, 2), (30, 40))


def test_a_class_that_the_legend_lacks_is_named_by_its_id(write_raster):
    path = write_raster(np.full((1, 30, 40), 9, np.uint8), transform=TRANSFORM)
    changes, _ = _compared(path, np.full((30, 40), 1, np.uint8), 64)
    assert [(pair.before, pair.after, pair.share) for pair in changes.pairs] == [
        ("class 9", "forest", pytest.approx(1))
    ]


def test_unknown_that_became_a_class():
    assert changed_to(np.array([[1, 0, 0]], np.uint8), np.array([[0, 0, 2]], np.uint8)).tolist() == [[1, 0, 254]]


@pytest.mark.parametrize(
    "other",
    [
        {"transform": Affine(0.6, 0, 439137, 0, -0.6, 5273706.6)},
        {"transform": Affine(0.6001, 0, 439136.4, 0, -0.6, 5273706.6)},
        {"rows": 31},
    ],
)
def test_another_grid_is_refused(write_raster, other):
    rows = other.pop("rows", 30)
    path = write_raster(np.ones((1, rows, 40), np.uint8), **{"transform": TRANSFORM} | other)
    with pytest.raises(SceneError, match="isn't on the grid"), compared_with(path, GRID):
        pass


def test_an_earlier_map_that_cannot_be_read_is_one_line(tmp_path, earlier):
    with (
        pytest.raises(SceneError, match=r"none\.tif' can't be opened") as caught,
        compared_with(tmp_path / "none.tif", GRID),
    ):
        pass
    assert "\n" not in str(caught.value)
    earlier.write_bytes(earlier.read_bytes()[:-600])
    with (
        pytest.raises(SceneError, match=r"earlier\.tif' can't be read") as caught,
        compared_with(earlier, GRID) as comparison,
    ):
        comparison.changed(_later(), Window(0, 0, 40, 30))
    assert "\n" not in str(caught.value)
