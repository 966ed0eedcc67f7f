"""Memory that was freed goes back to the machine: the C library would keep it, for each thread apart."""

import ctypes
from functools import cache
from typing import Any

_M_ARENA_MAX, _ARENAS = -8, 2  # of malloc.h


@cache
def _c_library() -> Any:
    return ctypes.CDLL(None)


def share_freed_memory() -> None:
    """Else glibc keeps freed memory for each thread apart, and the process of many threads grows for hours."""
    mallopt = getattr(_c_library(), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def give_back_freed_memory() -> None:
    """At moments when much was freed: a network was loaded, or let go. Takes some milliseconds."""
    trim = getattr(_c_library(), "malloc_trim", None)
    if trim is not None:
        trim(0)
