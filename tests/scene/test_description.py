from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
import rasterio.vrt
import rasterio.warp
from PIL import Image

from lposs_geo.scene.description import describe
from lposs_geo.testing.rasters import coded


def test_the_files_of_a_scene_are_all_those_it_is_read_from(write_raster, tmp_path):
    path = write_raster(coded(3, "uint8"))
    for name, source in (("inner.vrt", path), ("outer.vrt", tmp_path / "inner.vrt")):
        with rasterio.open(source) as dataset, rasterio.vrt.WarpedVRT(dataset) as warped:
            rasterio.shutil.copy(warped, tmp_path / name, driver="VRT")
    assert str(path) in describe(path).files
    assert {Path(file).name for file in describe(tmp_path / "outer.vrt").files} == {
        "outer.vrt",
        "inner.vrt",
        "scene.tif",
    }
    assert str(path) in describe(f"GTIFF_DIR:1:{path}").files


def test_a_tiff_of_several_pages_says_which_is_mapped(tmp_path):
    rng = np.random.default_rng(0)
    small, large, third = (
        Image.fromarray(rng.integers(1, 255, (side, side + 4, 3), dtype="uint8")) for side in (20, 160, 30)
    )
    path = tmp_path / "pages.tif"
    small.save(path, save_all=True, append_images=[large, third])
    (notice,) = [notice for notice in map(str, describe(path).notices) if "several pages" in notice]
    assert notice == (
        f"'{path}' has several pages, and the first (20 rows x 24 cols) is mapped, not page 2 (160 rows x 164 cols), "
        f"page 3 (30 rows x 34 cols): name another one like 'GTIFF_DIR:2:{path}'"
    )
    assert not any("several pages" in notice for notice in map(str, describe(f"GTIFF_DIR:2:{path}").notices))
    large.save(tmp_path / "one.tif")
    assert not any("several pages" in notice for notice in map(str, describe(tmp_path / "one.tif").notices))


def test_overviews_and_masks_are_no_pages(write_raster):
    path = write_raster(np.random.default_rng(0).integers(1, 255, (3, 400, 400)).astype("uint8"), tiled=True)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.full((400, 400), 255, np.uint8))
        dataset.build_overviews([2, 4], rasterio.enums.Resampling.average)
    assert not any("several pages" in notice for notice in map(str, describe(path).notices))
