"""The evidence file: what was measured of one bundle, on which images, in which parts, with which intervals."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from secondread.errors import DataInvalid
from secondread.files import write_json
from secondread.stats.calibration import reliability
from secondread.stats.measures import HOW_INTERVALS_ARE_MADE, MEASURES, measure
from secondread.stats.metrics import confusion
from secondread.stats.proportions import group_codes, proportion
from secondread.stats.thresholds import threshold_table

if TYPE_CHECKING:
    from secondread.data import Manifest

FORMAT, VERSION = "secondread-evidence", 2


@dataclass(frozen=True)
class Prediction:
    """One image of a split and what the bundle said of it."""

    path: str  # as the manifest names it
    label: int
    source: str
    group: str  # what belongs together
    probability: float | None  # None: refused
    refusal: str | None = None  # its code


@dataclass(frozen=True, eq=False)
class Scored:
    """The images of a split that were read, as arrays."""

    y_true: np.ndarray  # bool (n,)
    probabilities: np.ndarray  # float (n,)
    groups: list[str]  # (n,)

    @classmethod
    def of(cls, predictions: Iterable[Prediction]) -> "Scored":
        """Those that were not refused."""
        read = [row for row in predictions if row.probability is not None]
        return cls(
            np.array([row.label == 1 for row in read], dtype=bool),
            np.array([row.probability for row in read], dtype=np.float64),
            [row.group for row in read],
        )


def build_evidence(
    splits: Mapping[str, Sequence[Prediction]],
    *,
    bundle: str,
    weights_sha256: str,
    task: str,
    operating_point: Mapping[str, Any],
    data: Mapping[str, Any],
    command: str,
    date: str,
    thresholds: Mapping[str, float] | None = None,
    bands: Mapping[str, tuple[float, float]] | None = None,
    prevalence: float | None = None,
    details: Mapping[str, Mapping[str, Any]] | None = None,
    promises: Mapping[str, Any] | None = None,
    before: Mapping[str, Any] | None = None,
    series: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything measured of a bundle at one operating point, split by split, with the predictions behind it.

    operating_point: {name, threshold}. data: {manifest, fingerprint}. Accuracy and the like count images above the
    threshold as positive; refused images are counted apart.
    thresholds: the bundle's operating points, name → threshold; default: the one measured at. bands: operating
    point → the two ends of its uncertain band. prevalence: see `threshold_table`.
    details: split → further entries of its results (subgroups, heatmap). promises: operating point → its guarantees as
    validation shows them source by source, where the bundle's record does not. before: earlier evidence; where it is of
    the same weights, `reads` counts on and `held_out` stays (see `held_out_section`). series: see `series_evidence`.
    Raises UsageError for a prevalence that is no share.
    """
    threshold = float(operating_point["threshold"])
    named = {str(operating_point["name"]): threshold} if thresholds is None else thresholds
    more = details or {}
    same = before if before and before["weights_sha256"] == weights_sha256 else {}
    results = {
        name: _results(rows, threshold) | _sweep(rows, named, bands or {}, prevalence) | dict(more.get(name, {}))
        for name, rows in splits.items()
    }
    return {
        "format": FORMAT,
        "version": VERSION,
        "bundle": bundle,
        "weights_sha256": weights_sha256,
        "task": task,
        "date": date,
        "command": command,
        "data": dict(data),
        "operating_point": {"name": operating_point["name"], "threshold": threshold},
        "intervals": HOW_INTERVALS_ARE_MADE,
        "reads": _reads(splits, same),
        **({"held_out": dict(same["held_out"])} if "held_out" in same else {}),
        **({"promises": dict(promises)} if promises else {}),
        "results": results,
        **({"series": dict(series)} if series else {}),
        "predictions": {name: _compact(rows) for name, rows in splits.items()},
    }


def _reads(splits: Iterable[str], before: Mapping[str, Any]) -> dict[str, int]:
    """How often each split was read with these weights and the outcome kept; evidence without a count is one time."""
    known = before.get("reads") or dict.fromkeys(before.get("results", {}), 1)
    return {**known, **{name: known.get(name, 0) + 1 for name in splits}}


def summarise(
    predictions: Sequence[Prediction], threshold: float, *, measures: Sequence[str] = MEASURES
) -> dict[str, Any]:
    """n, confusion matrix and measures with their intervals, for the images that were read."""
    scored = Scored.of(predictions)
    n = len(scored.y_true)
    counts = {"n": n, "n_positive": int(scored.y_true.sum()), "n_refused": len(predictions) - n}
    if not n:
        return counts | {"confusion": None, "metrics": {}}
    found = measure(scored.y_true, scored.probabilities, threshold=threshold, groups=scored.groups, measures=measures)
    return counts | {
        "n_groups": len(set(scored.groups)),
        "confusion": asdict(confusion(scored.y_true, scored.probabilities > threshold)),
        "metrics": {name: interval.to_dict() for name, interval in found.items()},
    }


def load_evidence(path: Path) -> dict[str, Any]:
    """An evidence file. Raises DataInvalid if it is not one."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataInvalid(f"'{path}' is not an evidence file: {error}") from error
    if not isinstance(table, dict) or table.get("format") != FORMAT or table.get("version") != VERSION:
        raise DataInvalid(
            f"'{path}' is not an evidence file of version {VERSION}; run `secondread evaluate` to make one"
        )
    return table


def write_evidence(evidence: Mapping[str, Any], path: Path) -> None:
    """Written aside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, evidence)


