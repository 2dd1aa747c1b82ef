from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import warnings
import weakref
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pyproj
import pytest
import rasterio.features
import shapely
from affine import Affine
from pyarrow import parquet
from rasterio.crs import CRS

from lposs_geo.errors import OutOfMemoryError, OutputError
from lposs_geo.files.outputs import POLYGON_ENDINGS
from lposs_geo.grid import to_pyproj
from lposs_geo.legend.legend import LandClass, Legend
from lposs_geo.polygons import files as vector_files
from lposs_geo.polygons.coverage import PolygonBatch
from lposs_geo.polygons.files import LAYER, write_polygons
from lposs_geo.writers import styles

LEGEND = Legend(
    (
        LandClass(1, "forest", ("forest",), (28, 98, 54), code=10),
        LandClass(2, 'Größe & <Maß> "x"', ("size",), (230, 159, 0)),
        LandClass(3, "water", ("water",), (62, 120, 192), code=80),
    )
)
UTM = CRS.from_epsg(32632)
LONLAT = CRS.from_epsg(4326)
OWN = CRS.from_wkt(pyproj.CRS("+proj=laea +lat_0=47.6 +lon_0=8.2 +ellps=GRS80 +units=m").to_wkt())
MARS = CRS.from_wkt(
    'GEOGCS["Mars 2000",DATUM["D_Mars_2000",SPHEROID["Mars_2000_IAU_IAG",3396190,169.8944472236118]],'
    'PRIMEM["Reference_Meridian",0],UNIT["Degree",0.0174532925199433]]'
)
GROUND = {
    UTM: Affine(0.05, 0, 439136.4, 0, -0.05, 5273706.6),
    LONLAT: Affine(5e-7, 0, 8.2, 0, -5e-7, 47.6),
    OWN: Affine(0.05, 0, -120.3, 0, -0.05, 77.7),
    MARS: Affine(0.001, 0, 137.4, 0, -0.001, -4.5),
    None: Affine(1, 0, 0, 0, -1, 0),
}
FORMATS = list(POLYGON_ENDINGS)
COLUMNS = ["class_id", "class_name", "class_code", "area_m2", "perimeter_m", "confidence", "geometry"]
TOOLS = "/usr/bin:/bin"  # the system's own GDAL, not one that comes with a wheel


def make_batches(crs: CRS | None = UTM, size: int = 24, *, confidence: bool = True) -> list[PolygonBatch]:
    """A random map in three batches; perimeter_m counts the polygons, so that they can be told apart."""
    labels = np.random.default_rng(0).choice([0, 1, 2, 3, 7, 255], (size, size)).astype("uint8")
    shapes = list(rasterio.features.shapes(labels, mask=labels != 255, connectivity=4))
    pixels = shapely.segmentize([shapely.geometry.shape(geometry) for geometry, _ in shapes], 1.0)
    t = GROUND[crs]
    geometry = shapely.transform(
        pixels, lambda p: np.column_stack([t.a * p[:, 0] + t.c, t.e * p[:, 1] + t.f]), include_z=False
    )
    ids = np.array([int(value) for _, value in shapes])
    percent = np.linspace(0, 100, len(ids))
    percent[::5] = np.nan
    return [
        PolygonBatch(
            geometry[part],
            ids[part],
            shapely.area(geometry[part]),
            part.astype(float),
            percent[part] if confidence else None,
        )
        for part in np.array_split(np.arange(len(ids)), 3)
    ]


def read(path: Path) -> geopandas.GeoDataFrame:
    """The polygons in the order in which they were written, which FlatGeobuf changes for its index."""
    frame = geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path, layer=LAYER)
    return frame.sort_values("perimeter_m").reset_index(drop=True)


