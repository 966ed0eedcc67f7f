"""What a bundle does for whole series: a patient's slices read together, beside the same slices one by one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from secondread.evidence.evidence import Prediction
from secondread.reading import Combination, SeriesPoint
from secondread.reading.operating_point import HIGHEST
from secondread.stats.delong import auc_interval
from secondread.stats.interval import Interval
from secondread.stats.proportions import group_codes, proportion

LEAST = 15  # slices of a series; fewer are no volume of a head
_LEAST_WITHOUT = 5  # slices without a lesion, to stand for a series without one
_NUMBERED = re.compile(r"(.+)_(\d+)")


@dataclass(frozen=True)
class OneSeries:
    """The slices of one series that were read, in their order."""

    source: str
    group: str  # of the patient
    labels: tuple[int, ...]
    probabilities: tuple[float, ...]

    @property
    def ill(self) -> bool:
        """Whether any of its slices shows the disease."""
        return any(self.labels)

    @property
    def worst_is_ill(self) -> bool:
        """Whether the most suspicious slice is one that shows it."""
        return bool(self.labels[int(np.argmax(self.probabilities))])

    def without_lesion(self) -> "OneSeries | None":
        """The slices that show none, in place of a healthy person's series; None where they are too few."""
        kept = [at for at, label in enumerate(self.labels) if not label]
        if len(kept) < _LEAST_WITHOUT:
            return None
        return replace(self, labels=(0,) * len(kept), probabilities=tuple(self.probabilities[at] for at in kept))


def series_in(predictions: Sequence[Prediction]) -> list[OneSeries]:
    """The series among single slices: files of one patient whose names differ in their last number alone."""
    found: dict[tuple[str, str, str], list[tuple[int, Prediction]]] = {}
    for one in predictions:
        name = _NUMBERED.fullmatch(PurePosixPath(one.path).stem)
        if name is not None:
            found.setdefault((one.source, one.group, name[1]), []).append((int(name[2]), one))
    whole = []
    for (source, group, _), rows in sorted(found.items()):
        read = [one for _, one in sorted(rows, key=lambda row: row[0]) if one.probability is not None]
        if len(rows) >= LEAST and read:
            labels = tuple(one.label for one in read)
            whole.append(OneSeries(source, group, labels, tuple(float(one.probability or 0.0) for one in read)))
    return whole


@dataclass(frozen=True, eq=False)
class SeriesSet:
    """Series with and without the disease, to choose or to measure on; scored by a rule."""

    ill: tuple[OneSeries, ...]
    lesion_free: tuple[OneSeries, ...]  # of the same people: their slices without a lesion alone
    well: tuple[OneSeries, ...]  # of people without the disease; other diseases may be among them

    @classmethod
    def of(cls, predictions: Sequence[Prediction]) -> "SeriesSet":
        """All that are among these slices."""
        whole = series_in(predictions)
        ill = tuple(one for one in whole if one.ill)
        parts = (one.without_lesion() for one in ill)
        return cls(ill, tuple(part for part in parts if part is not None), tuple(one for one in whole if not one.ill))

    def scored(self, combine: Combination) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Labels bool (n,), probabilities float (n,) and groups (n,) of all of them."""
        every = (*self.ill, *self.lesion_free, *self.well)
        labels = np.array([one.ill for one in every], dtype=bool)
        return labels, np.array([combine(one.probabilities) for one in every]), [one.group for one in every]

    @property
    def sources(self) -> list[str]:
        """Of each, as `scored` has them."""
        return [one.source for one in (*self.ill, *self.lesion_free, *self.well)]


def series_evidence(
    point: SeriesPoint, splits: Mapping[str, Sequence[Prediction]], *, slice_threshold: float
) -> dict[str, Any]:
    """What the bundle's point for series does on these splits, and what single slices do at their own threshold.

    Empty where no split holds series. Nothing is chosen here.
    """
    highest = Combination(HIGHEST)
    results = {}
    for split, predictions in splits.items():
        found = SeriesSet.of(predictions)
        if not found.ill and not found.well:
            continue
        labels, scores, groups = found.scored(point.combine)
        results[split] = {
            "sources": sorted({one.source for one in (*found.ill, *found.well)}),
            "n_slices": sum(len(one.labels) for one in (*found.ill, *found.well)),
            "at_the_point": _rates(found, point.combine, point.point.threshold),
            "highest_slice": _rates(found, highest, slice_threshold),
            "roc_auc": auc_interval(labels, scores, groups=groups).to_dict(),
            "found_by_a_slice_with_it": _share([one.worst_is_ill for one in found.ill], found.ill),
            "slices": _slices(found, slice_threshold),
        }
    if not results:
        return {}
    at = {"rule": point.combine.rule, "n_together": point.combine.n, "threshold": point.point.threshold}
    return {**at, "slice_threshold": slice_threshold, "results": results}


def _rates(found: SeriesSet, combine: Combination, threshold: float) -> dict[str, Any]:
    def positive(which: Sequence[OneSeries]) -> list[bool]:
        return [combine(one.probabilities) > threshold for one in which]

    def negative(which: Sequence[OneSeries]) -> list[bool]:
        return [not one for one in positive(which)]

    return {
        "sensitivity": _share(positive(found.ill), found.ill),
        "specificity_lesion_free": _share(negative(found.lesion_free), found.lesion_free),
        "specificity_well": _share(negative(found.well), found.well),
    }


def _slices(found: SeriesSet, threshold: float) -> dict[str, Any]:
    """The same slices one by one, images of one patient together."""
    rows = [
        (label, chance > threshold, one.group)
        for one in (*found.ill, *found.well)
        for label, chance in zip(one.labels, one.probabilities, strict=True)
    ]
    with_it, without = ([row for row in rows if row[0] == label] for label in (1, 0))
    return {
        "sensitivity": _proportion([row[1] for row in with_it], [row[2] for row in with_it]).to_dict(),
        "specificity": _proportion([not row[1] for row in without], [row[2] for row in without]).to_dict(),
    }


def _share(hits: Sequence[bool], which: Sequence[OneSeries]) -> dict[str, Any]:
    return _proportion(hits, [one.group for one in which]).to_dict()


def _proportion(hits: Sequence[bool], groups: Sequence[str]) -> Interval:
    return proportion(np.array(hits, dtype=bool), group_codes(groups) if groups else None)
