from __future__ import annotations

from pathlib import Path

import pytest

from lposs_geo.errors import OutputError
from lposs_geo.outputs import GEOPACKAGE_BESIDE, SIDECAR, Output, sidecar
from lposs_geo.runs import staged


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
