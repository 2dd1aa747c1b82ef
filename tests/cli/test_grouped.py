import re

import click
import pytest
from click.testing import CliRunner

from lposs_geo.cli import cli
from lposs_geo.cli.grouped import GroupedCommand, options


@click.command(cls=GroupedCommand)
@click.argument("scene")
@options("Outputs", click.option("-o", "--output", help="Map."), click.option("--vector", help="Polygons."))
@options("The work", click.option("--device", help="Where."))
def command(scene: str, output: str, vector: str, device: str) -> None:
    click.echo(f"{scene} {output} {vector} {device}")


def test_options_stand_under_their_titles_in_order():
    shown = CliRunner().invoke(command, ["--help"]).output
    titles = ["Outputs:", "-o, --output", "--vector", "The work:", "--device", "--help"]
    found = re.findall("|".join(map(re.escape, titles)), shown.split("\n", 1)[1])
    assert found == titles
    assert CliRunner().invoke(command, ["a", "-o", "b", "--device", "c"]).output == "a b None c\n"


@pytest.mark.parametrize(("name", "count"), [("map", 9), ("correct", 6)])
def test_the_groups_of_a_command_hold_all_its_options(name, count):
    titles = cli.commands[name].callback.titles
    parameters = {each.name for each in cli.commands[name].params if isinstance(each, click.Option)}
    assert titles.keys() == parameters
    assert len(set(titles.values())) == count


def test_no_line_about_a_command_is_cut_off():
    groups = [cli, *(each for each in cli.commands.values() if isinstance(each, click.Group))]
    for group in groups:
        lines = CliRunner().invoke(group, ["--help"]).output.split("Commands:\n")[1].splitlines()
        assert len(lines) == len(group.commands)
        assert not [line for line in lines if line.endswith("...")]
