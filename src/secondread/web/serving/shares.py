"""How many processes serve, and what each is set to of all that is bounded for the whole server."""

import os
from collections.abc import Mapping
from typing import Any

from secondread.service.machine import cores, memory_bytes

# What is bounded for the whole server, and the least that a process can do with. Memory for decoding is not shared out
# but shared: see SharedBytes.
TOTALS = {
    "PARALLEL_READINGS": 1,
    "WORKERS": 0,
    "THREADS": 3,
    "WAITING_REQUESTS": 1,
    "MAX_WAITING_MB": 1,
    "CONNECTIONS": 8,
    "ADDRESS_CONNECTIONS": 4,
    "EVENT_STREAMS": 0,
}
_PROCESS_BYTES = 400_000_000  # of one that has loaded every bundle that is shipped, while it reads
_BESIDES = 500_000_000  # of what else runs on the machine


def processes_for(settings: Mapping[str, Any]) -> int:
    """As many as there are cores, and memory for besides what decoding takes; one where none can be forked."""
    if not hasattr(os, "fork"):
        return 1
    n, memory = cores(), memory_bytes()
    if memory is not None:
        left = memory - _BESIDES - int(settings["DECODE_MEMORY_MB"]) * 10**6
        n = min(n, left // _PROCESS_BYTES)
    return max(n, 1)


def share_of(settings: Mapping[str, Any], n: int, at: int) -> dict[str, Any]:
    """What one of n processes is to be set to: of all that is bounded its share. at: which one, from 0."""
    settings = {**settings, "PARALLEL_READINGS": settings.get("PARALLEL_READINGS") or cores()}
    shares = {
        name: max(least, settings[name] // n + (at < settings[name] % n))
        for name, least in TOTALS.items()
        if name in settings
    }
    if "ADDRESS_CONNECTIONS" in shares:  # which of the processes a connection comes to is chance
        shares["ADDRESS_CONNECTIONS"] = min(2 * shares["ADDRESS_CONNECTIONS"], int(settings["ADDRESS_CONNECTIONS"]))
    return {**settings, **shares, "PROCESSES": 1}
