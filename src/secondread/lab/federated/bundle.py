"""An ordinary bundle of what sites learnt together: exported, decided on their histograms, measured at each of them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ConfigRecord

from secondread.data.split import SHARED
from secondread.errors import OneClassOnly
from secondread.evidence.card import write_card
from secondread.evidence.evidence import Prediction, build_evidence
from secondread.lab.federated.app import MEASURE, Hello, instruction
from secondread.lab.federated.grid import Sites
from secondread.lab.federated.histograms import Histogram, pooled
from secondread.lab.federated.measure import SPLIT, predictions_told
from secondread.lab.federated.secure import step_of
from secondread.lab.federated.server import USUAL, Timing, Trained
from secondread.lab.federated.site import new_network_of, put_in
from secondread.reading import Bundle, add_to_bundle, write_bundle
from secondread.stats.calibration import Calibration, fit_calibration
from secondread.stats.operating_points import (
    ValidationSet,
    calibrated_paper_threshold,
    choose_operating_points,
)
from secondread.tasks import Task
from secondread.training.decide import map_zero
from secondread.training.export import export_onnx
from secondread.training.measure import bands_of, thresholds_of
from secondread.training.prepare import recorded_recipe
from secondread.training.train import gate_for, versions

_POSITIVES, _NEGATIVES = SHARED


def federated_bundle(
    trained: Trained, sites: Sites, *, out: Path, name: str, command: str = "", timing: Timing = USUAL
) -> Bundle:
    """Write the bundle to `out`, and let every site measure it once on its own test images.

    Raises TrainingError if the network cannot be exported, OneClassOnly where the histograms lack a class.
    """
    record, model = bundle_record(trained, name=name, command=command)
    bundle = write_bundle(out, record=record, model=model)
    content = instruction(trained.plan)
    content["bundle"] = ConfigRecord({"record": json.dumps(record), "model": model})
    answers = sites.ask(MEASURE, content, timeout_s=timing.round_s, of=sites.present())
    told = {
        site: json.loads(str(reply.content.config_records["measured"]["json"]))
        for site, reply in answers.replies.items()
    }
    evidence = evidence_of(bundle, told, command=command)
    evidence["data"]["silent"] = sorted(answers.failed)
    add_to_bundle(bundle, evidence=evidence, card=write_card(bundle, evidence))
    return bundle


def bundle_record(trained: Trained, *, name: str, command: str = "") -> tuple[dict[str, Any], bytes]:
    """What bundle.json will hold, and the network."""
    plan, task, recipe = trained.plan, trained.plan.load_task(), trained.plan.load_recipe()
    network = new_network_of(plan)
    put_in(network, trained.weights)
    spec = plan.prepare_spec
    exported = export_onnx(network, size=spec.size, channels=spec.channels, mirrored=recipe.mirrored)
    fingerprint = data_fingerprint(trained.hellos)
    extent = [round(float(side) / spec.size, 6) for side in network.geometry.extent(exported.cells)]  # type: ignore[union-attr, operator]
    best = trained.history[trained.best_round - 1]
    record = {
        "task": task.name,
        "name": name,
        "created": date.today().isoformat(),
        "model": {
            "architecture": plan.model,
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "logit_difference_from_torch": exported.logit_difference,
            "weights": "float32",
        },
        "prepare": spec.to_dict(),
        "heatmap": {
            "method": getattr(network, "map_method", "class-activation map"),
            "extent": [extent[0], extent[0], extent[1], extent[1]],
        },
        "data": {
            "fingerprint": fingerprint,
            "splits": _splits(trained.hellos),
            "thresholds_from": sorted({_split(trained.hellos[name], "val") for name in trained.histograms} - {"val"}),
            "rows": _rows(trained.hellos, trained.histograms),
        },
        "training": {
            "command": command,
            "recipe": recorded_recipe(recipe),
            "random_state": plan.random_state,
            "epochs_run": plan.epochs_after(len(trained.history)),
            "best_epoch": plan.epochs_after(trained.best_round),
            "best_val_auc": round(best["val_auc"], 6) if best["val_auc"] is not None else 0.0,
            "seconds": round(sum(line["seconds"] for line in trained.history), 1),
            "device": "of each site",
            "versions": versions(),
        },
        **decide(task, trained.histograms, fingerprint=fingerprint, model=exported.model),
        "default_operating_point": "paper" if plan.recipe == "paper" or not trained.histograms else "screening",
        "gate": gate_for(task) if plan.gate else None,
        "federated": told_in_card(trained),
    }
    if trained.histograms and getattr(network, "map_holds_logits", False):
        record["heatmap"]["zero"] = map_zero(record)
    return record, exported.model


def decide(task: Task, sites: Mapping[str, Histogram], *, fingerprint: str, model: bytes) -> dict[str, Any]:
    """Calibration and operating points from the sites' histograms, as a bundle's record holds them.

    Without any histogram the network's own probabilities stand, with the seed paper's threshold, measured on nothing.
    """
    logits, labels, names = pooled(sites)
    digest = hashlib.sha256(model).hexdigest()
    if len(labels) and (labels.all() or not labels.any()):
        raise OneClassOnly("the sites' histograms hold one class alone; operating points need images of both")
    calibration = fit_calibration("temperature", logits, labels) if len(labels) else Calibration(how=_NONE)
    if not len(labels):
        return {**calibration.to_record(), "operating_points": {"paper": _unmeasured(calibration, fingerprint, digest)}}
    points = choose_operating_points(
        ValidationSet(
            labels,
            np.round(calibration.apply(logits), 6),
            None,
            data=f"histograms of the validation scores of {', '.join(sorted(sites))}, {fingerprint[:12]}",
            date=date.today().isoformat(),
            weights_sha256=digest,
            sources=names,
        ),
        target_sensitivity=task.target_sensitivity,
        target_specificity=task.target_specificity,
        paper_threshold=calibrated_paper_threshold(calibration),
    )
    return {**calibration.to_record(), "operating_points": points}


_NONE = "none: no site told how its validation images score, so the probability is the network's own"


def _unmeasured(calibration: Calibration, fingerprint: str, digest: str) -> dict[str, Any]:
    nothing = {"value": None, "low": None, "high": None, "n": 0}
    return {
        "threshold": calibrated_paper_threshold(calibration),
        "chosen_by": "fixed by the seed paper; no site told how its validation images score: recalibrate before use",
        "data": f"nothing, {fingerprint[:12]}",
        "date": date.today().isoformat(),
        "weights_sha256": digest,
        "n": 0,
        "sensitivity": dict(nothing),
        "specificity": dict(nothing),
    }


def data_fingerprint(hellos: Mapping[str, Hello]) -> str:
    """Of all sites' own fingerprints: who has the images can make it again."""
    text = json.dumps(sorted([name, hello.fingerprint] for name, hello in hellos.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def _splits(hellos: Mapping[str, Hello]) -> dict[str, int]:
    return {part: sum(hello.counts[part] for hello in hellos.values()) for part in ("train", "val", "test")}


def _rows(hellos: Mapping[str, Hello], histograms: Mapping[str, Histogram]) -> list[dict[str, Any]]:
    """As `data.split.roles` has it. A site that tells nothing of its validation images chose nothing with them."""
    roles = [("taught", "train", list(hellos)), ("chose", "val", sorted(histograms))]
    return [
        {"role": role, "split": _split(hellos[name], part), "source": name, "n": hellos[name].counts[part],
         "n_positive": hellos[name].counts[f"{part}-positive"]}
        for role, part, names in roles
        for name in names
    ]  # fmt: skip


def _split(hello: Hello, part: str) -> str:
    """The split that a site's part stands in: images of one class are a share of their own collection, as everywhere,
    which chooses thresholds and no epoch."""
    if hello.teaches == "labels":
        return part
    return _POSITIVES if hello.counts["train-positive"] else _NEGATIVES


def evidence_of(bundle: Bundle, told: Mapping[str, Mapping[str, Any]], *, command: str) -> dict[str, Any]:
    """The evidence file, from what every site told of its test images; each is a source of the split.

    Sites of one class stand in splits of their own: beside the others they would be told by their look.
    """
    sites = bundle.record["federated"]["sites"]
    found: dict[str, list[Prediction]] = {}
    measured = []
    for name in sorted(told):
        rows = predictions_told(name, told[name], bundle)
        if not rows:
            continue
        positives = sum(row.label for row in rows)
        by_labels = sites[name].get("teaches", "labels") == "labels"
        split = SPLIT if by_labels else _POSITIVES if positives else _NEGATIVES
        found.setdefault(split, []).extend(rows)
        measured.append({"role": "measured", "split": split, "source": name, "n": len(rows), "n_positive": positives})
    point = bundle.operating_point()
    return build_evidence(
        found,
        bundle=bundle.id,
        weights_sha256=bundle.model.sha256,
        task=bundle.task.name,
        operating_point={"name": point.name, "threshold": point.threshold},
        thresholds=thresholds_of(bundle),
        bands=bands_of(bundle),
        details={name: {"subgroups": {}, "heatmap": {}} for name in found},  # no image is here to look at
        data={
            "fingerprint": bundle.data.fingerprint,
            "splits": {name: len(part) for name, part in found.items()},
            "rows": [*(dict(row) for row in bundle.data.rows), *measured],
            "from": "histograms: each image stands at the middle of its bin, its decision is exact, none has a name",
        },
        command=command,
        date=date.today().isoformat(),
    )


def told_in_card(trained: Trained) -> dict[str, Any]:
    """How many sites there were, what left each, which privacy was promised and what it cost."""
    plan, rounds = trained.plan, len(trained.history)
    privacy = None
    if plan.privacy is not None:
        privacy = {**plan.privacy.to_dict(), "rounds": rounds, "epsilon": round(plan.privacy.epsilon(rounds), 3)}
    return {
        "strategy": plan.strategy,
        "rounds": rounds,
        "local_epochs": plan.local_epochs,
        "rounds_per_epoch": plan.rounds_per_epoch,
        "best_round": trained.best_round,
        "secure_aggregation": plan.secure,
        "quantisation": step_of({name: one.counts["train"] for name, one in trained.hellos.items()})
        if plan.secure
        else None,
        "privacy": privacy,
        "sites": {
            name: {
                "teaches": hello.teaches,
                "train": hello.counts["train"],
                "val": hello.counts["val"],
                "test": hello.counts["test"],
                "leaves": hello.leaves,
                "refused": None if hello.refused is None else dict(hello.refused),
                "privacy": _own_privacy(hello, rounds),
                "rounds": _outcomes(trained, name),
            }
            for name, hello in trained.hellos.items()
        },
        "bytes_a_round": round(
            float(np.mean([line["bytes_sent"] + line["bytes_received"] for line in trained.history]))
        ),
        "seconds_a_round": round(float(np.mean([line["seconds"] for line in trained.history])), 2),
        "plan": {key: value for key, value in asdict(plan).items() if key not in ("privacy", "changes")}
        | {"changes": list(plan.changes)},
    }


def _own_privacy(hello: Hello, rounds: int) -> dict[str, Any] | None:
    if hello.privacy is None:
        return None
    from secondread.lab.federated.privacy import Privacy

    own = Privacy(**hello.privacy)
    return {**own.to_dict(), "epsilon": round(own.epsilon(rounds), 3)}


def _outcomes(trained: Trained, name: str) -> dict[str, int]:
    """What became of a site, and in how many rounds."""
    found = [line["sites"].get(name, {"outcome": "away"})["outcome"] for line in trained.history]
    return {outcome: found.count(outcome) for outcome in sorted(set(found))}
