"""What learning together is worth: each site alone, together, and all images in one place (SECONDREAD_DATA).

Each run's best epoch or round is chosen by validation; then its test images, those of the other sites and of `external`
are read once. A run is written down when it ends; given again, it goes on with those that are missing.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._common import RESULTS, data_folder, save
from secondread.data import Manifest, load_data, prepared_cache
from secondread.lab.federated.app import site_app
from secondread.lab.federated.plan import Plan
from secondread.lab.federated.privacy import Privacy
from secondread.lab.federated.server import Timing, Trained, gather, run_rounds
from secondread.lab.federated.shares import SiteData, site_data, sites_of
from secondread.lab.federated.simulation import inline_grid
from secondread.lab.federated.site import Site, new_network_of, put_in
from secondread.stats.delong import auc_interval
from secondread.training.fit import fit, predict_logits
from secondread.training.prepare import new_network

ROUNDS = 30


@dataclass(frozen=True)
class Question:
    """A task, and which of its collections are hospitals."""

    task: str
    together: tuple[tuple[str, tuple[str, ...]], ...] = ()
    divide: tuple[tuple[str, int], ...] = ()  # where secure aggregation needs a third site


QUESTIONS = {
    "tuberculosis": Question("tuberculosis", divide=(("shenzhen", 2),)),
    "fracture": Question("fracture", divide=(("fracatlas", 2),)),
    "brain-tumour": Question("brain-tumour", (("web", ("br35h", "navoneel", "sartaj")),), (("lgg", 2),)),
}
# name → what a plan has besides task, rounds and seed; those with `three` divide a hospital by its patients
WAYS: dict[str, dict[str, Any]] = {
    "fedavg": {},
    "fedprox": {"strategy": "fedprox", "proximal": 0.1},
    "fedadam": {"strategy": "fedadam", "server_rate": 0.003},
    "fedavg, three sites": {"three": True},
    "fedavg, three sites, secure": {"three": True, "secure": True},
    "fedavg, three sites, trimmed mean": {"three": True, "strategy": "trimmed"},
    "fedavg, three sites, Krum": {"three": True, "strategy": "krum"},
    "fedavg, central privacy": {"privacy": Privacy("central", 1.0, 0.01)},
    "fedavg, local privacy": {"privacy": Privacy("local", 1.0, 0.01)},
}


class Measured:
    """Test images of every site, and the collections that taught nothing, each prepared once."""

    def __init__(self, plan: Plan, manifest: Manifest, sites: dict[str, SiteData]):
        parts = {name: site.test for name, site in sites.items() if site.test is not None}
        outside = [row for row in manifest.rows if row.split == "external"]
        parts |= {
            name: Manifest(tuple(row for row in outside if row.source == name), manifest.folder)
            for name in sorted({row.source for row in outside})
        }
        self.parts = {name: (part, prepared_cache(part, plan.prepare_spec)) for name, part in parts.items()}

    def of(self, model: torch.nn.Module) -> dict[str, Any]:
        """ROC AUC with its interval, place by place."""
        found = {}
        for name, (part, prepared) in self.parts.items():
            logits = predict_logits(model, np.array(prepared.images))
            found[name] = auc_interval(part.labels, logits, groups=part.groups).to_dict() | {"n": len(part)}
        return found


def together(plan: Plan, sites: dict[str, SiteData]) -> tuple[torch.nn.Module, Trained]:
    """A federated run, all sites in this process."""
    grid = inline_grid({name: site_app(Site(data)) for name, data in sites.items()})
    joined, hellos = gather(grid, plan)
    trained = run_rounds(joined, hellos, plan, timing=Timing(attempts=1), on_round=_say)
    model = new_network_of(plan)
    put_in(model, trained.weights)
    return model, trained


def _say(line: dict[str, Any], rounds: int) -> None:
    print(f"  {line['round']}/{rounds} val AUC {line['val_auc']:.3f} {line['seconds']:.1f} s", flush=True)


def apart(plan: Plan, sites: list[SiteData]) -> tuple[torch.nn.Module, dict[str, Any]]:
    """One network on the images of these sites in one place, for as many epochs, by the same recipe."""
    recipe, spec = plan.load_recipe(), plan.prepare_spec
    folder = sites[0].train.folder
    train, val = (
        prepared_cache(Manifest(tuple(row for site in sites for row in getattr(site, part).rows), folder), spec)
        for part in ("train", "val")
    )
    model = new_network(plan.model, spec, recipe, random_state=plan.random_state)
    result = fit(model, train, val, recipe, random_state=plan.random_state)
    return result.model, {"best_epoch": result.best_epoch, "val_auc": result.history[result.best_epoch - 1].val_auc}


def runs_of(question: Question, seed: int) -> dict[str, Callable[[], dict[str, Any]]]:
    """Name → what makes its row; the most telling first."""
    manifest = load_data(data_folder() / question.task / "manifest.csv")
    joined = {name: list(members) for name, members in question.together}
    two = {name: site_data(name, part) for name, part in sites_of(manifest, together=joined).items()}
    base = Plan(question.task, "lenet", ROUNDS, recipe="upright", random_state=seed, sites=len(two))
    measured = Measured(base, manifest, two)

    def one(way: dict[str, Any]) -> dict[str, Any]:
        fields = {key: value for key, value in way.items() if key != "three"}
        sites = two
        if way.get("three"):
            three = sites_of(manifest, together=joined, divide=dict(question.divide))
            sites = {name: site_data(name, part) for name, part in three.items()}
        plan = Plan(question.task, "lenet", ROUNDS, recipe="upright", random_state=seed, sites=len(sites), **fields)
        model, trained = together(plan, sites)
        lines = trained.history
        return {
            "sites": sorted(sites),
            "best_round": trained.best_round,
            "val_auc": lines[trained.best_round - 1]["val_auc"],
            "bytes_a_round": round(np.mean([line["bytes_sent"] + line["bytes_received"] for line in lines])),
            "seconds_a_round": round(float(np.mean([line["seconds"] for line in lines])), 2),
            "epsilon": None if plan.privacy is None else round(plan.privacy.epsilon(ROUNDS), 1),
            "roc_auc": measured.of(model),
        }

    def alone(sites: list[SiteData]) -> dict[str, Any]:
        model, facts = apart(base, sites)
        return {"sites": [site.name for site in sites], **facts, "roc_auc": measured.of(model)}

    rows = {"fedavg": lambda: one({}), "pooled": lambda: alone(list(two.values()))}
    rows |= {f"{name} alone": lambda site=site: alone([site]) for name, site in two.items()}  # type: ignore[misc]
    return rows | {name: lambda way=way: one(way) for name, way in WAYS.items() if name != "fedavg"}  # type: ignore[misc]


def main(tasks: list[str], seeds: tuple[int, ...] = (0, 1, 2)) -> None:
    """All that is not there yet; each is saved as it ends."""
    torch.set_num_threads(1)
    path = Path(RESULTS) / "federated.json"
    table = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"runs": []}
    table |= {"command": "python -m benchmarks.federated", "rounds": ROUNDS, "model": "lenet", "recipe": "upright"}
    done = {(row["task"], row["seed"], row["way"]) for row in table["runs"]}
    for seed in seeds:
        for task in tasks or list(QUESTIONS):
            for way, run in runs_of(QUESTIONS[task], seed).items():
                if (task, seed, way) in done:
                    continue
                print(f"{task}, seed {seed}, {way}", flush=True)
                started = time.perf_counter()
                row = {"task": task, "seed": seed, "way": way, **run()}
                table["runs"].append(row | {"seconds": round(time.perf_counter() - started, 1)})
                save("federated", table)


if __name__ == "__main__":
    main(sys.argv[1:])
