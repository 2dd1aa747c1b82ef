from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lposs_geo.errors import OutputError
from lposs_geo.polygons import vectorize as vectorizing
from lposs_geo.polygons.outline import MOST_PER_PIXEL, Outline, outline_of, polygon_bytes
from lposs_geo.polygons.vectorize import vectorize

SIDE = 300

LABELS = {
    "a chequerboard": np.indices((SIDE, SIDE)).sum(0) % 2 + 1,
    "noise": np.random.default_rng(0).integers(1, 5, (SIDE, SIDE)),
    "stripes": np.indices((SIDE, SIDE))[0] % 2 + 1,
    "blocks": np.kron(np.random.default_rng(1).integers(1, 4, (30, 30)), np.ones((10, 10), int)),
    "noise and nodata": np.random.default_rng(2).choice([1, 2, 255], (SIDE, SIDE)),
    "a chequerboard of nodata": np.where(np.indices((SIDE, SIDE)).sum(0) % 2, 255, 1),
    "one class": np.ones((SIDE, SIDE), int),
}


def _taken(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("ending", [".gpkg", ".parquet", ".fgb", ".geojson"])
@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("options", [{}, {"simplify": 0}, {"min_area": 3}], ids=["simplified", "exact", "merged"])
def test_polygons_take_no_less_than_was_estimated_and_no_more_than_the_most(
    write_raster, tmp_path, monkeypatch, ending, name, options
):
    labels = write_raster(LABELS[name][None].astype("uint8"), nodata=255)
    folder = tmp_path / "folder"
    folder.mkdir()
    most = []
    write = vectorizing.write_polygons

    def written(batches, path, *args):
        def looked_at():
            for batch in batches:
                most.append(_taken(folder))
                yield batch

        count = write(looked_at(), path, *args)
        most.append(_taken(folder))
        return count

    monkeypatch.setattr(vectorizing, "write_polygons", written)
    vectorize(labels, folder / f"polygons{ending}", **options)
    estimate = polygon_bytes(
        outline_of(LABELS[name].astype("uint8")),
        (SIDE, SIDE),
        ending,
        simplify="simplify" not in options,
        merge="min_area" in options,
        confident=False,
    )
    assert estimate <= max(most)
    assert max(most) <= MOST_PER_PIXEL * SIDE**2 + 1e6  # an empty database has its size, too
    if name == "a chequerboard" and not options:
        assert estimate >= 0.5 * max(most)


@pytest.mark.parametrize("rows", [1, 2, 7, 299, 300])
def test_parts_add_up_to_the_whole(rows):
    labels = LABELS["noise"].astype("uint8")
    whole, parts = outline_of(labels), Outline()
    for first in range(0, SIDE, rows):
        above = first > 0
        parts += outline_of(labels[first - above : first + rows], goes_on=above)
    for name in ("runs", "turns", "tips", "threes", "fours", "valid"):
        assert getattr(parts, name) == getattr(whole, name), name
    assert parts.singles <= whole.singles


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2)])
def test_a_few_pixels_are_counted(shape):
    labels = np.arange(np.prod(shape)).reshape(shape).astype("uint8")
    assert outline_of(labels).runs == labels.size


def test_polygons_without_room_are_refused_before_they_are_drawn(write_raster, tmp_path, monkeypatch):
    labels = write_raster(LABELS["a chequerboard"][None].astype("uint8"), nodata=255)
    usage = vectorizing.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(vectorizing.shutil, "disk_usage", lambda _: usage._replace(free=20_000_000))
    with pytest.raises(OutputError, match=r"need at least 0\.0 GB, and only 0\.0 GB are left|at least .* GB") as caught:
        vectorize(labels, tmp_path / "polygons.gpkg")
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scene.tif"]
    vectorize(labels, tmp_path / "polygons.gpkg", min_area=100)
