"""A rate promised of every source of images: the furthest cut that shows it, and what each source shows of it there."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from secondread.stats.proportions import effective_size, intraclass_correlation, lower_bound, normal_scores

STEERS = 20  # images of a class in a source from which on they have a say in the threshold, whether they prove or not


@dataclass(frozen=True)
class Shown:
    """What the images of one source (a hospital, a collection) show of a promised rate at the chosen threshold."""

    source: str  # '' where sources were not told apart
    n: int  # images of the class that the rate is about
    n_groups: int | None  # patients where known; None in records of before they were counted
    value: float | None  # the share that was seen
    lower_bound: float  # one-sided, with the promise's confidence
    n_effective: float  # what they are worth in independent images
    n_needed: int  # images of such groups below which not even a faultless model could show it
    shown: bool
    rare_bound: float | None  # the lower bound where images of one group count as one: for a rare kind, always missed
    useless: float | None  # where it is shown no further than there: the other class's rate, no better than a coin

    @property
    def too_few(self) -> bool:
        """Whether not even a faultless model could show it here."""
        return self.n < self.n_needed

    def in_words(self) -> str:
        """'26 of shenzhen', or what stands in the way."""
        images = "1 image" if self.n == 1 else f"{self.n} images"
        of = f"{images} of {self.source}" if self.source else f"{images} (sources not told apart)"
        if self.shown:
            return of
        if self.too_few:
            worth = f", worth {self.n_effective:.1f} independent ones," if self.n_effective < self.n - 0.05 else ""
            return f"{of}{worth} are too few ({self.n_needed} such images are needed at least)"
        if self.useless is not None:
            return (
                f"{of} are enough, but show it only where the other rate is {self.useless:.3f}, no better than a coin"
            )
        return f"{of} are enough, but show only that it is above {self.lower_bound:.3f}"


@dataclass(frozen=True)
class Guarantee:
    """That a rate is at least the target at each source, with this confidence, in images like those that show it."""

    on: str  # sensitivity or specificity
    target: float
    confidence: float
    holds: bool  # shown at every source, and better than a coin
    worst_case: bool  # images of one group were counted as wholly alike, whatever was seen of their likeness
    other: float | None  # the share of the other class, all sources together, on its own side of the threshold
    sources: tuple[Shown, ...]
    margin: float = 0.0  # logits that the threshold lies on the safe side of what they show: see `stats.margins`

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> "Guarantee":
        """From what `to_dict` gives, or from a record of before sources were told apart: then one without a name."""
        if "sources" in table:
            return cls(**{**table, "sources": tuple(Shown(**one) for one in table["sources"])})
        kept = {key: table[key] for key in ("n", "lower_bound", "n_effective", "n_needed")}
        enough, other = table["n"] >= table["n_needed"], table.get("other")
        useless = other if enough and not table["holds"] else None
        one = Shown("", n_groups=None, value=None, shown=table["holds"], rare_bound=None, useless=useless, **kept)
        named = {key: table[key] for key in ("on", "target", "confidence", "holds", "worst_case")}
        return cls(**named, other=other, sources=(one,))

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a bundle's record."""
        return {**asdict(self), "sources": [asdict(one) for one in self.sources]}

    def in_words(self) -> str:
        """What was shown and where, for `chosen_by`, the card and the command line."""
        shown = [one.in_words() for one in self.sources if one.shown]
        said = f"shown on {' and '.join(shown)}, not elsewhere" if shown else "not shown"
        parts = [f"{self.on} at least {self.target:g} with {100 * self.confidence:g} % confidence: {said}"]
        parts += [one.in_words() for one in self.sources if not one.shown]
        if shown and not self.holds and all(one.shown for one in self.sources):
            rate = "specificity" if self.on == "sensitivity" else "sensitivity"
            parts.append(f"but {rate} there is {self.other or 0:.3f}, no better than a coin")
        return "; ".join(filter(None, [*parts, self.margin_in_words]))

    @property
    def margin_in_words(self) -> str:
        """What the margin does, '' without one."""
        if not self.margin:
            return ""
        side, fewer = ("lower", "missed") if self.on == "sensitivity" else ("higher", "called positive without cause")
        return (
            f"then set {side} by a margin of {self.margin:g} logits, so that fewer are {fewer} at hospitals that it "
            "does not know"
        )


