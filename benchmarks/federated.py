"""What learning together is worth: each site alone, together, and all images in one place (SECONDREAD_DATA).

    python -m benchmarks.federated [TASK …] [--minutes N] [--heavy]

Whoever learns, alone, together or from all images in one place, learns by one recipe and sees as many images: rounds ×
all training images. Each run's best epoch or round is chosen by validation; then the test images of every site and of
`external` are read once. The most telling rows come first, each is kept as it ends, and what is kept is not made again.
The gate is off: all learn from the very same images.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks._common import RESULTS, data_folder, save
from secondread.data import Manifest, PreparedSet, load_data, prepared_cache
from secondread.images import PrepareSpec
from secondread.lab.federated.app import site_app
from secondread.lab.federated.plan import Plan
from secondread.lab.federated.privacy import Privacy, noise_for
from secondread.lab.federated.server import Timing, Trained, gather, run_rounds
from secondread.lab.federated.shares import SiteData, site_data, sites_of
from secondread.lab.federated.simulation import inline_grid
from secondread.lab.federated.site import Policy, Site, new_network_of, put_in
from secondread.stats.delong import auc_interval
from secondread.training.fit import fit, predict_logits
from secondread.training.prepare import lesion_maps, new_network

_USED = ("train", "val", "test", "external")
_DELTA = 1e-5


@dataclass(frozen=True)
class Question:
    """A task, which of its collections are hospitals, and how many rounds keep a row under two minutes.

    steps: batches of an epoch of all images in one place, and so the rounds of FedSGD. together: name → collections
    that are one hospital. divide: what is dealt by patients where three sites are needed. one_class: shared
    collections whose sources are sites too where a plan says so, and teach by their lesions alone.
    """

    rounds: int
    steps: int
    together: tuple[tuple[str, tuple[str, ...]], ...] = ()
    divide: tuple[tuple[str, int], ...] = ()
    one_class: tuple[str, ...] = ()


QUESTIONS = {
    "tuberculosis": Question(50, 14, divide=(("shenzhen", 2),), one_class=("localisation", "external-negatives")),
    "fracture": Question(30, 116, divide=(("fracatlas", 2),)),
    "brain-tumour": Question(30, 79, (("web", ("br35h", "navoneel", "sartaj")),), (("lgg", 2),)),
}
MAIN = ("alone", "fedavg", "fedsgd", "fednova", "pooled")
# name → what a plan has besides task, rounds and seed; `three` divides a hospital, `four` has those of one class too,
# `epsilon` asks for that much noise
WAYS: dict[str, dict[str, Any]] = {
    "fedavg": {},
    "fedsgd": {"strategy": "fedsgd"},
    "fednova": {"strategy": "fednova"},
    "fedprox": {"strategy": "fedprox", "proximal": 0.1},
    "fedadam": {"strategy": "fedadam", "server_rate": 0.003},
    "fedavg, 5 epochs a round": {"local_epochs": 5},
    "fedavg, three sites": {"three": True},
    "fedavg, three sites, secure": {"three": True, "secure": True},
    "fedsgd, three sites, secure": {"strategy": "fedsgd", "three": True, "secure": True},
    "trimmed mean, three sites": {"three": True, "strategy": "trimmed"},
    "Krum, three sites": {"three": True, "strategy": "krum"},
    "fedavg, central privacy": {"privacy": Privacy("central", 1.0, 0.01, _DELTA)},
    "fedavg, local privacy": {"privacy": Privacy("local", 1.0, 0.01, _DELTA)},
    "fedavg, central privacy, ε = 8": {"epsilon": 8.0},
}
# The paper's network has no normalisation layers, so FedBN is shown with the smallest network that has.
NORMALISED: dict[str, dict[str, Any]] = {
    "pooled, capsule": {"model": "capsule"},
    "fedavg, capsule": {"model": "capsule"},
    "fedbn, capsule": {"model": "capsule", "strategy": "fedbn"},
}
# The shipped architecture, for hours or a GPU.
HEAVY: dict[str, dict[str, Any]] = {
    f"{name}, lesion-lite0": {"model": "lesion-lite0", "recipe": "transfer", "rounds": 15, **fields}
    for name, fields in {
        "alone": {},
        "fedavg": {},
        "pooled": {},
        "fedprox": {"strategy": "fedprox", "proximal": 0.1},
        "pooled, four sites": {"four": True},
        "fedavg, four sites": {"four": True},
        "fedprox, four sites": {"four": True, "strategy": "fedprox", "proximal": 0.1},
    }.items()
}
Row = dict[str, Any]


class Rooms:
    """A task's hospitals, and where nobody learnt; every image is prepared once for all rows."""

    def __init__(self, task: str, spec: PrepareSpec):
        manifest, question = load_data(data_folder() / task / "manifest.csv"), QUESTIONS[task]
        self._spec = spec
        used = (*_USED, *question.one_class)
        self._all = prepared_cache(
            Manifest(tuple(row for row in manifest.rows if row.split in used), manifest.folder), spec
        )
        self._at = {row.path: number for number, row in enumerate(self._all.rows)}
        joined = {name: list(members) for name, members in question.together}
        self.two = self._sites(sites_of(manifest, together=joined))
        self.three = self._sites(sites_of(manifest, together=joined, divide=dict(question.divide)))
        self.four = self._sites(sites_of(manifest, together=joined, lesions_from=question.one_class))
        places = {name: site.data.test for name, site in self.two.items() if site.data.test is not None}
        outside = [row for row in manifest.rows if row.split == "external"]
        for name in sorted({row.source for row in outside}):
            places[name] = Manifest(tuple(row for row in outside if row.source == name), manifest.folder)
        self.places = {name: (part, self.part(part)) for name, part in places.items()}

    def sites(self, plan: Plan) -> dict[str, Site]:
        """Those of a plan, by how many it asks for."""
        return {2: self.two, 3: self.three, 4: self.four}[plan.sites]

    def part(self, manifest: Manifest) -> PreparedSet:
        """These images as the network sees them."""
        numbers = [self._at[row.path] for row in manifest.rows]
        return PreparedSet(np.asarray(self._all.images)[numbers], manifest.labels, manifest.rows)

    def pooled(self, sites: Sequence[SiteData], name: str) -> PreparedSet:
        """`train` or `val` of several sites in one place."""
        rows = tuple(row for site in sites for row in getattr(site, name).rows)
        return self.part(Manifest(rows, sites[0].train.folder))

    def measured(self, model: nn.Module, places: Sequence[str] | None = None) -> dict[str, Any]:
        """ROC AUC with its interval, place by place."""
        found = {}
        for name in places if places is not None else self.places:
            part, prepared = self.places[name]
            logits = predict_logits(model, prepared.images)
            found[name] = auc_interval(part.labels, logits, groups=part.groups).to_dict() | {"n": len(part)}
        return found

    def _sites(self, manifests: Mapping[str, Manifest]) -> dict[str, Site]:
        found = {}
        for name, manifest in manifests.items():
            data = site_data(name, manifest)
            prepared = {
                (part, repr(self._spec)): self.part(getattr(data, part)) for part in ("train", "val")
            }  # as a site would keep them after its first round
            found[name] = Site(data, Policy(gate=False), _prepared=prepared)
        return found


