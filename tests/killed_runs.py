"""Runs of the real command line that are killed before chosen file operations; a program of its own, see test_kills.

It imports everything once and forks a child for each command, with an encoder of colours in the place of the model.
Each line on standard output is one case as JSON.

    python killed_runs.py FOLDER fresh|over|batch|elsewhere STEPS
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}  # threads of a parent are none of its children's

import numpy as np
import rasterio

import lposs_geo.batch
import lposs_geo.cli
import lposs_geo.mapping
import lposs_geo.polygons.arc_kernel
import lposs_geo.polygons.merge_kernel
import lposs_geo.polygons.ring_kernel
import lposs_geo.polygons.simplify_kernel
import lposs_geo.polygons.vectorize
from lposs_geo.mapping import Mapper
from lposs_geo.testing.encoders import ColourEncoder

CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink", "shutil.rmtree"}
"""What Python tells its audit hooks of changes to folders."""


class Colours(ColourEncoder):
    """Small enough to map in no time."""

    n_neighbors = 20


def _is_change(event: str, args: tuple, within: Path) -> bool:
    if event not in CHANGES and event != "open":
        return False
    path = within / os.fsdecode(args[0]) if isinstance(args[0], str | bytes | os.PathLike) else Path("/")
    if not path.is_relative_to(within):
        return False
    if event != "open":
        return True
    mode, flags = args[1], args[2]
    return bool(set(mode) & set("wax+") if isinstance(mode, str) else flags & (os.O_WRONLY | os.O_RDWR))


def _watch(step: int, trace: Path | None) -> None:
    """Kill this process before its change number `step` in or below the folder it is in; write down all until then."""
    count, turn, within = 0, threading.Lock(), Path.cwd()
    log = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) if trace else None

    def hook(event: str, args: tuple) -> None:
        nonlocal count
        if _is_change(event, args, within):
            with turn:
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                if log is not None:
                    os.write(log, f"{event} {args[0]}\n".encode())

    sys.addaudithook(hook)


def run(arguments: Sequence[str], folder: Path, *, step: int = 0, trace: Path | None = None) -> tuple[int, str]:
    """Run ``lposs-geo ARGUMENTS`` in a folder: exit code (-9 where it was killed), and the last line it said."""
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            code = 99
            try:
                os.chdir(folder)
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                _watch(step, trace)
                lposs_geo.cli.main(list(arguments), Mapper.of(Colours(), "colours"))
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
    return os.waitstatus_to_exitcode(status), (lines or [""])[-1]


def contents(folder: Path) -> dict[str, str]:
    """A digest of all files, without the times that some of them hold."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[str(path.relative_to(folder))] = hashlib.sha256(_timeless(path)).hexdigest()
    return found


def _timeless(path: Path) -> bytes:
    if path.suffix == ".gpkg":
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            return repr(database.execute("SELECT * FROM landcover ORDER BY fid").fetchall()).encode()
    return re.sub(rb'<time .*?</time>|"(created|datetime)": "[^"]*"', b"", path.read_bytes())


