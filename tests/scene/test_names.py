from __future__ import annotations

import pytest

from lposs_geo.scene.names import stem

STEMS = {
    "a.tif": "a",
    "folder/a.b.tif": "a.b",
    "a.tif?key=ab/c.d&s=secret": "a",
    "https://h/x/b.tif": "b",
    "https://h/x/b.tif?key=secret": "b",
    "https://h/x/b%20c.tif%3Fkey=secret": "b c",
    "https://me:secret@h": "h",
    "s3://bucket/folder/": "folder",
    "/vsicurl/http://me:secret@h/a.tif": "a",
    "/vsicurl?max_retry=3&url=http%3A%2F%2Fh%2Fa.tif%3Fkey=secret": "a",
    "vrt://x/a.tif?bands=3,2,1": "a",
    "2020.05/": "2020.05",
    "../none/": "none",
    "/vsizip/x.zip/a.tif": "a",
    "/vsizip/x.zip": "x",
    "x.tar.gz": "x",
    "a.tif.gz": "a",
    "GTIFF_DIR:1:a.tif": "a",
    "GTIFF_DIR:1:/x/a.tif": "a",
    "NETCDF:a.nc:red": "a_red",
    'HDF5:"x/a b.h5"://group/red': "a b_group_red",
    "GPKG:https://me:secret@h/a.gpkg:FIRST": "a_FIRST",
    "PG:host=h dbname=d password=secret": "PG",
    "C:\\x\\a.tif": "a",
    "a:b*|c.tif": "a_b__c",
    "<VRTDataset/>": "scene",
    "": "scene",
    "none/..": "scene",
    "x" * 5000: "x" * 200,
}


@pytest.mark.parametrize("source", STEMS)
def test_outputs_are_named_plainly(source):
    assert stem(source) == STEMS[source]
    assert stem([source]) == STEMS[source]


def test_outputs_of_folders_and_lists_are_named_plainly(tmp_path, monkeypatch):
    (tmp_path / "2020.05" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "2020.05")
    assert stem(".") == stem("inner/..") == stem(tmp_path / "2020.05") == "2020.05"
    assert stem("..") == tmp_path.name
    assert stem(["a.tif", "b.tif"]) == "mosaic"
