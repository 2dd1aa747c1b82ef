"""Legends, areas, examples, label rasters and their tags with random damage: each is read, or refused in one line.

Each kind begins with files that are right and changes bytes, letters, numbers and structure, the same way in each run.
"""

from __future__ import annotations

import contextlib
import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS

from lposs_geo.errors import LpossGeoError
from lposs_geo.examples import read_examples
from lposs_geo.grid import Grid
from lposs_geo.legend.building import from_words
from lposs_geo.legend.legend import Legend
from lposs_geo.legend.toml_files import preset, read_legend, to_toml
from lposs_geo.polygons.vectorize import vectorize
from lposs_geo.scene.aoi import area_on, read_aoi
from lposs_geo.writers.rasters import LEGEND_TAG, read_label_legend

UTM = CRS.from_epsg(32632)
SCENE = Grid(40, 50, UTM, Affine(2, 0, 500_000, 0, -2, 5_200_000))
SHAPES = [shapely.box(500_020, 5_199_930, 500_060, 5_199_970), shapely.Point(500_080, 5_199_950).buffer(9, quad_segs=2)]
JOINERS = dict.fromkeys((0x200C, 0x200D))  # parts of letters
ODD_WORDS = ["\ud800", "\u202e", "\u200d", "\0", "\x1b[2J", "a\nb", "x" * 3000, "", "unknown", "e\u0301", "\U0001f333"]
ODD_VALUES = [None, True, -1, 0, 255, 1e400, float("nan"), 10**25, 10**5000, "1", [], {}, [[]], 5.5, *ODD_WORDS]


def bytes_changed(rng: random.Random, raw: bytes) -> bytes:
    """With some bytes flipped, cut out, doubled, or others in their place; or cut off."""
    changed = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 8))):
        first = rng.randrange(len(changed) + 1)
        last = min(len(changed), first + rng.choice((1, 1, 2, 4, 40)))
        match rng.randrange(6):
            case 0:
                changed[first:last] = rng.randbytes(last - first)
            case 1:
                del changed[first:last]
            case 2:
                changed[first:first] = changed[first:last] * rng.choice((1, 2, 50))
            case 3:
                changed[first:last] = rng.choice((b"\xff", b"\0", b"[", b'"', b"\n", b"9" * 400, b"\xff\xff\xff\x7f"))
            case 4 if first < len(changed):
                changed[first] ^= 1 << rng.randrange(8)
            case _:
                del changed[first:]
        if not changed:
            break
    return bytes(changed)


def values_changed(rng: random.Random, data: object) -> object:
    """JSON with one value anywhere in it changed, left out, or put in twice."""
    if isinstance(data, dict | list) and data and rng.random() < 0.85:
        copy = data.copy()
        key = rng.choice(list(copy)) if isinstance(copy, dict) else rng.randrange(len(copy))
        if rng.random() < 0.15:
            del copy[key]  # type: ignore[arg-type]
        elif isinstance(copy, list) and rng.random() < 0.1:
            copy.insert(key, copy[key])
        else:
            copy[key] = values_changed(rng, copy[key])  # type: ignore[index]
        return copy
    if isinstance(data, list) and rng.random() < 0.1:
        return json.loads("[" * 50 + "]" * 50)
    return rng.choice(ODD_VALUES)


def as_json(data: object) -> str:
    try:
        return json.dumps(data)
    except ValueError:  # a number of too many digits for Python to write
        return json.dumps(data, default=str) if not _has_giant(data) else '{"classes": [{"id": ' + "9" * 5000 + "}]}"


def _has_giant(data: object) -> bool:
    if isinstance(data, dict | list):
        return any(map(_has_giant, data.values() if isinstance(data, dict) else data))
    return isinstance(data, int) and abs(data) > 10**4000