@cache
def rooms_of(task: str, spec: PrepareSpec) -> Rooms:
    """Made when a row first asks."""
    return Rooms(task, spec)


def plan_of(task: str, seed: int, fields: Mapping[str, Any]) -> Plan:
    """The plan of a way. fields: as in WAYS."""
    fields = dict(fields)
    three, four, epsilon = fields.pop("three", False), fields.pop("four", False), fields.pop("epsilon", None)
    if four:
        fields["changes"] = ("lesion_weight=1", f"lesions_from={','.join(QUESTIONS[task].one_class)}")
    epochs = fields.pop("rounds", QUESTIONS[task].rounds)
    rounds = epochs // fields.get("local_epochs", 1)  # as many images are seen
    if fields.get("strategy") == "fedsgd":
        fields["rounds_per_epoch"] = QUESTIONS[task].steps
        rounds *= fields["rounds_per_epoch"]
    if epsilon is not None:
        fields["privacy"] = Privacy("central", 1.0, noise_for(epsilon, delta=_DELTA, rounds=rounds), _DELTA)
    model, recipe = fields.pop("model", "lenet"), fields.pop("recipe", "upright")
    sites = 3 if three else 4 if four else 2
    return Plan(task, model, rounds, recipe=recipe, random_state=seed, sites=sites, **fields)


