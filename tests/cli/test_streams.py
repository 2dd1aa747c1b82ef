from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="streams are set up by a shell here")

COMMAND = f"'{sys.executable}' -P -m lposs_geo"


@pytest.fixture
def shell(tmp_path):
    """Run a line of shell in a folder with labels to draw: `lposs` is the command."""

    def run(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", f'lposs() {{ {COMMAND} "$@"; }}; {line}'],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture
def labels(write_raster):
    return write_raster(np.tri(60, 80, dtype="uint8")[None] + 1, "labels.tif")


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_closed_streams_neither_end_a_run_nor_take_its_files(shell, labels, tmp_path, closed):
    assert shell("lposs vectorize labels.tif m.geojson").returncode == 0
    done = shell(f"lposs vectorize labels.tif n.geojson -q {closed}")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "n.geojson").read_bytes() == (tmp_path / "m.geojson").read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("vectorize labels.tif m.gpkg -q 2>/dev/full", 0, ""),
        ("vectorize labels.tif m.gpkg --json 2>/dev/full", 0, ""),
        ("vectorize labels.tif m.gpkg >/dev/full", 0, "Warning: standard output can't be written: No space left on"),
        ("vectorize labels.tif m.gpkg --json >/dev/full", 1, "No space left on device; all files are written"),
        ("vectorize labels.tif m.gpkg >/dev/full 2>/dev/full", 0, ""),
        ("info labels.tif >/dev/full", 1, "Error: standard output can't be written: No space left on device"),
        ("info none.tif 2>/dev/full", 1, ""),
    ],
)
def test_a_log_on_a_full_disk(shell, labels, tmp_path, command, code, said):
    done = shell(f"lposs {command}")
    last = done.stderr.splitlines()[-1] if done.stderr else ""
    assert (done.returncode, said in last, bool(last)) == (code, True, bool(said)), done.stderr
    assert "unexpected" not in done.stderr
    assert (tmp_path / "m.gpkg").exists() == command.startswith("vectorize")


@pytest.mark.parametrize("command", ["vectorize labels.tif m.gpkg", "--help"])
def test_who_reads_no_more_has_had_enough(shell, labels, command):
    done = shell(f"lposs {command} | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, "rror" in done.stderr) == (0, False)
    # a pager that is left takes the progress along, too
    again = command.replace("m.gpkg", "n.gpkg")
    assert shell(f"{{ lposs {again} 2>&1; echo $? >code; }} | true; cat code").stdout == "0\n"


PRINTING = """
import ctypes, os, sys, threading, warnings
from lposs_geo import cli
from lposs_geo.polygons import vectorize as vectorizing
real = vectorizing.write_polygons
def write_polygons(*arguments):
    os.write(2, b"ERROR 1: from C\\nhalf of")
    os.write(2, b" a line: Z\\xfcrich\\n")
    ctypes.PyDLL(None).write(2, b"x" * 200_000, 200_000)  # more than a pipe holds, while Python can't read it
    warnings.warn("of Python")
    EXTRA
    return real(*arguments)
vectorizing.write_polygons = write_polygons
cli.main(["vectorize", "labels.tif", "m.gpkg", "--json"])
"""


@pytest.mark.parametrize("extra", ["pass", "os.kill(os.getpid(), 15)", "raise KeyboardInterrupt", "1 / 0"])
def test_whatever_is_printed_beside_is_json_for_programs(labels, tmp_path, extra):
    code = PRINTING.replace("EXTRA", extra)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    told = [event["message"] for event in events if event["event"] == "text"]
    assert told[:2] == ["ERROR 1: from C", r"half of a line: Z\xfcrich"]
    assert told[2].startswith("x" * 200_000)
    assert "UserWarning: of Python" in told[2]
    expected = {"pass": 0, "1 / 0": 1, "raise KeyboardInterrupt": 130}.get(extra, 128 + signal.SIGTERM)
    assert done.returncode == expected
    assert (events[-1]["event"] == "error") == (expected != 0)


def test_names_that_a_stream_cannot_show_are_escaped(shell):
    for environment in ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}):
        done = shell(r"lposs info $'Z\xfcrich.tif'", **environment)
        assert (done.returncode, done.stderr) == (1, "Error: no such file: 'Z\\xfcrich.tif'\n")
        done = shell(r"lposs info --json $'Z\xfcrich.tif'", **environment)
        assert json.loads(done.stderr)["message"] == "no such file: 'Z\\xfcrich.tif'"