@pytest.mark.parametrize("crs", [UTM, LONLAT, OWN, MARS, None], ids=["utm", "lonlat", "own", "mars", "none"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_what_is_written_is_what_is_read(tmp_path, suffix, crs):
    batches = make_batches(crs)
    path = tmp_path / f"map{suffix}"
    if suffix == ".geojson" and crs in (MARS, None):
        with pytest.raises(OutputError, match=r"take \.gpkg, \.parquet or \.fgb$"):
            write_polygons(batches, path, LEGEND, crs)
        assert not path.exists()
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = write_polygons(batches, path, LEGEND, crs)
    frame = read(path)
    ids = np.concatenate([batch.class_id for batch in batches])
    geometry = np.concatenate([batch.geometry for batch in batches])
    assert written == len(frame) == len(ids)
    assert list(frame.columns) == COLUMNS
    names = {0: "unknown", 1: "forest", 2: 'Größe & <Maß> "x"', 3: "water", 7: "class 7"}
    assert frame.class_id.tolist() == ids.tolist()
    assert frame.class_name.tolist() == [names[key] for key in ids]
    codes = np.array([{1: 10, 3: 80}.get(key, np.nan) for key in ids.tolist()])
    np.testing.assert_array_equal(frame.class_code.astype(float), codes)
    np.testing.assert_allclose(frame.area_m2, np.concatenate([batch.area_m2 for batch in batches]), rtol=1e-13)
    confidence = np.concatenate([batch.confidence for batch in batches])
    np.testing.assert_allclose(frame.confidence.astype(float), confidence, rtol=1e-6)
    assert shapely.is_valid(frame.geometry.values).all()
    assert shapely.coverage_is_valid(frame.geometry.values)
    if suffix == ".geojson":
        assert frame.crs == "EPSG:4326"
        to_lonlat = pyproj.Transformer.from_crs(to_pyproj(crs), "OGC:CRS84", always_xy=True)
        geometry = shapely.transform(geometry, lambda p: np.column_stack(to_lonlat.transform(*p.T)))
        actual, expected = (shapely.bounds(g) for g in (frame.geometry.values, geometry))
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-8)  # a millimetre
    else:
        assert frame.crs == (None if crs is None else to_pyproj(crs))
        assert shapely.equals(frame.geometry.values, geometry).all()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("confidence", [True, False])
def test_columns_have_their_types(tmp_path, suffix, confidence):
    path = tmp_path / f"map{suffix.upper()}"
    write_polygons(make_batches(confidence=confidence), path, LEGEND, UTM)
    if suffix == ".parquet":
        schema = parquet.read_schema(path)
        kinds = dict(zip(schema.names, map(str, schema.types), strict=True))
        expected = {"class_id": "int32", "class_name": "string", "class_code": "int32"}
        expected |= {"area_m2": "double", "perimeter_m": "double"} | ({"confidence": "float"} if confidence else {})
        assert kinds == expected | {"geometry": "binary", "bbox": kinds["bbox"]}
        return
    info = pyogrio.read_info(path, layer=LAYER)
    assert list(info["fields"]) == COLUMNS[: 6 if confidence else 5]
    real = ["float64"] if suffix == ".geojson" else ["float32"]  # JSON has one kind of numbers
    assert list(info["dtypes"]) == ["int32", "object", "int32", "float64", "float64", *(real if confidence else [])]


@pytest.mark.parametrize("batches", [[], [PolygonBatch(*[np.empty(0)] * 5)]], ids=["none", "empty"])
@pytest.mark.parametrize("crs", [UTM, None], ids=["utm", "none"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_no_polygons_are_a_valid_layer(tmp_path, suffix, crs, batches):
    if suffix == ".geojson" and crs is None:
        return
    path = tmp_path / f"map{suffix}"
    assert write_polygons(batches, path, LEGEND, crs) == 0
    if suffix == ".geojson":  # whose columns are those of its features
        assert json.loads(path.read_text())["features"] == []
        return
    frame = read(path)
    assert list(frame.columns) == COLUMNS
    assert len(frame) == 0
    assert frame.crs == (None if crs is None else to_pyproj(crs))


@pytest.mark.parametrize("suffix", FORMATS)
def test_batches_are_let_go(tmp_path, suffix):
    alive: list[weakref.ref[PolygonBatch]] = []
    most = 0

    def batches() -> Iterator[PolygonBatch]:
        nonlocal most
        for step in range(8):
            most = max(most, sum(ref() is not None for ref in alive))
            x = np.arange(50.0) + 439136
            geometry = shapely.box(x, 5273706 - step, x + 1, 5273707 - step)
            batch = PolygonBatch(geometry, np.full(50, 1), np.ones(50), np.full(50, 4.0), None)
            alive.append(weakref.ref(batch))
            del geometry
            yield batch
            del batch

    assert write_polygons(batches(), tmp_path / f"map{suffix}", LEGEND, UTM) == 400
    assert most == 0  # when the next is made


@pytest.mark.parametrize("error", [OutOfMemoryError("too large"), KeyboardInterrupt(), ValueError("a bug")])
@pytest.mark.parametrize("suffix", FORMATS)
def test_what_the_source_raises_comes_through(tmp_path, suffix, error):
    def batches() -> Iterator[PolygonBatch]:
        yield from make_batches()
        raise error

    with pytest.raises(type(error)) as caught:
        write_polygons(batches(), tmp_path / f"map{suffix}", LEGEND, UTM)
    assert caught.value is error


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_failed_write_is_one_line(tmp_path, suffix):
    with pytest.raises(OutputError, match=rf"^can't write 'map\{suffix}': .") as caught:
        write_polygons(make_batches(), tmp_path / "none" / f"map{suffix}", LEGEND, UTM)
    assert "\n" not in str(caught.value)


FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_files import LEGEND, UTM, make_batches
from lposs_geo.errors import OutputError
from lposs_geo.polygons.files import write_polygons
path, size = Path(sys.argv[2]), int(sys.argv[3])
batches = make_batches(size=80)
for room in (3000, size // 2, int(size * 0.9), size - 5000, size - 10):
    path.unlink(missing_ok=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        write_polygons(batches, path, LEGEND, UTM)
        print("written with too little room")
    except OutputError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on file sizes there")
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_full_disk_is_noticed_wherever_it_strikes(tmp_path, suffix):
    path = tmp_path / f"map{suffix}"
    write_polygons(make_batches(size=80), path, LEGEND, UTM)
    command = [sys.executable, "-c", FULL_DISK, str(Path(__file__).parent), str(path), str(path.stat().st_size)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 5, done.stderr
    assert all(line.startswith(f"can't write 'map{suffix}': ") for line in lines), lines


def test_a_geopackage_brings_its_style(tmp_path):
    path = tmp_path / "map.gpkg"
    write_polygons(make_batches(), path, LEGEND, UTM)
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        (style,) = map(dict, database.execute("SELECT * FROM layer_styles"))
        contents = dict(database.execute("SELECT table_name, data_type FROM gpkg_contents").fetchall())
        (geometry,) = map(dict, database.execute("SELECT * FROM gpkg_geometry_columns"))
    assert contents == {LAYER: "features", "layer_styles": "attributes"}
    assert (style["f_table_name"], style["f_geometry_column"]) == (geometry["table_name"], geometry["column_name"])
    assert (style["f_table_catalog"], style["f_table_schema"], style["useAsDefault"]) == ("", "", 1)
    assert style["styleQML"] == styles.polygons_qml(LEGEND)
    assert style["styleSLD"] == styles.polygons_sld(LEGEND)
    assert style["update_time"]
    assert pyogrio.list_layers(path).tolist() == [[LAYER, "Polygon"], ["layer_styles", None]]


@pytest.mark.skipif(shutil.which("ogrinfo", path=TOOLS) is None, reason="GDAL's own programs are not installed")
@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".geojson"])
@pytest.mark.parametrize("empty", [False, True])
def test_an_older_gdal_reads_them_without_complaint(tmp_path, suffix, empty):
    path = tmp_path / f"map{suffix}"
    count = write_polygons([] if empty else make_batches(), path, LEGEND, UTM)
    command = ["ogrinfo", "-so", str(path), LAYER]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": TOOLS})
    assert done.returncode == 0
    assert not done.stderr
    assert f"Feature Count: {count}" in done.stdout
    if not (empty and suffix == ".geojson"):
        assert "class_name: String" in done.stdout


def test_geoparquet_says_what_the_standard_asks(tmp_path, monkeypatch):
    monkeypatch.setattr(vector_files, "ROW_GROUP", 16)
    path = tmp_path / "map.parquet"
    batches = make_batches()
    write_polygons(batches, path, LEGEND, UTM)
    geometry = np.concatenate([batch.geometry for batch in batches])
    file = parquet.ParquetFile(path)
    geo = json.loads(file.schema_arrow.metadata[b"geo"])
    assert geo.keys() == {"version", "primary_column", "columns"}
    assert geo["version"] == "1.1.0"
    assert geo["primary_column"] == "geometry"
    assert geo["columns"].keys() == {"geometry"}
    column = geo["columns"]["geometry"]
    projjson = column.pop("crs")
    assert projjson["id"] == {"authority": "EPSG", "code": 32632}
    assert pyproj.CRS.from_json_dict(projjson) == "EPSG:32632"
    assert column.pop("bbox") == shapely.total_bounds(geometry).tolist()
    assert column == {
        "encoding": "WKB",
        "geometry_types": ["Polygon"],
        "orientation": "counterclockwise",
        "edges": "planar",
        "covering": {"bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}},
    }
    assert all(shapely.is_ccw(shapely.get_exterior_ring(shapely.from_wkb(file.read()["geometry"].to_numpy()))))
    boxes = file.read()["bbox"].to_pylist()
    assert [list(box.values()) for box in boxes] == shapely.bounds(geometry).tolist()
    groups = [file.metadata.row_group(index) for index in range(file.num_row_groups)]
    assert {group.num_rows for group in groups[:-1]} == {16}
    chunks = {chunk.path_in_schema: chunk for chunk in (groups[0].column(i) for i in range(groups[0].num_columns))}
    assert {chunk.compression for chunk in chunks.values()} == {"ZSTD"}
    assert chunks["bbox.xmin"].statistics.min == shapely.bounds(geometry[:16])[:, 0].min()


def test_geoparquet_without_a_crs_says_so(tmp_path):
    # no key at all would mean longitude and latitude
    write_polygons(make_batches(None), tmp_path / "map.parquet", LEGEND, None)
    column = json.loads(parquet.read_schema(tmp_path / "map.parquet").metadata[b"geo"])["columns"]["geometry"]
    assert "crs" in column
    assert column["crs"] is None


def test_geoparquet_is_read_in_part(tmp_path):
    path = tmp_path / "map.parquet"
    write_polygons(make_batches(), path, LEGEND, UTM)
    everything = geopandas.read_parquet(path)
    west, south, _, _ = everything.total_bounds
    corner = (west, south, west + 0.3, south + 0.3)
    part = geopandas.read_parquet(path, bbox=corner)
    boxes = shapely.box(*shapely.bounds(everything.geometry.values).T)
    assert 0 < len(part) == shapely.intersects(boxes, shapely.box(*corner)).sum() < len(everything)


def test_flatgeobuf_is_read_in_part(tmp_path):
    path = tmp_path / "map.fgb"
    write_polygons(make_batches(), path, LEGEND, UTM)
    assert pyogrio.read_info(path)["capabilities"]["fast_spatial_filter"]


def test_geojson_follows_its_rfc(tmp_path):
    path = tmp_path / "map.geojson"
    geometry = np.array([shapely.box(815000, 1100000, 850000, 1150000), shapely.box(800000, 1100000, 815000, 1150000)])
    batch = PolygonBatch(geometry, np.array([1, 2]), shapely.area(geometry), shapely.length(geometry), None)
    write_polygons([batch], path, LEGEND, CRS.from_epsg(32660))
    data = json.loads(path.read_text())
    assert "crs" not in data
    across, beside = (shapely.from_geojson(json.dumps(feature["geometry"])) for feature in data["features"])
    assert (across.geom_type, beside.geom_type) == ("MultiPolygon", "Polygon")
    assert [part.bounds[i] for part in sorted(across.geoms, key=lambda p: p.bounds) for i in (0, 2)] == [
        -180,
        pytest.approx(-179.8, abs=0.05),
        pytest.approx(179.87, abs=0.05),
        180,
    ]
    assert all(part.exterior.is_ccw for part in (*across.geoms, beside))
    assert data["features"][0]["properties"]["class_code"] == 10
    assert data["features"][1]["properties"]["class_code"] is None
