from __future__ import annotations

import numpy as np
import pytest
import rasterio

from lposs_geo.legend.categories import Categories, read_categories

NAMES = "<CategoryNames>{}</CategoryNames>".format
TABLE = '<GDALRasterAttributeTable tableType="thematic"{}>{}</GDALRasterAttributeTable>'.format


def _column(name, usage, kind=0):
    return f"<FieldDefn><Name>{name}</Name><Type>{kind}</Type><Usage>{usage}</Usage></FieldDefn>"


def _rows(*rows):
    cells = ["".join(f"<F>{cell}</F>" for cell in row) for row in rows]
    return "".join(f'<Row index="{index}">{row}</Row>' for index, row in enumerate(cells))


@pytest.fixture
def read(write_raster):
    """What is read of a raster with a sidecar of one band."""

    def read(band: str | bytes, **profile) -> Categories:
        path = write_raster(np.array([[[0, 1], [2, 3]]], dtype="uint8"), "labels.tif", **profile)
        band = band.encode() if isinstance(band, str) else band
        sidecar = b'<PAMDataset><PAMRasterBand band="1">' + band + b"</PAMRasterBand></PAMDataset>"
        path.with_name("labels.tif.aux.xml").write_bytes(sidecar)
        with rasterio.open(path) as dataset:
            return read_categories(dataset)

    return read


def test_category_names(read):
    found = read(NAMES("<Category>lake</Category><Category/><Category>W&#228;ld</Category>"))
    assert found == Categories({0: "lake", 2: "Wäld"})
    assert read("") == Categories()


def test_an_attribute_table(read):
    columns = _column("Value", 5) + _column("Class_Name", 2, 2) + _column("R", 6) + _column("G", 7) + _column("B", 8)
    rows = _rows((3, "wood", 1, 2, 3), (0, "lake", 4, 5, 6), (300, "far", 1, 1, 1))
    assert read(TABLE("", columns + rows)) == Categories({0: "lake", 3: "wood"}, {0: (4, 5, 6), 3: (1, 2, 3)})
    columns = _column("VALUE", 0, 1) + _column("COUNT", 1) + _column("Class", 0, 2)  # as ArcGIS writes them
    assert read(TABLE("", columns + _rows(("2.0", 7, "wood"), ("1.5", 7, "half")))).names == {2: "wood"}
    steps, names = TABLE(' Row0Min="1" BinSize="1"', "{}").format, _column("name", 2, 2)
    assert read(steps(names + _rows("a", "b"))).names == {1: "a", 2: "b"}


def test_a_palette(read, write_raster):
    path = write_raster(np.ones((1, 2, 2), dtype="uint8"), "palette.png", driver="PNG", crs=None)
    with rasterio.open(path, "w", driver="GTiff", width=2, height=2, count=1, dtype="uint8") as dataset:
        dataset.write_colormap(1, {0: (9, 8, 7, 255), 1: (1, 2, 3, 255)})
    with rasterio.open(path) as dataset:
        found = read_categories(dataset)
    assert not found.names
    assert [found.colours[value] for value in (0, 1)] == [(9, 8, 7), (1, 2, 3)]


def test_names_are_made_fit_for_a_maps_files(read):
    odd = "<Category>a&#10;b\u202ec</Category><Category> </Category><Category>" + "x" * 5000 + "</Category>"
    assert read(NAMES(odd)).names == {0: "a b c", 2: "x" * 1000}
    many = NAMES("".join(f"<Category>n{k}</Category>" for k in range(400)))
    assert max(read(many).names) == 255
