"""Three hospitals of phantoms, in this process, and what may go wrong at one of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Context, Message

from secondread.data import Manifest, load_data
from secondread.lab.federated.app import from_arrays, site_app, to_arrays
from secondread.lab.federated.shares import site_data, sites_of
from secondread.lab.federated.simulation import LocalGrid, inline_grid
from secondread.lab.federated.site import Policy, Site

PHANTOMS = Policy(gate=False)  # the shipped gate refuses drawings
Change = Callable[[dict[str, np.ndarray], dict[str, np.ndarray]], dict[str, np.ndarray]]  # learnt, before → sent


@pytest.fixture(scope="session")
def hospitals(phantom_manifest: Path) -> dict[str, Manifest]:
    """By name: site0, site1, site2."""
    return sites_of(load_data(phantom_manifest))


@pytest.fixture
def grid_of(hospitals, tmp_path_factory) -> Callable[..., LocalGrid]:
    """The hospitals on a grid. odd: hospital → what becomes of its weights before they leave it."""
    cache = tmp_path_factory.getbasetemp() / "federated-cache"

    def make(odd: dict[str, Change] | None = None, policy: Policy = PHANTOMS, keeps: Path | None = None) -> LocalGrid:
        apps = {
            name: site_app(
                Site(site_data(name, rows), policy, cache, None if keeps is None else keeps / name),
                mods=[_changed(odd[name])] if odd and name in odd else [],
            )
            for name, rows in hospitals.items()
        }
        return inline_grid(apps)

    return make


def _changed(change: Change):
    def mod(message: Message, context: Context, call_next: Callable[[Message, Context], Message]) -> Message:
        before = from_arrays(message.content.array_records["arrays"])
        reply = call_next(message, context)
        reply.content["arrays"] = to_arrays(change(from_arrays(reply.content.array_records["arrays"]), before))
        return reply

    return mod
