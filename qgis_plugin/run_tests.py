"""Run the plugin's tests with QGIS's own Python: `python qgis_plugin/run_tests.py [-v] [-k PART] [MODULE ...]`.

Called by `make test`, with the Python that lposs-geo is installed for. Where there is no QGIS, the tests that don't
need it run with that Python instead. The variable QGIS_PYTHON names another Python of QGIS.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLACES = ("/usr/bin/python3", "/Applications/QGIS.app/Contents/MacOS/bin/python3")
PASSED_ON = ("LPOSS_GEO_FULL_SETUP", "SYSTEMROOT", "TEMP")
"""Variables that the tests see as they are; Windows can't do without the last two."""

FOR_DOWNLOADS = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_")
"""What such variables begin with that the full set-up needs as well."""


def main() -> int:
    """Run the tests and return their exit code."""
    with tempfile.TemporaryDirectory(prefix="lposs-geo-tests-", ignore_cleanup_errors=True) as home:
        environ = clean_environment(home)
        python = find_qgis_python(environ)
        if python is None:
            print("QGIS isn't installed: the plugin's tests that need it were skipped", flush=True)
        command = [python or sys.executable, "-B", "-m", "tests", *sys.argv[1:]]  # -B: the plugin stays as it is packed
        return subprocess.run(command, cwd=HERE, env=environ, check=False).returncode


def clean_environment(home: str) -> dict[str, str]:
    """Nothing of the virtual environment that calls this, nor of the user's own settings."""
    engine = Path(sys.executable).parent / ("lposs-geo.exe" if os.name == "nt" else "lposs-geo")
    begins = (*PASSED_ON, *FOR_DOWNLOADS) if "LPOSS_GEO_FULL_SETUP" in os.environ else PASSED_ON
    return {name: value for name, value in os.environ.items() if name.upper().startswith(begins)} | {
        "PATH": os.defpath if os.name == "nt" else "/usr/local/bin:/usr/bin:/bin",
        "HOME": home,
        "LANG": "C.UTF-8",
        "QT_QPA_PLATFORM": "offscreen",
        "LPOSS_GEO_EXECUTABLE": str(engine),
    }


def find_qgis_python(environ: Mapping[str, str]) -> str | None:
    """The first Python that QGIS works in; None if there is none."""
    named = os.environ.get("QGIS_PYTHON")
    for python in [named] if named else PLACES:
        try:
            call = [python, "-c", "import qgis.core"]
            if subprocess.run(call, env=environ, capture_output=True, check=False).returncode == 0:
                return python
        except OSError:  # there is no such program
            continue
    return None


if __name__ == "__main__":
    sys.exit(main())
