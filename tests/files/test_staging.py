from __future__ import annotations

import functools
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from power_cuts import record, restore

from lposs_geo.errors import OutputError
from lposs_geo.files.outputs import GEOPACKAGE_BESIDE, SIDECAR, Output, sidecar
from lposs_geo.store.runs import run_folder, settle, staged


def _tif(path: Path) -> Output:
    return Output(path, ".tif .tiff", (SIDECAR, ".qml"))


def test_outputs_appear_only_when_all_are_complete(tmp_path):
    (tmp_path / "sub").mkdir()
    first, second = tmp_path / "map.tif", tmp_path / "sub" / "map.gpkg"
    first.write_text("old")
    with staged(_tif(first), Output(second, ".gpkg")) as (tif, gpkg):
        tif.write_text("new")
        sidecar(tif).write_text("names")
        gpkg.write_text("polygons")
        assert first.read_text() == "old"
        assert not second.exists()
    assert first.read_text() == "new"
    assert _everything(tmp_path) == ["map.tif", "map.tif.aux.xml", "sub", "sub/map.gpkg"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(tmp_path, error):
    output = tmp_path / "map.tif"
    output.write_text("old")
    with pytest.raises(error), staged(_tif(output)) as (path,):
        path.write_text("half")
        raise error
    assert output.read_text() == "old"
    assert _everything(tmp_path) == ["map.tif"]


def test_if_one_output_cannot_be_placed_none_is(tmp_path):
    first, second = tmp_path / "map.tif", tmp_path / "map.gpkg"
    first.write_text("old")
    with pytest.raises(OutputError, match=r"map\.gpkg"), staged(_tif(first), Output(second, ".gpkg")) as (tif, gpkg):
        tif.write_text("new")
        sidecar(tif).write_text("names")
        gpkg.write_text("polygons")
        (second / "in the way").mkdir(parents=True)  # since the check, somebody made a folder of that name
    assert first.read_text() == "old"
    assert _everything(tmp_path) == ["map.gpkg", "map.gpkg/in the way", "map.tif"]


@pytest.mark.parametrize("interrupted", [1, 2, 3, 4])
def test_ctrl_c_between_two_renames_undoes_them(tmp_path, monkeypatch, interrupted):
    first, second = tmp_path / "map.tif", tmp_path / "map.gpkg"
    before = {first: "old", first.with_suffix(".qml"): "old style"}
    for path, text in before.items():
        path.write_text(text)
    replace, calls = Path.replace, []

    def interrupt(self, target):
        calls.append(self)
        if len(calls) == interrupted:
            raise KeyboardInterrupt
        return replace(self, target)

    with pytest.raises(KeyboardInterrupt), staged(_tif(first), Output(second, ".gpkg")) as (tif, gpkg):
        tif.write_text("new")
        tif.with_suffix(".qml").write_text("new style")
        gpkg.write_text("polygons")
        monkeypatch.setattr(Path, "replace", interrupt)
    assert {path: path.read_text() for path in tmp_path.iterdir()} == before


def test_what_sqlite_had_not_yet_written_does_not_get_into_another_file(tmp_path):
    (tmp_path / "map.gpkg").write_text("old")
    (tmp_path / "map.gpkg-wal").write_text("a change of it")
    with staged(Output(tmp_path / "map.gpkg", ".gpkg", GEOPACKAGE_BESIDE)) as (path,):
        path.write_text("new")
    assert _everything(tmp_path) == ["map.gpkg"]


def test_an_output_that_was_not_written_is_an_error(tmp_path):
    (tmp_path / "map.tif").write_text("old")
    with pytest.raises(OutputError, match=r"'map\.tif' wasn't written"), staged(_tif(tmp_path / "map.tif")):
        pass
    assert (tmp_path / "map.tif").read_text() == "old"


def test_what_told_of_an_earlier_file_goes(tmp_path):
    (tmp_path / "map.tif").write_text("old")
    (tmp_path / "map.tif.aux.xml").write_text("its statistics")
    (tmp_path / "map.sld").write_text("the user's own")
    with staged(_tif(tmp_path / "map.tif")) as (path,):
        path.write_text("new")
        path.with_suffix(".qml").write_text("style")
    assert _everything(tmp_path) == ["map.qml", "map.sld", "map.tif"]


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path):
    (tmp_path / "precious.tif").write_text("precious")
    (tmp_path / "map.tif").symlink_to(tmp_path / "precious.tif")
    with staged(_tif(tmp_path / "map.tif")) as (path,):
        path.write_text("new")
    assert (tmp_path / "map.tif").read_text() == "new"
    assert (tmp_path / "precious.tif").read_text() == "precious"
    assert _everything(tmp_path) == ["map.tif", "precious.tif"]


def _everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


OLD = {"map.tif": "old", "map.qml": "old style", "map.gpkg": "old polygons", "map.gpkg-wal": "a change of them"}
NEW = {"map.tif": "new", "map.tif.aux.xml": "names", "map.gpkg": "polygons"}


CHANGES = 60
"""More than what is done to folders while a map is put in its place."""


