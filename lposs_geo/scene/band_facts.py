"""A file's statements about its bands, and a choice of three of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lposs_geo.hints import Notice

__all__ = ["OTHER_BANDS", "BandFacts", "Choice", "three"]

OTHER_BANDS = "name others with <bands>"
"""A hint where bands are guessed."""


@dataclass(frozen=True)
class BandFacts:
    """A file's statements about its bands; each tuple but the last has one entry a band.

    Attributes
    ----------
    path : str
        The file's name in messages.
    dtypes : tuple of str
    colours : tuple of str
        GDAL's colour interpretation: "red", "nir", "alpha", "undefined".
    descriptions : tuple of str
        Empty where there is none.
    wavelengths : tuple of float or None
        Of the band's centre in nm, where the metadata tells it.
    alphas : tuple of int
        Bands, from 1, that say how opaque a pixel is, and are no colour.
    """

    path: str
    dtypes: tuple[str, ...]
    colours: tuple[str, ...]
    descriptions: tuple[str, ...]
    wavelengths: tuple[float | None, ...]
    alphas: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        return len(self.dtypes)

    @property
    def usable(self) -> list[int]:
        """All bands but alpha."""
        return [band for band in range(1, self.count + 1) if band not in self.alphas]


@dataclass(frozen=True)
class Choice:
    """Three bands, from 1, for red, green and blue.

    Attributes
    ----------
    bands : tuple of int
    reason : Notice
        Why these.
    notices : tuple of Notice
        Doubts about it.
    is_guess : bool
        Whether nothing but custom says which is red and which is blue.
    natural : tuple of int or None
        Red, green and blue themselves, where other bands are shown as these.
    """

    bands: tuple[int, int, int]
    reason: Notice
    notices: tuple[Notice, ...] = ()
    is_guess: bool = False
    natural: tuple[int, int, int] | None = None

    @property
    def guessed(self) -> tuple[int, int, int]:
        """Where it is a guess, the bands that are taken for red, green and blue."""
        return self.natural or self.bands


def three(bands: Sequence[int]) -> tuple[int, int, int]:
    """Bands of red, green and blue, as a tuple of three."""
    red, green, blue = bands
    return red, green, blue
