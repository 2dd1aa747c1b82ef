from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pytest
import rasterio
import torch
from rasterio.windows import Window

from lposs_geo.errors import DamagedError, SceneChangedError
from lposs_geo.scene.description import describe
from lposs_geo.scene.reader import SceneReader, open_scene
from lposs_geo.stages import encode as encoding
from lposs_geo.stages import looks
from lposs_geo.stages.encode import encode_image, encode_scene
from lposs_geo.stages.features import has_features, is_encoded, missing_bytes, stored_features
from lposs_geo.stages.looks import looks_at
from lposs_geo.store.journal import open_journal
from lposs_geo.testing.encoders import ColourEncoder
from lposs_geo.tiling import Lattice

EVERYTHING = slice(None), slice(None)


class CountingEncoder(ColourEncoder):
    def __init__(self) -> None:
        self.crops = 0

    def patch_features(self, images):
        self.crops += len(images)
        return super().patch_features(images)


class SmallMemoryEncoder(CountingEncoder):
    """Has room for three crops at once."""

    def patch_features(self, images):
        if len(images) > 3:
            torch.empty(1 << 58)
        return super().patch_features(images)


class TwoLookEncoder(ColourEncoder):
    scales = (1.0, 2.0)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "features"


@dataclass(frozen=True)
class Arrays:
    """What `stored_features` gives for one look, in memory."""

    lattice: Lattice
    vlm: np.ndarray
    vm: np.ndarray
    valid: np.ndarray
    zoom: float
    patch_size: float


def _looks_at(reader, encoder, **options):
    return looks_at((reader.scene.grid.height, reader.scene.grid.width), encoder, **options)


def _encode_all(path, encoder, folder, progress=None, **options):
    with open_scene(describe(path)) as reader, open_journal(folder) as journal:
        every = _looks_at(reader, encoder, **options)
        for step in encode_scene(reader, encoder, every, journal):
            if progress:
                progress(step)
        return [
            Arrays(f.lattice, f.vlm[EVERYTHING], f.vm[EVERYTHING], f.valid[EVERYTHING], f.zoom, f.patch_size)
            for f in stored_features(every, journal)
        ]


def _encode(path, folder, encoder=None, **options):
    (features,) = _encode_all(path, encoder or ColourEncoder(), folder, **options)
    return features


