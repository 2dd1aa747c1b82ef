from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate

from lposs_geo.errors import OutputError, SceneError
from lposs_geo.grid import Grid
from lposs_geo.legend.building import from_words
from lposs_geo.legend.legend import LandClass, Legend
from lposs_geo.writers.rasters import label_writer, percent_writer, read_label_legend

GRID = Grid(1100, 700, CRS.from_epsg(32632), Affine(0.6, 0, 439136.4, 0, -0.6, 5273706.6))
LEGEND = from_words("forest=trees|woodland,Größe & <Maß>,road")


def _labels() -> np.ndarray:
    labels = np.random.default_rng(0).integers(1, 4, (11, 7)).astype("uint8").repeat(100, 0).repeat(100, 1)
    labels[:50] = 255
    return labels


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "map.tif"
    labels = _labels()
    with label_writer(path, GRID, LEGEND, {"LPOSS_GEO_MODEL": "mini"}) as writer:
        for row in range(0, 1100, 300):
            window = Window(0, row, 700, min(300, 1100 - row))
            writer.write(labels[window.toslices()], window)
    assert writer.pixels.sum() == labels.size
    assert writer.areas[1] == pytest.approx((labels == 1).sum() * 0.36)
    return path


def test_what_is_written_is_what_is_read(written):
    with rasterio.open(written) as dataset:
        assert (dataset.read(1) == _labels()).all()
        assert dataset.crs == GRID.crs
        assert dataset.transform == GRID.transform
        assert dataset.nodata == 255
        assert dataset.overviews(1)
        assert dataset.tags()["LPOSS_GEO_MODEL"] == "mini"
        colours = dataset.colormap(1)
    for land_class in LEGEND.classes:
        assert colours[land_class.id] == (*land_class.colour, 255)


def test_it_is_a_valid_cog_and_nothing_else_is_left(written):
    valid, errors, warnings = cog_validate(written)
    assert valid, errors
    assert not warnings
    assert {path.name for path in written.parent.iterdir()} == {"map.tif", "map.tif.aux.xml"}


def test_overviews_invent_no_class(written):
    with rasterio.open(written, overview_level=0) as dataset:
        assert set(np.unique(dataset.read(1))) <= {1, 2, 3, 255}


@pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="GDAL's own programs are not installed")
def test_gdal_reads_names_and_attribute_table(written):
    report = subprocess.run(["gdalinfo", "-json", str(written)], capture_output=True, text=True, check=True).stdout
    band = json.loads(report)["bands"][0]
    assert band["colorInterpretation"] == "Palette"
    text = subprocess.run(["gdalinfo", str(written)], capture_output=True, text=True, check=True).stdout
    assert "3: road" in text
    assert "Größe & <Maß>" in text
    rows = json.loads(report)["rat"]["row"]
    assert [row["f"][:2] for row in rows][1:] == [[c.id, c.name] for c in LEGEND.classes]
    assert rows[1]["f"][5] == (_labels() == 1).sum()


def test_the_legend_comes_back(written):
    assert read_label_legend(written) == LEGEND


@pytest.mark.parametrize("tag", ["no json", "[]", '{"classes": [{"id": 1}]}', '{"classes": [{"id": 1, "colour": 3}]}'])
def test_a_damaged_legend_is_said_to_be(write_raster, tag):
    path = write_raster(np.ones((1, 2, 2), dtype="uint8"))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(LPOSS_GEO_LEGEND=tag)
    with pytest.raises(SceneError, match="damaged legend"):
        read_label_legend(path)


