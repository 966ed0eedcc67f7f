"""Federated training on one machine: every source a hospital, in a process of its own or as one of Ray's actors."""

import multiprocessing
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from secondread.lab.federated.app import answer, site_app
from secondread.lab.federated.plan import Plan
from secondread.lab.federated.server import USUAL, OnRound, Timing
from secondread.lab.federated.serving import Simulated, serve
from secondread.reading import Bundle

_GONE = 5  # Flower's code for a site that is not there any more
_FIRST_NODE = 1001  # of the sites; the server's own is far below


Run = Callable[[Message], Message]


class LocalGrid(Grid):
    """Flower's grid with every node on this machine. run: by node, what answers a message; it may raise.

    executors: by node, where that is done; without them it is done at once, one after another.
    """

    def __init__(self, run: Mapping[int, Run], executors: Mapping[int, Executor] | None = None):
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, SUPERLINK_NODE_ID  # whose messages
        self._run, self._executors = run, executors or {}
        self._waiting: dict[str, tuple[Message, Future[Message]]] = {}

    def set_run(self, run: Any) -> None:
        """There is one run alone."""

    @property
    def run(self) -> Any:
        """There is one run alone."""
        return None

    def create_message(self, *_: Any, **__: Any) -> Message:
        """Deprecated in Flower: make a Message."""
        raise NotImplementedError("make a Message instead")

    def get_node_ids(self) -> Iterable[int]:
        """Of every site."""
        return list(self._run)

    def get_nodes(self) -> Iterable[NodeInfo]:
        """Of every site."""
        return [NodeInfo(node_id=node) for node in self._run]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Begin with each; the identifiers to ask by."""
        pushed = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = str(uuid.uuid4())
            node = message.metadata.dst_node_id
            executor = self._executors.get(node)
            future = (
                _at_once(self._run[node], message) if executor is None else _begin(executor, self._run[node], message)
            )
            self._waiting[message.metadata.message_id] = (message, future)
            pushed.append(message.metadata.message_id)
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The answers that are there; what a site raised comes as an error of its."""
        found = []
        for name in list(message_ids):
            if name in self._waiting and self._waiting[name][1].done():
                message, future = self._waiting.pop(name)
                failure = future.exception()
                reply = Message(Error(_GONE, str(failure)), reply_to=message) if failure else future.result()
                found.append(reply)
        return found

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Never used: `Sites` asks, and counts."""
        raise NotImplementedError("ask through Sites")


def _at_once(run: Run, message: Message) -> "Future[Message]":
    done: Future[Message] = Future()
    try:
        done.set_result(run(deepcopy(message)))  # over a wire each site has a message of its own
    except Exception as error:  # as a site's process would: the round goes on without it
        done.set_exception(error)
    return done


def _begin(executor: Executor, run: Run, message: Message) -> "Future[Message]":
    try:
        return executor.submit(run, message)
    except BrokenProcessPool as error:  # the process was killed
        gone: Future[Message] = Future()
        gone.set_exception(error)
        return gone


def inline_grid(apps: Mapping[str, ClientApp]) -> LocalGrid:
    """The sites in this very process, one after another, in the order of their names."""
    return LocalGrid(
        {node: _answering(app, node) for node, (_, app) in enumerate(sorted(apps.items()), start=_FIRST_NODE)}
    )


def _answering(app: ClientApp, node: int) -> Run:
    context = Context(run_id=0, node_id=node, node_config={}, state=RecordDict(), run_config={})
    return lambda message: answer(app, message, context)


_HERE: list[Run] = []  # of a site's process: what it answers with


def _become(simulated: Simulated, node: int) -> None:
    import torch

    torch.set_num_threads(1)
    _HERE[:] = [_answering(site_app(simulated.site()), node)]


def _answer(message: Message) -> Message:
    return _HERE[0](message)


@contextmanager
def process_grid(sites: Mapping[str, Simulated]) -> Iterator[LocalGrid]:
    """A process for every site, begun when it is first asked, ended at the end."""
    spawn = multiprocessing.get_context("spawn")
    executors: dict[int, Executor] = {
        node: ProcessPoolExecutor(1, mp_context=spawn, initializer=_become, initargs=(sites[name], node))
        for node, name in enumerate(sorted(sites), start=_FIRST_NODE)
    }
    try:
        yield LocalGrid(dict.fromkeys(executors, _answer), executors)
    finally:
        for executor in executors.values():
            executor.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _here(sites: Mapping[str, Simulated]) -> Iterator[LocalGrid]:
    yield inline_grid({name: site_app(one.site()) for name, one in sites.items()})


ENGINES = {"processes": process_grid, "inline": _here}


def simulate(
    plan: Plan,
    sites: Mapping[str, Simulated],
    *,
    out: Path,
    name: str | None = None,
    engine: str = "processes",
    fresh: bool = False,
    command: str = "",
    timing: Timing = USUAL,
    on_round: OnRound | None = None,
) -> Bundle:
    """All of a plan on this machine: the bundle in `out`, the run's state in `<out>.run`.

    engine: 'processes', 'inline' or 'ray'. Called again after a kill, it goes on at the next round.
    Raises as `run_rounds` and `federated_bundle`.
    """
    timing = replace(timing, refused_may_return=False)
    if engine == "ray":
        from secondread.lab.federated.on_ray import simulate_on_ray

        return simulate_on_ray(
            plan, sites, out=out, name=name or out.name, fresh=fresh, command=command, timing=timing, on_round=on_round
        )
    with ENGINES[engine](sites) as grid:
        return serve(
            grid, plan, out=out, name=name or out.name, fresh=fresh, command=command, timing=timing, on_round=on_round
        )
