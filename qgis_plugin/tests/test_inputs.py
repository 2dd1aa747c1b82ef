"""What may be mapped: layers of files, as GDAL names them; everything else is refused in one readable line."""

from __future__ import annotations

import os
import shutil
import unittest
import zipfile
from pathlib import Path

from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsGeometry,
    QgsProcessingFeatureSourceDefinition,
    QgsProject,
    QgsProperty,
    QgsRasterLayer,
    QgsRectangle,
    QgsReferencedRectangle,
    QgsVectorFileWriter,
    QgsVectorLayer,
)

from lposs_geo_qgis.command import MapRequest
from lposs_geo_qgis.inputs import InputError, crs_warning, raster_file
from tests.qgis_session import LAKESIDE, WORDS, Feedback, a_context, algorithm, chip, folder

TILES = "type=xyz&url=file:///nowhere/{z}/{x}/{y}.png"
UTM = QgsCoordinateReferenceSystem("EPSG:32632")
LAKE = QgsRectangle(439240, 5273420, 439290, 5273480)
LAND = QgsRectangle(439320, 5273400, 439390, 5273450)


def request(**parameters) -> MapRequest:
    """What the engine would be asked for; InputError if the inputs are refused."""
    chosen, context = algorithm("map"), a_context(Feedback())
    given = {"INPUT": str(LAKESIDE), "CLASSES": WORDS, "OUTPUT": str(folder() / "map.tif"), **parameters}
    fit, message = chosen.checkParameterValues(given, context)
    if not fit:
        raise InputError(message)
    return chosen.task(given, context).request


def from_utm(rectangle: QgsRectangle, crs: str) -> QgsGeometry:
    """A rectangle in the CRS of the scene as a polygon in another one."""
    geometry = QgsGeometry.fromRect(rectangle)
    geometry.transform(QgsCoordinateTransform(UTM, QgsCoordinateReferenceSystem(crs), QgsProject.instance()))
    return geometry


def areas(crs: str = "EPSG:3857") -> QgsVectorLayer:
    """A layer in memory with the areas "lake" and "land"."""
    layer = QgsVectorLayer(f"Polygon?crs={crs}&field=kind:string", "areas", "memory")
    for kind, rectangle in {"lake": LAKE, "land": LAND}.items():
        feature = QgsFeature(layer.fields())
        feature.setAttributes([kind])
        feature.setGeometry(from_utm(rectangle, crs))
        assert layer.dataProvider().addFeature(feature)
    return layer


def in_project(layer):
    """Add a layer to the project."""
    QgsProject.instance().addMapLayer(layer)
    return layer


def as_geopackage(layer: QgsVectorLayer, path: Path, name: str) -> QgsVectorLayer:
    """Write a layer to a layer of a GeoPackage."""
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName, options.layerName = "GPKG", name
    error = QgsVectorFileWriter.writeAsVectorFormatV3(
        layer, str(path), QgsProject.instance().transformContext(), options
    )
    assert error[0] == QgsVectorFileWriter.NoError, error
    return QgsVectorLayer(f"{path}|layername={name}", "areas of a file", "ogr")


def kinds(asked: MapRequest) -> list[str]:
    """Which areas lie in the file that the engine gets."""
    layer = QgsVectorLayer(asked.aoi + (f"|layername={asked.aoi_layer}" if asked.aoi_layer else ""), "", "ogr")
    assert layer.isValid(), asked
    return sorted(feature["kind"] for feature in layer.getFeatures())