CLASS = {"id": 1, "name": "forest", "prompts": ["forest"], "colour": "#1c6236"}
HOSTILE_TAGS = {
    "an infinite id": json.dumps({"classes": [CLASS | {"id": float("inf")}]}),
    "an id of 5000 digits": '{"classes": [{"id": ' + "9" * 5000 + "}]}",
    "an id of a float of 400 digits": '{"classes": [{"id": ' + "9" * 400 + ".0}]}",
    "a code of 10^20": json.dumps({"classes": [CLASS | {"code": 10**20}]}),
    "a lone surrogate": json.dumps({"classes": [CLASS | {"name": "\ud800"}]}),
    "an escape": json.dumps({"classes": [CLASS | {"name": "\x1b[31m"}]}),
    "an id out of range": json.dumps({"classes": [CLASS | {"id": 999}]}),
    "the same id twice": json.dumps({"classes": [CLASS, CLASS]}),
    "300 classes": json.dumps({"classes": [CLASS | {"id": k} for k in range(300)]}),
    "nested": "[" * 100_000,
    "nested in a class": '{"classes": [{"id": ' + "[" * 900 + "]" * 900 + "}]}",
    "too long": json.dumps({"classes": [CLASS], "title": "x" * 1_000_000}),
    "no text for a title": json.dumps({"classes": [CLASS], "title": {"a": 1}}),
}


@pytest.mark.parametrize("kind", HOSTILE_TAGS)
def test_hostile_legends_are_one_line(write_raster, kind):
    path = write_raster(np.ones((1, 2, 2), dtype="uint8"))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(LPOSS_GEO_LEGEND=HOSTILE_TAGS[kind])
    with pytest.raises(SceneError, match="damaged legend") as caught:
        read_label_legend(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_labels_of_others_keep_their_names_and_colours(write_raster, caplog):
    path = write_raster(np.array([[[0, 1, 1], [7, 255, 9]]], dtype="uint8"), nodata=9)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (9, 8, 7, 255), 1: (1, 2, 3, 255)})
    names = "".join(f"<Category>{name}</Category>" for name in ("lake", "wood", "", "moor"))
    Path(f"{path}.aux.xml").write_text(
        f'<PAMDataset><PAMRasterBand band="1"><CategoryNames>{names}</CategoryNames></PAMRasterBand></PAMDataset>'
    )
    legend = read_label_legend(path)
    assert [(c.id, c.name) for c in legend.classes] == [(0, "lake"), (1, "wood"), (3, "moor"), (7, "class 7")]
    assert [c.colour for c in legend.classes[:2]] == [(9, 8, 7), (1, 2, 3)]
    assert legend.with_unknown == legend.classes
    assert not caplog.text


def test_a_band_of_alpha_is_no_second_band_of_labels(write_raster):
    array = np.array([[[1, 1, 2]], [[255, 255, 0]]], dtype="uint8")
    both = write_raster(array, "alpha.tif", photometric="minisblack", alpha="yes")
    assert read_label_legend(both).names == ["class 1", "class 2"]
    with pytest.raises(SceneError, match="no label raster"):
        read_label_legend(write_raster(array, "two.tif", photometric="minisblack"))


def test_labels_of_others_get_plain_names(write_raster):
    path = write_raster(np.array([[[0, 3, 3], [7, 255, 255]]], dtype="uint8"))
    assert read_label_legend(path).names == ["class 3", "class 7"]
    with pytest.raises(SceneError, match="no label raster"):
        read_label_legend(write_raster(np.zeros((1, 2, 2), dtype="float32"), "b.tif"))


def test_a_failed_write_is_one_line(tmp_path):
    writer = label_writer(tmp_path / "none" / "map.tif", GRID, LEGEND, {})
    with pytest.raises(OutputError, match=r"can't write 'map\.tif'"), writer:
        pass


