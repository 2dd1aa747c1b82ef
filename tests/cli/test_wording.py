import pytest

from lposs_geo.cli import cli
from lposs_geo.cli.wording import words_of
from lposs_geo.hints import worded

WORDS = {
    "<overwrite=True>": "--overwrite",
    "<collar=False>": "--no-collar",
    "<collar=True>": "--collar",
    "<use_cache=False>": "--no-cache",
    "<device=cpu>": "--device cpu",
    "<min_area>": "--min-area",
    "<dst>": "--output",
    "<src>": "SCENE",
    "<model=mini>": "--model mini",
    "<classes>": "--classes",
    "<legend>": "--legend",
    "<local_only=True>": "--no-network",
    "<resume=False>": "no --resume",
    "<batch>": "--batch",
    "<vlm>": "--vlm",
    "<aoi=my area.gpkg>": "--aoi 'my area.gpkg'",
    "<not_yet_heard_of>": "--not-yet-heard-of",
}


@pytest.mark.parametrize("setting", WORDS)
def test_a_setting_is_called_as_the_option_is(setting):
    assert worded(setting, words_of(cli.commands["map"], cli)) == WORDS[setting]


def test_each_command_has_its_own_names_first():
    words = words_of(cli.commands["vectorize"], cli)
    assert worded("<dst>, <simplify>, <refine=False>", words) == "OUTPUT, --simplify, --no-refine"
