"""Reads on the cores of this machine: threads, as decoding and inference release the interpreter.

Processes were measured against them: they take the same time a picture, and a second of a core each to start.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore, Event

from secondread.screening.objects import fetched
from secondread.screening.picture import Picture, Row, RowOf

Numbered = tuple[int, Picture]
Answered = tuple[int, Row]
Keep = Callable[[int, str, Row], None]  # (number, stamp, row): called as soon as a picture is read, in any order
_BLOCK = 32  # pictures handed to a thread at once
_HELD = 32 << 20  # bytes of pictures in S3 that are fetched at once


def read_here(
    row_of: RowOf,
    numbered: Iterable[Numbered],
    *,
    keep: Keep,
    workers: int | None = None,
    most: int = 0,
    fetching: bool = False,
) -> Iterator[Answered]:
    """Every picture's row, in order; a few blocks a worker are in flight.

    most: bytes that are fetched of one picture. fetching: as many threads again fetch what is in S3 while the others
    read; where nothing is fetched they would only be in the way (a twelfth of the processor's time).
    """
    workers = workers or os.cpu_count() or 1
    turn, stopping = BoundedSemaphore(workers), Event()

    def some(block: list[Numbered]) -> list[Answered]:
        here = fetched((picture for _, picture in block), most=most)
        rows = []
        with turn:
            for (number, _), picture in zip(block, here, strict=True):
                if stopping.is_set():
                    break
                row = row_of(picture)
                keep(number, picture.stamp, row)
                rows.append((number, row))
        return rows

    waiting: deque[Future[list[Answered]]] = deque()
    with ThreadPoolExecutor(2 * workers if fetching else workers) as pool:
        try:
            for block in blocks(numbered, workers=workers):
                waiting.append(pool.submit(some, block))
                if len(waiting) >= 2 * workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            stopping.set()
            for future in waiting:
                future.cancel()


def blocks(numbered: Iterable[Numbered], *, workers: int) -> Iterator[list[Numbered]]:
    """Paths in blocks that grow from one, since handing over small pictures one by one costs as much as reading them.

    What is already in memory goes alone, so that no more of it is held than must be.
    """
    block: list[Numbered] = []
    size, n, n_bytes = 1, 0, 0
    for one in numbered:
        block.append(one)
        n_bytes += one[1].n_bytes
        if len(block) < size and n_bytes < _HELD and not isinstance(one[1].content, bytes):
            continue
        yield block
        block, n, n_bytes = [], n + 1, 0
        if n % (2 * workers) == 0:
            size = min(2 * size, _BLOCK)
    if block:
        yield block
