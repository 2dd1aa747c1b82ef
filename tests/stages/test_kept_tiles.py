from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from lposs_geo.mapping import Mapper
from lposs_geo.stages import label
from lposs_geo.stages.kept_tiles import keep_tile, kept_tile
from lposs_geo.store.journal import open_journal
from lposs_geo.testing.encoders import ColourEncoder
from lposs_geo.testing.rasters import noise

TILE = SimpleNamespace(core=Window(10, 20, 7, 5))


class SmallPatches(ColourEncoder):
    """So that a small scene has many."""

    crop_size, stride, patch_size, n_neighbors = 32, 32, 4, 20


MAPPER = Mapper.of(SmallPatches(), "small", fingerprint="1", use_cache=True)


@pytest.fixture
def labelled(monkeypatch, tmp_path):
    """The tiles that are labelled and not taken from before."""
    monkeypatch.setenv("LPOSS_GEO_CACHE", str(tmp_path / "cache"))
    tiles = []
    label_one = label._label_or_reason

    def counted(tile, pixels, labeller):
        tiles.append(tile.core)
        return label_one(tile, pixels, labeller)

    monkeypatch.setattr(label, "_label_or_reason", counted)
    return tiles


def test_layers_come_back_for_the_same_digest_alone(tmp_path):
    layers = np.arange(70, dtype=np.uint8).reshape(2, 5, 7)
    with open_journal(tmp_path / "store") as store:
        assert kept_tile(store, TILE, b"1" * 32) is None
        keep_tile(store, TILE, b"1" * 32, layers)
        assert (kept_tile(store, TILE, b"1" * 32) == layers).all()
        assert kept_tile(store, TILE, b"2" * 32) is None
        keep_tile(store, TILE, b"2" * 32, layers[::-1])
        assert kept_tile(store, TILE, b"1" * 32) is None
        assert (kept_tile(store, TILE, b"2" * 32) == layers[::-1]).all()


def test_only_tiles_whose_scores_changed_are_labelled_again(write_raster, tmp_path, labelled):
    scene = write_raster(noise(120, 160))
    options = {"tile_size": 64, "overwrite": True}
    MAPPER.map(scene, "red,green", tmp_path / "map.tif", **options)
    assert len(labelled) == 6
    first = (tmp_path / "map.tif").read_bytes()
    MAPPER.map(scene, "red,green", tmp_path / "map.tif", **options)
    assert len(labelled) == 6
    assert (tmp_path / "map.tif").read_bytes() == first
    MAPPER.map(scene, "red,green", tmp_path / "map.tif", refine=False, **options)
    MAPPER.map(scene, "red,blue", tmp_path / "map.tif", **options)
    MAPPER.map(scene, "red,green", tmp_path / "map.tif", probabilities=tmp_path / "p.tif", **options)
    assert len(labelled) == 24


def test_a_map_of_tiles_from_before_is_the_map_of_a_whole_run(write_raster, tmp_path, labelled):
    scene = write_raster(noise(120, 160), crs="EPSG:32632")
    with rasterio.open(scene) as dataset:
        point = {"type": "Point", "coordinates": dataset.transform @ (20.5, 20.5)}
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    feature = {"type": "Feature", "properties": {"class": "green"}, "geometry": point}
    examples = tmp_path / "e.geojson"
    examples.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}))
    options = {"tile_size": 64, "overwrite": True, "examples": examples}
    MAPPER.map(scene, "red,green", tmp_path / "words.tif", tile_size=64)
    MAPPER.map(scene, "red,green", tmp_path / "map.tif", **options)
    kept = (tmp_path / "map.tif").read_bytes()
    count = len(labelled)
    MAPPER.map(scene, "red,green", tmp_path / "map.tif", **options)
    assert len(labelled) == count
    assert (tmp_path / "map.tif").read_bytes() == kept
    alone = Mapper.of(SmallPatches(), "small", fingerprint="1", use_cache=False)
    alone.map(scene, "red,green", tmp_path / "map.tif", **options)
    assert (tmp_path / "map.tif").read_bytes() == kept
