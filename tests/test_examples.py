from __future__ import annotations

import runpy

import pytest
import rasterio


@pytest.mark.parametrize(
    ("script", "output"), [("map_lakeside", "lakeside_map"), ("legend_lakeside", "lakeside_legend")]
)
def test_the_examples_do_what_they_say(lakeside, tmp_path, monkeypatch, capsys, script, output):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(lakeside.parent / f"{script}.py"), run_name="__main__")
    assert "%" in capsys.readouterr().out
    assert (tmp_path / f"{output}.png").exists()
    with rasterio.open(tmp_path / f"{output}.tif") as dataset:
        assert dataset.shape == (900, 900)
