"""The dialog about the engine: whether it is there, set up, check, remove, or use another one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from qgis.core import QgsApplication
from qgis.PyQt.QtGui import QShowEvent
from qgis.PyQt.QtWidgets import (
    QFileDialog,
    QMessageBox,
    QWidget,
)

from lposs_geo_qgis import command, events, host
from lposs_geo_qgis.background import Work
from lposs_geo_qgis.engine import child, finding, installation, private_engine, pythons, scrubbing
from lposs_geo_qgis.engine_view import BAD, GOOD, REMARK, EngineView

__all__ = ["EngineDialog"]

_LAST_WORDS = 6.0  # seconds that programs are given to end when QGIS does


class EngineDialog(EngineView):
    """Shows the engine's state and what can be done about it.

    What takes time is done by tasks of QGIS, one main task at once; it may be closed and opened again.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._main: Work | None = None
        self._quiet: dict[str, Work] = {}
        self._left: set[Work] = set()
        self._stopped = False
        self._typed: str | None = None
        self._python_picked = False
        self._connect()
        self._show_plan()
        self._show_work()
        QgsApplication.instance().aboutToQuit.connect(self.stop)

    def stop(self) -> None:
        """End what goes on, and wait until it has ended: for when QGIS quits or the plugin is unloaded.

        Nothing is shown or begun any more after that.
        """
        self._stopped = True
        works = [work for work in (self._main, *self._quiet.values(), *self._left) if work is not None]
        for work in works:
            work.stop()
        for work in works:
            work.wait(_LAST_WORDS)

    def showEvent(self, event: QShowEvent) -> None:
        """Look again: what is there may have changed since it was last shown."""
        super().showEvent(event)
        if self._main is None and not event.spontaneous():  # the system itself shows a window that was minimised
            self._show_work()
            self._look_at_engine()
            self._look_for_pythons()

    def reject(self) -> None:
        """Close; the user is asked first while something goes on."""
        if self._main is not None and not self._main.stopping:
            question = self.tr("{0} is going on. Cancel it and close?").format(self._main.name)
            if QMessageBox.question(self, self.windowTitle(), question) != QMessageBox.StandardButton.Yes:
                return
            self._cancel()
        super().reject()

    # What is shown

    def _connect(self) -> None:
        self.check_button.clicked.connect(self._check)
        self.buttons.rejected.connect(self.reject)
        self.python.activated.connect(self._pick_python)
        self.file_button.clicked.connect(self._browse_file)
        self.folder_button.clicked.connect(self._browse_folder)
        self.files.textEdited.connect(lambda _: self.from_files.setChecked(True))
        self.files.textChanged.connect(self._show_plan)
        self.from_internet.toggled.connect(self._show_plan)
        self.cpu_only.toggled.connect(self._show_plan)
        self.set_up_button.clicked.connect(self._set_up)
        self.cancel_button.clicked.connect(self._cancel)
        self.remove_button.clicked.connect(self._remove)
        self.other.lineEdit().textEdited.connect(self._type_other)  # comes before fileChanged
        self.other.lineEdit().editingFinished.connect(self._apply_other)
        self.other.fileChanged.connect(self._other_changed)

    def _show_plan(self, *_: Any) -> None:
        """Say, before anything is done, where the engine will be and how much it takes."""
        path = self.files.text().strip()
        offline = self.from_files.isChecked() and os.path.isdir(path)
        self.cpu_only.setEnabled(not offline)
        try:
            source = self._source()
            needed = installation.room(source, sys.platform)
        except installation.SourceError as error:
            self.plan.setText(str(error))
            return
        text = self.tr(
            "It will be put in {0}. {1:.1f} GB must be free; about two thirds of it stay in use. QGIS's own Python "
            "stays as it is."
        )
        text = text.format(host.engines_folder(), needed / 1e9)
        if sys.platform == "win32" and source.online:  # PyPI's PyTorch is for the processor there
            text += "\n" + self.tr(
                "The engine will compute on the processor. Whoever has an NVIDIA card can name an lposs-geo of their "
                "own below, whose PyTorch is built for it."
            )
        self.plan.setText(text)

    def _show_work(self) -> None:
        """Enable what can be done now."""
        work = self._main
        busy = work is not None
        for widget in (self.set_up_button, self.check_button, self.from_internet, self.from_files, self.python):
            widget.setEnabled(not busy)
        for widget in (self.files, self.file_button, self.folder_button, self.cpu_only):
            widget.setEnabled(not busy)
        self.cancel_button.setEnabled(work is not None and not work.stopping)
        self.remove_button.setEnabled(not busy and bool(private_engine.executable(host.engines_folder())))
        self.progress.setVisible(busy)
        if not busy:
            self._show_plan()

    # What the user chooses

    def _source(self) -> installation.Source:
        path = self.files.text().strip() if self.from_files.isChecked() else ""
        if self.from_files.isChecked() and not path:
            raise installation.SourceError(
                self.tr(
                    "Choose the wheel of lposs-geo, whose dependencies come from PyPI, or a folder with all wheels."
                )
            )
        return installation.choose_source(path, self.cpu_only.isChecked())

    def _chosen_python(self) -> str:
        """A path; empty for the best one that there is."""
        text, index = self.python.currentText().strip(), self.python.findText(self.python.currentText())
        return str(self.python.itemData(index)) if index >= 0 else text

    def _browse_file(self) -> None:
        title, kind = self.tr("Wheel of lposs-geo"), self.tr("Wheels (*.whl)")
        self._take_files(QFileDialog.getOpenFileName(self, title, self.files.text(), kind)[0])

    def _browse_folder(self) -> None:
        self._take_files(QFileDialog.getExistingDirectory(self, self.tr("Folder of wheels"), self.files.text()))

    def _take_files(self, path: str) -> None:
        if path:
            self.from_files.setChecked(True)
            self.files.setText(path)

    def _pick_python(self, *_: Any) -> None:
        self._python_picked = True

    def _type_other(self, text: str) -> None:
        self._typed = text

    def _other_changed(self, path: str) -> None:
        """Use what was chosen or cleared; what is being typed waits until it is finished."""
        if self.other.lineEdit().text() != self._typed and (not path or os.path.exists(path)):
            self._apply_other()

    def _apply_other(self) -> None:
        self._typed = None
        path = self.other.filePath().strip()
        if path != host.engine_setting():
            host.set_engine_setting(path)
            self._look_at_engine()

    # What is done, each in a task

    def _look_at_engine(self) -> None:
        try:
            found = host.find_engine()
        except finding.EngineError as error:
            self._leave("engine")
            named = host.engine_setting() or os.environ.get(finding.VARIABLE)
            self.show_state(BAD, str(error) if named else self.tr("There is no engine yet: set it up below."))
            return
        environ = host.engine_environment()
        self.show_state(REMARK, self.tr("Looking at the engine {0}…").format(found.prefix[0]))

        def look(work: Work) -> tuple[str, str | None]:
            version = finding.version(found, environ, work.isCanceled)
            return version, finding.check(version)

        def show(work: Work) -> None:
            if work.error is not None:
                self.show_state(BAD, str(work.error))
            elif work.result is not None:
                version, remark = work.result
                text = self.tr("Engine: lposs-geo {0}, {2}\n{1}").format(version, found.prefix[0], found.origin)
                self.show_state(REMARK if remark else GOOD, f"{text}\n{remark}" if remark else text)

        self._start_quiet("engine", self.tr("Looking at LPOSS-Geo's engine"), look, show)

    def _look_for_pythons(self) -> None:
        environ = host.engine_environment()

        def look(work: Work) -> pythons.Found:
            return pythons.find(environ, sys.platform, sys.base_prefix, work.isCanceled)

        def show(work: Work) -> None:
            self.python.lineEdit().setPlaceholderText(self.tr("none was found: name one here"))
            if work.result is None:
                return
            self._list_pythons(work.result.pythons)
            self.python_advice.setText(work.result.advice)
            self.python_advice.setVisible(bool(work.result.advice))

        self._start_quiet("pythons", self.tr("Looking for Pythons"), look, show)

    def _list_pythons(self, found: tuple[pythons.Python, ...]) -> None:
        """List them anew; what the user has typed or chosen stays, else the best one is taken."""
        path, before = self._chosen_python(), self.python.findText(self.python.currentText())
        if before == 0 and not self._python_picked:
            path = ""  # it was only the best one by then
        self.python.clear()
        for python in found:
            self.python.addItem(f"{python.name}, {python.path}", python.path)
        now = self.python.findData(path) if path else -1
        if now >= 0:
            self.python.setCurrentIndex(now)
        elif path and before < 0:
            self.python.setEditText(path)
        self._python_picked = now >= 0

    def _set_up(self) -> None:
        try:
            source = self._source()
        except installation.SourceError as error:
            self.show_problem(str(error))
            return
        environ, folder, chosen = host.engine_environment(), host.engines_folder(), self._chosen_python()

        def set_up(work: Work) -> str:
            python = _python(chosen, environ, work.isCanceled)
            work.relay.said.emit(f"{python.name}: {python.path}")
            return private_engine.set_up(
                folder, python.path, source, environ, work.relay.said.emit, work.advance, work.isCanceled
            )

        def show(work: Work) -> None:
            self._look_for_pythons()
            if work.result:
                if self.other.filePath() or os.environ.get(finding.VARIABLE):
                    self.show_doing(self.tr("The engine is set up; another one is used, since it is named below."))
                else:
                    self._check()
            self._look_at_engine()

        self.log.clear()
        self._start(self.tr("Setting up LPOSS-Geo's engine"), set_up, show)

    def _check(self) -> None:
        try:
            found = host.find_engine()
        except finding.EngineError as error:
            self.show_problem(str(error))
            return
        environ = host.engine_environment()
        called = [*found.prefix, "doctor"]

        def check(work: Work) -> bool:
            work.relay.said.emit(command.for_people(called, os.name == "nt"))

            def say(line: str, is_error: bool) -> None:
                work.relay.said.emit(scrubbing.scrub(events.plain(line), environ))

            with private_engine.in_use(called[0]):
                return child.run(called, environ, say, work.isCanceled) == 0

        def show(work: Work) -> None:
            if work.result:
                self.show_doing(self.tr("The engine has all that it needs."))
            elif work.error is None and not work.stopping:
                self.show_problem(
                    self.tr(
                        "The engine lacks something, see the lines that don't begin with ok: press Set up engine, or "
                        "send them when you ask for help."
                    )
                )
            self._look_at_engine()

        self._start(self.tr("Checking LPOSS-Geo's engine"), check, show)

    def _remove(self) -> None:
        folder = host.engines_folder()
        question = self.tr("Remove the engine in {0}? It can be set up again at any time.").format(folder)
        if QMessageBox.question(self, self.windowTitle(), question) != QMessageBox.StandardButton.Yes:
            return

        self._leave("engine")
        looks = list(self._left)

        def remove(work: Work) -> bool:
            for look in looks:  # Windows keeps a program that runs
                look.wait(_LAST_WORDS)
            private_engine.remove(folder)
            return True

        def show(work: Work) -> None:
            if work.result:
                self.show_doing(self.tr("The engine was removed."))
            self._look_at_engine()

        self._start(self.tr("Removing LPOSS-Geo's engine"), remove, show)

    def _cancel(self) -> None:
        if self._main is not None:
            self._main.stop()
            self.show_doing(self.tr("Cancelling…"))
            self._show_work()

    def _start(self, name: str, function: Callable[[Work], Any], show: Callable[[Work], None]) -> None:
        """Start the main work; its lines and its progress are shown, and its error."""
        work = Work(name, function)

        def ended() -> None:
            self._main = None
            self._show_work()
            if work.stopping and not work.result:
                self.show_doing(self.tr("Cancelled: everything is as it was before."))
            elif work.error is not None:
                self.show_problem(str(work.error))
            show(work)

        self._main = work
        self.show_doing(name + "…")
        self.show_progress(-1.0)
        self.cancel_button.setEnabled(True)
        self.cancel_button.setFocus()  # else a field would get it from the button that is switched off
        work.relay.said.connect(self._hear)
        work.relay.moved.connect(self.show_progress)
        self._show_work()
        self._run(work, ended)

    def _start_quiet(self, kind: str, name: str, function: Callable[[Work], Any], show: Callable[[Work], None]) -> None:
        """Start what only looks; a new one of its kind takes the place of the one before."""
        self._leave(kind)
        work = Work(name, function)

        def ended() -> None:
            if self._quiet.get(kind) is work:
                del self._quiet[kind]
                show(work)

        self._quiet[kind] = work
        self._run(work, ended)

    def _leave(self, kind: str) -> None:
        left = self._quiet.pop(kind, None)
        if left is not None:
            self._left.add(left)
            left.stop()

    def _run(self, work: Work, ended: Callable[[], None]) -> None:
        work.when_ended = ended
        work.relay.ended.connect(self._end)
        work.start()

    def _end(self, work: Work) -> None:
        self._left.discard(work)
        if not self._stopped:
            work.when_ended()

    def _hear(self, line: str) -> None:
        self.note(line)
        text = line.strip()
        if text.startswith(("Downloading ", "Collecting ", "Installing collected packages")):
            self.show_doing(text if len(text) < 100 else text[:99] + "…")


def _python(chosen: str, environ: dict[str, str], cancelled: Callable[[], bool]) -> pythons.Python:
    """The Python that was chosen, or the best one."""
    if chosen:
        return pythons.probe(chosen, environ, cancelled)
    found = pythons.find(environ, sys.platform, sys.base_prefix, cancelled)
    if not found.pythons:
        raise pythons.PythonError(found.advice)
    return found.pythons[0]
