"""The plugin: a Processing provider, and with a window a menu."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QCoreApplication
from qgis.PyQt.QtWidgets import QAction

from lposs_geo_qgis.provider import Provider, icon

if TYPE_CHECKING:
    from lposs_geo_qgis.engine_dialog import EngineDialog

__all__ = ["Plugin"]

_MENU = "LPOSS-Geo"


class Plugin:
    """What QGIS loads.

    Parameters
    ----------
    iface : QgisInterface or None
        QGIS's window; None in `qgis_process`.
    """

    def __init__(self, iface: Any) -> None:
        self._iface = iface
        self._provider: Provider | None = None
        self._actions: list[QAction] = []
        self._dialog: EngineDialog | None = None
        self._map_dialog: Any = None

    def initProcessing(self) -> None:
        """All that `qgis_process` calls."""
        provider = Provider()
        if QgsApplication.processingRegistry().addProvider(provider):  # else QGIS has deleted it
            self._provider = provider

    def initGui(self) -> None:
        """What a QGIS with a window calls."""
        self.initProcessing()
        for text, action in (
            (_tr("Map land cover…"), self.show_map_dialog),
            (_tr("Engine…"), self.show_engine_dialog),
        ):
            entry = QAction(icon(), text, self._iface.mainWindow())
            entry.triggered.connect(action)
            self._iface.addPluginToRasterMenu(_MENU, entry)
            self._actions.append(entry)

    def unload(self) -> None:
        """Leave QGIS as it was."""
        if self._provider is not None:
            QgsApplication.processingRegistry().removeProvider(self._provider)
            self._provider = None
        for entry in self._actions:
            self._iface.removePluginRasterMenu(_MENU, entry)
            entry.deleteLater()
        self._actions.clear()
        self._map_dialog = None
        if self._dialog is not None:
            self._dialog.stop()
            self._dialog.close()
            self._dialog.deleteLater()
            self._dialog = None

    def show_map_dialog(self, *_: Any) -> None:
        """Open the algorithm's dialog, or that of the engine where there is none yet."""
        import processing  # QGIS's own plugin, which may be switched off: only asked for when it is needed

        algorithm = QgsApplication.processingRegistry().algorithmById("lposs_geo:map")
        if algorithm.canExecute()[0]:
            self._map_dialog = processing.createAlgorithmDialog("lposs_geo:map")
            self._map_dialog.show()  # not modal: QGIS is there to be used while a map is made
        else:
            self.show_engine_dialog()

    def show_engine_dialog(self, *_: Any) -> None:
        """Show the engine: whether it is there, set up, check."""
        from lposs_geo_qgis.engine_dialog import EngineDialog  # not while QGIS starts

        if self._dialog is None:
            self._dialog = EngineDialog(self._iface.mainWindow())
        self._dialog.show()
        self._dialog.raise_()
        self._dialog.activateWindow()


def _tr(text: str) -> str:
    return QCoreApplication.translate("LPOSS-Geo", text)
