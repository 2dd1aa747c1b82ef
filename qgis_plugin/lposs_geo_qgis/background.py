"""A function that runs beside QGIS's window, as one of QGIS's tasks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from qgis.core import QgsApplication, QgsTask
from qgis.PyQt.QtCore import QObject, pyqtSignal

__all__ = ["Relay", "Work", "works"]

works: set[Work] = set()
"""All that goes on: QGIS doesn't keep the Python half of a task alive, not even after a dialog is gone."""


class Relay(QObject):
    """Brings what a task says to the window's thread, as long as there is a window."""

    said = pyqtSignal(str)
    moved = pyqtSignal(float)
    ended = pyqtSignal(object)


class Work(QgsTask):
    """A function that runs beside the window.

    Parameters
    ----------
    name : str
    function : callable
        Called with this, in another thread.
    """

    def __init__(self, name: str, function: Callable[[Work], Any]) -> None:
        super().__init__(name, QgsTask.Flag.CanCancel)
        self.name = name
        self.relay = Relay()
        self.result: Any = None
        self.error: Exception | None = None
        self.stopping = False
        self.when_ended: Callable[[], None] = lambda: None
        self._function = function
        self._begun = False
        self._over = threading.Event()

    def start(self) -> None:
        """Hand it over to QGIS."""
        works.add(self)
        QgsApplication.taskManager().addTask(self)

    def stop(self) -> None:
        """Ask it to end."""
        self.stopping = True
        self.cancel()

    def wait(self, seconds: float) -> None:
        """Wait until its function has returned."""
        if self._begun:
            self._over.wait(seconds)

    def advance(self, percent: float | None) -> None:
        """Tell how far it is; called by the function."""
        self.relay.moved.emit(-1.0 if percent is None else percent)
        self.setProgress(percent or 0.0)

    def run(self) -> bool:
        """QGIS calls this in another thread."""
        self._begun = True
        try:
            if not self.isCanceled():
                self.result = self._function(self)
        except Exception as error:  # whatever it is, it is shown: QGIS would only print it
            self.error = error
        finally:
            self._over.set()
        return self.error is None

    def finished(self, result: bool) -> None:
        """QGIS calls this in the window's thread, even for what was cancelled before it began."""
        self.stopping = self.stopping or self.isCanceled()  # cancelled in QGIS's own list of tasks
        self.relay.ended.emit(self)
        works.discard(self)
