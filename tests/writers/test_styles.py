from __future__ import annotations

import json
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS

from lposs_geo.legend.legend import LandClass, Legend
from lposs_geo.polygons.coverage import PolygonBatch
from lposs_geo.polygons.files import write_polygons
from lposs_geo.writers.changes import change_classes
from lposs_geo.writers.styles import changes_qml, confidence_qml, labels_qml, labels_sld, polygons_qml, polygons_sld

LEGEND = Legend(
    (
        LandClass(1, "forest", ("forest",), (28, 98, 54)),
        LandClass(2, "Größe & <Maß>", ("size",), (230, 159, 0)),
        LandClass(3, "\"quoted\" 'road'", ("road",), (84, 84, 92)),
    )
)
CLASSES = {c.id: (c.name, c.hex_colour) for c in LEGEND.classes} | {0: ("unknown", "#000000")}
SLD = "{http://www.opengis.net/sld}"
OGC = "{http://www.opengis.net/ogc}"


def test_a_label_raster_has_a_colour_and_a_name_for_each_class():
    root = ElementTree.fromstring(labels_qml(LEGEND))
    renderer = root.find("pipe/rasterrenderer")
    assert renderer.get("type") == "paletted"
    entries = renderer.findall("colorPalette/paletteEntry")
    assert {int(e.get("value")): (e.get("label"), e.get("color")) for e in entries} == CLASSES  # nodata is none
    assert {e.get("alpha") for e in entries} == {"255"}


def test_labels_as_sld():
    root = ElementTree.fromstring(labels_sld(LEGEND).encode())
    assert root.get("version") == "1.0.0"
    (colours,) = root.iter(f"{SLD}ColorMap")
    assert colours.get("type") == "values"
    assert {int(e.get("quantity")): (e.get("label"), e.get("color")) for e in colours} == CLASSES
    quantities = [int(entry.get("quantity")) for entry in colours]
    assert quantities == sorted(quantities)


def test_polygons_have_a_category_for_each_class():
    root = ElementTree.fromstring(polygons_qml(LEGEND))
    renderer = root.find("renderer-v2")
    assert (renderer.get("type"), renderer.get("attr")) == ("categorizedSymbol", "class_id")
    fills = {
        symbol.get("name"): symbol.find("layer/Option/Option[@name='color']").get("value")
        for symbol in renderer.findall("symbols/symbol")
    }
    for category in renderer.findall("categories/category"):
        name, colour = CLASSES[int(category.get("value"))]
        assert category.get("label") == name
        red, green, blue = bytes.fromhex(colour[1:])
        assert fills[category.get("symbol")] == f"{red},{green},{blue},255"
    assert len(fills) == len(CLASSES)


def test_polygons_as_sld():
    root = ElementTree.fromstring(polygons_sld(LEGEND).encode())
    found = {}
    for rule in root.iter(f"{SLD}Rule"):
        equal = rule.find(f"{OGC}Filter/{OGC}PropertyIsEqualTo")
        assert equal.findtext(f"{OGC}PropertyName") == "class_id"
        fill = rule.findtext(f"{SLD}PolygonSymbolizer/{SLD}Fill/{SLD}CssParameter[@name='fill']")
        found[int(equal.findtext(f"{OGC}Literal"))] = rule.findtext(f"{SLD}Title"), fill
    assert found == CLASSES


def test_confidence_grows_brighter_evenly():
    items = ElementTree.fromstring(confidence_qml()).findall(".//colorrampshader/item")
    assert [int(item.get("value")) for item in items] == list(range(0, 101, 10))
    assert [item.get("label") for item in items] == [f"{value} %" for value in range(0, 101, 10)]
    linear = np.array([list(bytes.fromhex(item.get("color")[1:])) for item in items]) / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    lightness = 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16
    steps = np.diff(lightness)
    assert steps.min() > 0.7 * steps.max() > 0


QGIS = """
import json, os, sys
os.chdir(sys.argv[1])
from qgis.core import QgsApplication, QgsRasterLayer, QgsRenderContext, QgsVectorLayer
QgsApplication.setPrefixPath("/usr", True)
app = QgsApplication([], False)
app.initQgis()
found = {}

labels = QgsRasterLayer("labels.tif", "labels")  # labels.qml beside it is taken without being asked for
renderer = labels.renderer()
found["labels"] = [renderer.type(), [[c.value, c.label, c.color.name(), c.color.alpha()] for c in renderer.classes()]]
found["labels loaded"] = labels.loadNamedStyle("labels.qml")[1]

confidence = QgsRasterLayer("confidence.tif", "confidence")
found["confidence loaded"] = confidence.loadNamedStyle("percent.qml")[1]
shader = confidence.renderer().shader().rasterShaderFunction()
items = [[i.value, i.label, i.color.name()] for i in shader.colorRampItemList()]
found["confidence"] = [confidence.renderer().type(), shader.minimumValue(), shader.maximumValue(), items]
found["ramp"] = [stop.color.name() for stop in shader.sourceColorRamp().stops()]

def categories(layer):
    return [[c.value(), c.label(), c.symbol().color().name()] for c in layer.renderer().categories()]

polygons = QgsVectorLayer("map.gpkg|layername=landcover", "polygons", "ogr")
found["polygons"] = [polygons.isValid(), polygons.renderer().type(), polygons.renderer().classAttribute()]
found["categories"] = categories(polygons)
context, renderer = QgsRenderContext(), polygons.renderer().clone()
renderer.startRender(context, polygons.fields())
def drawn(feature):
    return renderer.symbolForFeature(feature, context).color().name()
found["drawn"] = [[f["class_id"], f["class_name"], drawn(f)] for f in polygons.getFeatures()]
renderer.stopRender(context)
plain = QgsVectorLayer("map.fgb", "plain", "ogr")
found["loaded"] = plain.loadNamedStyle("polygons.qml")[1]
found["loaded categories"] = categories(plain)
found["sld loaded"] = plain.loadSldStyle("polygons.sld")[1]
rules = plain.renderer().rootRule().children()
found["rules"] = [[r.filterExpression(), r.label(), r.symbol().color().name()] for r in rules]
print("FOUND", json.dumps(found))
sys.stdout.flush()
os._exit(0)  # QGIS is known to crash on its way out
"""
SYSTEM = {"PATH": "/usr/bin:/bin", "QT_QPA_PLATFORM": "offscreen", "PYTHONIOENCODING": "utf-8"}


