"""Hints: what to do, in words that each face puts into its own.

A hint names settings by the keywords of the Python interface, in angle brackets: ``"<overwrite=True> replaces it"``.
The command line makes ``--overwrite`` of it, Python ``overwrite=True``, QGIS the label of a box to tick.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Notice", "as_python", "worded"]

_SETTING = re.compile(r"<([a-z][a-z_]*)(?:=([^<>]*))?>")

Words = Callable[[str, str | None], str]
"""A face's name for a setting: its keyword, and the value to give to it, None where the hint leaves that open."""


def as_python(keyword: str, value: str | None) -> str:
    """A setting as an argument of a function."""
    return keyword if value is None else f"{keyword}={value}"


def worded(text: str, words: Words = as_python) -> str:
    """A text with all settings that it names in the words of a face."""
    return _SETTING.sub(lambda setting: words(setting[1], setting[2]), text)


@dataclass(frozen=True)
class Notice:
    """A line that a user should know of, though the work goes on.

    Attributes
    ----------
    text : str
    hint : str
        What can be done about it, with settings in angle brackets; may be empty.
    """

    text: str
    hint: str = ""

    def worded(self, words: Words = as_python) -> str:
        """All of it in the words of a face."""
        return f"{self.text}: {worded(self.hint, words)}" if self.hint else self.text

    def __str__(self) -> str:
        return self.worded()
