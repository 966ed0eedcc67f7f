"""What the machine, the container or the unit gives this program: cores and memory."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_SYSTEM = Path("/")


def cores(system: Path = _SYSTEM) -> int:
    """That may be used: those of the machine, or fewer where the process or its control group is bound."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for group in _groups(system):
        share, _, period = _words(group / "cpu.max").partition(" ")
        if share.isdigit() and period.isdigit() and int(period):
            found = min(found, math.ceil(int(share) / int(period)))
    return max(found, 1)


def memory_bytes(system: Path = _SYSTEM) -> int | None:
    """The machine's, or the control group's where that is less; None where nobody knows."""
    said = [_words(group / "memory.max") for group in _groups(system)]
    found = [int(words) for words in said if words.isdigit()]
    with suppress(ValueError, OSError, AttributeError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(found, default=None)


def _groups(system: Path) -> Iterator[Path]:
    """The control group of this process and those above it (cgroup v2); inside a container it is the highest one."""
    root = system / "sys/fs/cgroup"
    line = next((line for line in _words(system / "proc/self/cgroup").splitlines() if line.startswith("0::/")), "0::/")
    parts = [part for part in line.removeprefix("0::/").split("/") if part not in ("", "..")]
    for n in range(len(parts), -1, -1):
        yield root.joinpath(*parts[:n])


def _words(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
