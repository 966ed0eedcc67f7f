"""A simulation by Flower's own engine on Ray: every hospital a node, its questions answered by Ray's actors."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from secondread.errors import ExtraMissing, TrainingError
from secondread.lab.federated.app import answer, site_app
from secondread.lab.federated.plan import Plan
from secondread.lab.federated.server import USUAL, OnRound, Timing
from secondread.lab.federated.serving import Simulated, serve
from secondread.reading import Bundle


class _App(ClientApp):
    """One app for all nodes, as Flower's simulation wants it: by its number a node finds which hospital it is."""

    def __init__(self, sites: list[Simulated]):
        super().__init__()
        self._sites = sites

    def __call__(self, message: Message, context: Context) -> Message:
        import torch

        torch.set_num_threads(1)
        place = int(context.node_config["partition-id"])
        if place not in _APPS:  # an actor answers for several nodes and is asked again and again
            _APPS[place] = site_app(self._sites[place].site())
        return answer(_APPS[place], message, context)


_APPS: dict[int, ClientApp] = {}


@contextmanager
def _own_environment() -> Iterator[None]:
    """Flower adds what this process imports from to PYTHONPATH and leaves it there for programs begun later."""
    before = os.environ.get("PYTHONPATH")
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH", None)
        if before is not None:
            os.environ["PYTHONPATH"] = before


def simulate_on_ray(
    plan: Plan,
    sites: Mapping[str, Simulated],
    *,
    out: Path,
    name: str,
    fresh: bool = False,
    command: str = "",
    timing: Timing = USUAL,
    on_round: OnRound | None = None,
) -> Bundle:
    """As `simulate`. Raises ExtraMissing without Ray."""
    try:
        import ray  # noqa: F401
        from flwr.simulation.run_simulation import _run_simulation
        from flwr.supercore.telemetry import EventType
    except ImportError as error:
        raise ExtraMissing.of("simulating on Ray", "scale") from error
    made: list[Bundle] = []
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        made.append(
            serve(grid, plan, out=out, name=name, fresh=fresh, command=command, timing=timing, on_round=on_round)
        )

    config: dict[str, dict[str, Any]] = {
        "init_args": {"log_to_driver": False, "num_cpus": max(2, len(sites))},
        "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
    }
    ordered = [sites[key] for key in sorted(sites)]
    with _own_environment():
        _run_simulation(
            num_supernodes=len(ordered),
            exit_event=EventType.PYTHON_API_RUN_SIMULATION_LEAVE,
            client_app=_App(ordered),
            server_app=app,
            backend_config=config,
        )
    if not made:
        raise TrainingError("the simulation on Ray ended without a bundle; run it with --engine processes to see why")
    return made[0]