def together(plan: Plan) -> Row:
    """A federated run, all sites in this process."""
    rooms = rooms_of(plan.task, plan.prepare_spec)
    sites = rooms.sites(plan)
    for site in sites.values():
        site.own.clear()
    grid = inline_grid({name: site_app(site) for name, site in sites.items()})
    joined, hellos = gather(grid, plan)
    n = sum(hello.counts["train"] for hello in hellos.values())
    if plan.strategy == "fedsgd" and plan.rounds_per_epoch != math.ceil(n / plan.load_recipe().batch_size):
        raise SystemExit(f"{plan.task}: {plan.rounds_per_epoch} are not the batches of {n} images")
    began = time.process_time()
    trained = run_rounds(joined, hellos, plan, timing=Timing(attempts=1))
    worked = time.process_time() - began
    model = new_network_of(plan)
    put_in(model, trained.weights)
    lines = trained.history
    row = {
        "sites": sorted(sites),
        "rounds": plan.rounds,
        "images_seen": n * plan.epochs_after(plan.rounds),
        "best_round": trained.best_round,
        "val_auc": lines[trained.best_round - 1]["val_auc"],
        "bytes_a_round": round(float(np.mean([line["bytes_sent"] + line["bytes_received"] for line in lines]))),
        "seconds_a_round": round(float(np.mean([line["seconds"] for line in lines])), 3),
        "processor_seconds_a_round": round(worked / len(lines), 3),
        "epsilon": None if plan.privacy is None else round(plan.privacy.epsilon(plan.rounds), 1),
        "roc_auc": rooms.measured(model),
    }
    return row | ({"own_layers": _with_own_layers(plan, trained, rooms)} if plan.strategy == "fedbn" else {})


def _with_own_layers(plan: Plan, trained: Trained, rooms: Rooms) -> dict[str, Any]:
    """FedBN as its authors mean it: at each site the common weights with the layers that never left it."""
    found: dict[str, Any] = {}
    for name, site in rooms.two.items():
        if name in rooms.places:
            model = new_network_of(plan)
            put_in(model, trained.weights)
            put_in(model, site.layers_of(trained.best_round))
            found |= rooms.measured(model, [name])
    return found


def apart(plan: Plan, names: Sequence[str]) -> Row:
    """One network on the images of these sites in one place, until it has seen as many as all sites see together."""
    rooms = rooms_of(plan.task, plan.prepare_spec)
    sites = rooms.sites(plan)
    chosen = [sites[name].data for name in sorted(names, key=lambda name: sites[name].data.teaches == "lesions")]
    labelled = [site for site in chosen if site.teaches == "labels"]
    train, val = rooms.pooled(chosen, "train"), rooms.pooled(labelled, "val")
    seen = plan.rounds * sum(len(site.data.train) for site in sites.values())
    epochs = math.ceil(seen / len(train))
    recipe = replace(plan.load_recipe(), epochs=epochs)
    model = new_network(plan.model, plan.prepare_spec, recipe, random_state=plan.random_state)
    whole = Manifest(train.rows, chosen[0].train.folder)
    result = fit(
        model,
        train,
        val,
        recipe,
        lesions=lesion_maps(whole, train.rows, plan.prepare_spec) if recipe.lesion_weight else None,
        n_labelled=sum(len(site.train) for site in labelled),
        random_state=plan.random_state,
    )
    return {
        "sites": list(names),
        "epochs": epochs,
        "images_seen": epochs * len(train),
        "best_epoch": result.best_epoch,
        "val_auc": result.history[result.best_epoch - 1].val_auc,
        "roc_auc": rooms.measured(result.model),
    }


