"""What the engine says while it works: its JSON lines, and how far they tell that it is."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LABELS", "STAGES", "Event", "doing", "for_qgis", "overall", "parse", "plain", "share", "summary"]

_LONGEST = 2000  # letters of a line that is shown
_MOST = 1000  # classes
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

# Share of each stage in the time of a usual map, and what it is called. The first ones overlap.
_STAGES = {
    "encode": (55, "Looking at the scene"),
    "propagate": (15, "Propagating the class scores"),
    "refine": (20, "Drawing the borders"),
    "vectorize": (10, "Making polygons"),
}
STAGES = tuple(_STAGES)

LABELS = {
    "classes": "Classes, in words",
    "legend": "… or a known legend",
    "like": "Earlier map",
    "aoi": "… or area of interest",
    "bands": "Bands for red, green, blue",
    "scale": "Values for black and white",
    "collar": "A frame, and holes, hold no data",
    "warp": "Warp a scene with control points",
    "model": "Model",
    "gsd": "Resolution to work at, metres per pixel",
    "refine": "Sharpen borders over pixels (LPOSS+)",
    "min_confidence": "Minimum confidence (0 to 1; 0.6 is 60 %)",
    "simplify": "Simplify polygons, pixels",
    "min_area": "Minimum polygon area, m²",
    "device": "Compute on",
    "max_memory": "Memory for the work, GB",
    "resume": "Go on with a run that was cut off",
}
"""The labels of settings in QGIS, by the keywords that the engine's hints name them by."""

_SETTING = re.compile(r"<([a-z][a-z_]*)(?:=([^<>]*))?>")


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
    message = facts.get("message", "")
    return Event(facts["event"], message if isinstance(message, str) else json.dumps(message), facts)


def plain(text: str) -> str:
    """A text as one line for a window or a log: without what steers terminals, half letters, and more than fits."""
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "…"
    text = _STEERING.sub(" ", text)
    return text.encode("utf-8", "replace").decode("utf-8")


def for_qgis(event: Event) -> str:
    """A line of the engine in QGIS's words: the problem, what can be done about it, and what else there is to say."""
    problem, hint, notes = (event.facts.get(name) for name in ("problem", "hint", "notes"))
    if not isinstance(problem, str) or not isinstance(hint, str):
        return plain(event.message)
    text = f"{problem}: {_worded(hint)}" if hint else problem
    more = [_worded(note) for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
    return plain("; ".join([text, *more]))


def _worded(hint: str) -> str:
    """A hint with the labels of the settings that it names."""

    def named(setting: re.Match[str]) -> str:
        keyword, value = setting[1], setting[2]
        label = LABELS.get(keyword)
        name = f"'{label.lstrip('… ')}'" if label else keyword.replace("_", " ")
        return name if value in (None, "True") else f"{name} {'off' if value == 'False' else value}"

    return _SETTING.sub(named, hint)


def doing(stage: str) -> str:
    """What goes on in a stage, for people."""
    return _STAGES.get(stage, (0, plain(stage).capitalize()))[1]


def share(facts: Mapping[str, Any]) -> float | None:
    """How far a stage is by a line of progress, 0..1; None if it doesn't tell."""
    done, total = _number(facts.get("done")), _number(facts.get("total"))
    if done is None or total is None or total < 0:
        return None
    return max(0.0, min(1.0, done / total)) if total else 1.0


def _number(value: Any) -> float | None:
    """A number that can be reckoned with, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # a whole number of hundreds of digits
        return None


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
    areas = facts.get("classes")
    for area in areas[:_MOST] if isinstance(areas, list) else []:
        part = _number(area.get("share")) if isinstance(area, dict) else None
        if part is None:
            continue
        sure = _number(area.get("confidence"))
        told = "" if sure is None else f", confidence {sure:.0f} %"
        lines.append(f"{plain(str(area.get('name', '')))}: {100 * part:.1f} %{told}")
    unknown = _number(facts.get("unknown_share"))
    return lines + ([f"unknown: {100 * unknown:.1f} %"] if unknown is not None and unknown > 1e-9 else [])