FULL_DISK = """
import resource, sys
import numpy as np
from pathlib import Path
from rasterio.windows import Window
sys.path.insert(0, sys.argv[1])
from test_rasters import GRID, LEGEND
from lposs_geo.errors import OutputError
from lposs_geo.writers.rasters import label_writer
labels = np.random.default_rng(0).integers(1, 4, (1100, 700)).astype("uint8")
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    with label_writer(Path(sys.argv[2]), GRID, LEGEND, {}) as writer:
        writer.write(labels, Window(0, 0, 700, 1100))
except OutputError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on file sizes there")
@pytest.mark.parametrize("room", [1_000, 60_000, 200_000])
def test_a_full_disk_is_noticed_wherever_it_strikes(tmp_path, room):
    # random labels take about 230 kB: the limit strikes at the first block, in the midst, and when the file is closed
    command = [sys.executable, "-c", FULL_DISK, str(Path(__file__).parent), str(tmp_path / "map.tif"), str(room)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.startswith("can't write 'map.tif'"), done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_what_is_never_written_is_nodata_and_takes_no_room(tmp_path):
    grid = Grid(10_000, 10_000, None, rasterio.Affine.identity())
    with label_writer(tmp_path / "map.tif", grid, LEGEND, {}) as writer:
        writer.write(np.full((600, 700), 2, np.uint8), Window(7000, 5000, 700, 600))
    assert (tmp_path / "map.tif").stat().st_size < 1e5
    with rasterio.open(tmp_path / "map.tif") as dataset:
        assert (dataset.read(1, window=Window(6000, 4000, 1000, 1000)) == 255).all()
        assert (dataset.read(1, window=Window(7000, 5000, 700, 600)) == 2).all()
        assert dataset.overviews(1)
    assert writer.pixels[2] == 600 * 700


def test_confidence_is_counted_with_the_labels(tmp_path):
    labels = np.array([[1, 1, 2], [2, 255, 0]], dtype="uint8")
    confidence = np.array([[90, 80, 100], [50, 255, 30]], dtype="uint8")
    legend = Legend(
        (LandClass(1, "forest", ("forest",), (0, 99, 0), code=10), LandClass(2, "sea", ("sea",), (0, 0, 99)))
    )
    grid = Grid(2, 3, GRID.crs, GRID.transform)
    with label_writer(tmp_path / "map.tif", grid, legend, {}) as writer:
        writer.write(labels, Window(0, 0, 3, 2), confidence)
    forest, sea = (writer.class_area(land_class) for land_class in legend.classes)
    assert (forest.pixels, forest.confidence) == (2, 85)
    assert (sea.pixels, sea.confidence) == (2, 75)
    assert forest.area_m2 == pytest.approx(0.72)
    assert forest.share == pytest.approx(0.4)
    assert writer.counts[:255, :101].sum() == 5
    text = (tmp_path / "map.tif.aux.xml").read_text()
    assert "<F>85.00</F>" in text
    assert "<Name>Code</Name>" in text


def test_percentages_are_a_cog_with_named_bands(tmp_path):
    layers = np.random.default_rng(0).integers(0, 101, (3, 1100, 700)).astype("uint8")
    layers[:, :300] = 255
    path = tmp_path / "scores.tif"
    with percent_writer(path, GRID, ["forest", "water", "road"], {"LPOSS_GEO_MODEL": "mini"}) as write:
        for row in range(0, 1100, 400):
            window = Window(0, row, 700, min(400, 1100 - row))
            write(layers[:, row : row + 400], window)
    assert cog_validate(path)[0]
    assert [file.name for file in tmp_path.iterdir()] == ["scores.tif"]
    with rasterio.open(path) as dataset:
        assert (dataset.read() == layers).all()
        assert dataset.descriptions == ("forest", "water", "road")
        assert dataset.nodatavals == (255, 255, 255)
        assert dataset.crs == GRID.crs
        assert dataset.tags()["LPOSS_GEO_MODEL"] == "mini"
        assert dataset.overviews(1)


def test_percentages_that_cannot_be_written(tmp_path):
    with (
        pytest.raises(OutputError, match=r"can't write 'a\.tif'"),
        percent_writer(tmp_path / "none" / "a.tif", GRID, ["confidence"], {}),
    ):
        pass
