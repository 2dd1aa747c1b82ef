"""Maps made in QGIS by the real engine: the same as on the command line, of the part and the classes asked for."""

from __future__ import annotations

import functools
import json
import shlex
import shutil
import unittest
from pathlib import Path

import numpy as np
from osgeo import gdal
from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)

from tests.qgis_session import (
    WORDS,
    Feedback,
    command_line,
    engine,
    first_map,
    folder,
    load_results,
    loaded,
    pixels,
    run,
)
from tests.test_inputs import LAKE, LAND, areas, as_geopackage, from_utm, in_project

NODATA = 255


def names(path: str | Path) -> list[str]:
    """What QGIS calls the values of a map, from 0."""
    layer = QgsRasterLayer(str(path))
    return [entry.label for entry in sorted(layer.renderer().classes(), key=lambda entry: entry.value)]


def settings(path: Path) -> dict:
    """What a map was made with, as the engine keeps it in the file."""
    dataset = gdal.Open(str(path))
    return json.loads(dataset.GetMetadata()["LPOSS_GEO_OPTIONS"])


def inside(path: str | Path, rectangle) -> np.ndarray:
    """Which pixels of a map have their centre in a rectangle of the scene's CRS."""
    dataset = gdal.Open(str(path))
    left, width, _, top, _, height = dataset.GetGeoTransform()
    x = left + width * (np.arange(dataset.RasterXSize) + 0.5)
    y = top + height * (np.arange(dataset.RasterYSize) + 0.5)
    across = (rectangle.xMinimum() < x) & (x < rectangle.xMaximum())
    return across & ((rectangle.yMinimum() < y) & (y < rectangle.yMaximum()))[:, None]


def polygons(path: str | Path) -> list[dict]:
    """The attributes of a GeoPackage's features."""
    layer = QgsVectorLayer(str(path), "", "ogr")
    assert layer.isValid(), path
    return [dict(zip(layer.fields().names(), feature.attributes())) for feature in layer.getFeatures()]


@functools.cache
def map_of_the_command_line() -> Path:
    """The first map's scene and words, mapped without QGIS."""
    output = folder() / "map.tif"
    command_line(
        "map", "--classes", WORDS, "-o", output, f"--confidence={output.with_name('sure.tif')}", first_map().scene
    )
    return output


@functools.cache
def doubtful_map() -> tuple[Path, str]:
    """A map of the lake with classes that can't be told apart, and the layer that it was cut to."""
    output = folder() / "map.tif"
    layer = in_project(as_geopackage(areas(), output.with_name("areas.gpkg"), "my areas"))
    layer.setSubsetString("kind = 'lake'")
    parameters = {
        "INPUT": str(first_map().scene),
        "CLASSES": "water,lake,pond",
        "AOI": layer.id(),
        "BANDS": "1,2,3",
        "MIN_CONFIDENCE": 0.9,
        "REFINE": False,
        "OUTPUT": str(output),
        "CONFIDENCE": str(output.with_name("sure.tif")),
    }
    run("map", parameters)
    return output, layer.id()


