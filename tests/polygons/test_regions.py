from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rasterio.crs import CRS
from scipy import ndimage

from lposs_geo.grid import Grid
from lposs_geo.polygons import regions as module
from lposs_geo.polygons.regions import Regions, find_regions, merge_small, strips

UTM = CRS.from_epsg(32632)
VALUES = [1, 2, 3, 0, 255]


def noise(rows: int, cols: int, seed: int, values: list[int]) -> np.ndarray:
    """Hypothesis likes arrays that are nearly empty: these are full."""
    return np.random.default_rng(seed).choice(np.array(values, dtype="uint8"), (rows, cols))


label_rasters = st.one_of(
    arrays.arrays("uint8", arrays.array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.sampled_from(VALUES)),
    st.builds(noise, st.integers(1, 14), st.integers(1, 14), st.integers(0, 2**32), st.sampled_from([VALUES, [1, 2]])),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def grid_of(labels: np.ndarray, side: float = 1.0, crs: CRS | None = None) -> Grid:
    return Grid(*labels.shape, crs, Affine(side, 0, 0, 0, -side, 0))


def regions_of(labels: np.ndarray, folder: Path, **options) -> Regions:
    options.setdefault("grid", grid_of(labels))
    return find_regions(lambda first, last: labels[first:last], folder=folder, **options)


def ids_of(regions: Regions) -> np.ndarray:
    """The region of each pixel, -1 for nodata."""
    rows = np.split(np.arange(len(regions.run_end)), regions.row_starts[1:-1])
    lengths = [np.diff(regions.run_end[row], prepend=0) for row in rows]
    return np.repeat(regions.run_region, np.concatenate(lengths)).reshape(regions.shape)


def reference(labels: np.ndarray) -> np.ndarray:
    """The regions by scipy, numbered by their first pixels."""
    ids = np.full(labels.shape, -1)
    for value in np.unique(labels[labels != 255]):
        parts, _ = ndimage.label(labels == value)
        ids[parts > 0] = parts[parts > 0] + ids.max() + 1
    _, firsts, inverse = np.unique(ids[ids >= 0], return_index=True, return_inverse=True)
    ids[ids >= 0] = np.argsort(np.argsort(firsts))[inverse]
    return ids


def merged_reference(ids: np.ndarray, label: list[int], min_area: float) -> tuple[np.ndarray, dict[int, int]]:
    """Merging as it is described, one pixel side after the other; an area is a number of pixels."""
    ids, classes = ids.copy(), dict(enumerate(label))
    while True:
        sizes = {region: int((ids == region).sum()) for region in np.unique(ids[ids >= 0]).tolist()}
        for region in sorted(sizes, key=lambda region: (sizes[region], region)):
            if sizes[region] >= min_area:
                return ids, {region: classes[region] for region in sizes}
            padded = np.pad(ids, 1, constant_values=-1)
            rows, cols = np.nonzero(padded == region)
            beyond = np.concatenate([padded[rows + y, cols + x] for y, x in ((0, 1), (1, 0), (0, -1), (-1, 0))])
            shared = {other: int((beyond == other).sum()) for other in set(beyond.tolist()) - {region, -1}}
            if shared:
                break
        else:
            return ids, {region: classes[region] for region in sizes}
        target = max(shared, key=lambda other: (shared[other], sizes[other], -other))
        whole = {region} | {other for other in shared if classes[other] == classes[target]}
        classes[min(whole)] = classes[target]
        ids[np.isin(ids, list(whole))] = min(whole)


@settings(max_examples=100)
@given(labels=label_rasters)
def test_regions_are_the_connected_pixels_in_order(labels, tmp_path_factory):
    regions = regions_of(labels, tmp_path_factory.mktemp("regions"))
    ids = ids_of(regions)
    assert np.array_equal(ids, reference(labels))
    assert len(regions) == ids.max() + 1
    assert np.array_equal(regions.area, np.bincount(ids[ids >= 0], minlength=len(regions)))
    assert (regions.label[ids[ids >= 0]] == labels[labels != 255]).all()


@settings(max_examples=100)
@given(labels=label_rasters, strip_pixels=st.integers(1, 60), min_area=st.sampled_from([0.0, 2.0, 5.0, 1e9]))
def test_strips_change_nothing(labels, strip_pixels, min_area, tmp_path_factory):
    folder = tmp_path_factory.mktemp("regions")
    results = []
    for pixels, name in ((10**6, "whole"), (strip_pixels, "strips")):
        (folder / name).mkdir()
        regions = regions_of(
            labels, folder / name, confidence=lambda first, last: labels[first:last], strip_pixels=pixels
        )
        regions = merge_small(regions, min_area, folder / name)
        results.append((ids_of(regions), regions.label, regions.area, regions.confidence_sum))
    for whole, cut in zip(*results, strict=True):
        assert np.array_equal(whole, cut)


@settings(max_examples=100)
@given(labels=label_rasters, min_area=st.sampled_from([1.0, 2.0, 3.0, 6.0, 20.0, 1e9]))
def test_small_regions_join_the_neighbour_with_the_longest_border(labels, min_area, tmp_path_factory):
    folder = tmp_path_factory.mktemp("regions")
    before = regions_of(labels, folder, confidence=lambda first, last: labels[first:last])
    old_ids = ids_of(before)
    after = merge_small(before, min_area, folder)
    ids = ids_of(after)
    expected, classes = merged_reference(old_ids, before.label.tolist(), min_area)
    # ids of merged regions are closed up, in order
    _, closed = np.unique(expected[expected >= 0], return_inverse=True)
    assert np.array_equal(ids[ids >= 0], closed)
    assert after.label.tolist() == list(classes.values())
    assert np.array_equal(after.area, np.bincount(ids[ids >= 0], minlength=len(after)))
    assert np.array_equal(ids < 0, labels == 255)
    sums = np.bincount(ids[ids >= 0], labels[labels != 255], minlength=len(after))
    assert np.array_equal(after.confidence_sum, sums)
    # what was there before is as it was
    assert np.array_equal(ids_of(before), old_ids)
    merged = np.append(after.label, 255)[ids]
    assert np.array_equal(reference(merged), ids)


def test_a_region_as_large_as_the_least_stays(folder):
    labels = np.array([[1, 2, 2, 2, 3, 3, 3, 3]], dtype="uint8")
    regions = regions_of(labels, folder, grid=grid_of(labels, 0.1, UTM))
    assert len(merge_small(regions, 0.03, folder)) == 2  # three times 0.1 x 0.1, which isn't quite 0.03


def test_an_island_amid_nodata_stays(folder):
    labels = np.full((3, 3), 255, dtype="uint8")
    labels[1, 1] = 4
    after = merge_small(regions_of(labels, folder), 100, folder)
    assert after.label.tolist() == [4]


def test_patches_that_met_across_a_small_one_become_one(folder):
    labels = np.array([[1, 1, 1, 2, 1, 1]], dtype="uint8")
    after = merge_small(regions_of(labels, folder), 1.5, folder)
    assert after.area.tolist() == [6]


def test_confidence_is_counted_where_it_is_known(folder):
    labels = np.array([[1, 1, 2], [1, 2, 2]], dtype="uint8")
    confidence = np.array([[50, 255, 90], [70, 255, 255]], dtype="uint8")
    regions = regions_of(labels, folder, confidence=lambda first, last: confidence[first:last])
    assert regions.confidence_sum.tolist() == [120, 90]
    assert regions.confidence_count.tolist() == [2, 1]


def test_areas_follow_the_ellipsoid(folder):
    labels = np.repeat(np.array([[1], [2]], dtype="uint8"), 5, axis=0)
    grid = Grid(10, 1, CRS.from_epsg(4326), Affine(1, 0, 0, 0, -1, 60))
    areas = grid.pixel_areas()
    regions = regions_of(labels, folder, grid=grid)
    assert regions.area == pytest.approx([areas[:5].sum(), areas[5:].sum()], rel=1e-12)


def test_large_rasters_have_long_ids(folder, monkeypatch):
    labels = np.random.default_rng(0).integers(1, 4, (20, 20)).astype("uint8")
    short = regions_of(labels, folder)
    expected = ids_of(merge_small(short, 4, folder))
    monkeypatch.setattr(module, "SHORT_IDS", 0)
    (folder / "long").mkdir()
    long = regions_of(labels, folder / "long")
    assert (short.run_region.dtype, long.run_region.dtype) == (np.int32, np.int64)
    assert np.array_equal(ids_of(merge_small(long, 4, folder / "long")), expected)


def test_rows_done_are_told(folder):
    labels = np.ones((7, 4), dtype="uint8")
    rows_done = []
    regions = regions_of(labels, folder, strip_pixels=12, progress=rows_done.append)
    merge_small(regions, 3, folder, progress=rows_done.append)
    assert rows_done == [3, 6, 7, 7]


@given(rows=st.integers(1, 5000), cols=st.integers(1, 5000), pixels=st.integers(1, 10**7))
def test_strips_cover_every_row_once(rows, cols, pixels):
    cut = list(strips((rows, cols), pixels))
    assert [first for first, _ in cut] == [0, *(last for _, last in cut[:-1])]
    assert cut[-1][1] == rows
    assert all((last - first - 1) * cols < pixels for first, last in cut)
