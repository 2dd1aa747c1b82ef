from __future__ import annotations

from dataclasses import replace

import pytest

from lposs_geo.errors import LegendError, ParameterError
from lposs_geo.examples.classes import classes_of, is_empty
from lposs_geo.legend import from_words, preset

LEGEND = from_words("forest=trees|woodland,water,road")


def ids(*values, legend=LEGEND, **options):
    return classes_of(values, legend, "x.gpkg", **({"add_classes": False} | options))


def coded(*codes):
    classes = tuple(replace(each, code=code) for each, code in zip(LEGEND.classes, codes, strict=True))
    return replace(LEGEND, classes=classes)


def refused(*values, **options):
    with pytest.raises(ParameterError) as caught:
        ids(*values, **options)
    return str(caught.value)


def test_names_in_any_spelling():
    assert ids("forest", "FOREST ", " Water", "rOAD") == ([1, 1, 2, 3], LEGEND)


def test_numbers_are_ids():
    assert ids(1, 2.0, "3", "2.0", "+1") == ([1, 2, 3, 2, 1], LEGEND)


def test_a_name_goes_before_a_code_and_a_code_before_an_id():
    assert ids(2, "1", 30, legend=coded(2, 30, None))[0] == [1, 1, 2]
    assert ids("3", legend=coded(2, 30, None))[0] == [3]
    assert ids(2, "2", legend=from_words("2,3"))[0] == [1, 1]
    worldcover = preset("worldcover")
    assert ids(10, legend=worldcover)[0] == [1]


def test_a_number_that_is_neither_is_refused():
    assert refused(7, 7, "99") == (
        "the examples 'x.gpkg' name '7' (2), '99' (1), which is no id of the legend: its ids are 1 to 3"
    )
    assert "neither a code nor an id of the legend: its ids are 1 to 3, its codes 2, 30" in refused(
        0, legend=coded(2, 30, None)
    )
    for number in (0, -1, 2.5, "1.5", "1" * 30, 1e300, "4."):
        assert "is no id" in refused(number, add_classes=True)


def test_unknown_names_are_refused_with_what_to_do():
    assert refused("heath", "forest", "bog", "heath") == (
        "the examples 'x.gpkg' name 'heath' (2), 'bog' (1), which the legend doesn't have: "
        "add_classes=True adds what is new"
    )
    assert refused(*"gbcdefh").endswith(
        "'f' (1) and 2 more, which the legend doesn't have: add_classes=True adds what is new"
    )
    assert refused("a\nb\x1b").isprintable()


def test_new_names_are_classes_at_the_end_whatever_the_order():
    values = ["railway", "Heath", "heath", "forest", "heath"]
    numbers, legend = ids(*values, add_classes=True)
    assert numbers == [5, 4, 4, 1, 4]
    assert legend.names == ["forest", "water", "road", "heath", "railway"]
    assert legend.classes[:3] == LEGEND.classes
    assert legend.classes[4].prompts == ("railway",)
    assert len({each.colour for each in legend.classes}) == 5
    assert ids(*values[::-1], add_classes=True)[1] == legend


@pytest.mark.parametrize("name", ["unknown", "No data", "woodland", "a\x00b", "x" * 1001])
def test_names_that_no_class_may_have(name):
    with pytest.raises(LegendError):
        ids(name, add_classes=True)


def test_more_classes_than_a_map_can_hold():
    with pytest.raises(LegendError, match="203 classes of the examples and the legend are more than the 200"):
        ids(*(f"kind {number}" for number in range(200)), add_classes=True)


def test_many_unknown_names_take_no_time_to_refuse():
    assert "and 99995 more" in refused(*(f"k{number}" for number in range(100_000)))


def test_empty_cells():
    assert all(map(is_empty, (None, "", " ", "\u00a0", float("nan"))))
    assert not any(map(is_empty, (0, "0", 0.0, False, [], "x")))
