"""What the engine says while it works: its JSON lines, and how far they tell that it is."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["STAGES", "Event", "doing", "overall", "parse", "summary"]

# Share of each stage in the time of a usual map, and what it is called. The first ones overlap.
_STAGES = {
    "encode": (55, "Looking at the scene"),
    "propagate": (15, "Propagating the class scores"),
    "refine": (20, "Drawing the borders"),
    "vectorize": (10, "Making polygons"),
}
STAGES = tuple(_STAGES)


@dataclass(frozen=True)
class Event:
    """One line of the engine.

    Attributes
    ----------
    kind : str
        "info", "warning", "progress", "finished", "failed", "error" or "result"; "text" for what is no JSON.
    message : str
    facts : mapping
        All that came along.
    """

    kind: str
    message: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def parse(line: str) -> Event:
    """Read a line; one that isn't an event is text."""
    try:
        facts = json.loads(line)
    except (ValueError, RecursionError):
        return Event("text", line)
    if not isinstance(facts, dict) or not isinstance(facts.get("event"), str):
        return Event("text", line)
    return Event(facts["event"], str(facts.get("message", "")), facts)


def doing(stage: str) -> str:
    """What goes on in a stage, for people."""
    return _STAGES.get(stage, (0, stage.capitalize()))[1]


def overall(shares: Mapping[str, float], stages: Collection[str]) -> float:
    """How far the whole is, percent.

    Parameters
    ----------
    shares : mapping of str to float
        How far each stage is, 0..1.
    stages : collection of str
        The stages that there will be, of `STAGES`.
    """
    weights = {stage: _STAGES[stage][0] for stage in stages}
    done = sum(weight * min(1.0, shares.get(stage, 0.0)) for stage, weight in weights.items())
    return 100 * done / sum(weights.values())


def summary(facts: Mapping[str, Any]) -> list[str]:
    """The areas of a finished map, a line a class; nothing for other results."""
    lines = []
    for area in facts.get("classes", []):
        sure = area.get("confidence")
        sure = "" if sure is None else f", confidence {sure:.0f} %"
        lines.append(f"{area['name']}: {100 * area['share']:.1f} %{sure}")
    unknown = facts.get("unknown_share", 0)
    return lines + ([f"unknown: {100 * unknown:.1f} %"] if unknown > 1e-9 else [])
