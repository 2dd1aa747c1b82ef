import pickle

import pytest

from lposs_geo import errors
from lposs_geo.hints import Notice, worded


def in_command(keyword, value):
    return f"--{keyword}" if value == "True" else f"--{keyword} {value}"


def test_each_face_has_its_own_words_for_a_setting():
    hint = "<overwrite=True> replaces it, <device=cpu> is slower, and <aoi> names a part"
    assert worded(hint) == "overwrite=True replaces it, device=cpu is slower, and aoi names a part"
    assert worded(hint, in_command).startswith("--overwrite replaces it, --device cpu")
    assert worded("a < b, <https://x>, <B1>, 3 <> 4") == "a < b, <https://x>, <B1>, 3 <> 4"


def test_a_notice_is_one_line():
    assert str(Notice("this is so")) == "this is so"
    assert str(Notice("this is so", "<collar=False> keeps it")) == "this is so: collar=False keeps it"


@pytest.mark.parametrize("kind", [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")])
def test_an_error_tells_the_problem_and_what_to_do(kind):
    error = kind("'a.tif' exists", hint="<overwrite=True> replaces it")
    assert str(error) == "'a.tif' exists: overwrite=True replaces it"
    assert error.worded(in_command) == "'a.tif' exists: --overwrite replaces it"
    again = pickle.loads(pickle.dumps(error))  # as it comes from another process
    assert (type(again), str(again), again.hint) == (kind, str(error), error.hint)
    assert str(kind("alone")) == "alone"
    # only the hint is worded: a file may be called anything
    assert str(kind("'<aoi>.tif'")) == "'<aoi>.tif'"
