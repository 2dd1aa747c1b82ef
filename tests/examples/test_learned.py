from __future__ import annotations

import base64
import os
import subprocess
import sys
import zlib
from dataclasses import fields, replace

import numpy as np
import pytest

from lposs_geo.errors import LegendError, ModelError, OutputError
from lposs_geo.examples import learned as learned_file
from lposs_geo.examples.learned import (
    Learned,
    check_fits,
    from_text,
    is_learned,
    read_learned,
    to_text,
    write_learned,
)
from lposs_geo.examples.tensor_file import pack, unpack
from lposs_geo.legend.building import from_words
from lposs_geo.legend.legend import Legend

LAYOUT = (("vlm", 6), ("vm", 4), ("bands", 2))
LEARNED = Learned(
    legend=from_words("forest=trees|woodland,water,Größe"),
    model="mini",
    fingerprint="0123456789abcdef",
    layout=LAYOUT,
    tensors={
        "weights": np.linspace(-1, 1, 36, dtype=np.float32).reshape(3, 12),
        "offset": np.array([0.5, 1.5, -2], np.float16),
    },
    digest="b4nds",
    numbers={"beta": 0.3, "rho": [1.0, 2.5], "kind": "ridge"},
    counts={"forest": 4, "water": 0, "Größe": 12},
    examples_digest="e4amples",
)


def assert_same(actual: Learned, expected: Learned) -> None:
    for attribute in fields(Learned):
        if attribute.name != "tensors":
            assert getattr(actual, attribute.name) == getattr(expected, attribute.name), attribute.name
    assert actual.tensors.keys() == expected.tensors.keys()
    for name, tensor in expected.tensors.items():
        np.testing.assert_array_equal(actual.tensors[name], tensor)
        assert actual.tensors[name].dtype == tensor.dtype


def changed(**content: object) -> bytes:
    """A file whose content has been changed."""
    own, tensors = unpack(zlib.decompress(base64.b64decode(to_text(LEARNED))), "it")
    return pack(own | content, tensors, "it")


def test_what_is_written_is_read(tmp_path):
    write_learned(tmp_path / "heath.lposs", LEARNED)
    assert_same(read_learned(tmp_path / "heath.lposs"), LEARNED)
    assert_same(read_learned(str(tmp_path / "heath.lposs")), LEARNED)


def test_the_same_gives_the_same_bytes(tmp_path):
    """In processes with other seeds of their hashes too."""
    code = "import sys; from lposs_geo.examples.learned import *; write_learned(*(lambda p, q: (p, read_learned(q)))("
    write_learned(tmp_path / "a.lposs", LEARNED)
    for seed in "12":
        subprocess.run(
            [sys.executable, "-c", f"from pathlib import Path; {code}Path(sys.argv[1]), sys.argv[2]))",
             tmp_path / f"{seed}.lposs", tmp_path / "a.lposs"],
            env=os.environ | {"PYTHONHASHSEED": seed}, check=True,
        )  # fmt: skip
        assert (tmp_path / f"{seed}.lposs").read_bytes() == (tmp_path / "a.lposs").read_bytes()


def test_torch_is_not_loaded():
    code = "import sys, lposs_geo.examples.learned; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_text_holds_the_same():
    text = to_text(LEARNED)
    assert text.isascii()
    assert text.isprintable()
    assert_same(from_text(text), LEARNED)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "cut off"),
        ("ä", "damaged"),
        ("////", "damaged"),
        ("eJw", "damaged"),
        (to_text(LEARNED)[:-8], "damaged|cut off"),
        (to_text(LEARNED)[:100], "cut off"),
        (base64.b64encode(zlib.compress(b"name = 1")).decode(), "none that was learnt"),
        (base64.b64encode(zlib.compress(bytes(65_000_000))).decode(), "larger than 64 MB"),
    ],
)
def test_texts_that_are_none(text, fault):
    with pytest.raises(LegendError, match=fault) as caught:
        from_text(text, "its tag")
    assert str(caught.value).startswith("its tag ")
    assert len(str(caught.value).splitlines()) == 1


