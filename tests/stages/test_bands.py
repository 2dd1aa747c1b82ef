from __future__ import annotations

import json
import math
import os
from contextlib import suppress

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from lposs_geo.errors import DamagedError, SceneChangedError
from lposs_geo.scene.description import describe
from lposs_geo.scene.reader import open_scene
from lposs_geo.scene.tiled_copy import copy_in_tiles
from lposs_geo.stages import bands, looks
from lposs_geo.stages.band_statistics import spectral_features
from lposs_geo.stages.bands import (
    are_bands_stored,
    band_scale,
    encode_bands,
    missing_band_bytes,
    normalised,
    stored_bands,
)
from lposs_geo.stages.encode import encode_scene
from lposs_geo.stages.features import is_encoded, leave_out_damaged, stored_features
from lposs_geo.stages.looks import looks_at
from lposs_geo.store.journal import open_journal
from lposs_geo.testing.encoders import ColourEncoder
from lposs_geo.testing.rasters import write_part

EVERYTHING = slice(None), slice(None)
RED, GREEN, BLUE, UNDEFINED, ALPHA = (
    ColorInterp.red,
    ColorInterp.green,
    ColorInterp.blue,
    ColorInterp.undefined,
    ColorInterp.alpha,
)


class TwoLookEncoder(ColourEncoder):
    scales = (1.0, 2.0)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "features"


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(looks, "SEGMENT", 5)


def _picture(count=4, rows=150, cols=201, dtype="uint16", seed=0):
    return np.random.default_rng(seed).integers(1, 250, (count, rows, cols)).astype(dtype)


def _look(scene, encoder=None, **options):
    return looks_at((scene.grid.height, scene.grid.width), encoder or ColourEncoder(), **options)[-1]


def _keys(folder):
    """The keys of a journal's records that hold something."""
    lines = [json.loads(line[9:]) for line in (folder / "index.jsonl").read_text().splitlines()]
    return {line["key"]: line["offset"] for line in lines if 0 not in line["shape"]}


def _flip(folder, key):
    """Change a byte of a journal's record."""
    content = bytearray((folder / "records").read_bytes())
    content[_keys(folder)[key]] ^= 1
    (folder / "records").write_bytes(content)


def _stored(scene, folder, **options):
    with open_scene(scene) as reader, open_journal(folder) as journal:
        look = _look(scene, **options)
        encode_bands(reader, look, journal)
        assert are_bands_stored(look, journal)
        return stored_bands(look, journal)[EVERYTHING]


def _by_hand(array, valid, side, shape):
    """Statistics (rows, cols, 2 * bands) by the pixels' centres, no numbers where nothing is valid."""
    found = np.full((*shape, 2 * len(array)), np.nan)
    rows, cols = (np.floor((np.arange(length) + 0.5) / side + 1e-9).astype(int) for length in valid.shape)
    for row in range(shape[0]):
        for col in range(shape[1]):
            own_rows, own_cols = rows == row, cols == col
            if not own_rows.any():
                own_rows[min(int((row + 0.5) * side), len(rows) - 1)] = True
            if not own_cols.any():
                own_cols[min(int((col + 0.5) * side), len(cols) - 1)] = True
            inside = np.ix_(own_rows, own_cols)
            pixels = array[:, *inside][:, valid[inside]].astype(np.float64)
            if pixels.size:
                found[row, col] = np.concatenate([pixels.mean(1), pixels.std(1)])
    return found


@pytest.mark.parametrize("zoom", [1.0, 2.0, 0.5, 1.7, 0.3])
def test_each_patch_holds_mean_and_deviation_of_every_band(write_raster, folder, small_chunks, zoom):
    array = _picture()
    array[:, 40:90, 100:] = 0
    statistics = _stored(describe(write_raster(array, nodata=0)), folder, zoom=zoom)
    wanted = _by_hand(array, (array > 0).any(axis=0), 16 / zoom, statistics.shape[:2])
    assert np.allclose(statistics, wanted, rtol=1e-5, equal_nan=True)


def test_patches_smaller_than_a_pixel_hold_the_nearest_one(write_raster, folder):
    array = _picture(rows=9, cols=13)
    statistics = _stored(describe(write_raster(array)), folder, zoom=20.0)
    assert statistics.shape == (12, 17, 8)
    wanted = _by_hand(array, np.ones((9, 13), bool), 0.8, (12, 17))
    assert np.allclose(statistics, wanted)
    assert not statistics[..., 4:].any()


