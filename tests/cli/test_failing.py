import errno

import click
import pytest

from lposs_geo.cli import cli
from lposs_geo.cli.failing import Misuse, as_failure, exit_code, is_defect
from lposs_geo.cli.wording import words_of
from lposs_geo.errors import OutputError, ParameterError, SceneError

WORDS = words_of(cli.commands["map"], cli)


def test_a_line_in_the_words_of_the_command_and_its_parts_as_they_are():
    error = OutputError("output '<aoi>.tif' exists", hint="<overwrite=True> replaces it")
    error.add_note("3 tiles are kept: <resume=True> goes on with them")
    line = as_failure(error, WORDS)
    assert line.message == (
        "output '<aoi>.tif' exists: --overwrite replaces it; 3 tiles are kept: --resume goes on with them"
    )
    assert (line.event, line.scene, line.problem) == ("error", None, "output '<aoi>.tif' exists")
    assert line.hint == "<overwrite=True> replaces it"
    assert line.notes == ("3 tiles are kept: <resume=True> goes on with them",)
    assert as_failure(error, WORDS, scene="a.tif").event == "failed"


def test_misuse_tells_what_to_do_and_where_to_read():
    context = click.Context(cli.commands["map"], info_name="map", parent=click.Context(cli, info_name="lposs-geo"))
    line = as_failure(Misuse("no class", context, hint="name <classes>"), WORDS)
    assert (line.message, line.problem) == ("no class: name --classes (see lposs-geo map --help)", "no class")
    option = next(each for each in cli.commands["map"].params if each.name == "gsd")
    assert as_failure(Misuse("too much", context, option), WORDS).problem == "Invalid value for '--gsd': too much"


@pytest.mark.parametrize(
    ("error", "code", "defect", "problem"),
    [
        (SceneError("a"), 1, False, "a"),
        (ParameterError("a"), 2, False, "a"),
        (click.UsageError("a"), 2, False, "a"),
        (KeyboardInterrupt(), 130, False, "interrupted; no output was written"),
        (OSError(errno.EMFILE, "Too many open files"), 1, False, "too many files are open"),
        (ZeroDivisionError("x"), 1, True, "unexpected ZeroDivisionError: x"),
    ],
)
def test_each_error_has_its_code(error, code, defect, problem):
    assert (exit_code(error), is_defect(error)) == (code, defect)
    assert as_failure(error, WORDS).problem.startswith(problem)


def test_too_many_open_files_are_a_note():
    error = SceneError("'a.tif' can't be opened")
    error.__cause__ = OSError(errno.EMFILE, "Too many open files")
    assert "files open" in as_failure(error, WORDS).notes[0]