def _write_all(tmp_path: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (tmp_path / name).write_text(text)


def _write_map(folder: Path) -> None:
    with staged(_tif(folder / "map.tif"), Output(folder / "map.gpkg", ".gpkg", GEOPACKAGE_BESIDE)) as (tif, gpkg):
        tif.write_text("new")
        sidecar(tif).write_text("names")
        gpkg.write_text("polygons")


def kill_before(step: int) -> None:
    """Kill this process before its change number `step` to a folder."""
    count = 0

    def changing(*args, operation, **options):
        nonlocal count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return operation(*args, **options)

    for name in ("replace", "rename", "unlink", "rmdir", "mkdir"):
        setattr(os, name, functools.partial(changing, operation=getattr(os, name)))


def _write_map_killed_before(step: int, folder: Path) -> int:
    """Write a map in a process that is killed before its change number `step`; the process's exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            kill_before(step)
            _write_map(folder)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs to know a descriptor's file")
@pytest.mark.parametrize("earlier", [{}, OLD])
def test_a_power_cut_leaves_the_old_files_or_the_new_ones(tmp_path, monkeypatch, earlier):
    place = tmp_path / "place"
    place.mkdir()
    _write_all(place, earlier)
    with monkeypatch.context() as patch:
        disk = record(place, patch)
        _write_map(place)
    for kind, cuts in {"synced": disk.synced, "names ahead": disk.names_ahead}.items():
        assert len(cuts) > 20
        states = []
        for number, cut in enumerate(cuts):
            after = tmp_path / f"{kind} {number}"
            restore(cut, after)
            settle(after / "map.tif")
            assert _texts(after) in (earlier, NEW), cut
            states.append(_texts(after) == NEW)
        assert states == sorted(states)  # once they are there, they stay
        assert states[-1]
        assert not any(path.name.startswith(".") for path in after.iterdir())


@pytest.mark.parametrize("step", range(1, CHANGES))
def test_a_kill_before_any_change_leaves_the_old_files_or_the_new_ones(tmp_path, step):
    _write_all(tmp_path, OLD)
    code = _write_map_killed_before(step, tmp_path)
    assert code in (0, -signal.SIGKILL)
    settle(tmp_path / "map.tif")
    assert _texts(tmp_path) == NEW or (code != 0 and _texts(tmp_path) == OLD)
    with staged(_tif(tmp_path / "map.tif")) as (path,):  # what a kill leaves is in nobody's way
        path.write_text("newer")
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


def test_kills_happen_on_the_way_and_not_only_before_and_after(tmp_path):
    """The steps of the test above end behind the last change."""
    _write_all(tmp_path, OLD)
    assert _write_map_killed_before(CHANGES, tmp_path) == 0
    assert _texts(tmp_path) == NEW


def test_what_was_damaged_before_it_was_moved_is_not_put_in_place(tmp_path):
    _write_all(tmp_path, OLD)
    _cut_off_between_moves(tmp_path)
    folder = run_folder(tmp_path / "map.tif")
    (folder / "staged" / "map.tif").write_text("nwe")
    settle(tmp_path / "map.tif")
    assert _texts(tmp_path) == OLD
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] in ([], [folder.name])


def test_what_somebody_changed_after_it_was_moved_stays(tmp_path):
    _write_all(tmp_path, OLD)
    _cut_off_between_moves(tmp_path)
    (tmp_path / "map.gpkg").write_text("edited")
    settle(tmp_path / "map.tif")
    assert _texts(tmp_path) == NEW | {"map.gpkg": "edited"}


def _cut_off_between_moves(folder: Path) -> None:
    """Leave a folder as a kill does when the polygons are in their place and the labels aren't."""
    for step in range(1, CHANGES):
        _write_map_killed_before(step, folder)
        is_due = (run_folder(folder / "map.tif") / "staged" / "map.tif").exists()
        if is_due and _texts(folder).get("map.gpkg") == "polygons":
            return
        shutil.rmtree(folder)
        folder.mkdir()
        _write_all(folder, OLD)
    pytest.fail("no kill left it so")


LISTS = {
    "a path": {"name": "../thesis.tif", "size": None, "crc32": None},
    "another kind of file": {"name": "thesis.odt", "size": None, "crc32": None},
    "an output that nothing takes the place of": {"name": "map.gpkg", "size": None, "crc32": None},
    "no size": {"name": "map.gpkg", "size": True, "crc32": 3},
    "no entry": [],
}


@pytest.mark.parametrize("entry", LISTS.values(), ids=LISTS.keys())
def test_a_list_of_moves_that_no_run_wrote_moves_nothing(tmp_path, entry):
    place = tmp_path / "place"
    place.mkdir()
    _write_all(tmp_path, {"thesis.tif": "mine"})
    _write_all(place, OLD | {"thesis.odt": "mine"})
    folder = run_folder(place / "map.tif")
    (folder / "staged").mkdir(parents=True)
    (folder / "moves.json").write_text(json.dumps({"run": "x", "elsewhere": [], "moves": [entry]}))
    settle(place / "map.tif")
    assert _texts(place) == OLD | {"thesis.odt": "mine"}
    assert _texts(tmp_path) == {"thesis.tif": "mine"}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"moves": 3}', "[" * 100_000, '{"moves": [], "elsewhere": 5}', "\0"])
def test_a_list_that_cannot_be_read_is_none(tmp_path, text):
    _write_all(tmp_path, OLD)
    folder = run_folder(tmp_path / "map.tif")
    folder.mkdir()
    (folder / "moves.json").write_text(text)
    (folder / "elsewhere.json").write_text(text)
    settle(tmp_path / "map.tif")
    assert _texts(tmp_path) == OLD
