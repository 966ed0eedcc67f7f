"""A round under SecAgg+: the server sees the sum of masked weights and never one site's. Flower runs the protocol."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from flwr.app import ConfigRecord, Context, RecordDict
from flwr.compat.common import recorddict_compat as compat
from flwr.compat.common.parameter import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.compat.common.typing import FitIns, Parameters
from flwr.server import LegacyContext
from flwr.server.client_proxy import ClientProxy
from flwr.server.compat.grid_client_proxy import GridClientProxy
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD, Key
from flwr.serverapp import Grid

from secondread.lab.federated.grid import Sites
from secondread.lab.federated.plan import Plan
from secondread.lab.federated.privacy import Arrays

CLIP = 8.0  # weights beyond are cut off; those of a trained network lie within ±1
_MASKS = 32  # bits of a mask, in which the sum over all sites must fit
LEAST = 3  # sites that must stay to the end of a round: of two, each knows the other by subtracting itself


@dataclass
class Sum:
    """What came of a secure round."""

    mean: Arrays | None  # None: too few sites stayed
    sites: list[str] = field(default_factory=list)  # whose weights are in it


def heaviest(counts: Mapping[str, int]) -> float:
    """The weight that the protocol's integers leave room for: a power of two above every site's images."""
    return float(2 ** math.ceil(math.log2(max(counts.values()) + 1)))


def levels(n_sites: int) -> int:
    """Into how many −CLIP to CLIP is divided, as many as the sum leaves room for."""
    return 1 << (_MASKS - math.ceil(math.log2(n_sites)))


def step_of(counts: Mapping[str, int]) -> float:
    """How far a mean of quantised weights may lie from the mean: a level for each site, and the last digit of a weight.

    counts: images by site.
    """
    level = 2 * CLIP / (levels(len(counts)) - 1)
    return len(counts) * level * heaviest(counts) / max(sum(counts.values()), 1) + float(np.finfo(np.float32).eps)


class _Adapter:
    """The little that Flower's protocol asks of a strategy of before messages."""

    def __init__(self, sites: Sites, present: Iterable[str], plan: Plan, names: list[str], number: int):
        self._sites, self._present, self._plan = sites, list(present), plan
        self._names, self._number = names, number
        self.mean: Parameters | None = None
        self.present: list[int] = []

    def configure_fit(self, server_round: int, parameters: Parameters, _clients: Any) -> list[tuple[Any, FitIns]]:
        config = {"plan": self._plan.to_json(), "names": json.dumps(self._names), "round": self._number}
        grid = cast(Grid, self._sites)
        return [
            (GridClientProxy(self._sites.nodes[name], grid, 0), FitIns(parameters, dict(config)))
            for name in self._present
        ]

    def aggregate_fit(
        self, server_round: int, results: list[tuple[ClientProxy, Any]], failures: list[Any]
    ) -> tuple[Parameters | None, dict[str, Any]]:
        if results:
            self.mean = results[0][1].parameters  # all are given the sum's mean
            self.present = [int(proxy.cid) for proxy, _ in results]
        return self.mean, {}


def secure_round(
    sites: Sites, plan: Plan, before: Arrays, *, number: int, counts: Mapping[str, int], timeout_s: float
) -> Sum:
    """One round of masked training at the sites of `counts`, which says how many images each has."""
    names = list(before)
    adapter = _Adapter(sites, counts, plan, names, number)
    state = RecordDict({MAIN_CONFIGS_RECORD: ConfigRecord({Key.CURRENT_ROUND: number})})
    parameters = ndarrays_to_parameters([before[name] for name in names])
    state.array_records[MAIN_PARAMS_RECORD] = compat.parameters_to_arrayrecord(parameters, keep_input=True)
    context = LegacyContext(
        Context(run_id=0, node_id=0, node_config={}, state=state, run_config={}),
        strategy=adapter,
    )
    workflow = SecAggPlusWorkflow(
        num_shares=1.0,
        reconstruction_threshold=max(LEAST, math.ceil(2 * len(counts) / 3)),
        max_weight=heaviest(counts),
        clipping_range=CLIP,
        quantization_range=levels(len(counts)),
        modulus_range=1 << _MASKS,
        timeout=timeout_s,
    )
    workflow(cast(Grid, sites), context)
    if adapter.mean is None:
        return Sum(None)
    arrays = dict(zip(names, parameters_to_ndarrays(adapter.mean), strict=True))
    known = {node: name for name, node in sites.nodes.items()}
    return Sum(arrays, sorted(known[node] for node in adapter.present))
