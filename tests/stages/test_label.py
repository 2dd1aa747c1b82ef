from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from rasterio.windows import Window

from lposs_geo.errors import OutputError, SceneChangedError, SceneError
from lposs_geo.memory import Budget
from lposs_geo.progress import Progress
from lposs_geo.scene.description import describe
from lposs_geo.scene.reader import SceneReader, open_scene
from lposs_geo.stages import label as labelling
from lposs_geo.stages.features import is_encoded
from lposs_geo.stages.label import finished_tile, label_scene
from lposs_geo.stages.propagate import SCENE_PARAMETERS
from lposs_geo.stages.task import Task, Words, plan_tiles
from lposs_geo.store.journal import open_journal
from lposs_geo.testing.encoders import ColourEncoder
from lposs_geo.testing.rasters import write_vrt

WHOLE = Window(0, 0, 201, 150)


class SharpEncoder(ColourEncoder):
    """Few patches need few neighbours, or all of them agree."""

    n_neighbors, gamma = 8, 24.0


def _task(**options) -> Task:
    encoder = SharpEncoder()
    area, tile_size = options.pop("area", WHOLE), options.pop("tile_size", 80)
    words = options.pop("words", ["red", "green", "blue"])
    text = encoder.text_embeddings([[word] for word in words])
    budget, refine = Budget(), options.pop("refine", True)
    plan = plan_tiles((150, 201), area, len(words), tile_size, refine, budget)
    embedded = Words(text, options.pop("rivals", ()))
    return Task(encoder, embedded, 1.0, area, plan, refine, budget, **options)


def _layers(scene, task, folder, report=lambda *_: None):
    with open_journal(folder / "store") as store, open_journal(folder / "run") as journal:
        progress = Progress(report)
        failed = label_scene(task, scene, store, journal, progress)
        layers = np.full((task.num_layers, 150, 201), 255, np.uint8)
        for tile in task.plan:
            found = finished_tile(journal, tile)
            if found is not None:
                layers[:, *tile.core.toslices()] = found
    return layers, failed, progress


def _label(scene, task, folder, report=lambda *_: None):
    layers, failed, progress = _layers(scene, task, folder, report)
    return layers[0], failed, progress


@pytest.fixture
def scene(write_raster):
    """Red and blue fields with a green stripe, and a corner that holds no data."""
    array = np.random.default_rng(0).integers(1, 60, (3, 150, 201)).astype("uint8")
    array[0, :, :97] += 150
    array[1, :, 97:137] += 150
    array[2, :, 137:] += 150
    array[:, :20, :30] = 0
    return describe(write_raster(array, nodata=0))


def test_tiles_read_the_halo_that_makes_them_exact():
    # 12 steps of 6 px from an even start, and 6 more that scale the farthest; test_graph.py shows that it suffices
    area = Window(0, 0, 1000, 1000)
    plan = plan_tiles((1000, 1000), area, 3, 300, True, Budget())
    assert plan[5].core == Window(300, 300, 300, 300)
    assert plan[5].padded == Window(222, 222, 456, 456)
    assert plan_tiles((1000, 1000), area, 3, 300, False, Budget())[5].padded == Window(300, 300, 300, 300)
    part = plan_tiles((1000, 1000), Window(150, 10, 500, 90), 3, None, True, Budget())
    assert [(tile.core, tile.padded) for tile in part] == [(Window(150, 10, 500, 90), Window(72, 0, 656, 178))]


