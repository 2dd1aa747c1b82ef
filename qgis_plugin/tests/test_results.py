"""Results become layers: named, coloured, in a group of their scene, with the command in their history."""

from __future__ import annotations

import gc
import shutil
import unittest
from pathlib import Path
from unittest import mock

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsCoordinateReferenceSystem,
    QgsLayerTreeGroup,
    QgsPalettedRasterRenderer,
    QgsProject,
    QgsRasterLayer,
    QgsSingleBandGrayRenderer,
)

from lposs_geo_qgis import results
from tests.qgis_session import (
    Feedback,
    Mapped,
    a_context,
    algorithm,
    first_map,
    folder,
    load_results,
    loaded,
    pixels,
)


def colours(raster: QgsPalettedRasterRenderer) -> dict[str, str]:
    """Names and colours of a paletted layer."""
    return {entry.label: entry.color.name() for entry in raster.classes()}


def group_of(layer) -> QgsLayerTreeGroup:
    """Where a layer stands in the project."""
    return QgsProject.instance().layerTreeRoot().findLayer(layer.id()).parent()


class LayersOfAMap(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.mapped: Mapped = first_map()

    def test_outputs_are_temporary_files_that_exist(self) -> None:
        for name, ending in {"OUTPUT": ".tif", "CONFIDENCE": ".tif", "VECTOR": ".gpkg", "REPORT": ".html"}.items():
            path = Path(self.mapped.results[name])
            self.assertTrue(path.is_file(), name)
            self.assertEqual(path.suffix, ending)

    def test_layers_are_named_after_the_scene(self) -> None:
        names = {output: layer.name() for output, layer in self.mapped.layers.items()}
        self.assertEqual(
            names,
            {
                "OUTPUT": "Seeufer (côté sud) land cover",
                "CONFIDENCE": "Seeufer (côté sud) confidence",
                "VECTOR": "Seeufer (côté sud) land cover polygons",
            },
        )

    def test_layers_stand_in_one_group_with_the_polygons_on_top(self) -> None:
        group = group_of(self.mapped.layers["OUTPUT"])
        self.assertEqual(group.name(), "Seeufer (côté sud) land cover")
        wanted = [self.mapped.layers[name] for name in ("VECTOR", "OUTPUT", "CONFIDENCE")]
        self.assertEqual([child.layer() for child in group.children() if child.layer() in wanted], wanted)

    def test_each_layer_stands_in_the_project_once(self) -> None:
        ids = QgsProject.instance().layerTreeRoot().findLayerIds()
        for layer in self.mapped.layers.values():
            self.assertEqual(ids.count(layer.id()), 1)

    def test_map_has_the_classes_names_and_distinct_colours(self) -> None:
        renderer = self.mapped.layers["OUTPUT"].renderer()
        self.assertIsInstance(renderer, QgsPalettedRasterRenderer)
        shown = {entry.value: entry.label for entry in renderer.classes()}
        self.assertEqual({value: shown[value] for value in (1, 2, 3)}, {1: "water", 2: "forest", 3: "crop field"})
        self.assertEqual(len(set(colours(renderer).values())), len(shown))

    def test_polygons_have_the_same_names_and_colours_as_the_map(self) -> None:
        polygons = self.mapped.layers["VECTOR"]
        renderer = polygons.renderer()
        self.assertIsInstance(renderer, QgsCategorizedSymbolRenderer)
        shown = {entry.label(): entry.symbol().color().name() for entry in renderer.categories() if entry.label()}
        of_map = colours(self.mapped.layers["OUTPUT"].renderer())
        for name in ("water", "crop field"):
            self.assertEqual(shown[name], of_map[name])
        categories = {str(entry.value()) for entry in renderer.categories()}
        values = {str(feature[renderer.classAttribute()]) for feature in polygons.getFeatures()}
        self.assertTrue(values)
        self.assertLessEqual(values, categories)

    def test_confidence_is_drawn_from_0_to_100_percent(self) -> None:
        renderer = self.mapped.layers["CONFIDENCE"].renderer()
        self.assertEqual(renderer.type(), "singlebandpseudocolor")
        ramp = renderer.shader().rasterShaderFunction()
        self.assertEqual((ramp.minimumValue(), ramp.maximumValue()), (0, 100))
        values = pixels(self.mapped.results["CONFIDENCE"])
        self.assertLessEqual(values.max(), 100)
        self.assertGreater(values.max(), 50)  # percent, not shares

    def test_history_of_each_layer_ends_with_the_exact_command(self) -> None:
        command = self.mapped.feedback.of("command")[0]
        for layer in self.mapped.layers.values():
            self.assertTrue(layer.metadata().history()[-1].endswith(f"  {command}"), layer.metadata().history())

    def test_layers_have_the_crs_of_the_scene_not_that_of_the_project(self) -> None:
        self.assertEqual(QgsProject.instance().crs().authid(), "EPSG:3035")
        for layer in self.mapped.layers.values():
            self.assertEqual(layer.crs().authid(), "EPSG:32632")

    def test_nothing_waits_for_being_loaded_any_more(self) -> None:
        self.assertEqual(results._waiting, [])


def _result(path: Path, name: str) -> results.Result:
    return results.Result(str(path), name, "Land cover", ("lposs_geo:map", "OUTPUT"))


class LoadingWithoutTheEngine(unittest.TestCase):
    """Files of the first map, loaded in other ways."""

    def setUp(self) -> None:
        place = folder()
        self.map = place / "copy.tif"
        for path in Path(first_map().results["OUTPUT"]).parent.iterdir():
            if path.name.startswith("OUTPUT"):
                shutil.copy(path, place / path.name.replace("OUTPUT", "copy"))
        self.before = set(QgsProject.instance().mapLayers())

    def load(
        self, group: str, name: str = "a map", crs: QgsCoordinateReferenceSystem | None = None, details=None
    ) -> list:
        parameters = {"INPUT": str(first_map().scene), "OUTPUT": loaded(str(self.map))}
        feedback = Feedback()
        context = a_context(feedback)
        algorithm("map").parameterAsOutputLayer(parameters, "OUTPUT", context)  # as when it runs
        if details is not None:
            details(context.layerToLoadOnCompletionDetails(str(self.map)))
        results.load([_result(self.map, name)], results.Run(group, "lposs-geo map", crs), context)
        gc.collect()  # what only C++ refers to would be gone now
        self.assertTrue(load_results("map", parameters, context, feedback), feedback.said)
        return [layer for key, layer in QgsProject.instance().mapLayers().items() if key not in self.before]

    def test_a_further_layer_of_a_scene_comes_into_its_group(self) -> None:
        groups = len(QgsProject.instance().layerTreeRoot().findGroups())
        first = self.load("a group")[0]
        QgsProject.instance().removeMapLayer(first.id())
        self.load("a group")
        again = [layer for key, layer in QgsProject.instance().mapLayers().items() if key not in self.before]
        self.assertEqual([group_of(layer).name() for layer in again], ["a group"])
        self.assertEqual(len(QgsProject.instance().layerTreeRoot().findGroups()), groups + 1)

    def test_group_and_name_may_be_any_text(self) -> None:
        layer = self.load("100 % {x} <b>&amp;", "<i>{0} %s")[0]
        self.assertEqual(group_of(layer).name(), "100 % {x} <b>&amp;")
        self.assertEqual(QgsProject.instance().layerTreeRoot().children()[0], group_of(layer))
        self.assertEqual(layer.name(), "<i>{0} %s")

    def test_a_name_that_the_user_has_given_is_kept(self) -> None:
        layer = self.load("a group", details=lambda details: setattr(details, "name", "My own name"))[0]
        self.assertEqual(layer.name(), "My own name")

    def test_layers_get_the_crs_that_the_scene_was_given_in_qgis(self) -> None:
        given = QgsCoordinateReferenceSystem("EPSG:32631")
        self.assertEqual(self.load("a group", crs=given)[0].crs(), given)

    def test_a_style_that_the_user_has_set_for_the_output_is_kept(self) -> None:
        from processing.gui.RenderingStyles import RenderingStyles  # QGIS finds it once it has been started

        styles = mock.patch.object(RenderingStyles, "styles", {"lposs_geo:map": {"OUTPUT": str(self.style())}})
        with styles:
            layer = self.load("a group")[0]
        self.assertEqual(layer.renderer().type(), "singlebandgray")
        self.assertEqual(self.load("a group")[0].renderer().type(), "paletted")

    def style(self) -> Path:
        grey = QgsRasterLayer(str(self.map), "grey")
        grey.setRenderer(QgsSingleBandGrayRenderer(grey.dataProvider(), 1))
        path = folder() / "grey.qml"
        self.assertTrue(grey.saveNamedStyle(str(path))[1])
        return path

    def test_a_file_that_nobody_wants_to_see_is_left_alone(self) -> None:
        context = a_context(Feedback())
        results.load([_result(self.map, "a map")], results.Run("a group", "lposs-geo map", None), context)
        self.assertEqual(context.layersToLoadOnCompletion(), {})
        self.assertEqual(results._waiting, [])

    def test_a_layer_that_was_moved_or_lost_meanwhile_does_no_harm(self) -> None:
        """On QGIS 3.40 nothing catches what a post-processor raises."""
        layer = self.load("a group")[0]
        finish = results._Finish(_result(self.map, "a map"), results.Run("a group", "lposs-geo map", None), 0)
        group_of(layer).removeAllChildren()
        finish.postProcessLayer(layer, a_context(Feedback()), Feedback())
        QgsProject.instance().layerTreeRoot().insertLayer(0, layer)
        finish.postProcessLayer(layer, a_context(Feedback()), Feedback())


if __name__ == "__main__":
    unittest.main()
