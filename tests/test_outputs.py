from __future__ import annotations

import os
from pathlib import Path

import pytest

from lposs_geo.errors import OutputError
from lposs_geo.outputs import check_outputs, staged


def test_an_output_appears_only_when_complete(tmp_path):
    output = tmp_path / "map.tif"
    with staged(output) as path:
        path.write_text("new")
        path.with_name("map.tif.aux.xml").write_text("names")
        assert not output.exists()
    assert output.read_text() == "new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["map.tif", "map.tif.aux.xml"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(tmp_path, error):
    output = tmp_path / "map.tif"
    output.write_text("old")
    with pytest.raises(error), staged(output) as path:
        path.write_text("half")
        raise error
    assert output.read_text() == "old"
    assert list(tmp_path.iterdir()) == [output]


def _check(*outputs: Path, source: Path, overwrite: bool = False) -> None:
    suffixes = dict(zip(outputs, (".tif .tiff", ".gpkg"), strict=False))
    check_outputs(list(outputs), source=str(source), overwrite=overwrite, suffixes=suffixes)


def test_outputs_that_may_not_be_written(tmp_path):
    source, existing = tmp_path / "scene.tif", tmp_path / "old.tif"
    source.write_text("scene")
    existing.write_text("old")
    (tmp_path / "folder.tif").mkdir()
    good = tmp_path / "map.tif"
    _check(good, tmp_path / "map.gpkg", source=source)
    _check(existing, source=source, overwrite=True)
    for outputs, said, overwrite in [
        ((tmp_path / "map.png",), "must end in .tif or .tiff", False),
        ((source,), "the input itself", True),
        ((tmp_path / "x" / ".." / "scene.tif",), "the input itself", True),
        ((existing,), "--overwrite", False),
        ((tmp_path / "folder.tif",), "is a folder", True),
        ((tmp_path / "none" / "map.tif",), "doesn't exist", False),
    ]:
        with pytest.raises(OutputError, match=said) as caught:
            _check(*outputs, source=source, overwrite=overwrite)
        assert "\n" not in str(caught.value)


def test_one_name_for_two_outputs(tmp_path):
    twice = [tmp_path / "a.tif", tmp_path / "." / "b" / ".." / "a.tif"]
    with pytest.raises(OutputError, match="named twice"):
        check_outputs(twice, source="s.tif", overwrite=False, suffixes=dict.fromkeys(twice, ".tif"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="can't write into"):
        _check(tmp_path / "map.tif", source=tmp_path / "s.tif")