class TheFirstMap(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.mapped = first_map()

    def test_labels_and_confidence_are_those_of_the_command_line(self) -> None:
        output = map_of_the_command_line()
        labels = pixels(self.mapped.results["OUTPUT"])
        np.testing.assert_array_equal(labels, pixels(output))
        sure = pixels(self.mapped.results["CONFIDENCE"])
        np.testing.assert_array_equal(sure, pixels(output.with_name("sure.tif")))
        self.assertEqual(set(np.unique(labels)), {1, 3})  # water and fields, so that there is something to compare

    def test_map_lies_on_the_pixels_of_the_scene(self) -> None:
        scene = gdal.Open(str(self.mapped.scene))
        for name in ("OUTPUT", "CONFIDENCE"):
            made = gdal.Open(self.mapped.results[name])
            self.assertEqual(made.GetGeoTransform(), scene.GetGeoTransform())
            self.assertEqual((made.RasterXSize, made.RasterYSize), (scene.RasterXSize, scene.RasterYSize))
            self.assertTrue(made.GetSpatialRef().IsSame(scene.GetSpatialRef()))

    def test_report_is_a_page_about_this_scene(self) -> None:
        page = Path(self.mapped.results["REPORT"]).read_text(encoding="utf-8")
        self.assertIn("Seeufer (côté sud)", page)
        self.assertIn("crop field", page)

    def test_log_has_the_exact_command(self) -> None:
        (command,) = self.mapped.feedback.of("command")
        made = self.mapped.results
        called = shlex.split(command)
        self.assertTrue(Path(called[0]).samefile(engine()))
        self.assertEqual(called[1:3], ["map", "--json"])
        self.assertEqual(called[-2:], ["--", str(self.mapped.scene)])
        self.assertEqual(
            set(called[3:-2]),
            {
                f"--output={made['OUTPUT']}",
                f"--classes={WORDS}",
                f"--vector={made['VECTOR']}",
                f"--confidence={made['CONFIDENCE']}",
                f"--report={made['REPORT']}",
                "--resume",
                "--overwrite",
            },
        )

    def test_log_tells_what_the_engine_tells(self) -> None:
        told = self.mapped.feedback.of("info")
        self.assertTrue(any(line.startswith("bands 3,2,1 as red, green, blue") for line in told), told)
        self.assertTrue(any(line.startswith("model ") for line in told), told)
        self.assertTrue(any(line.startswith("water: ") and "confidence" in line for line in told), told)
        self.assertEqual(self.mapped.feedback.of("error"), [])
        self.assertEqual(self.mapped.feedback.of("console"), [])  # no line that wasn't understood
        stages = ["Looking at the scene", "Propagating the class scores", "Drawing the borders", "Making polygons"]
        self.assertEqual([stage for stage in self.mapped.feedback.of("stage") if stage in stages], stages)

    def test_progress_goes_on_to_100_and_never_back(self) -> None:
        progress = self.mapped.progress
        self.assertGreater(len(progress), 5)
        self.assertEqual(progress, sorted(progress))
        self.assertAlmostEqual(progress[-1], 100)


class ClassesAndLegends(unittest.TestCase):
    def test_words_that_look_like_options_are_classes_and_an_extent_cuts(self) -> None:
        output = folder() / "map.tif"
        extent = f"{LAKE.xMinimum()},{LAKE.xMaximum()},{LAKE.yMinimum()},{LAKE.yMaximum()} [EPSG:32632]"
        words = "--forest,-o x,water,$(touch lost) && echo `id`"
        run("map", {"INPUT": str(first_map().scene), "CLASSES": words, "EXTENT": extent, "OUTPUT": str(output)})
        self.assertEqual(names(output), ["unknown", "--forest", "-o x", "water", "$(touch lost) && echo `id`"])
        within = inside(output, LAKE)
        labels = pixels(output)
        self.assertTrue((labels[within] != NODATA).all())
        self.assertTrue((labels[~within] == NODATA).all())
        self.assertGreater(within.sum(), 8000)  # 50 m by 60 m of 0.6 m

    def test_names_of_a_legend_arrive_in_the_layer_and_an_extent_in_degrees_cuts(self) -> None:
        box = from_utm(LAKE, "EPSG:4326").boundingBox()
        extent = f"{box.xMinimum():.9f},{box.xMaximum():.9f},{box.yMinimum():.9f},{box.yMaximum():.9f} [EPSG:4326]"
        parameters = {
            "INPUT": str(first_map().scene),
            "LEGEND": "corine1",
            "EXTENT": extent,
            "OUTPUT": loaded(str(folder() / "map.tif")),
        }
        results, feedback, context = run("map", parameters)
        self.assertTrue(load_results("map", parameters, context, feedback), feedback.said)
        layer = next(each for each in QgsProject.instance().mapLayers().values() if each.source() == results["OUTPUT"])
        shown = {entry.label: entry.color.name() for entry in layer.renderer().classes()}
        self.assertEqual(shown["Water bodies"], "#00ccf2")
        self.assertEqual(shown["Agricultural areas"], "#ffffa8")
        labels, within = pixels(results["OUTPUT"]), inside(results["OUTPUT"], LAKE)
        self.assertTrue((labels[within] != NODATA).all())
        beyond = inside(results["OUTPUT"], LAKE.buffered(2))
        self.assertTrue((labels[~beyond] == NODATA).all())
        self.assertEqual(names(results["OUTPUT"])[np.bincount(labels[within]).argmax()], "Water bodies")


class AreasAndConfidence(unittest.TestCase):
    def test_selected_areas_of_a_layer_in_memory_of_another_crs(self) -> None:
        layer = in_project(areas("EPSG:3857"))
        layer.selectByExpression("kind = 'land'")
        selected = QgsProcessingFeatureSourceDefinition(layer.id(), True)
        output = folder() / "map.tif"
        run("map", {"INPUT": str(first_map().scene), "CLASSES": WORDS, "AOI": selected, "OUTPUT": str(output)})
        self.assert_only(LAND, output)
        self.assertIn(3, pixels(output))

    def test_filtered_layer_of_a_geopackage_and_doubtful_pixels_become_unknown(self) -> None:
        output, _ = doubtful_map()
        used = settings(output)
        self.assertEqual((used["bands"], used["min_confidence"], used["refine"]), ("1,2,3", 0.9, False))
        self.assert_only(LAKE, output)
        labels, sure = pixels(output), pixels(output.with_name("sure.tif"))
        within = inside(output, LAKE.buffered(-2))
        self.assertTrue((labels[within & (sure < 90)] == 0).all())
        self.assertTrue((labels[within & (sure > 90)] != 0).all())
        self.assertGreater((labels == 0).sum(), 100)

    def assert_only(self, rectangle, path: Path) -> None:
        labels = pixels(path)
        self.assertTrue((labels[inside(path, rectangle.buffered(-2))] != NODATA).all())
        self.assertTrue((labels[~inside(path, rectangle.buffered(2))] == NODATA).all())


class TheSameOutputAgain(unittest.TestCase):
    def test_what_is_finished_is_said_and_other_classes_replace_it_though_it_is_shown(self) -> None:
        output = folder() / "map.tif"
        for file in map_of_the_command_line().parent.iterdir():
            shutil.copy(file, output.parent)
        shown = in_project(QgsRasterLayer(str(output), "a map"))
        self.assertEqual(shown.dataProvider().sample(LAKE.center(), 1)[0], 1)
        written = output.stat().st_mtime_ns

        parameters = {"INPUT": str(first_map().scene), "CLASSES": WORDS, "OUTPUT": loaded(str(output))}
        _, feedback, context = run("map", parameters)
        self.assertTrue(any("finished" in line for line in feedback.of("info")), feedback.said)
        self.assertEqual(output.stat().st_mtime_ns, written)
        self.assertTrue(load_results("map", parameters, context, feedback))

        parameters["CLASSES"] = "crop field,water"
        _, feedback, context = run("map", parameters)
        self.assertEqual(names(output), ["unknown", "crop field", "water"])
        self.assertTrue(load_results("map", parameters, context, feedback), feedback.said)
        opened = QgsRasterLayer(str(output))
        self.assertEqual(opened.dataProvider().sample(LAKE.center(), 1)[0], 2)


class Reword(unittest.TestCase):
    def test_settings_of_the_earlier_map_hold_with_the_new_words(self) -> None:
        earlier, area = doubtful_map()
        other = folder() / "other.tif"
        parameters = {"INPUT": str(first_map().scene), "MAP": str(earlier), "CLASSES": "lake,meadow,pond", "AOI": area}
        _, feedback, _ = run("reword", {**parameters, "OUTPUT": str(other)})
        self.assertEqual(names(other), ["unknown", "lake", "meadow", "pond"])
        self.assertTrue(any(line.startswith("bands 1,2,3") for line in feedback.of("info")), feedback.said)
        self.assertIn("kept from before", " ".join(feedback.of("info")))  # nothing is encoded again
        self.assertEqual(settings(other), settings(earlier))
        self.assertEqual(names(earlier), ["unknown", "water", "lake", "pond"])  # as it was

    def test_a_map_from_anybody_decides_nothing_that_is_written(self) -> None:
        """Its tags may name anything; they are refused, and none of it is handed on."""
        place = folder()
        victim = place / "victim.tif"
        victim.write_text("mine")
        for name, value in (
            ("confidence", str(victim)),
            ("scores", str(victim)),
            ("overwrite", True),
            ("tile_size", 1),
        ):
            earlier = place / f"{name}.tif"
            dataset = gdal.Translate(str(earlier), first_map().results["OUTPUT"])
            options = json.loads(dataset.GetMetadataItem("LPOSS_GEO_OPTIONS"))
            dataset.SetMetadataItem("LPOSS_GEO_OPTIONS", json.dumps({**options, name: value}))
            del dataset
            feedback, output = Feedback(), place / "other.tif"
            parameters = {
                "INPUT": str(first_map().scene),
                "MAP": str(earlier),
                "CLASSES": "lake",
                "OUTPUT": str(output),
            }
            with self.subTest(name), self.assertRaises(QgsProcessingException) as caught:
                run("reword", parameters, feedback)
            self.assertIn(earlier.name, str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))
            self.assertNotIn("victim", "".join(feedback.of("command")))
            self.assertEqual(victim.read_text(), "mine")
            self.assertFalse(output.exists())

    def test_a_raster_that_is_no_map_is_refused_in_one_line(self) -> None:
        scene = str(first_map().scene)
        parameters = {"INPUT": scene, "MAP": scene, "CLASSES": "lake", "OUTPUT": str(folder() / "other.tif")}
        with self.assertRaises(Exception) as caught:
            run("reword", parameters)
        self.assertNotIn("Traceback", str(caught.exception))
        self.assertNotIn("\n", str(caught.exception).strip())
        self.assertIn(Path(scene).name, str(caught.exception))


