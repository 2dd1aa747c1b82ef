from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio.features
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rasterio.crs import CRS
from scipy import ndimage

from lposs_geo.grid import Grid, polygon_areas, polygon_perimeters
from lposs_geo.polygons.coverage import PolygonBatch, polygon_batches

UTM = CRS.from_epsg(32632)
GROUND = Affine(0.6, 0, 439136.4, 0, -0.6, 5273706.6)
NORTH_UP = Affine(1, 0, 0, 0, -1, 0)
SOUTH_UP = Affine(2, 0, 100, 0, 2, 50)
MIRRORED = Affine(-2, 0, 100, 0, -2, 50)
TURNED = Affine.translation(500, 700) @ Affine.rotation(30) @ Affine.scale(2, -2)

VALUES = [1, 2, 3, 0, 255]


def noise(rows: int, cols: int, seed: int, values: list[int]) -> np.ndarray:
    """Hypothesis likes arrays that are nearly empty: these are full."""
    return np.random.default_rng(seed).choice(np.array(values, dtype="uint8"), (rows, cols))


noisy = st.one_of(
    arrays.arrays("uint8", arrays.array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.sampled_from(VALUES)),
    st.builds(noise, st.integers(1, 14), st.integers(1, 14), st.integers(0, 2**32), st.sampled_from([VALUES, [1, 2]])),
)


def smoothed(rows: int, cols: int, seed: int, sigma: float, speckle: float = 0.0) -> np.ndarray:
    """Blobs of classes with some speckle."""
    rng = np.random.default_rng(seed)
    fields = ndimage.gaussian_filter(rng.standard_normal((len(VALUES), rows, cols)), (0, sigma, sigma))
    labels = np.array(VALUES, dtype="uint8")[fields.argmax(axis=0)]
    return np.where(rng.random(labels.shape) < speckle, rng.choice(VALUES, labels.shape), labels).astype("uint8")


blobs = st.builds(
    smoothed,
    st.integers(15, 40),
    st.integers(15, 40),
    st.integers(0, 2**32),
    st.sampled_from([0.7, 1.5, 3.0]),
    st.sampled_from([0.0, 0.05]),
)
label_rasters = st.one_of(noisy, blobs)


def vectorised(
    labels: np.ndarray, transform: Affine = NORTH_UP, crs: CRS | None = None, **options
) -> tuple[PolygonBatch, int]:
    """All polygons as one batch, and how many batches they came in."""
    with tempfile.TemporaryDirectory() as folder:
        grid = Grid(*labels.shape, crs, transform)
        batches = list(polygon_batches(reader(labels), grid, Path(folder), **options))
    if not batches:
        return PolygonBatch(np.empty(0, object), np.empty(0, int), np.empty(0), np.empty(0), None), 0
    names = ["geometry", "class_id", "area_m2", "perimeter_m"]
    if "confidence" in options:
        names.append("confidence")
    columns = {name: np.concatenate([getattr(batch, name) for batch in batches]) for name in names}
    return PolygonBatch(**({"confidence": None} | columns)), len(batches)


def reader(array: np.ndarray) -> Callable[[int, int], np.ndarray]:
    return lambda first, last: array[first:last]


def burnt(polygons: PolygonBatch, like: np.ndarray, transform: Affine) -> np.ndarray:
    out = np.full_like(like, 255)
    if len(polygons.geometry):
        shapes = zip(polygons.geometry, polygons.class_id.tolist(), strict=True)
        rasterio.features.rasterize(shapes, out=out, transform=transform)
    return out


@settings(max_examples=100)
@given(labels=label_rasters, transform=st.sampled_from([NORTH_UP, SOUTH_UP, MIRRORED]))
def test_polygons_are_the_raster(labels, transform):
    polygons, _ = vectorised(labels, transform, simplify=0)
    assert shapely.is_valid(polygons.geometry).all()
    assert shapely.coverage_is_valid(polygons.geometry)
    for value in np.unique(labels[labels != 255]):
        expected = (labels == value).sum() * abs(transform.determinant)
        assert polygons.area_m2[polygons.class_id == value].sum() == pytest.approx(expected, rel=1e-6)
    assert np.array_equal(burnt(polygons, labels, transform), labels)
    assert len(polygons.geometry) == sum(ndimage.label(labels == value)[1] for value in VALUES[:-1])


