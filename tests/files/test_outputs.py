from __future__ import annotations

import os
from pathlib import Path

import pytest

from lposs_geo.errors import OutputError
from lposs_geo.files.outputs import SIDECAR, Output, check_outputs


def _tif(path: Path) -> Output:
    return Output(path, ".tif .tiff", (SIDECAR, ".qml"))


def _check(*outputs: Path, source: Path, overwrite: bool = False) -> None:
    wanted = [Output(path, ".gpkg") if path.suffix == ".gpkg" else _tif(path) for path in outputs]
    check_outputs(wanted, sources=[str(source)], overwrite=overwrite)


def test_outputs_that_may_not_be_written(tmp_path):
    source, existing = tmp_path / "scene.tif", tmp_path / "old.tif"
    source.write_text("scene")
    existing.write_text("old")
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "hard.tif").hardlink_to(source)
    (tmp_path / "dangling.tif").symlink_to(tmp_path / "nowhere.tif")
    (tmp_path / "lonely.tif.aux.xml").write_text("statistics of another file")
    good = tmp_path / "map.tif"
    _check(good, tmp_path / "map.gpkg", source=source)
    _check(existing, source=source, overwrite=True)
    for outputs, said, overwrite in [
        ((tmp_path / "map.png",), r"must end in \.tif or \.tiff", False),
        ((source,), "the input itself", True),
        ((tmp_path / "x" / ".." / "scene.tif",), "the input itself", True),
        ((tmp_path / "hard.tif",), "the input itself", True),
        ((existing,), "overwrite=True", False),
        ((tmp_path / "dangling.tif",), "overwrite=True", False),
        ((tmp_path / "lonely.tif",), r"lonely\.tif\.aux\.xml.*overwrite=True", False),
        ((tmp_path / "folder.tif",), "is a folder", True),
        ((tmp_path / "none" / "map.tif",), "doesn't exist", False),
        ((tmp_path / f"{'n' * 240}.tif",), "too long", False),
        ((tmp_path / "two\nlines.tif",), "holds a line break", False),
        ((good, tmp_path / "b" / ".." / "map.tif"), "named twice", False),
    ]:
        with pytest.raises(OutputError, match=said) as caught:
            _check(*outputs, source=source, overwrite=overwrite)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="can't write into"):
        _check(tmp_path / "map.tif", source=tmp_path / "s.tif")