def _results(rows: Sequence[Prediction], threshold: float) -> dict[str, Any]:
    """The whole split, and each source of it where there are several."""
    whole = summarise(rows, threshold)
    sources = sorted({row.source for row in rows})
    if len(sources) > 1:
        whole["by_source"] = {name: summarise(_of(rows, name), threshold) for name in sources}
    else:
        whole["source"] = sources[0] if sources else ""
    refused = [row.refusal for row in rows if row.refusal]
    whole["refusals"] = {code: refused.count(code) for code in sorted(set(refused))}
    return whole


def _sweep(
    rows: Sequence[Prediction],
    named: Mapping[str, float],
    bands: Mapping[str, tuple[float, float]],
    prevalence: float | None,
) -> dict[str, Any]:
    """What does not hang on one threshold: the threshold table, and whether probabilities come true."""
    scored = Scored.of(rows)
    y_true, scores, groups = scored.y_true, scored.probabilities, scored.groups
    table = threshold_table(y_true, scores, groups=groups, named=named, prevalence=prevalence)
    return {
        "thresholds": table,
        "uncertain": {
            name: proportion((scores > low) & (scores <= high), group_codes(groups)).to_dict()
            for name, (low, high) in bands.items()
        },
        "reliability": reliability(y_true, scores, groups=groups) if groups else [],
    }


def _of(rows: Iterable[Prediction], source: str) -> list[Prediction]:
    return [row for row in rows if row.source == source]


def _compact(rows: Sequence[Prediction]) -> list[list[Any]]:
    """path, label, probability, refusal, group, source: lists, since there are thousands."""
    codes = group_codes([row.group for row in rows]).tolist()
    return [
        [row.path, row.label, row.probability, row.refusal, code, row.source]
        for row, code in zip(rows, codes, strict=True)
    ]


FEW = 20  # images of a class below which a part's figures are marked
LESION_SIZE = "lesion size"
_MOST_PARTS = 12  # a note with more different texts is no body part


def subgroups(
    predictions: Sequence[Prediction],
    facts: Mapping[str, Sequence[str]],
    *,
    threshold: float,
    of_positives: Collection[str] = (LESION_SIZE,),
) -> dict[str, list[dict[str, Any]]]:
    """Fact → its parts, by name: {value, n, n_positive, n_groups, metrics, …, few}, see `summarise`.

    facts: what is known of every image, in the order of the predictions; '' where it is not, and such images are in no
    part. of_positives: facts that only diseased images have; each part is then set against all negatives.
    few: which class has less than 20 images, as 'positives', 'negatives' or 'both', else None: such a part's figures
    are a hint, not a finding. Raises DataInvalid for a fact of another length.
    """
    for name, values in facts.items():
        if len(values) != len(predictions):
            raise DataInvalid(f"'{name}' is given for {len(values)} images, not for the {len(predictions)} predicted")
    return {name: _parts(predictions, values, threshold, name in of_positives) for name, values in facts.items()}


def facts_of(
    manifest: "Manifest",
    *,
    image_sizes: Sequence[tuple[int, int]] | None = None,
    lesion_shares: Sequence[float | None] | None = None,
) -> dict[str, list[str]]:
    """What a manifest says of its images, for `subgroups`; facts that all images share are left out.

    source; body part (the manifest's note up to the first ';', where a dozen texts at most occur); image size, by the
    longer side of image_sizes [(width, height)]; lesion size, by lesion_shares: the lesion's share of the image's area,
    None without a lesion.
    """
    facts = {"source": [row.source for row in manifest.rows], "body part": [_part(row.note) for row in manifest.rows]}
    if image_sizes is not None:
        facts["image size"] = bands([float(max(size)) for size in image_sizes], unit="px")
    if lesion_shares is not None:
        shares = [None if share is None else 100 * share for share in lesion_shares]
        facts[LESION_SIZE] = bands(shares, unit="% of the image")
    if len(set(facts["body part"])) > _MOST_PARTS:
        del facts["body part"]
    return {name: values for name, values in facts.items() if len({value for value in values if value}) > 1}


def bands(values: Sequence[float | None], *, unit: str, n_bands: int = 3) -> list[str]:
    """Each value's band, '1: up to 0.4 px' to '3: above 2.1 px', of about equal numbers; '' for None.

    Equal values share a band, so there may be fewer.
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if not len(known):
        return [""] * len(values)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, n_bands + 1)[1:-1], method="inverted_cdf"))
    edges = edges[edges < known.max()]
    texts = [f"{edge:.3g}" for edge in edges]
    names = [f"{number}: up to {text} {unit}" for number, text in enumerate(texts, start=1)]
    names.append(f"{len(names) + 1}: above {texts[-1]} {unit}" if texts else f"1: {known.max():.3g} {unit}")
    return ["" if value is None else names[int(np.searchsorted(edges, value))] for value in values]


def _parts(
    predictions: Sequence[Prediction], values: Sequence[str], threshold: float, of_positives: bool
) -> list[dict[str, Any]]:
    table = []
    for value in sorted(set(values) - {""}):
        rows = [
            row
            for row, own in zip(predictions, values, strict=True)
            if (of_positives and not row.label) or (own == value and (row.label or not of_positives))
        ]
        found = summarise(rows, threshold)
        table.append({"value": value, **found, "few": _few(found["n_positive"], found["n"] - found["n_positive"])})
    return table


def _few(n_positive: int, n_negative: int) -> str | None:
    if n_positive < FEW:
        return "both" if n_negative < FEW else "positives"
    return "negatives" if n_negative < FEW else None


def _part(note: str) -> str:
    return note.split(";")[0].strip()