def test_more_classes_and_less_memory_make_smaller_tiles():
    area = Window(0, 0, 1200, 1200)
    few, many, little = (
        plan_tiles((1200, 1200), area, classes, None, True, Budget(memory))
        for classes, memory in ((3, 4 * 10**9), (200, 4 * 10**9), (3, 10**9))
    )
    assert len(few) < len(many)
    assert len(few) < len(little)
    assert {tile.core.width for tile in few} == {1200 // len(few) ** 0.5}  # few of them are evened out


def test_scenes_are_labelled_where_they_hold_data(scene, tmp_path):
    labels, failed, clock = _label(scene, _task(), tmp_path)
    assert not failed
    assert list(clock.seconds) == ["encode", "propagate", "refine"]
    assert (labels[:20, :30] == 255).all()
    truth = np.ones_like(labels)
    truth[:, 97:137], truth[:, 137:], truth[:20, :30] = 2, 3, 255
    assert (labels == truth).mean() > 0.99


def test_confidence_is_the_share_of_the_class_in_all_scores(scene, tmp_path):
    layers, _, _ = _layers(scene, _task(keep_probabilities=True), tmp_path)
    labels, confidence, shares = layers[0], layers[1], layers[2:].astype(int)
    missing = labels == 255
    assert (layers[:, missing] == 255).all()
    assert not (layers[:, ~missing] == 255).any()
    assert np.abs(shares.sum(axis=0)[~missing] - 100).max() <= 2  # each is rounded
    assert np.array_equal(shares.argmax(axis=0)[~missing] + 1, labels[~missing])
    assert np.array_equal(shares.max(axis=0)[~missing], confidence[~missing])
    inside, border = confidence[60:90, 20:70], confidence[60:90, 95:99]
    assert inside.mean() > border.mean() + 5


def test_where_a_negative_beats_its_class_the_class_is_not_given(scene, tmp_path):
    plain, _, _ = _label(scene, _task(), tmp_path / "plain")
    # the green stripe is what looks like "blue" and isn't
    words, rivals = ["red", "blue", "green"], [[1]]
    labels, _, _ = _label(scene, _task(words=words, rivals=rivals, keep_probabilities=True), tmp_path / "negative")
    stripe = plain == 2
    assert (labels[stripe] == 1).mean() > 0.99
    assert (labels[plain == 1] == 1).mean() > 0.99
    assert (labels[plain == 3] == 2).mean() > 0.99


def test_a_negative_changes_nothing_but_where_it_beats_its_class(scene, tmp_path):
    plain, _, _ = _layers(scene, _task(keep_probabilities=True), tmp_path / "plain")
    for number, word in enumerate(["red", "green", "blue", "red"]):
        owner = number % 3
        task = _task(words=["red", "green", "blue", word], rivals=((owner,),), keep_probabilities=True)
        layers, _, _ = _layers(scene, task, tmp_path / str(number))
        others = plain[0] != owner + 1
        assert np.array_equal(layers[0, others], plain[0, others])
        assert not ((layers[0] == owner + 1) & others).any()
        assert np.abs(layers[2:].astype(int) - plain[2:]).max() <= 1  # all probabilities, up to their rounding


def test_a_pixel_that_no_class_may_have_is_unknown(scene, tmp_path):
    layers, _, _ = _layers(scene, _task(words=["blue", "red"], rivals=((0,),), keep_probabilities=True), tmp_path)
    red = np.zeros((150, 201), bool)
    red[20:, :90] = True
    assert (layers[0][red] == 0).mean() > 0.99
    assert (layers[1][red & (layers[0] == 0)] == 0).all()
    assert (layers[0][:, 150:] == 1).all()


def test_nothing_outside_the_area_of_interest_is_labelled(scene, tmp_path):
    def inside(window):
        rows, cols = np.ogrid[window.toslices()]
        return (rows - 75) ** 2 + (cols - 60) ** 2 < 40**2

    read = []
    whole, _, _ = _label(scene, _task(tile_size=40), tmp_path / "whole")
    labels, _, _ = _label(
        scene, _task(tile_size=40, inside=inside), tmp_path / "part", lambda stage, *_: read.append(stage)
    )
    circle = inside(WHOLE)
    assert np.array_equal(labels[circle], whole[circle])
    assert (labels[~circle] == 255).all()


def test_what_is_finished_is_not_done_again(scene, tmp_path):
    seen = []

    def stop_after(tiles):
        def report(stage, done, total):
            if stage == "refine":
                seen.append(done)
                if len(seen) == tiles:
                    raise KeyboardInterrupt

        return report

    for tiles in (1, 4):
        with pytest.raises(KeyboardInterrupt):
            _label(scene, _task(), tmp_path / "cut", stop_after(tiles))
    labels, _, _ = _label(scene, _task(), tmp_path / "cut", stop_after(99))
    assert seen == [1, 2, 3, 4, 5, 6]
    assert np.array_equal(labels, _label(scene, _task(), tmp_path / "whole")[0])
    stages = []
    _label(scene, _task(), tmp_path / "cut", lambda stage, *_: stages.append(stage))
    assert stages == []


def test_a_tile_that_does_not_fit_into_memory_is_quartered(scene, tmp_path, monkeypatch, caplog):
    sample = labelling.sample_scores

    def small_memory(scores, features, window, device):
        if window.width > 80:
            torch.empty(1 << 58)
        return sample(scores, features, window, device)

    expected, _, _ = _label(scene, _task(tile_size=150, refine=False), tmp_path / "large")
    monkeypatch.setattr(labelling, "sample_scores", small_memory)
    with caplog.at_level("WARNING", "lposs_geo"):
        labels, failed, _ = _label(scene, _task(tile_size=150, refine=False), tmp_path / "small")
    assert not failed
    assert "quarters" in caplog.text
    assert np.array_equal(labels, expected)


def test_a_memory_that_is_full_at_any_size_is_an_error(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(labelling.lposs, "refine", lambda *_, **__: torch.empty(1 << 58))
    with pytest.raises(RuntimeError, match="memory"):
        _label(scene, _task(), tmp_path)


def test_a_tile_that_fails_once_is_tried_again(scene, tmp_path, monkeypatch):
    refine, calls = labelling.lposs.refine, []

    def flaky(*arguments, **options):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("a hiccup")
        return refine(*arguments, **options)

    expected, _, _ = _label(scene, _task(), tmp_path / "steady")
    monkeypatch.setattr(labelling.lposs, "refine", flaky)
    labels, failed, _ = _label(scene, _task(), tmp_path / "flaky")
    assert not failed
    assert len(calls) == 7
    assert np.array_equal(labels, expected)


def test_a_tile_that_fails_twice_is_nodata_and_the_others_are_not(scene, tmp_path, monkeypatch):
    sample = labelling.sample_scores

    def broken_there(scores, features, window, device):
        if window.col_off == 2:
            raise RuntimeError("broken")
        return sample(scores, features, window, device)

    monkeypatch.setattr(labelling, "sample_scores", broken_there)
    labels, failed, _ = _label(scene, _task(), tmp_path)
    assert [(tile.window.col_off, tile.reason) for tile in failed] == [(80, "broken"), (80, "broken")]
    assert (labels[:, 80:160] == 255).all()
    assert (labels[20:, :80] != 255).all()
    monkeypatch.undo()
    again, failed, _ = _label(scene, _task(), tmp_path)  # what failed was never called finished
    assert not failed
    assert (again[:, 80:160] != 255).all()


def test_an_area_without_data_is_all_nodata_though_its_surroundings_are_not(scene, tmp_path):
    labels, failed, _ = _label(scene, _task(area=Window(0, 0, 10, 10)), tmp_path)
    assert (labels == 255).all()
    assert not failed


def test_a_scene_without_any_data_is_refused(write_raster, tmp_path, monkeypatch):
    scene = describe(write_raster(np.full((3, 150, 201), 7, "uint8")))
    monkeypatch.setattr("lposs_geo.scene.reader.SceneReader.may_hold_data", lambda *_: False)
    with pytest.raises(SceneError, match="no valid pixel"):
        _label(scene, _task(), tmp_path)


@pytest.mark.parametrize("tile_size", [256, 512, 1024])
def test_scores_of_a_real_scene_do_not_depend_on_the_tile_size(lakeside, tile_size):
    scene = describe(lakeside)
    area = Window(0, 0, scene.grid.width, scene.grid.height)
    with open_scene(scene) as reader:
        image = torch.from_numpy(reader.read(area)[0])
    coarse = torch.rand(1, 5, 130, 130, generator=torch.Generator().manual_seed(0))
    rough = torch.nn.functional.interpolate(coarse, image.shape[1:], mode="bilinear")[0]
    whole = labelling.lposs.refine(image, rough, SCENE_PARAMETERS)
    for tile in plan_tiles((900, 900), area, 5, tile_size, True, Budget()):
        rows, cols = tile.padded.toslices()
        part = labelling.lposs.refine(image[:, rows, cols], rough[:, rows, cols], SCENE_PARAMETERS)
        there = tile.core.toslices()
        assert (part[:, *tile.core_in_padded] - whole[:, *there]).abs().max() < 1e-3


def test_a_tile_whose_features_are_missing_fails_and_is_not_taken_for_the_first_class(scene, tmp_path, monkeypatch):
    read = SceneReader.read

    def not_these_crops(self, window, zoom=1.0):
        rows, cols = window.toslices()
        # crops are wider than 50 px, tiles are not
        if cols.stop - cols.start > 50 and rows.start < 112 and rows.stop > 80 and cols.start > 80:
            raise SceneError("the network is down")
        return read(self, window, zoom)

    monkeypatch.setattr("lposs_geo.stages.encode.BATCH_SIZE", 1)
    monkeypatch.setattr(SceneReader, "read", not_these_crops)
    _, failed, _ = _label(scene, _task(refine=False, tile_size=50), tmp_path)
    assert {tile.window.col_off for tile in failed} == {100, 150, 200}
    assert {50, 100} <= {tile.window.row_off for tile in failed}
    assert "couldn't be read there when it was encoded" in failed[0].reason
    monkeypatch.undo()
    _, failed, _ = _label(scene, _task(refine=False, tile_size=50), tmp_path)
    assert not failed


def test_features_that_another_program_cuts_end_the_run_and_no_tile_is_nodata_for_it(scene, tmp_path):
    whole, _, _ = _label(scene, _task(), tmp_path / "whole")

    def cut_after_a_tile(stage, *_):
        if stage == "refine":
            (tmp_path / "cut" / "store" / "records").write_bytes(b"")

    with pytest.raises(OutputError, match=r"another program changed '.*store' while it was in use"):
        _label(scene, _task(), tmp_path / "cut", cut_after_a_tile)
    with open_journal(tmp_path / "cut" / "run") as journal:
        assert journal.count("tiles") == 1
    labels, failed, _ = _label(scene, _task(), tmp_path / "cut")
    assert not failed
    assert np.array_equal(labels, whole)


@pytest.mark.parametrize("stage", ["encode", "propagate", "refine"])
def test_no_tile_is_finished_that_may_show_another_scene(scene, write_raster, tmp_path, stage):
    whole, _, _ = _label(scene, _task(), tmp_path / "whole")
    path, stamp = Path(scene.path), scene.stamps[0]
    sound = path.read_bytes()

    def replace(now, done, total):
        if now == stage and done:  # at once: a file that is being written is missing for a moment
            write_raster(np.full((3, 150, 201), 9, "uint8"), name="other.tif").rename(path)

    with pytest.raises(SceneChangedError, match=r"scene\.tif' was changed"):
        _label(scene, _task(), tmp_path / "changed", replace)
    with open_journal(tmp_path / "changed" / "run") as journal:
        assert journal.count("tiles") == (stage == "refine")
    path.write_bytes(sound)
    os.utime(path, ns=(0, stamp.changed))
    labels, failed, _ = _label(scene, _task(), tmp_path / "changed")
    assert not failed
    assert np.array_equal(labels, whole)


def test_a_scene_that_is_cut_off_while_it_is_mapped_has_changed_and_is_not_damaged(scene, tmp_path, caplog):
    path = Path(scene.path)

    def cut(stage, done, _):
        if stage == "refine":
            path.write_bytes(path.read_bytes()[:1000])

    with pytest.raises(SceneChangedError, match=r"scene\.tif' was changed"):
        _label(scene, _task(), tmp_path, cut)
    assert "nodata" not in caplog.text


@pytest.mark.parametrize("refine", [True, False])
def test_far_inside_a_giant_scene_labels_are_those_of_a_small_one(write_raster, tmp_path, refine):
    array = np.random.default_rng(0).integers(1, 60, (3, 150, 201)).astype("uint8")
    array[0, :, :97] += 150
    array[1, :, 97:] += 150
    source = write_raster(array, "source.tif")
    encoder, budget = SharpEncoder(), Budget()
    text = encoder.text_embeddings([[word] for word in ("red", "green", "blue")])
    found = []
    for name, side, corner in (("small", 4000, 1600), ("giant", 2**31 - 1, 1600 + 16 * 10**8)):
        path = write_vrt(
            tmp_path / f"{name}.vrt", (side, side), (source, (corner, corner)), facts="<NoDataValue>0</NoDataValue>"
        )
        area = Window(corner + 3, corner + 5, 190, 120)
        scene = describe(path, part=lambda grid, area=area: area)
        plan = plan_tiles((side, side), area, 3, 80, refine, budget)
        task = Task(encoder, Words(text), 1.0, area, plan, refine, budget)
        with open_journal(tmp_path / f"{name}-store") as store, open_journal(tmp_path / f"{name}-run") as journal:
            failed = label_scene(task, scene, store, journal, Progress())
            assert not failed
            assert is_encoded(task.looks(scene.grid), store)
            found.append([finished_tile(journal, tile) for tile in plan])
    assert all(np.array_equal(one, other) for one, other in zip(*found, strict=True))
    assert {1, 2} <= set(np.unique(found[0][0][0])) | set(np.unique(found[0][1][0]))
