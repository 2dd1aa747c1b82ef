"""Steps and time of a run, stage by stage: one object that all stages are handed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["STAGES", "Listener", "Progress", "Stage"]

Listener = Callable[[str, int, int], None]
"""Called with (stage, done, total), the stage by its name in `STAGES`."""


@dataclass(frozen=True)
class Stage:
    """A part of the work.

    Attributes
    ----------
    doing : str
        In words, as it goes on.
    unit : str
        Of its steps, in the plural; empty for a stage that reports none.
    """

    doing: str
    unit: str = ""


STAGES: dict[str, Stage] = {
    "load": Stage("opening the scene and the model"),
    "encode": Stage("encoding", "crops"),
    "learn": Stage("learning from examples"),
    "propagate": Stage("propagating", "blocks"),
    "refine": Stage("labelling", "tiles"),
    "write": Stage("writing rasters"),
    "vectorize": Stage("drawing polygons", "rows"),
    "quicklook": Stage("drawing the picture"),
    "report": Stage("writing the report"),
}
"""All stages of a map in their order, by name; the first ones overlap."""


@dataclass(frozen=True)
class Progress:
    """The record of one run.

    Attributes
    ----------
    listener : callable, optional
        Who is told of every step.
    seconds : dict of str to float
        Time at work by stage, in the order in which the stages began. Where they overlap, the sum is more than the time
        that passed.
    """

    listener: Listener | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def step(self, stage: str, done: int, total: int) -> None:
        """Tell the listener how many steps of a stage are done."""
        if self.listener is not None:
            self.listener(stage, done, total)

    def add(self, stage: str, seconds: float) -> None:
        """Count some time as a stage's."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    @contextmanager
    def running(self, stage: str) -> Iterator[None]:
        """Count the time of a block as a stage's."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - began)
