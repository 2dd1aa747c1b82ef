from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from lposs_geo.tiling import Lattice, Steps, Tile, bilinear_taps, crop_starts, resample, tiles, with_margin, zoomed

sizes = st.integers(1, 300)


@given(height=sizes, width=sizes, tile_size=st.integers(20, 200), halo=st.integers(0, 40))
def test_cores_partition_the_scene_and_halos_stay_inside(height, width, tile_size, halo):
    written = np.zeros((height, width), dtype=int)
    for tile in tiles(height, width, tile_size, halo):
        written[tile.core.toslices()] += 1
        rows, cols = tile.padded.toslices()
        assert 0 <= rows.start < rows.stop <= height
        assert 0 <= cols.start < cols.stop <= width
        reach = (tile.core.row_off - rows.start, rows.stop - tile.core.row_off - tile.core.height)
        assert all(margin <= halo for margin in reach)
        assert rows.start == 0 or reach[0] == halo
        assert rows.stop == height or reach[1] == halo
    assert (written == 1).all()


@given(height=sizes, width=sizes, tile_size=st.integers(20, 200), halo=st.integers(0, 40), data=st.data())
def test_the_tiles_of_an_area_cover_it_and_look_beyond(height, width, tile_size, halo, data):
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    window = Window(left, top, data.draw(st.integers(1, width - left)), data.draw(st.integers(1, height - top)))
    written = np.zeros((height, width), dtype=int)
    for tile in tiles(height, width, tile_size, halo, window):
        written[tile.core.toslices()] += 1
        assert tile.padded == with_margin(tile.core, halo, height, width)
    assert (written[window.toslices()] == 1).all()
    assert written.sum() == window.height * window.width


def test_a_window_grows_as_far_as_the_scene_reaches():
    assert with_margin(Window(30, 5, 20, 10), 10, 100, 55) == Window(20, 0, 35, 25)
    assert with_margin(Window(30, 5, 20, 10), 0, 100, 55) == Window(30, 5, 20, 10)


@given(height=sizes, width=sizes, tile_size=st.integers(20, 200), halo=st.integers(0, 40))
def test_stitching_the_cores_gives_the_scene_back(height, width, tile_size, halo):
    scene = np.arange(height * width).reshape(height, width)
    again = np.empty_like(scene)
    for tile in tiles(height, width, tile_size, halo):
        again[tile.core.toslices()] = scene[tile.padded.toslices()][tile.core_in_padded]
    assert (again == scene).all()


@given(length=st.integers(1, 2000), patches=st.integers(1, 16), share=st.integers(1, 16))
def test_crops_cover_everything_and_stay_inside(length, patches, share):
    crop, stride = patches * 14, min(share, patches) * 14
    starts = crop_starts(length, crop, stride)
    assert starts == sorted(set(starts))
    covered = np.zeros(max(length, crop), dtype=bool)
    for start in starts:
        assert start == 0 or start + crop <= length
        covered[start : start + crop] = True
    assert covered.all()


@given(
    st.integers(0, 50), st.integers(0, 60), st.integers(1, 20), st.lists(st.integers(100, 200), max_size=2), st.data()
)
def test_steps_are_the_list_of_their_places(first, length, step, tail, data):
    steps, listed = Steps(range(first, first + length, step), tuple(tail)), [*range(first, first + length, step), *tail]
    assert (list(steps), len(steps)) == (listed, len(listed))
    assert steps == listed
    assert steps != [*listed, 7]
    for index in range(-len(listed), len(listed)):
        assert steps[index] == listed[index]
    for index in (len(listed), -len(listed) - 1):
        with pytest.raises(IndexError):
            steps[index]
    start, stop = data.draw(st.integers(-5, 70)), data.draw(st.integers(-5, 70))
    assert steps[start:stop] == listed[start:stop]


@given(height=sizes, width=sizes, tile_size=st.integers(20, 200), halo=st.integers(0, 40), data=st.data())
def test_tiles_made_one_by_one_are_those_of_all(height, width, tile_size, halo, data):
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    window = Window(left, top, data.draw(st.integers(1, width - left)), data.draw(st.integers(1, height - top)))
    listed = []
    for row in range(top, top + window.height, tile_size):
        for col in range(left, left + window.width, tile_size):
            bottom, right = min(row + tile_size, top + window.height), min(col + tile_size, left + window.width)
            core = Window(col, row, right - col, bottom - row)
            listed.append(Tile(core, with_margin(core, halo, height, width)))
    cut = tiles(height, width, tile_size, halo, window)
    assert list(cut) == listed
    assert [cut[number] for number in range(-len(listed), 0)] == listed
    assert cut[1:3] == listed[1:3]
    assert cut.row_edges == [*sorted({tile.core.row_off for tile in listed}), top + window.height]
    assert cut.col_edges == [*sorted({tile.core.col_off for tile in listed}), left + window.width]
    with pytest.raises(IndexError):
        cut[len(listed)]


