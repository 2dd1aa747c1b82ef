"""The lines of --json: declared, documented, and JSON whatever they hold."""

import json
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args

import pytest

from lposs_geo.cli import answers

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")

DECLARED = [value for name in answers.__all__ if is_dataclass(value := getattr(answers, name))]


def test_json_has_no_number_that_is_none():
    line = answers.MapResult(
        scene="a",
        outputs={"labels": "a.tif"},
        model="mini",
        device="cpu",
        classes=(answers.MappedClass(name="NaN", pixels=0, area_m2=0.0, share=0.0, confidence=float("nan")),),
        unknown_share=float("-inf"),
        notices=(),
        seconds={"load": float("inf"), "encode": 1.5},
        failed=(),
    )
    facts = json.loads(answers.to_json(line), parse_constant=pytest.fail)
    assert facts["classes"] == [{"name": "NaN", "pixels": 0, "area_m2": 0.0, "share": 0.0, "confidence": None}]
    assert facts["labels"] == "a.tif"
    assert (facts["unknown_share"], facts["seconds"]) == (None, {"load": None, "encode": 1.5})


def test_each_line_tells_its_kind_and_the_version_first():
    line = json.loads(answers.to_json(answers.Progress(stage="encode", done=1, total=2)))
    assert list(line.items()) == [
        ("event", "progress"),
        ("schema_version", answers.SCHEMA_VERSION),
        ("stage", "encode"),
        ("done", 1),
        ("total", 2),
    ]


@pytest.mark.parametrize("kind", DECLARED, ids=lambda kind: kind.__name__)
def test_the_page_names_every_field(kind):
    documented = set(re.findall(r"`([a-z0-9_]+)`", PAGE))
    # the files of a map are fields of their own
    assert {own.name for own in fields(kind)} - {"outputs"} <= documented


def test_the_page_names_every_command_and_the_version():
    for kind in get_args(answers.Result):
        command = next(own.default for own in fields(kind) if own.name == "command")
        assert f"**`{command}`**" in PAGE
    assert f"`schema_version` (now {answers.SCHEMA_VERSION})" in PAGE