class ScenesThatAreRefused(unittest.TestCase):
    def assert_refused(self, part: str, **parameters) -> None:
        """By the check before a run, and by a run that nobody checked; with one line."""
        given = {"INPUT": str(LAKESIDE), "CLASSES": WORDS, "OUTPUT": str(folder() / "map.tif"), **parameters}
        feedback = Feedback()
        context = a_context(feedback)
        fit, message = algorithm("map").checkParameterValues(given, context)
        self.assertFalse(fit)
        self.assertIn(part, message)
        self.assertNotIn("\n", message)
        self.assertFalse(algorithm("map").run(given, context, feedback)[1])
        said = feedback.of("error")
        self.assertTrue(any(part in line for line in said), said)
        self.assertEqual(feedback.of("command"), [])  # the engine wasn't run
        self.assertFalse(any("Traceback" in line for line in said), said)

    def test_tiles_of_a_web_service(self) -> None:
        layer = in_project(QgsRasterLayer(TILES, "tiles", "wms"))
        self.assertTrue(layer.isValid())
        self.assert_refused("The layer 'tiles' comes from a web service", INPUT=layer.id())

    def test_a_layer_that_is_handed_over_as_an_object(self) -> None:
        self.assert_refused("web service", INPUT=QgsRasterLayer(TILES, "tiles", "wms"))

    def test_a_raster_in_memory(self) -> None:
        gdal.Translate("/vsimem/chip.tif", str(LAKESIDE), srcWin=[0, 0, 64, 64])
        self.addCleanup(gdal.Unlink, "/vsimem/chip.tif")
        layer = in_project(QgsRasterLayer("/vsimem/chip.tif", "in memory"))
        self.assertTrue(layer.isValid())
        self.assert_refused("The layer 'in memory' is only in QGIS's memory", INPUT=layer.id())

    def test_a_raster_of_another_provider(self) -> None:
        layer = QgsRasterLayer("", "virtual", "virtualraster")
        with self.assertRaisesRegex(InputError, "comes from 'virtualraster', not from a file"):
            raster_file(layer)

    def test_a_vector_layer(self) -> None:
        self.assert_refused("INPUT", INPUT=in_project(areas()).id())

    def test_a_missing_file(self) -> None:
        self.assert_refused("/nowhere/scene.tif", INPUT="/nowhere/scene.tif")

    def test_no_classes(self) -> None:
        self.assert_refused("Name the classes", CLASSES="  ")

    def test_two_legends(self) -> None:
        self.assert_refused("not both", LEGEND="corine1", LEGEND_FILE=str(LAKESIDE.with_suffix(".toml")))

    def test_an_extent_and_an_area(self) -> None:
        area = in_project(areas()).id()
        self.assert_refused("not both", AOI=area, EXTENT="439240,439290,5273420,5273480 [EPSG:32632]")

    def test_an_extent_that_comes_to_nothing(self) -> None:
        empty = in_project(QgsVectorLayer("Polygon?crs=EPSG:32632", "empty", "memory")).id()
        for extent in (empty, QgsProperty.fromExpression("NULL"), "439240,439240,5273420,5273480 [EPSG:32632]"):
            with self.subTest(extent):
                self.assert_refused("The extent to map is empty", EXTENT=extent)

    def test_choices_of_an_expression_that_are_none(self) -> None:
        for name, label in {"LEGEND": "or a known legend", "MODEL": "Model", "DEVICE": "Compute on"}.items():
            with self.subTest(name):
                part = f"'nonsense' can't be chosen for '{label}'"
                self.assert_refused(part, **{name: QgsProperty.fromExpression("'nonsense'")})

    def test_polygons_on_a_scene_whose_crs_was_set_in_qgis(self) -> None:
        scene = in_project(QgsRasterLayer(str(chip(folder() / "scene.tif")), "scene"))
        scene.setCrs(QgsCoordinateReferenceSystem("EPSG:32631"))
        self.assert_refused("isn't that of its file", INPUT=scene.id(), AOI=in_project(areas()).id())

    def test_a_missing_area(self) -> None:
        self.assert_refused("/nowhere/areas.gpkg", AOI="/nowhere/areas.gpkg")

    def test_an_area_with_changes_that_no_file_has_yet(self) -> None:
        layer = in_project(as_geopackage(areas(), folder() / "areas.gpkg", "areas"))
        layer.startEditing()
        self.addCleanup(layer.rollBack)
        layer.deleteFeature(1)
        self.assert_refused("changes that aren't saved", AOI=layer.id())