def test_the_largest_raster_that_gdal_knows_is_cut_without_a_list():
    side = 2**31 - 1
    cut = tiles(side, side, 1000, 78)
    assert len(cut) == 2147484**2
    assert cut[-1].core == Window(side - 647, side - 647, 647, 647)
    lattice = Lattice(2 * side, 2 * side, 16, 224, 112)
    assert len(lattice.crop_rows()) == 38347922
    assert lattice.crop_rows()[-1] == lattice.rows - 14


def test_the_last_crop_is_shifted_back_inside():
    assert crop_starts(400, 224, 112) == [0, 112, 176]
    assert crop_starts(336, 224, 112) == [0, 112]
    assert crop_starts(100, 224, 112) == [0]


@given(height=st.integers(1, 700), width=st.integers(1, 700))
def test_the_lattice_covers_the_scene_and_crops_lie_on_it(height, width):
    lattice = Lattice(height, width, 14, 224, 112)
    assert lattice.rows * 14 >= height
    assert lattice.cols * 14 >= width
    assert max(lattice.crop_rows()) + lattice.crop_shape[0] == lattice.rows
    assert max(lattice.crop_cols()) + lattice.crop_shape[1] == lattice.cols
    centres = lattice.centres()
    assert centres.shape == (lattice.rows * lattice.cols, 2)
    assert centres[0].tolist() == [7, 7]
    if lattice.cols > 1:
        assert centres[1].tolist() == [7, 21]


@given(count=st.integers(1, 12), patch=st.sampled_from([4, 14, 16]), data=st.data())
def test_bilinear_taps_resize_like_torch_and_alike_in_every_window(count, patch, data):
    values = np.random.default_rng(count).standard_normal(count).astype(np.float32)
    lower, upper, share = bilinear_taps(count, patch, 0, count * patch)
    whole = values[lower] * (1 - share) + values[upper] * share
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], scale_factor=patch, mode="linear", align_corners=False
    )
    assert np.allclose(whole, resized[0, 0].numpy(), atol=1e-5)
    start = data.draw(st.integers(0, count * patch - 1))
    stop = data.draw(st.integers(start + 1, count * patch))
    lower, upper, share = bilinear_taps(count, patch, start, stop)
    assert (values[lower] * (1 - share) + values[upper] * share == whole[start:stop]).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda: list(tiles(10, 10, 0, 0)),
        lambda: list(tiles(10, 10, 5, -1)),
        lambda: crop_starts(10, 4, 0),
        lambda: crop_starts(10, 4, 5),
        lambda: Lattice(0, 5, 14, 224, 112),
        lambda: Lattice(5, 5, 14, 220, 112),
    ],
)
def test_sizes_out_of_range_are_refused(call):
    with pytest.raises(ValueError, match=r"must be|needs"):
        call()


@given(length=st.integers(1, 5000), zoom=st.floats(1 / 16, 16))
def test_a_zoomed_axis_has_whole_pixels_inside_the_scene(length, zoom):
    count = zoomed(length, zoom)
    assert count >= 1
    assert count == 1 or count / zoom <= length + 1e-3
    assert zoomed(length, 1.0) == length
    assert zoomed(10, 0.3) == 3  # whatever 10 * 0.3 is in binary


def test_resampling_keeps_ramps_and_places():
    row, col = np.meshgrid(np.arange(40.0), np.arange(60.0), indexing="ij")
    image = np.stack([row, col]).astype("float32")
    for zoom in (0.5, 2.0, 2.5):
        shape = round(20 * zoom), round(30 * zoom)
        part = resample(image, (10, 20, 30, 50), shape)
        assert part.shape == (2, *shape)
        # px are cells, compared by their centres
        assert np.allclose(part[0], ((np.arange(shape[0]) + 0.5) / zoom + 9.5)[:, None], atol=1e-3)
        assert np.allclose(part[1], ((np.arange(shape[1]) + 0.5) / zoom + 19.5)[None], atol=1e-3)


def test_a_part_is_resampled_as_the_whole_is():
    image = np.random.default_rng(0).random((3, 40, 50)).astype("float32")
    whole = resample(image, (0, 0, 40, 50), (80, 100))
    assert np.allclose(resample(image, (10, 20, 30, 40), (40, 40)), whole[:, 20:60, 40:80], atol=1e-5)
    assert np.allclose(resample(image, (0, 0, 40, 50), (40, 50)), image, atol=1e-5)
