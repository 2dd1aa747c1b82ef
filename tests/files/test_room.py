from __future__ import annotations

import shutil

import pytest
from rasterio.windows import Window

from lposs_geo.errors import OutputError, SceneError
from lposs_geo.files.room import LONGEST_SIDE, MOST_PIXELS, Need, check_room, check_size, has_room


@pytest.mark.parametrize(
    ("shape", "bands", "said"),
    [
        ((1, LONGEST_SIDE + 1), 1, "1 rows and 100000001 cols, and a map has at most 100,000,000 px a side"),
        ((LONGEST_SIDE + 1, 1), 1, "100000001 rows and 1 cols"),
        ((MOST_PIXELS // 10**7, 10**7 + 1), 1, "and 20,000,000,000,000 in all: name an area of it"),
        (
            (2_000_000, 2_000_000),
            40,
            "of the probabilities of 40 classes: name an area of it by aoi, or leave",
        ),
    ],
)
def test_a_map_too_large_to_be_made_is_refused(shape, bands, said):
    with pytest.raises(SceneError, match=rf"'there' is too large for one map: .*{said}"):
        check_size(Window(0, 0, shape[1], shape[0]), bands, "there")


@pytest.mark.parametrize(
    ("shape", "bands"), [((1, LONGEST_SIDE), 250), ((2_000_000, 10**7), 1), ((30_000, 40_000), 250)]
)
def test_a_country_is_not_too_large(shape, bands):
    check_size(Window(5, 7, shape[1], shape[0]), bands, "there")


def test_what_is_written_to_one_disk_is_added_up(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    (tmp_path / "inside").mkdir()
    needs = [Need(tmp_path, 0.6 * free, "polygons"), Need(tmp_path / "inside", 0.6 * free, "labels")]
    check_room(needs[:1], "")
    assert has_room(needs[1:])
    assert not has_room(needs)
    with pytest.raises(
        OutputError, match=r"polygons and labels will take .* at least, and the disk of .* left: buy one$"
    ):
        check_room(needs, "buy one")


def test_what_cannot_be_asked_for_is_no_reason_to_refuse(tmp_path):
    check_room([Need(tmp_path / "not there", 1e30, "labels"), Need(tmp_path, 0, "polygons")], "")
