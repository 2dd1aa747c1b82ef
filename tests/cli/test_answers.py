import json

import pytest

from lposs_geo.cli import answers


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
