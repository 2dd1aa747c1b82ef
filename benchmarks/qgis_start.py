"""What the plugin adds to QGIS's start: importing it, `classFactory` and `initProcessing`, beside QGIS's own providers.

    /usr/bin/python3 benchmarks/qgis_start.py

runs with QGIS's own Python. Each measurement is a fresh process; the first one compiles the modules and isn't counted.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
REPEATS = 5
START = """
import os, sys, time
sys.path[:0] = [{plugin!r}, "/usr/share/qgis/python/plugins"]
from qgis.core import QgsApplication
from qgis.PyQt import QtCore, QtGui, QtNetwork, QtWidgets
QgsApplication.setPrefixPath("/usr", True)
application = QgsApplication([], True)
application.initQgis()
began = time.perf_counter()
import lposs_geo_qgis
lposs_geo_qgis.classFactory(None).initProcessing()
ours = time.perf_counter() - began
numpy = "numpy" in sys.modules
began = time.perf_counter()
from processing.core.Processing import Processing
Processing.initialize()
print(ours, time.perf_counter() - began, numpy, flush=True)
os._exit(0)  # QGIS is known to crash on its way out
"""


def measure() -> tuple[float, float, bool]:
    """Seconds for the plugin and for QGIS's own Processing, and whether the plugin imported NumPy."""
    program = START.format(plugin=str(REPOSITORY / "qgis_plugin"))
    environment = {"PATH": "/usr/bin:/bin", "QT_QPA_PLATFORM": "offscreen", "HOME": os.environ["HOME"]}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    ours, processing, numpy = done.stdout.split()[-3:]
    return float(ours), float(processing), numpy == "True"


if __name__ == "__main__":
    measure()
    measured = [measure() for _ in range(REPEATS)]
    ours, processing = (statistics.median(row[column] for row in measured) for column in (0, 1))
    print(f"plugin {ours:.3f} s, QGIS's own Processing {processing:.3f} s: {ours / processing:.2f} of it")
    print("the plugin imports NumPy" if any(row[2] for row in measured) else "the plugin imports no NumPy")
