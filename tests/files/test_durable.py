from __future__ import annotations

import os
from pathlib import Path

import pytest
from power_cuts import record

from lposs_geo.files.durable import replace_with, sync_file, sync_folder


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs to know a descriptor's file")
def test_whenever_the_power_goes_one_of_both_is_there_whole(tmp_path, monkeypatch):
    (tmp_path / "list").write_text("old")
    with monkeypatch.context() as patch:
        disk = record(tmp_path, patch)
        replace_with(tmp_path / "list", b"new")
    for cuts in (disk.synced, disk.names_ahead):
        assert {cut["list"] for cut in cuts} == {b"old", b"new"}
        assert cuts[-1] == {"list": b"new"}


def test_a_link_that_lies_aside_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "list.new").symlink_to(tmp_path / "precious")
    replace_with(tmp_path / "list", b"new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "list").read_text() == "new"
    assert not (tmp_path / "list.new").is_symlink()


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "list").write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            replace_with(tmp_path / "list", b"new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("list", "old")]


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path, monkeypatch):
    def refuse(_: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    sync_folder(tmp_path)
    (tmp_path / "file").write_text("content")
    with pytest.raises(OSError, match="Invalid"):
        sync_file(tmp_path / "file")
