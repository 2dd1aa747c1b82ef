from __future__ import annotations

import pytest

from lposs_geo.writers.area_units import unit_for


@pytest.mark.parametrize(
    ("total", "symbol", "shown"),
    [
        (2e-6, "m²", "0.000002000"),
        (0.1024, "m²", "0.1024"),  # 160 x 160 px of a drone's 2 mm
        (9.5, "m²", "9.500"),
        (9_999, "m²", "9,999"),
        (10_000, "ha", "1.000"),
        (123_456, "ha", "12.35"),
        (99_999_999, "ha", "10,000"),
        (1e8, "km²", "100.0"),
        (5.1e14, "km²", "510,000,000"),
    ],
)
def test_the_unit_goes_by_the_size(total, symbol, shown):
    unit = unit_for(total, has_crs=True)
    assert unit.symbol == symbol
    assert unit.plain == symbol.replace("²", "2")
    assert unit.text(total) == shown


def test_a_class_is_never_rounded_to_nothing():
    unit = unit_for(0.1024, has_crs=True)
    assert unit.text(0.0256) == "0.0256"
    assert unit.text(4e-6) == "<0.0001"
    assert unit.text(0) == "0.0000"


def test_nothing_and_no_crs():
    assert unit_for(0, has_crs=True).text(0) == "0.0000"
    unit = unit_for(25_600, has_crs=False)
    assert (unit.plain, unit.text(25_600)) == ("square units", "25,600")