@settings(max_examples=100)
@given(
    labels=label_rasters,
    simplify=st.sampled_from([0.5, 1.0, 3.0, 10.0]),
    min_area=st.sampled_from([0.0, 1.0, 4.0]),
    transform=st.sampled_from([GROUND, TURNED, SOUTH_UP]),
)
def test_simplified_polygons_are_still_a_partition(labels, simplify, min_area, transform):
    polygons, _ = vectorised(labels, transform, UTM, simplify=simplify, min_area=min_area)
    assert shapely.is_valid(polygons.geometry).all()
    assert shapely.coverage_is_valid(polygons.geometry)
    assert not shapely.is_empty(polygons.geometry).any()
    assert (polygons.area_m2 > 0).all()
    expected = (labels != 255).sum() * abs(transform.determinant)
    assert polygons.area_m2.sum() == pytest.approx(expected, rel=1e-6)
    # each polygon is closed against the clock, its holes with it
    assert shapely.is_ccw(shapely.get_exterior_ring(polygons.geometry)).all()
    rings = shapely.get_rings(polygons.geometry)
    assert shapely.is_ccw(rings).sum() == len(polygons.geometry)


@settings(max_examples=100)
@given(labels=label_rasters, min_area=st.sampled_from([1.5, 3.0, 10.0, 50.0]))
def test_merged_polygons_are_large_or_alone(labels, min_area):
    polygons, _ = vectorised(labels, simplify=0, min_area=min_area)
    assert shapely.coverage_is_valid(polygons.geometry)
    merged = burnt(polygons, labels, NORTH_UP)
    assert np.array_equal(merged == 255, labels == 255)
    assert np.array_equal(burnt(vectorised(merged, simplify=0)[0], labels, NORTH_UP), merged)
    assert polygons.area_m2.sum() == (labels != 255).sum()
    for value in VALUES[:-1]:
        parts, count = ndimage.label(merged == value)
        for part in range(1, count + 1):
            around = ndimage.binary_dilation(parts == part) & (parts != part)
            assert (parts == part).sum() >= min_area or (merged[around] == 255).all()
    assert len(polygons.geometry) == sum(ndimage.label(merged == value)[1] for value in VALUES[:-1])


@settings(max_examples=100)
@given(
    labels=label_rasters,
    strip_pixels=st.integers(1, 200),
    batch_points=st.integers(1, 60),
    simplify=st.sampled_from([0.0, 1.0, 3.0]),
    min_area=st.sampled_from([0.0, 3.0]),
)
def test_strips_and_batches_change_nothing(labels, strip_pixels, batch_points, simplify, min_area):
    confidence = (np.arange(labels.size).reshape(labels.shape) % 101).astype("uint8")
    options = {"simplify": simplify, "min_area": min_area, "confidence": reader(confidence)}
    whole, _ = vectorised(labels, GROUND, UTM, **options)
    cut, _ = vectorised(labels, GROUND, UTM, strip_pixels=strip_pixels, batch_points=batch_points, **options)
    assert shapely.equals_identical(whole.geometry, cut.geometry).all()
    for name in ("class_id", "area_m2", "perimeter_m", "confidence"):
        assert np.array_equal(getattr(whole, name), getattr(cut, name))


@settings(max_examples=100)
@given(labels=noisy)
def test_polygons_come_in_the_order_of_their_first_pixels(labels):
    polygons, _ = vectorised(labels, simplify=0)
    points, polygon = shapely.get_coordinates(polygons.geometry, return_index=True)
    firsts = [min((-y, x) for x, y in points[polygon == number]) for number in range(len(polygons.geometry))]
    assert firsts == sorted(firsts)


def test_batches_are_as_long_as_asked():
    labels = np.random.default_rng(0).integers(1, 4, (40, 40)).astype("uint8")
    for least in (1, 500):
        with tempfile.TemporaryDirectory() as folder:
            batches = polygon_batches(
                reader(labels), Grid(40, 40, None, NORTH_UP), Path(folder), simplify=0, batch_points=least
            )
            sizes = [shapely.get_num_coordinates(batch.geometry).sum() for batch in batches]
        assert len(sizes) > 5
        assert min(sizes[:-1]) >= least


@pytest.mark.parametrize("simplify", [1.0, 3.0])
@pytest.mark.parametrize("min_area", [0.0, 5.0])
def test_a_large_map_is_a_valid_coverage(simplify, min_area):
    labels = smoothed(300, 300, 7, 2.0, 0.02)
    polygons, _ = vectorised(labels, GROUND, UTM, simplify=simplify, min_area=min_area)
    assert len(polygons.geometry) > 300
    assert shapely.is_valid(polygons.geometry).all()
    assert shapely.coverage_is_valid(polygons.geometry)
    assert polygons.area_m2.sum() == pytest.approx((labels != 255).sum() * 0.36, rel=1e-9)


@pytest.mark.parametrize("simplify", [1.0, 3.0])
def test_simplified_about_as_much_as_by_geos(simplify):
    labels = smoothed(300, 300, 3, 3.0)
    exact = vectorised(labels, simplify=0)[0].geometry
    dense = shapely.transform(shapely.segmentize(exact, 1.0), np.round)
    theirs = shapely.coverage_simplify(dense, simplify, simplify_boundary=False)
    theirs = shapely.get_num_coordinates(shapely.coverage_simplify(theirs, 0)).sum()
    ours = shapely.get_num_coordinates(vectorised(labels, simplify=simplify)[0].geometry).sum()
    assert ours == pytest.approx(theirs, rel=0.1)


