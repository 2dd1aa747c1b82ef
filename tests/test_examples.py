from __future__ import annotations

import runpy

import geopandas
import numpy as np
import pytest
import rasterio

from lposs_geo.mapping import Mapper


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("map_lakeside", "lakeside_map"),
        ("legend_lakeside", "lakeside_legend"),
        ("correct_lakeside", "lakeside_corrected"),
    ],
)
def test_the_examples_do_what_they_say(lakeside, tmp_path, monkeypatch, capsys, script, output):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(lakeside.parent / f"{script}.py"), run_name="__main__")
    assert "%" in capsys.readouterr().out
    assert (tmp_path / f"{output}.png").exists()
    with rasterio.open(tmp_path / f"{output}.tif") as dataset:
        assert dataset.shape == (900, 900)


def test_fifteen_points_mend_what_the_words_get_wrong(lakeside, tmp_path):
    mapper = Mapper.load()
    words = mapper.map(lakeside, "water,forest,crop field,road,building", tmp_path / "words.tif")
    examples = lakeside.with_name("lakeside_examples.geojson")
    assert len(geopandas.read_file(examples)) == 15
    mended = mapper.correct(words.labels, examples, tmp_path / "mended.tif", scene=lakeside, add_classes=True)
    before, after = (_labels_by_name(result) for result in (words, mended))
    parts = {
        "meadow": [(slice(400, 490), slice(620, 650)), (slice(400, 480), slice(690, 720))],  # the round one
        "forest": [(slice(row, row + 8), slice(col, col + 8)) for row, col in ((100, 334), (210, 258), (330, 182))],
        "railway": [(slice(715, 722), slice(800, 812)), (slice(770, 777), slice(730, 742))],
        "yard": [(slice(760, 772), slice(155, 167)), (slice(805, 825), slice(70, 90))],
    }
    for name, windows in parts.items():
        shares = [np.mean([(labels[window] == name).mean() for window in windows]) for labels in (before, after)]
        assert shares[1] > 0.8 > 0.5 > shares[0], name
    assert mended.agreement.left_out >= 10


def _labels_by_name(result):
    names = np.array(["unknown", *result.legend.names])
    with rasterio.open(result.labels) as dataset:
        return names[dataset.read(1)]