def write_scene(path: Path, seed: int = 0) -> None:
    """Blocks of three colours."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.integers(0, 3, (6, 6)), np.ones((24, 24), int))
    array = np.eye(3)[blocks].transpose(2, 0, 1) * 150 + rng.integers(20, 60, (3, 144, 144))
    transform = rasterio.Affine(0.6, 0, 439136.4, 0, -0.6, 5273706.6)
    profile = {"driver": "GTiff", "count": 3, "height": 144, "width": 144, "dtype": "uint8", "crs": "EPSG:32632"}
    with rasterio.open(path, "w", **profile, transform=transform) as dataset:
        dataset.write(array.astype("uint8"))


class Case:
    """A command, and the folder as it is when all its tiles are finished and nothing of its files is written."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind = folder, kind
        self.scenes = ["a.tif", "b.tif"] if kind == "batch" else ["a.tif"]
        name = "{name}_m" if kind == "batch" else "m"
        into = "other/" if kind == "elsewhere" else ""
        if kind == "batch":
            (folder / "scenes").mkdir()
            for seed, scene in enumerate(self.scenes):
                write_scene(folder / "scenes" / scene, seed)
        else:
            write_scene(folder / "a.tif")
        self.scene = [str(folder / "scenes"), "--batch"] if kind == "batch" else [str(folder / "a.tif")]
        self.outputs = [
            "-o", f"{name}.tif", "--vector", f"{into}{name}.gpkg", "--quicklook", f"{name}.png",
            "--report", f"{into}{name}.html", f"--confidence={name}_confidence.tif",
            f"--probabilities={into}{name}_probabilities.tif", f"--stac={name}.json",
        ]  # fmt: skip
        self.allow = ["--overwrite"] if kind == "over" else []
        self.before = self._fresh("before")
        if kind == "over":
            code, said = run(self._command("red,green"), self.before)
            assert code == 0, said
        self.clean = shutil.copytree(self.before, folder / "clean")
        code, said = run(self._command(*self.allow), self.clean, trace=folder / "trace")
        assert code == 0, said
        self.wanted = contents(self.clean)

    def _fresh(self, name: str) -> Path:
        (self.folder / name / "other").mkdir(parents=True)
        return self.folder / name

    def _command(self, *more: str) -> list[str]:
        words = "red,green,blue"
        if more[:1] == ("red,green",):
            words, more = more[0], more[1:]
        return ["map", *self.scene, "--classes", words, *self.outputs, "--no-refine", "--no-cache", *more]

    def changes(self) -> list[str]:
        """What an undisturbed run changes, in order."""
        return (self.folder / "trace").read_text().splitlines()

    def killed_before(self, step: int) -> dict[str, object]:
        """Kill a run before one of its changes, go on with it, and look."""
        place = shutil.copytree(self.before, self.folder / f"killed_{step}")
        killed, _ = run(self._command(*self.allow), place, step=step)
        emptied = [path.name for path in place.rglob("*") if path.is_file() and not path.stat().st_size]
        code, said = run(self._command("--resume"), place)
        now = contents(place)
        found = {
            "step": step,
            "before": self.changes()[step - 1].replace(str(self.folder), ""),
            "killed": killed,
            "code": code,
            "said": said,
            "differ": sorted(name for name in self.wanted | now if self.wanted.get(name) != now.get(name)),
            "hidden": sorted(path.name for path in place.rglob(".*")),
            "emptied": sorted(name for name in emptied if name in {Path(wanted).name for wanted in self.wanted}),
        }
        shutil.rmtree(place)
        return found


def main(choose: Callable[[list[str], int], list[int]]) -> None:
    """Print what became of each kill."""
    folder, kind, steps = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    case = Case(folder, kind)
    for step in choose(case.changes(), steps):
        print(json.dumps(case.killed_before(step)), flush=True)


def final_phase(changes: list[str], steps: int) -> list[int]:
    """Steps spread over the changes from the first file that is staged on, most of them where files are moved."""
    first = next(
        number for number, change in enumerate(changes, 1) if change.startswith("os.mkdir") and "staged" in change
    )
    moves = [number for number, change in enumerate(changes, 1) if number > first and "rename" in change]
    ends = [*range(moves[-1], len(changes) + 1)]
    rng = np.random.default_rng(0)
    chosen = {first, moves[0], moves[0] + 1, ends[len(ends) // 2]}
    chosen |= set(rng.choice(moves, min(len(moves), steps // 2), replace=False).tolist())
    rest = sorted(set(range(first, len(changes) + 1)) - chosen)
    chosen |= set(rng.choice(rest, max(0, min(len(rest), steps - len(chosen))), replace=False).tolist())
    return sorted(chosen)


if __name__ == "__main__":
    main(final_phase)
