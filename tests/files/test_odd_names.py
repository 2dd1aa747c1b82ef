from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from PIL import Image

from lposs_geo import map_scene
from lposs_geo.batch import map_batch
from lposs_geo.errors import OutputError, SceneError, escaped
from lposs_geo.files.odd_names import forget_links, linked, plain, unlinked
from lposs_geo.polygons import vectorize as vectorizing
from lposs_geo.scene.description import describe
from lposs_geo.scene.identity import identity
from lposs_geo.scene.names import stem
from lposs_geo.scene.reader import open_scene
from lposs_geo.scene.resolving import resolve
from lposs_geo.testing.rasters import UTM

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names of other systems are Unicode")


def odd(name: bytes) -> str:
    return os.fsdecode(name)


@pytest.fixture
def folder(tmp_path) -> Path:
    """One whose name isn't UTF-8."""
    folder = tmp_path / odd(b"M\xfcnchen")
    folder.mkdir()
    return folder


@pytest.fixture
def scene(folder, write_raster) -> Path:
    """One whose name isn't either, with a sidecar; it is red, then a quarter of it green."""
    array = np.full((3, 20, 30), [[[200]], [[30]], [[20]]], dtype="uint8")
    array[:, :10, :15] = [[[20]], [[200]], [[30]]]
    path = write_raster(array, "plain.tif", crs=None)
    path.with_name("plain.tif.aux.xml").write_text("<PAMDataset><SRS>EPSG:32633</SRS></PAMDataset>")
    for file in path.parent.glob("plain.tif*"):
        shutil.move(file, folder / odd(b"Z\xfcrich" + file.name.removeprefix("plain").encode()))
    return folder / odd(b"Z\xfcrich.tif")


def test_names_are_shown_and_given_plainly():
    name = odd(b"Z\xfcrich") + "\ud800ü"
    assert escaped(name) == "Z\\xfcrich\\ud800ü"
    assert plain(odd(b"Z\xfcrich ") + "ü") == "Z_xFCrich ü"
    assert stem(odd(b"a/Z\xfcrich.tif")) == "Z_xFCrich"
    assert stem(odd(b"Z\xfc.tif")) != stem(odd(b"Z\xe4.tif"))


def test_a_scene_is_read_with_what_lies_beside_it(scene):
    found = describe(scene)
    assert found.path.endswith("M\\xfcnchen/Z\\xfcrich.tif")
    assert found.name == "Z\\xfcrich.tif"
    assert found.grid.crs.to_epsg() == 33 + 32600
    with open_scene(found) as reader:
        image, _ = reader.read(rasterio.windows.Window(0, 0, 30, 20))
    assert np.rint(image[:, 0, 0] * 255).tolist() == [20, 200, 30]
    assert str(scene) in identity(found)["files"]
    before = identity(found)
    forget_links()
    assert identity(describe(scene)) == before  # links are others, the scene is the same


def test_folders_and_mosaics(scene, folder, write_raster, tmp_path):
    assert describe(folder).name == "Z\\xfcrich.tif"
    array = np.full((3, 20, 30), 90, dtype="uint8")
    other = write_raster(array, "b.tif", crs="EPSG:32633", transform=UTM @ rasterio.Affine.translation(30, 0))
    shutil.move(other, folder / odd(b"\xe4.tif"))
    before = None
    for _ in range(2):
        mosaic = describe(folder)
        assert (mosaic.grid.height, mosaic.grid.width) == (20, 60)
        with open_scene(mosaic) as reader:
            image, valid = reader.read(rasterio.windows.Window(0, 0, 60, 20))
        assert valid.all()
        assert np.rint(image[:, 0, [0, 59]] * 255).T.tolist() == [[20, 200, 30], [90, 90, 90]]
        assert before in (None, identity(mosaic))
        before = identity(mosaic)
        forget_links()


def test_archives_and_urls(scene, folder, tmp_path):
    for archive in (folder / odd(b"\xfc.zip"), folder / odd(b"\xfc.tar")):
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive, "w") as packed:
                packed.write(scene, "inside.tif")
        else:
            with tarfile.open(archive, "w") as packed:
                packed.add(scene, "./inside.tif")
        assert describe(archive).grid.width == 30
    assert describe(f"file://{tmp_path}/M%FCnchen/Z%FCrich.tif").grid.width == 30