@pytest.mark.parametrize("encoder", [ColourEncoder(), TwoLookEncoder()])
def test_the_chunks_lie_as_those_of_the_features_do(write_raster, folder, small_chunks, encoder):
    array = _picture(3, 300, 401, "uint8")
    array[:, 100:220, 100:250] = 0
    with open_scene(describe(write_raster(array, nodata=0))) as reader, open_journal(folder) as journal:
        every = looks_at((300, 401), encoder)
        list(encode_scene(reader, encoder, every, journal))
        encode_bands(reader, every[-1], journal)
        assert is_encoded(every, journal)
        features, statistics = stored_features(every, journal)[-1], stored_bands(every[-1], journal)
        assert statistics.shape == (*features.vm.shape[:2], 6)
        # patches that hold valid pixels, or none but a sliver of one
        valid, is_number = features.valid[EVERYTHING], np.isfinite(statistics[EVERYTHING]).all(axis=-1)
        assert (valid >= is_number).all()
        assert is_number.sum() > 0.97 * valid.sum()
        kept = features.vm[EVERYTHING]
    _flip(folder, next(key for key in _keys(folder) if "/bands/" in key))
    with open_journal(folder, check=True) as journal:  # whose damage is none of the features'
        assert not are_bands_stored(every[-1], journal)
        leave_out_damaged(every[-1], journal)
        assert is_encoded(every, journal)
        assert np.array_equal(stored_features(every, journal)[-1].vm[EVERYTHING], kept)


@pytest.mark.parametrize("most", [1, 5000, 1 << 24])
@pytest.mark.parametrize("options", [{}, {"blockysize": 1}, {"tiled": True, "blockxsize": 16, "blockysize": 16}])
def test_numbers_do_not_depend_on_what_is_read_at_once(write_raster, folder, small_chunks, monkeypatch, most, options):
    array = _picture(dtype="float32") / np.float32(7e3)
    scene = describe(write_raster(array, **options))
    whole = _stored(scene, folder / "whole", zoom=1.7)
    monkeypatch.setattr(bands, "MOST_VALUES", most)
    monkeypatch.setattr(bands, "MOST_STATISTICS", most)
    assert np.array_equal(_stored(scene, folder / "parts", zoom=1.7), whole)


