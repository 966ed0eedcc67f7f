"""Memory of a server and of every process that it started, what they share counted once; and whether it grows."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from scipy import stats

FLAT_MB = 1.0  # MB in a thousand requests or images, of which the upper bound of the slope must stay below
_KILO = 1024


def tree(pid: int) -> Iterator[int]:
    """The process and all that descend from it. What has ended meanwhile is left out."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return
    for child in children:
        yield from tree(int(child))


def megabytes_of(pid: int) -> float:
    """Proportional set size of the whole tree, in MB: a page that several share counts in parts (proc(5), smaps)."""
    return sum(_pss(one, "Pss") for one in tree(pid)) * _KILO / 1e6


def own_megabytes_of(pid: int) -> float:
    """The part of it that no file stands behind, in MB: other programs that map the same libraries do not change it."""
    return sum(_pss(one, "Pss_Anon") for one in tree(pid)) * _KILO / 1e6


def growth_of(mb: Sequence[float], thousands: Sequence[float]) -> dict[str, float]:
    """Slope of Theil and Sen with its 95 % interval: {value, low, high}, MB in a thousand of what was done.

    mb: after so many thousands each; at least 3 of them.
    """
    value, _, low, high = map(float, stats.theilslopes(mb, thousands))
    return {"value": round(value, 3), "low": round(low, 3), "high": round(high, 3)}


def _pss(pid: int, which: str) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(rf"^{which}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) if found else 0