def test_gdals_own_names_cannot_be_odd(folder):
    with pytest.raises(SceneError, match=r"Z\\xfc.tif' isn't UTF-8"):
        describe(odd(b"/vsizip/a.zip/Z\xfc.tif"))
    with pytest.raises(SceneError, match=r"^no such file: 'Z\\xfc.tif'$"):
        describe(odd(b"Z\xfc.tif"))


def test_a_map_with_all_outputs(scene, tmp_path):
    outputs = {name: tmp_path / f"m{end}" for name, end in (
        ("vector", ".gpkg"), ("quicklook", ".png"), ("report", ".html"), ("stac", ".json"), ("confidence", "_c.tif"),
    )}  # fmt: skip
    result = map_scene(scene, "forest,water", tmp_path / "m.tif", refine=False, **outputs)
    with rasterio.open(result.labels) as labels:
        assert labels.tags()["LPOSS_GEO_SOURCE"] == "Z\\xfcrich.tif"
    assert "Z\\xfcrich.tif" in outputs["report"].read_text(encoding="utf-8")
    assert "Z\\\\xfcrich.tif" in outputs["stac"].read_text(encoding="utf-8")
    assert len(geopandas.read_file(outputs["vector"], layer="landcover"))
    Image.open(outputs["quicklook"]).load()
    with pytest.raises(OutputError, match="finished already"):
        map_scene(scene, "forest,water", tmp_path / "m.tif", refine=False, resume=True, **outputs)


def test_a_batch_of_them(scene, folder, tmp_path):
    (folder / odd(b"\xe4.tif")).write_text("no raster")
    shutil.copy(scene, folder / "good.tif")
    scenes = sorted(path for path in folder.iterdir() if path.suffix == ".tif")
    outcomes = list(map_batch(scenes, "forest,water", tmp_path / "{name}.tif", refine=False))
    assert {outcome.name: outcome.error is None for outcome in outcomes} == {
        "Z_xFCrich.tif": True,
        "good.tif": True,
        "_xE4.tif": False,
    }


def test_labels_of_such_a_name_become_polygons_and_outputs_are_refused(scene, folder, tmp_path):
    labels = map_scene(scene, "forest,water", tmp_path / "m.tif", refine=False).labels
    renamed = folder / odd(b"\xfc.tif")
    shutil.move(labels, renamed)
    assert vectorizing.vectorize(renamed, tmp_path / "p.gpkg") >= 1
    for path in (folder / "p.gpkg", tmp_path / odd(b"\xfc.gpkg")):
        with pytest.raises(OutputError, match="isn't UTF-8: give another one"):
            vectorizing.vectorize(renamed, path)
    with pytest.raises(OutputError, match="isn't UTF-8: give another one"):
        map_scene(scene, "forest,water", folder / "m.tif")


def test_links_go_with_the_process(scene, tmp_path):
    (tmp_path / "temporary").mkdir()
    code = (
        "import os, sys; from lposs_geo import cli; from lposs_geo.files import odd_names\n"
        "made = odd_names._new_folder\n"
        "def new_folder(): folder = made(); print(folder); return folder\n"
        "odd_names._new_folder = new_folder\n"
        "try: cli.main(['info', '--json', sys.argv[1]])\n"
        "except SystemExit: sys.stdout.flush(); os._exit(0)"  # nothing of Python's own puts away
    )
    environment = os.environ | {"TMPDIR": str(tmp_path / "temporary")}
    command = [sys.executable, "-c", code, scene]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    *links, facts = done.stdout.splitlines()
    assert links
    assert all("temporary/lposs-geo-names-" in link for link in links)
    assert json.loads(facts)["scene"].endswith("Z\\xfcrich.tif")
    assert not list((tmp_path / "temporary").iterdir())


def test_messages_name_the_file_and_no_link(scene, folder):
    scene.write_bytes(scene.read_bytes()[:200])
    with pytest.raises(SceneError) as caught:
        describe(scene)
    assert "lposs-geo-names" not in str(caught.value)
    assert str(caught.value).startswith(f"'{escaped(str(scene))}' ")
    assert unlinked(linked(str(scene))) == str(scene)
    assert resolve(scene).path == escaped(str(scene))


def test_a_temporary_folder_of_such_a_name_takes_no_links(scene, folder, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    forget_links()
    assert describe(scene).grid.width == 30
    forget_links()
