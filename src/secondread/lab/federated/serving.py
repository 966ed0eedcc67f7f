"""What a server does, whatever connects it to the sites; and what a process needs to play a site."""

from dataclasses import dataclass
from pathlib import Path

from flwr.serverapp import Grid

from secondread.data import Manifest
from secondread.lab.federated.bundle import federated_bundle
from secondread.lab.federated.plan import Plan
from secondread.lab.federated.server import USUAL, OnRefusal, OnRound, Timing, gather, run_rounds
from secondread.lab.federated.shares import site_data
from secondread.lab.federated.site import OPEN, Policy, Site
from secondread.reading import Bundle


@dataclass(frozen=True)
class Simulated:
    """What a process needs to become a site."""

    name: str
    manifest: Manifest
    policy: Policy = OPEN
    cache_folder: Path | None = None
    keeps: Path | None = None

    def site(self) -> Site:
        """Raises DataInvalid for images of one class."""
        return Site(site_data(self.name, self.manifest), self.policy, self.cache_folder, self.keeps)


def serve(
    grid: Grid,
    plan: Plan,
    *,
    out: Path,
    name: str,
    fresh: bool = False,
    command: str = "",
    timing: Timing = USUAL,
    on_round: OnRound | None = None,
    on_refusal: OnRefusal | None = None,
) -> Bundle:
    """What a server does, whatever connects it to the sites: gather, teach, write the bundle, have it measured."""
    run_folder = out.with_name(f"{out.name}.run")
    if fresh:
        (run_folder / "federated.safetensors").unlink(missing_ok=True)
    joined, hellos = gather(grid, plan, timing=timing, on_refusal=on_refusal)
    trained = run_rounds(joined, hellos, plan, run_folder=run_folder, timing=timing, on_round=on_round)
    return federated_bundle(trained, joined, out=out, name=name, command=command, timing=timing)
