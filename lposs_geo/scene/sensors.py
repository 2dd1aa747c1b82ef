"""Sensors whose bands are known: the table `sensors.toml` as values."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from lposs_geo.scene.band_facts import three

__all__ = ["LANDSAT", "SENSORS", "SENTINEL_2", "THEMATIC_MAPPER", "Sensor"]


@dataclass(frozen=True)
class Sensor:
    """A sensor and the order of its bands.

    Attributes
    ----------
    name : str
    preset : str
        A user's word for it; may be empty.
    orders : mapping of int to (int, int, int)
        Red, green and blue, from 1, by how many bands a file has.
    infrared : mapping of int to int
        Near infrared, from 1, by how many bands a file has.
    numbers : frozenset of str
        Its own names for its bands.
    colours : mapping of str to str
        The names of red, green, blue and nir among these.
    """

    name: str
    preset: str = ""
    orders: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    infrared: Mapping[int, int] = field(default_factory=dict)
    numbers: frozenset[str] = frozenset()
    colours: Mapping[str, str] = field(default_factory=dict)


def _sensor(table: dict[str, Any]) -> Sensor:
    return Sensor(
        name=table["name"],
        preset=table.get("preset", ""),
        orders={int(count): three(bands) for count, bands in table.get("orders", {}).items()},
        infrared={int(count): band for count, band in table.get("infrared", {}).items()},
        numbers=frozenset(table.get("numbers", ())),
        colours=table.get("colours", {}),
    )


_TEXT = resources.files("lposs_geo.scene").joinpath("sensors.toml").read_text(encoding="utf-8")

SENSORS: dict[str, Sensor] = {key: _sensor(table) for key, table in tomllib.loads(_TEXT).items()}
"""By their keys in the table."""

SENTINEL_2, LANDSAT, THEMATIC_MAPPER = (SENSORS[key] for key in ("sentinel-2", "landsat", "thematic-mapper"))