def test_stairs_become_straight():
    labels = np.tri(60, dtype="uint8") + 1
    polygons, _ = vectorised(labels, GROUND, UTM)
    assert max(shapely.get_num_coordinates(polygons.geometry)) < 12


def test_a_turned_border_becomes_straight():
    row, col = np.mgrid[:80, :80]
    labels = (1 + (row * 0.4 + 20.3 > col)).astype("uint8")
    polygons, _ = vectorised(labels, simplify=2)
    assert max(shapely.get_num_coordinates(polygons.geometry)) < 12


def test_checkerboards():
    labels = (np.indices((6, 7)).sum(axis=0) % 2 + 1).astype("uint8")
    polygons, _ = vectorised(labels)
    assert len(polygons.geometry) == 42
    assert (polygons.area_m2 == 1).all()
    assert shapely.coverage_is_valid(polygons.geometry)
    holed = np.ones((9, 9), dtype="uint8")  # holes that touch each other at their corners
    holed[1:8, 1:8] = np.where(np.indices((7, 7)).sum(axis=0) % 2, 255, 1)
    polygons, _ = vectorised(holed)
    assert shapely.is_valid(polygons.geometry).all()
    assert polygons.area_m2.sum() == (holed == 1).sum()


def test_one_region_is_one_rectangle():
    polygons, _ = vectorised(np.full((5, 9), 2, dtype="uint8"), simplify=10)
    assert shapely.get_num_coordinates(polygons.geometry).tolist() == [5]
    assert polygons.class_id.tolist() == [2]
    assert (polygons.area_m2[0], polygons.perimeter_m[0]) == (45, 28)


def test_nothing_but_nodata_is_no_batch():
    _, batches = vectorised(np.full((4, 4), 255, dtype="uint8"), min_area=3)
    assert batches == 0


def test_columns():
    labels = np.array([[1, 1, 2], [1, 0, 2]], dtype="uint8")
    confidence = np.array([[50, 70, 255], [255, 91, 255]], dtype="uint8")
    polygons, _ = vectorised(labels, GROUND, UTM, simplify=0, confidence=reader(confidence))
    assert polygons.class_id.tolist() == [1, 2, 0]
    assert polygons.class_id.dtype == np.int64
    assert polygons.area_m2 == pytest.approx([1.08, 0.72, 0.36])
    assert polygons.perimeter_m == pytest.approx([4.8, 3.6, 2.4])
    assert polygons.confidence == pytest.approx([60, np.nan, 91], nan_ok=True)
    assert shapely.total_bounds(polygons.geometry) == pytest.approx([439136.4, 5273705.4, 439138.2, 5273706.6])
    assert vectorised(labels)[0].confidence is None


def test_confidence_of_a_merged_patch_is_that_of_all_its_pixels():
    labels = np.array([[1, 1, 1, 2, 1]], dtype="uint8")
    confidence = np.array([[90, 90, 90, 30, 90]], dtype="uint8")
    polygons, _ = vectorised(labels, min_area=2, confidence=reader(confidence))
    assert polygons.confidence.tolist() == [78]


def test_what_is_measured_is_the_polygon_itself():
    labels = smoothed(60, 60, 1, 2.0)
    transform, crs = Affine(0.01, 0, 10, 0, -0.01, 48), CRS.from_epsg(4326)
    polygons, _ = vectorised(labels, transform, crs)
    assert np.array_equal(polygons.area_m2, polygon_areas(polygons.geometry, crs))
    assert np.array_equal(polygons.perimeter_m, polygon_perimeters(polygons.geometry, crs))


def test_areas_in_degrees_are_geodesic():
    labels = np.ones((10, 10), dtype="uint8")
    polygons, _ = vectorised(labels, Affine(0.01, 0, 10, 0, -0.01, 48), CRS.from_epsg(4326))
    assert polygons.area_m2[0] == pytest.approx(7.47e3 * 11.12e3, rel=0.01)
    assert polygons.perimeter_m[0] == pytest.approx(2 * (7.47e3 + 11.12e3), rel=0.01)


@pytest.mark.parametrize("min_area", [0.0, 3.0])
def test_progress_comes_to_its_end(min_area):
    labels = smoothed(30, 30, 5, 1.0)
    steps = []
    vectorised(labels, min_area=min_area, progress=lambda *step: steps.append(step), strip_pixels=100, batch_points=50)
    done = [number for number, _ in steps]
    assert done == sorted(done)
    assert len({total for _, total in steps}) == 1
    assert steps[-1][0] == steps[-1][1]
