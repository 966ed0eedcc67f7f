"""Thresholds with a promise: the furthest one whose sensitivity, or specificity, is proven on validation data."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from secondread.evidence._clusters import effective_size, intraclass_correlation, normal_scores
from secondread.evidence._proportions import lower_bound

STEPS = 1_000_000  # probabilities are given with six decimals; whole numbers of these compare without surprises


@dataclass(frozen=True)
class Guarantee:
    """That a rate is at least the target, with this confidence, in images like those it was proven on."""

    on: str  # sensitivity or specificity
    target: float
    confidence: float
    holds: bool
    lower_bound: float  # one-sided, at the chosen threshold
    n: int  # images of the class that the rate is about
    n_effective: float  # what they are worth in independent images
    n_needed: int  # images of such groups below which not even a faultless model could prove it
    worst_case: bool  # images of one group were counted as wholly alike, whatever was seen of their likeness
    other: float | None  # where a cut is proven: the share of the other class that lies on its own side of it

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a bundle's record."""
        return asdict(self)

    def in_words(self) -> str:
        """For `chosen_by`, the card and the command line."""
        sure = f"with {100 * self.confidence:g} % confidence"
        if self.holds:
            return f"{self.on} at least {self.target:g} {sure}"
        if self.other is not None:
            other = "specificity" if self.on == "sensitivity" else "sensitivity"
            return (
                f"not proven {sure} that {self.on} is at least {self.target:g}, but where {other} is "
                f"{self.other:.3f}, no better than a coin; chosen by the observed {self.on} instead"
            )
        return (
            f"not proven {sure} that {self.on} is at least {self.target:g}: {self.n} images are worth "
            f"{self.n_effective:.1f} independent ones, and {self.n_needed} such images are needed at least; "
            f"chosen by the observed {self.on} instead"
        )


def furthest_cut(
    margins: np.ndarray,
    groups: np.ndarray,
    *,
    on: str,
    target: float,
    confidence: float,
    worst_case: bool = False,
    others: np.ndarray | None = None,
) -> tuple[int, Guarantee]:
    """The largest cut for which `margin >= cut` is proven to hold for a share `target` of images; and the proof.

    margins: int (n,), of the images of one class; groups: int (n,), what belongs together. others: int (m,), margins of
    the other class; None: the proof alone counts.

    The cuts are tested from the safest (all images pass) onwards, and the first that cannot be proven ends it: testing
    in a fixed order needs no correction for the number of tests (Learn then Test: Angelopoulos, Bates, Candès, Jordan &
    Lei 2021). That the cuts are the margins seen does no harm, as the share falls with the cut: to end beyond the true
    boundary, the test at the boundary itself must have erred, and it does so with a chance of 1 − confidence at most
    (Bates et al., Journal of the ACM 2021). Each test is a one-sided Clopper–Pearson bound, exact for independent
    images. Images of one group are not: they count as `effective_size`, with the likeness of groups taken from the
    margins' ranks or from the passes at this very cut, whichever is larger. This presumes that groups differ by
    degrees: a rare kind of patient who is always missed, and whom the validation set may not hold, is beyond it.
    With `worst_case`, images of one group count as wholly alike, which holds against that too, for many more groups.
    Where no cut is proven, the largest whose observed share reaches the target is returned, with `holds` False. So it
    is where the proven cut is no better than a coin that lets the target share pass: few images can prove a rate only
    where all of them pass, and a single one far off takes the cut with it.
    """
    likeness = 1.0 if worst_case else intraclass_correlation(normal_scores(margins), groups)
    cuts = np.unique(margins)
    proofs = [_prove(margins >= cuts[0], groups, likeness, confidence)]
    while len(proofs) < len(cuts) and proofs[-1].bound >= target:
        proofs.append(_prove(margins >= cuts[len(proofs)], groups, likeness, confidence))
    proven = sum(proof.bound >= target for proof in proofs)
    other = float(np.mean(others < cuts[proven - 1])) if proven and others is not None else None
    holds = proven > 0 and (other is None or other > 1 - target)
    if holds:
        cut, proof = cuts[proven - 1], proofs[proven - 1]
    else:
        cut = max(cut for cut in cuts if np.mean(margins >= cut) >= target)
        proof = _prove(margins >= cut, groups, likeness, confidence)
    return int(cut), Guarantee(
        on=on,
        target=target,
        confidence=confidence,
        holds=holds,
        lower_bound=round(proof.bound, 6),
        n=len(margins),
        n_effective=round(proof.size, 1),
        n_needed=int(np.ceil(images_needed(target, confidence) * len(margins) / proofs[0].size - 1e-9)),
        worst_case=worst_case,
        other=None if other is None else round(other, 6),
    )


def images_needed(target: float, confidence: float) -> int:
    """The fewest independent images that can prove a rate, all of them passing: target ** n ≤ 1 − confidence."""
    return int(np.ceil(np.log(1 - confidence) / np.log(target) - 1e-9))


@dataclass(frozen=True)
class _Proof:
    size: float  # in independent images
    bound: float


def _prove(passes: np.ndarray, groups: np.ndarray, likeness: float, confidence: float) -> _Proof:
    size = effective_size(passes, groups, confidence=confidence, least_correlation=likeness)
    return _Proof(size, lower_bound(float(passes.mean()) * size, size, confidence=confidence))