@pytest.fixture(scope="module")
def qgis(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What QGIS makes of the styles, all in one process: it takes seconds to start."""
    python = "/usr/bin/python3"
    try:
        subprocess.run([python, "-c", "import qgis.core"], env=SYSTEM, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("QGIS isn't installed")
    folder = tmp_path_factory.mktemp("qgis")
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 2, "width": 3, "nodata": 255}
    profile |= {"crs": "EPSG:32632", "transform": Affine(0.6, 0, 439136.4, 0, -0.6, 5273706.6)}
    for name, values in {"labels": [[0, 1, 2], [3, 255, 255]], "confidence": [[0, 20, 50], [70, 100, 255]]}.items():
        with rasterio.open(folder / f"{name}.tif", "w", **profile) as dataset:
            dataset.write(np.array(values, dtype="uint8"), 1)
    styles = {"labels.qml": labels_qml(LEGEND), "percent.qml": confidence_qml()}
    styles |= {"polygons.qml": polygons_qml(LEGEND), "polygons.sld": polygons_sld(LEGEND)}
    for name, text in styles.items():
        (folder / name).write_text(text, encoding="utf-8")
    squares = shapely.box(np.arange(4.0), 0, np.arange(4.0) + 1, 1)
    batch = PolygonBatch(squares, np.arange(4), np.ones(4), np.full(4, 4.0), None)
    for name in ("map.gpkg", "map.fgb"):
        write_polygons([batch], folder / name, LEGEND, CRS.from_epsg(32632))
    command = [python, "-c", QGIS, str(folder)]
    done = subprocess.run(command, env=SYSTEM | {"HOME": str(folder)}, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    assert lines, done.stderr
    return json.loads(lines[0].removeprefix("FOUND "))


def test_qgis_shows_labels_by_name(qgis):
    kind, classes = qgis["labels"]
    assert kind == "paletted"
    assert {int(value): (label, colour) for value, label, colour, _ in classes} == CLASSES
    assert {alpha for *_, alpha in classes} == {255}
    assert qgis["labels loaded"]


def test_qgis_shows_confidence_in_percent(qgis):
    kind, low, high, items = qgis["confidence"]
    assert qgis["confidence loaded"]
    assert (kind, low, high) == ("singlebandpseudocolor", 0, 100)
    assert [(value, label) for value, label, _ in items] == [(value, f"{value} %") for value in range(0, 101, 10)]
    assert qgis["ramp"] == [colour for *_, colour in items[1:-1]]


def test_qgis_opens_a_geopackage_with_its_style(qgis):
    assert qgis["polygons"] == [True, "categorizedSymbol", "class_id"]
    assert {int(value): (label, colour) for value, label, colour in qgis["categories"]} == CLASSES
    assert {value: (name, colour) for value, name, colour in qgis["drawn"]} == CLASSES


def test_qgis_reads_the_polygons_styles(qgis):
    assert qgis["loaded"]
    assert qgis["loaded categories"] == qgis["categories"]
    assert qgis["sld loaded"]
    rules = {int(text.removeprefix("class_id = ")): (label, colour) for text, label, colour in qgis["rules"]}
    assert rules == CLASSES


def test_files_are_utf8(tmp_path: Path):
    path = tmp_path / "labels.sld"
    path.write_text(labels_sld(LEGEND), encoding="utf-8")
    assert "Größe & <Maß>" in {entry.get("label") for entry in ElementTree.parse(path).iter()}


def test_of_changes_what_is_the_same_lets_the_map_show_through():
    root = ElementTree.fromstring(changes_qml(change_classes(LEGEND), clear=0))
    entries = [(each.get("value"), each.get("label"), each.get("alpha")) for each in root.iter("paletteEntry")]
    assert entries == [
        ("0", "unchanged", "0"),
        *((str(each.id), each.name, "255") for each in LEGEND.classes),
        ("254", "unknown", "255"),
    ]
