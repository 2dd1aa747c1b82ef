from __future__ import annotations

import struct

import numpy as np
import pytest
import shapely

from lposs_geo.scene.wkb import Part, ShapeError, parts_of, polygon_of


def kinds(shape, **options):
    return [part.kind for part in parts_of(shapely.to_wkb(shapely.from_wkt(shape), **options))]


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("flavour", ["iso", "extended"])
def test_parts_of_any_geometry(order, flavour):
    lines, polygons = "MULTILINESTRING((0 0 1,1 1 1),(2 2 1,3 3 1))", "MULTIPOLYGON(((0 0 1,2 0 1,2 2 1,0 0 1)))"
    text = f"GEOMETRYCOLLECTION Z(POINT(1 2 3),{lines},{polygons})"
    assert kinds(text, byte_order=order, flavor=flavour) == ["Point", "LineString", "LineString", "Polygon"]
    (part,) = parts_of(shapely.to_wkb(shapely.Point(4, 5, 6), byte_order=order, flavor=flavour))
    assert part.rings[0].tolist() == [[4, 5]]


def test_what_is_empty_has_no_parts():
    for text in ("POINT EMPTY", "LINESTRING EMPTY", "POLYGON EMPTY", "GEOMETRYCOLLECTION(POINT EMPTY,POLYGON EMPTY)"):
        assert kinds(text) == []


def test_what_is_no_wkb():
    for raw in (
        b"",
        b"\x01",
        struct.pack("<BI", 1, 99),
        struct.pack("<BII", 1, 2, 2**31),
        shapely.to_wkb(shapely.box(0, 0, 1, 1))[:-1],
    ):
        with pytest.raises(ValueError, match=r"cut off|no kind"):
            list(parts_of(raw))


def test_polygons():
    ring = np.array([[0, 0], [2, 0], [2, 2], [0, 2.0]])
    assert polygon_of(Part("Polygon", [ring])).equals(shapely.box(0, 0, 2, 2))
    assert polygon_of(Part("Polygon", [ring, ring[:2]])).equals(shapely.box(0, 0, 2, 2))
    assert polygon_of(Part("Polygon", [ring[:2], ring])) is None
    assert polygon_of(Part("Polygon", [])) is None
    for number in (np.nan, np.inf, 1e13):
        with pytest.raises(ShapeError, match=r"no number|beyond"):
            polygon_of(Part("Polygon", [np.array([[0, 0], [1, number], [2, 2]])]))
