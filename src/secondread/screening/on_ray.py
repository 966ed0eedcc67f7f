"""Reads on a Ray cluster, through Ray Data: one task lists the source, actors read, rows come back in order.

The source is a stream (a tar file gives one member after the other), so it is a data source of our own with a single
task, on the machine that asked: it lists or unpacks no faster than the actors read. An actor loads its model once. One
that dies is started anew and its blocks are read again by whoever is free; rows are taken in order, each once.
"""

import os
import pickle
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from secondread.errors import CannotOpen, SecondReadError
from secondread.reading.session import THREADS_VARIABLE
from secondread.screening.cluster import connected, cores_of
from secondread.screening.left import Left
from secondread.screening.objects import fetched
from secondread.screening.picture import Picture, Question, Row

_BLOCK = 64  # pictures that an actor is given at once
_BLOCK_BYTES = 8 << 20  # of those whose bytes are sent along, or are fetched
_RETRIES = 3  # of a block whose actor dies


@contextmanager
def cluster_of(address: str | None, workers: int | None) -> Iterator[int]:
    """How many actors read: as many as are asked for, or one for each core of the cluster. Raises as `connected`."""
    with connected(address, workers=workers) as ray:
        yield workers or cores_of(ray)


def read_on_ray(question: Question, left: Left, *, workers: int) -> Iterator[tuple[int, str, Row]]:
    """(number, stamp, row) of every picture that is left, in order. Raises what reading raises, or CannotOpen."""
    import ray
    from ray import data
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    context = data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.target_max_block_size = 1  # every block as it was made: Ray would put many small ones together
    found = data.read_datasource(
        _listed(left), override_num_blocks=1, num_cpus=0, scheduling_strategy=here
    ).map_batches(
        _Actor,
        fn_constructor_kwargs={"question": question},
        batch_size=1,
        num_cpus=1,
        compute=data.ActorPoolStrategy(size=workers),
        max_task_retries=_RETRIES,
    )
    with _told():
        for block in found.iter_rows():
            yield from pickle.loads(block["block"])


class _Actor:
    """One reader, with its model, on one core."""

    def __init__(self, question: Question):
        os.environ.setdefault(THREADS_VARIABLE, "1")
        self._row_of = question.row_of(question.reader())
        self._most = question.limits.max_bytes

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"block": [pickle.dumps(self._rows(pickle.loads(block))) for block in batch["block"]]}

    def _rows(self, block: list[tuple[int, Picture]]) -> list[tuple[int, str, Row]]:
        here = fetched((picture for _, picture in block), most=self._most)
        return [(n, picture.stamp, self._row_of(picture)) for (n, _), picture in zip(block, here, strict=True)]


def _listed(left: Left) -> Any:
    """The source as Ray Data reads it: one task that makes block after block."""
    import pyarrow
    from ray.data import Datasource, ReadTask
    from ray.data.block import BlockMetadata

    class Listed(Datasource):
        def get_read_tasks(self, *asked: Any, **options: Any) -> list[Any]:
            facts = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [ReadTask(self._blocks, facts)]

        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def _blocks(self) -> Iterator[Any]:
            for block in _blocks(left):
                yield pyarrow.table({"block": pyarrow.array([pickle.dumps(block)], pyarrow.large_binary())})

    return Listed()


def _blocks(numbered: Iterable[tuple[int, Picture]]) -> Iterator[list[tuple[int, Picture]]]:
    block: list[tuple[int, Picture]] = []
    n_bytes = 0
    for number, picture in numbered:
        block.append((number, picture))
        n_bytes += picture.n_bytes
        if len(block) == _BLOCK or n_bytes >= _BLOCK_BYTES:
            yield block
            block, n_bytes = [], 0
    if block:
        yield block


@contextmanager
def _told() -> Iterator[None]:
    """Ray's errors as ours: the one of reading that is behind them, or that the cluster could not do it."""
    from ray.exceptions import RayError

    try:
        yield
    except RayError as error:
        behind: BaseException | None = error
        while behind is not None and not isinstance(behind, SecondReadError):
            behind = getattr(behind, "cause", None) or behind.__cause__
        if behind is not None:
            raise behind from error
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise CannotOpen(
            f"the cluster could not finish ({said[0][:200]}); ask the same again to go on where it was"
        ) from error
