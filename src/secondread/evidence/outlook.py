"""What an answer may be trusted for: how the bundle did at its operating point, place by place, and what it misses.

The places are the hospitals of the evidence: those kept apart from training first, then those that it learnt from.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from secondread.evidence.evidence import FEW, Scored
from secondread.evidence.held_out import elsewhere, had_a_say, taught_beside
from secondread.evidence.measured import rates_at_threshold, read_predictions
from secondread.reading import Bundle, OperatingPoint
from secondread.stats.interval import Interval
from secondread.stats.rates import rates_at
from secondread.tasks import N_, Task

Measure = Literal["sensitivity", "specificity"]
Translate = Callable[[str], str]


LEFT_OUT = N_("networks of this recipe, taught without it")  # in place of a split
KNOWN = N_("known hospital, that of %(taught)s, other patients")  # likewise
KNOWN_SOURCE = N_("%(source)s (hospital of %(taught)s, other patients)")
# What is said of a rate that is rounded to 0 %: of none, and of k.
NONE_RIGHT = {"sensitivity": N_("all missed"), "specificity": N_("all falsely called positive")}
FEW_RIGHT = {"sensitivity": N_("all but %(k)s missed"), "specificity": N_("all but %(k)s falsely called positive")}


@dataclass(frozen=True)
class Place:
    """One hospital, or the images of a split where the evidence does not part them, at one operating point."""

    split: str
    source: str  # '' where several sources are counted together
    sensitivity: Interval  # of nothing where it was not measured
    specificity: Interval
    n_positive: int
    n_negative: int
    known: bool = False  # other images of it taught or chose, as a share of a collection of one label does
    taught: str = ""  # the collections of the same hospital that did, where they are others

    @property
    def left_out(self) -> bool:
        """Whether it was not these weights that read it, but networks of their recipe, taught without it."""
        return self.split == LEFT_OUT

    @property
    def elsewhere(self) -> bool:
        """Whether nothing was learnt or chosen at this hospital."""
        return self.split.startswith("external") and not self.known

    def n(self, measure: Measure) -> int:
        """How many images the measure rests on."""
        return self.n_positive if measure == "sensitivity" else self.n_negative

    def named(self, translate: Translate = str) -> str:
        """'another hospital: montgomery', 'test: shenzhen'."""
        if self.left_out:
            return f"{translate(LEFT_OUT)}: {self.source}"
        where = translate("another hospital") if self.elsewhere else translate(self.split)
        if self.taught:
            where = translate(KNOWN) % {"taught": self.taught}
        return f"{where}: {self.source}" if self.source else where

    def short_name(self, translate: Translate = str) -> str:
        """'shenzhen', 'mura (hospital of veda, other patients)'; the split where sources are counted together."""
        if self.source and self.taught:
            return translate(KNOWN_SOURCE) % {"source": self.source, "taught": self.taught}
        return self.source or self.named(translate)

    def rate(self, measure: Measure, translate: Translate = str) -> str:
        """'57 % (39–73), n = 37'; '0 % (0–1), n = 859: all but 1 falsely called positive'."""
        value, bounds = getattr(self, measure).parts(scale=100, digits=0, too_few=translate("too few to say"))
        if not bounds:
            return value
        wrong = self._nearly_all_wrong(measure, translate) if value == "0" else ""
        return f"{value} % ({bounds}), n = {self.n(measure)}{wrong}"

    def _nearly_all_wrong(self, measure: Measure, translate: Translate) -> str:
        right = round(getattr(self, measure).value * self.n(measure))
        said = translate(FEW_RIGHT[measure]) % {"k": right} if right else translate(NONE_RIGHT[measure])
        return f": {said}"


@dataclass(frozen=True)
class Outlook:
    """How a bundle did at one operating point wherever it was measured; `places` is empty without evidence."""

    places: tuple[Place, ...]  # other hospitals first
    of_series: bool = False  # measured on whole series, not on single images
    left_out: tuple[Place, ...] = ()  # what its recipe does at a hospital that is left out; never among `places`

    @cached_property
    def elsewhere(self) -> tuple[Place, ...]:
        """The hospitals that taught it nothing."""
        return tuple(place for place in self.places if place.elsewhere)

    @cached_property
    def at_home(self) -> tuple[Place, ...]:
        """The hospitals that it learnt from, on images that taught it nothing."""
        return tuple(place for place in self.places if not place.elsewhere)

    @cached_property
    def at_home_extremes(self) -> tuple[Place, ...]:
        """Those of `at_home` where a measure is lowest or highest, so that a few lines span them all."""
        home = Outlook(self.at_home)
        ends = [find(measure) for measure in ("sensitivity", "specificity") for find in (home.worst, home.best)]
        return tuple(place for place in self.at_home if place in ends)

    def worst(self, measure: Measure) -> Place | None:
        """Where the measure is lowest, of the places that are compared; None: nowhere."""
        return min(self.compared(measure), key=lambda place: getattr(place, measure).value, default=None)

    def best(self, measure: Measure) -> Place | None:
        """Where it is highest; as `worst`."""
        return max(self.compared(measure), key=lambda place: getattr(place, measure).value, default=None)

    def measured(self, measure: Measure) -> list[Place]:
        """Every place where the measure was measured, on however few images."""
        return [place for place in self.places if getattr(place, measure).value is not None]

    def compared(self, measure: Measure) -> list[Place]:
        """Those of them that are compared: with 20 images or more, or all where none has so many."""
        found = self.measured(measure)
        return [place for place in found if place.n(measure) >= FEW] or found

    def of(self, decision: str, task: Task | None, translate: Translate = str) -> str:
        """What to keep in mind with a decision: of a positive how many are false, else how many are missed."""
        return (self.false_alarms if decision == "positive" else self.missed)(task, translate)

    def missed(self, task: Task | None, translate: Translate = str) -> str:
        """How many of the diseased are called negative at the worst place, as a sentence without a full stop."""
        place = self.worst("sensitivity")
        if place is None:
            return translate("how many are missed at this operating point was not measured")
        words = MISSED_SERIES if self.of_series else task.words.get("missed") if task else None
        return _at(place, "sensitivity", translate(words or MISSED), translate)

    def false_alarms(self, task: Task | None, translate: Translate = str) -> str:
        """How many of the negative class are called positive at the worst place; as `missed`."""
        place = self.worst("specificity")
        if place is None:
            return translate("how many are called positive falsely at this operating point was not measured")
        words = FALSE_SERIES if self.of_series else task.words.get("false") if task else None
        return _at(place, "specificity", translate(words or FALSE), translate)


# Where a task has no words of its own: its negative class need not be healthy.
FALSE = N_("called positive at this operating point though without the disease: %(share)s images")
FALSE_SERIES = N_("called positive at this operating point though without the disease: %(share)s series")
MISSED_SERIES = N_("missed at this operating point: %(share)s series with the disease")
MISSED = N_("missed at this operating point: %(share)s images with disease")  # likewise


def outlook(
    evidence: Mapping[str, Any] | None, threshold: float, low: float | None = None, *, point: str = ""
) -> Outlook:
    """From a bundle's evidence. threshold: positive above it; low: the lower end of an uncertain band; point: the
    operating point that it is of, for what was measured with hospitals left out.

    What is uncertain is neither missed nor a false alarm. A threshold that the evidence has no row for, as a site's
    own, is measured on its predictions.
    """
    results = (evidence or {}).get("results", {})
    found = [place for name, table in results.items() for place in _places(evidence or {}, name, table, threshold, low)]
    known = [
        replace(
            place,
            known=had_a_say(evidence or {}, place.split, [place.source]),
            taught=_taught_beside(evidence or {}, place),
        )
        for place in found
    ]
    ordered = tuple(sorted(known, key=lambda place: not place.elsewhere))  # a stable sort
    return Outlook(ordered, left_out=_left_out(evidence, point))


def _taught_beside(evidence: Mapping[str, Any], place: Place) -> str:
    """Of a collection that was kept apart; of others it is plain that their hospital taught."""
    return ", ".join(taught_beside(evidence, [place.source])) if place.split.startswith("external") else ""


def _left_out(evidence: Mapping[str, Any] | None, point: str) -> tuple[Place, ...]:
    """Each hospital that was left out, by the first training without it; none at a point that was not measured so."""
    found: dict[str, Place] = {}
    for row in elsewhere(evidence):
        at = row.at(point)
        if row.how == "left out" and at is not None and row.hospital not in found:
            n_negative = row.n - row.n_positive
            found[row.hospital] = Place(
                LEFT_OUT, row.hospital, at.sensitivity, at.specificity, row.n_positive, n_negative
            )
    return tuple(found.values())


def series_outlook(evidence: Mapping[str, Any] | None) -> Outlook:
    """The same of whole series, at the bundle's point for series; of the healthy, people where there are any, else
    patients' slices without a lesion. Empty where it was not measured on series.
    """
    found = []
    for split, table in (evidence or {}).get("series", {}).get("results", {}).items():
        rates = table["at_the_point"]
        ill, well = rates["sensitivity"], rates["specificity_well"]
        well = well if well["n"] else rates["specificity_lesion_free"]
        intervals = (Interval.from_dict(ill), Interval.from_dict(well))
        source = ", ".join(table["sources"])
        known = had_a_say(evidence or {}, split, table["sources"])
        found.append(Place(split, source, *intervals, n_positive=int(ill["n"]), n_negative=int(well["n"]), known=known))
    return Outlook(tuple(sorted(found, key=lambda place: not place.elsewhere)), of_series=True)


def chosen_on(data: str, translate: Translate = str) -> str:
    """An operating point's images in words, without their fingerprint, which stays in the bundle's record.

    data: as the record has it: 'val split and a share of localisation, 24daf0f55347'.
    """
    told = []
    for part in re.sub(r", [0-9a-f]{12}$", "", data).split(" and "):
        if part == "val split":
            told.append(translate("validation images"))
        elif (split := part.removeprefix("a share of ")) != part:
            told.append(translate("a share of %(images)s") % {"images": translate(split)})
        else:
            told.append(translate(part))
    return ", ".join(told)


def below_screening(bundle: Bundle, point: OperatingPoint) -> bool:
    """Whether a point that should confirm calls no less positive than the one that should find."""
    screening = bundle.operating_points.get("screening")
    return point.name == "confirm" and screening is not None and point.threshold <= screening.threshold


def _places(
    evidence: Mapping[str, Any], split: str, table: Mapping[str, Any], threshold: float, low: float | None
) -> list[Place]:
    """Source by source where the evidence has them at this threshold, else the split as a whole."""
    parts = table.get("by_source", {})
    if parts and low is None and evidence.get("operating_point", {}).get("threshold") == threshold:
        return [
            _place(split, name, part, part["metrics"].get("recall"), part["metrics"].get("specificity"))
            for name, part in parts.items()
        ]
    rows = {row["threshold"] for row in table.get("thresholds", {"rows": []})["rows"]}
    if {threshold, threshold if low is None else low} <= rows:
        return [_place(split, table.get("source") or "", table, *rates_at_threshold(table, threshold, low=low))]
    scored = Scored.of(read_predictions(evidence, split))
    if not len(scored.y_true):
        return []
    below, above = (
        rates_at(scored.y_true, scored.probabilities > at, scored.groups)
        for at in (threshold if low is None else low, threshold)
    )
    rates = (below.sensitivity.to_dict(), above.specificity.to_dict())
    return [_place(split, table.get("source") or "", table, *rates)]


def _place(
    split: str,
    source: str,
    table: Mapping[str, Any],
    sensitivity: Mapping[str, Any] | None,
    specificity: Mapping[str, Any] | None,
) -> Place:
    n, n_positive = int(table["n"]), int(table["n_positive"])
    rates = (Interval.from_dict(sensitivity), Interval.from_dict(specificity))
    return Place(split, source, *rates, n_positive=n_positive, n_negative=n - n_positive)


def _at(place: Place, measure: Measure, words: str, translate: Translate) -> str:
    """The words with the share that fails at this place, which is named behind: it is the worst that was measured."""
    return f"{words % {'share': _fault(place, measure, translate)}} ({place.named(translate)}, n = {place.n(measure)})"


def _fault(place: Place, measure: Measure, translate: Translate) -> str:
    """The complement of a measure, as 'about 1 in 8'."""
    found: Interval = getattr(place, measure)
    assert found.value is not None
    seen = place.n(measure)
    if found.value == 0:
        return translate("all of %(seen)s") % {"seen": seen}
    if found.value < 1:
        return translate("about %(k)s in %(n)s") % _few_words(1 - found.value)
    if found.low is None:
        return translate("none of %(seen)s") % {"seen": seen}
    return translate("none of %(seen)s, at most %(k)s in %(n)s") % {"seen": seen, **_few_words(1 - found.low)}


def _few_words(share: float) -> dict[str, int]:
    """A share above 0 as so many in so many: 1 in 8, 4 in 10, 97 in 100; less than all is never rounded to all."""
    if share >= 0.95:
        return {"k": min(99, round(100 * share)) if share < 1 else 100, "n": 100}
    one_in = max(2, round(1 / share))
    if share < 0.2 or abs(1 / one_in - share) <= 0.15 * share:
        return {"k": 1, "n": one_in}
    return {"k": round(10 * share), "n": 10}
