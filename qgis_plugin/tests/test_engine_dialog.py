"""The dialog about the engine, driven as a user would, with a little stand-in for lposs-geo."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import unittest
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QEvent
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QLabel, QMessageBox

from lposs_geo_qgis import background, engine_dialog, host
from lposs_geo_qgis.engine import child, finding, private_engine, pythons
from tests import qgis_session  # noqa: F401, first: starts QGIS or skips
from tests.little_wheel import little_wheel
from tests.test_private_engine import FIRST


@unittest.skipUnless(FIRST, "there is no Python to make an engine with")
class Dialog(unittest.TestCase):
    def setUp(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="lposs geo é "))
        self.addCleanup(shutil.rmtree, folder, True)
        self.wheels = folder / "wheels"
        changed = {name: value for name, value in os.environ.items() if name != finding.VARIABLE}
        changed.update({"XDG_DATA_HOME": str(folder / "data"), "PATH": os.defpath})
        environ = mock.patch.dict(os.environ, changed, clear=True)
        environ.start()
        self.addCleanup(environ.stop)
        host.set_engine_setting("")
        self.addCleanup(host.set_engine_setting, "")
        # looking for Pythons is tested without a window
        found = mock.patch.object(pythons, "find", return_value=pythons.Found(tuple(FIRST)))
        self.find = found.start()
        self.addCleanup(found.stop)
        self.dialog = self.open()

    def open(self) -> engine_dialog.EngineDialog:
        dialog = engine_dialog.EngineDialog()
        dialog.show()
        self.addCleanup(self.drop, dialog)
        self.wait(lambda: not dialog._quiet)
        return dialog

    def drop(self, dialog: engine_dialog.EngineDialog) -> None:
        dialog.stop()
        self.wait(lambda: not background.works)
        dialog.deleteLater()
        QgsApplication.sendPostedEvents(dialog, QEvent.Type.DeferredDelete)

    def wait(self, until: Callable[[], bool], seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not until():
            self.assertLess(time.monotonic(), end, "nothing happened")
            QgsApplication.processEvents()
            time.sleep(0.005)

    def idle(self) -> None:
        self.wait(lambda: self.dialog._main is None and not self.dialog._quiet)

    def set_up(self) -> None:
        self.dialog.from_files.setChecked(True)
        self.dialog.files.setText(str(self.wheels))
        self.dialog.set_up_button.click()

    def test_nothing_is_there_and_nothing_is_done(self) -> None:
        dialog = self.dialog
        self.assertIn("There is no engine yet", dialog.state.text())
        self.assertIn(str(host.engines_folder()), dialog.plan.text())
        self.assertIn("GB", dialog.plan.text())
        self.assertIn(FIRST[0].path, dialog.python.currentText())
        self.assertFalse(dialog.cancel_button.isEnabled() or dialog.remove_button.isEnabled())
        self.assertFalse(host.engines_folder().exists())
        dialog.check_button.click()
        self.assertIn("isn't set up yet", dialog.doing.text())

    def test_set_up_fail_and_remove(self) -> None:
        little_wheel(self.wheels)
        self.set_up()
        self.assertTrue(self.dialog.cancel_button.isEnabled())
        self.assertFalse(self.dialog.set_up_button.isEnabled())
        self.idle()
        path = private_engine.executable(host.engines_folder())
        self.assertEqual(self.dialog.state.text(), f"Engine: lposs-geo 0.1.0, set up by this plugin\n{path}")
        self.assertEqual(self.dialog.doing.text(), "The engine has all that it needs.")
        self.assertIn("Successfully installed lposs-geo-0.1.0", self.dialog.log.toPlainText())
        self.assertIn("ok  lposs-geo  0.1.0", self.dialog.log.toPlainText())
        self.assertIn("ok  UTF-8 mode  1 é", self.dialog.log.toPlainText())
        self.assertTrue(self.dialog.remove_button.isEnabled())

        with self.subTest("a failure is told, and the engine stays"):
            shutil.rmtree(self.wheels)
            little_wheel(self.wheels, "0.1.1", needs="lposs-geo-has-no-such-friend")
            self.set_up()
            self.idle()
            self.assertIn("No matching distribution found", self.dialog.doing.text())
            self.assertIn("lposs-geo 0.1.0", self.dialog.state.text())

        with self.subTest("removed after a question"):
            with mock.patch.object(QMessageBox, "question", return_value=QMessageBox.StandardButton.No):
                self.dialog.remove_button.click()
            self.assertIsNone(self.dialog._main)
            with mock.patch.object(QMessageBox, "question", return_value=QMessageBox.StandardButton.Yes):
                self.dialog.remove_button.click()
            self.idle()
            self.assertEqual(self.dialog.doing.text(), "The engine was removed.")
            self.assertIn("There is no engine yet", self.dialog.state.text())
            self.assertFalse(self.dialog.remove_button.isEnabled())

    def test_cancel(self) -> None:
        little_wheel(self.wheels)
        self.set_up()
        self.wait(lambda: "Making an environment" in self.dialog.log.toPlainText())
        begun = time.monotonic()
        self.dialog.cancel_button.click()
        self.idle()
        self.assertLess(time.monotonic() - begun, 3)
        self.assertIn("Cancelled", self.dialog.doing.text())
        self.assertEqual(private_engine.executable(host.engines_folder()), "")

    def test_close_while_it_works(self) -> None:
        little_wheel(self.wheels)
        self.set_up()
        with mock.patch.object(QMessageBox, "question", return_value=QMessageBox.StandardButton.No) as asked:
            self.dialog.close()
        asked.assert_called_once()
        self.assertTrue(self.dialog.isVisible())
        with mock.patch.object(QMessageBox, "question", return_value=QMessageBox.StandardButton.Yes):
            self.dialog.close()
        self.assertFalse(self.dialog.isVisible())
        self.idle()
        self.dialog.show()
        self.assertTrue(self.dialog.set_up_button.isEnabled())

    def test_gone_while_it_works(self) -> None:
        """The plugin is unloaded, or QGIS quits: no crash, and no program goes on."""
        little_wheel(self.wheels, pause=60)
        dialog = engine_dialog.EngineDialog()
        dialog.from_files.setChecked(True)
        dialog.files.setText(str(self.wheels))
        dialog.set_up_button.click()
        self.wait(lambda: "Making an environment" in dialog.log.toPlainText())
        begun = time.monotonic()
        dialog.stop()
        self.assertLess(time.monotonic() - begun, 4)
        dialog.deleteLater()
        QgsApplication.sendPostedEvents(dialog, QEvent.Type.DeferredDelete)
        self.wait(lambda: not background.works)
        self.assertEqual(private_engine.executable(host.engines_folder()), "")

    def slow_engine(self) -> str:
        """A program that doesn't tell its version for a long time."""
        path = self.wheels.parent / "lposs-geo"
        path.write_text("#!/bin/sh\nsleep 60\n")
        path.chmod(0o755)
        return str(path)

    def errors(self) -> list[object]:
        """What slots have raised since then."""
        raised: list[object] = []
        hook = mock.patch.object(sys, "excepthook", lambda kind, error, trace: raised.append(error))
        hook.start()
        self.addCleanup(hook.stop)
        return raised

    def test_gone_while_it_looks(self) -> None:
        """Nothing raises from a late end of what goes on."""
        raised = self.errors()
        host.set_engine_setting(self.slow_engine())
        dialog = engine_dialog.EngineDialog()
        dialog.show()
        self.wait(lambda: dialog._quiet["engine"]._begun)
        begun = time.monotonic()
        dialog.stop()
        self.assertLess(time.monotonic() - begun, 4)
        self.assertTrue(dialog._quiet["engine"]._over.is_set())
        dialog.close()
        dialog.deleteLater()
        QgsApplication.sendPostedEvents(dialog, QEvent.Type.DeferredDelete)
        self.wait(lambda: not background.works)
        self.assertEqual(raised, [])

    def test_what_was_left_is_waited_for(self) -> None:
        host.set_engine_setting(self.slow_engine())
        self.dialog._look_at_engine()
        look = self.dialog._quiet["engine"]
        self.wait(lambda: look._begun)
        self.dialog._look_at_engine()
        self.dialog.stop()
        self.assertTrue(look._over.is_set())

    def test_nothing_is_begun_after_the_end(self) -> None:
        """A set-up that is through just then begins no check."""
        with mock.patch.object(private_engine, "set_up", return_value="/somewhere/lposs-geo"):
            self.dialog.set_up_button.click()
            work = self.dialog._main
            self.assertTrue(work._over.wait(10))  # its end hasn't been told
        self.find.reset_mock()
        self.dialog.stop()
        self.wait(lambda: work not in background.works)
        self.assertEqual(background.works, set())
        self.find.assert_not_called()

    def test_what_is_cancelled_before_it_begins_does_nothing(self) -> None:
        """So that nothing has to be waited for that hasn't begun."""
        function = mock.Mock()
        work = background.Work("never", function)
        work.stop()
        work.run()
        function.assert_not_called()

    def test_shown_again_it_looks_again(self) -> None:
        dialog, first = self.dialog, FIRST[0]
        better, third = pythons.Python("/a/python3.12", (3, 12, 9)), pythons.Python("/c/python3.13", (3, 13, 0))

        def again(*found: pythons.Python) -> str:
            dialog.close()
            self.find.return_value = pythons.Found(found, "" if found else "Install one.")
            dialog.show()
            self.idle()
            return dialog._chosen_python()

        with self.subTest("the best one, as long as the user hasn't chosen"):
            self.assertEqual(again(), "")
            self.assertEqual(dialog.python_advice.text(), "Install one.")
            self.assertEqual(again(first), first.path)
            self.assertTrue(dialog.python_advice.isHidden())
            self.assertEqual(again(better, first), better.path)
        with self.subTest("the chosen one, wherever it stands"):
            dialog.python.setCurrentIndex(1)
            self.assertEqual(again(better, third, first), first.path)
            self.assertEqual(dialog.python.currentIndex(), 2)
            dialog.python.setCurrentIndex(0)
            dialog.python.activated.emit(0)
            self.assertEqual(again(third, better), better.path)
        with self.subTest("the best one, if the chosen one has gone"):
            self.assertEqual(again(third, first), third.path)
        with self.subTest("what was typed"):
            dialog.python.setEditText("/typed/python")
            dialog.files.setText("/typed")
            self.assertEqual(again(better), "/typed/python")
            self.assertEqual(again(), "/typed/python")
            self.assertEqual(dialog.files.text(), "/typed")
        with self.subTest("an engine that another window has set up"):
            path = Path(private_engine.lposs_geo(host.engines_folder() / "1"))
            path.parent.mkdir(parents=True)
            path.write_text("#!/bin/sh\necho lposs-geo, version 0.1.0\n")
            path.chmod(0o755)
            (host.engines_folder() / "current").write_text("1")
            again()
            self.assertIn("Engine: lposs-geo 0.1.0", dialog.state.text())
            self.assertTrue(dialog.remove_button.isEnabled())

    def test_an_engine_that_is_checked_is_in_use(self) -> None:
        little_wheel(self.wheels)
        self.set_up()
        self.idle()
        run, refused = child.run, []

        def check(called: Sequence[str], *others: object) -> int:
            if called[-1] != "doctor":
                return run(called, *others)
            try:
                private_engine.remove(host.engines_folder())
            except private_engine.SetupError as error:
                refused.append(str(error))
            return 0

        with mock.patch.object(child, "run", check):
            self.dialog.check_button.click()
            self.idle()
        self.assertEqual(len(refused), 1)
        self.assertIn("is in use", refused[0])
        self.assertIn("Engine: lposs-geo 0.1.0", self.dialog.state.text())

    def test_graphics_cards_on_windows(self) -> None:
        """PyPI's PyTorch is for the processor there."""
        self.assertNotIn("NVIDIA", self.dialog.plan.text())
        with mock.patch.object(sys, "platform", "win32"):
            self.dialog._show_plan()
            self.assertIn("will compute on the processor", self.dialog.plan.text())
            little_wheel(self.wheels)
            self.dialog._take_files(str(self.wheels))
            self.assertNotIn("NVIDIA", self.dialog.plan.text())

    def test_no_python_and_a_wrong_one(self) -> None:
        little_wheel(self.wheels)
        self.dialog.python.setEditText("/no/such/python")
        self.set_up()
        self.idle()
        self.assertIn("'/no/such/python' can't be started", self.dialog.doing.text())
        with mock.patch.object(pythons, "find", return_value=pythons.Found((), "Install one.")):
            dialog = self.open()
            self.assertEqual(dialog.python_advice.text(), "Install one.")
            self.assertFalse(dialog.python_advice.isHidden())
            dialog.set_up_button.click()
            self.wait(lambda: dialog._main is None)
            self.assertEqual(dialog.doing.text(), "Install one.")

    def test_no_source(self) -> None:
        self.dialog.from_files.setChecked(True)
        self.dialog.set_up_button.click()
        self.assertIsNone(self.dialog._main)
        self.assertIn("Choose the wheel", self.dialog.doing.text())
        self.dialog.files.setText("/no/such.whl")
        self.assertIn("There is no '/no/such.whl'", self.dialog.plan.text())

    def test_another_engine(self) -> None:
        self.dialog.other.setFilePath("/no/such")
        self.assertEqual(host.engine_setting(), "")  # not while it is being typed
        self.dialog.other.lineEdit().editingFinished.emit()
        self.idle()
        self.assertEqual(host.engine_setting(), "/no/such")
        self.assertIn("There is no file '/no/such'", self.dialog.state.text())
        self.dialog.other.setFilePath("/bin/sh")
        self.assertEqual(host.engine_setting(), "/bin/sh")
        self.idle()
        self.assertIn("isn't lposs-geo", self.dialog.state.text())
        self.dialog.other.setFilePath("")
        self.idle()
        self.assertEqual(host.engine_setting(), "")
        self.assertIn("There is no engine yet", self.dialog.state.text())

    def test_another_engine_is_typed(self) -> None:
        """What stands there on the way to a name is neither kept nor run."""
        edit = self.dialog.other.lineEdit()
        kept = mock.Mock(wraps=host.set_engine_setting)
        with mock.patch.object(host, "set_engine_setting", kept):
            QTest.keyClicks(edit, "/bin/sh")  # on the way: '/', '/bin' and '/bin/'
            kept.assert_not_called()
            edit.editingFinished.emit()
            kept.assert_called_once_with("/bin/sh")
            self.idle()
            edit.selectAll()
            QTest.keyClicks(edit, "/")
            self.dialog.other.setFilePath("/bin/cat")  # chosen after all, whatever was typed
            kept.assert_called_with("/bin/cat")
        self.idle()
        edit.setFocus()
        edit.selectAll()
        QTest.keyClicks(edit, "/bin/sh")
        self.dialog.close()
        self.assertEqual(host.engine_setting(), "/bin/sh")
        self.idle()

    def test_the_variable_wins(self) -> None:
        with mock.patch.dict(os.environ, {finding.VARIABLE: "/no/such"}):
            dialog = self.open()
            labels = [label.text() for label in dialog.findChildren(QLabel)]
            self.assertTrue(any(finding.VARIABLE in text and "whatever stands here" in text for text in labels))
            self.assertIn("the variable LPOSS_GEO_EXECUTABLE names", dialog.state.text())


if __name__ == "__main__":
    unittest.main()
