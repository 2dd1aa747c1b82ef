"""Areas as people read them: in a unit by their size."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["AreaUnit", "unit_for"]

HECTARE, SQUARE_KM = 1e4, 1e6

MOST_DECIMALS = 12


@dataclass(frozen=True)
class AreaUnit:
    """A unit that areas are written in.

    Attributes
    ----------
    symbol : str
    plain : str
        The symbol in letters that every terminal has.
    name : str
    square_metres : float
        The size of one.
    decimals : int
        Digits shown after the point.
    """

    symbol: str
    plain: str
    name: str
    square_metres: float
    decimals: int

    def text(self, area_m2: float) -> str:
        """An area given in square metres; what rounds to nothing but isn't is shown as less than the last digit."""
        least = 10.0**-self.decimals
        if 0 < area_m2 / self.square_metres < least / 2:
            return f"<{least:.{self.decimals}f}"
        return f"{area_m2 / self.square_metres:,.{self.decimals}f}"


def unit_for(total: float, has_crs: bool) -> AreaUnit:
    """The unit of all areas in one table, with decimals for about four digits of the total.

    Parameters
    ----------
    total : float
        Square metres, or square map units without a CRS.
    has_crs : bool
    """
    if not has_crs:
        symbol, plain, name, square_metres = "units²", "square units", "square map units", 1.0
    elif total >= 1e4 * HECTARE:
        symbol, plain, name, square_metres = "km²", "km2", "square kilometres", SQUARE_KM
    elif total >= HECTARE:
        symbol, plain, name, square_metres = "ha", "ha", "hectares", HECTARE
    else:
        symbol, plain, name, square_metres = "m²", "m2", "square metres", 1.0
    size = total / square_metres
    digits = math.floor(math.log10(size)) if 0 < size < math.inf else -1
    return AreaUnit(symbol, plain, name, square_metres, min(max(3 - digits, 0), MOST_DECIMALS))