def outcome(work: Callable[[], object]) -> str:
    """Nothing, if it succeeds; else the line that it is refused with."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # an overflow that a user would see
            work()
    except LpossGeoError as error:
        said = str(error)
        assert said and said.translate(JOINERS).isprintable(), ascii(said)
        assert len(said) < 1500
        return said
    return ""


def check(outcomes: list[str]) -> None:
    """Some of the damage must matter, and some must not: else nothing was tried."""
    refused = sum(map(bool, outcomes))
    assert 0 < refused < len(outcomes), outcomes[:3]


def test_legend_files(tmp_path):
    rng = random.Random(1)
    texts = [to_toml(preset(name)) for name in ("worldcover", "loveda")]
    texts.append('title = "a"\n[[classes]]\nname = "a"\nnegatives = ["b", "c"]\ncode = 7\n[[classes]]\nname = "d"\n')
    file = tmp_path / "legend.toml"

    def attempt() -> None:
        legend = read_legend(file)
        assert Legend.from_dict(json.loads(json.dumps(legend.as_dict()))) == legend

    outcomes = []
    for _ in range(300):
        file.write_bytes(bytes_changed(rng, rng.choice(texts).encode()))
        outcomes.append(outcome(attempt))
    check(outcomes)
    assert all(str(file) in said for said in outcomes if said)


def test_lists_of_words():
    rng = random.Random(2)
    texts = ["water,forest=trees|woodland,road", '["water", "crop, field"]', "1. water\n2. forest\n3. road", "“a”; 'b'"]
    letters = [",", ";", '"', "'", "“", "”", "[", "]", "(", "{", "|", "=", "\n", "\t", "\\", " ", "•", "1.", *ODD_WORDS]

    def changed(text: str) -> str:
        for _ in range(rng.choice((1, 2, 5))):
            index = rng.randrange(len(text) + 1)
            text = text[:index] + rng.choice(letters) + text[index + rng.randrange(2) :]
        return text

    def attempt(text: str) -> None:
        legend = from_words(text)
        assert Legend.from_dict(json.loads(json.dumps(legend.as_dict()))) == legend

    check([outcome(lambda: attempt(changed(rng.choice(texts)))) for _ in range(600)])


def _areas(folder: Path) -> dict[str, list[bytes]]:
    """The bytes of areas by format, each of some kinds."""
    frame = geopandas.GeoDataFrame({"n": [1, 2]}, geometry=SHAPES, crs=32632)
    for suffix in ("gpkg", "fgb", "shp", "geojson"):
        (frame.to_crs(4326) if suffix == "geojson" else frame).to_file(folder / f"area.{suffix}")
    frame.to_parquet(folder / "area.parquet")
    (lon, lat), *_ = np.array(frame.to_crs(4326).geometry[0].exterior.coords)
    ring = f"{lon},{lat} {lon + 0.001},{lat} {lon},{lat + 0.001}"
    kml = (
        '<kml xmlns="http://www.opengis.net/kml/2.2"><Placemark><Polygon><outerBoundaryIs><LinearRing><coordinates>'
        f"{ring}</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark></kml>"
    )
    x, y = 500_020, 5_199_950
    patch = f"(({x} {y} 0,{x + 30} {y} 0,{x} {y + 30} 0,{x} {y} 0))"
    shapes = [f"TIN Z({patch})", f"POLYHEDRALSURFACE Z({patch})", f"POLYGON Z{patch}", f"MULTIPOLYGON Z({patch})"]
    shapes += [f"CURVEPOLYGON(CIRCULARSTRING({x} {y},{x + 9} {y + 9},{x + 18} {y},{x + 9} {y - 9},{x} {y}))"]
    found = {
        suffix: [(folder / f"area.{suffix}").read_bytes()] for suffix in ("gpkg", "fgb", "shp", "geojson", "parquet")
    }
    found["kml"] = [kml.encode()]
    found["csv"] = [f'WKT\n"{shape}"\n'.encode() for shape in shapes]
    return found


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "shp", "geojson", "parquet", "kml", "csv"])
def test_areas(tmp_path, suffix):
    rng = random.Random(suffix)
    wholes = _areas(tmp_path)[suffix]
    file = tmp_path / f"area.{suffix}"

    def attempt() -> None:
        area_on(read_aoi(file, UTM), SCENE)

    outcomes = [outcome(attempt)]
    for _ in range(40 if suffix in ("gpkg", "parquet") else 80):
        file.write_bytes(bytes_changed(rng, rng.choice(wholes)))
        outcomes.append(outcome(attempt))
    check(outcomes)


def test_areas_of_geojson_with_odd_values(tmp_path):
    rng = random.Random(4)
    geopandas.GeoDataFrame(geometry=SHAPES, crs=32632).to_crs(4326).to_file(tmp_path / "area.geojson")
    whole = json.loads((tmp_path / "area.geojson").read_text())
    file = tmp_path / "odd.geojson"
    outcomes = []
    for _ in range(150):
        file.write_text(as_json(values_changed(rng, values_changed(rng, whole))), errors="surrogatepass")
        outcomes.append(outcome(lambda: area_on(read_aoi(file, UTM), SCENE)))
    check(outcomes)


def test_areas_of_geoparquet_with_odd_metadata(tmp_path):
    from pyarrow import parquet

    rng = random.Random(5)
    geopandas.GeoDataFrame(geometry=SHAPES, crs=32632).to_parquet(tmp_path / "area.parquet")
    whole = parquet.read_table(tmp_path / "area.parquet")
    facts = json.loads(whole.schema.metadata[b"geo"])
    outcomes = []
    for _ in range(100):
        changed = whole.replace_schema_metadata({"geo": as_json(values_changed(rng, facts))})
        parquet.write_table(changed, tmp_path / "odd.parquet")
        outcomes.append(outcome(lambda: area_on(read_aoi(tmp_path / "odd.parquet", UTM), SCENE)))
    check(outcomes)


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "parquet", "csv"])
def test_examples(tmp_path, suffix):
    rng = random.Random(suffix)
    shapes = [
        *SHAPES,
        shapely.Point(500_010, 5_199_990),
        shapely.LineString([(500_002, 5_199_930), (500_009, 5_199_940)]),
    ]
    frame = geopandas.GeoDataFrame(
        {
            "class": ["forest", "1", "water", "heath"],
            "weight": [1, None, 2.5, 1],
            "use": ["", None, "training", "other"],
        },
        geometry=shapes,
        crs=32632,
    )
    file = tmp_path / f"examples.{suffix}"
    match suffix:
        case "parquet":
            frame.to_parquet(file)
        case "csv":
            frame.to_file(file, driver="CSV", GEOMETRY="AS_WKT")
        case _:
            frame.to_crs(4326 if suffix == "geojson" else 32632).to_file(file)
    whole = file.read_bytes()

    def attempt() -> None:
        examples, _ = read_examples(file, from_words("forest,water"), SCENE, add_classes=rng.random() < 0.5)
        assert len(examples) and examples.pixel_counts.min() > 0

    outcomes = [outcome(attempt)]
    for number in range(40 if suffix in ("gpkg", "parquet") else 120):
        if suffix == "geojson" and number % 2:
            odd = values_changed(rng, values_changed(rng, json.loads(whole)))
            file.write_text(as_json(odd), errors="surrogatepass")
        else:
            file.write_bytes(bytes_changed(rng, whole))
        outcomes.append(outcome(attempt))
    check(outcomes)


def test_boxes():
    rng = random.Random(6)
    numbers = ["500020", "5199930", "500060", "5199970", "1e300", "-1e300", "1e-300", "nan", "inf", "", "x", "0", "1_0"]

    def attempt() -> None:
        area_on(read_aoi(",".join(rng.choices(numbers, [40] * 4 + [1] * 9, k=4)), UTM), SCENE)

    check([outcome(attempt) for _ in range(300)])


@pytest.fixture
def labels(write_raster):
    return write_raster(np.tri(20, 24, dtype="uint8")[None] + 1, "labels.tif", nodata=255)


def test_legend_tags(labels, tmp_path):
    rng = random.Random(7)
    whole = preset("loveda").as_dict()
    outcomes = []
    for number in range(200):
        changed = as_json(values_changed(rng, whole))
        if rng.random() < 0.3:
            changed = bytes_changed(rng, json.dumps(whole).encode()).decode("latin-1").replace("\0", "")
        with rasterio.open(labels, "r+") as dataset:
            dataset.update_tags(**{LEGEND_TAG: changed})
        outcomes.append(outcome(lambda: read_label_legend(labels)))
        if not outcomes[-1] and number % 10 == 0:  # what is read can also be written
            outcomes.append(outcome(lambda: vectorize(labels, tmp_path / "a.gpkg", overwrite=True)))
    check(outcomes)


def test_sidecars(labels, tmp_path):
    rng = random.Random(8)
    sidecar = Path(f"{labels}.aux.xml")
    columns = "".join(
        f"<FieldDefn><Name>{name}</Name><Type>{kind}</Type><Usage>{usage}</Usage></FieldDefn>"
        for name, kind, usage in (("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8))
    )
    row = "<Row><F>1</F><F>wood</F><F>9</F><F>8</F><F>7</F></Row>"
    whole = (
        '<PAMDataset><PAMRasterBand band="1"><NoDataValue>255</NoDataValue><CategoryNames><Category>lake</Category>'
        f'</CategoryNames><GDALRasterAttributeTable tableType="thematic">{columns}{row}</GDALRasterAttributeTable>'
        "</PAMRasterBand></PAMDataset>"
    )
    outcomes = []
    for number in range(150):
        sidecar.write_bytes(bytes_changed(rng, whole.encode()))
        outcomes.append(outcome(lambda: read_label_legend(labels)))
        if number % 10 == 0:
            outcomes.append(outcome(lambda: vectorize(labels, tmp_path / "a.gpkg", overwrite=True)))
    assert not any(outcomes[:1])  # GDAL says nothing of most damage beside a raster, and then neither do we


@pytest.mark.parametrize("options", [{}, {"compress": "deflate"}, {"tiled": True, "blockxsize": 16, "blockysize": 16}])
def test_label_rasters(tmp_path, write_raster, options):
    rng = random.Random(str(options))
    labels = write_raster(np.tri(20, 24, dtype="uint8")[None] + 1, "labels.tif", nodata=255, **options)
    with rasterio.open(labels, "r+") as dataset:
        dataset.update_tags(**{LEGEND_TAG: json.dumps(from_words("water,forest").as_dict())})
    whole = labels.read_bytes()
    outcomes = []
    for number in range(120):
        labels.write_bytes(bytes_changed(rng, whole))
        outcomes.append(outcome(lambda: read_label_legend(labels)))
        if number % 6 == 0:
            outcomes.append(outcome(lambda: vectorize(labels, tmp_path / "a.gpkg", overwrite=True)))
        with contextlib.suppress(OSError):
            Path(f"{labels}.aux.xml").unlink()
    check(outcomes)
    assert {file.name for file in tmp_path.iterdir()} <= {"labels.tif", "a.gpkg"}