def test_too_long_a_text(monkeypatch):
    text = to_text(LEARNED)
    monkeypatch.setattr(learned_file, "LONGEST_TEXT", len(text) - 1)
    with pytest.raises(LegendError, match="a map's tags hold"):
        to_text(LEARNED)
    with pytest.raises(LegendError, match="is longer than"):
        from_text(text)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"format": 2, "version": "9.0"}, r"was saved by lposs-geo 9\.0, and .*: update lposs-geo"),
        ({"format": None}, "was saved by lposs-geo"),
        ({"legend": None}, "its legend is not a legend"),
        ({"legend": {"classes": []}}, "numbered from 1 on"),
        ({"legend": LEARNED.legend.as_dict() | {"classes": LEARNED.legend.as_dict()["classes"][1:]}}, "numbered"),
        ({"legend": {"classes": [LEARNED.legend.as_dict()["classes"][0] | {"name": "a\nb"}]}}, "control character"),
        ({"legend": {"classes": [LEARNED.legend.as_dict()["classes"][0] | {"prompts": []}]}}, "no words"),
        ({"model": "mini"}, "its model are missing"),
        ({"model": {"name": "mini"}}, "its fingerprint is missing"),
        ({"model": {"name": "a\x1b[0m", "fingerprint": ""}}, "its name is missing, or no text"),
        ({"layout": [["vlm", 0]]}, "which features"),
        ({"layout": [["vlm", True]]}, "which features"),
        ({"layout": [["vlm", 1 << 30]]}, "which features"),
        ({"layout": [["vlm"]]}, "which features"),
        ({"layout": [["vlm", 2]] * 300}, "which features"),
        ({"layout": {"vlm": 2}}, "which features"),
        ({"numbers": [1]}, "its numbers are missing"),
        ({"examples": {"counts": {"forest": -1}, "digest": ""}}, "no whole numbers"),
        ({"examples": {"counts": {"forest": 1.5}, "digest": ""}}, "no whole numbers"),
        ({"examples": {"counts": {}}}, "its digest is missing"),
        ({"version": 1}, "its version is missing"),
        ({"digest": "x" * 2000}, "its digest is missing"),
    ],
)
def test_files_that_somebody_made(tmp_path, content, fault):
    file = tmp_path / "heath.lposs"
    file.write_bytes(changed(**content))
    with pytest.raises(LegendError, match=fault) as caught:
        read_learned(file)
    assert str(file) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_class_of_a_learnt_legend_has_a_name_of_its_own(tmp_path):
    first, *others = LEARNED.legend.classes
    twice = Legend((first, *(replace(other, name="forest") for other in others)))
    with pytest.raises(LegendError, match="two classes of its legend have one name"):
        write_learned(tmp_path / "heath.lposs", replace(LEARNED, legend=twice))
    assert not (tmp_path / "heath.lposs").exists()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"tensors": {"weights": np.array([np.nan], np.float32)}}, "isn't finite"),
        ({"tensors": {"weights": np.zeros(2)}}, "must be float16 or float32"),
        ({"numbers": {"rho": float("inf")}}, "JSON"),
        ({"layout": (("vlm", -1),)}, "which features"),
    ],
)
def test_nothing_is_written_that_would_not_be_read(tmp_path, change, fault):
    with pytest.raises(LegendError, match=fault):
        write_learned(tmp_path / "heath.lposs", replace(LEARNED, **change))
    assert not (tmp_path / "heath.lposs").exists()


def test_a_failed_write_is_one_line(tmp_path):
    with pytest.raises(OutputError, match=r"can't write 'heath\.lposs': No such file"):
        write_learned(tmp_path / "none" / "heath.lposs", LEARNED)


def test_folders_and_pipes_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.lposs")
    (tmp_path / "folder.lposs").mkdir()
    for name, fault in {
        "pipe.lposs": "is a device or a pipe",
        "folder.lposs": "is a folder",
        "none.lposs": "No such file",
        "x" * 300: "name too long",
        "a\0b": "null byte",
    }.items():
        with pytest.raises(LegendError, match=fault) as caught:
            read_learned(tmp_path / name)
        assert str(caught.value).isprintable()


def test_a_learnt_legend_is_told_from_toml(tmp_path):
    write_learned(tmp_path / "heath.lposs", LEARNED)
    (tmp_path / "heath.bin").write_bytes((tmp_path / "heath.lposs").read_bytes())
    (tmp_path / "legend.toml").write_text('[[classes]]\nname = "a"\n')
    (tmp_path / "empty.toml").write_text("")
    (tmp_path / "empty.LPOSS").write_text("")
    os.mkfifo(tmp_path / "pipe")
    names = ["heath.lposs", "heath.bin", "none.lposs", "empty.LPOSS"]
    others = ["legend.toml", "empty.toml", "pipe", "none.toml", "a\0b", "x" * 300, ""]
    assert all(is_learned(tmp_path / name) for name in names)
    assert not any(is_learned(tmp_path / name) for name in others)
    assert not is_learned("worldcover")


def test_what_fits_is_let_through():
    check_fits(LEARNED, "mini", LEARNED.fingerprint, LAYOUT, "b4nds")
    # the same weights under another name
    check_fits(LEARNED, "mini@copy", LEARNED.fingerprint, LAYOUT, "b4nds")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"model": "paper", "fingerprint": "f"}, r"with the model 'mini', not 'paper': model=mini takes the former"),
        ({"fingerprint": "f"}, r"other weights of the model 'mini' \('0123456789abcdef', not 'f'\): learn it again"),
        ({"layout": LAYOUT[:2]}, r"vlm 6, vm 4, bands 2, and this scene gives vlm 6, vm 4: take a scene"),
        ({"layout": ()}, "this scene gives none"),
        ({"digest": ""}, "other bands"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_do(change, fault):
    kept = {name: getattr(LEARNED, name) for name in ("model", "fingerprint", "layout", "digest")}
    with pytest.raises(ModelError, match=fault) as caught:
        check_fits(LEARNED, **(kept | change))
    assert len(str(caught.value).splitlines()) == 1
