"""Compiling inner loops, the same way everywhere: cached on the disk, without the interpreter's lock."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile

__all__ = ["jit"]


def jit(function: Callable[..., Any], *, parallel: bool = False) -> Callable[..., Any]:
    """Compile a function when it is first called.

    "contract" joins a product and a sum in one instruction; sums keep their order, whatever the size of the array.

    Parameters
    ----------
    function : callable
        Arrays that go together can be a `typing.NamedTuple` of a module beside it.
    parallel : bool
        Run its ``prange`` loops on all cores. Such a loop must fill arrays that are arguments of their own: numba
        takes it for dead code, and drops it without a word, where it only fills arrays of a tuple.
    """
    options: dict[str, Any] = {"parallel": parallel, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    compiled: Callable[..., Any] = numba.njit(**options)(function)
    # neither the package nor the user's cache folder is writable, or numba is another inside: compile in every process
    with suppress(Exception):
        compiled._cache = _Cache(function)  # type: ignore[attr-defined]
    return compiled


class _Cache(FunctionCache):
    """numba's cache, which it keeps for any change of the function's own file, made safe for named tuples.

    Compiled code depends on the order of a tuple's fields, and on compiled functions that were called: it is out of
    date if any module of the folder was changed. And the cache names the tuples' classes: where one has gone since,
    numba fails before it sees that all is out of date.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        stamp = self._impl.locator.get_source_stamp(), _modules_beside(function.__code__.co_filename)
        file = IndexDataCacheFile(self._cache_path, self._impl.filename_base, stamp)  # type: ignore[no-untyped-call]
        self._cache_file = file

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled code for a signature; None if there is none, or none that can be read."""
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception:  # of any kind: what is unpickled may be anything
            with suppress(OSError):
                self.flush()  # type: ignore[no-untyped-call]
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled code for a signature; without room for it, the next process compiles again."""
        with suppress(Exception):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]


@functools.cache
def _modules_beside(file: str) -> tuple[tuple[str, int, int], ...]:
    """Names, times and sizes of the modules in the folder of one, and of this one."""
    modules = [*sorted(Path(file).parent.glob("*.py")), Path(__file__)]
    stats = [(module.name, module.stat()) for module in modules if module.is_file()]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)
