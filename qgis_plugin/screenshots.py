"""Takes the pictures of docs/qgis.md: a real QGIS in a clean profile, on a screen that nobody sees.

    .venv/bin/python qgis_plugin/screenshots.py docs/qgis

needs QGIS and Xvfb. The engine is that of `.venv`; with `--set-up` the plugin sets up its own, from a wheel of this
repository and PyPI: minutes, and 10 GB of disk. What is done in QGIS stands in `screenshot_tour.py`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
HOME = Path("/var/tmp/lakeside")  # it is seen in the pictures; QGIS marks layers in /tmp as temporary
SCREEN = "1400x900x24"


def main() -> None:
    """Take the pictures and make them small."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--set-up", action="store_true", help="let the plugin set up its engine")
    options = parser.parse_args()
    folder = options.folder.resolve()
    if HOME.exists():
        sys.exit(f"{HOME} is there already: another tour is under way, or broke off; then remove it")
    try:
        (HOME / "engine").mkdir(parents=True)
        if options.set_up:
            making = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(HOME / "engine")]
            subprocess.run([*making, str(HERE.parent)], check=True)
        else:
            (HOME / "engine" / "lposs-geo").symlink_to(Path(sys.executable).with_name("lposs-geo"))
        shutil.copy(HERE.parent / "examples" / "lakeside.tif", HOME)
        subprocess.run([sys.executable, str(HERE / "build.py"), "--output", str(HOME)], check=True)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as pictures:
            tour(next(HOME.glob("*.zip")), Path(pictures))
            for picture in sorted(Path(pictures).glob("*.png")):
                shrink(picture, folder / picture.name)
    finally:
        shutil.rmtree(HOME, ignore_errors=True)


def tour(plugin: Path, pictures: Path) -> None:
    """Start QGIS and let it walk through `screenshot_tour.py`; SystemExit if it doesn't come to its end."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(HOME),
        "LANG": "C.UTF-8",
        "XDG_RUNTIME_DIR": str(pictures),
        "TOUR_PLUGIN": str(plugin),
        "TOUR_PICTURES": str(pictures),
    }
    command = ["xvfb-run", "-a", "-s", f"-screen 0 {SCREEN}", "qgis", "--nologo", "--noversioncheck"]
    command += ["--profiles-path", str(HOME / "qgis"), "--code", str(HERE / "screenshot_tour.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=580)
    if not (pictures / "finished").exists():
        sys.exit(f"the tour broke off:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def shrink(picture: Path, target: Path) -> None:
    """A picture of a screen needs few colours."""
    with Image.open(picture) as image:
        image.convert("RGB").quantize(192, dither=Image.Dither.NONE).save(target, optimize=True)
    print(f"{os.path.relpath(target)}: {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
