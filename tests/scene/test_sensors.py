from __future__ import annotations

import pytest

from lposs_geo.scene.sensors import LANDSAT, SENSORS, SENTINEL_2, THEMATIC_MAPPER


@pytest.mark.parametrize("sensor", SENSORS.values(), ids=SENSORS)
def test_a_sensors_bands_are_among_those_that_it_has(sensor):
    for count, order in sensor.orders.items():
        assert len(set(order)) == 3
        assert all(1 <= band <= count for band in order)
    for count, infrared in sensor.infrared.items():
        assert infrared not in sensor.orders[count]
        assert infrared <= count
    assert set(sensor.colours.values()) <= sensor.numbers


def test_each_preset_is_of_one_sensor():
    presets = [sensor.preset for sensor in SENSORS.values() if sensor.preset]
    assert presets == ["s2", "naip", "landsat", "planet"]


def test_the_order_of_all_bands_is_that_of_their_numbers():
    """Of a file with all of a sensor's bands, the order and the numbers name the same ones."""
    numbers = ["1", "2", "3", "4", "5", "6", "7", "8", "8A", "9", "10", "11", "12"]
    assert SENTINEL_2.numbers == set(numbers)
    named = [numbers[band - 1] for band in (*SENTINEL_2.orders[13], SENTINEL_2.infrared[13])]
    assert named == [SENTINEL_2.colours[colour] for colour in ("red", "green", "blue", "nir")]
    assert LANDSAT.orders[11] == tuple(int(LANDSAT.colours[colour]) for colour in ("red", "green", "blue"))
    assert THEMATIC_MAPPER.colours["red"] == "3"
