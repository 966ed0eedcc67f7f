"""How long those who take part in a comparison need for one image, one beside the other."""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from secondread.errors import ImageError
from secondread.images import Image, decode

_WARM_UP = 2  # images whose time is not counted


class Timed(Protocol):
    """Turns an image into its input and answers it."""

    def prepare(self, image: Image) -> Any:
        """Its input."""
        ...

    def run(self, prepared: Any) -> Any:
        """Its answer."""
        ...


def measure_latency(timed: Sequence[Timed], files: Sequence[Path], *, n: int = 30) -> list[tuple[float, float]]:
    """(network_ms, whole_ms) of each: medians over `n` images, one at a time.

    whole: decoding, preparing and the network, from bytes in memory; the files are gone round where they are fewer.
    """
    contents = [data for data in (path.read_bytes() for path in files[:n]) if _decodes(data)]
    spent: list[list[tuple[float, float]]] = [[] for _ in timed]
    for number in range(n + _WARM_UP):
        for one, times in zip(timed, spent, strict=True):
            times.append(_once(one, contents[number % len(contents)]))
    return [
        (
            1000 * median(network for network, _ in times[_WARM_UP:]),
            1000 * median(whole for _, whole in times[_WARM_UP:]),
        )
        for times in spent
    ]


def _once(one: Timed, data: bytes) -> tuple[float, float]:
    started = time.perf_counter()
    prepared = one.prepare(decode(data))
    ready = time.perf_counter()
    one.run(prepared)
    done = time.perf_counter()
    return done - ready, done - started


def _decodes(data: bytes) -> bool:
    try:
        decode(data)
    except ImageError:
        return False
    return True
