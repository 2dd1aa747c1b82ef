"""How much memory the work may take, and noticing when there is none left."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lposs_geo.errors import ParameterError

__all__ = ["DEFAULT", "Budget", "is_out_of_memory", "parse_size"]

DEFAULT = 4_000_000_000
"""Bytes: what fits beside a desktop GIS on a laptop of 8 GB."""

LEAST = 500_000_000
"""Bytes below which tiles would be mostly halo."""

_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
"""Of a thousand, or of 1024 in units like GiB."""


@dataclass(frozen=True)
class Budget:
    """What each stage may take of a scene's memory; the model's own weights come on top.

    Attributes
    ----------
    total : int
        Bytes in all; stages overlap, and Python, the encoder's activations and reading need the rest.
    """

    total: int = DEFAULT

    def __post_init__(self) -> None:
        if self.total < LEAST:
            raise ParameterError(
                f"{self.total / 1e6:.0f} MB are too little memory",
                hint=f"<max_memory={LEAST / 1e6:.0f}MB> is the least",
            )

    @property
    def file_cache(self) -> int:
        """Bytes of decoded blocks that GDAL keeps."""
        return self.total // 32

    @property
    def graph(self) -> int:
        """Bytes of one patch graph with its scores; at work at the same time as the encoder and a tile's pixels."""
        return self.total // 8

    @property
    def tile(self) -> int:
        """Bytes of the pixel stage of one tile."""
        return self.total // 4


def parse_size(text: str) -> int:
    """Bytes in a text like "4GB", "500 MB", "4GiB" or "2e9"; ParameterError if it is none."""
    match = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*(?:([KMGT])(i?))?B?\s*", text, re.IGNORECASE | re.ASCII)
    try:
        number, prefix, is_binary = match.groups(default="")  # type: ignore[union-attr]
        return int(float(number) * (1024 if is_binary else 1000) ** _POWERS[prefix.upper()])
    except (AttributeError, ValueError, OverflowError):
        raise ParameterError(f"'{text}' is no amount of memory", hint="write it like 4GB or 500MB") from None


def is_out_of_memory(error: BaseException) -> bool:
    """True if an error is one of the several ways of running out of memory."""
    if isinstance(error, MemoryError):
        return True
    # torch has a type of its own for it on a GPU, none on the CPU, and says it in other words on each
    phrases = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in phrases)
