"""What a bundle does at hospitals it had not seen: recipes trained without one, and collections that taught nothing."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from secondread.errors import SecondReadError, UsageError
from secondread.evidence.evidence import Scored
from secondread.evidence.measured import read_predictions
from secondread.evidence.promises import Promised
from secondread.stats.interval import Interval
from secondread.stats.margins import POINTS
from secondread.stats.rates import rates_at
from secondread.tasks import N_, load_task

How = Literal["left out", "external"]


@dataclass(frozen=True)
class AtPoint:
    """What an operating point does there."""

    name: str
    sensitivity: Interval
    specificity: Interval


@dataclass(frozen=True)
class Elsewhere:
    """One hospital that taught nothing.

    how: 'left out', where networks of the same recipe were trained without it, their own thresholds being chosen
    without it too; 'external', where these very weights read it.
    """

    hospital: str
    how: How
    n: int
    n_positive: int
    roc_auc: Interval
    points: tuple[AtPoint, ...]
    seed: int | None = None  # of the training without it
    recipe: str = ""
    date: str = ""
    command: str = ""
    note: str = ""  # what is to be known of how it was measured

    def at(self, name: str) -> AtPoint | None:
        """The operating point of that name, where it was measured."""
        return next((point for point in self.points if point.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        points = [
            {"name": one.name, **{key: getattr(one, key).to_dict() for key in ("sensitivity", "specificity")}}
            for one in self.points
        ]
        return vars(self) | {"roc_auc": self.roc_auc.to_dict(), "points": points}


@dataclass(frozen=True)
class Broken:
    """A promise of an operating point that does not hold at a hospital: the interval lies below what was promised."""

    operating_point: str
    on: str  # 'sensitivity' or 'specificity'
    target: float
    split: str  # '' of a hospital left out
    source: str  # '' where the evidence does not tell sources apart
    seed: int | None  # of the training without the hospital
    rate: Interval

    @property
    def where(self) -> str:
        """'external, montgomery', 'shenzhen left out, seed 0,'."""
        return self._where(str)

    @property
    def in_words(self) -> str:
        """'screening, sensitivity at least 0.9: external, montgomery 0.57 (0.39–0.73)'."""
        return self.told(str)

    def told(self, translate: Callable[[str], str]) -> str:
        """The same in another language."""
        promised = {"point": translate(self.operating_point), "target": f"{self.target:g}"}
        values = {**promised, "where": self._where(translate), "rate": self.rate.format(digits=2)}
        return translate(BROKEN[self.on]) % values

    def _where(self, translate: Callable[[str], str]) -> str:
        if not self.split:
            return translate(LEFT_OUT) % {"hospital": self.source, "seed": self.seed}
        return ", ".join(filter(None, (translate(self.split), self.source)))


SPARES_NONE = N_("%(hospital)s, %(point)s: %(k)s of %(n)s images without the disease were called positive")
BROKEN = {
    "sensitivity": N_("%(point)s, sensitivity at least %(target)s: %(where)s %(rate)s"),
    "specificity": N_("%(point)s, specificity at least %(target)s: %(where)s %(rate)s"),
}
LEFT_OUT = N_("%(hospital)s left out, seed %(seed)s,")


def held_out_section(
    hospitals: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    recipe: str,
    date: str,
    command: str,
    fingerprint: str,
    note: str = "",
) -> dict[str, Any]:
    """For a bundle's evidence, under `held_out`. hospitals: name → results by seed, as `lab.holdout` gives them.

    recipe: what was trained, in words; fingerprint: of the data; note: what differs from this bundle's own training.
    Raises UsageError without a result.
    """
    rows = [
        {
            "hospital": hospital,
            "seed": int(result.get("seed", place)),
            "n": result["n"],
            "n_positive": result["n_positive"],
            "roc_auc": dict(result["roc_auc"]),
            "points": {name: dict(result[name]) for name in POINTS if name in result},
        }
        for hospital, results in hospitals.items()
        for place, result in enumerate(results)
    ]
    if not rows:
        raise UsageError("no hospital was left out, so there is nothing to put into the bundle")
    told = {"note": note} if note else {}
    return {"recipe": recipe, "date": date, "command": command, "fingerprint": fingerprint, **told, "rows": rows}


def elsewhere(evidence: Mapping[str, Any] | None) -> list[Elsewhere]:
    """Every hospital of the evidence that taught nothing: those left out first, then what is external."""
    return [*_left_out(evidence or {}), *_external(evidence or {})]


def broken(promises: Iterable[Promised], rows: Iterable[Elsewhere]) -> list[Broken]:
    """Where promises do not hold: on images that chose nothing, and at hospitals left out."""
    found: list[Broken] = []
    left_out = [row for row in rows if row.how == "left out"]
    for one in promises:
        on, target = one.guarantee.on, one.guarantee.target
        found += [
            Broken(one.operating_point, on, target, seen.split, seen.source, None, seen.rate)
            for seen in one.seen
            if seen.kept == "broken"
        ]
        for row in left_out:
            at = row.at(one.operating_point)
            rate = getattr(at, on) if at is not None else None
            if rate is not None and rate.high is not None and rate.high < target:
                found.append(Broken(one.operating_point, on, target, "", row.hospital, row.seed, rate))
    return found


def spares_none(rows: Iterable[Elsewhere], translate: Callable[[str], str] = str) -> list[str]:
    """Where a point calls all but a few of the healthy positive, whose specificity is told as 0: without full stops."""
    found = []
    for row in rows:
        n = row.n - row.n_positive
        for at in row.points:
            if at.specificity.value is not None and at.specificity.value < 0.005:
                values = {"hospital": row.hospital, "point": translate(at.name), "n": n}
                found.append(translate(SPARES_NONE) % {**values, "k": n - round(at.specificity.value * n)})
    return found


def _left_out(evidence: Mapping[str, Any]) -> list[Elsewhere]:
    section = evidence.get("held_out", {})
    more = {key: section.get(key, "") for key in ("recipe", "date", "command", "note")}
    return [
        Elsewhere(
            hospital=row["hospital"],
            how="left out",
            n=row["n"],
            n_positive=row["n_positive"],
            roc_auc=Interval.from_dict(row["roc_auc"]),
            points=tuple(
                AtPoint(name, Interval.from_dict(at["sensitivity"]), Interval.from_dict(at["specificity"]))
                for name, at in row["points"].items()
            ),
            seed=row["seed"],
            **more,
        )
        for row in section.get("rows", [])
    ]


def _external(evidence: Mapping[str, Any]) -> list[Elsewhere]:
    found = []
    for split, result in evidence.get("results", {}).items():
        sources = list(result.get("by_source", {})) or [result.get("source", "")]
        for source in sources:
            if not _unseen(evidence, split, source):
                continue
            part = result["by_source"][source] if source in result.get("by_source", {}) else result
            rows = [row for row in read_predictions(evidence, split) if len(sources) == 1 or row.source == source]
            scored = Scored.of(rows)
            points = []
            for threshold in result.get("thresholds", {"rows": []})["rows"]:
                if threshold["name"] in POINTS and len(scored.y_true):
                    rates = rates_at(scored.y_true, scored.probabilities > threshold["threshold"], scored.groups)
                    points.append(AtPoint(threshold["name"], rates.sensitivity, rates.specificity))
            found.append(
                Elsewhere(
                    hospital=source or split,
                    how="external",
                    n=part["n"],
                    n_positive=part["n_positive"],
                    roc_auc=Interval.from_dict(part["metrics"].get("roc_auc")),
                    points=tuple(points),
                    date=evidence.get("date", ""),
                    command=evidence.get("command", ""),
                )
            )
    return found


def had_a_say(evidence: Mapping[str, Any], split: str, sources: Collection[str]) -> bool:
    """Whether other images of the hospital of one of these sources, or unnamed ones of this split, taught or chose.

    Collections of one hospital, as the task names them, are that hospital.
    """
    rows = _of_a_say(evidence)
    return bool(taught_beside(evidence, sources)) or any(
        row["source"] in sources if row["source"] else row["split"] == split for row in rows
    )


def taught_beside(evidence: Mapping[str, Any], sources: Collection[str]) -> list[str]:
    """Other collections of the hospital of one of these sources that taught or chose, where the task names whose."""
    hospital = _hospitals(evidence.get("task", ""))
    asked = {hospital[name] for name in sources if name in hospital}
    found = (row["source"] for row in _of_a_say(evidence))
    return [name for name in dict.fromkeys(found) if hospital.get(name) in asked and name not in sources]


def _of_a_say(evidence: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows of the evidence's data that taught or chose."""
    return [row for row in evidence.get("data", {}).get("rows", []) if row["role"] != "measured"]


@cache
def _hospitals(task: str) -> dict[str, str]:
    """Source → hospital, where a task says whose its collections are. Of a task that is not installed nothing."""
    try:
        return {source.name: source.hospital for source in load_task(task).sources if source.hospital}
    except SecondReadError:
        return {}


def _unseen(evidence: Mapping[str, Any], split: str, source: str) -> bool:
    """Whether nothing of it taught or chose, as far as the evidence knows; a source that is not named may have."""
    rows = _of_a_say(evidence)
    if had_a_say(evidence, split, [source]):
        return False
    apart = split.startswith("external")
    if not rows or not all(row["source"] for row in rows):
        return apart or (bool(rows) and split == "localisation")
    return apart or bool(source)
