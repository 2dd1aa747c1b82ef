from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lposs_geo.cli.outputs import OF_CORRECTION, OF_EXAMPLES, OutputsCommand, files_of, keep, named_files, outputs
from lposs_geo.errors import OutputError
from lposs_geo.products import PRODUCTS


def _names(options) -> set[str]:
    def command() -> None: ...

    for option in options:
        command = option(command)
    return {parameter.name for parameter in command.__click_params__}


def test_each_kind_of_file_has_its_option_in_one_group():
    groups = [_names(outputs()), _names(outputs(OF_EXAMPLES)), _names(outputs(OF_CORRECTION))]
    assert set.union(*groups) == {product.name for product in PRODUCTS} - {"labels"}
    assert sum(map(len, groups)) == len(PRODUCTS) - 1


def test_a_name_that_may_be_left_out_takes_no_argument():
    @click.command(cls=OutputsCommand)
    @click.argument("scene")
    def command(scene, **settings):
        settings = named_files(settings, Path("there/map.tif"))
        click.echo([scene, *map(str, files_of(settings, Path("there/map.tif")))])

    for option in outputs():
        command = option(command)
    for arguments, files in (
        (["--stac", "scene.tif"], ["there/map.tif", "there/map.json"]),
        (["--confidence=c.tif", "scene.tif", "--report", "r.html"], ["there/map.tif", "c.tif", "r.html"]),
        (["--", "scene.tif"], ["there/map.tif"]),
    ):
        assert CliRunner().invoke(command, arguments).output.strip() == str(["scene.tif", *files])


def test_a_file_that_is_read_is_kept_by_whatever_name(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "e.gpkg").write_text("mine")
    with pytest.raises(OutputError, match="is the file of examples itself: give another name"):
        keep(tmp_path / "e.gpkg", "the file of examples", [tmp_path / "folder" / ".." / "e.gpkg"])
    keep(tmp_path / "e.gpkg", "the file of examples", [tmp_path / "other.gpkg"])
