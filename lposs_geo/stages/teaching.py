"""What a map is taught with beside its words."""

from __future__ import annotations

from dataclasses import dataclass

from lposs_geo.examples.examples import Examples
from lposs_geo.examples.learned import Learned
from lposs_geo.legend.legend import Legend

__all__ = ["Teaching"]


@dataclass(frozen=True, eq=False)
class Teaching:
    """What a map is taught with beside its words: examples, what was learnt before, or both.

    Attributes
    ----------
    legend : Legend
    model, fingerprint : str
        Of the encoder.
    bands_digest : str
        Of the scene's bands: what is learnt of them fits scenes with the same ones only.
    examples : Examples, optional
    learned : Learned, optional
        From another map; the classes of its legend are the first ones of this one's.
    """

    legend: Legend
    model: str
    fingerprint: str
    bands_digest: str
    examples: Examples | None = None
    learned: Learned | None = None