def _pools(array: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """Mean colour of each whole patch, normalised: what the encoder gives for it in any crop."""
    whole = array[:, : rows * 16, : cols * 16] / 255
    mean = whole.reshape(3, rows, 16, cols, 16).mean((2, 4)).transpose(1, 2, 0)
    return mean / np.linalg.norm(mean, axis=-1, keepdims=True)


def test_each_place_holds_the_mean_over_the_crops_that_cover_it(write_raster, folder):
    array = np.random.default_rng(0).integers(1, 255, (3, 150, 201)).astype("uint8")
    features = _encode(write_raster(array), folder)
    assert features.vlm.shape == (10, 13, 3)
    assert features.vlm.dtype == np.float16
    assert features.valid.all()
    # all crops agree on a whole patch, so their mean is the patch's own feature
    assert np.allclose(features.vlm[:9, :12], _pools(array, 9, 12), atol=2e-3)
    assert np.allclose(features.vm, features.vlm)


def test_crops_without_data_never_reach_the_encoder(write_raster, folder):
    array = np.zeros((3, 320, 320), dtype="uint8")
    array[:, 200:230, 200:230] = 99
    encoder = CountingEncoder()
    features = _encode(write_raster(array, nodata=0), folder, encoder)
    assert encoder.crops == 9  # of 81: those that reach into rows and columns 200 to 229
    assert features.valid.sum() == 9
    assert features.valid[12:15, 12:15].all()
    assert (features.vlm[~features.valid] == 0).all()
    # pixels without data are shown in the mean colour of the valid ones: here all grey
    assert np.allclose(features.vlm[features.valid], 3**-0.5, atol=1e-3)


@pytest.mark.parametrize(("rows", "cols"), [(2, 3), (64, 64), (65, 16), (63, 500)])
def test_scenes_of_any_size(write_raster, folder, rows, cols):
    array = np.random.default_rng(1).integers(1, 255, (3, rows, cols)).astype("uint8")
    features = _encode(write_raster(array), folder)
    lattice = features.lattice
    assert features.vlm.shape[:2] == (lattice.rows, lattice.cols)
    inside = features.valid[: -(-rows // 16), : -(-cols // 16)]
    assert inside.all()
    assert features.valid.sum() == inside.size
    assert np.isfinite(features.vlm).all()


@pytest.mark.parametrize("shape", [(20, 300), (300, 20), (33, 40)])
def test_crops_of_a_narrow_scene_are_as_narrow_as_it_is(shape):
    seen = []

    class Watching(ColourEncoder):
        def patch_features(self, images):
            seen.extend(tuple(image.shape[1:]) for image in images)
            return super().patch_features(images)

    encoder = Watching()
    image = np.random.default_rng(0).random((3, *shape), dtype=np.float32)
    features = encode_image(image, encoder)[-1]
    patch = encoder.patch_size
    assert set(seen) == {tuple(min(encoder.crop_size, -(-length // patch) * patch) for length in shape)}
    assert features.valid.shape == tuple(-(-length // patch) for length in shape)
    assert features.valid.all()


def test_progress_counts_up_to_all_crops_and_rows(write_raster, folder):
    steps = []
    _encode(write_raster(np.full((3, 150, 201), 9, dtype="uint8")), folder, progress=steps.append)
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[-1].done == steps[-1].total == 4 * 6
    assert [step.rows for step in steps] == sorted(step.rows for step in steps)
    # crops of 64 px every 32: each row of them completes 32 px rows
    assert [step.rows for step in steps] == [32, 64, 96, np.inf, np.inf]


def test_each_look_has_a_lattice_of_its_own_and_one_progress_counts_them_all(write_raster, folder):
    array = np.random.default_rng(0).integers(1, 255, (3, 150, 201)).astype("uint8")
    path, steps = write_raster(array), []
    looks = _encode_all(path, TwoLookEncoder(), folder, progress=steps.append)
    assert [look.patch_size for look in looks] == [16, 8]
    assert [look.vlm.shape for look in looks] == [(10, 13, 3), (19, 26, 3)]
    assert all(look.valid.all() for look in looks)
    assert np.array_equal(looks[0].vlm, _encode(path, folder / "alone").vlm)
    assert not looks[0].vm.any()  # only the finest look's are of use
    # twice as large, a patch is a quarter of what it was: four of the second look make one of the first
    fine = looks[1].vlm[:18, :24].astype(float).reshape(9, 2, 12, 2, 3).mean((1, 3))
    assert np.allclose(fine / np.linalg.norm(fine, axis=-1, keepdims=True), _pools(array, 9, 12), atol=0.05)
    assert steps[-1].done == steps[-1].total == 4 * 6 + 9 * 12
    # both looks go down the scene together
    assert [step.rows for step in steps] == sorted(step.rows for step in steps)


@pytest.mark.parametrize("zoom", [1.0, 0.5, 1.7])
def test_a_picture_in_memory_is_encoded_as_its_file_is(write_raster, folder, zoom):
    array = np.random.default_rng(3).integers(1, 255, (3, 150, 201)).astype("uint8")
    from_file = _encode_all(write_raster(array), TwoLookEncoder(), folder, zoom=zoom)
    in_memory = encode_image(array.astype("float32") / 255, TwoLookEncoder(), zoom=zoom)
    for one, other in zip(from_file, in_memory, strict=True):
        assert one.lattice == other.lattice
        assert one.zoom == other.zoom
        assert np.allclose(one.vlm, other.vlm, atol=2e-3)
        assert np.array_equal(one.valid, other.valid)


def test_a_scene_without_data_has_no_features(write_raster, folder):
    path = write_raster(np.ones((3, 80, 80), dtype="uint8"))
    with open_scene(describe(path)) as reader, open_journal(folder) as journal:
        empty = SceneReader(reader.scene, _WithoutData(reader.dataset))
        *_, last = encode_scene(empty, ColourEncoder(), _looks_at(empty, ColourEncoder()), journal)
        assert last.rows == np.inf
        assert not has_features(journal)


class _WithoutData:
    """A dataset of which nothing is valid."""

    def __init__(self, dataset):
        self._dataset = dataset

    def __getattr__(self, name):
        return getattr(self._dataset, name)

    @property
    def mask_flag_enums(self):
        return [[]] * 3

    def read_masks(self, bands, out_shape, **_):
        return np.zeros(out_shape, "uint8")


@pytest.mark.parametrize("encoder", [CountingEncoder, TwoLookEncoder])
@pytest.mark.parametrize("steps", [1, 4, 11])
def test_encoding_goes_on_where_it_was_cut_off(write_raster, folder, monkeypatch, encoder, steps):
    monkeypatch.setattr(encoding, "BATCH_SIZE", 4)
    monkeypatch.setattr(looks, "SEGMENT", 5)
    array = np.random.default_rng(0).integers(1, 255, (3, 250, 201)).astype("uint8")
    path = write_raster(array)
    whole = _encode_all(path, encoder(), folder / "whole")
    shape = array.shape[1:]
    with open_scene(describe(path)) as reader, open_journal(folder / "cut") as journal:
        begun = encode_scene(reader, encoder(), _looks_at(reader, encoder()), journal)
        for _ in range(steps):
            next(begun)
        begun.close()
        assert not is_encoded(looks_at(shape, encoder()), journal)
    again = _encode_all(path, encoder(), folder / "cut")
    for one, other in zip(whole, again, strict=True):
        assert np.array_equal(one.vlm, other.vlm)
        assert np.array_equal(one.vm, other.vm)
    with open_journal(folder / "cut") as journal:
        assert is_encoded(looks_at(shape, encoder()), journal)
    counting = CountingEncoder()
    _encode_all(path, counting if encoder is CountingEncoder else encoder(), folder / "cut")
    assert counting.crops == 0


def test_a_part_of_a_scene_has_the_features_of_the_whole(write_raster, folder):
    array = np.random.default_rng(0).integers(1, 255, (3, 300, 401)).astype("uint8")
    path, window = write_raster(array), Window(150, 70, 90, 120)
    whole = _encode_all(path, TwoLookEncoder(), folder / "whole")
    part = _encode_all(path, TwoLookEncoder(), folder / "part", window=window)
    for one, other in zip(whole, part, strict=True):
        rows = slice(int(70 // one.patch_size) - 1, int(190 // one.patch_size) + 2)
        cols = slice(int(150 // one.patch_size) - 1, int(240 // one.patch_size) + 2)
        assert np.array_equal(one.vlm[rows, cols], other.vlm[rows, cols])
        assert np.array_equal(one.vm[rows, cols], other.vm[rows, cols])
        assert other.valid[rows, cols].all()
        assert not other.valid.all()


def test_batches_are_halved_until_they_fit_into_memory(write_raster, folder, caplog):
    array = np.random.default_rng(0).integers(1, 255, (3, 150, 201)).astype("uint8")
    path, small = write_raster(array), SmallMemoryEncoder()
    with caplog.at_level("WARNING", "lposs_geo"):
        found = _encode(path, folder / "small", small)
    assert np.array_equal(found.vlm, _encode(path, folder / "large").vlm)
    assert small.crops == 4 * 6
    assert [r.getMessage().split()[-2] for r in caplog.records] == ["8", "4", "2"]


def test_what_cannot_be_read_is_said_and_tried_again_by_the_next_run(write_raster, folder, caplog):
    array = np.random.default_rng(0).integers(1, 255, (3, 400, 201)).astype("uint8")
    path = write_raster(array, blockysize=1, compress="deflate")
    sound, found = path.read_bytes(), path.stat()
    scene = describe(path)
    with rasterio.open(path) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_0_200", "TIFF", bidx=1))
    # the rows from 200 on can't be read, and nothing tells it, as of a disk that wears out
    path.write_bytes(sound[:offset].ljust(len(sound), b"\0"))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    with caplog.at_level("WARNING", "lposs_geo"), open_scene(scene) as reader, open_journal(folder) as journal:
        list(encode_scene(reader, ColourEncoder(), _looks_at(reader, ColourEncoder()), journal))
        assert "damaged" in caplog.text
        assert not is_encoded(looks_at((400, 201), ColourEncoder()), journal)
        (features,) = stored_features(looks_at((400, 201), ColourEncoder()), journal)
        assert features.valid[slice(0, 10), slice(None)].all()
        assert not features.valid[slice(14, None), slice(None)].any()
    path.write_bytes(sound)
    assert np.array_equal(_encode(path, folder).vlm, _encode(path, folder / "sound").vlm)


@pytest.mark.parametrize("steps", [0, 1, 4, 9])
def test_nothing_is_kept_that_was_read_after_the_scene_was_changed(write_raster, folder, monkeypatch, steps):
    monkeypatch.setattr(encoding, "BATCH_SIZE", 4)
    monkeypatch.setattr(looks, "SEGMENT", 5)
    array = np.random.default_rng(0).integers(1, 255, (3, 250, 201)).astype("uint8")
    path = write_raster(array)
    sound, found = path.read_bytes(), path.stat()
    whole = _encode(path, folder / "whole")
    scene = describe(path)
    with open_journal(folder / "kept") as journal, open_scene(scene) as reader:
        begun = encode_scene(reader, ColourEncoder(), _looks_at(reader, ColourEncoder()), journal)
        for _ in range(steps):
            next(begun)
        write_raster(255 - array)
        before = len(journal)
        with pytest.raises(SceneChangedError, match=r"scene\.tif' was changed while it was being mapped"):
            list(begun)
        assert len(journal) == before
    path.write_bytes(sound)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    again = _encode(path, folder / "kept")
    assert np.array_equal(again.vlm, whole.vlm)
    assert np.array_equal(again.valid, whole.valid)


def test_features_from_a_torn_journal_are_those_of_a_sound_one(write_raster, folder, monkeypatch):
    monkeypatch.setattr(looks, "SEGMENT", 5)
    array = np.random.default_rng(0).integers(1, 255, (3, 120, 130)).astype("uint8")
    array[:, :30, :40] = 0
    scene, encoder, rng = describe(write_raster(array, nodata=0)), CountingEncoder(), np.random.default_rng(0)

    def encode():
        with open_scene(scene) as reader, open_journal(folder) as journal:
            while True:
                with suppress(DamagedError):
                    list(encode_scene(reader, encoder, _looks_at(reader, encoder), journal))
                    (found,) = stored_features(looks_at((120, 130), encoder), journal)
                    return found.vlm[EVERYTHING], found.vm[EVERYTHING], found.valid[EVERYTHING]

    whole, again = encode(), []
    for round_ in range(120):
        torn = folder / ("records" if round_ % 3 == 0 else "index.jsonl")
        content = bytearray(torn.read_bytes())
        where = int(rng.integers(len(content)))
        if rng.integers(4):
            content[where] ^= 1 << int(rng.integers(8))
        else:
            del content[where:]
        torn.write_bytes(content)
        encoder.crops = 0
        for one, other in zip(encode(), whole, strict=True):
            assert np.array_equal(one, other)
        again.append(encoder.crops)
    assert 0 == min(again) < max(again) <= 2 * 12


def _flip(folder, share):
    """Change a byte of the record that lies so far down a journal; its key."""
    lines = [json.loads(line[9:]) for line in (folder / "index.jsonl").read_text().splitlines()]
    filled = [line for line in lines if 0 not in line["shape"]]
    record = filled[int(share * len(filled))]
    content = bytearray((folder / "records").read_bytes())
    content[record["offset"]] ^= 1
    (folder / "records").write_bytes(content)
    return record["key"]


@pytest.mark.parametrize("encoder", [CountingEncoder, TwoLookEncoder])
def test_damaged_features_are_encoded_again_and_no_others(write_raster, folder, monkeypatch, encoder):
    monkeypatch.setattr(looks, "SEGMENT", 5)
    array = np.random.default_rng(0).integers(1, 255, (3, 400, 201)).astype("uint8")
    path, counting, shape = write_raster(array), encoder(), array.shape[1:]
    whole = _encode_all(path, counting, folder)
    size = (folder / "records").stat().st_size
    for share in (0.0, 0.3, 0.6, 0.99):
        key = _flip(folder, share)
        with open_journal(folder) as journal:
            assert is_encoded(looks_at(shape, counting), journal)  # nobody has looked at it yet
            with pytest.raises(DamagedError):
                for look in stored_features(looks_at(shape, counting), journal):
                    _ = look.vlm[EVERYTHING], look.vm[EVERYTHING], look.valid[EVERYTHING]
            is_widths = key == "widths"
            assert journal.damaged == {key}
            assert is_widths or 0 < missing_bytes(looks_at(shape, counting), journal, 3) < size / 2
            if isinstance(counting, CountingEncoder):
                counting.crops = 0
            with open_scene(describe(path)) as reader:
                steps = list(encode_scene(reader, counting, _looks_at(reader, counting), journal))
            assert (steps[-1].done, steps[-1].rows) == (steps[-1].total, np.inf)
            if isinstance(counting, CountingEncoder) and not is_widths:
                assert counting.crops <= 3 * 6  # of 12 rows of crops the damaged one, and those that reach into it
            assert is_encoded(looks_at(shape, counting), journal)
            for one, other in zip(whole, stored_features(looks_at(shape, counting), journal), strict=True):
                for name in ("vlm", "vm", "valid"):
                    assert np.array_equal(getattr(one, name), getattr(other, name)[EVERYTHING])
        for one, other in zip(whole, _encode_all(path, encoder(), folder), strict=True):
            assert np.array_equal(one.vlm, other.vlm)


@pytest.mark.parametrize("share", [0.2, 0.23, 0.26, 0.29])
def test_damaged_features_of_what_cannot_be_read_now_wait_for_a_run_that_can(write_raster, folder, monkeypatch, share):
    monkeypatch.setattr(looks, "SEGMENT", 5)
    array = np.random.default_rng(0).integers(1, 255, (3, 150, 201)).astype("uint8")
    path = write_raster(array, blockysize=1, compress="deflate")
    whole = _encode(path, folder)
    sound, status = path.read_bytes(), path.stat()
    scene = describe(path)
    _flip(folder, share)
    with rasterio.open(path) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_0_20", "TIFF", bidx=1))
    path.write_bytes(sound[:offset].ljust(len(sound), b"\0"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with open_scene(scene) as reader, open_journal(folder, check=True) as journal:
        assert journal.damaged
        list(encode_scene(reader, ColourEncoder(), _looks_at(reader, ColourEncoder()), journal))
        assert not is_encoded(looks_at((150, 201), ColourEncoder()), journal)
        (features,) = stored_features(looks_at((150, 201), ColourEncoder()), journal)
        valid = features.valid[EVERYTHING]
        assert not valid.all()
        for one, other in ((features.vlm, whole.vlm), (features.vm, whole.vm)):
            assert np.array_equal(one[EVERYTHING], other * valid[:, :, None])
    path.write_bytes(sound)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with open_journal(folder, check=True) as journal, open_scene(scene) as reader:
        list(encode_scene(reader, ColourEncoder(), _looks_at(reader, ColourEncoder()), journal))
    assert np.array_equal(_encode(path, folder).vlm, whole.vlm)
