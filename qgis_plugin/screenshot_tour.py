"""What `screenshots.py` lets QGIS do: install the zip, name the engine, map the demo scene; a picture at each step."""

from __future__ import annotations

import os
import time
import traceback
from pathlib import Path

from qgis.core import QgsApplication, QgsProject
from qgis.PyQt.QtCore import QEventLoop, Qt, QTimer
from qgis.PyQt.QtWidgets import QApplication, QDockWidget, QPushButton, QTreeView, QWidget
from qgis.utils import iface

PICTURES = Path(os.environ["TOUR_PICTURES"])
HOME = Path(os.environ["HOME"])
SCENE = str(HOME / "lakeside.tif")
CLASSES = "water,forest,crop field,road,building"


def wait(seconds: float) -> None:
    """Let QGIS work on."""
    loop = QEventLoop()
    QTimer.singleShot(int(1000 * seconds), loop.quit)
    loop.exec()


def wait_until(condition, seconds: float) -> None:
    """Let QGIS work on till something is true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it took too long")
        wait(0.2)


def take(widget: QWidget, name: str) -> None:
    """Keep a picture of a widget."""
    wait(0.7)
    widget.grab().save(str(PICTURES / f"{name}.png"))


def show_installer() -> None:
    """The page of the plugin manager that installs a zip, which is a modal dialog."""

    def look() -> None:
        dialog = QApplication.activeModalWidget()
        field = next(
            (child for child in dialog.findChildren(QWidget) if child.metaObject().className() == "QgsFileWidget"), None
        )
        if field is not None:
            field.setFilePath(str(Path(os.environ["TOUR_PLUGIN"]).name))
        take(dialog, "install")
        dialog.reject()

    QTimer.singleShot(1500, look)
    iface.pluginManagerInterface().showPluginManager(6)


def install() -> None:
    """As the button of that page does."""
    import pyplugin_installer

    pyplugin_installer.instance().installFromZipFile(os.environ["TOUR_PLUGIN"])
    wait(1)


def set_up_engine() -> None:
    """The engine's dialog without and with an engine."""
    from qgis.utils import plugins

    plugin = plugins["lposs_geo_qgis"]
    plugin.show_engine_dialog()
    dialog = plugin._dialog
    wait_until(lambda: dialog.python.count() > 0 or dialog.python_advice.text() != "", 60)
    take(dialog, "engine-missing")
    for wheel in (HOME / "engine").glob("*.whl"):
        dialog.from_files.setChecked(True)
        dialog.files.setText(str(wheel))
        dialog.set_up_button.click()
        wait_until(dialog.set_up_button.isEnabled, 480)
    for program in (HOME / "engine").glob("lposs-geo"):
        dialog.other.setFilePath(str(program))
    wait_until(lambda: "Engine: lposs-geo" in dialog.state.text(), 60)
    dialog.check_button.click()
    wait_until(dialog.check_button.isEnabled, 120)
    take(dialog, "engine")
    dialog.close()


def show_toolbox() -> None:
    """The scene in QGIS, and the provider in the toolbox."""
    layer = iface.addRasterLayer(SCENE, "lakeside")
    for band, use in ((3, "setRedBand"), (2, "setGreenBand"), (1, "setBlueBand")):
        getattr(layer.renderer(), use)(band)
    layer.triggerRepaint()
    for dock in iface.mainWindow().findChildren(QDockWidget):
        if dock.objectName() == "ProcessingToolbox":
            dock.show()
            tree = dock.findChild(QTreeView)
            model = tree.model()
            for row in range(model.rowCount()):
                index = model.index(row, 0)
                if index.data() == "LPOSS-Geo":
                    tree.expand(index)
                    tree.scrollTo(index, QTreeView.ScrollHint.PositionAtTop)
        elif dock.objectName() == "Browser":
            dock.hide()
    wait(2)
    take(iface.mainWindow(), "toolbox")


def run_map() -> None:
    """The algorithm's dialog, filled in and run by its button; then the result."""
    import processing

    parameters = {
        "INPUT": SCENE,
        "CLASSES": CLASSES,
        "OUTPUT": str(HOME / "lakeside_landcover.tif"),
        "VECTOR": str(HOME / "lakeside_polygons.gpkg"),
    }
    dialog = processing.createAlgorithmDialog("lposs_geo:map", parameters)
    dialog.resize(980, 760)
    dialog.show()
    take(dialog, "dialog")
    before = len(QgsProject.instance().mapLayers())
    next(button for button in dialog.findChildren(QPushButton) if button.text() == "Run").click()
    wait_until(lambda: len(QgsProject.instance().mapLayers()) >= before + 2, 180)
    wait(2)
    take(dialog, "log")
    dialog.close()
    for dock in iface.mainWindow().findChildren(QDockWidget):
        if dock.objectName() == "ProcessingToolbox":
            dock.hide()
        elif dock.objectName() == "Layers":
            iface.mainWindow().resizeDocks([dock], [330], Qt.Orientation.Horizontal)
    iface.mapCanvas().refreshAllLayers()
    wait(3)
    take(iface.mainWindow(), "result")


def tour() -> None:
    """All of it; QGIS is ended in any case."""
    try:
        iface.mainWindow().resize(1400, 880)
        show_installer()
        install()
        assert QgsApplication.processingRegistry().providerById("lposs_geo"), "the plugin isn't there"
        set_up_engine()
        show_toolbox()
        run_map()
        (PICTURES / "finished").touch()
    except BaseException:
        traceback.print_exc()
    os._exit(0)  # QGIS would ask whether to save the project


QTimer.singleShot(3000, tour)
