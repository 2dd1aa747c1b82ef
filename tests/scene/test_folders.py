from __future__ import annotations

import re

import pytest
import rasterio
import rasterio.shutil
from affine import Affine

from lposs_geo.errors import SceneError
from lposs_geo.scene.description import describe
from lposs_geo.scene.folders import scenes_in
from lposs_geo.scene.resolving import resolve
from lposs_geo.testing.rasters import noise, write_geotiff, write_part


def test_the_scenes_in_a_folder_are_its_rasters(write_raster, tmp_path):
    for name in ("b.tif", "a.TIF", "map.tif"):
        write_raster(noise(), name)
    with rasterio.open(tmp_path / "map.tif", "r+") as made:
        made.update_tags(LPOSS_GEO_VERSION="1")
    for name in (
        "a.TIF.aux.xml",
        "b.tif.ovr",
        "notes.txt",
        "style.qml",
        "map.json",
        ".hidden.tif",
        "map.png",
        "p.gpkg",
    ):
        (tmp_path / name).write_text("something else")
    write_raster(noise(), "located.png", driver="PNG")
    (tmp_path / "located.pgw").write_text("1\n0\n0\n-1\n0\n0\n")
    (tmp_path / "inner.tif").mkdir()
    (tmp_path / "damaged.tif").write_bytes(b"II*\0")
    assert [file.name for file in scenes_in(tmp_path)] == ["a.TIF", "b.tif", "damaged.tif", "located.png"]


def test_folders_that_are_no_scene(tmp_path):
    said = f"folder '{tmp_path}' holds no raster: a picture counts only with its world file"
    with pytest.raises(SceneError, match=f"^{re.escape(said)}$"):
        describe(tmp_path)
    with pytest.raises(SceneError, match=r"folder .*none' can't be listed: No such file"):
        scenes_in(tmp_path / "none")
    with pytest.raises(SceneError, match="no scene is named"):
        describe([])
    with pytest.raises(SceneError, match=r"^no such file: 'none.tif'$"):
        describe(["none.tif", tmp_path])


def test_what_a_vrt_is_made_of_is_not_counted_beside_it(tmp_path):
    for i in range(2):
        write_part(tmp_path, f"{i}.tif", noise(), 0, 50 * i)
    notice = f"left out of '{tmp_path}', as a VRT beside is made of them: 0.tif, 1.tif"
    (tmp_path / "all.vrt").write_text(resolve(tmp_path).opened)
    assert [file.name for file in scenes_in(tmp_path)] == ["all.vrt"]
    scene = describe(tmp_path)
    assert tuple(map(str, scene.notices)) == (notice,)
    assert scene.grid.width == 100


def test_folders_of_pictures_and_folders_of_folders(tmp_path):

    write_geotiff(tmp_path / "a.png", noise(), driver="PNG", crs=None, transform=Affine.identity())
    (tmp_path / "a.png.aux.xml").write_text("<PAMDataset><Metadata/></PAMDataset>")
    assert scenes_in(tmp_path) == []
    (tmp_path / "a.png.aux.xml").write_text("<PAMDataset><GeoTransform>0,1,0,0,0,-1</GeoTransform></PAMDataset>")
    assert scenes_in(tmp_path) == [tmp_path / "a.png"]
    (tmp_path / "outer" / "x" / "y").mkdir(parents=True)
    write_geotiff(tmp_path / "outer" / "x" / "y" / "a.tif", noise())
    with pytest.raises(SceneError, match=r"holds no raster: .*, and subfolders aren't searched$"):
        resolve(tmp_path / "outer")
