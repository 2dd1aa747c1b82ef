"""All that can go wrong, as one small family of exceptions.

Every error a user can cause derives from `LpossGeoError` and carries one line: what is wrong, which file or
word, and what to do. Each child also inherits the builtin that it refines, so ``except ValueError`` keeps working.
"""

from __future__ import annotations

import re
from typing import Any

from lposs_geo.hints import Notice, Words, as_python

__all__ = [
    "DamagedError",
    "DeviceError",
    "FinishedError",
    "LegendError",
    "LpossGeoError",
    "ModelError",
    "OutOfMemoryError",
    "OutputError",
    "ParameterError",
    "SceneChangedError",
    "SceneError",
    "defect",
    "escaped",
    "one_line",
]

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of text: they change what a terminal shows around them."""


def escaped(text: str) -> str:
    r"""A text that can be shown and written anywhere: in a name that isn't UTF-8, odd bytes are like ``\xfc``."""
    if text.isascii():
        return text
    # other lone surrogates are no bytes of a name
    plain = "".join(letter if not _is_lone(letter) else f"\\u{ord(letter):x}" for letter in text)
    return plain.encode(errors="surrogateescape").decode(errors="backslashreplace")


def defect(error: BaseException) -> str:
    """The line for an error that nobody foresaw."""
    first = (str(error).splitlines() or [""])[0]
    return one_line(f"unexpected {type(error).__name__}: {first} (a defect: please report it, with lposs-geo doctor)")


def _is_lone(letter: str) -> bool:
    return "\ud800" <= letter <= "\udfff" and not "\udc80" <= letter <= "\udcff"


def one_line(error: object) -> str:
    """An error of another library, or any text, on one line that can be shown anywhere."""
    return _CONTROL.sub(lambda sign: repr(sign[0])[1:-1], escaped(" ".join(str(error).split())))


class LpossGeoError(Exception):
    """Root of every error that lposs-geo raises on purpose; as a text it is one line for the user.

    Attributes
    ----------
    problem : str
        What is wrong, and with which file.
    hint : str
        What to do, with settings in angle brackets, see `hints`; may be empty.
    """

    def __init__(self, problem: str = "", *, hint: str = "") -> None:
        super().__init__(problem)
        self.problem, self.hint = problem, hint

    def worded(self, words: Words = as_python) -> str:
        """All of it in the words of a face."""
        return Notice(self.problem, self.hint).worded(words)

    def __str__(self) -> str:
        return self.worded()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem,), {"hint": self.hint, **self.__dict__}


class SceneError(LpossGeoError, ValueError):
    """The input raster can't be opened, or can't be used as asked."""


class SceneChangedError(SceneError):
    """A file of the scene isn't any more as it was when the work began: what was made of it can't be relied on."""


class LegendError(LpossGeoError, ValueError):
    """The class words or the legend file make no legend."""


class ModelError(LpossGeoError, ValueError):
    """A model is unknown, not installed, or its weights don't fit."""


class OutputError(LpossGeoError, OSError):
    """An output can't be written, or would overwrite something."""


class DamagedError(OutputError):
    """What was kept on the disk isn't any more as it was written: what is missing now can be made again."""


class FinishedError(OutputError):
    """The output is there already, made of the same scene with the same words and numbers."""


class ParameterError(LpossGeoError, ValueError):
    """A number is out of its range, or no number at all."""


class DeviceError(LpossGeoError, RuntimeError):
    """The compute device asked for isn't there."""


class OutOfMemoryError(LpossGeoError, MemoryError):
    """The work doesn't fit into memory; the message says how to make it smaller."""
