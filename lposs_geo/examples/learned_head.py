"""A head as it is kept in a file, and the scale in which it looks at a scene's bands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lposs_geo.errors import LegendError
from lposs_geo.examples.examples import Examples
from lposs_geo.examples.head import BANDS, OPTIONAL, Head
from lposs_geo.examples.learned import Learned
from lposs_geo.legend.legend import Legend

__all__ = ["BandScale", "head_of", "learned_of", "scale_of"]

_BIAS, _MEAN, _STD = "bias", "bands_mean", "bands_std"
_TRUST = "trust"

LARGEST_WEIGHT = 1e20
"""No fit comes near it, and sums of such weights are still numbers."""


@dataclass(frozen=True, eq=False)
class BandScale:
    """The mean and the standard deviation in which bands are told.

    Attributes
    ----------
    mean, std : (F,) float64
    digest : str
        Of the bands.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    digest: str = ""


def learned_of(
    head: Head,
    *,
    legend: Legend,
    model: str,
    fingerprint: str,
    bands: BandScale | None,
    examples: Examples,
) -> Learned:
    """What was learnt, as a file keeps it.

    Parameters
    ----------
    head : Head
    legend : Legend
        As many classes as the head has.
    model, fingerprint : str
        Of the encoder.
    bands : BandScale, optional
        If the head was offered them.
    examples : Examples
    """
    used = {kind: part for kind, part in head.weights.items() if kind not in OPTIONAL or part.any()}
    tensors = used | {_BIAS: head.bias}
    with_bands = BANDS in used and bands is not None
    if with_bands:
        assert bands is not None
        tensors |= {_MEAN: bands.mean.astype(np.float32), _STD: bands.std.astype(np.float32)}
    return Learned(
        legend=legend,
        model=model,
        fingerprint=fingerprint,
        layout=tuple((kind, len(part)) for kind, part in used.items()),
        tensors=tensors,
        digest=bands.digest if with_bands and bands is not None else "",
        numbers={_TRUST: head.trust},
        counts=examples.counts,
        examples_digest=examples.digest,
    )


def head_of(learned: Learned, num_classes: int | None = None) -> Head:
    """The head that was kept; classes that were added since have no weights.

    Raises
    ------
    LegendError
        If the file's numbers make no head.
    """
    own = len(learned.legend)
    wanted = {kind: (width, own) for kind, width in learned.layout} | {_BIAS: (own,)}
    if BANDS in wanted:
        wanted |= dict.fromkeys((_MEAN, _STD), (wanted[BANDS][0],))
    trust = learned.numbers.get(_TRUST)
    shapes = {name: tensor.shape for name, tensor in learned.tensors.items()}
    are_numbers = all((np.abs(tensor) <= LARGEST_WEIGHT).all() for tensor in learned.tensors.values())
    if not isinstance(trust, int | float) or isinstance(trust, bool):
        trust = -1
    if shapes != wanted or not are_numbers or not 0 <= trust <= 1:
        raise LegendError("what was learnt is damaged: its numbers don't fit each other", hint="learn it again")
    more = (num_classes or own) - own

    def grown(array: NDArray[np.floating]) -> NDArray[np.float32]:
        return np.pad(array.astype(np.float32), [(0, 0)] * (array.ndim - 1) + [(0, more)])

    weights = {kind: grown(learned.tensors[kind]) for kind, _ in learned.layout}
    return Head(float(trust), grown(learned.tensors[_BIAS]), weights)


def scale_of(learned: Learned) -> BandScale | None:
    """The scale of the bands that a kept head looks at; None if it looks at none."""
    if BANDS not in learned.tensors:
        return None
    mean, std = (learned.tensors[name].astype(np.float64) for name in (_MEAN, _STD))
    return BandScale(mean, std, learned.digest)
