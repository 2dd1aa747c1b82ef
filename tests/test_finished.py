from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lposs_geo.finished import are_as_written
from lposs_geo.mapping import map_scene

KINDS = ("vector", "quicklook", "confidence", "probabilities", "report", "stac")
NAMES = ("m.gpkg", "m.png", "c.tif", "s.tif", "m.html", "m.json")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, lakeside):
    """A map with all its files."""
    folder = tmp_path_factory.mktemp("finished")
    others = {kind: folder / name for kind, name in zip(KINDS, NAMES, strict=True)}
    map_scene(lakeside, "water,forest", folder / "m.tif", refine=False, aoi="439300,5273300,439360,5273360", **others)
    return {"labels": folder / "m.tif"} | others


def test_a_map_that_nobody_touched_is_as_it_was_written(finished):
    assert are_as_written(finished)
    assert are_as_written({kind: finished[kind] for kind in ("labels", "stac")})


@pytest.mark.parametrize("kind", ["labels", *KINDS])
@pytest.mark.parametrize("damage", ["emptied", "cut", "bit", "gone"])
def test_a_file_that_was_emptied_or_damaged_since_is_noticed(finished, kind, damage):
    path = finished[kind]
    content = path.read_bytes()
    bit = bytearray(content)
    bit[len(bit) // 2] ^= 16
    try:
        path.unlink()
        if damage != "gone":
            path.write_bytes({"emptied": b"", "cut": content[: len(content) // 2], "bit": bytes(bit)}[damage])
        # of a GeoPackage only what it tells counts: this bit may be one of its free bytes
        assert not are_as_written(finished) or (kind, damage) == ("vector", "bit")
    finally:
        path.write_bytes(content)
    assert are_as_written(finished)


def test_what_programs_do_to_a_geopackage_by_looking_at_it_is_no_change(finished):
    with closing(sqlite3.connect(finished["vector"])) as database, database:
        database.execute("UPDATE gpkg_contents SET last_change = '2031-01-01T00:00:00Z'")
    assert are_as_written(finished)
    with closing(sqlite3.connect(finished["vector"])) as database:
        ((fid, class_id),) = database.execute("SELECT fid, class_id FROM landcover LIMIT 1").fetchall()
    for changed in (class_id + 1, class_id):
        with closing(sqlite3.connect(finished["vector"])) as database, database:
            for name in ("ST_IsEmpty", "ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY"):  # of the triggers of GDAL's index
                database.create_function(name, 1, lambda _: 0)
            database.execute("UPDATE landcover SET class_id = ? WHERE fid = ?", (changed, fid))
        assert are_as_written(finished) == (changed == class_id)


def test_the_time_is_no_part_of_the_record(finished):
    report, item = finished["report"], json.loads(finished["stac"].read_text())
    before = report.read_text(), finished["stac"].read_text()
    try:
        start, rest = before[0].split("<time ", 1)
        report.write_text(start + "<time datetime='2031'>x</time>" + rest.split("</time>", 1)[1])
        finished["stac"].write_text(before[1].replace(item["properties"]["created"], "2031-01-01T00:00:00Z"))
        assert are_as_written(finished)
    finally:
        report.write_text(before[0])
        finished["stac"].write_text(before[1])


@pytest.mark.parametrize("text", ["", "no xml", "<PAMDataset/>"])
def test_without_the_record_nothing_is_finished(finished, text):
    sidecar = Path(f"{finished['labels']}.aux.xml")
    before = sidecar.read_bytes()
    try:
        sidecar.write_text(text)
        assert not are_as_written(finished)
    finally:
        sidecar.write_bytes(before)
