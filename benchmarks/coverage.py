"""How often the published intervals hold the truth, at the sizes and group structures of the shipped evidence.

    python -m benchmarks.coverage

Scores are drawn from a model whose truth is known: normal, shifted for the diseased, alike within a patient. Each case
is drawn anew many times, its intervals are made by the code that makes those of cards and pages, and counted is how
often they hold the truth. Claimed is 0.95. Results: benchmarks/results/coverage.json and coverage.md.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import click
import numpy as np
from scipy.special import expit, ndtr, ndtri

from benchmarks._common import RESULTS
from secondread.files import write_json, write_text
from secondread.stats.bootstrap import grouped_means
from secondread.stats.delong import delong_test
from secondread.stats.interval import Interval
from secondread.stats.measures import MEASURES, measure
from secondread.stats.metrics import average_precision
from secondread.stats.paired import compare_runs
from secondread.stats.proportions import proportion
from secondread.stats.rates import rates_at

CLAIMED, LEAST = 0.95, 0.93
PREVALENCE = 0.02  # where predictive values are to hold
_DRAWS = 400_000  # for truths without a formula
_RESAMPLES = 400  # of a bootstrap; 2,000 where intervals are published


@dataclass(frozen=True)
class Case:
    """Images as some part of the benchmark holds them, and how well they are told apart."""

    name: str
    groups: tuple[tuple[int, int, int], ...]  # how often, a patient with how many positive and negative images
    sensitivity: float
    specificity: float
    likeness: float = 0.0  # share of the scores' variance that images of one patient have in common

    @property
    def shift(self) -> float:
        """Of the diseased, in standard deviations."""
        return float(ndtri(self.sensitivity) + ndtri(self.specificity))

    @property
    def threshold(self) -> float:
        """On the scores."""
        return float(ndtri(self.specificity))

    def images(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels, bool (n,), and groups, int (n,)."""
        patients = [(positive, negative) for times, positive, negative in self.groups for _ in range(times)]
        labels = [label for positive, negative in patients for label in [True] * positive + [False] * negative]
        codes = [code for code, (positive, negative) in enumerate(patients) for _ in range(positive + negative)]
        return np.array(labels), np.array(codes)

    def scores(self, labels: np.ndarray, codes: np.ndarray, rng: np.random.Generator, n: int = 1) -> np.ndarray:
        """float (n, images): of n models that agree as far as images are hard for all of them alike."""
        patient = rng.normal(size=codes.max() + 1)[codes]
        hard = (rng.normal(size=len(codes)) + rng.normal(size=(n, len(codes)))) / np.sqrt(2)
        own = rng.normal(size=len(codes)) if n == 1 else hard
        return self.shift * labels + np.sqrt(self.likeness) * patient + np.sqrt(1 - self.likeness) * np.atleast_2d(own)


_FRACTURE_VAL = (
    (1, 35, 74),
    (3, 10, 0),
    (1, 5, 5),
    (1, 4, 6),
    (1, 3, 7),
    (1, 2, 18),
    (1, 2, 8),
    (1, 1, 9),
    (16, 0, 10),
)
_FRACTURE_TEST = ((5, 10, 0), (1, 5, 30), (4, 4, 6), (3, 3, 7), (12, 2, 8), (10, 1, 9), (1, 1, 19), (25, 0, 10))
_NAVONEEL = ((1, 5, 0), (2, 2, 0), (15, 1, 0), (1, 0, 2), (8, 0, 1))
_BRAIN_TEST = (
    (2, 28, 25), (1, 19, 31), (4, 14, 13), (4, 12, 12), (1, 12, 0), (4, 8, 18), (1, 8, 0), (4, 6, 16), (4, 5, 0),
    (6, 2, 0), (24, 1, 0), (8, 0, 2), (66, 0, 1),
)  # fmt: skip
CASES = (
    Case("tuberculosis, test, Shenzhen", ((53, 1, 0), (51, 0, 1)), 0.96, 0.69),
    Case("tuberculosis, external, Montgomery", ((37, 1, 0), (50, 0, 1)), 0.57, 0.80),
    Case("tuberculosis, high sensitivity", ((53, 1, 0), (51, 0, 1)), 0.97, 0.97),
    Case("fracture, validation", _FRACTURE_VAL, 0.90, 0.80, 0.0),
    Case("fracture, validation, patients alike", _FRACTURE_VAL, 0.90, 0.80, 0.2),
    Case("fracture, test", _FRACTURE_TEST, 0.88, 0.82, 0.1),
    Case("brain tumour, test", _BRAIN_TEST, 0.97, 0.92, 0.2),
    Case("brain tumour, test, Navoneel", _NAVONEEL, 0.96, 0.90, 0.1),
)
_RESAMPLED = ("average_precision", "brier")
_FORMULAE = tuple(name for name in MEASURES if name not in (*_RESAMPLED, "ece_mass", "ece_width"))
_STUDIED = {"ROC AUC": "roc_auc", "AUC difference": "roc_auc_difference"}


