"""A real little wheel in place of lposs-geo's, which needs gigabytes; and a folder with a name that is hard to take."""

from __future__ import annotations

import tempfile
import unittest
import zipfile
from pathlib import Path

__all__ = ["WithFolder", "little_wheel"]

_CODE = """
import sys, time
def main():
    if sys.argv[1:] == ["doctor"]:
        print("ok  lposs-geo  {version}")
        print("ok  UTF-8 mode ", sys.flags.utf8_mode, "\u00e9")
    else:
        time.sleep({pause})
        print("lposs-geo, version {version}")
"""


def little_wheel(
    folder: Path, version: str = "0.1.0", name: str = "lposs_geo", pause: float = 0, needs: str = ""
) -> Path:
    """A wheel whose command says its version, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    requires = f"Requires-Dist: {needs}\n" if needs else ""
    files = {
        "little_engine.py": _CODE.format(version=version, pause=pause),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n{requires}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nlposs-geo = little_engine:main\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(inner, text)
    return path


class WithFolder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="lposs geo é ")
        self.addCleanup(folder.cleanup)
        self.work = Path(folder.name)
        self.folder = self.work / "engines"
