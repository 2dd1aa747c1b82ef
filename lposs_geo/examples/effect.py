"""The effect of examples on a map, in a sentence."""

from __future__ import annotations

from lposs_geo.examples.agreement import Agreement
from lposs_geo.examples.changes import Changes

__all__ = ["effect_in_words", "percent_text"]

MOST_NAMED = 5
"""Changes from class to class that the sentence names."""


def effect_in_words(agreement: Agreement | None, changes: Changes | None) -> str:
    """Tell how many examples agree, and what has changed; empty where neither is known.

    It is no accuracy: the examples that the map was made from can't judge it.

    Parameters
    ----------
    agreement : Agreement or None
    changes : Changes or None
    """
    parts = []
    if agreement is not None and agreement.examples:
        parts.append(_agreement(agreement))
    if changes is not None:
        parts.append(_changes(changes))
    return "; ".join(parts)


def percent_text(share: float) -> str:
    """A share of 0..1 in percent, never rounded to nothing."""
    return "<0.1 %" if 0 < share < 0.0005 else f"{share:.1%}".replace("%", " %")


def _agreement(agreement: Agreement) -> str:
    many = agreement.examples
    examples = "example" if many == 1 else "examples"
    before = "before" if agreement.has_earlier else "without them"
    text = f"{agreement.before} of {many} {examples} agreed {before}, {agreement.after} after"
    if agreement.judged:
        text += f", {agreement.left_out} of {agreement.judged} left out"
    return text


def _changes(changes: Changes) -> str:
    if not changes.pairs:
        return "nothing changed"
    named = [f"{pair.before} to {pair.after} {percent_text(pair.share)}" for pair in changes.pairs[:MOST_NAMED]]
    more = len(changes.pairs) - len(named)
    others = [f"{more} more"] if more else []
    return f"{percent_text(changes.share)} of the area changed: {', '.join([*named, *others])}"
