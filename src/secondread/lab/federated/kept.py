"""Where a server stands after its last whole round, in one file: killed, it goes on from there."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from secondread.errors import TrainingError
from secondread.files import write_bytes
from secondread.lab.federated.histograms import LOGIT_EDGES, Histogram
from secondread.lab.federated.privacy import Arrays

_FILE, _RECORD = "federated.safetensors", "secondread"


@dataclass
class State:
    """The common weights, the best of them by validation, and the history."""

    fingerprint: str  # of the plan
    weights: Arrays
    history: list[dict[str, Any]] = field(default_factory=list)
    best_round: int = 0
    best_weights: Arrays = field(default_factory=dict)
    best_histograms: dict[str, Histogram] = field(default_factory=dict)
    moments: dict[str, Arrays] = field(default_factory=dict)  # of the server's optimizer

    def add(self, line: dict[str, Any], histograms: dict[str, Histogram] | None) -> None:
        """One more round; its weights are kept if validation likes them best, of equal ones those of less loss.

        Where no site tells how its validation scores, the last round is the best. histograms: None where no site was
        asked, and the round is not to be chosen.
        """
        best = self.history[self.best_round - 1] if self.best_round else None
        self.history.append(line)
        if histograms is None:
            return
        if best is None or line["val_auc"] is None or best["val_auc"] is None or _better(line, best):
            self.best_round, self.best_weights, self.best_histograms = line["round"], self.weights, histograms


def _better(line: dict[str, Any], best: dict[str, Any]) -> bool:
    return bool((line["val_auc"], -line["val_loss"]) > (best["val_auc"], -best["val_loss"]))


def save_state(folder: Path, state: State) -> None:
    """Written aside, then renamed: a kill at any moment leaves the last whole one."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "fingerprint": state.fingerprint,
        "history": state.history,
        "best_round": state.best_round,
        "histograms": {
            name: [one.positive.tolist(), one.negative.tolist()] for name, one in state.best_histograms.items()
        },
    }
    groups = {"now": state.weights, "best": state.best_weights, **state.moments}
    tensors = {
        f"{group}/{name}": np.ascontiguousarray(part) for group, all_ in groups.items() for name, part in all_.items()
    }
    write_bytes(folder / _FILE, save(tensors, metadata={_RECORD: json.dumps(record)}), durable=True)


def load_state(folder: Path, fingerprint: str) -> State | None:
    """The state of an earlier server; None where there is none. Raises TrainingError for that of another plan."""
    path = folder / _FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            record = json.loads((file.metadata() or {})[_RECORD])
            groups: dict[str, Arrays] = {}
            for key in file.keys():  # noqa: SIM118 - no mapping
                group, name = key.split("/", 1)
                groups.setdefault(group, {})[name] = file.get_tensor(key)
    except (SafetensorError, KeyError, ValueError) as error:
        raise TrainingError(f"'{path}' is not as it was written; delete it to begin anew") from error
    if record["fingerprint"] != fingerprint:
        raise TrainingError(f"'{folder}' holds a run of another plan; give its own options again, or another --out")
    histograms = {name: Histogram.from_counts(LOGIT_EDGES, *counts) for name, counts in record["histograms"].items()}
    now, best = groups.pop("now"), groups.pop("best", {})  # no best before a round was scored
    return State(fingerprint, now, record["history"], record["best_round"], best, histograms, moments=groups)