class Vectorize(unittest.TestCase):
    def test_with_confidence_polygons_have_classes_colours_and_confidence(self) -> None:
        first = first_map()
        parameters = {"INPUT": first.results["OUTPUT"], "CONFIDENCE": first.results["CONFIDENCE"], "OUTPUT": loaded()}
        results, feedback, context = run("vectorize", parameters)
        self.assertTrue(load_results("vectorize", parameters, context, feedback), feedback.said)
        made = polygons(results["OUTPUT"])
        of_the_map = polygons(first.results["VECTOR"])
        self.assertEqual(
            sorted((each["class_name"], round(each["area_m2"]), round(each["confidence"])) for each in made),
            sorted((each["class_name"], round(each["area_m2"]), round(each["confidence"])) for each in of_the_map),
        )
        layer = next(
            each for each in QgsProject.instance().mapLayers().values() if each.source().startswith(results["OUTPUT"])
        )
        self.assertIsInstance(layer.renderer(), QgsCategorizedSymbolRenderer)
        shown = {each.label(): each.symbol().color().name() for each in layer.renderer().categories()}
        of_map = {entry.label: entry.color.name() for entry in first.layers["OUTPUT"].renderer().classes()}
        for name in ("water", "crop field"):
            self.assertEqual(shown[name], of_map[name])
        self.assertEqual(layer.name(), "Seeufer (côté sud) land cover polygons")
        self.assertAlmostEqual(feedback.progress[-1], 100)

    def test_without_confidence_and_any_edge_kept(self) -> None:
        output = folder() / "polygons.gpkg"
        run("vectorize", {"INPUT": first_map().results["OUTPUT"], "SIMPLIFY": 0, "OUTPUT": str(output)})
        made = polygons(output)
        labels = pixels(first_map().results["OUTPUT"])
        for value, name in ((1, "water"), (3, "crop field")):
            area = sum(each["area_m2"] for each in made if each["class_name"] == name)
            self.assertAlmostEqual(area / (labels == value).sum() / 0.36, 1, places=3)
        self.assertFalse(any(each.get("confidence") for each in made))

    def test_a_scene_is_no_map(self) -> None:
        with self.assertRaises(Exception) as caught:
            run("vectorize", {"INPUT": str(first_map().scene), "OUTPUT": str(folder() / "polygons.gpkg")})
        self.assertNotIn("Traceback", str(caught.exception))
        self.assertIn("band", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