def test_a_part_of_a_scene_has_the_numbers_of_the_whole(write_raster, folder, small_chunks):
    scene, window = describe(write_raster(_picture(rows=300, cols=401))), Window(150, 70, 90, 120)
    whole = _stored(scene, folder / "whole")
    part = _stored(scene, folder / "part", window=window)
    inside = slice(70 // 16 - 1, 190 // 16 + 2), slice(150 // 16 - 1, 240 // 16 + 2)
    assert np.array_equal(part[inside], whole[inside])
    is_number = np.isfinite(part).all(axis=-1)
    assert np.array_equal(part[is_number], whole[is_number])
    assert is_number.sum() < is_number.size / 2


def test_alpha_is_no_band(write_raster, folder):
    array = _picture(5, dtype="uint8")
    array[4] = 255
    array[4, :48] = 0
    statistics = _stored(describe(write_raster(array, colorinterp=[RED, GREEN, BLUE, UNDEFINED, ALPHA])), folder)
    wanted = _by_hand(array[:4], array[4] > 0, 16, statistics.shape[:2])
    assert np.allclose(statistics, wanted, rtol=1e-5, equal_nan=True)


def test_bands_of_a_mosaic_are_those_of_its_parts(tmp_path, folder):
    array = _picture(cols=200)
    parts = [write_part(tmp_path / "parts", f"{col}.tif", array[:, :, col : col + 100], 0, col) for col in (0, 100)]
    statistics = _stored(describe(parts), folder)
    assert np.allclose(statistics, _by_hand(array, np.ones((150, 200), bool), 16, (10, 13)), rtol=1e-5)


def test_of_a_copy_the_original_is_read(write_raster, tmp_path, folder):
    scene = describe(write_raster(_picture()))
    copy = copy_in_tiles(scene, tmp_path / "copy.tif")
    assert np.array_equal(_stored(copy, folder / "copy"), _stored(scene, folder / "scene"))


def test_empty_parts_take_no_room(write_raster, folder, small_chunks):
    array = np.zeros((4, 400, 400), "uint16")
    array[:, 10:30, 10:30] = 7
    path = write_raster(array, nodata=0, sparse_ok=True, tiled=True, blockxsize=64, blockysize=64)
    scene = describe(path)
    statistics = _stored(scene, folder)
    assert np.isfinite(statistics).all(axis=-1).sum() == 4
    assert sum("/bands/" in key for key in _keys(folder)) == 1
    with open_journal(folder) as journal:
        assert missing_band_bytes(_look(scene), journal, 4) == 0


def test_progress_counts_rows_of_chunks(write_raster, folder):
    scene, steps = describe(write_raster(_picture())), []
    with open_scene(scene) as reader, open_journal(folder) as journal:
        encode_bands(reader, _look(scene), journal, lambda done, total: steps.append((done, total)))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_encoding_goes_on_where_it_was_cut_off(write_raster, folder, small_chunks, rows):
    scene = describe(write_raster(_picture()))
    whole, look = _stored(scene, folder / "whole"), _look(scene)
    with open_scene(scene) as reader, open_journal(folder / "cut") as journal:
        assert missing_band_bytes(look, journal, 4) == whole.nbytes
        assert not are_bands_stored(look, journal)

        def cut(done, total):
            if done > rows:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            encode_bands(reader, look, journal, cut)
        assert not are_bands_stored(look, journal)
        assert 0 < missing_band_bytes(look, journal, 4) < whole.nbytes
        size = (folder / "cut" / "records").stat().st_size
    with (folder / "cut" / "records").open("r+b") as records:  # and what was written last is lost
        records.truncate(size - 100)
    steps = []
    with open_scene(scene) as reader, open_journal(folder / "cut") as journal:
        encode_bands(reader, look, journal, lambda done, total: steps.append(done))
        assert np.array_equal(stored_bands(look, journal)[EVERYTHING], whole)
    assert steps == list(range(rows + 1, 5))


@pytest.mark.parametrize(
    ("key", "most"),  # and px that may be read again: those of the chunk, or of all in the journal's last row
    [("0/band_numbers", 0), ("0/bands/0/1", 32 * 80), ("0/bands/2/0", 32 * 80), ("0/bands/3/2", 54 * 201)],
)
def test_a_damaged_chunk_is_made_again_and_no_other(write_raster, folder, small_chunks, key, most):
    scene = describe(write_raster(_picture()))
    whole, look, read = _stored(scene, folder), _look(scene), []
    _flip(folder, key)
    with open_scene(scene) as reader, open_journal(folder) as journal:
        with pytest.raises(DamagedError):
            stored_bands(look, journal)[EVERYTHING]
        assert journal.damaged == {key}
        assert not are_bands_stored(look, journal)
        handle = reader._handle
        reader._handle = _Noting(handle, read)
        encode_bands(reader, look, journal)
        assert sum(window.height * window.width for window in read) <= most
        assert np.array_equal(stored_bands(look, journal)[EVERYTHING], whole)
    assert np.array_equal(_stored(scene, folder), whole)


class _Noting:
    """A handle that notes which windows are read in all bands."""

    def __init__(self, handle, read):
        self._handle, self._read = handle, read

    def __getattr__(self, name):
        return getattr(self._handle, name)

    def load_bands(self, layers, numbers, window):
        self._read.append(window)
        return self._handle.load_bands(layers, numbers, window)


def test_bands_from_a_torn_journal_are_those_of_a_sound_one(write_raster, folder, small_chunks):
    array = _picture(rows=120, cols=130)
    array[:, :30, :40] = 0
    scene, rng = describe(write_raster(array, nodata=0)), np.random.default_rng(0)
    look, whole = _look(scene), _stored(scene, folder)
    for round_ in range(60):
        torn = folder / ("records" if round_ % 3 == 0 else "index.jsonl")
        content = bytearray(torn.read_bytes())
        where = int(rng.integers(len(content)))
        if rng.integers(4):
            content[where] ^= 1 << int(rng.integers(8))
        else:
            del content[where:]
        torn.write_bytes(content)
        with open_scene(scene) as reader, open_journal(folder) as journal:
            for _ in range(2):
                with suppress(DamagedError):
                    encode_bands(reader, look, journal)
                    again = stored_bands(look, journal)[EVERYTHING]
                    break
        assert np.array_equal(again, whole, equal_nan=True)


def _spoilt(write_raster, row):
    """A scene, how to let its rows from one on be such as can't be read, which nothing tells, and how to mend it."""
    path = write_raster(_picture(rows=400), blockysize=1, compress="deflate", interleave="pixel")
    sound, found = path.read_bytes(), path.stat()
    scene = describe(path)
    with rasterio.open(path) as dataset:
        offset = int(dataset.get_tag_item(f"BLOCK_OFFSET_0_{row}", "TIFF", bidx=1))

    def put(content):
        path.write_bytes(content)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    return scene, lambda: put(sound[:offset].ljust(len(sound), b"\0")), lambda: put(sound)


def test_what_cannot_be_read_is_said_and_tried_again_by_the_next_run(write_raster, folder, monkeypatch, caplog):
    monkeypatch.setattr(bands, "LEAST_SIDE", 1)
    scene, spoil, mend = _spoilt(write_raster, 201)
    spoil()
    look = _look(scene)
    with caplog.at_level("WARNING", "lposs_geo"), open_scene(scene) as reader, open_journal(folder) as journal:
        encode_bands(reader, look, journal)
        assert "damaged" in caplog.text
        assert "taken for empty" in caplog.text
        assert not are_bands_stored(look, journal)
        is_number = np.isfinite(stored_bands(look, journal)[EVERYTHING]).all(axis=-1)
        assert is_number[:12].all()
        assert not is_number[12:].any()
    mend()
    assert np.array_equal(_stored(scene, folder), _stored(scene, folder / "sound"))


def test_a_damaged_chunk_of_what_cannot_be_read_now_waits_for_a_run_that_can(write_raster, folder, small_chunks):
    scene, spoil, mend = _spoilt(write_raster, 20)
    whole, look = _stored(scene, folder), _look(scene)
    _flip(folder, "0/bands/0/1")
    spoil()
    with open_scene(scene) as reader, open_journal(folder, check=True) as journal:
        assert journal.damaged == {"0/bands/0/1"}
        encode_bands(reader, look, journal)
        assert "0/bands/0/1" not in journal
        assert not are_bands_stored(look, journal)
        statistics = stored_bands(look, journal)[EVERYTHING]
        is_number = np.isfinite(statistics)
        assert 0 < (~is_number).sum() <= 2 * 5 * 8
        assert np.array_equal(statistics[is_number], whole[is_number])
    mend()
    with open_scene(scene) as reader, open_journal(folder, check=True) as journal:
        encode_bands(reader, look, journal)
        assert np.array_equal(stored_bands(look, journal)[EVERYTHING], whole)


def test_nothing_is_kept_that_was_read_after_the_scene_was_changed(write_raster, folder):
    array = _picture()
    scene = describe(write_raster(array))
    with open_scene(scene) as reader, open_journal(folder) as journal:
        write_raster(array + 1)
        with pytest.raises(SceneChangedError, match=r"scene\.tif' was changed"):
            encode_bands(reader, _look(scene), journal)
        assert len(journal) == 1  # the bands' numbers


def test_the_scale_is_that_of_all_valid_patches(write_raster, folder, small_chunks):
    array = _picture(dtype="float32") + np.arange(201, dtype="float32")
    array[:, :, :40] = -9999
    array[3, :, 60:90] = -9999  # a band that isn't shown
    scene = describe(write_raster(array, nodata=-9999))
    statistics, look = _stored(scene, folder), _look(scene)
    valid = np.isfinite(statistics).any(axis=-1)
    with open_journal(folder) as journal:
        mean, std = band_scale(look, journal, valid)
        kept = len(journal)
        again = band_scale(look, journal, valid)
        assert len(journal) == kept
        assert all(np.array_equal(one, other) for one, other in zip((mean, std), again, strict=True))
        band_scale(look, journal, valid & (np.arange(13) > 5))
        assert len(journal) == kept + 1
    numbers = statistics[valid].astype(np.float64)
    assert np.isnan(numbers).any()
    features = spectral_features(numbers, np.nanmean(numbers, axis=0))
    assert np.allclose(mean, np.nanmean(features, axis=0), rtol=1e-9)
    assert np.allclose(std, np.nanstd(features, axis=0), rtol=1e-9)
    shown = normalised(statistics, mean, std)
    assert shown.shape == (10, 13, 8 + math.comb(4, 2))
    assert np.isfinite(shown).all()
    assert np.abs(shown[valid].mean(axis=0)).max() < 0.1


def test_the_scale_is_made_anew_when_a_chunk_is_another(write_raster, folder, small_chunks):
    scene = describe(write_raster(_picture()))
    statistics, look = _stored(scene, folder), _look(scene)
    valid = np.ones(statistics.shape[:2], bool)
    with open_journal(folder) as journal:
        mean, _ = band_scale(look, journal, valid)
        key = look.chunk_key("bands", 1, 1)
        chunk = journal.read(key)
        journal.append(key, chunk + 1000)
        other, _ = band_scale(look, journal, valid)
        assert not np.allclose(mean, other)
        journal.append(key, chunk)
        assert np.array_equal(band_scale(look, journal, valid)[0], mean)


def test_a_damaged_scale_is_made_again(write_raster, folder, small_chunks):
    scene = describe(write_raster(_picture()))
    look, valid = _look(scene), np.ones(_stored(scene, folder).shape[:2], bool)
    with open_journal(folder) as journal:
        before = band_scale(look, journal, valid)
    _flip(folder, next(key for key in _keys(folder) if "band_scale" in key))
    with open_journal(folder) as journal:
        with pytest.raises(DamagedError):
            band_scale(look, journal, valid)
        assert are_bands_stored(look, journal)
        assert np.array_equal(band_scale(look, journal, valid), before)


def test_a_scene_without_a_valid_patch_has_a_scale(write_raster, folder):
    scene = describe(write_raster(_picture()))
    statistics, look = _stored(scene, folder), _look(scene)
    with open_journal(folder) as journal:
        mean, std = band_scale(look, journal, np.zeros(statistics.shape[:2], bool))
    assert not mean.any()
    assert not std.any()
    assert not normalised(statistics, mean, std).any()
