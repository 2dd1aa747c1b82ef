"""An index of packages on this machine, which pip reads as it reads PyPI."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["local_index", "wheel_of_pip"]

_WHERE = "import pip, sys; print(pip.__version__, pip.__path__[0])"


@contextlib.contextmanager
def local_index(folder: Path, wheels: Iterable[Path]) -> Iterator[tuple[int, set[str]]]:
    """Serve wheels that lie anywhere, one of a name.

    Yields
    ------
    int, set of str
        The port, and who has asked: values of the header Authorization.
    """
    for wheel in wheels:
        page = folder / wheel.name.split("-")[0].replace("_", "-").lower() / "index.html"
        page.parent.mkdir(parents=True)
        shutil.copy(wheel, page.parent)
        page.write_text(f'<!DOCTYPE html><a href="{wheel.name}">{wheel.name}</a>\n')
    asked: set[str] = set()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.add(self.headers.get("Authorization", ""))
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1], asked
        finally:
            server.shutdown()
            thread.join()


def wheel_of_pip(folder: Path) -> Path | None:
    """The pip of the engine or of this Python as a wheel; None if none is as new as a set-up wants it."""
    engine = Path(os.environ.get("LPOSS_GEO_EXECUTABLE", ""))
    for python in (str(engine.with_name("python")), sys.executable):
        try:
            done = subprocess.run([python, "-I", "-c", _WHERE], capture_output=True, text=True, check=False)
        except OSError:
            continue
        version, _, where = done.stdout.strip().partition(" ")
        if done.returncode == 0 and tuple(map(int, version.split(".")[:2])) >= (24, 1):
            return _packed(folder, Path(where), version)
    return None


def _packed(folder: Path, package: Path, version: str) -> Path:
    site = package.parent
    facts = next(site.glob(f"pip-{version}.dist-info"))
    inside = [path for top in (package, facts) for path in top.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    files = {
        path.relative_to(site).as_posix(): path for path in inside if path.name not in ("RECORD", "direct_url.json")
    }
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"pip-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, path in files.items():
            archive.write(path, name)
        record = f"{facts.name}/RECORD"
        archive.writestr(record, "".join(f"{name},,\n" for name in (*files, record)))
    return wheel