class ScenesAsTheEngineOpensThem(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = folder()
        cls.chip = chip(cls.folder / "chip.tif", (0, 0, 64, 64))

    def assert_opens(self, source: str, wanted: str | None = None) -> None:
        layer = in_project(QgsRasterLayer(source, "scene"))
        self.assertTrue(layer.isValid(), source)
        scene = request(INPUT=layer.id()).scene
        self.assertEqual(scene, wanted or source)
        self.assertEqual(gdal.Open(scene).RasterXSize, 64)

    def test_a_file(self) -> None:
        self.assert_opens(str(self.chip))

    def test_a_file_that_is_named_without_a_layer(self) -> None:
        self.assertEqual(request(INPUT=str(self.chip)).scene, str(self.chip))

    def test_options_of_qgis_are_left_out(self) -> None:
        self.assert_opens(f"{self.chip}|option:NUM_THREADS=2", str(self.chip))

    def test_a_raster_of_a_geopackage_with_two(self) -> None:
        file = self.folder / "two rasters.gpkg"
        for table, more in {"one": [], "two": ["APPEND_SUBDATASET=YES"]}.items():
            gdal.Translate(
                str(file), str(self.chip), format="GPKG", bandList=[3, 2, 1], outputType=gdal.GDT_Byte,
                scaleParams=[[0, 2047]], creationOptions=[f"RASTER_TABLE={table}", *more],
            )  # fmt: skip
        self.assert_opens(f"GPKG:{file}:two")

    @unittest.skipUnless(gdal.GetDriverByName("netCDF"), "this GDAL doesn't read NetCDF")
    def test_a_variable_of_a_netcdf_file(self) -> None:
        gdal.Translate(str(self.folder / "bands.nc"), str(self.chip), format="netCDF")
        self.assert_opens(f'NETCDF:"{self.folder / "bands.nc"}":Band2')

    def test_a_file_in_a_zip(self) -> None:
        with zipfile.ZipFile(self.folder / "scenes.zip", "w") as packed:
            packed.write(self.chip, "summer/chip.tif")
        self.assert_opens(f"/vsizip/{self.folder / 'scenes.zip'}/summer/chip.tif")

    def test_a_mosaic_of_files(self) -> None:
        gdal.BuildVRT(str(self.folder / "mosaic.vrt"), [str(self.chip)]).FlushCache()
        self.assert_opens(str(self.folder / "mosaic.vrt"))


class CrsThatWasChangedInQgis(unittest.TestCase):
    def test_of_a_scene_is_warned_of_with_both_names(self) -> None:
        layer = in_project(QgsRasterLayer(str(chip(folder() / "lakeside.tif")), "lakeside"))
        self.assertIsNone(crs_warning(layer))
        layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32631"))
        given = {"INPUT": layer.id(), "CLASSES": WORDS, "OUTPUT": "map.tif"}
        warnings = algorithm("map").task(given, a_context(Feedback())).warnings
        self.assertEqual(len(warnings), 1)
        self.assertEqual(algorithm("map").task(given, a_context(Feedback())).crs, layer.crs())
        for part in ("'lakeside'", "EPSG:32631", "EPSG:32632"):
            self.assertIn(part, warnings[0])

    def test_of_a_scene_without_one_is_warned_of(self) -> None:
        bare = folder() / "bare.tif"
        gdal.GetDriverByName("GTiff").Create(str(bare), 8, 8).FlushCache()
        layer = QgsRasterLayer(str(bare), "bare")
        layer.setCrs(UTM)
        self.assertIn("that of the scene's file: none", crs_warning(layer) or "")

    def test_of_an_area_reaches_the_engine(self) -> None:
        layer = in_project(as_geopackage(areas("EPSG:32632"), folder() / "areas.gpkg", "areas"))
        layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32631"))
        asked = request(AOI=layer.id())
        self.assertEqual(QgsVectorLayer(asked.aoi, "", "ogr").crs().authid(), "EPSG:32631")
        self.assertEqual(kinds(asked), ["lake", "land"])


class Areas(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.file = folder() / "areas.gpkg"
        as_geopackage(areas(), cls.file, "my areas")
        cls.source = f"{cls.file}|layername=my areas"

    def layer(self) -> QgsVectorLayer:
        return in_project(QgsVectorLayer(self.source, "areas of a file", "ogr"))

    def test_layer_of_a_file_is_handed_on_as_it_is(self) -> None:
        for area in (self.layer().id(), self.source, QgsProcessingFeatureSourceDefinition(self.layer().id(), False)):
            asked = request(AOI=area)
            self.assertEqual((asked.aoi, asked.aoi_layer), (str(self.file), "my areas"))

    def test_layer_in_memory_is_written_to_a_file(self) -> None:
        asked = request(AOI=in_project(areas()).id())
        self.assertEqual(kinds(asked), ["lake", "land"])
        self.assertEqual(QgsVectorLayer(asked.aoi, "", "ogr").crs().authid(), "EPSG:3857")

    def test_only_selected_areas_count_if_one_asks_for_that(self) -> None:
        for layer in (in_project(areas()), self.layer()):
            layer.selectByExpression("kind = 'land'")
            self.assertEqual(kinds(request(AOI=QgsProcessingFeatureSourceDefinition(layer.id(), True))), ["land"])
            self.assertEqual(
                kinds(request(AOI=QgsProcessingFeatureSourceDefinition(layer.id(), False))), ["lake", "land"]
            )

    def test_only_what_a_filter_lets_through_counts(self) -> None:
        layer = self.layer()
        layer.setSubsetString("kind = 'lake'")
        self.assertEqual(kinds(request(AOI=layer.id())), ["lake"])
        self.assertEqual(kinds(request(AOI=f"{self.source}|subset=kind = 'land'")), ["land"])

    def test_extent_in_the_crs_of_the_scene_is_the_same_box(self) -> None:
        for extent in ("439240,439290,5273420,5273480 [EPSG:32632]", "439240,439290,5273420,5273480", LAKE):
            self.assertEqual(request(EXTENT=extent).aoi, "439240,5273420,439290,5273480")

    def test_extent_in_another_crs_becomes_the_box_around_it(self) -> None:
        degrees = from_utm(LAKE, "EPSG:4326").boundingBox()
        west, south, east, north = degrees.xMinimum(), degrees.yMinimum(), degrees.xMaximum(), degrees.yMaximum()
        text = f"{west:.9f},{east:.9f},{south:.9f},{north:.9f} [EPSG:4326]"
        for extent in (text, QgsReferencedRectangle(degrees, QgsCoordinateReferenceSystem("EPSG:4326"))):
            left, bottom, right, top = map(float, request(EXTENT=extent).aoi.split(","))
            self.assertTrue(439238 < left <= 439240 and 439290 <= right < 439292, (left, right))
            self.assertTrue(5273418 < bottom <= 5273420 and 5273480 <= top < 5273482, (bottom, top))

    def test_empty_values_mean_the_whole_scene(self) -> None:
        for empty in ("", None):
            self.assertEqual(request(EXTENT=empty, AOI=empty).aoi, "")


class NamesWithoutAFolder(unittest.TestCase):
    """The engine runs in another folder."""

    def test_they_are_those_of_the_folder_that_qgis_is_in(self) -> None:
        place = folder()
        shutil.copy(LAKESIDE, place / "scene.tif")
        shutil.copy(LAKESIDE.with_suffix(".toml"), place / "legend.toml")
        as_geopackage(areas(), place / "areas.gpkg", "areas")
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(place)
        asked = request(INPUT="scene.tif", LEGEND_FILE="legend.toml", AOI="areas.gpkg", OUTPUT="map.tif")
        for asked_for, name in ((asked.scene, "scene.tif"), (asked.legend, "legend.toml"), (asked.aoi, "areas.gpkg")):
            self.assertEqual(asked_for, str(place / name))


class Legends(unittest.TestCase):
    def test_a_legend_takes_the_place_of_the_words(self) -> None:
        file = str(LAKESIDE.with_suffix(".toml"))
        for parameters, legend in (({"LEGEND": "corine1"}, "corine1"), ({"LEGEND_FILE": file}, file)):
            asked = request(**parameters)
            self.assertEqual((asked.classes, asked.legend), ("", legend))

    def test_words_alone_are_classes(self) -> None:
        asked = request(CLASSES=" --forest, water=river|lake ")
        self.assertEqual((asked.classes, asked.legend), ("--forest, water=river|lake", ""))


class Settings(unittest.TestCase):
    def test_each_one_arrives(self) -> None:
        asked = request(
            BANDS=" 4,3,2 ", SCALE="0,3000", COLLAR=False, WARP=True, MODEL="mini", GSD=0.5, REFINE=False,
            MIN_CONFIDENCE=0.25, SIMPLIFY=2.5, MIN_AREA=100, DEVICE="cpu", MAX_MEMORY=0.5, RESUME=False,
        )  # fmt: skip
        wanted = MapRequest(
            scene=str(LAKESIDE), output=asked.output, classes=WORDS, bands="4,3,2", scale="0,3000", collar=False,
            warp=True, model="mini", gsd=0.5, refine=False, min_confidence=0.25, simplify="2.5px", min_area=100.0,
            device="cpu", max_memory="0.5GB", resume=False, overwrite=True,
        )  # fmt: skip
        self.assertEqual(asked, wanted)

    def test_left_alone_nothing_is_said_of_them(self) -> None:
        asked = request()
        wanted = MapRequest(scene=str(LAKESIDE), output=asked.output, classes=WORDS, resume=True, overwrite=True)
        self.assertEqual(asked, wanted)


if __name__ == "__main__":
    unittest.main()