def truths(case: Case) -> dict[str, float]:
    """Kind of interval → the value it should hold."""
    labels, _ = case.images()
    share = float(labels.mean())
    sensitivity, specificity = case.sensitivity, case.specificity
    rng = np.random.default_rng(1)
    y = rng.random(_DRAWS) < share
    scores = case.shift * y + rng.normal(size=_DRAWS)
    probabilities = _probability(scores, case)

    def flagged(prevalence: float) -> float:
        return prevalence * sensitivity + (1 - prevalence) * (1 - specificity)

    precision = share * sensitivity / flagged(share)
    area = float(ndtr(case.shift / np.sqrt(2)))
    return {
        "accuracy": share * sensitivity + (1 - share) * specificity,
        "precision": precision,
        "recall": sensitivity,
        "f1": 2 * precision * sensitivity / (precision + sensitivity),
        "specificity": specificity,
        "lr_positive": sensitivity / (1 - specificity),
        "lr_negative": (1 - sensitivity) / specificity,
        "roc_auc": area,
        "average_precision": average_precision(y, scores),
        "brier": float(np.mean((y - probabilities) ** 2)),
        "ppv": PREVALENCE * sensitivity / flagged(PREVALENCE),
        "npv": (1 - PREVALENCE) * specificity / (1 - flagged(PREVALENCE)),
        "flagged": flagged(PREVALENCE),
        "missed": PREVALENCE * (1 - sensitivity),
        "uncertain": float(np.mean((scores > case.threshold - 0.5) & (scores <= case.threshold))),
        "pointing game": float(ndtr(0.25)),
        "energy of a map": float(ndtr(-0.3 / np.sqrt(2))),
        "AUC difference (DeLong)": 0.0,
        "study: ROC AUC": area,
        "study: AUC difference": 0.0,
    }


def by_formula(case: Case, rng: np.random.Generator) -> dict[str, Interval]:
    """Kind → its interval on one draw of the images, for those that need no resampling."""
    labels, codes = case.images()
    groups = codes.astype(str).tolist()
    one, other, _ = case.scores(labels, codes, rng, 3)
    found = measure(labels, one, threshold=case.threshold, groups=groups, measures=_FORMULAE)
    rates = rates_at(labels, one > case.threshold, codes)
    found |= {name: getattr(rates, name)(PREVALENCE) for name in ("ppv", "npv", "flagged", "missed")}
    found["uncertain"] = proportion((one > case.threshold - 0.5) & (one <= case.threshold), codes)
    test = delong_test(labels, one, other, groups=groups)
    return found | {"AUC difference (DeLong)": Interval(test.difference, test.low, test.high)}


def by_resampling(case: Case, rng: np.random.Generator) -> dict[str, Interval]:
    """The same for those that do."""
    labels, codes = case.images()
    groups = codes.astype(str).tolist()
    one, other, third = case.scores(labels, codes, rng, 3)
    probabilities = _probability(one, case)
    how = {"groups": groups, "n_resamples": _RESAMPLES}
    found = measure(
        labels, probabilities, threshold=0.5, measures=_RESAMPLED, random_state=int(rng.integers(1 << 31)), **how
    )
    above = one[labels] - case.shift
    measures = np.stack([above > -0.25, ndtr(above - 0.3)], axis=1)
    named = [groups[at] for at in np.flatnonzero(labels)]
    found["pointing game"], found["energy of a map"] = grouped_means(measures, named)
    logits = np.stack([[one, other], [third, third]])
    studied = compare_runs(labels, logits, reference=1, random_state=int(rng.integers(1 << 31)), **how)[0]
    return found | {f"study: {name}": studied[key] for name, key in _STUDIED.items()}


