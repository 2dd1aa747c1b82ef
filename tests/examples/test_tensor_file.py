from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import numpy as safetensors

from lposs_geo.errors import LegendError
from lposs_geo.examples import tensor_file
from lposs_geo.examples.tensor_file import LARGEST_HEADER, MOST_TENSORS, begins_file, pack, unpack

TENSORS = {"weights": np.arange(12, dtype=np.float32).reshape(3, 4), "means": np.ones(5, np.float16)}


def with_header(header: object, data: bytes = b"") -> bytes:
    """A file's bytes with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def with_tensor(**entry: object) -> bytes:
    """A file with one tensor of two float32, as its header says or otherwise."""
    whole = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | entry
    return with_header({"__metadata__": {"lposs_geo": "{}"}, "w": whole}, bytes(8))


def test_what_is_packed_is_unpacked():
    content = {"words": ["heath", "Größe"], "beta": 0.1, "none": None}
    packed = pack(content, TENSORS, "it")
    unpacked, tensors = unpack(packed, "it")
    assert unpacked == content
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], tensor)
        assert tensors[name].dtype == tensor.dtype
    assert begins_file(packed[:9])


def test_neither_the_order_of_names_nor_that_of_bytes_counts():
    turned = {name: np.asfortranarray(TENSORS[name]).astype(TENSORS[name].dtype.newbyteorder(">")) for name in
              reversed(TENSORS)}  # fmt: skip
    assert pack({"a": 1, "b": 2}, TENSORS, "it") == pack({"b": 2, "a": 1}, turned, "it")


@pytest.mark.parametrize("dtype", [np.float64, np.int8, np.complex64, np.bool_, object])
def test_other_kinds_of_tensors_are_not_packed(dtype):
    with pytest.raises(LegendError, match="must be float16 or float32"):
        pack({}, {"w": np.zeros(3, dtype)}, "it")


@pytest.mark.parametrize("content", [{"a": float("nan")}, {"a": float("inf")}, {"a": b"x"}, {"a": {1, 2}}])
def test_what_json_does_not_hold_is_not_packed(content):
    with pytest.raises(LegendError, match=r"^it: "):
        pack(content, {}, "it")


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_numbers_that_are_not_finite_are_refused(dtype, number):
    with pytest.raises(LegendError, match=r"'w' holds a number that isn't finite"):
        unpack(pack({}, {"w": np.array([0, number], dtype)}, "it"), "it")


@pytest.mark.parametrize(
    ("raw", "fault"),
    {
        "nothing": (b"", "none that was learnt"),
        "TOML": (b'[[classes]]\nname = "a"\n', "none that was learnt"),
        "a huge header": ((LARGEST_HEADER + 1).to_bytes(8, "little") + b"{" * 99, "its header has 4000001 bytes"),
        "the hugest": (b"\xff" * 8 + b"{", "its header has 18446744073709551615 bytes"),
        "cut in the header": (pack({}, TENSORS, "it")[:40], "it is cut off"),
        "cut in the tensors": (pack({}, TENSORS, "it")[:-1], "damaged"),
        "more behind": (pack({}, TENSORS, "it") + b"x", "damaged"),
        "no JSON": (with_header(b"{x}"), "damaged"),
        "no UTF-8": (with_header(b'{"\xff":1}'), "damaged"),
        "deep": (with_header(b'{"a":' * 100_000), "nested too deep"),
        "a number of many digits": (with_header(b'{"a":' + b"9" * 5000 + b"}"), "damaged"),
        "not finite": (with_header(b'{"a":NaN}'), "damaged"),
        "beyond all floats": (with_header(b'{"a":1e999}'), "damaged"),
        "half a letter": (with_header(b'{"a":"\\ud800"}'), "damaged"),
        "no metadata": (safetensors.save(TENSORS), "a safetensors file of something else"),
        "others": (safetensors.save(TENSORS, {"format": "pt"}), "a safetensors file of something else"),
        "metadata in a list": (with_header({"__metadata__": ["lposs_geo"]}), "something else"),
        "content in a list": (with_header({"__metadata__": {"lposs_geo": "[1]"}}), "metadata are no table"),
        "content that isn't finite": (with_header({"__metadata__": {"lposs_geo": '{"a":Infinity}'}}), "damaged"),
        "a tensor that is none": (with_header({"__metadata__": {"lposs_geo": "{}"}, "w": 3}), "neither float16"),
        "int64": (with_tensor(dtype="I64", shape=[1]), "neither float16 nor float32"),
        "a made up dtype": (with_tensor(dtype=["F32"]), "neither float16 nor float32"),
        "five axes": (with_tensor(shape=[2, 1, 1, 1, 1]), "more than 4 axes"),
        "no shape": (with_tensor(shape="2"), "more than 4 axes"),
        "a negative shape": (with_tensor(shape=[-2]), "damaged"),
        "a huge shape": (with_tensor(shape=[2**40, 2**40]), "damaged"),
        "nothing of a huge shape": (with_tensor(shape=[0, 2**62, 2**62], data_offsets=[0, 0]), "damaged"),
        "offsets beyond": (with_tensor(data_offsets=[0, 800]), "damaged"),
        "offsets that turn back": (with_tensor(data_offsets=[8, 0]), "damaged"),
        "too many bytes": (with_tensor(shape=[1]), "damaged"),
        "an odd name": (
            with_header({"__metadata__": {"lposs_geo": "{}"}, "../w\n": {"dtype": "F32"}}),
            r"a tensor is called '\.\./w\\n'",
        ),
        "many": (
            with_header({"__metadata__": {"lposs_geo": "{}"}} | dict.fromkeys(map(str, range(MOST_TENSORS + 1)))),
            "it holds 257 tensors",
        ),
    }.values(),
)
def test_hostile_files_are_refused_in_one_line(raw, fault):
    with pytest.raises(LegendError, match=fault) as caught:
        unpack(raw, "'x.lposs'")
    assert str(caught.value).startswith("'x.lposs' ")
    assert len(str(caught.value).splitlines()) == 1


def test_too_large_a_file_is_refused(monkeypatch):
    packed = pack({}, TENSORS, "it")
    monkeypatch.setattr(tensor_file, "LARGEST_FILE", len(packed))
    unpack(packed, "it")
    with pytest.raises(LegendError, match="larger than"):
        unpack(packed + b"x", "it")


@given(data=st.data())
def test_a_damaged_file_is_refused_or_still_sound(data):
    packed = bytearray(pack({"a": [1, 2]}, TENSORS, "it"))
    for position in data.draw(st.lists(st.integers(0, len(packed) - 1), min_size=1, max_size=4)):
        packed[position] = data.draw(st.integers(0, 255))
    try:
        _, tensors = unpack(bytes(packed[: data.draw(st.integers(0, len(packed)))]), "it")
    except LegendError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert all(np.isfinite(tensor).all() for tensor in tensors.values())


@pytest.mark.parametrize("start", [b"", b"[[classes", b'title = "', b"12345678{", b"\0" * 9])
def test_how_other_files_begin(start):
    assert not begins_file(start)
