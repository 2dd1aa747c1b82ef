"""The widgets of the engine's dialog, and how they show what goes on; what they do is in `engine_dialog`."""

from __future__ import annotations

import os
import sys

from qgis.core import QgsApplication
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QFontDatabase, QFontInfo
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from lposs_geo_qgis import host
from lposs_geo_qgis.engine import finding

__all__ = ["BAD", "GOOD", "REMARK", "EngineView"]

GOOD, REMARK, BAD = "/mIconSuccess.svg", "/mIconWarning.svg", "/mIconDelete.svg"
"""Marks of QGIS's theme."""

_MARK, _TEXT = 20, 480  # pixels


class EngineView(QDialog):
    """All that is seen of the dialog.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("LPOSS-Geo: engine"))
        self._build()

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.addLayout(self._state_line())
        layout.addWidget(self._set_up_group())
        layout.addWidget(self._other_group())
        layout.addLayout(self._progress_line())
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        if not QFontInfo(font).fixedPitch():  # a desktop that hasn't been told of one
            font.setFamily("monospace")
        self.log.setFont(font)
        self.log.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.log.setMaximumBlockCount(20000)
        self.log.setMinimumHeight(90)
        self.log.setPlaceholderText(self.tr("What the programs say is shown here."))
        layout.addWidget(self.log, 1)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.check_button = self.buttons.addButton(self.tr("Check engine"), QDialogButtonBox.ButtonRole.ActionRole)
        self.check_button.setToolTip(self.tr("Runs lposs-geo doctor, which looks at all that the engine needs."))
        for button in self.buttons.buttons():
            button.setAutoDefault(False)  # Enter in a field is for the field
        layout.addWidget(self.buttons)
        self.setMinimumSize(620, 600)
        self.resize(760, 720)

    def _state_line(self) -> QHBoxLayout:
        self.mark = QLabel()
        self.mark.setFixedSize(_MARK, _MARK)
        self.state = _wrapped("")
        self.state.setMinimumHeight(2 * self.fontMetrics().lineSpacing())  # what is below stays where it is
        line = QHBoxLayout()
        line.addWidget(self.mark, 0, Qt.AlignmentFlag.AlignTop)
        line.addWidget(self.state, 1)
        return line

    def _set_up_group(self) -> QGroupBox:
        group = QGroupBox(self.tr("Set up"))
        form = QFormLayout(group)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.from_internet = QRadioButton(self.tr("From the internet (PyPI)"))
        self.from_files = QRadioButton(self.tr("From a file or folder:"))
        self.from_internet.setChecked(True)
        self.files = QLineEdit()
        self.files.setPlaceholderText(self.tr("wheel of lposs-geo, or a folder with all wheels"))
        self.file_button, self.folder_button = QPushButton(self.tr("File…")), QPushButton(self.tr("Folder…"))
        files = QHBoxLayout()
        for widget in (self.from_files, self.files, self.file_button, self.folder_button):
            files.addWidget(widget)
        form.addRow(self.tr("Source"), self.from_internet)
        form.addRow("", files)
        self.python = QComboBox()
        self.python.setEditable(True)
        self.python.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.python.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.python.lineEdit().setPlaceholderText(self.tr("looking for Pythons…"))
        form.addRow(self.tr("Python"), self.python)
        self.python_advice = _wrapped("")
        self.python_advice.setVisible(False)
        form.addRow("", self.python_advice)
        self.cpu_only = QCheckBox(self.tr("Only the processor, no NVIDIA GPU (a much smaller download)"))
        if sys.platform.startswith("linux"):
            form.addRow("", self.cpu_only)
        self.plan = _wrapped("")
        form.addRow("", self.plan)
        self.set_up_button = QPushButton(self.tr("Set up engine"))
        self.cancel_button = QPushButton(self.tr("Cancel"))
        self.remove_button = QPushButton(self.tr("Remove"))
        self.remove_button.setToolTip(self.tr("Removes the engine that this plugin has set up."))
        buttons = QHBoxLayout()
        for button in (self.set_up_button, self.cancel_button, self.remove_button):
            button.setAutoDefault(False)
            buttons.addWidget(button)
        buttons.addStretch(1)
        form.addRow("", buttons)
        for button in (self.file_button, self.folder_button):
            button.setAutoDefault(False)
        return group

    def _other_group(self) -> QGroupBox:
        group = QGroupBox(self.tr("Use another engine"))
        form = QFormLayout(group)
        self.other = QgsFileWidget()
        self.other.setStorageMode(QgsFileWidget.StorageMode.GetFile)
        self.other.setDialogTitle(self.tr("lposs-geo, or the Python that it is installed for"))
        self.other.lineEdit().setPlaceholderText(self.tr("found by itself"))
        self.other.setFilePath(host.engine_setting())
        form.addRow(self.tr("lposs-geo or its Python"), self.other)
        named = os.environ.get(finding.VARIABLE, "")
        if named:
            text = self.tr("The variable {0} names '{1}', which is used whatever stands here.")
            form.addRow("", _wrapped(text.format(finding.VARIABLE, named)))
        return group

    def _progress_line(self) -> QVBoxLayout:
        self.doing = _wrapped("")
        self.progress = QProgressBar()
        self.progress.setRange(0, 100)
        policy = self.progress.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # the log below it stays where it is
        self.progress.setSizePolicy(policy)
        layout = QVBoxLayout()
        layout.addWidget(self.doing)
        layout.addWidget(self.progress)
        return layout

    def show_state(self, mark: str, text: str) -> None:
        self.mark.setPixmap(QgsApplication.getThemeIcon(mark).pixmap(_MARK, _MARK))
        self.state.setText(text)

    def show_problem(self, text: str) -> None:
        self.doing.setStyleSheet("color: #c62828")
        self.doing.setText(text)
        self.note(text)

    def show_doing(self, text: str) -> None:
        self.doing.setStyleSheet("")
        self.doing.setText(text)

    def note(self, line: str) -> None:
        self.log.appendPlainText(line)
        self.log.verticalScrollBar().setValue(self.log.verticalScrollBar().maximum())

    def show_progress(self, percent: float) -> None:
        known = percent >= 0
        self.progress.setRange(0, 100 if known else 0)  # 0, 0 moves without a number
        if known:
            self.progress.setValue(round(percent))


def _wrapped(text: str) -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    label.setMinimumWidth(_TEXT)  # without it Qt makes room for a narrow column of text
    label.setTextFormat(Qt.TextFormat.PlainText)  # a path may look like markup
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
