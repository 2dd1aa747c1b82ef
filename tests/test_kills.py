"""Kills before chosen file operations of the last phase of a run, and what `--resume` makes of what is there then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

DRIVER = Path(__file__).parent / "killed_runs.py"


KINDS = {"fresh": 4, "over": 6, "elsewhere": 4, "batch": 2}
"""How often a run with all outputs is killed: a first one, one over an earlier map, one to two folders, a batch."""


@pytest.fixture(scope="module")
def kills(tmp_path_factory) -> dict[str, subprocess.Popen[str]]:
    """All at the same time: each is a process that forks."""
    return {
        kind: subprocess.Popen(
            [sys.executable, str(DRIVER), str(tmp_path_factory.mktemp(kind)), kind, str(steps)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for kind, steps in KINDS.items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_in_the_last_phase_loses_nothing_and_leaves_nothing(kills, kind):
    out, err = kills[kind].communicate()
    assert kills[kind].returncode == 0, err[-2000:]
    cases = [json.loads(line) for line in out.splitlines()]
    assert len(cases) >= KINDS[kind]
    for case in cases:
        assert case["killed"] == -9, case
        assert case["emptied"] == [], case
        assert case["code"] == 0, case
        assert case["differ"] == [], case
        assert case["hidden"] == [], case