class Promise:
    """One rate of one class of images, promised at every source of them.

    cut: the largest one for which `margin >= cut` is shown for a share `target` of the images of every source.

    At each source the cuts are tested from the safest (all images pass) onwards, and the first that cannot be proven
    ends it: testing in a fixed order needs no correction for the number of tests (Learn then Test: Angelopoulos, Bates,
    Candès, Jordan & Lei 2021). That the cuts are the margins seen does no harm, as the share falls with the cut: to end
    beyond the true boundary, the test at the boundary itself must have erred, and it does so with a chance of
    1 − confidence at most (Bates et al., Journal of the ACM 2021). All cuts up to the last one proven hold at once, so
    the smallest of the sources' cuts is good for all of them, and that each source shows it needs no correction either:
    to say so wrongly, the test of a source where it is wrong must have erred (intersection–union, Berger 1982).
    Each test is a one-sided Clopper–Pearson bound, exact for independent images. Images of one group are not: they
    count as `effective_size`, with the likeness of groups taken from the margins' ranks or from the passes at this very
    cut, whichever is larger. This presumes that groups differ by degrees. A rare kind of patient who is always missed,
    and whom the images may not hold, is beyond it: `Shown.rare_bound` says how little is left then. With `worst_case`,
    images of one group count as wholly alike throughout, which holds against that too, for many more groups.
    Where a source shows nothing, its largest cut whose observed share reaches the target stands in; so it does where
    its proven cut is no better than a coin that lets as large a share pass: few images can prove a rate only where all
    of them pass, and a single one far off takes the cut with it. A source of fewer than STEERS images that are too few
    to prove anything has no say in the cut but as a part of all images together.
    """

    def __init__(
        self,
        on: str,
        margins: np.ndarray,
        groups: np.ndarray,
        *,
        target: float,
        confidence: float,
        sources: Sequence[str] | None = None,
        others: np.ndarray | None = None,
        worst_case: bool = False,
    ):
        """on: 'sensitivity' or 'specificity'. margins: int (n,), of the images of one class; groups: int (n,), what
        belongs together; sources: (n,), where they come from, None: one. others: int (m,), margins of the other class;
        None: the proof alone counts."""
        self.on, self.target, self.confidence = on, target, confidence
        self._others, self._worst_case = others, worst_case
        named = np.full(len(margins), "") if sources is None else np.asarray(sources)
        self._parts = {
            str(name): _Part(margins[named == name], groups[named == name], target, confidence, worst_case)
            for name in np.unique(named)
        }
        self._all = _Part(margins, groups, target, confidence, worst_case)

    @cached_property
    def cut(self) -> int:
        """See the class."""
        steering = [part for part in self._parts.values() if part.n >= min(part.n_needed, STEERS)]
        if len(self._parts) > 1 or not steering:
            steering.append(self._all)
        return min(
            part.observed if part.proven is None or self._is_coin(part, part.proven) else part.proven
            for part in steering
        )

    def at(self, cut: int) -> Guarantee:
        """What the sources show at a cut, whichever way it was chosen."""
        sources = tuple(self._shown(name, part, cut) for name, part in sorted(self._parts.items()))
        return Guarantee(
            on=self.on,
            target=self.target,
            confidence=self.confidence,
            holds=all(one.shown and not self._is_coin(self._parts[one.source], cut) for one in sources),
            worst_case=self._worst_case,
            other=None if self._others is None else round(self._other(cut), 6),
            sources=sources,
        )

    def _other(self, cut: int) -> float:
        """The share of the other class on its own side."""
        return float(np.mean(self._others < cut)) if self._others is not None else 1.0

    def _is_coin(self, part: "_Part", cut: int) -> bool:
        return self._others is not None and part.prove(cut).bound + self._other(cut) <= 1

    def _shown(self, name: str, part: "_Part", cut: int) -> Shown:
        proof = part.prove(cut)
        shown = part.proven is not None and cut <= part.proven
        coin = not shown and part.proven is not None and self._is_coin(part, part.proven)
        return Shown(
            source=name,
            n=part.n,
            n_groups=part.n_groups,
            value=round(proof.value, 6),
            lower_bound=round(proof.bound, 6),
            n_effective=round(proof.size, 1),
            n_needed=part.n_needed,
            shown=shown,
            rare_bound=round(part.prove(cut, likeness=1.0).bound, 6),
            useless=round(self._other(part.proven), 6) if coin and part.proven is not None else None,
        )


def images_needed(target: float, confidence: float) -> int:
    """The fewest independent images that can prove a rate, all of them passing: target ** n ≤ 1 − confidence."""
    return int(np.ceil(np.log(1 - confidence) / np.log(target) - 1e-9))


@dataclass(frozen=True)
class _Proof:
    value: float
    size: float  # in independent images
    bound: float


class _Part:
    """The images of one source, and how far its cut may go."""

    def __init__(self, margins: np.ndarray, groups: np.ndarray, target: float, confidence: float, worst_case: bool):
        self.n, self.n_groups = len(margins), len(np.unique(groups))
        self._margins, self._groups, self._confidence, self._target = margins, groups, confidence, target
        self._likeness = 1.0 if worst_case else intraclass_correlation(normal_scores(margins), groups)
        self._cuts = np.unique(margins)

    @cached_property
    def proven(self) -> int | None:
        """The furthest cut that is proven, every nearer one being so too."""
        last = None
        for cut in self._cuts:
            if self.prove(cut).bound < self._target:
                break
            last = int(cut)
        return last

    @cached_property
    def observed(self) -> int:
        """The furthest cut whose observed share reaches the target."""
        return int(max(cut for cut in self._cuts if np.mean(self._margins >= cut) >= self._target))

    @cached_property
    def n_needed(self) -> int:
        """Images of such groups below which not even a faultless model could prove it."""
        worth = self.prove(int(self._cuts[0])).size
        return int(np.ceil(images_needed(self._target, self._confidence) * self.n / worth - 1e-9))

    def prove(self, cut: int, *, likeness: float | None = None) -> _Proof:
        passes = self._margins >= cut
        least = self._likeness if likeness is None else likeness
        size = effective_size(passes, self._groups, confidence=self._confidence, least_correlation=least)
        value = float(passes.mean())
        return _Proof(value, size, lower_bound(value * size, size, confidence=self._confidence))
