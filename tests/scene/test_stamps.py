from __future__ import annotations

from lposs_geo.scene.stamps import Stamp, stamps_of


def test_files_of_this_machine_have_stamps(tmp_path):
    for name in ("b.tif", "a.tif"):
        (tmp_path / name).write_bytes(name.encode())
    names = [str(tmp_path / "b.tif"), str(tmp_path), "/vsicurl/https://host/c.tif", str(tmp_path / "a.tif"), "gone.tif"]
    stamps = stamps_of(names)
    assert [stamp.file for stamp in stamps] == [tmp_path / "a.tif", tmp_path / "b.tif"]
    (tmp_path / "a.tif").write_bytes(b"longer than before")
    assert Stamp.of(tmp_path / "a.tif") != stamps[0]
    assert Stamp.of(tmp_path / "b.tif") == stamps[1]
