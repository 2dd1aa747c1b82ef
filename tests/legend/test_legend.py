from __future__ import annotations

import pytest

from lposs_geo.errors import LegendError
from lposs_geo.legend.building import from_words
from lposs_geo.legend.legend import LandClass, Legend


def test_legends_of_before_are_read():
    entry = {"id": 1, "name": "forest", "prompts": ["forest"], "colour": "#1c6236"}
    assert Legend.from_dict({"classes": [entry]}) == from_words("forest")


@pytest.mark.parametrize("data", [None, [], {}, {"classes": [{}]}, {"classes": [{"id": "x"}]}, {"classes": 1}])
def test_data_that_is_no_legend(data):
    with pytest.raises(LegendError):
        Legend.from_dict(data)


def entry(**changes):
    given = {"id": 1, "name": "forest", "prompts": ["forest"], "colour": "#1c6236", "negatives": [], "code": None}
    return given | changes


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ([entry(id=float("inf"))], "id inf must be a whole number from 1 to 254"),
        ([entry(id=0)], "id 0"),
        ([entry(id=255)], "id 255"),
        ([entry(id=True)], "id True"),
        ([entry(id=10**5000)], "id a int too large"),
        ([entry(), entry(name="b")], "same id"),
        ([entry(code=10**20)], "code 100000000000000000000 must be"),
        ([entry(code=-1)], "code -1 must be"),
        ([entry(code=1.5)], "code 1.5 must be"),
        ([entry(name="\ud800")], r"U\+D800"),
        ([entry(name="a\nb")], r"U\+000A"),
        ([entry(name="x" * 2000)], "longer than"),
        ([entry(name=5)], "has no name"),
        ([entry(prompts="forest")], "must be lists"),
        ([entry(prompts=[1])], "must be text"),
        ([entry(prompts=["\udfff"])], r"U\+DFFF"),
        ([entry(negatives={"a": 1})], "must be lists"),
        ([entry(colour=None)], "colour None must look like"),
        (["forest"], "class 1 of 1 isn't described"),
        ([entry(id=k) for k in range(1, 300)], "299 classes"),
    ],
)
def test_data_that_no_map_could_hold(classes, said):
    with pytest.raises(LegendError, match=said) as caught:
        Legend.from_dict({"classes": classes})
    assert str(caught.value).isprintable()


def test_a_class_of_its_own_may_be_0_in_another_programs_map():
    legend = from_words("forest")
    assert [c.name for c in legend.with_unknown] == ["forest", "unknown"]
    lake = LandClass(0, "lake", ("lake",), (0, 0, 255))
    assert Legend((lake, *legend.classes)).with_unknown == (lake, *legend.classes)