def ways_of(task: str, *, heavy: bool = False) -> dict[str, dict[str, Any]]:
    """Every way of a task: what is named alone is one row for each site."""
    if heavy:
        return HEAVY if task == "tuberculosis" else {}
    return {"alone": {}, "pooled": {}} | WAYS | (NORMALISED if task == "tuberculosis" else {})


def order(tasks: Sequence[str], seeds: Sequence[int]) -> Iterator[tuple[int, str, str]]:
    """(seed, task, way), the most telling first: the question itself, then how else to learn, then more seeds."""
    first, more = seeds[:1], seeds[1:]
    for group, main in ((first, True), (first, False), (more, True), (more, False)):
        for seed in group:
            for task in tasks:
                yield from ((seed, task, way) for way in ways_of(task) if (way in MAIN) == main)


def rows_of(task: str, seed: int, way: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The names of a way's rows, and what makes each."""
    plan, kind = plan_of(task, seed, fields), way.split(",")[0]
    if kind == "alone":
        for site in rooms_of(task, plan.prepare_spec).two:
            yield f"{site} {way}", lambda site=site: apart(plan, [site])
    elif kind == "pooled":
        yield way, lambda: apart(plan, list(rooms_of(task, plan.prepare_spec).sites(plan)))
    else:
        yield way, lambda: together(plan)


def main() -> None:
    """All that is not kept yet, as far as the time goes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of {', '.join(QUESTIONS)}; default: all")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no row that would end later")
    parser.add_argument("--seeds", type=int, default=3, help="0 to one below")
    parser.add_argument("--heavy", action="store_true", help="the shipped architecture on tuberculosis instead; hours")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.tasks) - set(QUESTIONS)):
        parser.error(f"there is no task '{unknown[0]}' here")
    torch.set_num_threads(1)
    until = time.monotonic() + 60 * asked.minutes
    seeds = list(range(asked.seeds))
    if asked.heavy:
        planned = [(seed, "tuberculosis", way) for seed in seeds for way in HEAVY]
    else:
        planned = list(order(asked.tasks or list(QUESTIONS), seeds))
    path = RESULTS / "federated.json"
    runs = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    for seed, task, way in planned:
        _make(runs, task, seed, way, ways_of(task, heavy=asked.heavy)[way], until)


def _make(runs: list[Row], task: str, seed: int, way: str, fields: Mapping[str, Any], until: float) -> None:
    """The rows of a way that are not kept yet, each saved as it ends."""
    plan = plan_of(task, seed, fields)
    rooms_of(task, plan.prepare_spec)  # what is done once counts for no row
    alike = [row["seconds"] for row in runs if (row["task"], row["model"]) == (task, plan.model)]
    if time.monotonic() + (median(alike) if alike else 0.0) > until:
        return
    done = {(row["task"], row["seed"], row["way"]) for row in runs}
    for name, make in rows_of(task, seed, way, fields):
        if (task, seed, name) in done:
            continue
        started = time.perf_counter()
        row = {"task": task, "seed": seed, "way": name, "model": plan.model, **make()}
        runs.append(row | {"seconds": round(time.perf_counter() - started, 1)})
        save("federated", {"recipe": "upright", "delta": _DELTA, "runs": runs}, quiet=True)
        areas = ", ".join(f"{place} {area['value']:.3f}" for place, area in row["roc_auc"].items())
        print(f"{task}, seed {seed}, {name}: {areas}; {runs[-1]['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
