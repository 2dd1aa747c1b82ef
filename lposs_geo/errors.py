"""What can go wrong, as one small family of exceptions.

Every error a user can cause derives from `LpossGeoError` and carries one line: what is wrong, which file or
word, and what to do. Each child also inherits the builtin that it refines, so ``except ValueError`` keeps working.
"""

from __future__ import annotations

__all__ = [
    "DeviceError",
    "FinishedError",
    "LegendError",
    "LpossGeoError",
    "ModelError",
    "OutOfMemoryError",
    "OutputError",
    "ParameterError",
    "SceneError",
    "one_line",
]


def one_line(error: object) -> str:
    """What an error of another library says, on one line."""
    return " ".join(str(error).split())


class LpossGeoError(Exception):
    """Root of every error that lposs-geo raises on purpose; its message is one line for the user."""


class SceneError(LpossGeoError, ValueError):
    """The input raster can't be opened, or can't be used as asked."""


class LegendError(LpossGeoError, ValueError):
    """The class words or the legend file make no legend."""


class ModelError(LpossGeoError, ValueError):
    """A model is unknown, not installed, or its weights don't fit."""


class OutputError(LpossGeoError, OSError):
    """An output can't be written, or would overwrite something."""


class FinishedError(OutputError):
    """The output is there already, made of the same scene with the same words and numbers."""


class ParameterError(LpossGeoError, ValueError):
    """A number is out of its range, or no number at all."""


class DeviceError(LpossGeoError, RuntimeError):
    """The compute device asked for isn't there."""


class OutOfMemoryError(LpossGeoError, MemoryError):
    """The work doesn't fit into memory; the message says how to make it smaller."""
