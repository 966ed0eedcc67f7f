"""Many sources read on all cores, and their readings in the order of the sources."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from secondread.errors import CannotOpen
from secondread.reading.reading import Reading, Refusal
from secondread.reading.sources import Source

_BATCH = 32  # paths handed to a worker at once


class Reads(Protocol):
    """What a Reader and an AutoReader have in common."""

    def read(
        self,
        source: Source,
        *,
        operating_point: str | None = None,
        frame: int | None = None,
        keep_image: bool | None = None,
    ) -> Reading:
        """One source's answer."""
        ...


def read_in_order(
    reader: Reads,
    sources: Iterable[Source],
    *,
    operating_point: str | None,
    keep_image: bool | None,
    workers: int | None,
    frame: int | None = None,
) -> Iterator[Reading]:
    """Read on several threads, at most two batches a worker in flight; decoding and inference both release the GIL."""
    workers = workers or os.cpu_count() or 1

    def one(source: Source) -> Reading:
        try:
            return reader.read(source, operating_point=operating_point, frame=frame, keep_image=keep_image)
        except CannotOpen as error:
            return Reading(None, refusal=Refusal("cannot_open", str(error)))

    def some(batch: list[Source]) -> list[Reading]:
        return [one(source) for source in batch]

    waiting: deque[Future[list[Reading]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for batch in _batches(sources, most=1 if keep_image else _BATCH, workers=workers):
                waiting.append(pool.submit(some, batch))
                if len(waiting) >= 2 * workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _batches(sources: Iterable[Source], *, most: int, workers: int) -> Iterator[list[Source]]:
    """Paths in batches that grow from one, since handing over small images one by one costs as much as reading them.

    What is already in memory goes alone, so that no more of it is held than must be.
    """
    batch: list[Source] = []
    given = 0
    for source in sources:
        batch.append(source)
        if not isinstance(source, str | os.PathLike) or len(batch) >= min(most, 1 + given // (2 * workers)):
            yield batch
            given, batch = given + 1, []
    if batch:
        yield batch