def coverage(case: Case, *, repeats: int) -> Iterator[dict[str, object]]:
    """A row for each kind: {case, kind, truth, draws, said, held, no_width}; said: how often there was an interval.

    repeats: draws for what is resampled; for the rest, which is quick, two and a half times as many.
    """
    true = truths(case)
    for draw, draws in ((by_formula, 5 * repeats // 2), (by_resampling, repeats)):
        rng = np.random.default_rng(0)
        drawn = [draw(case, rng) for _ in range(draws)]
        for kind in drawn[0]:
            said = [one[kind] for one in drawn if one[kind].low is not None or one[kind].high is not None]
            held = [_low(one) <= true[kind] + 1e-6 and true[kind] - 1e-6 <= _high(one) for one in said]
            yield {
                "case": case.name,
                "kind": kind,
                "truth": round(true[kind], 6),
                "draws": draws,
                "said": round(len(said) / draws, 4),
                "held": round(float(np.mean(held)), 4) if held else None,
                "no_width": sum(_low(one) >= _high(one) for one in said),
            }


def page(rows: Sequence[dict[str, object]], *, repeats: int, command: str, day: str) -> str:
    """In Markdown: a line for each kind, its lowest case, and the whole table."""
    lines = [
        "# Do the intervals hold the truth?", "",
        f"Made by `{command}` on {day}; do not edit by hand. Claimed {CLAIMED}; drawn {5 * repeats // 2:,} times a "
        f"case, and {repeats:,} times for what is resampled (the last six), where chance alone moves a figure by "
        f"{1.96 * (CLAIMED * (1 - CLAIMED) / repeats) ** 0.5:.3f}. Counted where an interval was given at all: a "
        "likelihood ratio without a false alarm has none. Two kinds are not here: the error of calibration, whose "
        "estimate is itself too high with few images, and agreement, which the tests simulate.", "",
        "| kind | " + " | ".join(case.name for case in CASES) + " | lowest |",
        "| --- |" + " --- |" * (len(CASES) + 1),
    ]  # fmt: skip
    for kind in dict.fromkeys(str(row["kind"]) for row in rows):
        own = {row["case"]: row["held"] for row in rows if row["kind"] == kind}
        cells = [own.get(case.name) for case in CASES]
        known = [float(cell) for cell in cells if isinstance(cell, float)]
        lines.append(f"| {kind} | {' | '.join('–' if c is None else f'{c:.3f}' for c in cells)} | {min(known):.3f} |")
    return "\n".join(lines) + "\n"


def _probability(scores: np.ndarray, case: Case) -> np.ndarray:
    return np.asarray(expit(case.shift * (scores - case.shift / 2)))


def _low(found: Interval) -> float:
    return -np.inf if found.low is None else found.low


def _high(found: Interval) -> float:
    return np.inf if found.high is None else found.high


@click.command(help=__doc__)
@click.option("--repeats", type=click.IntRange(1), default=400, show_default=True)
def main(repeats: int) -> None:
    """All cases."""
    rows: list[dict[str, object]] = []
    for case in CASES:
        rows += coverage(case, repeats=repeats)
        click.echo(
            f"{case.name}: lowest {min(row['held'] for row in rows if row['case'] == case.name)}", file=sys.stderr
        )
    day, command = date.today().isoformat(), f"python -m benchmarks.coverage --repeats {repeats}"
    write_json(RESULTS / "coverage.json", {"date": day, "command": command, "claimed": CLAIMED, "rows": rows})
    write_text(RESULTS / "coverage.md", page(rows, repeats=repeats, command=command, day=day))


if __name__ == "__main__":
    main()
