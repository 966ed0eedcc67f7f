"""Memory of a server and of every process that it started, what they share counted once."""

import re
from collections.abc import Iterator
from pathlib import Path

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
    return sum(map(_pss, tree(pid))) * _KILO / 1e6


def _pss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) if found else 0
