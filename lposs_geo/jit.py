"""Compiling inner loops, the same way everywhere: cached on the disk, without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

__all__ = ["jit"]


def jit(function: Callable[..., Any], *, parallel: bool = False) -> Callable[..., Any]:
    """Compile a function when it is first called.

    "contract" joins a product and a sum in one instruction; sums keep their order, whatever the size of the array.

    Parameters
    ----------
    function : callable
    parallel : bool
        Run its ``prange`` loops on all cores.
    """
    options: dict[str, Any] = {"parallel": parallel, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    compiled: Callable[..., Any]
    try:
        compiled = numba.njit(**options, cache=True)(function)
    except RuntimeError:  # neither the package nor the user's cache folder is writable: compile in every process
        compiled = numba.njit(**options)(function)
    return compiled
