"""A run with sites elsewhere: over a link that this process begins and ends."""

from pathlib import Path

from secondread.lab.federated.app import GOODBYE, instruction
from secondread.lab.federated.grid import Sites
from secondread.lab.federated.link import Door, linked
from secondread.lab.federated.plan import Plan
from secondread.lab.federated.server import USUAL, OnRefusal, OnRound, Timing
from secondread.lab.federated.serving import serve
from secondread.reading import Bundle

_GOODBYE_S = 20.0


def serve_sites(
    plan: Plan,
    door: Door,
    *,
    out: Path,
    name: str,
    fresh: bool = False,
    command: str = "",
    timing: Timing = USUAL,
    on_round: OnRound | None = None,
    on_refusal: OnRefusal | None = None,
) -> Bundle:
    """As `serve`, for whoever comes to the door; at the end the sites are told that it is over."""
    with linked(door) as grid:
        bundle = serve(
            grid,
            plan,
            out=out,
            name=name,
            fresh=fresh,
            command=command,
            timing=timing,
            on_round=on_round,
            on_refusal=on_refusal,
        )
        everyone = Sites(grid, {str(node): node for node in grid.get_node_ids()})
        everyone.ask(GOODBYE, instruction(plan), timeout_s=_GOODBYE_S)
    return bundle
