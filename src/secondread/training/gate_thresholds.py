"""Sets the gate's thresholds on sources that had not taught it, and says what each source and kind then gets."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from secondread.reading.gate import Gate, Verdict
from secondread.reading.session import Session
from secondread.stats.proportions import clopper_pearson
from secondread.tasks import list_tasks, load_task
from secondread.training.gate_data import KINDS, Pictures

_GRID = np.round(np.arange(0.02, 0.951, 0.01), 2)
_KEPT = 0.97  # share of proper pictures accepted, in the mean over sources
_FEW, _SURE = 10, 0.9
_FAR = 0.999  # share of those whose distances keep to the limits


@dataclass(frozen=True, eq=False)
class Scores:
    """What gates said of pictures that had not taught them; index `i` is one look at one picture in every field."""

    picture: np.ndarray  # int (n,), index into the Pictures
    view: np.ndarray  # str (n,): 'as it is', 'varied', 'turned' or 'inverted'
    left_out: np.ndarray  # str (n,): 'source'; 'half' and 'known' where other pictures of its source had taught
    probabilities: np.ndarray  # float32 (n, kinds)
    distances: np.ndarray  # float32 (n, 2, tasks)

    def take(self, chosen: np.ndarray) -> "Scores":
        """Those of a mask or of indices."""
        return Scores(**{name: value[chosen] for name, value in vars(self).items()})


def thresholds(pictures: Pictures, scores: Scores, kinds: Sequence[str]) -> dict[str, dict[str, float]]:
    """For each task: the least probability of its kind and the greatest distances that a picture may have.

    The probability is the greatest at which 97 % of the proper pictures are accepted, as they are, of sources left out
    where there are such; each source counts alike. The distances are those that nearly all keep to, varied ones too.
    """
    found = {}
    for index, task in enumerate(kind for kind in kinds if kind in list_tasks()):
        proper = _proper(pictures, scores, task)
        rows = np.flatnonzero(proper & (scores.view == "as it is"))
        accepted = _by_group(scores.probabilities[rows, index], pictures.sources[scores.picture[rows]])
        kept = np.flatnonzero(accepted >= _KEPT)
        found[task] = {"probability": float(_GRID[kept[-1] if len(kept) else 0])} | {
            name: round(float(np.quantile(scores.distances[proper, depth, index], _FAR)), 6)
            for depth, name in enumerate(("distance_low", "distance_high"))
        }
    return found


def _by_group(probabilities: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The share at or above each threshold of the grid, in the mean over the groups: (thresholds,)."""
    above = probabilities[:, None] >= _GRID
    return np.mean([above[groups == name].mean(axis=0) for name in np.unique(groups)], axis=0)


def named(pictures: Pictures, scores: Scores, kinds: Sequence[str]) -> list[str]:
    """The kinds that a refusal may call by name: taken for it nine times as often where it is so as where it is not.

    Both are means over what pictures show and where they come from, since a clinic sends other shares of each.
    """
    seen = scores.take(scores.view == "as it is")
    taken, are = np.array(kinds)[seen.probabilities.argmax(axis=1)], pictures.kinds[seen.picture]
    groups = np.char.add(np.char.add(pictures.shows, " of "), pictures.sources)[seen.picture]
    found = []
    for kind in dict.fromkeys(KINDS.values()):
        rates = [np.mean(_rates(taken == kind, groups, among)) for among in (are == kind, are != kind) if among.any()]
        if (are == kind).sum() >= _FEW and len(rates) == 2 and rates[0] >= _SURE * sum(rates):
            found.append(kind)
    return found


def _rates(hits: np.ndarray, groups: np.ndarray, among: np.ndarray) -> list[float]:
    return [float(hits[among & (groups == name)].mean()) for name in np.unique(groups[among])]


def _proper(pictures: Pictures, scores: Scores, task: str) -> np.ndarray:
    """Looks at proper pictures: of sources left out, or where the task has one source alone, of those kept aside."""
    own = (pictures.kinds[scores.picture] == task) & np.isin(scores.view, ("as it is", "varied"))
    unknown = own & (scores.left_out == "source")
    return unknown if unknown.any() else own & (scores.left_out == "known")


def _wrong(pictures: Pictures, scores: Scores, task: str) -> np.ndarray:
    """Looks at what the task must refuse: other kinds as they are, its own inverted, and turned where it stands."""
    own = pictures.kinds[scores.picture] == task
    return np.where(own, np.isin(scores.view, ("turned", "inverted")), scores.view == "as it is")


def _wrong_names(pictures: Pictures, scores: Scores, task: str) -> np.ndarray:
    """Of each look: what it shows, in which view, and what of it was left out."""
    shows = np.where(pictures.kinds[scores.picture] == task, "its own", pictures.shows[scores.picture])
    return np.array([", ".join(parts) for parts in zip(shows, scores.view, scores.left_out, strict=True)])


def held_out(pictures: Pictures, scores: Scores, record: Mapping[str, Any]) -> dict[str, Any]:
    """Shares with n and 95 % Clopper–Pearson intervals, at the record's thresholds.

    `right`: accepted, for each task, source and view, the source left out. `wrong`: refused, for each task and kind,
    with its source left out or with other files of it known; with the codes given.
    """
    gate = Gate({**record, "sha256": "0" * 64}, session=cast(Session, None))  # its thresholds alone are asked
    tasks = [task for task in record["kinds"] if task in record["thresholds"]]
    right: dict[str, Any] = {}
    wrong: dict[str, Any] = {}
    for task in tasks:
        codes = np.array([_code(gate, scores, row, task) for row in range(len(scores.picture))])
        kinds, sources = pictures.kinds[scores.picture], pictures.sources[scores.picture]
        proper = (kinds == task) & np.isin(scores.view, ("as it is", "varied"))
        names = np.array([", ".join(parts) for parts in zip(sources, scores.view, scores.left_out, strict=True)])
        for name in np.unique(names[proper]).tolist():
            rows = np.flatnonzero(proper & (names == name))
            right[f"{task}: {name}"] = _share(codes[rows] == "", codes[rows])
        improper, names = _wrong(pictures, scores, task), _wrong_names(pictures, scores, task)
        for name in np.unique(names[improper]).tolist():
            rows = np.flatnonzero(improper & (names == name))
            wrong[f"{task}: {name}"] = _share(codes[rows] != "", codes[rows])
    return {"right": right, "wrong": wrong}


def _code(gate: Gate, scores: Scores, row: int, task: str) -> str:
    refusal = gate.refusal(Verdict(gate.kinds, scores.probabilities[row], scores.distances[row]), load_task(task))
    return refusal.code if refusal is not None else ""


def _share(hits: np.ndarray, codes: np.ndarray) -> dict[str, Any]:
    low, high = clopper_pearson(int(hits.sum()), len(hits))
    counted = Counter(code for code in codes.tolist() if code)
    return {
        "value": round(float(hits.mean()), 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "n": len(hits),
        "codes": dict(sorted(counted.items())),
    }
